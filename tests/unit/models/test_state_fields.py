import tracemalloc
from dataclasses import replace

import numpy as np
import pytest

from models.state.fields import (
    NEAREST_SENSORS,
    SURFACE_TEMP_FIELD,
    Estimate,
    Field,
    Measured,
    Places,
    at_segments,
    fit_field,
    interpolate,
    leave_one_out,
    sensor_skill,
    site_traits,
)

NAN = float("nan")


def a(*values):
    return np.array(values, dtype=float)


def line(*x_m, traits=None):
    return Places(np.column_stack([a(*x_m), np.zeros(len(x_m))]), np.zeros((len(x_m), 1)) if traits is None else traits)


def measured(places, values, *, expected=5.0, age_h=0.0):
    m = len(places)
    return Measured(places, np.asarray(values, float), np.full(m, expected), np.broadcast_to(age_h, m).astype(float))


def weather(value=5.0, sd=0.0):
    return Estimate(a(value), a(sd))


def world(rng, field, places, shared=0.0):
    """Truth at places: a field drawn by the textbook, without the code under test."""
    apart_m = np.hypot(*(places.at_m[:, None] - places.at_m[None]).transpose(2, 0, 1))
    different = np.abs(places.traits[:, None] - places.traits[None]).sum(axis=-1)
    covariance = field.spread**2 * np.exp(-apart_m / field.range_m - different / field.range_traits)
    root = np.linalg.cholesky(covariance + 1e-9 * np.eye(len(places)))
    return 5.0 + shared * rng.standard_normal() + root @ rng.standard_normal(len(places))


def city(rng, n):
    return Places(rng.uniform(0, 4000, (n, 2)), rng.uniform(0, 1, (n, 2)))


def test_uncertainty_grows_with_the_distance_from_a_sensor():
    places = line(*np.linspace(0, 20_000, 50))

    estimate = interpolate(places, measured(line(0.0), [1.0]), weather(), SURFACE_TEMP_FIELD)

    assert np.all(np.diff(estimate.sd) > 0)
    assert np.all(np.diff(estimate.value) > 0)
    assert estimate.value[0] == pytest.approx(1.0, abs=0.2)
    assert estimate.sd[0] == pytest.approx(SURFACE_TEMP_FIELD.noise, abs=0.02)
    assert estimate.value[-1] == pytest.approx(5.0, abs=0.1)
    assert estimate.sd[-1] == pytest.approx(SURFACE_TEMP_FIELD.spread, abs=0.01)


def test_uncertainty_grows_with_the_difference_of_the_sites_and_the_age_of_the_value():
    shady = line(0.0, 0.0, 0.0, traits=a(0.0, 0.5, 2.0)[:, None])
    sensor = shady.take(np.array([0]))

    unlike = interpolate(shady, measured(sensor, [1.0]), weather(), SURFACE_TEMP_FIELD)
    older = [
        interpolate(sensor, measured(sensor, [1.0], age_h=h), weather(), SURFACE_TEMP_FIELD).sd[0] for h in (0, 3, 48)
    ]

    assert np.all(np.diff(unlike.sd) > 0)
    assert np.all(np.diff(unlike.value) > 0)
    assert older[0] < older[1] < older[2] == pytest.approx(SURFACE_TEMP_FIELD.spread, abs=0.01)


def test_an_error_that_the_whole_city_shares_is_learnt_from_sensors_far_away():
    far = line(1e6)
    sensors = line(*np.arange(10) * 20_000.0)

    estimate = interpolate(far, measured(sensors, [8.0] * 10), weather(sd=3.0), SURFACE_TEMP_FIELD)

    assert estimate.value[0] == pytest.approx(7.8, abs=0.1)
    assert estimate.sd[0] < np.hypot(SURFACE_TEMP_FIELD.spread, 1.0)


@pytest.mark.parametrize("sensors", [10, 3 * NEAREST_SENSORS])
def test_interpolated_values_are_right_as_often_as_their_sd_says(sensors):
    rng = np.random.default_rng(3)
    field = Field(spread=3.0, range_m=800.0, noise=0.4, range_traits=1.0)
    off = []
    for _ in range(60):
        places = city(rng, sensors + 60)
        truth = world(rng, field, places, shared=1.5)
        given, asked = np.arange(sensors), np.arange(sensors, sensors + 60)
        seen = measured(places.take(given), truth[given] + field.noise * rng.standard_normal(sensors))
        estimate = interpolate(places.take(asked), seen, weather(sd=1.5), field)
        off.append((estimate.value - truth[asked]) / estimate.sd)

    assert np.std(off) == pytest.approx(1.0, abs=0.08)


