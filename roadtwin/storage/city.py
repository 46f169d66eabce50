"""The one city of a database."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from roadtwin.errors import RoadtwinError
from roadtwin.storage import queries
from roadtwin.storage.sensor_days import touch_all_days

_SQL = queries.load("city")


@dataclass(frozen=True, slots=True)
class City:
    """Name, IANA time zone, and whether (and how) it was simulated."""

    name: str
    timezone: str
    simulated: bool
    scenario: dict[str, Any] | None


def read_city(conn: psycopg.Connection[Any]) -> City | None:
    """The city, or None as long as no network was imported."""
    row = conn.execute(_SQL["read_city"]).fetchone()
    return City(*row) if row else None


def write_city(conn: psycopg.Connection[Any], *, name: str, timezone: str, simulated: bool) -> None:
    """Name the city. A simulated one never becomes a real one, nor the other way round: their data would mix.

    Raises RoadtwinError on such an attempt.
    """
    present = read_city(conn)
    if present is not None and present.simulated != simulated:
        kind = {True: "a simulated city", False: "a real city"}
        raise RoadtwinError(
            f"This database holds {kind[present.simulated]} ({present.name}); {kind[simulated]} needs its own database."
        )
    conn.execute(_SQL["write_city"], {"name": name, "timezone": timezone, "simulated": simulated})
    if present is None or present.timezone != timezone:
        touch_all_days(conn)  # its local days are others now


def write_scenario(conn: psycopg.Connection[Any], scenario: Mapping[str, Any]) -> None:
    """Keep how the simulated city was made (seed, length, period)."""
    conn.execute(_SQL["write_scenario"], {"scenario": Jsonb(dict(scenario))})
