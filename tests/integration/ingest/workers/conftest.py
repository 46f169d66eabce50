"""A broker, a stream and commands for workers."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import DatabaseServer
from tests.integration.ingest.mosquitto import OwnMosquitto
from tests.integration.ingest.workers.rig import BROKER_OPTIONS, Command, Stream


@pytest.fixture
def one_database_url(embedded_server: DatabaseServer) -> Iterator[str]:
    """A database of one kind, for what does not depend on it."""
    name, url = embedded_server.clone()
    yield url
    embedded_server.drop(name)


@pytest.fixture
def broker(own_mosquitto: Callable[..., OwnMosquitto]) -> OwnMosquitto:
    return own_mosquitto(options=BROKER_OPTIONS)


@pytest.fixture
def stream(broker: OwnMosquitto) -> Iterator[Stream]:
    stream = Stream(broker.url)
    yield stream
    stream.close()


@pytest.fixture
def ingest(data_dir: Path, broker: OwnMosquitto) -> Iterator[Callable[..., Command]]:
    """Starts `roadtwin ingest` with a database, arguments and settings."""
    running: list[Command] = []

    def start(database_url: str, *arguments: str, directory: str = "data", **environment: Any) -> Command:
        parts = {"MQTT_URL": broker.url, "DATABASE_URL": database_url} | environment
        running.append(Command(data_dir / directory, *arguments, **parts))
        return running[-1]

    yield start
    for command in running:
        print(command.log.read_text())  # shown when the test fails
        if command.process.poll() is None:
            command.stop()
