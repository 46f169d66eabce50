"""One thread that stores batches in order and acknowledges each after its COMMIT, while the next one is decoded."""

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from ingest.batch import Decode, decode_batch, write_isolating
from ingest.received import Received
from ingest.store import DatabaseAwayError, StoppedError, Store
from roadtwin.storage.batch_rows import Prepared
from roadtwin.types import BatchCounts, Message, RejectedMessage

MOST_JOBS = 2
"""One batch is written while the next one waits; a third would only hold memory."""


@dataclass(slots=True, eq=False)
class Job:
    """A decoded batch, `prepared` as far as that could be. `counts` is there once it is committed."""

    received: Sequence[Received]
    messages: Sequence[Message]
    rejected: Sequence[RejectedMessage]
    prepared: Prepared | None = None
    counts: BatchCounts | None = None
    finished: threading.Event = field(default_factory=threading.Event)


class Writer:
    """Stores jobs one by one. `on_written` is called after each COMMIT, in order, from the writer's thread.

    When the database stays away longer than the store's patience, the writer stops and holds what is not written, so
    that nothing later is acknowledged before it; `take_back` gives it to the caller and lets the writer go on.
    """

    def __init__(self, store: Store, on_written: Callable[[Job], None]) -> None:
        self._store = store
        self._on_written = on_written
        self._jobs: deque[Job] = deque()
        self._changed = threading.Condition()
        self._failed = False
        self._closing = False
        self._broken: BaseException | None = None
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._run, name="ingest writer", daemon=True)
        self._thread.start()

    def new_job(self, received: Sequence[Received], decoder: Decode) -> Job:
        """Decode a batch and make its rows, in the caller's thread: the writer's has the database to wait for."""
        messages, rejected = decode_batch(received, decoder)
        return Job(received, messages, rejected, self._store.prepare(messages))

    @property
    def idle(self) -> bool:
        """Nothing is being written and nothing waits."""
        return self._busy_since is None and not self._jobs

    @property
    def messages(self) -> int:
        """Messages that are handed over and not written."""
        return sum([len(job.received) for job in list(self._jobs)])

    @property
    def away(self) -> bool:
        """The database was away for longer than the store's patience; `take_back` is due."""
        return self._failed

    @property
    def busy_s(self) -> float:
        """For how long the present batch has been written by now [s]."""
        since = self._busy_since
        return 0.0 if since is None else time.monotonic() - since

    def check(self) -> None:
        """Raise what ended the writer, if anything did."""
        if self._broken is not None:
            raise self._broken

    def submit(self, job: Job, *, wait_s: float) -> bool:
        """Hand over a batch; False when there was no room for it within `wait_s`, or the database is away."""
        with self._changed:
            has_room = self._changed.wait_for(lambda: self._broken or self._failed or self._room(), wait_s)
            if not has_room or self._failed or self._broken is not None:
                return False
            self._jobs.append(job)
            self._changed.notify_all()
            return True

    def hold(self, job: Job) -> None:
        """Hand over a batch whether there is room or not, for `take_back` or for better times."""
        with self._changed:
            self._jobs.append(job)
            self._changed.notify_all()

    def _room(self) -> bool:
        return len(self._jobs) < MOST_JOBS

    def wait_until_idle(self, wait_s: float) -> bool:
        """Whether everything handed over was written within `wait_s`."""
        with self._changed:
            self._changed.wait_for(lambda: self.idle or self._failed or self._broken is not None, wait_s)
            return self.idle

    def take_back(self) -> list[Job]:
        """What is not written, in order; it is the caller's again.

        Also of a write that hangs: should it be committed after all, nobody is told, and the batch written again is all
        duplicates.
        """
        with self._changed:
            jobs = list(self._jobs)
            self._jobs.clear()
            self._failed = False
            self._changed.notify_all()
            return jobs

    def close(self, wait_s: float) -> None:
        """End the thread after the batch that it is writing."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        self._thread.join(wait_s)

    def _run(self) -> None:
        try:
            while (job := self._next()) is not None:
                self._write(job)
        except BaseException as exc:  # noqa: BLE001 - handed to the thread that watches us
            with self._changed:
                self._broken = exc
                self._changed.notify_all()

    def _next(self) -> Job | None:
        with self._changed:
            self._changed.wait_for(lambda: self._closing or (self._jobs and not self._failed))
            if self._closing and (self._failed or not self._jobs):
                return None
            self._busy_since = time.monotonic()
            return self._jobs[0]

    def _write(self, job: Job) -> None:
        def store(messages: Sequence[Message], rejected: Sequence[RejectedMessage]) -> BatchCounts:
            return self._store.write(messages, rejected, job.prepared if messages is job.messages else None)

        try:
            job.counts = write_isolating(job.messages, job.rejected, store)
        except (DatabaseAwayError, StoppedError):
            with self._changed:
                self._failed = bool(self._jobs) and self._jobs[0] is job  # else it was taken back meanwhile
                self._busy_since = None
                self._changed.notify_all()
            return
        with self._changed:
            self._busy_since = None
            if self._jobs and self._jobs[0] is job:
                self._jobs.popleft()
                # Inside the lock: nothing that comes after it may be acknowledged first.
                self._on_written(job)
            self._changed.notify_all()
        job.finished.set()
