"""Which camera vehicle drives over which section, when and in which direction: the same timetable every fortnight.

Refuse trucks come over every section once a fortnight, collecting on either side (out and back), from seven in the
morning and with a trip to the incinerator at half time. A bus with a camera drives every bus route, out and back, once
a week by day.
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from simulators.world import World

TRUCK_KM_PER_DAY = 34.0
BIN_M = 10.0
"""A camera reports once per about ten metres."""
SHIFT_HOURS, UNLOADING_S = (7.0, 14.0), 4500.0
_COLLECTING_S_PER_M, _BUS_STOP_S = 0.35, 9.0  # standing: a collecting truck gets on at 5 to 6 km/h, bins included


@dataclass(frozen=True, slots=True)
class Passes:
    """n drives over a section in one direction; sorted by section.

    `key` names a drive within its day for random streams; `vehicle` indexes the fleet's names.
    """

    section: NDArray[np.int32]
    direction: NDArray[np.int8]  # +1 with the stationing, -1 against it
    vehicle: NDArray[np.int32]
    start_us: NDArray[np.int64]
    speed_mps: NDArray[np.float64]
    key: NDArray[np.int64]

    def take(self, rows: NDArray[np.intp]) -> "Passes":
        """Some of the drives."""
        return Passes(*(getattr(self, name)[rows] for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class _Tour:
    """Sections in driving order, to be driven out and back."""

    vehicle: int
    sections: NDArray[np.int32]
    back_at_once: bool  # a truck turns at the end of each section, a bus at the end of its route
    start_hour: float


class Timetable:
    """All camera drives of a city."""

    def __init__(self, world: World) -> None:
        self.world = world
        geometry = world.geometry
        limit = np.array([section.attributes.speed_limit_kmh or 50.0 for section in world.sections]) / 3.6
        self._truck_speed = np.minimum(0.45 * limit, 5.5)  # between stops
        self._bus_speed = 0.58 * limit
        self._length = geometry.section_length_m

    @cached_property
    def _slots(self) -> list[list[_Tour]]:
        """Refuse tours of the ten working days of a fortnight."""
        middles = self.world.segment_middles[self.world.geometry.first_segment]
        order = np.argsort(_morton(middles), kind="stable").astype(np.int32)
        way = np.cumsum(self._length[order])
        slot = np.minimum((way / way[-1] * 10).astype(int), 9)
        tours: list[list[_Tour]] = []
        for number in range(10):
            sections = order[slot == number]
            trucks = max(1, int(np.ceil(2 * self._length[sections].sum() / 1000 / TRUCK_KM_PER_DAY)))
            parts = np.array_split(sections, trucks)
            tours.append([_Tour(t, part, True, self._start_hour(part, number, t)) for t, part in enumerate(parts)])
        return tours

    def _start_hour(self, sections: NDArray[np.int32], slot: int, truck: int) -> float:
        """A tour that does not fill the shift lies somewhere in it: other bins come before or after."""
        seconds = 2 * (self._length[sections] * (1 / self._truck_speed[sections] + _COLLECTING_S_PER_M)).sum()
        spare = SHIFT_HOURS[1] - SHIFT_HOURS[0] - (float(seconds) + UNLOADING_S) / 3600
        return SHIFT_HOURS[0] + max(spare, 0.0) * ((0.618 * slot + 0.382 * truck) % 1.0)

    @cached_property
    def truck_count(self) -> int:
        """Trucks that the refuse tours need."""
        return max(len(tours) for tours in self._slots)

    def vehicle_name(self, vehicle: int) -> str:
        """Name of a vehicle as its camera box sends it."""
        if vehicle < self.truck_count:
            return f"muell-{vehicle + 1:02d}"
        return f"bus-{vehicle - self.truck_count + 1:02d}"

    def is_bus(self, vehicle: NDArray[np.int32]) -> NDArray[np.bool_]:
        """Whether each vehicle is a bus."""
        return vehicle >= self.truck_count

    def tours_on(self, day: date) -> list[_Tour]:
        """Tours of a local day."""
        weekday, week = day.weekday(), (day.toordinal() - 1) // 7
        tours = list(self._slots[(week % 2) * 5 + weekday]) if weekday < 5 else []
        for number, route in enumerate(self.world.bus_routes):
            if number % 6 == weekday:  # Monday to Saturday
                tours.append(_Tour(self.truck_count + number, route, False, 8.0 + (number * 7) % 9))
        return tours

    def passes_on(self, day: date) -> Passes:
        """All drives of a local day."""
        midnight_us, _ = self.world.day_bounds_us(day)
        parts = [self._drive(tour, midnight_us, day.toordinal(), 0) for tour in self.tours_on(day)]
        return _sorted(parts)

    def circuit(self, route: int, bus: int, start_us: int, circuit: int) -> Passes:
        """One drive out and back over a bus route by an additional bus."""
        sections = self.world.bus_routes[route % len(self.world.bus_routes)]
        vehicle = self.truck_count + len(self.world.bus_routes) + bus
        return self._drive(_Tour(vehicle, sections, False, 0.0), start_us, circuit, 1 + bus)

    def is_additional(self, key: int) -> bool:
        """Whether a drive, named by its key, is one of an additional bus."""
        return key >= 4 * len(self._length)

    def duration_us(self, passes: Passes) -> int:
        """Time from the first start of some drives to the last end [µs]."""
        end_us = passes.start_us + (self._length[passes.section] / passes.speed_mps * 1e6).astype(np.int64)
        return int(end_us.max() - passes.start_us.min())

    def _drive(self, tour: _Tour, midnight_us: int, time_key: int, series: int) -> Passes:
        sections, count = tour.sections, len(tour.sections)
        if tour.back_at_once:
            driven = np.repeat(sections, 2)
            direction = np.tile(np.array([1, -1], np.int8), count)
        else:
            driven = np.concatenate([sections, sections[::-1]])
            direction = np.repeat(np.array([1, -1], np.int8), count)
        is_bus = tour.vehicle >= self.truck_count
        speed = (self._bus_speed if is_bus else self._truck_speed)[driven]
        # The key holds no place in the tour, so that it survives a change of tours.
        key = (np.int64(series) * 2 + is_bus) * 2 * len(self._length) + 2 * driven.astype(np.int64) + (direction < 0)
        if series == 0:  # traffic of the day, the same over a tour
            speed = speed * float(
                np.exp(0.12 * self.world.streams.normals("traffic/speed", tour.vehicle, time_key, 1)[0])
            )
        seconds = self._length[driven] / speed + (_BUS_STOP_S if is_bus else _COLLECTING_S_PER_M * self._length[driven])
        if tour.back_at_once:
            seconds[count - 1] += UNLOADING_S
        begin = np.concatenate([[0.0], np.cumsum(seconds)[:-1]]) + tour.start_hour * 3600
        start_us = midnight_us + np.round(begin * 1e6).astype(np.int64)
        vehicle = np.full(len(driven), tour.vehicle, np.int32)
        return Passes(driven, direction, vehicle, start_us, speed, key)


def _sorted(parts: list[Passes]) -> Passes:
    if not parts:
        return Passes(
            np.zeros(0, np.int32),
            np.zeros(0, np.int8),
            np.zeros(0, np.int32),
            np.zeros(0, np.int64),
            np.zeros(0),
            np.zeros(0, np.int64),
        )
    joined = Passes(*(np.concatenate([getattr(part, name) for part in parts]) for name in Passes.__slots__))
    return joined.take(np.argsort(joined.section, kind="stable"))


def bin_count(length_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of camera reports along a section."""
    return np.maximum(1, np.round(length_m / BIN_M)).astype(np.int64)


def _morton(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Interleaved bits of both coordinates: near in the order means near on the map."""
    scaled = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-12) * 1023
    x, y = scaled.astype(np.int64).T
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        code |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return code
