"""Who sees holes: cameras on vehicles, inspectors on foot, citizens; and from when on the city knows.

A hole that one of them reports is put on the crews' list; nobody sees all of them.
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
INSPECTOR_RECALL = np.array([0.0, 0.88, 0.93, 0.98])
REPORT_CHANCE_PER_DAY = np.array([0.0, 0.003, 0.012, 0.25])
_REPORTS_BY_CLASS = {"main": 1.9, "collector": 1.3, "residential": 0.7}
_UNFOUNDED_PER_SEGMENT_DAY = 0.00012
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


@dataclass(frozen=True, slots=True)
class Visit:
    """An inspector at a segment."""

    segment: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A hole that an inspector wrote down."""

    hole: int
    severity: int


class Observers:
    """All observers of a world."""

    def __init__(self, condition: Condition) -> None:
        self.condition, self.world = condition, condition.world
        self.timetable = Timetable(self.world)
        streams, section = self.world.streams, condition.section
        districts = sorted({segment.district for segment in self.world.segments})
        self.district = np.array([districts.index(segment.district) for segment in self.world.segments])
        # Who reports differs by district (Boston: 311 was used unevenly), which no record says.
        bias = np.exp(0.6 * streams.normal("observers/district", np.arange(len(districts))))
        by_class = np.array([_REPORTS_BY_CLASS.get(c, 1.0) for c in condition.road_class])
        self._report_factor = bias[self.district] * by_class
        self._visit_slot = (streams.uniform("observers/slot", section) * 20).astype(np.int64)
        self._weekly = np.array([(s.inspection_interval_days or 28) <= 7 for s in self.world.sections])[section]

    # -- vehicles --------------------------------------------------------------------------------------------------
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

    # -- inspectors ------------------------------------------------------------------------------------------------
    def inspect(
        self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64]
    ) -> tuple[list[Visit], dict[int, list[Finding]]]:
        """Segments walked on a day (main roads weekly, others every four weeks, not at weekends) and what was found."""
        weekday, week, ordinal = day.weekday(), (day.toordinal() - 1) // 7, day.toordinal()
        if weekday > 4:
            return [], {}
        due = np.where(self._weekly, self._visit_slot % 5 == weekday, self._visit_slot == (week % 4) * 5 + weekday)
        segments = np.flatnonzero(due)
        streams = self.world.streams
        drawn = streams.of_day("observers/visits", ordinal, (2, len(due)))
        segments = segments[drawn[0][segments] > 0.04]
        first = self.world.geometry.first_segment[self.condition.section[segments]]
        hour = 7.5 + 7.0 * drawn[1][first]
        times = begin_us + (hour * _HOUR_US).astype(np.int64) + 75_000_000 * (segments % 12)
        visits = [Visit(int(s), int(t)) for s, t in zip(segments, times, strict=True)]
        findings: dict[int, list[Finding]] = {}
        visit_of = np.full(len(self.condition.section), -1)
        visit_of[segments] = np.arange(len(segments))
        candidates = open_holes[visit_of[holes.segment[open_holes]] >= 0]
        at = visit_of[holes.segment[candidates]]
        severity = holes.grade[candidates]
        found = streams.uniform("observers/found", candidates, ordinal) < INSPECTOR_RECALL[severity]
        found &= (holes.born_us[candidates] <= times[at]) & (times[at] < holes.closed_us[candidates])
        for hole, visit, grade in zip(candidates[found], at[found], severity[found], strict=True):
            findings.setdefault(int(visit), []).append(Finding(int(hole), int(grade)))
            holes.known_us[hole] = min(int(holes.known_us[hole]), int(times[visit]))
        return visits, findings

    # -- citizens --------------------------------------------------------------------------------------------------
    def report(self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64]) -> list[Sighting]:
        """Reports of a day, a few of them without a hole."""
        streams, ordinal = self.world.streams, day.toordinal()
        weekend = 0.7 if day.weekday() > 4 else 1.0
        chance = REPORT_CHANCE_PER_DAY[holes.grade[open_holes]] * weekend
        chance = chance * self._report_factor[holes.segment[open_holes]]
        told = open_holes[streams.uniform("observers/report", open_holes, ordinal) < chance]
        hour = 6.5 + 15.0 * streams.uniform("observers/report", told, ordinal, 1)
        times = begin_us + (hour * _HOUR_US).astype(np.int64)
        reports: list[Sighting] = []
        for hole, at in zip(told, times, strict=True):
            if holes.born_us[hole] <= at < holes.closed_us[hole]:
                where = int(holes.section[hole]), float(holes.station_m[hole])
                reports.append(Sighting(int(hole), -1, *where, int(at), int(hole)))
                triaged_us = int(at) + int(
                    (1 + 20 * float(streams.uniform("observers/triage", hole, ordinal))) * _HOUR_US
                )
                holes.known_us[hole] = min(int(holes.known_us[hole]), triaged_us)
        index = streams.of_day("observers/unfounded", ordinal, self._report_factor.shape)
        geometry = self.world.geometry
        for segment in np.flatnonzero(index < _UNFOUNDED_PER_SEGMENT_DAY * self._report_factor):
            u = streams.numbers("observers/unfounded-at", int(segment), ordinal, 2)
            station = float(geometry.segment_from_m[segment] + u[0] * geometry.segment_length_m[segment])
            time_us = begin_us + int((7 + 14 * u[1]) * _HOUR_US)
            section = int(geometry.segment_section[segment])
            reports.append(Sighting(-1, -1, section, station, time_us, -1 - int(segment)))
        return reports


def _ranges(first: NDArray[np.intp], last: NDArray[np.intp]) -> NDArray[np.intp]:
    """All whole numbers from each first to before each last, one run after the other."""
    count = last - first
    if not count.sum():
        return np.zeros(0, np.intp)
    before = np.repeat(np.cumsum(count) - count, count)
    result: NDArray[np.intp] = np.arange(count.sum()) - before + np.repeat(first, count)
    return result
