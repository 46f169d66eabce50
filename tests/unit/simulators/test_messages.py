"""Messages by shape: what a network server sends, checked here without our own decoder."""

import base64
import json
import re
from collections import Counter, defaultdict
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest

from ingest import codecs
from roadtwin.errors import SimulationError
from roadtwin.records.senml import SenmlPack
from roadtwin.records.vehicle import WireVehicleReading
from simulators.devices.device_kinds import KINDS
from simulators.messages import messages
from simulators.scenario import BrokerOutage, Scenario

START = datetime(2025, 1, 14, 23, tzinfo=UTC)
END = START + timedelta(hours=30)


@pytest.fixture(scope="module")
def feed(small_world):
    return list(messages(small_world, start=START, end=END, additional_buses=2))


def of(feed, pattern):
    return [(m, json.loads(m.payload)) for m in feed if re.fullmatch(pattern, m.topic)]


def test_the_feed_does_not_depend_on_how_it_is_cut(small_world, feed):
    cuts = [START, START + timedelta(minutes=7, seconds=3), START + timedelta(hours=11.3), END]

    parts = [
        message for a, b in pairwise(cuts) for message in messages(small_world, start=a, end=b, additional_buses=2)
    ]

    assert parts == feed


def test_messages_come_in_the_order_of_publication(feed):
    times = [message.publish_at for message in feed]

    assert times == sorted(times)
    assert START <= times[0] <= times[-1] < END


def test_a_chirpstack_uplink_has_every_field_that_the_server_sends(feed):
    uplinks = of(feed, r"application/[0-9a-f-]{36}/device/[0-9a-f]{16}/event/up")
    assert len(uplinks) > 500
    for message, event in uplinks:
        assert list(event) == [
            "deduplicationId", "time", "deviceInfo", "devAddr", "adr", "dr", "fCnt", "fPort", "confirmed", "data",
            "rxInfo", "txInfo", "regionConfigId",
        ]  # fmt: skip
        info = event["deviceInfo"]
        assert set(info) == {
            "tenantId", "tenantName", "applicationId", "applicationName", "deviceProfileId", "deviceProfileName",
            "deviceName", "devEui", "deviceClassEnabled", "tags",
        }  # fmt: skip
        assert message.topic == f"application/{info['applicationId']}/device/{info['devEui']}/event/up"
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}\+00:00", event["time"])
        assert re.fullmatch(r"[0-9a-f]{8}", event["devAddr"])
        spreading = event["txInfo"]["modulation"]["lora"]["spreadingFactor"]
        assert event["dr"] == 12 - spreading
        for reception in event["rxInfo"]:
            assert -125 <= reception["rssi"] <= -20
            assert reception.get("snr") != 0  # protobuf JSON leaves nested zeros out
            assert reception.get("channel") != 0
            if "timeSinceGpsEpoch" in reception:
                gps = float(reception["timeSinceGpsEpoch"].removesuffix("s"))
                gateway_time = datetime.fromisoformat(reception["gwTime"]).timestamp()
                assert gps == pytest.approx(gateway_time - 315_964_800 + 18, abs=0.011)  # its host has NTP


def test_frames_are_heard_by_several_gateways_and_some_are_lost(feed):
    uplinks = of(feed, r"application/.*/event/up")
    heard = Counter(len(event["rxInfo"]) for _, event in uplinks)
    frames = defaultdict(set)
    for _, event in uplinks:
        frames[event["deviceInfo"]["devEui"]].add((event["devAddr"], event["fCnt"]))

    assert sum(n for count, n in heard.items() if count > 1) > 0.3 * len(uplinks)
    lost = 0
    for seen in frames.values():
        for address in {a for a, _ in seen}:
            counters = {f for a, f in seen if a == address}
            lost += max(counters) - min(counters) + 1 - len(counters)
    assert 0 < lost < 0.06 * len(uplinks)


def test_some_uplinks_are_published_twice_byte_for_byte(small_world):
    week = messages(small_world, start=START, end=START + timedelta(days=3))
    payloads = Counter(m.payload for m in week if m.topic.endswith("/up"))

    again = sum(count == 2 for count in payloads.values())
    assert 0 < again < 0.01 * len(payloads)
    assert max(payloads.values()) == 2


def test_payloads_are_those_of_the_device_s_model(feed):
    kinds = {kind.profile_name: kind for kind in KINDS}
    seen = set()
    for _, event in of(feed, r"application/.*/event/up"):
        kind = kinds[event["deviceInfo"]["deviceProfileName"]]
        (frame,) = codecs.find(kind.codec).decode(event["fPort"], base64.b64decode(event["data"]))
        assert {field.name for field in kind.measured} <= set(frame.fields)
        assert event["fPort"] == kind.f_port
        seen.add(kind.short)
    assert len(seen) > 6


def test_a_things_stack_uplink_has_the_members_of_its_documentation(feed):
    uplinks = of(feed, r"v3/[a-z-]+@[a-z-]+/devices/[a-z0-9-]+/up")
    assert len(uplinks) > 50
    for message, up in uplinks:
        uplink = up["uplink_message"]
        assert message.topic.split("/")[3] == up["end_device_ids"]["device_id"]
        assert message.topic.split("/")[1].split("@")[0] == up["end_device_ids"]["application_ids"]["application_id"]
        assert re.fullmatch(r"[0-9A-F]{16}", up["end_device_ids"]["dev_eui"])
        assert isinstance(uplink["settings"]["frequency"], str)
        assert uplink.get("f_cnt") != 0  # empty values are left out
        assert re.fullmatch(r"gs:uplink:[0-9A-HJKMNP-TV-Z]{26}", up["correlation_ids"][0])
        assert uplink["received_at"] < up["received_at"]
        assert uplink["rx_metadata"]
        assert base64.b64decode(uplink["frm_payload"])


