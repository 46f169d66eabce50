"""Publishing a feed through MQTT at QoS 1: paced by the messages' own times, counted when the broker confirms."""

import hashlib
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Self
from uuid import uuid4

import paho.mqtt.client as paho
from paho.mqtt.reasoncodes import ReasonCode

from ingest.mqtt import BrokerAddress, Session, open_client
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError, SimulationError
from simulators.messages import TimedMessage

IN_FLIGHT = 1000
"""Most messages published and not confirmed yet."""
CONFIRM_S = 30.0
MAX_RATE_PER_S = 100_000.0


@dataclass(frozen=True, slots=True)
class Pacing:
    """When a message goes out.

    `speed` is how many seconds of the feed pass in one second; None publishes as fast as the broker confirms. Real time
    (1.0) publishes at the messages' own times and what is already past at once; any other speed begins with the first
    message. `rate_per_s` limits all of them.
    """

    speed: float | None = 1.0
    rate_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.speed is not None and not 0 < self.speed <= 1e6:
            raise SimulationError(f"Speed: got {self.speed:g}, expected more than 0 and at most 1,000,000.")
        if self.rate_per_s is not None and not 0 < self.rate_per_s <= MAX_RATE_PER_S:
            raise SimulationError(
                f"Rate: got {self.rate_per_s:g} messages/s, expected more than 0 and at most {MAX_RATE_PER_S:,.0f}."
            )


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a feed; `payload_sha256` of the confirmed messages, in order of publication, when asked for."""

    published: int
    confirmed: int
    payload_sha256: tuple[bytes, ...]
    newest_at: datetime | None


class Publisher:
    """A connection that publishes and keeps account of what the broker has confirmed. Use as a context manager.

    Opening raises BrokerUnavailableError or BrokerRefusedError. When the connection breaks, it is made again in the
    background, and what was not confirmed is sent again.
    """

    def __init__(self, address: BrokerAddress, *, keep_digests: bool = False) -> None:
        self._address, self._keep_digests = address, keep_digests
        self._answered: dict[int, ReasonCode] = {}
        self._wake = threading.Event()
        self._waiting: deque[tuple[int, bytes]] = deque()
        self._digests: list[bytes] = []
        self.published = self.confirmed = 0
        self._client = open_client(address, Session(f"roadtwin-simulate-{uuid4().hex[:8]}"), self._prepare)

    def _prepare(self, client: paho.Client) -> None:
        client.on_publish = self._on_publish
        client.max_inflight_messages_set(IN_FLIGHT)
        client.max_queued_messages_set(0)  # unlimited: we bound it ourselves

    def _on_publish(self, _client: paho.Client, _userdata: Any, mid: int, reason: ReasonCode, _properties: Any) -> None:
        # Called in paho's thread with its lock held: no lock of ours here, only a store and a signal.
        self._answered[mid] = reason
        self._wake.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._client.disconnect()
        self._client.loop_stop()

    def publish(self, topic: str, payload: bytes, *, stop: threading.Event) -> None:
        """Publish one message; waits while too many are unconfirmed, at most until `stop` is set."""
        while len(self._waiting) >= IN_FLIGHT and not stop.is_set():
            self._settle()
            if len(self._waiting) >= IN_FLIGHT:
                self._wake.wait(0.2)
                self._wake.clear()
        if stop.is_set():
            return
        info = self._client.publish(topic, payload, qos=1)
        self.published += 1
        self._waiting.append((info.mid, hashlib.sha256(payload).digest() if self._keep_digests else b""))

    def wait_for_confirmations(self, timeout_s: float = CONFIRM_S) -> None:
        """Return when the broker has confirmed everything.

        Raises BrokerUnavailableError when that takes longer than `timeout_s` without progress.
        """
        last, deadline = self.confirmed, time.monotonic() + timeout_s
        while self._waiting:
            self._settle()
            if self.confirmed != last:
                last, deadline = self.confirmed, time.monotonic() + timeout_s
            if self._waiting and time.monotonic() > deadline:
                raise BrokerUnavailableError(
                    f"The MQTT broker {self._address} left {len(self._waiting)} of {self.published} messages "
                    "unconfirmed."
                )
            self._wake.wait(0.05)
            self._wake.clear()

    def _settle(self) -> None:
        """Take confirmed messages off the front of the queue."""
        while self._waiting and self._waiting[0][0] in self._answered:
            mid, digest = self._waiting.popleft()
            reason = self._answered.pop(mid)
            if reason.is_failure:
                raise BrokerRefusedError(f"The MQTT broker {self._address} refused a message: {reason}.")
            self.confirmed += 1
            if self._keep_digests:
                self._digests.append(digest)

    def account(self, newest_at: datetime | None) -> Published:
        """What was published and confirmed so far."""
        self._settle()
        return Published(self.published, self.confirmed, tuple(self._digests), newest_at)


def publish_feed(
    address: BrokerAddress,
    feed: Iterable[TimedMessage],
    pacing: Pacing,
    *,
    stop: threading.Event,
    keep_digests: bool = False,
    on_progress: Callable[[datetime, int], None] | None = None,
) -> Published:
    """Publish a feed until it ends or `stop` is set, then wait for the outstanding confirmations.

    Parameters
    ----------
    feed : iterable of TimedMessage
        In the order of publication.
    on_progress : callable, optional
        Called with the time of publication and the number of messages published, at most ten times a second.

    Raises
    ------
    BrokerUnavailableError, BrokerRefusedError
        The broker cannot be reached at the start, refuses a message, or leaves messages unconfirmed at the end.
    """
    newest: datetime | None = None
    with Publisher(address, keep_digests=keep_digests) as publisher:
        clock = _Clock(pacing)
        told = 0.0
        for message in feed:
            clock.wait(message.publish_at, publisher.published, stop)
            if stop.is_set():
                break
            publisher.publish(message.topic, message.payload, stop=stop)
            newest = message.publish_at
            if on_progress is not None and time.monotonic() - told > 0.1:
                told = time.monotonic()
                on_progress(newest, publisher.published)
        publisher.wait_for_confirmations()
        return publisher.account(newest)


class _Clock:
    """Waits until a message is due."""

    def __init__(self, pacing: Pacing) -> None:
        self._pacing = pacing
        self._began = time.monotonic()
        self._first: datetime | None = None

    def wait(self, publish_at: datetime, published: int, stop: threading.Event) -> None:
        wait_s = 0.0
        if self._pacing.speed == 1.0:
            wait_s = (publish_at - datetime.now(UTC)) / timedelta(seconds=1)
        elif self._pacing.speed is not None:
            self._first = self._first or publish_at
            due_s = (publish_at - self._first) / timedelta(seconds=1) / self._pacing.speed
            wait_s = self._began + due_s - time.monotonic()
        if self._pacing.rate_per_s is not None:
            wait_s = max(wait_s, self._began + published / self._pacing.rate_per_s - time.monotonic())
        if wait_s > 0:
            stop.wait(wait_s)
