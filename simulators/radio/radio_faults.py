"""Faults of a scenario that concern radio and servers: which devices and gateways they hit, and when.

Who is concerned is drawn by the number of the fault in its scenario (from 1) and the number of the device or gateway,
so that it is the same in every run.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Generic, TypeVar

import numpy as np
from numpy.typing import NDArray

from simulators.devices.sensor_faults import concerned_devices
from simulators.instants import DAY_US
from simulators.scenario import (
    BrokerOutage,
    CounterReset,
    DeviceFault,
    DuplicateUplinks,
    Fault,
    GatewayClock,
    GatewayOutage,
    LateUplinks,
    PacketLoss,
    SensorOutage,
)
from simulators.spans import OPEN_US, spans_of
from simulators.world import World

Spans = tuple[tuple[int, int], ...]
"""Begins and ends [µs since 1970, UTC], in order; what is open is ±2⁶²."""
AFault = TypeVar("AFault", bound=Fault)

_YEARS_BEFORE = 3
"""Windows that recur are laid out from so many years before the world's first day on: no session is older."""


@dataclass(frozen=True, slots=True)
class Active(Generic[AFault]):
    """A fault, its number in the scenario, whom it concerns (a mask of devices or gateways), and when."""

    fault: AFault
    number: int
    who: NDArray[np.bool_]
    spans: Spans

    def hits(self, entity: NDArray[np.integer], at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether entities (n,) are concerned at instants (n,)."""
        inside = np.zeros(len(entity), bool)
        for begin_us, end_us in self.spans:
            inside |= (at_us >= begin_us) & (at_us < end_us)
        inside &= self.who[entity]
        return inside


class RadioFaults:
    """All faults of a world that this module knows, at times up to a year's end."""

    def __init__(self, world: World, year: int) -> None:
        self._world, self._year = world, year
        self.sensor_outages = self._of(SensorOutage)
        self.packet_losses = self._of(PacketLoss)
        self.counter_resets = self._of(CounterReset)
        self.late_uplinks = self._of(LateUplinks)
        self.duplicate_uplinks = self._of(DuplicateUplinks)
        self.gateway_outages = self._of(GatewayOutage)
        self.gateway_clocks = self._of(GatewayClock)
        self.silences = _silences(self.sensor_outages, len(world.devices))

    def _of(self, kind: type[AFault]) -> tuple[Active[AFault], ...]:
        world = self._world
        return tuple(
            Active(fault, number, self._who(fault, number), spans_until(world, fault, self._year))
            for number, fault in enumerate(world.scenario.fault, start=1)
            if isinstance(fault, kind)
        )

    def _who(self, fault: Fault, number: int) -> NDArray[np.bool_]:
        """Devices, or gateways, that a fault concerns."""
        if isinstance(fault, DeviceFault):
            return concerned_devices(self._world, fault, number)
        assert isinstance(fault, GatewayOutage | GatewayClock)
        gateways = np.arange(len(self._world.gateways))
        stream = f"fault/{number}/{fault.__struct_config__.tag}"
        return self._world.streams.uniform(stream, gateways) < fault.share

    def gateway_error_us(self, gateway: NDArray[np.integer], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """How much the clocks of gateways (n,) are ahead at instants (n,) [µs]."""
        error_us = np.zeros(len(gateway), np.int64)
        for active in self.gateway_clocks:
            for begin_us, end_us in active.spans:
                runs_since_us = begin_us if begin_us > -OPEN_US else self._world.day_bounds_us(self._world.epoch)[0]
                days = (at_us - runs_since_us) / DAY_US
                wrong_us = (active.fault.offset_s + active.fault.drift_s_per_day * days) * 1e6
                inside = (at_us >= begin_us) & (at_us < end_us) & active.who[gateway]
                error_us += np.where(inside, np.clip(wrong_us, -(2**52), 2**52), 0).astype(np.int64)
        return error_us


@dataclass(frozen=True, slots=True)
class Silences:
    """When devices are silent: groups of devices (a mask) that share their spans, which do not overlap."""

    groups: tuple[tuple[NDArray[np.bool_], Spans], ...]

    def cover(self, device: NDArray[np.integer], at_us: NDArray[np.int64]) -> NDArray[np.bool_]:
        """Whether devices (n,) are silent at instants (n,)."""
        silent = np.zeros(len(device), bool)
        for who, spans in self.groups:
            for begin_us, end_us in spans:
                silent |= who[device] & (at_us >= begin_us) & (at_us < end_us)
        return silent


def _silences(outages: tuple[Active[SensorOutage], ...], devices: int) -> Silences:
    """Outages by groups of devices that have the same ones: some windows may overlap, and count once."""
    patterns = sum(
        (active.who.astype(np.int64) << place for place, active in enumerate(outages)), np.zeros(devices, int)
    )
    groups = []
    for pattern in np.unique(patterns[patterns > 0]).tolist():
        spans = [span for place, active in enumerate(outages) if pattern >> place & 1 for span in active.spans]
        groups.append((patterns == pattern, merged(spans)))
    return Silences(tuple(groups))


def merged(spans: list[tuple[int, int]]) -> Spans:
    """Spans without overlaps, in order.

    Examples
    --------
    >>> merged([(5, 9), (1, 3), (2, 6), (12, 14)])
    ((1, 9), (12, 14))
    """
    result: list[tuple[int, int]] = []
    for begin, end in sorted(spans):
        if result and begin <= result[-1][1]:
            result[-1] = result[-1][0], max(end, result[-1][1])
        else:
            result.append((begin, end))
    return tuple(result)


def spans_until(world: World, fault: Fault, year: int) -> Spans:
    """The windows of a fault, those that recur up to the end of a year."""
    first, last = date(world.epoch.year - _YEARS_BEFORE, 1, 1), date(year + 1, 1, 1)
    return tuple(span.bounds_us for span in spans_of(fault, world.today, world.zone, first, last))


def year_of(at_us: int) -> int:
    """The UTC year of an instant."""
    return (datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=at_us)).year


def broker_outages(world: World, at_us: int) -> Spans:
    """When the broker is away, up to the end of the year of an instant; without overlaps."""
    first_us = world.day_bounds_us(world.epoch)[0]
    faults = [fault for fault in world.scenario.fault if isinstance(fault, BrokerOutage)]
    spans = [span for fault in faults for span in spans_until(world, fault, year_of(at_us))]
    return merged([(max(begin_us, first_us), end_us) for begin_us, end_us in spans if end_us > first_us])
