"""Files of dated events and daily weather as cities publish them, read for `roadtwin backtest`."""

import hashlib
import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from models.event_history import EventHistory
from models.recurrence import WeatherDays
from roadtwin.errors import InputFileError
from roadtwin.jobs.event_positions import StreetNetwork, checked_positions, from_houston_feet, on_a_plane
from roadtwin.jobs.event_tables import find_column, read_content, read_number, read_table, require_column
from roadtwin.jobs.file_checks import foreign_offsets, only_foreign_offsets
from roadtwin.reporting.words import Words

FORMATS = ("columns", "houston")
_EPOCH = date(1970, 1, 1)
_LON_NAMES, _LAT_NAMES = ("lon", "longitude", "lng", "x_lon"), ("lat", "latitude", "y_lat")
_DATE_NAMES = ("date", "day", "opendate", "mess_datum", "datum")
_STREET_WORDS = frozenset(
    ("ST", "DR", "RD", "LN", "BLVD", "AVE", "CT", "CIR", "PKWY", "WAY", "PL", "TRL", "FWY", "N", "S", "E", "W")
)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Which columns of an events file say what. `street` and `case` may be absent; so may the position's."""

    segment: str
    date: str
    street: str | None = None
    case: str | None = None


@dataclass(frozen=True, slots=True)
class EventFile:
    """A file of events, read: the history, and what became of every row."""

    history: EventHistory
    sha256: str
    rows: int
    left_out: Mapping[str, int]
    notes: tuple[Words, ...]

    @property
    def first_day(self) -> date:
        """Day of the first event."""
        return date.fromordinal(self.history.first_day + _EPOCH.toordinal())

    @property
    def last_day(self) -> date:
        """Day of the last event."""
        return date.fromordinal(int(self.history.day.max()) + _EPOCH.toordinal())


def day_number(day: date) -> int:
    """Days since 1970."""
    return (day - _EPOCH).days


def read_events(
    path: Path,
    columns: EventColumns | None,
    timezone: ZoneInfo,
    *,
    file_format: str,
    network: StreetNetwork | None = None,
) -> EventFile:
    """Read a CSV file (`.gz` is unpacked) of events with a segment and a date.

    Rows without segment or date are left out and counted. Dates are local days, or times; times with an offset are
    taken in `timezone`. With a `network`, an event belongs to the segment on which its position lies, whatever segment
    the file names.

    Raises
    ------
    InputFileError
        For a file that cannot be read, a missing column, times of several zones, a file without a usable row.
    """
    content = read_content(path)
    header, lines = read_table(path, content)
    houston = file_format == "houston"
    names = EventColumns("SR LOCATION", "SR CREATE DATE", case="CASE NUMBER") if houston else columns
    assert names is not None
    needed = (names.segment if network is None else None, names.date, names.street, names.case)
    for name in filter(None, needed):
        require_column(path, header, name)
    place = [find_column(header, usual) for usual in (_LON_NAMES, _LAT_NAMES)]
    feet = [name if houston and name in header else None for name in ("x", "y")]
    if network is not None and None in place and None in feet:
        raise InputFileError(f"{path}: got no columns of longitude and latitude, expected them with a network.")
    left_out: Counter[str] = Counter()
    dates = _Dates(path, timezone)
    segments: list[str] = []
    days: list[int] = []
    streets: list[str] = []
    positions: list[tuple[float, ...]] = []
    cases: set[str] = set()
    rows = 0
    for row in lines:
        rows += 1
        text = row.get(names.segment, "")
        segment = block_of(text) if houston else text.strip()
        if not segment and network is None:
            left_out["without segment"] += 1
            continue
        day = dates.day(row[names.date].strip())
        if day is None:
            left_out["without a readable date"] += 1
            continue
        case = row[names.case].strip() if names.case else ""
        if case and case in cases:
            left_out["a case that came before"] += 1
            continue
        cases.add(case)
        segments.append(segment)
        days.append(day)
        streets.append(segment.partition(" ")[2] if houston else row[names.street].strip() if names.street else "")
        positions.append(tuple(read_number(row[name]) if name else math.nan for name in (*place, *feet)))
    notes = dates.check()
    numbers = np.array(positions).reshape(-1, 4)
    if None not in feet:
        unknown = ~np.isfinite(numbers[:, :2]).all(axis=1)
        numbers[unknown, :2] = from_houston_feet(numbers[unknown, 2], numbers[unknown, 3])
    lon_lat, more = checked_positions(numbers[:, :2], timezone, path.name)
    kept = np.arange(len(segments))
    if network is not None:
        found = network.find(lon_lat)
        kept = np.array([i for i, (segment, _) in enumerate(found) if segment], np.int64)
        left_out["on no street of the network"] = len(found) - len(kept)
        segments, streets = [found[i][0] for i in kept], [found[i][1] for i in kept]
    if not segments:
        raise InputFileError(f"{path}: got {rows} rows, none of them with a segment and a date.")
    ids, index = np.unique(segments, return_inverse=True)
    history = EventHistory(
        segment_ids=tuple(ids.tolist()),
        segment=index.astype(np.int32),
        day=np.array(days, np.int64)[kept],
        street=_streets(index, streets, len(ids)),
        position_m=on_a_plane(lon_lat[kept]),
    )
    return EventFile(history, hashlib.sha256(content).hexdigest(), rows, dict(left_out), (*notes, *more))


