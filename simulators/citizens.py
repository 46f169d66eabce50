"""Citizens who report holes: who reports how much differs by place and changes over time."""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.condition import Condition
from simulators.holes import Holes
from simulators.observers import Sighting

_HOUR_US = 3_600_000_000
REPORT_CHANCE_PER_DAY = np.array([0.0, 0.003, 0.012, 0.25])
_REPORTS_BY_CLASS = {"main": 1.9, "collector": 1.3, "residential": 0.7}
_UNFOUNDED_PER_SEGMENT_DAY = 0.00012


class Citizens:
    """The reporting public of a world."""

    def __init__(self, condition: Condition) -> None:
        self.world = condition.world
        streams = self.world.streams
        districts = sorted({segment.district for segment in self.world.segments})
        self.district = np.array([districts.index(segment.district) for segment in self.world.segments])
        # Who reports differs by district (Boston: 311 was used unevenly), which no record says.
        bias = np.exp(0.6 * streams.normal("observers/district", np.arange(len(districts))))
        by_class = np.array([_REPORTS_BY_CLASS.get(c, 1.0) for c in condition.road_class])
        self._report_factor = bias[self.district] * by_class

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
