"""What frame counters tell: frames lost on air, falls, rejoins, repeated frames. Pure, as `ingest.quality`.

Frames missing are the sum over a device's uplinks, in the order of their own times, of the step of the counter minus
one; falls are left out. The newest frames of each device are kept, and a late one is put among them: what it changes
is the difference between the sums after and before. So the order of arrival does not matter, a gap that is filled
later is taken back, and a late frame is no fall.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ingest.quality import NEVER, SECOND, Bools, Floats, Ints, fading, starts

RECENT_FRAMES = 16
"""Frames kept of each device. A frame that is later than so many others takes one missing frame back."""
RECENT_JOINS = 4
JOIN_TOLERANCE = 5 * SECOND
"""A join may be told this much later than the uplink that follows it: the two times come from two clocks."""
PAGE_BITS = 6
_MOST = 2**32
"""Counters are 32 bits wide (LoRaWAN 1.0.4, 4.3.1.5); what claims to be more is no counter."""


@dataclass(frozen=True, slots=True)
class Frames:
    """Uplinks with a counter; one element an uplink, `device` the row of its device."""

    device: Ints
    at: Ints
    f_cnt: Ints

    def __getitem__(self, chosen: NDArray[np.generic]) -> "Frames":
        return Frames(self.device[chosen], self.at[chosen], self.f_cnt[chosen])

    def __add__(self, other: "Frames") -> "Frames":
        return Frames(*(np.concatenate((getattr(self, n), getattr(other, n))) for n in self.__slots__))


@dataclass(frozen=True, slots=True)
class Instants:
    """Instants of devices, such as their joins."""

    device: Ints
    at: Ints

    def __add__(self, other: "Instants") -> "Instants":
        return Instants(np.append(self.device, other.device), np.append(self.at, other.at))


@dataclass(frozen=True, slots=True)
class CounterState:
    """What is known of the counters of each device; `recent` and `joins` are the newest of all devices together."""

    first_at: Ints
    first_f_cnt: Ints
    last_reset_at: Ints
    recent_frames: Floats
    recent_missing: Floats
    recent: Frames
    joins: Instants


@dataclass(frozen=True, slots=True)
class CounterChanges:
    """What new frames change. The first four are by device; `repeats` are pairs (earlier, later) of equal counters."""

    missing: Ints
    falls: Ints
    rejoins: Ints
    state: CounterState
    fell: Frames
    """Frames before which the counter fell, as is known now for the first time."""
    not_fell: Frames
    """Frames of which that was said, and a late frame has explained it."""
    repeats: tuple[Frames, Frames]


@dataclass(frozen=True, slots=True)
class _Steps:
    """Frames in order, and the step of the counter to each from the one before it of its device (0 for the first)."""

    frames: Frames
    step: Ints
    rejoin: Bools

    @property
    def missing(self) -> Ints:
        return np.maximum(self.step - 1, 0)

    @property
    def fall(self) -> Bools:
        fall: Bools = self.step < 0
        return fall

    @property
    def same(self) -> Bools:
        same: Bools = ~starts(self.frames.device) & (self.step == 0)
        return same


def countable(f_cnt: Ints) -> Bools:
    """Which are frame counters at all."""
    is_counter: Bools = (f_cnt >= 0) & (f_cnt < _MOST)
    return is_counter


def mark_received(frames: Frames, page: Ints, received: Ints) -> tuple[Bools, Ints]:
    """Which frames have a counter that had come before; and the bits of all pages after them.

    `received` are the bits of the pages, and `page` is the row in them of each frame. Of equal counters among the new
    frames the first one in time is no repetition.
    """
    bit = np.left_shift(np.int64(1), frames.f_cnt & (2**PAGE_BITS - 1))
    repeated = (received[page] & bit) != 0
    order = np.lexsort((frames.at, frames.f_cnt, frames.device))
    again = (np.diff(frames.device[order]) == 0) & (np.diff(frames.f_cnt[order]) == 0)
    repeated[order[1:][again]] = True
    after = received.copy()
    np.bitwise_or.at(after, page, bit)
    return repeated, after


def follow_counters(
    state: CounterState, new: Frames, *, repeated: Bools, by_arrival: Bools, new_joins: Instants
) -> CounterChanges:
    """What new frames and joins say, after those of `state`.

    `repeated` is by new frame, from `mark_received`; `by_arrival` are frames without a time of their own, stored under
    their arrival: if one fits into a gap among the recent frames, it is late and no fall.
    """
    count = len(state.first_at)
    new = _in_their_gaps(state.recent, new, by_arrival)
    is_full = np.bincount(state.recent.device, minlength=count) >= RECENT_FRAMES
    oldest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(oldest, state.recent.device, state.recent.at)
    beyond = is_full[new.device] & (new.at < oldest[new.device])
    earliest = beyond & (new.at < state.first_at[new.device])

    joins = state.joins + new_joins
    before = _steps(state.recent, state.joins)
    after = _steps(state.recent + new[~beyond], joins)
    prelude = _before_the_first(state, new[earliest], joins)

    taken_back = np.bincount(new.device[beyond & ~earliest & ~repeated], minlength=count)
    fell, falls_before = after.frames[after.fall], before.frames[before.fall]
    falls = _by_device(prelude, prelude.fall, count) + _by_device(after, after.fall, count)
    rejoins = _by_device(prelude, prelude.rejoin, count) + _by_device(after, after.rejoin, count)
    missing = _by_device(prelude, prelude.missing, count) + _by_device(after, after.missing, count)
    return CounterChanges(
        missing=missing - _by_device(before, before.missing, count) - taken_back,
        falls=falls - _by_device(before, before.fall, count),
        rejoins=rejoins - _by_device(before, before.rejoin, count),
        state=_next_state(state, before, after, prelude, new[~repeated], joins),
        fell=(prelude.frames[prelude.fall] + fell)[_without(prelude.frames[prelude.fall] + fell, falls_before)],
        not_fell=falls_before[_without(falls_before, fell)],
        repeats=_repeats(before, after),
    )


def _steps(frames: Frames, joins: Instants) -> _Steps:
    frames = frames[np.lexsort((frames.f_cnt, frames.at, frames.device))]
    later = ~starts(frames.device)
    step = np.where(later, frames.f_cnt - np.roll(frames.f_cnt, 1), 0)
    rejoin = step < 0
    if rejoin.any() and len(joins.at):
        at, device = frames.at[rejoin], frames.device[rejoin]
        known = np.sort(_instant_key(joins.device, joins.at))
        since = np.searchsorted(known, _instant_key(device, np.roll(frames.at, 1)[rejoin]), "right")
        until = np.searchsorted(known, _instant_key(device, at + JOIN_TOLERANCE), "right")
        rejoin[rejoin] = until > since
    else:
        rejoin = np.zeros(len(step), bool)
    return _Steps(frames, step, rejoin)


def _instant_key(device: Ints, at: Ints) -> Ints:
    """Orders by device, then time: milliseconds since 1970 take 42 bits until 2109."""
    return (device << 42) + at // 1000


def _by_device(steps: _Steps, values: NDArray[np.generic], count: int) -> Ints:
    sums = np.zeros(count, np.int64)
    np.add.at(sums, steps.frames.device, values.astype(np.int64))
    return sums


def _before_the_first(state: CounterState, frames: Frames, joins: Instants) -> _Steps:
    """Frames older than the first one that was ever seen, and the step from the newest of them to that one."""
    devices = np.unique(frames.device)
    first = Frames(devices, state.first_at[devices], state.first_f_cnt[devices])
    return _steps(frames + first, joins)


def _keys(frames: Frames) -> list[tuple[int, int, int]]:
    return list(zip(frames.device.tolist(), frames.at.tolist(), frames.f_cnt.tolist(), strict=True))


def _without(frames: Frames, others: Frames) -> Bools:
    """Which frames are not among the others. Both are few: falls and repetitions."""
    known = set(_keys(others))
    return np.array([key not in known for key in _keys(frames)], bool)


def _repeats(before: _Steps, after: _Steps) -> tuple[Frames, Frames]:
    """Neighbours with the same counter that were no neighbours before."""
    known = before.frames[np.flatnonzero(before.same)]
    later = np.flatnonzero(after.same)
    later = later[_without(after.frames[later], known)]
    return after.frames[later - 1], after.frames[later]


def _in_their_gaps(recent: Frames, new: Frames, by_arrival: Bools) -> Frames:
    """New frames; those under their arrival time that fit into a gap get a time in it."""
    if not by_arrival.any():
        return new
    at = new.at.copy()
    affected = np.unique(new.device[by_arrival])
    both = recent + new
    place = np.concatenate((np.full(len(recent.at), -1), np.arange(len(new.at))))
    order = np.lexsort((both.f_cnt, both.at, both.device))
    order = order[np.isin(both.device[order], affected)]
    window: list[tuple[int, int]] = []  # (counter, time) of the newest frames of one device
    current = -1
    for i in order.tolist():
        device, t, f_cnt, number = int(both.device[i]), int(both.at[i]), int(both.f_cnt[i]), int(place[i])
        if device != current:
            current, window = device, []
        gap = _gap(window, f_cnt) if number >= 0 and by_arrival[number] else len(window)
        if gap < len(window):
            t = (window[gap - 1][1] + window[gap][1]) // 2
            at[number] = t
        window.insert(gap, (f_cnt, t))
        del window[:-RECENT_FRAMES]
    return Frames(new.device, at, new.f_cnt)


def _gap(window: list[tuple[int, int]], f_cnt: int) -> int:
    """Where a counter belongs among the newest ones; behind them when it fits into no gap."""
    place = len(window)
    while place and window[place - 1][0] > f_cnt:
        place -= 1
    fits = 0 < place < len(window) and window[place - 1][0] < f_cnt
    return place if fits else len(window)


def _next_state(
    state: CounterState, before: _Steps, after: _Steps, prelude: _Steps, came: Frames, joins: Instants
) -> CounterState:
    count = len(state.first_at)
    first_at, first_f_cnt = state.first_at.copy(), state.first_f_cnt.copy()
    for steps in (after, prelude):
        first = steps.frames[np.flatnonzero(starts(steps.frames.device))]
        earlier = (first_at[first.device] == NEVER) | (first.at < first_at[first.device])
        first_at[first.device[earlier]] = first.at[earlier]
        first_f_cnt[first.device[earlier]] = first.f_cnt[earlier]

    newest_before, newest = np.full(count, NEVER), np.full(count, NEVER)
    np.maximum.at(newest_before, before.frames.device, before.frames.at)
    np.maximum.at(newest, after.frames.device, after.frames.at)
    faded = fading(newest, newest_before)
    frames = state.recent_frames * faded + np.bincount(came.device, fading(newest[came.device], came.at), count)
    missing = state.recent_missing * faded + _weighted(after, newest) - _weighted(before, newest)

    # A reset among the recent frames may have been taken back by now; an older one stands.
    oldest = np.full(count, np.iinfo(np.int64).max)
    np.minimum.at(oldest, before.frames.device, before.frames.at)
    last_reset_at = np.where(state.last_reset_at < oldest, state.last_reset_at, NEVER)
    for steps in (after, prelude):
        resets = steps.frames[np.flatnonzero(steps.fall & ~steps.rejoin)]
        np.maximum.at(last_reset_at, resets.device, resets.at)

    order = np.lexsort((joins.at, joins.device))
    joins = Instants(joins.device[order], joins.at[order])
    kept = _newest(joins.device, RECENT_JOINS)
    return CounterState(
        first_at=first_at,
        first_f_cnt=first_f_cnt,
        last_reset_at=last_reset_at,
        recent_frames=np.maximum(frames, 0.0),
        recent_missing=np.maximum(missing, 0.0),
        recent=after.frames[_newest(after.frames.device, RECENT_FRAMES)],
        joins=Instants(joins.device[kept], joins.at[kept]),
    )


def _weighted(steps: _Steps, newest: Ints) -> Floats:
    weights = fading(newest[steps.frames.device], steps.frames.at) * steps.missing
    return np.bincount(steps.frames.device, weights, len(newest)).astype(np.float64)


def _newest(device: Ints, most: int) -> Bools:
    """The last ones of each group of sorted keys."""
    ends = np.append(np.flatnonzero(starts(device))[1:], len(device)) if len(device) else np.zeros(0, np.int64)
    sizes = np.diff(np.append(0, ends))
    newest: Bools = np.repeat(ends, sizes) - np.arange(len(device)) <= most
    return newest
