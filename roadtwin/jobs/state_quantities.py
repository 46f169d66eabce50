"""The quantities of the twin state, each from its sources as known at a time."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from models.features.weather import antecedent_precipitation_mm, freeze_thaw_days, frost_index_cd, window_sum
from models.twin import (
    LEAST_GOOD_PASSES,
    SOIL_MOISTURE_FIELD,
    SURFACE_TEMP_FIELD,
    Estimate,
    Field,
    condition_grade,
    crack_index_pct,
    day_count_sd,
    interpolate,
    soil_moisture_from_rain_pct,
    surface_temp_from_weather_c,
)
from roadtwin.storage import twin as storage
from roadtwin.storage.network import StoredSegment

Floats = NDArray[np.float64]

CAMERA_WINDOW_DAYS = 90
"""Passes of this many local days make the crack index and the roughness."""
WEATHER_WINDOW_DAYS = 60
LEAST_HOURS = 20
"""A day with fewer known hours is unknown; the day that has only begun is taken as it stands."""
SURFACE_TEMP_MAX_AGE = timedelta(hours=3)
SOIL_MOISTURE_MAX_AGE = timedelta(hours=24)
LOOKED_DAYS = 365
"""Where nobody passed or inspected for this long, the number of open potholes is unknown, not 0."""

_EARTH_RADIUS_M = 6_371_008.8
_FROST_PLACE_SD_C = 0.5  # a place is steadily warmer or colder than the station by about this [°C]
_RAIN_PLACE_SHARE = 0.2  # rain of a week differs between places of a city by about this share


@dataclass(frozen=True, slots=True)
class Quantity:
    """One entry of the state by segment: value and sd (n,), NaN unknown; count, newest time and source of each."""

    value: Floats
    sd: Floats
    count: Sequence[int]
    newest_at: Sequence[datetime | None]
    source: Sequence[str]


def _same_everywhere(n: int, value: float, sd: float, count: int, newest_at: datetime | None) -> Quantity:
    known = value == value
    source = "weather" if known else "none"
    return Quantity(np.full(n, value), np.full(n, sd if known else np.nan), [count] * n, [newest_at] * n, [source] * n)


def weather_quantities(
    conn: psycopg.Connection[Any], segments: Sequence[StoredSegment], *, zone: tzinfo, now: datetime
) -> dict[str, Quantity]:
    """Frost, rain, surface temperature and soil moisture; `zone` is that of the city."""
    today = now.astimezone(zone).date()
    first_day = today - timedelta(days=WEATHER_WINDOW_DAYS)
    days = storage.read_weather_days(conn, first_day=first_day, now=now)
    n, newest_at = len(segments), max((day.newest_at for day in days), default=None)
    table = np.full((4, WEATHER_WINDOW_DAYS + 1), np.nan)
    for day in days:
        column = (day.day - first_day).days
        begun = day.day == today
        if day.temp_hours >= LEAST_HOURS or (begun and day.temp_hours):
            table[:3, column] = day.minimum_c, day.mean_c, day.maximum_c
        if day.rain_hours >= LEAST_HOURS or (begun and day.rain_hours):
            table[3, column] = day.rain_mm
    minimum_c, mean_c, maximum_c, rain_mm = table
    cycles = freeze_thaw_days(minimum_c, maximum_c)
    frost_cd = frost_index_cd(mean_c, 30)
    frost_sd = _FROST_PLACE_SD_C * float(np.sum(mean_c[-30:] < _FROST_PLACE_SD_C))  # steady: days do not average out
    rain_7d_mm = window_sum(rain_mm, 7)
    known = int(np.isfinite(mean_c[-30:]).sum())
    wet = int(np.isfinite(rain_mm[-7:]).sum())
    return {
        "freeze_thaw_cycles_30d": _same_everywhere(
            n, window_sum(cycles, 30), day_count_sd(minimum_c[-30:], maximum_c[-30:]), known, newest_at
        ),
        "frost_index_30d_c_d": _same_everywhere(n, frost_cd, frost_sd, known, newest_at),
        "rain_7d_mm": _same_everywhere(n, rain_7d_mm, 1.0 + _RAIN_PLACE_SHARE * rain_7d_mm, wet, newest_at),
        "surface_temp_c": _surface_temp(conn, segments, now),
        "soil_moisture_pct": _soil_moisture(conn, segments, now, rain_mm, newest_at),
    }


def _surface_temp(conn: psycopg.Connection[Any], segments: Sequence[StoredSegment], now: datetime) -> Quantity:
    hour = storage.read_weather_now(conn, now=now, window=SURFACE_TEMP_MAX_AGE)
    nan = float("nan")
    background = (
        surface_temp_from_weather_c(nan, nan, nan)
        if hour is None
        else surface_temp_from_weather_c(
            hour.air_temp_c, _number(hour.radiation_w_per_m2), _number(hour.wind_speed_mps)
        )
    )
    sensors = storage.read_sensor_values(conn, "surface_temp_c", now=now, window=SURFACE_TEMP_MAX_AGE)
    return _spread(segments, sensors, background, SURFACE_TEMP_FIELD, hour.observed_at if hour else None)


def _soil_moisture(
    conn: psycopg.Connection[Any],
    segments: Sequence[StoredSegment],
    now: datetime,
    rain_mm: Floats,
    newest_at: datetime | None,
) -> Quantity:
    recent = np.isfinite(rain_mm[-30:]).mean() >= 0.8
    background = soil_moisture_from_rain_pct(antecedent_precipitation_mm(rain_mm) if recent else float("nan"))
    sensors = storage.read_sensor_values(conn, "soil_moisture_pct", now=now, window=SOIL_MOISTURE_MAX_AGE)
    return _spread(segments, sensors, background, SOIL_MOISTURE_FIELD, newest_at)


def _spread(
    segments: Sequence[StoredSegment],
    sensors: Sequence[storage.SensorValue],
    background: Estimate,
    field: Field,
    weather_at: datetime | None,
) -> Quantity:
    """A quantity over the city; where sensors halve the variance of the weather's estimate, they are the source."""
    places = _plane_m([(segment.mid_lon, segment.mid_lat) for segment in segments], segments)
    at = _plane_m([(sensor.lon, sensor.lat) for sensor in sensors], segments)
    measured = np.array([sensor.value for sensor in sensors], dtype=np.float64)
    estimate = interpolate(places, at, measured, background, field)
    without = interpolate(places, at[:0], measured[:0], background, field)
    distance_m = np.hypot(*(places[:, None, :] - at[None, :, :]).transpose(2, 0, 1))
    near = (distance_m <= field.range_m).sum(axis=1).tolist()
    by_sensors = (np.isnan(without.sd) | (estimate.sd**2 < 0.5 * without.sd**2)) & bool(len(at))
    newest_sensor = max((sensor.observed_at for sensor in sensors), default=None)
    unknown, weather = (0, None, "none"), int(np.isfinite(background.value[0]))
    rows = [
        unknown
        if value != value
        else (count, newest_sensor, "sensors")
        if sensed
        else (weather + count, weather_at, "weather")
        for value, sensed, count in zip(estimate.value.tolist(), by_sensors.tolist(), near, strict=True)
    ]
    count, newest_at, source = zip(*rows, strict=True)
    return Quantity(estimate.value, estimate.sd, count, newest_at, source)


