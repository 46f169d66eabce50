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
    expected = {
        "surface-temperature": 4, "soil-moisture-profile": 7, "weather-station": 7, "water-level": 2,
    }  # fmt: skip
    for message in decoded:
        if message.event_kind == "up":
            assert len(message.observations) == expected[message.details["profile"]]
            assert not any(observation.flags for observation in message.observations)


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
