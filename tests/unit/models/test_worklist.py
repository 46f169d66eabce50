from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from models.worklist import (
    DUE_DAYS,
    FAIR_CHANCE,
    Hindrance,
    Keeping,
    PotholeStatus,
    day_start,
    due_at,
    hindrances,
    is_for_crews,
    is_urgent,
    open_probability,
    rank_potholes,
)

BERLIN = ZoneInfo("Europe/Berlin")
KNOWN_AT = datetime(2026, 1, 10, 9, tzinfo=UTC)


@dataclass
class Hole:
    pothole_id: str
    severity: int
    due_at: datetime
    status: PotholeStatus = PotholeStatus.OPEN
    open_probability: float | None = None


@pytest.mark.parametrize(("severity", "days"), [(3, 0), (2, 7), (1, 28)])
def test_a_pothole_is_due_at_the_end_of_a_local_day(severity, days):
    due = due_at(KNOWN_AT, severity, BERLIN).astimezone(BERLIN)
    assert due == datetime(2026, 1, 11, tzinfo=BERLIN) + timedelta(days=days)
    assert DUE_DAYS[severity] == days


def test_a_severe_pothole_known_after_utc_midnight_is_due_by_the_local_day():
    late = datetime(2026, 1, 10, 23, 30, tzinfo=UTC)  # 00:30 on the 11th in Berlin
    assert due_at(late, 3, BERLIN).astimezone(BERLIN).date() == date(2026, 1, 12)


@pytest.mark.parametrize(("month", "day", "hours"), [(3, 29, 23), (10, 25, 25)])
def test_due_time_keeps_to_local_midnight_on_days_of_23_and_25_hours(month, day, hours):
    noon = datetime(2026, month, day, 12, tzinfo=BERLIN).astimezone(UTC)
    assert due_at(noon, 3, BERLIN) - day_start(noon, BERLIN) == timedelta(hours=hours)


def test_securing_gives_a_week_from_then_and_never_less_time_than_before():
    secured = KNOWN_AT + timedelta(days=1)
    assert due_at(KNOWN_AT, 3, BERLIN, secured).astimezone(BERLIN).date() == date(2026, 1, 19)
    assert due_at(KNOWN_AT, 1, BERLIN, secured) == due_at(KNOWN_AT, 1, BERLIN)


def test_a_severity_outside_the_scale_is_refused():
    with pytest.raises(ValueError, match="Got severity 4, expected 1, 2 or 3"):
        due_at(KNOWN_AT, 4, BERLIN)


def test_every_hindrance_of_a_road_is_named():
    today = date(2026, 1, 10)
    keeping = Keeping("Straßen.NRW", today, today + timedelta(days=90))
    assert hindrances(keeping, today) == [Hindrance.OTHER_OWNER, Hindrance.WARRANTY, Hindrance.PLANNED_WORK]


def test_ended_warranty_and_works_far_ahead_hinder_nothing():
    today = date(2026, 1, 10)
    assert hindrances(Keeping(None, today - timedelta(days=1), today + timedelta(days=91)), today) == []


@pytest.mark.parametrize(
    ("found", "severe", "include", "expected"),
    [
        ([], False, (), True),
        ([Hindrance.WARRANTY], False, (), False),
        ([Hindrance.WARRANTY], True, (), True),
        ([Hindrance.OTHER_OWNER], True, (), False),
        ([Hindrance.OTHER_OWNER], False, (Hindrance.OTHER_OWNER,), True),
        ([Hindrance.OTHER_OWNER, Hindrance.PLANNED_WORK], False, (Hindrance.OTHER_OWNER,), False),
    ],
)
def test_hindered_places_are_for_crews_only_when_included_or_when_safety_demands(found, severe, include, expected):
    assert is_for_crews(found, severe=severe, include=include) is expected


def test_order_is_urgent_then_due_then_worse_and_repaired_ones_come_last():
    soon, later = KNOWN_AT, KNOWN_AT + timedelta(days=3)
    holes = [
        Hole("repaired", 3, soon, PotholeStatus.REPAIRED),
        Hole("late low", 1, later),
        Hole("late medium", 2, later),
        Hole("secured severe", 3, later, PotholeStatus.SECURED),
        Hole("overdue low", 1, soon),
        Hole("severe", 3, later),
    ]
    ranked = [hole.pothole_id for hole in rank_potholes(holes)]
    assert ranked == ["severe", "overdue low", "secured severe", "late medium", "late low", "repaired"]


def test_what_a_person_found_is_certain_and_of_the_rest_the_twin_says_how_probable_it_is():
    for status in (PotholeStatus.OPEN, PotholeStatus.SECURED):
        assert open_probability(status, confirmed_by_person=True, twin_probability=0.03) == 1.0
        assert open_probability(status, confirmed_by_person=False, twin_probability=0.03) == 0.03
        assert open_probability(status, confirmed_by_person=False, twin_probability=None) is None


@pytest.mark.parametrize("confirmed_by_person", [True, False])
def test_what_is_repaired_has_no_probability_of_being_there(confirmed_by_person):
    assert (
        open_probability(PotholeStatus.REPAIRED, confirmed_by_person=confirmed_by_person, twin_probability=0.9) is None
    )


def test_a_severe_hole_with_a_fair_chance_stays_above_a_certain_slight_one_and_a_ghost_does_not():
    overdue, due = KNOWN_AT - timedelta(days=9), KNOWN_AT
    holes = [
        Hole("severe ghost", 3, overdue, open_probability=0.03),
        Hole("severe, fair chance", 3, due, open_probability=0.2),
        Hole("severe, likely", 3, due, open_probability=0.9),
        Hole("slight, certain", 1, due, open_probability=1.0),
        Hole("medium, doubtful", 2, overdue, open_probability=0.4),
        Hole("severe, unknown", 3, due + timedelta(days=1), open_probability=None),
    ]
    assert [hole.pothole_id for hole in rank_potholes(holes)] == [
        "severe, likely",
        "severe, unknown",
        "severe, fair chance",
        "slight, certain",
        "severe ghost",
        "medium, doubtful",
    ]


def test_of_holes_alike_the_more_probable_one_comes_first():
    holes = [Hole("a", 2, KNOWN_AT, open_probability=0.6), Hole("b", 2, KNOWN_AT, open_probability=0.8)]
    assert [hole.pothole_id for hole in rank_potholes(holes)] == ["b", "a"]


@pytest.mark.parametrize(
    ("severity", "status", "probability", "expected"),
    [
        (3, PotholeStatus.OPEN, FAIR_CHANCE, True),
        (3, PotholeStatus.OPEN, FAIR_CHANCE - 0.01, False),
        (3, PotholeStatus.OPEN, None, True),
        (3, PotholeStatus.SECURED, 1.0, False),
        (2, PotholeStatus.OPEN, 1.0, False),
    ],
)
def test_urgent_is_a_severe_open_hole_with_a_fair_chance(severity, status, probability, expected):
    assert is_urgent(severity, status, probability) is expected
