"""Uplinks that The Things Stack kept while nobody listened: its MQTT server has neither QoS 1 nor sessions.

They go through the same decoder and writer as those that come by MQTT and get the same message id, so what is here
already is a duplicate. Pages are fetched in the order of `received_at`; each that is stored moves the next one on, so a
fetch that was cut short goes on where it was.
"""

import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any

import psycopg

from ingest.batch import Decode, decode_batch, write_isolating
from ingest.formats.tts_v3 import NETWORK_SOURCE
from ingest.received import Received
from ingest.times import usable
from ingest.tts_storage import Application, StorageApi, StoredUplink
from roadtwin.errors import BackfillError, SettingsError, StorageApiAwayError, StorageApiError
from roadtwin.settings import Settings
from roadtwin.storage import backfill as storage
from roadtwin.storage.messages import BatchWriter
from roadtwin.telemetry import BACKFILLED, RECEIVED, get_logger
from roadtwin.types import BatchCounts, Message, Origin, RejectedMessage

log = get_logger(__name__)

Connection = psycopg.Connection[Any]
Clock = Callable[[], datetime]
Write = Callable[[Sequence[Message], Sequence[RejectedMessage]], BatchCounts]

WORKER = "backfill"
PAGE_UPLINKS = 1000
"""Uplinks of one request."""
BATCH_UPLINKS = 500
"""Uplinks of one transaction, and so what is in memory at once."""
BATCH_BYTES = 8 * 1024 * 1024
DISORDER = timedelta(seconds=1)
"""Uplinks that go back in time by more than this are not in the order that was asked for."""
PAGE_OVERLAP = timedelta(milliseconds=1)
"""Two pages share this time: the server may compare with less precision than the times that it tells."""
OVERLAP = timedelta(hours=1)
"""What was fetched is asked for again for so long: the server writes with delay."""
LONGEST_BACK = timedelta(days=30)
"""The Things Stack Cloud keeps uplinks for so long."""
NOTHING_STORED = timedelta(hours=24)
"""How far back a first fetch goes where nothing of an application is stored: the Sandbox keeps uplinks for so long."""
TRIES = 6
"""Attempts in a row that bring nothing, before a command gives up."""
FIRST_RETRY_S, MOST_RETRY_S = 1.0, 60.0
MOST_WAIT_S = 300.0
"""A server that asks a command to wait for longer than this [s] is tried another day."""


@dataclass(frozen=True, slots=True)
class Backfilled:
    """Accounts of one application: received = stored + duplicate + rejected.

    `since` is where the fetch began, `failure` why it ended early.
    """

    application: str
    since: datetime
    counts: BatchCounts
    failure: str | None

    def as_json(self) -> dict[str, object]:
        """JSON-ready."""
        names = ("received", "stored", "duplicate", "rejected", "observations_stored")
        told: dict[str, object] = {"application": self.application, "since": self.since.isoformat()}
        return told | {name: getattr(self.counts, name) for name in names} | {"failure": self.failure}


