"""A simulated city in the database: made once, and caught up to now whenever its demo starts again."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

import psycopg

from ingest.digest import digest_all
from ingest.offline import ingest_directly
from ingest.pseudonyms import open_pseudonyms
from roadtwin.errors import DemoError
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
from simulators.scenario import Scenario, from_values, to_values
from simulators.world import CITY_NAME, SIMULATOR_VERSION, World, build_world

RAW_PERIOD = timedelta(days=7)
"""The newest part of the past comes as raw messages through decoder and writer; what is older is loaded in bulk."""

LIVE_LAG = timedelta(minutes=15)
"""Messages may have been on their way when a demo ended: they come again, and are duplicates if they had come."""

Progress = Callable[[str, float], None]
"""Called with the name of a phase and the part of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class SimulatedCity:
    """How a simulated city is made, and up to when its past is in the database.

    `today` is the day to which relative times of the scenario refer: that on which the city was founded.
    """

    seed: int
    length_km: float
    start: datetime
    until: datetime
    scenario: Scenario
    today: date

    def to_json(self) -> dict[str, Any]:
        """Plain values for the city's row."""
        return {
            "simulator_version": SIMULATOR_VERSION,
            "seed": self.seed,
            "length_km": self.length_km,
            "start": self.start.isoformat(),
            "until": self.until.isoformat(),
            "scenario": to_values(self.scenario),
            "today": self.today.isoformat(),
        }

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> "SimulatedCity":
        """The inverse of `to_json`.

        Raises DemoError for a city that another version of the simulator made: it would go on as another city.
        """
        version = values.get("simulator_version", 1)
        if version != SIMULATOR_VERSION:
            raise DemoError(
                f"The simulated city of this database was made by version {version} of the simulator, this is version "
                f"{SIMULATOR_VERSION}: its past would not fit its future. Begin anew in another database or "
                "ROADTWIN_DATA_DIR."
            )
        return cls(
            seed=int(values["seed"]),
            length_km=float(values["length_km"]),
            start=datetime.fromisoformat(values["start"]),
            until=datetime.fromisoformat(values["until"]),
            scenario=from_values(values["scenario"]),
            today=date.fromisoformat(values["today"]),
        )


def new_city(
    settings: Settings, *, seed: int, length_km: float, winters: int, now: datetime, scenario: Scenario
) -> SimulatedCity:
    """A city whose history holds so many complete winters: it begins on the 1st of October before the first one."""
    local = now.astimezone(settings.timezone)
    last_winter_began = local.year - 1 if local.month >= 3 else local.year - 2  # December to February
    start = datetime(last_winter_began - winters + 1, 10, 1, tzinfo=settings.timezone).astimezone(UTC)
    return SimulatedCity(seed, length_km, start, start, scenario, local.date())


def read_simulated_city(conn: psycopg.Connection[Any]) -> SimulatedCity | None:
    """The simulated city of this database; None for an empty database or a real city. Raises DemoError."""
    city = read_city(conn)
    return SimulatedCity.from_json(city.scenario) if city is not None and city.scenario is not None else None


def world_of(simulated: SimulatedCity, timezone: str) -> World:
    """The world of a simulated city, made again."""
    return build_world(
        seed=simulated.seed,
        length_km=simulated.length_km,
        timezone=timezone,
        start=simulated.start,
        scenario=simulated.scenario,
        today=simulated.today,
    )


def found_city(url: str, settings: Settings, simulated: SimulatedCity) -> World:
    """Build the world; write its city row, its network and its devices (confirmed: the simulator is their operator).

    Does nothing that is already done; a transaction.
    """
    world = world_of(simulated, settings.city_timezone)
    with connect(url) as conn:
        write_city(conn, name=CITY_NAME, timezone=settings.city_timezone, simulated=True)
        if read_simulated_city(conn) is None:
            write_scenario(conn, simulated.to_json())
        import_network(conn, world.sections, recorded_at=simulated.start)
        register_devices(conn, read_device_rows(world.device_rows(), source="simulator"))
        conn.commit()
    return world


def catch_up(
    url: str, settings: Settings, simulated: SimulatedCity, world: World, *, now: datetime, on_progress: Progress
) -> SimulatedCity:
    """Bring the past between `simulated.until` and `now` into the database; returns the city as it stands then.

    What is older than seven days is loaded as events and days of segments and sensors, the rest goes as raw messages
    through the real decoder, writer and digest. Natural keys make it safe to be interrupted and to begin again.
    """
    local_midnight = (now - RAW_PERIOD).astimezone(settings.timezone).replace(hour=0, minute=0, second=0, microsecond=0)
    raw_from = max(simulated.until, local_midnight.astimezone(UTC))
    sent_from = max(raw_from - LIVE_LAG, simulated.start)
    with connect(url) as conn:
        if simulated.until < raw_from:
            chunks = simulate_history(
                world,
                start=simulated.until,
                end=raw_from,
                on_progress=lambda part: on_progress("history", part),
                pseudonyms=open_pseudonyms(settings),
            )
            load_history(conn, chunks)
        _import_live_records(conn, world, start=raw_from, end=now, origin=Origin.LOADED)
    ingest_directly(url, _reporting(messages(world, start=sent_from, end=now), sent_from, now, on_progress), settings)
    simulated = replace(simulated, until=now)
    with connect(url) as conn:
        digest_all(conn, now)  # an ingester that comes later would do it, too, but not before the first scores
        write_scenario(conn, simulated.to_json())
        conn.commit()
    return simulated


def _reporting(
    timed: Iterable[TimedMessage], start: datetime, end: datetime, on_progress: Progress
) -> Iterator[TimedMessage]:
    for number, message in enumerate(timed):
        if number % 500 == 0:
            on_progress("messages", (message.publish_at - start) / (end - start))
        yield message
    on_progress("messages", 1.0)


def keep_up(url: str, simulated: SimulatedCity, world: World, *, now: datetime) -> SimulatedCity:
    """Write the records (repairs, inspections, reports, weather) that came in since `simulated.until`; a transaction.

    Messages come over MQTT meanwhile.
    """
    with connect(url) as conn:
        _import_live_records(conn, world, start=simulated.until, end=now, origin=Origin.IMPORTED)
        simulated = replace(simulated, until=now)
        write_scenario(conn, simulated.to_json())
        conn.commit()
    return simulated


def _import_live_records(
    conn: psycopg.Connection[Any], world: World, *, start: datetime, end: datetime, origin: Origin
) -> None:
    for kind, records in live_records(world, start=start, end=end).items():
        import_records(conn, kind, records, origin=origin)
