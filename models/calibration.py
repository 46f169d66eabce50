"""Calibration of log-odds on a later slice of time.

Logistic (Platt) calibration in log-odds, ``logit(p) = a + b * f``, with b ≥ 0. Why not the others:

* isotonic regression needs some thousand positives; with a few hundred it makes steps, and steps are ties in a ranked
  list and break the order of the horizons for many segments at once;
* beta calibration has a third parameter for boosted scores that crowd near 0 and 1; ours are log-odds of a model fitted
  with the log loss, whose error between two seasons is one of level and spread: exactly a and b.

b < 0 would turn the ranking round; it can only come from a model without skill, and the best b ≥ 0 is then 0: everybody
gets the rate of the calibration slice.
"""

import numpy as np
from scipy.special import expit, logit
from sklearn.base import BaseEstimator

from models.inputs import Floats


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

    def fit(self, log_odds: Floats, labels: Floats) -> "LogisticCalibration":
        """Fit to log-odds (n,) and labels 0/1 (n,) with both classes present; ValueError otherwise."""
        rate = float(labels.mean()) if labels.size else 0.0
        if not 0 < rate < 1:
            raise ValueError(f"Got a positive rate of {rate} in {labels.size} rows, expected both classes.")
        design = np.column_stack([np.ones_like(log_odds), log_odds])
        parameters = np.array([0.0, 1.0])
        for _ in range(50):
            p = expit(design @ parameters)
            gradient = design.T @ (labels - p)
            curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            parameters = parameters + np.clip(step, -2, 2)
            if np.abs(step).max() < 1e-10:
                break
        if parameters[1] < 0:
            parameters = np.array([logit(rate), 0.0])
        self.intercept_, self.slope_ = (float(value) for value in parameters)
        return self

    def predict(self, log_odds: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        return np.asarray(expit(self.intercept_ + self.slope_ * log_odds))
