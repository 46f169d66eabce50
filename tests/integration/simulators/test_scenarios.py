"""Each scenario of the library differs from the ordinary one in what it claims: one claim each, over seeds where chance
has a say."""

from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
import pytest

from simulators.report.climate import Climate, gather_climate
from simulators.report.feed import Feed, gather_feed
from simulators.report.plots_maps import distance_to_streets_m
from simulators.scenario import read_scenario
from simulators.truth.truth import truth_of
from simulators.world import World, build_world

SEEDS = (1, 2, 3)
TODAY = date(2023, 1, 18)  # a Wednesday, so that vehicles drive
WINTER = date(2022, 11, 15), date(2023, 4, 1)


@lru_cache(maxsize=16)
def city(name: str, seed: int = 5, length_km: float = 8.0, today: date = TODAY) -> World:
    start = datetime(2022, 7, 1, tzinfo=UTC)
    return build_world(seed=seed, length_km=length_km, start=start, scenario=read_scenario(name), today=today)


@lru_cache(maxsize=32)
def winter(name: str, seed: int) -> tuple[Climate, float]:
    """Weather of the newest winter, and the holes that its weather was to bring: without the luck of single holes."""
    world = city(name, seed)
    hazard = truth_of(world).hazard
    days = [WINTER[0] + timedelta(days=n) for n in range((WINTER[1] - WINTER[0]).days)]
    return gather_climate(world, *WINTER), sum(float(hazard.expected_holes(day).sum()) for day in days)


def mean(of, name: str) -> float:
    return float(np.mean([of(*winter(name, seed)) for seed in SEEDS]))


def frost_days(climate: Climate, _: float) -> float:
    return float((climate.air_min_c < 0).sum())


def rain_mm(climate: Climate, _: float) -> float:
    return float(climate.rain_mm.sum())


def holes(_: Climate, expected: float) -> float:
    return expected


def test_a_hard_winter_has_more_frost_and_more_holes():
    assert mean(frost_days, "hard-winter") > 1.2 * mean(frost_days, "ordinary")
    assert mean(holes, "hard-winter") > 1.1 * mean(holes, "ordinary")


def test_a_mild_winter_has_less_frost_and_fewer_holes_with_the_same_rain():
    assert mean(frost_days, "mild-winter") < 0.7 * mean(frost_days, "ordinary")
    assert mean(holes, "mild-winter") < 0.9 * mean(holes, "ordinary")
    assert mean(rain_mm, "mild-winter") == pytest.approx(mean(rain_mm, "ordinary"), rel=0.02)


def test_a_wet_winter_has_more_rain_and_more_holes_than_a_mild_one_and_less_frost_than_an_ordinary_one():
    assert mean(rain_mm, "wet-winter") > 1.5 * mean(rain_mm, "ordinary")
    assert mean(frost_days, "wet-winter") < 0.8 * mean(frost_days, "ordinary")
    assert mean(holes, "wet-winter") > 1.3 * mean(holes, "mild-winter")
    assert mean(holes, "wet-winter") > 1.1 * mean(holes, "ordinary")


def test_a_hot_summer_is_hot_dry_and_has_few_holes():
    today, summer = date(2023, 8, 25), (date(2023, 6, 1), date(2023, 8, 25))
    hot = gather_climate(city("heat-summer", today=today), *summer)
    usual = gather_climate(city("ordinary", today=today), *summer)

    assert hot.surface_max_c.max() > usual.surface_max_c.max() + 1.5
    assert hot.rain_mm.sum() < 0.6 * usual.rain_mm.sum()
    assert hot.saturation.mean() < usual.saturation.mean()


def test_weather_before_the_newest_season_is_as_in_the_ordinary_scenario():
    before = date(2022, 7, 1), date(2022, 10, 1)
    ordinary = gather_climate(city("ordinary", 1), *before)

    for name in ("mild-winter", "hard-winter", "wet-winter"):
        changed = gather_climate(city(name, 1), *before)
        assert (changed.air_mean_c == ordinary.air_mean_c).all(), name
        assert (changed.rain_mm == ordinary.rain_mm).all(), name


@lru_cache(maxsize=16)
def feed(name: str, first: int, days: int) -> Feed:
    """Messages from so many days after today on."""
    world = city(name, length_km=20.0)
    start = world.day_start(TODAY + timedelta(days=first))
    return gather_feed(world, start, start + timedelta(days=days), lambda _: None)


def test_failing_sensors_are_silent_stand_still_and_jump():
    failing, usual = feed("sensor-outage", 0, 2), feed("ordinary", 0, 2)

    assert sum(map(len, failing.frames.values())) < 0.97 * sum(map(len, usual.frames.values()))
    assert failing.flags["RANGE"] > usual.flags["RANGE"]


def test_while_the_broker_is_away_nothing_comes_and_afterwards_all_of_it():
    away, usual = feed("broker-outage", -1, 2), feed("ordinary", -1, 2)
    hours = sum(away.per_hour.values())

    assert hours[2:8].sum() == 0  # the night before
    assert hours[33] == 0  # nine in the morning
    assert hours[8] > 3 * sum(usual.per_hour.values())[8]
    assert away.flags["LATE"] > usual.flags["LATE"]


def test_wrong_clocks_are_told_by_the_ingester():
    wrong, usual = feed("bad-clock", 0, 2), feed("ordinary", 0, 2)

    assert wrong.flags["SKEW"] > usual.flags["SKEW"]
    assert wrong.flags["FUTURE"] > usual.flags["FUTURE"]
    assert not wrong.rejected


def test_biased_positions_lie_farther_from_the_streets_but_do_not_say_so():
    off, usual = feed("gnss-bias", 0, 2), feed("ordinary", 0, 2)
    world = city("ordinary", length_km=20.0)
    far = [distance_to_streets_m(world, np.array(f.lon), np.array(f.lat)) for f in (off, usual)]

    assert np.percentile(far[0], 90) > 1.5 * np.percentile(far[1], 90)
    assert np.median(off.accuracy_m) == pytest.approx(np.median(usual.accuracy_m), rel=0.1)


def test_a_new_detector_says_its_version_and_is_surer_of_itself():
    updated, usual = feed("camera-update", 0, 2), feed("ordinary", 0, 2)
    sure = np.mean([confidence for _, confidence in updated.confidence["2.0.0"]])

    assert set(updated.confidence) == {"2.0.0"}
    assert set(usual.confidence) == {"1.0.0"}
    assert sure > np.mean([confidence for _, confidence in usual.confidence["1.0.0"]]) + 0.04
