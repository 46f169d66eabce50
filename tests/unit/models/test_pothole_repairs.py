"""Repairs that are recorded late: what was seen by then is closed, what was seen since is not."""

import numpy as np
import pytest

from models.potholes import LEAST_CAMERA_DAYS
from tests.unit.models.test_potholes import (
    DETECTION,
    FINDING,
    RENEWAL,
    REPAIR,
    REPORT,
    SECURING,
    day,
    drive,
    row,
    states,
    walk,
)


def us(number: float) -> int:
    return int(day(number).astype(np.int64))


def told(holes):
    """Of each hole: whether it is open, whether reopened, and its rows."""
    return [(hole.closed_us is None, hole.reopened, sorted(hole.evidence)) for hole in holes]


@pytest.mark.parametrize("kind", [REPAIR, RENEWAL])
def test_what_a_person_saw_after_a_repair_that_is_recorded_later_still_is_a_hole_reopened(kind):
    rows = [row(FINDING, 1), row(FINDING, 8), row(kind, 5, 10)]
    closed, reopened = states(*rows)

    assert told([closed, reopened]) == [(False, False, [0, 2]), (True, True, [1])]
    assert (closed.close_reason, closed.closed_us, closed.last_evidence_us) == ("repaired", us(10), us(5))
    # As of the time before, one hole was known; the second is known from the record of the repair on.
    assert told(states(*rows, now=day(9.9))) == [(True, False, [0, 1])]
    assert reopened.first_recorded_us == reopened.confirmed_us == reopened.person_us == us(10)
    assert (reopened.first_evidence_us, reopened.spells) == (us(8), [(us(10), None)])


def test_the_record_of_a_repair_says_the_same_whether_it_comes_at_once_or_late():
    def derived(recorded):
        seen = [row(FINDING, 1, severity=3), row(DETECTION, 7, pass_no=1), row(DETECTION, 9, pass_no=2)]
        return states(*seen, row(REPAIR, 5, recorded))

    at_once, late = derived(5), derived(20)

    assert told(at_once) == told(late) == [(False, False, [0, 3]), (True, True, [1, 2])]
    assert [h.severity for h in at_once] == [h.severity for h in late] == [3, 2]
    assert [h.person_us for h in at_once] == [h.person_us for h in late] == [us(1), None]


def test_one_camera_that_saw_something_after_the_repair_leaves_a_candidate_and_no_open_hole():
    rows = [row(FINDING, 1), row(DETECTION, 8, pass_no=1), row(REPAIR, 5, 10)]

    assert [(h.closed_us is None, h.confirmed_us is None) for h in states(*rows, now=day(12))] == [
        (False, False), (True, True)
    ]  # fmt: skip
    assert told(states(*rows)) == [(False, False, [0, 2])]


def test_what_was_seen_within_a_day_of_a_repair_that_is_recorded_later_was_seen_before_it():
    """Registers give a day, or the end of the shift, in the place of the time."""
    assert told(states(row(FINDING, 5.4), row(REPAIR, 5, 6))) == [(False, False, [0, 1])]
    assert told(states(row(FINDING, 6.1), row(REPAIR, 5, 7))) == [(True, True, [0]), (False, False, [1])]


def test_a_hole_that_was_first_seen_after_the_repair_is_not_its_hole_and_has_broken_up_again():
    rows = [row(FINDING, 8), row(REPAIR, 5, 10)]
    found, repaired = states(*rows)

    assert told([found, repaired]) == [(True, True, [0]), (False, False, [1])]
    assert found.spells == [(us(8), None)]
    assert repaired.spells == [(us(10), us(10))]
    assert told(states(*rows, now=day(9))) == [(True, False, [0])]
    assert told(states(row(FINDING, 8, station=57, accuracy=4.0), row(REPAIR, 5, 10)))[0] == (True, False, [0])


def test_a_hole_beside_that_was_seen_before_is_the_one_that_was_repaired():
    rows = [row(FINDING, 1, station=56), row(FINDING, 8, station=50), row(REPAIR, 5, 10, station=51)]

    assert told(states(*rows)) == [(False, False, [0, 2]), (True, False, [1])]


