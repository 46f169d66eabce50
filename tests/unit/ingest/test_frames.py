"""Frame counters: lost frames, falls, rejoins and repetitions, in any order of arrival."""

import numpy as np
import pytest

from ingest.frames import (
    PAGE_BITS,
    RECENT_FRAMES,
    CounterState,
    Frames,
    Instants,
    follow_counters,
    mark_received,
)
from ingest.quality import NEVER, SECOND

T0 = 1_770_000_000
NONE = np.zeros(0, np.int64)


class Devices:
    """Devices whose frames come in rounds; all counts so far."""

    def __init__(self, count=1):
        zero = np.zeros(count)
        never = np.full(count, NEVER)
        self.count = count
        self.state = CounterState(
            never, np.full(count, -1), never.copy(), zero, zero.copy(), Frames(NONE, NONE, NONE), Instants(NONE, NONE)
        )
        self.pages = {}
        self.missing, self.falls, self.rejoins, self.repeated = (np.zeros(count, np.int64) for _ in range(4))
        self.fell = set()
        self.repeats = []

    def hear(self, frames, joins=(), *, by_arrival=False):
        """Frames (second, counter) or (second, counter, device); joins (second) of device 0."""
        columns = np.array([(*frame, 0)[:3] for frame in frames], np.int64).reshape(-1, 3).T
        new = Frames(columns[2], (T0 + columns[0]) * SECOND, columns[1])
        keys, page = np.unique((new.device << 32) + (new.f_cnt >> PAGE_BITS), return_inverse=True)
        bits = np.array([self.pages.get(key, 0) for key in keys.tolist()], np.int64)
        repeated, bits = mark_received(new, page, bits)
        self.pages.update(zip(keys.tolist(), bits.tolist(), strict=True))
        joined = (T0 + np.array(joins, np.int64).reshape(-1)) * SECOND
        changes = follow_counters(
            self.state,
            new,
            repeated=repeated,
            by_arrival=np.full(len(new.at), by_arrival),
            new_joins=Instants(np.zeros(len(joined), np.int64), joined),
        )
        self.missing += changes.missing
        self.falls += changes.falls
        self.rejoins += changes.rejoins
        self.repeated += np.bincount(new.device[repeated], minlength=self.count)
        self.fell |= set(changes.fell.f_cnt.tolist())
        self.fell -= set(changes.not_fell.f_cnt.tolist())
        self.repeats += changes.repeats[1].f_cnt.tolist()
        self.state = changes.state
        return self

    @property
    def counts(self):
        return tuple(int(c[0]) for c in (self.missing, self.falls, self.rejoins, self.repeated))


def heard(*rounds, joins=(), by_arrival=False):
    devices = Devices()
    for number, frames in enumerate(rounds):
        devices.hear(frames, joins if number == 0 else (), by_arrival=by_arrival)
    return devices


def test_missing_frames_are_the_steps_minus_one():
    assert heard([(0, 5), (10, 6), (20, 9), (30, 10)]).counts == (2, 0, 0, 0)
    assert heard([(0, 5)], [(10, 6)], [(20, 9)], [(30, 10)]).counts == (2, 0, 0, 0)


def test_a_gap_that_a_late_frame_fills_is_taken_back():
    devices = heard([(0, 5), (10, 6), (40, 9)])
    assert devices.counts == (2, 0, 0, 0)
    assert devices.hear([(30, 8)]).counts == (1, 0, 0, 0)
    assert devices.hear([(20, 7)]).counts == (0, 0, 0, 0)
    assert devices.fell == set()


def test_frames_later_than_all_that_are_kept_are_taken_back_too():
    devices = heard([(0, 5)], [(10 * n, n) for n in range(40, 40 + 2 * RECENT_FRAMES)])
    assert devices.counts == (34, 0, 0, 0)
    assert devices.hear([(60, 6), (70, 7)]).counts == (32, 0, 0, 0)
    assert devices.hear([(60, 6)]).counts == (32, 0, 0, 1)


def test_frames_from_before_the_first_one_lengthen_the_record():
    devices = heard([(1000 + 10 * n, 100 + n) for n in range(2 * RECENT_FRAMES)])
    assert devices.counts == (0, 0, 0, 0)
    assert devices.hear([(950, 95), (930, 93)]).counts == (1 + 4, 0, 0, 0)
    assert devices.hear([(960, 96)]).counts == (4, 0, 0, 0)


def test_a_counter_that_falls_without_a_join_is_a_reset():
    devices = heard([(0, 62), (10, 63), (20, 0), (30, 1)])

    assert devices.counts == (0, 1, 0, 0)
    assert devices.fell == {0}
    assert devices.state.last_reset_at.tolist() == [(T0 + 20) * SECOND]


