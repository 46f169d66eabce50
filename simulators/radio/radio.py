"""The air of a town: what devices transmit, how often, and which gateways hear it.

A confirmed uplink is sent up to four times, until the device hears an acknowledgement. A network server publishes the
first transmission that it hears.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from simulators.radio.lorawan import (
    CHANNELS_HZ,
    FADING_DB,
    MOST_ATTEMPTS,
    NOISE_DBM,
    Links,
    loss_probability,
)
from simulators.radio.radio_faults import RadioFaults
from simulators.radio.sessions import Samples, Schedule
from simulators.randomness import Streams, unit
from simulators.world import World

_WAIT_US = (3_200_000, 2_000_000)
"""Between two attempts: the second receive window and 1 to 3 s of waiting."""
_ACKNOWLEDGEMENT_LOST = 0.04
_HOPELESS_DB = 12.0
"""So far below what it needs no fading lifts a signal (4 σ)."""
_SNR_LIMIT_DB = 13.5
"""More than that no concentrator tells."""


@dataclass(frozen=True, slots=True)
class Receptions:
    """m receptions, in the order of their transmissions."""

    transmission: NDArray[np.intp]  # place of the transmission
    gateway: NDArray[np.int32]
    rssi_dbm: NDArray[np.int64]
    snr_quarters: NDArray[np.int64]  # [0.25 dB]
    word: NDArray[np.uint64]  # random bits for whatever else differs between receptions


@dataclass(frozen=True, slots=True)
class Transmissions:
    """k transmissions of n samples, attempt by attempt, and within an attempt in the order of the samples."""

    sample: NDArray[np.intp]
    attempt: NDArray[np.int64]
    sent_us: NDArray[np.int64]
    """When the first symbol is sent [µs since 1970, UTC]."""
    channel: NDArray[np.int64]
    """Place in `CHANNELS_HZ`."""
    is_heard: NDArray[np.bool_]
    is_first: NDArray[np.bool_]
    """The first of its sample that was heard."""
    words: NDArray[np.uint64]  # (3, k): the bits of an id (two words) and of whatever else a frame has
    receptions: Receptions

    def where(self, chosen: NDArray[np.bool_]) -> "Transmissions":
        """Some of them, with their receptions."""
        place = np.cumsum(chosen) - 1
        kept = chosen[self.receptions.transmission]
        all_of = self.receptions
        return Transmissions(
            self.sample[chosen],
            self.attempt[chosen],
            self.sent_us[chosen],
            self.channel[chosen],
            self.is_heard[chosen],
            self.is_first[chosen],
            self.words[:, chosen],
            Receptions(
                place[all_of.transmission[kept]],
                all_of.gateway[kept],
                all_of.rssi_dbm[kept],
                all_of.snr_quarters[kept],
                all_of.word[kept],
            ),
        )


class Radio:
    """The radio network of a world."""

    def __init__(self, world: World, links: Links, schedule: Schedule) -> None:
        self._streams: Streams = world.streams
        self.links, self.schedule = links, schedule
        self._lost = loss_probability(world, links, 1e6 / schedule.interval_us, schedule.air_us)

    def transmit(self, samples: Samples, faults: RadioFaults) -> Transmissions:
        """All transmissions of samples, and who heard them."""
        rows = np.arange(len(samples))
        published = np.zeros(len(samples), bool)
        sent_us = samples.at_us
        parts = []
        for attempt in range(MOST_ATTEMPTS):
            part, acknowledged = self._attempt(samples, rows, attempt, sent_us, published, faults)
            published[rows[part.is_heard]] = True
            parts.append(part)
            again = self.schedule.is_confirmed[samples.device[rows]] & ~acknowledged
            if not again.any():
                break
            least, spread = _WAIT_US
            wait_us = least + ((part.words[2] >> np.uint64(16)) % np.uint64(spread)).astype(np.int64)
            sent_us = (sent_us + self.schedule.air_us[samples.device[rows]] + wait_us)[again]
            rows = rows[again]
        return _one_after_the_other(parts)

    def _attempt(
        self,
        samples: Samples,
        rows: NDArray[np.intp],
        attempt: int,
        sent_us: NDArray[np.int64],
        published: NDArray[np.bool_],
        faults: RadioFaults,
    ) -> tuple[Transmissions, NDArray[np.bool_]]:
        """One transmission of some samples, and whether the device heard that it arrived."""
        device, key = samples.device[rows], samples.key[rows]
        words = self._streams.words("radio/frame", key, attempt, 4)
        reaches = 1.0 - self._lost[device]
        for loss in faults.packet_losses:
            reaches = np.where(loss.hits(device, sent_us), reaches * (1.0 - loss.fault.probability), reaches)
        receptions = self._receive(device, key, attempt, sent_us, unit(words[0]) < reaches, faults)
        is_heard = np.zeros(len(rows), bool)
        is_heard[receptions.transmission] = True
        bits = words[3]
        acknowledged = is_heard & ((bits & np.uint64(0xFFFF)).astype(np.float64) >= _ACKNOWLEDGEMENT_LOST * 2**16)
        part = Transmissions(
            rows,
            np.full(len(rows), attempt),
            sent_us,
            ((bits >> np.uint64(61)) % np.uint64(len(CHANNELS_HZ))).astype(np.int64),
            is_heard,
            is_heard & ~published[rows],
            words[1:],
            receptions,
        )
        return part, acknowledged

    def _receive(
        self,
        device: NDArray[np.int32],
        key: NDArray[np.int64],
        attempt: int,
        sent_us: NDArray[np.int64],
        reaches: NDArray[np.bool_],
        faults: RadioFaults,
    ) -> Receptions:
        links = self.links
        hopeful = (links.gateway >= 0) & (links.snr_db > links.needed_snr_db[:, None] - _HOPELESS_DB)
        frame, link = np.nonzero(hopeful[device] & reaches[:, None])
        sender = device[frame]
        gateway = links.gateway[sender, link]
        words = self._streams.words("radio/reception", key[frame], np.int64(attempt) << 24 | gateway, 2)
        snr_db = links.snr_db[sender, link] + FADING_DB * ndtri(unit(words[0]))
        heard = snr_db >= links.needed_snr_db[sender]
        for outage in faults.gateway_outages:
            heard &= ~outage.hits(gateway, sent_us[frame])
        snr_db = snr_db[heard]
        # A concentrator tells the power of signal and noise together.
        rssi_dbm = NOISE_DBM + 10 * np.log10(1 + 10 ** (snr_db / 10))
        return Receptions(
            frame[heard],
            gateway[heard],
            np.round(rssi_dbm).astype(np.int64),
            np.round(np.minimum(snr_db, _SNR_LIMIT_DB) * 4).astype(np.int64),
            words[1][heard],
        )


def _one_after_the_other(parts: list[Transmissions]) -> Transmissions:
    if len(parts) == 1:
        return parts[0]
    before = np.cumsum([0, *(len(part.sample) for part in parts[:-1])]).tolist()
    heard = [part.receptions for part in parts]
    return Transmissions(
        sample=np.concatenate([part.sample for part in parts]),
        attempt=np.concatenate([part.attempt for part in parts]),
        sent_us=np.concatenate([part.sent_us for part in parts]),
        channel=np.concatenate([part.channel for part in parts]),
        is_heard=np.concatenate([part.is_heard for part in parts]),
        is_first=np.concatenate([part.is_first for part in parts]),
        words=np.concatenate([part.words for part in parts], axis=1),
        receptions=Receptions(
            transmission=np.concatenate([r.transmission + n for r, n in zip(heard, before, strict=True)]),
            gateway=np.concatenate([r.gateway for r in heard]),
            rssi_dbm=np.concatenate([r.rssi_dbm for r in heard]),
            snr_quarters=np.concatenate([r.snr_quarters for r in heard]),
            word=np.concatenate([r.word for r in heard]),
        ),
    )
