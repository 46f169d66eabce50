"""Places along roads at which something was reported: which reports tell of one place, and which repairs close it.

Days count from the first one of the window that is looked at; the last one is today.
"""

from collections import defaultdict
from dataclasses import dataclass
from enum import IntEnum

import numpy as np
from numpy.typing import NDArray

from models.inputs import EvidenceKind

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

PLACE_M = 10.0
"""Length of the road that one place takes: ± 5 m, within which evidence is of the same hole. [m]"""
LID_NEAR_M = 3.0
"""A detection of a lid or a worn line so near to a place says that it is one. [m] Assumed."""
LID_FACTOR, RAIL_FACTOR = 20.0, 5.0
"""How many times as likely a lasting mistake is where a lid was detected, and where rails run along. [-] Assumed; rails
are somewhere in the carriageway of the whole segment, a lid is at the place itself."""
MAKING = (EvidenceKind.DETECTION, EvidenceKind.FINDING, EvidenceKind.REPORT, EvidenceKind.SECURING)
"""Kinds of evidence that make a place; repairs close some."""

_REPAIR_LEAST_M, _STATION_SIGMA_M = 5.0, 5.0


@dataclass(frozen=True, slots=True)
class Road:
    """n segments in the order of their index: code of the `section` (n,), `length_m` (n,) [m] and `rails` (n,), whether
    rails are known to run along them; None: of none."""

    section: Ints
    length_m: Floats
    rails: NDArray[np.bool_] | None = None


class Frames(IntEnum):
    """What the frames of a detection, or most frames of a pass, were: the first that holds."""

    FIT = 0
    WET = 1
    DARK = 2
    BLURRED = 3


@dataclass(frozen=True, slots=True)
class CameraDays:
    """Passes of cameras, one row a segment and day (k,): those with frames fit for detection, and all others.

    Of the `poor` ones, `wet` and `dark` (k,) were so, the rest blurred; NaN where they were not told apart. [-]
    """

    segment: Ints
    day: Ints
    good: Floats
    poor: Floats
    wet: Floats
    dark: Floats

    def passes(self, frames: Frames) -> Floats:
        """Passes of one kind, 0 where nobody told, shape (k,)."""
        if frames is Frames.FIT:
            return self.good
        of_kind = {Frames.WET: self.wet, Frames.DARK: self.dark, Frames.BLURRED: self.poor - self.wet - self.dark}
        return np.asarray(np.nan_to_num(of_kind[frames]))

    def worth(self, poor_factor: float, by_frames: tuple[float, ...] = ()) -> Floats:
        """Number of passes with fit frames that those of each row are worth, shape (k,).

        `poor_factor` is what a pass with other frames is worth, `by_frames` one that was wet, dark, blurred. [-]
        """
        wet, dark, blurred = by_frames or (poor_factor,) * 3
        apart = wet * self.wet + dark * self.dark + blurred * (self.poor - self.wet - self.dark)
        return self.good + np.where(np.isfinite(apart), apart, poor_factor * self.poor)


@dataclass(frozen=True, slots=True)
class Looks:
    """Persons that looked at a whole segment on a day, k rows."""

    segment: Ints
    day: Ints


@dataclass(frozen=True, slots=True)
class Sightings:
    """What says that there is, or no longer is, a hole; k rows.

    `kind` is an `EvidenceKind`; `station_m` along the section and its 1 σ `accuracy_m` [m]; `camera` a code of the
    model and version of the camera that saw it, −1 for what is no detection. `frames` are those of a detection.
    """

    kind: Ints
    day: Ints
    segment: Ints
    station_m: Floats
    accuracy_m: Floats
    camera: Ints
    frames: Ints


@dataclass(frozen=True, slots=True)
class Places:
    """p places, in the order in which they were first reported.

    `segment`, `first_day`, `station_m` and `width_m` (p,) [m]: where, when, and how long a stretch it may be.
    `mask_factor` (p,) raises the chance of a lasting mistake. `of_sighting` (k,) is the place of each sighting, −1 for
    repairs; `closed_by` gives for the row of a repair the places that it closes.
    """

    segment: Ints
    first_day: Ints
    station_m: Floats
    width_m: Floats
    mask_factor: Floats
    of_sighting: Ints
    closed_by: dict[int, list[int]]


class _Found:
    """Places while they are found: by section, with station and width."""

    def __init__(self) -> None:
        self.station_m: list[float] = []
        self.width_m: list[float] = []
        self._by_section: dict[int, list[int]] = defaultdict(list)

    def add(self, section: int, station_m: float, width_m: float) -> int:
        """A new place; returns its number."""
        number = len(self.station_m)
        self.station_m.append(station_m)
        self.width_m.append(width_m)
        self._by_section[section].append(number)
        return number

    def near(self, section: int, at_m: float, reach_m: float) -> list[int]:
        """Places within reach, nearest first."""
        distances = ((abs(self.station_m[place] - at_m), place) for place in self._by_section.get(section, ()))
        return [place for distance, place in sorted(distances) if distance <= reach_m]


