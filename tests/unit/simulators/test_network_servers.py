"""The bytes of network servers, read by others than us: ChirpStack's own protobuf classes, real messages of The Things
Stack, and our codecs."""

import base64
import json
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from chirpstack_api.integration import integration_pb2
from google.protobuf import json_format

from ingest import codecs
from ingest.formats import chirpstack_v4_protobuf
from roadtwin.records.senml import SenmlPack
from simulators.devices.device_feed import DeviceFeed
from simulators.instants import HOUR_US
from simulators.scenario import GatewayClock, Lora, Scenario
from simulators.truth.truth import truth_of
from simulators.world import build_world

T0_US = round(datetime(2025, 1, 15, tzinfo=UTC).timestamp() * 1e6)
SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared")
CLASSES = {
    "up": integration_pb2.UplinkEvent,
    "join": integration_pb2.JoinEvent,
    "status": integration_pb2.StatusEvent,
    "log": integration_pb2.LogEvent,
}


@pytest.fixture(scope="module")
def world():
    return build_world(seed=11, length_km=15, start=datetime(2024, 9, 30, 22, tzinfo=UTC), device_count=120)


def feed_of(world, marshaler, hours=8):
    """All kinds of events: confirmed devices, wrong clocks, and days on which somebody joins."""
    clocks = GatewayClock(share=0.4, offset_s=-400_000_000, begins="2025-01-15T04:00Z")
    made = Scenario(
        name="made-up", title="t", title_de="t", summary="s", fault=(clocks,),
        lora=Lora(chirpstack_marshaler=marshaler, confirmed_share=0.4),
    )  # fmt: skip
    return DeviceFeed(truth_of(replace(world, scenario=made, kept={}))).block(T0_US, T0_US + hours * HOUR_US)


@pytest.fixture(scope="module")
def in_json(world):
    return feed_of(world, "json")


@pytest.fixture(scope="module")
def in_protobuf(world):
    return feed_of(world, "protobuf")


def events(block):
    """Kind and bytes of ChirpStack's events."""
    pairs = zip(block.topics, block.payloads, strict=True)
    return [(t.rsplit("/", 1)[-1], p) for t, p in pairs if t.startswith("application/")]


def test_chirpstacks_own_classes_read_the_json_and_the_protobuf_as_the_same(in_json, in_protobuf):
    """`json_format.Parse` refuses members that ChirpStack does not know and values of another kind."""
    assert in_json.topics == in_protobuf.topics
    assert in_json.publish_us.tolist() == in_protobuf.publish_us.tolist()
    kinds = set()
    for (kind, text), (_, octets) in zip(events(in_json), events(in_protobuf), strict=True):
        from_json = json_format.Parse(text, CLASSES[kind]())
        from_protobuf = CLASSES[kind].FromString(octets)
        assert from_json == from_protobuf
        assert from_protobuf.SerializeToString(deterministic=True) == octets  # no field twice, none in vain
        assert octets == chirpstack_v4_protobuf.encode(kind, json.loads(text))
        kinds.add(kind)
    assert kinds >= {"up", "status", "log"}


def test_joins_are_events_of_chirpstack_and_messages_of_the_things_stack():
    start = datetime(2025, 1, 14, 22, tzinfo=UTC)
    feed = feed_of(build_world(seed=11, length_km=15, start=start, device_count=45), "protobuf", hours=14 * 24)

    joins = [(t, p) for t, p in zip(feed.topics, feed.payloads, strict=True) if t.endswith("/join")]
    of_chirpstack = [p for t, p in joins if t.startswith("application/")]
    of_tts = [json.loads(p) for t, p in joins if t.startswith("v3/")]
    assert min(len(of_chirpstack), len(of_tts)) > 0
    for payload in of_chirpstack:
        event = integration_pb2.JoinEvent.FromString(payload)
        assert re.fullmatch("[0-9a-f]{8}", event.dev_addr)
        assert event.SerializeToString(deterministic=True) == payload
    for message in of_tts:
        assert set(message) == {"end_device_ids", "correlation_ids", "received_at", "join_accept"}
        assert message["join_accept"]["received_at"] < message["received_at"]


def test_chirpstack_writes_zeros_of_an_event_and_none_of_what_is_in_it(in_json):
    """As since 2022-12 of ChirpStack: scalars of the event are always there, in nested messages no zero is."""
    always = {"deduplicationId", "time", "devAddr", "adr", "dr", "fCnt", "fPort", "confirmed", "data", "regionConfigId"}
    ups = [json.loads(payload) for kind, payload in events(in_json) if kind == "up"]
    channels = set()
    for event in ups:
        assert always < set(event)
        for reception in event["rxInfo"]:
            assert all(value not in (0, "", None) for value in reception.values())
            channels.add(reception.get("channel", 0))
            assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", reception["nsTime"])
            assert re.fullmatch(r"\d{9,10}\.\d{9}s", reception.get("timeSinceGpsEpoch", "1000000000.000000000s"))
            assert 0 < reception["uplinkId"] < 2**32
            assert len(base64.b64decode(reception["context"], validate=True)) == 4
    assert channels == set(range(8))
    assert {event["confirmed"] for event in ups} == {False, True}
    assert any(reception["nsTime"] == event["time"] for event in ups for reception in event["rxInfo"])


