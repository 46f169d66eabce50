"""The two ceilings of a forecast of new potholes: calibrated, in order, and blind for what comes after the cut."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from roadtwin.errors import SimulationError
from simulators.ceilings.ceilings import ceilings, ceilings_at
from simulators.ceilings.mixture import GRID, Mixture
from simulators.ceilings.past import Past
from simulators.ceilings.skill import skill_of
from simulators.truth.kernel import patch_factor
from simulators.truth.truth import DayEvents, Truth
from simulators.world import World, build_world

FIRST = datetime(2021, 6, 30, 22, tzinfo=UTC)
EARLY = date(2022, 2, 1)
CUTS = [date(2022, 10, 1), date(2023, 1, 10), date(2023, 4, 1), date(2023, 7, 1)]


def city(seed: int, length_km: float = 30, **arguments) -> World:
    return build_world(seed=seed, length_km=length_km, start=FIRST, **arguments)


@pytest.fixture(scope="module")
def found():
    """Four cuts in three cities of 30 km."""
    return [one for seed in (1, 2, 3) for one in ceilings_at(city(seed), CUTS, draws=8)]


def pooled(found, name: str, horizon: int):
    probability = np.concatenate([one.forecasts()[name][:, horizon] for one in found])
    return probability, np.concatenate([one.observed[:, horizon] > 0 for one in found])


def test_probabilities_are_some_and_grow_with_the_horizon(found):
    for one in found:
        for values in one.forecasts().values():
            assert values.shape == (len(one.segment_ids), 3)
            assert np.all((values >= 0) & (values <= 1))
            assert np.all(np.diff(values, axis=1) >= -1e-9)


def test_the_oracle_is_calibrated(found):
    """Holes are independent given the true hazard: within three standard deviations of their number."""
    for horizon in range(3):
        probability, happened = pooled(found, "oracle", horizon)
        deviation = np.sqrt((probability * (1 - probability)).sum())

        assert abs(probability.sum() - happened.sum()) < 3 * deviation
        worst = probability > np.quantile(probability, 0.9)
        spread = np.sqrt((probability * (1 - probability))[worst].sum())
        assert abs(probability[worst].sum() - happened[worst].sum()) < 3 * spread


def test_the_informed_forecast_is_calibrated(found):
    """Twelve winters and summers share their weather within a city and cut, which may be twice or half the usual: the
    mean of twelve is within a fifth or so (1 σ); segments are right in relation to each other."""
    for horizon in (1, 2):
        probability, happened = pooled(found, "informed", horizon)
        assert 0.65 < probability.sum() / happened.sum() < 1.5
        bins = np.array_split(np.argsort(probability), 4)
        ratio = [probability[b].sum() / max(happened[b].sum(), 1) for b in bins[1:]]
        assert max(ratio) / min(ratio) < 2.0


def test_oracle_informed_and_count_so_far_stand_in_this_order(found):
    for horizon in (1, 2):
        skill = {name: skill_of(*pooled(found, name, horizon)) for name in found[0].forecasts()}

        assert skill["oracle"].log_score > skill["informed"].log_score
        assert skill["informed"].log_score > skill["count_so_far"].log_score
        assert skill["informed"].roc_auc > skill["count_so_far"].roc_auc > skill["climatology"].roc_auc
        assert skill["oracle"].roc_auc > skill["informed"].roc_auc


class NoMoreHoles(Truth):
    """The same truth, but after a day nothing breaks open any more."""

    last_day = EARLY - timedelta(days=1)

    def _births(self, day: date, begin_us: int, end_us: int) -> np.ndarray:
        born = super()._births(day, begin_us, end_us)
        return born if day <= self.last_day else born[:0]


def test_informed_does_not_look_ahead():
    world = city(4, 12)
    other = city(4, 12)
    usual = ceilings(world, EARLY, (28, 90), draws=3)
    altered = ceilings_at(other, [EARLY], (28, 90), 3, truth=NoMoreHoles(other))[0]

    assert usual.observed.sum() > 0 == altered.observed.sum()
    assert np.array_equal(usual.informed, altered.informed)
    assert np.array_equal(usual.count_so_far, altered.count_so_far)


def test_several_cuts_give_what_each_gives_alone():
    together = ceilings_at(city(4, 12), [EARLY, EARLY + timedelta(days=40)], (28,), 2)
    alone = ceilings(city(4, 12), EARLY + timedelta(days=40), (28,), 2)

    assert np.allclose(together[1].informed, alone.informed)
    assert np.array_equal(together[1].oracle, alone.oracle)
    assert np.array_equal(together[1].observed, alone.observed)


def test_the_table_of_exposure_is_the_true_hazard():
    """Summed over a year of days, for the frailty that each segment has."""
    world = city(5, 12)
    truth = Truth(world)
    past, expected = Past(truth), np.zeros(len(world.segments))
    logs = np.zeros(len(world.segments))
    for offset in range(365):
        events: DayEvents = truth.day(world.epoch + timedelta(days=offset))
        past.add(events)
        factor = patch_factor(truth.condition, events.day, events.patches.astype(float))
        rate = truth.hazard.expected_holes(events.day, factor)
        expected += rate
        born = truth.holes.segment[events.born]
        np.add.at(logs, born, np.log(rate[born] / truth.condition.length_m[born] * 100))
    before, after = past.likelihood(world.epoch + timedelta(days=365))
    untouched = ~truth.condition.is_renewed(2022, 6)
    product = np.log(np.clip(truth.condition.frailty * truth.condition.hidden, GRID[0], GRID[-1]))
    at = [np.interp(x, np.log(GRID), row) for x, row in zip(product, before, strict=True)]

    assert not after[untouched].any()
    assert np.allclose(np.array(at)[untouched], (logs - expected)[untouched], rtol=0.02, atol=0.05)


def test_without_a_past_the_informed_forecast_is_the_mean_over_what_is_hidden():
    """Against draws of frailty and leak themselves, of twenty metres as of a hundred."""
    for length_m in (100, 20):
        worlds = [city(seed, 40, segment_length_m=length_m) for seed in range(3)]
        mixture = Mixture(Truth(worlds[0]).condition)
        count = len(worlds[0].segments)
        nothing = np.zeros((count, len(GRID)))
        quiet = np.broadcast_to(np.exp(-0.3 * GRID), nothing.shape), np.ones_like(nothing)
        survival = mixture.survival((nothing, nothing), quiet)
        conditions = [Truth(world).condition for world in worlds]
        drawn = np.concatenate([np.exp(-0.3 * c.frailty * c.hidden) for c in conditions])

        assert np.ptp(survival) < 1e-9
        # 1,200 pieces that are alike in a section: ± 0.015 (1 σ).
        assert survival[0] == pytest.approx(drawn.mean(), abs=0.045)


def test_neighbours_tell_of_each_other():
    """Many holes on one segment of a section make the next more suspect, and those elsewhere not."""
    world = city(5, 12)
    mixture = Mixture(Truth(world).condition)
    section = world.geometry.segment_section
    first = int(np.flatnonzero(np.diff(section) == 0)[0])
    log = np.zeros((len(section), len(GRID)))
    log[first] = 8 * np.log(GRID) - 2.0 * GRID
    quiet = np.broadcast_to(np.exp(-0.1 * GRID), log.shape), np.ones_like(log)
    survival = mixture.survival((log, np.zeros_like(log)), quiet)
    elsewhere = survival[section != section[first]]

    assert survival[first] < survival[first + 1] < elsewhere.min() - 0.02
    assert np.ptp(elsewhere) < 1e-9


@pytest.mark.parametrize(
    ("cuts", "horizons", "draws", "message"),
    [
        ([], (28,), 2, "Cut: got none"),
        ([date(2021, 7, 1)], (28,), 2, "Cut: got 2021-07-01, expected days after the world's first one, 2021-07-01"),
        ([CUTS[0]], (0, 28), 2, "Horizon: got 0, expected whole days from 1 to 366"),
        ([CUTS[0]], (28,), 0, "Draws: got 0, expected 1 to 1000"),
    ],
)
def test_impossible_questions_are_refused(small_world, cuts, horizons, draws, message):
    world = city(4, 12)
    with pytest.raises(SimulationError, match=message):
        ceilings_at(world, cuts, horizons, draws)
