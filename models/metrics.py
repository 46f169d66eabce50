"""Skill of probabilities against outcomes: discrimination, accuracy, calibration, and use at a crew's capacity."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.metrics import average_precision_score, roc_auc_score

from models.calibration import LogisticCalibration
from models.inputs import Floats


@dataclass(frozen=True, slots=True)
class AtCapacity:
    """What a crew finds that can look at `share` of the stretches: precision, recall, lift over looking anywhere."""

    share: float
    precision: float
    recall: float
    lift: float


@dataclass(frozen=True, slots=True)
class Skill:
    """Skill on one set of outcomes; NaN where it cannot be said (one class only, nothing to calibrate on).

    `brier_skill` is against the constant rate of the test rows themselves: the hardest constant. `calibration_slope` is
    1 and `predicted_over_observed` 1 for a calibrated model. `bin_error` is the mean |predicted − observed| over ten
    equally full bins, relative to the prevalence.
    """

    rows: int
    positives: int
    prevalence: float
    roc_auc: float
    pr_auc: float
    brier: float
    brier_skill: float
    predicted_over_observed: float
    calibration_slope: float
    bin_error: float
    at_capacity: AtCapacity
    at_10_pct: AtCapacity


def brier_skill(labels: Floats, probability: Floats) -> float:
    """Brier skill against the constant prevalence: 1 perfect, 0 none, negative worse than the constant.

    Examples
    --------
    >>> brier_skill(np.array([0.0, 1.0]), np.array([0.25, 0.75]))
    0.75
    """
    reference = float(np.mean((labels - labels.mean()) ** 2))
    return 1 - float(np.mean((labels - probability) ** 2)) / reference if reference > 0 else float("nan")


def calibration_slope(labels: Floats, probability: Floats) -> float:
    """Slope b of ``logit(P(y)) = a + b * logit(p)``: below 1 the forecasts are too extreme, above 1 too timid.

    Below 0 their order is the wrong way round.
    """
    if not 0 < labels.mean() < 1 or np.ptp(probability) == 0:
        return float("nan")
    return LogisticCalibration().fit(logit(np.clip(probability, 1e-9, 1 - 1e-9)), labels).slope_


def bin_error(labels: Floats, probability: Floats, *, bins: int = 10) -> float:
    """Mean |predicted − observed| over equally full bins of the forecast, relative to the prevalence.

    Examples
    --------
    >>> bin_error(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.1, 0.9, 0.9]), bins=2).__round__(3)
    0.2
    """
    if not labels.size or labels.mean() == 0:
        return float("nan")
    parts = np.array_split(np.argsort(probability, kind="stable"), min(bins, labels.size))
    errors = [abs(probability[part].mean() - labels[part].mean()) * part.size for part in parts]
    return float(np.sum(errors) / labels.size / labels.mean())


def at_capacity(
    labels: Floats, probability: Floats, group: NDArray[np.int64], *, count: int | None = None, share: float = 0.1
) -> AtCapacity:
    """Precision, recall and lift when the top of every group (cut date) is looked at.

    Parameters
    ----------
    labels, probability : ndarray, shape (n,)
        Outcomes and forecasts.
    group : ndarray, shape (n,)
        Forecasts of one day have one number: a crew ranks today's list, not those of a year together.
    count : int, optional
        Stretches a crew can look at each time.
    share : float
        Used when `count` is not given.

    Examples
    --------
    >>> y, p = np.array([1.0, 0.0, 0.0, 1.0]), np.array([0.9, 0.5, 0.2, 0.1])
    >>> at_capacity(y, p, np.zeros(4, int), count=1)
    AtCapacity(share=0.25, precision=1.0, recall=0.5, lift=2.0)
    """
    top = at_top(probability, group, count=count, share=share)
    found, looked, total = float(labels[top].sum()), int(top.sum()), float(labels.sum())
    precision = found / looked if looked else float("nan")
    prevalence = total / labels.size if labels.size else float("nan")
    return AtCapacity(
        share=looked / labels.size if labels.size else float("nan"),
        precision=precision,
        recall=found / total if total else float("nan"),
        lift=precision / prevalence if total else float("nan"),
    )


def at_top(
    probability: Floats, group: NDArray[np.int64], *, count: int | None = None, share: float = 0.1
) -> NDArray[np.bool_]:
    """Which rows (n,) are at the top of the list of their group. Parameters as in `at_capacity`."""
    order = np.lexsort((-probability, group))
    sizes = np.unique(group, return_counts=True)[1]
    first = np.repeat(np.cumsum(sizes) - sizes, sizes)
    wanted = np.maximum(1, np.round(share * sizes)) if count is None else np.full(sizes.size, count)
    top = np.zeros(probability.size, bool)
    top[order] = np.arange(probability.size) - first < np.repeat(wanted, sizes)
    return top


def skill(labels: Floats, probability: Floats, group: NDArray[np.int64], *, capacity: int) -> Skill:
    """All figures for outcomes 0/1 (n,), probabilities (n,) and the number of the cut date (n,)."""
    two_classes = labels.size > 0 and 0 < labels.mean() < 1
    nan = float("nan")
    return Skill(
        rows=int(labels.size),
        positives=int(labels.sum()),
        prevalence=float(labels.mean()) if labels.size else nan,
        roc_auc=float(roc_auc_score(labels, probability)) if two_classes else nan,
        pr_auc=float(average_precision_score(labels, probability)) if two_classes else nan,
        brier=float(np.mean((labels - probability) ** 2)) if labels.size else nan,
        brier_skill=brier_skill(labels, probability) if two_classes else nan,
        predicted_over_observed=float(probability.sum() / labels.sum()) if labels.sum() else nan,
        calibration_slope=calibration_slope(labels, probability) if two_classes else nan,
        bin_error=bin_error(labels, probability) if two_classes else nan,
        at_capacity=at_capacity(labels, probability, group, count=capacity),
        at_10_pct=at_capacity(labels, probability, group, share=0.1),
    )


@dataclass(frozen=True, slots=True)
class Balance:
    """Predicted against observed numbers of positives in one group of rows."""

    rows: int
    observed: int
    predicted: float
    ratio: float


def balance_by(
    labels: Floats, probability: Floats, group: NDArray[np.int64], names: tuple[str, ...]
) -> dict[str, Balance]:
    """Predicted and observed positives by group; `group` (n,) points into `names`. Empty groups are left out."""
    result: dict[str, Balance] = {}
    for number in np.unique(group):
        rows = group == number
        observed, predicted = int(labels[rows].sum()), float(probability[rows].sum())
        ratio = predicted / observed if observed else float("nan")
        result[names[number]] = Balance(int(rows.sum()), observed, predicted, ratio)
    return result


LEAST_IN_GROUP = 30
"""Fewest rows with, and as many without, that a group is judged on: of fewer, an order is mostly chance."""


@dataclass(frozen=True, slots=True)
class GroupSkill:
    """Skill within one group of rows; NaN with fewer than `LEAST_IN_GROUP` of a class, and the numbers say how many.

    `lift_at_10_pct`: of the worst tenth of the group's own stretches at each cut date. `brier_skill` is against the
    group's own rate, which a forecast for all of the city does not know: that of a small group may well be negative.
    """

    rows: int
    positives: int
    roc_auc: float
    pr_auc: float
    brier_skill: float
    lift_at_10_pct: float


def skill_by(
    labels: Floats,
    probability: Floats,
    cut: NDArray[np.int64],
    group: NDArray[np.int64],
    names: tuple[str, ...],
) -> dict[str, GroupSkill]:
    """Skill by group; `group` (n,) points into `names`, `cut` (n,) is the number of the cut date. No empty groups.

    Examples
    --------
    >>> y, p = np.tile([0.0, 1.0], 30), np.tile([0.2, 0.6], 30)
    >>> skill_by(y, p, np.zeros(60, int), np.zeros(60, int), ("main",))["main"].roc_auc
    1.0
    """
    return {
        names[number]: _skill_of(*(a[group == number] for a in (labels, probability, cut)))
        for number in np.unique(group)
    }


def _skill_of(labels: Floats, probability: Floats, cut: NDArray[np.int64]) -> GroupSkill:
    positives, nan = int(labels.sum()), float("nan")
    if min(positives, labels.size - positives) < LEAST_IN_GROUP:
        return GroupSkill(labels.size, positives, nan, nan, nan, nan)
    return GroupSkill(
        rows=labels.size,
        positives=positives,
        roc_auc=float(roc_auc_score(labels, probability)),
        pr_auc=float(average_precision_score(labels, probability)),
        brier_skill=brier_skill(labels, probability),
        lift_at_10_pct=at_capacity(labels, probability, cut, share=0.1).lift,
    )


@dataclass(frozen=True, slots=True)
class Bin:
    """One of the equally full bins of a forecast: mean forecast and rate of what happened."""

    rows: int
    predicted: float
    observed: float


def reliability(labels: Floats, probability: Floats, *, bins: int = 10) -> list[Bin]:
    """The reliability diagram: equally full bins of the forecast, the lowest first.

    Examples
    --------
    >>> reliability(np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.3, 0.7, 0.9]), bins=2)
    [Bin(rows=2, predicted=0.2, observed=0.0), Bin(rows=2, predicted=0.8, observed=1.0)]
    """
    parts = np.array_split(np.argsort(probability, kind="stable"), max(1, min(bins, labels.size)))
    return [Bin(part.size, float(probability[part].mean()), float(labels[part].mean())) for part in parts if part.size]


def roc_curve(labels: Floats, probability: Floats, *, points: int = 60) -> list[tuple[float, float]]:
    """False and true positive rate at about so many thresholds, from (0, 0) to (1, 1); none with one class only."""
    if not labels.size or not 0 < labels.mean() < 1:
        return []
    order = np.argsort(-probability, kind="stable")
    last = np.append(np.flatnonzero(np.diff(probability[order])), labels.size - 1)
    true, false = np.cumsum(labels[order])[last], np.cumsum(1 - labels[order])[last]
    rates = np.column_stack([false / false[-1], true / true[-1]])
    # Evenly along the curve, whose length is at most 2.
    at = np.searchsorted(rates.sum(axis=1), np.linspace(0, 2, points), side="left")
    kept = np.unique(np.minimum(at, len(rates) - 1))
    return [(0.0, 0.0), *((float(x), float(y)) for x, y in rates[kept])]


def gain_curve(events: Floats, ranking: Floats, *, points: int = 50) -> list[tuple[float, float]]:
    """Share of the stretches that are looked at, the worst first, and share of the events found on them.

    Examples
    --------
    >>> gain_curve(np.array([3.0, 0.0, 1.0, 0.0]), np.array([0.9, 0.1, 0.5, 0.2]), points=5)
    [(0.0, 0.0), (0.25, 0.75), (0.5, 1.0), (0.75, 1.0), (1.0, 1.0)]
    """
    total = float(events.sum())
    if not total:
        return []
    found = np.concatenate([[0.0], np.cumsum(events[np.argsort(-ranking, kind="stable")])]) / total
    at = np.unique(np.round(np.linspace(0, events.size, points)).astype(np.int64))
    return [(float(number / events.size), float(found[number])) for number in at]
