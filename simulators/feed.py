"""Messages with their times of publication: what every part of a feed gives."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import numpy as np
from numpy.typing import NDArray

from simulators.instants import as_time


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """One MQTT message and when it is published."""

    publish_at: datetime
    topic: str
    payload: bytes


@dataclass(frozen=True, slots=True)
class FeedBlock:
    """n messages in the order of publication."""

    publish_us: NDArray[np.int64]  # µs since 1970, UTC
    topics: list[str]
    payloads: list[bytes]

    def __len__(self) -> int:
        return len(self.topics)

    def __iter__(self) -> Iterator[TimedMessage]:
        for us, topic, payload in zip(self.publish_us.tolist(), self.topics, self.payloads, strict=True):
            yield TimedMessage(as_time(us), topic, payload)

    @classmethod
    def of(cls, publish_us: NDArray[np.int64], topics: list[str], payloads: list[bytes]) -> "FeedBlock":
        """A block of messages in any order; equal times are ordered by topic and payload, so that the order is one."""
        order = np.argsort(publish_us, kind="stable")
        publish_us, ranks = publish_us[order], order.tolist()
        for first, last in _runs(publish_us):
            ranks[first:last] = sorted(ranks[first:last], key=lambda i: (topics[i], payloads[i]))
        return cls(publish_us, [topics[i] for i in ranks], [payloads[i] for i in ranks])

    @classmethod
    def merged(cls, blocks: Iterable["FeedBlock"]) -> "FeedBlock":
        """One block of several."""
        parts = list(blocks)
        return cls.of(
            np.concatenate([np.zeros(0, np.int64), *(part.publish_us for part in parts)]),
            [topic for part in parts for topic in part.topics],
            [payload for part in parts for payload in part.payloads],
        )

    def window(self, begin_us: int, end_us: int) -> "FeedBlock":
        """The messages published in [begin_us, end_us)."""
        first, last = np.searchsorted(self.publish_us, [begin_us, end_us]).tolist()
        return FeedBlock(self.publish_us[first:last], self.topics[first:last], self.payloads[first:last])


def _runs(sorted_us: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Where equal times stand, as (first, last + 1): few, for times are in microseconds."""
    equal = np.zeros(len(sorted_us) + 1, np.int8)
    equal[1:-1] = sorted_us[1:] == sorted_us[:-1]
    steps = np.diff(equal)
    return list(zip(np.flatnonzero(steps == 1).tolist(), (np.flatnonzero(steps == -1) + 1).tolist(), strict=True))
