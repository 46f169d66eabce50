import numpy as np
import pytest

from models.state.fields import Estimate
from models.twin import (
    condition_grade,
    day_count_sd,
    grade_from_cracks,
    soil_moisture_from_rain_pct,
)

NAN = float("nan")


def a(*values):
    return np.array(values, dtype=float)


def nothing(n=1):
    return np.zeros(n)


def test_rain_wets_the_base_up_to_saturation():
    values = [soil_moisture_from_rain_pct(mm).value[0] for mm in (0.0, 20.0, 60.0, 1000.0)]

    assert values[0] == 8.0
    assert np.all(np.diff(values) > 0)
    assert values[-1] <= 30.0
    assert np.isnan(soil_moisture_from_rain_pct(NAN).value[0])


def test_days_far_from_zero_are_certain_and_unknown_days_add_nothing():
    assert day_count_sd(a(-9, 8, NAN), a(9, 15, NAN)) == pytest.approx(0.0, abs=1e-6)
    assert day_count_sd(a(0.0), a(9.0)) == pytest.approx(0.5, abs=1e-3)


def test_grades_pass_through_the_anchors_and_stay_between_1_and_5():
    assert grade_from_cracks([0, 1, 15, 25, 90, NAN]) == pytest.approx([1, 1.5, 3.5, 4.5, 5, NAN], nan_ok=True)


def test_without_enough_evidence_the_grade_is_unknown_never_good():
    index = Estimate(a(0, 0, NAN), a(1, 1, NAN))

    grade = condition_grade(index, a(2, 3, 0), a(NAN, NAN, NAN), a(NAN, NAN, NAN), nothing(3), nothing(3))

    assert np.isnan(grade.value).tolist() == [True, False, True]
    assert np.isnan(grade.sd).tolist() == [True, False, True]


def test_an_old_survey_yields_to_the_camera_and_a_fresh_one_leads():
    index = Estimate(a(15, 15), a(1, 1))  # grade 3.5

    grade = condition_grade(index, a(30, 30), a(1.5, 1.5), a(0.1, 8.0), nothing(2), nothing(2))

    assert 1.5 < grade.value[0] < 2.2
    assert 3.0 < grade.value[1] < 3.5


def test_an_open_pothole_makes_a_road_bad_also_where_nothing_else_is_known():
    index = Estimate(a(0, NAN, 25, 0), a(0.1, NAN, 0.1, 0.1))
    unknown = a(NAN, NAN, NAN, NAN)

    grade = condition_grade(index, a(9, 0, 9, 9), unknown, unknown, a(1, 1, 1, 9), a(1, 3, 1, 2))

    assert grade.value == pytest.approx([4.0, 5.0, 4.5, 5.0])
    assert np.isfinite(grade.sd).all()
