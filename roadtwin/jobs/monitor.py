"""Daily look at the model in use: what became of its settled scores, how its inputs have moved, what is wrong."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Any

import psycopg

from models.dataset import MATURITY_DAYS, make_labels
from models.drift import FeatureDrift, feature_drift
from models.evaluation import plain
from models.inputs import CityInputs
from models.monitoring import (
    Limits,
    Outcome,
    climatology_of,
    find_alarms,
    horizon_health,
    outcome,
    reference_matches,
)
from roadtwin.errors import ModelNotTrainedError
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.settings import Settings
from roadtwin.storage.model_runs import ModelRun, read_model_run
from roadtwin.storage.monitoring import (
    MonitoringRow,
    OutcomeRow,
    list_outcomes,
    list_unsettled_runs,
    read_drift_reference,
    read_feature_values,
    read_probability,
    write_monitoring,
    write_outcomes,
)
from roadtwin.storage.scores import ScoreRun, read_newest_score_run
from roadtwin.telemetry import get_logger
from roadtwin.types import HORIZONS_DAYS

log = get_logger(__name__)

STEP_DAYS = 7.0
"""One set of scores a week is followed up: those of the days between say the same again."""


def monitor(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> MonitoringRow:
    """Work out what is settled by `now`, look at the newest feature rows, store and return the result; one transaction.

    Figures are those of the scores that were issued, by whichever models: a model that is a month old has no settled
    windows of its own. Raises ModelNotTrainedError when nothing was scored yet.
    """
    with conn.transaction():
        newest = read_newest_score_run(conn)
        if newest is None:
            raise ModelNotTrainedError("Nothing was scored yet: there is no model to monitor.")
        run = read_model_run(conn, newest.model_run_id)
        since = now - timedelta(days=settings.monitoring_window_days)
        inputs = load_city(conn, settings, now=now)
        for horizon in HORIZONS_DAYS:
            write_outcomes(conn, _settle(conn, inputs, horizon, since=since, now=now))
        outcomes = list_outcomes(conn, since=since - timedelta(days=max(HORIZONS_DAYS) + MATURITY_DAYS), now=now)
        health = [
            horizon_health(horizon, _of_horizon(outcomes, horizon, since=since), step_days=STEP_DAYS)
            for horizon in HORIZONS_DAYS
        ]
        drift, why_not = _drift(conn, run, newest)
        alarms = find_alarms(health, drift, _limits(settings))
        figures: dict[str, Any] = {
            "window_from": since.isoformat(),
            "model_runs": sorted({row.model_run_id for row in outcomes}),
            "horizons": [asdict(h) for h in health],
            "features": [asdict(d) for d in drift],
            "features_not_compared": why_not,
            "unknown_features": [d.name for d in drift if d.unknown_pct == 100],
            "limits": asdict(_limits(settings)),
        }
        row = MonitoringRow(
            monitored_at=now,
            model_run_id=run.model_run_id,
            score_as_of=newest.as_of,
            alarms=plain([asdict(alarm) for alarm in alarms]),
            figures=plain(figures),
        )
        write_monitoring(conn, row)
    for alarm in alarms:
        log.warning("model alarm", action="model_alarm", alarm=alarm.name, subject=alarm.subject, text=alarm.text_en)
    return row


def _limits(settings: Settings) -> Limits:
    return Limits(
        calibration=settings.monitoring_calibration_ratio,
        brier_skill=settings.monitoring_min_brier_skill,
        psi=settings.monitoring_max_psi,
        unknown_features=settings.monitoring_max_unknown_features,
        outside_pct=settings.monitoring_max_outside_pct,
    )


def _settle(
    conn: psycopg.Connection[Any], inputs: CityInputs, horizon: int, *, since: datetime, now: datetime
) -> list[OutcomeRow]:
    """Outcomes of the sets of scores that were settled by `now` and not worked out yet."""
    span = timedelta(days=horizon + MATURITY_DAYS)
    rows = []
    for as_of, model_run_id in list_unsettled_runs(conn, horizon, since=since - span, settled_by=now - span):
        cut = to_instant(as_of)
        labels = make_labels(inputs, cut, horizons_days=(horizon,))[:, 0]
        probability = read_probability(conn, inputs.segments.segment_id, as_of=as_of, horizon_days=horizon)
        reference = read_drift_reference(conn, model_run_id) or {}
        rates = reference.get("climatology", {}).get(str(horizon))
        climatology = None if rates is None else climatology_of(rates, inputs, cut)
        sums = outcome(horizon, labels, probability, climatology)
        rows.append(OutcomeRow(score_as_of=as_of, model_run_id=model_run_id, recorded_at=now, **asdict(sums)))
    return rows


def _of_horizon(rows: list[OutcomeRow], horizon: int, *, since: datetime) -> list[Outcome]:
    """Outcomes of a horizon that were settled within the window."""
    first = since - timedelta(days=horizon + MATURITY_DAYS)
    names = Outcome.__slots__
    chosen = [row for row in rows if row.horizon_days == horizon and row.score_as_of > first]
    return [Outcome(**{name: getattr(row, name) for name in names}) for row in chosen]


def _drift(conn: psycopg.Connection[Any], run: ModelRun, scores: ScoreRun) -> tuple[list[FeatureDrift], str | None]:
    """Drift of the newest feature rows, or why it cannot be said."""
    reference = run.drift_reference
    if reference is None or not reference_matches(reference, run.feature_set_version):
        return [], f"Model run {run.model_run_id} keeps no reference of its training: train anew."
    features = read_feature_values(conn, as_of=scores.as_of, feature_set_version=run.feature_set_version)
    if not features.size:
        return [], f"There are no feature rows of version {run.feature_set_version} as of {scores.as_of.isoformat()}."
    return feature_drift(features, scores.as_of.month, reference), None
