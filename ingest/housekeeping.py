"""What an ingester does beside the stream, in a thread and on a connection of its own, so that it delays no message."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg

from ingest.decode import Decoder
from ingest.digest import digest
from roadtwin.errors import DatabaseUnavailableError, RoadtwinError
from roadtwin.storage.database import connect
from roadtwin.storage.devices import read_registered_profiles
from roadtwin.storage.health import count_undigested
from roadtwin.storage.migrate import check_schema
from roadtwin.telemetry import HOUSEKEEPING_FAILURES, UNDIGESTED_BATCHES, get_logger

log = get_logger(__name__)

DIGEST_EVERY_S = 10.0
"""How often batches are digested [s]: a longer wait costs less, a flag that needs history comes that much later."""
REST_FACTOR = 9.0
"""How long digesting rests after a round while messages queue, as a multiple of what the round took: flags and health
may come later, messages may not."""
MOST_REST_S = 60.0
PROFILES_EVERY_S = 30.0
"""How often sensor profiles and what operators registered are read again [s]."""
CLOSE_S = 10.0

Connection = psycopg.Connection[Any]


@dataclass(slots=True)
class Task:
    """Something done every so often, or when the work says so: it gives the time until it is due again, or None.

    A failure is logged once and tried again at the next turn.
    """

    name: str
    every_s: float
    work: Callable[[Connection], float | None]
    due_s: float = 0.0
    failing: bool = False


class Housekeeper:
    """Runs tasks one after the other. `refresh` reads once, in the caller's thread, what decoding needs."""

    def __init__(
        self,
        database_url: str,
        decoder: Decoder,
        *,
        name: str,
        clock: Callable[[], datetime],
        busy: Callable[[], bool] = lambda: False,
    ) -> None:
        self._url = database_url
        self._decoder = decoder
        self._name = name
        self._clock = clock
        self._busy = busy
        self._conn: Connection | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._tasks = [
            Task("profiles", PROFILES_EVERY_S, self._read_profiles),
            Task("digest", DIGEST_EVERY_S, self._digest),
        ]
        self.ready = False

    def add(self, name: str, every_s: float, work: Callable[[Connection], float | None]) -> None:
        """Another task; before `start`. It gets an idle connection and leaves it idle."""
        self._tasks.append(Task(name, every_s, work))

    def refresh(self) -> None:
        """Read what operators registered, now.

        Raises DatabaseUnavailableError, errors of psycopg, and MigrationError: of a schema that does not fit we would
        only hear that a table is missing, which looks like an outage.
        """
        with connect(self._url, application_name=f"roadtwin ingest {self._name} start") as conn:
            with conn.transaction():
                check_schema(conn)
            self._read_profiles(conn)

    def start(self) -> None:
        """Run the tasks until `close`."""
        self._thread = threading.Thread(target=self._run, name="ingest housekeeping", daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End after the task that runs."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(CLOSE_S)
        self._disconnect()

    def _read_profiles(self, conn: Connection) -> None:
        self._decoder.reload_profiles()
        with conn.transaction():
            self._decoder.registered_profiles = read_registered_profiles(conn)
        self.ready = True

    def _digest(self, conn: Connection) -> float | None:
        """One round of what waits; of several workers one does it. While messages queue, it is a tenth of the time."""
        began = time.monotonic()
        counts = digest(conn, self._clock())
        with conn.transaction():
            UNDIGESTED_BATCHES.set(count_undigested(conn)[0])
        if not counts.batches:
            return None
        return min((time.monotonic() - began) * REST_FACTOR, MOST_REST_S) if self._busy() else 0.0

    def _run(self) -> None:
        while not self._stop.is_set():
            for task in self._tasks:
                if time.monotonic() >= task.due_s and not self._stop.is_set():
                    self._do(task)
            self._stop.wait(max(0.1, min(task.due_s for task in self._tasks) - time.monotonic()))

    def _do(self, task: Task) -> None:
        again_s: float | None = None
        try:
            if self._conn is None or self._conn.closed:
                self._conn = connect(self._url, application_name=f"roadtwin ingest {self._name} housekeeping")
            again_s = task.work(self._conn)
        except (psycopg.Error, DatabaseUnavailableError, RoadtwinError) as exc:
            HOUSEKEEPING_FAILURES.labels(task.name).inc()
            if not task.failing:
                log.warning("housekeeping failed, tried again later", action="housekeeping_failed", task=task.name,
                            reason=(str(exc).splitlines() or [type(exc).__name__])[0])  # fmt: skip
            task.failing = True
            self._disconnect()
        except Exception:  # a mistake in the program must not end the other tasks, nor this one without a word
            HOUSEKEEPING_FAILURES.labels(task.name).inc()
            if not task.failing:
                log.exception("housekeeping failed by a mistake in the program, tried again later",
                              action="housekeeping_mistake", task=task.name)  # fmt: skip
            task.failing = True
            self._disconnect()
        else:
            task.failing = False
        task.due_s = time.monotonic() + (task.every_s if again_s is None else again_s)

    def _disconnect(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None
