"""Derived potholes beside the truth of a simulated world: found, missed, split, merged, invented, and how late.

Only evaluation reads this. A derived hole *may be* a true one if both are on one section, not farther apart than
`LINK_M`, and some evidence of it was observed while the true one was open. Of these links every hole keeps at most
one, the nearest first: what is left over on the derived side are *splits* (one true hole counted again), on the true
side *merges* (two true holes counted as one).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.inputs import Bools, Columns, Floats, Instant, Instants, Ints
from models.potholes import CloseReason, Pothole
from simulators.truth.holes import STILL_OPEN_US
from simulators.truth.truth import truth_of
from simulators.world import World

LINK_M = 10.0
"""How far along the section a derived hole may lie from the true one: twice the error of a good position [m]."""
_SLACK = np.timedelta64(1, "D").astype("timedelta64[us]")  # records may carry a day in the place of a time
_DAY = np.timedelta64(1, "D") / np.timedelta64(1, "us")
_NEVER = np.datetime64("2200-01-01", "us")


@dataclass(frozen=True, slots=True)
class TrueHoles(Columns):
    """Holes of a simulated world, n rows; `closed_at` NaT: open. `segment_index` (n,) numbers the world's segments."""

    INSTANTS = frozenset({"born_at", "closed_at"})

    section_id: Ints
    segment_index: Ints
    station_m: Floats
    born_at: Instants
    closed_at: Instants


@dataclass(frozen=True, slots=True)
class DerivedHoles(Columns):
    """Confirmed potholes of the rule, n rows. First and last evidence as observed, the other times as recorded."""

    INSTANTS = frozenset({"first_evidence_at", "last_evidence_at", "first_recorded_at", "confirmed_at", "closed_at"})

    section_id: Ints
    station_m: Floats
    first_evidence_at: Instants
    last_evidence_at: Instants
    first_recorded_at: Instants
    confirmed_at: Instants
    closed_at: Instants
    not_found: Bools


@dataclass(frozen=True, slots=True)
class EventFigures:
    """How well the rule tells what was there, in a window of time.

    `recall` = found / true, `precision` = those that are one true hole each / derived; true = found + merged + missed,
    derived = one to one + split + invented. `delay_*` are medians and 90 % quantiles of found holes [d]:
    from birth to the first record, from there to confirmation, from the true closing to the recorded one.
    `closed_early`: found holes that the rule closed as not found while they were open.
    `recall_by_group`: share found, and number of true holes, of each group that was asked for.
    """

    true: int
    found: int
    merged: int
    missed: int
    derived: int
    split: int
    invented: int
    recall: float
    precision: float
    delay_first_record_d: tuple[float, float]
    delay_confirmed_d: tuple[float, float]
    delay_closed_d: tuple[float, float]
    closed_early: int
    recall_by_group: dict[str, tuple[float, int]]


def true_holes(world: World, section_ids: Mapping[str, int], until: date) -> TrueHoles:
    """All holes of a world born before the end of the local day `until`, as they stood then.

    `section_ids` says which section of the database each segment (public id) lies on.
    """
    truth = truth_of(world)
    truth.run_to(until)
    holes, count = truth.holes, len(truth.holes)
    closed_us, end_us = holes.closed_us[:count], world.day_bounds_us(until)[1]
    segment = holes.segment[:count].copy()
    of_segment = np.array([section_ids[public_id] for public_id in world.segment_ids], np.int32)
    closed = np.where(closed_us < min(end_us, STILL_OPEN_US), closed_us, np.iinfo(np.int64).min)
    return TrueHoles(
        section_id=of_segment[segment],
        segment_index=segment,
        station_m=holes.station_m[:count].copy(),
        born_at=holes.born_us[:count].astype("datetime64[us]"),
        closed_at=closed.astype("datetime64[us]"),
    )


def derived_holes(holes: Sequence[Pothole]) -> DerivedHoles:
    """The confirmed ones among `holes`."""
    kept = [hole for hole in holes if hole.confirmed_us is not None]

    def instants(values: list[int | None]) -> Instants:
        return np.array([np.iinfo(np.int64).min if v is None else v for v in values], np.int64).astype("datetime64[us]")

    return DerivedHoles(
        section_id=np.array([h.section_id for h in kept], np.int32),
        station_m=np.array([h.station_m for h in kept], np.float64),
        first_evidence_at=instants([h.first_evidence_us for h in kept]),
        last_evidence_at=instants([h.last_evidence_us for h in kept]),
        first_recorded_at=instants([h.first_recorded_us for h in kept]),
        confirmed_at=instants([h.confirmed_us for h in kept]),
        closed_at=instants([h.closed_us for h in kept]),
        not_found=np.array([h.close_reason == CloseReason.NOT_FOUND for h in kept], bool),
    )


