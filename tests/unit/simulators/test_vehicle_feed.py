"""The feed of the vehicles, and their faults: what each does, and that nothing else changes."""

import re
from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

import msgspec
import numpy as np
import pytest

from ingest.formats.vehicle import parse
from roadtwin.records.vehicle import WireVehicleReading
from simulators.history import simulate_history
from simulators.instants import DAY_US
from simulators.scenario import (
    BoxOffline,
    CameraUpdate,
    ClassConfusion,
    GnssBias,
    GnssNoise,
    Scenario,
    VehicleClock,
    VehicleOutage,
)
from simulators.truth.truth import Truth
from simulators.vehicles.readings import PlainPseudonyms
from simulators.vehicles.vehicle_faults import CAMERA_VERSION
from simulators.vehicles.vehicle_feed import VehicleFeed
from simulators.world import build_world

START = datetime(2024, 9, 30, 22, tzinfo=UTC)
TODAY = date(2024, 10, 21)  # a Monday
METRES = np.array([111_320 * np.cos(np.radians(51.45)), 111_320])


def us(at):
    return round(at.timestamp() * 1e6)


def world_with(*faults):
    scenario = Scenario(name="test", title="Test", title_de="Test", summary="A test.", fault=faults)
    return build_world(seed=3, length_km=15, start=START, scenario=scenario, today=TODAY)


class Feed:
    """Readings of a world by day after today, read back from their bytes."""

    def __init__(self, *faults, buses=0):
        self.world = world_with(*faults)
        self.feed = VehicleFeed(Truth(self.world), buses)
        self.begin_us = us(self.world.day_start(TODAY))

    def block(self, first, last):
        """Published from the midnight of day `first` to that of day `last`."""
        return self.feed.block(self.begin_us + round(first * DAY_US), self.begin_us + round(last * DAY_US))

    def readings(self, first, last):
        """(published [µs], vehicle, reading) of each."""
        block = self.block(first, last)
        return [
            (at, topic.split("/")[3], msgspec.json.decode(payload, type=WireVehicleReading))
            for at, topic, payload in zip(block.publish_us.tolist(), block.topics, block.payloads, strict=True)
        ]


@pytest.fixture(scope="module")
def ordinary():
    return Feed()


@pytest.fixture(scope="module")
def usual(ordinary):
    """Readings of days 0 to 4 by event id."""
    return {reading.event_id: (at, vehicle, reading) for at, vehicle, reading in ordinary.readings(0, 4)}


def compared(usual, feed, first=0, last=4):
    """(usual, with fault) of every reading that both have."""
    return [(usual[r.event_id], (at, v, r)) for at, v, r in feed.readings(first, last) if r.event_id in usual]


def outside(pairs, begin, end):
    """Pairs observed (in truth) before day `begin` or from day `end` on, without a few seconds at the edges."""
    begin, end = (datetime(2024, 10, 21, tzinfo=UTC) - timedelta(hours=2) + timedelta(days=d) for d in (begin, end))
    return [(a, b) for a, b in pairs if not begin <= a[2].observed_at < end]


def inside(pairs, begin, end):
    other = {id(a) for a, _ in outside(pairs, begin, end)}
    return [(a, b) for a, b in pairs if id(a) not in other]


def unchanged(pairs):
    assert len(pairs) > 1000
    assert all(a == b for a, b in pairs)


def position(reading):
    return np.array([reading.position.lon, reading.position.lat]) * METRES


# -- the feed ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("buses", [0, 3])
def test_the_feed_does_not_depend_on_how_it_is_cut(buses):
    faults = (GnssNoise(), BoxOffline(share=0.5, begins="today", ends="today+1d", delay_h=5), VehicleClock(share=0.3))
    feed = Feed(*faults, buses=buses)
    whole = feed.block(0.3, 0.9)
    cuts = [0.3, 0.301, 0.33, 0.35, 0.4, 0.4001, 0.9]

    parts = [feed.block(*cut) for cut in pairwise(cuts)]
    again = Feed(*faults, buses=buses)
    parts_again = [again.block(*cut) for cut in [*pairwise(cuts)][::-1]][::-1]  # the last one first

    for some in (parts, parts_again):
        assert [p for part in some for p in part.payloads] == whole.payloads
        assert [t for part in some for t in part.topics] == whole.topics
        assert np.array_equal(np.concatenate([part.publish_us for part in some]), whole.publish_us)
    assert np.all(np.diff(whole.publish_us) >= 0)


