"""The vehicles with cameras: refuse trucks, buses, inspectors' cars."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.randomness import Streams

TRUCK, BUS, CAR = 0, 1, 2
HALF_TRACK_M = np.array([0.98, 1.02, 0.76])
"""Half the distance between the wheel paths, by kind. [m]"""
CAMERA_HEIGHT_M = np.array([2.4, 2.6, 1.4])
SUSPENSION_SIGMA = 0.12
"""Spread (logarithm) of how much a vehicle shakes on the same road: make, load, tyres, where the box is mounted."""


@dataclass(frozen=True, slots=True)
class Fleet:
    """Numbers of vehicles; they are numbered trucks first, then buses, cars, and additional buses."""

    trucks: int
    buses: int
    cars: int

    @property
    def scheduled(self) -> int:
        """Vehicles of the timetable: the number of the first additional bus."""
        return self.trucks + self.buses + self.cars

    def name(self, vehicle: int) -> str:
        """Name as the vehicle's camera box sends it."""
        if vehicle < self.trucks:
            return f"muell-{vehicle + 1:02d}"
        if vehicle < self.trucks + self.buses:
            return f"bus-{vehicle - self.trucks + 1:02d}"
        if vehicle < self.scheduled:
            return f"kontrolle-{vehicle - self.trucks - self.buses + 1:02d}"
        return f"bus-{vehicle - self.scheduled + self.buses + 1:02d}"

    def kind(self, vehicle: NDArray[np.int32]) -> NDArray[np.int64]:
        """TRUCK, BUS or CAR of each vehicle."""
        car = (vehicle >= self.trucks + self.buses) & (vehicle < self.scheduled)
        return np.where(vehicle < self.trucks, TRUCK, np.where(car, CAR, BUS))


def suspension(streams: Streams, vehicle: NDArray[np.int32]) -> NDArray[np.float64]:
    """How much each vehicle shakes where the mean one shakes by 1; lasting, so that it can be learnt."""
    normal = streams.normal("fleet/suspension", vehicle)
    result: NDArray[np.float64] = np.exp(SUSPENSION_SIGMA * normal - SUSPENSION_SIGMA**2 / 2)
    return result
