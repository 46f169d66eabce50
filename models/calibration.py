"""Calibration of log-odds: spread from predictions of later times, level from all years.

Logistic (Platt) calibration in log-odds, ``logit(p) = a + b * f``, with b ≥ 0. Why not the others:

* isotonic regression needs some thousand positives; with a few hundred it makes steps, and steps are ties in a ranked
  list and break the order of the horizons for many segments at once;
* beta calibration has a third parameter for boosted scores that crowd near 0 and 1; ours are log-odds of a model fitted
  with the log loss, whose error between two seasons is one of level and spread: exactly a and b.

b < 0 would turn the ranking round; it can only come from a model without skill, and the best b ≥ 0 is then 0: everybody
gets the same rate.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator

from models.inputs import Floats

_MOST_STEPS = 50


class LogisticCalibration(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Two-parameter calibration of log-odds, fitted by maximum likelihood (Newton's method).

    Attributes
    ----------
    intercept_, slope_ : float
        a and b of ``logit(p) = a + b * f``.

    References
    ----------
    .. [1] J. Platt, "Probabilistic outputs for support vector machines," in Advances in Large Margin Classifiers, 1999.

    Examples
    --------
    >>> f = np.repeat([-2.0, 0.0], [100, 100])
    >>> y = np.r_[np.repeat([1.0, 0.0], [10, 90]), np.repeat([1.0, 0.0], [30, 70])]
    >>> LogisticCalibration().fit(f, y).predict(np.array([-2.0, 0.0])).round(3)
    array([0.1, 0.3])
    """

    intercept_: float
    slope_: float

    def fit(self, log_odds: Floats, labels: Floats, group: NDArray[np.int64] | None = None) -> "LogisticCalibration":
        """Fit both to log-odds (n,) and labels 0/1 (n,) with both classes present; ValueError otherwise.

        With `group` (n,), 0 … k − 1, each group has a level of its own and all share the slope: log-odds of several
        models, or of years with other weather, tell of the spread alone. The intercept is then that of the last group,
        to be replaced by `fit_level`.
        """
        _check_classes(labels)
        groups = np.zeros(labels.size, np.int64) if group is None else group
        levels = (groups[:, None] == np.arange(groups.max() + 1)).astype(float)
        *_, self.intercept_, self.slope_ = _maximise(levels, log_odds, labels)
        if self.slope_ < 0:
            self.slope_ = 0.0
            self.fit_level(log_odds, labels)
        return self

    def fit_level(self, log_odds: Floats, labels: Floats) -> "LogisticCalibration":
        """Fit the intercept alone, the slope staying as it is; arguments and errors as in `fit`."""
        _check_classes(labels)
        offset = self.slope_ * log_odds
        intercept = 0.0
        for _ in range(_MOST_STEPS):
            p = expit(intercept + offset)
            step = float((labels - p).sum() / ((p * (1 - p)).sum() + 1e-9))
            intercept += float(np.clip(step, -2, 2))
            if abs(step) < 1e-10:
                break
        self.intercept_ = intercept
        return self

    def predict(self, log_odds: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        return np.asarray(expit(self.intercept_ + self.slope_ * log_odds))


def _check_classes(labels: Floats) -> None:
    rate = float(labels.mean()) if labels.size else 0.0
    if not 0 < rate < 1:
        raise ValueError(f"Got a positive rate of {rate} in {labels.size} rows, expected both classes.")


def _maximise(levels: Floats, log_odds: Floats, labels: Floats) -> list[float]:
    """Intercepts of the columns of `levels` (n, k), and the slope last, of the greatest likelihood."""
    design = np.column_stack([levels, log_odds])
    parameters = np.append(np.zeros(levels.shape[1]), 1.0)
    for _ in range(_MOST_STEPS):
        p = expit(design @ parameters)
        gradient = design.T @ (labels - p)
        curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(parameters.size)
        step = np.linalg.solve(curvature, gradient)
        parameters = parameters + np.clip(step, -2, 2)
        if np.abs(step).max() < 1e-10:
            break
    return [float(value) for value in parameters]
