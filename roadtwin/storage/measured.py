"""What was measured with the messages of a batch, as rows for COPY: observations, vehicle readings, detections."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, LiteralString

import numpy as np
import psycopg

from roadtwin.storage import copyrows
from roadtwin.storage.devices import DeviceBook, SeriesKey
from roadtwin.storage.queries import load
from roadtwin.types import Message, Observation

Connection = psycopg.Connection[Any]
ConflictRow = tuple[int, datetime, int, float, datetime]


@dataclass(frozen=True, slots=True)
class ObservationRows:
    """Observations of a batch: `given` by its messages, `count` rows with different keys in `framed` for COPY."""

    given: int
    count: int
    framed: bytes
    conflicts: list[ConflictRow]


def observation_rows(conn: Connection, messages: Sequence[Message], book: DeviceBook) -> ObservationRows | None:
    """The rows, sorted by key, with series that are met for the first time made; None when nothing was measured.

    Of equal keys inside the batch the first row stands; one with another value is a conflict.
    """
    found: list[tuple[SeriesKey, Message, Observation]] = [
        ((device_id, o.channel, o.quantity, o.depth_cm), m, o)
        for m in messages
        if m.observations and m.device is not None
        for device_id in (book.devices[m.device].device_id,)
        for o in m.observations
    ]
    if not found:
        return None
    ids = book.series
    try:
        series_ids = [ids[key] for key, _, _ in found]
    except KeyError:
        book.meet_series(conn, (key for key, _, _ in found))
        series_ids = [ids[key] for key, _, _ in found]
    instant_us = _Instants()
    columns = {
        "series_id": np.array(series_ids, np.int64),
        "observed_at": np.array([instant_us(o.observed_at) for _, _, o in found], np.int64),
        "recorded_at": np.array([instant_us(m.recorded_at) for _, m, _ in found], np.int64),
        "value": np.array([o.value for _, _, o in found], np.float64),
        "flags": np.array([o.flags for _, _, o in found], np.int64),
        "profile_version": np.array([m.profile_version for _, m, _ in found], np.int64),
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
            key, m, o = found[order[n]]
            conflicts.append((ids[key], o.observed_at, m.profile_version, o.value, m.recorded_at))
        columns = {name: values[~repeats] for name, values in columns.items()}
    count = len(columns["series_id"])
    return ObservationRows(len(found), count, copyrows.framed([copyrows.observation_rows(columns)]), conflicts)


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


def write_vehicle_readings(conn: Connection, messages: Sequence[Message], origin: str, *, staged: bool) -> None:
    """Vehicle readings and their detections; `staged` keeps those that are there already as they are."""
    readings = [
        (m.vehicle_reading, copyrows.instant_us(m.vehicle_reading.observed_at), copyrows.instant_us(m.recorded_at))
        for m in messages
        if m.vehicle_reading is not None
    ]
    if not readings:
        return
    _write(
        conn,
        "vehicle_readings",
        [copyrows.vehicle_reading_row(r, observed, recorded, origin) for r, observed, recorded in readings],
        staged=staged,
    )
    detections = [
        copyrows.detection_row(r, detection, observed, recorded)
        for r, observed, recorded in readings
        for detection in r.detections
    ]
    if detections:
        _write(conn, "detections", detections, staged=staged)


def _write(conn: Connection, what: str, rows: Sequence[bytes], *, staged: bool) -> None:
    sql = load("messages")
    statement: LiteralString = sql[f"copy_incoming_{what}" if staged else f"copy_{what}"]
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(copyrows.framed(rows))
    if staged:
        conn.execute(sql[f"insert_{what}"])
