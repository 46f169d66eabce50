"""How sure figures of skill are: the same figures on cities that are drawn anew, block by block.

Rows of one place and of one day depend on each other; blocks of 500 m hardly do. So whole blocks are drawn with
replacement, all their rows with them, and every forecast is measured on the same draws: differences between forecasts
are paired. The weather of the test time is the same in all draws: an interval over blocks says nothing about other
winters.

Source: B. Efron, R. Tibshirani, An Introduction to the Bootstrap (1993), percentile intervals. The calibration slope is
taken one Newton step from that of all rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit

from models.calibration import LogisticCalibration
from models.inputs import Bools, Floats
from models.metrics import at_top

INTERVAL = 0.90
"""Share of the draws that lie within an interval."""
FIGURES = (
    "roc_auc",
    "pr_auc",
    "brier_skill",
    "predicted_over_observed",
    "calibration_slope",
    "precision_at_capacity",
    "recall_at_capacity",
    "precision_at_10_pct",
    "recall_at_10_pct",
    "lift_at_10_pct",
)

Draws = dict[str, Floats]
"""Figure → its value in each draw, shape (draws,); NaN where a draw cannot say."""


@dataclass(frozen=True, slots=True)
class Interval:
    """A figure with the interval that `INTERVAL` of its draws lie in; NaN where it cannot be said."""

    value: float
    low: float
    high: float


class BlockResampling:
    """The same draws of blocks for any number of forecasts.

    Parameters
    ----------
    labels : ndarray, shape (n,)
        Outcomes 0 or 1.
    block : ndarray, shape (n,)
        Number of the block of each row.
    group : ndarray, shape (n,)
        Number of the cut date of each row: a crew ranks the list of one day.
    capacity : int
        Stretches that a crew can look at each time.
    draws, seed : int
    """

    def __init__(
        self,
        labels: Floats,
        block: NDArray[np.integer],
        group: NDArray[np.int64],
        *,
        capacity: int,
        draws: int,
        seed: int = 0,
    ) -> None:
        self._labels, self._group, self._capacity = labels, group, capacity
        self._block = np.unique(block, return_inverse=True)[1]
        self._count = int(self._block.max(initial=-1)) + 1
        drawn = np.random.default_rng(seed).integers(0, max(self._count, 1), (draws, self._count))
        self.weight = np.stack([np.bincount(row, minlength=self._count) for row in drawn]).astype(np.float64)
        self._first = np.ones((1, self._count))
        """Weights of the city as it is."""

    def intervals(self, probability: Mapping[str, Floats]) -> dict[str, dict[str, Interval]]:
        """Interval of every figure of every forecast."""
        return {
            name: {figure: interval(float(own[figure][0]), draws[figure]) for figure in FIGURES}
            for name, (own, draws) in self.figures(probability).items()
        }

    def figures(
        self, probability: Mapping[str, Floats], ranking: Mapping[str, Floats] | None = None
    ) -> dict[str, tuple[Draws, Draws]]:
        """Of every forecast its figures on the city as it is, shape (1,), and on each draw, shape (draws,).

        `ranking`: what orders the rows of a forecast, where that is not its probability.
        """
        order = ranking or {}
        return {
            name: (self._of(p, order.get(name, p), self._first), self._of(p, order.get(name, p), self.weight))
            for name, p in probability.items()
        }

    def ratio(self, part: Floats, whole: Floats) -> tuple[Floats, Floats]:
        """Sum of one column (n,) over that of another, on the city as it is (1,) and on each draw (draws,)."""
        with np.errstate(divide="ignore", invalid="ignore"):
            own, draws = (self._sums(part, weight) / self._sums(whole, weight) for weight in (self._first, self.weight))
        return own, draws

    def _of(self, p: Floats, order: Floats, weight: Floats) -> Draws:
        with np.errstate(divide="ignore", invalid="ignore"):
            figures = self._linear(p, order, weight) | self._ranking(order, weight)
            return figures | {"calibration_slope": self._slope(p, weight)}

    def _sums(self, values: Floats | Bools, weight: Floats) -> Floats:
        """Weighted sum over all rows, by draw."""
        return np.asarray(weight @ np.bincount(self._block, weights=values, minlength=self._count))

    def _linear(self, p: Floats, ranking: Floats, weight: Floats) -> Draws:
        y = self._labels
        rows, positives = self._sums(np.ones(y.size), weight), self._sums(y, weight)
        rate = positives / rows
        result = {
            "brier_skill": 1 - self._sums((y - p) ** 2, weight) / (rows * rate * (1 - rate)),
            "predicted_over_observed": self._sums(p, weight) / positives,
        }
        tops = {
            "capacity": at_top(ranking, self._group, count=self._capacity),
            "10_pct": at_top(ranking, self._group, share=0.1),
        }
        for name, top in tops.items():
            found, looked = self._sums(y * top, weight), self._sums(top, weight)
            result[f"precision_at_{name}"] = found / looked
            result[f"recall_at_{name}"] = found / positives
        result["lift_at_10_pct"] = result["precision_at_10_pct"] / rate
        return result

    def _ranking(self, p: Floats, weight: Floats) -> Draws:
        if not p.size:
            return {figure: np.full(len(weight), np.nan) for figure in ("roc_auc", "pr_auc")}
        order = np.argsort(-p, kind="stable")
        y, block = self._labels[order], self._block[order]
        last = np.append(np.flatnonzero(np.diff(p[order])), p.size - 1)  # of each run of equal probabilities
        roc, precision = np.empty(len(weight)), np.empty(len(weight))
        for number, weights in enumerate(weight):
            row = weights[block]
            true = np.concatenate([[0.0], np.cumsum(row * y)[last]])
            all_rows = np.concatenate([[0.0], np.cumsum(row)[last]])
            false = all_rows - true
            roc[number] = np.trapezoid(true, false) / (true[-1] * false[-1])
            at_least = np.divide(true, all_rows, out=np.zeros_like(true), where=all_rows > 0)[1:]
            precision[number] = np.sum(np.diff(true) * at_least) / true[-1]
        return {"roc_auc": roc, "pr_auc": precision}

    def _slope(self, p: Floats, weight: Floats) -> Floats:
        y = self._labels
        if not y.size or not 0 < y.mean() < 1 or np.ptp(p) == 0:
            return np.full(len(weight), np.nan)
        f = logit(np.clip(p, 1e-9, 1 - 1e-9))
        fitted = LogisticCalibration().fit(f, y)
        q = expit(fitted.intercept_ + fitted.slope_ * f)
        error, spread = y - q, q * (1 - q)
        g0, g1 = self._sums(error, weight), self._sums(error * f, weight)
        h00, h01, h11 = (self._sums(spread * f**power, weight) for power in (0, 1, 2))
        return np.asarray(fitted.slope_ + (h00 * g1 - h01 * g0) / (h00 * h11 - h01**2))


def differences(
    figures: Mapping[str, tuple[Draws, Draws]], of: str, others: Sequence[str]
) -> dict[str, dict[str, Interval]]:
    """One forecast less each of the others, by figure, on the same draws."""
    own, draws = figures[of]

    def less(figure: str, other: str) -> Interval:
        with np.errstate(invalid="ignore"):  # a draw without a hole has endless ratios, whose difference says nothing
            value, on_draws = own[figure] - figures[other][0][figure], draws[figure] - figures[other][1][figure]
        return interval(float(value[0]), on_draws)

    return {other: {figure: less(figure, other) for figure in FIGURES} for other in others}


def interval(value: float, draws: Floats) -> Interval:
    """The percentile interval of a figure's draws; draws that cannot say (NaN) are left out.

    Examples
    --------
    >>> interval(0.5, np.array([0.5, 0.5, np.nan]))
    Interval(value=0.5, low=0.5, high=0.5)
    """
    known = draws[np.isfinite(draws)]
    if not known.size:
        return Interval(value, float("nan"), float("nan"))
    low, high = np.quantile(known, [(1 - INTERVAL) / 2, (1 + INTERVAL) / 2])
    return Interval(value, float(low), float(high))


def over_worlds(values: Floats, draws: Floats, *, seed: int = 0) -> Interval:
    """Mean of a figure over worlds, with its interval over worlds and the blocks within each of them.

    Parameters
    ----------
    values : ndarray, shape (n_worlds,)
        The figure in each world.
    draws : ndarray, shape (n_worlds, draws)
        Its draws over the blocks of each world.
    """
    count, number = draws.shape
    picked = np.random.default_rng(seed).integers(0, count, (number, count))
    return interval(float(np.mean(values)), draws[picked, np.arange(number)[:, None]].mean(axis=1))
