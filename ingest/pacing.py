"""Publishing in time: at the messages' own times, faster, or at a rate; a few milliseconds' worth in a write."""

import queue
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from ingest.publisher import Publisher
from roadtwin.errors import SettingsError

MAX_RATE_PER_S = 100_000.0
MAX_SPEED = 1e6
TICK_S = 0.002
"""Messages go out together when they are due within so long [s]: a wait costs more than a message."""
BURST_S = 10.0
"""What a rate may make up for after the broker has held us back [s]: a Mosquitto that saves its sessions does."""
MOST_AT_ONCE = 1000
PROGRESS_S = 0.1
SWITCH_INTERVAL_S = 0.0005
"""For `sys.setswitchinterval` [s]. Whoever makes the messages holds the interpreter for 5 ms by default; 20 messages in
flight wait for it twice, and more than 2,000 a second would not go out."""


@dataclass(frozen=True, slots=True)
class Pacing:
    """When a message goes out.

    `speed` is how many seconds of the feed pass in one second; None publishes as fast as the broker confirms.
    `rate_per_s` limits it. Raises SettingsError when they are out of range.
    """

    speed: float | None = 1.0
    rate_per_s: float | None = None

    def __post_init__(self) -> None:
        if self.speed is not None and not 0 < self.speed <= MAX_SPEED:
            raise SettingsError(f"Speed: got {self.speed:g}, expected more than 0 and at most {MAX_SPEED:,.0f}.")
        if self.rate_per_s is not None and not 0 < self.rate_per_s <= MAX_RATE_PER_S:
            raise SettingsError(
                f"Rate: got {self.rate_per_s:g} messages/s, expected more than 0 and at most {MAX_RATE_PER_S:,.0f}."
            )


class PacedBlock(NamedTuple):
    """n messages in the order of publication."""

    at_us: NDArray[np.int64]
    """Shape (n,), µs since 1970 UTC."""
    topics: list[str]
    payloads: list[bytes]
    qos: list[int] | None = None
    """1 for all if left out."""
    retained: list[bool] | None = None


def publish_paced(
    publisher: Publisher,
    blocks: Iterable[PacedBlock],
    pacing: Pacing,
    *,
    stop: threading.Event,
    by_clock: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
) -> int | None:
    """Publish blocks until they end or `stop` is set; the time of the newest published message [µs].

    Returns without waiting for the last confirmations.

    Parameters
    ----------
    by_clock : bool
        A message goes out when the clock shows its time, and what is past at once. Otherwise the first one goes out now
        and the others in their distance from it, divided by the speed.
    on_progress : callable, optional
        Called with the time of a message [µs] and the number published, at most ten times a second.

    Raises
    ------
    BrokerUnavailableError, BrokerRefusedError
        As Publisher.publish_many.
    """
    clock, newest, told_s = _Clock(pacing, by_clock=by_clock), None, 0.0
    with _quick_switches():
        for block in ahead(blocks, stop):
            due_us = np.maximum.accumulate(block.at_us)  # a clock that was set back holds nobody up
            at = 0
            while at < len(block.topics) and not stop.is_set():
                count = clock.due(due_us[at:])
                if not count:
                    stop.wait(clock.wait_s(int(due_us[at])))
                    continue
                part = slice(at, at + min(count, MOST_AT_ONCE))
                sent = publisher.publish_many(
                    block.topics[part],
                    block.payloads[part],
                    qos=None if block.qos is None else block.qos[part],
                    retained=None if block.retained is None else block.retained[part],
                    stop=stop,
                )
                clock.spend(sent)
                at += sent
                if sent:
                    newest = int(block.at_us[at - 1])
                if sent and on_progress is not None and time.monotonic() - told_s > PROGRESS_S:
                    told_s = time.monotonic()
                    on_progress(newest or 0, publisher.published)
            if stop.is_set():
                break
    return newest


class _Clock:
    """Says how many messages may go out now."""

    def __init__(self, pacing: Pacing, *, by_clock: bool) -> None:
        self._pacing, self._by_clock = pacing, by_clock
        self._began_s = time.monotonic()
        self._first_us: int | None = None
        self._rate = pacing.rate_per_s
        self._credit = 1.0  # messages that the rate lets go
        self._credited_s = self._began_s

    def due(self, due_us: NDArray[np.int64]) -> int:
        """How many of the next messages, whose times do not fall."""
        count = len(due_us)
        if self._pacing.speed is not None:
            count = int(np.searchsorted(due_us, self._feed_now_us(int(due_us[0])), side="right"))
        return min(count, self._refreshed_credit()) if self._rate is not None else count

    def wait_s(self, next_us: int) -> float:
        """How long until it is worth asking again [s]."""
        wait_s = TICK_S
        if self._pacing.speed is not None:
            wait_s = max(wait_s, (next_us - self._feed_now_us(next_us)) / 1e6 / self._pacing.speed)
        if self._rate is not None:
            wait_s = max(wait_s, (1.0 - self._credit) / self._rate)
        return wait_s

    def spend(self, sent: int) -> None:
        """So many went out."""
        self._credit -= sent

    def _feed_now_us(self, next_us: int) -> float:
        if self._by_clock:
            return time.time() * 1e6
        if self._first_us is None:
            self._first_us, self._began_s = next_us, time.monotonic()
        return self._first_us + (time.monotonic() - self._began_s) * 1e6 * (self._pacing.speed or 1.0)

    def _refreshed_credit(self) -> int:
        assert self._rate is not None, "no rate"
        now_s = time.monotonic()
        grown = self._credit + (now_s - self._credited_s) * self._rate
        self._credit, self._credited_s = min(grown, max(1.0, self._rate * BURST_S)), now_s
        return int(self._credit)


@contextmanager
def _quick_switches() -> Iterator[None]:
    before_s = sys.getswitchinterval()
    sys.setswitchinterval(min(before_s, SWITCH_INTERVAL_S))
    try:
        yield
    finally:
        sys.setswitchinterval(before_s)


Item = TypeVar("Item")


def ahead(items: Iterable[Item], stop: threading.Event, *, most: int = 2) -> Iterator[Item]:
    """The same items, made by another thread, at most so many before they are asked for; they end when `stop` is set.

    What making them raises is raised here, in its place.
    """
    made: queue.Queue[tuple[Item | None, BaseException | None]] = queue.Queue(most)
    unwanted = threading.Event()

    def hand_over(item: Item | None, failure: BaseException | None) -> bool:
        while not unwanted.is_set():
            try:
                made.put((item, failure), timeout=0.1)
            except queue.Full:
                continue
            return True
        return False

    def make() -> None:
        try:
            for item in items:
                if not hand_over(item, None):
                    return
            hand_over(None, StopIteration())
        except BaseException as exc:  # noqa: BLE001 — raised again by the thread that asks
            hand_over(None, exc)

    thread = threading.Thread(target=make, name="making messages", daemon=True)
    thread.start()
    try:
        while not stop.is_set():
            try:
                item, failure = made.get(timeout=0.1)
            except queue.Empty:
                continue
            if isinstance(failure, StopIteration):
                return
            if failure is not None:
                raise failure
            assert item is not None, "items are no None"
            yield item
    finally:
        unwanted.set()
        thread.join(1.0)  # it ends with the item that it is about to make, which may take long
