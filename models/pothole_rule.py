"""The rule that makes potholes of evidence, version 2: one section, one row of evidence after the other.

Evidence is processed strictly in the order in which it was recorded, so the state as of t depends only on what was
recorded by t: a late row with an old `observed_at` changes nothing before it came.

1. **Same hole.** Evidence belongs to the nearest open hole of its section within max(5 m, 2 σ), σ the larger position
   accuracy of the two; for repairs and securings σ is both together, √(σ₁² + σ₂²): a crew works on a hole that it was
   sent to. Two holes closer than that cannot be told apart by a camera; they count as one.
2. **Before its repair.** Evidence observed before a repair, but recorded after it, belongs to the closed hole (cameras
   upload at night, crews close deep holes the same day). It opens nothing.
3. **New.** Everything else opens a candidate. Where the last hole within 5 m was repaired, it is a hole *reopened*.
4. **Confirmed** by a person (inspection finding, repair, securing), by detections of two passes, or by a report and
   a detection. Confirmation is recorded with the time we knew it.
5. **Lapsed.** A candidate that nothing confirms within 28 d of its first record was no pothole; nor was one that was
   looked for and not found (7) before it was confirmed: a camera that mistakes a lid now and then would otherwise
   confirm itself.
6. **Closed** by a repair. A repair where no hole is open means a hole first known, confirmed and closed then.
   A renewed surface closes all holes of its segment and opens none.
7. **Not found.** A confirmed hole is closed, too, when looks that were recorded and made after its last evidence did
   not see it: one of a person, or good camera passes on four days. With a recall of 0.75 a pass [1]_, four of them miss
   a hole that is there with 0.25⁴ = 0.4 % (more if they drove in the other lane). What is seen near it counts as seen.
8. **Seen again** within 90 d after that, it is the same hole, open again: absence must not make new events. What was
   observed before the look that missed it, but recorded later, belongs to it and leaves it closed.
9. **Severity**: the last person's grade; else the worst of depth × width measured; else 2 (medium: unknown).
10. **Place**: that of the most accurate evidence so far. The segment is the one of the place known when the hole was
    confirmed, and stays: counts by segment never move afterwards.

Severity, place, last evidence, the earliest `observed_at` and `person_us` may grow with later rows: no feature or label
reads them, nor `reopened`.

Version 1 kept the place of the first evidence, and candidates that looks had missed.

References
----------
.. [1] D. Arya et al., "RDD2022," doi:10.48550/arXiv.2209.08538, and the road damage detection challenges on it: F1 of
   0.7 to 0.8 for the best detectors.
"""

import math
from bisect import bisect_left
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID, uuid5

import numpy as np

from models.inputs import EvidenceKind, Instant, Looks
from models.severity import UNKNOWN_SEVERITY

RULE_VERSION = 2
SAME_HOLE_M = 5.0
"""Product definition of a new hole: none open within this distance along the section [m]."""
LAPSE_DAYS = 28
"""A candidate lapses after this [d]. Labels are mature after it, too (`models.dataset.MATURITY_DAYS`)."""
LEAST_CAMERA_DAYS = 4
"""Days with a good camera pass that must miss a hole before it counts as not found."""
SEEN_AGAIN_DAYS = 90
"""Seen again so soon after it was not found, a hole is the same one [d]."""

_NAMESPACE = UUID("6d1c8b0e-6a6f-5b0a-9d2b-1f7f0d6f3c11")
_LAPSE = np.timedelta64(LAPSE_DAYS, "D").astype("timedelta64[us]").astype(int)
_SEEN_AGAIN = SEEN_AGAIN_DAYS * 86_400_000_000
_BY_CREW = frozenset({EvidenceKind.REPAIR, EvidenceKind.SECURING})
_BY_PERSON = _BY_CREW | {EvidenceKind.FINDING}
_LEFT_OPEN = frozenset({EvidenceKind.FINDING, EvidenceKind.SECURING})  # a person saw it, and it was there afterwards


