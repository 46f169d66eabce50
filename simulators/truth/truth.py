"""The hidden truth, day by day: holes break open, grow, are found, reported and repaired, and patches fail.

Only evaluation may read it (`Truth.hazard`, `Truth.holes`); the city sees `DayEvents` through `simulators.history` and
`simulators.messages`. Days run one after the other from `SPIN_UP_DAYS` before the world's first day, so that what a day
holds does not depend on which period was asked for.
"""

from collections import OrderedDict, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from roadtwin.errors import SimulationError
from simulators.truth.citizens import Citizens
from simulators.truth.condition import Condition, Renewal, Treatment
from simulators.truth.hazard import SPIN_UP_DAYS, Hazard
from simulators.truth.holes import STILL_OPEN_US, Holes
from simulators.truth.inspectors import Finding, Inspectors, Visit
from simulators.truth.kernel import patch_factor, poisson_count
from simulators.truth.regime import PATCH_LIFE_DAYS
from simulators.truth.repairs import Crews, Work
from simulators.vehicles.camera import FrameQuality
from simulators.vehicles.observers import Observers, Sighting
from simulators.vehicles.traffic import Passes
from simulators.weather.pavement import WET_SATURATION, pavement_year, year_offset_days
from simulators.weather.weather import weather_year_of
from simulators.world import World

_KEPT_DAYS = 45


@dataclass(frozen=True, slots=True)
class DayEvents:
    """What happened on one local day and what was seen of it."""

    day: date
    clock: float  # growth clock of the holes at noon
    born: NDArray[np.int64]
    passes: Passes
    quality: FrameQuality
    sightings: list[Sighting]
    visits: list[Visit]
    findings: dict[int, list[Finding]]  # by place in `visits`
    reports: list[Sighting]
    works: list[Work]
    renewals: list[Renewal]
    decided: list[Treatment]
    treated: list[Treatment]
    patches: NDArray[np.int16]
    """Cold patches on each segment that make its surroundings worse, before those that are laid on this day."""


