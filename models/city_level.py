"""How busy a window will be, city-wide: the level of a day's log-odds from weather, forecast and season.

The weather is the same for all segments of a day, so a record of four winters holds no more than a few hundred values
of it, whatever the number of segments. Hence a cut is one observation: the number K_t of segments with a new hole, of
which

    M_t = Σ_i σ(b · (s_i + ℓ_t)),    ℓ_t = c + Σ_j β_j z_j

are expected. Its variance is that of chance, V_t = Σ p (1 − p), and that of what no feature explains, (D_t τ)², with
D_t = dM_t/dℓ. The coefficients solve the estimating equations of a quasi-likelihood [1]_,

    Σ_t D_t (K_t − M_t) z_tj / (V_t + D_t² τ²) = (β_j − prior mean) / prior sd²,

with priors from physics (`models.prior`) and the signs that physics demands (`Feature.monotone`). So expected numbers
are right in the mean over winters, whatever their spread: a regression on the logarithms of what was observed would be
right for the winter in the middle, and too low for all of them together by half the variance of a logarithm, and in a
small city it would have to say what the logarithm of no hole is. A cut counts as much as it tells: with few segments,
little. Overlapping windows share their weight.

References
----------
.. [1] R. W. M. Wedderburn, "Quasi-likelihood functions, generalized linear models, and the Gauss-Newton method,"
   Biometrika, vol. 61, no. 3, 1974, doi:10.1093/biomet/61.3.439. Multiplicative error on top of chance: N. E. Breslow,
   "Extra-Poisson variation in log-linear models," J. R. Stat. Soc. C, vol. 33, no. 1, 1984, doi:10.2307/2347661.
"""

import warnings
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from models.inputs import Floats
from models.prior import EFFECTS, base_log_odds, season_slopes, weather_share

LEVEL_SD = 0.45
"""τ: standard deviation of a window's level that no feature explains. [log-odds] Weighs cuts against the priors."""
_BASE_SD = 2.0
_MOST_STEPS = 60
_WIDEST_LEVEL, _GRID_STEP, _HALVINGS = 12.0, 0.25, 32


