"""The estimator: additive, monotone over horizons, calibrated, and without skill where there is none."""

from dataclasses import replace
from datetime import time
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from scipy.special import expit
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from models.calibration import LogisticCalibration
from models.city_level import CityLevel, level_of
from models.dataset import Dataset, make_cuts
from models.dispersion import PRIOR_LEVEL_SD
from models.features import FEATURE_SET
from models.inputs import instant
from models.prior import EFFECTS, RATE_PER_100_M_WEEK, base_log_odds
from models.risk import NotEnoughLabelsError, RiskModel, eras
from models.rolling import RollingOrigins, origins_of
from roadtwin.types import HORIZONS_DAYS

START = np.datetime64("2024-01-01T05:00", "us")
WEEK = np.timedelta64(7, "D")


def made_up(rng, **options) -> Dataset:
    """Rows of `made_up_with_truth`."""
    return made_up_with_truth(rng, **options)[0]


def made_up_with_truth(rng, *, segments=400, weeks=26, effect=1.0, frailty=0.0) -> tuple[Dataset, np.ndarray]:
    """Rows with two features known, how often a place broke before and the weather of the week; their hazard a week."""
    segment, week = np.meshgrid(np.arange(segments), np.arange(weeks))
    segment, week = segment.ravel(), week.ravel()
    features = np.full((segment.size, len(FEATURE_SET.features)), np.nan, np.float32)
    relative = np.exp(rng.normal(0, 1, segments))
    cold = rng.normal(0, 1, weeks)
    features[:, FEATURE_SET.index("potholes_relative")] = relative[segment]
    features[:, FEATURE_SET.index("freeze_thaw_14d")] = np.maximum(0, 3 + 3 * cold)[week]
    own = rng.gamma(1 / frailty, frailty, segments) if frailty else np.ones(segments)
    hazard = 0.03 * own[segment] * relative[segment] ** effect * np.exp(0.3 * cold[week])
    spans = np.array([1.0, 4.0, 12.0])
    labels = (rng.random((segment.size, 1)) < -np.expm1(-hazard[:, None] * spans)).astype(float)
    rows = Dataset(
        features=features,
        labels=labels,
        segment_index=segment.astype(np.int32),
        cut=START + week * WEEK,
        district=np.zeros(segment.size, np.int32),
        road_class=np.zeros(segment.size, np.int32),
        horizons_days=HORIZONS_DAYS,
        feature_set=FEATURE_SET,
    )
    return rows, hazard


def no_labels(rows: Dataset) -> Dataset:
    return replace(rows, labels=np.full_like(rows.labels, np.nan))


def test_contributions_and_intercept_add_up_to_the_log_odds(trained):
    x = trained.test.features[:300]
    log_odds = trained.model.log_odds(x)
    for column, horizon in enumerate(HORIZONS_DAYS):
        contributions = trained.model.contributions(x, horizon)
        np.testing.assert_allclose(
            trained.model.intercept_[column] + contributions.sum(axis=1), log_odds[:, column], atol=1e-9
        )
    np.testing.assert_allclose(
        trained.model.predict_proba(x),
        np.maximum.accumulate(expit(trained.model.slopes_ * log_odds), axis=1),
    )


def test_contributions_are_measured_against_the_mean_of_training(trained):
    # the centre is the mean of a sample of the training rows
    mean = trained.model.contributions(trained.train.features, 28).mean(axis=0)

    assert np.abs(mean).max() < 0.1


def test_forecasts_do_not_fall_with_the_horizon_and_lie_in_their_intervals(trained):
    forecast = trained.model.predict(trained.rows.features)

    for each in (forecast.probability, forecast.low, forecast.high, forecast.expected_count):
        assert (np.diff(each, axis=1) >= 0).all()
    assert ((forecast.probability > 0) & (forecast.probability < 1)).all()
    assert ((forecast.low <= forecast.probability) & (forecast.probability <= forecast.high)).all()
    # holes cluster: where one comes, more do
    assert (forecast.expected_count >= -np.log1p(-forecast.probability) - 1e-9).all()


