"""A simulated city with its history in a database, made once for these tests."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import psycopg
import pytest

from roadtwin.jobs import simulated as simulated_jobs
from roadtwin.jobs.history import load_history
from roadtwin.jobs.importing import import_network
from roadtwin.jobs.match import match_new
from roadtwin.jobs.train import train
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city, write_scenario
from roadtwin.storage.database import connect
from roadtwin.storage.model_runs import ModelRun
from simulators.history import simulate_history
from simulators.scenario import read_scenario

START = datetime(2023, 12, 1, tzinfo=UTC)
NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


@dataclass(frozen=True)
class SimulatedCity:
    """Address of the database, settings, and the model trained on it."""

    url: str
    settings: Settings
    model_run: ModelRun


@pytest.fixture(scope="session")
def simulated_original(database_server) -> Iterator[tuple[str, SimulatedCity]]:
    """The database that tests get copies of, and its name: made once, it takes most of the time."""
    name, url = database_server.clone()
    settings = Settings(crew_capacity=20, retrain_interval_days=0)
    made = simulated_jobs.SimulatedCity(3, 18.0, START, NOW, read_scenario("ordinary"), NOW.date())
    world = simulated_jobs.world_of(made, "Europe/Berlin")
    with connect(url) as conn:
        write_city(conn, name="Simulated", timezone="Europe/Berlin", simulated=True)
        write_scenario(conn, made.to_json())
        import_network(conn, world.sections, recorded_at=START, source_version="1")
        load_history(conn, simulate_history(world, start=START, end=NOW))
        match_new(conn, settings, now=NOW)
        conn.commit()
        model_run = train(conn, settings, now=NOW)
    yield name, SimulatedCity(url, settings, model_run)
    database_server.drop(name)


@pytest.fixture(scope="module")
def simulated(database_server, simulated_original) -> Iterator[SimulatedCity]:
    """About 180 segments and two and a half years, matched, with a trained model; nothing trains by itself."""
    original, city = simulated_original
    name, url = database_server.copy(original)
    yield replace(city, url=url)
    database_server.drop(name)


@pytest.fixture
def conn(simulated) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose work is undone after the test."""
    with connect(simulated.url) as connection:
        yield connection
        connection.rollback()
