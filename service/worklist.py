"""The worklist from the database: rows in, ranked tasks out (order, due times and hindrances: models.worklist)."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from models.worklist import (
    SEVERE,
    WORKS_AHEAD_DAYS,
    Hindrance,
    Keeping,
    PotholeStatus,
    day_start,
    due_at,
    hindrances,
    is_for_crews,
    rank_potholes,
)
from roadtwin.storage import queries
from service.evidence import UNMATCHED_DAYS, pothole_status
from service.nearest import distance_m
from service.schemas import DecisionNote, InspectionTask, Point, PotholeTask, WorklistAnswer
from service.segments import age_days
from service.state import Connection, Row

_SQL = queries.load("api_worklist")

PENDING_REPAIR_RADIUS_M = 10.0
"""A repair recorded this near to a pothole counts as its repair until matching says more: GNSS in streets [m]."""

INSPECTION_POOL = 20
"""Candidates read per place of the inspection list; most of what hindrances leave out is within [-]."""

SETTLING_DECISIONS = frozenset({"defer", "none"})


async def read_worklist(
    db: Connection,
    *,
    now: datetime,
    zone: ZoneInfo,
    capacity: int,
    horizon_days: int,
    as_of: datetime | None,
    district: str | None,
    include: Collection[Hindrance],
) -> WorklistAnswer:
    """Today's worklist for `capacity` potholes and as many segments to inspect."""
    today = now.astimezone(zone).date()
    parameters: dict[str, Any] = {
        "now": now,
        "today": today,
        "works_until": today + timedelta(days=WORKS_AHEAD_DAYS),
        "day_start": day_start(now, zone),
        "district": district,
    }
    left_out: Counter[str] = Counter()
    potholes = await _potholes(db, parameters, zone=zone, include=include, left_out=left_out)
    inspections: list[InspectionTask] = []
    if as_of is not None:
        inspections = await _inspections(
            db,
            parameters | {"as_of": as_of, "horizon_days": horizon_days, "inspected_since": as_of},
            capacity=capacity,
            include=include,
            left_out=left_out,
        )
    waiting = [p for p in potholes if p.status is not PotholeStatus.REPAIRED]
    return WorklistAnswer(
        now=now,
        today=today,
        capacity=capacity,
        horizon_days=horizon_days,
        district=district,
        score_as_of=as_of,
        open_pothole_count=len(waiting),
        overdue_count=sum(p.overdue for p in waiting),
        secured_count=sum(p.status is PotholeStatus.SECURED for p in waiting),
        repaired_today_count=len(potholes) - len(waiting),
        potholes=waiting[:capacity] + [p for p in potholes if p.status is PotholeStatus.REPAIRED][:capacity],
        inspections=inspections,
        left_out=dict(sorted(left_out.items())),
    )


def _keeping(row: Row) -> Keeping:
    return Keeping(row["owner"], row["warranty_until"], row["works_start_on"])


def _decision(row: Row) -> DecisionNote | None:
    if row["decided_action"] is None:
        return None
    return DecisionNote(action=row["decided_action"], decided_at=row["decided_at"], reason=row["decided_reason"])


async def _potholes(
    db: Connection,
    parameters: dict[str, Any],
    *,
    zone: ZoneInfo,
    include: Collection[Hindrance],
    left_out: Counter[str],
) -> list[PotholeTask]:
    rows = await (await db.execute(_SQL["read_open_potholes"], parameters)).fetchall()
    since = parameters["now"] - timedelta(days=UNMATCHED_DAYS)
    repairs = await (await db.execute(_SQL["read_pending_repairs"], {"since": since})).fetchall()
    tasks = []
    for row in rows:
        found = hindrances(_keeping(row), parameters["today"])
        if row["decided_action"] in SETTLING_DECISIONS:
            found.append(Hindrance.DECIDED)
        if not is_for_crews(found, severe=row["severity"] == SEVERE, include=include):
            left_out.update(h.value for h in found if h not in include)
            continue
        tasks.append(_pothole_task(row, repairs, found, now=parameters["now"], zone=zone))
    ranked = rank_potholes(tasks)
    for position, task in enumerate(ranked, 1):
        task.position = position
    return ranked


