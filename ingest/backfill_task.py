"""What an ingester fetches by itself: at its start, after every session that the broker did not keep, and hourly."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg

from ingest.backfill import Fetch, Write, applications_of, default_since, note_complete, open_api, writer_of
from ingest.batch import Decode
from ingest.tts_storage import Application
from roadtwin.errors import StorageApiAwayError, StorageApiError
from roadtwin.settings import Settings
from roadtwin.storage import backfill as storage
from roadtwin.telemetry import BACKFILL_FAILURES, get_logger

log = get_logger(__name__)

Connection = psycopg.Connection[Any]
History = Callable[[], Sequence[tuple[datetime, bool]]]

TURN_EVERY_S = 2.0
"""How often the task looks whether there is something to do [s]."""
TURN_S = 3.0
"""How long one turn stores uplinks before other tasks have theirs [s]; a silent server adds its time-out."""
EVERY_S = 3600.0
"""How often everything is fetched without a reason [s]: the server writes with delay."""
FIRST_RETRY_S, MOST_RETRY_S = 10.0, 3600.0


@dataclass(slots=True)
class _State:
    """One application: when it is due, and the fetch under way. Nothing fetched before `wanted_at` will do."""

    application: Application
    due_s: float
    wanted_at: datetime
    retry_s: float
    fetch: Fetch | None = None
    failing: bool = False


class BackfillTask:
    """A task of the housekeeper: one page of one application a turn.

    Of several workers the one that has the lock fetches; the others then find that it is done. `history` are the
    connections of the receiver.
    """

    def __init__(
        self,
        settings: Settings,
        decoder: Decode,
        history: History,
        stop: threading.Event,
        *,
        clock: Callable[[], datetime],
        every_s: float = EVERY_S,
        first_retry_s: float = FIRST_RETRY_S,
    ) -> None:
        """Raises SettingsError for applications that cannot be, and without a key."""
        self._api = open_api(settings)
        self._decoder = decoder
        self._history = history
        self._stop = stop
        self._clock = clock
        self._every_s = every_s
        self._first_retry_s = first_retry_s
        self._listening_since = clock()
        self._states = [
            _State(application, 0.0, self._listening_since, first_retry_s)
            for application in applications_of(settings.tts_applications)
        ]
        self._seen_at: datetime | None = None  # the newest connection that was looked at
        self._writes: tuple[int, Write] | None = None  # with the database session that it belongs to
        self._locked = False

    def turn(self, conn: Connection) -> None:
        """Do a page, if one is due. Raises errors of psycopg; those of the server are counted and logged once."""
        self._look_at_sessions()
        due = [state for state in self._states if state.due_s <= time.monotonic()]
        if not due:
            return
        write = self._lock(conn)
        if write is None:
            return
        state = min(due, key=lambda state: state.due_s)
        before = state.fetch.after if state.fetch is not None else None
        try:
            self._step(conn, state, write)
        except StorageApiError as exc:
            if before is not None and state.fetch is not None and state.fetch.after > before:
                state.retry_s = self._first_retry_s
            self._note_failure(state, exc)
        soon_s = time.monotonic() + 2 * TURN_EVERY_S
        if not any(state.fetch is not None and state.due_s <= soon_s for state in self._states):
            self._locked = False  # nor while we wait for the server: another one may have more luck
            storage.unlock(conn)

    def _look_at_sessions(self) -> None:
        """A session that the broker did not keep: what was sent before it may be missing."""
        for at, present in self._history():
            if present or (self._seen_at is not None and at <= self._seen_at):
                continue
            self._seen_at = at
            for state in self._states:
                state.wanted_at, state.due_s = at, 0.0  # one under way goes on: another follows it

    def _step(self, conn: Connection, state: _State, write: Write) -> None:
        now = self._clock()
        if state.fetch is None:
            done = storage.read_complete_until(conn, str(state.application), after=state.wanted_at - timedelta(hours=1))
            if done is not None and done >= state.wanted_at:
                self._finish(state)
                return
            since = default_since(conn, state.application, now, self._listening_since, note=True)
            state.fetch = Fetch(self._api, self._decoder, state.application, since, write=write, clock=self._clock)
        ended = state.fetch.page(self._stop, TURN_S)
        state.retry_s, state.failing = self._first_retry_s, False
        if not ended:
            state.due_s = time.monotonic()  # behind the others
            return
        fetch, state.fetch = state.fetch, None
        note_complete(conn, fetch, self._clock())
        counts = fetch.counts
        log.info("stored uplinks fetched", action="backfilled", application=str(state.application),
                 since=fetch.since.isoformat(), received=counts.received, stored=counts.stored,
                 duplicate=counts.duplicate, rejected=counts.rejected)  # fmt: skip
        if state.wanted_at > fetch.begun_at:
            state.due_s = time.monotonic()
        else:
            self._finish(state)

    def _finish(self, state: _State) -> None:
        """Due again in an hour, unless another worker has done it in the second half of that time."""
        state.due_s = time.monotonic() + self._every_s
        state.wanted_at = self._clock() + timedelta(seconds=self._every_s / 2)

    def _note_failure(self, state: _State, exc: StorageApiError) -> None:
        BACKFILL_FAILURES.inc()
        if not state.failing:
            log.warning("stored uplinks cannot be fetched, tried again later", action="backfill_failed",
                        application=str(state.application), reason=str(exc))  # fmt: skip
        state.failing = True
        asked_s = exc.retry_after_s if isinstance(exc, StorageApiAwayError) else 0.0
        state.due_s = time.monotonic() + max(state.retry_s, asked_s)
        state.retry_s = min(state.retry_s * 2, MOST_RETRY_S)

    def _lock(self, conn: Connection) -> Write | None:
        """What writes, while this database session has the lock; None while another one has."""
        session = conn.info.backend_pid
        if self._writes is None or self._writes[0] != session:
            for state in self._states:
                state.fetch = None  # its writer went with the connection; what it stored is found again
            self._writes, self._locked = (session, writer_of(conn)), False
        if not self._locked:
            self._locked = storage.try_lock(conn)
        return self._writes[1] if self._locked else None
