"""The feed of the vehicles: a reading every ten metres, also when nothing is seen."""

from collections.abc import Iterator
from datetime import date, datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.feed import FeedBlock, TimedMessage
from simulators.instants import HOUR_US, as_time, us_of
from simulators.truth.truth import Truth, local_day
from simulators.vehicles.camera import frame_quality
from simulators.vehicles.drives import Drives
from simulators.vehicles.readings import Cameras
from simulators.vehicles.traffic import Passes
from simulators.vehicles.vehicle_wire import payloads
from simulators.weather.weather import hourly_weather

_BUFFERED_SHARE, _BUFFERED_S = 0.03, (300.0, 2400.0)
"""Share of drives whose box was off the air and sends its readings up to forty minutes later."""
_SENDING_S = (0.6, 2.4)
_BREAK_US = 120_000_000  # of an additional bus between two circuits
_BUSES_AT_ONCE = 100  # whose messages of an hour are made together: more of them take shorter portions


class VehicleFeed:
    """Messages of the timetable's vehicles and of additional buses."""

    def __init__(self, truth: Truth, additional_buses: int) -> None:
        self._truth, self._world = truth, truth.world
        self._timetable = truth.observers.timetable
        self._cameras, self._buses = Cameras(truth), additional_buses
        fleet = self._timetable.fleet
        self._topics = [
            f"roadtwin/v1/vehicles/{fleet.name(vehicle)}/readings"
            for vehicle in range(fleet.scheduled + additional_buses)
        ]
        self._longest_delay_us = self._timetable.faults.longest_delay_us + round(1e6 * (_BUFFERED_S[1] + _SENDING_S[1]))

    def messages(self, start: datetime, end: datetime) -> Iterator[TimedMessage]:
        """Messages published in [start, end), an hour at a time; both aware."""
        begin_us, end_us = us_of(start), us_of(end)
        for at_us in range(begin_us, end_us, HOUR_US):
            yield from self.block(at_us, min(at_us + HOUR_US, end_us))

    def block(self, begin_us: int, end_us: int) -> FeedBlock:
        """Messages published in [begin, end), µs since 1970, UTC: the same however a period is cut.

        Takes 1 kB of memory for each message of the window; what else is needed is bounded.
        """
        portion_us = HOUR_US // (1 + self._buses // _BUSES_AT_ONCE)
        return FeedBlock.merged(
            self._portion(at_us, min(at_us + portion_us, end_us)) for at_us in range(begin_us, end_us, portion_us)
        )

    def _portion(self, begin_us: int, end_us: int) -> FeedBlock:
        parts = [*self._of_timetable(begin_us, end_us), *self._of_additional(begin_us, end_us)]
        if not parts:
            return FeedBlock(np.zeros(0, np.int64), [], [])
        drives = Drives.joined(parts)
        columns = self._cameras.everything(drives)
        publish_us = columns.true_us + self._delay_us(drives.passes, drives.time_key)[columns.row]
        inside = np.flatnonzero((publish_us >= begin_us) & (publish_us < end_us))
        texts = payloads(drives, columns.take(inside), self._timetable.faults.versions)
        vehicle = drives.passes.vehicle[columns.row[inside]]
        return FeedBlock.of(publish_us[inside], [self._topics[v] for v in vehicle.tolist()], texts)

    def _of_timetable(self, begin_us: int, end_us: int) -> Iterator[Drives]:
        """Drives of the timetable from which something is published in a window."""
        first = max(local_day(self._world, as_time(begin_us - self._longest_delay_us - HOUR_US)), self._world.epoch)
        for ordinal in range(first.toordinal(), local_day(self._world, as_time(end_us)).toordinal() + 1):
            drives = Drives.of_day(self._truth.day(date.fromordinal(ordinal)))
            rows = self._due(drives.passes, drives.time_key, begin_us, end_us)
            if len(rows):
                yield drives.take(rows)

    def _due(self, passes: Passes, time_key: NDArray[np.int64], begin_us: int, end_us: int) -> NDArray[np.intp]:
        sent_us = passes.start_us + self._delay_us(passes, time_key)
        length = self._world.geometry.section_length_m[passes.section]
        lasts_us = (length / passes.speed_mps * 1e6).astype(np.int64) + 1
        return np.flatnonzero((sent_us < end_us) & (sent_us + lasts_us >= begin_us))

    def _delay_us(self, passes: Passes, time_key: NDArray[np.int64]) -> NDArray[np.int64]:
        """From reading to publication, by drive."""
        drawn = self._world.streams.uniforms("messages/delay", passes.key, time_key, 3)
        (low, high), (least, most) = _SENDING_S, _BUFFERED_S
        buffered = (drawn[1] < _BUFFERED_SHARE) & ~self._timetable.is_additional(passes.key)
        seconds = low + (high - low) * drawn[0] + np.where(buffered, least + (most - least) * drawn[2], 0.0)
        offline_us = self._timetable.faults.offline_us(passes.vehicle, passes.start_us)
        result: NDArray[np.int64] = np.round(seconds * 1e6).astype(np.int64) + offline_us
        return result

    # -- additional buses ------------------------------------------------------------------------------------------
    def _of_additional(self, begin_us: int, end_us: int) -> Iterator[Drives]:
        """Drives of additional buses from which something is published in a window, by local day."""
        parts, numbers = [], []
        for bus in range(self._buses):
            # A bus is on its line again and again, by night too: circuits begin at multiples of a slot.
            slot_us = self._timetable.circuit_us(bus) + _BREAK_US
            phase_us = int(self._world.streams.numbers("messages/bus", bus, 0, 1)[0] * 1e9)
            first = (begin_us - self._longest_delay_us - phase_us) // slot_us - 1
            for circuit in range(first, (end_us - phase_us) // slot_us + 1):
                passes = self._timetable.circuit(bus, circuit * slot_us + phase_us)
                parts.append(passes)
                numbers.append(np.full(len(passes.key), circuit))
        if not parts:
            return
        passes, number = Passes.joined(parts), np.concatenate(numbers)
        rows = self._due(passes, number, begin_us, end_us)
        passes, number = passes.take(rows), number[rows]
        rows = np.flatnonzero(self._timetable.faults.present(passes.vehicle, passes.start_us))
        yield from self._watched(passes.take(rows), number[rows])

    def _watched(self, passes: Passes, number: NDArray[np.int64]) -> Iterator[Drives]:
        """What additional buses see; they know the holes of the day on which a drive begins."""
        if not len(passes.key):
            return
        day = local_day(self._world, as_time(int(passes.start_us.min())))
        last = local_day(self._world, as_time(int(passes.start_us.max())))
        self._truth.day(max(last, self._world.epoch) + timedelta(days=1))  # holes are closed on the day after, too
        while day <= last:
            day_begin_us, day_end_us = self._world.day_bounds_us(day)
            rows = np.flatnonzero((passes.start_us >= day_begin_us) & (passes.start_us < day_end_us))
            rows = rows[np.argsort(passes.section[rows], kind="stable")]
            if len(rows) and day >= self._world.epoch:
                yield self._watched_on(day, passes.take(rows), number[rows])
            day += timedelta(days=1)

    def _watched_on(self, day: date, passes: Passes, number: NDArray[np.int64]) -> Drives:
        start = self._world.day_start(day)
        weather = hourly_weather(self._world.weather, start - timedelta(hours=2), start + timedelta(hours=26))
        quality = frame_quality(self._world, passes, weather, number)
        clock, holes = self._truth.day(day).clock, self._truth.holes
        count, latest_us = len(holes), int(passes.start_us.max()) + HOUR_US
        which = np.flatnonzero(
            (holes.closed_us[:count] > int(passes.start_us.min())) & (holes.born_us[:count] < latest_us)
        )
        seen = self._truth.observers.seen(passes, quality, number, holes, which, clock)
        return Drives.made(passes, quality, seen, number, day, clock)