def _plane_m(places: Sequence[tuple[float, float]], segments: Sequence[StoredSegment]) -> Floats:
    """Places on a plane that touches the network, shape (n, 2) [m]."""
    origin = segments[0]
    degrees = np.array(places, dtype=np.float64).reshape(-1, 2) - [origin.mid_lon, origin.mid_lat]
    return np.asarray(np.radians(degrees) * _EARTH_RADIUS_M * [np.cos(np.radians(origin.mid_lat)), 1.0])


def _number(value: float | None) -> float:
    return float("nan") if value is None else float(value)


def camera_quantities(
    conn: psycopg.Connection[Any], segments: Sequence[StoredSegment], *, zone: tzinfo, now: datetime
) -> dict[str, Quantity]:
    """Cracks, roughness and the age of the newest pass, from vehicle passes."""
    today = now.astimezone(zone).date()
    first_day = today - timedelta(days=CAMERA_WINDOW_DAYS - 1)
    passes = {row.segment_id: row for row in storage.read_passes(conn, first_day=first_day, now=now)}
    last = storage.read_last_passes(conn, now=now)
    rows = [passes.get(segment.segment_id) for segment in segments]

    def column(values: Sequence[float | int | None]) -> Floats:
        return np.array(values, dtype=np.float64)  # None becomes NaN

    good = [0 if row is None else row.good_passes for row in rows]
    cracks = crack_index_pct(
        np.nan_to_num(column([row.linear_cracks if row else None for row in rows])),
        np.nan_to_num(column([row.alligator_cracks if row else None for row in rows])),
        column(good),
        np.array([segment.to_station_m - segment.from_station_m for segment in segments]),
    )
    newest = [row.newest_at if row else None for row in rows]
    rough_days = [row.roughness_days if row else 0 for row in rows]
    rough_sd = column([row.roughness_sd_mps2 if row and row.roughness_days > 1 else None for row in rows])
    days = [last.get(segment.segment_id) for segment in segments]
    age_d = column([None if day is None else (today - day).days for day in days])
    driven = [row.passes if row else 0 for row in rows]
    return {
        "crack_index_pct": Quantity(cracks.value, cracks.sd, good, newest, _named("camera", cracks.value)),
        "roughness_mps2": Quantity(
            rough := column([row.roughness_mps2 if row else None for row in rows]),
            rough_sd / np.sqrt(np.maximum(rough_days, 1)),
            rough_days,
            newest,
            _named("camera", rough),
        ),
        "last_pass_age_d": Quantity(
            age_d, np.full(len(rows), np.nan), driven, _starts(days, zone), _named("camera", age_d)
        ),
    }