def test_without_weather_and_sensors_a_field_is_unknown_and_with_sensors_alone_it_is_their_mean_far_away():
    places, unknown = line(0.0, 1e6), weather(NAN, NAN)

    assert np.isnan(interpolate(places, measured(line(), []), unknown, SURFACE_TEMP_FIELD).value).all()
    alone = interpolate(places, measured(line(0.0, 0.0), [3.0, 5.0], expected=NAN), unknown, SURFACE_TEMP_FIELD)
    assert alone.value == pytest.approx([4.0, 4.0])
    assert alone.sd[1] == pytest.approx(SURFACE_TEMP_FIELD.spread)


def test_a_sensor_without_value_says_nothing():
    both = measured(line(0.0, 50.0), [1.0, NAN])

    estimate = interpolate(line(10.0), both, weather(), SURFACE_TEMP_FIELD)

    assert estimate.value == pytest.approx(
        interpolate(line(10.0), measured(line(0.0), [1.0]), weather(), SURFACE_TEMP_FIELD).value
    )


def test_leaving_one_out_is_what_interpolating_without_it_gives():
    rng = np.random.default_rng(5)
    places = city(rng, 9)
    seen = measured(places, 5 + rng.standard_normal(9), age_h=rng.uniform(0, 2, 9))
    field = replace(SURFACE_TEMP_FIELD, range_h=np.inf)

    left_out = leave_one_out(seen, 1.0, field)

    others = np.arange(1, 9)
    again = interpolate(places.take(np.array([0])), seen.take(others), weather(sd=1.0), field)
    assert left_out.error[0] == pytest.approx(again.value[0] - seen.value[0])
    assert left_out.sd[0] == pytest.approx(np.hypot(again.sd[0], field.noise))


def test_fitted_parameters_are_those_of_the_world_and_their_intervals_hold():
    rng = np.random.default_rng(8)
    true = Field(spread=1.2, range_m=900.0, noise=0.3, range_traits=0.8)
    cases = []
    for _ in range(12):
        places = city(rng, 40)
        cases.append((measured(places, world(rng, true, places) + 0.3 * rng.standard_normal(40)), 0.0))

    fitted = fit_field(cases[:8], SURFACE_TEMP_FIELD)
    skill = sensor_skill(cases[8:], fitted)

    assert fitted.spread == pytest.approx(true.spread, rel=0.2)
    assert fitted.range_m == pytest.approx(true.range_m, rel=0.5)
    assert skill.rmse < skill.weather_rmse
    assert skill.mae < skill.weather_mae
    assert 0.82 < skill.coverage_90 < 0.97
    assert (skill.values, skill.times) == (160, 4)


def test_too_few_sensors_leave_the_assumed_parameters():
    assert fit_field([(measured(line(0.0, 10.0), [1.0, 2.0]), 1.0)], SURFACE_TEMP_FIELD) is None
    assert sensor_skill([(measured(line(0.0), [1.0]), 1.0)], SURFACE_TEMP_FIELD) is None


def test_memory_stays_bounded_for_a_large_city():
    rng = np.random.default_rng(1)
    places = Places(rng.uniform(0, 30_000, (20_000, 2)), rng.uniform(0, 1, (20_000, 4)))
    seen = measured(places.take(np.arange(2000)), rng.normal(5, 2, 2000))
    tracemalloc.start()

    interpolate(places, seen, weather(), SURFACE_TEMP_FIELD)

    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 60e6  # a full matrix alone is 320 MB


def test_sites_are_alike_where_shade_structure_drainage_and_width_are_and_unknown_is_usual():
    traits = site_traits([0, 60, NAN], [0, 4, 2], [0, 2, NAN], [5, 13, NAN])

    assert np.abs(traits[0] - traits[1]) == pytest.approx(1.0)
    assert traits[2] == pytest.approx((traits[0] + traits[1]) / 2)
    assert np.isfinite(site_traits([NAN], [NAN], [NAN], [NAN])).all()


def test_a_sensor_has_the_traits_of_the_segment_next_to_it():
    segments = line(0.0, 100.0, traits=a(0.0, 1.0)[:, None])

    assert at_segments(segments, a(90.0, 5.0)).traits[:, 0] == pytest.approx([1.0])
