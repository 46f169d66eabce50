"""Citizens who report holes: who reports how much differs by place and changes over time.

Reports tell of potholes and of people. Some streets have residents who write and others have none; main roads have more
eyes; districts differ (Boston: 311 was used unevenly) and drift apart and together over the years; and an app, which
comes on a day that the seed draws, makes reporting easier for ever more people. No record says any of this.
"""

from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.instants import HOUR_US
from simulators.scenario import ReportSurge
from simulators.spans import spans_of
from simulators.truth.condition import Condition
from simulators.truth.holes import Holes
from simulators.truth.kernel import poisson_count
from simulators.vehicles.observers import Sighting

REPORTS_PER_DAY = np.array([0.0, 0.003, 0.012, 0.25])
"""Of an open hole by severity, in the average street before the app."""
_REPORTS_BY_CLASS = {"main": 1.9, "collector": 1.3, "residential": 0.7}
SECTION_SPREAD, DISTRICT_SPREAD, DISTRICT_DRIFT = 1.0, 0.6, 0.25
"""Standard deviations of the logarithm: between the sections of a class, between districts, and of a district's yearly
values about its mean. With the first, counts of reports rank streets as well as in San Antonio: ROC-AUC 0.64."""
APP_GAIN, APP_UPTAKE_DAYS = 0.9, 250.0
"""The app nearly doubles the reports of a hole, two thirds of it after eight months."""
_APP_YEARS = 0.5, 4.0
_UNFOUNDED_PER_100_M_DAY = 0.00012
_MOST_A_DAY = 3


@dataclass(frozen=True, slots=True)
class _Surge:
    """More or fewer reports between two instants, from all segments or from a district's."""

    begin_us: int
    end_us: int
    factor: NDArray[np.float64]


class Citizens:
    """The reporting public of a world."""

    def __init__(self, condition: Condition) -> None:
        self.world = condition.world
        streams, epoch = self.world.streams, self.world.epoch
        names = sorted({segment.district or "" for segment in self.world.segments})
        self.district = np.array([names.index(segment.district or "") for segment in self.world.segments])
        self._districts = len(names)
        bias = np.exp(DISTRICT_SPREAD * streams.normal("observers/district", np.arange(len(names))))
        by_class = np.array([_REPORTS_BY_CLASS.get(c, 1.0) for c in condition.road_class])
        people = streams.normal("citizens/section", condition.section)
        by_section = np.exp(SECTION_SPREAD * people - SECTION_SPREAD**2 / 2)
        self._by_place = bias[self.district] * by_class * by_section
        first, last = (round(365.25 * years) for years in _APP_YEARS)
        self.app_since = epoch + timedelta(days=first + int(float(streams.uniform("citizens/app", 0)) * (last - first)))
        self._unfounded = _UNFOUNDED_PER_100_M_DAY * condition.length_m / 100
        self._surges = self._surges_of(names)

    def _surges_of(self, names: list[str]) -> list[_Surge]:
        world = self.world
        surges: list[_Surge] = []
        last = date(world.today.year + 10, 12, 31)
        for fault in world.scenario.fault:
            if isinstance(fault, ReportSurge):
                concerned = np.array([not fault.district or name == fault.district for name in names])
                factor = np.where(concerned, fault.factor, 1.0)[self.district]
                spans = spans_of(fault, world.today, world.zone, world.epoch, last)
                surges.extend(_Surge(*span.bounds_us, factor) for span in spans)
        return surges

    def has_app(self, day: date) -> bool:
        """Whether one can report by app yet."""
        return day >= self.app_since

    def propensity(self, day: date) -> NDArray[np.float64]:
        """How much more than the average of all streets, before the app, each segment's holes are reported."""
        since = max((day - self.app_since).days, 0)
        app = 1.0 + APP_GAIN * (1.0 - np.exp(-since / APP_UPTAKE_DAYS))
        result: NDArray[np.float64] = self._by_place * self._drift(day)[self.district] * app * self._surge(day)
        return result

    def _drift(self, day: date) -> NDArray[np.float64]:
        """Of each district: values of the turns of the year, joined linearly."""
        part = (day - date(day.year, 1, 1)).days / 366
        number = np.arange(self._districts)
        before, after = (self.world.streams.normal("citizens/drift", number, year) for year in (day.year, day.year + 1))
        result: NDArray[np.float64] = np.exp(DISTRICT_DRIFT * ((1 - part) * before + part * after))
        return result

    def _surge(self, day: date) -> NDArray[np.float64] | float:
        """By the state of things at noon."""
        factor: NDArray[np.float64] | float = 1.0
        noon_us = sum(self.world.day_bounds_us(day)) // 2
        for surge in self._surges:
            if surge.begin_us <= noon_us < surge.end_us:
                factor = factor * surge.factor
        return factor

    def report(self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64]) -> list[Sighting]:
        """Reports of a day: several people may report a hole, and a few reports are without one."""
        streams, ordinal = self.world.streams, day.toordinal()
        propensity, weekend = self.propensity(day), 0.7 if day.weekday() > 4 else 1.0
        mean = REPORTS_PER_DAY[holes.grade[open_holes]] * weekend * propensity[holes.segment[open_holes]]
        count = poisson_count(mean, streams.uniform("observers/report", open_holes, ordinal), _MOST_A_DAY)
        told = np.repeat(open_holes, count)
        person = np.concatenate([np.arange(n) for n in count[count > 0].tolist()]) if len(told) else told
        key = told * 4 + person
        hour = 6.5 + 15.0 * streams.uniform("observers/report", key, ordinal, 1)
        times = begin_us + (hour * HOUR_US).astype(np.int64)
        triaged = times + ((1 + 20 * streams.uniform("observers/triage", key, ordinal)) * HOUR_US).astype(np.int64)
        reports: list[Sighting] = []
        columns = zip(told.tolist(), key.tolist(), times.tolist(), triaged.tolist(), strict=True)
        for hole, one, at, triaged_us in columns:
            if holes.born_us[hole] <= at < holes.closed_us[hole]:
                where = int(holes.section[hole]), float(holes.station_m[hole])
                reports.append(Sighting(hole, -1, *where, at, one))
                holes.known_us[hole] = min(int(holes.known_us[hole]), triaged_us)
        return reports + self._without_a_hole(day, begin_us, propensity)

    def _without_a_hole(self, day: date, begin_us: int, propensity: NDArray[np.float64]) -> list[Sighting]:
        streams, ordinal, geometry = self.world.streams, day.toordinal(), self.world.geometry
        drawn, reports = streams.of_day("observers/unfounded", ordinal, propensity.shape), []
        for segment in np.flatnonzero(drawn < self._unfounded * propensity).tolist():
            u = streams.numbers("observers/unfounded-at", segment, ordinal, 2)
            station = float(geometry.segment_from_m[segment] + u[0] * geometry.segment_length_m[segment])
            time_us = begin_us + int((7 + 14 * u[1]) * HOUR_US)
            section = int(geometry.segment_section[segment])
            reports.append(Sighting(-1, -1, section, station, time_us, -1 - segment))
        return reports
