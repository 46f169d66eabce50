"""How well probabilities are calibrated: the line ``logit(P(y)) = a + b · f`` through their log-odds f.

b below 1: the forecasts are too extreme; above 1: too timid; negative: their order is the wrong way round. This is for
measuring only; what calibrates the risk model itself is in `models.risk`.
"""

import numpy as np
from scipy.special import expit
from sklearn.base import BaseEstimator

from models.inputs import Floats

_MOST_STEPS = 50


class LogisticCalibration(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Intercept and slope of log-odds against outcomes, by maximum likelihood (Newton's method).

    Attributes
    ----------
    intercept_, slope_ : float
        a and b of ``logit(p) = a + b * f``.

    References
    ----------
    .. [1] D. R. Cox, "Two further applications of a model for binary regression," Biometrika, vol. 45, 1958,
       doi:10.1093/biomet/45.3-4.562.

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
        design = np.column_stack([np.ones(labels.size), log_odds])
        parameters = np.array([0.0, 1.0])
        for _ in range(_MOST_STEPS):
            p = expit(design @ parameters)
            gradient = design.T @ (labels - p)
            curvature = (design * (p * (1 - p))[:, None]).T @ design + 1e-9 * np.eye(2)
            step = np.linalg.solve(curvature, gradient)
            parameters = parameters + np.clip(step, -2, 2)
            if np.abs(step).max() < 1e-10:
                break
        self.intercept_, self.slope_ = (float(value) for value in parameters)
        return self

    def predict(self, log_odds: Floats) -> Floats:
        """Calibrated probabilities, shape (n,)."""
        return np.asarray(expit(self.intercept_ + self.slope_ * log_odds))
