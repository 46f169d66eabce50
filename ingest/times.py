"""Times of messages: which can be used, and how far they are from our own clock."""

import re
from datetime import UTC, datetime, timedelta

from roadtwin.types import Flag

EARLIEST_YEAR = 2015
"""A time before this year is a clock that was never set (or a zero time), not a late message."""
LATEST_AHEAD = timedelta(days=1)
"""A time farther ahead of the arrival than this is not believed."""
FUTURE_AFTER = timedelta(minutes=5)
"""Farther ahead than this is flagged `Flag.FUTURE`."""
LATE_AFTER = timedelta(hours=1)
"""Older than this at arrival is flagged `Flag.LATE`: a radio message takes seconds."""

_RFC3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d{1,9})?([Zz]|[+-]\d\d:\d\d)", re.ASCII)


def parse_time(text: object) -> datetime | None:
    """RFC 3339 text with 0 to 9 fraction digits as UTC, cut to microseconds; None when it is no such time.

    Examples
    --------
    >>> parse_time("2026-01-19T15:46:54.123456789+01:00")
    datetime.datetime(2026, 1, 19, 14, 46, 54, 123456, tzinfo=datetime.timezone.utc)
    >>> parse_time("yesterday") is None
    True
    """
    if not isinstance(text, str) or not _RFC3339.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):  # 31 February; year 1 with an offset
        return None


def from_unix(seconds: float) -> datetime | None:
    """Unix time [s] as UTC, to the microsecond; None when no calendar has it."""
    try:
        return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=round(seconds * 1e6))
    except (OverflowError, ValueError):
        return None


def usable(at: datetime | None, recorded_at: datetime) -> bool:
    """Whether a message may be stored under this time."""
    return at is not None and at.year >= EARLIEST_YEAR and at <= recorded_at + LATEST_AHEAD


def time_flags(at: datetime, recorded_at: datetime) -> Flag:
    """FUTURE or LATE, as seen from the arrival."""
    if at > recorded_at + FUTURE_AFTER:
        return Flag.FUTURE
    if at < recorded_at - LATE_AFTER:
        return Flag.LATE
    return Flag.NONE
