"""The rule that makes potholes of evidence, version 3: one section, one row of evidence after the other.

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
   A renewed surface closes all holes of its segment and opens none. Either closes only what had been seen by then:
   what was seen more than a day after the repair, and recorded before it, is taken from the closed hole and acts anew,
   known from the record of the repair on (3, 4: a candidate or hole *reopened*). A hole that was only seen after the
   repair stays as it is, and is *reopened* where that is within 5 m. The day is for registers that give the day, or the
   end of the shift, in the place of the time.
7. **Not found.** A confirmed hole is closed, too, when looks that were recorded and made after its last evidence did
   not see it: one of a person, or good camera passes on four days. With a recall of 0.75 a pass [1]_, four of them miss
   a hole that is there with 0.25⁴ = 0.4 % (more if they drove in the other lane). What is seen near it counts as seen.
8. **Seen again** within 90 d after that, it is the same hole, open again: absence must not make new events. What was
   observed before the look that missed it, but recorded later, belongs to it and leaves it closed.
9. **Severity**: the last person's grade; else the worst of depth × width measured; else 2 (medium: unknown).
10. **Place**: that of the most accurate evidence so far. The segment is the one of the place known when the hole was
    confirmed, and stays: counts by segment never move afterwards.

Severity, place, last evidence, the earliest `observed_at`, `person_us` and `reopened` may change with later rows: no
feature or label reads them.

Version 1 kept the place of the first evidence, and candidates that looks had missed. Version 2 let a repair close what
had been seen after it, if it was recorded later still.

References
----------
.. [1] D. Arya et al., "RDD2022," doi:10.48550/arXiv.2209.08538, and the road damage detection challenges on it: F1 of
   0.7 to 0.8 for the best detectors.
"""

import math
from dataclasses import dataclass, field
from enum import StrEnum
from typing import NamedTuple
from uuid import UUID, uuid5

import numpy as np

from models.inputs import EvidenceKind
from models.pothole_looks import Misses
from models.severity import UNKNOWN_SEVERITY

RULE_VERSION = 3
SAME_HOLE_M = 5.0
"""Product definition of a new hole: none open within this distance along the section [m]."""
LAPSE_DAYS = 28
"""A candidate lapses after this [d]. Labels are mature after it, too (`models.dataset.MATURITY_DAYS`)."""
SEEN_AGAIN_DAYS = 90
"""Seen again so soon after it was not found, a hole is the same one [d]."""
REPAIR_DAYS = 1
"""Seen so soon after a repair that was recorded later, it was seen before it: that time may stand for a day [d]."""

_NAMESPACE = UUID("6d1c8b0e-6a6f-5b0a-9d2b-1f7f0d6f3c11")
_LAPSE = np.timedelta64(LAPSE_DAYS, "D").astype("timedelta64[us]").astype(int)
_SEEN_AGAIN = SEEN_AGAIN_DAYS * 86_400_000_000
_REPAIR_TIME = REPAIR_DAYS * 86_400_000_000
_BY_CREW = frozenset({EvidenceKind.REPAIR, EvidenceKind.SECURING})
_BY_PERSON = _BY_CREW | {EvidenceKind.FINDING}
_CLOSING = frozenset({EvidenceKind.REPAIR, EvidenceKind.RENEWAL})
_LEFT_OPEN = frozenset({EvidenceKind.FINDING, EvidenceKind.SECURING})  # a person saw it, and it was there afterwards


class CloseReason(StrEnum):
    """Why a hole is no longer open."""

    REPAIRED = "repaired"  # also by a renewed surface
    NOT_FOUND = "not_found"


