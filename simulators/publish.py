"""Publishing a feed through MQTT at QoS 1: paced by the messages' own times, counted when the broker confirms."""

import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from ingest.mqtt import BrokerAddress
from ingest.publisher import Publisher
from roadtwin.errors import SimulationError
from simulators.feed import TimedMessage

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
    with Publisher(address, name="simulate", keep_digests=keep_digests) as publisher:
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
        return Published(publisher.published, publisher.confirmed, publisher.digests, newest)


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