class CloseReason(StrEnum):
    """Why a hole is no longer open."""

    REPAIRED = "repaired"  # also by a renewed surface
    NOT_FOUND = "not_found"


@dataclass(slots=True)
class Pothole:
    """One derived pothole or open candidate. Instants are microseconds since 1970 UTC, None if not (yet) so."""

    pothole_id: UUID
    section_id: int
    segment_id: int
    station_m: float
    lon: float
    lat: float
    first_evidence_us: int
    first_recorded_us: int
    last_evidence_us: int
    reopened: bool
    confirmed_us: int | None = None
    secured_us: int | None = None
    closed_us: int | None = None
    close_reason: CloseReason | None = None
    severity: int = UNKNOWN_SEVERITY
    evidence: list[int] = field(default_factory=list)
    """Rows of the `Evidence` given, in the order of recording."""
    spells: list[tuple[int, int | None]] = field(default_factory=list)
    """Recorded times between which it was known to be open; more than one if it was not found in between."""
    person_us: int | None = None
    """Recorded time at which a person last found it in its present spell, and left it open.

    None: cameras (and reports) alone say that it was there then, or only the repair that closed it.
    """

    # What only the rule needs: accuracy of the place, who saw it, when it was repaired (observed), when anything was
    # last seen near it (observed), the look that did not find it (recorded, observed), and the last one that did not
    # before its present spell (observed).
    _accuracy_m: float = math.inf
    _pass_nos: set[int] = field(default_factory=set)
    _reported: bool = False
    _graded_by_person: bool = False
    _measured_severity: int = 0
    _repaired_us: int | None = None
    _seen_near_us: int = 0
    _missed: tuple[int, int] | None = None
    _gone_us: int | None = None


class EvidenceRow(NamedTuple):
    """One row of evidence as plain numbers: the rule runs on Python objects. `position`: its row in `Evidence`."""

    position: int
    kind: EvidenceKind
    observed_us: int
    recorded_us: int
    section_id: int
    segment_id: int
    station_m: float
    accuracy_m: float
    lon: float
    lat: float
    pass_no: int
    severity: int
    measured_severity: int
    evidence_id: UUID
    part_no: int


class Misses:
    """Looks by segment, in the order of recording."""

    def __init__(self, looks: Looks, now: Instant) -> None:
        known = looks.recorded_by(now)
        recorded, begun = (column.astype(np.int64) for column in (known.recorded_at, known.observed_from))
        order = np.lexsort((known.by_person, begun, recorded, known.segment_id))
        ids, starts, counts = np.unique(known.segment_id[order], return_index=True, return_counts=True)
        columns = [column[order].tolist() for column in (recorded, begun, known.by_person)]
        self._of = {
            segment: tuple(column[start : start + count] for column in columns)
            for segment, start, count in zip(ids.tolist(), starts.tolist(), counts.tolist(), strict=True)
        }

    def first(self, segment_id: int, *, seen_us: int, known_us: int) -> tuple[int, int] | None:
        """Recorded and observed time of the look that settles that a hole last seen (and known) then is gone."""
        recorded, begun, by_person = self._of.get(segment_id, ([], [], []))
        days = set()
        for i in range(bisect_left(recorded, known_us), len(recorded)):
            if begun[i] <= seen_us:
                continue
            days.add(begun[i])
            if by_person[i] or len(days) >= LEAST_CAMERA_DAYS:
                return recorded[i], begun[i]
        return None


