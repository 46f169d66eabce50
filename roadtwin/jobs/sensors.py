"""Rolling observations of sensors up to sensor-days."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from roadtwin.records.sensor_days import FREEZE_BELOW_C, TEMPERATURES, THAW_ABOVE_C
from roadtwin.storage.sensor_days import FreezeThaw, roll_up_touched_days

_RULE = FreezeThaw(TEMPERATURES, FREEZE_BELOW_C, THAW_ABOVE_C)
_BATCH_DAYS = 50_000  # bounds memory, what an interruption costs, and how long writers of observations wait


@dataclass(frozen=True, slots=True)
class RollUpCounts:
    """`days` of series that were looked at, and rows written: a day that comes out as it was adds none."""

    days: int
    written: int


def roll_up_sensors(conn: psycopg.Connection[Any], *, now: datetime) -> RollUpCounts:
    """Roll up every local day that is over and whose observations changed since; several transactions.

    Run again it does nothing. What has not been digested (`ingest.digest`) waits: its flags are not known yet.
    """
    days = written = 0
    while True:
        taken, rows = roll_up_touched_days(conn, now=now, rule=_RULE, limit=_BATCH_DAYS)
        if not taken:
            return RollUpCounts(days, written)
        days, written = days + taken, written + rows
