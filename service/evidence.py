"""What was seen, done, decided and planned on one segment: one time line, newest first."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, time, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from models.worklist import PotholeStatus
from roadtwin.storage import queries
from service.nearest import unmatched_records_on
from service.schemas import Evidence, Pothole
from service.state import Connection, Row

_SQL = queries.load("api_evidence")

LIMIT_PER_KIND = 25
MOST_POTHOLES = 1000
"""Potholes of one segment that are told: more than it can have had [-]."""

UNMATCHED_DAYS = 14
"""How far back records without a match are looked for; matching runs every hour, so that is a long outage [d]."""

_PASS_FIELDS = (
    "passes",
    "good_passes",
    "longitudinal_cracks",
    "transverse_cracks",
    "alligator_cracks",
    "potholes_seen",
    "roughness_mps2",
)
_POTHOLE_FIELDS = (
    "severity",
    "evidence_count",
    "seen_again",
    "reopened",
    "confirmed_at",
    "secured_at",
    "closed_at",
    "evidence",
)
_REPAIR_FIELDS = ("kind", "method", "area_m2", "depth_m", "crew", "note", "lon", "lat", "origin")
_REPORT_FIELDS = ("channel", "category", "text", "lon", "lat", "origin")
_INSPECTION_FIELDS = ("inspector_role", "findings", "note", "origin")
_DECISION_FIELDS = ("action", "reason", "decided_by", "pothole_id", "score_as_of", "horizon_days", "probability")


def pothole_status(row: Mapping[str, Any]) -> PotholeStatus:
    """Suspected, open, secured, repaired or not found."""
    if row["closed_at"] is not None:
        return PotholeStatus.NOT_FOUND if row["close_reason"] == "not_found" else PotholeStatus.REPAIRED
    if row["confirmed_at"] is None:
        return PotholeStatus.SUSPECTED
    return PotholeStatus.SECURED if row["secured_at"] is not None else PotholeStatus.OPEN


def _pick(row: Row, fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: row[name] for name in fields if row[name] is not None}


def _noon(day: date, zone: ZoneInfo) -> datetime:
    """The passes of a day are shown at its middle: their own instants are not kept in the roll-up."""
    return datetime.combine(day, time(12), zone).astimezone(UTC)


async def read_potholes(db: Connection, segment_id: int) -> list[Pothole]:
    """Potholes of a segment, open ones first."""
    cursor = await db.execute(_SQL["read_potholes"], {"segment_id": segment_id, "limit": MOST_POTHOLES})
    return [Pothole.model_validate({**row, "status": pothole_status(row)}) for row in await cursor.fetchall()]


async def read_evidence(
    db: Connection, segment: Row, *, now: datetime, zone: ZoneInfo, max_distance_m: float
) -> list[Evidence]:
    """Everything known about a segment (a row of `find_segment`), newest first."""
    near = await unmatched_records_on(
        db, segment, since=now - timedelta(days=UNMATCHED_DAYS), max_distance_m=max_distance_m
    )
    parameters: dict[str, Any] = {
        "segment_id": segment["segment_id"],
        "public_id": segment["public_id"],
        "limit": LIMIT_PER_KIND,
        "today": now.astimezone(zone).date(),
    }

    async def read(name: str, **more: Any) -> list[Row]:
        cursor = await db.execute(_SQL[name], parameters | more)
        return await cursor.fetchall()

    found: list[Evidence] = []

    def add(
        kind: Any,
        id_: object,
        at: datetime,
        recorded_at: datetime | None,
        details: dict[str, Any],
        *,
        pending: bool = False,
    ) -> None:
        age_s = round((now - at).total_seconds(), 1)
        found.append(
            Evidence(
                kind=kind, id=str(id_), at=at, recorded_at=recorded_at, age_s=age_s, pending=pending, details=details
            )
        )

    for row in await read("read_potholes"):
        details = {"status": pothole_status(row), **_pick(row, _POTHOLE_FIELDS)}
        add("pothole", row["pothole_id"], row["first_evidence_at"], row["first_recorded_at"], details)
    for row in await read("read_pass_days"):
        at = min(_noon(row["day"], zone), now)
        add("passes", row["day"].isoformat(), at, row["recorded_at"], _pick(row, _PASS_FIELDS))
    for row in await read("read_repairs", near_ids=near["repair"]):
        pending = row["matched_at"] is None
        add(
            "repair",
            row["record_id"],
            row["observed_at"],
            row["recorded_at"],
            _pick(row, _REPAIR_FIELDS),
            pending=pending,
        )
    for row in await read("read_reports", near_ids=near["report"]):
        pending = row["matched_at"] is None
        add(
            "report",
            row["record_id"],
            row["observed_at"],
            row["recorded_at"],
            _pick(row, _REPORT_FIELDS),
            pending=pending,
        )
    for row in await read("read_inspections"):
        add("inspection", row["record_id"], row["observed_at"], row["recorded_at"], _pick(row, _INSPECTION_FIELDS))
    for row in await read("read_decisions"):
        add("decision", row["decision_id"], row["decided_at"], row["recorded_at"], _pick(row, _DECISION_FIELDS))
    for row in await read("read_planned_works"):
        details = {"work_kind": row["kind"], "starts_on": row["starts_on"], "ends_on": row["ends_on"]}
        add("planned_work", row["record_id"], row["observed_at"], row["recorded_at"], details)
    return sorted(found, key=lambda e: e.at, reverse=True)