class SectionHoles:
    """The holes of one section while evidence comes in."""

    __slots__ = ("live", "lost", "repaired")

    def __init__(self) -> None:
        self.live: list[Pothole] = []  # open holes and candidates
        self.repaired: list[Pothole] = []
        self.lost: list[Pothole] = []  # not found

    def settle(self, now_us: int, *, looks_before_us: int) -> None:
        """Drop candidates that lapsed, close holes that were not found."""
        kept = []
        for hole in self.live:
            missed_us = hole._missed[0] if hole._missed is not None else None
            gone = missed_us is not None and missed_us < looks_before_us
            if hole.confirmed_us is None:
                if not gone and now_us - hole.first_recorded_us <= _LAPSE:
                    kept.append(hole)
            elif gone and missed_us is not None:
                _end(hole, missed_us, CloseReason.NOT_FOUND)
                self.lost.append(hole)
            else:
                kept.append(hole)
        self.live = kept

    def lost_lately(self, now_us: int) -> list[Pothole]:
        """Holes not found that count as the same if seen again now."""
        return [h for h in self.lost if h.closed_us is not None and now_us - h.closed_us <= _SEEN_AGAIN]


def _near(hole: Pothole, row: EvidenceRow) -> bool:
    distance_m = abs(hole.station_m - row.station_m)
    row_m, hole_m = row.accuracy_m, hole._accuracy_m
    if distance_m <= SAME_HOLE_M:
        return True
    if row.kind in _BY_CREW:
        return distance_m <= 2 * math.hypot(row_m, hole_m)
    return distance_m <= 2 * row_m or distance_m <= 2 * hole_m


def _nearest(holes: list[Pothole], row: EvidenceRow) -> Pothole | None:
    near = [hole for hole in holes if _near(hole, row)]
    return min(near, key=lambda hole: abs(hole.station_m - row.station_m), default=None)


def _add(hole: Pothole, row: EvidenceRow) -> None:
    """Add evidence to a hole: count, times, place, severity, and confirmation if this confirms it."""
    hole.evidence.append(row.position)
    hole.first_evidence_us = min(hole.first_evidence_us, row.observed_us)
    hole.last_evidence_us = max(hole.last_evidence_us, row.observed_us)
    if row.accuracy_m < hole._accuracy_m:
        hole.station_m, hole.lon, hole.lat, hole._accuracy_m = row.station_m, row.lon, row.lat, row.accuracy_m
        if hole.confirmed_us is None:
            hole.segment_id = row.segment_id
    if row.kind == EvidenceKind.DETECTION:
        hole._pass_nos.add(row.pass_no)
    elif row.kind == EvidenceKind.REPORT:
        hole._reported = True
    if (
        row.kind in _LEFT_OPEN
        and hole.closed_us is None
        and (hole._gone_us is None or row.observed_us >= hole._gone_us)
    ):
        hole.person_us = row.recorded_us  # who saw it before it was lost from sight does not vouch for it since
    _grade(hole, row)
    sure = row.kind in _BY_PERSON or len(hole._pass_nos) >= 2 or (hole._reported and bool(hole._pass_nos))
    if sure and hole.confirmed_us is None:
        hole.confirmed_us = row.recorded_us
        hole.spells.append((row.recorded_us, None))


def _grade(hole: Pothole, row: EvidenceRow) -> None:
    if row.severity:  # a person's grade stands above every measurement
        hole.severity, hole._graded_by_person = row.severity, True
        return
    hole._measured_severity = max(hole._measured_severity, row.measured_severity)
    if not hole._graded_by_person and hole._measured_severity:
        hole.severity = hole._measured_severity


def _open(row: EvidenceRow, *, reopened: bool) -> Pothole:
    name = f"{RULE_VERSION}:{int(row.kind)}:{row.evidence_id}:{row.part_no}"
    return Pothole(
        pothole_id=uuid5(_NAMESPACE, name),
        section_id=row.section_id,
        segment_id=row.segment_id,
        station_m=row.station_m,
        lon=row.lon,
        lat=row.lat,
        first_evidence_us=row.observed_us,
        first_recorded_us=row.recorded_us,
        last_evidence_us=row.observed_us,
        reopened=reopened,
    )


def _end(hole: Pothole, closed_us: int, reason: CloseReason) -> None:
    hole.closed_us, hole.close_reason = closed_us, reason
    hole.spells[-1] = (hole.spells[-1][0], closed_us)


