"""Trained models: artefact, card and what they were made with. One of them is active."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.storage import queries

_SQL = queries.load("model_runs")


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One trained model; nothing recorded after `data_until` was used."""

    model_run_id: int
    trained_at: datetime
    data_until: datetime
    feature_set_version: int
    rule_version: int
    library_versions: dict[str, str]
    recipe: dict[str, Any]
    card: dict[str, Any]
    artefact: bytes
    artefact_sha256: bytes


def write_model_run(
    conn: psycopg.Connection[Any],
    *,
    trained_at: datetime,
    data_until: datetime,
    feature_set_version: int,
    rule_version: int,
    library_versions: dict[str, str],
    recipe: dict[str, Any],
    card: dict[str, Any],
    artefact: bytes,
    artefact_sha256: bytes,
) -> int:
    """Store a model as the active one and return its id. Part of the caller's transaction."""
    conn.execute(_SQL["retire_model_runs"])
    row = conn.execute(
        _SQL["insert_model_run"],
        {
            "trained_at": trained_at,
            "data_until": data_until,
            "feature_set_version": feature_set_version,
            "rule_version": rule_version,
            "library_versions": Jsonb(library_versions),
            "recipe": Jsonb(recipe),
            "card": Jsonb(card),
            "artefact": artefact,
            "artefact_sha256": artefact_sha256,
        },
    ).fetchone()
    assert row is not None  # INSERT … RETURNING gives its row
    return int(row[0])


def read_active_model_run(conn: psycopg.Connection[Any]) -> ModelRun | None:
    """The active model, or None as long as none was trained."""
    row = conn.execute(_SQL["read_active_model_run"]).fetchone()
    return ModelRun(*row) if row else None
