"""Checks that no evaluation knows its future: of features, of labels, of the gap between learning and testing.

They are run on the evaluated city itself and stand in its report; the tests plant leaks to prove that they are caught.
`passed` of a check is None where there was nothing to check: that is no pass.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import roc_auc_score

from models.dataset import MATURITY_DAYS, Dataset, days
from models.features import FEATURE_SET, FeatureSet
from models.features.wear import REGISTER_FEATURES
from models.inputs import Floats, Instant
from models.threads import one_thread

MOST_AUC_OF_SHUFFLED = 0.6
"""What learned from shuffled labels and ranks test rows better than this, or worse than its mirror, has seen them."""

FeaturesAt = Callable[[Instant], NDArray[np.float32]]
"""Features of every segment as of a time, shape (n_segments, n_features)."""


def all_passed(found: Iterable[bool | None]) -> bool | None:
    """Of several checks: False if one failed; None if none did, but one had nothing to check, or there was none.

    Examples
    --------
    >>> all_passed([True, True]), all_passed([True, False, None]), all_passed([True, None]), all_passed([])
    (True, False, None, None)
    """
    verdicts = list(found)
    if False in verdicts:
        return False
    return None if None in verdicts or not verdicts else True


@dataclass(frozen=True, slots=True)
class FutureInFeatures:
    """Features as of some times, built from what was recorded by then and from everything recorded since.

    `changed` names those that differ, with the number of values: they knew the future. `not_checked` names those that
    hold attributes of the register, if a time is earlier than from when on they are known of every segment: those of
    that time stand in both. Those of sensors are among them where sensors tell anything: they are spread to segments
    alike.
    """

    cuts: tuple[str, ...]
    values: int
    changed: dict[str, int]
    not_checked: tuple[str, ...]

    @property
    def passed(self) -> bool | None:
        """Whether no feature knew what was recorded later."""
        return not self.changed if self.values else None


def future_in_features(
    cuts: Sequence[Instant],
    from_all: FeaturesAt,
    as_known_then: FeaturesAt,
    feature_set: FeatureSet = FEATURE_SET,
    *,
    register_since: Instant | None = None,
) -> FutureInFeatures:
    """Compare features at `cuts`: what is recorded after a cut, also with an old `observed_at`, must not matter.

    Parameters
    ----------
    cuts : sequence of datetime64[us]
    from_all : callable
        Features as of a time from all records, as training makes them.
    as_known_then : callable
        Features as of a time from the records that were there at that time, as scoring made them.
    register_since : datetime64[us], optional
        From when on the register was known of every segment; None: throughout.
    """
    changed = np.zeros(len(feature_set.features), np.int64)
    blind = np.zeros(len(feature_set.features), bool)
    of_register = np.array([name in REGISTER_FEATURES for name in feature_set.names])
    of_sensors = np.array([feature.group == "sensors" for feature in feature_set.features])
    values = 0
    for cut in cuts:
        now, then = from_all(cut), as_known_then(cut)
        if now.shape != then.shape:
            raise ValueError(f"Got features {now.shape} and {then.shape}, expected those of the same segments.")
        changed += (~np.isclose(now, then, rtol=1e-4, atol=1e-5, equal_nan=True)).sum(axis=0)
        values += now.size
        if register_since is not None and cut < register_since:
            blind |= of_register | (of_sensors & np.isfinite(now).any(axis=0))
    named = {name: int(n) for name, n in zip(feature_set.names, changed, strict=True) if n}
    not_checked = tuple(name for name, unseen in zip(feature_set.names, blind, strict=True) if unseen)
    return FutureInFeatures(tuple(str(cut) for cut in cuts), values, named, not_checked)


@dataclass(frozen=True, slots=True)
class Embargo:
    """For each horizon the least time between the settling of any learned label and the first test cut [d].

    Negative: a label that was learned from was settled within the test time. NaN: no label was learned from, or none
    was tested on.
    """

    horizons_days: tuple[int, ...]
    least_gap_days: tuple[float, ...]

    @property
    def passed(self) -> bool | None:
        """Whether every learned label was settled before the test began."""
        return all_passed(gap >= 0 for gap in self.least_gap_days if np.isfinite(gap))


def embargo_of(folds: Sequence[tuple[Dataset, Dataset]]) -> Embargo:
    """The gaps of a split's folds, each of the rows that were learned from and those that it was tested on."""
    horizons = folds[0][0].horizons_days
    gaps = []
    for column, horizon in enumerate(horizons):
        least = np.nan
        for learn, held_out in folds:
            learned = learn.cut[np.isfinite(learn.labels[:, column])]
            tested = held_out.cut[np.isfinite(held_out.labels[:, column])]
            if learned.size and tested.size:
                settled = learned.max() + days(horizon + MATURITY_DAYS)
                least = float(np.fmin(least, (tested.min() - settled) / days(1)))
        gaps.append(least)
    return Embargo(horizons, tuple(gaps))


@dataclass(frozen=True, slots=True)
class ShuffledLabels:
    """ROC-AUC on test rows after learning from shuffled labels, mean of several shuffles: 0.5 is no skill.

    `roc_auc_true`: of the same learner with the labels as they are. NaN: labels that were all alike, or none.
    """

    horizons_days: tuple[int, ...]
    roc_auc: tuple[float, ...]
    roc_auc_true: tuple[float, ...]

    @property
    def passed(self) -> bool | None:
        """Whether there was no skill."""
        return all_passed(
            1 - MOST_AUC_OF_SHUFFLED < auc < MOST_AUC_OF_SHUFFLED for auc in self.roc_auc if np.isfinite(auc)
        )


def shuffled_labels(
    learn: Dataset, held_out: Dataset, *, shuffles: int = 16, max_rows: int = 6_000, seed: int = 0
) -> ShuffledLabels:
    """Learn from shuffled labels and rank the test rows.

    The learner is plain boosting without monotone directions: a direction is knowledge that no shuffle takes away. Rows
    of one segment are alike, so that one shuffle may hit or miss them by chance; the mean of several does not.
    """
    rng = np.random.default_rng(seed)
    shuffled, true = [], []
    for column in range(len(learn.horizons_days)):
        known, tested = (np.flatnonzero(np.isfinite(rows.labels[:, column])) for rows in (learn, held_out))
        known = rng.permutation(known)[:max_rows]
        x, y = learn.features[known], learn.labels[known, column]
        outcome = held_out.labels[tested, column]
        if not (_differ(y) and _differ(outcome)):
            true.append(np.nan)
            shuffled.append(np.nan)
            continue
        used = np.flatnonzero(np.isfinite(x).any(axis=0))  # boosting refuses a column without any value
        x, test = x[:, used], held_out.features[tested][:, used]
        true.append(_auc(outcome, _learned(x, y, test)))
        shuffled.append(float(np.mean([_auc(outcome, _learned(x, rng.permutation(y), test)) for _ in range(shuffles)])))
    return ShuffledLabels(learn.horizons_days, tuple(shuffled), tuple(true))


def _differ(labels: Floats) -> bool:
    """Whether there are both ones and zeros: without both, nothing can be learned, or told apart."""
    return bool(labels.size and np.ptp(labels) > 0)


def _learned(x: NDArray[np.float32], y: Floats, test: NDArray[np.float32]) -> Floats:
    learner = HistGradientBoostingClassifier(max_iter=12, max_leaf_nodes=8, early_stopping=False, random_state=0)
    with one_thread():
        return np.asarray(learner.fit(x, y).decision_function(test))


def _auc(labels: Floats, ranking: Floats) -> float:
    return float(roc_auc_score(labels, ranking))