def test_senml_packs_are_packs_of_rfc_8428(feed):
    packs = [m for m in feed if m.topic.startswith("roadtwin/v1/sensors/")]
    assert packs
    for message in packs:
        first, *_ = msgspec.json.decode(message.payload, type=SenmlPack)
        assert first.bn == f"{message.topic.split('/')[3]}/"
        assert first.bt > 1e9


def test_vehicles_send_a_valid_reading_every_ten_metres_also_when_they_see_nothing(feed):
    readings = [
        (m, msgspec.json.decode(m.payload, type=WireVehicleReading))
        for m in feed
        if m.topic.startswith("roadtwin/v1/vehicles/")
    ]
    assert len(readings) > 500
    nothing = sum(not reading.detections for _, reading in readings)
    assert 0.5 < nothing / len(readings) < 0.99
    assert len({reading.event_id for _, reading in readings}) == len(readings)
    for message, reading in readings:
        assert message.topic.split("/")[3] not in message.payload.decode()  # the vehicle stands in the topic only
        assert reading.observed_at < message.publish_at
        assert reading.imu is not None


def test_a_device_tells_its_status_daily_and_counts_from_zero_after_a_join(small_world):
    feed = list(messages(small_world, start=START, end=START + timedelta(days=12)))
    status = [message for message in feed if message.topic.endswith("event/status")]
    joined = next(message for message in feed if message.topic.endswith("event/join"))
    uplinks = [m for m in feed if m.topic == f"{joined.topic.removesuffix('join')}up"]
    after = [json.loads(m.payload) for m in uplinks if m.publish_at > joined.publish_at]

    # It rides on one of the day's uplinks, of which a few are lost.
    asked = 12 * sum(device.network_source == "chirpstack-v4" for device in small_world.devices)
    assert 0.94 * asked < len(status) <= asked
    assert after[0]["fCnt"] <= 3  # the first frames may be lost
    assert {event["devAddr"] for event in after} == {json.loads(joined.payload)["devAddr"]}


def test_what_is_due_while_the_broker_is_away_comes_in_a_burst_afterwards(small_world, feed):
    begin, end = START + timedelta(hours=10), START + timedelta(hours=13)
    outage = BrokerOutage(begins=begin.isoformat(), ends=end.isoformat())
    made = Scenario(name="made-up", title="t", title_de="t", summary="s", fault=(outage,))
    world = replace(small_world, scenario=made)  # the same truth: a broker changes nothing of it
    first, last = begin - timedelta(hours=1), end + timedelta(hours=2)
    cuts = [first, begin + timedelta(hours=1), end, end + timedelta(seconds=4.2), last]

    parts = [m for a, b in pairwise(cuts) for m in messages(world, start=a, end=b, additional_buses=2)]
    whole = list(messages(world, start=first, end=last, additional_buses=2))
    feed = [message for message in feed if first <= message.publish_at < last]

    assert parts == whole
    assert not any(begin <= message.publish_at < end for message in whole)
    due = [message for message in feed if begin <= message.publish_at < end]
    burst = end + (end - begin) / 1000
    expected = [
        replace(
            message,
            publish_at=end + timedelta(microseconds=(message.publish_at - begin) // timedelta(microseconds=1000)),
        )
        for message in due
    ]
    assert {(m.topic, m.payload, m.publish_at) for m in expected} <= {(m.topic, m.payload, m.publish_at) for m in whole}
    others = [m for m in feed if not begin <= m.publish_at < end]
    assert sorted(m.payload for m in whole) == sorted([m.payload for m in others] + [m.payload for m in due])
    assert [m for m in whole if m.publish_at >= burst] == [m for m in feed if m.publish_at >= burst]
    assert [m.publish_at for m in whole] == sorted(m.publish_at for m in whole)


def test_a_broker_that_never_comes_back_gets_nothing(small_world):
    outage = BrokerOutage(begins=(START + timedelta(hours=1)).isoformat())
    world = replace(
        small_world, scenario=Scenario(name="made-up", title="t", title_de="t", summary="s", fault=(outage,))
    )
    times = [m.publish_at for m in messages(world, start=START, end=START + timedelta(hours=3))]
    assert START <= times[0] <= times[-1] < START + timedelta(hours=1)


def test_additional_buses_make_the_feed_livelier_day_and_night(small_world):
    night = START + timedelta(hours=2)
    quiet = list(messages(small_world, start=night, end=night + timedelta(minutes=30)))
    lively = list(messages(small_world, start=night, end=night + timedelta(minutes=30), additional_buses=6))

    assert set(quiet) < set(lively)
    assert 0.25 < (len(lively) - len(quiet)) / 1800 / 6 < 1.0


@pytest.mark.parametrize("buses", [-1, 2001])
def test_an_impossible_number_of_buses_is_refused(small_world, buses):
    with pytest.raises(SimulationError, match="Additional buses"):
        next(messages(small_world, start=START, end=END, additional_buses=buses))
