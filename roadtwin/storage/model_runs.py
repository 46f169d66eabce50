"""Trained models: artefact, card and what they were made with; how they compared. One of them is active."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.errors import ModelRunNotFoundError
from roadtwin.storage import queries

_SQL = queries.load("model_runs")
_TRAINING_LOCK_KEY = 0x726F6164_7472616E

Cause = Literal["schedule", "command"]


@dataclass(frozen=True, slots=True)
class ModelRun:
    """One trained model; nothing recorded after `data_until` was used.

    `code_version` and `drift_reference` (see `models.drift`) are None for models made before they were kept.
    """

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
    active: bool
    code_version: str | None
    drift_reference: dict[str, Any] | None


@dataclass(frozen=True, slots=True)
class ModelRunLine:
    """A trained model without its bytes, for a list."""

    model_run_id: int
    trained_at: datetime
    data_until: datetime
    feature_set_version: int
    active: bool
    code_version: str | None
    artefact_sha256: str
    card: dict[str, Any]


@dataclass(frozen=True, slots=True)
class ComparisonRow:
    """A stored comparison of a champion and a challenger."""

    model_comparison_id: int
    compared_at: datetime
    cause: Cause
    champion_run_id: int
    challenger_run_id: int
    promoted: bool
    verdict_de: str
    verdict_en: str
    figures: dict[str, Any]


@contextmanager
def one_training_at_a_time(conn: psycopg.Connection[Any]) -> Iterator[None]:
    """Hold a lock of this database over several transactions of `conn`; another holder is waited for."""
    conn.execute(_SQL["lock_training"], {"key": _TRAINING_LOCK_KEY})
    conn.commit()
    try:
        yield
    finally:
        if not conn.closed:  # a lost connection has lost its lock
            conn.rollback()
            conn.execute(_SQL["unlock_training"], {"key": _TRAINING_LOCK_KEY})
            conn.commit()


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
    code_version: str | None = None,
    drift_reference: dict[str, Any] | None = None,
    activate: bool = True,
) -> int:
    """Store a model, by default as the active one, and return its id. Part of the caller's transaction."""
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
            "code_version": code_version,
            "drift_reference": None if drift_reference is None else Jsonb(drift_reference),
        },
    ).fetchone()
    assert row is not None  # INSERT … RETURNING gives its row
    if activate:
        activate_model_run(conn, int(row[0]))
    return int(row[0])


def activate_model_run(conn: psycopg.Connection[Any], model_run_id: int) -> None:
    """Make a stored model the active one; the one before stays, not active. Part of the caller's transaction."""
    conn.execute(_SQL["lock_model_runs"])
    conn.execute(_SQL["retire_model_runs"])
    conn.execute(_SQL["activate_model_run"], {"model_run_id": model_run_id})


def read_active_model_run(conn: psycopg.Connection[Any]) -> ModelRun | None:
    """The active model, or None as long as none was trained."""
    row = conn.execute(_SQL["read_active_model_run"]).fetchone()
    return ModelRun(*row) if row else None


def read_model_run(conn: psycopg.Connection[Any], model_run_id: int) -> ModelRun:
    """A model by its number. Raises ModelRunNotFoundError."""
    row = conn.execute(_SQL["read_model_run"], {"model_run_id": model_run_id}).fetchone()
    if row is None:
        raise ModelRunNotFoundError(f"There is no model run {model_run_id}; `roadtwin model list` names them.")
    return ModelRun(*row)


def list_model_runs(conn: psycopg.Connection[Any]) -> list[ModelRunLine]:
    """All models, newest first."""
    return [ModelRunLine(*row) for row in conn.execute(_SQL["list_model_runs"])]


def read_last_training(conn: psycopg.Connection[Any]) -> datetime | None:
    """When a model was last trained, whether or not it came into use; None: never."""
    row = conn.execute(_SQL["read_last_training"]).fetchone()
    return row[0] if row else None


def write_comparison(
    conn: psycopg.Connection[Any],
    *,
    compared_at: datetime,
    cause: Cause,
    champion_run_id: int,
    challenger_run_id: int,
    promoted: bool,
    verdict_de: str,
    verdict_en: str,
    figures: dict[str, Any],
) -> int:
    """Store a comparison and return its number. Part of the caller's transaction."""
    row = conn.execute(
        _SQL["insert_comparison"],
        {
            "compared_at": compared_at,
            "cause": cause,
            "champion_run_id": champion_run_id,
            "challenger_run_id": challenger_run_id,
            "promoted": promoted,
            "verdict_de": verdict_de,
            "verdict_en": verdict_en,
            "figures": Jsonb(figures),
        },
    ).fetchone()
    assert row is not None  # INSERT … RETURNING gives its row
    return int(row[0])


def list_comparisons(
    conn: psycopg.Connection[Any], *, model_run_id: int | None = None, limit: int = 20
) -> list[ComparisonRow]:
    """Comparisons, newest first; with `model_run_id`, those that it took part in."""
    rows = conn.execute(_SQL["list_comparisons"], {"model_run_id": model_run_id, "limit": limit})
    return [ComparisonRow(*row) for row in rows]


def write_model_audit(
    conn: psycopg.Connection[Any],
    model_run_id: int,
    *,
    now: datetime,
    actor: str,
    action: str,
    details: dict[str, Any],
) -> None:
    """Note who brought a model into use, and why. Part of the caller's transaction."""
    conn.execute(
        _SQL["insert_audit"],
        {"now": now, "actor": actor, "action": action, "subject": f"model/{model_run_id}", "details": Jsonb(details)},
    )