class CityLevel(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Level of the log-odds of one horizon.

    Parameters
    ----------
    feature_names : sequence of str
        Names of the city-wide columns.
    signs : sequence of int
        +1, −1 or 0 for each: the direction that physics allows.
    horizon_days : int
        Length of the window. [d]

    Attributes
    ----------
    intercept_, slopes_ : float and ndarray, shape (f,)
    """

    def __init__(self, feature_names: Sequence[str], signs: Sequence[int], horizon_days: int) -> None:
        self.feature_names = feature_names
        self.signs = signs
        self.horizon_days = horizon_days

    def fit(
        self,
        features: NDArray[np.float32],
        cut: NDArray[np.int64],
        score: Floats,
        labels: Floats,
        slope: float,
        step_days: float,
        *,
        base: float | None = None,
    ) -> "CityLevel":
        """Fit to all rows of all cuts.

        Parameters
        ----------
        features : ndarray, shape (c, f)
            One row a cut. c may be 0: the level is the prior's.
        cut : ndarray, shape (n,)
            Number of the cut of each row, 0 … c − 1.
        score, labels : ndarray, shape (n,)
            s of each row and its label 0/1.
        slope : float
            b.
        step_days : float
            Cuts are so far apart. [d]
        base : float, optional
            Prior mean of the intercept; that of a usual road of 100 m if left out. [log-odds]
        """
        mean, sd = self._prior(base_log_odds(self.horizon_days) if base is None else base)
        count = features.shape[0]
        x = np.column_stack([np.ones(count), self._coordinates(features)])
        signs = np.array([0, *self.signs])
        low, high = np.where(signs > 0, -1e-9, -np.inf), np.where(signs < 0, 1e-9, np.inf)
        observed = np.bincount(cut, labels, count)
        # A window of h days that begins every s days says as much as h/s windows fewer.
        share = min(1.0, step_days / self.horizon_days)
        coefficients = mean.copy()
        for _ in range(_MOST_STEPS if count else 0):
            level = x @ coefficients
            p = expit(slope * (score + level[cut]))
            expected, chance = np.bincount(cut, p, count), np.bincount(cut, p * (1 - p), count)
            gradient = slope * chance + 1e-12
            weight = np.sqrt(share / (chance / gradient**2 + LEVEL_SD**2))
            target = level + (observed - expected) / gradient
            rows = np.vstack([x * weight[:, None], np.diag(1 / sd)])
            step = lsq_linear(rows, np.concatenate([target * weight, mean / sd]), bounds=(low, high)).x - coefficients
            # Far off, what a cut asks for may be far too much: never more than its log-odds by one.
            coefficients = coefficients + step / max(1.0, slope * float(np.abs(x @ step).max()))
            if np.abs(step).max() < 1e-6 * max(1.0, float(np.abs(coefficients).max())):
                break
        else:
            if count:
                warnings.warn(f"City level: not settled after {_MOST_STEPS} steps.", ConvergenceWarning, stacklevel=2)
        self.intercept_, self.slopes_ = float(coefficients[0]), coefficients[1:]
        return self

    def effects(self, features: NDArray[np.float32]) -> Floats:
        """Effect of each city-wide feature on the level, shape (n, f); 0 at the centre of its prior or if unknown."""
        return np.asarray(self._coordinates(features) * self.slopes_)

    def prior_effect(self, features: NDArray[np.float32]) -> Floats:
        """What the prior expects of all city-wide features together, shape (n,), for features (n, f). [log-odds]"""
        return np.asarray(self._coordinates(features) @ self._prior(0.0)[0][1:])

    def _coordinates(self, features: NDArray[np.float32]) -> Floats:
        names = tuple(self.feature_names)
        columns = [np.nan_to_num(EFFECTS[name].coordinate(features[:, i])) for i, name in enumerate(names)]
        return np.column_stack(columns) if names else np.zeros((features.shape[0], 0))

    def _prior(self, base: float) -> tuple[Floats, Floats]:
        share = weather_share(self.horizon_days)
        season = dict(zip(("season_sin", "season_cos"), season_slopes(self.horizon_days), strict=True))
        slopes = [season.get(name, EFFECTS[name].slope * share) for name in self.feature_names]
        return np.array([base, *slopes]), np.array([_BASE_SD, *(EFFECTS[name].sd for name in self.feature_names)])


def level_of(score: Floats, labels: Floats, slope: float) -> float:
    """Level at which as many positives are expected as there were; −∞ or ∞ if there was none or nothing else.

    Parameters
    ----------
    score, labels : ndarray, shape (n,)
        s of each row and its label 0/1.
    slope : float
        b.
    """
    positives = float(labels.sum())
    if not 0 < positives < labels.size:
        return np.inf if positives else -np.inf
    s = slope * score
    level = float(logit(positives / labels.size) - s.mean())
    for _ in range(_MOST_STEPS):
        p = expit(s + level)
        step = float((positives - p.sum()) / np.sum(p * (1 - p)))
        level += float(np.clip(step, -1, 1))
        if abs(step) < 1e-8:
            break
    return level / slope


def level_of_year(number_at: Callable[[float], float], number: float, effects: Floats, weight: Floats) -> float:
    """Level c at which Σ w_d N(c + e_d) is a number: so many holes are expected in a mean window of the year.

    Parameters
    ----------
    number_at : callable
        N: expected number in a window at a level, rising and nearly exponential.
    number : float
        The number that it shall be.
    effects, weight : ndarray, shape (d,)
        e_d of the dates of a year [log-odds], and what each weighs.

    Examples
    --------
    >>> e = np.log([0.5, 3.5])
    >>> round(level_of_year(np.exp, 1.0, e, np.array([0.5, 0.5])), 3)  # the mean of exp(e) is 2
    -0.693
    """
    # N is a sum over all segments: worked out on a grid once, not for each date and step.
    grid = np.arange(-_WIDEST_LEVEL, _WIDEST_LEVEL + _GRID_STEP, _GRID_STEP)
    log_number = np.log([max(number_at(float(level)), 1e-300) for level in grid])
    low, high = -_WIDEST_LEVEL, _WIDEST_LEVEL
    for _ in range(_HALVINGS):
        level = (low + high) / 2
        if weight @ np.exp(np.interp(level + effects, grid, log_number)) < number:
            low = level
        else:
            high = level
    return (low + high) / 2
