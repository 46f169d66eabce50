"""The rule that makes potholes of evidence."""

from dataclasses import fields, replace
from uuid import UUID

import numpy as np
import pytest

from models.inputs import Evidence, EvidenceKind, Looks, instant
from models.potholes import LAPSE_DAYS, LEAST_CAMERA_DAYS, SEEN_AGAIN_DAYS, derive, to_spells, to_table
from tests.steps import steps

DETECTION, FINDING, REPORT = EvidenceKind.DETECTION, EvidenceKind.FINDING, EvidenceKind.REPORT
REPAIR, SECURING, RENEWAL = EvidenceKind.REPAIR, EvidenceKind.SECURING, EvidenceKind.RENEWAL
LATER = instant("2026-12-01")


def day(number: float) -> np.datetime64:
    return instant("2026-01-01") + np.timedelta64(round(number * 86_400_000_000), "us")


def row(kind, observed, recorded=None, *, station=50.0, accuracy=0.0, pass_no=-1, segment=1, **more):
    """One row of evidence, by days of January 2026."""
    return {
        "kind": kind, "observed_at": day(observed), "recorded_at": day(observed if recorded is None else recorded),
        "station_m": station, "accuracy_m": accuracy, "pass_no": pass_no, "segment_id": segment, "section_id": 1,
        "part_no": 0, "lon": 7.0, "lat": 51.4, "width_m": np.nan, "depth_m": np.nan, "severity": 0,
    } | more  # fmt: skip


def evidence(*rows) -> Evidence:
    dtypes = {"kind": np.int8, "severity": np.int8, "part_no": np.int32, "section_id": np.int32,
              "segment_id": np.int32, "pass_no": np.int32}  # fmt: skip
    columns = {name: np.array([r[name] for r in rows], dtype=dtypes.get(name)) for name in row(REPORT, 0)}
    ids = [r.get("id", UUID(int=i + 1)) for i, r in enumerate(rows)]
    return Evidence(evidence_id=np.array(ids, dtype=object), **columns)


def walk(observed, recorded=None, *, segment=1):
    """A person looks at the segment."""
    return observed, observed if recorded is None else recorded, segment, True


def drive(observed, recorded=None, *, segment=1):
    """A good camera pass on a day; it is recorded at the day's end."""
    return observed, observed + 1 if recorded is None else recorded, segment, False


def looks(*rows) -> Looks:
    return Looks(
        recorded_at=np.array([day(r[1]) for r in rows], "datetime64[us]"),
        observed_from=np.array([day(r[0]) for r in rows], "datetime64[us]"),
        segment_id=np.array([r[2] for r in rows], np.int32),
        by_person=np.array([r[3] for r in rows], bool),
    )


def states(*rows, now=LATER, seen=()):
    return derive(evidence(*rows), looks(*seen), now)


def test_two_passes_confirm_a_hole_at_the_time_the_second_was_recorded():
    holes = states(row(DETECTION, 1, 1.5, pass_no=1), row(DETECTION, 8, 8.5, pass_no=2, station=53))

    assert len(holes) == 1
    assert np.datetime64(holes[0].first_recorded_us, "us") == day(1.5)
    assert np.datetime64(holes[0].confirmed_us, "us") == day(8.5)


def test_two_frames_of_one_pass_do_not_confirm():
    holes = states(row(DETECTION, 1, pass_no=1), row(DETECTION, 1.001, pass_no=1, station=52), now=day(2))

    assert [hole.confirmed_us for hole in holes] == [None]


def test_a_report_and_a_detection_confirm_each_other():
    assert states(row(REPORT, 1), row(DETECTION, 3, pass_no=1))[0].confirmed_us is not None


def test_two_reports_alone_do_not_confirm():
    assert states(row(REPORT, 1), row(REPORT, 2), now=day(3))[0].confirmed_us is None


@pytest.mark.parametrize("kind", [FINDING, REPAIR, SECURING])
def test_a_person_confirms_at_once(kind):
    assert states(row(kind, 1))[0].confirmed_us == states(row(kind, 1))[0].first_recorded_us


