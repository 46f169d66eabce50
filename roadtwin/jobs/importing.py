"""Bringing registers and records into the database. Files are read here, and what cannot be used is said by line."""

import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import psycopg

from roadtwin.errors import InputFileError, RecordRejectedError
from roadtwin.jobs.file_checks import check_place, check_places, check_sections, check_times
from roadtwin.jobs.networks import NetworkCounts, import_network
from roadtwin.jobs.record_rows import ROW_OF, finding_rows
from roadtwin.network.extent import Extent
from roadtwin.network.geojson import ReadOptions, ReadReport, read_geojson
from roadtwin.network.sections import RoadSection
from roadtwin.records.parsing import parse_csv_row, parse_json_line
from roadtwin.records.schema import EARLIEST, LATEST, RECORD_KINDS, Inspection, Record
from roadtwin.storage.city import read_city
from roadtwin.storage.devices import read_device_file, register_devices
from roadtwin.storage.network import read_bounds
from roadtwin.storage.potholes import forget_derivation
from roadtwin.storage.records import write_records
from roadtwin.types import Origin

__all__ = [
    "NetworkCounts",
    "RecordCounts",
    "import_devices_file",
    "import_network",
    "import_network_file",
    "import_records",
    "import_records_file",
    "read_network_file",
    "source_of",
]


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What an import did: received = stored + duplicate + rejected. `rejections` are sentences, one each.

    `notes` say what was put right, or could not be checked.
    """

    received: int
    stored: int
    duplicate: int
    rejections: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def rejected(self) -> int:
        """How many records could not be used."""
        return len(self.rejections)


def import_records(
    conn: psycopg.Connection[Any],
    kind: str,
    records: Iterable[Record],
    *,
    origin: Origin,
    recorded_at: datetime | None = None,
    reporting_lag: timedelta | None = None,
) -> RecordCounts:
    """Write records of one kind; a transaction of its own, or a part of the caller's.

    A record without `recorded_at` gets `recorded_at` if that is given, else its own `observed_at` plus
    `reporting_lag`; with neither it is rejected, for then nobody could say when we knew. A record with an id that is
    there already changes nothing.

    Raises InputFileError for an unknown kind.
    """
    numbered = ((f"{kind} {number}", record) for number, record in enumerate(records, start=1))
    return _import(conn, kind, numbered, origin=origin, recorded_at=recorded_at, reporting_lag=reporting_lag)


def import_records_file(
    conn: psycopg.Connection[Any],
    kind: str,
    path: Path,
    *,
    origin: Origin = Origin.IMPORTED,
    reporting_lag: timedelta | None = None,
    zone: ZoneInfo | None = None,
) -> RecordCounts:
    """Write the records of a file (`.jsonl` or `.csv`, also `.gz`); one transaction.

    A line that is no valid record is left out and named with its reason; the others are written. A CSV file has a
    header with the names of the schema's fields; `lon`, `lat` and `accuracy_m` stand for the position. Swapped
    longitudes and latitudes are put right, which a note says. See `import_records` for `reporting_lag`.

    Raises InputFileError for an unknown kind, a file that cannot be read and one with times of other zones beside
    those of the city's (`zone` where the database does not say).
    """
    lines = list(_csv_records(kind, path) if ".csv" in path.suffixes else _json_records(kind, path))
    city = read_city(conn)
    notes = check_times(lines, ZoneInfo(city.timezone) if city is not None else zone)
    checked, more = check_places(lines, _extent(conn))
    counts = _import(conn, kind, checked, origin=origin, recorded_at=None, reporting_lag=reporting_lag)
    return replace(counts, notes=(*notes, *more))


def import_devices_file(conn: psycopg.Connection[Any], path: Path) -> tuple[int, tuple[str, ...]]:
    """Register the devices of a CSV file; returns the number of rows, and notes of what was put right.

    Raises InputFileError, also for a device that stands far from the city's roads.
    """
    rows, extent, swapped = read_device_file(path), _extent(conn), 0
    for number, row in enumerate(rows):
        if row.lon is not None and row.lat is not None:
            lon, lat, was = check_place(row.lon, row.lat, extent, f"{path}, row {number + 2}")
            rows[number], swapped = replace(row, lon=lon, lat=lat), swapped + was
    notes = (f"{swapped} positions had longitude and latitude swapped: put right.",) if swapped else ()
    return register_devices(conn, rows), notes


def import_network_file(
    conn: psycopg.Connection[Any],
    path: Path,
    options: ReadOptions,
    *,
    recorded_at: datetime,
    nominal_length_m: int = 100,
    close_missing: bool = False,
    zone: ZoneInfo | None = None,
) -> tuple[ReadReport, NetworkCounts]:
    """Write the road network of a GeoJSON file (`.geojson`, `.json`, also `.gz`); see `import_network`.

    Raises InputFileError for a file that cannot be read, has no section, or has longitudes and latitudes swapped
    (told by the roads that are there already, or by the city's time zone `zone`), UnsupportedCrsError for coordinates
    that cannot be placed.
    """
    sections, report = read_network_file(path, options)
    city = read_city(conn)
    check_sections(sections, _extent(conn), ZoneInfo(city.timezone) if city is not None else zone or ZoneInfo("UTC"))
    counts = import_network(
        conn, sections, recorded_at=recorded_at, nominal_length_m=nominal_length_m, close_missing=close_missing
    )
    return report, counts


def read_network_file(path: Path, options: ReadOptions) -> tuple[list[RoadSection], ReadReport]:
    """Sections of a GeoJSON file (also `.gz`), at least one; raises as `import_network_file`."""
    sections, report = read_geojson(_content(path), options)
    if not sections:
        first = f"; {report.skipped[0]}" if report.skipped else ""
        raise InputFileError(f"{path.name} has no section among its {report.features} features{first}.")
    return sections, report


def _extent(conn: psycopg.Connection[Any]) -> Extent | None:
    bounds = read_bounds(conn)
    return None if bounds is None else Extent(*bounds)


def source_of(path: Path) -> str:
    """Short name of a register where nobody gives one: that of its file without endings, as far as it may stand in
    an id."""
    return "".join(c if c.isascii() and (c.isalnum() or c in "_-") else "-" for c in path.name.split(".")[0])[:40]


def _import(
    conn: psycopg.Connection[Any],
    kind: str,
    records: Iterable[tuple[str, Record | RecordRejectedError]],
    *,
    origin: Origin,
    recorded_at: datetime | None,
    reporting_lag: timedelta | None,
) -> RecordCounts:
    """Write records that come with where they stand; those that are errors are counted as rejected."""
    if kind not in RECORD_KINDS:
        raise InputFileError(f"got the kind {kind!r}, expected one of {', '.join(RECORD_KINDS)}.")
    row_of = ROW_OF[kind]
    rows: list[tuple[object, ...]] = []
    findings: list[tuple[object, ...]] = []
    looked_at: list[datetime] = []  # recorded times of inspections: a look that was not known may end a hole
    rejections: list[str] = []
    for where, record in records:
        try:
            if isinstance(record, RecordRejectedError):
                raise record
            dated = with_recorded_at(record, recorded_at=recorded_at, reporting_lag=reporting_lag)
        except RecordRejectedError as exc:
            rejections.append(f"{where}: {exc}")
            continue
        rows.append(row_of(dated, origin))
        if isinstance(dated, Inspection):
            findings.extend(finding_rows(dated))
            looked_at.append(dated.recorded_at or dated.observed_at)
    with conn.transaction():
        stored = write_records(conn, kind, rows, findings) if rows else 0
        if stored and looked_at:
            forget_derivation(conn, recorded_at=min(looked_at))
    return RecordCounts(len(rows) + len(rejections), stored, len(rows) - stored, tuple(rejections))


def with_recorded_at(
    record: Record, *, recorded_at: datetime | None = None, reporting_lag: timedelta | None = None
) -> Record:
    """The record with the time we knew it; see `import_records`.

    Raises RecordRejectedError when there is none, when it lies before `observed_at`, and for times that cannot be.
    """
    for instant in (record.observed_at, record.recorded_at):
        if instant is not None and not EARLIEST <= instant < LATEST:
            raise RecordRejectedError(
                f"Got the time {instant.isoformat()}, expected one from {EARLIEST.year} to before {LATEST.year}."
            )
    known = record.recorded_at or recorded_at
    if known is None:
        if reporting_lag is None:
            raise RecordRejectedError("recorded_at is missing, and no reporting lag was stated.")
        known = record.observed_at + reporting_lag
    if known < record.observed_at:
        raise RecordRejectedError(
            f"recorded_at {known.isoformat()} lies before observed_at {record.observed_at.isoformat()}."
        )
    return record if record.recorded_at is not None else msgspec.structs.replace(record, recorded_at=known)


def _json_records(kind: str, path: Path) -> Iterator[tuple[str, Record | RecordRejectedError]]:
    if kind not in RECORD_KINDS:
        return
    for number, line in enumerate(_content(path).splitlines(), start=1):
        if line.strip():
            try:
                yield f"line {number}", parse_json_line(kind, line)
            except RecordRejectedError as exc:
                yield f"line {number}", exc


def _csv_records(kind: str, path: Path) -> Iterator[tuple[str, Record | RecordRejectedError]]:
    if kind not in RECORD_KINDS:
        return
    try:
        text = _content(path).decode("utf-8-sig")
    except UnicodeDecodeError as exc:
        raise InputFileError(f"{path.name} is not UTF-8: {exc.reason} at byte {exc.start}.") from exc
    header = text.partition("\n")[0]
    delimiter = ";" if header.count(";") > header.count(",") else ","  # what a German spreadsheet writes
    reader = csv.DictReader(io.StringIO(text, newline=""), delimiter=delimiter)
    while True:
        try:
            row = next(reader)
            record: Record | RecordRejectedError = parse_csv_row(kind, row)
        except StopIteration:
            return
        except RecordRejectedError as exc:
            record = exc
        except csv.Error as exc:
            raise InputFileError(f"{path.name}, line {reader.line_num}: {exc}.") from exc
        yield f"line {reader.line_num}", record


def _content(path: Path) -> bytes:
    try:
        content = path.read_bytes()
        return gzip.decompress(content) if path.suffix == ".gz" else content
    except (OSError, EOFError, zlib.error) as exc:
        reason = exc.strerror if isinstance(exc, OSError) and exc.strerror else str(exc)
        raise InputFileError(f"{path} cannot be read: {reason}.") from exc
