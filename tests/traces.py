"""Drives over a network with known truth, as satellite receivers would tell of them."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod
from scipy.signal import lfilter

from roadtwin.network.sections import RoadSection, Segment
from simulators.geometry import RoadGeometry
from simulators.network import build_plan
from simulators.randomness import Streams
from simulators.vehicles.gnss import FILTER_S, FILTERED, FRESH, PLACE_ACROSS, PLACE_ALONG, SKY, SKY_S
from simulators.vehicles.routes import SectionGraph
from simulators.world import EPOCH

READING_M = 10.0
PLACE_M = 60.0
"""Over which the part of the error changes that belongs to a place, as in simulators.vehicles.gnss."""
LANE_M = 2.0
HEADING_ERROR_DEG = 4.0
_GEOD = Geod(ellps="WGS84")


@dataclass(frozen=True)
class Drives:
    """n readings of drives one after the other; the last two columns are the truth."""

    drive: NDArray[np.int64]
    time_s: NDArray[np.float64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    accuracy_m: NDArray[np.float64]
    section: NDArray[np.int32]
    station_m: NDArray[np.float64]


def place_at(east_m: float, north_m: float) -> tuple[float, float]:
    """Longitude and latitude of a place east and north of 7.01, 51.45."""
    lon, lat, _ = _GEOD.fwd(7.01, 51.45, 90, east_m)
    lon, lat, _ = _GEOD.fwd(lon, lat, 0, north_m)
    return lon, lat


def town(length_km: float, seed: int) -> tuple[RoadSection, ...]:
    """Streets of a simulated city."""
    return build_plan(Streams(seed), length_km, EPOCH).sections


def carriageways(seed: int, corridors: int = 4, blocks: int = 8) -> tuple[RoadSection, ...]:
    """Pairs of roads that run 15 to 25 m apart for blocks of 150 to 400 m, and are joined where side streets meet."""
    rng, lines = np.random.default_rng(seed), []
    for corridor in range(corridors):
        south, north = 400.0 * corridor, 400.0 * corridor + rng.uniform(15, 25)
        crossings = np.concatenate([[0.0], np.cumsum(rng.uniform(150, 400, blocks))]).tolist()
        for x in crossings:
            lines.append([(x, south), (x, north)])
            if corridor < corridors - 1:
                lines.append([(x, north), (x, south + 400)])
        for west, east in pairwise(crossings):
            lines += [[(west, south), (east, south)], [(west, north), (east, north)]]
    return tuple(
        RoadSection("c", str(number), np.array([place_at(*point) for point in line]))
        for number, line in enumerate(lines)
    )


def simulate_drives(
    sections: Sequence[RoadSection], segments: Sequence[Segment], *, seed: int, drives: int, length_m: float,
    error_m: float, error: str,
) -> Drives:  # fmt: skip
    """Drives along chance routes, a reading every 10 m, on the right-hand side.

    `error_m` is that of each coordinate (1 σ); the distance from the truth is 1.4 times as large on average (root of
    the mean square). `error` is "fresh" (new in each reading), "drifting" (kin over 20 s), or "lasting" (as in
    simulated cities: most of it belongs to the place or lasts for minutes).
    """
    rng = np.random.default_rng(seed)
    geometry = RoadGeometry(tuple(sections), tuple(segments))
    graph = SectionGraph(tuple(sections), geometry.section_length_m)
    parts = [_drive(graph, geometry, rng, length_m, error_m, error) for _ in range(drives)]
    number = np.repeat(np.arange(drives), [len(part[0]) for part in parts])
    return Drives(number, *(np.concatenate(column) for column in zip(*parts, strict=True)))


def _drive(
    graph: SectionGraph, geometry: RoadGeometry, rng: np.random.Generator, length_m: float, error_m: float, error: str
) -> tuple[NDArray, ...]:
    section, direction = _route(graph, geometry, rng, length_m)
    length = geometry.section_length_m[section]
    way = np.concatenate([[0.0], np.cumsum(length)])
    driven = np.arange(rng.uniform(0, READING_M), way[-1], READING_M)
    step = np.searchsorted(way, driven, side="right") - 1
    station = np.where(direction[step] > 0, driven - way[step], way[step + 1] - driven)
    lon, lat, course = geometry.locate(section[step], station)
    course = np.where(direction[step] > 0, course, course + 180.0) % 360.0
    speed, count = 10.0 * np.exp(0.2 * rng.normal()), len(driven)
    east, north = error_m * _errors(error, rng, count, READING_M / speed, speed).T
    right = np.radians(course + 90.0)
    lon, lat = geometry.shifted(lon, lat, east + LANE_M * np.sin(right), north + LANE_M * np.cos(right))
    heading = (course + HEADING_ERROR_DEG * rng.normal(size=count)) % 360.0
    told_speed = speed * (1 + 0.03 * rng.normal(size=count))
    return driven / speed, lon, lat, heading, told_speed, np.full(count, error_m), section[step], station


def _route(
    graph: SectionGraph, geometry: RoadGeometry, rng: np.random.Generator, length_m: float
) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    """Any street at each junction, but the one that one comes from only at a dead end."""
    section, direction, way = [int(rng.integers(len(graph.begin)))], [1], 0.0
    while way < length_m:
        way += geometry.section_length_m[section[-1]]
        node = graph.end[section[-1]] if direction[-1] > 0 else graph.begin[section[-1]]
        arcs = [(int(s), 1) for s in np.flatnonzero(graph.begin == node)]
        arcs += [(int(s), -1) for s in np.flatnonzero(graph.end == node)]
        onward = [arc for arc in arcs if arc[0] != section[-1]] or [(section[-1], -direction[-1])]
        chosen = onward[rng.integers(len(onward))]
        section.append(chosen[0])
        direction.append(chosen[1])
    return np.array(section, np.int32), np.array(direction, np.int8)


def _errors(error: str, rng: np.random.Generator, count: int, step_s: float, speed_mps: float) -> NDArray[np.float64]:
    """Errors of both coordinates with a variance of one, (count, 2)."""

    def kin(lasting_s: float) -> NDArray[np.float64]:
        decay = np.exp(-step_s / lasting_s)
        drawn = rng.normal(size=(count, 2))
        drawn[1:] *= np.sqrt(1 - decay**2)
        return np.asarray(lfilter([1], [1, -decay], drawn, axis=0))

    if error == "fresh":
        return rng.normal(size=(count, 2))
    if error == "drifting":
        return kin(FILTER_S)
    parts = ((PLACE_ACROSS + PLACE_ALONG, PLACE_M / speed_mps), (SKY, SKY_S), (FILTERED, FILTER_S))
    return sum(np.sqrt(share) * kin(lasting_s) for share, lasting_s in parts) + np.sqrt(FRESH) * rng.normal(
        size=(count, 2)
    )


def columns(drives: Drives) -> list[NDArray]:
    """What a receiver tells, in the order in which `TraceMatcher.match` wants it."""
    return [getattr(drives, field.name) for field in fields(drives)[:-2]]