def test_a_candidate_that_nothing_confirms_lapses():
    rows = [row(DETECTION, 1, pass_no=1)]

    assert len(states(*rows, now=day(1 + LAPSE_DAYS))) == 1
    assert states(*rows, now=day(1.1 + LAPSE_DAYS)) == []


def test_evidence_after_the_lapse_begins_anew():
    holes = states(row(DETECTION, 1, pass_no=1), row(DETECTION, 40, pass_no=2), row(DETECTION, 45, pass_no=3))

    assert len(holes) == 1
    assert np.datetime64(holes[0].first_recorded_us, "us") == day(40)


def test_a_hole_six_metres_along_is_another_one_for_a_person_and_the_same_for_an_inexact_camera():
    assert len(states(row(FINDING, 1), row(FINDING, 2, station=56))) == 2
    assert len(states(row(FINDING, 1), row(DETECTION, 2, station=56, accuracy=3.0, pass_no=1))) == 1


def test_an_inexact_first_sight_and_an_exact_finding_are_one_hole():
    assert len(states(row(DETECTION, 1, accuracy=5.0, pass_no=1), row(FINDING, 2, station=58))) == 1


def test_another_section_is_another_hole():
    assert len(states(row(FINDING, 1), row(FINDING, 2, section_id=2))) == 2


def test_a_repair_closes_the_hole_and_what_comes_later_reopens_it():
    holes = states(row(FINDING, 1), row(REPAIR, 5, 5.2), row(FINDING, 30))

    assert [hole.closed_us is not None for hole in holes] == [True, False]
    assert [hole.reopened for hole in holes] == [False, True]
    assert np.datetime64(holes[0].closed_us, "us") == day(5.2)


def test_a_repair_without_an_open_hole_is_a_hole_first_known_and_closed_then():
    (hole,) = states(row(REPAIR, 5, 5.2))

    assert hole.first_recorded_us == hole.confirmed_us == hole.closed_us


def test_a_camera_that_uploads_after_the_repair_does_not_reopen_the_hole():
    holes = states(row(FINDING, 1), row(REPAIR, 1.4, 1.5), row(DETECTION, 1.3, 2.0, pass_no=1))

    assert len(holes) == 1
    assert len(holes[0].evidence) == 3
    assert holes[0].closed_us is not None


def test_securing_is_noted_and_leaves_the_hole_open():
    (hole,) = states(row(FINDING, 1), row(SECURING, 2))

    assert np.datetime64(hole.secured_us, "us") == day(2)
    assert hole.closed_us is None


def test_a_renewed_surface_closes_the_holes_of_its_segment_and_opens_none():
    holes = states(row(FINDING, 1, station=10), row(FINDING, 1, station=90), row(FINDING, 1, station=150, segment=2),
                   row(RENEWAL, 5))  # fmt: skip

    assert [hole.closed_us is not None for hole in holes] == [True, True, False]
    assert states(row(RENEWAL, 5)) == []


def test_severity_is_the_persons_grade_else_the_worst_measured_else_medium():
    small = row(DETECTION, 1, pass_no=1, depth_m=0.02, width_m=0.15)
    large = row(DETECTION, 2, pass_no=2, depth_m=0.08, width_m=0.6)

    assert states(row(REPORT, 1), row(DETECTION, 2, pass_no=1))[0].severity == 2
    assert states(small)[0:1] == [] or states(small, now=day(3))[0].severity == 1
    assert states(small, large)[0].severity == 3
    assert states(row(FINDING, 1, severity=1), large)[0].severity == 1


def test_ids_are_the_same_when_derived_again_and_in_any_order_of_rows():
    rows = [row(DETECTION, 1, pass_no=1, id=UUID(int=11)), row(DETECTION, 2, pass_no=2, id=UUID(int=12)),
            row(REPAIR, 5, id=UUID(int=13)), row(FINDING, 9, station=90, id=UUID(int=14))]  # fmt: skip

    assert [h.pothole_id for h in states(*rows)] == [h.pothole_id for h in states(*reversed(rows))]


