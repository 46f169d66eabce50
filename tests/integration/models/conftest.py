"""A simulated city with its history in a database, made once for these tests."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from roadtwin.jobs.history import load_history
from roadtwin.jobs.importing import import_network
from roadtwin.jobs.match import match_new
from roadtwin.jobs.train import train
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city
from roadtwin.storage.database import connect
from roadtwin.storage.model_runs import ModelRun
from simulators.history import simulate_history
from simulators.world import build_world

START = datetime(2023, 12, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


@dataclass(frozen=True)
class SimulatedCity:
    """Address of the database, settings, and the model trained on it."""

    url: str
    settings: Settings
    model_run: ModelRun


@pytest.fixture(scope="module")
def simulated(database_server) -> Iterator[SimulatedCity]:
    """About 180 segments and two and a half years, matched, with a trained model."""
    name, url = database_server.clone()
    settings = Settings(crew_capacity=20)
    world = build_world(seed=3, length_km=18, start=START)
    with connect(url) as conn:
        write_city(conn, name="Simulated", timezone="Europe/Berlin", simulated=True)
        import_network(conn, world.sections, recorded_at=START, source_version="1")
        load_history(conn, simulate_history(world, start=START, end=NOW))
        match_new(conn, settings, now=NOW)
        conn.commit()
        model_run = train(conn, settings, now=NOW)
    yield SimulatedCity(url, settings, model_run)
    database_server.drop(name)


@pytest.fixture
def conn(simulated) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose work is undone after the test."""
    with connect(simulated.url) as connection:
        yield connection
        connection.rollback()
