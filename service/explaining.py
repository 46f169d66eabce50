"""Reasons of a score that were not stored with it: made on demand from the feature row that the model saw."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from starlette.concurrency import run_in_threadpool

from roadtwin import telemetry
from roadtwin.errors import ModelVersionError
from roadtwin.storage import queries

if TYPE_CHECKING:
    from models.risk import RiskModel
    from service.state import Connection, Row

log = telemetry.get_logger(__name__)
_SEGMENTS = queries.load("api_segments")
_OPERATIONS = queries.load("api_operations")

MOST_REASONS = 8
"""Reasons of one score that are told, strongest first."""


@dataclass(slots=True)
class Explainer:
    """Keeps the last loaded model; a model that cannot be loaded is reported once and asked for no more."""

    _model_run_id: int | None = None
    _model: "RiskModel | None" = None
    _loading: asyncio.Lock = field(default_factory=asyncio.Lock)

    async def explain(
        self, db: "Connection", *, segment_id: int, as_of: datetime, score: "Row"
    ) -> list[dict[str, Any]] | None:
        """Reasons of one score (a row of `risk_score`), strongest first.

        None when its feature row is gone, belongs to another feature set, or when its model cannot be loaded here.
        """
        cursor = await db.execute(_SEGMENTS["read_feature_row"], {"segment_id": segment_id, "as_of": as_of})
        row = await cursor.fetchone()
        model = await self.load(db, score["model_run_id"]) if row is not None else None
        if row is None or model is None:
            return None
        return await run_in_threadpool(_reasons, model, row, score["horizon_days"])

    async def load(self, db: "Connection", model_run_id: int) -> "RiskModel | None":
        """The model of a run; None when it is gone or cannot be loaded here (the log says why)."""
        async with self._loading:
            if self._model_run_id != model_run_id:
                cursor = await db.execute(_OPERATIONS["read_model_artefact"], {"model_run_id": model_run_id})
                row = await cursor.fetchone()
                self._model = None if row is None else await run_in_threadpool(_load_model, row)
                self._model_run_id = model_run_id
            return self._model


def _load_model(row: "Row") -> "RiskModel | None":
    # scikit-learn takes seconds to import: only a service that is asked for such reasons pays for it.
    from models.registry import Artefact, load_model

    artefact = Artefact(
        content=bytes(row["artefact"]),
        sha256=bytes(row["artefact_sha256"]),
        library_versions=row["library_versions"],
        feature_set_version=row["feature_set_version"],
        rule_version=row["rule_version"],
    )
    try:
        return load_model(artefact)
    except ModelVersionError as exc:
        log.error("model refused", action="model_refused", model_run_id=row["model_run_id"], error=str(exc))
        return None


def _reasons(model: "RiskModel", row: "Row", horizon_days: int) -> list[dict[str, Any]] | None:
    from models.explain import explain
    from models.features import FEATURE_SET

    if row["feature_set_version"] != FEATURE_SET.version:
        return None
    values = np.array([np.nan if v is None else v for v in row["feature_values"]], dtype=np.float32)
    (reasons,) = explain(model, values[np.newaxis, :], horizon_days, limit=MOST_REASONS)
    return [reason.as_json() for reason in reasons]
