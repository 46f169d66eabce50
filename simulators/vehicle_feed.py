"""The feed of the vehicles: a reading every ten metres, also when nothing is seen."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta
from functools import lru_cache
from typing import Any

import msgspec
import numpy as np

from roadtwin.types import VehicleReading
from simulators.camera import frame_quality
from simulators.feed import TimedMessage
from simulators.readings import Cameras, Drives, PlainPseudonyms, as_time
from simulators.truth import Truth, local_day
from simulators.weather import hourly_weather

_BUFFERED_SHARE = 0.03
"""Share of drives whose box was off the air and sends its readings up to forty minutes later."""


class VehicleFeed:
    """Messages of the timetable's vehicles and of additional buses."""

    def __init__(self, truth: Truth, additional_buses: int) -> None:
        self._truth, self._world = truth, truth.world
        self._cameras, self._buses = Cameras(truth), additional_buses
        self._day_of_vehicles = lru_cache(maxsize=4)(self._vehicle_day)
        self._slot = lru_cache(maxsize=None)(self._slot_us)
        self._circuit = lru_cache(maxsize=4 * (additional_buses + 1))(self._bus_circuit)

    def messages(self, start: datetime, end: datetime) -> Iterator[TimedMessage]:
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
        weather = hourly_weather(self._world.weather, start - timedelta(hours=3), start + timedelta(hours=8))
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
