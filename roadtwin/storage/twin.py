"""What the twin state is made of, as known at a time, and the state itself."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from roadtwin.storage import queries
from roadtwin.storage.twin_facts import Scope
from roadtwin.types import UNFIT

_SQL = queries.load("twin")


class SensorValue(NamedTuple):
    """Newest value at one installed device, in the unit of its quantity."""

    lon: float
    lat: float
    value: float
    observed_at: datetime


class StateRow(NamedTuple):
    """State of one segment; `state` is JSON text."""

    segment_id: int
    as_of: datetime
    state: str
    condition_grade: float | None
    evidence_count: int
    newest_evidence_at: datetime | None


def read_sensor_values(
    conn: psycopg.Connection[Any], quantity: str, *, now: datetime, window: timedelta
) -> list[SensorValue]:
    """Newest good values of confirmed, installed devices within `window` before `now`."""
    given = {"quantity": quantity, "now": now, "window": window, "unfit": int(UNFIT)}
    return [SensorValue(*row) for row in conn.execute(_SQL["read_sensor_values"], given).fetchall()]


def read_last_passes(conn: psycopg.Connection[Any], scope: Scope) -> dict[int, date]:
    """Segment → local day of the newest pass known."""
    return dict(conn.execute(_SQL["read_last_passes"], scope._asdict()).fetchall())


def read_last_inspections(conn: psycopg.Connection[Any], scope: Scope) -> dict[int, tuple[datetime, int]]:
    """Segment → (newest inspection, number of inspections in 365 days)."""
    rows = conn.execute(_SQL["read_last_inspections"], scope._asdict()).fetchall()
    return {segment_id: (newest_at, count) for segment_id, newest_at, count in rows}


def write_state(conn: psycopg.Connection[Any], rows: Iterable[StateRow]) -> None:
    """Replace the current state and the snapshot of its local day, unless newer ones are there."""
    with conn.cursor() as cur:
        cur.execute(_SQL["stage_state"])
        with cur.copy(_SQL["copy_state"]) as copy:
            for row in rows:
                copy.write_row(row)
        cur.execute(_SQL["merge_state"])
        cur.execute(_SQL["merge_state_day"])
        cur.execute(_SQL["drop_state_of_closed_segments"])
