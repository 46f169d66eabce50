"""Drives cut into segments: the cracks that cameras find on each, and how it shakes the vehicle.

What history keeps of a drive; the readings of the live feed are made from the same pieces (`vehicles.readings`).
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.truth.truth import Truth
from simulators.vehicles.drives import Drives
from simulators.vehicles.imu import hole_jolts, segment_shaking
from simulators.vehicles.mistakes import reported_class
from simulators.vehicles.traffic import BIN_M

THINGS = 2**20
"""Entities of things that a camera finds on a drive: so many for each of its keys; those of cracks are below 2¹⁸."""
_CRACKS_PER_100_M = np.array([[0.10, 0.035], [0.08, 0.025], [0.02, 0.045]])
"""Mean number of cracks that a drive reports, of each class: a constant and one for each per cent of cracked area."""


@dataclass(frozen=True, slots=True)
class SegmentDrives:
    """Each drive cut into segments: n rows of drive and segment.

    `reported` counts detections of D00, D10, D20 and D40. Roughness is what the shaking would be at
    `ROUGHNESS_REFERENCE_SPEED_MPS`, holes included; boxes send it as it was at their speed.
    """

    row: NDArray[np.intp]
    segment: NDArray[np.int32]
    reported: NDArray[np.int16]  # (n, 4)
    roughness_mps2: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Cracks:
    """n cracks that cameras found: place in the rows of drive and segment, number in it, reported class."""

    at: NDArray[np.intp]
    entity: NDArray[np.int64]
    reported: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Cut:
    """Drives cut into segments, with the uniform numbers of each piece: three for cracks, one for the shaking."""

    row: NDArray[np.intp]
    within: NDArray[np.intp]
    segment: NDArray[np.int32]
    drawn: NDArray[np.float64]


def poisson(mean: NDArray[np.float64], u: NDArray[np.float64], most: int = 12) -> NDArray[np.int16]:
    """Poisson numbers (cut off at `most`) by inversion of uniform ones."""
    term = np.exp(-mean)
    total, count = term.copy(), np.zeros(mean.shape, np.int16)
    for k in range(1, most + 1):
        more = u > total
        if not more.any():
            break
        count += more
        term = term * mean / k
        total += term
    return count


class SegmentViews:
    """What the vehicles of a world see and feel of its segments."""

    def __init__(self, truth: Truth) -> None:
        self._truth, self._world = truth, truth.world
        self._faults = truth.observers.timetable.faults

    def by_segment(self, drives: Drives) -> SegmentDrives:
        """What each drive saw and felt of each segment."""
        geometry, cut = self._world.geometry, self.cut(drives)
        cracks = self.cracks(drives, cut)
        reported = np.bincount(cracks.at * 4 + cracks.reported, minlength=4 * len(cut.row))
        if len(drives.seen.row):
            place = self.place(drives, drives.seen.row, drives.seen.station_m)
            reported += np.bincount(place * 4 + drives.seen.reported, minlength=len(reported))
        rough = segment_shaking(self._truth, drives, cut.row, cut.segment, cut.drawn[3])
        jolts = hole_jolts(self._truth, drives)
        if len(jolts.row):
            place = self.place(drives, jolts.row, jolts.station_m)
            smooth = rough[place]
            more = np.sqrt(smooth**2 + jolts.energy(drives.passes.speed_mps[jolts.row])) - smooth
            part = np.minimum(BIN_M / geometry.segment_length_m[cut.segment[place]], 1.0)
            np.add.at(rough, place, more * part)
        return SegmentDrives(
            cut.row, cut.segment, reported.reshape(-1, 4).astype(np.int16), rough.astype(np.float32).round(3)
        )

    def cut(self, drives: Drives) -> Cut:
        """Drives cut into segments, drive by drive and along the stationing."""
        geometry, passes = self._world.geometry, drives.passes
        count = geometry.segment_count[passes.section]
        row = np.repeat(np.arange(len(passes.section)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        segment = (geometry.first_segment[passes.section[row]] + within).astype(np.int32)
        key = passes.key[row] * 4096 + within
        return Cut(row, within, segment, self._world.streams.uniforms("camera/segment", key, drives.time_key[row], 4))

    def place(self, drives: Drives, row: NDArray[np.intp], station_m: NDArray[np.float64]) -> NDArray[np.intp]:
        """Where the pieces of drives and segments hold a station of a drive."""
        geometry, section = self._world.geometry, drives.passes.section
        count = geometry.segment_count[section]
        before = np.cumsum(count) - count
        within = geometry.segment_at(section[row], station_m) - geometry.first_segment[section[row]]
        result: NDArray[np.intp] = before[row] + within
        return result

    def cracks(self, drives: Drives, cut: Cut) -> Cracks:
        """Cracks that cameras find on the pieces of drives."""
        crack = self._crack_pct(drives, cut)
        fit = np.where(drives.quality.good, 1.0, 0.6)[cut.row]
        fit *= self._world.geometry.segment_length_m[cut.segment] / 100
        means = (_CRACKS_PER_100_M[:, :1] + _CRACKS_PER_100_M[:, 1:] * crack) * fit
        counts = poisson(means, cut.drawn[:3]).T.astype(np.intp)  # (n, 3)
        kind = np.repeat(np.arange(counts.size), counts.ravel())
        at, true = np.divmod(kind, 3)
        total = counts.sum(axis=1)
        number = np.arange(len(at)) - np.repeat(np.cumsum(total) - total, total)
        entity = drives.passes.key[cut.row[at]] * THINGS + cut.within[at] * 64 + number
        drawn = self._world.streams.uniform("camera/class", entity, drives.time_key[cut.row[at]])
        passes = drives.passes
        factor = self._faults.confusion(passes.vehicle, passes.start_us)[cut.row[at]]
        return Cracks(at, entity, reported_class(true, drawn, factor))

    def _crack_pct(self, drives: Drives, cut: Cut) -> NDArray[np.float64]:
        crack, day = np.zeros(len(cut.row)), drives.day[cut.row]
        for ordinal in np.unique(drives.day).tolist():
            there, on = day == ordinal, date.fromordinal(ordinal)
            crack[there] = self._truth.condition.crack_pct(on.year, on.month)[cut.segment[there]]
        return crack
