"""Fixtures with real parts: a database of its own for each test, and a running broker.

Tests of storage, ingest and acceptance run on the embedded PostgreSQL and on a real TimescaleDB, on the embedded broker
and on Mosquitto; all others on the embedded parts only, unless they are marked `every_part`. Real services come from
`make services` (or ROADTWIN_TEST_DATABASE_URL, ROADTWIN_TEST_MQTT_URL); without them their tests are skipped by name,
and with ROADTWIN_REQUIRE_SERVICES=1 they fail.
"""

import os
import shutil
import socket
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from roadtwin.errors import BrokerUnavailableError
from roadtwin.jobs.broker import Broker, start_broker
from roadtwin.storage.database import connect
from roadtwin.storage.embedded import EmbeddedPostgres
from roadtwin.storage.migrate import migrate

REPOSITORY = Path(__file__).resolve().parents[1]
EVERY_PART_FOLDERS = ("tests/integration/storage/", "tests/integration/ingest/", "tests/acceptance/")
WAITING_FOLDERS = (
    "tests/faults/",
    "tests/integration/ingest/",
    "tests/integration/jobs/",
    "tests/integration/storage/",
)
"""Where tests mostly wait: for brokers, for processes that start or are killed, for disks."""


def _services_state() -> dict[str, str]:
    """Addresses of the services that are up: those of the environment win over those of `make services`."""
    cache = Path(os.environ.get("ROADTWIN_CACHE_DIR") or REPOSITORY / ".cache")
    state_file = cache / "services" / "state.env"
    lines = state_file.read_text().splitlines() if state_file.exists() else []
    state = dict(line.split("=", 1) for line in lines if line.startswith("ROADTWIN_TEST_"))
    return state | {name: value for name, value in os.environ.items() if name.startswith("ROADTWIN_TEST_") and value}


def _address_if_up(name: str) -> str | None:
    """The address, unless nobody answers there: the state file outlives a restart of the machine."""
    url = SERVICES.get(name)
    if url is None:
        return None
    address = urlsplit(url)
    try:
        socket.create_connection((address.hostname or "127.0.0.1", address.port or 0), timeout=5).close()
    except OSError:
        return None
    return url


SERVICES = _services_state()
TIMESCALE_URL = _address_if_up("ROADTWIN_TEST_DATABASE_URL")
MQTT_URL = _address_if_up("ROADTWIN_TEST_MQTT_URL")
SERVICES_REQUIRED = os.environ.get("ROADTWIN_REQUIRE_SERVICES") == "1"


@dataclass(frozen=True)
class ServiceBroker:
    """A broker that somebody else runs."""

    url: str
    kind: str = "mosquitto"
    durable: bool = True

    @property
    def url_v311(self) -> str:
        return self.url


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "every_part: runs on every database and every broker that is there")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Several test processes take file after file: long ones first, and some wait while others compute."""
    if "PYTEST_XDIST_WORKER" not in os.environ:
        return
    slow = Counter(item.path for item in items if item.get_closest_marker("slow") is not None)
    files = sorted(dict.fromkeys(item.path for item in items), key=lambda file: -slow[file])
    waiting = [file for file in files if file.relative_to(REPOSITORY).as_posix().startswith(WAITING_FOLDERS)]
    computing = [file for file in files if file not in waiting]
    in_turn = [file for pair in zip_longest(computing, waiting) for file in pair if file is not None]
    place = {file: number for number, file in enumerate(in_turn)}
    items.sort(key=lambda item: place[item.path])


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Choose the parts a test runs on: pairs, not every combination, where it needs both."""
    path = metafunc.definition.path.relative_to(REPOSITORY).as_posix()
    services_only = metafunc.definition.get_closest_marker("services") is not None
    every = path.startswith(EVERY_PART_FOLDERS) or metafunc.definition.get_closest_marker("every_part") is not None
    pairs = [("embedded", "iotcore"), ("timescale", "mosquitto")]
    if services_only:
        pairs = pairs[1:]
    elif not every:
        pairs = pairs[:1]
    elif TIMESCALE_URL is None:
        pairs.insert(1, ("embedded", "mosquitto"))
    database, broker = ("database_server" in metafunc.fixturenames), ("mqtt_broker" in metafunc.fixturenames)
    if database and broker:
        metafunc.parametrize(("database_server", "mqtt_broker"), pairs, indirect=True, scope="session")
    elif database:
        metafunc.parametrize("database_server", list(dict(pairs)), indirect=True, scope="session")
    elif broker:
        names = list(dict.fromkeys(broker for _, broker in pairs))
        metafunc.parametrize("mqtt_broker", names, indirect=True, scope="session")


