"""The worklist from the database: rows in, ranked tasks out (order, due times and hindrances: models.worklist)."""

import csv
import io
from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from starlette.concurrency import run_in_threadpool

from models.draw import draw_for, places_by_risk
from models.worklist import (
    DOUBTFUL_BELOW,
    SEVERE,
    WORKS_AHEAD_DAYS,
    Hindrance,
    Keeping,
    PotholeStatus,
    day_start,
    due_at,
    hindrances,
    is_for_crews,
    is_likely,
    open_probability,
    rank_potholes,
)
from roadtwin.storage import queries
from service.evidence import UNMATCHED_DAYS, pothole_status
from service.nearest import distance_m
from service.plan import Day, Place, plan_work
from service.schemas import Point
from service.schemas_worklist import (
    DecisionNote,
    InspectionTask,
    LotNote,
    PotholeTask,
    SelectedBy,
    WorklistAnswer,
)
from service.segments import age_days
from service.state import Connection, Row

_SQL = queries.load("api_worklist")
_LOTS = queries.load("inspection_draws")

PENDING_REPAIR_RADIUS_M = 10.0
"""A repair recorded this near to a pothole counts as its repair until matching says more: GNSS in streets [m]."""

INSPECTION_POOL = 20
"""Candidates read per place of the inspection list; most of what hindrances leave out is within [-]."""

SETTLING_DECISIONS = frozenset({"defer", "none"})

DECISION_HOLDS = timedelta(days=7)
"""How long a decision about a segment's score holds while scores are made anew every hour: the shortest horizon."""


@dataclass(slots=True)
class _Question:
    """What the list is asked for, what was left out of it, and where its tasks lie."""

    parameters: dict[str, Any]
    capacity: int
    include: Collection[Hindrance]
    left_out: Counter[str] = field(default_factory=Counter)
    places: dict[str, Place] = field(default_factory=dict)


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
    work_day: Day,
) -> WorklistAnswer:
    """Today's worklist for `capacity` potholes and as many segments to inspect, and both as jobs for `work_day`."""
    today = now.astimezone(zone).date()
    begin = day_start(now, zone)
    parameters: dict[str, Any] = {
        "now": now,
        "today": today,
        "works_until": today + timedelta(days=WORKS_AHEAD_DAYS),
        "day_start": begin,
        "district": district,
        "as_of": as_of,
        "horizon_days": horizon_days,
        # Scores are made every hour: who was there this morning is not sent there again today.
        "inspected_since": begin if as_of is None else min(as_of, begin),
        "decided_since": now - DECISION_HOLDS,
    }
    question = _Question(parameters, capacity, include)
    potholes = await _potholes(db, question, zone=zone)
    inspections: list[InspectionTask] = []
    by_lot = None
    if as_of is not None:
        by_lot, drawn = await _lot(db, question)
        inspections = await _inspections(db, question, by_lot, drawn)
    waiting = [p for p in potholes if p.status is not PotholeStatus.REPAIRED]
    listed = waiting[:capacity]
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
        undecided_count=sum(task.decision is None for task in inspections),
        plan=await run_in_threadpool(
            plan_work, listed, inspections, question.places, work_day, due_by=begin + timedelta(days=1)
        ),
        potholes=listed + [p for p in potholes if p.status is PotholeStatus.REPAIRED][:capacity],
        inspections=inspections,
        by_lot=by_lot,
        left_out=dict(sorted(question.left_out.items())),
    )


def keeping_of(row: Row) -> Keeping:
    """Who has to keep the road of a row."""
    return Keeping(row["owner"], row["warranty_until"], row["works_start_on"])


def _decision(row: Row) -> DecisionNote | None:
    if row["decided_action"] is None:
        return None
    return DecisionNote(action=row["decided_action"], decided_at=row["decided_at"], reason=row["decided_reason"])


