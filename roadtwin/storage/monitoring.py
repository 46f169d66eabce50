"""What became of scores, and how the model in use is doing day by day."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from roadtwin.storage import queries
from roadtwin.storage.columns import copy_columns

_SQL = queries.load("monitoring")


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """What became of one set of scores at one horizon; see `models.monitoring.Outcome`."""

    score_as_of: datetime
    horizon_days: int
    model_run_id: int
    recorded_at: datetime
    segments_known: int
    predicted: float
    observed: int
    squared_error: float
    climatology_squared_error: float | None


@dataclass(frozen=True, slots=True)
class MonitoringRow:
    """How the model in use was doing; `alarms` and `figures` are plain JSON."""

    monitored_at: datetime
    model_run_id: int
    score_as_of: datetime
    alarms: list[dict[str, Any]]
    figures: dict[str, Any]


def list_unsettled_runs(
    conn: psycopg.Connection[Any], horizon_days: int, *, since: datetime, settled_by: datetime
) -> list[tuple[datetime, int]]:
    """`as_of` and model of the sets of scores, one a week, that are settled and whose outcome is not worked out yet."""
    parameters = {"horizon_days": horizon_days, "since": since, "settled_by": settled_by}
    return [(row[0], row[1]) for row in conn.execute(_SQL["list_unsettled_runs"], parameters)]


def read_probability(
    conn: psycopg.Connection[Any], segment_ids: NDArray[np.int32], *, as_of: datetime, horizon_days: int
) -> NDArray[np.float64]:
    """Probabilities of a set of scores for these (sorted) segments, shape (n,); NaN where it has none."""
    parameters = {"as_of": as_of, "horizon_days": horizon_days}
    columns = copy_columns(conn, _SQL["copy_probability"], (("id", "int4"), ("p", "float4")), parameters)
    result = np.full(segment_ids.size, np.nan)
    place = np.searchsorted(segment_ids, columns["id"])
    here = place < segment_ids.size
    here[here] = segment_ids[place[here]] == columns["id"][here]
    result[place[here]] = columns["p"][here]
    return result


def read_feature_values(
    conn: psycopg.Connection[Any], *, as_of: datetime, feature_set_version: int
) -> NDArray[np.float32]:
    """Feature rows of a set of scores, shape (n, n_features), in any order; NaN unknown. (0, 0) if there are none."""
    parameters = {"as_of": as_of, "feature_set_version": feature_set_version}
    with conn.cursor(binary=True) as cursor:
        rows = [row[0] for row in cursor.execute(_SQL["read_feature_values"], parameters)]
    return np.array(rows, np.float32) if rows else np.zeros((0, 0), np.float32)


def write_outcomes(conn: psycopg.Connection[Any], rows: Sequence[OutcomeRow]) -> None:
    """Store outcomes; one that is there stays as it is. Part of the caller's transaction."""
    with conn.cursor() as cursor:
        for row in rows:
            cursor.execute(_SQL["insert_outcome"], {name: getattr(row, name) for name in OutcomeRow.__slots__})


def list_outcomes(conn: psycopg.Connection[Any], *, since: datetime, now: datetime) -> list[OutcomeRow]:
    """Outcomes of sets of scores after `since` that were worked out by `now`, oldest first."""
    return [OutcomeRow(*row) for row in conn.execute(_SQL["list_outcomes"], {"since": since, "now": now})]


def read_drift_reference(conn: psycopg.Connection[Any], model_run_id: int) -> dict[str, Any] | None:
    """What a model keeps of its training for monitoring; None for models made before that was kept."""
    row = conn.execute(_SQL["read_drift_reference"], {"model_run_id": model_run_id}).fetchone()
    return row[0] if row else None


def write_monitoring(conn: psycopg.Connection[Any], row: MonitoringRow) -> None:
    """Store a day's monitoring. Part of the caller's transaction."""
    conn.execute(
        _SQL["insert_monitoring"],
        {
            "monitored_at": row.monitored_at,
            "model_run_id": row.model_run_id,
            "score_as_of": row.score_as_of,
            "alarms": Jsonb(row.alarms),
            "figures": Jsonb(row.figures),
        },
    )


def read_newest_monitoring(conn: psycopg.Connection[Any]) -> MonitoringRow | None:
    """The newest monitoring, or None."""
    row = conn.execute(_SQL["read_newest_monitoring"]).fetchone()
    return MonitoringRow(*row) if row else None
