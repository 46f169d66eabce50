"""Matching single positions to segments: nearest centreline, with the direction of travel where streets lie close.

Drives are matched as a whole by `roadtwin.network.trace_matching`.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import ArrayLike, NDArray
from pyproj import Transformer

from roadtwin.network.sections import Segment

MATCHER_VERSION = 3
"""Raised whenever a position could be matched to another place than before. 2: readings of a pass match together.
3: positions of a pass are smoothed by heading and speed first."""

DEFAULT_ACCURACY_M = 5.0
"""Accuracy (1 σ) assumed of a position that states none: open-sky GNSS in a street. [m]"""

HEADING_TOLERANCE_DEG = 30.0
"""A street agrees with a heading when its direction, either way, differs by no more than this. [°]"""

_EDGE_M = 0.5  # half of the stretch over which the direction of a line is taken
_BULK = 200_000  # positions matched at once: bounds memory at some 100 MB


@dataclass(frozen=True, slots=True)
class Match:
    """Where n positions are on the network; a position outside has index -1 and NaN metres.

    `segment_index` and `section_index` (n,) point into what the matcher was built from. `station_m` (n,) is along the
    section; `offset_m` (n,) is positive to the left of the section's direction, its size is the distance to the
    centreline (beyond an end of the line: to that end). [m]
    """

    segment_index: NDArray[np.int32]
    section_index: NDArray[np.int32]
    station_m: NDArray[np.float64]
    offset_m: NDArray[np.float64]

    @classmethod
    def nowhere(cls, count: int) -> "Match":
        """`count` positions outside the network."""
        return cls(
            np.full(count, -1, dtype=np.int32),
            np.full(count, -1, dtype=np.int32),
            np.full(count, np.nan),
            np.full(count, np.nan),
        )


class SegmentMatcher:
    """Matches longitude and latitude to the segments it was built from.

    Distances are taken in a transverse Mercator projection centred on the network; over a network 100 km wide its
    scale is off by at most 3 in 100,000. Stations are those of the segments (geodesic).

    Examples
    --------
    >>> from roadtwin.network.sections import RoadSection
    >>> from roadtwin.network.split import split_network
    >>> street = RoadSection("demo", "1", np.array([[7.0, 51.0], [7.0, 51.002]]))
    >>> match = SegmentMatcher(split_network([street])).match([7.0001, 7.1], [51.0015, 51.0])
    >>> match.segment_index, match.station_m.round(), match.offset_m.round(1)
    (array([ 1, -1], dtype=int32), array([167.,  nan]), array([-7., nan]))
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._section_index = np.array([s.section_index for s in segments], dtype=np.int32)
        self._from_station_m = np.array([s.from_station_m for s in segments], dtype=np.float64)
        self._length_m = np.array([s.length_m for s in segments], dtype=np.float64)
        points = np.concatenate([s.line for s in segments]) if segments else np.zeros((0, 2))
        self._to_metric = metric_projection(segments)
        x, y = self._to_metric.transform(points[:, 0], points[:, 1])
        owners = np.repeat(np.arange(len(segments)), [len(s.line) for s in segments])
        self._lines = shapely.linestrings(np.column_stack([x, y]), indices=owners) if segments else np.array([])
        self._metric_length = shapely.length(self._lines)
        self._tree = shapely.STRtree(self._lines)
        # Segments of one section, for positions whose section is known.
        self._by_section = np.argsort(self._section_index, kind="stable")
        self._section_starts = np.searchsorted(
            self._section_index[self._by_section],
            np.arange(int(self._section_index.max(initial=-1)) + 2),
        )

    def match(
        self,
        lon: ArrayLike,
        lat: ArrayLike,
        heading_deg: ArrayLike | None = None,
        max_distance_m: float = 25.0,
        accuracy_m: ArrayLike | None = None,
    ) -> Match:
        """Segment of each position.

        The nearest segment wins. With a heading, a segment that runs along it (either way, ±30°) wins over one that
        does not, as long as it is farther than the nearest one by no more than the position's accuracy. Of two
        equally near ones the first in the order of segments is taken, so that the answer never depends on chance.

        Parameters
        ----------
        lon, lat : array-like, shape (n,)
            WGS 84. [°] NaN matches nothing.
        heading_deg : array-like, shape (n,), optional
            Direction of travel, clockwise from north. [°] NaN where it is not known.
        max_distance_m : float
            Farthest a position may lie from a segment. [m]
        accuracy_m : array-like, shape (n,), optional
            Accuracy (1 σ) of the positions. [m] NaN and None stand for 5 m.
        """
        lon_deg, lat_deg = np.atleast_1d(np.asarray(lon, dtype=np.float64)), np.atleast_1d(np.asarray(lat, np.float64))
        count = len(lon_deg)
        heading = _column(heading_deg, count, np.nan)
        accuracy = _column(accuracy_m, count, DEFAULT_ACCURACY_M)
        result = Match.nowhere(count)
        for first in range(0, count, _BULK):
            part = slice(first, first + _BULK)
            points = self._points(lon_deg[part], lat_deg[part])
            if np.isfinite(heading[part]).any():
                pairs = self._tree.query(points, predicate="dwithin", distance=max_distance_m)
            else:  # only the nearest can win; several if they are equally near
                pairs = self._tree.query_nearest(points, max_distance=max_distance_m, all_matches=True)
            self._choose(points, pairs[0], pairs[1], heading[part], accuracy[part], first, result)
        return result

    def match_on_section(
        self, lon: ArrayLike, lat: ArrayLike, section_index: ArrayLike, max_distance_m: float = 25.0
    ) -> Match:
        """Nearest place of each position on a section that is already known, shape (n,); -1 where it is farther."""
        points = self._points(np.asarray(lon, dtype=np.float64), np.asarray(lat, dtype=np.float64))
        sections = np.asarray(section_index, dtype=np.int64)
        counts = self._section_starts[sections + 1] - self._section_starts[sections]
        owner = np.repeat(np.arange(len(points)), counts)
        within = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts)
        candidate = self._by_section[np.repeat(self._section_starts[sections], counts) + within]
        near = shapely.distance(points[owner], self._lines[candidate]) <= max_distance_m
        result = Match.nowhere(len(points))
        nothing = np.full(len(points), np.nan)
        self._choose(points, owner[near], candidate[near], nothing, nothing, 0, result)
        return result

    def _points(self, lon: NDArray[np.float64], lat: NDArray[np.float64]) -> NDArray[np.object_]:
        """Points in the metric projection; an empty point, which matches nothing, where a coordinate is no number."""
        x, y = self._to_metric.transform(lon, lat)
        x, y = np.asarray(x, dtype=np.float64), np.asarray(y, dtype=np.float64)
        usable = np.isfinite(x) & np.isfinite(y)
        points = shapely.points(np.where(usable, x, 0.0), np.where(usable, y, 0.0))
        points[~usable] = shapely.Point()
        return np.asarray(points, dtype=np.object_)

    def _choose(
        self,
        points: NDArray[np.object_],
        owner: NDArray[np.intp],
        candidate: NDArray[np.intp],
        heading_deg: NDArray[np.float64],
        accuracy_m: NDArray[np.float64],
        first: int,
        result: Match,
    ) -> None:
        """Take the best candidate of each point (`owner` indexes points) and write it from row `first` of `result`."""
        if not len(owner):
            return
        lines = self._lines[candidate]
        distance_m = shapely.distance(points[owner], lines)
        has_heading = np.isfinite(heading_deg[owner])
        demoted = np.zeros(len(owner), dtype=np.bool_)
        if has_heading.any():
            nearest = np.full(len(points), np.inf)
            np.minimum.at(nearest, owner, distance_m)
            is_close = distance_m <= nearest[owner] + accuracy_m[owner]
            ask = np.flatnonzero(has_heading & is_close)
            _, direction = _direction(lines[ask], shapely.line_locate_point(lines[ask], points[owner[ask]]))
            agrees = np.zeros(len(owner), dtype=np.bool_)
            agrees[ask] = _along(direction, heading_deg[owner[ask]])
            demoted = has_heading & ~agrees
        best = np.lexsort((candidate, distance_m, demoted, owner))
        best = best[np.concatenate(([True], owner[best][1:] != owner[best][:-1]))]
        chosen, rows = candidate[best], owner[best] + first
        along = shapely.line_locate_point(self._lines[chosen], points[owner[best]])
        feet, direction = _direction(self._lines[chosen], along)
        aside = shapely.get_coordinates(points[owner[best]]) - shapely.get_coordinates(feet)
        left = direction[:, 0] * aside[:, 1] - direction[:, 1] * aside[:, 0]
        result.segment_index[rows] = chosen
        result.section_index[rows] = self._section_index[chosen]
        result.station_m[rows] = (
            self._from_station_m[chosen] + along / self._metric_length[chosen] * self._length_m[chosen]
        )
        result.offset_m[rows] = np.where(left < 0, -distance_m[best], distance_m[best])


