"""Loading a long past in bulk: records, detections, days of segments and sensors in place of raw messages."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, timedelta
from typing import Any, Protocol

import numpy as np
import psycopg
from numpy.typing import NDArray
from psycopg.pq import TransactionStatus

from roadtwin.errors import InputFileError
from roadtwin.jobs.importing import import_records
from roadtwin.records.schema import Record
from roadtwin.records.segment_days import SegmentDays
from roadtwin.records.sensor_days import SensorDays
from roadtwin.storage.devices import devices_by_name, resolve_series
from roadtwin.storage.network import read_current_segments
from roadtwin.storage.potholes import forget_derivation
from roadtwin.storage.readings import load_segment_days, load_vehicle_readings
from roadtwin.storage.sensor_days import load_sensor_days
from roadtwin.types import DeviceKey, Origin, VehicleReading

READING_LAG = timedelta(minutes=1)
"""A vehicle that is on the air publishes as it drives: its reading is known this long after it was made."""


class HistoryChunk(Protocol):
    """A stretch of the past, as the simulator or an archive gives it."""

    @property
    def records(self) -> Mapping[str, Sequence[Record]]:
        """Records by kind, each with its own recorded_at."""

    @property
    def readings(self) -> Sequence[VehicleReading]:
        """Vehicle readings that saw a pothole."""

    @property
    def segment_days(self) -> SegmentDays:
        """What all passes saw, by segment and local day."""

    @property
    def sensor_days(self) -> SensorDays:
        """What sensors measured, by series and local day."""


@dataclass(frozen=True, slots=True)
class HistoryCounts:
    """What was new; what was there already was left as it is."""

    records: int
    readings: int
    segment_days: int
    sensor_days: int


def load_history(conn: psycopg.Connection[Any], chunks: Iterable[HistoryChunk]) -> HistoryCounts:
    """Write chunks; each is a transaction of its own, or all are a part of the caller's. Loaded again, nothing changes.

    Every record carries its recorded_at; a vehicle reading is taken as known one minute after it was made.

    Sensors that nobody registered are met as by a message: unconfirmed, so that no model uses them.

    Raises InputFileError for a record without recorded_at and for a segment that the network does not have.
    """
    caller_has_begun = conn.info.transaction_status != TransactionStatus.IDLE
    segment_ids = {segment.public_id: segment.segment_id for segment in read_current_segments(conn)}
    if not caller_has_begun:
        conn.commit()  # ends what reading began, so that each chunk is a transaction of its own
    records = readings = segment_days = sensor_days = 0
    for chunk in chunks:
        with conn.transaction():
            for kind, members in chunk.records.items():
                counts = import_records(conn, kind, members, origin=Origin.LOADED)
                if counts.rejections:
                    raise InputFileError(f"History: {counts.rejected} records rejected, first: {counts.rejections[0]}")
                records += counts.stored
            known = ((reading, reading.observed_at + READING_LAG) for reading in chunk.readings)
            readings += load_vehicle_readings(conn, known, origin=Origin.LOADED)
            days = load_segment_days(conn, _rows(chunk.segment_days, segment_ids))
            if days:  # looks of a past that may have been derived already
                known_at = chunk.segment_days.recorded_at.min().astype("datetime64[us]").item()
                forget_derivation(conn, recorded_at=known_at.replace(tzinfo=UTC))
            segment_days += days
            sensor_days += load_sensor_days(conn, _sensor_columns(conn, chunk.sensor_days))
    return HistoryCounts(records, readings, segment_days, sensor_days)


def _rows(days: SegmentDays, segment_ids: Mapping[str, int]) -> Iterator[tuple[object, ...]]:
    unknown = [public_id for public_id in days.segment_ids if public_id not in segment_ids]
    if unknown:
        raise InputFileError(f"History: the network has no segment {unknown[0]} ({len(unknown)} unknown in all).")
    ids = [segment_ids[public_id] for public_id in days.segment_ids]
    columns = (
        [ids[i] for i in days.segment_index.tolist()],
        days.day.tolist(),
        # The driver writes naive times as they stand, and the session runs in UTC.
        days.recorded_at.astype("datetime64[us]").tolist(),
        [Origin.LOADED.value] * len(days.day),
        days.passes.tolist(),
        days.good_passes.tolist(),
        days.longitudinal_cracks.tolist(),
        days.transverse_cracks.tolist(),
        days.alligator_cracks.tolist(),
        days.potholes_seen.tolist(),
        [None if value != value else value for value in days.roughness_mps2.tolist()],
    )
    return zip(*columns, strict=True)


def _sensor_columns(conn: psycopg.Connection[Any], days: SensorDays) -> dict[str, NDArray[Any]]:
    """Columns as `load_sensor_days` wants them. Devices and series that are new are made, as a message would do it."""
    devices = [DeviceKey(series.network_source, series.application, series.device) for series in days.series]
    known = devices_by_name(conn, set(devices))
    keys = [
        (known[device].device_id, series.channel, series.quantity, series.depth_cm)
        for device, series in zip(devices, days.series, strict=True)
    ]
    ids = resolve_series(conn, set(keys))
    return {
        "series_id": np.array([ids[key] for key in keys], np.int32)[days.series_index],
        "day": days.day,
        "recorded_at": days.recorded_at,
        "count": days.count,
        "minimum": days.minimum,
        "mean": days.mean,
        "maximum": days.maximum,
        "freeze_thaw_cycles": days.freeze_thaw_cycles,
    }
