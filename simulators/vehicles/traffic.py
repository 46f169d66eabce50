"""Which camera vehicle drives over which section, when and in which direction.

Refuse trucks come over every section once a fortnight, on both sides, from seven in the morning and with a trip to the
incinerator at half time. Buses drive every bus line daily, there and back. Inspectors' cars come over every section
every four weeks, in both directions. Walks hang together wherever the streets do; where they do not, a vehicle needs
the time to get on. Nothing is collected or inspected on Sundays and holidays (`simulators.holidays`).
"""

from dataclasses import dataclass
from datetime import date
from functools import cached_property, lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.geometry import METRES_PER_DEGREE_LAT
from simulators.holidays import ROUNDS_A_WEEK, is_holiday, rounds_on
from simulators.vehicles.fleet import BUS, CAR, TRUCK, Fleet
from simulators.vehicles.routes import SectionGraph, Walk
from simulators.vehicles.vehicle_faults import VehicleFaults
from simulators.world import World

TRUCK_KM_PER_DAY, CAR_KM_PER_DAY = 30.0, 90.0
BIN_M = 10.0
"""A camera reports once per about ten metres."""
SHIFT_HOURS = (7.0, 14.0)
_UNLOADING_S, _LUNCH_S = 4500.0, 1800.0
_COLLECTING_S_PER_M = 0.35  # standing: a collecting truck gets on at 5 to 6 km/h, bins included
_BUS_STOP_S, _JUNCTION_S = 9.0, 4.0  # at the end of each section, on average
_TRANSIT_MPS, _DETOUR = 8.3, 1.35  # from the end of one street to another one that is not joined to it
_RUSH_FACTOR = 0.85  # of the speed of buses in the rush hours of working days
_TRUCK_WEEKS, _CAR_WEEKS = 2, 4
_CODES = 1024
"""Times that one vehicle, or the buses together, may pass a place in one direction on a day."""


