"""The past of a city as its registers and cameras have it, in chunks.

A window (start, end] holds what became known in it (`recorded_at`), not what happened in it: loading windows one after
the other gives the same as loading one long window, and nothing from after its end can leak in.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import SimulationError
from roadtwin.records.schema import RECORD_KINDS, Record
from roadtwin.records.segment_days import ROUGHNESS_SPEED_MIN_MPS, SegmentDays
from roadtwin.records.sensor_days import SensorDays
from roadtwin.types import VehicleReading
from simulators.devices.device_feed import DeviceFeed
from simulators.devices.sensor_days import SensorDayHistory
from simulators.instants import HOUR_US, us_of
from simulators.registers import MAX_LAG, registers_of
from simulators.truth.truth import DayEvents, local_day, truth_of
from simulators.vehicles.drives import Drives
from simulators.vehicles.readings import Cameras, PlainPseudonyms, Pseudonymiser
from simulators.world import World

_SENT_US = HOUR_US  # by then a drive is over and sent


@dataclass(frozen=True, slots=True)
class HistoryChunk:
    """What became known in one stretch of time.

    `records` by kind, in the order of recorded_at; `readings` only those that saw a pothole; `segment_days` for every
    segment and day that a camera passed, `sensor_days` for every series and day that a sensor measured, known when the
    day is over.
    """

    records: dict[str, list[Record]]
    readings: list[VehicleReading]
    segment_days: SegmentDays
    sensor_days: SensorDays


class History:
    """Windows (start, end] of a world's past, each part of it on its own.

    Quick for windows of up to a month in the order of time: the truth keeps its newest weeks at hand, and is run again
    from its beginning for what is older.
    """

    def __init__(self, world: World, pseudonyms: Pseudonymiser | None = None) -> None:
        """`pseudonyms` replaces vehicle ids, as the ingester does; without it unkeyed stand-ins."""
        self._world, self._truth = world, truth_of(world)
        self._registers, self._cameras = registers_of(self._truth), Cameras(self._truth)
        self._pseudonyms = pseudonyms or PlainPseudonyms()

    def records(self, start: datetime, end: datetime) -> dict[str, list[Record]]:
        """Records that became known, by kind, in the order of recorded_at.

        A window that begins on the world's first day also brings what the registers held from before.
        """
        found: dict[str, list[Record]] = {kind: [] for kind in RECORD_KINDS}
        since = start
        if start == self._world.day_start(self._world.epoch):
            since = start - timedelta(days=366 * 5)  # the registers of the first day hold the past
        for year in range(since.year - 1, end.year + 2):
            for kind, record in self._registers.of_year(year):
                if record.recorded_at is not None and since < record.recorded_at <= end:
                    found[kind].append(record)
        for events in self._days(start - MAX_LAG, end):
            for kind, record in self._registers.of_day(events):
                if record.recorded_at is not None and start < record.recorded_at <= end:
                    found[kind].append(record)
        found["survey"].extend(self._registers.surveys(since, end))
        found["weather"].extend(self._registers.weather(start, end))
        found["weather_forecast"].extend(self._registers.forecasts(start, end))
        for records in found.values():
            records.sort(key=lambda record: (record.recorded_at, record.record_id))
        return found

    def readings(self, start: datetime, end: datetime) -> list[VehicleReading]:
        """Readings that saw a pothole."""
        return [
            reading
            for events in self._days(start, end)
            for true_us, reading in self._cameras.with_potholes(Drives.of_day(events), self._pseudonyms)
            if us_of(start) < true_us <= us_of(end)
        ]

    def segment_days(self, start: datetime, end: datetime) -> SegmentDays:
        """What cameras saw of each segment on the local days that became known in the window.

        A day is known when it is over; where the box of a vehicle was without network, when that has sent all.
        """
        rows = _Rows()
        longest = timedelta(microseconds=self._truth.observers.timetable.faults.longest_delay_us)
        for events in self._days(start - longest, end):
            _, day_end_us = self._world.day_bounds_us(events.day)
            if us_of(start - longest) < day_end_us <= us_of(end):
                self._add_segment_days(rows, events, day_end_us, (us_of(start), us_of(end)))
        return rows.finished(self._world.segment_ids)

    def sensor_days(self, start: datetime, end: datetime) -> SensorDays:
        """What sensors measured on the local days that became known in the window; see `segment_days`.

        Raises SimulationError if the weather is measured and ends before.
        """
        self._world.weather.require(end)
        return self._sensors.window(us_of(start), us_of(end))

    @cached_property
    def _sensors(self) -> SensorDayHistory:
        return SensorDayHistory(self._world, DeviceFeed(self._truth))

    def _days(self, start: datetime, end: datetime) -> Iterator[DayEvents]:
        first = max(local_day(self._world, start), self._world.epoch)
        return self._truth.days(first, local_day(self._world, end) + timedelta(days=1))

    def _add_segment_days(self, rows: "_Rows", events: DayEvents, day_end_us: int, window_us: tuple[int, int]) -> None:
        drives = Drives.of_day(events)
        seen = self._cameras.views.by_segment(drives)
        segment, inverse = np.unique(seen.segment, return_inverse=True)
        count = len(segment)
        passes = drives.passes
        offline_us = self._truth.observers.timetable.faults.offline_us(passes.vehicle, passes.start_us)
        known_us = np.full(count, day_end_us)
        late = np.flatnonzero(offline_us[seen.row])
        np.maximum.at(known_us, inverse[late], (passes.start_us + offline_us)[seen.row[late]] + _SENT_US)
        columns = np.zeros((count, 6), np.int64)
        columns[:, 0] = np.bincount(inverse, minlength=count)
        columns[:, 1] = np.bincount(inverse, drives.quality.good[seen.row], count)
        for k in range(4):
            columns[:, 2 + k] = np.bincount(inverse, seen.reported[:, k], count)
        fast = passes.speed_mps[seen.row] >= ROUGHNESS_SPEED_MIN_MPS
        measured = np.bincount(inverse, fast, count)
        mean = np.bincount(inverse, np.where(fast, seen.roughness_mps2, 0.0), count) / np.maximum(measured, 1)
        inside = np.flatnonzero((known_us > window_us[0]) & (known_us <= window_us[1]))
        rows.segment.append(segment[inside].astype(np.int32))
        rows.day.append(np.full(len(inside), np.datetime64(events.day, "D")))
        rows.recorded.append(known_us[inside].astype("datetime64[us]"))
        rows.counts.append(columns[inside].astype(np.int16))
        rows.roughness.append(np.where(measured > 0, mean, np.nan)[inside].astype(np.float32))


@dataclass(slots=True)
class _Rows:
    """Columns of segment-days in the making."""

    segment: list[NDArray[np.int32]] = field(default_factory=list)
    day: list[NDArray[np.datetime64]] = field(default_factory=list)
    recorded: list[NDArray[np.datetime64]] = field(default_factory=list)
    counts: list[NDArray[np.int16]] = field(default_factory=list)  # (n, 6)
    roughness: list[NDArray[np.float32]] = field(default_factory=list)

    def finished(self, segment_ids: tuple[str, ...]) -> SegmentDays:
        counts = np.concatenate([*self.counts, np.zeros((0, 6), np.int16)])
        return SegmentDays(
            segment_ids=segment_ids,
            segment_index=np.concatenate([*self.segment, np.zeros(0, np.int32)]),
            day=np.concatenate([*self.day, np.zeros(0, "datetime64[D]")]),
            recorded_at=np.concatenate([*self.recorded, np.zeros(0, "datetime64[us]")]),
            passes=counts[:, 0],
            good_passes=counts[:, 1],
            longitudinal_cracks=counts[:, 2],
            transverse_cracks=counts[:, 3],
            alligator_cracks=counts[:, 4],
            potholes_seen=counts[:, 5],
            roughness_mps2=np.concatenate([*self.roughness, np.zeros(0, np.float32)]),
        )


def simulate_history(
    world: World,
    *,
    start: datetime,
    end: datetime,
    on_progress: Callable[[float], None] | None = None,
    pseudonyms: Pseudonymiser | None = None,
) -> Iterator[HistoryChunk]:
    """Chunks of about a month of what became known after `start` and up to `end`, in time order.

    A window that begins on the world's first day also brings what the registers held from before: surveys and plans.

    Parameters
    ----------
    start, end : datetime
        Aware; `start` not before the world's first day.
    on_progress : callable, optional
        Called with the part that is done, 0 to 1.
    pseudonyms : Pseudonymiser, optional
        Replaces vehicle ids, as the ingester does; without it unkeyed stand-ins.

    Raises
    ------
    SimulationError
        If the window is empty, lacks a zone or begins before the world does.
    """
    check_period(world, start, end)
    history = History(world, pseudonyms)
    for at, until in months_of(world, start, end):
        records, readings = history.records(at, until), history.readings(at, until)
        yield HistoryChunk(records, readings, history.segment_days(at, until), history.sensor_days(at, until))
        if on_progress is not None:
            on_progress((until - start) / (end - start))


def live_records(world: World, *, start: datetime, end: datetime) -> dict[str, list[Record]]:
    """Records by kind that became known after `start` and up to `end`; with `messages` the whole of that period."""
    check_period(world, start, end)
    return History(world).records(start, end)


def check_period(world: World, start: datetime, end: datetime) -> None:
    """Raise SimulationError for a period that lacks a zone, ends before it begins or begins before the world does."""
    if start.tzinfo is None or end.tzinfo is None:
        raise SimulationError("Period: got a time without zone, expected times with an offset.")
    if end < start:
        raise SimulationError(f"Period: got an end {end.isoformat()} before its begin {start.isoformat()}.")
    if local_day(world, start) < world.epoch:
        raise SimulationError(
            f"Begin: got {start.isoformat()}, expected no time before the world's first day, {world.epoch}."
        )


def months_of(world: World, start: datetime, end: datetime) -> Iterator[tuple[datetime, datetime]]:
    """Windows (start, end] cut where local months begin."""
    at = start
    while at < end:
        day = local_day(world, at)
        month = day.replace(year=day.year + day.month // 12, month=day.month % 12 + 1, day=1)
        until = min(world.day_start(month), end)
        yield at, until
        at = until
