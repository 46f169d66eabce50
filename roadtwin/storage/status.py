"""One look at the whole database: what `roadtwin status` shows."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.rows import dict_row

from roadtwin.storage import queries
from roadtwin.storage.database import DatabaseMode, detect_mode
from roadtwin.storage.migrate import read_applied

_SQL = queries.load("status")


@dataclass(frozen=True, slots=True)
class LastBatch:
    """The newest transaction of the ingester."""

    recorded_at: datetime
    worker: str
    origin: str
    received: int
    stored: int
    duplicate: int
    rejected: int


@dataclass(frozen=True, slots=True)
class NewestScores:
    """The newest complete set of risk scores, and the model that made it."""

    as_of: datetime
    recorded_at: datetime
    segment_count: int
    model_run_id: int
    trained_at: datetime
    cold_start: bool
    """The model was never tested on this city."""


@dataclass(frozen=True, slots=True)
class DatabaseStatus:
    """Mode, schema version, city, row counts by name, newest batch and scores; None where there is none yet."""

    mode: DatabaseMode
    schema_version: int
    city: str | None
    simulated: bool | None
    counts: dict[str, int]
    last_batch: LastBatch | None
    newest_scores: NewestScores | None


def read_status(conn: psycopg.Connection[Any]) -> DatabaseStatus:
    """Read the status in the caller's transaction. Counts of messages are the ingester's own accounts."""
    mode, applied = detect_mode(conn), read_applied(conn)
    with conn.cursor(row_factory=dict_row) as cursor:
        counts = cursor.execute(_SQL["read_counts"]).fetchone()
        batch = cursor.execute(_SQL["read_last_batch"]).fetchone()
        scores = cursor.execute(_SQL["read_newest_scores"]).fetchone()
        city = cursor.execute(_SQL["read_city"]).fetchone()
    return DatabaseStatus(
        mode=mode,
        schema_version=applied[-1].version if applied else 0,
        city=city["name"] if city else None,
        simulated=city["simulated"] if city else None,
        counts=counts or {},
        last_batch=LastBatch(**batch) if batch else None,
        newest_scores=NewestScores(**scores) if scores else None,
    )