def test_the_score_never_goes_against_the_direction_that_physics_demands(trained):
    directed = [f for f in FEATURE_SET.features if f.monotone and f.group != "weather"]
    row = trained.test.features[:1]
    for feature in directed:
        values = np.sort(trained.rows.features[:, FEATURE_SET.index(feature.name)])
        varied = np.repeat(row, 60, axis=0)
        varied[:, FEATURE_SET.index(feature.name)] = np.linspace(min(np.nan_to_num(values[0]), 0.0), 120, 60)
        assert (feature.monotone * np.diff(trained.model.relative(varied)) >= -1e-9).all(), feature.name

    assert len(directed) > 20


def test_the_level_of_the_city_rises_with_frost_and_falls_with_warmth(trained):
    for level in trained.model.levels_:
        signs = np.array(level.signs)
        assert (level.slopes_[signs > 0] >= -1e-6).all()
        assert (level.slopes_[signs < 0] <= 1e-6).all()


def test_how_closely_a_road_is_watched_is_no_danger(trained):
    seldom, often = trained.test.features[:20].copy(), trained.test.features[:20].copy()
    for name, effect in EFFECTS.items():
        if effect.exposure:
            seldom[:, FEATURE_SET.index(name)], often[:, FEATURE_SET.index(name)] = 1.0, 80.0

    np.testing.assert_array_equal(trained.model.predict_proba(seldom), trained.model.predict_proba(often))


def test_the_model_has_skill_on_later_data_and_shuffled_labels_have_none(trained, rng):
    known = np.isfinite(trained.test.labels[:, 1])
    y = trained.test.labels[known, 1]
    auc = roc_auc_score(y, trained.model.predict_proba(trained.test.features[known])[:, 1])
    # Shuffled within a cut: the prior alone knows what is dangerous, so it is shuffled, too, by shuffling the features.
    blind = replace(trained.train, features=trained.train.features[rng.permutation(len(trained.train))])
    model = RiskModel().fit(blind)

    assert auc > 0.75
    assert np.ptp(model.relative(trained.test.features)) < np.ptp(trained.model.relative(trained.test.features)) / 2


def test_what_is_missing_entirely_has_no_effect_and_nothing_breaks_when_it_is_known_later(rng):
    rows = made_up(rng)
    model = RiskModel(max_iter=20).fit(rows)
    column = FEATURE_SET.index("roughness_mps2")
    x = rows.features[:50].copy()
    assert (model.contributions(x, 7)[:, column] == 0).all()

    x[:, column] = 5.0

    assert np.isfinite(model.log_odds(x)).all()


def test_what_is_unknown_when_scoring_gives_a_score(rng):
    model = RiskModel(max_iter=20).fit(made_up(rng))
    unknown = np.full((1, len(FEATURE_SET.features)), np.nan, np.float32)

    assert np.isfinite(model.predict(unknown).high).all()


def test_the_level_is_worked_out_once_a_day_also_where_weather_is_unknown(trained, monkeypatch):
    rows = trained.test.features[np.argsort(trained.test.cut, kind="stable")].copy()
    rows[:, FEATURE_SET.index("forecast_rain_7d_mm")] = np.nan
    expected = np.concatenate([trained.model.level(row[None]) for row in rows])
    effects, sizes = CityLevel.effects, []
    monkeypatch.setattr(CityLevel, "effects", lambda level, x: sizes.append(len(x)) or effects(level, x))

    np.testing.assert_array_equal(trained.model.level(rows), expected)
    assert set(sizes) == {np.unique(trained.test.cut).size}


def test_a_slope_that_was_assumed_too_steep_is_no_miss_of_the_city_level(rng):
    rows = made_up(rng, segments=400, weeks=60)
    cut = np.unique(rows.cut, return_inverse=True)[1]
    model = RiskModel(max_iter=5).fit(rows)
    relative = rng.normal(0, 2.0, len(rows))  # holes happen with a third of this spread
    labels = (rng.random((len(rows), 3)) < expit(-2 + relative / 3)[:, None]).astype(float)
    level = np.empty((len(rows), 3))
    for week in range(60):
        for column, slope in enumerate(model.slopes_):
            level[cut == week, column] = level_of(relative[cut == week], labels[cut == week, column], slope)

    model.calibrate(replace(rows, labels=labels), relative, level, rows)

    assert model.slopes_ == pytest.approx(np.full(3, 1 / 3), abs=0.05)
    assert max(model.dispersion_.level_sd_) < PRIOR_LEVEL_SD  # each forecast was the city's number to the hole


