"""LoRaWAN in Europe: channels, time on air, duty cycle, and who hears whom in a town.

A device reaches a gateway by log-distance path loss with shadowing that stays (6 dB) and fading from frame to frame;
soil, lids and parked cars take up to 30 dB, from most devices little.
Adaptive data rate settles on the fastest spreading factor that keeps 10 dB of margin, and then lowers the power [3].

References
----------
.. [1] Semtech, "LoRa modem designer's guide," AN1200.13 (time on air), and the data sheet of the SX1276 (the signal
   that a spreading factor needs).
.. [2] LoRa Alliance, "RP002-1.0.4 regional parameters": EU868; duty cycles after ERC Recommendation 70-03, annex 1.
.. [3] The network-controlled data rate of TS001-1.0.4 §4.3.1.1; margin and steps as network servers commonly set them.
.. [4] N. Abramson, "The ALOHA system," AFIPS 1970, doi:10.1145/1478462.1478502: frames that overlap are lost.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.devices.devices import SENML
from simulators.world import World

CHANNELS_HZ = (
    868_100_000, 868_300_000, 868_500_000, 867_100_000, 867_300_000, 867_500_000, 867_700_000, 867_900_000
)  # fmt: skip
SUB_BAND_OF_CHANNEL = (1, 1, 1, 0, 0, 0, 0, 0)
"""0: 865 to 868 MHz, 1: 868.0 to 868.6 MHz; each with a duty cycle of 1 % [2]."""
AIR_TIME_LIMIT_US = 36_000_000
"""Time on air in an hour and a sub-band: 1 % [µs]."""
MOST_ATTEMPTS = 4
"""How often a device sends a confirmed uplink before it gives up."""
MAC_BYTES = 13
"""Header, address, counter, port and integrity code of a data frame without options."""

_SPREADING_FACTORS = (7, 8, 9, 10, 11, 12)
_NEEDED_SNR_DB = np.array([-7.5, -10.0, -12.5, -15.0, -17.5, -20.0])  # [1]
NOISE_DBM = -117.0
"""Thermal noise in 125 kHz and a noise figure of 6 dB."""
_BEST_LINK_SNR_DB = -12.5
"""Somebody planned this network: a device that no gateway hears better gets a better place."""
FADING_DB = 2.8
_MOST_BURIED_DB = 30.0
_AT_100_M_DBM, _PATH_LOSS_EXPONENT = -74.0, 3.5
_ADR_MARGIN_DB, _BEST_OF_TWENTY = 10.0, 1.87  # the expected maximum of 20 normal numbers [σ]
_POWER_STEP_DB, _MOST_POWER_STEPS, _ADR_STEP_DB = 2.0, 7, 3.0
_MOST_LINKS = 6
_DISTURBED_SHARE = 0.008
"""Frames that something other than LoRa on the band destroys."""
_FOREIGN_FRAMES_PER_S = 0.02
"""Other people's frames on one channel and one spreading factor."""
_CAPTURED_SHARE = 0.5
"""Of the collisions that the stronger frame survives."""


def air_time_us(size: int, spreading_factor: int) -> int:
    """Time on air of a frame of `size` bytes at 125 kHz, coding rate 4/5, explicit header, CRC [1]. [µs]

    Examples
    --------
    >>> air_time_us(26, 7), air_time_us(26, 12)
    (61696, 1646592)
    """
    low_rate = 1 if spreading_factor >= 11 else 0
    bits = 8 * size - 4 * spreading_factor + 44
    symbols = 8 + max(-(-bits // (4 * (spreading_factor - 2 * low_rate))) * 5, 0)
    return round((12.25 + symbols) * (1 << spreading_factor) * 8)


@dataclass(frozen=True, slots=True)
class Links:
    """The gateways that may hear each of n devices, best first, up to six of them."""

    gateway: NDArray[np.int32]  # (n, 6); -1 where there is none
    snr_db: NDArray[np.float64]  # (n, 6): mean, at the power that the device uses
    spreading_factor: NDArray[np.int64]  # (n,)
    needed_snr_db: NDArray[np.float64]  # (n,)

    @classmethod
    def of(cls, world: World) -> "Links":
        """Links of all devices of a world; those that come through generic gateways have them too, and use none."""
        devices, gateways = world.devices, world.gateways
        number = np.arange(len(devices))[:, None]
        place = np.array([[d.lon, d.lat] for d in devices]).reshape(-1, 1, 2)
        mast = np.array([[g.lon, g.lat] for g in gateways]).reshape(1, -1, 2)
        east_m = (mast[..., 0] - place[..., 0]) * 111_320 * np.cos(np.radians(place[..., 1]))
        metres = np.maximum(np.hypot(east_m, (mast[..., 1] - place[..., 1]) * 111_320), 30.0)
        shadow_db = 6.0 * world.streams.normal("lorawan/shadow", number, np.arange(len(gateways))[None])
        buried_db = _MOST_BURIED_DB * world.streams.uniform("lorawan/buried", number) ** 2
        snr_db = _AT_100_M_DBM - 10 * _PATH_LOSS_EXPONENT * np.log10(metres / 100) + shadow_db - buried_db - NOISE_DBM
        order = np.argsort(-snr_db, axis=1, kind="stable")[:, :_MOST_LINKS]
        snr_db = np.take_along_axis(snr_db, order, axis=1)
        snr_db[:, 0] = np.maximum(snr_db[:, 0], _BEST_LINK_SNR_DB)
        spare_db = snr_db[:, :1] + _BEST_OF_TWENTY * FADING_DB - _ADR_MARGIN_DB - _NEEDED_SNR_DB
        factor = np.where((spare_db >= 0).any(axis=1), (spare_db >= 0).argmax(axis=1), len(_SPREADING_FACTORS) - 1)
        steps = np.where(factor == 0, np.clip(spare_db[:, 0] // _ADR_STEP_DB, 0, _MOST_POWER_STEPS), 0)
        gateway = np.full((len(devices), _MOST_LINKS), -1, np.int32)
        signal = np.full((len(devices), _MOST_LINKS), -99.0)
        gateway[:, : order.shape[1]] = order
        signal[:, : order.shape[1]] = snr_db - _POWER_STEP_DB * steps[:, None]
        return cls(gateway, signal, np.array(_SPREADING_FACTORS)[factor], _NEEDED_SNR_DB[factor])


def loss_probability(
    world: World, links: Links, sent_per_s: NDArray[np.float64], air_us: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Probability that a frame of each device is lost to another one on its channel and spreading factor, or to noise.

    `sent_per_s` (n,) is how often each device sends, `air_us` (n,) for how long.
    """
    own = np.array([device.network_source != SENML for device in world.devices], bool)
    lost = np.zeros(len(own))
    for factor in _SPREADING_FACTORS:
        some = own & (links.spreading_factor == factor)
        if not some.any():
            continue
        frames_per_s = sent_per_s[some].sum() / len(CHANNELS_HZ) + _FOREIGN_FRAMES_PER_S
        window_s = (air_us[some] + np.average(air_us[some], weights=sent_per_s[some])) * 1e-6
        collides = -np.expm1(-frames_per_s * window_s) * (1 - _CAPTURED_SHARE)
        lost[some] = 1 - (1 - collides) * (1 - _DISTURBED_SHARE)
    return lost
