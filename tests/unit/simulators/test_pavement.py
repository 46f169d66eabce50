"""Physics: energy, water and frost behave as they must."""

import numpy as np
import pytest

from simulators.pavement import (
    CAPACITY_MM,
    DRAINAGE,
    RESIDUAL,
    base_moisture,
    column_temperatures,
    daily_cycles,
    pavement_year,
    thaw_weakness,
)
from simulators.randomness import Streams
from simulators.weather import WeatherSource, weather_year


def constant(air_temp_c, hours=24 * 40, radiation=0.0, cloud=1.0, wind=3.0):
    return column_temperatures(*(np.full(hours, value) for value in (air_temp_c, radiation, cloud, wind)))


def test_a_road_under_cloud_settles_near_the_air_and_the_ground_lags_behind():
    temp = constant(-8.0)

    assert temp[-1, 0, 2] == pytest.approx(-8.0, abs=1.5)
    assert np.all(np.diff(temp[-1, :, 1]) > 0)  # the deeper, the warmer
    assert temp[24, 4, 1] > temp[24, 1, 1]


def test_freezing_cannot_precede_cooling():
    air = np.concatenate([np.full(240, 8.0), np.full(240, -6.0)])
    temp = column_temperatures(air, np.zeros(480), np.ones(480), np.full(480, 3.0))
    first_frost = [int(np.argmax(temp[:, depth, 1] < 0)) for depth in range(5)]

    assert first_frost[0] >= 240  # not before the air cooled
    assert first_frost == sorted(first_frost)  # from the top down
    assert np.all(np.diff(temp[240:260, 0, 1]) < 0)


def test_the_surface_warms_above_the_air_in_the_sun_and_cools_below_it_on_a_clear_night():
    assert constant(20.0, radiation=800.0, cloud=0.0)[-1, 0, 0] > 32
    assert constant(20.0, radiation=800.0, cloud=0.0)[-1, 0, 0] < 60
    assert -6.5 < constant(2.0, cloud=0.0)[-1, 0, 0] - 2.0 < -1.5


def test_what_the_sun_gives_more_makes_no_place_colder():
    dim, bright = (constant(10.0, hours=72, radiation=r) for r in (100.0, 400.0))

    assert np.all(bright >= dim - 1e-9)


def test_a_year_of_surface_temperatures_is_plausible():
    year = pavement_year(WeatherSource(Streams(2)), 2020)
    air = weather_year(WeatherSource(Streams(2)), 2020).air_temp_c

    assert 40 < year.surface_temp_c.max() < 65
    assert year.surface_temp_c[:, 0].min() > air.min() - 8
    assert 15 < year.freeze_thaw_cycles[:, 0].sum() < 90
    assert year.freeze_thaw_cycles[:, 0].sum() > year.freeze_thaw_cycles[:, 2].sum()


def test_a_freeze_thaw_cycle_needs_both_sides_of_the_band():
    hours = np.zeros((48, 1), np.float32)
    hours[:, 0] = [2.0] * 12 + [-0.9] * 6 + [2.0] * 6 + [-1.1] * 12 + [0.9] * 6 + [1.1] * 6

    assert daily_cycles(hours).ravel().tolist() == [0, 1]


def test_water_in_the_base_is_conserved_and_bounded():
    rng = np.random.default_rng(4)
    rain, sun = rng.gamma(0.3, 8.0, 900), rng.uniform(10, 250, 900)

    saturation, inflow, outflow = base_moisture(rain, sun)

    stored = saturation * CAPACITY_MM
    change = np.diff(stored, axis=0)
    assert change == pytest.approx((inflow - outflow)[1:], abs=1e-9)
    assert saturation.min() >= RESIDUAL - 1e-12
    assert saturation.max() <= 1 + 1e-12
    assert np.all(inflow <= rain[:, None])
    assert np.all(outflow >= 0)


def test_poor_drainage_keeps_the_base_wetter():
    saturation = pavement_year(WeatherSource(Streams(2)), 2020).saturation

    assert dict(zip(DRAINAGE, np.argsort(saturation.mean(axis=0)).tolist(), strict=True)) == {
        "good": 0, "fair": 1, "poor": 2,
    }  # fmt: skip


def test_the_base_weakens_when_frost_thaws_and_recovers_in_months():
    days = np.concatenate([np.full(20, 5.0), np.full(15, -5.0), np.full(150, 4.0)])

    freezing, weakness = thaw_weakness(days)

    assert freezing[34] == pytest.approx(75)
    assert weakness[:35].max() == 0  # strong while frozen
    assert weakness.argmax() == 38  # 4 days of 4 °C: 16 °C·d
    assert weakness.max() == pytest.approx(1.0)
    assert weakness[35 + 120] < 0.1


def test_without_frost_there_is_no_thaw():
    freezing, weakness = thaw_weakness(np.full(100, 3.0))

    assert freezing.max() == weakness.max() == 0
