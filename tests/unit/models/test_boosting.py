"""Boosted effects as tables: what trees say of a value is found again for any value."""

import numpy as np
import pytest
from scipy.special import expit

from models.boosting import MOST_BINS, BoostedEffects

ROWS, STRATA = 20_000, 20


@pytest.fixture(scope="module")
def rows():
    """Features (n, 4): a rising danger with gaps, a count, one that is never known, noise; labels; strata."""
    rng = np.random.default_rng(5)
    x = np.column_stack([
        rng.normal(size=ROWS), rng.poisson(2.0, ROWS), np.full(ROWS, np.nan), rng.normal(size=ROWS),
    ]).astype(np.float32)  # fmt: skip
    x[rng.random(ROWS) < 0.2, 0] = np.nan
    stratum = rng.integers(0, STRATA, ROWS)
    danger = np.where(np.isnan(x[:, 0]), -1.0, 2.0 * (x[:, 0] > 0.5)) + 0.4 * x[:, 1]
    labels = (rng.random(ROWS) < expit(-2 + danger + 0.1 * stratum)).astype(np.float64)
    return x, labels, stratum


@pytest.fixture(scope="module")
def boosted(rows):
    return BoostedEffects((1, 1, 0, 0), max_features=1.0).fit(*rows)


def test_effects_follow_what_made_the_labels(boosted):
    x = np.zeros((4, 4), np.float32)
    x[:, 0] = [-1.0, 0.3, 1.5, np.nan]
    low, middle, high, unknown = boosted.effects(x)[:, 0]

    assert middle - low == pytest.approx(0.0, abs=0.3)
    assert high - low == pytest.approx(2.0, abs=0.4)
    assert unknown - low == pytest.approx(-1.0, abs=0.4)


def test_a_feature_takes_as_many_values_as_it_has_bins_and_one_for_unknown(boosted, rows):
    effects = boosted.effects(rows[0])

    assert np.unique(effects[:, 0]).size <= MOST_BINS + 1
    assert np.unique(effects[:, 1]).size <= np.unique(rows[0][:, 1]).size
    assert (effects[:, 2] == 0).all()  # never known: nothing was learned of it


def test_values_beyond_those_of_training_count_as_the_outermost(boosted, rows):
    x = np.zeros((4, 4), np.float32)
    x[:, 1] = [rows[0][:, 1].min(), -1e9, rows[0][:, 1].max(), np.inf]
    effect = boosted.effects(x)[:, 1]

    assert effect[1] == effect[0]
    assert effect[3] == effect[2]


def test_effects_do_not_fall_where_physics_says_that_they_rise(boosted):
    x = np.zeros((500, 4), np.float32)
    x[:, 0] = x[:, 1] = np.linspace(-4, 12, 500)

    assert (np.diff(boosted.effects(x)[:, :2], axis=0) >= 0).all()
