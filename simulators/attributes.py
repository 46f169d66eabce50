"""What a road register knows of each section: structure, age, load, water, surroundings; drawn where it is unknown.

By street where a street is built as one (load, width, year), by section where not. Sources of the distributions:
docs/reference/simulator.md.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

from roadtwin.network.sections import Attributes
from simulators.randomness import Streams

# Class → required frost-safe thickness on F3 soil, zone I, closed side development, gully drainage [cm]
# (RStO 12 as worked in docs/reference/simulator.md: 65/60/50 less 5 less 5).
_REQUIRED_CM = {"Bk0.3": 40, "Bk1.0": 50, "Bk1.8": 50, "Bk3.2": 50, "Bk10": 55, "Bk32": 55, "Bk100": 55}
_CLASS_LIMITS_MILLION = ((0.3, "Bk0.3"), (1.0, "Bk1.0"), (1.8, "Bk1.8"), (3.2, "Bk3.2"), (10.0, "Bk10"), (32.0, "Bk32"))
_DESIGN_YEARS, _GROWTH_FACTOR = 30, 1.16  # f_z for 1 % growth a year over 30 years


@dataclass(frozen=True, slots=True)
class Site:
    """Where n sections lie and what kind of street each belongs to; arrays of shape (n,)."""

    group: NDArray[np.int64]
    """Number of the street."""
    road_class: NDArray[np.str_]
    remote: NDArray[np.float64]
    """Distance from the centre, in radii of the town."""
    bus: NDArray[np.bool_]
    known: Sequence[Attributes] | None = None
    """What an existing register says; it is kept, and only what it does not say is drawn."""


def equivalent_axle_passes_per_day(
    heavy_vehicles_per_day: NDArray[np.float64], lane_width_m: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Equivalent passes of a 10-t axle on the heaviest lane, by RStO 12: DTV_SV · f_A · q_Bm · f1 · f2.

    f_A and q_Bm are those of municipal roads, of busier ones from 300 heavy vehicles a day on; f1 = 0.5 for two lanes;
    f2 by lane width; slope and growth are left to the caller.

    Examples
    --------
    >>> equivalent_axle_passes_per_day(np.array([12.0, 620.0]), np.array([2.75, 3.4])).round(1).tolist()
    [6.4, 341.0]
    """
    busy = heavy_vehicles_per_day >= 300
    per_vehicle = np.where(busy, 4.0 * 0.25, 3.3 * 0.23)
    narrow = np.select(
        [lane_width_m < 2.5, lane_width_m < 2.75, lane_width_m < 3.25, lane_width_m < 3.75], [2.0, 1.8, 1.4, 1.1], 1.0
    )
    result: NDArray[np.float64] = heavy_vehicles_per_day * per_vehicle * 0.5 * narrow
    return result


def design_axle_passes_million(axle_passes_per_day: NDArray[np.float64]) -> NDArray[np.float64]:
    """B of RStO 12 over thirty years [million]."""
    result: NDArray[np.float64] = 365 * _DESIGN_YEARS * axle_passes_per_day * _GROWTH_FACTOR / 1e6
    return result


def pavement_class(axle_passes_million: float) -> str:
    """Load class of RStO 12 for B [million].

    Examples
    --------
    >>> pavement_class(0.3), pavement_class(1.2), pavement_class(50.0)
    ('Bk0.3', 'Bk1.8', 'Bk100')
    """
    return next((name for limit, name in _CLASS_LIMITS_MILLION if axle_passes_million <= limit), "Bk100")


