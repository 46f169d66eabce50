"""The ingester's database connection: kept, made again after an outage, and patient for a while when there is none."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import psycopg

from ingest.batch import POISON
from roadtwin.errors import DatabaseUnavailableError
from roadtwin.storage.batch_rows import Prepared
from roadtwin.storage.database import connect
from roadtwin.storage.messages import BatchWriter
from roadtwin.storage.migrate import check_schema
from roadtwin.telemetry import STORE_RETRIES, get_logger
from roadtwin.types import BatchCounts, Message, Origin, RejectedMessage

log = get_logger(__name__)
T = TypeVar("T")

FIRST_RETRY_S = 0.2
MOST_RETRY_S = 15.0

_RETRIED_CLASSES = ("08", "40", "53", "57", "58")  # connection, rollback, resources (disk full), operator, system
_NOT_RETRIED = ("53400",)  # a limit that a smaller batch may keep: TimescaleDB, late rows into compressed chunks
_RETRIED_STATES = ("25006", "55P03", "55000")  # read-only (a failover), lock not available, not in required state


class StoppedError(Exception):
    """The ingester was asked to stop while the database was away; nothing was acknowledged."""


class DatabaseAwayError(Exception):
    """The database has been away for longer than the store waits; nothing of the batch is written as far as we know."""


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
    """Writes batches to one database. Used from one thread.

    `patience_s` is how long it tries again before it raises DatabaseAwayError [s]; None: for ever.
    """

    def __init__(
        self,
        url: str,
        *,
        worker: str,
        stop: threading.Event,
        origin: Origin = Origin.MQTT,
        patience_s: float | None = None,
    ) -> None:
        self._url = url
        self._worker = worker
        self._origin = origin
        self._stop = stop
        self._patience_s = patience_s
        self._conn: psycopg.Connection[Any] | None = None
        self._writer: BatchWriter | None = None
        self._away_since: float | None = None
        self._schema_fits = False

    @property
    def away_s(self) -> float:
        """How long the database has been away by now; 0 while it is there [s]."""
        since = self._away_since
        return 0.0 if since is None else time.monotonic() - since

    def prepare(self, messages: Sequence[Message]) -> Prepared | None:
        """Make the rows of a batch ahead of `write`, in any thread; None where only its transaction can make them.

        Also where no row can hold a value of it: `write` then says so.
        """
        writer = self._writer
        try:
            return writer.prepare(messages) if writer is not None else None
        except POISON:
            return None

    def write(
        self, messages: Sequence[Message], rejected: Sequence[RejectedMessage], prepared: Prepared | None = None
    ) -> BatchCounts:
        """One transaction, committed when this returns.

        Raises StoppedError when asked to stop while the database is away, DatabaseAwayError when that takes longer than
        our patience, MigrationError unless the schema is that of this version; errors of a row pass through.
        """

        def write(_conn: psycopg.Connection[Any]) -> BatchCounts:
            assert self._writer is not None, "made with the connection"
            return self._writer.write(messages, rejected, prepared)

        return self._patiently(write)

    def check_schema(self) -> None:
        """Raise MigrationError unless the database has the schema of this version; see `write` for outages."""
        self._patiently(lambda _conn: None)

    def close(self) -> None:
        """Close the connection."""
        if self._conn is not None:
            self._conn.close()
            self._conn = self._writer = None

    def _connection(self) -> psycopg.Connection[Any]:
        if self._conn is None or self._conn.closed:
            self._conn = connect(self._url, application_name=f"roadtwin ingest {self._worker}")
            self._writer = BatchWriter(self._conn, worker=self._worker, origin=self._origin)
            if not self._schema_fits:
                with self._conn.transaction():
                    check_schema(self._conn)
                self._schema_fits = True
        return self._conn

    def _patiently(self, work: Callable[[psycopg.Connection[Any]], T]) -> T:
        delay, began = FIRST_RETRY_S, time.monotonic()
        while True:
            try:
                result = work(self._connection())
            except (psycopg.Error, DatabaseUnavailableError) as exc:
                if not is_transient(exc):
                    raise
                if self._away_since is None:  # once when it breaks, once when it is back
                    log.warning("database is away, waiting for it", action="database_away", reason=_first_line(exc))
                    self._away_since = time.monotonic()
                STORE_RETRIES.inc()
                self.close()
                if self._patience_s is not None and time.monotonic() - began + delay > self._patience_s:
                    raise DatabaseAwayError from exc
                if self._stop.wait(delay):
                    raise StoppedError from exc
                delay = min(delay * 2, MOST_RETRY_S)
            else:
                if self._away_since is not None:
                    log.info("database is back", action="database_back", away_s=round(self.away_s, 1))
                    self._away_since = None
                return result


def _first_line(exc: Exception) -> str:
    return (str(exc).splitlines() or [type(exc).__name__])[0]