class Fetch:
    """One application from one time on, page by page. `write` stores a batch and returns after its COMMIT."""

    def __init__(
        self, api: StorageApi, decoder: Decode, application: Application, since: datetime, *, write: Write, clock: Clock
    ) -> None:
        self.application = application
        self.since = since
        self.begun_at = clock()
        self.after = since
        self.counts = BatchCounts(0, 0, 0, 0)
        self._api = api
        self._decoder = decoder
        self._write = write
        self._clock = clock
        self._seen: dict[bytes, datetime] = {}  # digests of the lines that the next page brings again

    def page(self, stop: threading.Event, longest_s: float = math.inf) -> bool:
        """Fetch and store one page, or what came of it in this time; True when nothing newer is left.

        Raises StorageApiAwayError and StorageApiError; what came before them is stored, and the next page goes on
        after it. Raises errors of psycopg.
        """
        begun_s, begun_after, lines = time.monotonic(), self.after, 0
        asked = self._api.uplinks(self.application, after=self.after - PAGE_OVERLAP, limit=PAGE_UPLINKS)
        with closing(asked) as uplinks:
            for batch, failure in _batches(uplinks):
                lines += len(batch)
                self._store(batch)
                if failure is not None:
                    raise failure
                if stop.is_set() or time.monotonic() - begun_s > longest_s:
                    return False
        if self.after > begun_after:
            return False
        if lines >= PAGE_UPLINKS:
            raise StorageApiError(
                f"Got {lines} stored uplinks of application {self.application.name}, none received after "
                f"{begun_after.isoformat()}, which was asked for: the server does not go on from there."
            )
        return True

    def _store(self, uplinks: Sequence[StoredUplink]) -> None:
        now = self._clock()
        uplinks = self._news(uplinks)
        whole = [uplink for uplink in uplinks if uplink.payload_bytes == len(uplink.payload)]
        received = [Received(self.application.topic(uplink.device_id), uplink.payload, now) for uplink in whole]
        messages, rejected = decode_batch(received, self._decoder)
        rejected += [self._overlong(uplink, now) for uplink in uplinks if uplink.payload_bytes > len(uplink.payload)]
        if messages or rejected:
            self.counts += self._write(messages, rejected)
        self._move_on(uplinks, now)

    def _news(self, uplinks: Sequence[StoredUplink]) -> list[StoredUplink]:
        """Without what the page before brought at its end: repeats of our own making are no duplicates."""
        news = []
        for uplink in uplinks:
            digest = sha256(uplink.payload).digest()
            if digest not in self._seen:
                news.append(uplink)
                if uplink.received_at is not None:
                    self._seen[digest] = uplink.received_at
        return news

    def _move_on(self, uplinks: Sequence[StoredUplink], now: datetime) -> None:
        newest = self.after
        for uplink in uplinks:
            at = uplink.received_at
            if at is None or not usable(at, now):
                continue
            if at < newest - DISORDER:
                raise StorageApiError(
                    f"Got an uplink of application {self.application.name} received at {at.isoformat()} after one of "
                    f"{newest.isoformat()}, expected the order of received_at: no page could go on from the one before."
                )
            newest = max(newest, at)
        self.after = newest
        self._seen = {digest: at for digest, at in self._seen.items() if at >= newest - PAGE_OVERLAP}

    def _overlong(self, uplink: StoredUplink, now: datetime) -> RejectedMessage:
        size, most = uplink.payload_bytes, len(uplink.payload) - 1
        reason = f"Got a line of {size} bytes, expected at most {most}; the digests are those of its first bytes."
        topic = self.application.topic(uplink.device_id)
        kept = self._decoder.rejected(topic, uplink.payload, now, "payload_too_large", reason)
        return replace(kept, payload_bytes=size)


def _batches(uplinks: Iterator[StoredUplink]) -> Iterator[tuple[list[StoredUplink], StorageApiError | None]]:
    """Bounded in number and bytes; with the last one the failure that ended them, if one did."""
    batch: list[StoredUplink] = []
    size = 0
    while True:
        try:
            uplink = next(uplinks, None)
        except StorageApiError as exc:
            yield batch, exc
            return
        if uplink is None:
            break
        batch.append(uplink)
        size += len(uplink.payload)
        if len(batch) >= BATCH_UPLINKS or size >= BATCH_BYTES:
            yield batch, None
            batch, size = [], 0
    yield batch, None


def open_api(settings: Settings) -> StorageApi:
    """The server that the settings name. Raises SettingsError without a key."""
    if settings.tts_api_key is None:
        raise SettingsError(
            "ROADTWIN_TTS_API_KEY: got nothing, expected a key of The Things Stack that may read application traffic."
        )
    key = settings.tts_api_key.get_secret_value().strip()
    return StorageApi(settings.tts_url, key, max_line_bytes=settings.max_payload_bytes)


def applications_of(texts: Sequence[str]) -> list[Application]:
    """Read `application@tenant` of each, once. Raises SettingsError."""
    return list(dict.fromkeys(map(Application.parse, texts)))


def writer_of(conn: Connection) -> Write:
    """What stores batches on this connection, with the accounts that metrics tell."""
    writer = BatchWriter(conn, worker=WORKER, origin=Origin.BACKFILLED)

    def store(messages: Sequence[Message], rejected: Sequence[RejectedMessage]) -> BatchCounts:
        counts = writer.write(messages, rejected)
        RECEIVED.inc(counts.received)  # as received as those of the broker: the accounts of a worker balance
        for outcome in ("stored", "duplicate", "rejected"):
            BACKFILLED.labels(outcome).inc(getattr(counts, outcome))
        return counts

    return lambda messages, rejected: write_isolating(messages, rejected, store)


