"""Nothing lost, nothing stored twice: connections that break, processes that are killed, databases that go away."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from ingest.batch import process_batch
from ingest.consumer import now
from ingest.mqtt import Session, parse_mqtt_url
from ingest.received import Received
from ingest.receiver import Receiver
from roadtwin.errors import BrokerRefusedError, BrokerUnavailableError
from roadtwin.storage.database import connect
from roadtwin.storage.messages import write_batch
from roadtwin.telemetry import STALE_ACKS
from roadtwin.types import Origin
from tests.conftest import make_conninfo_url
from tests.integration.ingest.conftest import count, fetch, open_publisher, publish_all, received, wait_for
from tests.samples import chirpstack, decoder, encoded

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed on this machine")


def uplinks(numbers, topic_part="x") -> list[tuple[str, bytes]]:
    return [
        (
            f"application/{topic_part}/device/d/event/up",
            encoded(chirpstack(deduplicationId=f"{topic_part}-{number}", time=f"2026-03-10T10:00:00.{number:06d}Z")),
        )
        for number in numbers
    ]


class OwnMosquitto:
    """A Mosquitto of one test, which may be killed. Persistent or with the defaults."""

    def __init__(self, directory: Path, *, options: str = "") -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self._config = directory / "mosquitto.conf"
        self._config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous true\n{options}\n")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        assert MOSQUITTO is not None
        self._process = subprocess.Popen([MOSQUITTO, "-c", str(self._config)], stderr=subprocess.DEVNULL)
        wait_for(self._answers)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None


@pytest.fixture
def own_mosquitto(data_dir: Path) -> Iterator[Callable[..., OwnMosquitto]]:
    brokers: list[OwnMosquitto] = []

    def start(**options: str) -> OwnMosquitto:
        brokers.append(OwnMosquitto(data_dir, **options))
        brokers[-1].start()
        return brokers[-1]

    yield start
    for broker in brokers:
        broker.kill()


def open_receiver(url: str, client_id: str, topic: str) -> Receiver:
    session = Session(client_id, expiry_s=300, receive_maximum=100, keepalive_s=5, manual_ack=True)
    receiver = Receiver(parse_mqtt_url(url), session, [topic], clock=now)
    receiver.open()
    return receiver


def take(receiver: Receiver, number: int) -> list[Received]:
    taken: list[Received] = []
    wait_for(lambda: len(taken.extend(receiver.take(number - len(taken), 0.1, threading.Event())) or taken) >= number)
    return taken


def test_what_was_committed_and_not_acknowledged_comes_again_and_is_stored_once(mqtt_url, database_url, db):
    part = uuid4().hex[:8]
    topic = f"application/{part}/device/+/event/up"
    receiver = open_receiver(mqtt_url, f"c-{part}", topic)
    publisher = open_publisher(mqtt_url)
    publish_all(publisher, uplinks(range(40), part))

    def store(messages, rejected):
        return write_batch(db, messages, rejected, worker="test", origin=Origin.MQTT)

    process_batch(
        take(receiver, 40), decoder=decoder(), store=store, acknowledge=lambda received: None
    )  # killed before its acks
    receiver.close()
    receiver = open_receiver(mqtt_url, f"c-{part}", topic)
    again = process_batch(take(receiver, 40), decoder=decoder(), store=store, acknowledge=receiver.acknowledge)
    receiver.close()
    receiver = open_receiver(mqtt_url, f"c-{part}", topic)
    assert receiver.take(1, 0.1, threading.Event()) == []  # acknowledged now
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()

    assert (again.stored, again.duplicate) == (0, 40)
    assert fetch(db, "SELECT count(*) FROM message") == [(40,)]


@needs_mosquitto
def test_acknowledgements_of_an_earlier_connection_are_not_sent(own_mosquitto):
    broker = own_mosquitto()  # keeps no session over its restart: packet ids begin at 1 again
    receiver = open_receiver(broker.url, "epochs", "application/#")
    publisher = open_publisher(broker.url)
    publish_all(publisher, uplinks(range(10)))
    old = take(receiver, 10)
    stale_before = STALE_ACKS._value.get()

    broker.kill()
    broker.start()
    wait_for(publisher.is_connected)
    wait_for(lambda: receiver._subscribed.is_set() and receiver._client.is_connected())
    time.sleep(0.5)  # until it has subscribed again
    publish_all(publisher, uplinks(range(10, 20)))
    new = take(receiver, 10)
    assert {r.mid for r in new} & {r.mid for r in old}  # the trap: the same packet ids
    receiver.acknowledge(old)

    assert STALE_ACKS._value.get() == stale_before + 10
    receiver.close()
    receiver = open_receiver(broker.url, "epochs", "application/#")
    assert {r.payload for r in take(receiver, 10)} == {r.payload for r in new}  # none was acknowledged by mistake
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()


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


def test_more_messages_in_flight_than_the_queue_holds_are_delivered_again(mqtt_v311_url):
    part = uuid4().hex[:8]
    session = Session(f"small-{part}", expiry_s=60, receive_maximum=5, manual_ack=True)  # 3.1.1 knows no such limit
    receiver = Receiver(parse_mqtt_url(mqtt_v311_url), session, [f"application/{part}/#"], clock=now)
    receiver.open()
    publisher = open_publisher(mqtt_v311_url)
    publish_all(publisher, uplinks(range(90), part))
    time.sleep(1)  # until the queue has overflowed

    payloads: set[bytes] = set()

    def take_some() -> bool:
        for item in receiver.take(10, 0.05, threading.Event()):
            payloads.add(item.payload)
            receiver.acknowledge([item])
        return len(payloads) == 90

    wait_for(take_some)
    receiver.close()
    publisher.disconnect()
    publisher.loop_stop()


@needs_mosquitto
def test_a_broker_that_grants_less_than_qos_1_is_refused_by_name(own_mosquitto):
    broker = own_mosquitto(options="max_qos 0")

    with pytest.raises(BrokerRefusedError, match="granted only QoS 0 for application/#, expected QoS 1"):
        open_receiver(broker.url, "modest", "application/#")


@needs_mosquitto
def test_a_wrong_password_is_refused_without_being_repeated(own_mosquitto):
    broker = own_mosquitto(options="allow_anonymous false")
    url = broker.url.replace("mqtt://", "mqtt://user:secret@")

    with pytest.raises(BrokerRefusedError, match="refused the connection") as caught:
        open_receiver(url, "stranger", "application/#")

    assert "secret" not in str(caught.value)


def test_a_broker_that_does_not_answer_is_named():
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        open_receiver("mqtt://127.0.0.1:1", "nobody", "application/#")
