"""Weather that was measured, from CSV files: our own hourly columns, or the DWD's daily and hourly ones.

Columns are known by their names; others are left alone. Separators are commas or semicolons, also gzipped. A folder is
read as one table of all its .csv, .txt and .gz files: the DWD gives a file for each quantity. Times are UTC; -999 and
empty cells are missing; of equal times the last row counts. Which columns mean what: `docs/reference/simulator.md`.
"""

import csv
import gzip
import hashlib
import io
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time, timedelta
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import SimulationError

MAX_GAP_DAYS, MAX_GAP_HOURS = 3, 6
"""Longest gaps that are filled by straight lines."""
_MISSING = -999.0


@dataclass(frozen=True, slots=True)
class _Column:
    name: str
    low: float
    high: float
    factor: float = 1.0
    """Of the file's unit."""


_TEMP = {"low": -60.0, "high": 60.0}
_DAILY = {
    **dict.fromkeys(("LUFTTEMPERATUR", "TMK"), _Column("air_temp_mean_c", **_TEMP)),
    **dict.fromkeys(("LUFTTEMPERATUR_MINIMUM", "TNK"), _Column("air_temp_min_c", **_TEMP)),
    **dict.fromkeys(("LUFTTEMPERATUR_MAXIMUM", "TXK"), _Column("air_temp_max_c", **_TEMP)),
    **dict.fromkeys(("NIEDERSCHLAGSHOEHE", "RSK"), _Column("rain_mm", 0, 400)),
    **dict.fromkeys(("REL_FEUCHTE", "UPM"), _Column("humidity_pct", 0, 100)),
    **dict.fromkeys(("WINDGESCHWINDIGKEIT", "FM"), _Column("wind_speed_mps", 0, 60)),
    **dict.fromkeys(("SONNENSCHEINDAUER", "SDK"), _Column("sunshine_h", 0, 24)),
    **dict.fromkeys(("BEDECKUNGSGRAD", "NM"), _Column("cloud_cover", 0, 1, 1 / 8)),
    **dict.fromkeys(("SCHNEEHOEHE", "SHK_TAG"), _Column("snow_depth_cm", 0, 1000)),
    **dict.fromkeys(("LUFTDRUCK_STATIONSHOEHE", "PM"), _Column("pressure_hpa", 500, 1100)),
}
_DWD_HOURLY = {
    "TT_TU": _Column("air_temp_c", **_TEMP),
    "RF_TU": _Column("humidity_pct", 0, 100),
    "R1": _Column("rain_mm", 0, 200),
    "F": _Column("wind_speed_mps", 0, 60),
    "V_N": _Column("cloud_cover", 0, 1, 1 / 8),
    "P0": _Column("pressure_hpa", 500, 1100),
    "FG_LBERG": _Column("radiation_w_per_m2", 0, 1500, 1e4 / 3600),
}
_OUR_HOURLY = {
    column.name: column
    for column in (
        *(_DWD_HOURLY[name] for name in ("TT_TU", "RF_TU", "R1", "F", "P0")),
        _Column("cloud_cover", 0, 1),
        _Column("radiation_w_per_m2", 0, 1500),
        _Column("snow_depth_cm", 0, 1000),
    )
}
_NEEDED = {
    True: ("air_temp_c", "rain_mm"),
    False: ("air_temp_mean_c", "air_temp_min_c", "air_temp_max_c", "rain_mm"),
}
_LIGHT = {True: ("radiation_w_per_m2", "cloud_cover"), False: ("sunshine_h", "cloud_cover")}


@dataclass(frozen=True, eq=False, slots=True)
class WeatherFile:
    """Measured weather of whole UTC days, without gaps in what is needed. Equal contents are equal files."""

    name: str
    sha256: str
    is_hourly: bool
    first: date
    last: date
    columns: dict[str, NDArray[np.float64]] = field(repr=False)
    """By name, for each hour or day from `first` to `last`; NaN where an optional quantity is missing."""

    def __eq__(self, other: object) -> bool:
        return isinstance(other, WeatherFile) and self.sha256 == other.sha256

    def __hash__(self) -> int:
        return hash(self.sha256)

    @property
    def end(self) -> datetime:
        """End of the last day, UTC."""
        return datetime.combine(self.last + timedelta(days=1), time(), UTC)

    @property
    def period(self) -> str:
        """For messages."""
        return f"{self.name} covers {self.first} to {self.last}"


