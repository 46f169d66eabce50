"""Metrics of the model for Prometheus: the process that monitors has no address, so the service tells its results."""

from typing import Any, get_args

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout, TooManyRequests

from models.alarm import AlarmName
from roadtwin import telemetry
from roadtwin.storage import queries
from roadtwin.types import HORIZONS_DAYS
from service.state import Service

log = telemetry.get_logger(__name__)
_SQL = queries.load("api_model")
_NAN = float("nan")
_ACQUIRE_TIMEOUT_S = 1.0  # metrics of this process must not wait long for a database that is away


async def update_model_metrics(service: Service) -> None:
    """Set the gauges to what the database knows now; to NaN, not to what they were, while it cannot be asked."""
    row: dict[str, Any] | None = None
    try:
        async with service.pool.connection(timeout=_ACQUIRE_TIMEOUT_S) as db:
            row = await (await db.execute(_SQL["read_metrics"])).fetchone()
    except (psycopg.Error, PoolTimeout, PoolClosed, TooManyRequests) as exc:
        log.warning("model metrics unknown", action="model_metrics_unknown", error=str(exc))
    now = service.clock()
    known = row or {"score_as_of": None, "trained_at": None, "alarms": None, "figures": None}
    for gauge, at in (
        (telemetry.SCORES_AGE_SECONDS, known["score_as_of"]),
        (telemetry.MODEL_AGE_SECONDS, known["trained_at"]),
    ):
        gauge.set(_NAN if at is None else (now - at).total_seconds())
    _set_monitoring(known["alarms"], known["figures"])


def _set_monitoring(alarms: list[dict[str, Any]] | None, figures: dict[str, Any] | None) -> None:
    for name in get_args(AlarmName):
        count = _NAN if alarms is None else sum(alarm["name"] == name for alarm in alarms)
        telemetry.MODEL_ALARMS.labels(name).set(count)
    horizons = {h["horizon_days"]: h for h in (figures or {}).get("horizons", ())}
    for horizon in HORIZONS_DAYS:
        health = horizons.get(horizon, {})
        for gauge, name in (
            (telemetry.MODEL_PREDICTED_OVER_OBSERVED, "predicted_over_observed"),
            (telemetry.MODEL_BRIER_SKILL, "brier_skill"),
        ):
            gauge.labels(str(horizon)).set(_or_nan(health.get(name)))
    features = (figures or {}).get("features", ())
    indices = [feature["psi"] for feature in features if feature["psi"] is not None]
    telemetry.MODEL_DRIFT.set(max(indices, default=_NAN))
    telemetry.MODEL_UNKNOWN_FEATURES.set(_NAN if figures is None else len(figures["unknown_features"]))


def _or_nan(value: float | None) -> float:
    return _NAN if value is None else value
