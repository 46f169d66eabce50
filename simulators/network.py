"""A seeded, plausible road register: sections of a made-up Ruhr town, or an existing network, with names, districts,
owners and attributes.

Sources of the distributions: docs/reference/simulator.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from roadtwin.errors import DegenerateLineError, SimulationError
from roadtwin.network.sections import Attributes, RoadSection
from roadtwin.network.split import section_lengths_m
from simulators.attributes import Site, draw_attributes
from simulators.geometry import METRES_PER_DEGREE_LAT
from simulators.names import district_names, street_names
from simulators.randomness import Streams
from simulators.streets import COLLECTOR_SHARE, MAIN_SHARE, StreetPlan

SOURCE = "sim"
CENTRE_LON, CENTRE_LAT = 7.01, 51.45
MAX_LENGTH_KM = 20_000.0
_STATE_OWNER, _COUNTY_OWNER = "Landesbetrieb Straßenbau", "Kreis"
_INSPECTION_DAYS = {"main": 7}
_INSPECTION_DAYS_ELSEWHERE = 28
MAX_IMPORTED_SECTIONS = 200_000


@dataclass(frozen=True, slots=True)
class CityPlan:
    """Sections and the bus routes over them; `bus_routes` holds, per route, section indexes in driving order."""

    sections: tuple[RoadSection, ...]
    bus_routes: tuple[NDArray[np.int32], ...]
    length_km: float
    centre: tuple[float, float]
    """Longitude and latitude, WGS 84 [°]."""


def to_lon_lat(xy_m: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres east and north of the centre → longitude and latitude, WGS 84 [°]; shape (n, 2) both."""
    projection = f"+proj=tmerc +lat_0={CENTRE_LAT} +lon_0={CENTRE_LON} +k=1 +ellps=WGS84 +units=m"
    transformer = Transformer.from_crs(projection, "EPSG:4326", always_xy=True)
    lon, lat = transformer.transform(xy_m[:, 0], xy_m[:, 1])
    return np.column_stack([lon, lat]).round(7)


def build_plan(streams: Streams, length_km: float, epoch: date) -> CityPlan:
    """Lay out a town.

    Parameters
    ----------
    streams : Streams
        The random streams of its seed.
    length_km : float
        Wanted length of all sections, 5 to 20,000; met within 5 %. [km]
    epoch : date
        Day on which the register was drawn up: years of construction and warranties refer to it.

    Raises
    ------
    SimulationError
        If the length is outside that range.
    """
    if not np.isfinite(length_km) or not 5 <= length_km <= MAX_LENGTH_KM:
        raise SimulationError(f"Length of the network: got {length_km:g} km, expected 5 to {MAX_LENGTH_KM:,.0f} km.")
    plan = StreetPlan(length_km * 1000, streams.generator("network/streets"))
    pieces = plan.pieces()
    xy = [np.asarray(piece.coords) for _, piece in pieces]
    lines = np.split(to_lon_lat(np.concatenate(xy)), np.cumsum([len(part) for part in xy])[:-1])
    middles = np.array([piece.interpolate(0.5, normalized=True).coords[0] for _, piece in pieces])
    groups = [street.name_group for street, _ in pieces]
    classes = [street.road_class for street, _ in pieces]
    names = _names_of_groups(groups, classes, streams)
    districts, maintenance = _districts(middles, length_km, streams)
    bus_group = _bus_groups(groups, classes, streams)
    site = Site(
        group=np.array(groups, np.int64),
        road_class=np.array(classes),
        remote=np.hypot(middles[:, 0], middles[:, 1]) / plan.radius_m,
        bus=np.isin(groups, list(bus_group)),
    )
    drawn = [
        RoadSection(
            source=SOURCE,
            source_section_id=f"{index + 1:06d}",
            line=lines[index],
            name=names[group],
            district=districts[index],
            road_class=road_class,
            owner=_owner(group, road_class, streams),
            maintenance_district=maintenance[index],
        )
        for index, (group, road_class) in enumerate(zip(groups, classes, strict=True))
    ]
    sections = _furnished(drawn, draw_attributes(site, epoch, streams), epoch, streams)
    return CityPlan(sections, _bus_routes(groups, bus_group), length_km, (CENTRE_LON, CENTRE_LAT))


