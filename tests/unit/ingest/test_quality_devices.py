"""Running estimates of devices: the interval, means, batteries."""

import numpy as np
import pytest

from ingest.quality import DAY, NEVER, SECOND, RunningMean, fading, low_battery, running_median
from ingest.times import SKEW_AFTER_S
from roadtwin.storage.device_states import CLOCK_TOLERANCE_S
from roadtwin.units import QUANTITIES

T0 = 1_770_000_000


def median_of(times_s, *, rounds=1):
    median, count, newest = np.array([np.nan]), np.array([0]), np.array([NEVER])
    for part in np.array_split(np.array(times_s), rounds):
        at = ((T0 + part) * SECOND).astype(np.int64)
        median, count = running_median(median, count, newest, np.zeros(len(at), np.int64), at)
        newest = np.maximum(newest, at.max(initial=NEVER))
    return float(median[0]), int(count[0])


@pytest.mark.parametrize("rounds", [1, 10, 200])
def test_the_interval_of_a_regular_device_is_found_whatever_a_round_holds(rounds):
    assert median_of(np.arange(200) * 600.0, rounds=rounds) == (pytest.approx(600), 199)


@pytest.mark.parametrize("rounds", [1, 200])
def test_a_device_that_sends_three_frames_at_once_a_day_has_a_day(rounds):
    bursts = [day * 86_400.0 + second for day in range(60) for second in (0, 9, 18)]

    assert median_of(bursts, rounds=rounds)[0] == pytest.approx(86_400, rel=0.3)
    assert 3 * median_of(bursts[:21], rounds=21)[0] > 86_400  # after a week it is silent no more


def test_a_night_of_silence_does_not_make_a_device_slow():
    steady = np.arange(100) * 600.0
    interval, _ = median_of([*steady, *(steady + steady[-1] + 12 * 3600)], rounds=200)

    assert interval == pytest.approx(600, rel=0.1)


def test_a_device_that_is_set_to_another_interval_is_followed():
    slow = np.arange(100) * 3600.0

    assert median_of([*slow, *(slow[-1] + np.arange(1, 400) * 600.0)], rounds=499)[0] == pytest.approx(600, rel=0.2)
    assert median_of(slow, rounds=1)[0] == 3600


def test_late_uplinks_are_no_intervals():
    assert median_of([0, 600, 1200, 300, 900], rounds=5) == (600, 2)


def test_a_mean_forgets_and_keeps_devices_apart():
    mean = RunningMean(np.array([10.0, np.nan]), np.array([1.0, 0.0]))
    newest = np.array([T0, T0]) * SECOND
    kept = fading(newest, newest - DAY)
    after = mean.with_values(np.array([0, 1, 1]), newest[[0, 0, 0]], np.array([0.0, 4.0, np.nan]), kept, newest)

    assert after.mean.tolist() == [pytest.approx(10 * np.exp(-1) / (1 + np.exp(-1))), 4.0]
    assert after.weight.tolist() == [pytest.approx(1 + np.exp(-1)), 1.0]


def test_nothing_known_has_no_weight():
    assert fading(np.array([NEVER, T0]), np.array([T0, NEVER])).tolist() == [0, 0]


@pytest.mark.parametrize(
    ("pct", "volts", "highest", "low"),
    [
        (10, np.nan, 0, True),
        (11, np.nan, 0, False),
        (np.nan, np.nan, 0, False),
        (np.nan, 3.0, 3.6, False),
        (np.nan, 2.8, 3.6, True),
        (np.nan, 2.0, 2.0, True),
        (np.nan, 0.0, 3.6, False),
        (np.nan, 11.9, 12.8, False),
    ],
)
def test_a_battery_is_low_by_its_own_measure(pct, volts, highest, low):
    assert low_battery(np.array([pct], float), np.array([volts], float), np.array([highest], float)).tolist() == [low]


def test_limits_of_quantities_make_sense():
    for quantity in QUANTITIES.values():
        span = quantity.maximum - quantity.minimum
        assert quantity.max_rate_per_h is None or 0 < quantity.max_rate_per_h / 12 < span
        assert quantity.stuck_after_h is None or quantity.stuck_after_h >= 24
    for counter in ("vehicle_count", "contact_open", "battery_v", "water_volume_m3"):
        assert (QUANTITIES[counter].max_rate_per_h, QUANTITIES[counter].stuck_after_h) == (None, None)


def test_a_clock_is_skewed_by_the_same_measure_in_messages_and_states():
    assert SKEW_AFTER_S == CLOCK_TOLERANCE_S
