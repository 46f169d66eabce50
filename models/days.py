"""Local days of the city: every "day" of a feature is one, also those of 23 and 25 hours."""

from datetime import UTC, date, datetime, time, tzinfo

import numpy as np
from numpy.typing import NDArray


def _offset_minutes(quarter: int, zone: tzinfo) -> int:
    offset = datetime.fromtimestamp(quarter * 900, tz=UTC).astimezone(zone).utcoffset()
    assert offset is not None  # an aware datetime has one
    return int(offset.total_seconds()) // 60


def local_day(at: NDArray[np.datetime64], zone: tzinfo) -> NDArray[np.datetime64]:
    """Local calendar day of each instant.

    Parameters
    ----------
    at : ndarray of datetime64[us], shape (n,)
        Instants, UTC, without NaT.
    zone : tzinfo
        Time zone of the city.

    Returns
    -------
    ndarray of datetime64[D], shape (n,)

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> local_day(np.array(["2026-03-28T22:59", "2026-03-28T23:00"], "datetime64[us]"), ZoneInfo("Europe/Berlin"))
    array(['2026-03-28', '2026-03-29'], dtype='datetime64[D]')
    """
    at = np.asarray(at, dtype="datetime64[us]")
    if not at.size:
        return at.astype("datetime64[D]")
    # Offsets of today's zones change on whole quarters of an hour and at most once a UTC day, so a UTC day whose
    # two ends have the same offset has it throughout; only the others are asked quarter by quarter.
    days, day_of = np.unique(at.astype("datetime64[D]").astype(np.int64), return_inverse=True)
    start = np.array([_offset_minutes(96 * int(day), zone) for day in days])
    end = np.array([_offset_minutes(96 * int(day) + 95, zone) for day in days])
    offset = start[day_of]
    changing = np.flatnonzero((start != end)[day_of])
    if changing.size:
        quarter = at[changing].astype("datetime64[s]").astype(np.int64) // 900
        known, which = np.unique(quarter, return_inverse=True)
        offset[changing] = np.array([_offset_minutes(int(q), zone) for q in known])[which]
    return np.asarray(at + offset.astype("timedelta64[m]"), dtype="datetime64[D]")


def local_day_start(day: NDArray[np.datetime64], zone: tzinfo, at: time = time()) -> NDArray[np.datetime64]:
    """Instant at which each local day begins, or at which it is `at` o'clock on it.

    Parameters
    ----------
    day : ndarray of datetime64[D], shape (n,)
        Without NaT.
    zone : tzinfo
        Time zone of the city.
    at : time
        Time of day; where clocks skip it, an hour later.

    Returns
    -------
    ndarray of datetime64[us], shape (n,), UTC

    Examples
    --------
    >>> from zoneinfo import ZoneInfo
    >>> local_day_start(np.array(["2026-01-05", "2026-07-05"], "datetime64[D]"), ZoneInfo("Europe/Berlin"))
    array(['2026-01-04T23:00:00.000000', '2026-07-04T22:00:00.000000'],
          dtype='datetime64[us]')
    """
    distinct, which = np.unique(day.astype("datetime64[D]"), return_inverse=True)
    dates: list[date] = distinct.tolist()
    starts = [datetime.combine(d, at, zone).astimezone(UTC).replace(tzinfo=None) for d in dates]
    return np.array(starts, dtype="datetime64[us]")[which]
