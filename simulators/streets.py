"""Street layout of a made-up town: a blob cut again and again by streets, main roads first.

Every cut is a gently bent line from one street to another one inside a single block, so that streets meet only at
junctions and never run over each other. Cut where the largest block is, a town grows dense at its centre and keeps
parks. Coordinates are metres east and north of the town's centre.
"""

import heapq
import math
from collections import defaultdict
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
from shapely import LineString, Point, Polygon
from shapely.ops import split as split_geometry
from shapely.ops import substring

DENSITY_KM_PER_KM2 = 9.0
"""Length of streets per area. Essen: about 1,600 km on 210 km², with its woods and works, 7.6 km/km². [km/km²]"""
MAIN_SHARE, COLLECTOR_SHARE = 0.20, 0.18
"""Shares of length; Essen's measured main roads are 339 of 1,600 km."""
MIN_JUNCTION_SPACING_M = 70.0
_CELL_M = 120.0


@dataclass(slots=True)
class Street:
    """One cut: its line and class; streets that go on across a junction share a `name_group`."""

    line: LineString
    road_class: str
    name_group: int


@dataclass(order=True, slots=True)
class _Block:
    priority: float
    number: int
    polygon: Polygon = field(compare=False)


class _Junctions:
    """Points where streets meet, found again by position."""

    def __init__(self) -> None:
        self._cells: dict[tuple[int, int], list[tuple[float, float]]] = defaultdict(list)
        self.ends: dict[tuple[float, float], list[tuple[int, float]]] = defaultdict(list)

    def add(self, point: tuple[float, float]) -> None:
        cell = self._cells[int(point[0] // _CELL_M), int(point[1] // _CELL_M)]
        if point not in cell:
            cell.append(point)

    def near(self, x: float, y: float, radius_m: float) -> list[tuple[float, float]]:
        """Junctions within `radius_m` (at most one cell), nearest first."""
        i, j = int(x // _CELL_M), int(y // _CELL_M)
        found = [p for a in (i - 1, i, i + 1) for b in (j - 1, j, j + 1) for p in self._cells.get((a, b), ())]
        distances = sorted((math.hypot(px - x, py - y), (px, py)) for px, py in found)
        return [point for distance, point in distances if distance <= radius_m]


class StreetPlan:
    """Grows the layout until the wanted length is there. `streets` and `junctions` are the result."""

    def __init__(self, length_m: float, rng: np.random.Generator) -> None:
        self._rng = rng
        self._target_m = length_m
        self.streets: list[Street] = []
        self.junctions = _Junctions()
        self.length_m = 0.0
        self._blocks: list[_Block] = []
        self._block_number = 0
        area_m2 = length_m / 1000 / DENSITY_KM_PER_KM2 * 1e6
        self.radius_m = math.sqrt(area_m2 / math.pi)
        self._next_group = 0
        self._grow()

    # -- growing ---------------------------------------------------------------------------------------------------
    def _grow(self) -> None:
        polygons = self._cut_radials(self._outline())
        for polygon in self._cut_rings(polygons):
            self._push(polygon)
        budget = [("main", MAIN_SHARE), ("collector", MAIN_SHARE + COLLECTOR_SHARE), ("residential", 1.0)]
        for road_class, share in budget:
            self._fill(road_class, share * self._target_m)

    def _outline(self) -> Polygon:
        """A rounded, uneven town limit with the wanted area."""
        angle = np.linspace(0, 2 * np.pi, 97)[:-1]
        radius = np.ones_like(angle)
        for harmonic in range(2, 7):
            phase, amplitude = self._rng.uniform(0, 2 * np.pi), self._rng.normal(0, 0.16 / harmonic)
            radius += amplitude * np.sin(harmonic * angle + phase)
        radius = np.clip(radius, 0.6, 1.5)
        radius *= self.radius_m / math.sqrt(float(np.mean(radius**2)))
        return Polygon(np.column_stack([1.15 * radius * np.cos(angle), radius * np.sin(angle) / 1.15]))

    def _cut_radials(self, outline: Polygon) -> list[Polygon]:
        """Two main roads through the centre and one or more that end there, as old country roads do."""
        rng, polygons = self._rng, [outline]
        arms = 4 if self._target_m < 50_000 else 6 if self._target_m < 600_000 else 8
        first = rng.uniform(0, 2 * np.pi)
        angles = first + (np.arange(arms) + rng.uniform(-0.18, 0.18, arms)) * 2 * np.pi / arms
        centre, reach = (0.0, 0.0), 3 * self.radius_m
        for number, angle in enumerate(angles):
            far = (reach * math.cos(angle), reach * math.sin(angle))
            if number == 0:  # the first road goes right through, so that the others have something to end on
                opposite = angles[arms // 2]
                start = (reach * math.cos(opposite), reach * math.sin(opposite))
                path = self._bent([start, centre, far], 0.04)
            elif number == arms // 2:
                continue
            else:
                path = self._bent([centre, far], 0.05)
            polygons = self._apply(polygons, path, "main")
        return polygons

    def _cut_rings(self, polygons: list[Polygon]) -> list[Polygon]:
        """Ring roads from radial to radial, an inner one around the old town and, in larger towns, an outer one."""
        radii = [0.30] if self._target_m < 50_000 else [0.16, 0.55]
        for share in radii:
            angle = np.linspace(0, 2 * np.pi, 73)
            wobble = sum(
                self._rng.normal(0, 0.05) * np.sin(k * angle + self._rng.uniform(0, 2 * np.pi)) for k in (2, 3, 4)
            )
            radius = share * self.radius_m * (1 + wobble)
            ring = LineString(np.column_stack([1.1 * radius * np.cos(angle), radius * np.sin(angle) / 1.1]))
            group = self._new_group()
            cut: list[Polygon] = []
            for polygon in polygons:
                pieces = [p for p in _lines(polygon.intersection(ring)) if p.length > 60]
                cut.extend(self._apply_pieces(polygon, _merge_ends(pieces), "main", group))
            polygons = cut
        return polygons

    def _fill(self, road_class: str, until_m: float) -> None:
        """Cut the block that needs it most until all streets together have the wanted length."""
        set_aside: list[_Block] = []
        while self._blocks and self.length_m < until_m:
            block = heapq.heappop(self._blocks)
            halves = self._cut(block.polygon, road_class)
            if halves is None:
                set_aside.append(block)
                continue
            for half in halves:
                self._push(half)
        if road_class != "residential":  # too small for this class is not too small for the next one
            for block in set_aside:
                heapq.heappush(self._blocks, block)

    def _push(self, polygon: Polygon) -> None:
        centre = polygon.centroid
        remote = math.hypot(centre.x, centre.y) / self.radius_m
        need = polygon.area / (1.0 + 0.9 * remote**2)
        if 30_000 < polygon.area < 160_000 and self._rng.random() < 0.055:
            need *= 0.12  # a park, a works, allotments: it stays whole for long
        self._block_number += 1
        heapq.heappush(self._blocks, _Block(-need, self._block_number, polygon))

    # -- one cut ---------------------------------------------------------------------------------------------------
    def _cut(self, polygon: Polygon, road_class: str) -> list[Polygon] | None:
        """Cut a block across its longer side; None when no cut leaves sensible junctions."""
        box = np.asarray(polygon.minimum_rotated_rectangle.exterior.coords)
        sides = [box[1] - box[0], box[2] - box[1]]
        longer = sides[0] if np.hypot(*sides[0]) >= np.hypot(*sides[1]) else sides[1]
        length = float(np.hypot(*longer))
        if length < 2 * MIN_JUNCTION_SPACING_M:
            return None
        along = longer / length
        across = np.array([-along[1], along[0]])
        centre = np.asarray(polygon.centroid.coords[0])
        reach = 2.5 * length
        for attempt in range(6):
            turn = self._rng.normal(0, math.radians(5 + 4 * attempt))
            direction = np.array([[math.cos(turn), -math.sin(turn)], [math.sin(turn), math.cos(turn)]]) @ across
            through = centre + along * self._rng.uniform(-0.14, 0.14) * length
            ray = LineString([through - direction * reach, through + direction * reach])
            pieces = _lines(polygon.intersection(ray))
            if not pieces:
                continue
            chord = min(pieces, key=lambda piece: piece.distance(Point(through)))
            if chord.length < MIN_JUNCTION_SPACING_M or chord.length > 6 * length:
                continue
            start, end = (self._snap(polygon, c) for c in (chord.coords[0], chord.coords[-1]))
            if start is None or end is None or math.dist(start, end) < MIN_JUNCTION_SPACING_M:
                continue
            halves = self._apply_path(polygon, start, end, road_class)
            if halves is not None:
                return halves
        return None

    def _snap(self, polygon: Polygon, point: tuple[float, ...]) -> tuple[float, float] | None:
        """The junction on the block's edge that is near, or the point itself."""
        for candidate in self.junctions.near(point[0], point[1], MIN_JUNCTION_SPACING_M):
            if polygon.exterior.distance(Point(candidate)) < 0.05:
                return candidate
        return (round(point[0], 3), round(point[1], 3))

    def _apply_path(
        self, polygon: Polygon, start: tuple[float, float], end: tuple[float, float], road_class: str
    ) -> list[Polygon] | None:
        for bend in (0.022, 0.0):
            path = self._bent([start, end], bend, ends_fixed=True)
            inside = polygon.buffer(0.02).covers(path)
            clear = path.length < 1e-9 or polygon.exterior.intersection(path.buffer(0.01)).length < 0.5
            if not (inside and clear):
                continue
            halves = _split_polygon(polygon, path)
            if len(halves) == 2 and min(half.area for half in halves) > 2500:
                self._register(path, road_class, self._group_for(path, road_class))
                return halves
        return None

    def _apply(self, polygons: list[Polygon], path: LineString, road_class: str) -> list[Polygon]:
        group = self._new_group()
        result: list[Polygon] = []
        for polygon in polygons:
            pieces = _merge_ends([p for p in _lines(polygon.intersection(path)) if p.length > 60])
            result.extend(self._apply_pieces(polygon, pieces, road_class, group))
        return result

    def _apply_pieces(self, polygon: Polygon, pieces: list[LineString], road_class: str, group: int) -> list[Polygon]:
        parts = [polygon]
        for piece in pieces:
            coords = [(round(x, 3), round(y, 3)) for x, y in piece.coords]
            ends = [self._snap(polygon, coords[0]) or coords[0], self._snap(polygon, coords[-1]) or coords[-1]]
            path = LineString([ends[0], *coords[1:-1], ends[1]])
            cut: list[Polygon] = []
            done = False
            for part in parts:
                halves = _split_polygon(part, path) if not done else [part]
                done = done or len(halves) == 2
                cut.extend(halves)
            if done:
                parts = cut
                self._register(path, road_class, group)
        return parts

    def _bent(self, points: list[tuple[float, float]], bend: float, *, ends_fixed: bool = False) -> LineString:
        """A smooth line through the points that leaves the straight one by about `bend` of its length."""
        out: list[tuple[float, float]] = [points[0]]
        for a, b in pairwise(points):
            length = math.dist(a, b)
            share = np.linspace(0, 1, max(3, min(60, int(length / 45))))[1:]
            amplitudes = self._rng.normal(0, bend, 3) / np.array([1.0, 1.6, 2.6])
            offset = length * sum(amplitude * np.sin((k + 1) * np.pi * share) for k, amplitude in enumerate(amplitudes))
            offset[-1] = 0.0
            normal = np.array([-(b[1] - a[1]), b[0] - a[0]]) / length
            line = np.asarray(a) + np.outer(share, np.subtract(b, a)) + np.outer(offset, normal)
            out.extend((round(float(x), 3), round(float(y), 3)) for x, y in line)
            if ends_fixed:
                out[-1] = b
        return LineString(out)

    # -- book-keeping ----------------------------------------------------------------------------------------------
    def _new_group(self) -> int:
        self._next_group += 1
        return self._next_group

    def _group_for(self, path: LineString, road_class: str) -> int:
        """The street that this one continues straight across a junction, or a new one."""
        coords = list(path.coords)
        for end, inner in ((coords[0], coords[1]), (coords[-1], coords[-2])):
            leaving = math.atan2(inner[1] - end[1], inner[0] - end[0])
            for group, other_leaving in self.junctions.ends.get((end[0], end[1]), ()):
                turn = abs(math.remainder(leaving - other_leaving - math.pi, 2 * math.pi))
                if turn < math.radians(28) and self._class_of_group[group] == road_class:
                    return group
        return self._new_group()

    _class_of_group: dict[int, str]

    def _register(self, path: LineString, road_class: str, group: int) -> None:
        if not self.streets:
            self._class_of_group = {}
        self._class_of_group[group] = road_class
        self.streets.append(Street(path, road_class, group))
        self.length_m += path.length
        coords = list(path.coords)
        for end, inner in ((coords[0], coords[1]), (coords[-1], coords[-2])):
            point = (end[0], end[1])
            self.junctions.add(point)
            self.junctions.ends[point].append((group, math.atan2(inner[1] - end[1], inner[0] - end[0])))

    def pieces(self) -> list[tuple[Street, LineString]]:
        """Each street cut at the junctions on it: the sections, 60 to 600 m long as far as junctions allow."""
        result: list[tuple[Street, LineString]] = []
        for street in self.streets:
            stations = self._junction_stations(street.line)
            result.extend((street, substring(street.line, start, end)) for start, end in pairwise(stations))
        return result

    def _junction_stations(self, line: LineString) -> list[float]:
        found = {0.0, line.length}
        points = np.asarray(line.segmentize(_CELL_M / 2).coords)
        near = {p for x, y in points for p in self.junctions.near(x, y, _CELL_M)}
        for point in near:
            where = Point(point)
            if line.distance(where) < 0.05:
                found.add(line.project(where))
        stations = [0.0]
        for station in sorted(found)[1:]:
            if station - stations[-1] >= 60 or station == line.length:
                stations.append(station)
        if len(stations) > 2 and stations[-1] - stations[-2] < 60:
            del stations[-2]
        long = [(a, b, math.ceil((b - a) / 600)) for a, b in pairwise(stations)]
        return [0.0] + [a + (b - a) * (i + 1) / parts for a, b, parts in long for i in range(parts)]


def _lines(geometry: object) -> list[LineString]:
    parts = getattr(geometry, "geoms", [geometry])
    return [part for part in parts if isinstance(part, LineString) and not part.is_empty]


def _merge_ends(pieces: list[LineString]) -> list[LineString]:
    """Join two pieces of a closed ring that meet at its seam."""
    if len(pieces) == 2:
        for a, b in ((pieces[0], pieces[1]), (pieces[1], pieces[0])):
            if math.dist(a.coords[-1], b.coords[0]) < 1e-6:
                return [LineString([*a.coords, *b.coords[1:]])]
    return pieces


def _split_polygon(polygon: Polygon, path: LineString) -> list[Polygon]:
    """The two parts of a polygon on either side of a path from edge to edge; the polygon itself if it does not cut."""
    coords = np.asarray(path.coords)
    # Reach over the edge by a millimetre or two: rounded ends may lie just inside it.
    head, tail = coords[0] - coords[1], coords[-1] - coords[-2]
    over = 0.05
    longer = LineString(
        [coords[0] + head / np.hypot(*head) * over, *coords[1:-1], coords[-1] + tail / np.hypot(*tail) * over]
        if len(coords) > 2
        else [coords[0] + head / np.hypot(*head) * over, coords[-1] + tail / np.hypot(*tail) * over]
    )
    parts = [part for part in split_geometry(polygon, longer).geoms if part.area > 1.0]
    return parts if len(parts) == 2 else [polygon]
