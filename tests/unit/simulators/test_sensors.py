"""Sensors: values that follow the world, bytes of real devices, the same whatever is asked for at once."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest
from scipy.signal import detrend

from ingest import codecs
from ingest.profile import load_profiles
from ingest.quality import LOW_BATTERY_PCT, LOW_BATTERY_SHARE, LOWEST_BATTERY_V
from roadtwin.errors import SimulationError
from simulators.devices.device_kinds import KINDS, SMTP_DEPTHS_CM, kind_counts
from simulators.devices.sensor_values import MODELS, RAIN_TIP_MM
from simulators.devices.sensors import Sensors
from simulators.instants import DAY_US
from simulators.truth.condition import Condition
from simulators.weather.weather import hourly_weather
from simulators.world import build_world

EPOCH = datetime(2023, 9, 30, 22, tzinfo=UTC)
KIND = {kind.short: kind for kind in KINDS}


@pytest.fixture(scope="module")
def world():
    return build_world(seed=5, length_km=25, start=EPOCH, device_count=150)


@pytest.fixture(scope="module")
def sensors(world):
    return Sensors(Condition(world))


def us(moment):
    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


def samples(world, short, start, days):
    """Every sample of every device of a kind, half an interval after its begin."""
    kind = KIND[short]
    interval_us = kind.interval_s * 1_000_000
    numbers = np.array([device.number for device in world.devices if device.kind is kind], np.int32)
    index = np.arange(us(start) // interval_us, (us(start) + round(days * DAY_US)) // interval_us)
    device, index = np.repeat(numbers, len(index)), np.tile(index, len(numbers))
    return kind, device, index, index * interval_us + interval_us // 2


def decoded(uplinks):
    """What a server's decoder reads in the bytes, by field, (n,)."""
    codec = codecs.find(uplinks.kind.codec)
    frames = [codec.decode(uplinks.f_port, payload)[0].fields for payload in uplinks.payloads]
    return {name: np.array([frame[name] for frame in frames], dtype=float) for name in frames[0]}


def sent(world, sensors, short, start, days):
    """Decoded fields by device and sample, (devices, samples), and the samples' times."""
    kind, device, index, at_us = samples(world, short, start, days)
    read = decoded(sensors.uplinks(kind, device, index, at_us))
    count = len(np.unique(device))
    return {name: column.reshape(count, -1) for name, column in read.items()}, at_us.reshape(count, -1)[0]


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
def test_the_bytes_say_what_was_sent_within_a_step_of_the_device(world, sensors, kind):
    # The step of each probe in a shield is 175/65535 K and 100/65535 %; the scale's 1 Hz is about 10 g here.
    coarse = {"weight": 12.0, "air_temperature_radiation_shield": 0.0014, "air_humidity_radiation_shield": 0.0008}
    uplinks = sensors.uplinks(*samples(world, kind.short, datetime(2024, 1, 10, tzinfo=UTC), 1))

    read = decoded(uplinks)

    assert set(read) >= set(uplinks.values) > {field.name for field in kind.measured}
    for name, column in uplinks.values.items():
        assert np.abs(read[name] - column).max() <= coarse.get(name, 1e-9), name
    assert uplinks.f_port == kind.f_port
    assert ((uplinks.battery_pct >= 0) & (uplinks.battery_pct <= 100)).all()


