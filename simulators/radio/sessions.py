"""When devices take samples and send them, when they join, and how they count their frames.

Everything follows from the number of a sample: a device takes sample k at k intervals since 1970, plus its phase and a
few seconds of its own. Counters are counts of such numbers between two instants, so that no state has to be kept.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.devices.devices import SENML, TTS
from simulators.instants import DAY_US, HOUR_US
from simulators.radio.lorawan import AIR_TIME_LIMIT_US, MAC_BYTES, MOST_ATTEMPTS, Links, air_time_us
from simulators.radio.radio_faults import RadioFaults
from simulators.world import World

SESSION_DAYS = 120
"""A device joins anew after that many days, and counts its frames from 0."""
LASTING_SHARE = 0.125
"""Part of the devices that never join again: they count on. On The Things Stack these have counters of 16 bits."""
LASTING_DAYS = 600
"""Such a device joined at most so many days before the world's first day."""
JITTER_US = 4_000_000
"""Samples are taken up to so long after their nominal time [µs]."""
_MOST_RESETS_A_DAY = 48


@dataclass(frozen=True, slots=True)
class Samples:
    """n samples of devices, device by device in the order of time."""

    device: NDArray[np.int32]
    number: NDArray[np.int64]
    """Which one since 1970, in the device's own interval."""
    index: NDArray[np.int64]
    """Which one since 1970, in the interval of its kind."""
    nominal_us: NDArray[np.int64]
    at_us: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.device)

    def where(self, mask: NDArray[np.bool_]) -> "Samples":
        """Some of them."""
        return Samples(self.device[mask], self.number[mask], self.index[mask], self.nominal_us[mask], self.at_us[mask])

    @property
    def key(self) -> NDArray[np.int64]:
        """One number for each sample of the world: an entity of random streams."""
        return self.device.astype(np.int64) << 34 | self.index


