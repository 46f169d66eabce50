"""When what runs by itself is due: instants of the city's clock, on days of 23 and 25 hours too. Pure.

What is due is worked out from when it last ran, never from a timer: a process that was down, or a machine that slept,
finds what it missed and does it once.
"""

from datetime import UTC, date, datetime, time, timedelta, tzinfo


def at_local(day: date, at: time, zone: tzinfo) -> datetime:
    """The instant (UTC) of a time of day. One that the clocks skip comes an hour later, of one that they show twice the
    first counts: each day has exactly one.

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> at_local(date(2026, 3, 29), time(2, 30), ZoneInfo("Europe/Berlin")).isoformat()
    '2026-03-29T01:30:00+00:00'
    """
    return datetime.combine(day, at.replace(fold=0), tzinfo=zone).astimezone(UTC)


def latest_daily(now: datetime, at: time, zone: tzinfo) -> datetime:
    """The last instant by `now` (included) at which it was `at` in the city."""
    today = now.astimezone(zone).date()
    instant = at_local(today, at, zone)
    return instant if instant <= now else at_local(today - timedelta(days=1), at, zone)


def next_daily(now: datetime, at: time, zone: tzinfo) -> datetime:
    """The first instant after `now` at which it will be `at` in the city."""
    today = now.astimezone(zone).date()
    instant = at_local(today, at, zone)
    return instant if instant > now else at_local(today + timedelta(days=1), at, zone)


def score_due(newest: datetime | None, now: datetime, *, interval: timedelta, daily_at: time, zone: tzinfo) -> datetime:
    """When to score next, given the newest scores (`as_of`, None: none yet): an interval after them, and in any case
    at the time of each day. An instant that is past is due now."""
    if newest is None or newest < latest_daily(now, daily_at, zone):
        return now
    return min(newest + interval, next_daily(newest, daily_at, zone))


def training_due(
    last: datetime | None, started: datetime, *, interval_days: int, at: time, zone: tzinfo
) -> datetime | None:
    """When to train next, given the last training and when this process started; None: never.

    Without any training yet it is tried in the night after the start. Days are counted on the city's calendar.
    """
    if interval_days == 0:
        return None
    if last is None:
        return next_daily(started, at, zone)
    return max(last, at_local(last.astimezone(zone).date() + timedelta(days=interval_days), at, zone))


def monitoring_due(
    last: datetime | None, newest_scores: datetime | None, now: datetime, *, daily_at: time, zone: tzinfo
) -> datetime | None:
    """When to monitor next: once a day, after the day's scores; None: not before there are any."""
    day_began = latest_daily(now, daily_at, zone)
    if newest_scores is None or newest_scores < day_began or (last is not None and last >= day_began):
        return None
    return now
