"""Windows in time as a scenario writes them, and the spans that they are in the years of a world."""

import re
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import msgspec
from msgspec import Meta

from simulators.instants import us_of

OPEN_US = 2**62
"""Where a span is open: minus this, or this [µs since 1970, UTC]."""
_YEARLY = re.compile(r"(\d{2})-(\d{2})")
_RELATIVE = re.compile(r"today((?:[+-]\d{1,5}[dh])*)")
_STEP = re.compile(r"([+-]\d+)([dh])")

Instant = Annotated[
    str,
    Meta(
        description="A local date (2026-01-31) or time (2026-01-31T06:00), a day of every year (01-31), or a time "
        "relative to the scenario's today: today, today-3d, today-2d+6h."
    ),
]


class Windowed(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What has a window in time; without one it holds always. A window from 12-01 until 03-01 recurs every winter, or
    with `repeat = "latest"` only the newest one that has begun by the scenario's today."""

    begins: Instant | None = msgspec.field(default=None, name="from")
    ends: Instant | None = msgspec.field(default=None, name="until")
    repeat: Literal["yearly", "latest"] = "yearly"


@dataclass(frozen=True, slots=True)
class Span:
    """Instants from `begin` to before `end`; None is open. Aware."""

    begin: datetime | None
    end: datetime | None

    @property
    def bounds_us(self) -> tuple[int, int]:
        """Begin and end [µs since 1970, UTC]; what is open is ±2⁶²."""
        begin = -OPEN_US if self.begin is None else us_of(self.begin)
        return begin, OPEN_US if self.end is None else us_of(self.end)


def spans_of(entry: Windowed, today: date, zone: ZoneInfo, first: date, last: date) -> tuple[Span, ...]:
    """The spans of a window that matter between two days, in order.

    Parameters
    ----------
    today : date
        The scenario's today, to which relative times refer.
    zone : ZoneInfo
        The city's time zone.
    first, last : date
        Recurring windows are laid out over this period; others are given whole.

    Raises
    ------
    ValueError
        For an instant that is none, or a mix of a day of every year with another kind.

    Examples
    --------
    >>> winter = Windowed(begins="12-01", ends="03-01")
    >>> spans = spans_of(winter, date(2026, 11, 24), ZoneInfo("Europe/Berlin"), date(2024, 7, 1), date(2026, 6, 30))
    >>> [f"{span.begin:%Y-%m-%d} {span.end:%Y-%m-%d}" for span in spans]
    ['2024-12-01 2025-03-01', '2025-12-01 2026-03-01']
    """
    yearly = [text is not None and _YEARLY.fullmatch(text) is not None for text in (entry.begins, entry.ends)]
    if not any(yearly):
        return (Span(_instant(entry.begins, today, zone), _instant(entry.ends, today, zone)),)
    if not all(yearly):
        raise ValueError("got a day of every year at one end of a window only, expected both ends as MM-DD")
    assert entry.begins is not None
    assert entry.ends is not None
    wraps = entry.ends <= entry.begins
    spans = [
        Span(_day(entry.begins, year, zone), _day(entry.ends, year + wraps, zone))
        for year in range(min(first.year, today.year) - 1, max(last.year, today.year) + 1)
    ]
    if entry.repeat == "latest":
        begun = [span for span in spans if span.begin is not None and span.begin.date() <= today]
        return tuple(begun[-1:])
    return tuple(
        span for span in spans if span.begin and span.end and span.begin.date() <= last and span.end.date() >= first
    )


def _day(text: str, year: int, zone: ZoneInfo) -> datetime:
    match = _YEARLY.fullmatch(text)
    assert match is not None
    month, day = int(match[1]), int(match[2])
    if (month, day) == (2, 29):
        month, day = 3, 1  # the same boundary, in every year
    try:
        return datetime(year, month, day, tzinfo=zone)
    except ValueError:
        raise ValueError(f"got the day {text!r}, expected a month and a day such as 01-31") from None


def _instant(text: str | None, today: date, zone: ZoneInfo) -> datetime | None:
    if text is None:
        return None
    if relative := _RELATIVE.fullmatch(text):
        steps = _STEP.findall(relative[1])
        days = sum(int(number) for number, unit in steps if unit == "d")
        hours = sum(int(number) for number, unit in steps if unit == "h")
        begin = today + timedelta(days=days)
        return datetime(begin.year, begin.month, begin.day, tzinfo=zone) + timedelta(hours=hours)
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or _YEARLY.fullmatch(text):
        raise ValueError(f"got the time {text!r}, expected 2026-01-31, 2026-01-31T06:00, 01-31, today or today-3d+6h")
    return at if at.tzinfo is not None else at.replace(tzinfo=zone)
