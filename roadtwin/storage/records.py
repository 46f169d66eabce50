"""Repairs, inspections, reports, weather, surveys, permits and plans: written in bulk, each once."""

from collections.abc import Iterable, Sequence
from typing import Any

import psycopg

from roadtwin.storage import queries

_SQL = queries.load("records")

KINDS: tuple[str, ...] = (
    "repair",
    "inspection",
    "report",
    "weather",
    "weather_forecast",
    "survey",
    "trench_permit",
    "planned_work",
)
"""Tables of records; each has the name of its kind."""


def write_records(
    conn: psycopg.Connection[Any],
    kind: str,
    rows: Iterable[Sequence[object]],
    findings: Iterable[Sequence[object]] = (),
) -> int:
    """Write rows of one kind in the column order of `copy_<kind>` in records.sql; returns how many are new.

    A row whose key is there already (that of the sender; of weather: station, time and time of recording) changes
    nothing. `findings` belong to the inspections among `rows`. Part of the caller's transaction.
    """
    if kind not in KINDS:
        raise ValueError(f"got {kind!r}, expected one of {', '.join(KINDS)}")
    _stage(conn, kind, rows)
    if kind == "inspection":
        _stage(conn, "inspection_finding", findings)
    row = conn.execute(_SQL[f"merge_{kind}"]).fetchone()
    assert row is not None  # a count always has a row
    return int(row[0])


def _stage(conn: psycopg.Connection[Any], table: str, rows: Iterable[Sequence[object]]) -> None:
    conn.execute(_SQL[f"stage_{table}"])
    conn.execute(_SQL[f"clear_{table}"])
    with conn.cursor() as cur, cur.copy(_SQL[f"copy_{table}"]) as copy:
        for row in rows:
            copy.write_row(row)
