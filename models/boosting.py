"""Boosted effects of single features within strata: the flexible half of the risk model.

    logit P(y = 1) = g(level of the stratum) + Σ_j f_j(x_j)

Gradient-boosted trees, each on one feature (`interaction_cst`), monotone where physics demands. What share of its
stratum's rows is positive goes in as one more feature: it takes up what all places of a day have in common, so that
trees on weather-like differences between days cannot pass for differences between places; for a forecast it is left out
and `models.city_level` stands in its place. Values are sorted into bins first, so that the sum of a feature's trees is
a table of one value a bin: effects are exact, and cost a search in 254 edges and not a walk through all trees.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import logit
from sklearn.base import BaseEstimator
from sklearn.ensemble import HistGradientBoostingClassifier

from models.inputs import Floats
from models.threads import one_thread

MOST_BINS = 255
"""Of one feature: as many as the trees tell apart."""


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

    Attributes
    ----------
    used_ : ndarray, shape (k,)
        Features that have a value; the effect of others is 0.
    edges_ : list of k ndarrays, each of shape (b,)
        Between the bins of a feature: bin i holds the values up to edge i.
    values_ : list of k ndarrays, each of shape (b + 2,)
        Effect of each bin and, last, of an unknown value. [log-odds]
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
        # Boosting refuses a column without any value.
        self.used_ = np.flatnonzero(np.isfinite(features).any(axis=0))
        self.edges_ = [_edges(features[:, column]) for column in self.used_]
        size = np.bincount(stratum)
        share = np.bincount(stratum, labels) / np.maximum(size, 1)
        level = logit(np.clip(share, 0.5 / np.maximum(size, 1), 1 - 0.5 / np.maximum(size, 2)))
        x = np.empty((labels.size, self.used_.size + 1))
        for position, (column, edges) in enumerate(zip(self.used_, self.edges_, strict=True)):
            code = _codes(features[:, column], edges)
            x[:, position] = np.where(code > edges.size, np.nan, code)
        x[:, -1] = level[stratum]
        monotone = tuple(self.monotone)
        with one_thread():
            estimator = HistGradientBoostingClassifier(
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
            self.values_ = _tables(estimator, [edges.size for edges in self.edges_], np.nanmedian(x, axis=0))
        return self

    def effects(self, features: NDArray[np.float32]) -> Floats:
        """Effect of each feature on the log-odds relative to a fixed row, shape (n, f)."""
        effects = np.zeros(features.shape)
        for column, edges, values in zip(self.used_, self.edges_, self.values_, strict=True):
            effects[:, column] = values[_codes(features[:, column], edges)]
        return effects


def _edges(values: NDArray[np.float32]) -> NDArray[np.float32]:
    """Edges (b,) of at most `MOST_BINS` bins: half-way between values, all of them or those at even ranks."""
    known = np.sort(values[np.isfinite(values)])
    distinct = known[np.append(True, known[1:] != known[:-1])]
    if distinct.size > MOST_BINS:
        ranks = np.linspace(0, known.size - 1, MOST_BINS + 1).round().astype(np.int64)[1:-1]
        at = np.unique(np.searchsorted(distinct, known[ranks]))
        at = at[at < distinct.size - 1]
    else:
        at = np.arange(distinct.size - 1)
    return np.asarray(distinct[at] + (distinct[at + 1] - distinct[at]) / 2, np.float32)


def _codes(values: NDArray[np.float32], edges: NDArray[np.float32]) -> NDArray[np.intp]:
    """Bin of each value, 0 … b; b + 1 for an unknown one."""
    code = np.searchsorted(edges, values)
    code[np.isnan(values)] = edges.size + 1
    return code


def _tables(estimator: HistGradientBoostingClassifier, edges: Sequence[int], reference: Floats) -> list[Floats]:
    """Log-odds of each bin of each feature, and of an unknown value, against `reference`, a row of codes.

    Through the public `decision_function`, of all bins in one call.
    """
    ends = np.cumsum([count + 2 for count in edges])
    rows = np.repeat(reference[None], int(ends[-1]) if ends.size else 0, axis=0)
    for position, (end, count) in enumerate(zip(ends, edges, strict=True)):
        rows[end - count - 2 : end - 1, position] = np.arange(count + 1)
        rows[end - 1, position] = np.nan
    if not len(rows):
        return []
    varied = estimator.decision_function(rows) - estimator.decision_function(reference[None])[0]
    return np.split(varied, ends[:-1])
