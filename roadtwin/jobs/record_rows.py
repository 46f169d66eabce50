"""Records as rows of their tables."""

from collections.abc import Callable
from typing import Any

from roadtwin.records.schema import (
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
from roadtwin.types import Origin

Row = tuple[object, ...]


def _position(position: RecordPosition | None) -> Row:
    return (None, None, None) if position is None else (position.lon, position.lat, position.accuracy_m)


def _head(record: Record, origin: Origin) -> Row:
    return record.record_id, record.observed_at, record.recorded_at, origin.value


def _repair(r: Repair, origin: Origin) -> Row:
    what = (r.kind, r.method, r.area_m2, r.depth_m, r.crew, r.note)
    return *_head(r, origin), r.segment_id, *_position(r.position), *what


def _inspection(r: Inspection, origin: Origin) -> Row:
    return *_head(r, origin), r.segment_id, r.inspector_role, r.note


def _report(r: Report, origin: Origin) -> Row:
    return *_head(r, origin), r.segment_id, *_position(r.position), r.channel, r.category, r.text


def _weather(r: Weather, origin: Origin) -> Row:
    measured = (r.air_temp_c, r.humidity_pct, r.wind_speed_mps, r.rain_mm, r.snow_depth_cm, r.radiation_w_per_m2)
    return r.station, r.observed_at, r.recorded_at, origin.value, *measured


def _weather_forecast(r: WeatherForecast, origin: Origin) -> Row:
    return r.station, r.issued_at, r.valid_at, r.recorded_at, origin.value, r.air_temp_c, r.rain_mm


def _survey(r: Survey, origin: Origin) -> Row:
    shares = (r.crack_pct, r.patch_pct, r.rut_depth_mm)
    grades = (r.substance_grade, r.serviceability_grade, r.total_grade)
    return *_head(r, origin), r.segment_id, r.rule_set, *shares, *grades


def _trench_permit(r: TrenchPermit, origin: Origin) -> Row:
    return *_head(r, origin), r.segment_id, r.area_m2, r.closed_at


def _planned_work(r: PlannedWork, origin: Origin) -> Row:
    return *_head(r, origin), r.segment_id, r.starts_on, r.ends_on, r.kind


ROW_OF: dict[str, Callable[[Any, Origin], Row]] = {
    "repair": _repair,
    "inspection": _inspection,
    "report": _report,
    "weather": _weather,
    "weather_forecast": _weather_forecast,
    "survey": _survey,
    "trench_permit": _trench_permit,
    "planned_work": _planned_work,
}
"""Kind → how a record of it is written, in the column order of its COPY statement."""


def finding_rows(inspection: Inspection) -> list[Row]:
    """The findings of an inspection, numbered from 0."""
    return [
        (inspection.record_id, number, f.class_code, f.severity, *_position(f.position), f.width_m, f.depth_m)
        for number, f in enumerate(inspection.findings)
    ]
