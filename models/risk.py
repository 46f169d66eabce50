"""The risk model: calibrated probability of at least one new pothole within each horizon, with exact reasons.

For each horizon h a boosted additive model of the log-odds,

    f_h(x) = c_h + Σ_i f_hi(x_i),

from scikit-learn's histogram gradient boosting, held to one feature a tree (`interaction_cst="no_interactions"`) and
monotone where physics demands it. Holes multiply hazards (thaw × cracks × age …), which a sum of log-odds says
well; what is left of interactions stands in features such as frost on a wet road. In exchange each reason is exact.

Calibration (`models.calibration`) is fitted on a later slice of time; then the running maximum over horizons makes
P(7 d) ≤ P(28 d) ≤ P(90 d), as any probability of "at least one" must be.

The expected number of new holes is −ln(1 − p): the mean of a Poisson count with P(≥ 1) = p. Holes cluster, so it
is a lower bound. Length: scikit-learn's boosting takes no offset, so `length_m` is a feature with a monotone effect
that the data scale; segments of one city differ by ± 50 % at most, and "per 100 m" divides by length.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.utils.validation import check_is_fitted
from threadpoolctl import ThreadpoolController

from models.calibration import LogisticCalibration
from models.inputs import Floats
from roadtwin.types import HORIZONS_DAYS

LEAST_POSITIVES = 30
"""Fewest positive rows that a horizon may be trained on, or calibrated on."""


class NotEnoughLabelsError(ValueError):
    """A horizon has too few rows with or without a new pothole."""


class RiskModel(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Additive boosted risk of a new pothole for several horizons.

    Parameters
    ----------
    horizons_days : sequence of int
        Horizons in rising order. [d]
    monotone : sequence of int, optional
        +1, −1 or 0 for each feature; None: no constraint.
    learning_rate, max_iter, max_leaf_nodes, max_features, l2_regularization
        As in `HistGradientBoostingClassifier`. Each split chooses among a fifth of the features: weather features go
        together, and the few winters of a record must not all be laid on the first of them.
    min_leaf_share : float
        Least share of the training rows in a leaf. Weather is shared by the whole city: a leaf smaller than a few cut
        dates would learn single dates, of which a few years hold no more than some hundred.
    random_state : int
        Seed.

    Attributes
    ----------
    estimators_ : list of HistGradientBoostingClassifier, one a horizon
    calibrations_ : list of LogisticCalibration, after `calibrate`
    used_ : list of ndarray
        Features of each horizon that were not unknown throughout; the others have no effect.
    intercept_ : ndarray, shape (n_horizons,)
        Log-odds before calibration of a row whose reasons are all 0 (the training mean of each effect).
    """

    def __init__(
        self,
        horizons_days: Sequence[int] = HORIZONS_DAYS,
        *,
        monotone: Sequence[int] | None = None,
        learning_rate: float = 0.13,
        max_iter: int = 60,
        max_leaf_nodes: int = 5,
        max_features: float = 0.2,
        min_leaf_share: float = 0.02,
        l2_regularization: float = 5.0,
        random_state: int = 0,
    ) -> None:
        self.horizons_days = horizons_days
        self.monotone = monotone
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_features = max_features
        self.min_leaf_share = min_leaf_share
        self.l2_regularization = l2_regularization
        self.random_state = random_state

    def fit(self, features: NDArray[np.float32], labels: Floats) -> "RiskModel":
        """Fit to features (n, f), NaN unknown, and labels (n, n_horizons), 1, 0, or NaN (row left out there).

        Raises NotEnoughLabelsError when a horizon has fewer than 30 rows of a class.
        """
        self._check(features, labels)
        self.n_features_in_ = features.shape[1]
        self.estimators_, self.used_, self.reference_, centres = [], [], [], []
        for column, horizon in enumerate(self.horizons_days):
            rows = np.isfinite(labels[:, column])
            x, y = features[rows], labels[rows, column]
            _enough(y, horizon, "train")
            used = np.flatnonzero(np.isfinite(x).any(axis=0))  # boosting refuses a column without any value
            self.used_.append(used)
            with _one_thread():
                self.estimators_.append(self._boosting(used, y.size).fit(x[:, used], y))
            # Trees on single features are step functions: any fixed reference row tells the effects apart.
            self.reference_.append(np.nanmedian(x[:, used], axis=0).astype(np.float64))
            sample = np.random.default_rng(self.random_state).choice(y.size, min(y.size, 2000), replace=False)
            centres.append(self._effects(column, x[sample]).mean(axis=0))
        self.centre_ = np.array(centres)
        at_reference = [
            float(e.decision_function(r[None])[0]) for e, r in zip(self.estimators_, self.reference_, strict=True)
        ]
        self.intercept_ = np.array(at_reference) + self.centre_.sum(axis=1)
        return self

    def calibrate(self, features: NDArray[np.float32], labels: Floats) -> "RiskModel":
        """Fit the calibration on rows of a later slice of time. Same shapes and errors as `fit`."""
        check_is_fitted(self, "estimators_")
        self._check(features, labels)
        log_odds = self.log_odds(features)
        self.calibrations_ = [
            LogisticCalibration().fit(*self._known(log_odds, labels, column)[:2]) for column in range(labels.shape[1])
        ]
        return self

    def calibrate_rolling(
        self, log_odds: Floats, labels: Floats, origin: NDArray[np.int64], features: NDArray[np.float32], level: Floats
    ) -> "RiskModel":
        """Fit the slope of each calibration to predictions of later times, and its level to all years.

        Parameters
        ----------
        log_odds, labels : ndarray, shape (n, n_horizons)
            What models of this recipe gave to rows of times after those that they had learned from, and their labels.
        origin : ndarray, shape (n,)
            Number of the model that gave a row, from 0: each has its own level, for the years differ.
        features, level : ndarray, shapes (m, f) and (m, n_horizons)
            Rows of all times with their labels: their mean is the level. Errors as in `fit`.
        """
        own = self.log_odds(features)
        calibrations = []
        for column in range(labels.shape[1]):
            f, y, rows = self._known(log_odds, labels, column)
            calibration = LogisticCalibration().fit(f, y, np.unique(origin[rows], return_inverse=True)[1])
            calibrations.append(calibration.fit_level(*self._known(own, level, column)[:2]))
        self.calibrations_ = calibrations
        return self

    def _known(self, log_odds: Floats, labels: Floats, column: int) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        rows = np.isfinite(labels[:, column])
        _enough(labels[rows, column], tuple(self.horizons_days)[column], "calibrate")
        return log_odds[rows, column], labels[rows, column], rows

    def log_odds(self, features: NDArray[np.float32]) -> Floats:
        """Log-odds before calibration, shape (n, n_horizons)."""
        check_is_fitted(self, "estimators_")
        if not features.shape[0]:
            return np.zeros((0, len(self.horizons_days)))
        pairs = zip(self.estimators_, self.used_, strict=True)
        with _one_thread():
            return np.column_stack([estimator.decision_function(features[:, used]) for estimator, used in pairs])

    def predict_proba(self, features: NDArray[np.float32]) -> Floats:
        """Calibrated P(at least one new pothole), shape (n, n_horizons), not falling from horizon to horizon."""
        check_is_fitted(self, "calibrations_")
        log_odds = self.log_odds(features)
        each = [c.predict(log_odds[:, column]) for column, c in enumerate(self.calibrations_)]
        return np.maximum.accumulate(np.column_stack(each), axis=1)

    def contributions(self, features: NDArray[np.float32], horizon_days: int) -> Floats:
        """Effect of each feature on the log-odds before calibration, shape (n, f).

        ``intercept_[h] + contributions.sum(axis=1)`` is `log_odds`. Each effect is measured against its mean in
        training and computed through the public `decision_function`, by varying one feature of a reference row.
        """
        check_is_fitted(self, "estimators_")
        column = tuple(self.horizons_days).index(horizon_days)
        return np.asarray(self._effects(column, features) - self.centre_[column])

    def _effects(self, column: int, features: NDArray[np.float32]) -> Floats:
        estimator, used, reference = self.estimators_[column], self.used_[column], self.reference_[column]
        at_reference = estimator.decision_function(reference[None])[0]
        effects = np.zeros(features.shape)
        if not features.shape[0]:
            return effects
        distinct = [np.unique(features[:, feature].astype(np.float64), return_inverse=True) for feature in used]
        ends = np.cumsum([values.size for values, _ in distinct])
        rows = np.repeat(reference[None], ends[-1], axis=0)
        for position, (values, _) in enumerate(distinct):
            rows[ends[position] - values.size : ends[position], position] = values
        with _one_thread():  # all features in one call: a call costs more than a few thousand rows
            varied = estimator.decision_function(rows) - at_reference
        for position, (values, inverse) in enumerate(distinct):
            effects[:, used[position]] = varied[ends[position] - values.size : ends[position]][inverse]
        return effects

    def _boosting(self, used: NDArray[np.int64], row_count: int) -> HistGradientBoostingClassifier:
        directions = [0] * self.n_features_in_ if self.monotone is None else list(self.monotone)
        return HistGradientBoostingClassifier(
            learning_rate=self.learning_rate,
            max_iter=self.max_iter,
            max_leaf_nodes=self.max_leaf_nodes,
            max_features=self.max_features,
            min_samples_leaf=max(20, round(self.min_leaf_share * row_count)),
            l2_regularization=self.l2_regularization,
            interaction_cst="no_interactions",
            monotonic_cst=[directions[i] for i in used],
            early_stopping=False,  # it would hold out random rows: neighbours in time and space of those it trains on
            random_state=self.random_state,
        )

    def _check(self, features: NDArray[np.float32], labels: Floats) -> None:
        if features.ndim != 2 or labels.shape != (features.shape[0], len(self.horizons_days)):
            raise ValueError(
                f"Got features {features.shape} and labels {labels.shape}, "
                f"expected (n, f) and (n, {len(self.horizons_days)})."
            )
        if self.monotone is not None and len(self.monotone) != features.shape[1]:
            raise ValueError(f"Got {features.shape[1]} features, expected {len(self.monotone)}.")
        if list(self.horizons_days) != sorted(self.horizons_days):
            raise ValueError(f"Got horizons {tuple(self.horizons_days)}, expected them in rising order.")


def expected_count(probability: Floats) -> Floats:
    """Expected number of new potholes, −ln(1 − p): the mean of a Poisson count with P(≥ 1) = p.

    Examples
    --------
    >>> expected_count(np.array([0.0, 0.5])).round(3)
    array([0.   , 0.693])
    """
    return -np.log1p(-np.minimum(probability, 1 - 1e-9)) + 0.0


@cache
def _threads() -> ThreadpoolController:
    """The thread pools of this process; finding them reads its memory map, so it is done once."""
    return ThreadpoolController()


def _one_thread() -> AbstractContextManager[object]:
    """OpenMP with one thread: its idle threads spin, which on a machine that also runs a database and an ingester
    made fitting ten times slower where two threads alone gain a third."""
    limit: AbstractContextManager[object] = _threads().limit(limits=1, user_api="openmp")
    return limit


def _enough(labels: Floats, horizon: int, purpose: str) -> None:
    positives = int((labels == 1).sum())
    negatives = labels.size - positives
    if min(positives, negatives) < LEAST_POSITIVES:
        raise NotEnoughLabelsError(
            f"To {purpose} the {horizon}-day horizon takes {LEAST_POSITIVES} stretches with a new pothole and as many "
            f"without; got {positives} and {negatives}."
        )
