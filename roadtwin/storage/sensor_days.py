"""Sensor-days: loaded in bulk, and rolled up from observations of the local days that were touched."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

import psycopg
from numpy.typing import NDArray

from roadtwin.storage import queries
from roadtwin.storage.columns import write_columns
from roadtwin.types import DOUBTFUL_TIME, UNFIT, Origin
from roadtwin.units import SENSOR_DAY_QUANTITIES

_SQL = queries.load("sensor_days")
_COLUMNS = (
    ("series_id", "int4"), ("day", "date"), ("recorded_at", "timestamptz"), ("count", "int2"), ("minimum", "float4"),
    ("mean", "float4"), ("maximum", "float4"), ("freeze_thaw_cycles", "int2"),
)  # fmt: skip

Connection = psycopg.Connection[Any]


class FreezeThaw(NamedTuple):
    """In which quantities cycles are counted, and the temperatures between which nothing is [°C]."""

    temperatures: tuple[str, ...]
    freeze_below_c: float
    thaw_above_c: float


def load_sensor_days(conn: Connection, columns: dict[str, NDArray[Any]]) -> int:
    """Write sensor-days that were made elsewhere (origin `loaded`); gives how many are new.

    `columns`: series_id, day (datetime64[D]), recorded_at (datetime64[us], UTC), count, minimum, mean, maximum and
    freeze_thaw_cycles (-1: no temperature), each (n,). Part of the caller's transaction.
    """
    conn.execute(_SQL["stage_sensor_day"])
    write_columns(conn, _SQL["copy_sensor_day"], _COLUMNS, columns)
    return conn.execute(_SQL["merge_sensor_day"], {"origin": Origin.LOADED.value}).rowcount


def touch_days(conn: Connection, series_ids: Sequence[int], instants: Sequence[datetime]) -> None:
    """Observations of these series at these instants were added, flagged or replaced in this transaction.

    Series of other quantities than `SENSOR_DAY_QUANTITIES` are passed over; without a city there are no local days yet.
    """
    given = {"series_ids": series_ids, "instants": instants, "quantities": list(SENSOR_DAY_QUANTITIES)}
    conn.execute(_SQL["touch_sensor_days"], given)


def touch_all_days(conn: Connection) -> None:
    """Every day on which there is an observation has to be rolled up (again)."""
    conn.execute(_SQL["touch_all_sensor_days"], {"quantities": list(SENSOR_DAY_QUANTITIES)})


def roll_up_touched_days(conn: Connection, *, now: datetime, rule: FreezeThaw, limit: int) -> tuple[int, int]:
    """Roll up at most `limit` touched days that are over, and of temperatures the days after them.

    Gives how many days were rolled up, and how many rows were written.

    A transaction of its own; meanwhile no observation can be added, flagged or replaced.
    """
    with conn.transaction():
        conn.execute(_SQL["lock_sensor_days"])
        conn.execute(_SQL["stage_rolled_day"])
        given = {"now": now, "limit": limit, **rule._asdict(), "temperatures": list(rule.temperatures)}
        taken = conn.execute(_SQL["take_touched_days"], given).rowcount
        if not taken:
            return 0, 0
        conn.execute(_SQL["analyze_rolled_day"])
        flags = {"unfit": int(UNFIT), "doubtful_time": int(DOUBTFUL_TIME)}
        return taken, conn.execute(_SQL["roll_up_sensor_days"], given | flags).rowcount
