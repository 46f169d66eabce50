"""Frames as a network server has them: counted, timed by gateways and by the server itself."""

from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from simulators.radio.radio import Receptions, Transmissions
from simulators.radio.radio_faults import RadioFaults
from simulators.radio.sessions import Samples, Schedule
from simulators.world import World

DEDUPLICATION_US = 200_000
"""How long a server waits for other gateways [µs]."""
_DRIFT_LIMIT_US = 30_000_000
"""ChirpStack takes no gateway's time that is farther from its own [µs]."""
_FIBRE_US, _MOBILE_US = (6_000, 40_000), (45_000, 130_000)
_CLOCK_RANGE_US = (631_152_000_000_000, 4_260_000_000_000_000)
"""Wrong clocks stay between 1990 and 2104 [µs since 1970]."""


class GatewayClocks:
    """What gateways know of the time, and how they reach their server. Arrays have one element a gateway."""

    def __init__(self, world: World) -> None:
        number = np.arange(len(world.gateways))
        u = world.streams.uniforms("gateway/clock", number, 0, 2)
        self.has_gnss = np.array([gateway.has_gnss_clock for gateway in world.gateways], bool)
        # Half of the others set their clock by NTP and send its time, the rest sends none.
        self.has_time = self.has_gnss | (number % 8 == 7)
        self.ntp_error_us = ((u[0] - 0.5) * 20_000).astype(np.int64)
        is_mobile = u[1] < 0.4
        self.least_delay_us = np.where(is_mobile, _MOBILE_US[0], _FIBRE_US[0])
        self.delay_spread_us = np.where(is_mobile, _MOBILE_US[1], _FIBRE_US[1])


@dataclass(frozen=True, slots=True)
class Frames:
    """n frames that a server heard, and m receptions of them in order: those of frame i are `first[i]` to
    `first[i + 1]`. Times are µs since 1970, UTC; `nanos` are the 1 to 999 ns below."""

    device: NDArray[np.int32]
    index: NDArray[np.int64]
    number: NDArray[np.int64]
    session: NDArray[np.int64]
    counter: NDArray[np.int64]
    received_us: NDArray[np.int64]  # when the last symbol arrived, by a right clock
    channel: NDArray[np.int64]
    ids: NDArray[np.uint64]  # (n, 2) bits of an id
    word: NDArray[np.uint64]  # (n,) random bits
    first: NDArray[np.intp]  # (n + 1,)
    receptions: Receptions
    server_us: NDArray[np.int64]  # (m,) when the server got a reception
    server_nanos: NDArray[np.int64]
    gateway_us: NDArray[np.int64]  # (m,) what the gateway's clock says, if it has one
    gps_us: NDArray[np.int64]  # (m,) what its satellites say, as UTC
    gateway_nanos: NDArray[np.int64]
    nanos: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.device)

    def joined_receptions(self, texts: list[bytes], separator: bytes) -> list[bytes]:
        """The texts of each frame's receptions, joined."""
        ends = self.first.tolist()
        join = separator.join
        return [texts[a] if b - a == 1 else join(texts[a:b]) for a, b in pairwise(ends)]

    @property
    def first_heard_us(self) -> NDArray[np.int64]:
        """When the server got the first reception of each frame."""
        return np.minimum.reduceat(self.server_us, self.first[:-1]) if len(self) else np.zeros(0, np.int64)


def frames_of(
    heard: Transmissions,
    samples: Samples,
    counter: NDArray[np.int64],
    session: NDArray[np.int64],
    schedule: Schedule,
    clocks: GatewayClocks,
    faults: RadioFaults,
) -> Frames:
    """Frames from transmissions that were heard; `counter` and `session` have one element a sample."""
    rows, receptions = heard.sample, heard.receptions
    device, gateway = samples.device[rows], receptions.gateway
    received_us = heard.sent_us + schedule.air_us[device]
    counts = np.bincount(receptions.transmission, minlength=len(rows))
    at_gateway_us = received_us[receptions.transmission]
    delay_us = clocks.least_delay_us[gateway] + _part(receptions.word, 0, 20) % clocks.delay_spread_us[gateway]
    gps_us = at_gateway_us
    if faults.gateway_clocks:
        gps_us = np.clip(gps_us + faults.gateway_error_us(gateway, at_gateway_us), *_CLOCK_RANGE_US)
    return Frames(
        device=device,
        index=samples.index[rows],
        number=samples.number[rows],
        session=session[rows],
        counter=counter[rows],
        received_us=received_us,
        channel=heard.channel,
        ids=np.ascontiguousarray(heard.words[:2].T),
        word=heard.words[2],
        first=np.concatenate([[0], np.cumsum(counts)]),
        receptions=receptions,
        server_us=at_gateway_us + delay_us,
        server_nanos=nanos_of(receptions.word, 20),
        gateway_us=gps_us + clocks.ntp_error_us[gateway],
        gps_us=gps_us,
        gateway_nanos=nanos_of(receptions.word, 30),
        nanos=nanos_of(heard.words[2], 0),
    )


def _part(words: NDArray[np.uint64], first_bit: int, bits: int) -> NDArray[np.int64]:
    return ((words >> np.uint64(first_bit)) & np.uint64(2**bits - 1)).astype(np.int64)


def nanos_of(words: NDArray[np.uint64], first_bit: int) -> NDArray[np.int64]:
    """Nanoseconds below a microsecond, 1 to 999 and no multiple of ten, so that a time always has nine digits."""
    nanos = 1 + _part(words, first_bit, 10) % 999
    nanos += nanos % 10 == 0
    return nanos


def event_times(frames: Frames, clocks: GatewayClocks) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The time that ChirpStack gives an uplink [µs] and its nanoseconds.

    It is that of the satellites, of whichever gateway tells it first; else of a gateway's clock within 30 s of the
    server's; else the server's own.
    """
    if not len(frames):
        return np.zeros(0, np.int64), np.zeros(0, np.int64)
    gateway, place = frames.receptions.gateway, np.arange(len(frames.server_us))
    none = len(place)
    starts = frames.first[:-1]
    by_gps = np.minimum.reduceat(np.where(clocks.has_gnss[gateway], place, none), starts)
    near = clocks.has_time[gateway] & (np.abs(frames.gateway_us - frames.server_us) < _DRIFT_LIMIT_US)
    by_clock = np.minimum.reduceat(np.where(near, place, none), starts)
    time_us, nanos = frames.server_us[starts], frames.server_nanos[starts]
    for which, clock_us in ((by_clock, frames.gateway_us), (by_gps, frames.gps_us)):
        known = which < none
        time_us, nanos = time_us.copy(), nanos.copy()
        time_us[known] = clock_us[which[known]]
        nanos[known] = frames.gateway_nanos[which[known]]
    return time_us, nanos
