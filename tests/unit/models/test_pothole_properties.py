"""What the pothole rule holds for any evidence in any order."""

import itertools
from dataclasses import fields
from uuid import UUID

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.inputs import Evidence, EvidenceKind, Looks
from models.potholes import SAME_HOLE_M, derive, to_spells, to_table

DAY_US = 86_400_000_000
START = np.datetime64("2026-01-01", "us")
CLOSING = {EvidenceKind.REPAIR, EvidenceKind.RENEWAL}

days = st.integers(0, 240).map(lambda half: half / 2)
lags = st.sampled_from([0, 0, 0.5, 3, 20])
rows = st.tuples(
    st.sampled_from([1, 1, 1, 1, 2, 3, 4, 5, 6]),  # kind
    days,
    lags,
    st.sampled_from([10.0, 12.0, 16.0, 21.0, 24.0, 60.0, 99.0, 103.0]),  # station
    st.sampled_from([0.0, 1.0, 3.0, 8.0]),  # accuracy
    st.integers(0, 5),  # pass
)
looked = st.tuples(days, lags, st.sampled_from([1, 2]), st.booleans())
worlds = st.tuples(st.lists(rows, max_size=14), st.lists(looked, max_size=12))
quick = settings(max_examples=120, deadline=None, derandomize=True)


def instants(days):
    return START + (np.array(days, float) * DAY_US).astype("timedelta64[us]")


def evidence_of(rows) -> Evidence:
    kind, observed, lag, station, accuracy, passes = (list(column) for column in zip(*rows, strict=True)) if rows else (
        [[]] * 6
    )  # fmt: skip
    count, station = len(rows), np.array(station, float)
    return Evidence(
        recorded_at=instants(np.add(observed, lag)), observed_at=instants(observed), kind=np.array(kind, np.int8),
        evidence_id=np.array([UUID(int=i + 1) for i in range(count)], object), part_no=np.zeros(count, np.int32),
        section_id=np.ones(count, np.int32), segment_id=np.where(station < 100, 1, 2).astype(np.int32),
        station_m=station, accuracy_m=np.array(accuracy, float), lon=np.zeros(count), lat=station,
        pass_no=np.where(np.array(kind, int) == 1, passes, -1).astype(np.int32),
        width_m=np.full(count, np.nan), depth_m=np.full(count, np.nan), severity=np.zeros(count, np.int8),
    )  # fmt: skip


def looks_of(looked) -> Looks:
    return Looks(
        recorded_at=instants([observed + lag for observed, lag, _, _ in looked]),
        observed_from=instants([observed for observed, _, _, _ in looked]),
        segment_id=np.array([segment for _, _, segment, _ in looked], np.int32),
        by_person=np.array([person for _, _, _, person in looked], bool),
    )


def told(holes, evidence):
    """All that the rule says of its holes, with evidence by id in the place of its row."""
    return [
        (h.pothole_id, h.segment_id, h.station_m, h.first_recorded_us, h.confirmed_us, h.secured_us, h.closed_us,
         h.close_reason, h.reopened, h.severity, h.spells, h.person_us, [evidence.evidence_id[i] for i in h.evidence])
        for h in holes
    ]  # fmt: skip


@quick
@given(worlds, st.randoms(use_true_random=False), days)
def test_the_order_in_which_rows_are_given_does_not_matter(world, random, now):
    evidence, looks = evidence_of(world[0]), looks_of(world[1])
    order, look_order = (list(range(len(table))) for table in (evidence, looks))
    random.shuffle(order)
    random.shuffle(look_order)
    mixed = evidence.take(np.array(order, int))
    now = instants(now)

    assert told(derive(mixed, looks.take(np.array(look_order, int)), now), mixed) == told(
        derive(evidence, looks, now), evidence
    )


@quick
@given(worlds, days)
def test_what_is_recorded_later_changes_nothing_about_then(world, then):
    evidence, looks, then = evidence_of(world[0]), looks_of(world[1]), instants(then)
    known = evidence.recorded_by(then)

    assert told(derive(evidence, looks, then), evidence) == told(derive(known, looks.recorded_by(then), then), known)


