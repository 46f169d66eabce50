"""Facts that the twin state is made of, in columns, as recorded by a time."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg
from numpy.typing import NDArray
from psycopg.types.json import Jsonb

from roadtwin.storage import queries
from roadtwin.storage.columns import copy_columns
from roadtwin.types import UNFIT

_SQL = queries.load("twin_facts")

_COLUMNS: dict[str, tuple[tuple[str, str], ...]] = {
    "weather_hours": (
        ("recorded_at", "timestamptz"), ("observed_at", "timestamptz"), ("station", "int4"), ("air_temp_c", "float4"),
        ("rain_mm", "float4"), ("radiation_w_per_m2", "float4"), ("wind_speed_mps", "float4"),
    ),
    "night_minima": (("day", "date"), ("lon", "float8"), ("lat", "float8"), ("minimum_c", "float4")),
    "camera_days": (
        ("segment_id", "int4"), ("day", "date"), ("recorded_at", "timestamptz"), ("good", "int2"), ("poor", "int2"),
        ("wet", "int2"), ("dark", "int2"), ("linear", "int4"), ("alligator", "int4"), ("roughness_mps2", "float4"),
    ),
    "sightings": (
        ("kind", "int2"), ("observed_at", "timestamptz"), ("segment_id", "int4"), ("station_m", "float8"),
        ("accuracy_m", "float8"), ("camera", "int4"), ("frames", "int2"),
    ),
    "lids": (("segment_id", "int4"), ("station_m", "float8")),
    "looks": (("segment_id", "int4"), ("observed_at", "timestamptz")),
    "patched": (("segment_id", "int4"), ("observed_at", "timestamptz"), ("area_m2", "float4")),
    "patch_days": (
        ("segment_id", "int4"), ("day", "date"), ("recorded_at", "timestamptz"), ("good", "int4"), ("poor", "int4"),
        ("patches", "int4"),
    ),
    "renewals": (("segment_id", "int4"), ("observed_at", "timestamptz")),
    "surveys": (
        ("segment_id", "int4"), ("observed_at", "timestamptz"), ("total_grade", "float4"), ("crack_pct", "float4"),
        ("patch_pct", "float4"),
    ),
    "pothole_counts": (("segment_id", "int4"), ("count", "int4"), ("recent", "int4")),
}  # fmt: skip


class Scope(NamedTuple):
    """As known when, and of which segments; None: of all."""

    now: datetime
    segment_ids: list[int] | None = None


class FrameLimits(NamedTuple):
    """Beyond which a frame is blurred, wet or dark; see `roadtwin.records.segment_days`."""

    blur_max: float = 1.0
    wet_max: float = 1.0
    light_min: float = 0.0


class SegmentShaking(NamedTuple):
    """How one segment shook one vehicle: mean logarithm of the acceleration [m/s²], passes, newest recording."""

    segment_id: int
    calibration_id: str
    log_mps2: float
    passes: int
    newest_at: datetime


class OpenHoles(NamedTuple):
    """Confirmed potholes open on a segment, their greatest severity and newest evidence."""

    segment_id: int
    holes: int
    severity: int
    newest_at: datetime


def read_facts(
    conn: psycopg.Connection[Any],
    what: str,
    scope: Scope,
    *,
    since: datetime | None = None,
    recent: datetime | None = None,
    first_day: date | None = None,
    cameras: Sequence[str] = (),
    limits: FrameLimits | None = None,
    matcher_version: int = 0,
) -> dict[str, NDArray[Any]]:
    """Columns of weather_hours, night_minima, camera_days, sightings, lids, looks, patched, patch_days, renewals,
    surveys or pothole_counts. `since` (with `recent` for the newest part) or `first_day` begins the window; `limits`
    tell frames apart."""
    parameters = {
        "now": scope.now,
        "segment_ids": scope.segment_ids,
        "since": since,
        "recent": recent,
        "first_day": first_day,
        "cameras": list(cameras),
        "matcher_version": matcher_version,
        "unfit": int(UNFIT),
        **(limits or FrameLimits())._asdict(),
    }
    return copy_columns(conn, _SQL[f"copy_{what}"], _COLUMNS[what], parameters)


def read_cameras(conn: psycopg.Connection[Any], *, now: datetime, since: datetime) -> list[str]:
    """Model and version of the cameras that sent readings after `since`."""
    rows = conn.execute(_SQL["read_cameras"], {"now": now, "since": since, "unfit": int(UNFIT)}).fetchall()
    return [name for (name,) in rows]


def read_patch_cameras(conn: psycopg.Connection[Any], *, now: datetime, since: datetime) -> list[str]:
    """Model and version of the cameras that reported a patch after `since`: what others do not report is unknown."""
    rows = conn.execute(_SQL["read_patch_cameras"], {"now": now, "since": since, "unfit": int(UNFIT)}).fetchall()
    return [name for (name,) in rows]


def read_shaking(
    conn: psycopg.Connection[Any],
    scope: Scope,
    *,
    since: datetime,
    reference_speed_mps: float,
    speed_min_mps: float,
    matcher_version: int,
) -> list[SegmentShaking]:
    """How segments shook vehicles after `since`; readings that are slower than `speed_min_mps` tell nothing."""
    parameters = {
        **scope._asdict(),
        "since": since,
        "reference_speed_mps": reference_speed_mps,
        "speed_min_mps": speed_min_mps,
        "matcher_version": matcher_version,
        "unfit": int(UNFIT),
    }
    return [SegmentShaking(*row) for row in conn.execute(_SQL["read_shaking"], parameters).fetchall()]


def read_open_potholes(conn: psycopg.Connection[Any], scope: Scope) -> dict[int, OpenHoles]:
    """Segment → confirmed potholes that were known to be open at the time."""
    rows = conn.execute(_SQL["read_open_potholes"], scope._asdict()).fetchall()
    return {row[0]: OpenHoles(*row) for row in rows}


def read_parameters(conn: psycopg.Connection[Any], *, now: datetime) -> dict[str, Any] | None:
    """The newest parameters from before `now`."""
    row = conn.execute(_SQL["read_parameters"], {"now": now}).fetchone()
    return row[0] if row else None


def read_parameters_time(conn: psycopg.Connection[Any], *, now: datetime) -> datetime | None:
    """When the newest parameters from before `now` were learnt."""
    row = conn.execute(_SQL["read_parameters_age"], {"now": now}).fetchone()
    return row[0] if row else None


def write_parameters(conn: psycopg.Connection[Any], parameters: dict[str, Any], *, as_of: datetime) -> None:
    """Keep parameters."""
    conn.execute(_SQL["write_parameters"], {"as_of": as_of, "parameters": Jsonb(parameters)})
