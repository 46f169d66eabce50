"""Public samples of network servers and gateways: right values, or the right reason."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from roadtwin.errors import MessageRejectedError
from roadtwin.types import Clock, Flag, Reception
from tests.samples import decoder

SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared")
SAMPLES = SHARED / "samples"
AT = datetime(2026, 11, 22, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not SAMPLES.exists(), reason=f"{SAMPLES} is not there")


def decode_file(name, topic):
    return decoder().decode(topic, (SAMPLES / name).read_bytes(), AT)


def as_chirpstack(name, event):
    return decode_file(f"chirpstack_v4_{name}.json", f"application/a/device/d/event/{event}")


@pytest.mark.parametrize(
    ("name", "event", "device", "event_at", "f_cnt", "rssi"),
    [
        ("up", "up", "0101010101010101", "2022-07-18T09:34:15.775023+00:00", 0, -36),
        ("up_real_2024_confirmed", "up", "4bee530d29435bef", "2024-04-30T11:21:25.137745+00:00", 90, -22),
        ("up_real_2026", "up", "ac1f09fffe1acbd5", "2026-05-15T11:07:26.981566+00:00", 1, -99),
        ("status", "status", "0101010101010101", "2022-07-18T09:35:06.927172+00:00", None, None),
        ("join", "join", "0101010101010101", "2022-07-18T09:33:28.823500+00:00", None, None),
        ("ack", "ack", "0101010101010101", "2022-07-18T09:38:49.235700+00:00", None, None),
        ("txack", "txack", "0101010101010101", "2022-07-18T09:37:48.929184+00:00", None, None),
        ("log", "log", "0101010101010101", "2022-07-18T09:39:57.311414+00:00", None, None),
        ("location", "location", "0101010101010101", "2022-07-18T09:55:11.059481+00:00", None, None),
        ("integration", "integration", "0016c001f000175a", "2022-07-18T10:02:15.812284+00:00", None, None),
    ],
)
def test_chirpstack_events_are_read(name, event, device, event_at, f_cnt, rssi):
    for topic_kind in (event, "anything"):
        message = as_chirpstack(name, topic_kind)
        assert message.event_kind == event
        assert message.device.device == device
        assert message.event_at.isoformat() == event_at
        assert (message.f_cnt, message.best_rssi_dbm) == (f_cnt, rssi)
        assert [o.value for o in message.observations] == ([pytest.approx(88.3)] if event == "status" else [])


def test_chirpstack_protobuf_gives_what_the_json_of_the_same_event_gives():
    generated = json.loads((SAMPLES / "chirpstack_v4_protobuf_generated.json").read_text())["messages"]
    assert len(generated) == 8
    for sample in generated:
        kind = sample["json_sample"].removeprefix("chirpstack_v4_").removesuffix(".json").partition("_")[0]
        payload = bytes.fromhex(sample["protobuf_hex"])
        from_json = as_chirpstack(sample["json_sample"].removeprefix("chirpstack_v4_").removesuffix(".json"), kind)
        for level in (kind, "anything"):
            message = decoder().decode(f"application/a/device/d/event/{level}", payload, AT)
            assert message.format == "chirpstack-v4-protobuf"
            same = {"format": from_json.format, "payload": from_json.payload, "topic": from_json.topic}
            assert msgspec.structs.replace(message, **same) == from_json


def test_the_real_uplink_of_2026_is_read_to_its_last_value():
    message = as_chirpstack("up_real_2026", "up")

    assert message.device == ("chirpstack-v4", "f2839f47-fb92-449c-989b-0fe83f3d5ea7", "ac1f09fffe1acbd5")
    assert (message.clock, message.f_port, message.flags) == (Clock.GPS, 2, Flag.LATE)
    assert message.clock_skew_s == pytest.approx(0.620107)  # GPS time later than the server's
    (reception,) = message.receptions
    assert reception == Reception("0016c001f1237a90", -99, -3.0, pytest.approx(-0.380122))


@pytest.mark.parametrize("level", ["event/up", "rx"])
def test_a_real_chirpstack_v3_uplink_is_read(level):
    message = decode_file("chirpstack_v3_up_real_2022.json", f"application/3/device/506f980000012318/{level}")

    assert message.device == ("chirpstack-v3", "3", "506f980000012318")
    assert (message.format, message.event_kind, message.f_cnt, message.f_port) == ("chirpstack-v3-json", "up", 1, 2)
    assert message.event_at.isoformat() == "2022-08-17T07:49:50.328259+00:00"
    assert (message.clock, message.profile_name) == (Clock.APPLICATION_SERVER, "class_c_abp")
    assert message.receptions == (Reception("506f98000000015c", -33, 7.2, None),)
    assert message.details["confirmed"] is True


@pytest.mark.parametrize(
    ("name", "event_at", "gateway"),
    [
        ("up_doc", "2019-11-08T13:59:25.048445+00:00", Reception("0303030303030303", -48, 9)),
        ("up_legacy_jsonv3", "2016-11-25T16:24:37.295915+00:00", Reception("0303030303030303", -57, 10)),
    ],
)
def test_chirpstack_v3_documentation_is_refused_for_its_dots_and_read_with_data(name, event_at, gateway):
    topic = "application/123/device/0202020202020202/event/up"
    with pytest.raises(MessageRejectedError, match="data`: invalid base64") as caught:
        decode_file(f"chirpstack_v3_{name}.json", topic)
    assert caught.value.code == "invalid_field"

    event = json.loads((SAMPLES / f"chirpstack_v3_{name}.json").read_text()) | {"data": "AQ=="}
    message = decoder().decode(topic, json.dumps(event).encode(), AT)
    assert message.device == ("chirpstack-v3", "123", "0202020202020202")
    assert (message.event_at.isoformat(), message.clock, message.f_cnt) == (event_at, Clock.GATEWAY, 10)
    assert message.receptions == (gateway,)


OTHERS = {
    "actility_thingpark_up_2018_strings.json": ("mqtt/things/0018B20000000B20/uplink", "actility"),
    "actility_thingpark_up_2024.json": ("mqtt/things/0018B20000000BEE/uplink", "actility"),
    "loriot_rx.json": ("loriot/out", "loriot"),
    "helium_console_up.json": ("helium/7c523974/rx", "helium"),
    "multitech_lora_up.json": ("lora/32-35-31-39-5f-30-7f-0b/up", "multitech"),
    "milesight_gateway_urpacket.json": ("milesight/uplink", "milesight_gateway"),
    "ttn_v2_up_real_2020.json": ("icss_lora_tracker/devices/icspace23/up", "ttn_v2"),
    "ttn_v2_up_real_port0_null_payload.json": ("icss_lora_tracker/devices/icspace23/up", "ttn_v2"),
    "chirpstack_gateway_bridge_up.json": ("eu868/gateway/0016c001f153a14c/event/up", "chirpstack_gateway"),
    "chirpstack_gateway_bridge_stats.json": ("eu868/gateway/0016c001f153a14c/event/stats", "chirpstack_gateway"),
    "chirpstack_gateway_bridge_ack.json": ("eu868/gateway/0016c001f153a14c/event/ack", "chirpstack_gateway"),
    "basicstation_updf_real_2022.json": ("router/updf", "basics_station"),
    "semtech_udp_rxpk.json": ("udp", "semtech_udp"),
    "semtech_udp_stat.json": ("udp", "semtech_udp"),
}


@pytest.mark.parametrize("name", OTHERS)
def test_messages_of_other_servers_and_gateways_are_refused_by_name(name):
    own_topic, code = OTHERS[name]
    for topic in (own_topic, "application/1/device/2/event/up", "v3/app/devices/d/up", "any/topic"):
        with pytest.raises(MessageRejectedError) as caught:
            decode_file(name, topic)
        assert caught.value.code == f"unsupported_{code}", topic


def test_a_datagram_of_semtechs_forwarder_is_known_by_its_header():
    header = bytes.fromhex("02abcd00") + bytes(range(8))
    with pytest.raises(MessageRejectedError) as caught:
        decoder().decode("udp", header + (SAMPLES / "semtech_udp_stat.json").read_bytes(), AT)

    assert caught.value.code == "unsupported_semtech_udp"


def test_every_sample_is_covered_here():
    files = {path.name for path in SAMPLES.iterdir()}
    codecs = {"lorawan_codec_examples.json"}  # bytes and values of codecs, tested there
    here = {name for name in files if name.startswith(("chirpstack_v3", "chirpstack_v4", "tts_v3"))}

    assert files - codecs - here - {"README.md"} == set(OTHERS)


@pytest.mark.parametrize(
    ("name", "kind", "device", "event_at", "clock", "f_cnt"),
    [
        ("join_doc", "join", "dev1", None, "arrival", None),
        ("down_ack_doc", "down/ack", "dev1", None, "arrival", None),
        ("up_doc_mqtt", "up", "dev1", "2019-01-29T13:02:34.981000+00:00", "gateway", 0),
        ("up_doc_dataformats", "up", "dev1", "2020-02-12T15:15:45.789585+00:00", "network_server", 1),
        (
            "up_real_packetbroker",
            "up",
            "icspace26-ttnv3-abp-eu",
            "2021-05-07T01:03:52.291333+00:00",
            "network_server",
            715,
        ),
        (
            "up_real_no_gateway_time",
            "up",
            "eltlite-scott-6632",
            "2021-02-22T21:16:42.024314+00:00",
            "network_server",
            100,
        ),
    ],
)
def test_tts_messages_are_read(name, kind, device, event_at, clock, f_cnt):
    message = decode_file(f"tts_v3_{name}.json", f"v3/app1@tenant1/devices/dev1/{kind}")

    assert (message.event_kind, message.device.device, message.clock, message.f_cnt) == (kind, device, clock, f_cnt)
    assert (message.event_at.isoformat() if message.event_at else None) == event_at


@pytest.mark.parametrize("name", ["storage_api_ndjson", "storage_simulated"])
def test_tts_stored_messages_are_read_and_told_apart(name):
    stored = json.loads((SAMPLES / f"tts_v3_{name}.json").read_text())

    messages = [decoder().decode("v3/app1/devices/dev1/up", json.dumps(m).encode(), AT) for m in stored]

    assert len({m.message_id for m in messages}) == 2
    bare = [json.dumps(m.get("result", m)).encode() for m in stored]
    assert [decoder().decode("v3/app1/devices/dev1/up", b, AT).message_id for b in bare] == [
        m.message_id for m in messages
    ]
    assert all(m.event_at.year in (2020, 2021) and not m.observations for m in messages)


def test_the_broken_example_of_the_tts_documentation_is_rejected_as_broken_json():
    with pytest.raises(MessageRejectedError) as caught:
        decode_file("tts_v3_up_doc_dataformats.invalid.txt", "v3/app1@tenant1/devices/dev1/up")

    assert caught.value.code == "invalid_json"


def test_a_real_export_of_soil_sensor_and_tracker_gives_its_exact_counts():
    stored = json.loads((SHARED / "data" / "ttn_v3_soil" / "ttn_storage_uplinks.json").read_text())
    messages = []
    for wrapped in stored:
        result = wrapped["result"]
        if "decoded_payload" in result["uplink_message"]:
            result["uplink_message"]["version_ids"] = {"brand_id": "dragino", "model_id": "lse01"}
        messages.append(decoder().decode("v3/application-1@ttn/devices/d/up", json.dumps(result).encode(), AT))

    assert len({m.message_id for m in messages}) == 96
    assert sum(bool(m.observations) for m in messages) == 41
    assert sum(not m.observations for m in messages) == 55
    assert all(len(m.observations) == 4 for m in messages if m.observations)