def _close(section: SectionHoles, hole: Pothole, row: EvidenceRow) -> None:
    """Close an open hole by a repair or a renewed surface."""
    _add(hole, row)
    section.live.remove(hole)
    if hole.confirmed_us is None:  # a renewal is no witness of a hole: the candidate ends unconfirmed
        return
    _end(hole, row.recorded_us, CloseReason.REPAIRED)
    hole._repaired_us = row.observed_us
    section.repaired.append(hole)


def _repaired_after(section: SectionHoles, row: EvidenceRow) -> list[Pothole]:
    """Holes whose repair was done after the row was observed, and that were not long after it."""
    return [
        h
        for h in section.repaired
        if h._repaired_us is not None and h.first_evidence_us - _LAPSE <= row.observed_us < h._repaired_us
    ]


def _join_closed(section: SectionHoles, row: EvidenceRow) -> bool:
    """Add a row that came late to the closed hole that it speaks of; False if there is none."""
    hole = _nearest(_repaired_after(section, row), row)
    if hole is not None:
        _add(hole, row)
        return True
    before_miss = [h for h in section.lost_lately(row.recorded_us) if h._missed and row.observed_us < h._missed[1]]
    hole = _nearest(before_miss, row)
    if hole is None:
        return False
    _add(hole, row)
    if row.kind == EvidenceKind.REPAIR:  # why it was not found; when it was closed stays as we knew it
        hole.close_reason, hole._repaired_us = CloseReason.REPAIRED, row.observed_us
        section.lost.remove(hole)
        section.repaired.append(hole)
    return True


def _open_again(section: SectionHoles, row: EvidenceRow) -> Pothole | None:
    """The hole that was lately not found and that this row sees again."""
    hole = _nearest(section.lost_lately(row.recorded_us), row)
    if hole is not None:
        hole._gone_us = None if hole._missed is None else hole._missed[1]
        hole.closed_us = hole.close_reason = hole._missed = hole.person_us = None
        hole.spells.append((row.recorded_us, None))
        section.lost.remove(hole)
        section.live.append(hole)
    return hole


def _broken_up_again(section: SectionHoles, row: EvidenceRow) -> bool:
    """Whether the last hole that was closed here was repaired: only then has a repair failed."""
    here = [h for h in (*section.repaired, *section.lost) if abs(h.station_m - row.station_m) <= SAME_HOLE_M]
    last = max(here, key=lambda h: h.closed_us or 0, default=None)
    return last is not None and last.close_reason is CloseReason.REPAIRED


def _renew(section: SectionHoles, row: EvidenceRow) -> None:
    for hole in [h for h in section.live if h.segment_id == row.segment_id]:
        _close(section, hole, row)
    section.lost = [h for h in section.lost if h.segment_id != row.segment_id]


def apply(section: SectionHoles, row: EvidenceRow, misses: Misses) -> Pothole | None:
    """Let one row of evidence act on its section; a hole that it opened is returned."""
    section.settle(row.recorded_us, looks_before_us=row.recorded_us)
    if row.kind == EvidenceKind.RENEWAL:
        _renew(section, row)
        return None
    opened: Pothole | None = None
    hole = _nearest(section.live, row)
    if hole is None:
        if _join_closed(section, row):
            return None
        hole = _open_again(section, row)
    if hole is None:
        hole = opened = _open(row, reopened=_broken_up_again(section, row))
        section.live.append(hole)
    if row.kind == EvidenceKind.REPAIR:
        _close(section, hole, row)
    else:
        _add(hole, row)
        if row.kind == EvidenceKind.SECURING and hole.secured_us is None:
            hole.secured_us = row.recorded_us
    for other in section.live:
        if other is hole or _near(other, row):
            other._seen_near_us = max(other._seen_near_us, row.observed_us, other.last_evidence_us)
            other._missed = misses.first(other.segment_id, seen_us=other._seen_near_us, known_us=row.recorded_us)
    return opened
