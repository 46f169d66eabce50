"""Scores with the features they were made from, written as complete sets."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

import psycopg

from roadtwin.storage import queries

_SQL = queries.load("scores")
_NULL = "\\N"
_REFRESH_LOCK_KEY = 0x726F6164_72667273


@dataclass(frozen=True, slots=True)
class ScoreRun:
    """A complete set of scores."""

    as_of: datetime
    model_run_id: int
    recorded_at: datetime
    segment_count: int
    code_version: str | None = None


class FeatureRow(NamedTuple):
    """What the model saw of one segment, in the order of the feature set; NaN unknown."""

    segment_id: int
    feature_values: list[float]


class ScoreRow(NamedTuple):
    """One score; `reasons_json` is a JSON text or None."""

    segment_id: int
    horizon_days: int
    probability: float
    expected_count: float
    rank: int
    reasons_json: str | None


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


def write_scores(
    conn: psycopg.Connection[Any],
    run: ScoreRun,
    features: Iterable[FeatureRow],
    scores: Iterable[ScoreRow],
    *,
    feature_set_version: int,
) -> None:
    """Write a set of scores and the run that makes it visible. Part of the caller's transaction.

    A set as of the same instant is replaced.
    """
    with conn.cursor() as cursor:
        cursor.execute(_SQL["delete_score_run"], {"as_of": run.as_of})
        # COPY's text format, made here: adapting each of a million numbers in the driver takes several times as long.
        at = run.as_of.isoformat()
        with cursor.copy(_SQL["copy_feature_row"]) as copy:
            for segment_id, values in features:
                copy.write(f"{segment_id}\t{at}\t{feature_set_version}\t{{{','.join(map(str, values))}}}\n")
        with cursor.copy(_SQL["copy_risk_score"]) as copy:
            for segment_id, horizon, probability, expected, rank, reasons in scores:
                text = _NULL if reasons is None else reasons.replace("\\", "\\\\")  # JSON has no raw tab or line end
                copy.write(
                    f"{segment_id}\t{at}\t{horizon}\t{probability}\t{expected}\t{_NULL}\t{_NULL}\t{rank}\t"
                    f"{run.model_run_id}\t{text}\n"
                )
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