def test_a_person_who_looks_and_writes_down_no_hole_closes_it_as_not_found():
    (hole,) = states(row(FINDING, 1), seen=[walk(1), walk(8, 8.5)])

    assert (hole.close_reason, hole.closed_us) == ("not_found", day(8.5).astype(int))
    assert not hole.reopened


def test_four_days_of_camera_passes_that_miss_a_hole_close_it_and_three_do_not():
    days = [drive(day_no) for day_no in range(2, 2 + LEAST_CAMERA_DAYS)]

    assert states(row(FINDING, 1), seen=days)[0].closed_us == day(2 + LEAST_CAMERA_DAYS).astype(int)
    assert states(row(FINDING, 1), seen=[*days[:-1], days[0]])[0].closed_us is None


def test_a_pass_on_the_day_of_the_last_evidence_or_over_another_segment_misses_nothing():
    days = [drive(day_no) for day_no in range(2, 1 + LEAST_CAMERA_DAYS)]

    assert states(row(FINDING, 1.4), seen=[drive(1), *days])[0].closed_us is None
    assert states(row(FINDING, 1.4), seen=[drive(6, segment=2), *days, walk(9, segment=2)])[0].closed_us is None


def test_what_is_seen_near_a_hole_keeps_it_open_also_where_another_one_is_nearer():
    rows = [row(FINDING, 1, station=50), row(FINDING, 1, station=56), row(FINDING, 8, station=54)]

    assert [hole.closed_us for hole in states(*rows, seen=[walk(8)])] == [None, None]


def test_a_candidate_that_was_looked_for_in_vain_lapses_and_what_comes_later_begins_anew():
    rows = [row(DETECTION, 1, pass_no=1), row(DETECTION, 9, pass_no=2)]
    days = [drive(day_no) for day_no in range(2, 2 + LEAST_CAMERA_DAYS)]

    assert states(rows[0], seen=[walk(2)], now=day(3)) == []
    assert states(rows[0], seen=days, now=day(7)) == []
    assert len(states(rows[0], seen=days[:-1], now=day(7))) == 1
    assert [hole.confirmed_us for hole in states(*rows, seen=days, now=day(10))] == [None]
    assert [hole.confirmed_us for hole in states(*rows, seen=days[:-1], now=day(10))] == [day(9).astype(int)]


def test_the_place_is_that_of_the_most_accurate_evidence_and_the_segment_stays_from_confirmation_on():
    rough = row(DETECTION, 1, pass_no=1, station=98, accuracy=8.0, segment=1, lat=51.1)
    better = row(DETECTION, 2, pass_no=2, station=104, accuracy=3.0, segment=2, lat=51.2)
    exact = row(FINDING, 3, station=99, accuracy=1.0, segment=1, lat=51.3)
    (hole,) = states(rough, better)
    (later,) = states(rough, better, exact)

    assert (hole.station_m, hole.lat, hole.segment_id) == (104, 51.2, 2)
    assert (later.station_m, later.lat, later.segment_id) == (99, 51.3, 2)


def test_a_hole_that_was_not_found_and_is_seen_again_soon_is_the_same_hole():
    (hole,) = states(row(FINDING, 1), row(DETECTION, 20, pass_no=1), seen=[walk(8)])

    assert (hole.closed_us, hole.close_reason) == (None, None)
    assert hole.spells == [(day(1).astype(int), day(8).astype(int)), (day(20).astype(int), None)]


def test_a_hole_that_was_not_found_and_is_seen_much_later_is_a_new_one_but_not_reopened():
    holes = states(row(FINDING, 1), row(FINDING, 9 + SEEN_AGAIN_DAYS), seen=[walk(8)])

    assert [(hole.closed_us is None, hole.reopened) for hole in holes] == [(False, False), (True, False)]


def test_a_repair_recorded_after_the_look_that_missed_the_hole_is_its_repair():
    (hole,) = states(row(FINDING, 1), row(REPAIR, 5, 12), seen=[walk(8)])

    assert (hole.close_reason, hole.closed_us) == ("repaired", day(8).astype(int))
    assert len(states(row(FINDING, 1), row(REPAIR, 5, 12), row(FINDING, 30), seen=[walk(8)])) == 2