async def _potholes(db: Connection, question: _Question, *, zone: ZoneInfo) -> list[PotholeTask]:
    now = question.parameters["now"]
    rows = await (await db.execute(_SQL["read_open_potholes"], question.parameters)).fetchall()
    since = now - timedelta(days=UNMATCHED_DAYS)
    repairs = await (await db.execute(_SQL["read_pending_repairs"], {"since": since})).fetchall()
    tasks = []
    for row in rows:
        found = hindrances(keeping_of(row), question.parameters["today"])
        if row["decided_action"] in SETTLING_DECISIONS:
            found.append(Hindrance.DECIDED)
        if not is_for_crews(found, severe=row["severity"] == SEVERE, include=question.include):
            question.left_out.update(h.value for h in found if h not in question.include)
            continue
        tasks.append(_pothole_task(row, repairs, found, now=now, zone=zone))
        question.places[str(row["pothole_id"])] = Place(row["lon"], row["lat"], row["section_id"], row["station_m"])
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
    due = due_at(row["known_since"], row["severity"], zone, secured_at)
    probability = open_probability(
        status, confirmed_by_person=row["confirmed_by_person"], twin_probability=row["twin_probability"]
    )
    shared = {name: row[name] for name in PotholeTask.model_fields if name in row}
    return PotholeTask(
        **shared
        | {
            "position": 0,
            "segment_id": row["public_id"],
            "status": status,
            "pending": pending is not None,
            "open_probability": probability,
            "doubtful": not is_likely(probability, DOUBTFUL_BELOW),
            "due_at": due,
            "overdue": status is not PotholeStatus.REPAIRED and due < now,
            "age_s": round((now - row["known_since"]).total_seconds(), 1),
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


async def _lot(db: Connection, question: _Question) -> tuple[LotNote | None, list[int]]:
    """How today's inspections were drawn, and the segments: among those that are not at the top of this list."""
    day = {"day": question.parameters["today"]}
    row = await (await db.execute(_LOTS["read_draw"], day)).fetchone()
    if row is None:
        return None, []
    stored = await (await db.execute(_LOTS["read_drawn_segments"], day)).fetchall()
    share, free = row["share"], row["top_count"] + row["frame_count"]
    frame = max(free - places_by_risk(question.capacity, share), 0)
    chosen = draw_for([r["risk_position"] for r in stored], question.capacity, share)
    drawn = [stored[at]["segment_id"] for at in chosen]
    counted = await (await db.execute(_SQL["count_inspected"], {**question.parameters, "only_ids": drawn})).fetchone()
    note = LotNote(
        **{name: row[name] for name in ("day", "drawn_at", "share", "seed")},
        frame_count=frame,
        drawn_count=len(drawn),
        probability=len(drawn) / frame if frame else 0.0,
        inspected_count=counted["count"] if counted else 0,
    )
    return note, drawn


async def _inspections(
    db: Connection, question: _Question, by_lot: LotNote | None, drawn: list[int]
) -> list[InspectionTask]:
    """Segments at the top of the risk, then those drawn by lot; what is drawn stays drawn when its risk rises."""
    parameters = question.parameters | {
        "only_ids": None,
        "without_ids": drawn,
        "limit": question.capacity * INSPECTION_POOL,
    }
    rows = await (await db.execute(_SQL["read_risky_segments"], parameters)).fetchall()
    tasks = _chosen(question, rows, question.capacity - len(drawn))
    if by_lot is not None and drawn:
        parameters |= {"only_ids": drawn, "without_ids": None}
        rows = await (await db.execute(_SQL["read_risky_segments"], parameters)).fetchall()
        lot = _chosen(question, rows, len(drawn))
        for position, task in enumerate(lot, len(tasks) + 1):
            task.position, task.selected_by = position, SelectedBy.RANDOM
            task.selection_probability = by_lot.probability
        tasks += lot
    return tasks


def _chosen(question: _Question, rows: Sequence[Row], count: int) -> list[InspectionTask]:
    tasks: list[InspectionTask] = []
    for row in rows:
        if len(tasks) == count:
            break
        found = hindrances(keeping_of(row), question.parameters["today"])
        if row["inspected_at"] is not None:
            found.append(Hindrance.INSPECTED)
        if row["decided_action"] in SETTLING_DECISIONS:
            found.append(Hindrance.DECIDED)
        if not is_for_crews(found, severe=False, include=question.include):
            question.left_out.update(h.value for h in found if h not in question.include)
            continue
        tasks.append(_inspection_task(row, found, position=len(tasks) + 1, now=question.parameters["now"]))
        place = Place(row["mid_lon"], row["mid_lat"], row["section_id"], row["station_m"], row["expected_count"])
        question.places[row["public_id"]] = place
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
            "selected_by": SelectedBy.RISK,
            "selection_probability": 1.0,
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
    "crew",
    "order",
    "job",
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
    "open_probability",
    "confirmed_by_person",
    "seen_again",
    "reopened",
    "selected_by",
    "selection_probability",
    "probability",
    "probability_low",
    "probability_high",
    "horizon_days",
    "rank",
    "condition_grade",
    "evidence_age_days",
    "maintenance_district",
    "owner",
    "hindrances",
    "decision",
    "main_reason_de",
    "main_reason_en",
)


def worklist_csv(answer: WorklistAnswer) -> str:
    """Both lists as one CSV table (RFC 4180), with a byte order mark: spreadsheets then read umlauts."""
    out = io.StringIO()
    out.write("\ufeff")
    writer = csv.DictWriter(out, CSV_COLUMNS, restval="", extrasaction="ignore", lineterminator="\r\n")
    writer.writeheader()
    jobs = {job.job: job for job in answer.plan.jobs}
    for name, tasks in (("pothole", answer.potholes), ("inspection", answer.inspections)):
        for task in tasks:
            row = task.model_dump(mode="json")
            row |= {"list": name, "horizon_days": answer.horizon_days if name == "inspection" else None}
            row |= row.get("mid") or {}
            row["hindrances"] = " ".join(task.hindrances)
            row["decision"] = task.decision.action if task.decision else None
            job = jobs.get(task.job) if task.job else None
            row |= {"crew": job.crew if job else None, "order": job.order if job else None}
            writer.writerow({key: _cell(value) for key, value in row.items()})
    return out.getvalue()


def _cell(value: object) -> object:
    """Text that a spreadsheet would run as a formula gets an apostrophe in front."""
    return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t")) else value
