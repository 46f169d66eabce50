"""The slow part of the hidden truth: age, cracks, trenches, traffic, renewals and what no register knows.

Every value is a function of the calendar month. The only memory is the list of treatments that `simulators.truth.truth`
schedules; each is scheduled more than half a month before it is done, so that all that a month needs is known when the
month begins. Ask with `treated=False` for months that the truth has not reached.
"""

import copy
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.truth.cracking import Cracking, roughness_index, wear_of_months
from simulators.truth.effects import effects_of
from simulators.truth.frailty import frailty_of_segments, leak_factor_of_sections
from simulators.truth.regime import regime_of
from simulators.weather.pavement import DRAINAGE, EXPOSURES
from simulators.weather.weather import WeatherSource, weather_year_of
from simulators.world import World

_CYCLE_YEARS = {"main": 20.0, "collector": 27.0, "residential": 36.0}
_BK_LIMIT = {"Bk0.3": 0.3, "Bk1.0": 1.0, "Bk1.8": 1.8, "Bk3.2": 3.2, "Bk10": 10.0, "Bk32": 32.0, "Bk100": 100.0}
TRENCHES_PER_100_M_YEAR = 0.06
FRAILTY_KEPT = 0.3
MONTHS_KEPT = 40
"""Months of each quantity that are kept, so that a long run does not fill the memory."""


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
    """Slow state of every segment of a world, under the world's weather or another.

    Weather acts on it only through the wear of past months.
    """

    def __init__(self, world: World, weather: WeatherSource | None = None) -> None:
        self.world = world
        self.weather = world.weather if weather is None else weather
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
        self._axle_passes = np.array([a.axle_passes_per_day or 0.0 for a in attributes])
        self._built = np.array([a.construction_year or 1970 for a in attributes], dtype=float)
        self._trench_pct = np.array([a.trench_area_pct or 0.0 for a in attributes])
        self.effects, self.regime = effects_of(world.streams), regime_of(world)
        self._cracking = Cracking(world.streams, self.road_class, self.section, rank_of(self.heavy))
        self.frailty: NDArray[np.float64] = frailty_of_segments(world.geometry, world.streams)
        self.hidden: NDArray[np.float64] = leak_factor_of_sections(len(world.sections), world.streams)[self.section]
        self.treatments: list[Treatment] = []
        self._known_until: date | None = None
        self._whole = self

    def as_known(self, until: date) -> "Condition":
        """The same roads as one would expect them who knows all up to and including a day, and nothing later.

        Works decided by then are done as planned; no other trench is opened, wear is that of the mean climate, and the
        traffic stays as it is.
        """
        known = copy.copy(self)
        known._known_until, known._whole = until, self
        return known

    def _is_known(self, day: date) -> bool:
        return self._known_until is None or day <= self._known_until

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
        if self._whole is not self:
            return tuple(r for r in self._whole.renewals_of(year) if self._is_known(r.decided_on))
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
        if self._whole is not self:
            return tuple(t for t in self._whole.trenches_of(year) if self._is_known(t.opened_on))
        index, streams = np.arange(len(self.length_m)), self.world.streams
        opened = np.flatnonzero(
            streams.uniform("truth/trench", index, year) < TRENCHES_PER_100_M_YEAR * self.length_m / 100
        )
        draws = [streams.uniform("truth/trench-shape", opened, year, draw) for draw in range(3)]
        result = []
        for segment, at, size, duration in zip(opened.tolist(), *(d.tolist() for d in draws), strict=True):
            area = min(3.0 + 45.0 * size**3, 0.4 * float(self.length_m[segment] * self.width_m[segment]))
            begin = date(year, 1, 5) + timedelta(days=int(at * 350))
            end = begin + timedelta(days=3 + int(duration * 25))
            share = 100 * area / float(self.length_m[segment] * self.width_m[segment])
            result.append(Trench(segment, begin, end, round(area, 1), share))
        return tuple(sorted(result, key=lambda t: (t.opened_on, t.segment)))

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
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
            if treatment.done_on <= at and self._is_known(treatment.decided_on):
                result[treatment.segment] = max(result[treatment.segment], treatment.done_on.toordinal())
        return result

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
    def course_age_years(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Age of the wearing course in the middle of a month [a]."""
        renewed = self._renewed_on(year, month, treated)
        age = np.maximum(year + month / 12 - self._course_year - 0.5, 0.0)
        return np.where(renewed > 0, (date(year, month, 15).toordinal() - renewed) / 365.25, age)

    @lru_cache(maxsize=512)  # noqa: B019
    def _wear_gained(self, year: int, month: int) -> NDArray[np.float64]:
        """What wear is ahead of the calendar by the middle of a month, shape (drainage, exposure) [a]."""
        end, epoch = date(year, month, 1), self.world.epoch.replace(day=1)
        if self._known_until is not None:
            end = min(end, (self._known_until + timedelta(days=1)).replace(day=1))
        gained = np.zeros((len(DRAINAGE), len(EXPOSURES)))
        for weather_year in range(weather_year_of(epoch), weather_year_of(end) + 1):
            july = date(weather_year, 7, 1)
            rows = slice(max(_months_between(july, epoch), 0), max(_months_between(july, end), 0))
            if rows.start < min(rows.stop, 12):
                gained += (wear_of_months(self.weather, weather_year)[rows] - 1).sum(axis=0) / 12
        return gained

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
    def crack_pct(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Cracked share of the surface (RISS: 1 m × a third of a lane) [%]."""
        gained = self._wear_gained(year, month)
        renewed = self._renewed_on(year, month, treated)
        days = np.unique(renewed)
        months = [(d.year, d.month) for d in map(date.fromordinal, days[days > 0].tolist())]
        by_day = np.stack([np.zeros_like(gained)] * int(days[0] == 0) + [self._wear_gained(*m) for m in months])
        at_laying = by_day[np.searchsorted(days, renewed), self.drainage, self.exposure]
        ahead = gained[self.drainage, self.exposure] - at_laying
        wear = np.maximum(self.course_age_years(year, month, treated) + ahead, 0.0)
        return self._cracking.crack_pct(wear)

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
    def trench_pct(self, year: int, month: int) -> NDArray[np.float64]:
        """Trench area, with what was opened since the register was drawn up [%]."""
        total = self._trench_pct.copy()
        for opened_in in range(self.world.epoch.year, year + 1):
            for trench in self.trenches_of(opened_in):
                if self.world.epoch <= trench.opened_on <= date(year, month, 15):
                    total[trench.segment] += trench.area_pct
        return total

    def roughness_index(self, year: int, month: int, patches: NDArray[np.float64]) -> NDArray[np.float64]:
        """Roughness of each segment, like the IRI [m/km], with some number of cold patches on it."""
        age, crack = self.course_age_years(year, month), self.crack_pct(year, month)
        return roughness_index(age, crack, self.trench_pct(year, month), patches * (100.0 / self.length_m))

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
    def recorded(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Relative hazard of each segment by what somebody could have measured: age, cracks, trenches, load, frost."""
        effects, crack = self.effects, self.crack_pct(year, month, treated)
        age = self.course_age_years(year, month, treated)
        low, high = effects.crack_low_pct, effects.crack_high_pct
        diverted = self._diverted(year, month)
        years = np.minimum(year - self._built, 60)
        since = max((date(year, month, 1) - self.regime.diverted_from).days / 365.25, 0.0)
        passes = 365 * self._axle_passes * (years + since * (diverted - 1)) / 1e6
        log = effects.age * np.log(1.3) * age / 10
        knots = [0, 0.8 * low, 1.2 * low, 0.9 * high, 1.1 * high, 60]
        log += effects.crack * np.interp(crack, knots, np.log([1, 1, 2, 2, 5, 5.5]))
        log += effects.trench * np.log(1.5) * (self.trench_pct(year, month) > effects.trench_pct)
        log += effects.load * np.log(1.5) * (passes > effects.utilisation * self._design_b)
        log += effects.frost * np.log(1.3) * (self._frost_deficit_cm > effects.frost_deficit_cm)
        log += effects.traffic * 0.35 * np.log(diverted)
        result: NDArray[np.float64] = np.exp(log)
        return result

    def is_renewed(self, year: int, month: int, treated: bool = True) -> NDArray[np.bool_]:
        """Whether a segment got a new wearing course since the first day of the world."""
        return self._renewed_on(year, month, treated) > 0

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
    def multiplier(self, year: int, month: int, treated: bool = True) -> NDArray[np.float64]:
        """Relative hazard of each segment, weather and patches apart: what is recorded, frailty, the hidden driver."""
        frailty = np.where(self.is_renewed(year, month, treated), frailty_after_renewal(self.frailty), self.frailty)
        result: NDArray[np.float64] = self.recorded(year, month, treated) * frailty * self.hidden
        return result

    def _diverted(self, year: int, month: int) -> NDArray[np.float64] | float:
        """Heavy vehicles now by those of the register."""
        begins = self.regime.diverted_from
        if date(year, month, 1) < begins or not self._is_known(begins):
            return 1.0
        return self.regime.heavy_factor[self.section]

    @lru_cache(maxsize=MONTHS_KEPT)  # noqa: B019
    def heavy_rank(self, year: int, month: int) -> NDArray[np.float64]:
        """Load in a thaw, 0 (no heavy vehicles) to 1 (600 a day and more)."""
        return rank_of(self.heavy * self._diverted(year, month))

    def patch_effect(self, day: date) -> float:
        """What the regime of a day makes of the effect of patches."""
        return self.regime.patch_effect(day if self._known_until is None else min(day, self._known_until))


def rank_of(heavy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Heavy vehicles a day on a scale from 0 (none) to 1 (600 and more)."""
    result: NDArray[np.float64] = np.clip(np.log1p(heavy) / np.log1p(600.0), 0.0, 1.0)
    return result


def frailty_after_renewal(frailty: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of what it is above 1, a new wearing course leaves `FRAILTY_KEPT`: the base below it stays."""
    return np.where(frailty > 1, 1 + FRAILTY_KEPT * (frailty - 1), frailty)


def _months_between(first: date, last: date) -> int:
    return (last.year - first.year) * 12 + last.month - first.month
