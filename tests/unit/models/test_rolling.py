"""Calibration on rolling origins."""

from dataclasses import replace

import numpy as np
import pytest

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
    with pytest.raises(NotEnoughLabelsError, match="Too little was recorded before") as told:
        RollingOrigins(new_model, trained.rows, (nothing,)).model(trained.split.test_from)
    assert told.value.german == f"Vor {str(nothing)[:10]} wurde zu wenig aufgezeichnet, um daraus zu lernen."
