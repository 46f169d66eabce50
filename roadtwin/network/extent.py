"""Where a city is, and whether a position can be of it: finds longitudes and latitudes that were swapped."""

import importlib.resources
import re
from dataclasses import dataclass
from enum import Enum
from functools import cache
from math import cos, hypot, radians

import numpy as np
from numpy.typing import NDArray

_KM_PER_DEGREE = 111.32
FAR_KM = 50.0
"""A position farther than this from all roads of a city is none of the city's [km]."""
NEAR_KM = 5.0
"""A swapped position has to lie this near once it is put right [km]: then two errors at once would be needed."""
ZONE_KM = 3000.0
"""A city lies within this distance of the place that its time zone is named after [km]: so wide are the widest."""


class Verdict(Enum):
    """What a position is to a city."""

    PLAUSIBLE = "plausible"
    SWAPPED = "swapped"  # with longitude and latitude exchanged it lies in the city
    FAR = "far"


@dataclass(frozen=True, slots=True)
class Extent:
    """The rectangle of a city's roads, WGS 84 [°]."""

    west: float
    south: float
    east: float
    north: float

    def distance_km(self, lon: float, lat: float) -> float:
        """Distance of a position from the rectangle, 0 inside; right to a few per cent up to hundreds of kilometres.

        Examples
        --------
        >>> round(Extent(6.9, 51.3, 7.1, 51.5).distance_km(7.0, 51.6), 1)
        11.1
        """
        east = max(self.west - lon, lon - self.east, 0.0)
        north = max(self.south - lat, lat - self.north, 0.0)
        squeeze = cos(radians((self.south + self.north) / 2))
        return hypot(east * squeeze, north) * _KM_PER_DEGREE

    def judge(self, lon: float, lat: float) -> Verdict:
        """Whether a position can be of this city; certain where the city's longitudes and latitudes differ.

        Examples
        --------
        >>> essen = Extent(6.9, 51.3, 7.1, 51.5)
        >>> essen.judge(7.05, 51.45), essen.judge(51.45, 7.05), essen.judge(0.0, 0.0)
        (<Verdict.PLAUSIBLE: 'plausible'>, <Verdict.SWAPPED: 'swapped'>, <Verdict.FAR: 'far'>)
        """
        if self.distance_km(lon, lat) <= FAR_KM:
            return Verdict.PLAUSIBLE
        return Verdict.SWAPPED if self.distance_km(lat, lon) <= NEAR_KM else Verdict.FAR

    def told_if_swapped(self, lon: float, lat: float) -> str:
        """A sentence for who sent a position with longitude and latitude exchanged; "" for any other position.

        Examples
        --------
        >>> Extent(6.9, 51.3, 7.1, 51.5).told_if_swapped(51.45, 7.05)
        'Longitude and latitude are swapped: lon 51.45, lat 7.05 lies far from the city, lon 7.05, lat 51.45 in it.'
        """
        if self.judge(lon, lat) is not Verdict.SWAPPED:
            return ""
        return (
            f"Longitude and latitude are swapped: lon {lon:g}, lat {lat:g} lies far from the city, "
            f"lon {lat:g}, lat {lon:g} in it."
        )


def extent_of(points: NDArray[np.float64]) -> Extent:
    """The rectangle of points (n ≥ 1, 2): longitude and latitude [°]."""
    (west, south), (east, north) = points.min(axis=0).tolist(), points.max(axis=0).tolist()
    return Extent(west, south, east, north)


def swapped_for_zone(lon: float, lat: float, timezone: str) -> bool:
    """Whether a position can lie in the time zone only with longitude and latitude exchanged.

    False where nothing can be said: for a zone without a place, such as UTC.

    Examples
    --------
    >>> swapped_for_zone(51.45, 7.01, "Europe/Berlin"), swapped_for_zone(7.01, 51.45, "Europe/Berlin")
    (True, False)
    """
    place = zone_places().get(timezone)
    if place is None or abs(lat) > 90:
        return False
    here = Extent(place[0], place[1], place[0], place[1])
    return here.distance_km(lon, lat) > ZONE_KM >= here.distance_km(lat, lon)


@cache
def zone_places() -> dict[str, tuple[float, float]]:
    """Longitude and latitude [°] of the place that each time zone is named after (zone1970.tab of the IANA data)."""
    table = importlib.resources.files("tzdata").joinpath("zoneinfo/zone1970.tab").read_text("utf-8")
    places = {}
    for line in table.splitlines():
        if line and not line.startswith("#"):
            _, coordinates, zone = line.split("\t")[:3]
            lat, lon = (_degrees(text) for text in re.findall(r"[+-]\d+", coordinates))
            places[zone] = (lon, lat)
    return places


def _degrees(text: str) -> float:
    """ISO 6709 as the table has it, ±DDMM[SS] or ±DDDMM[SS], in degrees.

    Examples
    --------
    >>> _degrees("+5230"), _degrees("-0740023")
    (52.5, -74.00638888888889)
    """
    digits = text[1:]
    whole = 2 if len(digits) in (4, 6) else 3
    degrees = int(digits[:whole]) + int(digits[whole : whole + 2]) / 60 + int(digits[whole + 2 :] or 0) / 3600
    return -degrees if text[0] == "-" else degrees