def block_of(location: str) -> str:
    """The street block that an address of Houston's service requests lies in; "" if it names none.

    Examples
    --------
    >>> block_of("4612 N Example St, HOUSTON TX 77000"), block_of("Intersection 12 A St & 9 B Rd"), block_of("Main St")
    ('4600 EXAMPLE', '0 A', '')
    """
    text = " ".join(word for word in location.upper().split() if word != "INTERSECTION")
    words = text.partition("&")[0].partition(",")[0].split()
    if not words or not words[0].isdecimal():
        return ""
    name = " ".join(word for word in words[1:] if word not in _STREET_WORDS)
    return f"{int(words[0]) // 100 * 100} {name}" if name else ""


def read_daily_weather(path: Path, timezone: ZoneInfo) -> tuple[WeatherDays, list[Words]]:
    """Daily weather from a CSV file: a date column (date, day, OpenDate, MESS_DATUM …) and columns of numbers; notes.

    A column named after events (cases) is no weather and is left out. Raises InputFileError.
    """
    header, lines = read_table(path, read_content(path))
    name = find_column(header, _DATE_NAMES)
    if name is None:
        raise InputFileError(
            f"{path}: no date column; got {', '.join(header)}, expected one of {', '.join(_DATE_NAMES)}."
        )
    numbers = [column for column in header if column != name and column.lower() not in ("cases", "count", "events")]
    dates = _Dates(path, timezone)
    days: list[int] = []
    values: list[list[float]] = []
    for row in lines:
        day = dates.day(row[name].strip())
        if day is not None:
            days.append(day)
            values.append([read_number(row[column]) for column in numbers])
    notes = dates.check()
    if not days:
        raise InputFileError(f"{path}: no row with a date.")
    order = np.argsort(np.array(days), kind="stable")
    table = np.array(values)[order]
    used = np.flatnonzero(np.isfinite(table).any(axis=0))
    weather = WeatherDays(np.array(days, np.int64)[order], table[:, used], tuple(numbers[i] for i in used.tolist()))
    return weather, notes


class _Dates:
    """Local days from dates and times, which all have an offset or all have none."""

    def __init__(self, path: Path, timezone: ZoneInfo) -> None:
        self._path, self._timezone = path, timezone
        self._times: Counter[timedelta | None] = Counter()  # by offset; dates alone are not in it
        self._years: set[int] = set()
        self._known: dict[str, tuple[int | None, bool, timedelta | None]] = {}

    def day(self, text: str) -> int | None:
        """Days since 1970; None for what is no date."""
        if text not in self._known:
            self._known[text] = self._read(text)
        day, is_time, offset = self._known[text]
        if is_time:
            self._times[offset] += 1
        return day

    def _read(self, text: str) -> tuple[int | None, bool, timedelta | None]:
        try:
            at = datetime.fromisoformat(text)
        except ValueError:
            return None, False, None
        if at.tzinfo is None:  # a date alone is a local day in either case
            return day_number(at.date()), len(text) > 10, None
        self._years.add(at.year)
        return day_number(at.astimezone(self._timezone).date()), True, at.utcoffset()

    def check(self) -> list[Words]:
        """Notes on the offsets.

        Raises InputFileError for a mix: which hour, and at midnight which day, the others mean cannot be known.
        """
        naive = self._times[None]
        offsets = {offset: count for offset, count in self._times.items() if offset is not None}
        if offsets and naive:
            raise InputFileError(
                f"{self._path}: got {sum(offsets.values())} times with and {naive} without an offset, expected one "
                "kind: it cannot be known which zone the others are in."
            )
        foreign = foreign_offsets(offsets, self._years, self._timezone)
        if foreign:
            raise InputFileError(f"{self._path}: {foreign}")
        note = only_foreign_offsets(offsets, self._years, self._timezone)
        return [] if note is None else [(f"{self._path.name}: {note[0]}", f"{self._path.name}: {note[1]}")]


def _streets(index: np.ndarray, streets: list[str], segments: int) -> np.ndarray | None:
    """Number of each segment's street: the one that its first event names."""
    if not any(streets):
        return None
    names, number = np.unique(streets, return_inverse=True)
    number = np.where(names[number] == "", -1, number).astype(np.int32)
    result = np.full(segments, -1, np.int32)
    result[index[::-1]] = number[::-1]
    return result
