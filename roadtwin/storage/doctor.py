"""What a database tells about itself that matters for losing nothing. Every question by itself: one that this role may
not ask leaves the others answered."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, LiteralString, TypeVar

import psycopg
from psycopg.rows import dict_row

from roadtwin.errors import MigrationError
from roadtwin.storage import queries
from roadtwin.storage.database import DatabaseMode, connect, detect_mode
from roadtwin.storage.device_states import SILENT_INTERVALS, SILENT_LEAST_S
from roadtwin.storage.migrate import check_schema, read_applied
from roadtwin.types import DOUBTFUL_TIME, Flag

WINDOW = timedelta(hours=24)
"""How far back accounts, delays of messages and times of values are looked at."""
NAMED_DEVICES = 5
"""So many devices are named, by their ids."""
IDLE_AFTER_S = 60.0
"""An open transaction of ours that does nothing for this long is left over [s]."""

T = TypeVar("T")

_SETTINGS = (
    "synchronous_commit",
    "fsync",
    "full_page_writes",
    "default_transaction_read_only",
    "max_connections",
    "superuser_reserved_connections",
    "reserved_connections",
    "timescaledb.max_tuples_decompressed_per_dml_transaction",
    "timescaledb.enable_direct_compress_copy",
    "timescaledb.enable_direct_compress_insert",
)
_WRITES = tuple(
    (table, privilege)
    for table, privileges in {
        "message": ("SELECT", "INSERT", "UPDATE"),
        "rejected_message": ("SELECT", "INSERT", "UPDATE"),
        "ingest_batch": ("SELECT", "INSERT", "UPDATE"),
        "raw_batch": ("INSERT",),
        "ingest_worker": ("SELECT", "INSERT", "UPDATE"),
        "device_health": ("SELECT", "INSERT", "UPDATE"),
        "device_frames": ("SELECT", "INSERT", "UPDATE"),
        "gateway_health": ("SELECT", "INSERT", "UPDATE"),
        "series_state": ("SELECT", "INSERT", "UPDATE"),
        "device": ("SELECT", "INSERT", "UPDATE"),
        "series": ("SELECT", "INSERT"),
        "observation": ("SELECT", "INSERT", "UPDATE"),
        "observation_conflict": ("INSERT",),
        "sensor_day_touched": ("INSERT",),
        "city": ("SELECT",),
        "vehicle_reading": ("SELECT", "INSERT"),
        "detection": ("INSERT",),
    }.items()
    for privilege in privileges
)
"""What the ingester does to which table."""


@dataclass(frozen=True, slots=True)
class Delay:
    """Arrival minus the network server's own time of the newest messages [s]."""

    messages: int
    least_s: float | None
    median_s: float | None


@dataclass(frozen=True, slots=True)
class SilentDevices:
    """Confirmed devices whose health is kept; `judged` have a known interval, `silent` are overdue by it."""

    devices: int
    judged: int
    silent: int


@dataclass(frozen=True, slots=True)
class DeviceTimes:
    """Confirmed devices that gave values within the window; most values of `untimed` ones have no trusted time.

    `names` are the first of these. `timeless_sources` are the network sources of those whose values mostly had no
    usable time (`Flag.CLOCK`), `wrong_clocks` says whether a clock that is off gave those of others (`Flag.SKEW`).
    """

    devices: int
    untimed: int
    names: tuple[str, ...] = ()
    timeless_sources: tuple[str, ...] = ()
    wrong_clocks: bool = False


@dataclass(frozen=True, slots=True)
class DatabaseProbe:
    """All that was seen of a database. None means not seen; `not_checked` gives the reason by question."""

    mode: DatabaseMode | None = None
    server: Mapping[str, Any] | None = None
    settings: Mapping[str, str] | None = None
    role: Mapping[str, Any] | None = None
    missing_privileges: tuple[str, ...] | None = None
    connections_used: int | None = None
    size_bytes: int | None = None
    clock_offset_s: float | None = None
    clock_uncertainty_s: float = 0.0
    idle_sessions: int | None = None
    idle_longest_s: float = 0.0
    received: int | None = None
    rejected: int = 0
    rejection_codes: Mapping[str, int] = field(default_factory=dict)
    delay: Delay | None = None
    health_kept: bool = False
    silent: SilentDevices | None = None
    device_times: DeviceTimes | None = None
    schema_problem: str | None = None
    schema_version: int = 0
    not_checked: Mapping[str, str] = field(default_factory=dict)


def probe_database(url: str, *, clock: Callable[[], datetime], idle_after_s: float = IDLE_AFTER_S) -> DatabaseProbe:
    """Ask a database everything; `clock` is ours, in UTC. Writes nothing.

    Transactions of ours that do nothing for longer than `idle_after_s` count as left over [s].

    Raises DatabaseUnavailableError, and only that.
    """
    with connect(url, autocommit=True, application_name="roadtwin doctor") as conn:
        return _Asking(conn, clock, idle_after_s).probe()


