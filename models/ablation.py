"""What each kind of knowledge is worth: the same recipe, refitted on ever more groups of features.

A group that is left out is unknown (NaN) in every row, for learning and for testing, which a city that lacks those
records would have, too. Steps add one group each, in the order of `GROUPS`: weather first, then what else is known.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace

import numpy as np

from models.dataset import Dataset, TimeSplit
from models.evaluation import SplitKind, SplitResult, evaluate_split
from models.features import GROUPS, Group
from models.inputs import Ints
from models.risk import RiskModel


@dataclass(frozen=True, slots=True)
class AblationStep:
    """Figures of the model when only these groups of features are known."""

    groups: tuple[Group, ...]
    result: SplitResult


def only_groups(dataset: Dataset, groups: Iterable[Group]) -> Dataset:
    """The dataset with every feature of other groups unknown."""
    features = np.full_like(dataset.features, np.nan)
    kept = dataset.feature_set.columns(groups)
    features[:, kept] = dataset.features[:, kept]
    return replace(dataset, features=features)


def ablation(
    kind: SplitKind,
    development: Dataset,
    test: Dataset,
    split: TimeSplit,
    block: Ints,
    make_model: Callable[[], RiskModel],
    *,
    capacity: int,
    districts: tuple[str, ...],
    folds: int = 3,
    seed: int = 0,
    on_progress: Callable[[float], None] | None = None,
) -> list[AblationStep]:
    """One step for each group that has a known feature; the last has all. Parameters as in `evaluate_split`."""
    report = on_progress or (lambda _: None)
    known = [
        group
        for group in GROUPS
        if np.isfinite(development.features[:, development.feature_set.columns([group])]).any()
    ]
    steps = []
    for number in range(len(known)):
        report(number / len(known))
        groups = tuple(known[: number + 1])
        rows, held_out = only_groups(development, groups), only_groups(test, groups)
        result = evaluate_split(
            kind, rows, held_out, split, block, make_model,
            capacity=capacity, districts=districts, folds=folds, seed=seed,
        )  # fmt: skip
        steps.append(AblationStep(groups, result))
    report(1.0)
    return steps
