"""Where a vehicle's box believes to be: satellite positioning between house fronts.

The horizontal error (1 σ) is 3 m under open sky and up to 10 m in a street canyon. Its variance is made of parts that
last differently long: 45 % belongs to the place and the direction of driving (reflections from house fronts push the
position mostly across the street, whenever one passes), 25 % changes with the sky above over twenty minutes, 25 % is a
Gauss-Markov process of twenty seconds (the receiver's filter), 5 % is new in every reading; and a few readings are
outliers. The accuracy that a box states is right on average and off by a fifth (1 σ) at a time.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from simulators.randomness import Streams
from simulators.vehicles.drives import Drives
from simulators.vehicles.traffic import Timetable
from simulators.world import World

ERROR_M = (3.0, 10.0)
"""Horizontal error (1 σ) between open sky and street canyon. [m]"""
PLACE_ACROSS, PLACE_ALONG, SKY, FILTERED, FRESH = 0.40, 0.05, 0.25, 0.25, 0.05
"""Shares of the horizontal variance; those after the first two are the same in all directions."""
FILTER_S, SKY_S = 20.0, 1200.0
"""Correlation times of the error along a drive. [s]"""
_BLOCK_M = 60.0  # over which the error of a place changes
_STATED_S, _STATED_SIGMA = 60.0, 0.2
_OUTLIER_CHANCE, _OUTLIER_STEP_S, _OUTLIER_M = 0.004, 10.0, (15.0, 45.0)
_STEPS, _MEMORY = 4, 16  # steps in a correlation time, and how many of them a Gauss-Markov process looks back on


class Gnss:
    """The receivers of all vehicles."""

    def __init__(self, world: World, timetable: Timetable) -> None:
        self._streams, self._geometry, self._timetable = world.streams, world.geometry, timetable
        section = np.arange(len(world.sections))
        low, high = ERROR_M
        self.error_m = low + (high - low) * world.streams.uniform("camera/canyon", section) ** 2
        """Horizontal error (1 σ) by section. [m]"""

    def positions(
        self,
        drives: Drives,
        row: NDArray[np.intp],
        station_m: NDArray[np.float64],
        lane_m: NDArray[np.float64],
        at_us: NDArray[np.int64],
        reading_key: NDArray[np.int64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Longitude, latitude, heading and accuracy as boxes report them, for n readings.

        Parameters
        ----------
        row : NDArray
            Drive of each reading.
        lane_m : NDArray
            How far to the right of the centreline it drives. [m]
        """
        passes, streams = drives.passes, self._streams
        section, vehicle, direction = passes.section[row], passes.vehicle[row], passes.direction[row]
        lon, lat, heading = self._geometry.locate(section, station_m)
        heading = np.where(direction > 0, heading, heading + 180.0) % 360.0
        bias_east, bias_north, factor = self._timetable.faults.gnss(vehicle, at_us)
        scale = self.error_m[section] * factor
        right = np.radians(heading + 90.0)
        place = (section.astype(np.int64) * 2 + (direction < 0)) * 4096
        across = scale * np.sqrt(PLACE_ACROSS) * self._of_place("gnss/across", place, station_m) + lane_m
        along = scale * np.sqrt(PLACE_ALONG) * self._of_place("gnss/along", place, station_m)
        fresh = ndtri(streams.uniforms("gnss/fresh", reading_key, drives.time_key[row], 3))
        each = scale / np.sqrt(2)
        east = across * np.sin(right) - along * np.cos(right) + bias_east
        north = across * np.cos(right) + along * np.sin(right) + bias_north
        for axis, share in (("sky", SKY), ("filter", FILTERED)):
            lasting_s = SKY_S if axis == "sky" else FILTER_S
            east += each * np.sqrt(share) * gauss_markov(streams, f"gnss/{axis}-east", vehicle, at_us, lasting_s)
            north += each * np.sqrt(share) * gauss_markov(streams, f"gnss/{axis}-north", vehicle, at_us, lasting_s)
        east += each * np.sqrt(FRESH) * fresh[0]
        north += each * np.sqrt(FRESH) * fresh[1]
        off_east, off_north = self._outliers(vehicle, at_us, scale)
        lon, lat = self._geometry.shifted(lon, lat, east + off_east, north + off_north)
        stated = gauss_markov(streams, "gnss/stated", vehicle, at_us, _STATED_S)
        accuracy = self.error_m[section] * np.sqrt(factor) * np.exp(_STATED_SIGMA * stated - _STATED_SIGMA**2 / 2)
        accuracy = np.where(off_east != 0, 1.5 * accuracy, accuracy)
        # Courses are derived from speed over ground: the slower, the less sure.
        unsure = 2.5 * np.clip(6.0 / passes.speed_mps[row], 1.0, 3.0)
        return lon, lat, (heading + unsure * fresh[2]) % 360.0, accuracy

    def _of_place(self, name: str, place: NDArray[np.int64], station_m: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard normal, the same whenever the place is passed in this direction, changing over a block."""
        knot = np.floor(station_m / _BLOCK_M)
        part = station_m / _BLOCK_M - knot
        here, there = (self._streams.normal(name, place + knot.astype(np.int64) + step) for step in (0, 1))
        result: NDArray[np.float64] = ((1 - part) * here + part * there) / np.sqrt((1 - part) ** 2 + part**2)
        return result

    def _outliers(
        self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64], scale_m: NDArray[np.float64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Jumps of some seconds, more often in canyons; zero elsewhere [m]."""
        step = at_us // round(_OUTLIER_STEP_S * 1e6)
        drawn = self._streams.uniforms("gnss/outlier", vehicle.astype(np.int64), step, 3)
        hit = drawn[0] < _OUTLIER_CHANCE * scale_m / ERROR_M[1]
        low, high = _OUTLIER_M
        far = np.where(hit, low + (high - low) * drawn[1], 0.0)
        return far * np.cos(2 * np.pi * drawn[2]), far * np.sin(2 * np.pi * drawn[2])


def gauss_markov(
    streams: Streams, name: str, vehicle: NDArray[np.int32], at_us: NDArray[np.int64], lasting_s: float
) -> NDArray[np.float64]:
    """Standard normal numbers of vehicles at times, correlated as exp(−lag / `lasting_s`) within a vehicle.

    Made from white noise at steps of a quarter of that time, and between them by interpolation: a number depends on its
    vehicle and time only, not on what else is asked for.
    """
    step_us = round(lasting_s * 1e6 / _STEPS)
    knot = at_us // step_us
    part = (at_us - knot * step_us) / step_us
    name_of = vehicle.astype(np.int64) << 40 | knot
    distinct, place = np.unique(np.concatenate([name_of, name_of + 1]), return_inverse=True)
    weight = np.exp(-np.arange(_MEMORY) / _STEPS)
    value = np.zeros(len(distinct))
    for back, part_of in enumerate((weight / np.sqrt((weight**2).sum())).tolist()):
        value += part_of * streams.normal(name, distinct >> 40, (distinct & (2**40 - 1)) - back)
    here, there = value[place[: len(at_us)]], value[place[len(at_us) :]]
    kinship = float((weight[1:] * weight[:-1]).sum() / (weight**2).sum())
    result: NDArray[np.float64] = ((1 - part) * here + part * there) / np.sqrt(
        (1 - part) ** 2 + part**2 + 2 * part * (1 - part) * kinship
    )
    return result
