"""Bringing registers and records into the database. Files are read here, and what cannot be used is said by line."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import msgspec
import psycopg

from roadtwin.errors import InputFileError, RecordRejectedError
from roadtwin.jobs.networks import NetworkCounts, import_network
from roadtwin.jobs.record_rows import ROW_OF, finding_rows
from roadtwin.records.schema import RECORD_KINDS, Inspection, Record
from roadtwin.storage.records import write_records
from roadtwin.types import Origin

__all__ = ["NetworkCounts", "RecordCounts", "import_network", "import_records"]


@dataclass(frozen=True, slots=True)
class RecordCounts:
    """What an import did: received = stored + duplicate + rejected. `rejections` are sentences, one each."""

    received: int
    stored: int
    duplicate: int
    rejections: tuple[str, ...] = field(default=())

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
    row_of = _row_of(kind)
    rows: list[tuple[object, ...]] = []
    findings: list[tuple[object, ...]] = []
    rejections: list[str] = []
    for number, record in enumerate(records, start=1):
        try:
            dated = with_recorded_at(record, recorded_at=recorded_at, reporting_lag=reporting_lag)
        except RecordRejectedError as exc:
            rejections.append(f"{kind} {number} ({record.record_id}): {exc}")
            continue
        rows.append(row_of(dated, origin))
        if isinstance(dated, Inspection):
            findings.extend(finding_rows(dated))
    with conn.transaction():
        stored = write_records(conn, kind, rows, findings) if rows else 0
    return RecordCounts(len(rows) + len(rejections), stored, len(rows) - stored, tuple(rejections))


def with_recorded_at(
    record: Record, *, recorded_at: datetime | None = None, reporting_lag: timedelta | None = None
) -> Record:
    """The record with the time we knew it; see `import_records`.

    Raises RecordRejectedError when there is none, or when it lies before `observed_at`.
    """
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


def _row_of(kind: str) -> Any:
    if kind not in RECORD_KINDS:
        raise InputFileError(f"got the kind {kind!r}, expected one of {', '.join(RECORD_KINDS)}.")
    return ROW_OF[kind]
