"""The feed of the sensors: what network servers and generic gateways publish, day by day."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache

import numpy as np

from simulators.devices import CHIRPSTACK, SENML, Device
from simulators.feed import TimedMessage
from simulators.lorawan import SESSION_DAYS, LoRaWan
from simulators.readings import as_time
from simulators.sensors import Sensors
from simulators.truth import Truth

_DAY_US = 86_400_000_000
_RESENT_SHARE = 0.003
"""Share of uplinks that a bridge on the way publishes twice."""


class DeviceFeed:
    """Messages of all devices of a world."""

    def __init__(self, truth: Truth) -> None:
        self._world = truth.world
        self._sensors, self._radio = Sensors(truth.condition), LoRaWan(self._world)
        self._day_of_sensors = lru_cache(maxsize=3)(self._sensor_day)

    def messages(self, start: datetime, end: datetime) -> Iterator[TimedMessage]:
        """Messages of sensors published in [start, end)."""
        for ordinal in range((start - timedelta(seconds=60)).date().toordinal(), end.date().toordinal() + 1):
            for message in self._day_of_sensors(ordinal):
                if start <= message.publish_at < end:
                    yield message

    def _sensor_day(self, ordinal: int) -> list[TimedMessage]:
        """All messages that devices sent on a UTC day."""
        begin_us = (ordinal - date(1970, 1, 1).toordinal()) * _DAY_US
        out: list[TimedMessage] = []
        for device in self._world.devices:
            out.extend(self._device_day(device, begin_us))
        return out

    def _device_day(self, device: Device, begin_us: int) -> Iterator[TimedMessage]:
        streams, interval_us = self._world.streams, device.kind.interval_s * 1_000_000
        u = streams.numbers("messages/phase", device.number, 0, 2)
        phase_us = int(u[0] * interval_us)
        # Sample k is taken at k intervals since 1970, plus the device's phase and a few seconds of its own.
        index = np.arange((begin_us - phase_us) // interval_us, (begin_us + _DAY_US - phase_us) // interval_us + 1)
        jitter = streams.uniform("messages/jitter", np.int64(device.number) * 2**34 + index)
        at_us = index * interval_us + phase_us + (jitter * 4_000_000).astype(np.int64)
        inside = (at_us >= begin_us) & (at_us < begin_us + _DAY_US)
        index, at_us = index[inside], at_us[inside]
        session_us = SESSION_DAYS * _DAY_US
        since_us = int(u[1] * session_us)
        samples = self._sensors.samples(device, index, at_us)
        for k, at, sample in zip(index.tolist(), at_us.tolist(), samples, strict=True):
            session = (at - since_us) // session_us
            joined_us = session * session_us + since_us
            frame = (at - joined_us) // interval_us
            if frame == 0 and device.network_source != SENML:
                yield self._join(device, session, joined_us)
            if device.network_source == SENML:
                yield _at(at + 900_000, *self._radio.senml(device, at, sample))
                continue
            heard = self._radio.receptions(device, k)
            if not heard:
                continue
            make = self._radio.chirpstack_up if device.network_source == CHIRPSTACK else self._radio.tts_up
            message = _at(at + 320_000, *make(device, k, frame, session, at, sample, heard))
            yield message
            resent = streams.numbers("messages/resent", device.number, k, 2)
            if resent[0] < _RESENT_SHARE:
                yield TimedMessage(
                    message.publish_at + timedelta(seconds=1 + 20 * resent[1]), message.topic, message.payload
                )
        if device.network_source == CHIRPSTACK and len(at_us):
            at = begin_us + int(u[0] * _DAY_US)
            yield _at(
                at + 300_000, *self._radio.chirpstack_status(device, begin_us // _DAY_US, at, sample.fields["battery"])
            )

    def _join(self, device: Device, session: int, at_us: int) -> TimedMessage:
        make = self._radio.chirpstack_join if device.network_source == CHIRPSTACK else self._radio.tts_join
        return _at(at_us, *make(device, session, at_us))


def _at(us: int, topic: str, payload: bytes) -> TimedMessage:
    return TimedMessage(as_time(us), topic, payload)
