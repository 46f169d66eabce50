"""The ingester: receives, decodes, stores and acknowledges until it is told to stop."""

import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import UTC, datetime

from ingest.backfill_task import TURN_EVERY_S, BackfillTask
from ingest.decode import Decoder, open_decoder
from ingest.detour import Detour
from ingest.housekeeping import Housekeeper
from ingest.journal import open_journal
from ingest.leaving import Leaving
from ingest.membership import Membership
from ingest.mqtt import Session, parse_mqtt_url
from ingest.receiver import Receiver
from ingest.store import DatabaseAwayError, StoppedError, Store
from ingest.writer import Job, Writer
from roadtwin.errors import BrokerUnavailableError
from roadtwin.settings import Settings
from roadtwin.telemetry import BATCH_SECONDS, IN_PROCESS_MESSAGES, get_logger
from roadtwin.types import BatchCounts

log = get_logger(__name__)

DRAIN_S = 10.0
"""How long a stop may take to store what was received before it [s]."""
LONE_WAIT_S = 0.02
"""How long a batch waits for more messages while the writer has nothing to do [s]: then waiting only costs time."""
POLL_S = 0.2
SWITCH_INTERVAL_S = 0.0005
"""For `sys.setswitchinterval` of a process that ingests [s]. The writer waits for the database many times a batch, and
each time for the interpreter too, which decoding holds for 5 ms by default: that would be a third of its time."""


def now() -> datetime:
    """The arrival time."""
    return datetime.now(UTC)


class Ingester:
    """The main thread's part: takes batches, decodes them while the one before is written, and hands them over."""

    def __init__(
        self, settings: Settings, stop: threading.Event, decoder: Decoder, receiver: Receiver, writer: Writer
    ) -> None:
        self._settings = settings
        self._stop = stop
        self._decoder = decoder
        self._receiver = receiver
        self._writer = writer
        self.detour: Detour | None = None
        self.leaving: Leaving | None = None

    @property
    def in_process_messages(self) -> int:
        """Messages received and neither in the database, in the journal nor rejected."""
        held = self.detour.held_messages if self.detour is not None else 0
        return self._receiver.waiting() + self._writer.messages + held

    def run(self) -> None:
        """Straight ahead while the database is there, by way of the journal while it is not, until told to stop.

        One that leaves for good also ends by itself, when nothing is left to be taken.
        """
        while not self._stop.is_set() and not self._has_left():
            self._check()
            if self.detour is not None and self.detour.active:
                self.detour.step(self._stop)
            else:
                self._step()
                if self.detour is not None and self._is_away():
                    self.detour.begin()
        self._finish()

    def _has_left(self) -> bool:
        if self.leaving is None:
            return False
        on_detour = self.detour is not None and self.detour.active
        return self.leaving.step(busy=self.in_process_messages > 0 or on_detour)

    def _check(self) -> None:
        self._receiver.check()
        self._writer.check()

    def _is_away(self) -> bool:
        """The database is away for longer than we wait, or hangs for as long, which comes to the same."""
        return self._writer.away or self._writer.busy_s > max(self._settings.journal_after_s, POLL_S)

    def _step(self) -> None:
        longest_s = LONE_WAIT_S if self._writer.idle else self._settings.batch_max_wait_ms / 1000
        job = self._next_job(longest_s)
        while job is not None and not self._writer.submit(job, wait_s=POLL_S):
            self._check()
            if self._stop.is_set() or (self.detour is not None and self._is_away()):
                self._writer.hold(job)
                return

    def _next_job(self, longest_s: float) -> Job | None:
        received = self._receiver.take(self._settings.batch_max_messages, longest_s, self._stop)
        return self._writer.new_job(received, self._decoder) if received else None

    def _finish(self) -> None:
        """Store what was received before the stop; what cannot be stored in time goes into the journal or stays."""
        deadline = time.monotonic() + DRAIN_S
        if self.detour is None or not self.detour.active:
            left = self._receiver.waiting()  # what comes from now on stays with the broker, or we would never end
            while left > 0 and (job := self._next_job(0.0)) is not None:
                left -= len(job.received)
                if not self._writer.submit(job, wait_s=max(0.0, deadline - time.monotonic())):
                    self._writer.hold(job)
                    break
            if self._writer.wait_until_idle(max(0.0, deadline - time.monotonic())):
                return
        if self.detour is not None:
            self.detour.keep_everything()
        self._writer.check()
        if self.detour is None:
            log.warning("stopped before everything was stored; the broker keeps the rest", action="stopped")


