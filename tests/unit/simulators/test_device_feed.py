"""What servers and gateways publish for the sensors: the same however it is cut, and what each fault does to it."""

import json
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime

import numpy as np
import pytest

from ingest.decode import open_decoder
from roadtwin.settings import Settings
from roadtwin.types import Clock, DeviceKey, Flag
from simulators.devices import device_feed
from simulators.devices.device_feed import DeviceFeed
from simulators.feed import FeedBlock
from simulators.instants import HOUR_US
from simulators.scenario import (
    BatteryDeath,
    CounterReset,
    DuplicateUplinks,
    GatewayClock,
    GatewayOutage,
    LateUplinks,
    Lora,
    PacketLoss,
    Scenario,
    SensorOutage,
)
from simulators.truth.truth import truth_of
from simulators.world import build_world

T0_US = round(datetime(2025, 1, 15, tzinfo=UTC).timestamp() * 1e6)
WINDOW = {"begins": "2025-01-15T06:00Z", "ends": "2025-01-15T18:00Z"}
BEGIN_US, END_US = T0_US + 6 * HOUR_US, T0_US + 18 * HOUR_US


@pytest.fixture(scope="module")
def world():
    return build_world(
        seed=11, length_km=15, start=datetime(2024, 9, 30, 22, tzinfo=UTC), device_count=60, scenario=scenario()
    )


def scenario(*faults, marshaler="json", confirmed_share=0.3):
    lora = Lora(chirpstack_marshaler=marshaler, confirmed_share=confirmed_share)
    return Scenario(name="made-up", title="t", title_de="t", summary="s", lora=lora, fault=faults)


def feed_of(world, *faults, **options):
    return DeviceFeed(truth_of(replace(world, scenario=scenario(*faults, **options), kept={})))


@pytest.fixture(scope="module")
def usual(world):
    return feed_of(world).block(T0_US, T0_US + 24 * HOUR_US)


def same(a, b):
    return (a.publish_us.tolist(), a.topics, a.payloads) == (b.publish_us.tolist(), b.topics, b.payloads)


def rows(block):
    return set(zip(block.publish_us.tolist(), block.topics, block.payloads, strict=True))


def without_counters(block, begin_us, end_us):
    """What is published in a window, but for counters: those go on from what was sent before."""
    counters = {"fCnt", "f_cnt"}

    def plain(value):
        if isinstance(value, dict):
            return {key: plain(member) for key, member in value.items() if key not in counters}
        return value

    window = block.window(begin_us, end_us)
    return [
        (us, topic, plain(json.loads(p)))
        for us, topic, p in zip(window.publish_us.tolist(), window.topics, window.payloads, strict=True)
    ]


EVERYTHING = (
    SensorOutage(share=0.2, **WINDOW),
    PacketLoss(probability=0.2, **WINDOW),
    CounterReset(per_day=2, share=0.5),
    LateUplinks(uplinks=0.2, up_to_h=5, **WINDOW),
    DuplicateUplinks(uplinks=0.2, **WINDOW),
    GatewayOutage(share=0.3, **WINDOW),
    GatewayClock(share=0.5, offset_s=-50_000, drift_s_per_day=400, **WINDOW),
    BatteryDeath(share=0.2, days=3, **WINDOW),
)


@pytest.mark.parametrize("marshaler", ["json", "protobuf"])
def test_the_feed_is_the_same_however_it_is_cut_and_in_whatever_order(world, marshaler, monkeypatch):
    whole = feed_of(world, *EVERYTHING, marshaler=marshaler).block(T0_US, T0_US + 14 * HOUR_US)
    monkeypatch.setattr(device_feed, "_UPLINKS_A_PART", 200)  # other parts inside, too
    feed = feed_of(world, *EVERYTHING, marshaler=marshaler)
    cuts = [0, 7 * 60_000_001, 5 * HOUR_US, 5 * HOUR_US + 1, 9 * HOUR_US + 17, 12 * HOUR_US, 14 * HOUR_US]

    parts = {}
    for i in (3, 0, 5, 1, 4, 2):
        parts[i] = feed.block(T0_US + cuts[i], T0_US + cuts[i + 1])

    assert same(FeedBlock.merged(parts[i] for i in range(6)), whole)
    assert len(whole) > 700
    assert (np.diff(whole.publish_us) >= 0).all()


def test_nothing_is_published_before_the_world_begins(world):
    epoch_us = world.day_bounds_us(world.epoch)[0]
    feed = feed_of(world)
    assert len(feed.block(epoch_us - 48 * HOUR_US, epoch_us)) == 0
    assert len(feed.block(epoch_us, epoch_us + HOUR_US)) > 20


