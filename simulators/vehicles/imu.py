"""How the road shakes a box: its roughness at the vehicle's speed and by its suspension; holes, lids and rails.

Amplitudes hold for `ROUGHNESS_REFERENCE_SPEED_MPS` and grow with the square root of the speed, as the acceleration of a
linear vehicle does on a road whose displacement spectrum falls with the square of the spatial frequency (ISO 8608).
A hole or a lid is felt only when a wheel goes over it.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from simulators.truth.cracking import shaking_mps2
from simulators.truth.truth import Truth
from simulators.vehicles.drives import Drives
from simulators.vehicles.fleet import HALF_TRACK_M, suspension
from simulators.vehicles.observers import crossings, ranges
from simulators.vehicles.traffic import BIN_M
from simulators.world import World

SAMPLE_RATE_HZ = 100.0
_DRIVE_SIGMA, _READING_SIGMA = 0.18, 0.12  # of the roughness that one drive and one reading feel (logarithm)
_CREST = (2.9, 4.3)  # peak over root mean square on a road without holes
_WANDER_M = 0.25  # lateral position of the vehicle in its lane, 1 σ
_TYRE_M = 0.14
_HOLE_MPS2_PER_M = 130.0
_JOLT_S = 0.08  # how long a jolt lasts
_LID_SPACING_M, _LID_M = 45.0, 0.33
_LID_MPS2 = (1.1, 0.5)  # median and spread (logarithm)
_RAILS_SHARE, _RAILS_MPS2 = 0.03, 3.2
"""Part of the main roads and collectors that rails cross."""


def lane_m(truth: Truth, segment: NDArray[np.int32]) -> NDArray[np.float64]:
    """Distance of the middle of the right-hand lane from the centreline [m]."""
    result: NDArray[np.float64] = np.clip(truth.condition.width_m[segment] / 4, 1.2, 3.4)
    return result


def wander_m(world: World, drives: Drives) -> NDArray[np.float64]:
    """How far to the right of the middle of its lane each drive keeps [m]."""
    return _WANDER_M * world.streams.normal("imu/wander", drives.passes.key, drives.time_key)


def segment_shaking(truth: Truth, drives: Drives, row: NDArray[np.intp], segment: NDArray[np.int32],
                    drawn: NDArray[np.float64]) -> NDArray[np.float64]:  # fmt: skip
    """What each drive feels of each segment at the reference speed, holes apart [m/s²]; `drawn`: uniform numbers."""
    road = np.zeros(len(row))
    day = drives.day[row]
    for ordinal in np.unique(day).tolist():
        there = day == ordinal
        road[there] = shaking_mps2(truth.roughness_index(date.fromordinal(ordinal))[segment[there]])
    own = suspension(truth.world.streams, drives.passes.vehicle)[row]
    result: NDArray[np.float64] = road * own * np.exp(_DRIVE_SIGMA * ndtri(drawn) - _DRIVE_SIGMA**2 / 2)
    return result


@dataclass(frozen=True, slots=True)
class Jolts:
    """n jolts: the drive, where, and the amplitude at the reference speed [m/s²]."""

    row: NDArray[np.intp]
    station_m: NDArray[np.float64]
    amplitude_mps2: NDArray[np.float64]

    def energy(self, speed_mps: NDArray[np.float64]) -> NDArray[np.float64]:
        """What each adds to the mean square of a reading's ten metres at the reference speed [m²/s⁴]."""
        result: NDArray[np.float64] = self.amplitude_mps2**2 * _JOLT_S * speed_mps / BIN_M / 2
        return result


def hole_jolts(truth: Truth, drives: Drives) -> Jolts:
    """Holes that a wheel goes through, seen or not."""
    passes, holes, world = drives.passes, truth.holes, truth.world
    if not len(passes.key):
        return Jolts(np.zeros(0, np.intp), np.zeros(0), np.zeros(0))
    count = len(holes)
    first_us, last_us = int(passes.start_us.min()), int(passes.start_us.max()) + 3_600_000_000
    which = np.flatnonzero((holes.closed_us[:count] > first_us) & (holes.born_us[:count] < last_us))
    hole, row, _ = crossings(world.geometry, passes, holes, which)
    depth, width = np.zeros(len(hole)), np.zeros(len(hole))
    clock = drives.clock[row]
    for value in np.unique(clock).tolist():
        there = clock == value
        depth[there], width[there] = holes.depth_m(hole[there], value), holes.width_m(hole[there], value)
    lane = lane_m(truth, holes.segment[hole]) + wander_m(world, drives)[row]
    hit = np.flatnonzero(
        _under_a_wheel(truth, drives, row, -holes.offset_m[hole] * passes.direction[row] - lane, width / 2)
    )
    own = suspension(world.streams, passes.vehicle)[row[hit]]
    return Jolts(row[hit], holes.station_m[hole[hit]], _HOLE_MPS2_PER_M * depth[hit] * own)


