"""How good a forecast of yes or no is: ranking, squared error, calibration."""

from dataclasses import asdict, dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata


@dataclass(frozen=True, slots=True)
class Skill:
    """Figures of one forecast. NaN where all or none happened, or nothing was forecast."""

    roc_auc: float
    pr_auc: float
    """Average precision; beside it the prevalence is what guessing has."""
    brier: float
    brier_skill: float
    """1 - Brier / Brier of the prevalence itself as forecast."""
    log_score: float
    """Mean logarithm of the probability that was given to what happened; 0 at best."""
    predicted_over_observed: float

    def as_dict(self) -> dict[str, float]:
        """Plain values by name."""
        return asdict(self)


def skill_of(probability: NDArray[np.float64], happened: NDArray[np.bool_]) -> Skill:
    """Skill of probabilities against what happened, both of shape (n,)."""
    rate = float(happened.mean())
    brier = float(np.mean((probability - happened) ** 2))
    reference = rate * (1 - rate)
    inside = np.clip(probability, 1e-9, 1 - 1e-9)
    given = np.where(happened, np.log(inside), np.log1p(-inside))
    return Skill(
        roc_auc=roc_auc(probability, happened),
        pr_auc=average_precision(probability, happened),
        brier=brier,
        brier_skill=1 - brier / reference if reference > 0 else float("nan"),
        log_score=float(given.mean()),
        predicted_over_observed=float(probability.mean() / rate) if rate > 0 else float("nan"),
    )


def roc_auc(score: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Chance that one that happened has a higher score than one that did not; ties count half.

    Examples
    --------
    >>> roc_auc(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))
    0.75
    """
    positive = int(happened.sum())
    negative = len(happened) - positive
    if positive == 0 or negative == 0:
        return float("nan")
    rank = rankdata(score)
    return float((rank[happened].sum() - positive * (positive + 1) / 2) / (positive * negative))


def average_precision(score: NDArray[np.float64], happened: NDArray[np.bool_]) -> float:
    """Area below precision over recall as steps; equal scores are one step.

    Examples
    --------
    >>> round(average_precision(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True])), 4)
    0.8333
    """
    positive = int(happened.sum())
    if positive == 0:
        return float("nan")
    order = np.argsort(-score, kind="stable")
    hits = np.cumsum(happened[order])
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)  # of each run of equal scores
    recall, precision = hits[last] / positive, hits[last] / (last + 1)
    return float(np.sum(np.diff(np.concatenate([[0.0], recall])) * precision))