def test_a_silent_device_goes_on_with_its_counter(world, usual):
    faulty = feed_of(world, SensorOutage(devices="decentlab", share=0.6, **WINDOW)).block(T0_US, T0_US + 24 * HOUR_US)

    silent = {t for t in usual.topics if t.endswith("/up")} - {
        t for t in faulty.window(BEGIN_US + 60_000_000, END_US).topics if t.endswith("/up")
    }
    profiles = {device.device: device.kind.profile_name for device in world.devices}
    assert {profiles[topic.split("/")[3]].split("-")[0] for topic in silent} == {"decentlab"}
    assert 0 < len(silent) < sum(device.kind.codec.startswith("decentlab/") for device in world.devices)
    assert same(faulty.window(T0_US, BEGIN_US), usual.window(T0_US, BEGIN_US))
    after = END_US + 120_000_000
    assert without_counters(faulty, after, 2**62) == without_counters(usual, after, 2**62)
    assert rows(faulty.window(BEGIN_US + 120_000_000, END_US)) < rows(usual.window(BEGIN_US + 120_000_000, END_US))
    for topic in silent:
        counters = [
            counter_of(json.loads(payload))
            for payload, own in zip(faulty.payloads, faulty.topics, strict=True)
            if own == topic
        ]
        assert max(np.diff(counters), default=1) <= 3  # no gap but of lost frames


def counter_of(event):
    return event["uplink_message"].get("f_cnt", 0) if "uplink_message" in event else event["fCnt"]


def test_packets_get_lost(world, usual):
    fault = PacketLoss(probability=0.4, **WINDOW)
    faulty = feed_of(world, fault, confirmed_share=0.0).block(T0_US, T0_US + 24 * HOUR_US)
    usual = feed_of(world, confirmed_share=0.0).block(T0_US, T0_US + 24 * HOUR_US)

    inside = [block.window(BEGIN_US + HOUR_US, END_US - HOUR_US) for block in (usual, faulty)]
    assert rows(inside[1]) < rows(inside[0])
    assert len(inside[1]) / len(inside[0]) == pytest.approx(0.6, abs=0.07)  # about 800 messages: 4 σ
    late = END_US + 60_000_000
    assert same(faulty.window(late, 2**62), usual.window(late, 2**62))
    assert same(faulty.window(0, BEGIN_US), usual.window(0, BEGIN_US))


def test_devices_that_start_anew_count_from_zero_in_the_same_session(world, usual):
    faulty = feed_of(world, CounterReset(per_day=6, **WINDOW)).block(T0_US, T0_US + 24 * HOUR_US)

    assert same(faulty.window(0, BEGIN_US), usual.window(0, BEGIN_US))
    ups = [json.loads(p) for t, p in zip(faulty.topics, faulty.payloads, strict=True) if t.endswith("event/up")]
    first, last, addresses, zeros = {}, {}, {}, Counter()
    for event in ups:
        device = event["deviceInfo"]["devEui"]
        first.setdefault(device, event["fCnt"])
        last[device] = event["fCnt"]
        addresses.setdefault(device, set()).add(event["devAddr"])
        zeros[device] += event["fCnt"] == 0
    assert sum(last[device] < first[device] for device in first) > 0.8 * len(first)
    usual_ups = [json.loads(p) for t, p in zip(usual.topics, usual.payloads, strict=True) if t.endswith("event/up")]
    assert set.union(*addresses.values()) == {event["devAddr"] for event in usual_ups}  # nobody joined for that
    assert zeros.total() > len(first)
    # Their counters are not checked, so a repeated frame is no warning but an uplink again, with an id of its own.
    logs = [[t for t in block.window(BEGIN_US, END_US).topics if t.endswith("/log")] for block in (usual, faulty)]
    assert len(logs[0]) > len(logs[1]) == 0
    assert len({event["deduplicationId"] for event in ups}) < len(ups)  # the bridge's duplicates
    told = Counter((e["deviceInfo"]["devEui"], e["fCnt"], e["deduplicationId"], e["data"]) for e in ups)
    assert len(told) > len({key[:2] + key[3:] for key in told})


