"""The slow part of the hidden truth: age, cracks, trenches, renewals and what no register knows.

Every value is a function of the calendar month. The only memory is the list of treatments that `simulators.truth`
schedules; each is scheduled more than half a month before it is done, so that all that a month needs is known when the
month begins. Ask with `treated=False` for months that the truth has not reached.
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv

from simulators.pavement import DRAINAGE
from simulators.world import World

FRAILTY_SHAPE = 0.5
LEAK_SHARE, LEAK_FACTOR = 0.12, 2.2
"""The driver that stands in no record: an old leaking sewer under the section."""
_CRACK_AGE_YEARS = {"main": 24.7, "collector": 29.0, "residential": 34.6}
"""Scale of crack growth; 15 % of the area (grade 3.5) after 15, 17.5 and 21 years, mid-range of domain practice."""
_CYCLE_YEARS = {"main": 20.0, "collector": 27.0, "residential": 36.0}
_BK_LIMIT = {"Bk0.3": 0.3, "Bk1.0": 1.0, "Bk1.8": 1.8, "Bk3.2": 3.2, "Bk10": 10.0, "Bk32": 32.0}
TRENCHES_PER_SEGMENT_YEAR = 0.06
FRAILTY_KEPT = 0.3
"""Of what a segment's frailty is above 1, a new wearing course leaves this share: the base below it stays."""


@dataclass(frozen=True, slots=True)
class Renewal:
    """A wearing course made new."""

    section: int
    done_on: date
    decided_on: date


@dataclass(frozen=True, slots=True)
class Treatment:
    """A new wearing course for one segment where patching did not help; `decided_on` over half a month before."""

    segment: int
    decided_on: date
    done_on: date


@dataclass(frozen=True, slots=True)
class Trench:
    """A utility opens a segment; `area_pct` of the segment's area."""

    segment: int
    opened_on: date
    closed_on: date
    area_m2: float
    area_pct: float


