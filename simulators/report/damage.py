"""Holes, repairs, who saw them, and the hidden hazard: the report may read the truth, since it evaluates."""

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.registers import registers_of
from simulators.truth.holes import Holes
from simulators.truth.truth import DayEvents, Truth, truth_of
from simulators.world import World

FRAMES = ("good", "wet", "dark")
"""Light and wetness of a camera's frames; dark ones are dry."""
WINDOW_DAYS = 28
"""The coverage map counts passes of so many days."""


@dataclass(slots=True)
class CameraCounts:
    """What cameras had to see and what they said, by frame: (frames, severity 0 to 3)."""

    there: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 4), np.int64))
    """Holes that a camera passed in its own lane."""
    seen: NDArray[np.int64] = field(default_factory=lambda: np.zeros((3, 4), np.int64))
    true: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))
    """Reported potholes that were some, in any lane."""
    false: NDArray[np.int64] = field(default_factory=lambda: np.zeros(3, np.int64))


@dataclass(slots=True)
class Damage:
    """The period's damage; n days, m segments."""

    days: NDArray[np.datetime64]
    born: NDArray[np.int64]  # (n,)
    repaired: NDArray[np.int64]  # (n,)
    methods: Counter[str]
    open_holes: NDArray[np.int64]  # (n,) at noon
    expected: NDArray[np.float64]  # (m,) sum of the true hazard, without what failing patches add
    born_on: NDArray[np.int64]  # (m,) new holes of the period
    crack_pct: NDArray[np.float64]  # (m,) in the middle of the period
    course_age_years: NDArray[np.float64]
    reports: NDArray[np.int64]  # (n,)
    reports_by_district: Counter[str]
    passes: NDArray[np.int64]  # (sections,) in the last `WINDOW_DAYS`
    last_pass: NDArray[np.int64]  # (sections,) number of the day in `days`, -1 for never
    cameras: CameraCounts
    hole_stations: tuple[NDArray[np.int32], NDArray[np.float64]]
    """Section and station [m] of the period's new holes."""


def gather_damage(world: World, first: date, after: date, on_progress: Callable[[float], None]) -> Damage:
    """Run the truth over the days from `first` to before `after`."""
    truth, count = truth_of(world), (after - first).days
    middle = first + (after - first) / 2
    damage = Damage(
        days=np.datetime64(first.isoformat(), "D") + np.arange(count),
        born=np.zeros(count, np.int64),
        repaired=np.zeros(count, np.int64),
        methods=Counter(),
        open_holes=np.zeros(count, np.int64),
        expected=np.zeros(len(world.segments)),
        born_on=np.zeros(len(world.segments), np.int64),
        crack_pct=truth.condition.crack_pct(middle.year, middle.month),
        course_age_years=truth.condition.course_age_years(middle.year, middle.month),
        reports=np.zeros(count, np.int64),
        reports_by_district=Counter(),
        passes=np.zeros(len(world.sections), np.int64),
        last_pass=np.full(len(world.sections), -1),
        cameras=CameraCounts(),
        hole_stations=(np.zeros(0, np.int32), np.zeros(0)),
    )
    numbers: list[NDArray[np.int64]] = []
    for row, events in enumerate(truth.days(first, after)):
        _add_day(damage, world, truth, row, events)
        numbers.append(events.born)
        if row % 10 == 0:
            on_progress(row / count)
    holes, born = truth.holes, np.concatenate(numbers)
    damage.hole_stations = holes.section[born], holes.station_m[born]
    noons = [(sum(world.day_bounds_us(day)) // 2) for day in damage.days.astype(object)]
    live = len(holes)
    starts, ends = np.sort(holes.born_us[:live]), np.sort(holes.closed_us[:live])
    damage.open_holes = np.searchsorted(starts, noons) - np.searchsorted(ends, noons)
    return damage


def _add_day(damage: Damage, world: World, truth: Truth, row: int, events: DayEvents) -> None:
    damage.born[row] = len(events.born)
    np.add.at(damage.born_on, truth.holes.segment[events.born], 1)
    done = [work for work in events.works if work.kind == "repaired"]
    damage.repaired[row] = len(done)
    damage.methods.update(work.method for work in done)
    damage.expected += truth.expected_holes(events.day)
    damage.reports[row] = len(events.reports)
    damage.reports_by_district.update(world.sections[report.section].district or "?" for report in events.reports)
    driven = np.unique(events.passes.section)
    damage.last_pass[driven] = row
    if row >= len(damage.days) - WINDOW_DAYS:
        damage.passes += np.bincount(events.passes.section, minlength=len(world.sections))
    _add_cameras(damage.cameras, world, truth.holes, events)


def _add_cameras(counts: CameraCounts, world: World, holes: Holes, events: DayEvents) -> None:
    """Holes that cameras passed in their own lane, and how many of them were reported."""
    passes, quality = events.passes, events.quality
    frame = np.where(quality.good, 0, np.where(quality.wet >= 0.5, 1, 2))
    begin_us, end_us = world.day_bounds_us(events.day)
    live = len(holes)
    there = np.flatnonzero((holes.born_us[:live] < end_us) & (holes.closed_us[:live] > begin_us))
    first, last = (np.searchsorted(passes.section, holes.section[there], side=side) for side in ("left", "right"))
    many = last - first
    hole = np.repeat(there, many)
    row = np.arange(len(hole)) - np.repeat(np.cumsum(many) - many, many) + np.repeat(first, many)
    length = world.geometry.section_length_m[passes.section[row]]
    along = np.where(passes.direction[row] > 0, holes.station_m[hole], length - holes.station_m[hole])
    at_us = passes.start_us[row] + (along / passes.speed_mps[row] * 1e6).astype(np.int64)
    own = (holes.offset_m[hole] < 0) == (passes.direction[row] > 0)
    passed = own & (holes.born_us[hole] <= at_us) & (at_us < holes.closed_us[hole])
    hole, row = hole[passed], row[passed]
    severity = holes.severity(hole, events.clock)
    np.add.at(counts.there, (frame[row], severity), 1)
    reported = {(sighting.hole, sighting.row) for sighting in events.sightings}
    seen = np.array([pair in reported for pair in zip(hole.tolist(), row.tolist(), strict=True)], bool)
    np.add.at(counts.seen, (frame[row[seen]], severity[seen]), 1)
    for sighting in events.sightings:
        (counts.true if sighting.hole >= 0 else counts.false)[frame[sighting.row]] += 1


def substance_grades(world: World, first: date, after: date) -> dict[str, NDArray[np.float64]]:
    """Newest surveyed substance grade of each segment at the end of the period, by road class; none is surveyed in
    more than four years before."""
    since, until = world.day_start(first.replace(year=first.year - 5, day=1)), world.day_start(after)
    newest: dict[str, tuple[object, float]] = {}
    for survey in registers_of(truth_of(world)).surveys(since, until):
        if survey.substance_grade is not None:
            known = newest.get(survey.segment_id)
            if known is None or survey.observed_at > known[0]:  # type: ignore[operator]
                newest[survey.segment_id] = (survey.observed_at, survey.substance_grade)
    grades: dict[str, list[float]] = {}
    for segment in world.segments:
        if segment.public_id in newest:
            grades.setdefault(segment.road_class, []).append(newest[segment.public_id][1])
    return {road_class: np.array(values) for road_class, values in grades.items()}