def test_late_uplinks_come_hours_later_and_unchanged(world, usual):
    fault = LateUplinks(uplinks=0.3, up_to_h=10, **WINDOW)
    faulty = feed_of(world, fault).block(T0_US, T0_US + 40 * HOUR_US)
    usual = feed_of(world).block(T0_US, T0_US + 40 * HOUR_US)

    messages = zip(usual.publish_us.tolist(), usual.topics, usual.payloads, strict=True)
    sent = {(topic, payload): us for us, topic, payload in reversed(list(messages))}  # the first of duplicates
    delays_h = np.array(
        [
            (us - sent[topic, payload]) / HOUR_US
            for us, topic, payload in zip(faulty.publish_us.tolist(), faulty.topics, faulty.payloads, strict=True)
        ]
    )
    assert len(faulty) == len(usual)
    assert delays_h.max() < 10.01
    late = (delays_h > 0.1).sum() / len(usual.window(BEGIN_US, END_US))
    assert late == pytest.approx(0.3, abs=0.06)
    assert same(faulty.window(0, BEGIN_US), usual.window(0, BEGIN_US))
    assert (
        faulty.window(END_US, END_US + 10 * HOUR_US).publish_us.size
        > usual.window(END_US, END_US + 10 * HOUR_US).publish_us.size
    )
    done = END_US + 10 * HOUR_US + 60_000_000
    assert same(faulty.window(done, 2**62), usual.window(done, 2**62))


def test_duplicates_are_the_same_bytes_again(world, usual):
    faulty = feed_of(world, DuplicateUplinks(uplinks=0.3, **WINDOW)).block(T0_US, T0_US + 24 * HOUR_US)

    extra = Counter(zip(faulty.topics, faulty.payloads, strict=True)) - Counter(
        zip(usual.topics, usual.payloads, strict=True)
    )
    ups = [t for t in usual.window(BEGIN_US, END_US).topics if not t.endswith(("status", "log", "join"))]
    assert set(extra.values()) == {1}
    assert extra.total() / len(ups) == pytest.approx(0.3, abs=0.06)
    assert same(faulty.window(0, BEGIN_US), usual.window(0, BEGIN_US))


def test_gateways_that_are_off_appear_in_no_reception(world, usual):
    faulty = feed_of(world, GatewayOutage(share=0.5, **WINDOW)).block(T0_US, T0_US + 24 * HOUR_US)

    def gateways(block, begin_us, end_us):
        window = block.window(begin_us, end_us)
        events = [json.loads(p) for t, p in zip(window.topics, window.payloads, strict=True) if t.endswith("event/up")]
        return {rx["gatewayId"] for event in events for rx in event["rxInfo"]}

    inside = gateways(faulty, BEGIN_US + 60_000_000, END_US)
    assert 0 < len(inside) < len(gateways(usual, BEGIN_US + 60_000_000, END_US))
    assert gateways(faulty, END_US + 60_000_000, 2**62) == gateways(usual, END_US + 60_000_000, 2**62)
    assert same(faulty.window(0, BEGIN_US), usual.window(0, BEGIN_US))


def test_a_gateway_with_a_wrong_clock_makes_wrong_times_that_ingest_notices(world, usual, tmp_path):
    fault = GatewayClock(share=1.0, offset_s=7200.0, **WINDOW)
    faulty = feed_of(world, fault).block(T0_US, T0_US + 24 * HOUR_US)
    settings = Settings(data_dir=tmp_path, pseudonym_key="a key of many random bytes")
    decoder = open_decoder(
        settings, {DeviceKey(d.network_source, d.application, d.device): d.kind.profile_name for d in world.devices}
    )

    def decoded(block):
        return [decoder.decode(m.topic, m.payload, m.publish_at) for m in block if m.topic.endswith("event/up")]

    wrong = [m for m in decoded(faulty.window(BEGIN_US + 60_000_000, END_US)) if m.clock is Clock.GPS]
    assert len(wrong) > 200
    assert all(m.flags & Flag.SKEW for m in wrong)
    assert {round(m.clock_skew_s / 60) for m in wrong} == {120}
    # Without satellites a server takes no clock that is far from its own.
    assert any(m.clock is Clock.NETWORK_SERVER for m in decoded(usual))
    assert not any(m.flags & Flag.SKEW for m in decoded(usual))
    rest = END_US + 60_000_000
    assert same(faulty.window(rest, 2**62), usual.window(rest, 2**62))
    assert same(faulty.window(0, BEGIN_US), usual.window(0, BEGIN_US))


def test_a_dead_battery_silences_a_device_for_good(world, usual):
    faulty = feed_of(world, BatteryDeath(share=0.5, days=2, **WINDOW)).block(T0_US, T0_US + 24 * HOUR_US)

    alive = [
        {t.rsplit("/", 1)[0] for t in block.window(END_US + 120_000_000, 2**62).topics} for block in (usual, faulty)
    ]
    assert 0 < len(alive[1]) < 0.8 * len(alive[0])
    assert alive[1] < alive[0]
