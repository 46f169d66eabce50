"""Faults of what sensors measure, and of their batteries, as a scenario names them.

Which devices a fault concerns follows from their number, so that it is the same in every run.
"""

from dataclasses import dataclass
from datetime import date
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.devices.device_kinds import DeviceKind
from simulators.instants import DAY_US
from simulators.scenario import BatteryDeath, DeviceFault, SensorDrift, SensorSpikes, SensorStuck
from simulators.spans import OPEN_US, spans_of
from simulators.world import World

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

NEVER_US = 2**62
_YEARS = 30
"""Windows that recur are laid out so far beyond the scenario's today."""
_OPEN_END_DAYS = 30.0
"""A window without an end, in which batteries die, is taken to be so long."""
_BY_BATTERY_DEATH_V = 1.6
"""Volts that a cell has lost when the device stops."""

AnyOf = TypeVar("AnyOf", bound=DeviceFault)


@dataclass(frozen=True, slots=True)
class _Window:
    """One window of a fault: bounds, and which devices it concerns, (devices,)."""

    number: int
    begin_us: int
    end_us: int
    concerned: NDArray[np.bool_]

    def holds(self, device: NDArray[np.int32], at_us: Ints) -> NDArray[np.bool_]:
        inside: NDArray[np.bool_] = (at_us >= self.begin_us) & (at_us < self.end_us) & self.concerned[device]
        return inside


class SensorFaults:
    """The scenario's faults of sensors, for all devices of a world."""

    def __init__(self, world: World) -> None:
        self._world, self._streams = world, world.streams
        self._drifts = self._windows(SensorDrift)
        self._stuck = self._windows(SensorStuck)
        self._spikes = self._windows(SensorSpikes)
        self.dead_us, self._dying_us = self._deaths()
        """When the battery of each device is empty, `NEVER_US` for never, (devices,) [µs since 1970, UTC]."""

    def _windows(self, wanted: type[AnyOf]) -> list[tuple[AnyOf, _Window]]:
        world = self._world
        last = date(max(world.epoch.year, world.today.year) + _YEARS, 12, 31)
        epoch_us = world.day_bounds_us(world.epoch)[0]
        found: list[tuple[AnyOf, _Window]] = []
        for number, fault in enumerate(world.scenario.fault, start=1):
            if not isinstance(fault, wanted):
                continue
            concerned = concerned_devices(world, fault, number)
            for span in spans_of(fault, world.today, world.zone, world.epoch, last):
                begin_us, end_us = span.bounds_us
                found.append((fault, _Window(number, max(begin_us, epoch_us), end_us, concerned)))
        return found

    # -- what is measured ------------------------------------------------------------------------------------------
    def stuck_since(self, device: NDArray[np.int32], at_us: Ints) -> Ints:
        """When what the devices send was measured: the time itself, or since when they are stuck."""
        result = at_us
        for _, window in self._stuck:
            result = np.where(window.holds(device, at_us), np.minimum(result, window.begin_us), result)
        return result

    def distort(
        self, kind: DeviceKind, device: NDArray[np.int32], index: Ints, at_us: Ints, values: dict[str, Floats]
    ) -> None:
        """Drift and absurd values of samples of one kind, put into `values`; what the bytes cannot carry is clipped."""
        for drift, window in self._drifts:
            rows = np.flatnonzero(window.holds(device, at_us))
            days = (at_us[rows] - window.begin_us) / DAY_US
            for field in kind.measured:
                values[field.name][rows] += drift.per_day * days * (field.high - field.low)
        for spikes, window in self._spikes:
            self._add_spikes(spikes, window, kind, device, index, at_us, values)
        if self._drifts or self._spikes:
            for field in kind.measured:
                np.clip(values[field.name], field.least, field.most, out=values[field.name])

    def _add_spikes(
        self,
        spikes: SensorSpikes,
        window: _Window,
        kind: DeviceKind,
        device: NDArray[np.int32],
        index: Ints,
        at_us: Ints,
        values: dict[str, Floats],
    ) -> None:
        key = device.astype(np.int64) * 2**34 + index
        hit, which, side, size = self._streams.uniforms(f"fault/{window.number}/sensor-spikes/sample", key, 0, 4)
        struck = window.holds(device, at_us) & (hit < spikes.samples)
        chosen = (which * len(kind.measured)).astype(np.int64)
        for number, field in enumerate(kind.measured):
            own = np.flatnonzero(struck & (chosen == number))
            # Beyond the typical range by its whole width and up to five times that, upwards or downwards.
            beyond = (1 + 4 * size[own]) * (field.high - field.low)
            values[field.name][own] = np.where(side[own] < 0.5, field.low - beyond, field.high + beyond)

    # -- batteries -------------------------------------------------------------------------------------------------
    def _deaths(self) -> tuple[Ints, Ints]:
        count = len(self._world.devices)
        dead = np.full(count, NEVER_US, np.int64)
        dying = np.full(count, NEVER_US, np.int64)
        numbers = np.arange(count)
        for death, window in self._windows(BatteryDeath):
            end_us = window.end_us
            if end_us >= OPEN_US:
                end_us = window.begin_us + round(_OPEN_END_DAYS * DAY_US)
            share = self._streams.uniform(f"fault/{window.number}/battery-death/when", numbers)
            at_us = window.begin_us + (share * (end_us - window.begin_us)).astype(np.int64)
            sooner = window.concerned & (at_us < dead)
            dead[sooner] = at_us[sooner]
            dying[sooner] = at_us[sooner] - round(death.days * DAY_US)
        return dead, dying

    def run_down(self, device: NDArray[np.int32], at_us: Ints) -> Floats:
        """How far batteries have run down towards their death by a fault, 0 not at all to 1."""
        dead, dying = self.dead_us[device], self._dying_us[device]
        span = np.maximum(dead - dying, 1)
        result: Floats = np.clip((at_us - dying) / span, 0.0, 1.0)
        return result


def concerned_devices(world: World, fault: DeviceFault, number: int) -> NDArray[np.bool_]:
    """Which devices a fault concerns, (devices,); `number` is its place in the scenario, from 1 on."""
    named = np.array([fault.devices in device.kind.profile_name for device in world.devices], bool)
    tag = str(fault.__struct_config__.tag)
    share = world.streams.uniform(f"fault/{number}/{tag}", np.arange(len(world.devices)))
    result: NDArray[np.bool_] = named & (share < fault.share)
    return result


def dying_voltage(volts: Floats, run_down: Floats) -> Floats:
    """Voltage of a cell that runs down: slowly at first, then it collapses."""
    result: Floats = volts - _BY_BATTERY_DEATH_V * run_down**2
    return result
