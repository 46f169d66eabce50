"""Recorded events published again through MQTT, no faster than the ingester commits them."""

import gzip
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, Self

import msgspec

from ingest.formats.chirpstack_v4 import tell_kind
from ingest.mqtt import BrokerAddress
from ingest.publisher import Publisher
from roadtwin.errors import InputFileError, ReplayError
from roadtwin.manifest import Manifest, manifest_of
from roadtwin.storage.database import connect
from roadtwin.storage.messages import find_payloads, read_accounts, read_last_batch_id

FORMATS = ("chirpstack-v4",)

WINDOW = 500
"""Most messages published and not committed yet: half of what a Mosquitto with its defaults keeps for a subscriber
before it drops messages without telling their publisher."""
POLL_S = 0.05
STALLED_AFTER_S = 60.0


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


class Publication(Protocol):
    """What is to be published."""

    @property
    def topic(self) -> str:
        """MQTT topic."""
        ...

    @property
    def payload(self) -> bytes:
        """What is published under it."""
        ...


def replay(
    path: Path,
    address: BrokerAddress,
    database_url: str,
    *,
    rate_per_s: float | None = None,
    stalled_after_s: float = STALLED_AFTER_S,
    on_progress: Callable[[float], None] | None = None,
) -> ReplayResult:
    """Publish every event of a file at QoS 1 and wait until all are committed; as `publish_and_wait`.

    Raises InputFileError before anything is published.
    """
    total = sum(1 for _ in read_events(path))
    return publish_and_wait(
        read_events(path),
        total,
        address,
        database_url,
        rate_per_s=rate_per_s,
        stalled_after_s=stalled_after_s,
        on_progress=on_progress,
    )


def publish_and_wait(
    publications: Iterable[Publication],
    total: int,
    address: BrokerAddress,
    database_url: str,
    *,
    rate_per_s: float | None = None,
    stalled_after_s: float = STALLED_AFTER_S,
    on_progress: Callable[[float], None] | None = None,
) -> ReplayResult:
    """Publish `total` messages at QoS 1 and wait until an ingester has committed all of them.

    `rate_per_s` limits the pace; without it the ingester's own pace is the limit. `on_progress` gets the share done.
    The counts are those of all batches meanwhile: with other traffic on the broker, they are its too.

    Raises BrokerUnavailableError, BrokerRefusedError, DatabaseUnavailableError, and ReplayError when nothing is
    committed for `stalled_after_s`.
    """
    with connect(database_url, autocommit=True, application_name="roadtwin replay") as conn:
        base = read_last_batch_id(conn)

        def committed() -> int:
            return read_accounts(conn, after_batch_id=base).received

        with Publisher(address, name="replay") as publisher:
            payloads: list[bytes] = []
            pace = _Pace(committed, total, stalled_after_s, on_progress)
            began = time.monotonic()
            for publication in publications:
                if rate_per_s:
                    time.sleep(max(0.0, began + len(payloads) / rate_per_s - time.monotonic()))
                pace.wait_for(len(payloads) + 1 - WINDOW)
                publisher.publish(publication.topic, publication.payload)
                payloads.append(publication.payload)
            publisher.wait_for_confirmations()
        pace.wait_for(total)
        manifest = manifest_of(payloads)
        _wait_until_found(conn, manifest, stalled_after_s)
        counts = read_accounts(conn, after_batch_id=base)
    return ReplayResult(total, counts.stored, counts.duplicate, counts.rejected, manifest)


class CommitWatch:
    """Tells when an ingester has committed what is published while this is open. Use as a context manager.

    Raises DatabaseUnavailableError when the database cannot be reached.
    """

    def __init__(self, database_url: str, stalled_after_s: float = STALLED_AFTER_S) -> None:
        self._conn = connect(database_url, autocommit=True, application_name="roadtwin replay")
        self._base = read_last_batch_id(self._conn)
        self._stalled_after_s = stalled_after_s

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._conn.close()

    def wait_for(self, count: int) -> dict[str, int]:
        """Wait until so many messages are committed; how many were stored, duplicate and rejected meanwhile.

        The counts are those of all batches: with other traffic on the broker, they are its too. Raises ReplayError when
        nothing is committed for `stalled_after_s`.
        """
        _Pace(self._committed, count, self._stalled_after_s, None).wait_for(count)
        counts = read_accounts(self._conn, after_batch_id=self._base)
        return {"stored": counts.stored, "duplicate": counts.duplicate, "rejected": counts.rejected}

    def _committed(self) -> int:
        return read_accounts(self._conn, after_batch_id=self._base).received


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
