"""The parts of the risk model: effects within strata, the level of the city, the spread of true rates."""

import numpy as np
import pytest
from scipy.special import expit

from models.additive import AdditiveLogit, within_strata
from models.city_level import CityLevel, levels_of
from models.dispersion import Dispersion
from models.prior import EFFECTS


def test_levels_of_strata_do_not_distort_the_effects(rng):
    stratum = np.repeat(np.arange(40), 500)
    level = rng.normal(-2, 1.5, 40)
    x = rng.normal(size=(stratum.size, 2)) + 0.8 * level[stratum, None]  # goes with the level, as weather would
    y = (rng.random(stratum.size) < expit(level[stratum] + x @ [0.7, -0.3])).astype(float)

    beta = within_strata(x, y, stratum, np.zeros(2), np.full(2, 1e-3))

    np.testing.assert_allclose(beta, [0.7, -0.3], atol=0.06)


def test_parts_of_rows_give_what_all_rows_give(rng, monkeypatch):
    stratum = rng.integers(0, 30, 3000)
    x = rng.normal(size=(3000, 3)).astype(np.float32)
    y = (rng.random(3000) < 0.2).astype(float)
    whole = within_strata(x, y, stratum, np.zeros(3), np.ones(3))
    monkeypatch.setattr("models.additive._PART_ROWS", 250)

    np.testing.assert_allclose(within_strata(x, y, stratum, np.zeros(3), np.ones(3)), whole, atol=1e-9)


def test_effects_add_up_and_an_unknown_value_has_one_of_its_own(rng):
    names = ("potholes_relative", "days_since_repair")
    x = np.abs(rng.normal(1, 1, size=(4000, 2))).astype(np.float32)
    x[rng.random(4000) < 0.3, 1] = np.nan
    y = (rng.random(4000) < np.where(np.isnan(x[:, 1]), 0.05, 0.25)).astype(float)
    model = AdditiveLogit(names, (1, 0)).fit(x, y, np.zeros(4000, np.int64))

    effects = model.effects(x)

    unknown = np.isnan(x[:, 1])
    assert np.unique(effects[unknown, 1]).size == 1
    assert effects[unknown, 1][0] < effects[~unknown, 1].mean()


def test_a_slope_against_its_direction_is_held_at_zero_and_the_others_are_those_without_it(rng):
    x = np.abs(rng.normal(1, 0.5, size=(6000, 2))).astype(np.float32)
    y = (rng.random(6000) < expit(x[:, 0] - 2 * x[:, 1])).astype(float)
    names, stratum = ("potholes_relative", "potholes_90d"), np.zeros(6000, np.int64)

    held, free = (AdditiveLogit(names, signs).fit(x, y, stratum) for signs in ((1, 1), (1, 0)))
    alone = AdditiveLogit(names, (1, 0)).fit(np.where([False, True], np.float32(1), x), y, stratum)

    assert free.slopes_[1] < -0.5
    assert held.slopes_[1] == 0
    assert held.slopes_[0] == pytest.approx(alone.slopes_[0], abs=1e-6)


def test_a_level_makes_the_expected_number_the_observed_one(rng):
    stratum, score = np.repeat(np.arange(5), 300), rng.normal(size=1500)
    y = (rng.random(1500) < expit(score - 2)).astype(float)

    level, first = levels_of(score, y, stratum, 1.2)

    for number in range(5):
        rows = stratum == number
        assert expit(1.2 * (score[rows] + level[number])).sum() == pytest.approx(y[rows].sum())
        assert rows[first[number]]


def test_the_level_follows_the_weather_as_far_as_physics_allows(rng):
    names, signs = ("freeze_thaw_14d", "mean_temp_14d_c"), (1, -1)
    x = np.column_stack([rng.uniform(0, 10, 200), rng.uniform(-5, 25, 200)]).astype(np.float32)
    coordinate = EFFECTS["freeze_thaw_14d"].coordinate(x[:, 0])
    rising = CityLevel(names, signs, 7).fit(x, -3 + 0.4 * coordinate, 7.0)
    falling = CityLevel(names, signs, 7).fit(x, -3 - 0.4 * coordinate, 7.0)
    without = CityLevel(names, signs, 7).fit(x[:0], np.zeros(0), 7.0)

    assert rising.slopes_[0] == pytest.approx(0.4, abs=0.1)
    assert falling.slopes_[0] == pytest.approx(0.0, abs=1e-6)  # frost that mends roads is not believed
    assert without.slopes_[0] == pytest.approx(EFFECTS["freeze_thaw_14d"].slope * 0.89, rel=0.01)


def test_expected_numbers_and_probabilities_belong_together():
    dispersion, score = Dispersion(1), np.array([-2.0, 0.0, 2.0])
    p = np.array([0.01, 0.2, 0.8])

    mean = dispersion.expected(p, score, 0)

    u = dispersion.variance(score, 0)
    np.testing.assert_allclose(1 - (1 + u * mean) ** (-1 / u), p)
    assert (np.diff(u) < 0).all()  # a segment that looks dangerous has told more of itself


def test_spread_between_places_is_found_and_chance_is_not_taken_for_it(rng):
    segments, windows = 3000, 6
    era = np.repeat(np.arange(segments), windows)
    score = np.repeat(rng.normal(0, 1, segments), windows)
    mean = 0.15 * np.exp(0.5 * score)
    for v in (0.0, 1.0):
        own = rng.gamma(1 / v, v, segments) if v else np.ones(segments)
        y = (rng.random(era.size) < -np.expm1(-mean * own[era])).astype(float)
        # what is forecast is the mean over places
        forecast = -np.expm1(-mean) if not v else 1 - (1 + v * mean) ** (-1 / v)
        found = Dispersion(1).fit_places(score, forecast, y - forecast, era).variance_
        assert abs(found - v) < 0.3


def test_a_level_that_misses_widens_the_intervals(rng):
    stratum = np.repeat(np.arange(60), 400)
    forecast = np.full(stratum.size, 0.1)
    exact = (rng.random(stratum.size) < 0.1).astype(float)
    missed = (rng.random(stratum.size) < (0.1 * np.exp(rng.normal(0, 0.6, 60)))[stratum]).astype(float)

    steady = Dispersion(1).fit_level(0, forecast, exact, stratum, years=20.0)
    unsteady = Dispersion(1).fit_level(0, forecast, missed, stratum, years=20.0)

    assert steady.level_sd_[0] < 0.15
    assert unsteady.level_sd_[0] == pytest.approx(0.6, abs=0.15)