class Condition:
    """Slow state of every segment of a world."""

    def __init__(self, world: World) -> None:
        self.world = world
        attributes = [segment.attributes for segment in world.segments]
        self.section = world.geometry.segment_section
        self.road_class = np.array([segment.road_class for segment in world.segments])
        self.length_m = world.geometry.segment_length_m
        self.width_m = np.array([a.width_m or 6.0 for a in attributes])
        self.heavy = np.array([a.heavy_vehicles_per_day or 0.0 for a in attributes])
        self.drainage = np.array([DRAINAGE.index(a.drainage or "fair") for a in attributes])
        trees = np.array([a.tree_cover_pct or 0.0 for a in attributes])
        self.exposure = np.where(trees < 12, 0, np.where(trees < 32, 1, 2))
        self._course_year = np.array([a.wearing_course_year or world.epoch.year - 20 for a in attributes], dtype=float)
        self._frost_deficit_cm = np.array([a.frost_deficit_cm or 0.0 for a in attributes])
        self._design_b = np.array([_BK_LIMIT[a.pavement_class or "Bk1.0"] for a in attributes])
        self._built = np.array([a.construction_year or 1970 for a in attributes], dtype=float)
        self._trench_pct = np.array([a.trench_area_pct or 0.0 for a in attributes])
        index = np.arange(len(attributes))
        streams = world.streams
        self._crack_scale = np.array([_CRACK_AGE_YEARS.get(c, 30.0) for c in self.road_class]) * np.exp(
            0.22 * streams.normal("truth/crack-scale", self.section)
            + 0.12 * streams.normal("truth/crack-scale", index, 1)
        )
        self.frailty: NDArray[np.float64] = (
            gammaincinv(FRAILTY_SHAPE, streams.uniform("truth/frailty", index)) / FRAILTY_SHAPE
        )
        self.treatments: list[Treatment] = []
        leaking = streams.uniform("truth/leak", self.section) < LEAK_SHARE
        self.hidden = np.where(leaking, LEAK_FACTOR, 1.0)
        # How strong each driver is differs from world to world, so that no model can learn the simulator by heart.
        names = ("age", "crack", "trench", "load", "frost")
        self._effect = {n: float(np.exp(0.15 * streams.normal("truth/effect", i))) for i, n in enumerate(names)}

    @cached_property
    def _cycle(self) -> NDArray[np.float64]:
        return np.array([_CYCLE_YEARS.get(section.road_class, 30.0) for section in self.world.sections])

    def segments_of(self, section: int) -> slice:
        """The segments of a section."""
        first = int(self.world.geometry.first_segment[section])
        return slice(first, first + int(self.world.geometry.segment_count[section]))

    @lru_cache(maxsize=64)  # noqa: B019 - a condition lives as long as its world
    def renewals_of(self, year: int) -> tuple[Renewal, ...]:
        """Sections renewed in a calendar year: about one in `cycle`, the most cracked and most used first."""
        if year < self.world.epoch.year:
            return ()
        first = self.world.geometry.first_segment
        crack, streams = self.crack_pct(year, 1, treated=False)[first], self.world.streams
        score = np.log(crack + 1.0) + 0.8 * streams.normal("truth/renewal", np.arange(len(first)), year)
        result: list[Renewal] = []
        for cycle in np.unique(self._cycle):
            members = np.flatnonzero(self._cycle == cycle)
            expected = len(members) / cycle
            count = int(expected + float(streams.uniform("truth/renewal-count", int(cycle), year)))
            for section in members[np.argsort(-score[members], kind="stable")][:count]:
                u = (
                    streams.uniform("truth/renewal-day", int(section), year),
                    streams.uniform("truth/renewal-day", int(section), year, 1),
                )
                done = date(year, 4, 10) + timedelta(days=int(190 * float(u[0])))
                result.append(Renewal(int(section), done, done - timedelta(days=60 + int(180 * float(u[1])))))
        return tuple(sorted(result, key=lambda r: (r.done_on, r.section)))

    @lru_cache(maxsize=64)  # noqa: B019
    def trenches_of(self, year: int) -> tuple[Trench, ...]:
        """Openings by utilities in a calendar year."""
        index, streams = np.arange(len(self.length_m)), self.world.streams
        opened = np.flatnonzero(streams.uniform("truth/trench", index, year) < TRENCHES_PER_SEGMENT_YEAR)
        draws = [streams.uniform("truth/trench-shape", opened, year, draw) for draw in range(3)]
        result = []
        for segment, at, size, duration in zip(opened.tolist(), *(d.tolist() for d in draws), strict=True):
            area = 3.0 + 45.0 * size**3
            begin = date(year, 1, 5) + timedelta(days=int(at * 350))
            end = begin + timedelta(days=3 + int(duration * 25))
            share = 100 * area / float(self.length_m[segment] * self.width_m[segment])
            result.append(Trench(segment, begin, end, round(area, 1), share))
        return tuple(sorted(result, key=lambda t: (t.opened_on, t.segment)))

    @lru_cache(maxsize=512)  # noqa: B019
    def _renewed_on(self, year: int, month: int, treated: bool) -> NDArray[np.int64]:
        """Ordinal of the day on which each segment got its last wearing course, by the middle of a month; else 0."""
        at, result = date(year, month, 15), np.zeros(len(self.length_m), np.int64)
        for renewed_in in range(self.world.epoch.year, year + 1):
            if renewed_in == year and month == 1:
                break  # this year's programme is chosen by January's state, before any of it is done
            for renewal in self.renewals_of(renewed_in):
                if renewal.done_on <= at:
                    result[self.segments_of(renewal.section)] = renewal.done_on.toordinal()
        for treatment in self.treatments if treated else ():
            if treatment.done_on <= at:
                result[treatment.segment] = max(result[treatment.segment], treatment.done_on.toordinal())
        return result

    @lru_cache(maxsize=512)  # noqa: B019
    def course_age_years(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Age of the wearing course in the middle of a month [a]."""
        renewed = self._renewed_on(year, month, treated)
        age = np.maximum(year + month / 12 - self._course_year - 0.5, 0.0)
        return np.where(renewed > 0, (date(year, month, 15).toordinal() - renewed) / 365.25, age)

    @lru_cache(maxsize=512)  # noqa: B019
    def crack_pct(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Cracked share of the surface (RISS: 1 m × a third of a lane) [%]: S-shaped in age."""
        age = self.course_age_years(year, month, treated) / self._crack_scale
        result: NDArray[np.float64] = 60.0 * (1 - np.exp(-(age**2.5)))
        return result

    @lru_cache(maxsize=512)  # noqa: B019
    def trench_pct(self, year: int, month: int) -> NDArray[np.float64]:
        """Trench area, with what was opened since the register was drawn up [%]."""
        total = self._trench_pct.copy()
        for opened_in in range(self.world.epoch.year, year + 1):
            for trench in self.trenches_of(opened_in):
                if self.world.epoch <= trench.opened_on <= date(year, month, 15):
                    total[trench.segment] += trench.area_pct
        return total

    @lru_cache(maxsize=512)  # noqa: B019
    def multiplier(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Relative hazard of each segment, weather and patches apart: recorded drivers, frailty, the hidden one."""
        effect, crack = self._effect, self.crack_pct(year, month, treated)
        age = self.course_age_years(year, month, treated)
        renewed = (self._renewed_on(year, month, treated) > 0) & (self.frailty > 1)
        frailty = np.where(renewed, 1 + FRAILTY_KEPT * (self.frailty - 1), self.frailty)
        passes_million = 365 * np.minimum(year - self._built, 60) * self.heavy * 3.3 * 0.23 * 0.5 * 1.4 / 1e6
        log = effect["age"] * np.log(1.3) * age / 10
        log += effect["crack"] * np.interp(crack, [0, 4, 6, 18, 22, 60], np.log([1, 1, 2, 2, 5, 5.5]))
        log += effect["trench"] * np.log(1.5) * (self.trench_pct(year, month) > 10)
        log += effect["load"] * np.log(1.5) * (passes_million > self._design_b)
        log += effect["frost"] * np.log(1.3) * (self._frost_deficit_cm > 10)
        result: NDArray[np.float64] = np.exp(log) * frailty * self.hidden
        return result

    @cached_property
    def heavy_rank(self) -> NDArray[np.float64]:
        """Load in a thaw, 0 (no heavy vehicles) to 1 (600 a day and more)."""
        result: NDArray[np.float64] = np.clip(np.log1p(self.heavy) / np.log1p(600.0), 0.0, 1.0)
        return result
