"""One segment: what state it is in, how risky, why, and on what evidence."""

from datetime import datetime, timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Path

from models.worklist import Keeping, hindrances
from roadtwin.errors import SegmentNotFoundError
from roadtwin.storage import queries
from roadtwin.units import QUANTITIES, TWIN_QUANTITIES
from service import segments as store
from service.evidence import read_evidence, read_potholes
from service.problems import responses
from service.schemas import HistoryPoint, Point, ScoreWithReasons, SegmentAnswer, StateQuantity, Weather
from service.security import Reader
from service.state import Connection, Db, Now, Row, Running, Service

router = APIRouter(tags=["segments"])
_SQL = queries.load("api_segments")

HISTORY_DAYS = 120

PublicId = Annotated[str, Path(description="Public id of the segment.", max_length=400, examples=["sim:12:0-100"])]


@router.get("/segments/{segment_id:path}", response_model=SegmentAnswer, responses=responses(401, 404))
async def read_segment(segment_id: PublicId, running: Running, db: Db, now: Now, _reader: Reader) -> SegmentAnswer:
    """One segment with its state, its scores for every horizon, their reasons, and the evidence with its age.

    The answer says how old its newest evidence is, so that "in good condition" and "not looked at lately" differ.
    """
    row = await find_segment(db, segment_id)
    versions = await store.read_versions(db)
    evidence = await read_evidence(
        db, row, now=now, zone=running.timezone, max_distance_m=running.settings.match_max_distance_m
    )
    works = [e.details["starts_on"] for e in evidence if e.kind == "planned_work"]
    keeping = Keeping(row["owner"], row["warranty_until"], min(works, default=None))
    return SegmentAnswer(
        **{name: row[name] for name in _PLAIN_FIELDS},
        segment_id=row["public_id"],
        section=f"{row['source']}:{row['source_section_id']}",
        mid=Point(lon=row["mid_lon"], lat=row["mid_lat"]),
        geometry=store.line_geojson(row["geometry_wkb"]),
        hindrances=hindrances(keeping, now.astimezone(running.timezone).date()),
        valid=row["valid_to"] is None,
        evidence_count=row["evidence_count"] or 0,
        evidence_age_days=store.age_days(row["newest_evidence_at"], now),
        state=state_quantities(row["state"] or {}, now),
        scores=await _scores(running, db, row, versions.score_as_of),
        history=await _history(running, db, row["segment_id"], versions.score_as_of),
        potholes=await read_potholes(db, row["segment_id"]),
        evidence=evidence,
        weather=await read_weather(db, now),
    )


_PLAIN_FIELDS = (
    "name",
    "district",
    "road_class",
    "length_m",
    "from_station_m",
    "to_station_m",
    "attributes",
    "owner",
    "maintenance_district",
    "warranty_until",
    "inspection_interval_days",
    "neighbours",
    "condition_grade",
    "newest_evidence_at",
    "state_as_of",
)


async def find_segment(db: Connection, public_id: str) -> Row:
    """The row of a segment. Raises SegmentNotFoundError."""
    cursor = await db.execute(_SQL["find_segment"], {"public_id": public_id})
    row = await cursor.fetchone()
    if row is None:
        raise SegmentNotFoundError(f"There is no road segment with the id {public_id!r}.")
    return row


def state_quantities(state: dict[str, Any], now: datetime) -> list[StateQuantity]:
    """The twin's quantities with unit, label and age, in the order of their names."""
    quantities = []
    for name, entry in sorted(state.items()):
        known = QUANTITIES.get(name) or TWIN_QUANTITIES.get(name)
        newest_at = datetime.fromisoformat(entry["newest_at"]) if entry.get("newest_at") else None
        quantities.append(
            StateQuantity(
                quantity=name,
                value=entry.get("value"),
                sd=entry.get("sd"),
                count=entry.get("count") or 0,
                newest_at=newest_at,
                age_s=None if newest_at is None else round((now - newest_at).total_seconds(), 1),
                source=entry.get("source"),
                unit=known.unit if known else None,
                label_de=known.label_de if known else None,
                label_en=known.label_en if known else None,
            )
        )
    return quantities


async def _scores(running: Service, db: Connection, segment: Row, as_of: datetime | None) -> list[ScoreWithReasons]:
    if as_of is None:
        return []
    scores = []
    for row in (await store.read_scores(db, as_of, [segment["segment_id"]])).get(segment["segment_id"], []):
        reasons = row["reasons"]
        if reasons is None:
            reasons = await running.explainer.explain(db, segment_id=segment["segment_id"], as_of=as_of, score=row)
        fields = store.score_fields(row, length_m=segment["length_m"], as_of=as_of)
        scores.append(ScoreWithReasons(**fields, reasons=reasons, reasons_available=reasons is not None))
    return scores


async def _history(running: Service, db: Connection, segment_id: int, as_of: datetime | None) -> list[HistoryPoint]:
    if as_of is None:
        return []
    parameters = {
        "segment_id": segment_id,
        "timezone": running.settings.city_timezone,
        "since": as_of - timedelta(days=HISTORY_DAYS),
        "as_of": as_of,
    }
    cursor = await db.execute(_SQL["read_score_history"], parameters)
    return [HistoryPoint.model_validate(row) for row in await cursor.fetchall()]


async def read_weather(db: Connection, now: datetime) -> Weather | None:
    """The newest weather that is known, or None."""
    cursor = await db.execute(_SQL["read_weather"], {"now": now})
    row = await cursor.fetchone()
    return None if row is None else Weather(**row, age_s=round((now - row["observed_at"]).total_seconds(), 1))
