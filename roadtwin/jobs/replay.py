"""Recorded events published again through MQTT, no faster than the ingester commits them."""

import gzip
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self
from uuid import uuid4

import msgspec
import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from ingest.formats.chirpstack_v4 import tell_kind
from ingest.mqtt import BrokerAddress, Session, open_client
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError, InputFileError, ReplayError
from roadtwin.jobs.manifest import Manifest, manifest_of
from roadtwin.storage.database import connect
from roadtwin.storage.messages import find_payloads, read_accounts, read_last_batch_id

FORMATS = ("chirpstack-v4",)

WINDOW = 500
"""Most messages published and not committed yet: half of what a Mosquitto with its defaults keeps for a subscriber
before it drops messages without telling their publisher."""
POLL_S = 0.05
STALLED_AFTER_S = 60.0
_PUBACK_S = 30.0


@dataclass(frozen=True, slots=True)
class RecordedEvent:
    """A recorded message with the topic that its fields tell."""

    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class ReplayResult:
    """What became of the published messages, and the manifest that proves it."""

    published: int
    stored: int
    duplicate: int
    rejected: int
    manifest: Manifest


class _DeviceInfo(msgspec.Struct, rename="camel"):
    application_id: str
    dev_eui: str


class _Event(msgspec.Struct, rename="camel"):
    device_info: _DeviceInfo


_EVENT = msgspec.json.Decoder(_Event)
_MEMBERS = msgspec.json.Decoder(dict[str, msgspec.Raw])


def read_events(path: Path) -> Iterator[RecordedEvent]:
    """Events of a file of ChirpStack v4 JSON lines, gzipped or not; empty lines are passed over.

    Raises InputFileError with the number of a line that is no event.
    """
    opener: Any = gzip.open if path.suffix == ".gz" else open
    try:
        with opener(path, "rb") as file:
            for number, line in enumerate(file, start=1):
                if line.strip():
                    yield _recorded_event(path, number, line.strip())
    except (OSError, EOFError) as exc:
        raise InputFileError(f"{path}: cannot be read: {exc}.") from None


def _recorded_event(path: Path, number: int, line: bytes) -> RecordedEvent:
    try:
        info = _EVENT.decode(line).device_info
        kind = tell_kind(_MEMBERS.decode(line))
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as exc:
        raise InputFileError(f"{path}, line {number}: no ChirpStack v4 event: {exc}.") from None
    if kind is None:
        raise InputFileError(f"{path}, line {number}: no field tells the kind of this event.")
    return RecordedEvent(f"application/{info.application_id}/device/{info.dev_eui}/event/{kind}", line)


def replay(
    path: Path,
    address: BrokerAddress,
    database_url: str,
    *,
    rate_per_s: float | None = None,
    stalled_after_s: float = STALLED_AFTER_S,
    on_progress: Callable[[float], None] | None = None,
) -> ReplayResult:
    """Publish every event of a file at QoS 1 and wait until all are committed.

    `rate_per_s` limits the pace; without it the ingester's own pace is the limit. `on_progress` gets the share done.
    The counts are those of all batches meanwhile: with other traffic on the broker, they are its too.

    Raises InputFileError before anything is published, BrokerUnavailableError, BrokerRefusedError,
    DatabaseUnavailableError, and ReplayError when nothing is committed for `stalled_after_s`.
    """
    total = sum(1 for _ in read_events(path))
    with connect(database_url, autocommit=True, application_name="roadtwin replay") as conn:
        base = read_last_batch_id(conn)

        def committed() -> int:
            return read_accounts(conn, after_batch_id=base).received

        with _Publisher(address) as publisher:
            payloads: list[bytes] = []
            pace = _Pace(committed, total, stalled_after_s, on_progress)
            began = time.monotonic()
            for event in read_events(path):
                if rate_per_s:
                    time.sleep(max(0.0, began + len(payloads) / rate_per_s - time.monotonic()))
                pace.wait_for(len(payloads) + 1 - WINDOW)
                publisher.publish(event.topic, event.payload)
                payloads.append(event.payload)
            publisher.wait_for_acknowledgements()
        pace.wait_for(total)
        manifest = manifest_of(payloads)
        _wait_until_found(conn, manifest, stalled_after_s)
        counts = read_accounts(conn, after_batch_id=base)
    return ReplayResult(total, counts.stored, counts.duplicate, counts.rejected, manifest)


class _Pace:
    """Waits for commits, and gives up when they stop coming."""

    def __init__(
        self,
        committed: Callable[[], int],
        total: int,
        stalled_after_s: float,
        on_progress: Callable[[float], None] | None,
    ) -> None:
        self._committed = committed
        self._total = total
        self._stalled_after_s = stalled_after_s
        self._on_progress = on_progress
        self._seen = 0

    def wait_for(self, count: int) -> None:
        """Return when at least `count` messages are committed."""
        changed_at = time.monotonic()
        while self._seen < count:
            now_committed = self._committed()
            if now_committed > self._seen:
                self._seen, changed_at = now_committed, time.monotonic()
                if self._on_progress is not None:
                    self._on_progress(min(1.0, self._seen / self._total))
            elif time.monotonic() - changed_at > self._stalled_after_s:
                raise ReplayError(
                    f"{self._seen} of {self._total} messages were committed and nothing more for "
                    f"{self._stalled_after_s:.0f} s: is `roadtwin ingest` running on the same broker and database?"
                )
            else:
                time.sleep(POLL_S)


def _wait_until_found(conn: Any, manifest: Manifest, stalled_after_s: float) -> None:
    """The count alone may be other traffic's: look for the payloads themselves."""
    digests = sorted(set(manifest.payload_sha256))
    deadline = time.monotonic() + stalled_after_s
    while True:
        missing = [digest for digest, found in find_payloads(conn, digests).items() if found == (0, 0)]
        if not missing:
            return
        if time.monotonic() > deadline:
            raise ReplayError(f"{len(missing)} of the published messages are neither stored nor rejected.")
        digests = missing
        time.sleep(1)


class _Publisher:
    """Publishes at QoS 1 and knows which messages the broker has taken."""

    def __init__(self, address: BrokerAddress) -> None:
        self._address = address
        self._outstanding = 0
        self._refused: str | None = None
        self._changed = threading.Condition()
        self._client = open_client(address, Session(f"roadtwin-replay-{uuid4().hex[:8]}"), self._prepare)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def _prepare(self, client: paho.Client) -> None:
        client.on_publish = self._on_publish

    def _on_publish(
        self, _client: paho.Client, _userdata: Any, _mid: int, reason: ReasonCode, _properties: Any
    ) -> None:
        with self._changed:
            self._outstanding -= 1
            if reason.is_failure:
                self._refused = str(reason)
            self._changed.notify_all()

    def publish(self, topic: str, payload: bytes) -> None:
        """Publish; the broker's answer is waited for in `wait_for_acknowledgements`."""
        with self._changed:
            self._outstanding += 1
        self._client.publish(topic, payload, qos=1)
        self._check()

    def wait_for_acknowledgements(self) -> None:
        """Return when the broker has taken every message.

        Raises BrokerRefusedError if it took one not, BrokerUnavailableError if it does not answer.
        """
        with self._changed:
            answered = self._changed.wait_for(lambda: self._outstanding == 0 or self._refused is not None, _PUBACK_S)
        self._check()
        if not answered:
            raise BrokerUnavailableError(
                f"The MQTT broker {self._address} left {self._outstanding} messages unacknowledged."
            )

    def _check(self) -> None:
        if self._refused is not None:
            raise BrokerRefusedError(f"The MQTT broker {self._address} refused a message: {self._refused}.")
