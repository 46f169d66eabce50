"""Several workers share the messages; they die, come back and get fewer, and nothing is lost."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.ingest.conftest import count, wait_for
from tests.integration.ingest.mosquitto import OwnMosquitto, needs_mosquitto
from tests.integration.ingest.workers_rig import (
    BROKER_OPTIONS,
    Command,
    Stream,
    process_is_there,
    wait_until_connected,
    wait_until_stored,
    workers,
)

pytestmark = needs_mosquitto


@pytest.fixture
def broker(own_mosquitto: Callable[..., OwnMosquitto]) -> OwnMosquitto:
    return own_mosquitto(options=BROKER_OPTIONS)


@pytest.fixture
def stream(broker: OwnMosquitto) -> Iterator[Stream]:
    stream = Stream(broker.url)
    yield stream
    stream.close()


@pytest.fixture
def ingest(data_dir: Path, broker: OwnMosquitto, database_url: str) -> Iterator[Callable[..., Command]]:
    """Starts `roadtwin ingest` with these arguments and settings."""
    running: list[Command] = []

    def start(*arguments: str, directory: str = "data", **environment: Any) -> Command:
        parts = {"MQTT_URL": broker.url, "DATABASE_URL": database_url} | environment
        running.append(Command(data_dir / directory, *arguments, **parts))
        return running[-1]

    yield start
    for command in running:
        print(command.log.read_text())
        if command.process.poll() is None:
            command.stop()


def test_three_workers_store_a_stream_once_also_when_one_is_killed_and_end_together(ingest, stream, database_url):
    command = ingest("--workers", "3")
    names = ["essen-1", "essen-2", "essen-3"]
    before = wait_until_connected(database_url, *names)
    stream.publish(300)
    wait_until_stored(database_url, stream)

    os.kill(before["essen-2"].pid, signal.SIGKILL)
    stream.publish(300)
    wait_until_stored(database_url, stream)
    wait_for(lambda: workers(database_url)["essen-2"].pid != before["essen-2"].pid)
    began_s = time.monotonic()
    code = command.stop()

    rows = workers(database_url)
    assert code == 0
    assert time.monotonic() - began_s < 10
    assert not any(process_is_there(row.pid) for row in (*before.values(), *rows.values()))
    assert [event["how"] for event in command.events("worker_ended")] == ["by signal 9"]
    assert sorted(rows) == names
    assert {name: row.connected for name, row in rows.items()} == dict.fromkeys(names, False)
    assert {name: row.started_at != before[name].started_at for name, row in rows.items()} == {
        "essen-1": False,
        "essen-2": True,
        "essen-3": False,
    }
    for row in rows.values():
        assert row.received > 0
        assert row.received == row.stored + row.duplicate + row.rejected + row.journalled + row.in_process
    assert {row.retired_at for row in rows.values()} == {None}
    assert count(database_url, "SELECT count(DISTINCT worker) FROM ingest_batch WHERE stored > 0") == 3


def test_fewer_workers_take_nothing_before_the_others_are_drained_and_nothing_is_lost(
    ingest, stream, database_url, broker
):
    three = ingest("--workers", "3")
    wait_until_connected(database_url, "essen-1", "essen-2", "essen-3")
    assert three.stop() == 0
    stream.publish(90)  # parked for the three of them
    stream.start(every_s=0.05)

    one = ingest()
    wait_until_connected(database_url, "essen")
    stream.pause()
    wait_until_stored(database_url, stream)
    rows = workers(database_url, retired=True)

    assert [name for name, row in rows.items() if row.retired_at is None] == ["essen"]
    assert [event["worker"] for event in one.events("ingest_ready") if event["worker"] == "essen"] == ["essen"]
    assert one.stop() == 0

    stream.start(every_s=0.05)
    two = ingest("--workers", "2")
    wait_until_connected(database_url, "essen-1", "essen-2")
    stream.pause()
    wait_until_stored(database_url, stream)
    rows = workers(database_url, retired=True)

    assert {name for name, row in rows.items() if row.retired_at is None} == {"essen-1", "essen-2"}
    assert two.stop() == 0
