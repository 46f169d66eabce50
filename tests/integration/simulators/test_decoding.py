"""What the simulator publishes, read by the decoder that real messages go through."""

from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from ingest.decode import open_decoder
from roadtwin.settings import Settings
from roadtwin.types import Clock, DeviceKey, Flag
from simulators.messages import messages
from simulators.world import build_world

START = datetime(2025, 1, 14, 23, tzinfo=UTC)


def places(*quantities, channel="", depth_cm=None):
    return {(quantity, channel, depth_cm) for quantity in quantities}


MEASURED = {
    "decentlab-dl-cws2": places(
        "surface_temp_c", "air_temp_c", "humidity_pct", "dew_point_c", "device_temp_c", "tilt_deg", "battery_v"
    )
    | places("air_temp_c", "humidity_pct", channel="shield"),
    "milesight-em500-pt100-12cm": places("ground_temp_c", depth_cm=12) | places("battery_pct"),
    "decentlab-dl-smtp-20cm": places("battery_v").union(
        *(places("soil_moisture_pct", "ground_temp_c", depth_cm=depth) for depth in range(30, 101, 10))
    ),
    "dragino-lse01-40cm": places("soil_moisture_pct", "ground_temp_c", "soil_ec_us_per_cm", depth_cm=40)
    | places("battery_v"),
    "decentlab-dl-ctd10": places("water_level_mm", "water_temp_c", "water_ec_us_per_cm", "battery_v"),
    "milesight-em500-udl": places("distance_mm", "battery_pct"),
    "decentlab-dl-atm41g2": places(
        *("air_temp_c", "humidity_pct", "pressure_hpa", "rain_mm", "rain_total_mm", "wind_speed_mps", "wind_gust_mps"),
        *("wind_direction_deg", "radiation_w_per_m2", "device_temp_c", "battery_v"),
    )
    | places("tilt_deg", channel="x")
    | places("tilt_deg", channel="y"),
    "elsys-elt-2-vibration": places("shake_count", "device_temp_c", "battery_v")
    | places("humidity_pct", channel="box")
    | {("acceleration_mps2", axis, None) for axis in "xyz"},
    "decentlab-dl-dws-232263168-302459-1370": places("load_kg", "battery_v"),
    "parametric-tcr": places("device_temp_c", "battery_v")
    | places("vehicle_count", "vehicle_speed_mps", channel="left")
    | places("vehicle_count", "vehicle_speed_mps", channel="right"),
}
"""Quantity, channel and depth of everything that an uplink of each kind measures."""


@pytest.fixture(scope="module")
def world():
    return build_world(seed=11, length_km=15, start=START - timedelta(days=60))


@pytest.fixture(scope="module")
def decoded(world, tmp_path_factory):
    settings = Settings(data_dir=tmp_path_factory.mktemp("data"), pseudonym_key="a key of many random bytes")
    registered = {
        DeviceKey(device.network_source, device.application, device.device): device.kind.profile_name
        for device in world.devices
    }
    decoder = open_decoder(settings, registered)
    feed = messages(world, start=START, end=START + timedelta(hours=26))
    return [decoder.decode(message.topic, message.payload, message.publish_at) for message in feed]


def test_every_message_is_accepted_without_a_doubt(decoded):
    kinds = Counter((message.format, message.event_kind) for message in decoded)

    assert min(
        kinds["chirpstack-v4-json", "up"], kinds["tts-v3-json", "up"], kinds["senml-json", "readings"],
        kinds["vehicle-v1", "readings"], kinds["chirpstack-v4-json", "status"],
    ) > 0  # fmt: skip
    assert all(message.event_at is not None for message in decoded)
    assert {message.flags & ~Flag.LATE for message in decoded} == {Flag.NONE}
    assert not any("not_measured" in message.details for message in decoded)


def test_every_uplink_of_a_sensor_becomes_measurements_of_its_profile(decoded):
    seen = set()
    for message in decoded:
        if message.event_kind == "up":
            profile = message.details["profile"]
            found = {(o.quantity, o.channel, o.depth_cm) for o in message.observations}
            assert found == MEASURED[profile], profile
            assert not any(observation.flags for observation in message.observations)
            assert message.profile_version == 1
            seen.add(profile)
    assert seen == set(MEASURED)


def test_a_level_behind_a_generic_gateway_measures_the_same_as_one_on_the_radio(decoded):
    packs = [message for message in decoded if message.format == "senml-json"]

    assert packs
    for message in packs:
        found = {(o.quantity, o.channel, o.depth_cm) for o in message.observations}
        assert found == MEASURED["decentlab-dl-ctd10"]
        assert not any(observation.flags for observation in message.observations)


def test_moisture_and_temperature_of_the_ground_have_depths_that_the_twin_can_tell_apart(decoded):
    depths = {(o.quantity, o.depth_cm) for message in decoded for o in message.observations}

    assert {depth for quantity, depth in depths if quantity == "soil_moisture_pct"} == {*range(30, 101, 10)}
    assert {depth for quantity, depth in depths if quantity == "ground_temp_c"} == {12, *range(30, 101, 10)}


def test_the_devices_are_those_of_the_register(decoded, world):
    registered = {(row["network_source"], row["application"], row["device"]) for row in world.device_rows()}
    seen = {(m.device.network_source, m.device.application, m.device.device) for m in decoded if m.device is not None}

    assert seen == registered


def test_times_come_from_the_clocks_that_the_network_has(decoded):
    clocks = {message.clock for message in decoded if message.format == "chirpstack-v4-json"}

    assert clocks & {Clock.GPS, Clock.GATEWAY}
    for message in decoded:
        assert message.event_at is not None
        assert timedelta(seconds=-1) < message.recorded_at - message.event_at < timedelta(hours=1)


def test_vehicles_leave_neither_their_name_nor_gaps(decoded):
    readings = [message.vehicle_reading for message in decoded if message.vehicle_reading is not None]

    assert len(readings) > 100
    assert all(reading.vehicle_pseudonym.startswith("v-") for reading in readings)
    assert not any("muell" in message.topic or b"muell" in message.payload for message in decoded)
