"""Calibration on rolling origins."""

from dataclasses import replace

import numpy as np
import pytest

from models.calibration import LogisticCalibration
from models.dataset import days, settled_by
from models.risk import NotEnoughLabelsError, RiskModel
from models.rolling import RollingOrigins, origins_of


def new_model() -> RiskModel:
    return RiskModel(max_iter=20)


@pytest.fixture(scope="module")
def rolling(trained) -> RollingOrigins:
    return RollingOrigins(new_model, trained.rows, origins_of(trained.split))


def test_what_was_settled_later_does_not_change_the_model(trained, rolling):
    until = trained.split.test_from
    settled = settled_by(trained.rows, until)
    other = replace(trained.rows, labels=np.where(settled, trained.rows.labels, 1 - trained.rows.labels))
    again = RollingOrigins(new_model, other, origins_of(trained.split))

    expected = rolling.model(until).predict_proba(trained.test.features)
    np.testing.assert_array_equal(again.model(until).predict_proba(trained.test.features), expected)


def test_models_of_two_times_keep_their_own_calibration(trained, rolling):
    early, late = rolling.model(trained.split.test_from), rolling.model(trained.split.data_until)

    assert early.slopes_[0] != late.slopes_[0]
    assert early.intercept_[0] != late.intercept_[0]


def test_an_origin_before_all_rows_is_passed_over_and_none_left_is_an_error(trained):
    nothing = trained.rows.cut.min() - days(400)
    some = RollingOrigins(new_model, trained.rows, (nothing, trained.split.calibrate_from))

    assert some.model(trained.split.test_from).slopes_[0] > 0
    with pytest.raises(NotEnoughLabelsError, match="Too little was recorded before"):
        RollingOrigins(new_model, trained.rows, (nothing,)).model(trained.split.test_from)


def test_groups_of_different_level_share_one_slope(rng):
    f = rng.normal(-2, 1.5, 40_000)
    group = rng.integers(0, 2, f.size)
    y = (rng.random(f.size) < 1 / (1 + np.exp(-(1.2 * f + np.array([-1.0, 1.0])[group])))).astype(float)

    assert LogisticCalibration().fit(f, y, group).slope_ == pytest.approx(1.2, abs=0.05)
    assert LogisticCalibration().fit(f, y).slope_ < 1.15


def test_a_model_without_skill_gets_slope_zero_and_the_overall_rate(rng):
    f, y = rng.normal(size=1000), np.tile([0.0, 0.0, 0.0, 1.0], 250)
    calibration = LogisticCalibration().fit(-f - 5 * y, y)

    assert calibration.slope_ == 0
    assert calibration.predict(f).mean() == pytest.approx(0.25)
