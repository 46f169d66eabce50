"""Scoring: features of every segment now, probabilities, ranks, and reasons of the ranked top."""

from datetime import datetime, timedelta
from typing import Any

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray

from models.explain import explain
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.inputs import Floats, Ints
from models.registry import Artefact, load_model
from models.risk import RiskModel
from roadtwin.code_version import code_version
from roadtwin.errors import ModelNotTrainedError
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.settings import Settings
from roadtwin.storage.model_runs import ModelRun, read_active_model_run
from roadtwin.storage.scores import ScoreRun, ScoreTable, thin_scores, write_scores

KEEP_ALL = timedelta(hours=48)
"""How long every set of scores is kept; of a day before that, the last one."""
REASONS_TOP = 2000
"""Scores of each horizon whose reasons are stored with them, by rank; of the others they are made on demand."""
REASONS_STORED = 8
"""Strongest reasons stored of each of these."""


def load_active_model(conn: psycopg.Connection[Any]) -> tuple[ModelRun, RiskModel]:
    """The active model. Raises ModelNotTrainedError or ModelVersionError."""
    run = read_active_model_run(conn)
    if run is None:
        raise ModelNotTrainedError
    artefact = Artefact(
        run.artefact, run.artefact_sha256, run.library_versions, run.feature_set_version, run.rule_version
    )
    return run, load_model(artefact)


def score_all(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> ScoreRun:
    """Score every segment as of `now` with what was recorded by then; one transaction.

    Features, scores, reasons and the run that makes them visible are written together. Of days that are long over
    only the last set is kept (`KEEP_ALL`), and those that a decision names.
    Raises ModelNotTrainedError or ModelVersionError.
    """
    with conn.transaction():
        model_run, model = load_active_model(conn)
        inputs = load_city(conn, settings, now=now, current=True)
        features = FeatureBuilder(inputs).at(to_instant(now))
        run = ScoreRun(
            as_of=now,
            model_run_id=model_run.model_run_id,
            recorded_at=now,
            segment_count=len(features),
            code_version=code_version(),
        )
        scores = make_scores(model, features, inputs.segments.segment_id)
        write_scores(conn, run, scores, feature_set_version=FEATURE_SET.version)
        thin_scores(conn, keep_all_since=now - KEEP_ALL, timezone=settings.city_timezone)
    return run


def rank(probability: Floats) -> NDArray[np.int64]:
    """Rank of each probability, 1 the highest; equal ones in the order given.

    Examples
    --------
    >>> rank(np.array([0.1, 0.5, 0.1]))
    array([2, 1, 3])
    """
    ranks = np.empty(probability.size, dtype=np.int64)
    ranks[np.argsort(-probability, kind="stable")] = np.arange(1, probability.size + 1)
    return ranks


def make_scores(model: RiskModel, features: NDArray[np.float32], segment_ids: Ints) -> ScoreTable:
    """Scores of all horizons for features (n, f) of segments (n,), with reasons for the top of each horizon."""
    forecast = model.predict(features)
    ranks = np.column_stack([rank(column) for column in forecast.probability.T])
    return ScoreTable(
        segment_id=segment_ids,
        horizons_days=tuple(model.horizons_days),
        features=features,
        probability=forecast.probability,
        low=forecast.low,
        high=forecast.high,
        expected_count=forecast.expected_count,
        rank=ranks,
        reasons_json=tuple(
            _top_reasons(model, features, horizon, ranks[:, column])
            for column, horizon in enumerate(model.horizons_days)
        ),
    )


def _top_reasons(
    model: RiskModel, features: NDArray[np.float32], horizon: int, ranks: NDArray[np.int64]
) -> dict[int, bytes]:
    """Reasons of the ranked top, by row, as JSON."""
    top = np.flatnonzero(ranks <= REASONS_TOP)
    reasons = explain(model, features[top], horizon, limit=REASONS_STORED)
    encode = msgspec.json.Encoder().encode
    return {
        row: encode([reason.as_json() for reason in of_row]) for row, of_row in zip(top.tolist(), reasons, strict=True)
    }