def test_a_renewed_surface_leaves_what_was_only_seen_after_it():
    assert told(states(row(FINDING, 8), row(RENEWAL, 5, 10))) == [(True, False, [0])]
    lost_then_seen_again = states(row(FINDING, 8), row(DETECTION, 20, pass_no=1), row(RENEWAL, 5, 15), seen=[walk(12)])
    assert [(h.closed_us, len(h.spells)) for h in lost_then_seen_again] == [(None, 2)]


def test_a_hole_that_was_made_safe_after_a_repair_recorded_later_is_open_and_secured():
    closed, open_ = states(row(FINDING, 1), row(SECURING, 8), row(REPAIR, 5, 10))

    assert (closed.closed_us, open_.closed_us) == (us(10), None)
    assert open_.secured_us == open_.first_recorded_us == us(10)


def test_looks_that_missed_what_was_seen_after_the_repair_close_it_from_the_record_of_the_repair_on():
    rows = [row(FINDING, 1), row(FINDING, 8), row(REPAIR, 5, 20)]
    drives = [drive(9 + number) for number in range(LEAST_CAMERA_DAYS)]
    for seen in ([walk(10)], drives):
        repaired, gone = states(*rows, seen=seen)
        assert (repaired.close_reason, gone.close_reason) == ("repaired", "not_found")
        assert gone.spells == [(us(20), us(20))]
    repaired, still_there = states(*rows, seen=drives[1:])
    assert (repaired.close_reason, still_there.close_reason) == ("repaired", None)


def test_a_late_repair_that_explains_a_look_in_vain_explains_it_for_what_was_seen_by_then_only():
    seen = [walk(10)]

    assert told(states(row(FINDING, 1), row(REPORT, 4), row(REPAIR, 5, 20), seen=seen)) == [(False, False, [0, 1, 2])]
    repaired, lost = states(row(FINDING, 1), row(FINDING, 8), row(REPAIR, 5, 20), seen=seen)
    assert [repaired.closed_us, repaired.close_reason] == [us(10), "repaired"]
    assert [lost.reopened, lost.close_reason] == [True, "not_found"]


def test_of_two_repairs_the_first_may_be_recorded_last():
    rows = [row(FINDING, 1), row(FINDING, 8), row(REPAIR, 9), row(REPAIR, 5, 20), row(DETECTION, 7, 21, pass_no=1)]
    first, second = states(*rows)

    assert told([first, second]) == [(False, False, [0, 3]), (False, True, [1, 2, 4])]
    assert (first.spells, second.spells) == ([(us(1), us(9))], [(us(20), us(20))])
    # Nobody saw it in between: one hole, repaired in two goes.
    assert told(states(row(FINDING, 1), row(REPAIR, 9), row(REPAIR, 5, 20))) == [(False, False, [0, 1, 2])]


def test_no_two_holes_have_the_same_name_where_the_first_row_of_one_was_seen_after_its_repair():
    rows = [row(FINDING, 8), row(FINDING, 1, 9), row(REPAIR, 5, 10), row(FINDING, 30, 40), row(REPAIR, 20, 50)]
    holes = states(*rows)

    assert len({hole.pothole_id for hole in holes}) == len(holes) == 3
    assert [hole.pothole_id for hole in states(*rows, now=day(9.5))] == [holes[0].pothole_id]
    assert told(holes) == [(False, False, [1, 2]), (False, True, [0, 4]), (True, True, [3])]


def test_a_row_that_the_same_repair_takes_from_two_holes_opens_two_with_different_names():
    rows = [row(FINDING, 1), row(FINDING, 10), row(FINDING, 17), row(REPAIR, 15, 20), row(REPAIR, 5, 30)]
    holes = states(*rows)

    assert told(holes) == [(False, False, [0, 4]), (False, True, [1, 3]), (True, True, [2])]
    assert len({hole.pothole_id for hole in holes}) == 3
