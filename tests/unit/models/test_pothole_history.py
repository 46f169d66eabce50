"""What a hole's history is called: broken up again, seen again, found by a person."""

import numpy as np

from models.potholes import SEEN_AGAIN_DAYS
from tests.unit.models.test_potholes import DETECTION, FINDING, REPAIR, SECURING, day, row, states, walk


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


def test_cameras_and_reports_alone_are_no_person():
    assert [h.person_us for h in states(*passes(1, 2))] == [None]