class EvidenceRow(NamedTuple):
    """One row of evidence as plain numbers: the rule runs on Python objects.

    `position` is its row in `Evidence`. A row that acts anew has the `recorded_us` of the repair that it was seen
    after; `after` names that repair, and those before it that it acted anew for.
    """

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
    after: UUID | None


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
    rows: list[EvidenceRow] = field(default_factory=list)
    """Its evidence, in the order of recording."""
    spells: list[tuple[int, int | None]] = field(default_factory=list)
    """Recorded times between which it was known to be open; more than one if it was not found in between."""

    # What only the rule needs: accuracy of the place, who saw it, when it was repaired (observed), when anything was
    # last seen near it (observed), the look that did not find it (recorded, observed), and the last one that did not
    # before its present spell (observed).
    _accuracy_m: float = math.inf
    _pass_nos: set[int] = field(default_factory=set)
    _reported: bool = False
    _repaired_us: int | None = None
    _seen_near_us: int = 0
    _missed: tuple[int, int] | None = None
    _gone_us: int | None = None

    @property
    def evidence(self) -> list[int]:
        """Rows of the `Evidence` given, in the order of recording."""
        return [row.position for row in self.rows]

    @property
    def severity(self) -> int:
        """1–3: as a person graded it last, which stands above every measurement; else the worst measured."""
        graded = [row.severity for row in self.rows if row.severity]
        measured = max((row.measured_severity for row in self.rows), default=0)
        return graded[-1] if graded else measured or UNKNOWN_SEVERITY

    @property
    def person_us(self) -> int | None:
        """Recorded time at which a person last found it in its present spell, and left it open.

        None: cameras (and reports) alone say that it was there then, or only the repair that closed it. Who saw it
        before it was lost from sight does not vouch for it since.
        """
        if not self.spells:
            return None
        begun, ended = self.spells[-1][0], math.inf if self.closed_us is None else self.closed_us
        gone = -math.inf if self._gone_us is None else self._gone_us
        found = [r for r in self.rows if r.kind in _LEFT_OPEN and r.observed_us >= gone]
        return max((r.recorded_us for r in found if begun <= r.recorded_us <= ended), default=None)


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


def _concerns(row: EvidenceRow, hole: Pothole) -> bool:
    """Whether a row may be of a hole: no repair or renewal is of one that was only seen after it."""
    return row.kind not in _CLOSING or hole.first_evidence_us <= row.observed_us + _REPAIR_TIME


def _nearest(holes: list[Pothole], row: EvidenceRow) -> Pothole | None:
    near = [hole for hole in holes if _near(hole, row)]
    return min(near, key=lambda hole: abs(hole.station_m - row.station_m), default=None)


def _add(hole: Pothole, row: EvidenceRow) -> None:
    """Add evidence to a hole: times, place, and confirmation if this confirms it."""
    hole.rows.append(row)
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
    sure = row.kind in _BY_PERSON or len(hole._pass_nos) >= 2 or (hole._reported and bool(hole._pass_nos))
    if sure and hole.confirmed_us is None:
        hole.confirmed_us = row.recorded_us
        hole.spells.append((row.recorded_us, None))


def _open(row: EvidenceRow, *, reopened: bool) -> Pothole:
    name = f"{RULE_VERSION}:{int(row.kind)}:{row.evidence_id}:{row.part_no}"
    if row.after is not None:  # the hole that it was taken from may have its name from the same row
        name += f":{row.after}"
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


def _take_later(hole: Pothole, repair: EvidenceRow) -> list[EvidenceRow]:
    """Take from a hole what was seen after its repair: it acts anew, known from the record of the repair on."""
    last_us = repair.observed_us + _REPAIR_TIME
    later = [row for row in hole.rows if row.observed_us > last_us]
    if all(row.kind in _CLOSING for row in later):  # repaired in two goes
        return []
    if later:
        hole.rows = [row for row in hole.rows if row.observed_us <= last_us]
        hole.last_evidence_us = max(row.observed_us for row in hole.rows)
    # A repair that acts anew may take a row once more: the chain of repairs gives each hole a name of its own.
    us, name = repair.recorded_us, str(repair.evidence_id)
    return [row._replace(recorded_us=us, after=uuid5(row.after or _NAMESPACE, name)) for row in later]


def _close(section: SectionHoles, hole: Pothole, row: EvidenceRow) -> list[EvidenceRow]:
    """Close an open hole by a repair or a renewed surface; returns what was seen of it later."""
    later = _take_later(hole, row)
    _add(hole, row)
    section.live.remove(hole)
    if hole.confirmed_us is not None:  # else the candidate ends unconfirmed: a renewal is no witness of a hole
        _end(hole, row.recorded_us, CloseReason.REPAIRED)
        hole._repaired_us = row.observed_us
        section.repaired.append(hole)
    return later


def _repaired_after(section: SectionHoles, row: EvidenceRow) -> list[Pothole]:
    """Holes whose repair was done after the row was observed, and that were not long after it."""
    return [
        h
        for h in section.repaired
        if h._repaired_us is not None and h.first_evidence_us - _LAPSE <= row.observed_us < h._repaired_us
    ]


