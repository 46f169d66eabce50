"""Intervals over blocks: the figures of the city itself, honest widths, paired differences."""

import numpy as np
import pytest
from scipy.special import expit

from models.metrics import skill
from models.resampling import FIGURES, BlockResampling, differences, interval, over_worlds

CAPACITY = 8


def made(rng, *, blocks=60, per_block=40, scatter=0.0):
    """Rows in blocks that share part of their odds; probabilities are the truth but for a scatter in each block."""
    block = np.repeat(np.arange(blocks), per_block)
    odds = rng.normal(-1.5, 1.0, block.size) + rng.normal(0, 0.7, blocks)[block]
    labels = (rng.random(block.size) < expit(odds)).astype(float)
    told = expit(odds + scatter * rng.normal(0, 1, block.size))
    return labels, told, block, np.tile(np.arange(4), block.size // 4)


def test_figures_of_the_city_as_it_is_are_those_of_the_metrics(rng):
    labels, p, block, group = made(rng)
    p = np.round(p, 2)  # ties
    own, _ = BlockResampling(labels, block, group, capacity=CAPACITY, draws=2).figures({"model": p})["model"]
    expected = skill(labels, p, group, capacity=CAPACITY)

    for figure in ("roc_auc", "pr_auc", "brier_skill", "predicted_over_observed"):
        assert own[figure][0] == pytest.approx(getattr(expected, figure)), figure
    assert own["calibration_slope"][0] == pytest.approx(expected.calibration_slope, rel=1e-3)
    assert own["precision_at_capacity"][0] == pytest.approx(expected.at_capacity.precision)
    assert own["recall_at_10_pct"][0] == pytest.approx(expected.at_10_pct.recall)
    assert own["lift_at_10_pct"][0] == pytest.approx(expected.at_10_pct.lift)


def test_a_draw_counts_the_rows_of_a_block_as_often_as_it_was_drawn(rng):
    labels, p, block, group = made(rng, blocks=12)
    resampling = BlockResampling(labels, block, group, capacity=10_000, draws=3, seed=5)
    _, draws = resampling.figures({"model": p})["model"]
    times = resampling.weight[1].astype(int)[block]
    again = skill(np.repeat(labels, times), np.repeat(p, times), np.repeat(group, times), capacity=10_000)

    for figure in ("roc_auc", "pr_auc", "brier_skill", "predicted_over_observed"):
        assert draws[figure][1] == pytest.approx(getattr(again, figure)), figure
    assert draws["calibration_slope"][1] == pytest.approx(again.calibration_slope, abs=0.03)


def test_nine_of_ten_intervals_hold_the_value_of_all_cities(rng):
    truth = np.mean([skill(*_scored(made(rng)), capacity=CAPACITY).roc_auc for _ in range(40)])
    held = 0
    for seed in range(60):
        labels, p, block, group = made(rng)
        found = BlockResampling(labels, block, group, capacity=CAPACITY, draws=100, seed=seed).intervals({"m": p})
        held += found["m"]["roc_auc"].low <= truth <= found["m"]["roc_auc"].high

    assert 45 <= held <= 60


def _scored(rows):
    labels, p, _, group = rows
    return labels, p, group


def test_a_paired_difference_is_surer_than_the_two_figures_themselves(rng):
    labels, p, block, group = made(rng)
    worse = expit(np.log(p / (1 - p)) + rng.normal(0, 1.0, p.size))
    figures = BlockResampling(labels, block, group, capacity=CAPACITY, draws=200).figures({"model": p, "worse": worse})
    gain = differences(figures, "model", ["worse"])["worse"]["roc_auc"]
    own = interval(figures["model"][0]["roc_auc"][0], figures["model"][1]["roc_auc"])

    assert 0 < gain.low < gain.value < gain.high
    assert gain.high - gain.low < own.high - own.low


def test_one_class_only_gives_no_figure_and_no_error():
    same = BlockResampling(np.zeros(8), np.arange(8) // 2, np.zeros(8, int), capacity=2, draws=5)
    found = same.intervals({"model": np.linspace(0.1, 0.2, 8)})["model"]

    assert set(found) == set(FIGURES)
    assert np.isnan([found["roc_auc"].value, found["roc_auc"].low, found["calibration_slope"].high]).all()


def test_draws_that_hold_none_of_the_few_holes_say_nothing_of_a_difference(rng):
    labels, p, block, group = made(rng, blocks=6)
    labels *= block == 0
    resampling = BlockResampling(labels, block, group, capacity=CAPACITY, draws=40)
    figures = resampling.figures({"model": p, "half": p / 2})
    without = resampling.weight[:, 0] == 0
    (difference,) = differences(figures, "model", ["half"]).values()

    assert 0 < without.sum() < 40
    assert np.isinf(figures["model"][1]["predicted_over_observed"][without]).all()
    found = difference["predicted_over_observed"]
    assert 0 < found.low <= found.value <= found.high < np.inf
    assert found.value == pytest.approx(p.sum() / 2 / labels.sum())


def test_a_horizon_without_rows_gives_no_figure_and_no_error():
    nothing = BlockResampling(np.zeros(0), np.zeros(0, int), np.zeros(0, int), capacity=2, draws=5)
    found = nothing.intervals({"model": np.zeros(0)})["model"]

    assert np.isnan([interval.value for interval in found.values()]).all()


def test_worlds_that_differ_widen_the_interval_of_their_mean(rng):
    draws = rng.normal(0, 0.01, (5, 400))
    level = np.array([0.70, 0.75, 0.80, 0.85, 0.90])
    alike = over_worlds(np.full(5, 0.8), 0.8 + draws)
    apart = over_worlds(level, level[:, None] + draws)

    assert apart.value == pytest.approx(0.8)
    assert apart.high - apart.low > 4 * (alike.high - alike.low)