class _Asking:
    """One connection, and the questions that it could not answer."""

    def __init__(self, conn: psycopg.Connection[Any], clock: Callable[[], datetime], idle_after_s: float) -> None:
        self._conn = conn
        self._clock = clock
        self._idle_after_s = idle_after_s
        self._not_checked: dict[str, str] = {}

    def probe(self) -> DatabaseProbe:
        mode = self._try("mode", lambda: detect_mode(self._conn))  # first: it makes TimescaleDB's settings known
        since = {"since": self._clock() - WINDOW}
        tables, privileges = zip(*_WRITES, strict=True)
        settings = self._rows("read_settings", {"names": list(_SETTINGS)})
        missing = self._rows("read_missing_privileges", {"tables": list(tables), "privileges": list(privileges)})
        connections = self._row("read_connections")
        size = self._row("read_size")
        idle = self._row("read_idle_in_transaction", {"longer_than_s": self._idle_after_s})
        accounts = self._row("read_accounts", since)
        codes = self._rows("read_rejection_codes", since)
        delay = self._row("read_network_delay", since)
        health = self._row("health_is_kept")
        silent = self._silent() if health and health["kept"] else None
        offset_s, uncertainty_s = self._try("read_clock", self._clock_offset) or (None, 0.0)
        schema_problem, schema_version = self._try("schema", self._schema) or (None, 0)
        return DatabaseProbe(
            mode=mode,
            server=self._row("read_server"),
            settings={row["name"]: row["reset_val"] for row in settings} if settings is not None else None,
            role=self._row("read_role"),
            missing_privileges=tuple(row["missing"] for row in missing) if missing is not None else None,
            connections_used=connections["used"] if connections else None,
            size_bytes=size["size_bytes"] if size else None,
            clock_offset_s=offset_s,
            clock_uncertainty_s=uncertainty_s,
            idle_sessions=idle["sessions"] if idle else None,
            idle_longest_s=idle["longest_s"] if idle else 0.0,
            received=accounts["received"] if accounts else None,
            rejected=accounts["rejected"] if accounts else 0,
            rejection_codes={row["code"]: row["messages"] for row in codes or []},
            delay=Delay(**delay) if delay else None,
            health_kept=bool(health and health["kept"]),
            silent=silent,
            device_times=self._device_times(since),
            schema_problem=schema_problem,
            schema_version=schema_version,
            not_checked=self._not_checked,
        )

    def _try(self, name: str, ask: Callable[[], T]) -> T | None:
        try:
            return ask()
        except psycopg.Error as exc:
            text = str(exc).strip() or type(exc).__name__
            self._not_checked[name] = text.splitlines()[0]
            return None

    def _rows(self, name: str, parameters: Mapping[str, Any] | None = None) -> list[dict[str, Any]] | None:
        statement: LiteralString = queries.load("doctor")[name]

        def ask() -> list[dict[str, Any]]:
            with self._conn.cursor(row_factory=dict_row) as cursor:
                return cursor.execute(statement, parameters).fetchall()

        return self._try(name, ask)

    def _row(self, name: str, parameters: Mapping[str, Any] | None = None) -> dict[str, Any] | None:
        rows = self._rows(name, parameters)
        return rows[0] if rows else None

    def _silent(self) -> SilentDevices | None:
        row = self._row(
            "read_silent_devices",
            {"now": self._clock(), "intervals": SILENT_INTERVALS, "least_s": SILENT_LEAST_S},
        )
        return SilentDevices(**row) if row else None

    def _device_times(self, since: Mapping[str, Any]) -> DeviceTimes | None:
        flags = {"doubtful_time": int(DOUBTFUL_TIME), "skew": int(Flag.SKEW)}
        row = self._row("read_device_times", {**since, **flags, "named": NAMED_DEVICES})
        if row is None:
            return None
        lists = {name: tuple(row[name]) for name in ("names", "timeless_sources")}
        return DeviceTimes(**(row | lists))

    def _clock_offset(self) -> tuple[float, float]:
        """Database's clock minus ours, and how sure that is: the quickest of three questions [s]."""
        best: tuple[float, float] = (0.0, float("inf"))
        for _ in range(3):
            before = self._clock()
            row = self._conn.execute(queries.load("doctor")["read_clock"]).fetchone()
            after = self._clock()
            assert row is not None
            half = (after - before) / 2
            if half.total_seconds() < best[1]:
                best = (row[0] - (before + half)).total_seconds(), half.total_seconds()
        return best

    def _schema(self) -> tuple[str | None, int]:
        applied = read_applied(self._conn)
        version = applied[-1].version if applied else 0
        try:
            check_schema(self._conn)
        except MigrationError as exc:
            return str(exc), version
        return None, version
