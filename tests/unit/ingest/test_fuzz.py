"""Whatever arrives: an envelope or one rejection, never another exception, and never for long."""

import base64
import json
import time
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.formats import chirpstack_v3_messages, chirpstack_v4_protobuf, others, sniff
from ingest.formats.examples import EXAMPLES
from roadtwin.errors import MessageRejectedError
from roadtwin.types import DeviceKey, Message
from tests.samples import (
    APPLICATION,
    CHIRPSTACK_UP,
    DEV_EUI,
    NOW,
    SENSOR,
    TTS_UP,
    VEHICLE,
    chirpstack,
    decoder,
    encoded,
    tts,
    vehicle_reading,
)

V3_UP = f"application/12/device/{DEV_EUI}/rx"
KINDS = ("up", "join", "status", "log", "ack", "txack", "location", "integration", "error", "renamed")
CHIRPSTACK_TOPICS = [CHIRPSTACK_UP.removesuffix("up") + kind for kind in KINDS]
TOPICS = st.sampled_from([*CHIRPSTACK_TOPICS, V3_UP, TTS_UP, SENSOR, VEHICLE, "any/topic"])
V3 = json.loads(EXAMPLES["chirpstack-v3-json"].payload)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda children: st.lists(children, max_size=4) | st.dictionaries(st.text(max_size=10), children, max_size=4),
    max_leaves=12,
)
DECODER = decoder(
    {
        DeviceKey("chirpstack-v4", APPLICATION, DEV_EUI): "milesight-em500-udl",  # a codec with a history
        DeviceKey("tts-v3", "roads@essen", "soil-7"): "decentlab-dl-smtp",
    }
)
GOOD: dict[str, Any] = {TTS_UP: tts(), VEHICLE: vehicle_reading(), V3_UP: V3}
PROTOBUF = [
    *(chirpstack_v4_protobuf.encode("up", chirpstack(**changes)) for changes in ({}, {"object": None, "fPort": 85})),
    chirpstack_v4_protobuf.encode("log", {"deviceInfo": {"devEui": DEV_EUI}, "level": "ERROR", "context": {"a": "b"}}),
    chirpstack_v4_protobuf.encode("txack", {"deviceInfo": {"devEui": DEV_EUI}, "downlinkId": 7}),
    chirpstack_v4_protobuf.encode("location", {"deviceInfo": {"devEui": DEV_EUI}, "location": {"latitude": 1}}),
    b"\x08\x0c\x1a\x08Bridge 4\x22\x08" + bytes.fromhex(DEV_EUI) + b"\x2a\x02\x12\x00\x48\x11\x50\x02\x5a\x01\x01",
]
MOST_S = 20.0
"""A hundred times what any of these messages takes, far below what one of quadratic cost would [s of CPU]."""


def decode(topic: str, payload: bytes) -> Message | None:
    began = time.process_time()
    try:
        message = DECODER.decode(topic, payload, NOW)
    except MessageRejectedError as exc:
        message = None
        rejected = DECODER.rejected(topic, payload, NOW, exc.code, str(exc))
        assert rejected.code
        assert rejected.reason
    assert time.process_time() - began < MOST_S
    assert message is None or isinstance(message, Message)
    if message is not None:  # what is stored as jsonb and text must be writable as such
        assert "\\u0000" not in json.dumps(message.details, allow_nan=False)
        assert "\x00" not in f"{message.device}{message.device_name}{message.profile_name}"
    return message


@given(topic=TOPICS | st.text(max_size=60), payload=st.binary(max_size=200))
def test_arbitrary_bytes_never_raise_past_the_reject_path(topic, payload):
    decode(topic, payload)


@settings(max_examples=300, deadline=None)
@given(topic=TOPICS, data=st.data())
def test_messages_with_an_arbitrary_member_never_raise_past_the_reject_path(topic, data):
    good = GOOD.get(topic, chirpstack())
    if topic == SENSOR:
        record = {"n": "air_temp_c", "v": 1, "t": 1773143000}
        member = data.draw(st.sampled_from([*record, "bn", "bt", "bv", "bu", "bver", "u", "s", "x_"]))
        decode(topic, json.dumps([record | {member: data.draw(JSON)}]).encode())
        return
    target = data.draw(st.sampled_from([good, *(part for part in good.values() if isinstance(part, dict))]))
    member = data.draw(st.sampled_from(sorted(target)))
    changed = encoded(good).replace(encoded(target[member]), encoded(data.draw(JSON)), 1)
    decode(topic, changed)


@st.composite
def mutated(draw, originals):
    """A good message with some of its bytes replaced, taken out, doubled or cut off."""
    payload = bytearray(draw(st.sampled_from(originals)))
    for _ in range(draw(st.integers(1, 4))):
        if not payload:
            break
        at = draw(st.integers(0, len(payload) - 1))
        until = draw(st.integers(at, min(len(payload), at + 8)))
        kind = draw(st.sampled_from(["replace", "remove", "double", "cut", "insert"]))
        if kind == "replace":
            payload[at] = draw(st.integers(0, 255))
        elif kind == "remove":
            del payload[at:until]
        elif kind == "double":
            payload[at:at] = payload[at:until]
        elif kind == "insert":
            payload[at:at] = draw(st.binary(max_size=6))
        else:
            del payload[at:]
    return bytes(payload)


