"""The additive count model finds what made the counts, and says what it cannot know."""

import numpy as np
import pytest

from models.count_regression import CountRegression


def made_up(seed: int, rows: int = 20_000):
    """Counts with one effect that bends at 0, one feature without any, and a size of 0.7."""
    rng = np.random.default_rng(seed)
    x, idle = rng.normal(size=rows), rng.normal(size=rows)
    group = rng.integers(0, 3, rows)
    mean = np.exp(np.array([-1.0, -0.5, 0.3])[group] + 0.9 * np.maximum(x, 0))
    counts = rng.poisson(mean * rng.gamma(0.7, 1 / 0.7, rows)).astype(float)
    return {"x": x, "idle": idle}, counts, np.ones(rows), group, mean


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_it_finds_rates_levels_and_size(seed):
    features, counts, exposure, group, mean = made_up(seed)

    model = CountRegression().fit(features, counts, exposure, group)

    rate = model.relative_rate(features, len(counts)) * np.exp(model.level_[group])
    assert np.corrcoef(np.log(rate), np.log(mean))[0, 1] > 0.99
    assert model.size_ == pytest.approx(0.7, rel=0.15)
    assert model.probability(rate).sum() == pytest.approx((counts > 0).sum(), rel=0.03)


def test_an_exposure_twice_as_long_gives_twice_the_count():
    features, counts, exposure, group, _ = made_up(4)

    one = CountRegression().fit(features, counts, exposure, group)
    half = CountRegression().fit(features, counts, exposure * 2, group)

    assert half.level_ == pytest.approx(one.level_ - np.log(2), abs=0.02)


def test_unknown_values_have_no_effect_but_that_of_being_unknown_and_empty_features_are_left_out():
    features, counts, exposure, group, mean = made_up(5)
    unknown = np.random.default_rng(6).random(len(counts)) < 0.3
    features |= {"x": np.where(unknown, np.nan, features["x"]), "empty": np.full(len(counts), np.nan), "same": exposure}

    model = CountRegression().fit(features, counts, exposure, group)
    rate = model.relative_rate(features, len(counts)) * np.exp(model.level_[group])

    assert model.names_ == ("x", "idle")
    assert rate[unknown].mean() == pytest.approx(mean[unknown].mean(), rel=0.1)
    everything_unknown = {name: np.full(4, np.nan) for name in features}
    assert np.ptp(model.relative_rate(everything_unknown, 4)) == 0


def test_without_an_event_there_is_no_rate():
    with pytest.raises(ValueError, match="no event"):
        CountRegression().fit({"x": np.arange(9.0)}, np.zeros(9), np.ones(9), np.zeros(9, int))
