"""Messages through the real decoder and writer without a broker: how a simulated past comes in."""

from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from itertools import islice
from typing import Protocol

from ingest.batch import decode_batch, write_isolating
from ingest.decode import open_decoder
from ingest.received import Received
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.devices import read_registered_profiles
from roadtwin.storage.messages import BatchWriter
from roadtwin.types import BatchCounts, Origin

BATCH_MESSAGES = 2000
WORKER = "offline"


class TimedMessage(Protocol):
    """A message and when it was published."""

    @property
    def publish_at(self) -> datetime:
        """When it was published, which is also when it arrives here."""
        ...

    @property
    def topic(self) -> str:
        """MQTT topic."""
        ...

    @property
    def payload(self) -> bytes:
        """What was published."""
        ...


def ingest_directly(
    url: str,
    timed_messages: Iterable[TimedMessage],
    settings: Settings,
    *,
    on_progress: Callable[[int], None] | None = None,
) -> BatchCounts:
    """Decode and store messages as if they had arrived when they were published (origin `replayed`).

    Works in several transactions; run again, everything is a duplicate. `on_progress` gets the number of messages
    done so far. Raises DatabaseUnavailableError and what `open_decoder` raises.
    """
    total = BatchCounts(0, 0, 0, 0)
    with connect(url, application_name="roadtwin offline") as conn:
        registered = read_registered_profiles(conn)
        conn.rollback()
        decoder = open_decoder(settings, registered)

        writer = BatchWriter(conn, worker=WORKER, origin=Origin.REPLAYED)
        for chunk in _chunks(timed_messages):
            total += write_isolating(*decode_batch(chunk, decoder), writer.write)
            if on_progress is not None:
                on_progress(total.received)
    return total


def _chunks(timed_messages: Iterable[TimedMessage]) -> Iterator[list[Received]]:
    iterator = iter(timed_messages)
    while chunk := list(islice(iterator, BATCH_MESSAGES)):
        yield [Received(m.topic, m.payload, m.publish_at) for m in chunk]
