"""What makes holes in the simulated city, and that every world has its own laws."""

from dataclasses import asdict, replace
from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.scenario import WeatherChange, read_scenario
from simulators.truth.condition import Condition
from simulators.truth.cracking import roughness_index, wear_of_months
from simulators.truth.effects import effects_of
from simulators.truth.frailty import frailty_of_segments
from simulators.truth.hazard import Hazard
from simulators.truth.regime import regime_of
from simulators.truth.truth import Truth, truth_of
from simulators.weather.weather import WeatherSource
from simulators.world import World, build_world

FIRST = datetime(2021, 6, 30, 22, tzinfo=UTC)


def world_of(shift_c: float = 0.0, **arguments) -> World:
    scenario = read_scenario("ordinary")
    if shift_c:
        change = WeatherChange(begins="12-01", ends="03-01", air_temp_shift_c=shift_c)
        scenario = replace_scenario(scenario, weather=(change,))
    return build_world(**{"seed": 5, "length_km": 20, "start": FIRST, "scenario": scenario} | arguments)


def replace_scenario(scenario, **changes):
    return type(scenario)(**{name: getattr(scenario, name) for name in scenario.__struct_fields__} | changes)


def winter_holes(world: World) -> float:
    hazard = Hazard(Condition(world))
    days = (date(2021, 12, 1) + timedelta(days=i) for i in range(121))
    return sum(float(hazard.expected_holes(day).sum()) for day in days)


def test_a_hard_winter_brings_more_holes_and_a_mild_one_fewer():
    """4 °C colder or warmer than the same winter: the calibration stays that of the climate."""
    mild, usual, hard = (winter_holes(world_of(shift)) for shift in (4.0, 0.0, -4.0))

    assert mild < 0.85 * usual
    assert hard > 1.15 * usual


def test_the_calibration_does_not_know_the_scenario():
    usual, hard = (Hazard(Condition(world_of(shift))).calibration for shift in (0.0, -4.0))

    assert hard.base_rate == usual.base_rate
    assert hard.strength == usual.strength


def test_sizes_and_thresholds_of_the_effects_differ_from_seed_to_seed_about_those_of_the_sources():
    found = [asdict(effects_of(Streams(seed))) for seed in range(200)]
    sources = {"crack": 1.0, "crack_low_pct": 5, "crack_high_pct": 20, "trench_pct": 10, "frost_deficit_cm": 10}
    sources |= {"utilisation": 1.0, "cycle_cap": 8, "wet_saturation": 0.35, "thaw": 1.0}

    for name, value in sources.items():
        drawn = np.array([effects[name] for effects in found])
        assert np.median(drawn) == pytest.approx(value, rel=0.05)
        assert 0.03 < drawn.std() / value < 0.3
        assert drawn.min() > 0.6 * value


def test_the_regime_changes_once_in_the_third_to_fifth_year_and_no_register_knows():
    worlds = [build_world(seed=seed, length_km=5, start=FIRST) for seed in range(10)]
    regimes = [regime_of(world) for world in worlds]

    assert all(date(2023, 7, 1) <= regime.changes_on < date(2026, 7, 1) for regime in regimes)
    assert len({regime.changes_on for regime in regimes}) == 10
    assert {regime.patch_effect_factor > 1 for regime in regimes} == {True, False}
    assert all(regime.patch_effect(regime.changes_on - timedelta(days=1)) == 1.0 for regime in regimes)


def test_diverted_traffic_tears_some_streets_open_and_spares_others():
    world = world_of(length_km=60)
    condition, begins = Condition(world), regime_of(world).diverted_from
    before, after = begins - timedelta(days=20), begins + timedelta(days=10)
    ratio = condition.multiplier(after.year, after.month, False) / condition.multiplier(
        before.year, before.month, False
    )
    factor = condition.regime.heavy_factor[condition.section]

    assert set(factor.tolist()) == {0.35, 1.0, 2.2}
    assert np.median(ratio[factor > 1]) > 1.15
    assert np.median(ratio[factor < 1]) < 0.85
    assert np.median(ratio[factor == 1]) == pytest.approx(1.0, abs=0.03)