@dataclass(frozen=True, slots=True)
class Passes:
    """n drives over a section in one direction; sorted by section.

    `key` names a drive within its day for random streams; `vehicle` indexes the fleet.
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

    @classmethod
    def joined(cls, parts: "list[Passes]") -> "Passes":
        """Several lots of drives, one after the other."""
        return cls(*(np.concatenate([getattr(part, name) for part in [_NONE, *parts]]) for name in cls.__slots__))


_NONE = Passes(
    np.zeros(0, np.int32), np.zeros(0, np.int8), np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0),
    np.zeros(0, np.int64),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Tour:
    """A walk that a vehicle of one kind drives."""

    kind: int
    walk: Walk
    driving_s: NDArray[np.float64]  # along each section at the usual speed
    standing_s: NDArray[np.float64]  # at the end of each section; with the way to the next one where there is a gap
    code: NDArray[np.int64]  # tells drives over the same section in the same direction on the same day apart

    @property
    def duration_h(self) -> float:
        """Time on the road at the usual speed [h]."""
        return float(self.driving_s.sum() + self.standing_s.sum()) / 3600


@dataclass(frozen=True, slots=True)
class _Duty:
    """A tour on a day."""

    vehicle: int
    tour: _Tour
    start_hour: float


@dataclass(frozen=True, slots=True)
class _Plan:
    """Tours of a day together, sorted by section: what does not change from week to week."""

    tour: NDArray[np.intp]  # of each drive
    section: NDArray[np.int32]
    direction: NDArray[np.int8]
    key: NDArray[np.int64]
    driving_s: NDArray[np.float64]  # along the section at the usual speed
    driven_s: NDArray[np.float64]  # since the start of the tour, before this section
    stood_s: NDArray[np.float64]


class Timetable:
    """All camera drives of a city."""

    def __init__(self, world: World) -> None:
        self.world = world
        self._length = world.geometry.section_length_m
        limit = np.array([section.attributes.speed_limit_kmh or 50.0 for section in world.sections]) / 3.6
        # Usual speed between stops, by kind.
        self._speed = np.stack([np.minimum(0.45 * limit, 5.5), 0.58 * limit, 0.66 * limit])
        self._graph = SectionGraph(world.sections, self._length)

    @cached_property
    def fleet(self) -> Fleet:
        """The vehicles that the tours need; on a day with two rounds a second lot of trucks drives."""
        trucks = max(len(tours) for tours in self._truck_tours)
        return Fleet(2 * trucks, len(self._lines), 2 * max(len(tours) for tours in self._car_tours))

    @cached_property
    def faults(self) -> VehicleFaults:
        """Faults of the vehicles."""
        return VehicleFaults(self.world, self.fleet.name)

    # -- tours -----------------------------------------------------------------------------------------------------
    @cached_property
    def _truck_tours(self) -> list[list[_Tour]]:
        return self._rounds(TRUCK, ROUNDS_A_WEEK * _TRUCK_WEEKS, TRUCK_KM_PER_DAY)

    @cached_property
    def _car_tours(self) -> list[list[_Tour]]:
        return self._rounds(CAR, ROUNDS_A_WEEK * _CAR_WEEKS, CAR_KM_PER_DAY)

    def _rounds(self, kind: int, count: int, km_per_day: float) -> list[list[_Tour]]:
        """The network in `count` compact parts, each in tours of a day for one vehicle."""
        order = np.argsort(_morton(self._middles()), kind="stable").astype(np.int32)
        way = np.cumsum(self._length[order])
        part = np.minimum((way / way[-1] * count).astype(int), count - 1)
        rounds = []
        for number in range(count):
            sections = order[part == number]
            vehicles = max(1, int(np.ceil(2 * self._length[sections].sum() / 1000 / km_per_day)))
            pieces = [piece for piece in np.array_split(sections, vehicles) if len(piece)]
            rounds.append([self._tour(kind, self._graph.round_trip(piece)) for piece in pieces])
        return rounds

    def _middles(self) -> NDArray[np.float64]:
        lon, lat, _ = self.world.geometry.locate(np.arange(len(self._length), dtype=np.int32), self._length / 2)
        return np.column_stack([lon, lat])

    @cached_property
    def _lines(self) -> tuple[_Tour, ...]:
        """The bus lines, there and back."""
        served = np.unique(np.concatenate([np.zeros(0, np.int32), *self.world.bus_routes])).astype(np.int32)
        tours, times = [], np.zeros(2 * len(self._length), np.int64)
        for line in self._graph.lines(served):
            tour = self._tour(BUS, line.and_back())
            place = 2 * tour.walk.section.astype(np.int64) + (tour.walk.direction < 0)
            tour.code[:] += times[place]
            np.add.at(times, place, 1)
            tours.append(tour)
        return tuple(tours)

    def _tour(self, kind: int, walk: Walk) -> _Tour:
        length = self._length[walk.section]
        standing = np.full(len(length), _BUS_STOP_S if kind == BUS else _JUNCTION_S)
        if kind == TRUCK:
            standing = _COLLECTING_S_PER_M * length
        standing[len(standing) // 2] += {TRUCK: _UNLOADING_S, CAR: _LUNCH_S, BUS: 0.0}[kind]
        begin, end = (self._graph.place[nodes] for nodes in self._graph.nodes(walk.section, walk.direction))
        gap = (begin[1:] - end[:-1]) * METRES_PER_DEGREE_LAT
        gap[:, 0] *= np.cos(np.radians(self._graph.place[:, 1].mean()))
        standing[:-1] += _DETOUR * np.hypot(*gap.T) / _TRANSIT_MPS
        place = 2 * walk.section.astype(np.int64) + (walk.direction < 0)
        code = _occurrence(place) + (0 if kind == TRUCK else 1 if kind == CAR else 2)
        return _Tour(kind, walk, length / self._speed[kind][walk.section], standing, code)

    # -- days ------------------------------------------------------------------------------------------------------
    def _duties_on(self, day: date) -> list[_Duty]:
        week, duties = (day.toordinal() - 1) // 7, []
        trucks, cars = self.fleet.trucks // 2, self.fleet.cars // 2
        for turn, number in enumerate(rounds_on(day)):
            tours = self._truck_tours[week % _TRUCK_WEEKS * ROUNDS_A_WEEK + number]
            for t, tour in enumerate(tours):
                duties.append(_Duty(turn % 2 * trucks + (t + week) % trucks, tour, _start_hour(tour, number + 5 * t)))
            tours = self._car_tours[week % _CAR_WEEKS * ROUNDS_A_WEEK + number]
            for t, tour in enumerate(tours):
                car = self.fleet.trucks + self.fleet.buses + turn % 2 * cars + (t + week) % cars
                duties.append(_Duty(car, tour, _start_hour(tour, number + 3 * t + 2)))
        for line, tour in enumerate(self._lines):
            bus = self.fleet.trucks + (line + day.toordinal()) % self.fleet.buses
            duties.append(_Duty(bus, tour, 8.0 + (7 * line + 5 * day.weekday()) % 8))
        return duties

    def passes_on(self, day: date) -> Passes:
        """All drives of a local day, without those of vehicles that are out."""
        midnight_us, _ = self.world.day_bounds_us(day)
        duties, ordinal = self._duties_on(day), day.toordinal()
        plan = self._plan((ordinal - 1) // 7 % _CAR_WEEKS, rounds_on(day))
        vehicle = np.array([duty.vehicle for duty in duties], np.int32)
        hour = np.array([duty.start_hour for duty in duties])
        factor = np.exp(0.12 * self.world.streams.normal("traffic/speed", vehicle, np.full(len(duties), ordinal)))
        if day.weekday() < 5 and not is_holiday(day):
            is_bus = np.array([duty.tour.kind == BUS for duty in duties])
            factor *= np.where(is_bus & ((hour < 9) | (hour >= 15.5)), _RUSH_FACTOR, 1.0)
        tour, slower = plan.tour, 1 / factor[plan.tour]
        begin_s = 3600 * hour[tour] + plan.driven_s * slower + plan.stood_s
        passes = Passes(
            plan.section,
            plan.direction,
            vehicle[tour],
            midnight_us + np.round(begin_s * 1e6).astype(np.int64),
            self._length[plan.section] / (plan.driving_s * slower),
            plan.key,
        )
        there = self.faults.present(passes.vehicle, passes.start_us)
        return passes if there.all() else passes.take(np.flatnonzero(there))

    @lru_cache(maxsize=64)  # noqa: B019 - a timetable lives as long as its world
    def _plan(self, week: int, rounds: tuple[int, ...]) -> _Plan:
        tours = [self._truck_tours[week % _TRUCK_WEEKS * ROUNDS_A_WEEK + n] for n in rounds]
        cars = [self._car_tours[week * ROUNDS_A_WEEK + n] for n in rounds]
        order = [tour for pair in zip(tours, cars, strict=True) for tours_ in pair for tour in tours_]
        return self._planned([*order, *self._lines], 0)

    def _planned(self, tours: list[_Tour], series: int) -> _Plan:
        section = np.concatenate([tour.walk.section for tour in tours])
        direction = np.concatenate([tour.walk.direction for tour in tours])
        code = np.concatenate([tour.code for tour in tours])
        # The key holds no place in the tour, so that it survives a change of tours.
        place = 2 * section.astype(np.int64) + (direction < 0)
        plan = _Plan(
            np.repeat(np.arange(len(tours)), [len(tour.code) for tour in tours]),
            section,
            direction,
            (series + np.minimum(code, _CODES - 1)) * 2 * len(self._length) + place,
            np.concatenate([tour.driving_s for tour in tours]),
            np.concatenate([np.cumsum(tour.driving_s) - tour.driving_s for tour in tours]),
            np.concatenate([np.cumsum(tour.standing_s) - tour.standing_s for tour in tours]),
        )
        by_section = np.argsort(section, kind="stable")
        return _Plan(*(getattr(plan, name)[by_section] for name in _Plan.__slots__))

    def circuit(self, bus: int, start_us: int) -> Passes:
        """One drive of an additional bus along its line, there and back; faults left out."""
        plan = self._circuits(bus)
        return Passes(
            plan.section,
            plan.direction,
            np.full(len(plan.section), self.fleet.scheduled + bus, np.int32),
            start_us + np.round((plan.driven_s + plan.stood_s) * 1e6).astype(np.int64),
            self._length[plan.section] / plan.driving_s,
            plan.key,
        )

    @lru_cache(maxsize=2048)  # noqa: B019
    def _circuits(self, bus: int) -> _Plan:
        return self._planned([self._lines[bus % len(self._lines)]], _CODES * (1 + bus))

    def circuit_us(self, bus: int) -> int:
        """Duration of a circuit of an additional bus, which is always the same. [µs]"""
        return round(self._lines[bus % len(self._lines)].duration_h * 3.6e9)

    def is_additional(self, key: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Which drives, named by their keys, are those of additional buses."""
        return key >= _CODES * 2 * len(self._length)


