"""Instants as whole microseconds since 1970, UTC: what columns of times hold."""

from datetime import UTC, datetime, timedelta

HOUR_US = 3_600_000_000
DAY_US = 24 * HOUR_US
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


def us_of(at: datetime) -> int:
    """An aware time as an instant [µs since 1970, UTC]."""
    return (at - _UNIX) // _MICROSECOND


def as_time(us: int) -> datetime:
    """An instant [µs since 1970, UTC] as a time in UTC."""
    return _UNIX + us * _MICROSECOND