@pytest.mark.parametrize("join_at", [11, 19, 24])
def test_a_join_makes_the_low_counter_after_it_a_rejoin(join_at):
    devices = heard([(0, 62), (10, 63), (20, 0), (30, 1)], joins=[join_at])

    assert devices.counts == (0, 1, 1, 0)
    assert devices.state.last_reset_at.tolist() == [NEVER]


def test_a_join_that_is_told_later_takes_the_reset_back():
    devices = heard([(0, 62), (10, 63), (20, 0), (30, 1)])
    devices.hear([], joins=[15])

    assert devices.counts == (0, 1, 1, 0)
    assert devices.state.last_reset_at.tolist() == [NEVER]


@pytest.mark.parametrize("join_at", [5, 40])
def test_a_join_at_another_time_explains_nothing(join_at):
    assert heard([(0, 62), (10, 63), (20, 0), (30, 1)], joins=[join_at]).counts == (0, 1, 0, 0)


def test_a_late_frame_moves_the_mark_of_a_fall_to_where_it_fell():
    devices = heard([(0, 63), (20, 1)])
    assert devices.fell == {1}

    devices.hear([(10, 0)])

    assert devices.counts == (0, 1, 0, 0)
    assert devices.fell == {0}


def test_an_old_reset_stands_when_its_frames_are_forgotten():
    devices = heard([(0, 63), (20, 0)], [(30 + n, 1 + n) for n in range(40)])

    assert devices.counts == (0, 1, 0, 0)
    assert devices.state.last_reset_at.tolist() == [(T0 + 20) * SECOND]


def test_a_counter_that_comes_again_after_a_reset_is_known_whenever_it_comes():
    first = [(10 * n, n) for n in range(0, 200, 2)]
    second = [(10_000 + 10 * n, n) for n in range(0, 200, 4)]

    assert heard(first, second).counts == (99 + 49 * 3, 1, 0, 50)
    assert heard(*([f] for f in first + second)).counts == (99 + 49 * 3, 1, 0, 50)


def test_neighbours_with_one_counter_may_be_retransmissions():
    devices = heard([(0, 5), (2, 5), (10, 6)], [(12, 6), (20, 7)], [(30, 9)])

    assert devices.repeats == [5, 6]
    assert devices.counts == (1, 0, 0, 2)


def test_frames_without_a_time_of_their_own_that_change_places_are_no_fall():
    devices = heard([(0, 10), (5, 14)], [(6, 11), (7, 13), (8, 12), (9, 15)], by_arrival=True)

    assert devices.counts == (0, 0, 0, 0)
    assert heard([(0, 10), (5, 14)], [(6, 0), (7, 1)], by_arrival=True).counts == (3, 1, 0, 0)


def test_devices_do_not_disturb_each_other():
    devices = Devices(2).hear([(0, 5, 0), (1, 900, 1), (2, 7, 0), (3, 901, 1), (4, 3, 1)])

    assert devices.missing.tolist() == [1, 0]
    assert devices.falls.tolist() == [0, 1]


@pytest.mark.parametrize("seed", range(20))
def test_counts_do_not_depend_on_the_order_of_arrival_nor_on_rounds(seed):
    """Two sessions with losses, repeated frames and a join; frames up to eight places late."""
    rng = np.random.default_rng(seed)
    sent = [(10 * n, n) for n in range(60)] + [(600 + 10 * n, n) for n in range(40)]
    frames = [frame for frame in sent if rng.random() > 0.3]
    places = np.argsort(np.arange(len(frames)) + rng.uniform(0, 8, len(frames)))
    shuffled = [frames[i] for i in places]
    cuts = np.sort(rng.integers(0, len(frames), 5)).tolist()
    rounds = [shuffled[a:b] for a, b in zip([0, *cuts], [*cuts, len(frames)], strict=True)]
    counters = np.array([f for _, f in frames])
    steps = np.diff(counters)

    devices = heard(*rounds, joins=[595] if seed % 2 else [])

    assert devices.counts[:2] == (int(np.maximum(steps - 1, 0).sum()), int((steps < 0).sum()))
    assert devices.counts[2] == seed % 2
    assert devices.counts[3] == len(counters) - len(set(counters.tolist()))
    assert devices.fell == set(counters[1:][steps < 0].tolist())


def test_recent_loss_forgets():
    devices = heard([(0, 0), (10, 10)])
    assert (devices.state.recent_frames[0], devices.state.recent_missing[0]) == pytest.approx((2, 9), rel=0.001)

    devices.hear([(10 + 5 * 86_400, 11)])

    assert devices.state.recent_missing[0] == pytest.approx(9 * np.exp(-5), rel=0.001)