@settings(max_examples=300, deadline=None)
@given(topic=TOPICS, payload=mutated([example.payload for example in EXAMPLES.values()] + [encoded(chirpstack())]))
def test_good_messages_with_changed_bytes_never_raise_past_the_reject_path(topic, payload):
    decode(topic, payload)


@settings(max_examples=500, deadline=None)
@given(topic=st.sampled_from([*CHIRPSTACK_TOPICS, V3_UP, "any/topic"]), payload=mutated(PROTOBUF))
def test_protobuf_with_changed_bytes_never_raises_past_the_reject_path(topic, payload):
    decode(topic, payload)


@given(payload=st.binary(max_size=100), f_port=st.integers(1, 223), topic=st.sampled_from([CHIRPSTACK_UP, TTS_UP]))
def test_arbitrary_frames_never_raise_past_the_reject_path(payload, f_port, topic):
    frame = base64.b64encode(payload).decode()
    if topic == CHIRPSTACK_UP:
        event = chirpstack(object=None, fPort=f_port, data=frame)
        message = decode(topic, chirpstack_v4_protobuf.encode("up", event))
    else:
        change = {"f_port": f_port, "frm_payload": frame, "decoded_payload": {}}
        message = decode(topic, encoded(tts(uplink_message=change)))
    assert message is not None  # a codec that cannot read a frame is no reason to refuse the message


BOMBS = {
    "lists": b'{"deviceInfo":' + b"[" * 200_000,
    "objects": b'{"a":' * 150_000 + b"1" + b"}" * 150_000,
    "a long list": b'{"rxInfo":[' + b"{}," * 200_000 + b"{}]}",
    "a long number": b'{"fCnt":' + b"9" * 900_000 + b"}",
    "a long text": b'{"time":"' + b"2" * 900_000 + b'"}',
    "backslashes": b'{"time":"' + b"\\\\" * 400_000 + b'u0000"}',
    "spaces": b" " * 900_000,
    "line feeds": b"\n" * 900_000 + b"{",
    "nested structs": b"\x0a\x00" * 400_000,
    "zero bytes": b"\x08" + b"\x00" * 900_000,
    "many receptions": chirpstack_v4_protobuf.encode("up", chirpstack()) + b"\x62\x04\x0a\x02aa" * 100_000,
}


def nested(levels: int) -> bytes:
    """A protobuf Struct in a Struct, so often."""
    value = b""
    for _ in range(levels):
        value = length_delimited(1, length_delimited(1, b"a") + length_delimited(2, length_delimited(5, value)))
    return chirpstack_v4_protobuf.encode("up", chirpstack(object=None)) + length_delimited(11, value)


def length_delimited(field: int, value: bytes) -> bytes:
    length, size = bytearray(), len(value)
    while size > 127:
        length.append(size & 127 | 128)
        size >>= 7
    return bytes([field << 3 | 2]) + bytes([*length, size]) + value


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_or_read_in_bounded_time(bomb):
    for topic in (CHIRPSTACK_UP, "application/1/device/2/event/renamed", TTS_UP, SENSOR, VEHICLE, "any/topic"):
        decode(topic, BOMBS[bomb])


@pytest.mark.parametrize(("levels", "is_read"), [(10, True), (5000, False)])
def test_structs_nested_too_deeply_are_refused(levels, is_read):
    for topic in (CHIRPSTACK_UP, CHIRPSTACK_UP + "x"):
        assert (decode(topic, nested(levels)) is not None) is is_read


@given(st.text(max_size=30), st.binary(max_size=100))
def test_recognisers_never_raise(topic, payload):
    others.recognise(topic, payload)
    sniff.parser_of(payload)


def test_the_protobuf_of_v3_that_is_mutated_here_is_read():
    message = decode(V3_UP, PROTOBUF[-1])

    assert message is not None
    assert (message.device.device, message.f_cnt, message.f_port) == (DEV_EUI, 17, 2)
    assert chirpstack_v3_messages.EVENT_CLASSES["up"]().FromString(PROTOBUF[-1]).data == b"\x01"


@pytest.mark.parametrize(("number", "is_read"), [(1000, True), (1001, False)])
def test_receptions_are_bounded(number, is_read):
    for topic, changes in (
        (CHIRPSTACK_UP, chirpstack(rxInfo=[{"gatewayId": str(n)} for n in range(number)])),
        (V3_UP, V3 | {"rxInfo": [{"gatewayID": str(n)} for n in range(number)]}),
        (TTS_UP, tts(uplink_message={"rx_metadata": [{"gateway_ids": {"eui": str(n)}} for n in range(number)]})),
    ):
        message = decode(topic, encoded(changes))
        assert (message is not None) is is_read
        assert message is None or message.gateway_count == number
