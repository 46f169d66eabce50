"""Cameras on vehicles: what they see of the holes, and from when on the city knows.

A hole that they, inspectors (`simulators.inspectors`) or citizens (`simulators.citizens`) report is put on the crews'
list; nobody sees all of them.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.camera import CONFIRMED_FALSE_FACTOR, FrameQuality, false_potholes, frame_quality, recall
from simulators.condition import Condition
from simulators.holes import Holes
from simulators.traffic import Passes, Timetable
from simulators.weather import hourly_weather

_HOUR_US = 3_600_000_000
CAMERA_TRUST = 0.6
"""Share of camera detections that the office puts on the list without another look."""


@dataclass(frozen=True, slots=True)
class Sighting:
    """A camera's pothole (`row`: the drive) or a report (`row`: −1). `hole` is −1 when there is none."""

    hole: int
    row: int
    section: int
    station_m: float
    time_us: int
    key: int  # entity of further draws


class Observers:
    """The cameras of a world's vehicles."""

    def __init__(self, condition: Condition) -> None:
        self.condition, self.world = condition, condition.world
        self.timetable = Timetable(self.world)

    def drive(
        self, day: date, holes: Holes, open_holes: NDArray[np.int64], clock: float
    ) -> tuple[Passes, FrameQuality, list[Sighting]]:
        """Drives of a day, their frames, and the potholes that the cameras report, false ones among them."""
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
        time_key: int,
        holes: Holes,
        open_holes: NDArray[np.int64],
        clock: float,
    ) -> list[Sighting]:
        """Potholes reported on some drives, true and false; whether a hole is reported is keyed by hole and drive."""
        section = holes.section[open_holes]
        first, last = (np.searchsorted(passes.section, section, side=side) for side in ("left", "right"))
        hole = np.repeat(open_holes, last - first)
        row = _ranges(first, last)
        length = self.world.geometry.section_length_m[passes.section[row]]
        along = np.where(passes.direction[row] > 0, holes.station_m[hole], length - holes.station_m[hole])
        time_us = passes.start_us[row] + (along / passes.speed_mps[row] * 1e6).astype(np.int64)
        own_lane = (holes.offset_m[hole] < 0) == (passes.direction[row] > 0)  # keep to the right
        chance = recall(holes.severity(hole, clock), own_lane, quality.good[row])
        drawn = self.world.streams.uniform("observers/seen", hole * 2**32 + passes.key[row], time_key)
        there = (holes.born_us[hole] <= time_us) & (time_us < holes.closed_us[hole])
        hit = np.flatnonzero((drawn < chance) & there)
        true = [
            Sighting(int(hole[i]), int(row[i]), int(section_), float(station), int(time_us[i]), int(key))
            for i, section_, station, key in zip(
                hit, passes.section[row[hit]], holes.station_m[hole[hit]], passes.key[row[hit]], strict=True
            )
        ]
        often = len(passes.key) > 0 and self.timetable.is_additional(int(passes.key[0]))
        factor = CONFIRMED_FALSE_FACTOR if often else 1.0
        rows, stations = false_potholes(self.world, passes, quality.good, time_key, factor)
        return true + [self._false(passes, int(i), float(at)) for i, at in zip(rows, stations, strict=True)]

    def _false(self, passes: Passes, row: int, station_m: float) -> Sighting:
        section = int(passes.section[row])
        length = float(self.world.geometry.section_length_m[section])
        along = station_m if passes.direction[row] > 0 else length - station_m
        time_us = int(passes.start_us[row]) + int(along / float(passes.speed_mps[row]) * 1e6)
        return Sighting(-1, row, section, station_m, time_us, int(passes.key[row]))

    def _learn_from_cameras(self, day: date, sightings: list[Sighting], holes: Holes) -> None:
        if not sightings:
            return
        trusted = self.world.streams.uniform(
            "observers/trust", np.array([s.hole for s in sightings]) + 1, day.toordinal()
        )
        _, tomorrow_us = self.world.day_bounds_us(day)
        for sighting, u in zip(sightings, trusted, strict=True):
            if sighting.hole >= 0 and u < CAMERA_TRUST:
                known = int(holes.known_us[sighting.hole])
                holes.known_us[sighting.hole] = min(known, tomorrow_us + 5 * _HOUR_US)


def _ranges(first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.intp]:
    """All whole numbers from each first to before each last, one run after the other."""
    count = last - first
    if not count.sum():
        return np.zeros(0, np.intp)
    before = np.repeat(np.cumsum(count) - count, count)
    result: NDArray[np.intp] = np.arange(count.sum()) - before + np.repeat(first, count)
    return result
