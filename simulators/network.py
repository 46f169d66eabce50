"""A seeded, plausible road register: sections of a made-up Ruhr town with names, districts, owners and attributes.

Sources of the distributions: docs/reference/simulator.md.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from roadtwin.errors import SimulationError
from roadtwin.network.sections import Attributes, RoadSection
from simulators.names import district_names, street_names
from simulators.randomness import Streams
from simulators.streets import StreetPlan

SOURCE = "sim"
CENTRE_LON, CENTRE_LAT = 7.01, 51.45
MAX_LENGTH_KM = 20_000.0
_STATE_OWNER, _COUNTY_OWNER = "Landesbetrieb Straßenbau", "Kreis"
# Class → required frost-safe thickness on F3 soil, zone I, closed side development, gully drainage [cm]
# (RStO 12 as worked in docs/reference/simulator.md: 65/60/50 less 5 less 5).
_REQUIRED_CM = {"Bk0.3": 40, "Bk1.0": 50, "Bk1.8": 50, "Bk3.2": 50, "Bk10": 55, "Bk32": 55}
_INSPECTION_DAYS = {"main": 7, "collector": 28, "residential": 28}


@dataclass(frozen=True, slots=True)
class CityPlan:
    """Sections and the bus routes over them; `bus_routes` holds, per route, section indexes in driving order."""

    sections: tuple[RoadSection, ...]
    bus_routes: tuple[NDArray[np.int32], ...]
    radius_m: float


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
    attributes = _attributes(groups, classes, middles, plan.radius_m, bus_group, epoch, streams)
    sections = tuple(
        RoadSection(
            source=SOURCE,
            source_section_id=f"{index + 1:06d}",
            line=lines[index],
            name=names[group],
            district=districts[index],
            road_class=road_class,
            owner=_owner(group, road_class, streams),
            maintenance_district=maintenance[index],
            warranty_until=_warranty(attributes[index], index, epoch, streams),
            inspection_interval_days=_INSPECTION_DAYS[road_class],
            attributes=attributes[index],
        )
        for index, (group, road_class) in enumerate(zip(groups, classes, strict=True))
    )
    return CityPlan(sections, _bus_routes(groups, bus_group), plan.radius_m)


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
    share = {"main": 0.85, "collector": 0.5, "residential": 0.02}
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


def _attributes(
    groups: list[int],
    classes: list[str],
    middles: NDArray[np.float64],
    radius_m: float,
    bus_groups: set[int],
    epoch: date,
    streams: Streams,
) -> list[Attributes]:
    """Draw attributes: by street where a street is built as one (load, width, year), by section where not."""
    index, group = np.arange(len(groups)), np.asarray(groups)
    is_main, is_collector = (np.array([c == name for c in classes]) for name in ("main", "collector"))
    bus = np.isin(group, list(bus_groups))
    remote = np.hypot(middles[:, 0], middles[:, 1]) / radius_m
    base = np.where(is_main, 620.0, np.where(is_collector, 110.0, 12.0))
    heavy = base * np.exp(streams.normal("network/heavy", group) * np.where(is_main, 0.55, 0.7)) + 60.0 * bus
    built = _construction_year(group, is_main, remote, epoch, streams)
    wearing = _wearing_course_year(group, index, built, is_main, is_collector, epoch, streams)
    required = np.array([_REQUIRED_CM[c] for c in _pavement_classes(heavy)], dtype=float)
    # Built thickness follows the rules of the time of building: thinner before the war and until the seventies.
    thickness = required + np.interp(built, [1900, 1955, 1980, 2005], [-16, -12, -5, 0])
    thickness += 4.5 * streams.normal("network/thickness", index)
    trench = 9.0 * streams.uniform("network/trench", index) ** 2.2 * np.interp(epoch.year - built, [0, 60], [0.5, 1.7])
    drainage_score = streams.normal("network/drainage", index) + np.interp(built, [1900, 2000], [-0.7, 0.5])
    trees = np.clip(np.where(is_main, 14, 22) + 16 * streams.normal("network/trees", group), 0, 80)
    lanes = np.where(is_main & (streams.uniform("network/lanes", group) < 0.4), 4, 2)
    width = np.where(is_main, 3.4, np.where(is_collector, 3.15, 2.75)) * lanes
    width += 0.25 * streams.normal("network/width", group)
    fast = streams.uniform("network/speed", group)
    surface = np.where(~is_main & (streams.uniform("network/surface", group) < 0.04), "paving", "asphalt")
    limits = np.where(is_main, np.where(fast < 0.12, 70, 50), np.where(is_collector & (fast < 0.7), 50, 30))
    return [
        Attributes(
            construction_year=int(built[i]),
            wearing_course_year=int(wearing[i]),
            pavement_class=_pavement_class(float(heavy[i])),
            surface=str(surface[i]),
            heavy_vehicles_per_day=round(float(heavy[i]), 1),
            bus_route=bool(bus[i]),
            trench_area_pct=round(float(min(trench[i], 40.0)), 1),
            frost_deficit_cm=round(float(required[i] - thickness[i]), 1),
            drainage="good" if drainage_score[i] > 0.45 else "poor" if drainage_score[i] < -0.85 else "fair",
            tree_cover_pct=round(float(trees[i]), 0),
            width_m=round(float(width[i]), 2),
            lanes=int(lanes[i]),
            speed_limit_kmh=float(limits[i]),
        )
        for i in index
    ]


def _construction_year(
    group: NDArray[np.int64], is_main: NDArray[np.bool_], remote: NDArray[np.float64], epoch: date, streams: Streams
) -> NDArray[np.int64]:
    """A hundred years of growth: old near the centre and along the main roads, housing estates outside."""
    typical = np.interp(remote, [0.0, 0.4, 0.8, 1.2], [1912, 1935, 1962, 1976]) - np.where(is_main, 18, 0)
    year = typical + 15 * streams.normal("network/built", group)
    rebuilt = streams.uniform("network/rebuilt", group) < np.where(is_main, 0.45, 0.22)
    newer = epoch.year - 45 * streams.uniform("network/rebuilt", group, draw=1)
    return np.clip(np.where(rebuilt, newer, year), 1890, epoch.year).astype(np.int64)


def _wearing_course_year(
    group: NDArray[np.int64],
    index: NDArray[np.int64],
    built: NDArray[np.int64],
    is_main: NDArray[np.bool_],
    is_collector: NDArray[np.bool_],
    epoch: date,
    streams: Streams,
) -> NDArray[np.int64]:
    """Age of the wearing course: 12-18 years to grade 3.5 on main roads and 18-25 in side roads, often overdue."""
    cycle = np.where(is_main, 20.0, np.where(is_collector, 27.0, 36.0))
    age = cycle * streams.uniform("network/wearing", group) ** 0.9 + 2.0 * streams.normal("network/wearing", index, 1)
    return np.clip(np.maximum(built, epoch.year - age), 1890, epoch.year).astype(np.int64)


def _pavement_classes(heavy: NDArray[np.float64]) -> list[str]:
    return [_pavement_class(float(value)) for value in heavy]


def _pavement_class(heavy_vehicles_per_day: float) -> str:
    """RStO 12 load class from B = 365·N·DTV_SV·f_A·q_Bm·f1·f2·f3·f_z with town values (docs/reference/simulator.md)."""
    axle_passes_million = 365 * 30 * heavy_vehicles_per_day * 3.3 * 0.23 * 0.5 * 1.4 * 1.0 * 1.16 / 1e6
    for limit, name in ((0.3, "Bk0.3"), (1.0, "Bk1.0"), (1.8, "Bk1.8"), (3.2, "Bk3.2"), (10.0, "Bk10")):
        if axle_passes_million <= limit:
            return name
    return "Bk32"
