"""A simulated city in the database: made once, and caught up to now whenever its demo starts again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

import psycopg

from ingest.offline import ingest_directly
from ingest.pseudonyms import open_pseudonyms
from roadtwin.jobs.history import load_history
from roadtwin.jobs.importing import import_network, import_records
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city, write_city, write_scenario
from roadtwin.storage.database import connect
from roadtwin.storage.devices import read_device_rows, register_devices
from roadtwin.types import Origin
from simulators.feed import TimedMessage
from simulators.history import live_records, simulate_history
from simulators.messages import messages
from simulators.world import CITY_NAME, World, build_world

RAW_PERIOD = timedelta(days=7)
"""The newest part of the past comes as raw messages through decoder and writer; what is older is loaded in bulk."""

LIVE_LAG = timedelta(minutes=15)
"""Messages may have been on their way when a demo ended: they come again, and are duplicates if they had come."""

Progress = Callable[[str, float], None]
"""Called with the name of a phase and the part of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Scenario:
    """How a simulated city is made, and up to when its past is in the database."""

    seed: int
    length_km: float
    start: datetime
    until: datetime

    def to_json(self) -> dict[str, Any]:
        """Plain values for the city's row."""
        return {
            "seed": self.seed,
            "length_km": self.length_km,
            "start": self.start.isoformat(),
            "until": self.until.isoformat(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "Scenario":
        """The inverse of `to_json`."""
        return cls(
            seed=int(values["seed"]),
            length_km=float(values["length_km"]),
            start=datetime.fromisoformat(values["start"]),
            until=datetime.fromisoformat(values["until"]),
        )


def new_scenario(settings: Settings, *, seed: int, length_km: float, winters: int, now: datetime) -> Scenario:
    """A scenario whose history holds so many complete winters: it begins on the 1st of October before the first one."""
    local = now.astimezone(settings.timezone)
    last_winter_began = local.year - 1 if local.month >= 3 else local.year - 2  # December to February
    start = datetime(last_winter_began - winters + 1, 10, 1, tzinfo=settings.timezone).astimezone(UTC)
    return Scenario(seed=seed, length_km=length_km, start=start, until=start)


def read_scenario(conn: psycopg.Connection[Any]) -> Scenario | None:
    """The scenario of this database's city; None for an empty database or a real city."""
    city = read_city(conn)
    return Scenario.from_json(city.scenario) if city is not None and city.scenario is not None else None


def found_city(url: str, settings: Settings, scenario: Scenario) -> World:
    """Build the world; write its city row, its network and its devices (confirmed: the simulator is their operator).

    Does nothing that is already done; a transaction.
    """
    world = build_world(
        seed=scenario.seed,
        length_km=scenario.length_km,
        timezone=settings.city_timezone,
        start=scenario.start,
    )
    with connect(url) as conn:
        write_city(conn, name=CITY_NAME, timezone=settings.city_timezone, simulated=True)
        if read_scenario(conn) is None:
            write_scenario(conn, scenario.to_json())
        import_network(conn, world.sections, recorded_at=scenario.start)
        register_devices(conn, read_device_rows(world.device_rows(), source="simulator"))
        conn.commit()
    return world


def catch_up(
    url: str, settings: Settings, scenario: Scenario, world: World, *, now: datetime, on_progress: Progress
) -> Scenario:
    """Bring the past between `scenario.until` and `now` into the database; returns the scenario as it stands then.

    What is older than seven days is loaded as events and segment-days, the rest goes as raw messages through the real
    decoder and writer. Natural keys make it safe to be interrupted and to begin again.
    """
    local_midnight = (now - RAW_PERIOD).astimezone(settings.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    raw_from = max(scenario.until, local_midnight.astimezone(UTC))
    sent_from = max(raw_from - LIVE_LAG, scenario.start)
    with connect(url) as conn:
        if scenario.until < raw_from:
            chunks = simulate_history(
                world,
                start=scenario.until,
                end=raw_from,
                on_progress=lambda part: on_progress("history", part),
                pseudonyms=open_pseudonyms(settings),
            )
            load_history(conn, chunks)
        _import_live_records(conn, world, start=raw_from, end=now, origin=Origin.LOADED)
    ingest_directly(url, _reporting(messages(world, start=sent_from, end=now), sent_from, now, on_progress), settings)
    scenario = replace(scenario, until=now)
    with connect(url) as conn:
        write_scenario(conn, scenario.to_json())
        conn.commit()
    return scenario


def _reporting(
    timed: Iterable[TimedMessage], start: datetime, end: datetime, on_progress: Progress
) -> Iterator[TimedMessage]:
    for number, message in enumerate(timed):
        if number % 500 == 0:
            on_progress("messages", (message.publish_at - start) / (end - start))
        yield message
    on_progress("messages", 1.0)


def keep_up(url: str, scenario: Scenario, world: World, *, now: datetime) -> Scenario:
    """Write the records (repairs, inspections, reports, weather) that came in since `scenario.until`; a transaction.

    Messages come over MQTT meanwhile.
    """
    with connect(url) as conn:
        _import_live_records(conn, world, start=scenario.until, end=now, origin=Origin.IMPORTED)
        scenario = replace(scenario, until=now)
        write_scenario(conn, scenario.to_json())
        conn.commit()
    return scenario


def _import_live_records(
    conn: psycopg.Connection[Any], world: World, *, start: datetime, end: datetime, origin: Origin
) -> None:
    for kind, records in live_records(world, start=start, end=end).items():
        import_records(conn, kind, records, origin=origin)