@quick
@given(worlds, days)
def test_what_was_confirmed_then_is_still_there_and_tables_taken_back_say_what_was_known_then(world, then):
    evidence, looks, then = evidence_of(world[0]), looks_of(world[1]), instants(then)
    before, after = derive(evidence, looks, then), derive(evidence, looks, START + np.timedelta64(400, "D"))
    segments = np.array([1, 2], np.int32)
    by_id = {hole.pothole_id: hole for hole in after}

    for hole in before:
        if hole.confirmed_us is not None:
            later = by_id[hole.pothole_id]
            assert (hole.segment_id, hole.first_recorded_us, hole.confirmed_us) == (
                later.segment_id, later.first_recorded_us, later.confirmed_us
            )  # fmt: skip
            assert later.reopened >= hole.reopened  # a repair that was done before the hole may be recorded after it
    table, back = to_table(before, segments), to_table(after, segments).recorded_by(then)
    for name in ("segment_index", "first_recorded_at", "confirmed_at", "secured_at"):
        known, sure = (getattr(t, name)[~np.isnat(t.confirmed_at)] for t in (table, back))
        np.testing.assert_array_equal(known, sure)
    spells, spells_back = to_spells(before, segments), to_spells(after, segments).recorded_by(then)
    for field in fields(spells):
        np.testing.assert_array_equal(getattr(spells, field.name), getattr(spells_back, field.name))


@quick
@given(worlds)
def test_a_repair_or_a_new_surface_leaves_its_hole_closed(world):
    evidence = evidence_of(world[0])

    for hole in derive(evidence, looks_of(world[1]), START + np.timedelta64(400, "D")):
        kinds = {EvidenceKind(evidence.kind[i]) for i in hole.evidence}
        assert hole.closed_us is not None or not kinds & CLOSING


@quick
@given(worlds)
def test_a_hole_is_new_only_where_none_is_open_within_five_metres(world):
    evidence, looks = evidence_of(world[0]), looks_of(world[1])
    ids = [i.int for i in evidence.evidence_id]
    order = sorted(
        range(len(evidence)), key=lambda i: (evidence.recorded_at[i], evidence.observed_at[i], evidence.kind[i], ids[i])
    )
    for hole in derive(evidence, looks, START + np.timedelta64(400, "D")):
        first = hole.evidence[0]
        at = evidence.recorded_at[first]
        before = evidence.take(np.array(order[: order.index(first)], int))
        if hole.first_recorded_us > at.astype(np.int64):  # known since a repair that what was seen lies after
            at = np.datetime64(hole.first_recorded_us, "us")
            before = evidence.recorded_by(at)
        known = derive(before, looks.recorded_by(at - np.timedelta64(1, "us")), at)
        # A repair is not of a hole that was only seen a day after it.
        last_us = int(evidence.observed_at[first].astype(np.int64)) + DAY_US
        seen_by_us = last_us if evidence.kind[first] in CLOSING else np.inf
        near = [
            other
            for other in known
            if other.closed_us is None
            and other.first_recorded_us < at.astype(np.int64)
            and other.first_evidence_us <= seen_by_us
            and abs(other.station_m - evidence.station_m[first]) <= SAME_HOLE_M
        ]
        assert near == []


@quick
@given(worlds)
def test_a_person_stands_behind_a_hole_by_a_finding_or_a_securing_recorded_in_its_present_spell(world):
    evidence = evidence_of(world[0])
    recorded_us, by_person = evidence.recorded_at.astype(np.int64), {EvidenceKind.FINDING, EvidenceKind.SECURING}

    for hole in derive(evidence, looks_of(world[1]), START + np.timedelta64(400, "D")):
        found = {recorded_us[i] for i in hole.evidence if evidence.kind[i] in by_person}
        if hole.person_us == hole.first_recorded_us:  # also by a finding that lies after a repair recorded later
            assert min(found) <= hole.person_us
        else:
            assert hole.person_us is None or (hole.person_us in found and hole.person_us >= hole.spells[-1][0])


@quick
@given(worlds)
def test_no_row_is_evidence_of_two_holes_and_spells_of_a_hole_follow_one_another(world):
    evidence = evidence_of(world[0])
    holes = derive(evidence, looks_of(world[1]), START + np.timedelta64(400, "D"))
    used = [row for hole in holes for row in hole.evidence if evidence.kind[row] != EvidenceKind.RENEWAL]

    assert len(used) == len(set(used))
    for hole in holes:
        times = list(itertools.chain.from_iterable(hole.spells))
        ended = [time for time in times if time is not None]
        assert ended == sorted(ended)
        assert None not in times[:-1]
        assert (times[-1] if times else None) == hole.closed_us
