"""Public samples of the two network servers: right values, or the right reason."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

import pytest

from roadtwin.errors import MessageRejectedError
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


@pytest.mark.parametrize("number", range(8))
def test_chirpstack_protobuf_is_rejected_by_name(number):
    generated = json.loads((SAMPLES / "chirpstack_v4_protobuf_generated.json").read_text())["messages"]

    with pytest.raises(MessageRejectedError) as caught:
        decoder().decode("application/a/device/d/event/up", bytes.fromhex(generated[number]["protobuf_hex"]), AT)

    assert caught.value.code == "chirpstack_protobuf"


@pytest.mark.parametrize("name", ["up_doc", "up_real_2022", "up_legacy_jsonv3"])
def test_chirpstack_v3_is_rejected_by_name(name):
    with pytest.raises(MessageRejectedError) as caught:
        decode_file(f"chirpstack_v3_{name}.json", "application/3/device/d/event/up")

    assert caught.value.code == "chirpstack_v3"


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
    stored = [m.get("result", m) for m in json.loads((SAMPLES / f"tts_v3_{name}.json").read_text())]

    messages = [decoder().decode("v3/app1/devices/dev1/up", json.dumps(m).encode(), AT) for m in stored]

    assert len({m.message_id for m in messages}) == 2
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
