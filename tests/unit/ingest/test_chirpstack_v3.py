"""ChirpStack v3: one event in protobuf, JSON and "JSON v3" gives one envelope; v3 and v4 are told apart."""

import base64
import json
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from google.protobuf import json_format

from ingest.formats import chirpstack_v4_protobuf
from ingest.formats.chirpstack_v3 import KINDS
from ingest.formats.chirpstack_v3_messages import EVENT_CLASSES
from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, DeviceKey, Flag, Reception
from tests.samples import DEV_EUI, NOW, chirpstack, decoder, encoded

TOPIC = f"application/12/device/{DEV_EUI}/event/"
DECODED = {"surface_temperature": -1.5, "humidity": 91}


def b64(digits: str) -> str:
    return base64.b64encode(bytes.fromhex(digits)).decode()


def event(**changes: Any) -> dict[str, Any]:
    """An uplink as the JSON marshaler writes it: EUIs in base64."""
    members: dict[str, Any] = {
        "applicationID": "12",
        "applicationName": "roads",
        "deviceName": "Bridge 4",
        "deviceProfileName": "surface-temperature",
        "devEUI": b64(DEV_EUI),
        "rxInfo": [
            {
                "gatewayID": b64("0016c001f1000001"),
                "time": "2026-03-10T11:59:58.123456789Z",
                "timeSinceGPSEpoch": None,
                "rssi": -97,
                "loRaSNR": 4.5,
                "location": {"latitude": 0, "longitude": 0, "altitude": 0},
                "uplinkID": b64("aa" * 16),
            },
            {"gatewayID": b64("0016c001f1000002"), "time": None, "rssi": -110, "loRaSNR": -2.25},
        ],
        "txInfo": {"frequency": 868100000, "modulation": "LORA", "loRaModulationInfo": {"bandwidth": 125}},
        "adr": True,
        "dr": 5,
        "fCnt": 17,
        "fPort": 2,
        "data": "AQID",
        "objectJSON": json.dumps(DECODED),
        "tags": {},
        "confirmedUplink": True,
        "devAddr": b64("01ab23cd"),
        "publishedAt": "2026-03-10T11:59:58.623456789Z",
    }
    return {key: value for key, value in (members | changes).items() if value is not None}


def other(**members: Any) -> dict[str, Any]:
    up = event()
    return {key: up[key] for key in ("applicationID", "deviceName", "devEUI", "publishedAt")} | members


def in_json_v3(members: dict[str, Any]) -> dict[str, Any]:
    """The older marshaler: EUIs in hexadecimal digits, the object as an object."""
    told = json.loads(json.dumps(members))
    told["devEUI"] = base64.b64decode(told["devEUI"]).hex()
    for rx in told.get("rxInfo", []):
        rx["gatewayID"] = base64.b64decode(rx["gatewayID"]).hex()
    if "objectJSON" in told:
        told["object"] = json.loads(told.pop("objectJSON"))
    return told


def in_protobuf(kind: str, members: dict[str, Any]) -> bytes:
    message = EVENT_CLASSES[kind]()
    json_format.ParseDict(members, message)
    return message.SerializeToString()


def decode(payload, kind="up", at=NOW, **options):
    payload = payload if isinstance(payload, bytes) else encoded(payload)
    return decoder(**options).decode(TOPIC + kind, payload, at)


def test_an_uplink_becomes_an_envelope():
    message = decode(event())

    assert message.device == DeviceKey("chirpstack-v3", "12", DEV_EUI)
    assert (message.format, message.event_kind, message.f_cnt, message.f_port) == ("chirpstack-v3-json", "up", 17, 2)
    assert message.event_at == datetime(2026, 3, 10, 11, 59, 58, 123456, tzinfo=UTC)
    assert (message.clock, message.clock_skew_s, message.flags) == (Clock.GATEWAY, -0.5, Flag.NONE)
    assert message.receptions == (
        Reception("0016c001f1000001", -97, 4.5, -0.5),
        Reception("0016c001f1000002", -110, -2.25, None),
    )
    assert {o.quantity: o.value for o in message.observations} == {"surface_temp_c": -1.5, "humidity_pct": 91}
    assert message.details["data_rate"] == 5
    assert message.details["confirmed"] is True


def test_the_three_encodings_of_an_uplink_give_one_envelope():
    one = decode(event())
    for payload, name in ((encoded(in_json_v3(event())), "json"), (in_protobuf("up", event()), "protobuf")):
        message = decode(payload)
        assert message.format == f"chirpstack-v3-{name}"
        assert msgspec.structs.replace(message, format=one.format, payload=one.payload) == one


OTHERS = {
    "join": ({"devAddr": b64("01ab23cd")}, {"dev_addr": "01ab23cd"}),
    "ack": ({"acknowledged": True, "fCnt": 3}, {"acknowledged": True, "f_cnt_down": 3}),
    "error": ({"type": "UPLINK_MIC", "error": "bad", "fCnt": 2}, {"code": "UPLINK_MIC", "description": "bad"}),
    "status": ({"margin": 7, "batteryLevel": 88.5}, {"margin_db": 7, "battery_pct": 88.5}),
    "location": (
        {"location": {"latitude": 51.4, "longitude": 7.0}},
        {"location": {"lon": 7, "lat": 51.4, "altitude_m": 0}},
    ),
    "txack": ({"fCnt": 9, "gatewayID": b64("0016c001f1000001")}, {"f_cnt_down": 9, "gateway_id": "0016c001f1000001"}),
    "integration": ({"integrationName": "loracloud", "eventType": "x"}, {"event_type": "x"}),
}  # fmt: skip


