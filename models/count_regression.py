"""Additive regression of counts: log of the rate as a sum of piecewise linear effects, negative binomial around it.

    y ~ NB(mean μ, size r),   log μ = log exposure + level[group] + Σ_j f_j(x_j),   P(y ≥ 1) = 1 − (1 + μ/r)^−r

Each f_j is piecewise linear between quantiles of x_j and constant beyond them; a normal prior on its coefficients keeps
it smooth. A group (the windows that begin on one day) has a level of its own, so that a busy month does not pass for an
effect. An unknown value (NaN) has no effect but that of being unknown. Fitted by maximum penalised likelihood.

References
----------
.. [1] J. F. Lawless, "Negative binomial and mixed Poisson regression," Can. J. Stat., vol. 15, no. 3, pp. 209-225,
   1987, doi:10.2307/3314912.
"""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from scipy.special import gammaln

from models.inputs import Floats

_QUANTILES = (0.02, 0.25, 0.5, 0.75, 0.98)
_PRECISION = 100.0
_LOG_MEAN_LIMITS = (-30.0, 8.0)
_LOG_SIZE_LIMITS = (-5.0, 7.0)
_MOST_ROUNDS, _TOLERANCE = 60, 1e-8


class _Data:
    """Rows of a fit: basis (n, k), counts, log exposure and group (n,)."""

    def __init__(self, basis: Floats, counts: Floats, log_exposure: Floats, group: NDArray[np.int64]) -> None:
        self._basis, self._counts, self._log_exposure, self._group = basis, counts, log_exposure, group
        self._number, self._times = np.unique(counts, return_counts=True)

    def _mean(self, level: Floats, effect: Floats) -> Floats:
        log = level[self._group] + self._basis @ effect + self._log_exposure
        return np.asarray(np.exp(np.clip(log, *_LOG_MEAN_LIMITS)))

    def loss(self, level: Floats, effect: Floats, size: float, precision: float) -> float:
        """Negative log-likelihood, less what does not depend on the parameters, plus penalty."""
        penalty = precision / 2 * float(effect @ effect)
        return self._loss(self._mean(level, effect), size) + penalty

    def _loss(self, mean: Floats, size: float) -> float:
        # Counts repeat: their gamma functions are taken once each.
        known = float(self._times @ gammaln(self._number + size)) - len(mean) * float(gammaln(size))
        log = self._counts * (np.log(mean) - np.log(size)) - (self._counts + size) * np.log1p(mean / size)
        return -(known + float(log.sum()))

    def best_size(self, level: Floats, effect: Floats) -> float:
        """The size with the highest likelihood at these means."""
        mean = self._mean(level, effect)
        best = minimize_scalar(
            lambda log: self._loss(mean, float(np.exp(log))), bounds=_LOG_SIZE_LIMITS, method="bounded"
        )
        return float(np.exp(best.x))

    def newton_step(self, level: Floats, effect: Floats, size: float, precision: float) -> tuple[Floats, Floats]:
        """Levels and effects after one step of Fisher scoring, halved until the loss falls."""
        groups, mean = len(level), self._mean(level, effect)
        weight = mean / (1 + mean / size)
        surplus = (self._counts - mean) / (1 + mean / size)
        weighted = self._basis * weight[:, None]
        by_group = np.zeros((groups, len(effect)))
        np.add.at(by_group, self._group, weighted)
        information = np.block(
            [
                [np.diag(np.bincount(self._group, weight, groups) + 1e-9), by_group],
                [by_group.T, self._basis.T @ weighted + precision * np.eye(len(effect))],
            ]
        )
        slope = np.concatenate(
            [np.bincount(self._group, surplus, groups), self._basis.T @ surplus - precision * effect]
        )
        step = np.linalg.solve(information, slope)
        now, share = self.loss(level, effect, size, precision), 1.0
        while share > 1e-4:
            there = level + share * step[:groups], effect + share * step[groups:]
            if self.loss(*there, size, precision) <= now:
                return there
            share /= 2
        return level, effect


class CountRegression:
    """The regression. Features are given by name; a name unknown in all rows of the fit is left out from then on.

    Attributes
    ----------
    names_ : tuple of str
        Features that are used.
    level_ : ndarray, shape (n_groups,)
        Log of the rate of each group where all effects are at their mean.
    size_ : float
        r: the smaller, the more the counts of equal segments differ.
    """

    def __init__(self, *, precision: float = _PRECISION) -> None:
        self.precision = precision

    def fit(
        self, features: Mapping[str, Floats], counts: Floats, exposure: Floats, group: NDArray[np.int64]
    ) -> "CountRegression":
        """Fit to n rows: features (n,) by name, counts (n,), exposure (n,) > 0, group (n,) from 0.

        Raises ValueError without any event, for which no rate can be told.
        """
        if not counts.sum():
            raise ValueError("Got no event to learn from, expected some.")
        self.names_ = tuple(
            name for name, x in features.items() if np.isfinite(x).any() and np.nanmax(x) > np.nanmin(x)
        )
        self._knots = {name: np.unique(np.nanquantile(features[name], _QUANTILES)) for name in self.names_}
        self._fill: dict[str, list[float]] = {}
        raw = self._raw_basis(features, len(counts))
        self._mean, self._scale = raw.mean(axis=0), raw.std(axis=0) + 1e-9
        basis = (raw - self._mean) / self._scale
        overall = counts.sum() / exposure.sum()
        observed, exposed = np.bincount(group, counts), np.bincount(group, exposure)
        level, effect, size = np.log((observed + overall) / (exposed + 1.0)), np.zeros(basis.shape[1]), 1.0
        data = _Data(basis, counts, np.log(exposure), group)
        before = np.inf
        for _ in range(_MOST_ROUNDS):
            level, effect = data.newton_step(level, effect, size, self.precision)
            size = data.best_size(level, effect)
            loss = data.loss(level, effect, size, self.precision)
            if before - loss < _TOLERANCE * len(counts):
                break
            before = loss
        self.level_, self._effect, self.size_ = level, effect, size
        return self

    def relative_rate(self, features: Mapping[str, Floats], rows: int) -> Floats:
        """exp(Σ f_j(x_j)) of each row, shape (rows,): the rate relative to a group's level."""
        basis = (self._raw_basis(features, rows) - self._mean) / self._scale
        return np.asarray(np.exp(basis @ self._effect))

    def probability(self, mean: Floats) -> Floats:
        """P(y ≥ 1) for expected counts.

        Examples
        --------
        >>> model = CountRegression()
        >>> model.size_ = 1.0
        >>> model.probability(np.array([0.0, 1.0])).tolist()
        [0.0, 0.5]
        """
        return np.asarray(-np.expm1(-self.size_ * np.log1p(mean / self.size_)))

    def _raw_basis(self, features: Mapping[str, Floats], rows: int) -> Floats:
        columns = []
        for name in self.names_:
            knots, x = self._knots[name], features[name]
            known = np.isfinite(x)
            inside = np.clip(np.where(known, x, knots[0]), knots[0], knots[-1])
            pieces = [np.maximum(inside - knot, 0.0) for knot in knots[:-1]]
            # An unknown value counts as the mean of the fit's rows: no effect, but that of the column that says so.
            if name not in self._fill:
                self._fill[name] = [float(piece[known].mean()) for piece in pieces]
            fill = self._fill[name]
            columns += [np.where(known, piece, mean) for piece, mean in zip(pieces, fill, strict=True)]
            columns.append((~known).astype(np.float64))
        return np.column_stack(columns) if columns else np.zeros((rows, 0))
