"""What models are made from, in columns, as recorded by a time."""

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, fields
from datetime import date, datetime
from typing import Any, NamedTuple

import msgspec
import psycopg
from numpy.typing import NDArray

from roadtwin.storage import queries
from roadtwin.storage.columns import copy_columns
from roadtwin.storage.potholes import without_nested_loops
from roadtwin.types import UNFIT

_SQL = queries.load("model_inputs")

_EVIDENCE = (
        ("kind", "int2"), ("evidence_id", "uuid"), ("part_no", "int4"), ("observed_at", "timestamptz"),
        ("recorded_at", "timestamptz"), ("section_id", "int4"), ("segment_id", "int4"), ("station_m", "float8"),
        ("accuracy_m", "float8"), ("lon", "float8"), ("lat", "float8"), ("pass_no", "int4"), ("width_m", "float4"),
        ("depth_m", "float4"), ("severity", "int2"),
)  # fmt: skip
_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "copy_evidence": _EVIDENCE,
    "copy_collected_evidence": _EVIDENCE,
    "copy_last_looks": (
        ("recorded_at", "timestamptz"), ("segment_id", "int4"), ("day", "date"), ("good_passes", "int2"),
        ("linear_cracks", "int4"), ("alligator_cracks", "int4"), ("roughness_mps2", "float4"),
    ),
    "copy_last_inspections": (("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4")),
    "copy_potholes": (
        ("segment_id", "int4"), ("first_recorded_at", "timestamptz"), ("confirmed_at", "timestamptz"),
        ("secured_at", "timestamptz"),
    ),
    "copy_open_spells": (("segment_id", "int4"), ("opened_at", "timestamptz"), ("closed_at", "timestamptz")),
    "copy_weather": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("station", "int4"), ("air_temp_c", "float4"),
        ("rain_mm", "float4"),
    ),
    "copy_forecasts": (
        ("recorded_at", "timestamptz"), ("issued_at", "timestamptz"), ("valid_at", "timestamptz"), ("station", "int4"),
        ("air_temp_c", "float4"), ("rain_mm", "float4"),
    ),
    "copy_surveys": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4"), ("crack_pct", "float4"),
        ("patch_pct", "float4"), ("rut_depth_mm", "float4"), ("total_grade", "float4"),
    ),
    "copy_segment_days": (
        ("recorded_at", "timestamptz"), ("segment_id", "int4"), ("day", "date"), ("good_passes", "int2"),
        ("linear_cracks", "int4"), ("alligator_cracks", "int4"), ("roughness_mps2", "float4"),
    ),
    "copy_sensor_days": (
        ("recorded_at", "timestamptz"), ("sensor", "int4"), ("day", "date"), ("lon", "float8"), ("lat", "float8"),
        ("quantity", "int4"), ("minimum", "float4"), ("mean", "float4"), ("maximum", "float4"),
        ("freeze_thaw_cycles", "float4"),
    ),
    "copy_inspections": (("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4")),
    "copy_repairs": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4"), ("renewal", "bool"),
        ("cold_mix", "bool"),
    ),
    "copy_trench_permits": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4"), ("area_m2", "float4"),
    ),
}  # fmt: skip


SENSOR_QUANTITIES = ("surface_temp_c", "soil_moisture_pct")
"""Quantities of sensor-days that models read; the column `quantity` counts them from 1 on."""


class ModelSegment(NamedTuple):
    """One valid segment with its attributes as stored."""

    segment_id: int
    public_id: str
    section_id: int
    from_station_m: float
    to_station_m: float
    length_m: float
    mid_lon: float
    mid_lat: float
    district: str
    road_class: str
    attributes: dict[str, Any]


def read_model_segments(conn: psycopg.Connection[Any]) -> list[ModelSegment]:
    """The valid segments in the order of their ids."""
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    with conn.cursor() as cursor:  # as they come: the texts of all attributes would take more than the rest of them
        rows = cursor.stream(_SQL["read_model_segments"])
        return [ModelSegment._make((*row[:-1], decode(row[-1]))) for row in rows]


def read_changed_attributes(conn: psycopg.Connection[Any]) -> list[tuple[int, datetime, dict[str, Any]]]:
    """(segment_id, recorded_at, attributes) of all editions of valid segments that have several, oldest first.

    Editions of the segments that they are the heirs of are among them.
    """
    decode = msgspec.json.Decoder(dict[str, Any]).decode
    rows = conn.execute(_SQL["read_changed_attributes"]).fetchall()
    return [(segment_id, recorded_at, decode(text)) for segment_id, recorded_at, text in rows]


@dataclass(frozen=True, slots=True)
class Part:
    """Which rows are wanted; None: all.

    `from_day` and `from_hour` bound segment-days, and hours and forecasts of the weather; segments and sections name
    whose segment-days and inspections, or whose evidence.
    """

    from_day: date | None = None
    from_hour: datetime | None = None
    segment_ids: Sequence[int] | None = None
    section_ids: Sequence[int] | None = None


EVERYTHING = Part()


def read_columns(
    conn: psycopg.Connection[Any], what: str, *, now: datetime, part: Part = EVERYTHING
) -> dict[str, NDArray[Any]]:
    """Columns of one statement of `sql/model_inputs.sql`, `copy_` and `what`, recorded by `now`."""
    name = f"copy_{what}"
    parameters = {
        "now": now,
        "quantities": list(SENSOR_QUANTITIES),
        "unfit": int(UNFIT),
        **{field.name: getattr(part, field.name) for field in fields(part)},
    }
    with without_nested_loops(conn) if what == "evidence" else nullcontext():
        return copy_columns(conn, _SQL[name], _COLUMNS[name], parameters)
