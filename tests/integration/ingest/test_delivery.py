"""Nothing lost, nothing stored twice: connections that break, processes that are killed, databases that go away."""

import os
import signal
import subprocess
import sys
import threading
import time
from uuid import uuid4

from ingest.batch import decode_batch, write_isolating
from roadtwin.storage.database import connect
from roadtwin.storage.messages import write_batch
from roadtwin.types import Origin
from tests.conftest import make_conninfo_url
from tests.integration.ingest.conftest import count, fetch, open_publisher, publish_all, received, wait_for
from tests.integration.ingest.mosquitto import needs_mosquitto
from tests.integration.ingest.receiving import open_receiver, take
from tests.samples import chirpstack, decoder, encoded


def uplinks(numbers, topic_part="x") -> list[tuple[str, bytes]]:
    return [
        (
            f"application/{topic_part}/device/d/event/up",
            encoded(chirpstack(deduplicationId=f"{topic_part}-{number}", time=f"2026-03-10T10:00:00.{number:06d}Z")),
        )
        for number in numbers
    ]


def test_what_was_committed_and_not_acknowledged_comes_again_and_is_stored_once(mqtt_url, database_url, db):
    part = uuid4().hex[:8]
    topic = f"application/{part}/device/+/event/up"
    receiver = open_receiver(mqtt_url, f"c-{part}", topic)
    publisher = open_publisher(mqtt_url)
    publish_all(publisher, uplinks(range(40), part))

    def store(messages, rejected):
        return write_batch(db, messages, rejected, worker="test", origin=Origin.MQTT)

    write_isolating(*decode_batch(take(receiver, 40), decoder()), store)
    receiver.close()  # killed before its acknowledgements
    receiver = open_receiver(mqtt_url, f"c-{part}", topic)
    redelivered = take(receiver, 40)
    again = write_isolating(*decode_batch(redelivered, decoder()), store)
    receiver.acknowledge(redelivered)
    receiver.close()
    time.sleep(0.5)  # a broker may read the next connection before the rest of this one
    receiver = open_receiver(mqtt_url, f"c-{part}", topic)
    assert receiver.take(1, 0.1, threading.Event()) == []  # acknowledged now
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()

    assert (again.stored, again.duplicate) == (0, 40)
    assert fetch(db, "SELECT count(*) FROM message") == [(40,)]


def run_command(*arguments: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", "roadtwin.cli.main", *arguments],
        env=os.environ | {f"ROADTWIN_{name}": value for name, value in environment.items()},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@needs_mosquitto
def test_an_ingester_killed_again_and_again_loses_nothing_and_stores_nothing_twice(
    own_mosquitto, database_url, db, tmp_path
):
    broker = own_mosquitto(options="max_inflight_messages 500\nmax_queued_messages 100000")
    environment = {
        "DATABASE_URL": database_url,
        "MQTT_URL": broker.url,
        "DATA_DIR": str(tmp_path),
        "MQTT_CLIENT_ID": "killed",
        "BATCH_MAX_MESSAGES": "50",
        "LOG_FORMAT": "json",
    }
    total, ingester = 3000, run_command("ingest", **environment)
    publisher = open_publisher(broker.url)
    wait_for(lambda: _session_is_there(broker.url, "killed", publisher, database_url), within_s=30)
    base = received(database_url)

    for part, begin in enumerate(range(0, total, 1500), start=1):
        seen = received(database_url)
        publish_all(publisher, uplinks(range(begin, begin + 1500), f"part{part}"))
        wait_for(lambda seen=seen: received(database_url) > seen)  # it is in the middle of it
        ingester.send_signal(signal.SIGKILL)
        ingester.communicate()
        ingester = run_command("ingest", **environment)
    query = "SELECT count(*) FROM message WHERE topic LIKE 'application/part%%'"
    wait_for(lambda: count(database_url, query) == total, within_s=60)

    ingester.send_signal(signal.SIGTERM)
    assert ingester.communicate(timeout=30) is not None
    assert ingester.returncode == 0
    publisher.disconnect()
    publisher.loop_stop()
    assert fetch(db, "SELECT count(DISTINCT message_id) FROM message WHERE topic LIKE 'application/part%'") == [
        (total,)
    ]
    ((stored, rows),) = fetch(db, "SELECT sum(stored), (SELECT count(*) FROM message) FROM ingest_batch")
    assert stored == rows
    assert received(database_url) - base >= total


def _session_is_there(url, client_id, publisher, database_url) -> bool:
    """Publish until something arrives: before its first subscription an ingester has no session to keep anything."""
    publish_all(publisher, uplinks([int(time.time() * 1000) % 1_000_000], "probe"))
    time.sleep(0.2)
    return received(database_url) > 0


def test_what_is_published_while_the_database_is_away_is_stored_when_it_is_back(
    start_ingester, publish, mqtt_url, database_url, db
):
    part = uuid4().hex[:8]
    start_ingester(database_url, mqtt_url).wait_until_ready()
    publish(*uplinks(range(20), part))
    wait_for(lambda: received(database_url) == 20)
    name = db.info.dbname
    db.close()
    with connect(make_conninfo_url(database_url, "postgres"), autocommit=True) as server:
        server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS false")  # type: ignore[arg-type]
        server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [name])
        publish(*uplinks(range(20, 120), part))
        time.sleep(1)
        server.execute(f"ALTER DATABASE {name} WITH ALLOW_CONNECTIONS true")  # type: ignore[arg-type]

    wait_for(lambda: count(database_url, "SELECT count(*) FROM message") == 120, within_s=40)


def test_an_ingester_waits_for_a_broker_that_is_not_there_and_stops_when_told(start_ingester, database_url):
    ingester = start_ingester(database_url, "mqtt://127.0.0.1:1")

    time.sleep(1)
    ingester.close()

    assert ingester.failure is None
    assert not ingester.ready.is_set()


def test_a_broker_without_mqtt_5_is_used_with_3_1_1(start_ingester, mqtt_v311_url, database_url, db):
    part = uuid4().hex[:8]
    start_ingester(database_url, mqtt_v311_url).wait_until_ready()
    publisher = open_publisher(mqtt_v311_url)
    publish_all(publisher, uplinks(range(30), part))
    wait_for(lambda: received(database_url) == 30)
    publisher.disconnect()
    publisher.loop_stop()

    assert fetch(db, "SELECT count(*) FROM message") == [(30,)]
