"""The live feed: every message of sensors and vehicles with its time of publication, in order.

A window gives the same messages however it is cut. Vehicles report every ten metres, also when they see nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from roadtwin.errors import SimulationError
from roadtwin.types import VehicleReading
from simulators.camera import frame_quality
from simulators.devices import CHIRPSTACK, SENML, Device
from simulators.lorawan import SESSION_DAYS, LoRaWan
from simulators.readings import Cameras, Drives, PlainPseudonyms, as_time
from simulators.sensors import Sensors
from simulators.truth import local_day, truth_of
from simulators.weather import hourly_weather
from simulators.world import World

_DAY_US = 86_400_000_000
_RESENT_SHARE = 0.003
"""Share of uplinks that a bridge on the way publishes twice."""
_BUFFERED_SHARE = 0.03
"""Share of drives whose box was off the air and sends its readings up to forty minutes later."""
MAX_ADDITIONAL_BUSES = 2000


@dataclass(frozen=True, slots=True)
class TimedMessage:
    """One MQTT message and when it is published."""

    publish_at: datetime
    topic: str
    payload: bytes


def messages(world: World, *, start: datetime, end: datetime, additional_buses: int = 0) -> Iterator[TimedMessage]:
    """Messages published from `start` to before `end`, in the order of publication.

    Parameters
    ----------
    start, end : datetime
        Aware; `start` not before the world's first day.
    additional_buses : int
        Buses with cameras that circulate day and night besides the timetable, for a livelier feed: about 0.6 messages
        a second each. They only watch: what they see is not in the history, and no crew is sent for it.

    Raises
    ------
    SimulationError
        If an argument is out of range.
    """
    if start.tzinfo is None or end.tzinfo is None:
        raise SimulationError("Period: got a time without zone, expected times with an offset.")
    if local_day(world, start) < world.epoch:
        raise SimulationError(
            f"Begin: got {start.isoformat()}, expected no time before the world's first day, {world.epoch}."
        )
    if not 0 <= additional_buses <= MAX_ADDITIONAL_BUSES:
        raise SimulationError(f"Additional buses: got {additional_buses}, expected 0 to {MAX_ADDITIONAL_BUSES}.")
    feed = _Feed(world, additional_buses)
    at = start.astimezone(UTC)
    while at < end:
        until = min(at.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1), end)
        batch = [*feed.sensor_messages(at, until), *feed.vehicle_messages(at, until)]
        batch.sort(key=lambda message: (message.publish_at, message.topic, message.payload))
        yield from batch
        at = until


class _Feed:
    def __init__(self, world: World, additional_buses: int) -> None:
        self._world, self._truth = world, truth_of(world)
        self._cameras, self._sensors = Cameras(self._truth), Sensors(self._truth.condition)
        self._radio, self._buses = LoRaWan(world), additional_buses
        self._day_of_vehicles = lru_cache(maxsize=4)(self._vehicle_day)
        self._day_of_sensors = lru_cache(maxsize=3)(self._sensor_day)
        self._slot = lru_cache(maxsize=None)(self._slot_us)
        self._circuit = lru_cache(maxsize=4 * (additional_buses + 1))(self._bus_circuit)

    # -- sensors ---------------------------------------------------------------------------------------------------
    def sensor_messages(self, start: datetime, end: datetime) -> Iterator[TimedMessage]:
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

    # -- vehicles --------------------------------------------------------------------------------------------------
    def vehicle_messages(self, start: datetime, end: datetime) -> Iterator[TimedMessage]:
        """Messages of vehicles published in [start, end)."""
        first = max(local_day(self._world, start - timedelta(hours=2)), self._world.epoch)
        for ordinal in range(first.toordinal(), local_day(self._world, end).toordinal() + 1):
            for message in self._day_of_vehicles(ordinal):
                if start <= message.publish_at < end:
                    yield message
        for bus in range(self._buses):
            slot_us = self._slot(bus)
            # A circuit begins at a multiple of its slot, and its last message goes out seconds after its end.
            first_circuit = (round(start.timestamp() * 1e6) - self._phase_us(bus) - 5_000_000) // slot_us
            last_circuit = (round(end.timestamp() * 1e6) - self._phase_us(bus)) // slot_us
            for circuit in range(first_circuit, last_circuit + 1):
                for message in self._circuit(bus, circuit):
                    if start <= message.publish_at < end:
                        yield message

    def _phase_us(self, bus: int) -> int:
        return int(self._world.streams.numbers("messages/bus", bus, 0, 1)[0] * 1e9)

    def _vehicle_day(self, ordinal: int) -> list[TimedMessage]:
        """All messages of the timetable's vehicles about a local day."""
        return self._readings_of(Drives.of_day(self._truth.day(date.fromordinal(ordinal))), date.fromordinal(ordinal))

    def _readings_of(self, drives: Drives, day: date) -> list[TimedMessage]:
        passes = drives.passes
        if not len(passes.section):
            return []
        segments = self._cameras.by_segment(drives, day)
        out: list[TimedMessage] = []
        for vehicle in np.unique(passes.vehicle):
            rows = np.flatnonzero(passes.vehicle == vehicle)
            name = self._truth.observers.timetable.vehicle_name(int(vehicle))
            topic = f"roadtwin/v1/vehicles/{name}/readings"
            delays = self._delays(drives, rows)
            for reading in self._cameras.everything(drives, rows, segments, _NO_PSEUDONYMS):
                payload = msgspec.json.encode(wire_reading(reading))
                out.append(TimedMessage(reading.observed_at + delays[reading.pass_id], topic, payload))
        return out

    def _delays(self, drives: Drives, rows: np.ndarray) -> dict[str, timedelta]:
        """From reading to publication, by drive."""
        result = {}
        for key in drives.passes.key[rows].tolist():
            u = self._world.streams.numbers("messages/delay", key, drives.time_key, 3)
            late_s = (
                300 + 2100 * u[2]
                if u[1] < _BUFFERED_SHARE and not self._truth.observers.timetable.is_additional(key)
                else 0.0
            )
            result[f"{drives.time_key}-{key}"] = timedelta(seconds=0.6 + 1.8 * u[0] + late_s)
        return result

    def _slot_us(self, bus: int) -> int:
        """Time between two circuits of an additional bus: its drive, which is always the same, and a short break."""
        timetable = self._truth.observers.timetable
        return timetable.duration_us(timetable.circuit(bus, bus, 0, 0)) + 120_000_000

    def _bus_circuit(self, bus: int, circuit: int) -> list[TimedMessage]:
        start_us = circuit * self._slot(bus) + self._phase_us(bus)
        start = as_time(start_us)
        day = local_day(self._world, start)
        if day < self._world.epoch:
            return []
        passes = self._truth.observers.timetable.circuit(bus, bus, start_us, circuit)
        weather = hourly_weather(self._world.streams, start - timedelta(hours=3), start + timedelta(hours=8))
        quality = frame_quality(self._world, passes, weather, circuit)
        self._truth.day(day + timedelta(days=1))  # a circuit may run past midnight
        clock, holes = self._truth.day(day).clock, self._truth.holes
        count = len(holes)
        open_holes = np.flatnonzero(
            (holes.closed_us[:count] > start_us) & (holes.born_us[:count] < start_us + 6 * 3_600_000_000)
        )
        sightings = self._truth.observers.seen(passes, quality, circuit, holes, open_holes, clock)
        return self._readings_of(Drives(circuit, passes, quality, sightings, clock), day)


