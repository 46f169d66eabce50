"""Maps: where cameras have been, where holes are, and the hidden hazard; and how far positions lie from the streets."""

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap
from numpy.typing import NDArray
from shapely import STRtree, linestrings, points

from roadtwin.reporting.drawing import BLUE, ORANGE, REFERENCE, figure, note, png, svg
from roadtwin.reporting.words import Plot
from simulators.geometry import METRES_PER_DEGREE_LAT
from simulators.report.damage import WINDOW_DAYS, Damage
from simulators.report.feed import Feed
from simulators.report.words import plot
from simulators.world import World

_LAST = ("#1B7837", "#7FBF7B", "#FEE08B", "#F46D43", "#A50026")  # luminance and hue both change
_LAST_EDGES = (0, 2, 7, 15, 29)
_COUNT = ("#A50026", "#FDAE61", "#ABD9E9", "#4575B4", "#313695")
_COUNT_EDGES = (0, 1, 3, 5, 11)
_HAZARD = ("#D9D9D9", "#FDCC8A", "#FC8D59", "#D7301F", "#7F0000")
_HAZARD_EDGES = (0, 5, 15, 30, 60)
_METRES = np.arange(0, 41, 1.0).tolist()
_SCALE = '<span class="key"><i style="background:#555555"></i>1 km</span>'
MAP_INCHES = (9.2, 4.2)


def coverage_map(world: World, damage: Damage) -> Plot:
    """The network by days since the last camera, and by passes of the last weeks."""
    since = np.where(damage.last_pass < 0, 10_000, len(damage.days) - 1 - damage.last_pass)
    lines = [_flat(world, section.line) for section in world.sections]
    with figure(MAP_INCHES, columns=2) as (drawing, (left, right)):
        _lines(left, lines, _step(since, _LAST_EDGES), _LAST)
        _lines(right, lines, _step(damage.passes, _COUNT_EDGES), _COUNT)
        image = png(drawing, ("Coverage by cameras", "Abdeckung durch Kameras"))
    left_key = _key(_LAST, ("0-1", "2-6", "7-14", "15-28", "> 28"))
    right_key = _key(_COUNT, ("0", "1-2", "3-4", "5-10", "> 10"))
    return plot("coverage", f'{image}<p class="keys">{left_key}{right_key}{_SCALE}</p>', days=WINDOW_DAYS)


def hazard_map(world: World, damage: Damage) -> Plot:
    """Holes of the period, and the hidden hazard."""
    lon, lat, _ = world.geometry.locate(*damage.hole_stations)
    rate = damage.expected / (world.geometry.segment_length_m / 1000) / (len(damage.days) / 365.25)
    streets = [_flat(world, section.line) for section in world.sections]
    with figure(MAP_INCHES, columns=2) as (drawing, (left, right)):
        _lines(left, streets, np.zeros(len(streets), int), ("#C8C8C8",))
        at = _flat(world, np.stack([lon, lat], axis=1))
        left.plot(at[:, 0], at[:, 1], ".", color="#B2182B", ms=max(1.2, min(3.5, 120 / max(len(at), 1) ** 0.5)))
        _lines(right, [_flat(world, s.line) for s in world.segments], _step(rate, _HAZARD_EDGES), _HAZARD)
        image = png(drawing, ("Potholes and hidden hazard", "Schlaglöcher und verborgene Rate"))
    key = _key(_HAZARD, ("< 5", "5-15", "15-30", "30-60", "> 60"))
    return plot("hazard_map", f'{image}<p class="keys">{key}{_SCALE}</p>')


def positions_plot(world: World, feed: Feed) -> Plot:
    """Distance of vehicle positions from the nearest street, and what accuracy they state."""
    median = far = 0.0
    with figure(columns=2) as (drawing, (left, right)):
        if feed.lon:
            distance = distance_to_streets_m(world, np.array(feed.lon), np.array(feed.lat))
            left.hist(np.minimum(distance, 40), _METRES, color=BLUE)
            right.hist(np.minimum(feed.accuracy_m, 40), _METRES, color=ORANGE)
            median, far = np.percentile(distance, [50, 95]).tolist()
        else:
            note(left, "no vehicle drove in these days", 0.3, 0.5)
        left.set_title("Readings by distance to the street axis [m]")
        right.set_title("Readings by stated accuracy [m]")
        image = svg(drawing)
    return plot("positions", image, median=median, far=far)


def distance_to_streets_m(world: World, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.float64]:
    """Distance of positions from the nearest axis of a street [m]."""
    tree = STRtree([linestrings(_flat(world, section.line)) for section in world.sections])
    where = points(_flat(world, np.stack([lon, lat], axis=1)))
    _, distance = tree.query_nearest(where, return_distance=True, all_matches=False)
    result: NDArray[np.float64] = distance
    return result


def _flat(world: World, line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Metres east and north of the middle of the city."""
    centre = world.segment_middles.mean(axis=0)
    scale = METRES_PER_DEGREE_LAT * np.array([np.cos(np.radians(centre[1])), 1.0])
    result: NDArray[np.float64] = (line - centre) * scale
    return result


def _step(values: NDArray[np.generic], edges: tuple[int, ...]) -> NDArray[np.int64]:
    result: NDArray[np.int64] = np.searchsorted(edges, values, side="right") - 1
    return result


def _lines(axes: Axes, lines: list[NDArray[np.float64]], step: NDArray[np.int64], colours: tuple[str, ...]) -> None:
    width = float(np.clip(36 / len(lines) ** 0.5, 0.35, 2.0))
    order = np.argsort(step, kind="stable")
    drawn = LineCollection(
        [lines[i] for i in order],
        array=step[order].astype(float),
        cmap=ListedColormap(list(colours)),
        norm=BoundaryNorm(np.arange(len(colours) + 1) - 0.5, len(colours)),
        linewidths=width,
    )
    axes.add_collection(drawn)
    axes.autoscale()
    axes.set_aspect("equal")
    axes.set_axis_off()
    _scale_bar(axes)


def _scale_bar(axes: Axes) -> None:
    (_, right), (bottom, _) = axes.get_xlim(), axes.get_ylim()
    axes.plot([right - 1000, right], [bottom, bottom], color=REFERENCE, lw=2, solid_capstyle="butt")


def _key(colours: tuple[str, ...], labels: tuple[str, ...]) -> str:
    items = "".join(
        f'<span class="key"><i style="background:{colour}"></i>{label.replace("<", "&lt;").replace(">", "&gt;")}</span>'
        for colour, label in zip(colours, labels, strict=True)
    )
    return f'<span class="keyset">{items}</span>'
