"""Traffic by the hour: sums, classes of speed, and counts that are Poisson."""

import numpy as np
import pytest
from scipy import stats

from simulators.devices.traffic_flow import class_shares, inbound_share, per_hour, poisson, vehicles_per_day


def test_the_hours_of_a_day_sum_to_the_day():
    hour = np.arange(24)
    for kind, level in ((0, 1.0), (1, 0.78), (2, 0.58)):
        assert per_hour(np.full(24, 1000.0), hour, np.full(24, kind)).sum() == pytest.approx(1000 * level)
    lorries = per_hour(np.full(24, 100.0), hour, np.full(24, 2), heavy=True)
    assert lorries.sum() == pytest.approx(12)


def test_the_morning_drives_into_town_and_the_evening_out():
    share = inbound_share(np.arange(24))

    assert share[7] > 0.58
    assert share[17] < 0.45
    assert share.mean() == pytest.approx(0.5, abs=0.03)


def test_main_roads_have_the_largest_share_of_heavy_vehicles():
    daily = vehicles_per_day(np.full(3, 90.0), np.array(["main", "collector", "residential"]))

    assert daily.tolist() == pytest.approx([2000, 2250, 3000])


def test_shares_and_means_of_classes_give_back_the_mean():
    mean = np.array([25.0, 48.0, 66.0])
    shares, means = class_shares(mean, 7.5, (30.0, 50.0, 70.0))

    assert shares.sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert (shares * means).sum(axis=1) == pytest.approx(mean, abs=0.01)
    edges = [3, 30, 50, 70, 160]
    for number in range(4):
        assert ((means[:, number] >= edges[number]) & (means[:, number] <= edges[number + 1])).all()


@pytest.mark.parametrize("expected", [0.0, 0.3, 4.0, 29.0, 31.0, 400.0])
@pytest.mark.parametrize("seed", [1, 2])
def test_counts_are_poisson(expected, seed):
    uniform = np.random.default_rng(seed).random(20_000)
    counts = poisson(uniform, np.full(20_000, expected))

    exact = stats.poisson.ppf(uniform, expected) if expected else np.zeros(20_000)
    # Inversion below 30; above it the approximation is off by one at most.
    assert np.abs(counts - exact).max() <= (1 if expected > 30 else 0)
    assert counts.mean() == pytest.approx(expected, abs=4 * np.sqrt(max(expected, 1) / 20_000))
