"""What the twin state is made of, as known at a time, and the state itself."""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any, NamedTuple

import psycopg

from roadtwin.storage import queries
from roadtwin.types import UNFIT

_SQL = queries.load("twin")


class WeatherDay(NamedTuple):
    """One local day, mean of the stations: temperatures [°C], rain [mm], hours known of each."""

    day: date
    minimum_c: float | None
    mean_c: float | None
    maximum_c: float | None
    rain_mm: float | None
    temp_hours: int
    rain_hours: int
    newest_at: datetime


class WeatherNow(NamedTuple):
    """The newest hour with an air temperature [°C], global radiation [W/m²] and wind speed [m/s]."""

    observed_at: datetime
    air_temp_c: float
    radiation_w_per_m2: float | None
    wind_speed_mps: float | None
    stations: int


class SensorValue(NamedTuple):
    """Newest value at one installed device, in the unit of its quantity."""

    lon: float
    lat: float
    value: float
    observed_at: datetime


class Passes(NamedTuple):
    """What the passes of a window saw of a segment; cracks only of days with a good pass."""

    segment_id: int
    passes: int
    good_passes: int
    linear_cracks: int | None
    alligator_cracks: int | None
    roughness_mps2: float | None
    roughness_sd_mps2: float
    roughness_days: int
    newest_at: datetime


class StateRow(NamedTuple):
    """State of one segment; `state` is JSON text."""

    segment_id: int
    as_of: datetime
    state: str
    condition_grade: float | None
    evidence_count: int
    newest_evidence_at: datetime | None


def read_weather_days(conn: psycopg.Connection[Any], *, first_day: date, now: datetime) -> list[WeatherDay]:
    """Local days of the city from `first_day` on that have weather, as known at `now`."""
    rows = conn.execute(_SQL["read_weather_days"], {"first_day": first_day, "now": now}).fetchall()
    return [WeatherDay(*row) for row in rows]


def read_weather_now(conn: psycopg.Connection[Any], *, now: datetime, window: timedelta) -> WeatherNow | None:
    """The newest hour within `window` before `now`; None without one."""
    row = conn.execute(_SQL["read_weather_now"], {"now": now, "window": window}).fetchone()
    return WeatherNow(*row) if row else None


def read_sensor_values(
    conn: psycopg.Connection[Any], quantity: str, *, now: datetime, window: timedelta
) -> list[SensorValue]:
    """Newest good values of confirmed, installed devices within `window` before `now`."""
    given = {"quantity": quantity, "now": now, "window": window, "unfit": int(UNFIT)}
    return [SensorValue(*row) for row in conn.execute(_SQL["read_sensor_values"], given).fetchall()]


def read_passes(conn: psycopg.Connection[Any], *, first_day: date, now: datetime) -> list[Passes]:
    """Sums over the segment-days from `first_day` on, as known at `now`."""
    rows = conn.execute(_SQL["read_passes"], {"first_day": first_day, "now": now}).fetchall()
    return [Passes(*row) for row in rows]


def read_last_passes(conn: psycopg.Connection[Any], *, now: datetime) -> dict[int, date]:
    """Segment → local day of the newest pass known at `now`."""
    return dict(conn.execute(_SQL["read_last_passes"], {"now": now}).fetchall())


def read_last_inspections(conn: psycopg.Connection[Any], *, now: datetime) -> dict[str, tuple[datetime, int]]:
    """Public segment id → (newest inspection, number of inspections in 365 days)."""
    rows = conn.execute(_SQL["read_last_inspections"], {"now": now}).fetchall()
    return {public_id: (newest_at, count) for public_id, newest_at, count in rows}


def read_newest_surveys(conn: psycopg.Connection[Any], *, now: datetime) -> dict[str, tuple[datetime, float]]:
    """Public segment id → (time, total grade) of the newest survey."""
    rows = conn.execute(_SQL["read_newest_surveys"], {"now": now}).fetchall()
    return {public_id: (observed_at, grade) for public_id, observed_at, grade in rows}


def read_open_potholes(conn: psycopg.Connection[Any], *, now: datetime) -> dict[int, tuple[int, int, datetime]]:
    """Segment → (confirmed potholes open at `now`, greatest severity, newest evidence)."""
    rows = conn.execute(_SQL["read_open_potholes"], {"now": now}).fetchall()
    return {segment_id: (count, severity, newest_at) for segment_id, count, severity, newest_at in rows}


def write_state(conn: psycopg.Connection[Any], rows: Iterable[StateRow]) -> None:
    """Replace the current state and the snapshot of its local day, unless newer ones are there."""
    with conn.cursor() as cur:
        cur.execute(_SQL["stage_state"])
        with cur.copy(_SQL["copy_state"]) as copy:
            for row in rows:
                copy.write_row(row)
        cur.execute(_SQL["merge_state"])
        cur.execute(_SQL["merge_state_day"])
        cur.execute(_SQL["drop_state_of_closed_segments"])