def counter_of(conn: Connection) -> Write:
    """What stores nothing and says what would be stored; a message twice in one batch counts as two."""

    def count(messages: Sequence[Message], rejected: Sequence[RejectedMessage]) -> BatchCounts:
        known = storage.count_known(conn, messages)
        measured = sum(len(message.observations) for message in messages) if not known else 0
        received = len(messages) + len(rejected)
        return BatchCounts(received, len(messages) - known, known, len(rejected), measured)

    return count


def default_since(
    conn: Connection, application: Application, now: datetime, before: datetime, *, note: bool
) -> datetime:
    """From where something may be missing: an hour before the begin of the last fetch that ended.

    Before the first one, an hour before the newest message that came in before `before` (when we began to listen), or
    24 hours before now where there is none. At most 30 days before now. With `note` that first answer is kept: what
    comes in while we fetch must not hide the gap before it, should we not come to an end.
    """
    earliest = now - LONGEST_BACK
    known = storage.read_complete_until(conn, str(application), after=earliest)
    if known is not None:
        return max(known - OVERLAP, earliest)
    newest = storage.find_newest(conn, NETWORK_SOURCE, str(application), after=earliest, before=before)
    since = now - NOTHING_STORED if newest is None else max(newest - OVERLAP, earliest)
    if note:
        storage.write_complete_until(conn, str(application), since=since, until=since + OVERLAP, now=now)
    return since


def backfill(
    conn: Connection,
    api: StorageApi,
    decoder: Decode,
    applications: Sequence[Application],
    *,
    since: datetime | None,
    clock: Clock,
    stop: threading.Event,
    dry_run: bool = False,
    first_retry_s: float = FIRST_RETRY_S,
    on_progress: Callable[[float], None] | None = None,
) -> list[Backfilled]:
    """Fetch all that the server has of these applications, `since` a time or the default one.

    One application that fails does not keep the others back; its account says why. Raises BackfillError while another
    one fetches, and errors of psycopg.
    """
    if not storage.try_lock(conn):
        raise BackfillError("An ingester or another `roadtwin backfill` is fetching stored uplinks: wait until it has.")
    try:
        write = counter_of(conn) if dry_run else writer_of(conn)
        done: list[Backfilled] = []
        for number, application in enumerate(applications):
            now = clock()
            begin = since or default_since(conn, application, now, now, note=not dry_run)
            fetch = Fetch(api, decoder, application, begin, write=write, clock=clock)

            def told(fetch: Fetch = fetch, number: int = number) -> None:
                share = (fetch.after - fetch.since) / max(fetch.begun_at - fetch.since, OVERLAP)
                if on_progress is not None:
                    on_progress((number + min(share, 1.0)) / len(applications))

            failure = _run(fetch, stop, first_retry_s, told)
            done.append(Backfilled(str(application), begin, fetch.counts, failure))
            if failure is None and since is None and not dry_run:
                note_complete(conn, fetch, clock())
        return done
    finally:
        if not conn.broken:
            conn.rollback()
            storage.unlock(conn)


def note_complete(conn: Connection, fetch: Fetch, now: datetime) -> None:
    """The next fetch of this application begins where this one began, less the overlap."""
    storage.write_complete_until(conn, str(fetch.application), since=fetch.since, until=fetch.begun_at, now=now)


def _run(fetch: Fetch, stop: threading.Event, first_retry_s: float, told: Callable[[], None]) -> str | None:
    """All pages, with retries; None, or why they ended before."""
    delay_s, tries_left, after = first_retry_s, TRIES, fetch.after
    while not stop.is_set():
        try:
            if fetch.page(stop):
                return None
        except StorageApiAwayError as exc:
            if fetch.after > after:
                delay_s, tries_left = first_retry_s, TRIES
            tries_left -= 1
            wait_s = max(delay_s, exc.retry_after_s)
            if not tries_left or wait_s > MOST_WAIT_S:
                return str(exc)
            log.info("stored uplinks cannot be fetched now, tried again", action="backfill_retry", reason=str(exc))
            stop.wait(wait_s)
            delay_s = min(delay_s * 2, MOST_RETRY_S)
        except StorageApiError as exc:
            return str(exc)
        after = fetch.after
        told()
    return "stopped before everything was fetched"
