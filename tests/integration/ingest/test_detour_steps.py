"""The detour step by step: whoever acknowledges a message does so once, in order, while the writer has it or not."""

import threading
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

import psycopg
import pytest

from ingest.detour import Detour
from ingest.housekeeping import Housekeeper
from ingest.journal import Journal
from ingest.mqtt import Session, parse_mqtt_url
from ingest.received import Received
from ingest.receiver import Receiver
from ingest.store import Store
from ingest.writer import Writer
from roadtwin.errors import MigrationError
from tests.integration.ingest.conftest import count, wait_for
from tests.integration.ingest.test_detour import WINDOW, uplinks
from tests.journals import opened
from tests.samples import decoder

NEVER = threading.Event()


def now() -> datetime:
    return datetime.now(UTC)


class NotedReceiver(Receiver):
    """Without a connection; notes which packet ids it was to acknowledge."""

    def __init__(self) -> None:
        super().__init__(parse_mqtt_url("mqtt://127.0.0.1"), Session("noted"), ["t"], clock=now)
        self.acknowledged: list[int] = []

    def acknowledge(self, received: Sequence[Received]) -> None:
        self.acknowledged += [item.mid for item in received if item.qos]
        super().acknowledge(received)


@dataclass
class Way:
    """A detour that has begun, and what it works with."""

    detour: Detour
    receiver: NotedReceiver
    writer: Writer
    journal: Journal
    housekeeper: Housekeeper
    stop: threading.Event
    published: list[int] = field(default_factory=list)

    def receive(self, number: int) -> None:
        first = len(self.published)
        self.published += range(first + 1, first + number + 1)
        self.receiver._on_publishes(
            [
                Received(topic, payload, now(), qos=1, epoch=1, mid=first + n + 1)
                for n, (topic, payload) in enumerate(uplinks(range(first, first + number), "steps"))
            ]
        )

    def step(self) -> None:
        self.writer.check()
        self.detour.step(NEVER)

    def in_memory(self) -> int:
        return self.receiver.waiting() + self.writer.messages + self.detour.held_messages


@pytest.fixture
def way(db, database_url, tmp_path) -> Iterator[Way]:
    stop = threading.Event()
    store = Store(database_url, worker="steps", stop=stop, patience_s=0.5)
    receiver, journal = NotedReceiver(), opened(tmp_path / "journal")
    writer = Writer(store, lambda job: receiver.acknowledge(job.received))
    housekeeper = Housekeeper(database_url, decoder(), name="steps", clock=now)
    detour = Detour(journal, decoder(), receiver, writer, housekeeper, batch_messages=WINDOW, window_messages=WINDOW)
    detour.begin()
    yield Way(detour, receiver, writer, journal, housekeeper, stop)
    stop.set()
    writer.close(10)
    store.close()
    journal.close()


def hang_with(way: Way, blocker: psycopg.Connection, number: int) -> None:
    """Let the writer hang with so many messages that the broker may still take back."""
    blocker.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
    way.receive(number)
    way.step()
    wait_for(lambda: way.writer.busy_s > 0.1)
    assert way.receiver.acknowledged == []


def test_what_goes_into_the_journal_while_it_is_written_is_acknowledged_once(way, database_url):
    with psycopg.connect(database_url) as blocker:
        hang_with(way, blocker, 5)
        assert way.in_memory() == 5  # not once for the writer and once for the detour
        way.receive(WINDOW // 2)
        way.step()
        assert way.receiver.acknowledged == way.published
        assert way.journal.depth_messages == len(way.published)

    wait_for(lambda: way.step() or not way.detour.active)

    assert way.receiver.acknowledged == way.published
    assert count(database_url, "SELECT count(*) FROM message") == len(way.published)


def test_a_stop_while_messages_are_written_acknowledges_them_once(way, database_url):
    with psycopg.connect(database_url) as blocker:
        hang_with(way, blocker, 5)
        way.detour.keep_everything()
    wait_for(lambda: way.writer.idle)

    assert way.receiver.acknowledged == way.published
    assert way.journal.depth_messages == 5  # once more, as duplicates: nobody knew


def test_a_stop_right_after_a_commit_leaves_nothing_to_be_done_again(way, database_url):
    way.receive(5)
    way.step()
    wait_for(lambda: way.writer.idle)
    way.detour.keep_everything()

    assert way.receiver.acknowledged == way.published
    assert way.journal.depth_messages == way.detour.held_messages == 0
    assert count(database_url, "SELECT count(*) FROM message") == 5


def test_a_database_without_a_schema_is_told_and_not_waited_for(way, db):
    db.execute("DELETE FROM schema_migration")
    db.execute("ALTER TABLE device RENAME TO another")
    db.commit()
    way.receive(5)

    with pytest.raises(MigrationError, match="roadtwin migrate"):
        way.step()

    assert way.receiver.acknowledged == []
