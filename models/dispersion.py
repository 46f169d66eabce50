"""How sure a probability is: what places keep to themselves, and what no forecast of a season knows.

The true rate of a segment in a window is λ = μ · G · W: μ is forecast; G, gamma-distributed about 1 with variance v,
is what makes two segments differ that look the same (frailty [1]_); W is how far the level of the city misses its
forecast, variance e^σ² − 1. P(at least one) is the mean over both, 1 − (1 + u μ)^(−1/u), with u the variance of G · W,
and its 90 % interval is 1 − e^(−λ) between quantiles of a gamma distribution with that variance.

v is measured on what came after a forecast, in several windows one after the other, with the score s of the segment
held as it was when the forecast was made: a place worse than it looked is so in all of them, chance is not, and
products of residuals of two windows have the mean (dp/d log μ)² · v. (Scores renewed before each window would have
learned from the one before; their residuals go with nothing, however different places are.) A segment that looks
dangerous has told much of itself, a quiet one little: log v falls with s. σ is measured on city-wide numbers.

References
----------
.. [1] M. Greenwood and G. U. Yule, J. R. Stat. Soc., vol. 83, 1920, doi:10.2307/2341080.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv
from sklearn.base import BaseEstimator

from models.inputs import Floats

LEVEL = 0.9
"""Share of true probabilities that an interval should hold."""
PRIOR_VARIANCE, PRIOR_POWER = 1.0, 0.5
"""Assumed until a city has told: v of a mean segment, and how fast log v falls with s. A frailty of shape 0.5, seen for
a few years, leaves about as much."""
PRIOR_LEVEL_SD = 0.3
_LEAST, _MOST = 0.05, 4.0
_BINS, _PRIOR_BINS = 6, 2
_PRIOR_YEARS = 2.0
"""Years that the prior of σ weighs: a record of three winters has seen one or two forecasts of a winter fail."""
_LEAST_EXPECTED = 50.0
"""Holes expected in a bin of segments below which its v is not measured."""
_GRID = np.geomspace(_LEAST, _MOST * 4, 200)


@dataclass(frozen=True, slots=True)
class RiskForecast:
    """What is forecast of n rows and h horizons, each (n, h).

    `probability` of at least one new pothole, between `low` and `high` in 90 % of cases; `expected_count` of them.
    """

    probability: Floats
    low: Floats
    high: Floats
    expected_count: Floats


class Dispersion(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Spread of the true rate about the forecast one.

    Attributes
    ----------
    variance_, power_ : float
        v(s) = variance · e^(−power · s).
    level_sd_ : list of float
        σ of the city's level for each horizon. [log]
    measured_ : bool
        False: v is assumed, too little was observed.
    """

    def __init__(self, horizons: int) -> None:
        self.horizons = horizons
        self.variance_, self.power_ = PRIOR_VARIANCE, PRIOR_POWER
        self.level_sd_ = [PRIOR_LEVEL_SD] * horizons
        self.measured_ = False

    def fit_places(self, score: Floats, probability: Floats, residual: Floats, era: NDArray[np.int64]) -> "Dispersion":
        """Measure v.

        Parameters
        ----------
        score, probability, residual : ndarray, shape (n,)
            s, held over an era; probability of a hole in a window, at the level of the city that was then observed; and
            label − probability.
        era : ndarray, shape (n,)
            Number of segment and era. Windows of one must not overlap: their residuals would go together by themselves.
        """
        count = int(era.max(initial=-1)) + 1
        slope = -(1 - probability) * np.log1p(-probability)  # dp / d log μ

        def pairs(values: Floats) -> Floats:
            """Sum over pairs of two windows of an era."""
            return np.asarray(np.bincount(era, values, count) ** 2 - np.bincount(era, values**2, count), np.float64)

        together, expected = pairs(residual), pairs(slope)
        number, holes = np.bincount(era, minlength=count), np.bincount(era, probability, count)
        mean_score = np.bincount(era, score, count) / np.maximum(number, 1)
        several = np.flatnonzero(number > 1)
        at, log_v = [], []
        for part in np.array_split(several[np.argsort(mean_score[several])], _BINS):
            if part.size and holes[part].sum() >= _LEAST_EXPECTED:
                at.append(float(np.average(mean_score[part], weights=expected[part] + 1e-12)))
                log_v.append(float(np.log(np.clip(together[part].sum() / expected[part].sum(), _LEAST, _MOST))))
        if len(at) < 2:
            return self
        x, y = np.array(at), np.array(log_v)
        centred = x - x.mean()
        # The priors weigh as much as two bins: they keep a few noisy ones from turning the power round.
        power = (_PRIOR_BINS * PRIOR_POWER - centred @ y) / (centred @ centred + _PRIOR_BINS)
        self.power_ = float(np.clip(power, 0.0, 1.0))
        mean = (np.sum(y + self.power_ * x) + _PRIOR_BINS * np.log(PRIOR_VARIANCE)) / (x.size + _PRIOR_BINS)
        self.variance_ = float(np.exp(mean))
        self.measured_ = True
        return self

    def fit_level(
        self, horizon: int, forecast: Floats, labels: Floats, stratum: NDArray[np.int64], years: float
    ) -> "Dispersion":
        """Measure σ of the horizon of this number.

        Parameters
        ----------
        forecast, labels : ndarray, shape (n,)
            Of windows that began within so many `years`.
        stratum : ndarray, shape (n,)
            Number of the cut.
        """
        if not labels.size:
            return self
        count, prior = int(stratum.max()) + 1, np.expm1(PRIOR_LEVEL_SD**2)
        expected, chance = np.bincount(stratum, forecast, count), np.bincount(stratum, forecast * (1 - forecast), count)
        slope = np.bincount(stratum, -(1 - forecast) * np.log1p(-forecast), count)  # d expected / d log W
        miss, noise = (np.bincount(stratum, labels, count) - expected) / slope, chance / slope**2
        told = (prior / (prior + noise)) ** 2  # 1: a city so large that chance is nothing
        years = years * float(told.mean())
        variance = (years * np.average(miss**2 - noise, weights=told) + _PRIOR_YEARS * prior) / (years + _PRIOR_YEARS)
        self.level_sd_[horizon] = float(np.clip(np.sqrt(np.log1p(max(variance, 0.0))), 0.05, 0.8))
        return self

    def variance(self, score: Floats, horizon: int) -> Floats:
        """u: variance of λ/μ for scores (n,), of places and level together."""
        own = np.clip(self.variance_ * np.exp(-self.power_ * score), _LEAST, _MOST)
        return np.asarray((1 + own) * np.exp(self.level_sd_[horizon] ** 2) - 1)

    def expected(self, probability: Floats, score: Floats, horizon: int) -> Floats:
        """Expected number of new holes, μ, for probabilities and scores (n,)."""
        u = self.variance(score, horizon)
        none = np.log1p(-np.clip(probability, 0.0, 1 - 1e-9))
        return np.asarray(np.minimum(np.expm1(-u * none) / u, 100.0))

    def interval(self, probability: Floats, score: Floats, horizon: int) -> tuple[Floats, Floats]:
        """Bounds of the 90 % interval of probabilities (n,) with scores (n,)."""
        mean, u = self.expected(probability, score, horizon), self.variance(score, horizon)
        tail = (1 - LEVEL) / 2
        bounds = []
        for share in (tail, 1 - tail):
            # Quantiles of a gamma distribution with mean 1, from a table: one call for each row would take seconds.
            quantile = np.interp(u, _GRID, gammaincinv(1 / _GRID, share) * _GRID)
            bounds.append(-np.expm1(-mean * quantile))
        return np.minimum(bounds[0], probability), np.maximum(bounds[1], probability)
