"""Recording a live MQTT feed: what the broker delivers goes to disk, and is acknowledged when it is there."""

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np

from ingest.consumer import open_patiently
from ingest.leaving import Leaving, end_session
from ingest.mqtt import BrokerAddress, Session
from ingest.received import Received
from ingest.receiver import Receiver
from ingest.recording import SUFFIX, RecordingWriter, compact, read_info
from ingest.recording_format import flag_of
from roadtwin import __version__
from roadtwin.errors import BrokerUnavailableError, RecordingError
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

BATCH_MESSAGES = 8192
LONGEST_S = 0.2
"""How long messages are collected for one block and one fsync while more keep coming [s]."""
SESSION_EXPIRY_S = 3600
"""How long the broker keeps messages for a recorder that was killed [s]; it goes on with `append`."""
RECEIVE_MAXIMUM = 10_000
"""Messages that may be on their way to disk, where the broker allows it."""
PROGRESS_S = 0.5
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class RecordingLimits:
    """When a recording ends by itself, and when another file is begun; None: never.

    `duration_s` and `rotate_s` [s] are counted from the first connection and from the begin of a file, `max_bytes` over
    all files of this run, `rotate_bytes` in one [B].
    """

    duration_s: float | None = None
    max_bytes: int | None = None
    rotate_s: float | None = None
    rotate_bytes: int | None = None

    @property
    def rotates(self) -> bool:
        """Whether there is more than one file."""
        return self.rotate_s is not None or self.rotate_bytes is not None


@dataclass(slots=True)
class Recorded:
    """What has been recorded in this run."""

    messages: int = 0
    payload_bytes: int = 0
    retained: int = 0
    file_bytes: int = 0
    topics: set[str] = field(default_factory=set)
    files: list[Path] = field(default_factory=list)
    possible_gaps: int = 0
    """Connections after the first one for which the broker had forgotten our session."""

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "messages": self.messages,
            "payload_bytes": self.payload_bytes,
            "retained": self.retained,
            "topics": len(self.topics),
            "files": [str(path) for path in self.files],
            "file_bytes": self.file_bytes,
            "possible_gaps": self.possible_gaps,
        }


def record(
    path: Path,
    address: BrokerAddress,
    topics: Sequence[str],
    *,
    stop: threading.Event,
    limits: RecordingLimits | None = None,
    append: bool = False,
    keepalive_s: int = 30,
    on_ready: Callable[[], None] | None = None,
    on_progress: Callable[[Recorded], None] | None = None,
) -> Recorded:
    """Record what is published under these topics until `stop` is set or a limit is reached.

    Subscribed is at QoS 1 in a session that the broker keeps for an hour: a recorder that was killed goes on with
    `append` and has what came meanwhile. In the end the session is emptied and ended. A broker that goes away, or is
    not there yet, is waited for.

    Raises
    ------
    RecordingError
        The file is there already, or cannot be written.
    BrokerRefusedError
        The broker says no.
    BrokerUnavailableError
        The broker was not there for as long as the recording was to last.
    """
    return _Recorder(path, address, topics, limits or RecordingLimits(), append, keepalive_s).run(
        stop, on_ready, on_progress
    )


class _Recorder:
    def __init__(
        self,
        path: Path,
        address: BrokerAddress,
        topics: Sequence[str],
        limits: RecordingLimits,
        append: bool,
        keepalive_s: int,
    ) -> None:
        self._limits = limits
        self.recorded = Recorded()
        self._files = _Files(path, limits, append=append)
        session = Session(
            self._files.client_id,
            expiry_s=SESSION_EXPIRY_S,
            receive_maximum=RECEIVE_MAXIMUM,
            keepalive_s=keepalive_s,
            manual_ack=True,
        )
        self._address, self._session = address, session
        self._description = {
            "recorder": f"roadtwin {__version__}",
            "times": "arrival",
            "broker": str(address),
            "topics": list(topics),
            "client_id": session.client_id,
        }
        self._receiver = Receiver(address, session, topics, clock=lambda: datetime.now(UTC))
        self._never = threading.Event()  # what has come is taken also when we are to stop
        self._told_s = 0.0

    def run(
        self,
        stop: threading.Event,
        on_ready: Callable[[], None] | None,
        on_progress: Callable[[Recorded], None] | None,
    ) -> Recorded:
        self._files.open(self._description)
        subscribed = False
        try:
            self._open(stop)
            if stop.is_set():
                return self._account()
            subscribed = True
            if on_ready is not None:
                on_ready()
            began_s = time.monotonic()
            while not stop.is_set() and not self._is_full():
                if self._limits.duration_s is not None and time.monotonic() - began_s >= self._limits.duration_s:
                    break
                self._step()
                if on_progress is not None and time.monotonic() - self._told_s >= PROGRESS_S:
                    self._told_s = time.monotonic()
                    on_progress(self._account())
            self._leave()
        finally:
            self._receiver.close()
            self._files.close(wanted=subscribed)
        self._end_session()
        return self._account()

    def _open(self, stop: threading.Event) -> None:
        """Wait for the broker: as long as it takes, or as the recording was to last."""
        longest_s = self._limits.duration_s
        if longest_s is None:
            open_patiently(self._receiver, stop)
            return
        enough = threading.Event()
        timer = threading.Timer(longest_s, enough.set)
        timer.daemon = True
        timer.start()
        try:
            open_patiently(self._receiver, _Either(stop, enough))
        finally:
            timer.cancel()
        if enough.is_set() and not stop.is_set() and not self._receiver.session_history:
            raise BrokerUnavailableError(f"The MQTT broker {self._address} was not there for {longest_s:g} s.")

    def _is_full(self) -> bool:
        most = self._limits.max_bytes
        return most is not None and self._files.written_bytes >= most

    def _step(self) -> bool:
        """Take what has come, write it, acknowledge it; whether anything had."""
        self._receiver.check()
        received = self._receiver.take(BATCH_MESSAGES, LONGEST_S, self._never)
        if not received:
            return False
        self._files.write(received)
        self._receiver.acknowledge(received)
        self.recorded.messages += len(received)
        self.recorded.payload_bytes += sum([len(item.payload) for item in received])
        self.recorded.retained += sum([item.retained for item in received])
        self.recorded.topics.update([item.topic for item in received])
        return True

    def _leave(self) -> None:
        """Want nothing new, and take what was published before that; what goes beyond the limit of size stays out."""
        leaving = Leaving(self._receiver)
        busy = True
        try:
            while not self._is_full() and not leaving.step(busy=busy):
                busy = self._step()
        except BrokerUnavailableError as exc:
            log.warning("the subscription was not ended: the broker is away", action="record_left", reason=str(exc))

    def _end_session(self) -> None:
        try:
            end_session(self._address, replace(self._session, manual_ack=False))
        except BrokerUnavailableError:
            log.info("the session was not ended: the broker is away", action="record_session_left")

    def _account(self) -> Recorded:
        self.recorded.files = list(self._files.paths)
        self.recorded.file_bytes = self._files.written_bytes
        self.recorded.possible_gaps = sum(not present for _, present in self._receiver.session_history[1:])
        return self.recorded