def metric_projection(segments: Sequence[Segment]) -> Transformer:
    """From longitude and latitude to metres east and north of the middle of a network."""
    points = np.concatenate([s.line for s in segments]) if segments else np.zeros((1, 2))
    lon_0, lat_0 = (points.min(axis=0) + points.max(axis=0)) / 2
    return Transformer.from_crs(
        "EPSG:4326",
        f"+proj=tmerc +lon_0={lon_0:.6f} +lat_0={lat_0:.6f} +k=1 +ellps=WGS84 +units=m +type=crs",
        always_xy=True,
    )


def _column(values: ArrayLike | None, count: int, missing: float) -> NDArray[np.float64]:
    if values is None:
        return np.full(count, missing)
    column = np.broadcast_to(np.asarray(values, dtype=np.float64), (count,))
    return np.where(np.isnan(column), missing, column)


def _direction(
    lines: NDArray[np.object_], along: NDArray[np.float64]
) -> tuple[NDArray[np.object_], NDArray[np.float64]]:
    """Point on each line at `along` [m], and the line's direction there as a vector east, north."""
    feet = shapely.line_interpolate_point(lines, along)
    ahead = shapely.get_coordinates(shapely.line_interpolate_point(lines, along + _EDGE_M))
    behind = shapely.get_coordinates(shapely.line_interpolate_point(lines, np.maximum(along - _EDGE_M, 0.0)))
    return feet, ahead - behind


def _along(direction: NDArray[np.float64], heading_deg: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Whether a direction vector (east, north) runs along a heading, either way."""
    azimuth_deg = np.degrees(np.arctan2(direction[:, 0], direction[:, 1]))
    turn = np.abs((azimuth_deg - heading_deg + 90.0) % 180.0 - 90.0)
    return np.asarray(turn <= HEADING_TOLERANCE_DEG)
