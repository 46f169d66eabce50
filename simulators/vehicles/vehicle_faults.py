"""Faults of camera vehicles by a scenario: which vehicles, when, and what is wrong with them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.randomness import Streams
from simulators.scenario import (
    BoxOffline,
    CameraUpdate,
    ClassConfusion,
    GnssBias,
    GnssNoise,
    Scenario,
    VehicleClock,
    VehicleFault,
    VehicleOutage,
)
from simulators.spans import spans_of
from simulators.world import World

CAMERA_VERSION = "1.0.0"
_YEARS_AHEAD = 40  # faults of every year are laid out so far
_F = TypeVar("_F", bound=VehicleFault)


@dataclass(frozen=True, slots=True)
class _Entry:
    number: int  # of all faults of the scenario, from 1
    fault: VehicleFault
    bounds_us: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Detectors:
    """State of the detector in n drives: index into `VehicleFaults.versions`, and what an update changed."""

    version: NDArray[np.int64]
    confidence_shift: NDArray[np.float64]
    recall_factor: NDArray[np.float64]
    false_factor: NDArray[np.float64]


class VehicleFaults:
    """All vehicle faults of a world; arrays of vehicles and times [µs since 1970, UTC] in, arrays out."""

    def __init__(self, world: World, vehicle_name: Callable[[int], str]) -> None:
        self._streams: Streams = world.streams
        self._name = vehicle_name
        self._entries = _entries(world)
        self._concerned: dict[tuple[int, int], bool] = {}
        updates = [entry.fault for entry in self._entries if isinstance(entry.fault, CameraUpdate)]
        self.versions: tuple[str, ...] = tuple(dict.fromkeys([CAMERA_VERSION, *(update.version for update in updates)]))
        delays = [entry.fault.delay_h for entry in self._entries if isinstance(entry.fault, BoxOffline)]
        self.longest_delay_us = round(3.6e9 * max(delays, default=0.0))

    def present(self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether each drive takes place and its box is on."""
        there = np.ones(len(vehicle), np.bool_)
        for _, affected in self._active(VehicleOutage, vehicle, at_us):
            there &= ~affected
        return there

    def offline_us(self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """How much later than usual the readings of drives are sent that begin at `at_us`. [µs]"""
        delay = np.zeros(len(vehicle), np.int64)
        for fault, affected in self._active(BoxOffline, vehicle, at_us):
            delay = np.maximum(delay, np.where(affected, round(fault.delay_h * 3.6e9), 0))
        return delay

    def clock_us(self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """By how much the clock of each box is fast. [µs]"""
        offset = np.zeros(len(vehicle), np.int64)
        for fault, affected in self._active(VehicleClock, vehicle, at_us):
            offset += np.where(affected, round(fault.offset_s * 1e6), 0)
        return offset

    def gnss(
        self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Bias to the east and to the north [m], and the factor of the usual scatter."""
        east, north, factor = np.zeros(len(vehicle)), np.zeros(len(vehicle)), np.ones(len(vehicle))
        for bias, affected in self._active(GnssBias, vehicle, at_us):
            east, north = east + bias.east_m * affected, north + bias.north_m * affected
        for noise, affected in self._active(GnssNoise, vehicle, at_us):
            factor = factor * np.where(affected, noise.factor, 1.0)
        return east, north, factor

    def detectors(self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64]) -> Detectors:
        """The detector in each drive; of updates that overlap, the last in the scenario holds."""
        result = Detectors(
            np.zeros(len(vehicle), np.int64), np.zeros(len(vehicle)), np.ones(len(vehicle)), np.ones(len(vehicle))
        )
        for update, affected in self._active(CameraUpdate, vehicle, at_us):
            result.version[affected] = self.versions.index(update.version)
            result.confidence_shift[affected] = update.confidence_shift
            result.recall_factor[affected] = update.recall_factor
            result.false_factor[affected] = update.false_alarm_factor
        return result

    def confusion(self, vehicle: NDArray[np.int32], at_us: NDArray[np.int64]) -> NDArray[np.float64]:
        """How many times as often as usual classes are mixed up."""
        factor = np.ones(len(vehicle))
        for fault, affected in self._active(ClassConfusion, vehicle, at_us):
            factor = factor * np.where(affected, fault.factor, 1.0)
        return factor

    def _active(
        self, kind: type[_F], vehicle: NDArray[np.int32], at_us: NDArray[np.int64]
    ) -> Iterator[tuple[_F, NDArray[np.bool_]]]:
        for entry in self._entries:
            if not isinstance(entry.fault, kind) or not len(vehicle):
                continue
            inside = np.zeros(len(vehicle), np.bool_)
            for begin_us, end_us in entry.bounds_us:
                inside |= (at_us >= begin_us) & (at_us < end_us)
            if inside.any():
                distinct, place = np.unique(vehicle, return_inverse=True)
                chosen = np.array([self._concerns(entry, int(v)) for v in distinct])
                yield entry.fault, inside & chosen[place]

    def _concerns(self, entry: _Entry, vehicle: int) -> bool:
        known = self._concerned.get((entry.number, vehicle))
        if known is None:
            kind = str(entry.fault.__struct_config__.tag)
            drawn = float(self._streams.uniform(f"fault/{entry.number}/{kind}", vehicle))
            known = self._name(vehicle).startswith(entry.fault.vehicles) and drawn < entry.fault.share
            self._concerned[entry.number, vehicle] = known
        return known


def _entries(world: World) -> tuple[_Entry, ...]:
    scenario: Scenario = world.scenario
    first, last = date(world.epoch.year - 1, 1, 1), date(world.epoch.year + _YEARS_AHEAD, 1, 1)
    return tuple(
        _Entry(number, fault, tuple(span.bounds_us for span in spans_of(fault, world.today, world.zone, first, last)))
        for number, fault in enumerate(scenario.fault, start=1)
        if isinstance(fault, VehicleFault)
    )
