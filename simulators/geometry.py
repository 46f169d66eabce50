"""Positions along sections, for many points at once."""

import numpy as np
from numpy.typing import NDArray

from roadtwin.network.sections import RoadSection, Segment
from roadtwin.network.split import line_stations_m

METRES_PER_DEGREE_LAT = 111_320.0


class RoadGeometry:
    """Flat arrays over all vertices and segments of a network."""

    def __init__(self, sections: tuple[RoadSection, ...], segments: tuple[Segment, ...]) -> None:
        stations = [line_stations_m(section.line) for section in sections]
        self.section_length_m = np.array([s[-1] for s in stations])
        self._vertices = np.concatenate([section.line for section in sections])
        # One long axis for all sections, so that one interpolation serves them all.
        self._axis_start = np.concatenate([[0.0], np.cumsum(self.section_length_m + 1000.0)])[:-1]
        self._axis = np.concatenate([s + start for s, start in zip(stations, self._axis_start, strict=True)])
        self.segment_section = np.array([segment.section_index for segment in segments], dtype=np.int32)
        self.segment_from_m = np.array([segment.from_station_m for segment in segments])
        self.segment_length_m = np.array([segment.length_m for segment in segments])
        self.first_segment = np.searchsorted(self.segment_section, np.arange(len(sections)))
        self.segment_count = np.bincount(self.segment_section, minlength=len(sections))
        self._metres_per_degree_lon = METRES_PER_DEGREE_LAT * float(np.cos(np.radians(self._vertices[:, 1].mean())))

    def locate(
        self, section: NDArray[np.int32], station_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Longitude, latitude [°] and heading [°, clockwise from north, in the direction of stationing]."""
        along = self._axis_start[section] + np.clip(station_m, 0.0, self.section_length_m[section])
        after = np.clip(np.searchsorted(self._axis, along, side="right"), 1, len(self._axis) - 1)
        # At the very end of a section the next vertex belongs to another one: step back.
        after = np.where(self._axis[after] - self._axis[after - 1] > 990.0, after - 1, after)
        a, b = self._vertices[after - 1], self._vertices[after]
        part = (along - self._axis[after - 1]) / np.maximum(self._axis[after] - self._axis[after - 1], 1e-9)
        where = a + (b - a) * np.clip(part, 0.0, 1.0)[:, None]
        east = (b[:, 0] - a[:, 0]) * self._metres_per_degree_lon
        north = (b[:, 1] - a[:, 1]) * METRES_PER_DEGREE_LAT
        return where[:, 0], where[:, 1], np.degrees(np.arctan2(east, north)) % 360.0

    def shifted(
        self,
        lon: NDArray[np.float64],
        lat: NDArray[np.float64],
        east_m: NDArray[np.float64],
        north_m: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Positions moved by metres east and north; good to a millimetre over the tens of metres it is used for."""
        return lon + east_m / self._metres_per_degree_lon, lat + north_m / METRES_PER_DEGREE_LAT

    def segment_at(self, section: NDArray[np.int32], station_m: NDArray[np.float64]) -> NDArray[np.int32]:
        """Index of the segment that a station belongs to."""
        share = station_m / self.section_length_m[section]
        number = np.minimum((share * self.segment_count[section]).astype(np.int32), self.segment_count[section] - 1)
        result: NDArray[np.int32] = (self.first_segment[section] + np.maximum(number, 0)).astype(np.int32)
        return result
