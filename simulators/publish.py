"""Publishing a feed through MQTT at QoS 1: paced by the messages' own times, counted when the broker confirms."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime

from ingest.mqtt import BrokerAddress
from ingest.pacing import PacedBlock, Pacing, publish_paced
from ingest.publisher import Publisher
from simulators.feed import FeedBlock
from simulators.instants import as_time

__all__ = ["Pacing", "Published", "publish_feed"]


@dataclass(frozen=True, slots=True)
class Published:
    """What became of a feed; `payload_sha256` of the confirmed messages, in order of publication, when asked for."""

    published: int
    confirmed: int
    payload_sha256: tuple[bytes, ...]
    newest_at: datetime | None


def publish_feed(
    address: BrokerAddress,
    feed: Iterable[FeedBlock],
    pacing: Pacing,
    *,
    stop: threading.Event,
    keep_digests: bool = False,
    on_progress: Callable[[datetime, int], None] | None = None,
) -> Published:
    """Publish a feed until it ends or `stop` is set, then wait for the outstanding confirmations.

    It is made in a thread of its own meanwhile. In real time (speed 1) a message goes out at its own time, and what is
    already past at once; any other speed begins with the first message.

    Parameters
    ----------
    feed : iterable of FeedBlock
        In the order of publication.
    on_progress : callable, optional
        Called with the time of publication and the number of messages published, at most ten times a second.

    Raises
    ------
    BrokerUnavailableError, BrokerRefusedError
        The broker cannot be reached at the start, refuses a message, or leaves messages unconfirmed at the end.
    """

    def tell(at_us: int, published: int) -> None:
        if on_progress is not None:
            on_progress(as_time(at_us), published)

    with Publisher(address, name="simulate", keep_digests=keep_digests) as publisher:
        blocks = (PacedBlock(block.publish_us, block.topics, block.payloads) for block in feed)
        newest_us = publish_paced(publisher, blocks, pacing, stop=stop, by_clock=pacing.speed == 1.0, on_progress=tell)
        publisher.wait_for_confirmations()
        newest = None if newest_us is None else as_time(newest_us)
        return Published(publisher.published, publisher.confirmed, publisher.digests, newest)