class Truth:
    """The one history of a world. Use `truth_of`, which keeps it."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.condition = Condition(world)
        self.hazard = Hazard(self.condition)
        self.observers = Observers(self.condition)
        self.inspectors = Inspectors(self.condition)
        self.citizens = Citizens(self.condition)
        self._crews = Crews(self.condition)
        self._reset()

    def _reset(self) -> None:
        self.holes = Holes()
        self._next = self.world.epoch - timedelta(days=SPIN_UP_DAYS)
        self._clock = 0.0
        self._open = np.zeros(0, np.int64)
        self._patches: dict[int, list[tuple[int, float, float]]] = defaultdict(list)
        self._patch_count = np.zeros(len(self.world.segments))
        self._expiry: dict[int, list[int]] = defaultdict(list)
        self._draw_first_patches()
        self._crews.reset()
        self.condition.treatments.clear()
        self._kept: OrderedDict[date, DayEvents] = OrderedDict()

    def days(self, first: date, after: date) -> Iterator[DayEvents]:
        """Events of the local days from `first` to before `after`.

        Raises SimulationError for days before the world's first one.
        """
        if first < self.world.epoch:
            raise SimulationError(
                f"Begin: got {first}, expected no day before the world's first one, {self.world.epoch}."
            )
        for offset in range((after - first).days):
            yield self.day(first + timedelta(days=offset))

    def day(self, day: date) -> DayEvents:
        """Events of one day; days before it are run first, and an early day again from the beginning."""
        if day not in self._kept:
            if day < self._next:
                self._reset()
            while self._next <= day:
                self._run(self._next)
        return self._kept[day]

    def run_to(self, day: date) -> None:
        """Run to the end of a day, from the beginning if it was passed: `holes` stand as they did then."""
        if self._next > day + timedelta(days=1):
            self._reset()
        self.day(day)

    def expected_holes(self, day: date) -> NDArray[np.float64]:
        """True expected number of new holes on each segment that day, without what failing patches add."""
        while self._next <= day:  # treatments up to that day have to be known
            self._run(self._next)
        return self.hazard.expected_holes(day)

    def open_holes(self) -> NDArray[np.int64]:
        """Numbers of the holes that are open on the morning of the next day."""
        return self._open.copy()

    def patches_left(self, day: date) -> NDArray[np.float64]:
        """Of the cold patches that are there on the morning of the next day, those that still act on a later one."""
        result, ordinal = np.zeros(len(self.world.segments)), day.toordinal()
        for segment, patches in self._patches.items():
            result[segment] = sum(until > ordinal for until, _, _ in patches)
        return result

    def roughness_index(self, day: date) -> NDArray[np.float64]:
        """Roughness of each segment on a day, like the IRI [m/km]."""
        return self.condition.roughness_index(day.year, day.month, self.day(day).patches.astype(np.float64))

    # -- one day ---------------------------------------------------------------------------------------------------
    def _run(self, day: date) -> None:
        begin_us, end_us = self.world.day_bounds_us(day)
        self._clock += self._growth_of(day)
        self._expire(day)
        renewals = [r for r in self.condition.renewals_of(day.year) if r.done_on == day]
        works = [
            work for renewal in renewals for work in self._renew(self.condition.segments_of(renewal.section), begin_us)
        ]
        treated = [t for t in self.condition.treatments if t.done_on == day]
        for treatment in treated:
            works += self._renew(slice(treatment.segment, treatment.segment + 1), begin_us)
        patches = self._patch_count.astype(np.int16)
        born = self._births(day, begin_us, end_us)
        self._open = np.concatenate([self._open, born])
        state = (self.holes, self._open)
        self.holes.grade_open(self._open, self._clock, begin_us)
        works += self._crews.from_list(day, begin_us, *state)
        passes, quality, sightings = self.observers.drive(day, *state, self._clock)
        visits, findings = self.inspectors.inspect(day, begin_us, *state)
        reports = self.citizens.report(day, begin_us, *state)
        works += self._crews.same_day(day, begin_us, *state)
        closed_us = self.holes.closed_us
        sightings = [s for s in sightings if s.hole < 0 or s.time_us < closed_us[s.hole]]
        for work in works:
            self._note_patch(work, day)
        decided = self._crews.decide_treatments(day, self._patched_segments(works))
        self.condition.treatments.extend(decided)
        self._open = self._open[closed_us[self._open] >= STILL_OPEN_US]
        self._kept[day] = DayEvents(
            day, self._clock, born, passes, quality, sightings, visits, findings, reports, works, renewals,
            decided, treated, patches,
        )  # fmt: skip
        if len(self._kept) > _KEPT_DAYS:
            self._kept.popitem(last=False)
        self._next = day + timedelta(days=1)

    def _growth_of(self, day: date) -> float:
        """Holes grow by half a unit a day under traffic, more when it freezes and thaws and when all is wet."""
        year = weather_year_of(day)
        pavement, row = pavement_year(self.world.weather, year), year_offset_days(year, day)
        freeze = float(pavement.freeze_thaw_cycles[row, 1] > 0)
        return 0.5 + 1.5 * freeze + 0.5 * float(pavement.saturation[row, 1] > WET_SATURATION)

    def _births(self, day: date, begin_us: int, end_us: int) -> NDArray[np.int64]:
        streams, geometry, ordinal = self.world.streams, self.world.geometry, day.toordinal()
        factor = patch_factor(self.condition, day, self._patch_count)
        mean = self.hazard.expected_holes(day, factor)
        u = streams.of_day("truth/births", ordinal, mean.shape)
        hit = np.flatnonzero(u > np.exp(-mean))
        count = poisson_count(mean[hit], u[hit], 6)
        segment = np.repeat(hit, count)
        key = segment * 8 + np.concatenate([np.arange(n) for n in count]) if len(segment) else segment
        draw = streams.uniforms("truth/hole", key, ordinal, 7)
        normal = ndtri(draw[4:])
        station = geometry.segment_from_m[segment] + draw[0] * geometry.segment_length_m[segment]
        half = self.condition.width_m[segment] / 2
        offset = np.where(draw[1] < 0.5, 1.0, -1.0) * (0.5 + (2 * draw[1] % 1.0) * np.maximum(half - 0.9, 0.3))
        plain = self.hazard.expected_holes(day) if len(segment) else mean
        for i in np.flatnonzero(draw[2] * mean[segment] < mean[segment] - plain[segment]):
            patches = self._patches[int(segment[i])]
            _, at, aside = patches[int(draw[2][i] * 1e6) % len(patches)]
            station[i] = np.clip(at + 2.0 * (draw[0][i] - 0.5), *self._ends(int(segment[i])))
            offset[i] = aside
        load = 0.5 + self.condition.heavy_rank(day.year, day.month)[segment]
        return self.holes.append(
            segment=segment.astype(np.int32),
            section=geometry.segment_section[segment],
            station_m=station,
            offset_m=offset,
            born_us=begin_us + (draw[3] * (end_us - begin_us)).astype(np.int64),
            clock=np.full(len(segment), self._clock),
            depth_at_birth_m=np.clip(0.026 * np.exp(0.38 * normal[0]), 0.013, 0.09),
            growth_m=0.0011 * np.exp(0.5 * normal[1]) * load,
            width_at_birth_m=np.clip(0.21 * np.exp(0.35 * normal[2]), 0.10, 0.60),
        )

    def _ends(self, segment: int) -> tuple[float, float]:
        start = float(self.world.geometry.segment_from_m[segment])
        return start, start + float(self.world.geometry.segment_length_m[segment])

    # -- patches and renewals --------------------------------------------------------------------------------------
    def _draw_first_patches(self) -> None:
        """Patches of the first day: as many as there are on average, laid on any day of the year before."""
        generator, geometry = self.world.streams.generator("truth/first-patches"), self.world.geometry
        count = generator.poisson(self.hazard.calibration.patches)
        for segment in np.repeat(np.arange(len(count)), count).tolist():
            u = generator.random(3)
            until = self._next.toordinal() + 1 + int(u[0] * PATCH_LIFE_DAYS)
            station = float(geometry.segment_from_m[segment] + u[1] * geometry.segment_length_m[segment])
            aside = (u[2] - 0.5) * max(float(self.condition.width_m[segment]) - 1.8, 0.6)
            self._add_patch(segment, until, station, float(aside))

    def _patched_segments(self, works: list[Work]) -> list[int]:
        return [
            int(self.holes.segment[work.hole])
            for work in works
            if work.kind == "repaired" and work.method != "resurfacing"
        ]

    def _add_patch(self, segment: int, until: int, station_m: float, offset_m: float) -> None:
        self._patches[segment].append((until, station_m, offset_m))
        self._patch_count[segment] += 1
        self._expiry[until].append(segment)

    def _note_patch(self, work: Work, day: date) -> None:
        if work.method != "cold_mix":
            return
        segment = int(self.holes.segment[work.hole])
        until = day.toordinal() + self.condition.regime.life_days(day)
        self._add_patch(segment, until, float(self.holes.station_m[work.hole]), float(self.holes.offset_m[work.hole]))

    def _expire(self, day: date) -> None:
        today = day.toordinal()
        for segment in self._expiry.pop(today, ()):
            self._patches[segment] = [patch for patch in self._patches[segment] if patch[0] > today]
            self._patch_count[segment] = len(self._patches[segment])

    def _renew(self, segments: slice, begin_us: int) -> list[Work]:
        """A new wearing course closes every hole of the segments and takes their patches away."""
        for segment in range(segments.start, segments.stop):
            self._patches[segment] = []
        self._patch_count[segments] = 0
        there = self.holes.segment[self._open]
        affected = (there >= segments.start) & (there < segments.stop)
        inside = self._open[affected]
        done_us = begin_us + 15 * 3_600_000_000
        self.holes.closed_us[inside] = done_us
        self._open = self._open[~affected]
        return [Work(int(hole), "repaired", "resurfacing", done_us, 0) for hole in inside]


def truth_of(world: World) -> Truth:
    """The truth of a world, kept as long as the world is."""
    truth: Truth = world.kept.setdefault("truth", None) or Truth(world)
    world.kept["truth"] = truth
    return truth


def local_day(world: World, at: datetime) -> date:
    """The local day in which an instant lies."""
    return at.astimezone(world.zone).date()
