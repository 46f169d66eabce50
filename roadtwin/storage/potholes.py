"""Derived potholes: written as one set, so that the table is what the rule says now."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.storage import queries

_SQL = queries.load("potholes")


class PotholeRow(NamedTuple):
    """One row of the table `pothole`, in its column order."""

    pothole_id: UUID
    rule_version: int
    section_id: int
    segment_id: int
    station_m: float
    lon: float
    lat: float
    first_evidence_at: datetime
    first_recorded_at: datetime
    confirmed_at: datetime | None
    secured_at: datetime | None
    closed_at: datetime | None
    close_reason: str | None
    last_evidence_at: datetime
    severity: int
    evidence_count: int
    evidence: list[dict[str, Any]]
    reopened: bool


def replace_potholes(conn: psycopg.Connection[Any], rows: Iterable[PotholeRow]) -> tuple[int, int]:
    """Make the table hold exactly these rows; returns how many were written (new or changed) and removed.

    Rows that are there already stay as they are, so a second run writes nothing. Part of the caller's transaction.
    """
    with conn.cursor() as cursor:
        cursor.execute(_SQL["stage_pothole"])
        with cursor.copy(_SQL["copy_pothole"]) as copy:
            for row in rows:
                copy.write_row(row._replace(evidence=Jsonb(row.evidence)))  # type: ignore[arg-type]
        cursor.execute(_SQL["remove_lapsed"])
        removed = cursor.rowcount
        cursor.execute(_SQL["merge_pothole"])
        return cursor.rowcount, removed
