"""ChirpStack v4 in protobuf, against the messages of ChirpStack's own package: the same envelope as from JSON."""

import re
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from chirpstack_api.integration import integration_pb2
from google.protobuf import json_format
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.formats import chirpstack_v4_protobuf, protobuf
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, Flag, Reception
from tests.samples import APPLICATION, CHIRPSTACK_UP, DEV_EUI, NOW, chirpstack, decoder, encoded

DECODER = decoder()
CLASSES = {
    "up": integration_pb2.UplinkEvent,
    "join": integration_pb2.JoinEvent,
    "status": integration_pb2.StatusEvent,
    "log": integration_pb2.LogEvent,
    "ack": integration_pb2.AckEvent,
    "txack": integration_pb2.TxAckEvent,
    "location": integration_pb2.LocationEvent,
}
texts = st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=12)
times = st.integers(1_400_000_000_000_000, 1_773_300_000_000_000).map(
    lambda us: (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=us)).isoformat()
)
numbers = st.floats(allow_nan=False, allow_infinity=False)
counters = st.integers(0, 2**32 - 1)
places = st.fixed_dictionaries({"latitude": st.floats(-90, 90), "longitude": st.floats(-180, 180), "altitude": numbers})
values = st.recursive(
    numbers | texts | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
rx_infos = st.fixed_dictionaries(
    {"gatewayId": texts, "rssi": st.integers(-200, 20), "snr": st.floats(-30, 30, width=32)},
    optional={
        "gwTime": times,
        "nsTime": times,
        "timeSinceGpsEpoch": st.integers(0, 10**9).map("{}.5s".format),
        "location": places,
        "uplinkId": counters,
        "crcStatus": st.sampled_from(["NO_CRC", "CRC_OK"]),
    },
)
OWN = {
    "up": {
        "fCnt": counters,
        "fPort": st.integers(0, 255),
        "dr": st.integers(0, 15),
        "confirmed": st.booleans(),
        "adr": st.booleans(),
        "data": st.sampled_from(["", "AQID", "/w=="]),
        "object": st.dictionaries(st.sampled_from(["surface_temperature", "humidity", "x"]), values, max_size=3),
        "rxInfo": st.lists(rx_infos, max_size=3),
        "joinServerContext": st.just({"sessionKeyId": "01"}),
        "regionConfigId": texts,
    },
    "join": {"devAddr": st.just("01ab23cd"), "regionConfigId": texts},
    "status": {
        "margin": st.integers(-32, 31),
        "externalPowerSource": st.booleans(),
        "batteryLevelUnavailable": st.booleans(),
        "batteryLevel": st.floats(0, 100, width=32),
    },
    "log": {
        "level": st.sampled_from(["INFO", "WARNING", "ERROR"]),
        "code": st.sampled_from(["UNKNOWN", "UPLINK_MIC", "EXPIRED"]),
        "description": texts,
        "context": st.dictionaries(texts, texts, max_size=2),
    },
    "ack": {"queueItemId": texts, "acknowledged": st.booleans(), "fCntDown": counters},
    "txack": {"downlinkId": counters, "queueItemId": texts, "fCntDown": counters, "gatewayId": texts},
    "location": {"location": places},
}


def events(kind):
    info = st.fixed_dictionaries(
        {"applicationId": st.just(APPLICATION), "devEui": st.just(DEV_EUI)},
        optional={"deviceName": texts, "deviceProfileName": st.sampled_from(["surface-temperature", "?"])},
    )
    common = {"time": times} | ({} if kind in ("log", "txack") else {"deduplicationId": texts})
    return st.fixed_dictionaries({"deviceInfo": info}, optional=common | OWN[kind])


def as_chirpstack_writes(message):
    """Protobuf JSON with times as ChirpStack has them."""
    text = json_format.MessageToJson(message, always_print_fields_with_no_presence=False, indent=None)
    return re.sub(r'"(\d{4}-\d\d-\d\dT[\d:.]+)Z"', r'"\1+00:00"', text).encode()


def decode(kind, payload):
    return DECODER.decode(CHIRPSTACK_UP.removesuffix("up") + kind, payload, NOW)


def result(kind, payload):
    try:
        return decode(kind, payload)
    except MessageRejectedError as exc:
        return exc.code


@settings(max_examples=250, deadline=None)
@given(data=st.data())
def test_json_and_protobuf_of_one_event_give_equal_envelopes(data):
    kind = data.draw(st.sampled_from(sorted(CLASSES)))
    official = json_format.ParseDict(data.draw(events(kind)), CLASSES[kind]())
    written = as_chirpstack_writes(official)

    from_json, from_protobuf = result(kind, written), result(kind, official.SerializeToString())

    if isinstance(from_json, str):
        assert from_protobuf == from_json
        return
    assert from_protobuf.format == "chirpstack-v4-protobuf"
    assert msgspec.structs.replace(from_protobuf, format=from_json.format, payload=from_json.payload) == from_json


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_what_we_encode_is_what_chirpstacks_own_package_encodes(data):
    kind = data.draw(st.sampled_from(sorted(CLASSES)))
    event = data.draw(events(kind))
    official = json_format.ParseDict(event, CLASSES[kind]())

    ours = chirpstack_v4_protobuf.encode(kind, event)

    assert CLASSES[kind].FromString(ours) == official
    assert protobuf.is_known(protobuf.parse(chirpstack_v4_protobuf._EVENT_CLASSES[kind], ours))


def test_every_field_of_chirpstacks_package_has_its_number_and_type_here():
    for kind, official in CLASSES.items():
        ours = chirpstack_v4_protobuf._EVENT_CLASSES[kind]
        assert fields_of(ours.DESCRIPTOR) == fields_of(official.DESCRIPTOR)


def fields_of(message):
    if message.full_name.startswith("google.protobuf"):
        return message.full_name
    if not message.fields or [f.name for f in message.fields] == ["nothing"]:
        return {}
    return {
        field.name: (
            field.number,
            field.type,
            field.is_repeated,
            field.json_name,
            fields_of(field.message_type) if field.message_type else None,
            [value.name for value in field.enum_type.values] if field.enum_type else None,
        )
        for field in message.fields
    }


def test_an_uplink_has_every_value_of_its_json():
    event = chirpstack() | {"time": "2026-03-10T11:59:58.123456789+00:00"}
    event["rxInfo"][0] |= {"gwTime": "2026-03-10T11:59:58.7+00:00"}

    message = decode("up", chirpstack_v4_protobuf.encode("up", event))

    assert (message.f_cnt, message.f_port, message.gateway_count) == (17, 2, 2)
    assert message.event_at == datetime(2026, 3, 10, 11, 59, 58, 123456, tzinfo=UTC)
    assert message.clock is Clock.NETWORK_SERVER
    assert message.clock_skew_s == pytest.approx(-0.076544)
    assert message.receptions == (Reception("a1", -97, 4.5, 0.5), Reception("a2", -110, 0.0, None))
    assert {o.quantity: o.value for o in message.observations} == {
        "surface_temp_c": -1.5,
        "air_temp_c": 0.25,
        "humidity_pct": 91,
        "battery_v": 3.6,
    }


@pytest.mark.parametrize("kind", sorted({*CLASSES, "integration"}))
def test_where_the_topic_does_not_tell_the_kind_the_fields_do(kind):
    own = {
        "up": {"fPort": 2, "fCnt": 3, "data": "AQ=="},
        "join": {"devAddr": "01ab23cd"},
        "status": {"margin": 5, "batteryLevel": 50.0},
        "log": {"level": "ERROR", "code": "UPLINK_MIC"},
        "ack": {"queueItemId": "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de"},
        "txack": {"downlinkId": 7, "gatewayId": "0016c001f1000001"},
        "location": {"location": {"latitude": 51.4, "longitude": 7.0}},
        "integration": {"integrationName": "loracloud", "eventType": "x"},
    }[kind]
    event = {key: chirpstack()[key] for key in ("time", "deviceInfo")} | own

    assert decode("renamed", chirpstack_v4_protobuf.encode(kind, event)).event_kind == kind


@pytest.mark.parametrize(
    ("kind", "payload", "code"),
    [
        ("up", b"\x0a\x05a", "invalid_protobuf"),
        ("up", b"\x0a\xff\xff\xff\xff\x7f", "invalid_protobuf"),
        ("renamed", b"\x0a\x01a", "unknown_event_kind"),
        ("up", b"\x0a\x01a", "invalid_field"),
        ("up", chirpstack_v4_protobuf.encode("up", {"deviceInfo": {"devEui": "70b3"}}), "invalid_field"),
    ],
)
def test_bytes_that_are_no_event_are_refused(kind, payload, code):
    with pytest.raises(MessageRejectedError) as caught:
        decode(kind, payload)

    assert caught.value.code == code


def test_what_json_and_the_database_cannot_hold_is_refused_in_protobuf_too():
    up = chirpstack()
    for changed, code in (
        (up | {"deviceInfo": up["deviceInfo"] | {"deviceName": "a\0b"}}, "nul_character"),
        (up | {"object": {"a\0": 1}}, "nul_character"),
        (up | {"rxInfo": [{"gatewayId": "a", "snr": "NaN"}]}, "invalid_field"),
    ):
        assert result("up", chirpstack_v4_protobuf.encode("up", changed)) == code


def test_a_number_of_the_object_that_is_not_finite_measures_nothing():
    payload = encoded(chirpstack(object={"surface_temperature": 1}))
    official = json_format.Parse(payload, integration_pb2.UplinkEvent())
    official.object.fields["surface_temperature"].number_value = float("nan")

    assert decode("up", official.SerializeToString()).observations == ()


def test_a_time_that_no_calendar_has_is_none():
    official = json_format.ParseDict(chirpstack(), integration_pb2.UplinkEvent())
    for seconds, nanos in ((2**62, 0), (-(10**12), 0), (-62135596800, 5), (1773143998, -5)):
        official.time.seconds, official.time.nanos = seconds, nanos
        message = decode("up", official.SerializeToString())
        assert message.event_at is None
        assert Flag.CLOCK in message.flags


@pytest.mark.parametrize(("number", "short"), [(4.300000190734863, 4.3), (88.30000305175781, 88.3), (-7.25, -7.25)])
def test_32_bit_numbers_become_the_decimal_that_json_has(number, short):
    assert protobuf.shortest(number) == short