def test_without_labels_the_model_is_its_prior_and_says_so(rng):
    rows = made_up(rng)
    model = RiskModel().fit(no_labels(rows))
    nothing = np.full((1, len(FEATURE_SET.features)), np.nan, np.float32)

    assert model.positives_.tolist() == [0, 0, 0]
    assert not model.calibrated_
    assert model.boosted_ is None
    assert np.isfinite(model.log_odds(nothing)).all()
    # what broke before breaks again: the order is that of the prior
    worse = nothing.copy()
    worse[0, FEATURE_SET.index("potholes_relative")] = 4.0
    assert model.relative(worse)[0] > model.relative(nothing)[0] + 0.3


def dangerous_city(rng, *, segments=2000) -> np.ndarray:
    """Features of segments that look worse than usual by a prior with other centres; weather as usual."""
    features = np.full((segments, len(FEATURE_SET.features)), np.nan, np.float32)
    features[:, FEATURE_SET.index("length_m")] = rng.uniform(20, 180, segments)
    features[:, FEATURE_SET.index("survey_crack_pct")] = rng.uniform(0, 60, segments)
    features[:, FEATURE_SET.index("wearing_course_age_years")] = rng.uniform(20, 60, segments)
    return features


def test_without_labels_the_segments_of_the_city_have_the_documented_number_of_holes_together(rng):
    population = dangerous_city(rng)
    nobody = no_labels(made_up(rng, segments=1, weeks=1)).take(np.zeros(1, bool))
    model = RiskModel().fit(nobody, population=population)

    number = model.predict(population).expected_count.sum(axis=0)

    hundred_m = population[:, FEATURE_SET.index("length_m")].sum() / 100
    weeks = np.array(HORIZONS_DAYS) / 7
    assert number / hundred_m / weeks == pytest.approx(np.full(3, RATE_PER_100_M_WEEK), rel=0.02)
    # without a segment: that of a usual one
    assert RiskModel().fit(nobody).levels_[0].intercept_ == pytest.approx(base_log_odds(7))


def test_with_labels_the_level_that_was_assumed_hardly_matters(rng):
    rows = made_up(rng)
    fitted = [RiskModel(max_iter=5).fit(rows, population=each) for each in (None, dangerous_city(rng))]
    without = [RiskModel().fit(no_labels(rows), population=each) for each in (None, dangerous_city(rng))]
    own, other = (model.predict_proba(rows.features).mean(axis=0) for model in fitted)
    own_prior, other_prior = (model.predict_proba(rows.features).mean(axis=0) for model in without)

    assert np.abs(other / own - 1).max() < 0.01
    assert np.abs(other_prior / own_prior - 1).max() > 0.1


def test_a_horizon_of_which_no_window_is_settled_has_the_rate_that_shorter_ones_told(rng):
    rows = made_up(rng)
    quiet = (rng.random(rows.labels.shape) < 0.1) & (rows.labels == 1)  # a tenth of the holes
    young = replace(rows, labels=np.where([True, True, False], quiet, np.nan))

    model, prior = (RiskModel(max_iter=5).fit(each) for each in (young, no_labels(rows)))

    number, expected = (each.predict(rows.features).expected_count.sum(axis=0) for each in (model, prior))
    assert number[2] / expected[2] == pytest.approx(number[1] / expected[1], rel=0.25)
    assert number[2] < 0.5 * expected[2]


def test_labels_take_over_from_the_prior_as_they_come(rng):
    rows = made_up(rng, effect=0.1)  # a city in which old damage means little danger
    name = tuple(RiskModel().fit(no_labels(rows)).additive_.feature_names).index("potholes_relative")
    models = [RiskModel(max_iter=5).fit(rows.take(np.arange(count))) for count in (0, 400, len(rows))]
    slopes = [model.additive_.slopes_[name] for model in models]

    assert slopes[0] == EFFECTS["potholes_relative"].slope
    assert slopes[0] > slopes[1] > slopes[2]
    assert slopes[2] == pytest.approx(0.1 * EFFECTS["potholes_relative"].scale, abs=0.1)
    assert [model.boosted_share_ for model in models] == sorted(model.boosted_share_ for model in models)


