"""Sensor-days of the past: what the sensors' messages would come to by local day, without making the messages.

Samples, radio and values are those of the live feed; which values are doubtful is judged as the ingester does it.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from ingest.profile import ProfileLibrary, load_profiles
from ingest.profile_files import Step
from ingest.quality import NEVER, Limits, SeriesState, judge_values
from roadtwin.records.sensor_days import (
    FREEZE_BELOW_C,
    TEMPERATURES,
    THAW_ABOVE_C,
    SensorDays,
    SensorSeries,
)
from roadtwin.types import UNFIT, Flag
from roadtwin.units import QUANTITIES, SENSOR_DAY_QUANTITIES
from simulators.devices.device_feed import DeviceFeed, Heard
from simulators.devices.device_kinds import DeviceKind
from simulators.instants import DAY_US
from simulators.world import World

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

_STEP_DAYS = 31
_UNDERWAY_US = 60_000_000
"""A sample is received so long after its nominal time at most: jitter, and four attempts."""
_KEPT_DAYS = 40
"""A window of a month asks for days that were over before it began where uplinks came late."""


@dataclass(slots=True)
class _Field:
    """One measured field of a kind: its series, one a device, and what is known of each so far."""

    name: str
    step: Step
    first: int
    """Place of the series of the kind's first device; the others follow in the order of the devices."""
    limits: Limits
    state: SeriesState
    frozen: NDArray[np.bool_]
    """Whether the last value outside of the hysteresis was one of frost."""


@dataclass(frozen=True, slots=True)
class _Rows:
    """n rows in the making."""

    series: NDArray[np.int32]
    day: Ints  # since 1970
    known_us: Ints
    numbers: Floats  # count, minimum, mean, maximum, cycles; (5, n)


