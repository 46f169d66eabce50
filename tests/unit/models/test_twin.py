import numpy as np
import pytest

from models.twin import (
    SURFACE_TEMP_FIELD,
    Estimate,
    Field,
    condition_grade,
    crack_index_pct,
    day_count_sd,
    grade_from_cracks,
    interpolate,
    soil_moisture_from_rain_pct,
    surface_temp_from_weather_c,
)

NAN = float("nan")


def a(*values):
    return np.array(values, dtype=float)


def nothing(n=1):
    return np.zeros(n)


def test_uncertainty_grows_with_the_distance_from_a_sensor():
    places = np.column_stack([np.linspace(0, 10_000, 50), np.zeros(50)])
    weather = Estimate(a(5.0), a(1.5))

    estimate = interpolate(places, places[:1], a(1.0), weather, SURFACE_TEMP_FIELD)

    assert np.all(np.diff(estimate.sd) > 0)
    assert np.all(np.diff(estimate.value) > 0)
    assert estimate.value[0] == pytest.approx(1.0, abs=0.2)
    assert estimate.sd[0] == pytest.approx(SURFACE_TEMP_FIELD.noise, abs=0.02)
    assert estimate.value[-1] == pytest.approx(5.0, abs=0.1)
    assert estimate.sd[-1] == pytest.approx(np.hypot(1.5, SURFACE_TEMP_FIELD.spread), abs=0.01)


def test_interpolated_values_are_right_as_often_as_their_sd_says():
    rng = np.random.default_rng(3)
    field = Field(spread=3.0, range_m=800.0, noise=0.4)
    points = rng.uniform(0, 4000, (60, 2))
    distance = np.hypot(*(points[:, None] - points[None]).transpose(2, 0, 1))
    root = np.linalg.cholesky(9.0 * np.exp(-distance / 800.0) + 1e-9 * np.eye(60))
    errors = []
    for _ in range(200):
        truth = 10 + root @ rng.standard_normal(60)
        measured = truth[:15] + 0.4 * rng.standard_normal(15)
        estimate = interpolate(points[15:], points[:15], measured, Estimate(a(10.0), a(0.0)), field)
        errors.append((estimate.value - truth[15:]) / estimate.sd)

    assert np.std(errors) == pytest.approx(1.0, abs=0.05)


def test_without_weather_and_sensors_a_field_is_unknown_and_with_sensors_alone_it_is_their_mean_far_away():
    places, unknown = np.array([[0.0, 0.0], [1e6, 0.0]]), Estimate(a(NAN), a(NAN))

    assert np.isnan(interpolate(places, places[:0], a(), unknown, SURFACE_TEMP_FIELD).value).all()
    alone = interpolate(places, np.array([[0.0, 0.0], [0.0, 0.0]]), a(3.0, 5.0), unknown, SURFACE_TEMP_FIELD)
    assert alone.value == pytest.approx([4.0, 4.0])
    assert alone.sd[1] == pytest.approx(SURFACE_TEMP_FIELD.spread)


def test_sun_warms_the_surface_wind_cools_it_and_unknown_sun_is_uncertain():
    night = surface_temp_from_weather_c(-2.0, 0.0, 3.0)
    noon = surface_temp_from_weather_c(20.0, 700.0, 1.0)
    windy = surface_temp_from_weather_c(20.0, 700.0, 10.0)
    unknown_sun = surface_temp_from_weather_c(20.0, NAN, NAN)

    assert night.value[0] == -2.0
    assert 20.0 < windy.value[0] < noon.value[0] < 60.0
    assert unknown_sun.sd[0] > night.sd[0]
    assert np.isnan(surface_temp_from_weather_c(NAN, 700.0, 1.0).sd[0])


def test_rain_wets_the_base_up_to_saturation():
    values = [soil_moisture_from_rain_pct(mm).value[0] for mm in (0.0, 20.0, 60.0, 1000.0)]

    assert values[0] == 8.0
    assert np.all(np.diff(values) > 0)
    assert values[-1] <= 30.0
    assert np.isnan(soil_moisture_from_rain_pct(NAN).value[0])


def test_days_far_from_zero_are_certain_and_unknown_days_add_nothing():
    assert day_count_sd(a(-9, 8, NAN), a(9, 15, NAN)) == pytest.approx(0.0, abs=1e-6)
    assert day_count_sd(a(0.0), a(9.0)) == pytest.approx(0.5, abs=1e-3)


def test_more_passes_make_the_crack_index_surer_and_none_leaves_it_unknown():
    index = crack_index_pct(a(3, 30, 0, 0), a(1, 10, 0, 0), a(2, 20, 5, 0), a(100, 100, 100, 100))

    assert index.value[0] == pytest.approx(index.value[1])
    assert index.sd[1] < index.sd[0]
    assert index.value[2] == 0
    assert index.sd[2] > 0
    assert np.isnan(index.value[3])


def test_a_short_segment_with_the_same_cracks_is_worse():
    index = crack_index_pct(a(5, 5), a(0, 0), a(5, 5), a(100, 50))

    assert index.value[1] == pytest.approx(2 * index.value[0])


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
