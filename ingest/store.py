"""The ingester's database connection: kept, made again after an outage, and patient while there is none."""

import threading
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg

from roadtwin.errors import DatabaseUnavailableError
from roadtwin.storage.database import connect
from roadtwin.storage.devices import read_registered_profiles
from roadtwin.storage.messages import write_batch
from roadtwin.storage.migrate import check_schema
from roadtwin.telemetry import STORE_RETRIES, get_logger
from roadtwin.types import BatchCounts, DeviceKey, Message, Origin, RejectedMessage

log = get_logger(__name__)
T = TypeVar("T")

FIRST_RETRY_S = 0.2
MOST_RETRY_S = 15.0

_RETRIED_CLASSES = ("08", "40", "53", "57", "58")  # connection, rollback, resources (disk full), operator, system
_NOT_RETRIED = ("53400",)  # a limit that a smaller batch may keep: TimescaleDB, late rows into compressed chunks
_RETRIED_STATES = ("25006", "55P03", "55000")  # read-only (a failover), lock not available, not in required state


class StoppedError(Exception):
    """The ingester was asked to stop while the database was away; nothing was acknowledged."""


def is_transient(exc: Exception) -> bool:
    """Whether waiting may help: the database is away, full, read-only or busy, and the batch is not at fault."""
    if isinstance(exc, DatabaseUnavailableError):
        return True
    if not isinstance(exc, psycopg.Error):
        return False
    state = exc.sqlstate or ""
    if not state:  # the connection broke, maybe during COMMIT: written again, the batch is all duplicates at worst
        return isinstance(exc, psycopg.OperationalError | psycopg.InterfaceError)
    if state in _NOT_RETRIED:
        return False
    return state[:2] in _RETRIED_CLASSES or state in _RETRIED_STATES


class Store:
    """Writes batches to one database, for as long as it takes. Used from one thread."""

    def __init__(self, url: str, *, worker: str, stop: threading.Event, origin: Origin = Origin.MQTT) -> None:
        self._url = url
        self._worker = worker
        self._origin = origin
        self._stop = stop
        self._conn: psycopg.Connection[Any] | None = None

    def write(self, messages: Sequence[Message], rejected: Sequence[RejectedMessage]) -> BatchCounts:
        """One transaction, committed when this returns.

        Raises StoppedError when asked to stop while the database is away; errors of a row pass through.
        """
        return self._patiently(
            lambda conn: write_batch(conn, messages, rejected, worker=self._worker, origin=self._origin)
        )

    def registered_profiles(self) -> dict[DeviceKey, str]:
        """The sensor profiles that operators registered; see `write` for errors."""

        def read(conn: psycopg.Connection[Any]) -> dict[DeviceKey, str]:
            with conn.transaction():
                return read_registered_profiles(conn)

        return self._patiently(read)

    def check_schema(self) -> None:
        """Raise MigrationError unless the database has the schema of this version; see `write` for outages."""

        def check(conn: psycopg.Connection[Any]) -> None:
            with conn.transaction():
                check_schema(conn)

        self._patiently(check)

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def _patiently(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        delay, failed = FIRST_RETRY_S, False
        while True:
            try:
                if self._conn is None or self._conn.closed:
                    self._conn = connect(self._url, application_name=f"roadtwin ingest {self._worker}")
                result = work(self._conn)
            except (psycopg.Error, DatabaseUnavailableError) as exc:
                if not is_transient(exc):
                    raise
                if not failed:  # once when it breaks, once when it is back
                    log.warning("database is away, waiting for it", action="database_away", reason=_first_line(exc))
                failed = True
                STORE_RETRIES.inc()
                self.close()
                if self._stop.wait(delay):
                    raise StoppedError from exc
                delay = min(delay * 2, MOST_RETRY_S)
            else:
                if failed:
                    log.info("database is back", action="database_back")
                return result


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
