"""What models are made from, in columns, as recorded by a time."""

from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from numpy.typing import NDArray

from roadtwin.storage import queries
from roadtwin.storage.columns import copy_columns

_SQL = queries.load("model_inputs")

CAMERA_ACCURACY_M = 5.0
"""Position accuracy (1 σ) assumed of a vehicle reading that gives none [m]."""

_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "copy_evidence": (
        ("kind", "int2"), ("evidence_id", "uuid"), ("part_no", "int4"), ("observed_at", "timestamptz"),
        ("recorded_at", "timestamptz"), ("section_id", "int4"), ("segment_id", "int4"), ("station_m", "float8"),
        ("accuracy_m", "float8"), ("lon", "float8"), ("lat", "float8"), ("pass_no", "int4"), ("width_m", "float4"),
        ("depth_m", "float4"), ("severity", "int2"),
    ),
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
    "copy_inspections": (("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4")),
    "copy_repairs": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4"), ("renewal", "bool"),
    ),
    "copy_trench_permits": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("segment_id", "int4"), ("area_m2", "float4"),
    ),
}  # fmt: skip


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
    return [ModelSegment(*row) for row in conn.execute(_SQL["read_model_segments"]).fetchall()]


def read_columns(conn: psycopg.Connection[Any], what: str, *, now: datetime) -> dict[str, NDArray[Any]]:
    """Columns of evidence, weather, segment_days, inspections, repairs or trench_permits recorded by `now`."""
    name = f"copy_{what}"
    parameters = {"now": now, "camera_accuracy_m": CAMERA_ACCURACY_M}
    return copy_columns(conn, _SQL[name], _COLUMNS[name], parameters)
