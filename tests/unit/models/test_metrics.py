"""Skill figures on values computed by hand."""

import numpy as np
import pytest

from models.metrics import at_capacity, balance_by, bin_error, brier_skill, calibration_slope, skill

Y = np.array([1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 1.0])
P = np.array([0.9, 0.8, 0.7, 0.3, 0.2, 0.2, 0.1, 0.1])
DAY = np.array([0, 0, 0, 0, 1, 1, 1, 1])


def test_brier_skill_is_against_the_constant_rate():
    brier = (0.01 + 0.64 + 0.09 + 0.09 + 0.04 + 0.04 + 0.01 + 0.81) / 8
    constant = 3 / 8 * 5 / 8

    assert brier_skill(Y, P) == pytest.approx(1 - brier / constant)
    assert brier_skill(Y, np.full(8, 3 / 8)) == pytest.approx(0)


def test_capacity_is_that_of_each_day():
    """Two looks on each of two days find the hole of the first day and, by rank, none of the second."""
    result = at_capacity(Y, P, DAY, count=2)

    assert (result.share, result.precision, result.recall) == (0.5, 0.25, pytest.approx(1 / 3))
    assert result.lift == pytest.approx(0.25 / (3 / 8))


def test_capacity_beyond_the_city_finds_everything_and_lifts_nothing():
    result = at_capacity(Y, P, DAY, count=100)

    assert (result.share, result.recall, result.lift) == (1, 1, 1)


def test_all_figures_of_a_small_set():
    result = skill(Y, P, DAY, capacity=1)

    # pairs (positive, negative) in the right order: 5 + 4 + 0 and half of one tie, of 15
    assert result.roc_auc == pytest.approx(9.5 / 15)
    assert result.pr_auc == pytest.approx((1 + 2 / 3) / 3 + 3 / 8 / 3)
    assert result.predicted_over_observed == pytest.approx(3.3 / 3)
    assert (result.rows, result.positives) == (8, 3)


def test_one_class_only_gives_unknown_figures_instead_of_numbers():
    result = skill(np.zeros(4), np.full(4, 0.1), np.zeros(4, int), capacity=1)

    assert np.isnan([result.roc_auc, result.pr_auc, result.brier_skill, result.predicted_over_observed]).all()
    assert result.brier == pytest.approx(0.01)


def test_slope_below_one_means_too_extreme(rng):
    f = rng.normal(-1, 1, 50_000)
    y = (rng.random(f.size) < 1 / (1 + np.exp(-f))).astype(float)

    assert calibration_slope(y, 1 / (1 + np.exp(-f))) == pytest.approx(1, abs=0.05)
    assert calibration_slope(y, 1 / (1 + np.exp(-2 * f))) == pytest.approx(0.5, abs=0.05)
    assert calibration_slope(1 - y, 1 / (1 + np.exp(-f))) == pytest.approx(-1, abs=0.05)  # the wrong way round


def test_bin_error_is_relative_to_the_prevalence():
    assert bin_error(np.array([0.0, 1.0]), np.array([0.5, 0.5]), bins=1) == 0
    assert bin_error(np.array([0.0, 1.0]), np.array([0.25, 0.25]), bins=1) == pytest.approx(0.5)


def test_balance_by_group_names_only_groups_with_rows():
    result = balance_by(Y, P, np.where(DAY == 0, 0, 2), ("north", "south", "west"))

    assert set(result) == {"north", "west"}
    assert (result["north"].observed, result["north"].ratio) == (2, pytest.approx(2.7 / 2))