def plan_of_network(network: Sequence[RoadSection], streams: Streams, epoch: date) -> CityPlan:
    """A city on an existing network: what its register knows stays, what it does not know is drawn.

    Where no section has a class, the longest streets become main roads and collectors, in the shares of a Ruhr city.

    Raises
    ------
    SimulationError
        If there is no section, more than `MAX_IMPORTED_SECTIONS`, a line without length, or fewer than 5 km in all.
    """
    if not 0 < len(network) <= MAX_IMPORTED_SECTIONS:
        raise SimulationError(f"Network: got {len(network)} sections, expected 1 to {MAX_IMPORTED_SECTIONS:,}.")
    try:
        lengths_m = section_lengths_m(network)
    except DegenerateLineError as exc:
        raise SimulationError(f"Network: {exc}") from None
    length_km = float(lengths_m.sum()) / 1000
    if not 5 <= length_km <= MAX_LENGTH_KM:
        raise SimulationError(f"Network: got {length_km:.1f} km of roads, expected 5 to {MAX_LENGTH_KM:,.0f} km.")
    middles_deg = np.array([section.line[len(section.line) // 2] for section in network])
    centre = middles_deg.mean(axis=0)
    scale = METRES_PER_DEGREE_LAT * np.array([np.cos(np.radians(centre[1])), 1.0])
    middles = (middles_deg - centre) * scale
    radius_m = max(float(np.quantile(np.hypot(middles[:, 0], middles[:, 1]), 0.95)), 500.0)
    number: dict[str, int] = {}
    groups = [number.setdefault(s.name or f"#{i}", len(number)) for i, s in enumerate(network)]
    classes = _classes(network, groups, lengths_m)
    bus_group = _bus_groups(groups, classes, streams)
    districts, maintenance = _districts(middles, length_km, streams)
    site = Site(
        group=np.array(groups, np.int64),
        road_class=np.array(classes),
        remote=np.hypot(middles[:, 0], middles[:, 1]) / radius_m,
        bus=np.array(
            [
                group in bus_group if section.attributes.bus_route is None else section.attributes.bus_route
                for section, group in zip(network, groups, strict=True)
            ]
        ),
        known=[section.attributes for section in network],
    )
    classified = [
        replace(
            section,
            road_class=road_class,
            district=section.district or districts[index],
            maintenance_district=section.maintenance_district or maintenance[index],
        )
        for index, (section, road_class) in enumerate(zip(network, classes, strict=True))
    ]
    sections = _furnished(classified, draw_attributes(site, epoch, streams), epoch, streams)
    return CityPlan(sections, _bus_routes(groups, bus_group), length_km, (float(centre[0]), float(centre[1])))


def _furnished(
    sections: Sequence[RoadSection], attributes: list[Attributes], epoch: date, streams: Streams
) -> tuple[RoadSection, ...]:
    """Sections with attributes and what follows from them: warranty and how often they are inspected."""
    return tuple(
        replace(
            section,
            warranty_until=section.warranty_until or _warranty(attributes[index], index, epoch, streams),
            inspection_interval_days=section.inspection_interval_days
            or _INSPECTION_DAYS.get(section.road_class, _INSPECTION_DAYS_ELSEWHERE),
            attributes=attributes[index],
        )
        for index, section in enumerate(sections)
    )


def _classes(network: Sequence[RoadSection], groups: list[int], lengths_m: NDArray[np.float64]) -> list[str]:
    given = [section.road_class for section in network]
    if any(road_class != "other" for road_class in given):
        return given
    street_m = np.bincount(groups, lengths_m)
    longest = np.argsort(-street_m, kind="stable")
    share = np.empty(len(street_m))
    share[longest] = (np.cumsum(street_m[longest]) - street_m[longest] / 2) / street_m.sum()
    by_street = np.select(
        [share <= MAIN_SHARE, share <= MAIN_SHARE + COLLECTOR_SHARE], ["main", "collector"], "residential"
    )
    return [str(by_street[group]) for group in groups]


def _names_of_groups(groups: list[int], classes: list[str], streams: Streams) -> dict[int, str]:
    used: set[str] = set()
    makers = {name: street_names(name, streams.generator(f"network/names/{name}")) for name in set(classes)}
    names: dict[int, str] = {}
    for group, road_class in zip(groups, classes, strict=True):
        if group not in names:
            names[group] = next(name for name in makers[road_class] if name not in used)
            used.add(names[group])
    return names


def _districts(middles: NDArray[np.float64], length_km: float, streams: Streams) -> tuple[list[str], list[str]]:
    """District (nearest of some well-spread centres) and maintenance district (a few neighbouring ones) of each."""
    count = int(np.clip(round(length_km / 22), 3, 50))
    rng = streams.generator("network/districts")
    candidates = middles[rng.permutation(len(middles))[: 40 * count]]
    centres = [candidates[0]]
    while len(centres) < count:  # farthest of a few random candidates: even, but not regular
        some = candidates[rng.integers(0, len(candidates), 12)]
        gap = np.min(np.linalg.norm(some[:, None] - np.asarray(centres)[None], axis=2), axis=1)
        centres.append(some[int(np.argmax(gap))])
    spread = np.asarray(centres)
    nearest = np.argmin(np.linalg.norm(middles[:, None] - spread[None], axis=2), axis=1)
    names = district_names(count, rng)
    yards = max(1, round(count / 4))
    bearing = np.arctan2(spread[:, 1], spread[:, 0])
    yard_of = np.empty(count, dtype=int)
    yard_of[np.argsort(bearing)] = np.arange(count) * yards // count
    return [names[i] for i in nearest], [f"Bezirk {yard_of[i] + 1}" for i in nearest]


def _bus_groups(groups: list[int], classes: list[str], streams: Streams) -> set[int]:
    """Streets with a bus line: most main streets, half of the collectors."""
    share = {"main": 0.85, "collector": 0.5, "residential": 0.02, "other": 0.0}
    distinct = dict(zip(groups, classes, strict=True))
    ids = np.array(list(distinct))
    drawn = streams.uniform("network/bus", ids)
    chosen = {int(g) for g, u in zip(ids, drawn, strict=True) if u < share[distinct[int(g)]]}
    return chosen or {int(ids[0])}


def _bus_routes(groups: list[int], bus_groups: set[int]) -> tuple[NDArray[np.int32], ...]:
    """Routes: streets with a bus, taken together until a route is some 7 km or 45 sections long."""
    sections_of: dict[int, list[int]] = {}
    for index, group in enumerate(groups):
        if group in bus_groups:
            sections_of.setdefault(group, []).append(index)
    routes: list[list[int]] = [[]]
    for members in sections_of.values():
        if len(routes[-1]) + len(members) > 45 and routes[-1]:
            routes.append([])
        routes[-1].extend(members)
    return tuple(np.array(route, dtype=np.int32) for route in routes)


def _owner(group: int, road_class: str, streams: Streams) -> str | None:
    """Baulastträger: through roads of the state and the county; None is the city itself."""
    u = float(streams.uniform("network/owner", group))
    if road_class == "main" and u < 0.22:
        return _STATE_OWNER
    if road_class in ("main", "collector") and u > 0.95:
        return _COUNTY_OWNER
    return None


def _warranty(attributes: Attributes, index: int, epoch: date, streams: Streams) -> date | None:
    """Wearing courses younger than some five years are still under the contractor's warranty."""
    year = attributes.wearing_course_year
    if year is None or epoch.year - year > 5:
        return None
    day = int(streams.uniform("network/warranty", index) * 27) + 1
    return date(year + 5, 10 if index % 2 else 6, day)
