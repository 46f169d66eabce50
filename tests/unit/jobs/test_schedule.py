"""What runs by itself is due once a day on days of 23, 24 and 25 hours, and what was missed is done once."""

from datetime import UTC, date, datetime, time, timedelta
from itertools import pairwise
from zoneinfo import ZoneInfo

import pytest

from roadtwin.jobs.schedule import at_local, latest_daily, monitoring_due, next_daily, score_due, training_due

ZONE = ZoneInfo("Europe/Berlin")
FIVE = time(5, 0)
HOUR = timedelta(hours=1)


def utc(text):
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def due(newest, now, interval=HOUR):
    return score_due(newest, now, interval=interval, daily_at=FIVE, zone=ZONE)


@pytest.mark.parametrize(
    ("day", "expected"),
    [("2026-03-28", "2026-03-28T04:00"), ("2026-03-29", "2026-03-29T03:00"), ("2026-10-25", "2026-10-25T04:00")],
)
def test_five_in_the_morning_is_five_in_the_morning_when_the_clocks_change(day, expected):
    assert at_local(date.fromisoformat(day), FIVE, ZONE) == utc(expected)


@pytest.mark.parametrize("at", [time(2, 30), time(5, 0), time(0, 0)])
@pytest.mark.parametrize("first", ["2026-03-27", "2026-10-23"])
def test_every_local_day_has_exactly_one_instant_also_where_the_time_is_skipped_or_comes_twice(at, first):
    now, found = utc(f"{first}T12:00"), []
    while len(found) < 5:
        now = next_daily(now, at, ZONE)
        found.append(now)
    days = [instant.astimezone(ZONE).date() for instant in found]

    assert days == [date.fromisoformat(first) + timedelta(days=n) for n in range(1, 6)]
    assert all(latest_daily(instant, at, ZONE) == instant for instant in found)
    assert all(latest_daily(instant - timedelta(seconds=1), at, ZONE) < instant for instant in found)
    assert {(b - a) // HOUR for a, b in pairwise(found)} <= {23, 24, 25}


def test_scores_are_due_an_interval_after_the_last_and_at_five_before_that():
    assert due(utc("2026-01-10T12:00"), utc("2026-01-10T12:10")) == utc("2026-01-10T13:00")
    assert due(utc("2026-01-10T03:40"), utc("2026-01-10T03:50")) == utc("2026-01-10T04:00")


def test_a_process_that_was_down_over_several_mornings_catches_up_once():
    now = utc("2026-01-13T09:00")

    assert due(utc("2026-01-10T12:00"), now, interval=timedelta(days=30)) == now
    assert due(now, now + HOUR, interval=timedelta(days=30)) == utc("2026-01-14T04:00")


def test_the_first_scores_are_due_at_once():
    now = utc("2026-01-13T09:00")

    assert due(None, now) == now


def test_training_is_due_at_night_on_the_calendar_and_at_once_when_it_was_missed():
    arguments = {"at": time(2, 0), "zone": ZONE}
    started = utc("2026-03-10T09:00")

    assert training_due(None, started, interval_days=30, **arguments) == utc("2026-03-11T01:00")
    trained = utc("2026-03-01T01:00")  # two in the morning, and over the change of the clocks
    assert training_due(trained, started, interval_days=30, **arguments) == utc("2026-03-31T00:00")
    assert training_due(utc("2025-01-01T10:00"), started, interval_days=30, **arguments) < started
    assert training_due(trained, started, interval_days=0, **arguments) is None


def test_monitoring_waits_for_the_scores_of_its_day_and_runs_once():
    arguments = {"daily_at": FIVE, "zone": ZONE}
    now = utc("2026-01-10T04:10")

    assert monitoring_due(None, None, now, **arguments) is None
    assert monitoring_due(None, utc("2026-01-10T03:00"), now, **arguments) is None
    assert monitoring_due(utc("2026-01-09T04:10"), utc("2026-01-10T04:01"), now, **arguments) == now
    assert monitoring_due(utc("2026-01-10T04:05"), utc("2026-01-10T04:01"), now, **arguments) is None