_NO_PSEUDONYMS = PlainPseudonyms()


def _at(us: int, topic: str, payload: bytes) -> TimedMessage:
    return TimedMessage(as_time(us), topic, payload)


def wire_reading(reading: VehicleReading) -> dict[str, Any]:
    """The object that a camera box publishes for a reading (`roadtwin.records.vehicle`); the topic has the vehicle."""
    wire: dict[str, Any] = {
        "event_id": reading.event_id,
        "schema_version": 1,
        "observed_at": reading.observed_at,
        "position": {
            "lon": reading.position.lon,
            "lat": reading.position.lat,
            "accuracy_m": reading.position.accuracy_m,
        },
        "heading_deg": reading.heading_deg,
        "speed_mps": reading.speed_mps,
        "pass_id": reading.pass_id,
        "camera": {
            "model": reading.camera_model,
            "version": reading.camera_version,
            "frame_quality": {"blur": reading.blur, "wet": reading.wet, "light": reading.light},
        },
        "detections": [
            {
                "class_code": detection.class_code,
                "confidence": detection.confidence,
                "bbox_px": detection.bbox_px,
                "image_size_px": (detection.image_width_px, detection.image_height_px),
                "width_m": detection.width_m,
                "length_m": detection.length_m,
                "area_m2": detection.area_m2,
            }
            for detection in reading.detections
        ],
    }
    if reading.accel_rms_mps2 is not None:
        wire["imu"] = {
            "accel_rms_mps2": reading.accel_rms_mps2,
            "accel_peak_mps2": reading.accel_peak_mps2,
            "sample_rate_hz": reading.sample_rate_hz,
        }
    return wire
