"""The estimator: additive, monotone over horizons, calibrated, and without skill where there is none."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.metrics import roc_auc_score

from models.calibration import LogisticCalibration
from models.features import FEATURE_SET
from models.risk import NotEnoughLabelsError, RiskModel, expected_count
from roadtwin.types import HORIZONS_DAYS


def small_model(**parameters) -> RiskModel:
    return RiskModel(max_iter=20, max_features=1.0, **parameters)


def made_up(rng, rows=4000):
    x = rng.normal(size=(rows, 4)).astype(np.float32)
    x[rng.random(rows) < 0.1, 0] = np.nan
    hazard = 0.03 * np.exp(np.nan_to_num(x[:, 0]))[:, None] * np.array([1.0, 4.0, 12.0])
    y = (rng.random((rows, 1)) < -np.expm1(-hazard)).astype(float)
    return x, y


def test_contributions_and_intercept_add_up_to_the_log_odds(trained):
    x = trained.test.features[:300]
    log_odds = trained.model.log_odds(x)
    for column, horizon in enumerate(HORIZONS_DAYS):
        contributions = trained.model.contributions(x, horizon)
        np.testing.assert_allclose(
            trained.model.intercept_[column] + contributions.sum(axis=1), log_odds[:, column], atol=1e-9
        )


def test_contributions_are_measured_against_the_mean_of_training(trained):
    # the centre is the mean of a sample of the training rows
    mean = trained.model.contributions(trained.train.features, 28).mean(axis=0)

    assert np.abs(mean).max() < 0.1


def test_probabilities_do_not_fall_with_the_horizon(trained):
    p = trained.model.predict_proba(trained.rows.features)

    assert (np.diff(p, axis=1) >= 0).all()
    assert ((p > 0) & (p < 1)).all()


def test_risk_never_falls_with_a_feature_that_physics_lets_only_raise_it(trained):
    x = np.repeat(trained.test.features[:50], 20, axis=0)
    for name in ("freeze_thaw_30d", "potholes_relative", "wearing_course_age_years", "alligator_cracks_per_pass"):
        column = FEATURE_SET.index(name)
        varied = x.copy()
        varied[:, column] = np.tile(np.linspace(0, 60, 20), 50)
        assert (np.diff(trained.model.log_odds(varied).reshape(50, 20, 3), axis=1) >= -1e-12).all(), name


def test_the_model_has_skill_on_later_data_and_shuffled_labels_have_none(trained, rng):
    known = np.isfinite(trained.test.labels[:, 1])
    y = trained.test.labels[known, 1]
    auc = roc_auc_score(y, trained.model.predict_proba(trained.test.features[known])[:, 1])
    shuffled = trained.train.labels[rng.permutation(len(trained.train))]
    blind = RiskModel(monotone=FEATURE_SET.monotone).fit(trained.train.features, shuffled)
    blind.calibrate(trained.calibrate.features, trained.calibrate.labels[rng.permutation(len(trained.calibrate))])

    assert auc > 0.75
    assert abs(roc_auc_score(y, blind.predict_proba(trained.test.features[known])[:, 1]) - 0.5) < 0.1


def test_a_quantity_that_is_missing_entirely_does_not_stop_training(rng):
    x, y = made_up(rng)
    x[:, 2] = np.nan
    model = small_model().fit(x, y)

    assert (model.contributions(x, 7)[:, 2] == 0).all()
    x[:, 2] = 5.0  # known later on: it has no effect, and nothing breaks
    assert np.isfinite(model.log_odds(x)).all()


def test_what_is_unknown_when_scoring_gives_a_score(rng):
    x, y = made_up(rng)
    model = small_model().fit(x, y).calibrate(x, y)

    assert np.isfinite(model.predict_proba(np.full((1, 4), np.nan, np.float32))).all()


def test_estimator_keeps_the_contract_of_scikit_learn():
    model = small_model(monotone=(1, 0, 0, 0))
    copy = clone(model)

    assert copy.get_params() == model.get_params()
    assert not hasattr(copy, "estimators_")


def test_same_seed_gives_the_same_model(rng):
    x, y = made_up(rng)

    np.testing.assert_array_equal(small_model().fit(x, y).log_odds(x), small_model().fit(x, y).log_odds(x))


def test_too_few_labels_are_refused_with_their_number(rng):
    x, y = made_up(rng, rows=100)
    y[:] = 0
    y[:5] = 1
    with pytest.raises(NotEnoughLabelsError, match=r"7-day horizon takes 30 .* got 5 and 95"):
        small_model().fit(x, y)


def test_shapes_and_order_of_horizons_are_checked(rng):
    x, y = made_up(rng, rows=200)
    with pytest.raises(ValueError, match=r"expected \(n, f\) and \(n, 3\)"):
        small_model().fit(x, y[:, :2])
    with pytest.raises(ValueError, match="rising order"):
        small_model(horizons_days=(28, 7, 90)).fit(x, y)
    with pytest.raises(ValueError, match="expected 2"):
        small_model(monotone=(1, 0)).fit(x, y)


def test_calibration_repairs_level_and_spread(rng):
    truth = rng.normal(-2, 1.5, 40_000)
    y = (rng.random(truth.size) < 1 / (1 + np.exp(-truth))).astype(float)

    fitted = LogisticCalibration().fit((truth + 1) * 2, y)  # too high and too extreme

    assert fitted.slope_ == pytest.approx(0.5, abs=0.02)
    assert fitted.predict((truth + 1) * 2).mean() == pytest.approx(y.mean(), rel=1e-6)


def test_calibration_never_turns_the_ranking_round(rng):
    f = rng.normal(size=2000)
    y = (rng.random(2000) < 1 / (1 + np.exp(2 * f))).astype(float)

    fitted = LogisticCalibration().fit(f, y)

    assert fitted.slope_ == 0
    np.testing.assert_allclose(fitted.predict(f), y.mean())


def test_calibration_needs_both_classes():
    with pytest.raises(ValueError, match="both classes"):
        LogisticCalibration().fit(np.zeros(10), np.zeros(10))


def test_expected_count_is_that_of_a_poisson_law():
    p = np.array([0.0, 0.1, 0.9, 1.0])

    count = expected_count(p)

    np.testing.assert_allclose(1 - np.exp(-count[:3]), p[:3])
    assert np.isfinite(count).all()