@pytest.mark.parametrize("short", sorted(MODELS))
def test_a_sample_is_the_same_in_whatever_company_it_is_asked_for(world, sensors, short):
    # Across the end of a weather year, in another order, one by one, and by another object.
    kind, device, index, at_us = samples(world, short, datetime(2024, 6, 30, 18, tzinfo=UTC), 0.5)
    whole = sensors.uplinks(kind, device, index, at_us)
    order = np.random.default_rng(1).permutation(len(device))
    fresh = Sensors(Condition(world))

    shuffled = fresh.uplinks(kind, device[order], index[order], at_us[order])
    few = range(0, len(device), max(1, len(device) // 9))
    single = [fresh.uplinks(kind, *(a[i : i + 1] for a in (device, index, at_us))).payloads[0] for i in few]

    assert [whole.payloads[i] for i in order] == shuffled.payloads
    assert single == [whole.payloads[i] for i in few]


def test_no_samples_are_no_uplinks(sensors):
    for kind in KINDS:
        none = sensors.uplinks(kind, np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64))
        assert none.payloads == []


def test_a_surface_in_the_sun_is_warmer_than_the_air_and_under_trees_less_so(world, sensors):
    read, at_us = sent(world, sensors, "surface", datetime(2024, 6, 1, tzinfo=UTC), 20)
    noon = (at_us % DAY_US) // 3_600_000_000 == 12
    night = (at_us % DAY_US) // 3_600_000_000 == 2
    over = read["surface_temperature"] - read["air_temperature_radiation_shield"]
    condition = Condition(world)
    exposure = np.array([condition.exposure[d.segment_index] for d in world.devices if d.kind.short == "surface"])

    means = [over[exposure == e][:, noon].mean() for e in np.unique(exposure)]
    assert len(means) > 1
    assert means == sorted(means, reverse=True)
    assert means[0] > 5
    assert over[:, night].mean() < 3
    # The plain air probe is warmed by the sun; the dew point lies below the air temperature.
    assert (read["air_temperature"] - read["air_temperature_radiation_shield"])[:, noon].mean() > 0.3
    assert (read["dew_point"] <= read["air_temperature"] + 0.02).all()


def test_the_deeper_a_probe_the_smaller_and_later_its_wave(world, sensors):
    read, _ = sent(world, sensors, "soil-profile", datetime(2024, 6, 3, tzinfo=UTC), 14)
    pavement, _ = sent(world, sensors, "pavement", datetime(2024, 6, 3, tzinfo=UTC), 14)
    profile = [read[f"soil_temperature_at_depth_{i}"] for i in range(len(SMTP_DEPTHS_CM))]

    spread = [np.ptp(column, axis=1).mean() for column in (pavement["temperature"], *profile)]

    assert spread == sorted(spread, reverse=True)
    assert spread[0] > 3 * spread[-1]


def test_moisture_of_soil_is_plausible_and_comes_later_to_a_greater_depth(world, sensors):
    read, at_us = sent(world, sensors, "soil-profile", datetime(2024, 4, 1, tzinfo=UTC), 240)
    shallow, deep = (read[f"soil_moisture_at_depth_{i}"].mean(axis=0) for i in (0, 7))
    days = len(at_us) // 24
    shallow, deep = (column[: days * 24].reshape(days, 24).mean(axis=1) for column in (shallow, deep))

    def agreement(lag):
        return np.corrcoef(np.diff(shallow)[: days - 1 - lag], np.diff(deep)[lag:])[0, 1]

    assert 8 < shallow.min() < shallow.max() < 40
    assert max(range(10), key=agreement) >= 1


def test_the_rain_gauge_counts_the_rain_of_the_weather_drop_by_drop(world, sensors):
    start, days = datetime(2023, 10, 10, tzinfo=UTC), 30
    read, _ = sent(world, sensors, "weather", start, days)
    offset = timedelta(seconds=KIND["weather"].interval_s / 2)
    hours = hourly_weather(world.weather, start, start + timedelta(days=days))
    total = read["cumulative_precipitation"]

    assert (np.diff(total, axis=1) >= 0).all()
    assert np.abs(np.diff(total, axis=1) - read["precipitation"][:, 1:]).max() < 0.0015  # steps of 0.001 mm, twice
    assert np.abs(read["precipitation"] / RAIN_TIP_MM - np.round(read["precipitation"] / RAIN_TIP_MM)).max() < 0.06
    assert hours.rain_mm.sum() > 5
    # Gauges are off by 2 % (1 σ) each; the half interval at the ends holds little.
    assert read["precipitation"].sum(axis=1) == pytest.approx(hours.rain_mm.sum(), rel=0.08, abs=1.0)
    assert offset < timedelta(minutes=10)


def test_the_rain_counter_goes_on_over_the_end_of_a_weather_year(world, sensors):
    read, _ = sent(world, sensors, "weather", datetime(2024, 6, 29, tzinfo=UTC), 4)

    assert (np.diff(read["cumulative_precipitation"], axis=1) >= 0).all()
    assert (read["cumulative_precipitation"] > 300).all()


def test_water_rises_with_rain_and_the_two_kinds_of_level_agree(world, sensors):
    start = datetime(2024, 4, 15, tzinfo=UTC)
    depth, at_us = sent(world, sensors, "water-level", start, 60)
    distance, _ = sent(world, sensors, "water-distance", start, 60)
    rain = hourly_weather(world.weather, start, start + timedelta(days=60)).rain_mm
    recent = np.convolve(rain, np.exp(-np.arange(12) / 3.0))[: len(rain)]

    assert len(at_us) == len(rain)
    for row in depth["water_depth"]:
        assert np.corrcoef(row, recent)[0, 1] > 0.7
    for row in distance["distance"]:
        assert np.corrcoef(row, recent)[0, 1] < -0.7
    assert (distance["distance"] >= 300).all()


def test_counters_see_peaks_on_working_days_and_fewer_lorries_shake_on_sundays(world, sensors):
    # Four weeks without a holiday. Traffic varies by 6 % from hour to hour: a mean over 20 days by 1.3 %.
    start, days = datetime(2024, 2, 4, 23, tzinfo=UTC), 28
    read, _ = sent(world, sensors, "traffic", start, days)
    vehicles = (read["left_count"] + read["right_count"]).reshape(-1, days, 24)
    weekday = np.arange(days) % 7
    by_hour = vehicles[:, weekday < 5].mean(axis=(0, 1))
    shakes, _ = sent(world, sensors, "vibration", start, days)
    shaken = shakes["accMotion"].reshape(-1, days, 24).sum(axis=2)

    assert by_hour[[7, 8, 16, 17]].min() > 1.2 * by_hour[11]
    assert by_hour[3:5].max() < 0.2 * by_hour[8]
    assert 0.4 < vehicles[:, weekday == 6].mean() / vehicles[:, weekday < 5].mean() < 0.8
    left, right = (read[f"{side}_count"].reshape(-1, days, 24)[:, weekday < 5] for side in ("left", "right"))
    assert left[:, :, 8].sum() > 1.1 * right[:, :, 8].sum()
    assert left[:, :, 17].sum() < 0.95 * right[:, :, 17].sum()
    assert shaken[:, weekday == 6].mean() < 0.3 * shaken[:, weekday < 5].mean()


def test_traffic_is_as_heavy_as_the_register_says(world, sensors):
    read, _ = sent(world, sensors, "traffic", datetime(2024, 2, 4, 23, tzinfo=UTC), 5)
    places = [world.segments[d.segment_index] for d in world.devices if d.kind.short == "traffic"]
    daily = (read["left_count"] + read["right_count"]).sum(axis=1) / 5
    share = np.array([p.attributes.heavy_vehicles_per_day for p in places]) / daily

    # Counters differ from the register by 20 % (1 σ); the shares of heavy vehicles are 3 to 4.5 %.
    assert 0.02 < np.median(share) < 0.07
    assert (read["left_avg"] < 75).all()
    assert (read["left_avg"].mean(axis=1) > 20).all()


def test_a_bucket_gets_heavier_until_it_is_emptied(world, sensors):
    read, _ = sent(world, sensors, "silt", datetime(2023, 10, 2, tzinfo=UTC), 250)
    weight = read["weight"].reshape(len(read["weight"]), 250, 24).min(axis=2)  # without what rain stands in it

    falls = np.diff(weight, axis=1) < -1500
    assert ((falls.sum(axis=1) >= 1) & (falls.sum(axis=1) <= 2)).all()
    assert (weight > 2000).all()
    assert weight.max() < 60_000


def test_salt_shows_in_the_water_after_frost_only(world, sensors):
    winter, _ = sent(world, sensors, "water-level", datetime(2023, 12, 1, tzinfo=UTC), 80)
    summer, _ = sent(world, sensors, "water-level", datetime(2024, 7, 1, tzinfo=UTC), 80)

    assert winter["electrical_conductivity"].max() > 2000
    assert summer["electrical_conductivity"].max() < 1500


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.short)
def test_batteries_are_changed_before_they_are_low(world, sensors, kind):
    first = np.array([device.number for device in world.devices if device.kind is kind], np.int32)
    days = np.arange(0, 1700, 10)
    device, at_us = np.repeat(first, len(days)), us(EPOCH) + np.tile(days, len(first)) * DAY_US

    uplinks = sensors.uplinks(kind, device, at_us // (kind.interval_s * 1_000_000), at_us)

    volts = uplinks.battery_v.reshape(len(first), -1)
    assert (volts > LOW_BATTERY_SHARE * volts.max(axis=1, keepdims=True)).all()
    assert volts.min() > LOWEST_BATTERY_V
    assert uplinks.battery_pct.min() > LOW_BATTERY_PCT
    assert uplinks.battery_pct.max() > 60


def test_a_cell_has_less_voltage_in_the_cold(world, sensors):
    start, days = datetime(2023, 12, 1, tzinfo=UTC), 90
    volts = sensors.uplinks(*samples(world, "soil", start, days)).battery_v.reshape(-1, days * 24)
    air = hourly_weather(world.weather, start, start + timedelta(days=days)).air_temp_c
    cold = detrend(np.minimum(air, 5))

    # Most of the cells are not changed in these days.
    assert np.median([np.corrcoef(row, cold)[0, 1] for row in detrend(volts)]) > 0.9


def test_nothing_is_out_of_the_range_of_its_quantity_over_a_year(world, sensors):
    library = load_profiles()
    for kind in KINDS:
        kind, device, index, at_us = samples(world, kind.short, datetime(2023, 10, 1, tzinfo=UTC), 366)
        some = slice(None, None, 97)
        uplinks = sensors.uplinks(kind, device[some], index[some], at_us[some])
        read, profile = decoded(uplinks), library.find(kind.profile_name)
        for step in profile.steps:
            if step.field.path[0] == "solar_battery":
                continue  # of an older version of the counter's payload
            value = read[step.field.path[0]] * step.factor + step.offset
            assert (value >= step.low).all(), step.field.path
            assert (value <= step.high).all(), step.field.path


@pytest.mark.parametrize("total", [len(KINDS), 11, 45, 2000])
def test_a_city_has_as_many_devices_as_asked_for_and_some_of_each_kind(total):
    counts = kind_counts(60, total)

    assert sum(counts) == total
    assert min(counts) >= 1


@pytest.mark.parametrize("total", [-1, len(KINDS) - 1, 100_001])
def test_an_impossible_number_of_devices_is_refused(total):
    with pytest.raises(SimulationError, match=f"Devices: got {total}, expected 10 to 100,000"):
        build_world(seed=1, length_km=15, device_count=total)


def test_sensors_stand_where_a_city_would_put_them(world):
    places = {}
    for device in world.devices:
        places.setdefault(device.kind.short, []).append(world.segments[device.segment_index])

    assert {p.road_class for p in places["surface"]} <= {"main", "collector"}
    assert {p.attributes.drainage for p in places["water-distance"]} == {"poor"}
    assert all(p.attributes.tree_cover_pct < 12 for p in places["weather"])
    usual = np.median([s.attributes.heavy_vehicles_per_day for s in world.segments])
    assert min(p.attributes.heavy_vehicles_per_day for p in places["traffic"] + places["vibration"]) > usual
