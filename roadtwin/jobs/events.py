"""Deriving potholes from the evidence that was matched to the network."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from models.inputs import Evidence, EvidenceKind
from models.potholes import RULE_VERSION, CloseReason, Pothole, derive
from roadtwin.jobs.inputs import load_evidence, load_looks, to_datetime, to_instant
from roadtwin.storage.potholes import PotholeRow, replace_potholes

_KIND_NAMES = {
    EvidenceKind.DETECTION: "detection",
    EvidenceKind.FINDING: "finding",
    EvidenceKind.REPORT: "report",
    EvidenceKind.REPAIR: "repair",
    EvidenceKind.SECURING: "repair",
    EvidenceKind.RENEWAL: "repair",
}


@dataclass(frozen=True, slots=True)
class PotholeCounts:
    """What was derived: evidence read, holes by state, rows written (new or changed) and removed.

    `not_found` are those among the closed that were looked for in vain.
    """

    evidence: int
    candidates: int
    open: int
    closed: int
    not_found: int
    written: int
    removed: int


def derive_potholes(conn: psycopg.Connection[Any], *, now: datetime) -> PotholeCounts:
    """Make the table `pothole` what the rule says as of `now`; one transaction. Run again, it writes nothing.

    Confirmed holes and open candidates (`confirmed_at` null) are written; candidates that lapsed are removed.
    """
    with conn.transaction():
        evidence = load_evidence(conn, now=now)
        holes = derive(evidence, load_looks(conn, now=now), to_instant(now))
        written, removed = replace_potholes(conn, _rows(holes, evidence))
    confirmed = [hole for hole in holes if hole.confirmed_us is not None]
    closed = sum(hole.closed_us is not None for hole in confirmed)
    return PotholeCounts(
        evidence=len(evidence),
        candidates=len(holes) - len(confirmed),
        open=len(confirmed) - closed,
        closed=closed,
        not_found=sum(hole.close_reason == CloseReason.NOT_FOUND for hole in confirmed),
        written=written,
        removed=removed,
    )


def _rows(holes: list[Pothole], evidence: Evidence) -> Iterator[PotholeRow]:
    observed_us = evidence.observed_at.astype("int64").tolist()
    kinds = [_KIND_NAMES[EvidenceKind(kind)] for kind in evidence.kind.tolist()]
    parts = evidence.part_no.tolist()
    for hole in holes:
        yield PotholeRow(
            pothole_id=hole.pothole_id,
            rule_version=RULE_VERSION,
            section_id=hole.section_id,
            segment_id=hole.segment_id,
            station_m=hole.station_m,
            lon=hole.lon,
            lat=hole.lat,
            first_evidence_at=to_datetime(hole.first_evidence_us),
            first_recorded_at=to_datetime(hole.first_recorded_us),
            confirmed_at=None if hole.confirmed_us is None else to_datetime(hole.confirmed_us),
            secured_at=None if hole.secured_us is None else to_datetime(hole.secured_us),
            closed_at=None if hole.closed_us is None else to_datetime(hole.closed_us),
            close_reason=None if hole.close_reason is None else hole.close_reason.value,
            last_evidence_at=to_datetime(hole.last_evidence_us),
            severity=hole.severity,
            evidence_count=len(hole.evidence),
            evidence=[
                {
                    "kind": kinds[i],
                    "id": str(evidence.evidence_id[i]),
                    "part": parts[i],
                    "at": to_datetime(observed_us[i]).isoformat(),
                }
                for i in hole.evidence
            ],
            reopened=hole.reopened,
        )
