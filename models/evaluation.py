"""Hold-outs in time, in space, in both, and at random; the model and its baselines on the same rows.

The random split is there to show how large the leakage gap is; it is no skill. All splits are measured on rows of the
test slice. Baselines are fitted on training and calibration rows together, which favours them.
"""

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.baselines import BASELINES
from models.dataset import COLUMNS, Dataset, TimeSplit, split_in_time
from models.inputs import Floats, Ints
from models.metrics import Balance, Skill, balance_by, skill
from models.risk import RiskModel
from roadtwin.network.sections import ROAD_CLASSES

SplitKind = Literal["temporal", "spatio-temporal", "spatial", "random"]
SPLIT_KINDS: tuple[SplitKind, ...] = ("temporal", "spatio-temporal", "spatial", "random")
SEASONS = ("winter", "spring", "summer", "autumn")

Fitted = Callable[[Dataset], Floats]
"""Predicts probabilities (n, n_horizons) for a dataset."""


@dataclass(frozen=True, slots=True)
class HorizonResult:
    """Figures of one horizon: the model, the baselines, and where predicted and observed part."""

    horizon_days: int
    model: Skill
    baselines: dict[str, Skill]
    by_season: dict[str, Balance]
    by_road_class: dict[str, Balance]
    by_district: dict[str, Balance]


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Figures of one split."""

    kind: SplitKind
    first_test_cut: str
    last_test_cut: str
    horizons: tuple[HorizonResult, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, strings and None (for NaN): JSON-ready."""
        converted: dict[str, Any] = plain(asdict(self))
        return converted


def plain(value: Any) -> Any:
    """The same value with NaN as None and floats cut to six digits, ready for JSON."""
    if isinstance(value, dict):
        return {key: plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if isinstance(value, float):
        return float(f"{value:.6g}") if np.isfinite(value) else None
    return value


def season_of(cut: NDArray[np.datetime64]) -> Ints:
    """Meteorological season of each instant, pointing into `SEASONS`: December to February is winter."""
    month = cut.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return (month % 12 // 3).astype(np.int32)


def _predict(model: RiskModel, train: Dataset, calibrate: Dataset, test: Dataset) -> tuple[Floats, dict[str, Floats]]:
    """Fit the model and the baselines and predict the test rows."""
    model.fit(train.features, train.labels)
    model.calibrate(calibrate.features, calibrate.labels)
    before = concatenate(train, calibrate)
    columns = range(len(test.horizons_days))
    baselines = {
        name: np.column_stack([make().fit(before, column).predict(test) for column in columns])
        for name, make in BASELINES.items()
    }
    return model.predict_proba(test.features), baselines


def concatenate(*parts: Dataset) -> Dataset:
    """Datasets of the same feature set and horizons, one after the other."""
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return Dataset(horizons_days=parts[0].horizons_days, feature_set=parts[0].feature_set, **joined)


def _row_key(dataset: Dataset) -> NDArray[np.int64]:
    """One number for each segment and cut date."""
    hour = dataset.cut.astype("datetime64[h]").astype(np.int64)
    return np.asarray(dataset.segment_index.astype(np.int64) << 32 | hour)


def folds_of(
    kind: SplitKind, development: Dataset, test: Dataset, split: TimeSplit, block: Ints, *, folds: int, seed: int
) -> list[tuple[Dataset, Dataset, Dataset]]:
    """Training, calibration and test rows of each fold of a split.

    Parameters
    ----------
    development : Dataset
        Rows of all times, possibly thinned: training and calibration come from it.
    test : Dataset
        All rows of the test slice, not thinned.
    split : TimeSplit
        The slices of time. Training rows come from the time before the test slice in every split but *spatial* and
        *random*, which learn from all times.
    block : ndarray, shape (n_segments,)
        Block of at least 500 m in which a segment lies; folds are made of whole blocks.
    folds, seed : int
        Number of folds in space and seed of their drawing.
    """
    rng = np.random.default_rng(seed)
    train, calibrate, _ = split_in_time(development, split)
    if kind == "temporal":
        return [(train, calibrate, test)]
    if kind == "random":
        held_out = test.take(rng.random(len(test)) < 1 / folds)
        other = development.take(~np.isin(_row_key(development), _row_key(held_out)))
        early = rng.random(len(other)) < 0.6
        return [(other.take(early), other.take(~early), held_out)]
    fold_of_segment = rng.integers(0, folds, int(block.max(initial=0)) + 1)[block]
    result = []
    for fold in range(folds):
        inside = fold_of_segment == fold
        held_out = test.take(inside[test.segment_index])
        if kind == "spatio-temporal":
            parts = (train.take(~inside[train.segment_index]), calibrate.take(~inside[calibrate.segment_index]))
        else:  # other places at all times, the time of the test included
            other = development.take(~inside[development.segment_index])
            half = rng.random(int(block.max(initial=0)) + 1)[block][other.segment_index] < 0.6
            parts = (other.take(half), other.take(~half))
        result.append((*parts, held_out))
    return result


def evaluate_split(
    kind: SplitKind,
    development: Dataset,
    test: Dataset,
    split: TimeSplit,
    block: Ints,
    make_model: Callable[[], RiskModel],
    *,
    capacity: int,
    districts: Sequence[str],
    folds: int = 3,
    seed: int = 0,
) -> SplitResult:
    """Fit on each fold of a split, pool the test predictions, and measure. Parameters as in `folds_of`.

    Raises `models.risk.NotEnoughLabelsError` when a slice has too few rows of a class.
    """
    parts = []
    for train, calibrate, held_out in folds_of(kind, development, test, split, block, folds=folds, seed=seed):
        if len(held_out):
            parts.append((held_out, *_predict(make_model(), train, calibrate, held_out)))
    rows = concatenate(*(part[0] for part in parts))
    probability = np.concatenate([part[1] for part in parts])
    baselines = {name: np.concatenate([part[2][name] for part in parts]) for name in BASELINES}
    horizons = tuple(
        _measure(rows, column, probability, baselines, capacity=capacity, districts=districts)
        for column in range(len(rows.horizons_days))
    )
    first, last = str(rows.cut.min().astype("datetime64[D]")), str(rows.cut.max().astype("datetime64[D]"))
    return SplitResult(kind, first, last, horizons)


def _measure(
    rows: Dataset,
    column: int,
    probability: Floats,
    baselines: dict[str, Floats],
    *,
    capacity: int,
    districts: Sequence[str],
) -> HorizonResult:
    known = np.isfinite(rows.labels[:, column])
    y, cut = rows.labels[known, column], np.unique(rows.cut[known], return_inverse=True)[1]
    p = probability[known, column]
    return HorizonResult(
        horizon_days=rows.horizons_days[column],
        model=skill(y, p, cut, capacity=capacity),
        baselines={name: skill(y, b[known, column], cut, capacity=capacity) for name, b in baselines.items()},
        by_season=balance_by(y, p, season_of(rows.cut[known]).astype(np.int64), SEASONS),
        by_road_class=balance_by(y, p, rows.road_class[known].astype(np.int64), ROAD_CLASSES),
        by_district=balance_by(y, p, rows.district[known].astype(np.int64), tuple(districts)),
    )
