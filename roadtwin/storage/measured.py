"""What was measured with the messages of a batch, as rows for COPY: observations, vehicle readings, detections."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import numpy as np

from roadtwin.storage import copyrows
from roadtwin.storage.devices import KnownDevice, SeriesKey
from roadtwin.types import DeviceKey, Message

ConflictRow = tuple[int, datetime, int, float, datetime]


@dataclass(frozen=True, slots=True)
class ObservationRows:
    """Observations of a batch: `given` by its messages, `count` rows with different keys in `framed` for COPY.

    Of equal keys inside the batch the first row stands; one with another value is a conflict.
    """

    given: int = 0
    count: int = 0
    framed: bytes = b""
    conflicts: Sequence[ConflictRow] = ()


@dataclass(frozen=True, slots=True)
class Measured:
    """Streams of a COPY; empty where there is nothing to copy."""

    observations: ObservationRows
    readings: bytes
    detections: bytes


def series_keys(messages: Sequence[Message], devices: Mapping[DeviceKey, KnownDevice]) -> Iterator[SeriesKey]:
    """The series of every observation, in order. KeyError when a device is not known."""
    for m in messages:
        if m.observations and m.device is not None:
            device_id = devices[m.device].device_id
            for o in m.observations:
                yield device_id, o.channel, o.quantity, o.depth_cm


def measured_rows(
    messages: Sequence[Message],
    devices: Mapping[DeviceKey, KnownDevice],
    series: Mapping[SeriesKey, int],
    origin: str,
) -> Measured:
    """All rows. KeyError when a device or a series is not known."""
    readings = [
        (m.vehicle_reading, copyrows.instant_us(m.vehicle_reading.observed_at), copyrows.instant_us(m.recorded_at))
        for m in messages
        if m.vehicle_reading is not None
    ]
    reading_rows = [copyrows.vehicle_reading_row(r, observed, recorded, origin) for r, observed, recorded in readings]
    detection_rows = [
        copyrows.detection_row(r, detection, observed, recorded)
        for r, observed, recorded in readings
        for detection in r.detections
    ]
    return Measured(
        _observation_rows(messages, devices, series),
        copyrows.framed(reading_rows) if reading_rows else b"",
        copyrows.framed(detection_rows) if detection_rows else b"",
    )


def _observation_rows(
    messages: Sequence[Message], devices: Mapping[DeviceKey, KnownDevice], series: Mapping[SeriesKey, int]
) -> ObservationRows:
    """The rows, sorted by key."""
    series_ids = [series[key] for key in series_keys(messages, devices)]
    if not series_ids:
        return ObservationRows()
    measuring = [m for m in messages if m.observations and m.device is not None]
    found = [o for m in measuring for o in m.observations]
    message_no = np.repeat(np.arange(len(measuring)), [len(m.observations) for m in measuring])
    instant_us = _Instants()
    columns = {
        "series_id": np.array(series_ids, np.int64),
        "observed_at": np.array([instant_us(o.observed_at) for o in found], np.int64),
        "recorded_at": np.array([instant_us(m.recorded_at) for m in measuring], np.int64)[message_no],
        "value": np.array([o.value for o in found], np.float64),
        "flags": np.array([o.flags for o in found], np.int64),
        "profile_version": np.array([m.profile_version for m in measuring], np.int64)[message_no],
    }
    keys = ("profile_version", "observed_at", "series_id")
    order = np.lexsort([columns[name] for name in keys])  # stable: of equal keys the first given comes first
    columns = {name: values[order] for name, values in columns.items()}
    repeats = np.zeros(len(order), bool)
    repeats[1:] = np.logical_and.reduce([columns[name][1:] == columns[name][:-1] for name in keys])
    conflicts: list[ConflictRow] = []
    if repeats.any():
        first = np.maximum.accumulate(np.where(repeats, 0, np.arange(len(order))))
        for n in np.flatnonzero(repeats & (columns["value"] != columns["value"][first])):
            m, o = measuring[message_no[order[n]]], found[order[n]]
            conflicts.append((series_ids[order[n]], o.observed_at, m.profile_version, o.value, m.recorded_at))
        columns = {name: values[~repeats] for name, values in columns.items()}
    rows = copyrows.observation_rows(columns)
    return ObservationRows(len(found), len(columns["series_id"]), copyrows.framed([rows]), conflicts)


class _Instants:
    """Instants in microseconds; the observations of a message share theirs."""

    __slots__ = ("_last", "_last_us")

    def __init__(self) -> None:
        self._last: datetime | None = None
        self._last_us = 0

    def __call__(self, at: datetime) -> int:
        if at is not self._last:
            self._last, self._last_us = at, copyrows.instant_us(at)
        return self._last_us