def compare(
    true: TrueHoles,
    derived: DerivedHoles,
    *,
    since: Instant,
    until: Instant,
    groups: Mapping[str, Bools] | None = None,
) -> EventFigures:
    """Figures of the true holes born, and of the derived ones first recorded, in [since, until).

    Holes beyond the window take part in the linking, so that none is missed or invented only for lying at its edge.

    Parameters
    ----------
    true, derived : TrueHoles, DerivedHoles
    since, until : datetime64[us]
        The window, UTC.
    groups : mapping of str to ndarray of bool, shape (len(true),), optional
        True holes by group, such as those on segments that no camera passes.
    """
    pairs = _links(true, derived)
    kept = _one_to_one(pairs, true, derived)
    in_true = (true.born_at >= since) & (true.born_at < until)
    in_derived = (derived.first_recorded_at >= since) & (derived.first_recorded_at < until)
    found, linked_true = (_mask(rows, len(true)) for rows in (kept[:, 0], pairs[:, 0]))
    single, linked_derived = (_mask(rows, len(derived)) for rows in (kept[:, 1], pairs[:, 1]))
    t, d = kept[in_true[kept[:, 0]]].T
    closing = ~np.isnat(true.closed_at[t]) & ~np.isnat(derived.closed_at[d])
    early = derived.not_found[d] & ~(derived.closed_at[d] >= true.closed_at[t])
    return EventFigures(
        true=int(in_true.sum()),
        found=int((in_true & found).sum()),
        merged=int((in_true & linked_true & ~found).sum()),
        missed=int((in_true & ~linked_true).sum()),
        derived=int(in_derived.sum()),
        split=int((in_derived & linked_derived & ~single).sum()),
        invented=int((in_derived & ~linked_derived).sum()),
        recall=_share(found, in_true),
        precision=_share(single, in_derived),
        delay_first_record_d=_delay(derived.first_recorded_at[d] - true.born_at[t]),
        delay_confirmed_d=_delay(derived.confirmed_at[d] - derived.first_recorded_at[d]),
        delay_closed_d=_delay((derived.closed_at[d] - true.closed_at[t])[closing]),
        closed_early=int(early.sum()),
        recall_by_group={
            name: (_share(found, in_true & mask), int((in_true & mask).sum())) for name, mask in (groups or {}).items()
        },
    )


def _links(true: TrueHoles, derived: DerivedHoles) -> NDArray[np.int64]:
    """Pairs (true, derived) that may be one hole, shape (k, 2)."""
    if not len(true) or not len(derived):
        return np.zeros((0, 2), np.int64)
    # Sections lie far apart on a second axis: one search finds the pairs of all of them.
    places = [np.column_stack([t.station_m, t.section_id * (LINK_M * 1000.0)]) for t in (true, derived)]
    near = cKDTree(places[0]).query_ball_tree(cKDTree(places[1]), LINK_M)
    rows = np.repeat(np.arange(len(true)), [len(found) for found in near])
    pairs = np.column_stack([rows, np.array([d for found in near for d in found], np.int64).reshape(-1)])
    closed = np.where(np.isnat(true.closed_at), _NEVER, true.closed_at)[pairs[:, 0]]
    while_open = (derived.last_evidence_at[pairs[:, 1]] >= true.born_at[pairs[:, 0]] - _SLACK) & (
        derived.first_evidence_at[pairs[:, 1]] <= closed + _SLACK
    )
    return np.asarray(pairs[while_open])


def _one_to_one(pairs: NDArray[np.int64], true: TrueHoles, derived: DerivedHoles) -> NDArray[np.int64]:
    """Pairs of which none shares a hole with another; the nearest first, of equally near ones the soonest seen."""
    t, d = pairs.T
    away_m = np.abs(true.station_m[t] - derived.station_m[d])
    order = np.lexsort((derived.first_evidence_at[d] - true.born_at[t], np.round(away_m)))
    taken_true, taken_derived, kept = np.zeros(len(true), bool), np.zeros(len(derived), bool), []
    for number in order.tolist():
        if not (taken_true[t[number]] or taken_derived[d[number]]):
            taken_true[t[number]] = taken_derived[d[number]] = True
            kept.append(number)
    return np.asarray(pairs[np.sort(np.array(kept, np.int64))])


def _mask(rows: NDArray[np.int64], count: int) -> Bools:
    mask = np.zeros(count, bool)
    mask[rows] = True
    return mask


def _share(part: Bools, whole: Bools) -> float:
    return float((part & whole).sum() / whole.sum()) if whole.any() else float("nan")


def _delay(durations: NDArray[np.timedelta64]) -> tuple[float, float]:
    if not len(durations):
        return float("nan"), float("nan")
    median, late = np.quantile(durations.astype(np.int64) / _DAY, [0.5, 0.9])
    return round(float(median), 2), round(float(late), 2)
