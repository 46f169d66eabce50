"""The twin state at other times, and what it has learnt of the city."""

from dataclasses import asdict
from datetime import datetime, timedelta
from typing import Annotated, Any

import psycopg
from fastapi import APIRouter, Query
from fastapi.concurrency import run_in_threadpool
from pydantic import AwareDatetime

from models.state.skill import Skill
from roadtwin.errors import RequestInvalidError, SegmentNotFoundError
from roadtwin.storage.twin_facts import read_parameters_time
from roadtwin.twin.compute import SegmentState, states_at
from roadtwin.twin.parameters import Parameters, read_parameters
from service.problems import responses
from service.routes.segment import PublicId, find_segment, state_quantities
from service.schemas_state import (
    FieldAnswer,
    FramesAnswer,
    PoorFrames,
    SensorSkillAnswer,
    StateAt,
    StateHistory,
    TwinParameters,
)
from service.security import Reader
from service.state import STATEMENT_TIMEOUT_MS, Db, Now, Running, Service

router = APIRouter(tags=["segments"])

MOST_HOURS = 48
"""Longest stretch that one answer covers. [h]"""

From = Annotated[
    AwareDatetime | None, Query(alias="from", description="First time (RFC 3339); `to` if left out: one state.")
]
To = Annotated[AwareDatetime | None, Query(description="Last time (RFC 3339); now if left out.")]


@router.get("/state", response_model=TwinParameters, responses=responses(401))
async def read_twin_parameters(running: Running, now: Now, _reader: Reader) -> TwinParameters:
    """What the twin has learnt of the city: how well cameras see, how far sensors tell, and how well they do that."""
    as_of, parameters = await run_in_threadpool(_parameters, running, now)
    return TwinParameters(
        as_of=as_of,
        camera_recall=parameters.skill.recall,
        poor_frame_factor=parameters.skill.poor_factor,
        poor_frame_mistakes=parameters.skill.poor_mistakes,
        frames=frames_of(parameters.skill),
        new_potholes_per_km_year=parameters.new_per_m_day * 1000 * 365.25,
        season_factor=parameters.season,
        vehicles=len(parameters.vehicles),
        fields=[
            FieldAnswer(quantity=name, fitted=name in parameters.fitted, **asdict(field))
            for name, field in parameters.fields.items()
        ],
        sensor_skill=[
            SensorSkillAnswer(quantity=name, **asdict(skill)) for name, skill in parameters.sensor_skill.items()
        ],
    )


@router.get(
    "/segments/{segment_id:path}/state", response_model=StateHistory, responses=responses(401, 404) | responses(422)
)
async def read_state_history(
    segment_id: PublicId,
    running: Running,
    db: Db,
    now: Now,
    _reader: Reader,
    begin: From = None,
    to: To = None,
) -> StateHistory:
    """State of a segment hour by hour from `from` to `to`, 48 hours at most, each from what was recorded by then."""
    times = _hours(begin, to, now)
    row = await find_segment(db, segment_id)
    if row["valid_to"] is not None:
        raise SegmentNotFoundError(f"The road segment {segment_id!r} is no longer valid; its heirs have a state.")
    states = await run_in_threadpool(_states, running, row["segment_id"], times)
    return StateHistory(
        segment_id=row["public_id"],
        states=[StateAt(as_of=one.as_of, state=state_quantities(one.state, one.as_of)) for one in states],
    )


def _hours(begin: datetime | None, end: datetime | None, now: datetime) -> list[datetime]:
    last = end or now
    first = begin or last
    if last > now:
        raise RequestInvalidError(f"to: got {last.isoformat()}, expected no time after now, {now.isoformat()}.")
    if not first <= last <= first + timedelta(hours=MOST_HOURS):
        raise RequestInvalidError(
            f"from, to: got {first.isoformat()} and {last.isoformat()}, expected from ≤ to, {MOST_HOURS} hours at most."
        )
    return [first + timedelta(hours=hours) for hours in range(int((last - first) / timedelta(hours=1)) + 1)]


# Making a state is reading and reckoning in turns, so it has a thread and a connection of its own.
def _connect(running: Service) -> psycopg.Connection[Any]:
    return psycopg.connect(
        running.database_url,
        autocommit=True,
        application_name="roadtwin-service-state",
        connect_timeout=5,
        options=f"-c timezone=UTC -c statement_timeout={STATEMENT_TIMEOUT_MS}",
    )


def _states(running: Service, segment_id: int, times: list[datetime]) -> list[SegmentState]:
    with _connect(running) as conn:
        return states_at(conn, segment_id, times, zone=running.timezone)


def frames_of(skill: Skill) -> list[FramesAnswer]:
    """What was learnt of each kind of poor frames, none where they were not told apart."""
    if not skill.frame_factors:
        return []
    mistakes = skill.frame_mistakes or (skill.poor_mistakes,) * len(skill.frame_factors)
    kinds: tuple[PoorFrames, ...] = ("wet", "dark", "blurred")
    both = zip(kinds, skill.frame_factors, mistakes, strict=True)
    return [FramesAnswer(frames=name, recall_factor=sees, mistakes_factor=errs) for name, sees, errs in both]


def _parameters(running: Service, now: datetime) -> tuple[datetime | None, Parameters]:
    with _connect(running) as conn:
        return read_parameters_time(conn, now=now), read_parameters(conn, now=now)