def _under_a_wheel(
    truth: Truth, drives: Drives, row: NDArray[np.intp], right_m: NDArray[np.float64], radius_m: NDArray[np.float64]
) -> NDArray[np.bool_]:
    """Whether things at some distance to the right of a vehicle's middle are rolled over."""
    fleet = truth.observers.timetable.fleet
    half_track = HALF_TRACK_M[fleet.kind(drives.passes.vehicle)][row]
    result: NDArray[np.bool_] = np.abs(np.abs(right_m) - half_track) < radius_m + _TYRE_M
    return result


@dataclass(frozen=True, slots=True)
class Lids:
    """Manhole lids and rails of a city, sorted by section; rails go from kerb to kerb."""

    section: NDArray[np.int32]
    station_m: NDArray[np.float64]
    offset_m: NDArray[np.float64]  # positive to the left of the stationing
    amplitude_mps2: NDArray[np.float64]
    is_rail: NDArray[np.bool_]

    @classmethod
    def of(cls, truth: Truth) -> "Lids":
        """Lids about every 45 m, mostly in the carriageway; rails across a few of the larger roads."""
        world, geometry = truth.world, truth.world.geometry
        length = geometry.section_length_m
        count = np.maximum(np.round(length / _LID_SPACING_M), 1).astype(np.int64)
        section = np.repeat(np.arange(len(length), dtype=np.int32), count)
        number = ranges(np.zeros(len(count), np.intp), count)
        drawn = world.streams.uniforms("imu/lids", section.astype(np.int64) * 4096 + number, 0, 3)
        station = (number + drawn[0]) / count[section] * length[section]
        half = truth.condition.width_m[geometry.first_segment[section]] / 2
        large = np.array([s.road_class in ("main", "collector") for s in world.sections])
        crossed = large & (world.streams.uniform("imu/rails", np.arange(len(length))) < _RAILS_SHARE)
        rails = np.flatnonzero(crossed).astype(np.int32)
        median, spread = _LID_MPS2
        lids = cls(
            np.concatenate([section, rails]),
            np.concatenate([station, length[rails] * world.streams.uniform("imu/rails", rails, 0, 1)]),
            np.concatenate([(2 * drawn[1] - 1) * (half - 0.4), np.zeros(len(rails))]),
            np.concatenate([median * np.exp(spread * ndtri(drawn[2])), np.full(len(rails), _RAILS_MPS2)]),
            np.concatenate([np.zeros(len(section), np.bool_), np.ones(len(rails), np.bool_)]),
        )
        order = np.argsort(lids.section, kind="stable")
        return cls(*(getattr(lids, name)[order] for name in cls.__slots__))

    def passed(self, drives: Drives) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
        """Each drive and each lid on its way, as indexes."""
        section = drives.passes.section
        first, last = (np.searchsorted(self.section, section, side=side) for side in ("left", "right"))
        return np.repeat(np.arange(len(section)), last - first), ranges(first, last)

    def right_m(
        self, truth: Truth, drives: Drives, row: NDArray[np.intp], lid: NDArray[np.intp]
    ) -> NDArray[np.float64]:
        """How far to the right of the middle of each vehicle a lid is [m]."""
        first = truth.world.geometry.first_segment[self.section[lid]].astype(np.int32)
        lane = lane_m(truth, first) + wander_m(truth.world, drives)[row]
        result: NDArray[np.float64] = -self.offset_m[lid] * drives.passes.direction[row] - lane
        return result


def lid_jolts(truth: Truth, drives: Drives, lids: Lids) -> Jolts:
    """Lids and rails that a wheel goes over."""
    row, lid = lids.passed(drives)
    right = lids.right_m(truth, drives, row, lid)
    over = _under_a_wheel(truth, drives, row, right, np.full(len(row), _LID_M)) | lids.is_rail[lid]
    row, lid = row[over], lid[over]
    own = suspension(truth.world.streams, drives.passes.vehicle)[row]
    return Jolts(row, lids.station_m[lid], lids.amplitude_mps2[lid] * own)


def accelerations(
    road_mps2: NDArray[np.float64],
    energy: NDArray[np.float64],
    jolt_mps2: NDArray[np.float64],
    speed_mps: NDArray[np.float64],
    drawn: NDArray[np.float64],
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Root mean square and peak of each reading as the box measures them at its speed [m/s²].

    Parameters
    ----------
    road_mps2 : NDArray
        What the drive feels of the road at the reference speed.
    energy, jolt_mps2 : NDArray
        The sum of `Jolts.energy` of holes that a wheel went through within the reading, and the largest jolt.
    drawn : NDArray
        Two uniform numbers for each reading, shape (2, n).
    """
    from_speed = np.sqrt(speed_mps / 10.0)
    own = road_mps2 * np.exp(_READING_SIGMA * ndtri(drawn[0]) - _READING_SIGMA**2 / 2)
    low, high = _CREST
    peak = np.maximum((low + (high - low) * drawn[1]) * own, np.hypot(own, jolt_mps2))
    return from_speed * np.sqrt(own**2 + energy), from_speed * peak
