"""What people record: repairs, inspections, reports, decisions. They feed back into the model."""

from typing import Annotated

from fastapi import APIRouter, Depends, Response

from roadtwin.records.schema import Inspection, Repair, Report
from service.bodies import body_of, openapi_body
from service.problems import responses
from service.schemas import Stored
from service.security import Editor
from service.state import Db, Now, Running
from service.writes import Decision, store_decision, store_record

router = APIRouter(tags=["records"])

BODIES = (Repair, Inspection, Report, Decision)
_ANSWERS = responses(401, 403, 409, 413, 415) | {200: {"model": Stored, "description": "Already known, unchanged."}}


def _status(response: Response, stored: Stored) -> Stored:
    response.status_code = 201 if stored.created else 200
    return stored


@router.post("/repairs", status_code=201, responses=_ANSWERS, openapi_extra=openapi_body(Repair))
async def add_repair(
    editor: Editor,
    record: Annotated[Repair, Depends(body_of(Repair))],
    response: Response,
    running: Running,
    db: Db,
    now: Now,
) -> Stored:
    """Record that a pothole was repaired or secured.

    Idempotent by `record_id`. `recorded_at` of the body is not used: what counts is when this service knew. The record
    shows up in the segment's evidence at once and in the derived potholes with the next run of matching.
    """
    max_distance_m = running.settings.match_max_distance_m
    return _status(response, await store_record(db, record, now=now, actor=editor, max_distance_m=max_distance_m))


@router.post("/inspections", status_code=201, responses=_ANSWERS, openapi_extra=openapi_body(Inspection))
async def add_inspection(
    editor: Editor,
    record: Annotated[Inspection, Depends(body_of(Inspection))],
    response: Response,
    running: Running,
    db: Db,
    now: Now,
) -> Stored:
    """Record that somebody looked at a segment. No finding means: looked, and nothing was there."""
    max_distance_m = running.settings.match_max_distance_m
    return _status(response, await store_record(db, record, now=now, actor=editor, max_distance_m=max_distance_m))


@router.post("/reports", status_code=201, responses=_ANSWERS, openapi_extra=openapi_body(Report))
async def add_report(
    editor: Editor,
    record: Annotated[Report, Depends(body_of(Report))],
    response: Response,
    running: Running,
    db: Db,
    now: Now,
) -> Stored:
    """Record that somebody says there is damage. Must not hold names, addresses or telephone numbers."""
    max_distance_m = running.settings.match_max_distance_m
    return _status(response, await store_record(db, record, now=now, actor=editor, max_distance_m=max_distance_m))


@router.post("/decisions", status_code=201, responses=_ANSWERS, openapi_extra=openapi_body(Decision))
async def add_decision(
    editor: Editor,
    decision: Annotated[Decision, Depends(body_of(Decision))],
    response: Response,
    db: Db,
    now: Now,
) -> Stored:
    """Record what was decided about a score or a pothole: inspect, repair, secure, defer or nothing, and why."""
    return _status(response, await store_decision(db, decision, now=now, actor=editor))
