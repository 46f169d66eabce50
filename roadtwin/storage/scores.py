"""Scores with the features they were made from, written as complete sets."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from roadtwin.storage import queries
from roadtwin.storage.columns import write_columns

_SQL = queries.load("scores")
_SCORE_COLUMNS = (
    ("segment_id", "int4"), ("as_of", "timestamptz"), ("horizon_days", "int2"), ("probability", "float4"),
    ("expected_count", "float4"), ("low", "float4"), ("high", "float4"), ("rank", "int4"), ("model_run_id", "int4"),
    ("reasons", "jsonb"),
)  # fmt: skip
_REFRESH_LOCK_KEY = 0x726F6164_72667273


@dataclass(frozen=True, slots=True)
class ScoreRun:
    """A complete set of scores."""

    as_of: datetime
    model_run_id: int
    recorded_at: datetime
    segment_count: int
    code_version: str | None = None


@dataclass(frozen=True, slots=True)
class ScoreTable:
    """Scores of n segments for h horizons, with the f features that they were made from.

    `probability`, `expected_count` and `rank` (n, h), rank 1 the highest of its horizon; `low` and `high` (n, h) are
    the 90 % interval, None for a model that gives none. `features` (n, f) in the order of the feature set, NaN unknown.
    `reasons_json` holds, for each horizon, JSON texts by row; rows without any are stored without.
    """

    segment_id: NDArray[np.int32]
    horizons_days: tuple[int, ...]
    features: NDArray[np.float32]
    probability: NDArray[np.float64]
    expected_count: NDArray[np.float64]
    rank: NDArray[np.int64]
    reasons_json: tuple[Mapping[int, bytes], ...]
    low: NDArray[np.float64] | None = None
    high: NDArray[np.float64] | None = None


@contextmanager
def one_refresh_at_a_time(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold a lock of this database over several transactions of `conn`; another holder is waited for."""
    conn.execute(_SQL["lock_refresh"], {"key": _REFRESH_LOCK_KEY})
    conn.commit()
    try:
        yield
    finally:
        if not conn.closed:  # a lost connection has lost its lock
            conn.rollback()
            conn.execute(_SQL["unlock_refresh"], {"key": _REFRESH_LOCK_KEY})
            conn.commit()


def thin_scores(conn: psycopg.Connection[Any], *, keep_all_since: datetime, timezone: str) -> int:
    """Delete superseded sets of scores: of a local day before `keep_all_since` the last set stays.

    A set that somebody decided on stays too: it is evidence. Part of the caller's transaction; returns how many went.
    """
    row = conn.execute(_SQL["thin_scores"], {"keep_all_since": keep_all_since, "timezone": timezone}).fetchone()
    return int(row[0]) if row else 0


def write_scores(conn: psycopg.Connection[Any], run: ScoreRun, scores: ScoreTable, *, feature_set_version: int) -> None:
    """Write a set of scores and the run that makes it visible. Part of the caller's transaction.

    A set as of the same instant is replaced.
    """
    with conn.cursor() as cursor:
        cursor.execute(_SQL["delete_score_run"], {"as_of": run.as_of})
        count = scores.segment_id.size
        common = {
            "segment_id": scores.segment_id,
            "as_of": np.full(count, np.datetime64(run.as_of.astimezone(UTC).replace(tzinfo=None), "us")),
        }
        write_columns(
            conn,
            _SQL["copy_feature_row"],
            (("segment_id", "int4"), ("as_of", "timestamptz"), ("version", "int2"), ("values", "float4[]")),
            common | {"version": np.full(count, feature_set_version), "values": scores.features},
        )
        for column, horizon in enumerate(scores.horizons_days):
            columns = common | {
                "horizon_days": np.full(count, horizon),
                "probability": scores.probability[:, column],
                "expected_count": scores.expected_count[:, column],
                "low": None if scores.low is None else scores.low[:, column],
                "high": None if scores.high is None else scores.high[:, column],
                "rank": scores.rank[:, column],
                "model_run_id": np.full(count, run.model_run_id),
                "reasons": scores.reasons_json[column],
            }
            write_columns(conn, _SQL["copy_risk_score"], _SCORE_COLUMNS, columns)
        cursor.execute(
            _SQL["insert_score_run"],
            {
                "as_of": run.as_of,
                "model_run_id": run.model_run_id,
                "recorded_at": run.recorded_at,
                "segment_count": run.segment_count,
                "code_version": run.code_version,
            },
        )


def read_newest_score_run(conn: psycopg.Connection[Any]) -> ScoreRun | None:
    """The newest complete set, or None."""
    row = conn.execute(_SQL["read_newest_score_run"]).fetchone()
    return ScoreRun(*row) if row else None