class Schedule:
    """When the devices of a world send. Arrays have one element a device."""

    def __init__(self, world: World, links: Links, payload_bytes: NDArray[np.int64]) -> None:
        streams, number = world.streams, np.arange(len(world.devices))
        self._streams = streams
        interval_us = np.array([device.kind.interval_s * 1_000_000 for device in world.devices], np.int64)
        source = np.array([device.network_source for device in world.devices])
        u = streams.uniforms("sessions/device", number, 0, 4)
        self.is_confirmed = (u[0] < world.scenario.lora.confirmed_share) & (source != SENML)
        self.is_lasting = (u[1] < LASTING_SHARE) & (source != SENML)
        self.has_short_counter = self.is_lasting & (source == TTS)
        self.air_us = np.array(
            [
                air_time_us(size + MAC_BYTES, factor)
                for size, factor in zip(payload_bytes.tolist(), links.spreading_factor.tolist(), strict=True)
            ],
            np.int64,
        )
        attempts = np.where(self.is_confirmed, MOST_ATTEMPTS, 1)
        self.stride = np.where(source == SENML, 1, _stride(interval_us, self.air_us * attempts))
        self.interval_us = interval_us * self.stride
        self.phase_us = (u[2] * self.interval_us).astype(np.int64)
        self._session_us = SESSION_DAYS * DAY_US
        self._since_us = (u[3] * self._session_us).astype(np.int64)
        self._lasting_since_us = world.day_bounds_us(world.epoch)[0] - (u[3] * LASTING_DAYS * DAY_US).astype(np.int64)

    def samples(self, devices: NDArray[np.int32], begin_us: int, end_us: int) -> Samples:
        """The samples of some devices whose nominal time is in [begin_us, end_us)."""
        first = self._next(devices, np.full(len(devices), begin_us))
        counts = self._next(devices, np.full(len(devices), end_us)) - first
        device = np.repeat(devices, counts)
        number = np.arange(len(device)) + np.repeat(first - np.cumsum(counts) + counts, counts)
        nominal_us = number * self.interval_us[device] + self.phase_us[device]
        index = number * self.stride[device]
        jitter = self._streams.uniform("messages/jitter", device.astype(np.int64) << 34 | index)
        return Samples(device, number, index, nominal_us, nominal_us + (jitter * JITTER_US).astype(np.int64))

    def _next(self, device: NDArray[np.integer], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
        """Number of the first sample whose nominal time is not before an instant."""
        number: NDArray[np.int64] = -((self.phase_us[device] - at_us) // self.interval_us[device])
        return number

    def sessions(self, device: NDArray[np.integer], at_us: NDArray[np.int64]) -> tuple[NDArray[np.int64], ...]:
        """The number of the session at instants, and when it was due to begin [µs]."""
        number = (at_us - self._since_us[device]) // self._session_us
        number[self.is_lasting[device]] = 0
        joined_us = number * self._session_us + self._since_us[device]
        return number, np.where(self.is_lasting[device], self._lasting_since_us[device], joined_us)

    def joins(
        self, devices: NDArray[np.int32], begin_us: int, end_us: int, faults: RadioFaults
    ) -> tuple[NDArray[np.int32], NDArray[np.int64], NDArray[np.int64]]:
        """Devices that join in [begin_us, end_us), their sessions, and when [µs]. A silent device joins afterwards."""
        devices = devices[~self.is_lasting[devices]]
        session, at_us = self.sessions(devices, np.full(len(devices), end_us - 1))
        for who, spans in faults.silences.groups:
            for first_us, last_us in spans:
                at_us = np.where(who[devices] & (at_us >= first_us) & (at_us < last_us), last_us, at_us)
        inside = (at_us >= begin_us) & (at_us < end_us)
        return devices[inside], session[inside], at_us[inside]

    def counters(self, samples: Samples, joined_us: NDArray[np.int64], faults: RadioFaults) -> NDArray[np.int64]:
        """The frame counter of each sample: how many were sent since the join, or since the device started anew."""
        since_us = np.maximum(joined_us, self._last_resets(samples, joined_us, faults))
        device = samples.device
        counted = samples.number - self._next(device, since_us)
        for who, spans in faults.silences.groups:
            some = np.flatnonzero(who[device])
            for first_us, last_us in spans if len(some) else ():
                begin_us = np.maximum(since_us[some], first_us)
                end_us = np.maximum(np.minimum(samples.nominal_us[some], last_us), begin_us)
                counted[some] -= self._next(device[some], end_us) - self._next(device[some], begin_us)
        return np.where(self.has_short_counter[device], counted & 0xFFFF, counted)

    def _last_resets(self, samples: Samples, joined_us: NDArray[np.int64], faults: RadioFaults) -> NDArray[np.int64]:
        """When each device started anew last, before each sample [µs]; long ago if it never did."""
        last_us = np.full(len(samples), -(2**62))
        for active in faults.counter_resets:
            some = np.flatnonzero(active.who[samples.device])
            for begin_us, end_us in active.spans if len(some) else ():
                first_day = max(begin_us, int(joined_us[some].min())) // DAY_US
                last_day = min(end_us, int(samples.nominal_us[some].max())) // DAY_US
                devices = np.unique(samples.device[some])
                keys = self._resets(active.number, active.fault.per_day, devices, first_day, last_day)
                in_span = (keys & _MS_MASK) * 1000
                keys = keys[(in_span >= begin_us) & (in_span < end_us)]
                at = np.searchsorted(keys, _instant_key(samples.device[some], samples.nominal_us[some]), "right") - 1
                found = (at >= 0) & (keys[at] >> _MS_BITS == samples.device[some]) if len(keys) else np.zeros(0, bool)
                if found.any():
                    last_us[some[found]] = np.maximum(last_us[some[found]], (keys[at[found]] & _MS_MASK) * 1000)
        return last_us

    def _resets(
        self, fault: int, per_day: float, devices: NDArray[np.int32], first_day: int, last_day: int
    ) -> NDArray[np.int64]:
        """Sorted keys of device and instant [ms] at which devices start anew, days counted since 1970."""
        if last_day < first_day:
            return np.zeros(0, np.int64)
        days = np.arange(first_day, last_day + 1, dtype=np.int64)
        device, day = np.repeat(devices, len(days)), np.tile(days, len(devices))
        u = self._streams.uniform(f"fault/{fault}/counter-reset/number", device, day)
        counts = np.searchsorted(_poisson_distribution(per_day), u)
        which = np.arange(counts.sum()) - np.repeat(np.cumsum(counts) - counts, counts)
        device, day = np.repeat(device, counts), np.repeat(day, counts)
        within = self._streams.uniform(
            f"fault/{fault}/counter-reset/time", device.astype(np.int64) * _MOST_RESETS_A_DAY + which, day
        )
        return np.sort(_instant_key(device, day * DAY_US + (within * DAY_US).astype(np.int64)))


_MS_BITS = 42
_MS_MASK = 2**_MS_BITS - 1


def _instant_key(device: NDArray[np.integer], at_us: NDArray[np.int64]) -> NDArray[np.int64]:
    return device.astype(np.int64) << _MS_BITS | at_us // 1000


@lru_cache(maxsize=16)
def _poisson_distribution(mean: float) -> NDArray[np.float64]:
    """Cumulative probabilities of 0 up to one less than the most."""
    from scipy.stats import poisson

    result: NDArray[np.float64] = poisson.cdf(np.arange(_MOST_RESETS_A_DAY), mean)
    return result


def _stride(interval_us: NDArray[np.int64], air_us: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of how many samples one is sent, so that an hour's frames, all in one sub-band, keep the duty cycle."""
    stride = np.ones(len(interval_us), np.int64)
    while True:
        an_hour = -(-HOUR_US // (interval_us * stride)) + 1  # one more for the seconds by which times scatter
        too_much = an_hour * air_us > AIR_TIME_LIMIT_US
        if not too_much.any() or stride.max() > 1000:
            return stride
        stride[too_much] += 1
