"""What is known of potholes, and the condition grade: persons, crews and cameras together."""

from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from models.days import local_day
from models.features.memory import relative_rate
from models.state.fields import Estimate
from models.state.places import CameraDays, Looks, Road, Sightings, places_of
from models.state.presence import WINDOW_DAYS, Presence, open_potholes
from models.state.skill import Skill, skill_of
from models.twin import LEAST_GOOD_PASSES, condition_grade
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.storage.twin import read_last_inspections
from roadtwin.storage.twin_facts import OpenHoles, read_open_potholes
from roadtwin.twin.cameras import FIT_FRAMES, Passes
from roadtwin.twin.setting import Columns, Floats, Quantity, Setting, datetimes, latest, named

SEASON_DAYS = 14
"""Potholes of this many days tell how many arise at present: so long, too, holes stay that nobody has seen. [d]"""
VISIT_SD_D = 8 / 24 / 12**0.5
"""An inspection names one time for a round that takes up to a working day of 8 h: uniform within it. [d]"""
LOOKED_DAYS = 365
"""Where nobody passed or inspected for this long, the number of open potholes is unknown, not 0."""


class Holes:
    """What the last months tell of potholes, by segment, as `models.state.presence` takes it."""

    def __init__(self, setting: Setting, passes: Passes, cameras: tuple[str, ...]) -> None:
        self._setting = setting
        since = setting.days_ago(WINDOW_DAYS + 1)
        self.found: Columns = setting.read("sightings", since=since, cameras=cameras, limits=FIT_FRAMES)
        self.looked: Columns = setting.read("looks", since=since)
        lids = setting.read("lids", since=since, matcher_version=MATCHER_VERSION)
        day = self._days(self.found["observed_at"])
        keep = (day >= 0) & (day < WINDOW_DAYS)
        self.found = {name: column[keep] for name, column in self.found.items()}
        sections = np.array([segment.section_id for segment in setting.network.segments], np.int64)
        self.road = Road(sections, setting.network.length_m, setting.network.rails)
        self.sightings = Sightings(
            kind=self.found["kind"].astype(np.int64),
            day=day[keep],
            segment=self.found["segment"],
            station_m=self.found["station_m"],
            accuracy_m=self.found["accuracy_m"],
            camera=self.found["camera"].astype(np.int64),
            frames=self.found["frames"].astype(np.int64),
        )
        nothing = np.zeros(len(lids["segment"]), np.int64)
        exact = nothing.astype(np.float64)
        self.lids = Sightings(nothing, nothing, lids["segment"], lids["station_m"], exact, nothing, nothing)
        rows = passes.rows
        self.cameras = CameraDays(
            segment=rows["segment"],
            day=(rows["day"] - passes.first_day).astype(np.int64),
            good=rows["good"].astype(np.float64),
            poor=rows["poor"].astype(np.float64),
            wet=np.where(rows["wet"] < 0, np.nan, rows["wet"]),
            dark=np.where(rows["dark"] < 0, np.nan, rows["dark"]),
        )
        look_day = self._days(self.looked["observed_at"])
        inside = (look_day >= 0) & (look_day < WINDOW_DAYS)
        self.looks = Looks(self.looked["segment"][inside], look_day[inside])
        self.places = places_of(self.road, self.sightings, self.lids)

    def _days(self, at: NDArray[np.datetime64]) -> NDArray[np.int64]:
        first = self._setting.today - np.timedelta64(WINDOW_DAYS - 1, "D")
        return np.asarray((local_day(at, self._setting.zone) - first).astype(np.int64))

    def learnt_skill(self) -> Skill:
        """What the city's own data make of the published skill."""
        return skill_of(self.road, self.places, self.cameras, self.sightings, self.looks)

    def looked_lately(self, days: int) -> float:
        """Metres that were passed or inspected a day in the last days, relative to the whole window: 0 to 1.

        It is 1 where nobody looked in the whole window: there what is known of holes does not come from looking.
        """
        day = np.concatenate([self.cameras.day, self.looks.day])
        length_m = self.road.length_m
        looked_m = np.concatenate(
            [length_m[self.cameras.segment] * (self.cameras.good + self.cameras.poor), length_m[self.looks.segment]]
        )
        total_m, lately_m = float(looked_m.sum()), float(looked_m[day >= WINDOW_DAYS - days].sum())
        return min(lately_m / days / (total_m / WINDOW_DAYS), 1.0) if total_m else 1.0

    def presence(self, new_per_day: Floats) -> Presence:
        """Open potholes now."""
        return open_potholes(
            self.road,
            self.cameras,
            self.sightings,
            self.looks,
            self.places,
            new_per_day,
            self._setting.parameters.skill,
        )

    @property
    def any_record(self) -> bool:
        """Whether anybody or anything looked at any of these segments."""
        return bool(len(self.cameras.day) or len(self.looks.day) or len(self.sightings.day))


