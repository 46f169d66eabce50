"""What the city writes down: repairs, inspections, reports, weather, forecasts, surveys, trench permits, planned works.

Every record has the time at which the register knew it: crews enter repairs hours later, surveys take months.
"""

from collections import OrderedDict
from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np

from roadtwin.network.sections import Segment
from roadtwin.records.schema import (
    Finding,
    Inspection,
    PlannedWork,
    Record,
    RecordPosition,
    Repair,
    Report,
    Survey,
    TrenchPermit,
    Weather,
    WeatherForecast,
)
from simulators.instants import as_time, us_of
from simulators.scenario import RegisterDelay
from simulators.spans import spans_of
from simulators.truth.condition import Treatment
from simulators.truth.truth import DayEvents, Truth
from simulators.vehicles.observers import Sighting
from simulators.weather.forecasts import KNOWN_AFTER, Forecasts
from simulators.weather.weather import STATION, hourly_weather

RULE_SET = "sim-zeb-1"
SURVEY_EVERY_YEARS = 4
MAX_LAG = timedelta(days=7)
"""Longest time between a day and its records of repairs, inspections, reports and weather."""
_REPORT_TEXTS = (
    "Schlagloch in der Fahrbahn.",
    "Großes Loch, bitte dringend ausbessern!",
    "Tiefes Schlagloch, Gefahr für Radfahrende.",
    "Wieder ein Loch an derselben Stelle.",
    "",
)
_OTHER_TEXTS = ("Fahrbahn rissig.", "Gullydeckel klappert.", "Straße in schlechtem Zustand.", "")
_CHANNELS = ("app", "app", "web", "phone", "staff")
_CHANNELS_BEFORE_THE_APP = ("web", "phone", "phone", "staff")


