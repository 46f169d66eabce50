"""Decisions about scores: what was decided, and which top scores nobody has decided about."""

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from models.worklist import WORKS_AHEAD_DAYS, day_start, hindrances
from roadtwin.storage import queries
from service.schemas import Point
from service.schemas_decisions import ActedDay, DecisionItem, TopScore, UndecidedAnswer
from service.state import Connection, Row, Service
from service.worklist import DECISION_HOLDS, INSPECTION_POOL, keeping_of

_SQL = queries.load("api_decisions")
_WORKLIST = queries.load("api_worklist")


async def list_decisions(
    db: Connection, *, now: datetime, before: tuple[datetime, UUID] | None, limit: int
) -> list[DecisionItem]:
    """Decisions, newest first; `before` is (decided_at, decision_id) of the last one of the page before."""
    before_at, before_id = before or (None, None)
    parameters = {"now": now, "before_at": before_at, "before_id": before_id, "limit": limit}
    rows = await (await db.execute(_SQL["list_decisions"], parameters)).fetchall()
    return [DecisionItem.model_validate(row) for row in rows]


async def read_undecided(
    db: Connection,
    running: Service,
    *,
    now: datetime,
    as_of: datetime | None,
    horizon_days: int,
    top: int,
    district: str | None,
    days: int,
) -> UndecidedAnswer:
    """The `top` scores of segments that are for the crews: what was decided on, inspected, and left.

    `days` tells how many days before are looked back on; there nothing is limited to the district.
    """
    zone = running.timezone
    today = now.astimezone(zone).date()
    scores: list[TopScore] = []
    acted: list[ActedDay] = []
    if as_of is not None:
        parameters: dict[str, Any] = {
            "now": now,
            "today": today,
            "works_until": today + timedelta(days=WORKS_AHEAD_DAYS),
            "as_of": as_of,
            "horizon_days": horizon_days,
            "inspected_since": min(as_of, day_start(now, zone)),
            "decided_since": now - DECISION_HOLDS,
            "district": district,
            "only_ids": None,
            "without_ids": None,
            "limit": top * INSPECTION_POOL,
        }
        rows = await (await db.execute(_WORKLIST["read_risky_segments"], parameters)).fetchall()
        scores = [_top_score(row) for row in rows if not hindrances(keeping_of(row), today)][:top]
        looked_back = {
            "timezone": running.settings.city_timezone,
            "since": now - timedelta(days=days),
            "now": now,
            "horizon_days": horizon_days,
            "top": top,
            "holds": DECISION_HOLDS,
        }
        acted_rows = await (await db.execute(_SQL["read_acted_days"], looked_back)).fetchall() if days else []
        acted = [ActedDay.model_validate(row) for row in acted_rows]
    by_state = {state: [s for s in scores if s.state == state] for state in ("undecided", "decided", "inspected")}
    return UndecidedAnswer(
        score_as_of=as_of,
        horizon_days=horizon_days,
        top=top,
        undecided_count=len(by_state["undecided"]),
        decided_count=len(by_state["decided"]),
        inspected_count=len(by_state["inspected"]),
        undecided=by_state["undecided"],
        days=acted,
    )


def _top_score(row: Row) -> TopScore:
    decided = row["decided_action"] is not None
    return TopScore(
        segment_id=row["public_id"],
        name=row["name"],
        district=row["district"],
        mid=Point(lon=row["mid_lon"], lat=row["mid_lat"]),
        rank=row["rank"],
        probability=row["probability"],
        probability_low=row["probability_low"],
        probability_high=row["probability_high"],
        state="decided" if decided else "inspected" if row["inspected_at"] is not None else "undecided",
        action=row["decided_action"],
        decided_at=row["decided_at"],
    )