class _Either(threading.Event):
    """Set when either of two events is."""

    def __init__(self, first: threading.Event, second: threading.Event) -> None:
        super().__init__()
        self._events = first, second

    def is_set(self) -> bool:
        """Whether one of them is."""
        return any(event.is_set() for event in self._events)

    def wait(self, timeout: float | None = None) -> bool:
        """As of `threading.Event`, to a tenth of a second."""
        deadline = None if timeout is None else time.monotonic() + timeout
        while not self.is_set() and (deadline is None or time.monotonic() < deadline):
            self._events[0].wait(0.1 if deadline is None else min(0.1, max(deadline - time.monotonic(), 0.0)))
        return self.is_set()


class _Files:
    """The file that is written, or one file after the other: `name-000001.feed`, `name-000002.feed`, …"""

    def __init__(self, path: Path, limits: RecordingLimits, *, append: bool) -> None:
        self._path, self._limits, self._append = path, limits, append
        self.paths: list[Path] = []
        self._closed_bytes = self._base_bytes = 0
        self._writer: RecordingWriter | None = None
        self._description: dict[str, Any] = {}
        self._opened_s = 0.0
        there = self._there()
        if there and not append:
            raise RecordingError(f"{there[-1]} is there already; nothing is overwritten (--append goes on).")
        self._number = int(there[-1].stem[-6:]) if there and limits.rotates else 1
        self.client_id = f"roadtwin-record-{uuid4().hex[:12]}"
        if there:
            self.client_id = str(read_info(there[-1]).description.get("client_id", self.client_id))

    def _there(self) -> list[Path]:
        if not self._limits.rotates:
            return [self._path] if self._path.exists() else []
        return sorted(self._path.parent.glob(f"{self._path.stem}-[0-9][0-9][0-9][0-9][0-9][0-9]{SUFFIX}"))

    @property
    def written_bytes(self) -> int:
        """Bytes of this run in all files [B]."""
        current = self._writer.file_bytes - self._base_bytes if self._writer is not None else 0
        return self._closed_bytes + current

    def open(self, description: dict[str, Any]) -> None:
        """Open the first file."""
        self._description = description
        self._open(append=self._append)

    def _open(self, *, append: bool) -> None:
        path = self._path
        if self._limits.rotates:
            path = path.with_name(f"{path.stem}-{self._number:06}{SUFFIX}")
        description = self._description | {"began_at": datetime.now(UTC).isoformat(timespec="seconds")}
        self._writer = RecordingWriter(path, description, append=append, private=True)
        self._base_bytes = self._writer.file_bytes if self._writer.messages else 0
        self._opened_s = time.monotonic()
        self.paths.append(path)

    def write(self, received: list[Received]) -> None:
        """Write messages; they are on disk when this returns."""
        assert self._writer is not None, "open() first"
        times = {id(item.recorded_at): (item.recorded_at - _UNIX) // _MICROSECOND for item in received}
        self._writer.write_block(
            np.array([times[id(item.recorded_at)] for item in received], np.int64),
            [item.topic for item in received],
            [item.payload for item in received],
            flags=bytes([flag_of(item.qos, item.retained) for item in received]),
        )
        self._writer.flush()
        age_s, size = time.monotonic() - self._opened_s, self._writer.file_bytes
        limits = self._limits
        if (limits.rotate_s is not None and age_s >= limits.rotate_s) or (
            limits.rotate_bytes is not None and size >= limits.rotate_bytes
        ):
            self.close()
            self._number += 1
            self._open(append=False)

    def close(self, *, wanted: bool = True) -> None:
        """End the file, and join its blocks where they are many and small; one that is not `wanted` is removed."""
        if self._writer is None:
            return
        writer, self._writer = self._writer, None
        writer.close()
        if not wanted and not writer.messages:
            writer.path.unlink()
            self.paths.remove(writer.path)
            return
        compact(writer.path)
        self._closed_bytes += max(writer.path.stat().st_size - self._base_bytes, 0)