def test_frailty_belongs_to_the_ground_however_it_is_cut():
    """Segments of 100 m have the mean of their pieces of 20 m; a hundred metres are gamma distributed, shape 0.5."""
    long, short = (build_world(seed=3, length_km=200, segment_length_m=m).geometry for m in (100, 20))
    streams = Streams(3)
    whole, parts = frailty_of_segments(long, streams), frailty_of_segments(short, streams)
    into = (
        np.searchsorted(
            long.segment_section * 1e6 + long.segment_from_m,
            short.segment_section * 1e6 + short.segment_from_m + short.segment_length_m / 2,
            side="right",
        )
        - 1
    )
    mean = np.bincount(into, parts * short.segment_length_m) / np.bincount(into, short.segment_length_m)

    assert np.allclose(mean, whole, rtol=1e-6, atol=1e-9)
    # 2,000 pieces in 900 sections: mean within 0.1 (3 σ), variance 2 within its own scatter.
    assert whole.mean() == pytest.approx(1.0, abs=0.15)
    assert whole.var() == pytest.approx(2.0, rel=0.35)
    assert parts.var() > 1.2 * whole.var()


def test_pieces_of_a_section_are_alike():
    geometry = build_world(seed=3, length_km=200).geometry
    frailty = frailty_of_segments(geometry, Streams(3))
    same = np.flatnonzero(np.diff(geometry.segment_section) == 0)
    rank = frailty.argsort().argsort()

    assert np.corrcoef(rank[same], rank[same + 1])[0, 1] == pytest.approx(0.43, abs=0.1)


def test_cracks_begin_late_then_spread_and_never_heal_by_themselves(small_world):
    condition = Condition(small_world)
    ages = [condition._cracking.crack_pct(np.full(len(condition.length_m), float(age))) for age in range(0, 61, 3)]
    mean = np.array([crack.mean() for crack in ages])

    assert mean[1] < 0.5
    assert np.all(np.diff(np.array(ages), axis=0) >= 0)
    assert mean[4:7].mean() == pytest.approx(12, abs=6)  # 12 to 18 years
    assert mean[-1] > 35
    steps = np.diff(mean)
    assert steps.argmax() not in (0, len(steps) - 1)  # S-shaped


def test_wear_is_that_of_the_calendar_on_average_and_faster_on_badly_drained_roads_and_in_hard_winters():
    years = np.array(
        [wear_of_months(WeatherSource(Streams(seed)), year).mean(axis=0) for seed in range(8) for year in (2019, 2021)]
    )
    cold = WeatherChange(begins="12-01", ends="03-01", air_temp_shift_c=-1.5)
    source = WeatherSource(Streams(1))
    hard = wear_of_months(replace(source, changes=(cold,), today=date(2024, 7, 1)), 2021)

    assert years.mean(axis=0)[1, 1] == pytest.approx(1.0, abs=0.12)
    assert np.all(np.diff(years.mean(axis=0), axis=0) > 0)
    assert hard.mean() > wear_of_months(source, 2021).mean()


def test_roughness_is_a_state_of_the_road(small_world):
    truth, day = truth_of(small_world), small_world.epoch + timedelta(days=60)
    rough = truth.roughness_index(day)
    new, worn = (
        roughness_index(*(np.array([value]) for value in values)) for values in ((0, 0, 0, 0), (25, 35, 10, 3))
    )

    assert new[0] == pytest.approx(1.6)
    assert 4.0 < worn[0] < 6.0
    assert rough.min() >= 1.6
    assert 2.0 < rough.mean() < 4.5


def test_what_is_known_at_a_day_holds_nothing_later():
    world = world_of(length_km=30)
    condition, cut = Condition(world), date(2022, 4, 30)
    known = condition.as_known(cut)

    assert {r.decided_on <= cut for year in (2022, 2023) for r in known.renewals_of(year)} == {True}
    assert {t.opened_on <= cut for t in known.trenches_of(2022)} == {True}
    assert len(known.renewals_of(2022)) < len(condition.renewals_of(2022))
    assert np.array_equal(known.crack_pct(2022, 4), condition.crack_pct(2022, 4))
    assert not np.array_equal(known.crack_pct(2022, 12), condition.crack_pct(2022, 12))


def test_segments_of_twenty_metres_have_the_same_city_wide_mean():
    """A year of 25 km in segments of 20 m: 490 holes expected, ± 4 % by chance and more by the year's weather."""
    counts = []
    for length_m in (100, 20):
        truth = Truth(world_of(length_km=25, segment_length_m=length_m))
        counts.append(sum(len(e.born) for e in truth.days(date(2021, 7, 1), date(2022, 7, 1))))

    assert counts[1] == pytest.approx(counts[0], rel=0.25)
