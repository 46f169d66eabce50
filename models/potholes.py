"""Potholes derived from evidence by the rule of `models.pothole_rule`, and the tables that features read."""

from collections import defaultdict

import numpy as np
from numpy.typing import NDArray

from models.inputs import INSTANT, Evidence, EvidenceKind, Instant, Instants, Looks, OpenSpells, Potholes
from models.pothole_looks import LEAST_CAMERA_DAYS, Misses
from models.pothole_rule import (
    LAPSE_DAYS,
    RULE_VERSION,
    SAME_HOLE_M,
    SEEN_AGAIN_DAYS,
    CloseReason,
    EvidenceRow,
    Pothole,
    SectionHoles,
    apply,
)
from models.severity import measured_severity

__all__ = [
    "LAPSE_DAYS",
    "LEAST_CAMERA_DAYS",
    "RULE_VERSION",
    "SAME_HOLE_M",
    "SEEN_AGAIN_DAYS",
    "CloseReason",
    "Pothole",
    "derive",
    "to_spells",
    "to_table",
]


def derive(evidence: Evidence, looks: Looks, now: Instant) -> list[Pothole]:
    """Potholes and open candidates as of `now`, from everything recorded by then.

    Parameters
    ----------
    evidence : Evidence
        Rows in any order; those recorded after `now` are left out.
    looks : Looks
        Looks at segments, in any order; likewise. Those recorded with evidence come after it.
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
        evidence.evidence_id.tolist(), evidence.part_no.tolist(),
    ]  # fmt: skip
    kind_of = {int(kind): kind for kind in EvidenceKind}
    kinds = [kind_of[k] for k in evidence.kind.tolist()]
    acted = [None] * len(evidence)
    rows = list(map(EvidenceRow._make, zip(range(len(evidence)), kinds, *columns, acted, strict=True)))
    misses = Misses(looks, now)
    sections: defaultdict[int, SectionHoles] = defaultdict(SectionHoles)
    found: list[Pothole] = []
    for i in order:
        row = rows[i]
        found += apply(sections[row.section_id], row, misses)
    now_us = int(now.astype(INSTANT).astype(np.int64))
    for section in sections.values():
        section.settle(now_us, looks_before_us=now_us + 1)
    live = {id(hole) for section in sections.values() for hole in section.live}
    return [hole for hole in found if hole.confirmed_us is not None or id(hole) in live]


def _instants(values: list[int | None]) -> Instants:
    nat = np.datetime64("NaT", "us")
    return np.array([nat if v is None else np.datetime64(v, "us") for v in values], INSTANT)


def to_table(holes: list[Pothole], segment_ids: NDArray[np.int32]) -> Potholes:
    """The model's view of derived potholes; holes on segments that are not in `segment_ids` (n,) are left out."""
    row_of = {int(segment_id): row for row, segment_id in enumerate(segment_ids)}
    kept = [hole for hole in holes if hole.segment_id in row_of]
    return Potholes(
        segment_index=np.array([row_of[hole.segment_id] for hole in kept], dtype=np.int32),
        first_recorded_at=_instants([hole.first_recorded_us for hole in kept]),
        confirmed_at=_instants([hole.confirmed_us for hole in kept]),
        secured_at=_instants([hole.secured_us for hole in kept]),
    )


def to_spells(holes: list[Pothole], segment_ids: NDArray[np.int32]) -> OpenSpells:
    """When which holes were known to be open; those on segments not in `segment_ids` (n,) are left out."""
    row_of = {int(segment_id): row for row, segment_id in enumerate(segment_ids)}
    spells = [(row_of[h.segment_id], *spell) for h in holes if h.segment_id in row_of for spell in h.spells]
    return OpenSpells(
        segment_index=np.array([row for row, _, _ in spells], dtype=np.int32),
        opened_at=_instants([opened for _, opened, _ in spells]),
        closed_at=_instants([closed for _, _, closed in spells]),
    )
