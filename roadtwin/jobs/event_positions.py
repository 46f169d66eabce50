"""Where events of a city's file were: coordinates put right or taken as unknown, and the segments they lie on."""

import math
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray
from pyproj import Transformer

from models.inputs import Floats
from roadtwin.jobs.importing import read_network_file, source_of
from roadtwin.network.extent import swapped_for_zone
from roadtwin.network.geojson import ReadOptions
from roadtwin.network.matching import SegmentMatcher
from roadtwin.network.split import split_network
from roadtwin.reporting.words import Words, counted, counted_german

MATCH_M = 40.0
"""An event is on a segment that lies within this distance [m]: addresses are placed on houses, not on the road."""
CITY_KM = 100.0
"""A position farther than this from the middle of all is none of the city's [km]."""
_METRES_PER_DEGREE = 111_320.0
_HOUSTON_CRS = (
    "EPSG:2278"  # NAD83 / Texas South Central (US survey feet): columns x and y of Houston's service requests
)


class StreetNetwork:
    """Segments of a network file, to which events are put by their positions."""

    def __init__(self, path: Path) -> None:
        """Raises as `read_network_file`."""
        sections, _ = read_network_file(path, ReadOptions(source=source_of(path)))
        self._segments = split_network(sections)
        self._matcher = SegmentMatcher(self._segments)

    def find(self, lon_lat: Floats) -> list[tuple[str, str]]:
        """Id and street of the segment of each position (n, 2) [°]; both "" where it is unknown or on no street."""
        index = np.full(len(lon_lat), -1)
        known = np.flatnonzero(np.isfinite(lon_lat).all(axis=1))
        if known.size:
            match = self._matcher.match(lon_lat[known, 0], lon_lat[known, 1], max_distance_m=MATCH_M)
            index[known] = match.segment_index
        return [("", "") if i < 0 else (self._segments[i].public_id, self._segments[i].name) for i in index.tolist()]


def from_houston_feet(x: Floats, y: Floats) -> Floats:
    """Longitude and latitude (n, 2) [°] of Houston's columns x and y [ft]; NaN stays NaN."""
    lon, lat = Transformer.from_crs(_HOUSTON_CRS, "EPSG:4326", always_xy=True).transform(x, y)
    return np.where(np.isfinite(np.column_stack([x, y])), np.column_stack([lon, lat]), np.nan)


def checked_positions(lon_lat: Floats, zone: ZoneInfo, name: str) -> tuple[Floats, list[Words]]:
    """Positions of one city (n, 2) [°], NaN unknown, and notes of what was put right or is taken as unknown.

    Exchanged headers are told by latitudes beyond 90° and by the place of the city's time zone, exchanged rows by the
    middle of all. At 0, 0, beyond the globe and far from the middle nothing of the city is.
    """
    notes: list[Words] = []
    given = np.isfinite(lon_lat).all(axis=1)
    known = given & lon_lat.any(axis=1)  # at 0, 0 somebody knew nothing
    if not known.any():
        return np.full_like(lon_lat, np.nan), notes
    middle = np.median(lon_lat[known], axis=0)
    if (abs(middle[1]) > 90 >= abs(middle[0])) or swapped_for_zone(float(middle[0]), float(middle[1]), zone.key):
        lon_lat, middle = lon_lat[:, ::-1], middle[::-1]
        notes.append(
            (
                f"longitude and latitude of {name} were swapped: put right",
                f"Länge und Breite von {name} waren vertauscht: berichtigt",
            )
        )
    near, near_exchanged = (known & _near(positions, middle) for positions in (lon_lat, lon_lat[:, ::-1]))
    exchanged = ~near & near_exchanged
    if exchanged.any():
        lon_lat = np.where(exchanged[:, None], lon_lat[:, ::-1], lon_lat)
        number = int(exchanged.sum())
        notes.append(
            (
                f"{counted(number, 'position')} had longitude and latitude swapped: put right",
                f"{counted_german(number, 'Position', 'Positionen')} mit vertauschter Länge und Breite: berichtigt",
            )
        )
    impossible = given & ~near & ~exchanged
    if impossible.any():
        number = int(impossible.sum())
        notes.append(
            (
                f"{counted(number, 'impossible position')} taken as unknown",
                f"als unbekannt genommen: {counted_german(number, 'unmögliche Position', 'unmögliche Positionen')}",
            )
        )
    return np.where((near | exchanged)[:, None], lon_lat, np.nan), notes


def _near(lon_lat: Floats, middle: Floats) -> NDArray[np.bool_]:
    away = (lon_lat - middle) * [math.cos(math.radians(float(np.clip(middle[1], -89, 89)))), 1.0]
    return np.asarray(np.hypot(*away.T) * _METRES_PER_DEGREE / 1000 <= CITY_KM)  # NaN compares false


def on_a_plane(lon_lat: Floats) -> Floats | None:
    """Metres east and north of the middle (n, 2), NaN unknown; None where no position is known."""
    if not np.isfinite(lon_lat).all(axis=1).any():
        return None
    middle = np.nanmedian(lon_lat, axis=0)
    scale = _METRES_PER_DEGREE * np.array([math.cos(math.radians(float(middle[1]))), 1.0])
    return np.asarray((lon_lat - middle) * scale)