def people_quantities(setting: Setting, passes: Passes, seen: Quantity) -> dict[str, Quantity]:
    """Age of the newest inspection, and open potholes; `seen` is the age of the newest pass."""
    inspections = read_last_inspections(setting.conn, setting.scope)
    potholes = read_open_potholes(setting.conn, setting.scope)
    ids = setting.network.ids.tolist()
    visits = [inspections.get(segment_id, (None, 0)) for segment_id in ids]
    at = [visited_at for visited_at, _ in visits]
    age_d = np.array([np.nan if t is None else (setting.now - t) / timedelta(days=1) for t in at], np.float64)
    known = [potholes.get(segment_id) for segment_id in ids]
    looked = (age_d <= LOOKED_DAYS) | (seen.value <= LOOKED_DAYS)
    open_count = np.array([np.nan if hole is None else float(hole.holes) for hole in known], np.float64)
    open_count = np.where(np.isnan(open_count) & looked, 0.0, open_count)
    holes = Holes(setting, passes, setting.parameters.cameras)
    presence = holes.presence(new_per_day(setting))
    looks = [driven + count for driven, (_, count) in zip(seen.count, visits, strict=True)]
    newest = [
        latest(hole.newest_at if hole else None, visited_at, passed_at)
        for hole, visited_at, passed_at in zip(known, at, seen.newest_at, strict=True)
    ]
    visited = Quantity(
        age_d,
        np.where(np.isnan(age_d), np.nan, VISIT_SD_D),
        [count for _, count in visits],
        at,
        named("inspection", age_d),
    )
    return {
        "last_inspection_age_d": visited,
        "open_potholes_count": Quantity(
            open_count, presence.sd_about(open_count), looks, newest, named("potholes", open_count)
        ),
        **_presence_quantities(setting, holes, presence),
    }


def new_per_day(setting: Setting) -> Floats:
    """Expected new potholes of each segment a day, from its own last year and the city's. [1/d]"""
    rows = setting.read("pothole_counts", since=setting.days_ago(365), recent=setting.days_ago(SEASON_DAYS))
    count = np.bincount(rows["segment"], rows["count"], len(setting.network.ids)).astype(np.float64)
    usual = setting.parameters.new_per_m_day * setting.network.length_m
    return usual * setting.parameters.season * relative_rate(count, 365 * usual)


def _presence_quantities(setting: Setting, holes: Holes, presence: Presence) -> dict[str, Quantity]:
    n = len(setting.network.ids)
    passes = np.bincount(holes.cameras.segment, holes.cameras.good + holes.cameras.poor, n)
    people = np.bincount(holes.looks.segment, minlength=n)
    reports = np.bincount(holes.sightings.segment, holes.sightings.camera < 0, n)
    looked = (passes > 0) | (people > 0) | (reports > 0)
    # Where nobody looked, the probability is that of the city's rate; where nobody ever looked at anything, unknown.
    known = looked | (holes.any_record and setting.network is setting.whole)
    value, expected, sd = (
        np.where(known, column, np.nan) for column in (presence.probability, presence.expected, presence.sd)
    )
    by_people = (people > 0) | (reports > 0)
    source = np.select(
        [~known, (passes > 0) & by_people, passes > 0, by_people],
        ["none", "camera+people", "camera", "people"],
        "usual",
    ).tolist()
    newest = np.fmax(
        setting.newest(holes.found["segment"], holes.found["observed_at"]),
        setting.newest(holes.looked["segment"], holes.looked["observed_at"]),
    )
    today = np.zeros(len(holes.cameras.day), "datetime64[us]")
    today += (holes.cameras.day - (WINDOW_DAYS - 1)).astype("timedelta64[D]") + (
        setting.today.astype("datetime64[us]") - np.datetime64(0, "us")
    )
    newest_at = datetimes(np.fmax(newest, np.fmin(setting.newest(holes.cameras.segment, today), setting.instant)))
    count = (passes + people + reports).astype(int).tolist()
    # Of what is there or not, the sd follows from the probability.
    return {
        "open_pothole_probability": Quantity(value, np.sqrt(value * (1 - value)), count, newest_at, source),
        "open_potholes_expected_count": Quantity(expected, sd, count, newest_at, source),
    }


def grade_quantity(
    setting: Setting, passes: Passes, camera_cracks: Estimate, good_passes: Floats, potholes: Quantity
) -> Quantity:
    """The condition grade; its count and newest time are those of all evidence of the segment."""
    known: dict[int, OpenHoles] = read_open_potholes(setting.conn, setting.scope)
    worst = np.array([known[i].severity if i in known else 0 for i in setting.network.ids.tolist()], np.float64)
    open_count = np.nan_to_num(potholes.value)
    age_years = setting.years_since(passes.surveyed_at)
    nothing = np.zeros(len(worst))
    visible = condition_grade(camera_cracks, good_passes, passes.grade, age_years, nothing, nothing)
    grade = condition_grade(camera_cracks, good_passes, passes.grade, age_years, open_count, worst)
    by_holes = (open_count > 0) & ~(visible.value == grade.value)
    from_camera, from_survey = good_passes >= LEAST_GOOD_PASSES, np.isfinite(passes.grade)
    source = np.select(
        [np.isnan(grade.value), by_holes, from_camera & from_survey, from_camera],
        ["none", "potholes", "camera+survey", "camera"],
        "survey",
    )
    surveyed_at: list[datetime | None] = datetimes(passes.surveyed_at)
    counts = [seen + bool(survey) for seen, survey in zip(potholes.count, from_survey.tolist(), strict=True)]
    newest = [
        latest(at, survey if known else None)
        for at, survey, known in zip(potholes.newest_at, surveyed_at, from_survey.tolist(), strict=True)
    ]
    return Quantity(grade.value, grade.sd, counts, newest, source.tolist())
