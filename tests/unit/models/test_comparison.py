"""A challenger takes over when it is not worse than the champion, beyond what chance and margins allow."""

import numpy as np
import pytest
from scipy.special import expit

from models.comparison import Margins, compare

MARGINS = Margins(brier_skill=0.01, roc_auc=0.02, calibration=1.25)
HORIZONS = (7, 28)


@pytest.fixture(scope="module")
def windows():
    """6,000 rows on 60 blocks at 12 cuts, with the true probability of each."""
    rng = np.random.default_rng(5)
    log_odds = rng.normal(-2.5, 1.0, (6000, 1)) + np.array([0.0, 0.7])
    p = expit(log_odds)
    labels = (rng.random(p.shape) < p).astype(float)
    labels[rng.random(p.shape) < 0.1] = np.nan
    block = rng.integers(0, 60, 6000).astype(np.int32)
    cut = np.datetime64("2026-01-05", "us") + rng.integers(0, 12, 6000) * np.timedelta64(14, "D")
    return labels, p, block, cut


def run(windows, champion, challenger, labels=None):
    known, _, block, cut = windows
    y = known if labels is None else labels
    return compare(y, champion, challenger, block, cut, HORIZONS, MARGINS, capacity=50)


def test_a_challenger_that_equals_the_champion_takes_over(windows):
    _, p, _, _ = windows
    result = run(windows, p, p)

    assert result.promote
    assert result.verdict_en.startswith("Promoted: at 7, 28 days")
    assert result.verdict_de.startswith("Übernommen: Bei 7, 28 Tagen")
    assert result.horizons[0].difference["brier_skill"].value == 0


def test_a_challenger_that_knows_less_is_kept_back_with_its_figures(windows):
    _, p, _, _ = windows
    noise = np.random.default_rng(1).normal(0, 1.2, p.shape)
    result = run(windows, p, expit(np.log(p / (1 - p)) * 0.6 - 1.1 + noise * 0.5))

    assert not result.promote
    conditions = {failure.condition for h in result.horizons for failure in h.failures}
    assert {"brier_skill", "roc_auc"} <= conditions
    first = result.horizons[0]
    assert f"7 days: Brier skill may be worse by {-first.difference['brier_skill'].low:.4f} (allowed 0.01)" in (
        result.verdict_en
    )
    assert "7 Tage: Brier-Skill kann um" in result.verdict_de


def test_a_better_challenger_takes_over_even_beside_a_poor_champion(windows):
    _, p, _, _ = windows
    result = run(windows, np.full(p.shape, 0.1), p)

    assert result.promote
    assert result.horizons[0].difference["roc_auc"].low > 0.1


def test_a_challenger_that_predicts_far_too_many_is_kept_back_for_its_level(windows):
    _, p, _, _ = windows
    result = run(windows, p, np.minimum(1.4 * p, 0.99))

    assert not result.promote
    assert "predicted/observed 1.4" in result.verdict_en
    assert "(allowed 0.80–1.25)" in result.verdict_en


def test_where_the_year_put_both_levels_off_the_champion_is_no_better(windows):
    _, p, _, _ = windows
    result = run(windows, np.minimum(1.6 * p, 0.99), np.minimum(1.61 * p, 0.99))

    assert not any(failure.condition == "calibration" for h in result.horizons for failure in h.failures)


def test_a_horizon_with_too_few_new_potholes_is_not_judged_and_none_judged_keeps_the_champion(windows):
    labels, p, _, _ = windows
    few = labels.copy()
    few[np.flatnonzero(few[:, 0] == 1)[29:], 0] = 0
    one = run(windows, p, p, few)
    none = run(windows, p, p, np.column_stack([few[:, 0], np.full(len(few), np.nan)]))

    assert [h.judged for h in one.horizons] == [False, True]
    assert one.promote
    assert "Not judged: 7 days: 29 new potholes in 60 blocks." in one.verdict_en
    assert not none.promote
    assert none.verdict_en.startswith("Kept: too few new potholes")


def test_rows_without_a_block_each_are_refused(windows):
    labels, p, block, cut = windows

    with pytest.raises(ValueError, match="a block and a cut for each row"):
        compare(labels, p, p, block[1:], cut, HORIZONS, MARGINS, capacity=50)
