"""Times of messages: which can be used, and how far they are from our own clock and from the network server's."""

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
SKEW_AFTER_S = 30.0
"""Farther from the network server's clock than this [s] is flagged `Flag.SKEW`.

ChirpStack takes over a gateway's clock up to 30 s from its own (`rx_timestamp_max_drift`), but GPS time without limit.
A GPS time half a second to a second after the server's is normal: either the server's clock or the gateway's GPS
time is that far off, and neither makes a measurement of the road wrong.
"""

_is_rfc3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(?:\.\d{1,9})?(?:[Zz]|[+-]\d\d:\d\d)", re.ASCII).fullmatch
_EARLIEST = datetime(EARLIEST_YEAR, 1, 1, tzinfo=UTC)


def parse_time(text: object) -> datetime | None:
    """RFC 3339 text with 0 to 9 fraction digits as UTC, cut to microseconds; None when it is no such time.

    Examples
    --------
    >>> parse_time("2026-01-19T15:46:54.123456789+01:00")
    datetime.datetime(2026, 1, 19, 14, 46, 54, 123456, tzinfo=datetime.timezone.utc)
    >>> parse_time("yesterday") is None
    True
    """
    if type(text) is not str or not _is_rfc3339(text):
        return None
    try:
        at = datetime.fromisoformat(text.upper())
        return at if at.tzinfo is UTC else at.astimezone(UTC)
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
    return at is not None and at >= _EARLIEST and at - recorded_at <= LATEST_AHEAD


def time_flags(at: datetime, recorded_at: datetime) -> Flag:
    """FUTURE or LATE, as seen from the arrival."""
    ahead = at - recorded_at
    if ahead > FUTURE_AFTER:
        return Flag.FUTURE
    if -ahead > LATE_AFTER:
        return Flag.LATE
    return Flag.NONE


def skew_s(at: datetime | None, reference: datetime | None) -> float | None:
    """How far a clock is ahead of the one that it is compared with [s]; None unless both told a time."""
    return None if at is None or reference is None else (at - reference).total_seconds()


def with_skew(flags: Flag, clock_skew_s: float | None) -> Flag:
    """The flags, with SKEW where the clock is farther off than its tolerance."""
    if clock_skew_s is None or abs(clock_skew_s) <= SKEW_AFTER_S:
        return flags
    return flags | Flag.SKEW
