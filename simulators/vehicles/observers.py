"""Cameras on vehicles: what they see of the holes, and from when on the city knows.

A hole that they, inspectors (`truth.inspectors`) or citizens (`truth.citizens`) report is put on the crews'
list; nobody sees all of them.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.geometry import RoadGeometry
from simulators.instants import HOUR_US
from simulators.truth.condition import Condition
from simulators.truth.holes import Holes
from simulators.vehicles.camera import CONFIRMED_FALSE_FACTOR, FrameQuality, false_potholes, frame_quality, recall
from simulators.vehicles.mistakes import POTHOLE, reported_class
from simulators.vehicles.traffic import Passes, Timetable
from simulators.weather.weather import hourly_weather

CAMERA_TRUST = 0.6
"""Share of camera detections that the office puts on the list without another look."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A camera's detection (`row`: the drive) or a report (`row`: −1). `hole` is −1 when there is none."""

    hole: int
    row: int
    section: int
    station_m: float
    time_us: int
    key: int  # entity of further draws
    reported: int = POTHOLE  # class that the detector gives it: index into `mistakes.DAMAGE_CLASSES`


class Observers:
    """The cameras of a world's vehicles."""

    def __init__(self, condition: Condition) -> None:
        self.condition, self.world = condition, condition.world
        self.timetable = Timetable(self.world)

    def drive(
        self, day: date, holes: Holes, open_holes: NDArray[np.int64], clock: float
    ) -> tuple[Passes, FrameQuality, list[Sighting]]:
        """Drives of a day, their frames, and the holes that the cameras report, false potholes among them."""
        passes = self.timetable.passes_on(day)
        start = self.world.day_start(day)
        weather = hourly_weather(self.world.weather, start - timedelta(hours=2), start + timedelta(hours=26))
        quality = frame_quality(self.world, passes, weather, day.toordinal())
        sightings = self.seen(passes, quality, day.toordinal(), holes, open_holes, clock)
        self._learn_from_cameras(day, sightings, holes)
        return passes, quality, sightings

    def seen(
        self,
        passes: Passes,
        quality: FrameQuality,
        time_key: int | NDArray[np.int64],
        holes: Holes,
        open_holes: NDArray[np.int64],
        clock: float,
    ) -> list[Sighting]:
        """Holes and false potholes that are reported on some drives.

        Whether a hole is reported is keyed by hole and drive, not by what else is driven or open.
        """
        streams = self.world.streams
        time_key = np.broadcast_to(np.asarray(time_key, np.int64), passes.key.shape)
        detectors = self.timetable.faults.detectors(passes.vehicle, passes.start_us)
        hole, row, time_us = crossings(self.world.geometry, passes, holes, open_holes)
        own_lane = (holes.offset_m[hole] < 0) == (passes.direction[row] > 0)  # keep to the right
        chance = recall(holes.severity(hole, clock), own_lane, quality.good[row])
        chance = np.minimum(chance * detectors.recall_factor[row], 0.99)
        entity = hole * 2**40 + passes.key[row]
        hit = np.flatnonzero(streams.uniform("observers/seen", entity, time_key[row]) < chance)
        hole, row, time_us = hole[hit], row[hit], time_us[hit]
        mixed_up = self.timetable.faults.confusion(passes.vehicle[row], passes.start_us[row])
        drawn = streams.uniform("observers/class", entity[hit], time_key[row])
        reported = reported_class(np.full(len(hole), POTHOLE), drawn, mixed_up)
        often = self.timetable.is_additional(passes.key)
        factor = detectors.false_factor * np.where(often, CONFIRMED_FALSE_FACTOR, 1.0)
        wrong, wrong_at_m = false_potholes(self.world, passes, quality.good, time_key, factor)
        rows = np.concatenate([row, wrong])
        columns = (
            np.concatenate([hole, np.full(len(wrong), -1)]),
            rows,
            passes.section[rows],
            np.concatenate([holes.station_m[hole], wrong_at_m]),
            np.concatenate([time_us, _time_at(self.world.geometry, passes, wrong, wrong_at_m)]),
            passes.key[rows],
            np.concatenate([reported, np.full(len(wrong), POTHOLE)]),
        )
        return [Sighting(*values) for values in zip(*(column.tolist() for column in columns), strict=True)]

    def _learn_from_cameras(self, day: date, sightings: list[Sighting], holes: Holes) -> None:
        """The office trusts some of the potholes that were reported; a hole that was taken for a crack is none."""
        found = [sighting.hole for sighting in sightings if sighting.hole >= 0 and sighting.reported == POTHOLE]
        if not found:
            return
        hole = np.unique(found)
        trusted = self.world.streams.uniform("observers/trust", hole + 1, day.toordinal()) < CAMERA_TRUST
        _, tomorrow_us = self.world.day_bounds_us(day)
        hole = hole[trusted]
        holes.known_us[hole] = np.minimum(holes.known_us[hole], tomorrow_us + 5 * HOUR_US)


def crossings(
    geometry: RoadGeometry, passes: Passes, holes: Holes, which: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.intp], NDArray[np.int64]]:
    """Each hole (of `which`), drive past it and time of passing it [µs], if the hole is open then; `passes` sorted."""
    section = holes.section[which]
    first, last = (np.searchsorted(passes.section, section, side=side) for side in ("left", "right"))
    hole, row = np.repeat(which, last - first), ranges(first, last)
    time_us = _time_at(geometry, passes, row, holes.station_m[hole])
    there = np.flatnonzero((holes.born_us[hole] <= time_us) & (time_us < holes.closed_us[hole]))
    return hole[there], row[there], time_us[there]


def _time_at(
    geometry: RoadGeometry, passes: Passes, row: NDArray[np.intp], station_m: NDArray[np.float64]
) -> NDArray[np.int64]:
    length = geometry.section_length_m[passes.section[row]]
    along = np.where(passes.direction[row] > 0, station_m, length - station_m)
    result: NDArray[np.int64] = passes.start_us[row] + (along / passes.speed_mps[row] * 1e6).astype(np.int64)
    return result


def ranges(first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.intp]:
    """All whole numbers from each first to before each last, one run after the other."""
    count = last - first
    if not count.sum():
        return np.zeros(0, np.intp)
    before = np.repeat(np.cumsum(count) - count, count)
    result: NDArray[np.intp] = np.arange(count.sum()) - before + np.repeat(first, count)
    return result