def test_a_camera_that_uploads_after_the_look_that_missed_the_hole_leaves_it_closed():
    (hole,) = states(row(FINDING, 1), row(DETECTION, 5, 12, pass_no=1), seen=[walk(8)])

    assert (hole.close_reason, len(hole.evidence)) == ("not_found", 2)


def test_a_repair_reaches_as_far_as_both_positions_are_uncertain():
    rows = [row(DETECTION, 1, accuracy=4.0, pass_no=1), row(DETECTION, 2, accuracy=4.0, pass_no=2)]

    assert len(states(*rows, row(REPAIR, 5, station=59, accuracy=3.0))) == 1
    assert len(states(*rows, row(REPAIR, 5, station=61, accuracy=3.0))) == 2
    assert len(states(row(FINDING, 1), row(REPAIR, 5, station=56))) == 2


def test_a_hole_is_reopened_within_five_metres_of_a_repaired_one_only():
    def reopened(station):
        return states(row(FINDING, 1), row(REPAIR, 5), row(FINDING, 30, station=station, accuracy=4.0))[1].reopened

    assert reopened(55)
    assert not reopened(56)


def test_state_as_of_a_time_depends_only_on_what_was_recorded_by_then(city):
    """Also with late rows of evidence and late looks that carry an old observed_at."""
    everything, segment_ids = city.evidence, city.inputs.segments.segment_id
    as_of = city.until - np.timedelta64(400 * 86400, "s")
    late = everything.take(np.flatnonzero(everything.recorded_at > as_of)[:500])
    old = {f.name: getattr(late, f.name) for f in fields(late)} | {
        "observed_at": late.observed_at - np.timedelta64(600 * 86400, "s")
    }
    joined = {f.name: np.concatenate([getattr(everything, f.name), old[f.name]]) for f in fields(everything)}
    known = everything.recorded_by(as_of)
    seen = city.looks.take(np.flatnonzero(city.looks.recorded_at > as_of)[:500])
    seen = replace(seen, observed_from=seen.observed_from - np.timedelta64(600 * 86400, "s"))
    all_looks = Looks(**{f.name: np.concatenate([getattr(city.looks, f.name), getattr(seen, f.name)])
                         for f in fields(seen)})  # fmt: skip

    alone = derive(known, city.looks.recorded_by(as_of), as_of)
    with_later = derive(Evidence(**joined), all_looks, as_of)
    final = derive(everything, city.looks, city.until)
    holes, later, taken_back = (to_table(h, segment_ids) for h in (alone, with_later, final))
    taken_back = taken_back.recorded_by(as_of)
    confirmed = ~np.isnat(taken_back.confirmed_at)

    for name in ("segment_index", "first_recorded_at", "confirmed_at"):
        np.testing.assert_array_equal(getattr(holes, name), getattr(later, name))
        np.testing.assert_array_equal(
            getattr(holes, name)[~np.isnat(holes.confirmed_at)], getattr(taken_back, name)[confirmed]
        )
    assert [(h.closed_us, h.close_reason, h.spells) for h in alone] == [
        (h.closed_us, h.close_reason, h.spells) for h in with_later
    ]
    spells, spells_back = to_spells(alone, segment_ids), to_spells(final, segment_ids).recorded_by(as_of)
    assert len({h.close_reason for h in alone}) == 3  # open, repaired, not found
    for name in ("segment_index", "opened_at", "closed_at"):
        np.testing.assert_array_equal(getattr(spells, name), getattr(spells_back, name))


def test_the_work_grows_with_the_rows_of_evidence_and_no_faster(synthetic):
    def steps_per_row(city):
        return steps(lambda: derive(city.evidence, city.looks, city.until)) / len(city.evidence)

    small, large = synthetic.make_city(100), synthetic.make_city(400)
    assert len(large.evidence) > 3 * len(small.evidence)

    assert steps_per_row(large) < 1.25 * steps_per_row(small) < 600
