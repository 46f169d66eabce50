"""Boosted effects of single features within strata: the flexible half of the risk model.

    logit P(y = 1) = g(level of the stratum) + Σ_j f_j(x_j)

Gradient-boosted trees, each on one feature (`interaction_cst`), monotone where physics demands. What share of its
stratum's rows is positive goes in as one more feature: it takes up what all places of a day have in common, so that
trees on weather-like differences between days cannot pass for differences between places; for a forecast it is left out
and `models.city_level` stands in its place. Trees on single features are step functions: each effect is exact.
"""

from collections.abc import Sequence
from contextlib import AbstractContextManager
from functools import cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier
from threadpoolctl import ThreadpoolController

from models.inputs import Floats


class BoostedEffects(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Boosted additive effects of features within strata.

    Parameters
    ----------
    monotone : sequence of int
        +1, −1 or 0 for each feature.
    learning_rate, max_iter, max_leaf_nodes, max_features, l2_regularization
        As in `HistGradientBoostingClassifier`. Each split chooses among a part of the features, so that those that go
        together share their effect.
    min_leaf_share : float
        Least share of the training rows in a leaf.
    random_state : int
        Seed.
    """

    def __init__(
        self,
        monotone: Sequence[int],
        *,
        learning_rate: float = 0.13,
        max_iter: int = 150,
        max_leaf_nodes: int = 5,
        max_features: float = 0.2,
        min_leaf_share: float = 0.01,
        l2_regularization: float = 5.0,
        random_state: int = 0,
    ) -> None:
        self.monotone = monotone
        self.learning_rate = learning_rate
        self.max_iter = max_iter
        self.max_leaf_nodes = max_leaf_nodes
        self.max_features = max_features
        self.min_leaf_share = min_leaf_share
        self.l2_regularization = l2_regularization
        self.random_state = random_state

    def fit(self, features: NDArray[np.float32], labels: Floats, stratum: NDArray[np.int64]) -> "BoostedEffects":
        """Fit to features (n, f), NaN unknown, labels 0/1 (n,) of both classes, and the stratum of each row (n,)."""
        # Boosting refuses a column without any value; its effect is 0.
        self.used_ = np.flatnonzero(np.isfinite(features).any(axis=0))
        size = np.bincount(stratum)
        share = np.bincount(stratum, labels) / np.maximum(size, 1)
        level = logit(np.clip(share, 0.5 / np.maximum(size, 1), 1 - 0.5 / np.maximum(size, 2)))
        x = np.column_stack([features[:, self.used_], level[stratum]])
        monotone = tuple(self.monotone)
        with one_thread():
            self.estimator_ = HistGradientBoostingClassifier(
                learning_rate=self.learning_rate,
                max_iter=self.max_iter,
                max_leaf_nodes=self.max_leaf_nodes,
                max_features=self.max_features,
                min_samples_leaf=max(20, round(self.min_leaf_share * labels.size)),
                l2_regularization=self.l2_regularization,
                interaction_cst="no_interactions",
                monotonic_cst=[*(monotone[i] for i in self.used_), 1],
                early_stopping=False,  # it would hold out random rows: neighbours of those it trains on
                random_state=self.random_state,
            ).fit(x, labels)
        # Any fixed row tells the effects of step functions apart.
        self.reference_ = np.nanmedian(x, axis=0).astype(np.float64)
        return self

    def effects(self, features: NDArray[np.float32]) -> Floats:
        """Effect of each feature on the log-odds relative to the reference row, shape (n, f).

        Computed through the public `decision_function`: distinct values of one feature in the reference row.
        """
        effects = np.zeros(features.shape)
        if not features.shape[0]:
            return effects
        distinct = [np.unique(features[:, column].astype(np.float64), return_inverse=True) for column in self.used_]
        ends = np.cumsum([values.size for values, _ in distinct])
        rows = np.repeat(self.reference_[None], ends[-1], axis=0) if distinct else self.reference_[None]
        for position, (values, _) in enumerate(distinct):
            rows[ends[position] - values.size : ends[position], position] = values
        with one_thread():  # all features in one call: a call costs more than a few thousand rows
            varied = self.estimator_.decision_function(rows)
            varied = varied - self.estimator_.decision_function(self.reference_[None])[0]
        for position, (values, inverse) in enumerate(distinct):
            effects[:, self.used_[position]] = varied[ends[position] - values.size : ends[position]][inverse]
        return effects


@cache
def _threads() -> ThreadpoolController:
    """The thread pools of this process; finding them reads its memory map, so it is done once."""
    return ThreadpoolController()


def one_thread() -> AbstractContextManager[object]:
    """OpenMP with one thread: its idle threads spin, which on a machine that also runs a database and an ingester
    made fitting ten times slower where two threads alone gain a third."""
    limit: AbstractContextManager[object] = _threads().limit(limits=1, user_api="openmp")
    return limit
