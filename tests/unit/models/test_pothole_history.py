"""What a hole's history is called: broken up again, seen again, found by a person."""

import numpy as np
import pytest

from models.potholes import SEEN_AGAIN_DAYS
from tests.unit.models.test_potholes import DETECTION, FINDING, RENEWAL, REPAIR, SECURING, day, row, states, walk


def passes(*days):
    return [row(DETECTION, at, pass_no=number) for number, at in enumerate(days)]


def test_only_a_hole_whose_forerunner_was_repaired_is_reopened():
    gone, again = 8, 20 + SEEN_AGAIN_DAYS
    repaired = [row(FINDING, 1), row(REPAIR, 5)]

    assert [h.reopened for h in states(*repaired, row(FINDING, 30))] == [False, True]
    # The repair held as far as anybody knows: what came after it was looked for in vain.
    holes = states(*repaired, row(FINDING, 6), row(FINDING, again), seen=[walk(gone)])
    assert [(h.reopened, h.close_reason) for h in holes] == [(False, "repaired"), (True, "not_found"), (False, None)]


def test_a_hole_seen_again_by_cameras_is_no_longer_found_by_a_person_until_one_finds_it_again():
    found, lost, seen = row(FINDING, 1), walk(8), row(DETECTION, 20, pass_no=1)

    assert [h.person_us for h in states(found)] == [day(1).astype(int)]
    assert [(len(h.spells), h.person_us) for h in states(found, seen, seen=[lost])] == [(2, None)]
    (hole,) = states(found, seen, row(SECURING, 21, 22), seen=[lost])
    assert np.datetime64(hole.person_us, "us") == day(22)


def test_a_finding_that_comes_late_does_not_vouch_for_a_hole_that_was_gone_since():
    late = row(FINDING, 5, 12)
    (hole,) = states(*passes(1, 2), late, row(DETECTION, 20, pass_no=7), seen=[walk(8)])

    assert (len(hole.spells), hole.person_us) == (2, None)


@pytest.mark.parametrize(("observed", "vouches"), [(5, False), (7.9, False), (8, True), (12, True), (24, True)])
def test_a_finding_recorded_in_a_later_spell_vouches_for_it_only_if_the_hole_had_not_been_lost_since(observed, vouches):
    late = row(FINDING, observed, 25)
    (hole,) = states(*passes(1, 2), row(DETECTION, 20, pass_no=7), late, seen=[walk(8)])

    assert len(hole.spells) == 2
    assert hole.person_us == (day(25).astype(int) if vouches else None)


def test_a_hole_lost_twice_is_vouched_for_only_by_who_saw_it_after_the_second_time():
    rows = [*passes(1, 2), row(DETECTION, 20, pass_no=7), row(DETECTION, 40, pass_no=8)]
    seen = [walk(8), walk(30)]

    (between,) = states(*rows, row(FINDING, 25, 45), seen=seen)
    (after,) = states(*rows, row(SECURING, 41, 45), seen=seen)
    assert (len(between.spells), between.person_us) == (3, None)
    assert (len(after.spells), after.person_us) == (3, day(45).astype(int))


@pytest.mark.parametrize("kind", [REPAIR, RENEWAL])
def test_the_repair_that_closes_a_hole_is_nobody_who_found_it_and_takes_nothing_from_who_did(kind):
    alone = states(*passes(1, 2), row(kind, 5))
    found = states(*passes(1, 2), row(FINDING, 3), row(kind, 5))

    assert [(h.close_reason, h.person_us) for h in alone] == [("repaired", None)]
    assert [(h.close_reason, h.person_us) for h in found] == [("repaired", day(3).astype(int))]
    assert [h.person_us for h in states(row(REPAIR, 5))] == [None]


def test_cameras_and_reports_alone_are_no_person():
    assert [h.person_us for h in states(*passes(1, 2))] == [None]
