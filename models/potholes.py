"""Potholes from evidence, rule version 1.

Evidence is processed strictly in the order in which it was recorded, so the state as of t depends only on what was
recorded by t: a late row with an old `observed_at` changes nothing before it came.

1. **Same hole.** Evidence belongs to the nearest open hole of its section within max(5 m, 2 σ), σ the larger position
   accuracy of the two. Two holes closer than that cannot be told apart by a camera; they count as one.
2. **Before its repair.** Evidence observed before a repair, but recorded after it, belongs to the closed hole (cameras
   upload at night, crews close deep holes the same day). It opens nothing.
3. **New.** Everything else opens a candidate. Within the tolerance of a closed hole, it is a hole *reopened*.
4. **Confirmed** by a person (inspection finding, repair, securing), by detections of two passes, or by a report and
   a detection. Confirmation is recorded with the time we knew it.
5. **Lapsed.** A candidate that nothing confirms within 28 d of its first record was no pothole.
6. **Closed** by a repair. A repair where no hole is open means a hole first known, confirmed and closed then.
   A renewed surface closes all holes of its segment and opens none. Passes that see nothing close nothing.
7. **Severity**: the last person's grade; else the worst of depth × width measured; else 2 (medium: unknown).
   Severity, last evidence and the earliest `observed_at` may grow with later rows: no feature or label reads them.
"""

import math
from collections import defaultdict
from dataclasses import dataclass, field
from uuid import UUID, uuid5

import numpy as np
from numpy.typing import NDArray

from models.inputs import INSTANT, Evidence, EvidenceKind, Instant, Potholes

RULE_VERSION = 1
SAME_HOLE_M = 5.0
"""Product definition of a new hole: none open within this distance along the section [m]."""
LAPSE_DAYS = 28
"""A candidate lapses after this [d]. Labels are mature after it, too (`models.dataset.MATURITY_DAYS`)."""
UNKNOWN_SEVERITY = 2

_NAMESPACE = UUID("6d1c8b0e-6a6f-5b0a-9d2b-1f7f0d6f3c11")
_LAPSE = np.timedelta64(LAPSE_DAYS, "D").astype("timedelta64[us]").astype(int)
_BY_PERSON = frozenset({EvidenceKind.FINDING, EvidenceKind.REPAIR, EvidenceKind.SECURING})
# Rows: depth 13–25, 25–50, > 50 mm; columns: width up to 200, 450, above [mm] (ASTM D6433, distress 13).
_SEVERITY = ((1, 1, 2), (1, 2, 3), (2, 2, 3))


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
    severity: int = UNKNOWN_SEVERITY
    evidence: list[int] = field(default_factory=list)
    """Rows of the `Evidence` given, in the order of recording."""

    # What only the rule needs: best known place, who saw it, when it was repaired (observed).
    _match_station_m: float = 0.0
    _accuracy_m: float = math.inf
    _pass_nos: set[int] = field(default_factory=set)
    _reported: bool = False
    _graded_by_person: bool = False
    _measured_severity: int = 0
    _repaired_us: int | None = None


