"""Derived potholes: written as one set, so that the table is what the rule says now."""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.storage import queries
from roadtwin.types import UNFIT

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
    opened_at: list[datetime]
    shut_at: list[datetime | None]
    seen_by_person_at: datetime | None


class Derivation(NamedTuple):
    """What the table `pothole` is: derived as of a time, by versions of the rule and of the matcher."""

    as_of: datetime
    rule_version: int
    matcher_version: int


class DerivedCounts(NamedTuple):
    """Evidence known, and what the table `pothole` holds: candidates, open, closed, and of these not found."""

    evidence: int
    candidates: int
    open: int
    closed: int
    not_found: int


def read_derivation(conn: psycopg.Connection[Any]) -> Derivation | None:
    """How far potholes are derived; None before the first time, and after facts came that were recorded before."""
    row = conn.execute(_SQL["read_derivation"]).fetchone()
    return None if row is None else Derivation(*row)


def write_derivation(conn: psycopg.Connection[Any], derivation: Derivation) -> None:
    """Say how far potholes are derived. Part of the caller's transaction."""
    conn.execute(_SQL["write_derivation"], derivation._asdict())


def forget_derivation(conn: psycopg.Connection[Any], *, recorded_at: datetime) -> None:
    """Facts recorded at this time came only now: if potholes were derived as of a later time, all are derived anew."""
    conn.execute(_SQL["forget_derivation"], {"recorded_at": recorded_at})


@contextmanager
def without_nested_loops(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Statements on `placed_evidence` within the caller's transaction: the planner underrates their joins."""
    conn.execute(_SQL["avoid_nested_loops"])
    yield
    conn.execute(_SQL["allow_nested_loops"])


def collect_evidence(conn: psycopg.Connection[Any], *, matched_since: datetime | None) -> list[int]:
    """Bring `pothole_evidence` up to what is placed on the network; returns the sections where something changed.

    Without a time, everything is collected anew. Part of the caller's transaction.
    """
    span: dict[str, object] = {"since": "-infinity", "first": "-infinity", "last": "infinity"}
    with without_nested_loops(conn):
        if matched_since is None:
            conn.execute(_SQL["clear_evidence"])
        else:
            bounds = conn.execute(_SQL["read_span_of_new_matches"], {"since": matched_since}).fetchone()
            assert bounds is not None  # an aggregate
            if bounds[0] is None:
                return []
            span = {"since": matched_since, "first": bounds[0], "last": bounds[1]}
        return [row[0] for row in conn.execute(_SQL["collect_evidence"], span).fetchall()]


def read_sections_to_derive(
    conn: psycopg.Connection[Any],
    *,
    since: datetime | None,
    now: datetime,
    lapsing_since: datetime,
    sections: Sequence[int],
) -> list[int]:
    """These sections and those where holes may be otherwise than as of `since`, None: all that have holes.

    A candidate first recorded by `lapsing_since` may have lapsed.
    """
    given = {"since": since, "now": now, "lapsing_since": lapsing_since, "sections": list(sections)}
    return sorted(row[0] for row in conn.execute(_SQL["read_sections_to_derive"], given).fetchall())


def count_potholes(conn: psycopg.Connection[Any], *, now: datetime) -> DerivedCounts:
    """Counts of the tables, evidence as recorded by `now`."""
    row = conn.execute(_SQL["count_potholes"], {"now": now, "unfit": int(UNFIT)}).fetchone()
    assert row is not None  # an aggregate
    return DerivedCounts(*row)


def replace_potholes(
    conn: psycopg.Connection[Any], rows: Iterable[PotholeRow], *, sections: Sequence[int] | None = None
) -> tuple[int, int]:
    """Make the table hold exactly these rows; returns how many were written (new or changed) and removed.

    With `sections`, rows of other sections are left alone.
    Rows that are there already stay as they are, so a second run writes nothing. Part of the caller's transaction, to
    whose end another writer of potholes waits.
    """
    with conn.cursor() as cursor:
        cursor.execute(_SQL["lock_potholes"])
        cursor.execute(_SQL["stage_pothole"])
        with cursor.copy(_SQL["copy_pothole"]) as copy:
            for row in rows:
                copy.write_row(row._replace(evidence=Jsonb(row.evidence)))  # type: ignore[arg-type]
        cursor.execute(_SQL["remove_lapsed"], {"sections": None if sections is None else list(sections)})
        removed = cursor.rowcount
        cursor.execute(_SQL["merge_pothole"])
        return cursor.rowcount, removed