@pytest.mark.parametrize("kind", OTHERS)
def test_every_other_event_is_recorded_as_what_it_is_in_json_and_protobuf(kind):
    members, details = OTHERS[kind]
    one, other_one = decode(other(**members), kind), decode(in_protobuf(kind, other(**members)), kind)

    assert one.event_kind == other_one.event_kind == kind
    assert details.items() <= dict(one.details).items()
    assert msgspec.structs.replace(other_one, format=one.format, payload=one.payload) == one
    for renamed in (decode(other(**members), "renamed"), decode(in_protobuf(kind, other(**members)), "renamed")):
        assert renamed.event_kind == kind


def test_every_kind_of_the_documentation_is_known():
    assert set(KINDS) == {"up", *OTHERS} == set(EVENT_CLASSES)


@pytest.mark.parametrize("level", ["event/up", "rx"])
def test_old_and_new_topics_of_an_uplink(level):
    topic = f"application/12/device/{DEV_EUI}/{level}"

    assert decoder().decode(topic, encoded(event()), NOW).event_kind == "up"


@pytest.mark.parametrize(
    ("changes", "clock", "second"),
    [
        ({}, Clock.GATEWAY, 123456),
        ({"rxInfo": []}, Clock.APPLICATION_SERVER, 623456),
        ({"rxInfo": [{"time": "2026-03-10T11:59:58.1Z", "timeSinceGPSEpoch": "1s"}]}, Clock.GPS, 100000),
        ({"rxInfo": [{"time": "1970-01-01T00:00:00Z"}]}, Clock.APPLICATION_SERVER, 623456),
        ({"rxInfo": None, "publishedAt": None}, Clock.ARRIVAL, None),
    ],
)
def test_the_time_is_a_gateways_else_the_servers_else_the_arrival(changes, clock, second):
    message = decode(event(**changes))

    assert message.clock is clock
    assert (message.event_at.microsecond if message.event_at else None) == second
    assert (Flag.CLOCK in message.flags) is (second is None)


def test_a_gateway_clock_far_from_the_server_is_flagged():
    message = decode(event(publishedAt="2026-03-10T11:59:27Z"))

    assert message.clock_skew_s == pytest.approx(31.123456)
    assert message.flags == Flag.SKEW
    assert {o.flags for o in message.observations} == {Flag.SKEW}


def test_without_any_time_uplinks_are_told_apart_by_their_receptions():
    rx = [{"gatewayID": b64("0016c001f1000001"), "uplinkID": b64("bb" * 16)}]
    one = event(publishedAt=None, rxInfo=[{"gatewayID": b64("0016c001f1000001"), "uplinkID": b64("aa" * 16)}])

    assert decode(one).message_id == decode(one, at=datetime(2026, 3, 11, tzinfo=UTC)).message_id
    assert decode(one).message_id != decode(one | {"rxInfo": rx}).message_id


def test_a_zero_location_is_no_location():
    assert decode(other(location={"latitude": 0, "longitude": 0}), "location").details == {"location": None}


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"data": "..."}, "invalid_field"),
        ({"devEUI": "xyz"}, "invalid_field"),
        ({"devEUI": "AQID"}, "invalid_field"),
        ({"applicationID": None}, "invalid_field"),
        ({"fPort": 256}, "invalid_field"),
        ({"objectJSON": "{"}, "invalid_json"),
        ({"objectJSON": '{"a": 1, "a": 2}'}, "duplicate_key"),
        ({"objectJSON": '{"a": NaN}'}, "invalid_json"),
    ],
)
def test_what_is_no_event_is_rejected(changes, code):
    with pytest.raises(MessageRejectedError) as caught:
        decode(event(**changes))

    assert caught.value.code == code


def test_members_that_tell_no_kind_are_rejected():
    for payload in (encoded(other()), in_protobuf("up", other())):
        with pytest.raises(MessageRejectedError) as caught:
            decode(payload, "renamed")
        assert caught.value.code == "unknown_event_kind"


def test_bytes_of_a_message_cut_off_are_rejected():
    with pytest.raises(MessageRejectedError) as caught:
        decode(in_protobuf("up", event())[:-1])

    assert caught.value.code in ("invalid_protobuf", "invalid_field")


def test_a_txack_of_v4_begins_like_v3_and_is_v4():
    for queue_item_id in ("", "12345678", "1bbcab1d-6ec6-4136-b3f5-d63be1dc08de"):
        members = {"downlinkId": 3, "deviceInfo": chirpstack()["deviceInfo"], "queueItemId": queue_item_id}
        payload = chirpstack_v4_protobuf.encode("txack", members)
        for kind in ("txack", "renamed"):
            assert decode(payload, kind).device.network_source == "chirpstack-v4"


def test_nothing_is_measured_on_port_0():
    message = decode(event(fPort=0))

    assert message.observations == ()
    assert "MAC" in message.details["not_measured"]