def measured_severity(depth_m: float, width_m: float) -> int:
    """Severity of a hole from its size, 0 when neither is known.

    Parameters
    ----------
    depth_m, width_m : float
        Largest depth and width, NaN when unknown. [m]

    Returns
    -------
    int
        1 low, 2 medium, 3 high; with one of the two unknown, the middle class of it is taken.

    References
    ----------
    .. [1] ASTM D6433, distress 13 (potholes), levels of severity.

    Examples
    --------
    >>> measured_severity(0.06, 0.5), measured_severity(0.02, 0.15), measured_severity(float("nan"), 0.5)
    (3, 1, 3)
    """
    if math.isnan(depth_m) and math.isnan(width_m):
        return 0
    depth_class = 1 if math.isnan(depth_m) else 0 if depth_m <= 0.025 else 1 if depth_m <= 0.05 else 2
    width_class = 1 if math.isnan(width_m) else 0 if width_m <= 0.2 else 1 if width_m <= 0.45 else 2
    return _SEVERITY[depth_class][width_class]


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of evidence as plain numbers: the rule runs on Python objects."""

    index: int
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


class _Section:
    """The holes of one section while evidence comes in."""

    __slots__ = ("closed", "live")

    def __init__(self) -> None:
        self.live: list[Pothole] = []  # open holes and candidates
        self.closed: list[Pothole] = []

    def lapse(self, now_us: int) -> None:
        self.live = [h for h in self.live if h.confirmed_us is not None or now_us - h.first_recorded_us <= _LAPSE]


def _nearest(holes: list[Pothole], row: _Row) -> Pothole | None:
    best: Pothole | None = None
    best_m = math.inf
    for hole in holes:
        distance_m = abs(hole._match_station_m - row.station_m)
        if distance_m <= max(SAME_HOLE_M, 2 * row.accuracy_m, 2 * hole._accuracy_m) and distance_m < best_m:
            best, best_m = hole, distance_m
    return best


def _add(hole: Pothole, row: _Row) -> None:
    """Add evidence to a hole: count, times, place, severity, and confirmation if this confirms it."""
    hole.evidence.append(row.index)
    hole.first_evidence_us = min(hole.first_evidence_us, row.observed_us)
    hole.last_evidence_us = max(hole.last_evidence_us, row.observed_us)
    if row.accuracy_m < hole._accuracy_m:
        hole._match_station_m, hole._accuracy_m = row.station_m, row.accuracy_m
    if row.kind == EvidenceKind.DETECTION:
        hole._pass_nos.add(row.pass_no)
    elif row.kind == EvidenceKind.REPORT:
        hole._reported = True
    _grade(hole, row)
    sure = row.kind in _BY_PERSON or len(hole._pass_nos) >= 2 or (hole._reported and bool(hole._pass_nos))
    if sure and hole.confirmed_us is None:
        hole.confirmed_us = row.recorded_us


def _grade(hole: Pothole, row: _Row) -> None:
    if row.severity:  # a person's grade stands above every measurement
        hole.severity, hole._graded_by_person = row.severity, True
        return
    hole._measured_severity = max(hole._measured_severity, row.measured_severity)
    if not hole._graded_by_person and hole._measured_severity:
        hole.severity = hole._measured_severity


def _open(row: _Row, evidence: Evidence, *, reopened: bool) -> Pothole:
    name = f"{RULE_VERSION}:{int(row.kind)}:{evidence.evidence_id[row.index]}:{evidence.part_no[row.index]}"
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


def _close(section: _Section, hole: Pothole, row: _Row) -> None:
    _add(hole, row)
    if hole.confirmed_us is None:  # a renewal is no witness of a hole: the candidate ends unconfirmed
        section.live.remove(hole)
        return
    hole.closed_us, hole._repaired_us = row.recorded_us, row.observed_us
    section.live.remove(hole)
    section.closed.append(hole)


def _closed_after(section: _Section, row: _Row) -> list[Pothole]:
    """Closed holes whose repair was done after the row was observed, and that were not long after it."""
    return [
        h
        for h in section.closed
        if h._repaired_us is not None and h.first_evidence_us - _LAPSE <= row.observed_us < h._repaired_us
    ]


def _apply(section: _Section, row: _Row, evidence: Evidence) -> Pothole | None:
    """Let one row of evidence act on its section; a hole that it opened is returned."""
    section.lapse(row.recorded_us)
    if row.kind == EvidenceKind.RENEWAL:
        for here in [h for h in section.live if h.segment_id == row.segment_id]:
            _close(section, here, row)
        return None
    opened: Pothole | None = None
    hole = _nearest(section.live, row)
    if hole is None:
        before = _nearest(_closed_after(section, row), row)
        if before is not None:
            _add(before, row)
            return None
        hole = opened = _open(row, evidence, reopened=_nearest(section.closed, row) is not None)
        section.live.append(hole)
    if row.kind == EvidenceKind.REPAIR:
        _close(section, hole, row)
    else:
        _add(hole, row)
        if row.kind == EvidenceKind.SECURING and hole.secured_us is None:
            hole.secured_us = row.recorded_us
    return opened


def derive(evidence: Evidence, now: Instant) -> list[Pothole]:
    """Potholes and open candidates as of `now`, from everything recorded by then.

    Parameters
    ----------
    evidence : Evidence
        Rows in any order; those recorded after `now` are left out.
    now : datetime64[us]
        The instant as of which the state is wanted, UTC.

    Returns
    -------
    list of Pothole
        In the order in which they were first recorded. Lapsed candidates are not in it. `pothole_id` is a UUIDv5 of
        rule version and first evidence, so deriving again gives the same ids.
    """
    us = {name: getattr(evidence, name).astype(np.int64) for name in ("observed_at", "recorded_at")}
    ids = np.array([i.int for i in evidence.evidence_id], dtype=object)
    # Ties in recorded_at are broken by content, never by the order in which the rows were given.
    order = sorted(
        np.flatnonzero(evidence.recorded_at <= now).tolist(),
        key=lambda i: (us["recorded_at"][i], us["observed_at"][i], evidence.kind[i], ids[i], evidence.part_no[i]),
    )
    columns = [
        us["observed_at"].tolist(), us["recorded_at"].tolist(), evidence.section_id.tolist(),
        evidence.segment_id.tolist(), evidence.station_m.tolist(),
        np.nan_to_num(evidence.accuracy_m).tolist(),  # accuracy not given: the 5 m of the rule stand
        evidence.lon.tolist(), evidence.lat.tolist(), evidence.pass_no.tolist(), evidence.severity.tolist(),
        [measured_severity(d, w) for d, w in zip(evidence.depth_m.tolist(), evidence.width_m.tolist(), strict=True)],
    ]  # fmt: skip
    kinds = [EvidenceKind(k) for k in evidence.kind.tolist()]
    rows = list(zip(range(len(evidence)), kinds, *columns, strict=True))
    sections: defaultdict[int, _Section] = defaultdict(_Section)
    found: list[Pothole] = []
    for i in order:
        row = _Row(*rows[i])
        opened = _apply(sections[row.section_id], row, evidence)
        if opened is not None:
            found.append(opened)
    now_us = int(now.astype(INSTANT).astype(np.int64))
    live: set[int] = set()
    for section in sections.values():
        section.lapse(now_us)
        live.update(id(h) for h in (*section.live, *section.closed))
    return [hole for hole in found if id(hole) in live]


def to_table(holes: list[Pothole], segment_ids: NDArray[np.int32]) -> Potholes:
    """The model's view of derived potholes; holes on segments that are not in `segment_ids` (n,) are left out."""
    row_of = {int(segment_id): row for row, segment_id in enumerate(segment_ids)}
    kept = [hole for hole in holes if hole.segment_id in row_of]

    def column(name: str) -> NDArray[np.datetime64]:
        values = [getattr(hole, name) for hole in kept]
        return np.array([np.datetime64("NaT", "us") if v is None else np.datetime64(v, "us") for v in values], INSTANT)

    return Potholes(
        segment_index=np.array([row_of[hole.segment_id] for hole in kept], dtype=np.int32),
        first_recorded_at=column("first_recorded_us"),
        confirmed_at=column("confirmed_us"),
        secured_at=column("secured_us"),
        closed_at=column("closed_us"),
    )