def test_ingest_takes_every_reading(ordinary):
    block = ordinary.block(0, 2)
    vehicles, ids = set(), set()
    for at, topic, payload in zip(block.publish_us.tolist(), block.topics, block.payloads, strict=True):
        published = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at)
        parsed = parse(topic, payload, published, PlainPseudonyms())
        assert parsed.message.flags == 0
        assert timedelta(0) < published - parsed.message.event_at < timedelta(minutes=45)
        ids.add(parsed.message.vehicle_reading.event_id)
        vehicles.add(re.sub(r"\d+", "", topic.split("/")[3]))
    assert len(ids) == len(block) > 2000
    assert all(event_id.version == 4 for event_id in ids)
    assert vehicles == {"bus-", "muell-", "kontrolle-"}


def test_a_reading_in_history_is_the_one_of_the_feed(ordinary, usual):
    """The same id, place and potholes; history leaves out cracks and shaking."""
    start = ordinary.world.day_start(TODAY)
    history = [
        reading
        for chunk in simulate_history(ordinary.world, start=start, end=start + timedelta(days=4))
        for reading in chunk.readings
    ]
    assert len(history) > 5
    for reading in history:
        if reading.event_id not in usual:  # of the last drive of the fourth day, or a box that sends late
            continue
        wire = usual[reading.event_id][2]
        assert wire.observed_at == reading.observed_at
        assert (wire.position.lon, wire.position.lat) == (reading.position.lon, reading.position.lat)
        potholes = [d for d in wire.detections if d.class_code == "D40"]
        assert [(d.confidence, d.width_m, d.depth_m) for d in potholes] == [
            (d.confidence, d.width_m, d.depth_m) for d in reading.detections
        ]


# -- faults ------------------------------------------------------------------------------------------------------------
def test_a_gnss_bias_moves_positions_and_not_what_is_said_of_them(usual):
    pairs = compared(usual, Feed(GnssBias(begins="today+1d", ends="today+2d", east_m=30, north_m=-20)))

    unchanged(outside(pairs, 1, 2))
    for (_, _, before), (_, _, after) in inside(pairs, 1, 2):
        assert position(after) - position(before) == pytest.approx([30, -20], abs=0.05)
        assert after.position.accuracy_m == before.position.accuracy_m


def test_gnss_noise_scatters_by_its_factor(usual):
    pairs = compared(usual, Feed(GnssNoise(begins="today+1d", ends="today+2d", factor=3)))
    calm = compared(usual, Feed(GnssNoise(begins="today+1d", ends="today+2d", factor=0)))

    unchanged(outside(pairs, 1, 2))
    true = {b[2].event_id: position(b[2]) for _, b in inside(calm, 1, 2)}
    errors = [(position(a[2]) - true[a[2].event_id], position(b[2]) - true[a[2].event_id])
              for a, b in inside(pairs, 1, 2)]  # fmt: skip
    before, after = (np.array(part) for part in zip(*errors, strict=True))
    # Outliers become more frequent, not longer.
    assert np.mean(np.abs(after - 3 * before).max(axis=1) < 0.1) > 0.95


def test_a_wrong_clock_changes_the_stated_time_only(usual):
    pairs = compared(usual, Feed(VehicleClock(begins="today+1d", ends="today+2d", offset_s=-5400)))

    unchanged(outside(pairs, 1, 2))
    for (at, _, before), (again_at, _, after) in inside(pairs, 1, 2):
        assert after.observed_at - before.observed_at == timedelta(seconds=-5400)
        assert again_at == at
        assert after.position == before.position


def test_a_box_without_network_sends_afterwards(usual):
    fault = BoxOffline(vehicles="bus", begins="today+1d", ends="today+2d", delay_h=10)
    pairs = compared(usual, Feed(fault))

    unchanged(outside(pairs, 1, 2))
    for (at, vehicle, before), (again_at, _, after) in inside(pairs, 1, 2):
        assert after == before
        assert again_at - at == (36_000_000_000 if vehicle.startswith("bus") else 0)


