"""The parts of the risk model: effects within strata, the level of the city, the spread of true rates."""

import numpy as np
import pytest
from scipy.special import expit

from models.additive import AdditiveLogit, within_strata
from models.city_level import CityLevel, level_of
from models.dispersion import PRIOR_LEVEL_SD, Dispersion
from models.prior import EFFECTS, base_log_odds


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
    score = rng.normal(size=300)
    y = (rng.random(300) < expit(score - 2)).astype(float)

    level = level_of(score, y, 1.2)

    assert expit(1.2 * (score + level)).sum() == pytest.approx(y.sum())
    assert (level_of(score, 0 * y, 1.2), level_of(score, y**0, 1.2)) == (-np.inf, np.inf)


LEVEL_NAMES, LEVEL_SIGNS = ("freeze_thaw_14d", "mean_temp_14d_c"), (1, -1)


def windows(rng, *, segments, cuts, frost=0.4, spread=0.0, base=-3.0):
    """Weather of each cut, and cut, score and label of each row; no feature explains `spread` of the level."""
    weather = np.column_stack([rng.uniform(0, 10, cuts), rng.uniform(-5, 25, cuts)]).astype(np.float32)
    level = base + frost * EFFECTS["freeze_thaw_14d"].coordinate(weather[:, 0]) + rng.normal(0, spread, cuts)
    cut, score = np.repeat(np.arange(cuts), segments), rng.normal(0, 1.2, segments * cuts)
    return weather, cut, score, (rng.random(cut.size) < expit(score + level[cut])).astype(float)


def expected_number(level: CityLevel, weather, cut, score) -> float:
    return float(expit(score + (level.intercept_ + level.effects(weather).sum(axis=1))[cut]).sum())


def test_the_level_follows_the_weather_as_far_as_physics_allows(rng):
    rising, falling = (
        CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(*windows(rng, segments=300, cuts=200, frost=frost), 1.0, 7.0)
        for frost in (0.4, -0.4)
    )
    nothing = [np.zeros(0, np.int64), np.zeros(0), np.zeros(0)]
    without = CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(np.zeros((0, 2), np.float32), *nothing, 1.0, 7.0)

    assert rising.slopes_[0] == pytest.approx(0.4, abs=0.1)
    assert falling.slopes_[0] == pytest.approx(0.0, abs=1e-6)  # frost that mends roads is not believed
    assert without.slopes_[0] == pytest.approx(EFFECTS["freeze_thaw_14d"].slope * 0.89, rel=0.01)


@pytest.mark.parametrize("segments", [8, 60, 600])
def test_expected_numbers_are_right_in_the_mean_also_in_small_cities_and_uneven_winters(rng, segments):
    expected, true = 0.0, 0.0
    for _ in range(max(8, 320 // segments)):
        weather, cut, score, labels = windows(rng, segments=segments, cuts=150, spread=0.5)
        level = CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(weather, cut, score, labels, 1.0, 7.0)
        expected += expected_number(level, weather, cut, score)
        known = -3 + 0.4 * EFFECTS["freeze_thaw_14d"].coordinate(weather[:, 0])
        any_level = known[cut] + 0.5 * rng.normal(size=cut.size)
        true += float(expit(score + any_level).sum())  # over all levels that a cut might have had

    # a regression of each cut's own level stayed 39, 10 and 6 % below
    assert expected / true == pytest.approx(1.0, abs=0.06)


def test_a_city_of_a_few_segments_learns_its_level(rng):
    level = CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(*windows(rng, segments=8, cuts=200, base=-1.5), 1.0, 7.0)
    weather, cut, score, labels = windows(rng, segments=8, cuts=2000, base=-1.5)

    assert level.intercept_ > base_log_odds(7) + 1
    assert expected_number(level, weather, cut, score) == pytest.approx(labels.sum(), rel=0.1)


def test_a_level_far_from_the_prior_is_found(rng):
    for base in (-9.0, 3.0):
        records = windows(rng, segments=2000, cuts=100, base=base, frost=0.0)
        level = CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(*records, 1.0, 7.0)

        assert expected_number(level, *records[:3]) == pytest.approx(records[3].sum(), rel=0.15)


@pytest.mark.parametrize("slope", [0.05, 0.1, 0.3, 3.0])
def test_the_expected_number_is_right_for_any_slope(rng, slope):
    weather, cut, score, labels = windows(rng, segments=1500, cuts=150, base=-4.5, frost=0.0)
    level = CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(weather, cut, score, labels, slope, 7.0)
    forecast = expit(slope * (score + (level.intercept_ + level.effects(weather).sum(axis=1))[cut]))

    assert forecast.sum() == pytest.approx(labels.sum(), rel=0.15)


@pytest.mark.parametrize(("segments", "cuts"), [(1, 1), (5, 10), (500, 100)])
def test_a_city_where_nothing_ever_broke_or_everything_did_has_a_level(rng, segments, cuts):
    weather, cut, score, _ = windows(rng, segments=segments, cuts=cuts)
    never, always = (
        CityLevel(LEVEL_NAMES, LEVEL_SIGNS, 7).fit(weather, cut, score, np.full(cut.size, label), 1.0, 7.0)
        for label in (0.0, 1.0)
    )

    assert -15 < never.intercept_ < always.intercept_ < 15
    assert expected_number(never, weather, cut, score) < expected_number(always, weather, cut, score)


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


def measured_level_sd(rng, sd, *, segments=400, cuts=60, p=0.1, years=20.0) -> float:
    """σ from forecasts that miss the level of each cut by a factor of mean 1 with this σ of its logarithm."""
    stratum = np.repeat(np.arange(cuts), segments)
    factor = np.exp(rng.normal(-(sd**2) / 2, sd, cuts))
    labels = (rng.random(stratum.size) < -np.expm1(factor[stratum] * np.log1p(-p))).astype(float)
    return Dispersion(1).fit_level(0, np.full(stratum.size, p), labels, stratum, years).level_sd_[0]


def test_a_level_that_misses_widens_the_intervals(rng):
    assert measured_level_sd(rng, 0.0) < 0.15
    assert measured_level_sd(rng, 0.5, cuts=1000) == pytest.approx(0.5, abs=0.08)
    # where four of ten segments break, numbers swing less than rates
    assert measured_level_sd(rng, 0.5, cuts=1000, p=0.4) == pytest.approx(0.5, abs=0.08)


def test_chance_in_a_small_city_is_not_taken_for_a_level_that_misses(rng):
    few = [measured_level_sd(rng, 0.0, segments=10, years=3.0) for _ in range(20)]
    assert np.mean(few) == pytest.approx(PRIOR_LEVEL_SD, abs=0.05)  # it has told next to nothing
    assert measured_level_sd(rng, 0.0, segments=10, cuts=3000, years=1000.0) < 0.2