def draw_attributes(site: Site, epoch: date, streams: Streams) -> list[Attributes]:
    """Attributes of each section as a register drawn up on `epoch` has them."""
    group, index = site.group, np.arange(len(site.group))
    is_main, is_collector = site.road_class == "main", site.road_class == "collector"
    base = np.where(is_main, 620.0, np.where(is_collector, 110.0, 12.0))
    land_use = _land_use(site, is_main, streams)
    industry = np.where(land_use == "industry", 2.2, 1.0)
    heavy = base * np.exp(streams.normal("network/heavy", group) * np.where(is_main, 0.55, 0.7)) * industry
    heavy = _known(site, "heavy_vehicles_per_day", heavy + 60.0 * site.bus)
    built = _known(site, "construction_year", _construction_year(group, is_main, site.remote, epoch, streams))
    wearing = _known(
        site,
        "wearing_course_year",
        _wearing_course_year(group, index, built, is_main, is_collector, epoch, streams),
    )
    lanes = np.where(is_main & (streams.uniform("network/lanes", group) < 0.4), 4, 2)
    lanes = _known(site, "lanes", lanes)
    width = np.where(is_main, 3.4, np.where(is_collector, 3.15, 2.75)) * lanes
    width = _known(site, "width_m", width + 0.25 * streams.normal("network/width", group))
    axle_passes = equivalent_axle_passes_per_day(heavy, width / np.maximum(lanes, 1))
    classes = [pavement_class(value) for value in design_axle_passes_million(axle_passes).tolist()]
    required = np.array([_REQUIRED_CM[c] for c in classes], dtype=float)
    # Built thickness follows the rules of the time of building: thinner before the war and until the seventies.
    thickness = required + np.interp(built, [1900, 1955, 1980, 2005], [-16, -12, -5, 0])
    thickness = np.maximum(thickness + 4.5 * streams.normal("network/thickness", index), 15.0)
    thickness = _known(site, "thickness_cm", thickness)
    trench = 9.0 * streams.uniform("network/trench", index) ** 2.2 * np.interp(epoch.year - built, [0, 60], [0.5, 1.7])
    gully = np.clip(np.where(is_main, 32, 40) * np.exp(0.25 * streams.normal("network/gully", group)), 15, 90)
    # Few gullies and old construction drain badly.
    drainage = streams.normal("network/drainage", index) + np.interp(built, [1900, 2000], [-0.7, 0.5])
    drainage -= 0.6 * np.log(gully / 38)
    trees = np.where(land_use == "green", 38, np.where(is_main, 14, 22)) + 16 * streams.normal("network/trees", group)
    fast = streams.uniform("network/speed", group)
    surface = np.where(~is_main & (streams.uniform("network/surface", group) < 0.04), "paving", "asphalt")
    limits = np.where(is_main, np.where(fast < 0.12, 70, 50), np.where(is_collector & (fast < 0.7), 50, 30))
    drawn = [
        Attributes(
            construction_year=int(built[i]),
            wearing_course_year=int(wearing[i]),
            pavement_class=classes[i],
            surface=str(surface[i]),
            heavy_vehicles_per_day=round(float(heavy[i]), 1),
            axle_passes_per_day=round(float(axle_passes[i]), 1),
            bus_route=bool(site.bus[i]),
            tram_track=False,  # no line of this city runs in a carriageway
            trench_area_pct=round(float(min(trench[i], 40.0)), 1),
            thickness_cm=round(float(thickness[i]), 1),
            frost_deficit_cm=round(float(required[i] - thickness[i]), 1),
            drainage="good" if drainage[i] > 0.45 else "poor" if drainage[i] < -0.85 else "fair",
            gully_spacing_m=round(float(gully[i]), 0),
            tree_cover_pct=round(float(np.clip(trees[i], 0, 80)), 0),
            land_use=str(land_use[i]),
            width_m=round(float(width[i]), 2),
            lanes=int(lanes[i]),
            speed_limit_kmh=float(limits[i]),
        )
        for i in index
    ]
    if site.known is None:
        return drawn
    return [_completed(known, attributes) for known, attributes in zip(site.known, drawn, strict=True)]


def _known(site: Site, name: str, drawn: NDArray[np.floating] | NDArray[np.integer]) -> NDArray[np.float64]:
    """Numbers of the register where it has them, else the drawn ones: what follows from them fits both."""
    values = drawn.astype(np.float64)
    if site.known is not None:
        given = np.array([np.nan if (v := getattr(a, name)) is None else float(v) for a in site.known])
        values = np.where(np.isnan(given), values, given)
    return values


def _completed(known: Attributes, drawn: Attributes) -> Attributes:
    given = {name: value for name in known.__struct_fields__ if (value := getattr(known, name)) is not None}
    return msgspec.structs.replace(drawn, **given)


def _land_use(site: Site, is_main: NDArray[np.bool_], streams: Streams) -> NDArray[np.str_]:
    """Centre within a fifth of the town's radius, then housing with works and green between."""
    u = streams.uniform("network/land-use", site.group)
    industry, green = np.where(is_main, 0.14, 0.07), 0.08 + 0.10 * np.clip(site.remote, 0, 1)
    outside = np.select([u < industry, u < industry + green], ["industry", "green"], "housing")
    return np.where(site.remote < 0.2, "centre", outside)


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
    built: NDArray[np.float64],
    is_main: NDArray[np.bool_],
    is_collector: NDArray[np.bool_],
    epoch: date,
    streams: Streams,
) -> NDArray[np.int64]:
    """Age of the wearing course: 12-18 years to grade 3.5 on main roads and 18-25 in side roads, often overdue."""
    cycle = np.where(is_main, 20.0, np.where(is_collector, 27.0, 36.0))
    age = cycle * streams.uniform("network/wearing", group) ** 0.9 + 2.0 * streams.normal("network/wearing", index, 1)
    return np.clip(np.maximum(built, epoch.year - age), 1890, epoch.year).astype(np.int64)