def _pothole_task(
    row: Row, repairs: Sequence[Row], found: list[Hindrance], *, now: datetime, zone: ZoneInfo
) -> PotholeTask:
    status, secured_at = pothole_status(row), row["secured_at"]
    pending = None if status is PotholeStatus.REPAIRED else _pending_repair(row, repairs)
    if pending is not None:
        status = PotholeStatus.REPAIRED if pending["kind"] == "repaired" else PotholeStatus.SECURED
        secured_at = pending["observed_at"] if pending["kind"] == "secured" else secured_at
    due = due_at(row["first_recorded_at"], row["severity"], zone, secured_at)
    shared = {name: row[name] for name in PotholeTask.model_fields if name in row}
    return PotholeTask(
        **shared
        | {
            "position": 0,
            "segment_id": row["public_id"],
            "status": status,
            "pending": pending is not None,
            "due_at": due,
            "overdue": status is not PotholeStatus.REPAIRED and due < now,
            "age_s": round((now - row["first_recorded_at"]).total_seconds(), 1),
            "hindrances": found,
            "decision": _decision(row),
        }
    )


def _pending_repair(pothole: Row, repairs: Sequence[Row]) -> Row | None:
    """The last repair that was recorded for this pothole's place and has not been matched yet."""
    found = None
    for repair in repairs:  # in the order of being done
        if repair["observed_at"] < pothole["first_recorded_at"] and repair["observed_at"] < pothole["last_evidence_at"]:
            continue  # damage seen after a repair is damage
        if repair["lon"] is not None:
            near = distance_m(repair["lon"], repair["lat"], pothole["lon"], pothole["lat"]) <= PENDING_REPAIR_RADIUS_M
        else:
            near = repair["public_segment_id"] == pothole["public_id"]
        found = repair if near else found
    return found


async def _inspections(
    db: Connection, parameters: dict[str, Any], *, capacity: int, include: Collection[Hindrance], left_out: Counter[str]
) -> list[InspectionTask]:
    limit = capacity * INSPECTION_POOL
    rows = await (await db.execute(_SQL["read_risky_segments"], parameters | {"limit": limit})).fetchall()
    tasks: list[InspectionTask] = []
    for row in rows:
        if len(tasks) == capacity:
            break
        found = hindrances(_keeping(row), parameters["today"])
        if row["inspected_at"] is not None:
            found.append(Hindrance.INSPECTED)
        if row["decided_action"] in SETTLING_DECISIONS:
            found.append(Hindrance.DECIDED)
        if not is_for_crews(found, severe=False, include=include):
            left_out.update(h.value for h in found if h not in include)
            continue
        tasks.append(_inspection_task(row, found, position=len(tasks) + 1, now=parameters["now"]))
    return tasks


def _inspection_task(row: Row, found: list[Hindrance], *, position: int, now: datetime) -> InspectionTask:
    reason = next((r for r in row["reasons"] or () if r["contribution_log_odds"] > 0), None)
    shared = {name: row[name] for name in InspectionTask.model_fields if name in row}
    return InspectionTask(
        **shared
        | {
            "position": position,
            "segment_id": row["public_id"],
            "mid": Point(lon=row["mid_lon"], lat=row["mid_lat"]),
            "expected_per_100_m": row["expected_count"] * 100 / row["length_m"],
            "evidence_age_days": age_days(row["newest_evidence_at"], now),
            "inspected_since_at": row["inspected_at"],
            "main_reason_de": reason["text_de"] if reason else None,
            "main_reason_en": reason["text_en"] if reason else None,
            "hindrances": found,
            "decision": _decision(row),
        }
    )


CSV_COLUMNS = (
    "list",
    "position",
    "segment_id",
    "pothole_id",
    "name",
    "district",
    "road_class",
    "lon",
    "lat",
    "severity",
    "status",
    "due_at",
    "overdue",
    "probability",
    "horizon_days",
    "rank",
    "condition_grade",
    "evidence_age_days",
    "maintenance_district",
    "owner",
    "hindrances",
    "main_reason_de",
    "main_reason_en",
)


def worklist_csv(answer: WorklistAnswer) -> str:
    """Both lists as one CSV table (RFC 4180), with a byte order mark: spreadsheets then read umlauts."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.DictWriter(out, CSV_COLUMNS, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    for name, tasks in (("pothole", answer.potholes), ("inspection", answer.inspections)):
        for task in tasks:
            row = task.model_dump(mode="json")
            row |= {"list": name, "horizon_days": answer.horizon_days if name == "inspection" else None}
            row |= row.get("mid") or {}
            row["hindrances"] = " ".join(task.hindrances)
            writer.writerow({key: _cell(value) for key, value in row.items()})
    return out.getvalue()


def _cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
