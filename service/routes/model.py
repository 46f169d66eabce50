"""The model that scores: card, monitoring, comparisons, what a score came from, and scoring on demand."""

from datetime import timedelta
from math import isnan
from typing import Annotated, Any

from fastapi import APIRouter, Path, Query, Response
from pydantic import AwareDatetime

from models.features import FEATURE_SET
from roadtwin.errors import ModelNotTrainedError, NotMonitoredError, ScoreNotFoundError, ScoreRequestNotFoundError
from roadtwin.storage import queries
from service import segments as store
from service.problems import responses
from service.routes.segment import PublicId, find_segment
from service.schemas import Score
from service.schemas_model import (
    Comparison,
    ComparisonsAnswer,
    FeatureValue,
    ModelAnswer,
    MonitoredDay,
    MonitoringAnswer,
    ScoreRequest,
    ScoreTrace,
    TraceModel,
)
from service.security import Operator, Reader, write_audit
from service.state import Connection, Db, Now, Row

router = APIRouter(tags=["model"])
_SQL = queries.load("api_model")
_REQUESTS = queries.load("score_requests")

MONITORED_DAYS = 60
"""Days of monitoring that are told in short."""


@router.get("/model", responses=responses(401, 404))
async def read_model(db: Db, _reader: Reader) -> ModelAnswer:
    """The active model with its card: intended use, data window, hold-outs, skill beside the baselines, calibration,
    limits. The same as a page for people: `/model`."""
    return ModelAnswer.model_validate(await active_model(db))


@router.get("/model/monitoring", responses=responses(401, 404))
async def read_monitoring(db: Db, now: Now, _reader: Reader) -> MonitoringAnswer:
    """How the model is doing: what became of its scores, drift of its features, and alarms by name. Made once a day."""
    answer = await newest_monitoring(db, now=now)
    if answer is None:
        raise NotMonitoredError
    return answer


@router.get("/model/comparisons", responses=responses(401))
async def list_comparisons(
    db: Db, _reader: Reader, limit: Annotated[int, Query(ge=1, le=200, description="How many at most.")] = 20
) -> ComparisonsAnswer:
    """Challengers against champions, newest first, with their figures and the verdict in words."""
    rows = await (await db.execute(_SQL["list_comparisons"], {"limit": limit})).fetchall()
    return ComparisonsAnswer(comparisons=[Comparison.model_validate(row) for row in rows])


@router.get("/segments/{segment_id:path}/scores/{as_of}", responses=responses(401, 404))
async def read_trace(
    segment_id: PublicId,
    as_of: Annotated[AwareDatetime, Path(description="`as_of` of the scores.", examples=["2026-01-10T04:00:00Z"])],
    db: Db,
    _reader: Reader,
) -> ScoreTrace:
    """What the scores of a segment came from: every feature with its value, the model with its SHA-256 and libraries,
    the data cut, the code that scored, and when."""
    segment = await find_segment(db, segment_id)
    parameters = {"segment_id": segment["segment_id"], "as_of": as_of}
    row = await (await db.execute(_SQL["read_trace"], parameters)).fetchone()
    scores = (await store.read_scores(db, as_of, [segment["segment_id"]])).get(segment["segment_id"], [])
    if row is None or not scores:
        raise ScoreNotFoundError(f"There is no score of {segment_id} as of {as_of.isoformat()}.")
    fields = [store.score_fields(score, length_m=segment["length_m"], as_of=row["as_of"]) for score in scores]
    return ScoreTrace(
        segment_id=segment_id,
        as_of=row["as_of"],
        recorded_at=row["recorded_at"],
        code_version=row["code_version"],
        scores=[Score(**f) for f in fields],
        features=_features(row),
        model=TraceModel(**{name: row[name] for name in _MODEL_FIELDS}, code_version=row["model_code_version"]),
    )


_MODEL_FIELDS = (
    "model_run_id",
    "trained_at",
    "data_until",
    "feature_set_version",
    "rule_version",
    "artefact_sha256",
    "library_versions",
)


@router.post("/scores", status_code=202, responses=responses(401, 403))
async def request_scores(operator: Operator, db: Db, now: Now, response: Response) -> ScoreRequest:
    """Ask for scores now: `roadtwin score --watch` makes them within seconds. The location tells when."""
    async with db.transaction():
        parameters = {"requested_at": now, "requested_by": operator.name}
        row = await (await db.execute(_REQUESTS["add_score_request"], parameters)).fetchone()
        assert row is not None  # INSERT … RETURNING gives its row
        number = row["score_request_id"]
        await write_audit(
            db, recorded_at=now, actor=operator.name, action="scores_requested", subject=f"score_request/{number}"
        )
    response.headers["Location"] = f"/v1/scores/requests/{number}"
    return ScoreRequest(score_request_id=number, requested_at=now, requested_by=operator.name, score_as_of=None)


@router.get("/scores/requests/{score_request_id}", responses=responses(401, 404))
async def read_score_request(
    score_request_id: Annotated[int, Path(ge=1, le=2**62, description="As given when it was asked.")],
    db: Db,
    _reader: Reader,
) -> ScoreRequest:
    """Whether scores that were asked for are there."""
    parameters = {"score_request_id": score_request_id}
    row = await (await db.execute(_REQUESTS["read_score_request"], parameters)).fetchone()
    if row is None:
        raise ScoreRequestNotFoundError(f"Nobody asked for scores with the number {score_request_id}.")
    return ScoreRequest.model_validate(row)


async def active_model(db: Connection) -> Row:
    """The model in use without its bytes. Raises ModelNotTrainedError."""
    row = await (await db.execute(_SQL["read_active_model"])).fetchone()
    if row is None:
        raise ModelNotTrainedError
    return row


async def newest_monitoring(db: Connection, *, now: Any) -> MonitoringAnswer | None:
    """The newest monitoring with the days before it in short; None: not monitored yet."""
    row = await (await db.execute(_SQL["read_monitoring"], {"now": now})).fetchone()
    if row is None:
        return None
    days = await (await db.execute(_SQL["list_monitored_days"], {"now": now, "limit": MONITORED_DAYS})).fetchall()
    age: timedelta = now - row["monitored_at"]
    return MonitoringAnswer(
        **{name: row[name] for name in ("monitored_at", "model_run_id", "score_as_of", "alarms")},
        **row["figures"],
        age_s=round(age.total_seconds(), 1),
        days=[MonitoredDay.model_validate(day) for day in days],
    )


def _features(row: Row) -> list[FeatureValue] | None:
    """Values with the names that the model's own card gives them; of this code's feature set where it has none."""
    values = row["feature_values"]
    if values is None:
        return None
    described = (row["feature_set"] or {}).get("features")
    if described is None and row["feature_set_version"] == FEATURE_SET.version:
        described = [{"name": f.name, "unit": f.unit, "group": f.group} for f in FEATURE_SET.features]
    if described is None or len(described) != len(values):
        described = [{"name": None, "unit": None, "group": None}] * len(values)
    return [
        FeatureValue(name=d["name"], unit=d["unit"], group=d["group"], value=None if isnan(value) else value)
        for d, value in zip(described, values, strict=True)
    ]
