"""What any model must beat: four honest simple ones, each fitted on the same rows.

All take the full feature table and give probabilities; unknown values have no effect.
"""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler

from models.dataset import Dataset
from models.features import FEATURE_SET
from models.inputs import Floats

SIX_FEATURES = (
    "freeze_thaw_30d",
    "antecedent_precipitation_mm",
    "wearing_course_age_years",
    "alligator_cracks_per_pass",
    "potholes_relative",
    "potholes_200m_relative",
)
_SHRINK_ROWS = 200.0  # a cell of the climatology counts this many rows of the overall rate in addition


class Baseline(Protocol):
    """Fits one horizon on a dataset and predicts for another."""

    def fit(self, dataset: Dataset, column: int) -> "Baseline":
        """Fit to the labels of horizon `column`, NaN left out."""
        ...

    def predict(self, dataset: Dataset) -> Floats:
        """Probabilities, shape (n,)."""
        ...


class Climatology:
    """Rate of new potholes by month of the year and road class, shrunk to the overall rate."""

    def fit(self, dataset: Dataset, column: int) -> "Climatology":
        """See `Baseline.fit`."""
        rows = np.isfinite(dataset.labels[:, column])
        y, cell = dataset.labels[rows, column], self._cell(dataset)[rows]
        total = np.bincount(cell, minlength=12 * 16)
        holes = np.bincount(cell, weights=y, minlength=12 * 16)
        self.rates_ = (holes + _SHRINK_ROWS * y.mean()) / (total + _SHRINK_ROWS)
        return self

    def predict(self, dataset: Dataset) -> Floats:
        """See `Baseline.predict`."""
        return np.asarray(self.rates_[self._cell(dataset)])

    @staticmethod
    def _cell(dataset: Dataset) -> NDArray[np.int64]:
        month = dataset.cut.astype("datetime64[M]").astype(np.int64) % 12
        return month * 16 + dataset.road_class


class CountSoFar:
    """Rate of new potholes by the number known on the segment so far: persistence, the baseline to beat.

    The number is taken relative to what the city's mean gives, which leaves the ranking of a day as it is and keeps
    the rates valid while records grow longer.
    """

    _UPPER = np.array([0.25, 0.5, 0.75, 1.0, 1.5, 2.0, 3.0, 5.0])

    def fit(self, dataset: Dataset, column: int) -> "CountSoFar":
        """See `Baseline.fit`."""
        rows = np.isfinite(dataset.labels[:, column])
        y, cell = dataset.labels[rows, column], self._cell(dataset)[rows]
        total = np.bincount(cell, minlength=self._UPPER.size + 1)
        holes = np.bincount(cell, weights=y, minlength=self._UPPER.size + 1)
        self.rates_ = (holes + _SHRINK_ROWS * y.mean()) / (total + _SHRINK_ROWS)
        return self

    def predict(self, dataset: Dataset) -> Floats:
        """See `Baseline.predict`."""
        return np.asarray(self.rates_[self._cell(dataset)])

    def _cell(self, dataset: Dataset) -> NDArray[np.int64]:
        return np.searchsorted(self._UPPER, dataset.features[:, FEATURE_SET.index("potholes_relative")])


class Logistic:
    """Logistic regression on named features: medians for unknown values, logarithms of counts, unit variance."""

    def __init__(self, names: tuple[str, ...]) -> None:
        self._columns = [FEATURE_SET.index(name) for name in names]

    def fit(self, dataset: Dataset, column: int) -> "Logistic":
        """See `Baseline.fit`."""
        rows = np.isfinite(dataset.labels[:, column])
        self.model_: BaseEstimator = make_pipeline(
            SimpleImputer(strategy="median", keep_empty_features=True),
            FunctionTransformer(np.log1p),  # every feature named here is non-negative
            StandardScaler(),
            LogisticRegression(max_iter=500),
        ).fit(
            dataset.features[:, self._columns][rows].astype(np.float64),
            dataset.labels[rows, column],
        )
        return self

    def predict(self, dataset: Dataset) -> Floats:
        """See `Baseline.predict`."""
        table = dataset.features[:, self._columns].astype(np.float64)
        return np.asarray(self.model_.predict_proba(table)[:, 1])


def visible_damage() -> Logistic:
    """Ranking by what cameras see: alligator and linear cracks per good pass."""
    return Logistic(("alligator_cracks_per_pass", "linear_cracks_per_pass"))


def six_features() -> Logistic:
    """Logistic regression on one feature of each kind that an engineer would name first."""
    return Logistic(SIX_FEATURES)


BASELINES: dict[str, Callable[[], Baseline]] = {
    "climatology": Climatology,
    "count_so_far": CountSoFar,
    "visible_damage": visible_damage,
    "logistic_six": six_features,
}
