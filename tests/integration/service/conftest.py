"""The service on a real database with the test city; its clock stands still."""

from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
from fastapi.testclient import TestClient

from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from service.app import create_app
from tests.service_city import FIXED_NOW, KEYS, City, build


@pytest.fixture(scope="module")
def module_database_url(embedded_server: Any) -> Iterator[str]:
    """One database for the tests of a module that only read."""
    name, url = embedded_server.clone()
    yield url
    embedded_server.drop(name)


@pytest.fixture(scope="module")
def read_city(module_database_url: str) -> City:
    with connect(module_database_url) as db:
        return build(db, FIXED_NOW)


@pytest.fixture(scope="module")
def reading(module_database_url: str, read_city: City) -> Iterator[TestClient]:
    """A client whose tests leave the database as it is."""
    app = create_app(Settings(_secrets_dir=None), module_database_url, clock=lambda: FIXED_NOW)
    with TestClient(app) as client:
        yield client


@pytest.fixture
def city(db: psycopg.Connection[Any]) -> City:
    return build(db, FIXED_NOW)


@pytest.fixture
def start_service(database_url: str) -> Iterator[Callable[..., TestClient]]:
    """Starts the service on this test's own database, with settings as given."""
    clients: list[TestClient] = []

    def start(**settings: Any) -> TestClient:
        app = create_app(Settings(_secrets_dir=None, **settings), database_url, clock=lambda: FIXED_NOW)
        client = TestClient(app)
        client.__enter__()
        clients.append(client)
        return client

    yield start
    for client in clients:
        client.__exit__(None, None, None)


@pytest.fixture
def client(start_service: Callable[..., TestClient], city: City) -> TestClient:
    """A client whose test may write."""
    return start_service()


@pytest.fixture
def editor() -> dict[str, str]:
    return {"Authorization": f"Bearer {KEYS['editor']}"}


@pytest.fixture
def operator() -> dict[str, str]:
    return {"X-API-Key": KEYS["operator"]}