def places_of(road: Road, sightings: Sightings, lids: Sightings) -> Places:
    """Group reports along each section: a place takes 10 m from its first report on.

    Inexact reports (those that name only a segment) join the place next to them within 2 σ, else they are places of
    their own, as long as they are inexact. A repair closes every place within max(5 m, 2 σ), σ of both; an inexact one
    the nearest of them. `lids` are detections of what is no damage: lids, worn lines and cross-walks; those and rails
    mask places.
    """
    found = _Found()
    of = _group_exact(found, road, sightings)
    _join_inexact(found, of, road, sightings)
    total, made = len(found.station_m), np.flatnonzero(of >= 0)
    first_day = np.full(total, np.iinfo(np.int64).max)
    np.minimum.at(first_day, of[made], sightings.day[made])
    order = np.argsort(first_day, kind="stable")
    rank = np.empty(total, np.int64)
    rank[order] = np.arange(total)
    of[made] = rank[of[made]]
    segment = _usual(of[made], sightings.segment[made], total)
    mask_factor = np.ones(total) if road.rails is None else np.where(road.rails[segment], RAIL_FACTOR, 1.0)
    for section, station in zip(road.section[lids.segment].tolist(), lids.station_m.tolist(), strict=True):
        mask_factor[rank[found.near(section, station, LID_NEAR_M)]] = LID_FACTOR
    return Places(
        segment=segment,
        first_day=first_day[order],
        station_m=np.array(found.station_m, np.float64)[order],
        width_m=np.array(found.width_m, np.float64)[order],
        mask_factor=mask_factor,
        of_sighting=of,
        closed_by=_closed_by(found, rank, road, sightings),
    )


def _group_exact(found: _Found, road: Road, sightings: Sightings) -> Ints:
    """Make places of what has a station; returns the place of each sighting, −1 for the others."""
    of = np.full(len(sightings.kind), -1, np.int64)
    rows = np.flatnonzero(np.isin(sightings.kind, [int(k) for k in MAKING]) & (sightings.accuracy_m <= PLACE_M))
    section, station_m = road.section[sightings.segment[rows]], sightings.station_m[rows]
    order = np.lexsort((station_m, section))
    columns = (rows[order].tolist(), section[order].tolist(), station_m[order].tolist())
    group: list[float] = []
    at: tuple[int, float] = (-1, -np.inf)
    for row, on, station in zip(*columns, strict=True):
        if on != at[0] or station - at[1] > PLACE_M:
            at, group = (on, station), []
            found.add(on, station, PLACE_M)
        group.append(station)
        of[row] = len(found.station_m) - 1
        found.station_m[-1] = sum(group) / len(group)
    return of


def _join_inexact(found: _Found, of: Ints, road: Road, sightings: Sightings) -> None:
    inexact = np.isin(sightings.kind, [int(k) for k in MAKING]) & ~(sightings.accuracy_m <= PLACE_M)
    for row in np.flatnonzero(inexact).tolist():
        section, station = int(road.section[sightings.segment[row]]), float(sightings.station_m[row])
        reach = 2 * float(sightings.accuracy_m[row])
        near = found.near(section, station, reach)
        of[row] = near[0] if near else found.add(section, station, 2 * reach)


def _closed_by(found: _Found, rank: Ints, road: Road, sightings: Sightings) -> dict[int, list[int]]:
    closed_by = {}
    for row in np.flatnonzero(sightings.kind == EvidenceKind.REPAIR).tolist():
        accuracy = float(sightings.accuracy_m[row])
        reach = max(_REPAIR_LEAST_M, 2 * float(np.hypot(accuracy, _STATION_SIGMA_M)))
        near = found.near(int(road.section[sightings.segment[row]]), float(sightings.station_m[row]), reach)
        if near:
            closed_by[row] = rank[near if accuracy <= PLACE_M else near[:1]].tolist()
    return closed_by


def _usual(place: Ints, segment: Ints, total: int) -> Ints:
    """The segment on which most of the reports of each place lie."""
    usual = np.zeros(total, np.int64)
    if place.size:
        pairs, counts = np.unique(np.column_stack([place, segment]), axis=0, return_counts=True)
        order = np.lexsort((counts, pairs[:, 0]))
        usual[pairs[order, 0]] = pairs[order, 1]
    return usual
