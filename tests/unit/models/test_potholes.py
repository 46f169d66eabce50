"""The rule that makes potholes of evidence."""

import time
from dataclasses import fields
from uuid import UUID

import numpy as np
import pytest

from models.inputs import Evidence, EvidenceKind, instant
from models.potholes import LAPSE_DAYS, derive, to_table

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


def states(*rows, now=LATER):
    return derive(evidence(*rows), now)


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


def test_state_as_of_a_time_depends_only_on_what_was_recorded_by_then(city):
    """Also with late rows that carry an old observed_at."""
    everything, segment_ids = city.evidence, city.inputs.segments.segment_id
    as_of = city.until - np.timedelta64(400 * 86400, "s")
    late = everything.take(np.flatnonzero(everything.recorded_at > as_of)[:500])
    old = {f.name: getattr(late, f.name) for f in fields(late)} | {
        "observed_at": late.observed_at - np.timedelta64(600 * 86400, "s")
    }
    joined = {f.name: np.concatenate([getattr(everything, f.name), old[f.name]]) for f in fields(everything)}
    known = everything.recorded_by(as_of)

    alone = to_table(derive(known, as_of), segment_ids)
    with_later = to_table(derive(Evidence(**joined), as_of), segment_ids)
    taken_back = to_table(derive(everything, city.until), segment_ids).recorded_by(as_of)
    confirmed = ~np.isnat(taken_back.confirmed_at)

    for name in ("segment_index", "first_recorded_at", "confirmed_at", "closed_at"):
        np.testing.assert_array_equal(getattr(alone, name), getattr(with_later, name))
        np.testing.assert_array_equal(
            getattr(alone, name)[~np.isnat(alone.confirmed_at)], getattr(taken_back, name)[confirmed]
        )


def test_twenty_thousand_rows_take_less_than_two_seconds(synthetic):
    city = synthetic.make_city(850)
    assert len(city.evidence) > 20_000

    began = time.process_time()
    derive(city.evidence, city.until)

    assert time.process_time() - began < 2