class SensorDayHistory:
    """Windows (start, end] of the sensor-days of a world.

    Quick for windows in the order of time: what a series was before is kept, and is made again from the world's first
    day on for what is older.
    """

    def __init__(self, world: World, feed: DeviceFeed) -> None:
        self._world, self._feed = world, feed
        self._made: list[_Rows]
        self._series: list[SensorSeries]
        self._forgotten_us: int
        self._begin()

    def window(self, start_us: int, end_us: int) -> SensorDays:
        """Sensor-days that became known after `start_us` and up to `end_us`, in the order of recorded_at [µs]."""
        if start_us < self._forgotten_us:
            self._begin()
        while (days := self._days_over(end_us)) is not None:
            for kind, devices, fields in self._kinds:
                self._made += self._rows(kind, devices, fields, days)
        chosen = [_where(rows, (rows.known_us > start_us) & (rows.known_us <= end_us)) for rows in self._made]
        self._forgotten_us = max(self._forgotten_us, end_us - _KEPT_DAYS * DAY_US)
        self._made = [rows for rows in self._made if rows.known_us.max(initial=0) > self._forgotten_us]
        return self._table(chosen)

    def _begin(self) -> None:
        self._next, self._made = self._world.epoch, []
        self._forgotten_us = self._world.day_bounds_us(self._next)[0] - 1
        self._series = []
        library = load_profiles()
        kinds = [(kind, devices, self._fields(kind, devices, library)) for kind, devices in self._feed.kinds]
        self._kinds = [entry for entry in kinds if entry[2]]

    def _days_over(self, end_us: int) -> list[date] | None:
        """The next local days that are over at an instant, a month of them at most."""
        days: list[date] = []
        while len(days) < _STEP_DAYS and self._world.day_bounds_us(self._next)[1] <= end_us:
            days.append(self._next)
            self._next += timedelta(days=1)
        return days or None

    # -- series ----------------------------------------------------------------------------------------------------
    def _fields(self, kind: DeviceKind, devices: NDArray[np.int32], library: ProfileLibrary) -> list[_Field]:
        profile = library.find(kind.profile_name)
        assert profile is not None, "kinds of devices have profiles"
        measured = {field.name for field in kind.measured}
        fields = []
        for step in profile.steps:
            if step.quantity not in SENSOR_DAY_QUANTITIES or step.key not in measured:
                continue
            quantity, count = QUANTITIES[step.quantity], len(devices)
            bounds = (quantity.max_rate_per_h, quantity.stuck_after_h, quantity.minimum, quantity.maximum)
            limits = Limits(*(np.full(count, np.nan if bound is None else bound) for bound in bounds))
            state = SeriesState(
                last_at=np.full(count, NEVER),
                last_value=np.full(count, np.nan),
                unchanged_since=np.full(count, NEVER),
                unchanged_count=np.zeros(count, np.int64),
                stuck=np.zeros(count, bool),
                sound_at=np.full(count, NEVER),
                sound_value=np.full(count, np.nan),
            )
            fields.append(_Field(str(step.key), step, len(self._series), limits, state, np.zeros(count, bool)))
            for device in (self._world.devices[number] for number in devices.tolist()):
                who = (device.network_source, device.application, device.device)
                self._series.append(SensorSeries(*who, step.channel, step.quantity, step.depth_cm))
        return fields

    # -- values ----------------------------------------------------------------------------------------------------
    def _rows(
        self, kind: DeviceKind, devices: NDArray[np.int32], fields: list[_Field], days: list[date]
    ) -> Iterator[_Rows]:
        edges = np.array([self._world.day_bounds_us(days[0])[0], *(self._world.day_bounds_us(day)[1] for day in days)])
        heard = self._feed.heard(devices, int(edges[0]) - _UNDERWAY_US, int(edges[-1]))
        heard = heard.where((heard.received_us >= edges[0]) & (heard.received_us < edges[-1]))
        values = self._feed.sensors.values(kind, heard.device, heard.index, heard.at_us)
        row = np.searchsorted(devices, heard.device)
        place = np.searchsorted(edges, heard.received_us, side="right") - 1
        for own in fields:
            fit = self._fit(own, row, heard, values[own.name])
            value = values[own.name][fit] * own.step.factor + own.step.offset
            thaws = self._thaws(own, row[fit], value)
            group = row[fit] * len(days) + place[fit]
            first = np.flatnonzero(np.diff(group, prepend=-1))
            if not len(first):
                continue
            count = np.diff(first, append=len(group))
            numbers = [
                count.astype(np.float64),
                np.minimum.reduceat(value, first),
                np.add.reduceat(value, first) / count,
                np.maximum.reduceat(value, first),
                np.add.reduceat(thaws, first),
            ]
            day = place[fit][first]
            yield _Rows(
                (own.first + row[fit][first]).astype(np.int32),
                np.datetime64(days[0], "D").astype(np.int64) + day,
                np.maximum(np.maximum.reduceat(heard.known_us[fit], first), edges[day + 1]),
                np.stack(numbers),
            )

    def _fit(self, own: _Field, row: NDArray[np.intp], heard: Heard, sent: Floats) -> NDArray[np.bool_]:
        """Which values the ingester gives no flag that makes them unfit."""
        step = own.step
        value = sent * step.factor + step.offset
        flags = np.where((value < step.low) | (value > step.high), int(Flag.RANGE), 0)
        flags |= np.where(np.isin(sent, step.sentinels), int(Flag.SENTINEL), 0)
        flags |= np.where(heard.is_skewed, int(Flag.SKEW), 0)
        added, own.state = judge_values(row.astype(np.int64), heard.received_us, value, flags, own.state, own.limits)
        fit: NDArray[np.bool_] = (flags | added) & int(UNFIT) == 0
        return fit

    def _thaws(self, own: _Field, row: NDArray[np.intp], value: Floats) -> Floats:
        """1 where a value ends a freeze–thaw cycle of its series, else 0."""
        if own.step.quantity not in TEMPERATURES:
            return np.zeros(len(value))
        thaws = np.zeros(len(value))
        outside = np.flatnonzero((value < FREEZE_BELOW_C) | (value > THAW_ABOVE_C))
        frost, who = value[outside] < FREEZE_BELOW_C, row[outside]
        begins = np.diff(who, prepend=-1) != 0
        before = np.where(begins, own.frozen[who], np.roll(frost, 1))
        thaws[outside[before & ~frost]] = 1.0
        own.frozen[who] = frost  # of equal indices the last one stays: the newest
        return thaws

    def _table(self, parts: list[_Rows]) -> SensorDays:
        none = _Rows(np.zeros(0, np.int32), np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((5, 0)))
        series, day, known_us = (
            np.concatenate([getattr(part, name) for part in (none, *parts)]) for name in ("series", "day", "known_us")
        )
        numbers = np.concatenate([part.numbers for part in (none, *parts)], axis=1)
        order = np.lexsort((day, series, known_us))
        count, minimum, mean, maximum, cycles = numbers[:, order]
        is_temperature = np.array([series.quantity in TEMPERATURES for series in self._series], bool)[series[order]]
        return SensorDays(
            series=tuple(self._series),
            series_index=series[order],
            day=day[order].astype("datetime64[D]"),
            recorded_at=known_us[order].astype("datetime64[us]"),
            count=count.astype(np.int16),
            minimum=minimum.astype(np.float32),
            mean=mean.astype(np.float32),
            maximum=maximum.astype(np.float32),
            freeze_thaw_cycles=np.where(is_temperature, cycles, -1).astype(np.int16),
        )


def _where(rows: _Rows, mask: NDArray[np.bool_]) -> _Rows:
    return _Rows(rows.series[mask], rows.day[mask], rows.known_us[mask], rows.numbers[:, mask])
