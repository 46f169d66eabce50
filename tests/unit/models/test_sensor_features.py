"""Features from sensors: near what the sensors say, as of a time, unknown where none tells."""

import tracemalloc
from dataclasses import fields, replace

import numpy as np
import pytest

from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.features.sensors import NAMES, SensorFeatures
from models.inputs import CityInputs, SensorDays, SensorQuantity
from tests.unit.models.synthetic_city import DAY, START, make_city

DAYS = 900
AS_OF = START + 850 * DAY + np.timedelta64(5 * 3_600_000_000, "us")
LOCAL_FIRST = np.datetime64("2023-10-01", "D")


def sensor_days(segments, quantity, values, cycles=None, *, first_sensor=0, gap=()):
    """One sensor a segment; `values` (days, sensors). No rows on the days of a gap."""
    day, sensor = np.nonzero(np.ones(values.shape, bool))
    kept = ~np.isin(day, gap)
    day, sensor = day[kept], sensor[kept]
    mean = values[day, sensor]
    is_temperature = quantity == SensorQuantity.SURFACE_TEMP
    return SensorDays(
        recorded_at=START + (day + 1) * DAY,
        sensor=(sensor + first_sensor).astype(np.int32),
        segment_index=np.asarray(segments, np.int32)[sensor],
        day=LOCAL_FIRST + day,
        quantity=np.full(len(day), quantity, np.int32),
        minimum=mean - 3,
        mean=mean,
        maximum=mean + 3,
        freeze_thaw_cycles=cycles[day, sensor] if is_temperature else np.full(len(day), np.nan),
    )


def joined(*tables: SensorDays) -> SensorDays:
    return SensorDays(**{f.name: np.concatenate([getattr(t, f.name) for t in tables]) for f in fields(SensorDays)})


SURFACE, SOIL = (3, 77, 120, 190), (10, 55, 160)


def measured(gap=()) -> SensorDays:
    day = np.arange(DAYS)[:, None]
    temp_c = 8 + 9 * np.cos(2 * np.pi * (day - 290) / 365.25) + np.array([0.0, -2.0, 1.0, -1.0])
    cycles = (temp_c < 1).astype(float) * (np.array([1, 2, 1, 1]))
    moisture = 18 + 4 * np.cos(2 * np.pi * (day - 100) / 365.25) + np.array([0.0, 6.0, -4.0]) + 0.004 * day
    surface = sensor_days(SURFACE, SensorQuantity.SURFACE_TEMP, temp_c, cycles, gap=gap)
    return joined(surface, sensor_days(SOIL, SensorQuantity.SOIL_MOISTURE, moisture, first_sensor=50, gap=gap))


@pytest.fixture(scope="module")
def inputs() -> CityInputs:
    return replace(make_city(segment_count=200, days=DAYS).inputs, sensor_days=measured())


def features(inputs, as_of=AS_OF):
    table = FeatureBuilder(inputs).at(as_of)
    return {name: table[:, FEATURE_SET.index(name)] for name in NAMES}


def test_they_are_near_what_the_sensors_say_and_known_everywhere(inputs):
    own = inputs.sensor_days
    found = features(inputs)
    today = LOCAL_FIRST + 850

    def of_site(segment, quantity, days):
        rows = (
            (own.segment_index == segment) & (own.quantity == quantity) & (own.day >= today - days) & (own.day < today)
        )
        return own.take(rows)

    for values in found.values():
        assert np.isfinite(values).all()
    for segment in SURFACE:
        for length in (30, 90):
            cycles = of_site(segment, SensorQuantity.SURFACE_TEMP, length).freeze_thaw_cycles.sum()
            assert found[f"surface_freeze_thaw_{length}d"][segment] == pytest.approx(cycles, abs=0.1 * length)
        lowest = of_site(segment, SensorQuantity.SURFACE_TEMP, 7).minimum.min()
        assert found["surface_minimum_7d_c"][segment] == pytest.approx(lowest, abs=0.5)
    for segment in SOIL:
        level = of_site(segment, SensorQuantity.SOIL_MOISTURE, 7).mean.mean()
        assert found["base_moisture_pct"][segment] == pytest.approx(level, abs=1.0)
    # The trend over the years is 0.004 a day: of two earlier years, one and two years ago.
    anomaly = 0.004 * 365.25 * 1.5
    np.testing.assert_allclose(found["base_moisture_anomaly_pct"][list(SOIL)], anomaly, atol=0.25)
    assert 0.5 * anomaly < found["base_moisture_anomaly_pct"].min()  # less is said where no sensor is near


