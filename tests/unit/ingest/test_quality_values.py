"""Values that changed too fast or not at all."""

import numpy as np
import pytest

from ingest.quality import HOUR, NEVER, SECOND, STUCK_VALUES, Limits, SeriesState, judge_values
from roadtwin.types import DOUBTFUL_TIME, Flag

MINUTE = 60 * SECOND
T0 = 1_770_000_000 * SECOND
RATE, STUCK = int(Flag.RATE), int(Flag.STUCK)


def fresh(count=1):
    never, zero = np.full(count, NEVER), np.zeros(count, np.int64)
    nan = np.full(count, np.nan)
    return SeriesState(never, nan, never, zero, np.zeros(count, bool), never, nan)


def limits(rate=60.0, stuck_after=48.0, count=1):
    """Those of air temperature."""
    return Limits(*(np.full(count, value, float) for value in (rate, stuck_after, -40, 60)))


def judge(readings, state=None, *, flags=0, at=limits()):  # noqa: B008 — arrays that nobody writes to
    """Readings (minute, value) or (minute, value, series)."""
    columns = np.array([(*reading, 0)[:3] for reading in readings], float).reshape(-1, 3).T
    flagged, state = judge_values(
        columns[2].astype(np.int64),
        (T0 + columns[0] * MINUTE).astype(np.int64),
        columns[1],
        np.full(len(readings), int(flags)),
        state or fresh(len(at.minimum)),
        at,
    )
    return flagged.tolist(), state


def test_a_spike_is_flagged_and_the_value_after_it_is_not():
    assert judge([(0, 4.0), (10, 25.0), (20, 4.2)])[0] == [0, RATE, 0]


def test_what_is_judged_does_not_depend_on_where_a_round_ends():
    readings = [(0, 4.0), (10, 25.0), (20, 4.2), (30, 5.0), (40, -30.0), (50, 5.5)]
    together, whole = judge(readings)
    flagged, state = [], None
    for reading in readings:
        one, state = judge([reading], state)
        flagged += one

    assert flagged == together == [0, RATE, 0, 0, RATE, 0]
    assert all(np.array_equal(getattr(state, n), getattr(whole, n)) for n in SeriesState.__slots__)


def test_a_lasting_step_is_accepted_as_soon_as_nature_could_have_made_it():
    steps = [(10 * n, 0.0 if n < 2 else 40.0) for n in range(8)]  # 60 °C/h: forty degrees take forty minutes

    assert judge(steps)[0] == [0, 0, RATE, RATE, RATE, 0, 0, 0]


def test_within_seconds_a_change_is_judged_as_over_five_minutes():
    assert judge([(0, 4.0), (0.02, 8.9)])[0] == [0, 0]
    assert judge([(0, 4.0), (0.02, 9.1)])[0] == [0, RATE]


def test_a_late_spike_is_flagged_and_leaves_the_state_alone():
    _, state = judge([(0, 4.0), (60, 5.0)])
    flagged, after = judge([(50, 30.0), (40, 5.5)], state)

    assert flagged == [RATE, 0]
    assert (after.sound_value[0], after.last_value[0]) == (5.0, 5.0)


@pytest.mark.parametrize("flag", DOUBTFUL_TIME)
def test_times_of_arrival_and_of_wrong_clocks_say_nothing_of_how_fast_something_changed(flag):
    flagged, state = judge([(0, -10.0), (0.1, 20.0)], flags=flag)

    assert flagged == [0, 0]
    assert state.sound_at[0] == NEVER


@pytest.mark.parametrize("flag", [Flag.RANGE, Flag.SENTINEL, Flag.FUTURE])
def test_values_that_are_none_are_compared_with_nothing(flag):
    _, state = judge([(0, 4.0)])
    flagged, after = judge([(10, 60.0)], state, flags=flag)

    assert flagged == [0]
    assert after.last_value[0] == 4.0


def test_a_quantity_without_limits_is_not_judged():
    nothing = limits(np.nan, np.nan)

    assert judge([(0, 0.0), (1, 59.0), *((60 * n, 59.0) for n in range(1, 100))], at=nothing)[0] == [0] * 101


def test_a_value_that_stays_the_same_is_stuck_after_its_time_and_until_it_changes():
    hourly = [(60 * n, 3.5) for n in range(51)]
    flagged, state = judge([*hourly, (60 * 51, 3.6)])

    assert flagged == [0] * 49 + [STUCK] * 2 + [0]
    assert not state.stuck[0]


def test_a_run_is_followed_from_one_round_to_the_next():
    state = None
    for n in range(49):
        flagged, state = judge([(60 * n, 3.5)], state)
        assert flagged == [0]

    assert judge([(60 * 49, 3.5)], state)[0] == [STUCK]
    assert judge([(60 * 49, 3.4)], state)[0] == [0]


def test_few_equal_values_are_not_stuck_however_long():
    daily = [(1440 * n, 3.5) for n in range(STUCK_VALUES)]

    assert judge(daily)[0] == [0] * (STUCK_VALUES - 1) + [STUCK]


@pytest.mark.parametrize("bound", [-40.0, 60.0])
def test_a_value_at_the_end_of_its_range_is_not_stuck(bound):
    assert judge([(60 * n, bound) for n in range(100)])[0] == [0] * 100


def test_a_late_value_in_a_run_ends_it():
    _, state = judge([(60 * n, 3.5) for n in range(49)])
    _, same = judge([(90, 3.5)], state)
    _, other = judge([(90, 3.6)], state)

    assert judge([(60 * 49, 3.5)], same)[0] == [STUCK]
    assert judge([(60 * 49, 3.5)], other)[0] == [0]


def test_series_do_not_disturb_each_other():
    mixed = [(0, 4.0, 0), (10, 20.0, 1), (10, 4.1, 0), (20, 50.0, 1), (0, 20.5, 1)]
    flagged, state = judge(mixed, at=limits(count=2))

    assert flagged == [0, 0, 0, RATE, 0]
    assert state.sound_value.tolist() == [4.1, 20.0]


def test_the_order_of_arrival_within_a_round_does_not_matter():
    rng = np.random.default_rng(7)
    readings = [(10 * n, float(rng.normal(5, 6)), int(rng.integers(3))) for n in range(300)]
    flagged, state = judge(readings, at=limits(count=3))
    order = rng.permutation(300)
    shuffled, after = judge([readings[i] for i in order], at=limits(count=3))

    assert RATE in flagged
    assert shuffled == [flagged[i] for i in order]
    assert all(np.array_equal(getattr(state, n), getattr(after, n)) for n in SeriesState.__slots__)


def test_nothing_gives_nothing():
    assert judge([])[0] == []
    assert HOUR == 3600 * SECOND
