"""An additive logistic model within strata, drawn towards a prior: the transparent half of the risk model.

    logit P(y = 1) = a_stratum + Σ_j β_j · x_j

Rows of one cut date are a stratum with a level of its own, so that β says what tells places apart on one day, and the
weather of the few winters that a record holds, which all places share, cannot distort it (as in Cox's partial
likelihood [1]_). β maximises the likelihood times independent normal priors, with the signs that physics demands: of
features that say nearly the same, one would else take the wrong sign. Without labels it is the prior mean.

References
----------
.. [1] D. R. Cox, "Regression models and life-tables," J. R. Stat. Soc. B, vol. 34, no. 2, 1972,
   doi:10.1111/j.2517-6161.1972.tb00899.x. Strata: N. E. Breslow, Biometrics, vol. 30, 1974, doi:10.2307/2529620.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, logit
from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from models.inputs import Floats
from models.prior import EFFECTS
from models.threads import one_thread

_MOST_STEPS = 60
_MISSING_SD = 0.3
"""Prior standard deviation of what it means that a value is unknown. [log-odds]"""
_STRATUM_PRECISION = 0.01
_PART_ROWS, _SCOUT_ROWS = 50_000, 40_000


class AdditiveLogit(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Additive effects of features within strata.

    Parameters
    ----------
    feature_names : sequence of str
        Names of the columns, each with an entry in `models.prior.EFFECTS`.
    signs : sequence of int
        +1, −1 or 0 for each: the direction that physics allows, that of the prior mean, too.

    Attributes
    ----------
    slopes_, missing_ : ndarray, shape (f,)
        Log-odds for a step of the prior's scale, and for a value that is unknown.
    """

    def __init__(self, feature_names: Sequence[str], signs: Sequence[int]) -> None:
        self.feature_names = feature_names
        self.signs = signs

    def fit(self, features: NDArray[np.float32], labels: Floats, stratum: NDArray[np.int64]) -> "AdditiveLogit":
        """Fit to features (n, f), NaN unknown, labels 0/1 (n,) and the number of the stratum of each row (n,)."""
        mean, precision = self._prior()
        beta, count = mean.copy(), len(tuple(self.feature_names))
        if labels.size and 0 < labels.mean() < 1:
            x, used = self._varying(features)
            signs = np.array([*self.signs, *[0] * count])  # that a value is unknown may mean either
            # A part of the rows finds the neighbourhood, so that all of them take two or three steps and not ten.
            part = slice(None, None, max(1, labels.size // _SCOUT_ROWS))
            near = mean[used]
            with one_thread():
                if 0 < labels[part].mean() < 1:
                    near = _signed(x[part], labels[part], stratum[part], mean[used], precision[used], signs[used], near)
                beta[used] = _signed(x, labels, stratum, mean[used], precision[used], signs[used], near)
        self.slopes_, self.missing_ = beta[:count], beta[count:]
        return self

    def effects(self, features: NDArray[np.float32]) -> Floats:
        """Effect of each feature on the log-odds, shape (n, f); 0 at the centre of its prior."""
        effects = np.zeros(features.shape)
        for column, name in enumerate(self.feature_names):
            coordinate = EFFECTS[name].coordinate(features[:, column])
            effects[:, column] = np.where(
                np.isnan(coordinate), self.missing_[column], coordinate * self.slopes_[column]
            )
        return effects

    def _varying(self, features: NDArray[np.float32]) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
        """Columns of the design that have two different values, and their numbers among the 2 f.

        The first f are coordinates (unknown: 0), the others whether a value is unknown. A column without two values
        tells nothing: its coefficient stays that of the prior.
        """
        columns, used, names = [], [], tuple(self.feature_names)
        for column, name in enumerate(names):
            coordinate = EFFECTS[name].coordinate(features[:, column])
            unknown = np.isnan(coordinate)
            for number, values in ((column, np.where(unknown, 0.0, coordinate)), (len(names) + column, unknown)):
                if values.min() < values.max():
                    columns.append(values.astype(np.float32))
                    used.append(number)
        design = np.stack(columns, axis=1) if columns else np.zeros((features.shape[0], 0), np.float32)
        return design, np.array(used, np.int64)

    def _prior(self) -> tuple[Floats, Floats]:
        effects = [EFFECTS[name] for name in self.feature_names]
        mean = np.array([effect.slope for effect in effects] + [0.0] * len(effects))
        sd = np.array([effect.sd for effect in effects] + [_MISSING_SD] * len(effects))
        return mean, sd**-2


def _signed(
    x: NDArray[np.floating],
    labels: Floats,
    stratum: NDArray[np.int64],
    mean: Floats,
    precision: Floats,
    signs: NDArray[np.int64],
    begin: Floats,
) -> Floats:
    """`within_strata` with slopes of the given signs (k,), 0 any: those that come out against theirs are held at 0."""
    free, beta = np.ones(signs.size, bool), begin.copy()
    while True:
        beta[free] = within_strata(x[:, free], labels, stratum, mean[free], precision[free], begin=beta[free])
        against = free & (signs * beta < 0)
        if not against.any():
            return beta
        free &= ~against
        beta[against] = 0.0


def within_strata(
    x: NDArray[np.floating],
    labels: Floats,
    stratum: NDArray[np.int64],
    mean: Floats,
    precision: Floats,
    *,
    begin: Floats | None = None,
) -> Floats:
    """β of ``logit(p) = a_stratum + x β`` with independent normal priors, by Newton's method.

    Parameters
    ----------
    x : ndarray, shape (n, k)
        Coordinates.
    labels : ndarray, shape (n,)
        0 or 1, both present.
    stratum : ndarray, shape (n,)
        Number of the stratum of each row. The levels are eliminated from each step, which so costs n · k².
    mean, precision : ndarray, shape (k,)
        Of the priors.
    begin : ndarray, shape (k,), optional
        Where to begin; at the prior means if left out.
    """
    y = labels
    if (stratum[1:] < stratum[:-1]).any():  # sums over strata become sums over runs
        order = np.argsort(stratum, kind="stable")
        x, y, stratum = x[order], labels[order], stratum[order]
    start = np.flatnonzero(np.diff(stratum, prepend=-1))
    usual = float(logit(y.mean()))
    level, beta = np.full(start.size, usual), (mean if begin is None else begin).astype(np.float64)
    best, level_step, step = -np.inf, np.zeros(start.size), np.zeros(beta.size)
    for _ in range(_MOST_STEPS):
        gradient_level = -_STRATUM_PRECISION * (level - usual)
        h_level = np.full(start.size, _STRATUM_PRECISION)
        h_cross = np.zeros((start.size, beta.size))
        gradient, h_beta = -precision * (beta - mean), np.diag(precision)
        value = -0.5 * float(precision @ (beta - mean) ** 2 + _STRATUM_PRECISION * np.sum((level - usual) ** 2))
        for strata, rows in _parts(start, y.size):  # doubles of a part at a time, not of all rows
            part, heads = x[rows].astype(np.float64), start[strata] - rows.start
            run = np.repeat(np.arange(heads.size), np.diff(np.append(heads, len(part))))
            log_odds = level[strata][run] + part @ beta
            p = expit(log_odds)
            value += float(np.sum(y[rows] * log_odds - np.logaddexp(0.0, log_odds)))
            weight, residual = p * (1 - p), y[rows] - p
            gradient_level[strata] += np.add.reduceat(residual, heads)
            h_level[strata] += np.add.reduceat(weight, heads)
            ends = np.append(heads[1:], len(part))
            h_cross[strata] += [weight[a:b] @ part[a:b] for a, b in zip(heads, ends, strict=True)]
            gradient = gradient + part.T @ residual
            part *= np.sqrt(weight)[:, None]
            h_beta = h_beta + part.T @ part  # of a matrix and itself BLAS works out one half
        if value < best - 1e-9 * abs(best):  # too far: half of the step that led here
            level, beta, level_step, step = level - level_step / 2, beta - step / 2, level_step / 2, step / 2
            continue
        best = value
        step = np.linalg.solve(
            h_beta - h_cross.T @ (h_cross / h_level[:, None]), gradient - h_cross.T @ (gradient_level / h_level)
        )
        level_step = (gradient_level - h_cross @ step) / h_level
        shrink = min(1.0, 4.0 / max(np.abs(step).max(initial=0.0), np.abs(level_step).max(), 1e-12))
        step, level_step = step * shrink, level_step * shrink
        level, beta = level + level_step, beta + step
        if np.abs(step).max(initial=0.0) < 1e-6:
            break
    else:
        warnings.warn(
            f"Effects within strata: not settled after {_MOST_STEPS} steps.", ConvergenceWarning, stacklevel=2
        )
    return beta


def _parts(start: NDArray[np.int64], count: int) -> Iterator[tuple[slice, slice]]:
    """Strata and their rows, some ten thousand rows a time; `start` (c,) is the first row of each stratum."""
    first = 0
    while first < start.size:
        last = max(first + 1, int(np.searchsorted(start, start[first] + _PART_ROWS)))
        end = count if last == start.size else int(start[last])
        yield slice(first, last), slice(int(start[first]), end)
        first = last