def people_quantities(
    conn: psycopg.Connection[Any], segments: Sequence[StoredSegment], seen: Quantity, *, now: datetime
) -> dict[str, Quantity]:
    """Age of the newest inspection, and open potholes; `seen` is the age of the newest pass."""
    inspections = storage.read_last_inspections(conn, now=now)
    potholes = storage.read_open_potholes(conn, now=now)
    visits = [inspections.get(segment.public_id, (None, 0)) for segment in segments]
    at = [visited_at for visited_at, _ in visits]
    age_d = np.array([np.nan if t is None else (now - t) / timedelta(days=1) for t in at])
    holes = [potholes.get(segment.segment_id) for segment in segments]
    looked = (age_d <= LOOKED_DAYS) | (seen.value <= LOOKED_DAYS)
    open_count = np.array([np.nan if hole is None else float(hole[0]) for hole in holes])
    open_count = np.where(np.isnan(open_count) & looked, 0.0, open_count)
    nothing = np.full(len(segments), np.nan)
    looks = [driven + count for driven, (_, count) in zip(seen.count, visits, strict=True)]
    newest = [
        _latest(hole[2] if hole else None, visited_at, passed_at)
        for hole, visited_at, passed_at in zip(holes, at, seen.newest_at, strict=True)
    ]
    return {
        "last_inspection_age_d": Quantity(
            age_d, nothing, [count for _, count in visits], at, _named("inspection", age_d)
        ),
        "open_potholes_count": Quantity(open_count, nothing, looks, newest, _named("potholes", open_count)),
    }


def grade_quantity(
    conn: psycopg.Connection[Any],
    segments: Sequence[StoredSegment],
    cracks: Quantity,
    potholes: Quantity,
    *,
    now: datetime,
) -> Quantity:
    """The condition grade; its count and newest time are those of all evidence of the segment."""
    surveys = storage.read_newest_surveys(conn, now=now)
    severity = {segment_id: worst for segment_id, (_, worst, _) in storage.read_open_potholes(conn, now=now).items()}
    surveyed = [surveys.get(segment.public_id) for segment in segments]
    survey_grade = np.array([np.nan if survey is None else survey[1] for survey in surveyed])
    age_years = np.array(
        [np.nan if survey is None else (now - survey[0]) / timedelta(days=365.25) for survey in surveyed]
    )
    worst = np.array([severity.get(segment.segment_id, 0) for segment in segments], dtype=np.float64)
    open_count = np.nan_to_num(potholes.value)
    good = np.array(cracks.count, dtype=np.float64)
    visible = condition_grade(
        Estimate(cracks.value, cracks.sd), good, survey_grade, age_years, np.zeros(len(worst)), np.zeros(len(worst))
    )
    grade = condition_grade(Estimate(cracks.value, cracks.sd), good, survey_grade, age_years, open_count, worst)
    by_holes = (open_count > 0) & ~(visible.value == grade.value)
    from_camera, from_survey = good >= LEAST_GOOD_PASSES, np.isfinite(survey_grade)
    source = np.select(
        [np.isnan(grade.value), by_holes, from_camera & from_survey, from_camera],
        ["none", "potholes", "camera+survey", "camera"],
        "survey",
    )
    counts = [seen + (survey is not None) for seen, survey in zip(potholes.count, surveyed, strict=True)]
    newest = [
        _latest(at, survey[0] if survey else None) for at, survey in zip(potholes.newest_at, surveyed, strict=True)
    ]
    return Quantity(grade.value, grade.sd, counts, newest, source.tolist())


def _latest(*times: datetime | None) -> datetime | None:
    return max((at for at in times if at is not None), default=None)


def _named(source: str, values: Floats) -> list[str]:
    return [source if value == value else "none" for value in values.tolist()]


def _starts(days: Sequence[date | None], zone: tzinfo) -> list[datetime | None]:
    """Begin of each local day."""
    return [None if d is None else datetime(d.year, d.month, d.day, tzinfo=zone).astimezone(UTC) for d in days]
