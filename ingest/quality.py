"""Quality that only history tells. Pure: arrays and the state before go in, flags and the state after come out.

Instants are integers, microseconds since 1970 UTC; `NEVER` stands for none. A device, a series or a gateway is the
number of its row in the arrays of the state. New values may come in any order.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadtwin.types import DOUBTFUL_TIME, Flag

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

NEVER = int(np.iinfo(np.int64).min)
SECOND = 1_000_000
HOUR = 3600 * SECOND
DAY = 24 * HOUR

RATE_SPAN_S = 300
"""Changes are judged over this time at least [s]: within seconds, noise and resolution look like a fast change."""
STUCK_VALUES = 10
"""So many equal values at least make a series stuck: a device that sends twice a day says little in two days."""
RECENT = DAY
"""How fast running means forget: what is a day older counts 1/e of it."""
MEDIAN_MEMORY = 50
"""Intervals that the running median remembers: one more counts 1/51."""
MOST_PARTS = 4.0
"""An interval counts by its length against the median, as this many intervals at most: one outage is one outage."""
LOW_BATTERY_PCT = 10.0
"""LoRaWAN devices report 254 levels; at a tenth, weeks are left to change the battery."""
LOW_BATTERY_SHARE = 0.8
"""Of the highest voltage that the device ever told: 2.9 of 3.6 V (lithium), 2.6 of 3.2 V (alkaline), 10.2 of 12.7 V."""
LOWEST_BATTERY_V = 2.1
"""Below it radios and controllers stop, whatever the battery [V]. 0 V is told by devices on the mains."""

_NO_MEASUREMENT = int(Flag.RANGE | Flag.SENTINEL | Flag.FUTURE)


@dataclass(frozen=True, slots=True)
class SeriesState:
    """What the next value of each series is compared with; one element a series."""

    last_at: Ints
    last_value: Floats
    unchanged_since: Ints
    unchanged_count: Ints
    stuck: Bools
    sound_at: Ints
    sound_value: Floats

    def copy(self) -> "SeriesState":
        """One that may be written to."""
        return SeriesState(*(getattr(self, name).copy() for name in self.__slots__))


@dataclass(frozen=True, slots=True)
class Limits:
    """Limits of each series, NaN where nothing is judged; see `roadtwin.units.Quantity`."""

    max_rate_per_h: Floats
    stuck_after_h: Floats
    minimum: Floats
    maximum: Floats


def judge_values(
    series: Ints, at: Ints, value: Floats, flags: Ints, state: SeriesState, limits: Limits
) -> tuple[Ints, SeriesState]:
    """Which values changed too fast, which are stuck.

    Parameters
    ----------
    series, at, value, flags : ndarray
        The new observations in any order. Values out of range, marked as none or ahead of time are passed over.

    Returns
    -------
    flags : ndarray
        `Flag.RATE` and `Flag.STUCK` to add, one element an observation.
    state : SeriesState
        For the next time.

    Notes
    -----
    A value is compared with the newest *sound* one before it, so one spike does not make its successor doubtful, and a
    lasting step is accepted as soon as nature could have made it. What is older than the state is late: it is compared
    with the newest sound value, and it ends a run of equal values that it lies in; flags given before stay.
    """
    state, added = state.copy(), np.zeros(len(value), np.int64)
    index = np.flatnonzero(((flags & _NO_MEASUREMENT) == 0) & np.isfinite(value))
    index = index[np.lexsort((at[index], series[index]))]
    late = at[index] <= state.last_at[series[index]]
    timed = (flags[index] & int(DOUBTFUL_TIME)) == 0  # arrival times of a backlog say nothing of how fast it changed

    judged = index[timed & late]
    s = series[judged]
    fast = _exceeds(state.sound_at[s], state.sound_value[s], at[judged], value[judged], limits.max_rate_per_h[s])
    added[judged[fast]] |= int(Flag.RATE)
    _end_runs(state, series[index[late]], at[index[late]], value[index[late]])

    judged = index[timed & ~late]
    fast = _too_fast(series[judged], at[judged], value[judged], state, limits.max_rate_per_h)
    added[judged[fast]] |= int(Flag.RATE)

    judged = index[~late]
    stuck = _stuck(series[judged], at[judged], value[judged], state, limits)
    added[judged[stuck]] |= int(Flag.STUCK)
    return added, state


def _exceeds(sound_at: Ints, sound_value: Floats, at: Ints, value: Floats, max_rate_per_h: Floats) -> Bools:
    known = sound_at != NEVER
    span_h = np.maximum(np.abs(at - np.where(known, sound_at, at)), RATE_SPAN_S * SECOND) / HOUR
    exceeds: Bools = known & (np.abs(value - sound_value) > max_rate_per_h * span_h)  # NaN: no limit
    return exceeds


def starts(keys: Ints) -> Bools:
    """Where a new group begins in sorted keys."""
    first = np.ones(len(keys), bool)
    first[1:] = keys[1:] != keys[:-1]
    return first


def _before(first: Bools, values: NDArray[np.generic], of_state: NDArray[np.generic]) -> NDArray[np.generic]:
    """The value before each one of its group, that of the state before its first."""
    return np.where(first, of_state, np.roll(values, 1))


def _too_fast(s: Ints, t: Ints, v: Floats, state: SeriesState, max_rate_per_h: Floats) -> Bools:
    """Sorted values newer than the state; writes the newest sound ones into it."""
    first = starts(s)
    sound_at, sound_value = _before(first, t, state.sound_at[s]), _before(first, v, state.sound_value[s])
    fast = _exceeds(sound_at.astype(np.int64), sound_value.astype(np.float64), t, v, max_rate_per_h[s])
    if fast.any():  # what is sound then depends on what was: step by step, for these series alone
        doubtful = np.zeros(len(state.sound_at), bool)
        doubtful[s[fast]] = True
        positions = np.flatnonzero(doubtful[s])
        fast[positions] = _one_by_one(s[positions], t[positions], v[positions], state, max_rate_per_h)
    state.sound_at[s[~fast]] = t[~fast]  # of equal indices the last one stays: the newest
    state.sound_value[s[~fast]] = v[~fast]
    return fast


def _one_by_one(s: Ints, t: Ints, v: Floats, state: SeriesState, max_rate_per_h: Floats) -> list[bool]:
    fast: list[bool] = []
    current, sound_at, sound_value, rate = -1, NEVER, 0.0, 0.0
    for number, at, value in zip(s.tolist(), t.tolist(), v.tolist(), strict=True):
        if number != current:
            current, rate = number, float(max_rate_per_h[number]) / HOUR
            sound_at, sound_value = int(state.sound_at[number]), float(state.sound_value[number])
        span = max(at - sound_at, RATE_SPAN_S * SECOND)
        too_fast = sound_at != NEVER and abs(value - sound_value) > rate * span
        fast.append(too_fast)
        if not too_fast:
            sound_at, sound_value = at, value
    return fast


def _end_runs(state: SeriesState, s: Ints, t: Ints, v: Floats) -> None:
    """A late value unlike the run that it lies in: the run began after it, at the newest value for all we know."""
    inside = (t > state.unchanged_since[s]) & (v != state.last_value[s])
    ended = s[inside]
    state.unchanged_since[ended] = state.last_at[ended]
    state.unchanged_count[ended] = 1
    state.stuck[ended] = False


def _stuck(s: Ints, t: Ints, v: Floats, state: SeriesState, limits: Limits) -> Bools:
    """Sorted values newer than the state; writes the newest run of equal ones into it."""
    first = starts(s)
    changed = (v != _before(first, v, state.last_value[s])) | (first & (state.last_at[s] == NEVER))
    index = np.arange(len(s))
    group = np.maximum.accumulate(np.where(first, index, 0))
    change = np.maximum.accumulate(np.where(changed, index, -1))
    here = change >= group  # the run began among the new values
    since = np.where(here, t[change], state.unchanged_since[s])
    count = np.where(here, index - change + 1, state.unchanged_count[s] + index - group + 1)
    long_enough = (t - since > limits.stuck_after_h[s] * HOUR) & (count >= STUCK_VALUES)
    stuck: Bools = long_enough & (v > limits.minimum[s]) & (v < limits.maximum[s])  # no rain, 100 % humidity: weather
    state.last_at[s], state.last_value[s] = t, v
    state.unchanged_since[s], state.unchanged_count[s], state.stuck[s] = since, count, stuck
    return stuck


@dataclass(frozen=True, slots=True)
class RunningMean:
    """Means that forget (`RECENT`), one element each; NaN where there is none yet."""

    mean: Floats
    weight: Floats

    def with_values(self, row: Ints, at: Ints, value: Floats, kept: Floats, newest_at: Ints) -> "RunningMean":
        """The means after these values (NaN is none), with the old ones weighted by `kept`, as of `newest_at`."""
        told = np.isfinite(value)
        row, at, value = row[told], at[told], value[told]
        weights, old = fading(newest_at[row], at), self.weight * kept
        total = old + np.bincount(row, weights, len(old))
        sums = np.where(old > 0, self.mean, 0.0) * old + np.bincount(row, weights * value, len(old))
        mean = np.divide(sums, total, out=self.mean.copy(), where=total > 0)
        return RunningMean(mean, total)


def fading(newest: Ints, at: Ints) -> Floats:
    """Weight of what was at `at` when `newest` is now; 0 for never."""
    never = (at == NEVER) | (newest == NEVER)
    age = np.where(never, 0, newest - np.where(never, newest, at))
    weight: Floats = np.where(never, 0.0, np.exp(-np.maximum(age, 0) / RECENT))
    return weight


def running_median(median_s: Floats, count: Ints, newest_at: Ints, device: Ints, at: Ints) -> tuple[Floats, Ints]:
    """Median interval between uplinks [s] and the number of intervals behind it, after uplinks in any order.

    Intervals are weighted by their length: the median is that of the interval in which a chance moment lies, so that a
    device that sends three frames at once, once a day, has a day. The median of the new ones moves the old one by how
    much they count (`MOST_PARTS`) against `MEDIAN_MEMORY`, by a factor of two at most: a night of silence does not make
    a device slow. Late uplinks are left out.
    """
    fresh = at > newest_at[device]
    device, at = device[fresh], at[fresh]
    order = np.lexsort((at, device))
    device, at = device[order], at[order]
    before = np.where(starts(device), newest_at[device], np.roll(at, 1))
    later = (before != NEVER) & (at > before)
    device, interval = device[later], (at[later] - before[later]) / SECOND
    order = np.lexsort((interval, device))
    device, interval = device[order], interval[order]
    rows, sizes = np.unique(device, return_counts=True)
    middle = _weighted_medians(sizes, interval)

    median_s, count = median_s.copy(), count.copy()
    known = count[rows]
    old = np.where(known > 0, median_s[rows], middle)
    parts = np.bincount(
        np.repeat(np.arange(len(rows)), sizes), np.minimum(interval / np.repeat(old, sizes), MOST_PARTS), len(rows)
    )
    step = np.log(middle / old) * parts / (parts + np.minimum(known, MEDIAN_MEMORY))
    most = np.where(known >= 20, np.log(2), np.inf)  # a young estimate may jump
    median_s[rows] = old * np.exp(np.clip(step, -most, most))
    count[rows] += sizes
    return median_s, count


def _weighted_medians(sizes: Ints, interval: Floats) -> Floats:
    """Medians of sorted groups of these sizes, each value weighted by itself."""
    ends = np.cumsum(sizes)
    sums = np.cumsum(interval)
    before = np.where(ends > sizes, sums[np.maximum(ends - sizes, 1) - 1], 0.0)
    halves = (before + sums[ends - 1]) / 2
    return interval[np.minimum(np.searchsorted(sums, halves), ends - 1)]


def low_battery(battery_pct: Floats, battery_v: Floats, highest_v: Floats) -> Bools:
    """Whether a device says that its battery is nearly empty. NaN says nothing, nor does 0 V."""
    weak = (battery_v > 0) & ((battery_v < LOW_BATTERY_SHARE * highest_v) | (battery_v < LOWEST_BATTERY_V))
    low: Bools = (battery_pct <= LOW_BATTERY_PCT) | weak
    return low
