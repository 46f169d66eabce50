"""Physics: energy, water and frost behave as they must."""

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.weather.pavement import (
    CAPACITY_MM,
    CONDUCTIVITY_W_PER_MK,
    DEPTHS_M,
    DRAINAGE,
    GROUND_BELOW_M,
    GROUND_TEMP_C,
    HEAT_J_PER_M3K,
    RESIDUAL,
    SURFACE_W_PER_M2K,
    base_moisture,
    column_temperatures,
    daily_cycles,
    equivalent_temp_c,
    node_heat_j_per_m2k,
    pavement_year,
    thaw_weakness,
)
from simulators.weather.weather import WeatherSource, weather_year


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


def test_constant_weather_leads_to_a_constant_flow_of_heat():
    """Resistances in a row: surface exchange, the pavement, the ground below; the same flow passes all of them."""
    weather = [np.full(24 * 400, value) for value in (20.0, 300.0, 0.4, 2.5)]
    above = equivalent_temp_c(*(values[:1] for values in weather))[0]

    temp = column_temperatures(*weather)[-1]

    resistance = 1 / SURFACE_W_PER_M2K + (DEPTHS_M[-1] + GROUND_BELOW_M) / CONDUCTIVITY_W_PER_MK
    flow = (above - GROUND_TEMP_C) / resistance
    expected = above - flow * (1 / SURFACE_W_PER_M2K + DEPTHS_M[:, None] / CONDUCTIVITY_W_PER_MK)
    assert temp == pytest.approx(expected, abs=0.02)


def test_heat_in_less_heat_out_is_heat_stored_over_a_year():
    weather = weather_year(WeatherSource(Streams(6)), 2021)
    forcing = (weather.air_temp_c, weather.radiation_w_per_m2, weather.cloud_cover, weather.wind_speed_mps)
    temp = column_temperatures(*forcing)

    into = SURFACE_W_PER_M2K * (equivalent_temp_c(*forcing) - temp[:, 0]) * 3600.0
    out = CONDUCTIVITY_W_PER_MK / GROUND_BELOW_M * (temp[:, -1] - GROUND_TEMP_C) * 3600.0
    stored = np.einsum("d,de->e", node_heat_j_per_m2k(), temp[-1] - temp[0])

    assert (into - out)[1:].sum(axis=0) == pytest.approx(stored, rel=1e-6, abs=10.0)  # of some 100 MJ/m² that pass
    assert np.abs(into).sum(axis=0).min() > 1e8


def test_waves_are_damped_and_delayed_with_depth_as_conduction_says():
    """A wave of period P in a uniform half space: its amplitude falls with exp(-z/d), d = √(α·P/π); its phase lags z/d.
    Slabs of 5 to 20 cm and steps of an hour follow that within some per cent."""
    for hours, depths in ((24.0, [1, 2]), (24.0 * 365, [3, 4])):
        t = np.arange(int(hours) * 4 if hours > 24 else 24 * 60)
        count = int(hours)
        temp = column_temperatures(
            10 + 8 * np.sin(2 * np.pi * t / hours), *(np.full(len(t), v) for v in (0.0, 1.0, 3.0))
        )
        wave = np.exp(-2j * np.pi * np.arange(count) / hours) @ temp[-count:, :, 1] / count
        damping_m = np.sqrt(CONDUCTIVITY_W_PER_MK / HEAT_J_PER_M3K * hours * 3600 / np.pi)
        ratio = wave[depths] / wave[0]
        assert np.abs(ratio) == pytest.approx(np.exp(-DEPTHS_M[depths] / damping_m), rel=0.12)
        assert -np.angle(ratio) == pytest.approx(DEPTHS_M[depths] / damping_m, rel=0.25)


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_surface_freezes_only_in_an_hour_that_takes_heat_from_it(seed):
    weather = weather_year(WeatherSource(Streams(seed)), 2021)
    forcing = (weather.air_temp_c, weather.radiation_w_per_m2, weather.cloud_cover, weather.wind_speed_mps)
    temp, above = column_temperatures(*forcing), equivalent_temp_c(*forcing)

    freezes = (temp[1:, 0] < 0) & (temp[:-1, 0] >= 0) & (temp[1:, 1] >= 0)

    assert freezes.sum() > 20
    assert np.all(above[1:][freezes] < 0)
    assert above.min() - 1e-9 <= temp.min() <= temp.max() <= above.max() + 1e-9
    for exposure in range(3):  # each frost reaches a depth after those above it, if at all
        frozen = np.cumsum(temp[24 * 90 :, :, exposure] < 0, axis=0) > 0
        first = np.where(frozen.any(axis=0), frozen.argmax(axis=0), 10**6)
        assert np.all(np.diff(first) >= 0)


def test_shade_keeps_the_pavement_cooler_by_day_and_warmer_by_night_at_every_depth():
    year = pavement_year(WeatherSource(Streams(2)), 2020)
    july, january = slice(24 * 5, 24 * 25), slice(24 * 190, 24 * 210)

    assert year.depth_temp_c.shape == (len(year.surface_temp_c), len(DEPTHS_M), 3)
    assert np.all(np.diff(year.depth_temp_c[july].mean(axis=0), axis=1) < 0)
    assert np.all(np.diff(np.ptp(year.depth_temp_c[july], axis=0)[:4], axis=1) < 0)
    assert np.all(np.diff(np.ptp(year.depth_temp_c[january], axis=0)[:, 1]) < 0)  # the deeper, the steadier


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


def test_the_poorer_the_drainage_the_wetter_the_base_on_every_day():
    assert DRAINAGE == ("good", "fair", "poor")
    for seed in range(3):
        saturation = pavement_year(WeatherSource(Streams(seed)), 2020).saturation

        assert np.all(np.diff(saturation, axis=1) >= 0)
        assert np.all(np.diff(saturation.mean(axis=0)) > 0.02)


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