def read_weather_file(path: Path) -> WeatherFile:
    """Read a file, or a folder of files, of measured weather.

    Raises
    ------
    SimulationError
        If it cannot be read, lacks a column, holds an impossible value, or has a gap of more than three days (hourly
        files: six hours) in temperature or rain; names the first place.
    """
    rows: dict[datetime, dict[str, float]] = {}
    digest, kinds = hashlib.sha256(), set()
    for file in _files(path):
        content = _content(file)
        digest.update(len(content).to_bytes(8, "little") + content)
        kinds.add(_read_table(file, content, rows))
    if len(kinds) > 1:
        raise SimulationError(f"Weather {path}: got daily and hourly files in one folder, expected one kind.")
    (is_hourly,) = kinds
    if not rows:
        raise SimulationError(f"Weather {path}: got no rows, expected at least one day.")
    step = timedelta(hours=1) if is_hourly else timedelta(days=1)
    begin, stop = _whole_days(rows, is_hourly, path)
    count = (stop - begin) // step
    found = {name for values in rows.values() for name in values}
    columns = {name: np.full(count, np.nan) for name in sorted(found)}
    for at, values in rows.items():
        row = (at - begin) // step
        if 0 <= row < count:
            for name, value in values.items():
                columns[name][row] = value
    _fill(columns, is_hourly, begin, path)
    if not is_hourly:
        _check_extremes(columns, begin, path)
    last = (stop - timedelta(days=1)).date()
    return WeatherFile(path.name, digest.hexdigest(), is_hourly, begin.date(), last, columns)


def _files(path: Path) -> list[Path]:
    if not path.is_dir():
        return [path]
    files = sorted(file for file in path.iterdir() if file.suffix in {".csv", ".txt", ".gz"})
    if not files:
        raise SimulationError(f"Weather {path}: got a folder without .csv, .txt and .gz files.")
    return files


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as exc:
        raise SimulationError(f"Weather {path}: cannot be read: {exc}.") from None


def _read_table(path: Path, content: bytes, rows: dict[datetime, dict[str, float]]) -> bool:
    """Add a file's rows by the begin of their hour or day; whether it is hourly."""
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise SimulationError(f"Weather {path}: cannot be read: {exc}.") from None
    head = text.split("\n", 1)[0]
    reader = csv.reader(io.StringIO(text), delimiter=";" if ";" in head else ",")
    try:
        names = [name.strip() for name in next(reader, [])]
        columns, time_of, time_column, is_hourly = _layout(path, names)
        picked = [(place, columns[name]) for place, name in enumerate(names) if name in columns]
        for number, cells in enumerate(reader, start=2):
            if not any(cell.strip() for cell in cells):
                continue
            where = f"Weather {path}, line {number}"
            if len(cells) != len(names):
                raise SimulationError(f"{where}: got {len(cells)} cells, expected {len(names)}.")
            try:
                at = time_of(cells[time_column].strip())
            except ValueError as exc:
                raise SimulationError(
                    f"{where}: got the time {cells[time_column].strip()!r}, expected {exc}."
                ) from None
            rows.setdefault(at, {}).update(_values(where, cells, picked))
    except csv.Error as exc:
        raise SimulationError(f"Weather {path}: {exc}.") from None
    return is_hourly


def _layout(path: Path, names: list[str]) -> tuple[dict[str, _Column], Callable[[str], datetime], int, bool]:
    """Columns by name, how to read times, where they stand, and whether rows are hours."""
    if "ends_at" in names:
        return _OUR_HOURLY, _our_hour, names.index("ends_at"), True
    time_column = next((place for place, name in enumerate(names) if name.upper() == "MESS_DATUM"), None)
    if time_column is not None:
        if any(name in _DAILY for name in names):
            return _DAILY, _dwd_day, time_column, False
        if any(name in _DWD_HOURLY for name in names):
            return _DWD_HOURLY, _dwd_hour, time_column, True
    raise SimulationError(
        f"Weather {path}: got the columns {', '.join(names[:12]) or 'none'}, expected ends_at, air_temp_c, rain_mm … "
        "or the DWD's MESS_DATUM with TMK, TNK, TXK, RSK … or TT_TU, R1 …"
    )


def _our_hour(text: str) -> datetime:
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        at = None
    if at is None or at.tzinfo is None or at.minute or at.second or at.microsecond:
        raise ValueError("the full hour at which it ends, with an offset, such as 2026-01-31T06:00:00Z")
    return at.astimezone(UTC) - timedelta(hours=1)