def test_uplinks_carry_what_the_devices_codec_reads(world, in_json):
    kinds = {device.device: device.kind for device in world.devices}
    seen = set()
    for topic, payload in zip(in_json.topics, in_json.payloads, strict=True):
        if not topic.endswith("/up"):
            continue
        event = json.loads(payload)
        kind = kinds[topic.split("/")[3]]
        uplink = event.get("uplink_message", event)
        data = base64.b64decode(uplink.get("frm_payload") or uplink["data"], validate=True)
        assert uplink.get("f_port") or uplink["fPort"] == kind.f_port
        (frame,) = codecs.find(kind.codec).decode(kind.f_port, data)
        assert frame.fields
        seen.add(kind.profile_name)
    assert len(seen) == 10


def members(value, path=""):
    """Every path of an object with the type of what stands there."""
    if isinstance(value, dict):
        for key, member in value.items():
            yield from members(member, f"{path}.{key}")
    elif isinstance(value, list):
        for member in value:
            yield from members(member, f"{path}[]")
    else:
        yield path, float if isinstance(value, int) and not isinstance(value, bool) else type(value)


DOCUMENTED = {
    # In the documentation of the data formats, but in none of the sample messages.
    ".uplink_message.settings.data_rate.lora.coding_rate": str,
    ".uplink_message.confirmed": bool,
    ".uplink_message.rx_metadata[].gps_time": str,
    ".uplink_message.rx_metadata[].received_at": str,
    ".uplink_message.rx_metadata[].location.latitude": float,
    ".uplink_message.rx_metadata[].location.longitude": float,
    ".uplink_message.rx_metadata[].location.altitude": float,
    ".uplink_message.rx_metadata[].location.source": str,
}


@pytest.mark.skipif(not (SHARED / "samples").is_dir(), reason="needs ../shared/samples")
def test_things_stack_messages_have_only_members_that_real_ones_have(in_json):
    known = dict(DOCUMENTED)
    for file in sorted((SHARED / "samples").glob("tts_v3_*.json")):
        sample = json.loads(file.read_text("utf-8"))
        for message in sample if isinstance(sample, list) else [sample]:
            known |= dict(members(message.get("result", message)))
    ours = [json.loads(p) for t, p in zip(in_json.topics, in_json.payloads, strict=True) if t.startswith("v3/")]
    assert len(ours) > 20
    for message in ours:
        for path, kind in members(message):
            assert known.get(path) is kind, path


def test_things_stack_leaves_empty_values_out_and_counts_on(in_json):
    ours = [json.loads(p) for t, p in zip(in_json.topics, in_json.payloads, strict=True) if t.startswith("v3/")]
    for message in ours:
        uplink = message["uplink_message"]
        assert all(value not in (0, "", None, False) for _, value in leaves(message))
        assert isinstance(uplink["settings"]["frequency"], str)
        assert re.fullmatch(r"\d\.\d{6}s", uplink["consumed_airtime"])
        assert uplink["received_at"] < message["received_at"]
        assert 0 < uplink["settings"]["timestamp"] < 2**32
        assert len(base64.b64decode(uplink["session_key_id"], validate=True)) == 16
    assert any("time" not in rx for message in ours for rx in message["uplink_message"]["rx_metadata"])


def leaves(value):
    if isinstance(value, dict):
        for key, member in value.items():
            if isinstance(member, dict | list):
                yield from leaves(member)
            else:
                yield key, member
    elif isinstance(value, list):
        for member in value:
            yield from leaves(member)


def test_generic_gateways_send_packs_whose_clock_drifts(world):
    feed = DeviceFeed(truth_of(replace(world, kept={}))).block(T0_US, T0_US + 8 * 24 * HOUR_US)
    ages_s, seen = [], set()
    for us, topic, payload in zip(feed.publish_us.tolist(), feed.topics, feed.payloads, strict=True):
        if topic.startswith("roadtwin/v1/sensors/") and payload not in seen:
            seen.add(payload)  # some are published again later
            first, *_ = msgspec.json.decode(payload, type=SenmlPack)
            assert first.bn == f"{topic.split('/')[3]}/"
            ages_s.append(us / 1e6 - first.bt)
    # Sent 0.4 to 2.2 s after they were taken, by a clock that is up to 15 ppm · 7 d = 9.1 s off.
    assert -8.8 < min(ages_s) < 0
    assert 3 < max(ages_s) < 11.4
