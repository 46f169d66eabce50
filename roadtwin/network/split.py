"""Splitting sections into equal segments: stations are metres along the centreline on the WGS 84 ellipsoid."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from pyproj import Geod

from roadtwin.errors import DegenerateLineError
from roadtwin.network.sections import RoadSection, Segment

_WGS84 = Geod(ellps="WGS84")
_REPORTING_LENGTH_M = 100
"""Shorter segments nest in these: a 20 m boundary exists at every 100 m one."""


def line_stations_m(line: NDArray[np.float64]) -> NDArray[np.float64]:
    """Station of every vertex of a line.

    Parameters
    ----------
    line : numpy.ndarray, shape (n, 2)
        Longitude and latitude, WGS 84. [°]

    Returns
    -------
    numpy.ndarray, shape (n,)
        Geodesic distance along the line from its first vertex. [m]

    Examples
    --------
    >>> line_stations_m(np.array([[7.0, 51.0], [7.0, 51.001], [7.0, 51.002]])).round(1)
    array([  0. , 111.2, 222.5])
    """
    edges = _WGS84.inv(line[:-1, 0], line[:-1, 1], line[1:, 0], line[1:, 1])[2]
    return np.concatenate(([0.0], np.cumsum(edges)))


def section_lengths_m(sections: Sequence[RoadSection]) -> NDArray[np.float64]:
    """Geodesic length of each section, shape (len(sections),) [m]. Raises DegenerateLineError as `split_network`."""
    return np.array([stations[-1] for stations in _stations_of_all(sections)], dtype=np.float64)


def split_section(section: RoadSection, section_index: int, nominal_length_m: int = 100) -> list[Segment]:
    """Equal segments of one section; see `split_network`."""
    return _split(section, section_index, nominal_length_m, _stations_of_all([section])[0])


def split_network(sections: Sequence[RoadSection], nominal_length_m: int = 100) -> list[Segment]:
    """Equal segments of every section, in the order of sections and stations.

    A section of length L gets max(1, round(L / nominal)) pieces, so that a piece is at most half as long again as the
    nominal length. With a nominal length below 100 m the boundaries of the 100 m pieces are kept, and each of those
    is split the same way.

    Parameters
    ----------
    sections : sequence of RoadSection
        Their lines in WGS 84.
    nominal_length_m : int
        Wanted length of a segment, 1 to 1000. [m]

    Raises
    ------
    DegenerateLineError
        If a line has no length, fewer than two points or a coordinate that is not finite; names the section.

    Examples
    --------
    >>> section = RoadSection("demo", "42", np.array([[7.0, 51.0], [7.0, 51.002]]))
    >>> [segment.public_id for segment in split_network([section])]
    ['demo:42:0-111', 'demo:42:111-222']
    """
    segments: list[Segment] = []
    for index, (section, stations) in enumerate(zip(sections, _stations_of_all(sections), strict=True)):
        segments.extend(_split(section, index, nominal_length_m, stations))
    return segments


def _stations_of_all(sections: Sequence[RoadSection]) -> list[NDArray[np.float64]]:
    """Stations of the vertices of every section, with one call of the geodesic solver for all edges."""
    if not sections:
        return []
    for section in sections:
        line = section.line
        if line.ndim != 2 or line.shape[1] != 2 or len(line) < 2 or not np.isfinite(line).all():
            raise DegenerateLineError(
                f"Section {section.source}:{section.source_section_id}: got a line of shape {line.shape}, "
                "expected at least two points with finite longitude and latitude."
            )
    points = np.concatenate([section.line for section in sections])
    starts = np.cumsum([0] + [len(section.line) for section in sections])
    edges = _WGS84.inv(points[:-1, 0], points[:-1, 1], points[1:, 0], points[1:, 1])[2]
    stations: list[NDArray[np.float64]] = []
    for section, first, end in zip(sections, starts[:-1], starts[1:], strict=True):
        along = np.concatenate(([0.0], np.cumsum(edges[first : end - 1])))
        if along[-1] <= 0:
            raise DegenerateLineError(f"Section {section.source}:{section.source_section_id}: its line has no length.")
        stations.append(along)
    return stations


def _split(
    section: RoadSection, section_index: int, nominal_length_m: int, stations: NDArray[np.float64]
) -> list[Segment]:
    boundaries = np.linspace(0.0, stations[-1], _piece_count(float(stations[-1]), nominal_length_m) + 1)
    at_boundary = np.column_stack([np.interp(boundaries, stations, section.line[:, axis]) for axis in (0, 1)])
    # Vertices strictly inside a piece; a vertex on a boundary is already there as the boundary.
    firsts = np.searchsorted(stations, boundaries[:-1], side="right")
    ends = np.searchsorted(stations, boundaries[1:], side="left")
    return [
        Segment(
            public_id=f"{section.source}:{section.source_section_id}:{round(start)}-{round(stop)}",
            section_index=section_index,
            nominal_length_m=nominal_length_m,
            from_station_m=float(start),
            to_station_m=float(stop),
            name=section.name or "",
            district=section.district or "",
            road_class=section.road_class,
            line=np.vstack([at_boundary[i], section.line[firsts[i] : ends[i]], at_boundary[i + 1]]),
            attributes=section.attributes,
        )
        for i, (start, stop) in enumerate(zip(boundaries[:-1].tolist(), boundaries[1:].tolist(), strict=True))
    ]


def _piece_count(length_m: float, nominal_length_m: int) -> int:
    pieces = max(1, round(length_m / max(nominal_length_m, _REPORTING_LENGTH_M)))
    if nominal_length_m < _REPORTING_LENGTH_M:
        pieces *= max(1, round(length_m / pieces / nominal_length_m))
    return pieces
