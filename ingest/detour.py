"""The way round a database that is away: into the journal, and in order into the database once it is back."""

import threading
import time
from collections.abc import Sequence

import psycopg

from ingest.decode import Decoder
from ingest.housekeeping import Housekeeper
from ingest.journal import Journal
from ingest.received import Received
from ingest.receiver import Receiver
from ingest.writer import Job, Writer
from roadtwin.errors import DatabaseUnavailableError, JournalError
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

FIRST_RETRY_S = 1.0
MOST_RETRY_S = 15.0
QUIET_S = 1.0
"""When nothing has come for this long, the broker's window counts as full [s]: it may be smaller than we asked for."""
STEP_S = 0.05
HELD_BYTES = 64 << 20
"""Payloads in memory from which they go into the journal although the window is not full [B]."""
AHEAD_BATCHES = 20
"""While the journal drains and holds more than this, live messages go on into it; with less, they wait with the broker
until it is empty. So the detour ends, and the broker's queue need not hold what comes during a long drain."""


class Detour:
    """Takes the place of the straight way while it is `active`. Used from the ingester's main thread only.

    Every message goes through the journal then, and is acknowledged when it is there; what it holds is written from its
    head by the writer, so that order is kept. A journal that is full or cannot be written stops receiving: then the
    broker's queue is the only place left, and the log says so.
    """

    def __init__(
        self,
        journal: Journal,
        decoder: Decoder,
        receiver: Receiver,
        writer: Writer,
        housekeeper: Housekeeper,
        *,
        batch_messages: int,
        window_messages: int,
    ) -> None:
        self._journal = journal
        self._decoder = decoder
        self._receiver = receiver
        self._writer = writer
        self._housekeeper = housekeeper
        self._batch_messages = batch_messages
        self._window_messages = window_messages
        self.active = False
        self._held: list[Received] = []  # received and neither in the journal nor in the database
        self._job: Job | None = None
        self._job_is_journalled = False
        self._succeeding = False
        self._retry_at_s = 0.0
        self._delay_s = FIRST_RETRY_S
        self._refused = ""
        self._keep_again_at_s = 0.0
        self._began_s = 0.0

    @property
    def held_messages(self) -> int:
        """Messages in memory, without those that the writer has as well."""
        job = self._job  # another thread asks
        return len(self._held) - (0 if job is None else len(job.received))

    def begin(self) -> None:
        """Leave the straight way, with what is not written yet."""
        self._held = [item for job in self._writer.take_back() for item in job.received]
        self._succeeding, self._refused, self._keep_again_at_s = False, "", 0.0
        self._retry_at_s, self._delay_s = 0.0, FIRST_RETRY_S
        self._began_s = time.monotonic()
        self.active = True
        log.warning(
            "messages go by way of the journal",
            action="journal_begin",
            in_memory=len(self._held),
            in_journal=self._journal.depth_messages,
        )

    def step(self, stop: threading.Event) -> None:
        """One round: receive, keep, and try to write; ends the detour when nothing is left on it."""
        self._settle()
        has_work = self._may_write() and bool(self._held or self._journal.depth_messages)
        # Receiving may wait for messages: not while the writer could write, or is about to be done.
        if self._takes_more() and (self._receiver.waiting() or not (has_work or self._job)):
            self._held += self._receiver.take(self._batch_messages, STEP_S, stop)
        elif self._job is not None:
            self._job.finished.wait(STEP_S)
        elif not has_work:
            stop.wait(STEP_S)
        if self._held and (self._journal.depth_messages or self._window_is_full()):
            self._keep()
        self._write()
        if not (self._held or self._job or self._journal.depth_messages or self._writer.away):
            self.active = False
            log.info(
                "the journal is empty, straight ahead again",
                action="journal_end",
                seconds=round(time.monotonic() - self._began_s, 1),
            )

    def keep_everything(self) -> None:
        """Before a stop: what is in memory goes into the journal, or stays with the broker."""
        self._keep_again_at_s = 0.0
        jobs = self._take_over()  # on a line of its own: it changes what is held
        self._held += [item for job in jobs for item in job.received]
        if self._held:
            self._keep()
        if self._held:
            log.warning("the broker keeps what the journal did not take", action="stopped", messages=len(self._held))

    def _takes_more(self) -> bool:
        if self._refused or len(self._held) >= self._window_messages or self._is_heavy():
            return False
        return not self._succeeding or self._journal.depth_messages > AHEAD_BATCHES * self._batch_messages

    def _window_is_full(self) -> bool:
        receiver = self._receiver
        full = receiver.in_flight >= self._window_messages // 2 or receiver.idle_s > QUIET_S
        return full or bool(self._refused) or self._is_heavy()

    def _is_heavy(self) -> bool:
        return sum([len(item.payload) for item in self._held]) > HELD_BYTES

    def _keep(self) -> None:
        if time.monotonic() < self._keep_again_at_s:
            return
        try:
            self._journal.append(self._held)
        except JournalError as exc:  # full, or the disk is; what is held stays unacknowledged
            if not self._refused:
                log.error("the journal takes no more: receiving stops", action="journal_refused", reason=str(exc))
            self._refused = str(exc)
            self._keep_again_at_s = time.monotonic() + FIRST_RETRY_S
            return
        if self._refused:
            log.info("the journal takes messages again", action="journal_accepts")
            self._refused = ""
        if self._job is not None and not self._job_is_journalled:
            self._take_over()
        self._receiver.acknowledge(self._held)
        self._held = []

    def _take_over(self) -> list[Job]:
        """Take everything from the writer, so that nothing is acknowledged twice: a packet id may mean another message.

        Returns jobs of the straight way; those of the detour are held, in the journal, or written and settled here.
        """
        jobs, job = self._writer.take_back(), self._job
        if job is not None and job not in jobs:
            self._settle_written(job)
        self._job = None
        return [other for other in jobs if other is not job]

    def _settle_written(self, job: Job) -> None:
        if self._job_is_journalled:
            self._journal.commit(len(job.received))
        else:
            self._held = self._held[len(job.received) :]
        self._job = None
        self._succeeding = True
        self._retry_at_s, self._delay_s = 0.0, FIRST_RETRY_S

    def _settle(self) -> None:
        """Look what became of the batch that was handed to the writer."""
        if self._job is not None and self._job.finished.is_set():
            self._settle_written(self._job)
        elif self._writer.away:
            self._writer.take_back()  # it is still in the journal, or held
            self._job = None
            self._wait_longer()

    def _wait_longer(self) -> None:
        self._succeeding = False
        self._retry_at_s = time.monotonic() + self._delay_s
        self._delay_s = min(self._delay_s * 2, MOST_RETRY_S)

    def _may_write(self) -> bool:
        return self._job is None and self._writer.idle and time.monotonic() >= self._retry_at_s

    def _write(self) -> None:
        """Hand the oldest messages to the writer, if it is free and it is time to try."""
        if not self._may_write():
            return
        self._job_is_journalled = bool(self._journal.depth_messages)
        oldest: Sequence[Received] = (
            self._journal.read(self._batch_messages) if self._job_is_journalled else self._held[: self._batch_messages]
        )
        if not oldest:
            return
        if not self._housekeeper.ready:  # the database was away from the start
            try:
                self._housekeeper.refresh()
            except (psycopg.Error, DatabaseUnavailableError):
                self._wait_longer()
                return
        job = self._writer.new_job(oldest, self._decoder)
        if self._writer.submit(job, wait_s=0):
            self._job = job