def test_rows_recorded_later_change_nothing(inputs):
    known = replace(inputs, sensor_days=inputs.sensor_days.recorded_by(AS_OF))

    for name, values in features(inputs).items():
        np.testing.assert_array_equal(values, features(known)[name], err_msg=name)


def test_late_rows_of_old_days_and_corrections_change_nothing_before_they_are_recorded(inputs):
    own = inputs.sensor_days
    recorded = np.full(len(own), AS_OF + np.timedelta64(60, "s"))
    late = replace(
        own, recorded_at=recorded, mean=own.mean + 9, minimum=own.minimum - 9, freeze_thaw_cycles=own.mean * 0
    )
    another = replace(late, sensor=own.sensor + 1000, segment_index=(own.segment_index + 1).astype(np.int32))
    with_late = replace(inputs, sensor_days=joined(own, late, another))

    before, after = features(with_late), features(with_late, AS_OF + np.timedelta64(61, "s"))
    for name, values in features(inputs).items():
        np.testing.assert_array_equal(values, before[name], err_msg=name)
    assert np.abs(after["base_moisture_pct"] - before["base_moisture_pct"]).max() > 3
    assert np.abs(after["surface_freeze_thaw_90d"] - before["surface_freeze_thaw_90d"]).max() > 3


def test_a_window_of_which_too_little_is_known_is_unknown(inputs):
    recent = replace(inputs, sensor_days=measured(gap=range(838, 850)))
    found = features(recent)

    assert np.isnan(found["surface_freeze_thaw_7d"]).all()
    assert np.isnan(found["surface_freeze_thaw_30d"]).all()
    assert np.isfinite(found["surface_freeze_thaw_90d"]).all()
    assert np.isnan(found["base_moisture_pct"]).all()


def test_a_city_without_sensors_has_none_of_them(inputs):
    found = features(replace(inputs, sensor_days=SensorDays.empty()))

    assert all(np.isnan(values).all() for values in found.values())


def test_one_sensor_is_enough_and_weather_is_not_needed(inputs):
    one = inputs.sensor_days.take(inputs.sensor_days.segment_index == SURFACE[0])
    weatherless = replace(inputs, sensor_days=one, weather=inputs.weather.take(np.zeros(0, int)))
    found = features(weatherless)

    assert np.ptp(found["surface_minimum_7d_c"]) == pytest.approx(0, abs=1e-4)
    assert np.isfinite(found["surface_freeze_thaw_90d"]).all()
    assert np.isnan(found["base_moisture_pct"]).all()


def test_the_normal_of_the_season_needs_a_year(inputs):
    early = features(inputs, START + 300 * DAY)

    assert np.isnan(early["base_moisture_anomaly_pct"]).all()
    assert np.isfinite(early["base_moisture_trend_30d_pct"]).all()


def test_editions_of_the_register_are_not_held_again_for_the_sensors():
    """A register that is brought in every night has hundreds; the traits of all would be the largest table of all."""
    segments = make_city(segment_count=2000, days=2).inputs.segments
    editions = [replace(segments, width_m=segments.width_m + number) for number in range(40)]

    tracemalloc.start()
    held = SensorFeatures(SensorDays.empty(), np.zeros(0, "datetime64[us]"), editions)
    size_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    traits_bytes = 4 * 8 * len(segments)
    assert held
    assert size_bytes < 5 * traits_bytes  # traits and places of surface and moisture, of one edition
