"""Deriving potholes from the evidence that was matched to the network."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from models.inputs import Evidence, EvidenceKind
from models.potholes import LAPSE_DAYS, RULE_VERSION, Pothole, derive
from roadtwin.jobs.inputs import load_evidence, load_looks, to_datetime, to_instant
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.storage.potholes import (
    Derivation,
    PotholeRow,
    collect_evidence,
    count_potholes,
    read_derivation,
    read_sections_to_derive,
    replace_potholes,
    write_derivation,
)

_ON_THE_WAY = timedelta(hours=1)  # a match may be committed later than it says, by a command beside the service
_BATCH_SECTIONS = 4000  # bounds memory: some 8,000 segments with their evidence and looks

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


def derive_potholes(conn: psycopg.Connection[Any], *, now: datetime, anew: bool = False) -> PotholeCounts:
    """Make the table `pothole` what the rule says as of `now`; one transaction. Run again, it writes nothing.

    Confirmed holes and open candidates (`confirmed_at` null) are written; candidates that lapsed are removed. Only
    sections are derived where something may have changed since the last time: new evidence, or a hole or candidate that
    is open. All of them are, when rule or matcher are of another version, when `now` lies before the last time, when
    facts came that had been recorded before it (`storage.potholes.forget_derivation`), and with `anew`.
    """
    written = removed = 0
    with conn.transaction():
        last = None if anew else read_derivation(conn)
        if last is not None and (last.as_of > now or last[1:] != (RULE_VERSION, MATCHER_VERSION)):
            last = None
        sections = collect_evidence(conn, matched_since=None if last is None else last.as_of - _ON_THE_WAY)
        sections = read_sections_to_derive(
            conn,
            since=None if last is None else last.as_of,
            now=now,
            lapsing_since=now - timedelta(days=LAPSE_DAYS),
            sections=sections,
        )
        for start in range(0, len(sections), _BATCH_SECTIONS):
            counts = _derive_sections(conn, sections[start : start + _BATCH_SECTIONS], now)
            written, removed = written + counts[0], removed + counts[1]
        write_derivation(conn, Derivation(now, RULE_VERSION, MATCHER_VERSION))
        found = count_potholes(conn, now=now)
    return PotholeCounts(**found._asdict(), written=written, removed=removed)


def _derive_sections(conn: psycopg.Connection[Any], sections: Sequence[int], now: datetime) -> tuple[int, int]:
    evidence = load_evidence(conn, now=now, section_ids=sections)
    looks = load_looks(conn, now=now, segment_ids=np.unique(evidence.segment_id).tolist())
    holes = derive(evidence, looks, to_instant(now))
    return replace_potholes(conn, _rows(holes, evidence), sections=sections)


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
            opened_at=[to_datetime(opened) for opened, _ in hole.spells],
            shut_at=[None if shut is None else to_datetime(shut) for _, shut in hole.spells],
            seen_by_person_at=None if hole.person_us is None else to_datetime(hole.person_us),
        )