def _dwd_hour(text: str) -> datetime:
    """The hour that ends at the full hour given; radiation files add minutes."""
    try:
        return datetime.strptime(text[:10], "%Y%m%d%H").replace(tzinfo=UTC) - timedelta(hours=1)
    except ValueError:
        raise ValueError("YYYYMMDDHH") from None


def _dwd_day(text: str) -> datetime:
    try:
        return datetime.strptime(text, "%Y%m%d").replace(tzinfo=UTC)
    except ValueError:
        raise ValueError("YYYYMMDD") from None


def _values(where: str, cells: list[str], picked: list[tuple[int, _Column]]) -> Iterator[tuple[str, float]]:
    for place, column in picked:
        text = cells[place].strip()
        try:
            value = float(text or _MISSING)
        except ValueError:
            raise SimulationError(f"{where}: got {text!r} for {column.name}, expected a number.") from None
        if value == _MISSING or (column.name == "cloud_cover" and value == -1):  # DWD: the sky was not to be seen
            continue
        if not column.low <= value * column.factor <= column.high:
            expected = f"{column.low / column.factor:g} to {column.high / column.factor:g}"
            raise SimulationError(f"{where}: got {value:g} for {column.name}, expected {expected}.")
        yield column.name, value * column.factor


def _whole_days(rows: dict[datetime, dict[str, float]], is_hourly: bool, path: Path) -> tuple[datetime, datetime]:
    """Begin of the first whole day and end of the last one."""
    begin, stop = min(rows), max(rows) + (timedelta(hours=1) if is_hourly else timedelta(days=1))
    if begin.hour:
        begin = begin.replace(hour=0) + timedelta(days=1)
    stop = stop.replace(hour=0)
    if stop <= begin:
        raise SimulationError(f"Weather {path}: got no whole day (UTC), expected at least one.")
    return begin, stop


def _fill(columns: dict[str, NDArray[np.float64]], is_hourly: bool, begin: datetime, path: Path) -> None:
    """Fill short gaps; long ones are an error where the quantity is needed, and stay NaN elsewhere."""
    needed, light = _NEEDED[is_hourly], _LIGHT[is_hourly]
    if absent := [name for name in needed if name not in columns]:
        raise SimulationError(f"Weather {path}: got no values of {', '.join(absent)}, expected some.")
    for name, values in columns.items():
        _bridge(values, MAX_GAP_HOURS if is_hourly else MAX_GAP_DAYS)
        if name in needed:
            _check_complete(np.isnan(values), name, is_hourly, begin, path)
    dark = np.all([np.isnan(columns[name]) for name in light if name in columns], axis=0)
    _check_complete(np.broadcast_to(dark, len(columns[needed[0]])), " and ".join(light), is_hourly, begin, path)


def _bridge(values: NDArray[np.float64], longest: int) -> None:
    """Replace up to `longest` missing values in a row by a straight line between their neighbours, in place."""
    known = np.flatnonzero(~np.isnan(values))
    for before, after in zip(known[:-1].tolist(), known[1:].tolist(), strict=True):
        if 1 < after - before <= longest + 1:
            values[before : after + 1] = np.linspace(values[before], values[after], after - before + 1)


def _check_complete(missing: NDArray[np.bool_], name: str, is_hourly: bool, begin: datetime, path: Path) -> None:
    if missing.any():
        at = begin + int(missing.argmax()) * (timedelta(hours=1) if is_hourly else timedelta(days=1))
        first = f"{at:%Y-%m-%d %H:%M} UTC" if is_hourly else f"{at:%Y-%m-%d}"
        longest = f"{MAX_GAP_HOURS} hours" if is_hourly else f"{MAX_GAP_DAYS} days"
        raise SimulationError(
            f"Weather {path}: {name} is missing from {first} on, expected no gap of more than {longest}, and none at "
            "the begin or end."
        )


def _check_extremes(columns: dict[str, NDArray[np.float64]], begin: datetime, path: Path) -> None:
    low, high = columns["air_temp_min_c"], columns["air_temp_max_c"]
    if (wrong := low > high).any():
        row = int(wrong.argmax())
        raise SimulationError(
            f"Weather {path}: got a minimum of {low[row]:g} °C and a maximum of {high[row]:g} °C on "
            f"{begin + timedelta(days=row):%Y-%m-%d}, expected the minimum to be lower."
        )
