"""States of devices and gateways, worked out when somebody asks: silence is a question about now, not a stored fact."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from roadtwin.storage import queries
from roadtwin.types import DOUBTFUL_TIME

DEVICE_STATES = (
    "ok", "silent", "low_battery", "skewed_clock", "losing_frames", "counter_reset", "stuck", "no_trusted_time",
    "never_seen", "unconfirmed", "retired",
)  # fmt: skip

SILENT_INTERVALS = 3.0
"""Silent after this many median intervals: of frames lost one in ten, three in a row are lost once in a thousand."""
SILENT_LEAST_S = 7200.0
"""And not before this [s]: a gateway or a network server that is restarted or updated is no silent device."""
SILENT_UNKNOWN_S = 86_400.0
"""Silent after this where no interval is known yet [s]: hardly a device sends less often than once a day."""
CLOCK_TOLERANCE_S = 30.0
"""As of `Flag.SKEW` [s]: how far from its own clock a network server takes over another one's (ChirpStack)."""
LOSS_LIMIT = 0.1
"""Share of frames lost lately: from 10 % on, ChirpStack's adaptive data rate has a device send each frame twice."""
LOSS_FRAMES = 10
"""Of so many frames at least: one of two lost says nothing."""
RESET_SHOWN = timedelta(days=7)
"""How long a reset of the counter is shown: from one weekly look at the devices to the next."""
TIMES_SHOWN = timedelta(days=1)
"""Over how long most values must have a time that cannot be trusted."""

LIMITS: Mapping[str, object] = {
    "silent_intervals": SILENT_INTERVALS,
    "silent_least_s": SILENT_LEAST_S,
    "silent_unknown_s": SILENT_UNKNOWN_S,
    "clock_tolerance_s": CLOCK_TOLERANCE_S,
    "loss_limit": LOSS_LIMIT,
    "loss_frames": LOSS_FRAMES,
    "reset_shown": RESET_SHOWN,
    "doubtful_time": int(DOUBTFUL_TIME),
    "times_shown": TIMES_SHOWN,
}
"""Parameters of the queries `find_device_states` and `find_gateways`."""

_SQL = queries.load("device_states")
_NAMED = 10
_WORST = 5


@dataclass(frozen=True, slots=True)
class HealthSummary:
    """How the devices are doing together; a device counts under each of its states.

    `silent` names some of the silent ones, `worst_losses` those that lost most lately: name, share lost lately, frames
    missing ever.
    """

    devices_by_state: dict[str, int]
    silent: list[str]
    worst_losses: list[tuple[str, float, int]]
    gateways_by_state: dict[str, int]


def read_health_summary(conn: psycopg.Connection[Any], now: datetime) -> HealthSummary:
    """Summary for the command line, in the caller's transaction."""
    asked = {
        **LIMITS,
        "now": now,
        "status": None,
        "state": None,
        "device_id": None,
        "after_device_id": 0,
        "limit": None,
    }
    devices = conn.execute(_SQL["find_device_states"], asked).fetchall()
    gateways = conn.execute(_SQL["find_gateways"], asked | {"after_gateway_id": ""}).fetchall()
    silent = [row[0] for row in devices if "silent" in row[3]]
    losing = sorted((row for row in devices if "losing_frames" in row[3]), key=lambda row: -row[2])[:_WORST]
    wanted = silent[:_NAMED] + [row[0] for row in losing]
    names = dict(conn.execute(_SQL["read_device_names"], {"device_ids": wanted}).fetchall())
    missing = {row[0]: row[5] for row in conn.execute(_SQL["read_device_health"], {"device_ids": wanted})}
    return HealthSummary(
        devices_by_state=_count(row[3] for row in devices),
        silent=[names[device_id] for device_id in silent[:_NAMED]],
        worst_losses=[(names[row[0]], round(float(row[2]), 3), missing[row[0]]) for row in losing],
        gateways_by_state=_count(row[1] for row in gateways),
    )


def _count(states: Any) -> dict[str, int]:
    counts = Counter(state for of_one in states for state in of_one)
    return {state: counts[state] for state in DEVICE_STATES if counts[state]}
