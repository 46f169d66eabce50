"""How busy a window will be, city-wide: the level of a day's log-odds from weather, forecast and season.

The weather is the same for all segments of a day, so a record of four winters holds no more than a few hundred values
of it, whatever the number of segments. Hence one row a cut date: its level is what makes the expected number of
segments with a new hole the observed one,

    Σ_i σ(b · (s_i + ℓ_t)) = K_t,

and ℓ_t is regressed on the city's features, with priors from physics (`models.prior`) and the signs that physics
demands (`Feature.monotone`). Overlapping windows share their weight.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import lsq_linear
from scipy.special import expit, logit
from sklearn.base import BaseEstimator

from models.inputs import Floats
from models.prior import EFFECTS, base_log_odds, weather_share

LEVEL_SD = 0.45
"""Standard deviation of a window's level that no feature explains. [log-odds] Weighs rows against the priors."""
_BASE_SD = 2.0
_LEAST_ROWS = 20
"""A cut with fewer rows says nothing of the city."""


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

    def fit(self, features: NDArray[np.float32], levels: Floats, step_days: float) -> "CityLevel":
        """Fit to one row a cut: features (c, f) and levels (c,); cuts are `step_days` apart. c may be 0."""
        mean, sd = self._prior()
        x = np.column_stack([np.ones(levels.size), self._coordinates(features)])
        # A window of h days that begins every s days says as much as h/s windows fewer.
        weight = np.sqrt(min(1.0, step_days / self.horizon_days)) / LEVEL_SD
        rows = np.vstack([x * weight, np.diag(1 / sd)])
        target = np.concatenate([levels * weight, mean / sd])
        signs = np.array([0, *self.signs])
        low, high = np.where(signs > 0, -1e-9, -np.inf), np.where(signs < 0, 1e-9, np.inf)
        solution = lsq_linear(rows, target, bounds=(low, high)).x
        self.intercept_, self.slopes_ = float(solution[0]), solution[1:]
        return self

    def effects(self, features: NDArray[np.float32]) -> Floats:
        """Effect of each city-wide feature on the level, shape (n, f); 0 at the centre of its prior or if unknown."""
        return np.asarray(self._coordinates(features) * self.slopes_)

    def _coordinates(self, features: NDArray[np.float32]) -> Floats:
        names = tuple(self.feature_names)
        columns = [np.nan_to_num(EFFECTS[name].coordinate(features[:, i])) for i, name in enumerate(names)]
        return np.column_stack(columns) if names else np.zeros((features.shape[0], 0))

    def _prior(self) -> tuple[Floats, Floats]:
        effects = [EFFECTS[name] for name in self.feature_names]
        share = [1.0 if name.startswith("season") else weather_share(self.horizon_days) for name in self.feature_names]
        mean = [base_log_odds(self.horizon_days), *(e.slope * s for e, s in zip(effects, share, strict=True))]
        return np.array(mean), np.array([_BASE_SD, *(e.sd for e in effects)])


def levels_of(
    score: Floats, labels: Floats, stratum: NDArray[np.int64], slope: float
) -> tuple[Floats, NDArray[np.intp]]:
    """Level of each stratum at which as many positives are expected as there were.

    Parameters
    ----------
    score, labels : ndarray, shape (n,)
        s of each row and its label 0/1.
    stratum : ndarray, shape (n,)
        Number of its cut.
    slope : float
        b.

    Returns
    -------
    levels : ndarray, shape (c,)
    first : ndarray, shape (c,)
        A row of each stratum that has at least `_LEAST_ROWS` rows.
    """
    if not labels.size:
        return np.zeros(0), np.zeros(0, np.intp)
    order = np.argsort(stratum, kind="stable")
    start = np.flatnonzero(np.diff(stratum[order], prepend=-1))
    size = np.diff(np.append(start, order.size))
    y, s = labels[order], slope * score[order]
    # Half a hole more in a number that may be 0, and never all: a level must be finite.
    target = np.clip(np.add.reduceat(y, start), 0.5, size - 0.5)
    level = logit(target / size) - np.add.reduceat(s, start) / size
    run = np.repeat(np.arange(start.size), size)
    for _ in range(60):
        p = expit(s + level[run])
        step = (target - np.add.reduceat(p, start)) / (np.add.reduceat(p * (1 - p), start) + 1e-9)
        level = level + np.clip(step, -1, 1)
        if np.abs(step).max() < 1e-8:
            break
    enough = size >= _LEAST_ROWS
    return level[enough] / slope, order[start[enough]]