class Registers:
    """Makes the records of a world."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.world = truth, truth.world
        self._forecasts = Forecasts(truth.world)
        self._days: OrderedDict[date, tuple[tuple[str, Record], ...]] = OrderedDict()
        world, last = truth.world, date(truth.world.today.year + 10, 12, 31)
        self._delays = [
            (*span.bounds_us, round(fault.delay_h * 3.6e9))
            for fault in world.scenario.fault
            if isinstance(fault, RegisterDelay)
            for span in spans_of(fault, world.today, world.zone, world.epoch, last)
        ]

    def _delay_us(self, at_us: int) -> int:
        """How much later than usual the city's staff enter what happened at an instant."""
        if not self._delays:
            return 0
        return max((delay for begin, end, delay in self._delays if begin <= at_us < end), default=0)

    def of_day(self, events: DayEvents) -> tuple[tuple[str, Record], ...]:
        """Kind and record for all that happened on a day, whenever it was recorded; the newest days are kept."""
        if events.day not in self._days:
            self._days[events.day] = tuple(self._made(events))
            if len(self._days) > MAX_LAG.days + 2:
                self._days.popitem(last=False)
        return self._days[events.day]

    def _made(self, events: DayEvents) -> Iterator[tuple[str, Record]]:
        yield from (("repair", record) for record in self._repairs(events))
        yield from (("inspection", record) for record in self._inspections(events))
        yield from (("report", self._report(events, sighting)) for sighting in events.reports)
        yield from (("planned_work", self._treatment_plan(treatment)) for treatment in events.decided)

    # -- crews -----------------------------------------------------------------------------------------------------
    def _repairs(self, events: DayEvents) -> Iterator[Repair]:
        holes, streams, ordinal = self.truth.holes, self.world.streams, events.day.toordinal()
        if events.works:
            numbers = np.array([work.hole for work in events.works])
            segment = self.world.geometry.segment_at(holes.section[numbers], holes.station_m[numbers])
            u = streams.uniforms("registers/repair", numbers, ordinal, 2)
            depth, width = holes.depth_m(numbers, events.clock), holes.width_m(numbers, events.clock)
            lag_us = np.minimum(5.0 * np.exp(0.9 * streams.normal("registers/lag", numbers, ordinal)), 70) * 3.6e9
            accuracy_m = 2.0 + 2.0 * streams.uniform("registers/repair-accuracy", numbers, ordinal)
            positions = self._positions(numbers, "repair", ordinal, accuracy_m)
        for i, work in enumerate(events.works):
            if work.method == "resurfacing":
                continue  # recorded once for each segment, below
            yield Repair(
                record_id=streams.uuid("repair", work.kind, work.hole),
                observed_at=as_time(work.time_us),
                recorded_at=as_time(work.time_us + int(lag_us[i]) + self._delay_us(work.time_us)),
                segment_id=self.world.segment_ids[segment[i]] if u[0][i] < 0.75 else None,
                position=positions[i],
                kind="secured" if work.kind == "secured" else "repaired",
                method=work.method,  # type: ignore[arg-type]
                area_m2=round(1.6 * float(width[i]) ** 2, 2),
                depth_m=round(float(depth[i]), 3),
                crew=f"Kolonne {work.crew + 1}",
            )
        done = self.world.day_start(events.day) + timedelta(hours=15)
        done_us = us_of(done)
        renewed = [t.segment for t in events.treated]
        for renewal in events.renewals:
            renewed += range(*self.truth.condition.segments_of(renewal.section).indices(len(self.world.segments)))
        for index in dict.fromkeys(renewed):
            yield Repair(
                record_id=streams.uuid("renewal", index, ordinal),
                observed_at=done,
                recorded_at=done + timedelta(hours=30, microseconds=self._delay_us(done_us)),
                segment_id=self.world.segment_ids[index],
                method="resurfacing",
                area_m2=round(float(self.truth.condition.width_m[index] * self.truth.condition.length_m[index]), 0),
            )

    def _positions(
        self, holes: np.ndarray, name: str, ordinal: int, error_m: float | np.ndarray
    ) -> list[RecordPosition]:
        """Where a device put holes, with its error (1 σ, both axes together)."""
        table, geometry = self.truth.holes, self.world.geometry
        error_m = np.broadcast_to(error_m, len(holes))
        lon, lat, heading = geometry.locate(table.section[holes], table.station_m[holes])
        left = np.radians(heading - 90.0)
        noise = [
            self.world.streams.normal(f"registers/{name}-position", holes, ordinal, draw) * error_m / np.sqrt(2)
            for draw in range(2)
        ]
        offset = table.offset_m[holes]
        lon, lat = geometry.shifted(lon, lat, offset * np.sin(left) + noise[0], offset * np.cos(left) + noise[1])
        return [
            RecordPosition(lon=round(x, 7), lat=round(y, 7), accuracy_m=round(error, 1))
            for x, y, error in zip(lon.tolist(), lat.tolist(), error_m.tolist(), strict=True)
        ]

    # -- inspectors ------------------------------------------------------------------------------------------------
    def _inspections(self, events: DayEvents) -> Iterator[Inspection]:
        if not events.visits:
            return
        streams, ordinal, ids = self.world.streams, events.day.toordinal(), self.world.segment_ids
        segments = np.array([visit.segment for visit in events.visits])
        u = streams.of_day("registers/inspection", ordinal, (3, len(ids)))[:, segments]
        crack = self.truth.condition.crack_pct(events.day.year, events.day.month)[segments]
        seen = [f.hole for found in events.findings.values() for f in found]
        where = dict(zip(seen, self._positions(np.array(seen, np.int64), "finding", ordinal, 4.0), strict=True))
        for number, visit in enumerate(events.visits):
            findings = [
                self._finding(events, f.hole, f.severity, where[f.hole]) for f in events.findings.get(number, ())
            ]
            if u[0][number] < crack[number] / 90:  # a mesh of cracks worth writing down
                grade = 1 if crack[number] < 10 else 2 if crack[number] < 25 else 3
                findings.append(Finding(class_code="D20", severity=grade))
            yield Inspection(
                record_id=streams.uuid("inspection", ordinal, visit.segment),
                observed_at=as_time(visit.time_us),
                recorded_at=as_time(
                    visit.time_us + int((0.2 + 7.0 * u[1][number]) * 3.6e9) + self._delay_us(visit.time_us)
                ),
                segment_id=ids[visit.segment],
                inspector_role="Streckenkontrolle",
                findings=tuple(findings),
            )

    def _finding(self, events: DayEvents, hole: int, severity: int, position: RecordPosition) -> Finding:
        one = np.array([hole])
        return Finding(
            class_code="D40",
            severity=severity,
            position=position,
            width_m=round(float(self.truth.holes.width_m(one, events.clock)[0]), 2),
            depth_m=round(float(self.truth.holes.depth_m(one, events.clock)[0]), 3),
        )

    # -- citizens --------------------------------------------------------------------------------------------------
    def _report(self, events: DayEvents, sighting: Sighting) -> Report:
        streams, ordinal, geometry = self.world.streams, events.day.toordinal(), self.world.geometry
        u = streams.numbers("registers/report", sighting.key, ordinal, 5)
        error_m = 5.0 + 20.0 * u[0]
        section, station = np.array([sighting.section]), np.array([sighting.station_m])
        lon, lat, _ = geometry.locate(section, station)
        noise = np.array(streams.normals("registers/report-position", sighting.key, ordinal, 2)) * error_m / np.sqrt(2)
        lon, lat = geometry.shifted(lon, lat, noise[:1], noise[1:])
        is_hole = sighting.hole >= 0
        texts = _REPORT_TEXTS if is_hole else _OTHER_TEXTS
        channels = _CHANNELS if self.truth.citizens.has_app(events.day) else _CHANNELS_BEFORE_THE_APP
        category = "pothole" if is_hole or u[1] < 0.4 else "crack" if u[1] < 0.7 else "other"
        return Report(
            record_id=streams.uuid("report", ordinal, sighting.key),
            observed_at=as_time(sighting.time_us),
            recorded_at=as_time(sighting.time_us + int((0.02 + 3.0 * u[2] ** 3) * 3.6e9)),
            position=RecordPosition(
                lon=round(float(lon[0]), 6), lat=round(float(lat[0]), 6), accuracy_m=round(error_m, 0)
            ),
            channel=channels[int(u[3] * len(channels))],  # type: ignore[arg-type]
            category=category,  # type: ignore[arg-type]
            text=texts[int(u[4] * len(texts))] or None,
        )

    # -- weather and plans -----------------------------------------------------------------------------------------
    def weather(self, start: datetime, end: datetime) -> Iterator[Weather]:
        """Hours recorded in (start, end]: twenty minutes after they end."""
        lag = timedelta(minutes=20)
        hours = hourly_weather(self.world.weather, start - lag, end - lag)
        columns = zip(
            hours.ends_at.astype(np.int64).tolist(), hours.air_temp_c.tolist(), hours.humidity_pct.tolist(),
            hours.wind_speed_mps.tolist(), hours.rain_mm.tolist(), hours.snow_depth_cm.tolist(),
            hours.radiation_w_per_m2.tolist(), strict=True,
        )  # fmt: skip
        for us, temp, humidity, wind, rain, snow, radiation in columns:
            at = as_time(us)
            yield Weather(
                record_id=self.world.streams.uuid("weather", us),
                observed_at=at,
                recorded_at=at + lag,
                station=STATION,
                air_temp_c=temp,
                humidity_pct=humidity,
                wind_speed_mps=wind,
                rain_mm=rain,
                snow_depth_cm=snow,
                radiation_w_per_m2=radiation,
            )

    def forecasts(self, start: datetime, end: datetime) -> Iterator[WeatherForecast]:
        """Forecasts recorded in (start, end]: twenty-five minutes after their issue."""
        return self._forecasts.issued(start - KNOWN_AFTER, end - KNOWN_AFTER)

    @lru_cache(maxsize=32)  # noqa: B019 - registers live as long as their world
    def of_year(self, year: int) -> tuple[tuple[str, Record], ...]:
        """Permits and plans that belong to a calendar year, recorded in it or in the one before or after."""
        return (
            *(("trench_permit", record) for record in self._permits(year)),
            *(("planned_work", record) for record in self._plans(year)),
        )

    @lru_cache(maxsize=4096)  # noqa: B019
    def _noon(self, day: date) -> datetime:
        return self.world.day_start(day) + timedelta(hours=11)

    def _permits(self, year: int) -> Iterator[TrenchPermit]:
        for trench in self.truth.condition.trenches_of(year):
            if trench.opened_on < self.world.epoch:
                continue  # part of what the road register says
            lag_days = 1 + int(6 * self.world.streams.numbers("registers/permit", trench.segment, year, 1)[0])
            yield TrenchPermit(
                record_id=self.world.streams.uuid("trench", trench.segment, year),
                observed_at=self._noon(trench.opened_on),
                recorded_at=self._noon(trench.closed_on + timedelta(days=lag_days)),
                segment_id=self.world.segment_ids[trench.segment],
                area_m2=trench.area_m2,
                closed_at=self._noon(trench.closed_on),
            )

    def _plans(self, year: int) -> Iterator[PlannedWork]:
        for renewal in self.truth.condition.renewals_of(year):
            for index in range(*self.truth.condition.segments_of(renewal.section).indices(len(self.world.segments))):
                yield PlannedWork(
                    record_id=self.world.streams.uuid("plan", index, year),
                    observed_at=self._noon(renewal.decided_on),
                    recorded_at=self._noon(renewal.decided_on + timedelta(days=2)),
                    segment_id=self.world.segment_ids[index],
                    starts_on=renewal.done_on - timedelta(days=8),
                    ends_on=renewal.done_on,
                    kind="resurfacing",
                )

    def _treatment_plan(self, treatment: Treatment) -> PlannedWork:
        return PlannedWork(
            record_id=self.world.streams.uuid("treatment", treatment.segment, treatment.decided_on.toordinal()),
            observed_at=self._noon(treatment.decided_on),
            recorded_at=self._noon(treatment.decided_on + timedelta(days=2)),
            segment_id=self.world.segment_ids[treatment.segment],
            starts_on=treatment.done_on - timedelta(days=2),
            ends_on=treatment.done_on,
            kind="resurfacing",
        )

    def surveys(self, since: datetime, end: datetime) -> Iterator[Survey]:
        """Surveys recorded in (since, end], when the truth has reached `end`."""
        for year in range(since.year - 1, end.year + 1):
            for recorded_at, index, day in self._survey_days(year):
                if since < recorded_at <= end:
                    yield self._survey(index, self.world.segments[index], day, recorded_at)

    @lru_cache(maxsize=32)  # noqa: B019
    def _survey_days(self, year: int) -> tuple[tuple[datetime, int, date], ...]:
        """Every section once in four years: main roads first, then collectors, then the halves of the side roads."""
        turn, found = (year - self.world.epoch.year) % SURVEY_EVERY_YEARS, []
        for index, segment in enumerate(self.world.segments):
            half = 2 + segment.section_index % 2
            if turn == {"main": 0, "collector": 1}.get(segment.road_class, half):
                when = self.world.streams.numbers("registers/survey", segment.section_index, year, 2)
                day = date(year, 5, 2) + timedelta(days=int(120 * when[0]))
                found.append((self._noon(day) + timedelta(days=45 + int(60 * when[1])), index, day))
        return tuple(found)

    def _survey(self, index: int, segment: Segment, day: date, recorded_at: datetime) -> Survey:
        streams, condition, year = self.world.streams, self.truth.condition, day.year
        noise = np.exp(np.array([0.15, 0.2, 0.2]) * streams.normals("registers/survey-error", index, year, 3))
        crack = float(condition.crack_pct(year, day.month)[index] * noise[0])
        patch = float(condition.trench_pct(year, day.month)[index] * 0.6 * noise[1])
        age = float(condition.course_age_years(year, day.month)[index])
        rut = float((1.0 + 0.32 * age * condition.heavy_rank(year, day.month)[index] ** 2) * noise[2])
        grade_crack, grade_patch, grade_rut = (grade(crack, 1, 15, 25), grade(patch, 1, 15, 25), grade(rut, 4, 10, 20))
        substance = max(max(grade_crack, grade_patch), 0.7 * max(grade_crack, grade_patch) + 0.3 * grade_rut)
        return Survey(
            record_id=streams.uuid("survey", index, year),
            observed_at=self._noon(day),
            recorded_at=recorded_at,
            segment_id=segment.public_id,
            rule_set=RULE_SET,
            crack_pct=round(min(crack, 100.0), 1),
            patch_pct=round(min(patch, 100.0), 1),
            rut_depth_mm=round(rut, 1),
            substance_grade=round(substance, 1),
            serviceability_grade=round(grade_rut, 1),
            total_grade=round(max(substance, grade_rut), 1),
        )


def registers_of(truth: Truth) -> Registers:
    """The registers of a world, kept as long as the world is."""
    registers: Registers = truth.world.kept.setdefault("registers", None) or Registers(truth)
    truth.world.kept["registers"] = registers
    return registers


def grade(value: float, target: float, warning: float, threshold: float) -> float:
    """ZEB normalisation: 1.5, 3.5 and 4.5 at the three anchors, linear between, 1 to 5.

    Examples
    --------
    >>> grade(15, 1, 15, 25), grade(0, 1, 15, 25), grade(99, 1, 15, 25)
    (3.5, 1.0, 5.0)
    """
    if value < target:
        return 1.0 + 0.5 * value / target
    if value < warning:
        return 1.5 + 2.0 * (value - target) / (warning - target)
    return min(3.5 + (value - warning) / (threshold - warning), 5.0)
