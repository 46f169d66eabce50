"""Which segment a position lies on, for records that the next run of matching has not taken in yet."""

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import shapely

from roadtwin.storage import queries
from service.parameters import NOMINAL_LENGTH_M
from service.state import Connection, Row

_SQL = queries.load("api_evidence")
_METRES_PER_DEGREE = 111_195.0  # of a great circle on a sphere of 6 371 km
_NEAR_M = 1000.0


def metres_per_degree(lat: float) -> tuple[float, float]:
    """Metres per degree of longitude and latitude; exact enough within a few hundred metres."""
    return _METRES_PER_DEGREE * math.cos(math.radians(lat)), _METRES_PER_DEGREE


def distance_m(lon_a: float, lat_a: float, lon_b: float, lat_b: float) -> float:
    """Distance of two near positions [m]."""
    x, y = metres_per_degree((lat_a + lat_b) / 2)
    return math.hypot((lon_a - lon_b) * x, (lat_a - lat_b) * y)


def _window(bounds: tuple[float, float, float, float], margin_m: float) -> dict[str, float]:
    west, south, east, north = bounds
    x, y = metres_per_degree((south + north) / 2)
    return {
        "min_lon": west - margin_m / x,
        "min_lat": south - margin_m / y,
        "max_lon": east + margin_m / x,
        "max_lat": north + margin_m / y,
    }


async def is_near_a_road(db: Connection, lon: float, lat: float) -> bool:
    """Whether a present segment lies within about a kilometre; found by the index, however large the network is."""
    window = _window((lon, lat, lon, lat), _NEAR_M)
    row = await (await db.execute(_SQL["has_segment_near"], window)).fetchone()
    return row is not None


async def nearest_segment(db: Connection, lon: float, lat: float, max_distance_m: float) -> Row | None:
    """The segment nearest to a position (segment_id, public_id), or None when none is within `max_distance_m` [m]."""
    window = _window((lon, lat, lon, lat), max_distance_m)
    cursor = await db.execute(_SQL["read_segments_near"], {"nominal_length_m": NOMINAL_LENGTH_M, **window})
    rows = await cursor.fetchall()
    found = _nearest(rows, lon, lat)
    return rows[found[0]] if found is not None and found[1] <= max_distance_m else None


def _nearest(rows: Sequence[Row], lon: float, lat: float) -> tuple[int, float] | None:
    """Index and distance [m] of the nearest of these segments."""
    if not rows:
        return None
    x, y = metres_per_degree(lat)
    lines = shapely.from_wkb([bytes(row["geometry_wkb"]) for row in rows])
    metric = shapely.transform(lines, lambda c: (c - (lon, lat)) * (x, y))
    distances = shapely.distance(metric, shapely.Point(0, 0))
    index = int(distances.argmin())
    return index, float(distances[index])


async def unmatched_records_on(
    db: Connection, segment: Row, *, since: Any, max_distance_m: float
) -> dict[str, list[UUID]]:
    """Ids by kind of records without segment whose position has this segment as its nearest."""
    line = shapely.from_wkb(bytes(segment["geometry_wkb"]))
    window = _window(shapely.bounds(line).tolist(), max_distance_m)
    cursor = await db.execute(_SQL["read_unmatched_positions"], {"since": since, **window})
    records = await cursor.fetchall()
    found: dict[str, list[UUID]] = {"repair": [], "report": []}
    if not records:
        return found
    wide = _window(shapely.bounds(line).tolist(), 2 * max_distance_m)
    cursor = await db.execute(_SQL["read_segments_near"], {"nominal_length_m": segment["nominal_length_m"], **wide})
    rows = await cursor.fetchall()
    for record in records:
        nearest = _nearest(rows, record["lon"], record["lat"])
        if (
            nearest is not None
            and nearest[1] <= max_distance_m
            and rows[nearest[0]]["segment_id"] == segment["segment_id"]
        ):
            found[record["record_kind"]].append(record["record_id"])
    return found
