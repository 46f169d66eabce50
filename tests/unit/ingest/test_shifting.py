"""Messages moved in time: the same values at other times under other ids, and every other byte as it was."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid5

import msgspec
import pytest
from msgspec.structs import replace

from ingest.formats import chirpstack_v4_protobuf
from ingest.formats.examples import AT, EXAMPLES
from ingest.formats.tts_v3 import KINDS_OF_MEMBERS
from ingest.shifting import NAMESPACE, UNKNOWN, Shifter, format_of
from roadtwin.errors import MessageRejectedError
from tests.samples import SENSOR, TTS_UP, chirpstack, decoder, encoded, tts, vehicle_reading
from tests.unit.ingest.test_shared_samples import SAMPLES

SHIFT_S = 250 * 86_400 + 7 * 3600 + 11
CHIRPSTACK_TOPIC = "application/a/device/d/event/"


def told(message):
    """All that a message says but for its bytes and ids, as plain values."""
    values = msgspec.to_builtins(replace(message, payload=b"", topic=""))
    for name in ("message_id", "profile_version"):
        values.pop(name)
    for name in ("event_id", "pass_id", "vehicle_pseudonym"):
        if values.get("vehicle_reading"):
            values["vehicle_reading"].pop(name)
    return values


def later(values, shift_s):
    """The same values with every time in them moved."""
    if isinstance(values, dict):
        return {key: later(value, shift_s) for key, value in values.items()}
    if isinstance(values, list | tuple):
        return [later(value, shift_s) for value in values]
    try:
        at = datetime.fromisoformat(values) if isinstance(values, str) and len(values) > 18 else None
    except ValueError:
        at = None
    return values if at is None else msgspec.to_builtins(at + timedelta(seconds=shift_s))


def check(topic, payload, recorded_at=AT, shift_s=SHIFT_S):
    """Decode the original and the moved message, and compare; gives the moved payload."""
    shifter = Shifter(shift_s)
    moved = shifter.shift(topic, payload)
    assert shifter.shift(topic, payload) == moved
    before = decoder().decode(topic, payload, recorded_at)
    after = decoder().decode(topic, moved, recorded_at + timedelta(seconds=shift_s))
    assert after.message_id != before.message_id
    assert later(told(after), 0) == later(told(before), shift_s)
    assert shifter.shifted.total() == 2
    assert not shifter.unchanged
    assert format_of(topic, payload) == before.format
    return moved


@pytest.mark.parametrize("name", list(EXAMPLES))
@pytest.mark.parametrize("shift_s", [SHIFT_S, -SHIFT_S, 1])
def test_every_format_keeps_its_values_at_other_times(name, shift_s):
    check(EXAMPLES[name].topic, EXAMPLES[name].payload, shift_s=shift_s)


def test_only_times_and_ids_are_written_anew():
    payload = json.dumps(chirpstack(object={"text": '"time": "2026-03-10T11:59:58Z"', "n": 1.50}), indent=1).encode()
    moved = check(CHIRPSTACK_TOPIC + "up", payload)
    before, after = payload.splitlines(), moved.splitlines()
    changed = [line.split(b'"')[1] for line, other in zip(before, after, strict=True) if line != other]
    assert changed == [b"deduplicationId", b"time", b"nsTime"]
    assert b".123456789+00:00" in moved


def test_gps_time_goes_along():
    rx = {
        "gatewayId": "a",
        "timeSinceGpsEpoch": "1457179216.123456789s",
        "gwTime": "2026-03-10T11:59:58.123456789+00:00",
    }
    moved = check(CHIRPSTACK_TOPIC + "up", encoded(chirpstack(rxInfo=[rx])))
    assert b'"timeSinceGpsEpoch": "%d.123456789s"' % (1_457_179_216 + SHIFT_S) in moved
    uplink = chirpstack_v4_protobuf.encode("up", chirpstack(rxInfo=[rx]))
    back = check(CHIRPSTACK_TOPIC + "up", uplink)
    event = chirpstack_v4_protobuf.message_of(CHIRPSTACK_TOPIC + "up", back)
    assert event.rx_info[0].time_since_gps_epoch.seconds == 1_457_179_216 + SHIFT_S


@pytest.mark.parametrize("member", list(KINDS_OF_MEMBERS))
def test_events_of_the_things_stack(member):
    body = {"session_key_id": "AXA", "received_at": "2026-03-10T11:58:01.000000001Z", "f_cnt": 3}
    message = tts()
    message.pop("uplink_message")
    check(TTS_UP, encoded(message | {member: body}))


def test_zero_times_mean_none_and_stay():
    message = tts(simulated=True, uplink_message={"received_at": "0001-01-01T00:00:00Z", "rx_metadata": []})
    assert b"0001-01-01T00:00:00Z" in check(TTS_UP, encoded(message))


LEVEL = {"n": "water_level_mm", "u": "mm", "v": 1}
AIR = {"n": "air_temp_c", "u": "Cel", "v": 2}


@pytest.mark.parametrize(
    "pack",
    [
        [{"bn": "gully-12/", "bt": 1.773143e9} | LEVEL, AIR | {"t": -60.5}],
        [LEVEL | {"t": 1773143000.25}, AIR | {"t": 1773143001}],
        [{"bt": 1773143000}, LEVEL, LEVEL | {"bt": 1773143100}],
        [LEVEL | {"t": -60}],
        [{"bt": 1773143000} | LEVEL, {"bt": 0} | AIR | {"t": -3}],
    ],
)
def test_times_of_senml_packs(pack):
    """Absolute by base time or without one, some of them, or none: relative to the arrival, which moves too."""
    check(SENSOR, encoded(pack))


def test_new_ids_are_uuids_of_version_5():
    shifter = Shifter(-86_400)
    for number in range(100):
        assert shifter.new_id(f"id {number}") == str(uuid5(NAMESPACE, f"id {number} -86400"))


def test_a_reading_of_a_vehicle_gets_a_drive_of_its_own():
    topic = "roadtwin/v1/vehicles/truck-0815/readings"
    first, second = (
        json.loads(check(topic, encoded(vehicle_reading(**changes))))
        for changes in ({}, {"event_id": "3F7BB7EE-3F3C-4D0E-8B0E-6A0F2F3D9A12"})
    )
    assert first["pass_id"] == second["pass_id"] != "drive-20260310-1"
    assert first["event_id"] != second["event_id"]
    capital = Shifter(SHIFT_S).shift(topic, encoded(vehicle_reading(event_id="3F7BB7EE-3F3C-4D0E-8B0E-6A0F2F3D9A11")))
    assert json.loads(capital)["event_id"] == first["event_id"]
    assert b'"event_id": "no-uuid"' in Shifter(1).shift(topic, encoded(vehicle_reading(event_id="no-uuid")))
    assert first["observed_at"].endswith(".25+01:00")


@pytest.mark.parametrize(
    ("topic", "payload", "name"),
    [
        ("some/topic", b"anything", UNKNOWN),
        ("some/topic", b"", UNKNOWN),
        ("roadtwin/v2/sensors/x/readings", b"[]", UNKNOWN),
        ("lora", b'{"cmd": "rx", "EUI": "0102030405060708"}', "unsupported_loriot"),
        (CHIRPSTACK_TOPIC + "up", b'{"deviceInfo": {"devEui": "x"}}', "chirpstack-v4-json"),
        (CHIRPSTACK_TOPIC + "up", b"\xff\xfe", "chirpstack-v4-protobuf"),
        (SENSOR, b"[1, 2]", "senml-json"),
        (SENSOR, b"no JSON", "senml-json"),
    ],
)
def test_what_cannot_be_moved_is_left_as_it_is_and_counted(topic, payload, name):
    shifter = Shifter(3600)
    assert shifter.shift(topic, payload) == payload
    assert shifter.unchanged == {name: 1}
    assert not shifter.shifted


def reject_code(topic, payload, recorded_at):
    try:
        decoder().decode(topic, payload, recorded_at)
    except MessageRejectedError as exc:
        return exc.code
    return None


@pytest.mark.skipif(not SAMPLES.exists(), reason=f"{SAMPLES} is not there")
def test_public_samples_keep_their_values():
    """Real messages of every server; those that we refuse must be refused the same way."""
    moved = 0
    for path in sorted(Path(SAMPLES).rglob("*.json")):
        topic = CHIRPSTACK_TOPIC + "anything" if "chirpstack" in path.name else TTS_UP
        recorded_at, payload = datetime(2026, 11, 22, tzinfo=UTC), path.read_bytes()
        code = reject_code(topic, payload, recorded_at)
        shifted = Shifter(86_400).shift(topic, payload)
        if code is not None:
            assert reject_code(topic, shifted, recorded_at) == code
        elif shifted != payload and (topic != TTS_UP or b'"received_at"' in payload):  # the server's own time
            check(topic, payload, recorded_at, 86_400)
            moved += 1
    assert moved >= 10