def bin_count(length_m: NDArray[np.float64]) -> NDArray[np.int64]:
    """Number of camera reports along a section."""
    return np.maximum(1, np.round(length_m / BIN_M)).astype(np.int64)


def _start_hour(tour: _Tour, number: int) -> float:
    """A tour that does not fill the shift lies somewhere in it: other work comes before or after."""
    spare = SHIFT_HOURS[1] - SHIFT_HOURS[0] - tour.duration_h
    return SHIFT_HOURS[0] + max(spare, 0.0) * (0.618 * number % 1.0)


def _occurrence(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """How often each value has come before."""
    order = np.argsort(values, kind="stable")
    ordered = values[order]
    first = np.searchsorted(ordered, ordered, side="left")
    result = np.empty(len(values), np.int64)
    result[order] = np.arange(len(values)) - first
    return result


def _morton(points: NDArray[np.float64]) -> NDArray[np.int64]:
    """Interleaved bits of both coordinates: near in the order means near on the map."""
    scaled = (points - points.min(axis=0)) / np.maximum(np.ptp(points, axis=0), 1e-12) * 1023
    x, y = scaled.astype(np.int64).T
    code = np.zeros(len(points), np.int64)
    for bit in range(10):
        code |= ((x >> bit) & 1) << (2 * bit) | ((y >> bit) & 1) << (2 * bit + 1)
    return code
