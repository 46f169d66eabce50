"""Storing what people record: repairs, inspections, reports and decisions. Sent again, a record changes nothing."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from roadtwin.errors import RecordConflictError, RecordRejectedError
from roadtwin.network.extent import Extent
from roadtwin.records.schema import (
    EARLIEST,
    Inspection,
    Instant,
    Record,
    RecordPosition,
    Repair,
    Report,
    Text,
    Word,
    positions_of,
)
from roadtwin.storage import queries
from service.nearest import is_near_a_road, nearest_segment
from service.schemas import Stored
from service.security import Principal, write_audit
from service.state import Connection, Row

_SQL = queries.load("api_writes")
_NETWORK = queries.load("network")

CLOCK_TOLERANCE = timedelta(minutes=5)
"""How far `observed_at` may lie ahead of our clock: senders' clocks differ."""


class Decision(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What was decided about a segment's score or about a pothole; doing nothing is a decision, with its reason."""

    decision_id: UUID
    schema_version: Literal[1] = 1
    decided_at: Instant
    segment_id: Word | None = None
    pothole_id: UUID | None = None
    score_as_of: Annotated[
        Instant | None, Meta(description="`as_of` of the score that was decided on; by default the newest.")
    ] = None
    horizon_days: Annotated[
        Literal[7, 28, 90] | None, Meta(description="Horizon of that score [d]; by default 28.")
    ] = None
    action: Literal["inspect", "repair", "secure", "defer", "none"]
    reason: Text | None = None


def _position(position: RecordPosition | None) -> dict[str, float | None]:
    if position is None:
        return {"lon": None, "lat": None, "accuracy_m": None}
    return {"lon": position.lon, "lat": position.lat, "accuracy_m": position.accuracy_m}


def _check_time(name: str, instant: datetime, now: datetime) -> None:
    if instant > now + CLOCK_TOLERANCE:
        raise RecordRejectedError(f"{name}: got {instant.isoformat()}, which is later than now ({now.isoformat()}).")
    if instant < EARLIEST:
        raise RecordRejectedError(f"{name}: got {instant.isoformat()}, expected no time before {EARLIEST.year}.")


async def _check_positions(db: Connection, record: Record) -> None:
    """Raises RecordRejectedError where longitude and latitude are exchanged; a position outside the city is kept."""
    far = {name: at for name, at in positions_of(record).items() if not await is_near_a_road(db, at.lon, at.lat)}
    bounds = await (await db.execute(_NETWORK["read_bounds"])).fetchone() if far else None  # looks at every segment
    if bounds is None or bounds["west"] is None:
        return
    extent = Extent(**bounds)
    for name, position in far.items():
        told = extent.told_if_swapped(position.lon, position.lat)
        if told:
            raise RecordRejectedError(f"{name}: {told}")


async def _segment_of(
    db: Connection, segment_id: str | None, position: RecordPosition | None, max_distance_m: float
) -> str | None:
    """The segment as given (checked), or the nearest one to the position. Raises RecordRejectedError."""
    if segment_id is not None:
        if await (await db.execute(_SQL["find_segment_id"], {"public_id": segment_id})).fetchone() is None:
            raise RecordRejectedError(f"segment_id: there is no road segment with the id {segment_id!r}.")
        return segment_id
    if position is None:
        raise RecordRejectedError("Got neither segment_id nor position, expected at least one of them.")
    nearest = await nearest_segment(db, position.lon, position.lat, max_distance_m)
    return None if nearest is None else nearest["public_id"]


async def store_record(
    db: Connection,
    record: Repair | Inspection | Report,
    *,
    now: datetime,
    actor: Principal,
    max_distance_m: float,
) -> Stored:
    """Store a record and its line of the audit log in one transaction; the loop of matching takes it from there.

    Raises RecordRejectedError for an unknown segment, no place at all, swapped coordinates, or a time in the future,
    and RecordConflictError when the id is taken by other content.
    """
    kind = type(record).__name__.lower()
    _check_time("observed_at", record.observed_at, now)
    await _check_positions(db, record)
    position = getattr(record, "position", None)
    segment_id = await _segment_of(db, record.segment_id, position, max_distance_m)
    fields = {name: getattr(record, name) for name in record.__struct_fields__}
    findings: Sequence[dict[str, Any]] = ()
    if isinstance(record, Inspection):
        findings = _finding_rows(record)
    else:
        fields |= _position(record.position)
    fields["recorded_at"] = now
    async with db.transaction():
        created = await _insert(db, kind, fields, findings)
        if created:
            await write_audit(
                db,
                recorded_at=now,
                actor=actor.name,
                action=f"{kind}_recorded",
                subject=f"{kind}/{record.record_id}",
                details={"segment_id": segment_id},
            )
            known_at = now
        else:
            known_at = await _check_same(db, kind, fields, findings)
    return Stored(kind=kind, id=record.record_id, recorded_at=known_at, created=created, segment_id=segment_id)


def _finding_rows(inspection: Inspection) -> list[dict[str, Any]]:
    return [
        {
            "record_id": inspection.record_id,
            "finding_no": number,
            "class_code": finding.class_code,
            "severity": finding.severity,
            "width_m": finding.width_m,
            "depth_m": finding.depth_m,
            **_position(finding.position),
        }
        for number, finding in enumerate(inspection.findings)
    ]


async def _insert(db: Connection, kind: str, fields: dict[str, Any], findings: Sequence[dict[str, Any]]) -> bool:
    cursor = await db.execute(_SQL[f"add_{kind}"], fields)
    created = await cursor.fetchone() is not None
    if created:
        for finding in findings:
            await db.execute(_SQL["add_inspection_finding"], finding)
    return created


async def _check_same(
    db: Connection, kind: str, fields: dict[str, Any], findings: Sequence[dict[str, Any]]
) -> datetime:
    """When the same record was stored before. Raises RecordConflictError if it is another one."""
    present = await (await db.execute(_SQL[f"read_{kind}"], fields)).fetchone()
    assert present is not None
    same = all(_equal(fields[name], present[name]) for name in present if name != "recorded_at")
    if kind == "inspection":
        rows = await (await db.execute(_SQL["read_inspection_findings"], fields)).fetchall()
        same = same and len(rows) == len(findings)
        same = same and all(_equal(a[name], b[name]) for a, b in zip(findings, rows, strict=False) for name in b)
    if not same:
        raise RecordConflictError(
            f"There is another {kind} with the id {fields['record_id']} and other content; a correction has its own id."
        )
    known_at: datetime = present["recorded_at"]
    return known_at


def _equal(given: object, stored: object) -> bool:
    if isinstance(given, float) and isinstance(stored, float):
        return abs(given - stored) <= 1e-6 * max(1.0, abs(given))  # some columns hold single precision
    return given == stored


_DEFAULT_HORIZON_DAYS = 28
_SCORE_FIELDS = (
    "score_as_of",
    "horizon_days",
    "probability",
    "probability_low",
    "probability_high",
    "expected_count",
    "rank",
    "model_run_id",
)


async def _score_known(db: Connection, decision: Decision, segment_id: int | None) -> Row:
    """The score that was decided on, all None where there was none. Raises RecordRejectedError for one not there."""
    asked = {
        "segment_id": segment_id,
        "score_as_of": decision.score_as_of,
        "horizon_days": decision.horizon_days or _DEFAULT_HORIZON_DAYS,
    }
    row = await (await db.execute(_SQL["find_score"], asked)).fetchone() if segment_id is not None else None
    if row is None and decision.score_as_of is not None:
        raise RecordRejectedError(
            f"score_as_of: this segment has no score as of {decision.score_as_of.isoformat()} for "
            f"{asked['horizon_days']} days (any more); load the segment again, or leave it out for the newest."
        )
    return row or dict.fromkeys(_SCORE_FIELDS)


async def store_decision(db: Connection, decision: Decision, *, now: datetime, actor: Principal) -> Stored:
    """Store a decision, the score that was known then, and its line of the audit log in one transaction.

    Raises as `store_record` does, and RecordRejectedError for doing nothing without a reason.
    """
    _check_time("decided_at", decision.decided_at, now)
    if decision.score_as_of is not None:
        _check_time("score_as_of", decision.score_as_of, now)
    if decision.segment_id is None and decision.pothole_id is None:
        raise RecordRejectedError("Got neither segment_id nor pothole_id, expected at least one of them.")
    if decision.action == "none" and not (decision.reason or "").strip():
        raise RecordRejectedError("reason: got none, but to do nothing is a decision that needs one.")
    segment = await _find(db, "find_segment_id", public_id=decision.segment_id) if decision.segment_id else None
    if decision.pothole_id is not None:
        await _find(db, "find_pothole", pothole_id=decision.pothole_id)
    present = await (await db.execute(_SQL["read_decision"], {"decision_id": decision.decision_id})).fetchone()
    fields: dict[str, Any] = {
        **{name: getattr(decision, name) for name in decision.__struct_fields__},
        "segment_id": segment["segment_id"] if segment else None,
    }
    if present is not None:
        return _same_decision(decision, fields, present)
    fields |= await _score_known(db, decision, fields["segment_id"]) | {"recorded_at": now, "decided_by": actor.name}
    async with db.transaction():
        if await (await db.execute(_SQL["add_decision"], fields)).fetchone() is None:  # another request was quicker
            present = await (await db.execute(_SQL["read_decision"], fields)).fetchone()
            assert present is not None
            return _same_decision(decision, fields, present)
        subject = f"pothole/{decision.pothole_id}" if decision.pothole_id else f"segment/{decision.segment_id}"
        details = {"decision_id": str(decision.decision_id), "action": decision.action}
        await write_audit(
            db, recorded_at=now, actor=actor.name, action="decision_recorded", subject=subject, details=details
        )
    return _stored(decision, now, created=True)


def _same_decision(decision: Decision, fields: dict[str, Any], present: Row) -> Stored:
    """The answer to a decision that is known. Raises RecordConflictError when it is another one."""
    known_at = present["recorded_at"]
    given = {name for name in present if name != "recorded_at" and getattr(decision, name) is not None}
    given |= {"reason", "segment_id", "pothole_id"}  # what is left out of these means none; of the score, the newest
    if any(fields[name] != present[name] for name in given):
        raise RecordConflictError(f"There is another decision with the id {decision.decision_id}.")
    return _stored(decision, known_at, created=False)


def _stored(decision: Decision, recorded_at: datetime, *, created: bool) -> Stored:
    return Stored(
        kind="decision",
        id=decision.decision_id,
        recorded_at=recorded_at,
        created=created,
        segment_id=decision.segment_id,
    )


async def _find(db: Connection, name: str, **parameters: object) -> Row:
    row = await (await db.execute(_SQL[name], parameters)).fetchone()
    if row is None:
        ((field, value),) = parameters.items()
        raise RecordRejectedError(f"{field}: there is none with the id {str(value)!r}.")
    return row
