"""What was decided about scores, and which top scores nobody has decided about."""

from datetime import datetime
from typing import Annotated
from uuid import UUID

import msgspec
from fastapi import APIRouter, Query

from service.decisions import list_decisions, read_undecided
from service.paging import decode_token, encode_token
from service.parameters import DistrictParameter, Horizon, PageToken
from service.problems import responses
from service.schemas_decisions import DecisionPage, UndecidedAnswer
from service.security import Reader
from service.segments import read_versions
from service.state import Db, Now, Running

router = APIRouter(tags=["decisions"])

Limit = Annotated[int, Query(ge=1, le=1000, description="Most decisions of one page.")]
Top = Annotated[int | None, Query(ge=1, le=2000, description="How many count as top; by default the crews' capacity.")]
Days = Annotated[int, Query(ge=0, le=120, description="How many days to look back on [d].")]


class _Position(msgspec.Struct, frozen=True):
    """The last decision of a page."""

    decided_at: datetime
    decision_id: UUID


@router.get("/decisions", responses=responses(400, 401))
async def list_made_decisions(
    db: Db, now: Now, _reader: Reader, limit: Limit = 100, page: PageToken = None
) -> DecisionPage:
    """Decisions, newest first, each with the score that was known when it was made."""
    asked = {"list": "decisions"}
    position = decode_token(page, _Position, asked) if page else None
    before = (position.decided_at, position.decision_id) if position else None
    found = await list_decisions(db, now=now, before=before, limit=limit + 1)
    more, found = len(found) > limit, found[:limit]
    token = encode_token(_Position(found[-1].decided_at, found[-1].decision_id), asked) if more else None
    return DecisionPage(decisions=found, next_page=token)


@router.get("/decisions/undecided", responses=responses(401))
async def list_undecided(
    running: Running,
    db: Db,
    now: Now,
    _reader: Reader,
    horizon_days: Horizon,
    top: Top = None,
    district: DistrictParameter = None,
    days: Days = 14,
) -> UndecidedAnswer:
    """Top scores without a decision: an unacted score is evidence, too.

    A decision holds for seven days. The days before tell how many of their top scores nobody acted on (no decision,
    inspection or repair), and how many of those got a new pothole within the horizon.
    """
    return await read_undecided(
        db,
        running,
        now=now,
        as_of=(await read_versions(db)).score_as_of,
        horizon_days=horizon_days,
        top=top or running.settings.crew_capacity,
        district=district,
        days=days,
    )
