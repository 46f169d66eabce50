"""Derived potholes beside true ones."""

import numpy as np
import pytest

from roadtwin.jobs.event_truth import DerivedHoles, TrueHoles, compare

NAT = np.datetime64("NaT", "us")
SINCE, UNTIL = np.datetime64("2026-01-01", "us"), np.datetime64("2027-01-01", "us")


def at(day):
    return NAT if day is None else SINCE + np.timedelta64(round(day * 86_400_000_000), "us")


def instants(days):
    return np.array([at(day) for day in days], "datetime64[us]")


def true(*rows):
    """(station, born, closed) each, on section 1 or a fourth value."""
    return TrueHoles(
        section_id=np.array([row[3] if len(row) > 3 else 1 for row in rows], np.int32),
        segment_index=np.zeros(len(rows), np.int32),
        station_m=np.array([float(row[0]) for row in rows]),
        born_at=instants([row[1] for row in rows]),
        closed_at=instants([row[2] for row in rows]),
    )


def derived(*rows, not_found=False):
    """(station, first and last evidence, closed) each; recorded half a day after it was seen."""
    return DerivedHoles(
        section_id=np.ones(len(rows), np.int32),
        station_m=np.array([float(row[0]) for row in rows]),
        first_evidence_at=instants([row[1] for row in rows]),
        last_evidence_at=instants([row[2] for row in rows]),
        first_recorded_at=instants([row[1] + 0.5 for row in rows]),
        confirmed_at=instants([row[1] + 2.5 for row in rows]),
        closed_at=instants([row[3] for row in rows]),
        not_found=np.full(len(rows), not_found),
    )


def figures(holes, found, **more):
    return compare(holes, found, since=SINCE, until=UNTIL, **more)


def test_a_hole_that_was_found_tells_how_late_its_record_confirmation_and_closing_were():
    result = figures(true((50, 10, 20)), derived((53, 12, 18, 21)))

    assert (result.found, result.recall, result.precision) == (1, 1.0, 1.0)
    assert result.delay_first_record_d == (2.5, 2.5)
    assert result.delay_confirmed_d == (2.0, 2.0)
    assert result.delay_closed_d == (1.0, 1.0)


@pytest.mark.parametrize("row", [(61, 12, 18, None), (50, 22, 25, None), (50, 2, 8, None)])
def test_what_is_too_far_away_too_late_or_too_early_is_invented_and_the_true_hole_missed(row):
    result = figures(true((50, 10, 20)), derived(row))

    assert (result.found, result.missed, result.invented, result.precision) == (0, 1, 1, 0.0)


def test_a_hole_of_another_section_is_another_hole():
    assert figures(true((50, 10, 20, 2)), derived((50, 12, 18, None))).found == 0


def test_one_hole_counted_twice_is_split_and_two_holes_counted_once_are_merged():
    split = figures(true((50, 10, 40)), derived((51, 12, 18, None), (57, 20, 30, None)))
    merged = figures(true((50, 10, 40), (54, 15, 40)), derived((51, 12, 30, None)))

    assert (split.found, split.split, split.invented) == (1, 1, 0)
    assert (merged.found, merged.merged, merged.missed) == (1, 1, 0)


def test_the_nearest_holes_belong_together():
    result = figures(true((50, 10, 40), (56, 10, 40)), derived((55, 11, 30, None), (49, 12, 30, None)))

    assert (result.found, result.split, result.merged) == (2, 0, 0)


def test_only_holes_of_the_window_count():
    result = figures(true((50, -10, 40), (80, 400, None)), derived((50, 2, 18, None)))

    assert (result.true, result.derived, result.precision) == (0, 1, 1.0)
    assert np.isnan(result.recall)


def test_a_hole_that_the_rule_gave_up_while_it_was_open_is_closed_early():
    assert figures(true((50, 10, 40)), derived((50, 12, 18, 30), not_found=True)).closed_early == 1
    assert figures(true((50, 10, 25)), derived((50, 12, 18, 30), not_found=True)).closed_early == 0


def test_recall_by_group_says_how_many_holes_it_rests_on():
    holes = true((50, 10, 20), (80, 10, 20), (120, 10, 20))
    result = figures(holes, derived((50, 12, 18, None)), groups={"never passed": np.array([False, True, True])})

    assert result.recall_by_group == {"never passed": (0.0, 2)}


def test_a_city_without_holes_has_no_recall_and_no_precision():
    result = figures(true(), derived())

    assert (result.true, result.derived) == (0, 0)
    assert np.isnan(result.recall)
    assert np.isnan(result.precision)