def _join_closed(section: SectionHoles, row: EvidenceRow) -> list[EvidenceRow] | None:
    """Add a row that came late to the closed hole that it speaks of; None if there is none.

    Returns what was seen of that hole later than the row, if this is its repair.
    """
    hole = _nearest([h for h in _repaired_after(section, row) if _concerns(row, h)], row)
    if hole is not None:
        later = _take_later(hole, row) if row.kind in _CLOSING else []
        _add(hole, row)
        if later:  # the repair that it was closed by was the next one's
            hole._repaired_us = row.observed_us
        return later
    lost = [h for h in section.lost_lately(row.recorded_us) if h._missed and row.observed_us < h._missed[1]]
    hole = _nearest([h for h in lost if _concerns(row, h)], row)
    if hole is None:
        return None
    later = _take_later(hole, row) if row.kind in _CLOSING else []
    _add(hole, row)
    if row.kind in _CLOSING:  # why it was not found; when it was closed stays as we knew it
        hole.close_reason, hole._repaired_us = CloseReason.REPAIRED, row.observed_us
        section.lost.remove(hole)
        section.repaired.append(hole)
    return later


def _open_again(section: SectionHoles, row: EvidenceRow) -> Pothole | None:
    """The hole that was lately not found and that this row sees again."""
    lost = section.lost_lately(row.recorded_us)
    hole = _nearest([h for h in lost if _concerns(row, h)], row)
    if hole is not None:
        hole._gone_us = None if hole._missed is None else hole._missed[1]
        hole.closed_us = hole.close_reason = hole._missed = None
        hole.spells.append((row.recorded_us, None))
        section.lost.remove(hole)
        section.live.append(hole)
    return hole


def _broken_up_again(section: SectionHoles, row: EvidenceRow) -> bool:
    """Whether the last hole that was closed here was repaired: only then has a repair failed."""
    here = [h for h in (*section.repaired, *section.lost) if abs(h.station_m - row.station_m) <= SAME_HOLE_M]
    last = max(here, key=lambda h: h.closed_us or 0, default=None)
    return last is not None and last.close_reason is CloseReason.REPAIRED


def _renew(section: SectionHoles, row: EvidenceRow) -> list[EvidenceRow]:
    here = [h for h in section.live if h.segment_id == row.segment_id and _concerns(row, h)]
    later = [seen for hole in here for seen in _close(section, hole, row)]
    section.lost = [h for h in section.lost if h.segment_id != row.segment_id or not _concerns(row, h)]
    return later


def _look_for(hole: Pothole, row: EvidenceRow, misses: Misses) -> None:
    """Note what a row near a hole says: that it was seen, and which look since then does not find it."""
    hole._seen_near_us = max(hole._seen_near_us, row.observed_us, hole.last_evidence_us)
    known_us = row.recorded_us if row.after is None else row.observed_us  # looks until it acts anew count, too
    missed = misses.first(hole.segment_id, seen_us=hole._seen_near_us, known_us=known_us)
    hole._missed = None if missed is None else (max(missed[0], row.recorded_us), missed[1])


def _act(section: SectionHoles, row: EvidenceRow, misses: Misses) -> tuple[Pothole | None, list[EvidenceRow]]:
    """Act on one hole; returns it if it is new, and what was seen of it after the row, if that is its repair."""
    opened: Pothole | None = None
    hole = _nearest([h for h in section.live if _concerns(row, h)], row)
    if hole is None:
        later = _join_closed(section, row)
        if later is not None:
            return None, later
        hole = _open_again(section, row)
    if hole is None:
        hole = opened = _open(row, reopened=_broken_up_again(section, row))
        if row.kind in _CLOSING:
            for other in section.live:  # seen only after this repair
                other.reopened |= abs(other.station_m - row.station_m) <= SAME_HOLE_M
        section.live.append(hole)
    later = []
    if row.kind in _CLOSING:
        later = _close(section, hole, row)
    else:
        _add(hole, row)
    if row.kind is EvidenceKind.SECURING and hole.secured_us is None:
        hole.secured_us = row.recorded_us
    for other in section.live:
        if other is hole or (row.after is None and _near(other, row) and _concerns(row, other)):
            _look_for(other, row, misses)
    return opened, later


def _in_time(row: EvidenceRow) -> tuple[int, int, int, int]:
    return row.observed_us, int(row.kind), row.evidence_id.int, row.part_no


def apply(section: SectionHoles, row: EvidenceRow, misses: Misses) -> list[Pothole]:
    """Let one row of evidence act on its section; holes that it opened are returned."""
    section.settle(row.recorded_us, looks_before_us=row.recorded_us)
    opened: Pothole | None = None
    if row.kind is EvidenceKind.RENEWAL:
        later = _renew(section, row)
    else:
        opened, later = _act(section, row, misses)
    again = [hole for seen in sorted(later, key=_in_time) for hole in apply(section, seen, misses)]
    return again if opened is None else [opened, *again]