def _not_up(what: str) -> None:
    """Skip a test whose service is not up, or fail it where services are required."""
    reason = f"{what} is not up: run `make services`"
    if SERVICES_REQUIRED:
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def session_data_dir() -> Iterator[Path]:
    """A data directory that PostgreSQL's own user may enter also when we are root (pytest's tmp_path is closed)."""
    directory = Path(tempfile.mkdtemp(prefix="roadtwin-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


@pytest.fixture
def data_dir() -> Iterator[Path]:
    """Like `session_data_dir`, for one test."""
    directory = Path(tempfile.mkdtemp(prefix="roadtwin-test-"))
    directory.chmod(0o755)
    yield directory
    shutil.rmtree(directory, ignore_errors=True)


class DatabaseServer:
    """A server that gives out migrated databases, cloned from a template that is migrated once."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._template: str | None = None
        self._template_url = ""

    def create(self) -> tuple[str, str]:
        """Name and address of a new, empty database."""
        name = f"roadtwin_test_{uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name}")
        return name, make_conninfo_url(self.url, name)

    def clone(self) -> tuple[str, str]:
        """Name and address of a new database that has the schema."""
        if self._template is None:
            self._template, self._template_url = self.create()
            migrate(self._template_url)
            # TimescaleDB's background workers connect to every database that lets them, and a template in use cannot
            # be copied.
            self._execute(f"ALTER DATABASE {self._template} WITH ALLOW_CONNECTIONS false")
            self._execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", [self._template])
        return self.copy(self._template)

    def copy(self, original: str) -> tuple[str, str]:
        """Name and address of a new database that equals another one, to which nobody is connected."""
        name = f"roadtwin_test_{uuid4().hex[:12]}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE {original}")
        return name, make_conninfo_url(self.url, name)

    def drop(self, name: str) -> None:
        self._execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")

    def close(self) -> None:
        if self._template is not None:
            self.drop(self._template)

    def _execute(self, statement: str, parameters: list[Any] | None = None) -> None:
        with connect(self.url, autocommit=True, application_name="roadtwin tests") as conn:
            conn.execute(statement, parameters)


def make_conninfo_url(url: str, database: str) -> str:
    """The same address with another database."""
    base, question, query = url.partition("?")
    return f"{base.rsplit('/', 1)[0]}/{database}{question}{query}"


@pytest.fixture(scope="session")
def embedded_server(session_data_dir: Path) -> Iterator[DatabaseServer]:
    # Without fsync: what a crash of the machine does is PostgreSQL's test, not ours.
    with EmbeddedPostgres(session_data_dir, fsync=False) as postgres:
        yield DatabaseServer(postgres.url)


@pytest.fixture(scope="session")
def timescale_server() -> Iterator[DatabaseServer]:
    if TIMESCALE_URL is None:
        _not_up("TimescaleDB")
    server = DatabaseServer(str(TIMESCALE_URL))
    yield server
    server.close()


@pytest.fixture(scope="session")
def database_server(request: pytest.FixtureRequest) -> DatabaseServer:
    server: DatabaseServer = request.getfixturevalue(f"{request.param}_server")
    return server


@pytest.fixture
def empty_database_url(database_server: DatabaseServer) -> Iterator[str]:
    """Address of a new database without any schema."""
    name, url = database_server.create()
    yield url
    database_server.drop(name)


@pytest.fixture
def database_url(database_server: DatabaseServer) -> Iterator[str]:
    """Address of a new, migrated database of this test's own."""
    name, url = database_server.clone()
    yield url
    database_server.drop(name)


@pytest.fixture
def db(database_url: str) -> Iterator[psycopg.Connection[Any]]:
    """An open connection on `database_url`."""
    with connect(database_url) as conn:
        yield conn


@pytest.fixture(scope="session")
def iotcore_broker(session_data_dir: Path) -> Iterator[Broker]:
    with start_broker(session_data_dir / "iotcore", kind="iotcore") as broker:
        yield broker


@pytest.fixture(scope="session")
def mosquitto_broker(session_data_dir: Path) -> Iterator[Broker | ServiceBroker]:
    """The broker of the services, else the machine's own Mosquitto.

    Only the first of several test processes has the services' one: a test that counts everything would count the
    messages of another process, too.
    """
    first = os.environ.get("PYTEST_XDIST_WORKER", "gw0") == "gw0"
    if MQTT_URL is not None and first:
        yield ServiceBroker(MQTT_URL)
    elif SERVICES_REQUIRED and first:
        _not_up("Mosquitto")
    else:
        try:
            broker = start_broker(session_data_dir / "mosquitto", kind="mosquitto")
        except BrokerUnavailableError as exc:
            pytest.skip(f"Mosquitto is not up: run `make services` ({exc})")
        with broker:
            yield broker


@pytest.fixture(scope="session")
def mqtt_broker(request: pytest.FixtureRequest) -> Broker | ServiceBroker:
    broker: Broker | ServiceBroker = request.getfixturevalue(f"{request.param}_broker")
    return broker


@pytest.fixture
def mqtt_url(mqtt_broker: Broker | ServiceBroker) -> str:
    """Address of a running broker for MQTT 5 clients. It is shared: use client ids and topics of your own."""
    return mqtt_broker.url


@pytest.fixture
def mqtt_v311_url(mqtt_broker: Broker | ServiceBroker) -> str:
    """Address of the same broker for MQTT 3.1.1 clients."""
    return mqtt_broker.url_v311