def test_intervals_hold_the_true_probability_of_places_that_look_the_same(rng):
    rows, hazard = made_up_with_truth(rng, segments=800, weeks=104, frailty=0.8)
    early, later = rows.take(rows.cut < START + 52 * WEEK), rows.take(rows.cut >= START + 52 * WEEK)
    model = RiskModel(max_iter=20).fit(early)
    model.calibrate(later, model.relative(later.features), model.level(later.features), rows)

    assert model.dispersion_.measured_
    assert model.dispersion_.variance_ == pytest.approx(0.8, rel=0.35)
    forecast, true = model.predict(later.features), -np.expm1(-4 * hazard[rows.cut >= START + 52 * WEEK])
    covered = (forecast.low[:, 1] <= true) & (true <= forecast.high[:, 1])
    assert 0.85 < covered.mean() < 0.98


def test_estimator_keeps_the_contract_of_scikit_learn():
    model = RiskModel(max_iter=7)
    copy = clone(model)

    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "additive_")


def test_same_seed_gives_the_same_model(rng):
    rows = made_up(rng)

    first, second = (RiskModel(max_iter=10).fit(rows).log_odds(rows.features) for _ in range(2))

    np.testing.assert_array_equal(first, second)


def test_calibration_with_too_few_labels_is_refused_with_their_number(rng):
    rows = made_up(rng, segments=20, weeks=5)
    rows = replace(rows, labels=np.zeros_like(rows.labels))
    rows.labels[:5] = 1
    model = RiskModel().fit(rows)
    with pytest.raises(NotEnoughLabelsError, match=r"7-day horizon takes 30 .* got 5 and 95"):
        model.calibrate(rows, model.relative(rows.features), model.level(rows.features), rows)


def test_horizons_are_checked(rng):
    rows = made_up(rng, segments=10, weeks=2)
    with pytest.raises(ValueError, match=r"expected \(7, 28\)"):
        RiskModel((7, 28)).fit(rows)
    with pytest.raises(ValueError, match="rising order"):
        RiskModel((28, 7, 90)).fit(replace(rows, horizons_days=(28, 7, 90)))


def test_every_feature_has_a_prior_and_no_prior_is_left_over():
    assert set(EFFECTS) == set(FEATURE_SET.names)


def test_eras_are_of_windows_that_do_not_overlap():
    begins = START + np.arange(60) * WEEK
    groups = eras(begins, 4 * WEEK, windows=3)

    flat = [begin for group in groups for begin in group]
    assert (np.diff(np.array(flat)) >= 4 * WEEK).all()
    assert [len(group) for group in groups] == [3, 3, 3, 3, 3]


def test_four_weeks_at_one_hour_are_four_weeks_also_when_clocks_change():
    at, zone = time(5), ZoneInfo("Europe/Berlin")
    begins = make_cuts(instant("2026-02-28"), instant("2026-05-30"), step_days=7, at=at, zone=zone)
    flat = [begin for group in eras(begins, 4 * WEEK) for begin in group]

    assert {round(float(step / np.timedelta64(1, "D"))) for step in np.diff(np.array(flat))} == {28}


def test_a_model_of_rolling_origins_is_calibrated(trained):
    model = RollingOrigins(lambda: RiskModel(max_iter=20), trained.rows, origins_of(trained.split)).model(
        trained.split.data_until
    )

    assert model.calibrated_
    assert (model.slopes_ > 0).all()


def test_calibration_repairs_level_and_spread(rng):
    truth = rng.normal(-2, 1.5, 40_000)
    y = (rng.random(truth.size) < 1 / (1 + np.exp(-truth))).astype(float)

    fitted = LogisticCalibration().fit((truth + 1) * 2, y)  # too high and too extreme

    assert fitted.slope_ == pytest.approx(0.5, abs=0.02)
    assert fitted.predict((truth + 1) * 2).mean() == pytest.approx(y.mean(), rel=1e-6)


def test_calibration_needs_both_classes():
    with pytest.raises(ValueError, match="both classes"):
        LogisticCalibration().fit(np.zeros(10), np.zeros(10))
