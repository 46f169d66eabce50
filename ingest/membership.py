"""What a worker tells the database about itself, every few seconds, and what it notices about the others."""

import os
import socket
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg
from prometheus_client import Counter, Gauge

from roadtwin.errors import DatabaseUnavailableError
from roadtwin.storage.database import connect
from roadtwin.storage.workers import (
    ABSENT_AFTER_S,
    Heartbeat,
    WorkerCounts,
    find_absent,
    write_heartbeat,
)
from roadtwin.telemetry import (
    ABSENT_WORKERS,
    CONNECTED,
    CONNECTIONS,
    HOUSEKEEPING_FAILURES,
    JOURNAL_MESSAGES,
    MESSAGES,
    QOS0_MESSAGES,
    RECEIVED,
    get_logger,
)

log = get_logger(__name__)

HEARTBEAT_S = 10.0
"""How often a worker says that it is there [s]."""
CLOSE_S = 5.0
"""How long a stop waits for the last heartbeat [s]."""
MISSED_S = 3 * HEARTBEAT_S
"""Two of our own heartbeats this far apart [s]: the database was away, and the others could not tell either."""


def total(metric: Counter | Gauge, **labels: str) -> int:
    """Sum of a metric over all its labels, or over those that have these values."""
    return int(
        sum(
            sample.value
            for family in metric.collect()
            for sample in family.samples
            if not sample.name.endswith("_created") and labels.items() <= sample.labels.items()
        )
    )


def _read_metrics() -> dict[str, int]:
    return {
        "received": total(RECEIVED),
        "stored": total(MESSAGES, outcome="stored"),
        "duplicate": total(MESSAGES, outcome="duplicate"),
        "rejected": total(MESSAGES, outcome="rejected"),
        "session_new_count": total(CONNECTIONS, session="new"),
        "qos0": total(QOS0_MESSAGES),
    }


class Membership:
    """Heartbeats of this process, and the alarm for members of its group that are absent.

    In a thread and on a connection of its own: other work beside the stream may take minutes. The counts are those of
    the metrics, since this object was made: make it after the journal is open and before anything is received.
    `in_process` tells how many messages are neither stored, nor rejected, nor in the journal.
    """

    def __init__(
        self,
        database_url: str,
        worker: str,
        share_group: str,
        *,
        in_process: Callable[[], int],
        heartbeat_s: float = HEARTBEAT_S,
        absent_after_s: float = ABSENT_AFTER_S,
        missed_s: float = MISSED_S,
    ) -> None:
        self._url = database_url
        self._worker = worker
        self._share_group = share_group
        self._in_process = in_process
        self._heartbeat_s = heartbeat_s
        self._absent_after_s = absent_after_s
        self._missed_s = missed_s
        self._started_at = datetime.now(UTC)
        self._journal_found = total(JOURNAL_MESSAGES)
        self._before = _read_metrics()
        self._last_s: float | None = None  # of our newest heartbeat
        self._regular_since_s = 0.0
        self._conn: psycopg.Connection[Any] | None = None
        self._failing = False
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin with heartbeats."""
        self._thread = threading.Thread(target=self._run, name="ingest heartbeat", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """Say that we are gone, but not retired: the broker keeps our session. Unheard where the database is away."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        ABSENT_WORKERS.set(0)

    def _run(self) -> None:
        while not self._stop.is_set():
            self._try(self.beat)
            self._stop.wait(self._heartbeat_s)
        if not self._failing:
            self._try(lambda conn: write_heartbeat(conn, self._heartbeat()))
        self._disconnect()

    def _try(self, work: Callable[[psycopg.Connection[Any]], object]) -> None:
        """A failure is logged once and tried again at the next turn."""
        try:
            if self._conn is None or self._conn.closed:
                self._conn = connect(self._url, application_name=f"roadtwin ingest {self._worker} heartbeat")
            work(self._conn)
            self._failing = False
        except (psycopg.Error, DatabaseUnavailableError) as exc:
            HOUSEKEEPING_FAILURES.labels("heartbeat").inc()
            if not self._failing:
                log.warning("no heartbeat, tried again later", action="heartbeat_failed", reason=str(exc))
            self._failing = True
            self._disconnect()
        except Exception:  # a mistake in the program: without a heartbeat the others would call us absent
            HOUSEKEEPING_FAILURES.labels("heartbeat").inc()
            if not self._failing:
                log.exception("no heartbeat by a mistake in the program, tried again later", action="heartbeat_mistake")
            self._failing = True
            self._disconnect()

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None

    def beat(self, conn: psycopg.Connection[Any]) -> None:
        """Say that we are there, and look who is not. Raises errors of psycopg."""
        if write_heartbeat(conn, self._heartbeat()):
            log.info("this worker is back", action="worker_back", worker=self._worker)
        now_s = time.monotonic()
        if self._last_s is None or now_s - self._last_s > self._missed_s:
            self._regular_since_s = now_s
        self._last_s = now_s
        # Whoever starts together with us, or comes back together with the database, gets time for a first heartbeat.
        if now_s - self._regular_since_s >= self._absent_after_s:
            self._look_for_absent(conn)

    def _heartbeat(self) -> Heartbeat:
        counts = {name: value - self._before[name] for name, value in _read_metrics().items()}
        return Heartbeat(
            worker=self._worker,
            share_group=self._share_group,
            host=socket.gethostname(),
            pid=os.getpid(),
            started_at=self._started_at,
            connected=bool(total(CONNECTED)),
            counts=WorkerCounts(
                journal_found=self._journal_found,
                journalled=total(JOURNAL_MESSAGES),
                in_process=self._in_process(),
                **counts,
            ),
        )

    def _look_for_absent(self, conn: psycopg.Connection[Any]) -> None:
        absent, news, members = find_absent(
            conn, share_group=self._share_group, worker=self._worker, absent_after_s=self._absent_after_s
        )
        ABSENT_WORKERS.set(len(absent))
        for absence in news:
            log.warning(
                "a worker is absent: the broker keeps its share of the new messages until it is back or retired",
                action="worker_absent",
                worker=absence.worker,
                host=absence.host,
                seen_at=absence.seen_at.isoformat(),
                share=f"about 1 in {members}",
                remedy=f"start it again, or: roadtwin ingest --retire {absence.worker}",
            )
