"""A running ingester, a publisher, and the messages they exchange."""

import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import paho.mqtt.client as paho
import psycopg
import pytest

from ingest.consumer import run_ingest
from ingest.mqtt import Session, open_client, parse_mqtt_url
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from tests.integration.ingest.mosquitto import own_mosquitto  # noqa: F401 — a fixture


class RunningIngester:
    """`run_ingest` in a thread."""

    def __init__(self, settings: Settings, database_url: str, mqtt_url: str) -> None:
        self.stop = threading.Event()
        self.ready = threading.Event()
        self.failure: BaseException | None = None
        self._thread = threading.Thread(target=self._run, args=(settings, database_url, mqtt_url))
        self._thread.start()

    def _run(self, settings: Settings, database_url: str, mqtt_url: str) -> None:
        try:
            run_ingest(settings, database_url, mqtt_url, self.stop, on_ready=self.ready.set)
        except BaseException as exc:  # noqa: BLE001 — the test looks at it
            self.failure = exc

    def wait_until_ready(self) -> "RunningIngester":
        assert self.ready.wait(20), f"the ingester did not start: {self.failure!r}"
        return self

    def close(self) -> None:
        self.stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive()


@pytest.fixture
def ingest_settings(tmp_path: Path) -> Settings:
    # Brokers are shared between tests: a client id of its own is a session of its own.
    name = f"ingest-{uuid4().hex[:8]}"
    return Settings(data_dir=tmp_path, mqtt_client_id=name, mqtt_session_expiry_s=60)


@pytest.fixture
def start_ingester(ingest_settings: Settings) -> Iterator[Callable[..., RunningIngester]]:
    running: list[RunningIngester] = []

    def start(database_url: str, mqtt_url: str, **changes: Any) -> RunningIngester:
        settings = ingest_settings.model_copy(update=changes)
        running.append(RunningIngester(settings, database_url, mqtt_url))
        return running[-1]

    yield start
    for ingester in running:
        ingester.close()


@pytest.fixture
def publish(mqtt_url: str) -> Iterator[Callable[..., None]]:
    """Publish at QoS 1 and wait for every acknowledgement."""
    client = open_publisher(mqtt_url)
    yield lambda *messages, retain=False: publish_all(client, messages, retain=retain)
    client.disconnect()
    client.loop_stop()


def open_publisher(mqtt_url: str) -> paho.Client:
    return open_client(parse_mqtt_url(mqtt_url), Session(f"publisher-{uuid4().hex[:8]}"), lambda client: None)


def publish_all(client: paho.Client, messages: Any, *, retain: bool = False) -> None:
    infos = [client.publish(topic, payload, qos=1, retain=retain) for topic, payload in messages]
    for info in infos:
        info.wait_for_publish(30)
        assert info.is_published()


def wait_for(condition: Callable[[], object], *, within_s: float = 20.0) -> None:
    deadline = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < deadline, "it did not come"
        time.sleep(0.05)


def count(database_url: str, query: str, *parameters: Any) -> int:
    with connect(database_url, autocommit=True) as conn:
        row = conn.execute(query, parameters or None).fetchone()  # type: ignore[arg-type]
    assert row is not None
    return int(row[0])


def received(database_url: str) -> int:
    return count(database_url, "SELECT coalesce(sum(received), 0) FROM ingest_batch")


def fetch(conn: psycopg.Connection[Any], query: str) -> list[tuple[Any, ...]]:
    rows = conn.execute(query).fetchall()  # type: ignore[arg-type]
    conn.rollback()
    return rows