def run_ingest(
    settings: Settings,
    database_url: str,
    mqtt_url: str,
    stop: threading.Event,
    *,
    clock: Callable[[], datetime] = now,
    share_group: str | None = None,
    leave: bool = False,
    on_batch: Callable[[BatchCounts], None] | None = None,
    on_ready: Callable[[], None] | None = None,
) -> None:
    """Ingest until `stop` is set; then store and acknowledge what was received, and leave the session with the broker.

    A database or broker that goes away is waited for; with a journal (`journal_max_mib`), messages go there once the
    database has been away for `journal_after_s` and the broker sends no more, and are acknowledged from there.

    With `leave` it takes what the broker keeps, ends its subscription, stores the rest, its journal too, and returns;
    the session is then empty and still there.

    Raises at once: InputFileError and SettingsError for wrong profiles, keys and addresses, JournalError and
    JournalLockedError, BrokerRefusedError when the broker says no, MigrationError when the schema does not fit.
    """
    with ExitStack() as stack:
        decoder = open_decoder(settings)
        journal = open_journal(settings)
        if journal is not None:
            stack.callback(journal.close)
        session = Session(
            client_id=settings.mqtt_client_id,
            expiry_s=settings.mqtt_session_expiry_s,
            receive_maximum=settings.mqtt_receive_maximum,
            keepalive_s=settings.mqtt_keepalive_s,
            manual_ack=True,
        )
        address = parse_mqtt_url(mqtt_url, ca_file=settings.mqtt_ca_file)
        receiver = Receiver(address, session, settings.mqtt_topics, clock=clock, share_group=share_group)
        store = Store(
            database_url,
            worker=settings.mqtt_client_id,
            stop=stop,
            patience_s=settings.journal_after_s if journal is not None else None,
        )
        stack.callback(store.close)
        membership = Membership(
            database_url,
            settings.mqtt_client_id,
            share_group or settings.mqtt_client_id,
            in_process=lambda: ingester.in_process_messages,
        )
        housekeeper = Housekeeper(
            database_url,
            decoder,
            name=settings.mqtt_client_id,
            clock=clock,
            busy=lambda: receiver.waiting() >= settings.batch_max_messages,
        )
        if settings.tts_applications and not leave:
            task = BackfillTask(settings, decoder, lambda: receiver.session_history, stop, clock=clock)
            housekeeper.add("backfill", TURN_EVERY_S, task.turn)
        reachable = _open_store(store, housekeeper)

        def on_written(job: Job) -> None:
            assert job.counts is not None, "a written job has its accounts"
            receiver.acknowledge(job.received)
            BATCH_SECONDS.observe((clock() - job.received[0].recorded_at).total_seconds())
            if on_batch is not None:
                on_batch(job.counts)

        stack.callback(membership.close)
        writer = Writer(store, on_written)
        stack.callback(writer.close, DRAIN_S)
        stack.callback(housekeeper.close)
        stack.callback(receiver.close)
        ingester = Ingester(settings, stop, decoder, receiver, writer)
        IN_PROCESS_MESSAGES.set_function(lambda: ingester.in_process_messages)
        if journal is not None:
            ingester.detour = Detour(
                journal,
                decoder,
                receiver,
                writer,
                housekeeper,
                batch_messages=settings.batch_max_messages,
                window_messages=settings.mqtt_receive_maximum,
            )
            if not reachable or journal.depth_messages:
                ingester.detour.begin()
        open_patiently(receiver, stop)
        if not stop.is_set():
            if leave:
                ingester.leaving = Leaving(receiver)
            housekeeper.start()
            membership.start()
            if on_ready is not None:
                on_ready()
        ingester.run()


def _open_store(store: Store, housekeeper: Housekeeper) -> bool:
    """Check the schema and read what operators registered; False when the database is away and there is a journal."""
    try:
        store.check_schema()
        housekeeper.refresh()
    except DatabaseAwayError:
        return False
    except StoppedError:
        log.warning("stopped while the database was away; the broker keeps what is unacknowledged", action="stopped")
        return False
    return True


def open_patiently(receiver: Receiver, stop: threading.Event) -> None:
    """Open it, waiting for a broker that is away until `stop` is set. Raises BrokerRefusedError."""
    delay, failed = 0.5, False
    while not stop.is_set():
        try:
            receiver.open()
        except BrokerUnavailableError as exc:
            if not failed:
                log.warning("broker is away, waiting for it", action="broker_away", reason=str(exc))
            failed = True
            stop.wait(delay)
            delay = min(delay * 2, 30.0)
        else:
            return