def test_what_a_box_sent_late_is_known_late_in_history():
    offline = BoxOffline(begins="today+1d", ends="today+2d", delay_h=30)
    feed, plain = Feed(offline), Feed()
    start = feed.world.day_start(TODAY)

    def days(world):
        chunks = list(simulate_history(world, start=start, end=start + timedelta(days=5)))
        d = chunks[0].segment_days
        return {
            (i, day): (known, passes)
            for i, day, known, passes in zip(
                d.segment_index.tolist(), d.day.tolist(), d.recorded_at.tolist(), d.passes.tolist(), strict=True
            )
        }

    late, usual_ = days(feed.world), days(plain.world)
    assert set(late) == set(usual_)
    for key, (known, passes) in late.items():
        assert passes == usual_[key][1]
        if key[1] == TODAY + timedelta(days=1):
            assert known > usual_[key][0] + timedelta(hours=10)
        else:
            assert known == usual_[key][0]


def test_mixed_up_classes_are_the_same_things_under_other_names(usual):
    pairs = compared(usual, Feed(ClassConfusion(begins="today+1d", ends="today+2d", factor=6)))

    unchanged(outside(pairs, 0.999, 4))  # what is not recognised as a pothole is repaired later: before only
    changed = sum(
        sorted(d.class_code for d in a[2].detections) != sorted(d.class_code for d in b[2].detections)
        for a, b in inside(pairs, 1, 2)
    )
    some = sum(bool(a[2].detections) for a, _ in inside(pairs, 1, 2))
    assert 0.1 * some < changed < 0.6 * some  # cracks: 6 times 7 %
    assert all(len(a[2].detections) == len(b[2].detections) for a, b in inside(pairs, 1, 2))


def test_a_new_detector_tells_its_version_and_is_surer(usual):
    update = CameraUpdate(
        begins="today+1d", ends="today+3d", version="2.0.0", confidence_shift=0.1, recall_factor=0.01,
        false_alarm_factor=8,
    )  # fmt: skip
    feed = Feed(update)
    pairs = compared(usual, feed)

    unchanged(outside(pairs, 1, 4))
    assert {b[2].camera.version for _, b in inside(pairs, 1, 3)} == {"2.0.0"}
    assert {b[2].camera.version for _, b in inside(pairs, 3, 4)} == {CAMERA_VERSION}
    lids = [
        (x.confidence, y.confidence)
        for a, b in inside(pairs, 1, 3)
        for x, y in zip(a[2].detections, b[2].detections, strict=False)
        if x.class_code == y.class_code == "D50" and x.bbox_px == y.bbox_px
    ]
    assert len(lids) > 20
    assert all(y == pytest.approx(min(x + 0.1, 0.99), abs=1.1e-3) for x, y in lids)


def test_a_new_detector_misses_holes_and_sees_what_is_not_there():
    """Over six weeks of autumn and winter, for one day of a small city has hardly a hole."""
    update = CameraUpdate(begins="today+1d", recall_factor=0.01, false_alarm_factor=8)
    usual, changed = (
        [s for day in range(40, 82) for s in truth.day(TODAY + timedelta(days=day)).sightings]
        for truth in (Truth(world_with()), Truth(world_with(update)))
    )

    assert sum(s.hole >= 0 for s in usual) > 10
    assert sum(s.hole >= 0 for s in changed) < 0.1 * sum(s.hole >= 0 for s in usual)
    assert sum(s.hole < 0 for s in changed) > 4 * sum(s.hole < 0 for s in usual)


def test_vehicles_that_are_out_send_nothing_and_see_nothing(usual):
    feed = Feed(VehicleOutage(vehicles="muell", begins="today+1d", ends="today+2d"))
    pairs = compared(usual, feed)

    unchanged(outside(pairs, 1, 4))
    assert not any(vehicle.startswith("muell") for _, (_, vehicle, _) in inside(pairs, 1, 2))
    others = [a for a in usual.values() if not a[1].startswith("muell")]
    assert len([a for a, _ in pairs if not a[1].startswith("muell")]) == len(others)
    after = [v for _, (_, v, _) in inside(pairs, 2, 4) if v.startswith("muell")]
    assert len(after) == len([a for a, _ in inside([(a, a) for a in usual.values()], 2, 4) if a[1].startswith("muell")])


def test_a_share_of_the_vehicles_is_the_same_ones_in_every_run(usual):
    fault = GnssBias(share=0.5, begins="today", east_m=30)

    def moved(feed):
        return {b[1] for a, b in compared(usual, feed, 0, 2) if abs((position(b[2]) - position(a[2]))[0]) > 20}

    vehicles = {vehicle for _, vehicle, _ in usual.values()}
    assert moved(Feed(fault)) == moved(Feed(fault))
    assert 0 < len(moved(Feed(fault))) < len(vehicles)
