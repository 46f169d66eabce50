"""While the database is away, messages are acknowledged from the journal, and stored in order once it is back."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from uuid import uuid4

import psycopg
import pytest

from roadtwin.storage.database import connect
from roadtwin.telemetry import JOURNAL_MESSAGES
from tests.conftest import make_conninfo_url
from tests.integration.ingest.conftest import count, received, wait_for
from tests.samples import chirpstack, encoded

WINDOW = 40
JOURNAL = {"journal_after_s": 0.5, "mqtt_receive_maximum": WINDOW, "batch_max_messages": 15}


def uplinks(numbers, part) -> list[tuple[str, bytes]]:
    return [
        (
            f"application/{part}/device/d/event/up",
            encoded(chirpstack(deduplicationId=f"{part}-{number}", time=f"2026-03-10T10:00:00.{number:06d}Z")),
        )
        for number in numbers
    ]


def journalled() -> float:
    return JOURNAL_MESSAGES._value.get()


@pytest.fixture
def take_database_away(db, database_url) -> Iterator[Callable[[], "contextmanager[None]"]]:
    """Nobody may connect to the test's database, and who is connected is thrown out."""
    name = db.info.dbname
    db.close()

    @contextmanager
    def away() -> Iterator[None]:
        with connect(make_conninfo_url(database_url, "postgres"), autocommit=True) as server:
            server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
            try:
                yield
            finally:
                server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")

    return away


def stored_in_order(database_url) -> bool:
    """Batches in the order of their commits hold the messages in the order of their publication."""
    with connect(database_url) as conn:
        rows = conn.execute("SELECT observed_at FROM message ORDER BY batch_id, raw_no").fetchall()
    return rows == sorted(rows)


def test_more_than_the_brokers_window_is_acknowledged_and_kept_while_the_database_is_away(
    start_ingester, publish, mqtt_url, database_url, take_database_away
):
    part = uuid4().hex[:8]
    start_ingester(database_url, mqtt_url, **JOURNAL).wait_until_ready()
    publish(*uplinks(range(10), part))
    wait_for(lambda: received(database_url) == 10)

    with take_database_away():
        publish(*uplinks(range(10, 10 + 5 * WINDOW), part))
        wait_for(lambda: journalled() == 5 * WINDOW)  # five windows: the broker sent on because we acknowledged

    wait_for(lambda: count(database_url, "SELECT count(*) FROM message") == 10 + 5 * WINDOW)
    wait_for(lambda: journalled() == 0)
    assert stored_in_order(database_url)
    publish(*uplinks(range(1000, 1010), part))
    wait_for(lambda: received(database_url) == 20 + 5 * WINDOW)  # straight ahead again, and nothing came twice
    assert count(database_url, "SELECT sum(duplicate) FROM ingest_batch") == 0


def test_what_an_ingester_left_in_its_journal_is_stored_by_the_next_one(
    start_ingester, publish, mqtt_url, database_url, take_database_away
):
    part = uuid4().hex[:8]
    first = start_ingester(database_url, mqtt_url, **JOURNAL).wait_until_ready()
    with take_database_away():
        publish(*uplinks(range(2 * WINDOW), part))
        wait_for(lambda: journalled() == 2 * WINDOW)
        first.close()
        second = start_ingester(database_url, mqtt_url, **JOURNAL)  # starts without a database
        publish(*uplinks(range(2 * WINDOW, 3 * WINDOW), part))
        wait_for(lambda: journalled() == 3 * WINDOW)

    wait_for(lambda: count(database_url, "SELECT count(*) FROM message") == 3 * WINDOW)
    assert stored_in_order(database_url)
    assert (first.failure, second.failure) == (None, None)


def test_a_journal_that_is_full_leaves_the_rest_with_the_broker(
    start_ingester, publish, mqtt_url, database_url, take_database_away
):
    part = uuid4().hex[:8]
    start_ingester(database_url, mqtt_url, **JOURNAL, journal_max_mib=1).wait_until_ready()
    filler = {"surface_temperature": 4.5, "filler": "x" * 8000}
    messages = [
        (topic, encoded(chirpstack(deduplicationId=f"{part}-{n}", time=f"2026-03-10T10:00:00.{n:06d}Z", object=filler)))
        for n, (topic, _) in enumerate(uplinks(range(300), part))
    ]

    with take_database_away():
        publish(*messages)
        wait_for(lambda: journalled() > 50)
        time.sleep(1)
        kept = journalled()
        assert kept < 200  # about a hundred of these fill one MiB

    wait_for(lambda: count(database_url, "SELECT count(*) FROM message") == 300, within_s=60)


def test_without_a_journal_the_broker_keeps_everything(
    start_ingester, publish, mqtt_url, database_url, take_database_away
):
    part = uuid4().hex[:8]
    start_ingester(database_url, mqtt_url, **(JOURNAL | {"journal_max_mib": 0})).wait_until_ready()

    with take_database_away():
        publish(*uplinks(range(3 * WINDOW), part))
        time.sleep(2)
        assert journalled() == 0

    wait_for(lambda: count(database_url, "SELECT count(*) FROM message") == 3 * WINDOW, within_s=40)


def test_a_database_that_hangs_is_as_good_as_away(start_ingester, publish, mqtt_url, database_url):
    part = uuid4().hex[:8]
    start_ingester(database_url, mqtt_url, **JOURNAL).wait_until_ready()

    with psycopg.connect(database_url) as blocker:
        blocker.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        publish(*uplinks(range(3 * WINDOW), part))
        wait_for(lambda: journalled() > 2 * WINDOW)

    wait_for(lambda: count(database_url, "SELECT count(*) FROM message") == 3 * WINDOW)
    wait_for(lambda: journalled() == 0)
    assert (
        count(database_url, "SELECT count(*) FROM (SELECT FROM message GROUP BY message_id HAVING count(*) > 1) t") == 0
    )
