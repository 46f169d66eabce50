"""Hold-outs in time, in space, in both, and at random; the model and its baselines on the same rows.

The random split is there to show how large the leakage gap is; it is no skill. All splits are measured on rows of the
test slice. Model and baselines learn from the same rows.

`fit_split` fits the folds of a split, `Fold.predict` forecasts any rows with one of them, `pool` forecasts what they
hold out, `measure` puts figures to it; `evaluate_split` is all of it in one call. A split that the records are too few
for is a `MissingSplit`, which says why in its place.
"""

from collections.abc import Callable, Collection, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from models.baselines import BASELINES, Baseline
from models.dataset import Dataset, TimeSplit, concatenate, mask_labels, settled_by
from models.inputs import Bools, Floats, Instants, Ints
from models.metrics import Balance, GroupSkill, Skill, balance_by, skill, skill_by
from models.risk import NotEnoughLabelsError, RiskModel
from models.rolling import RollingOrigins, origins_of
from roadtwin.network.sections import ROAD_CLASSES

SplitKind = Literal["temporal", "spatio-temporal", "spatial", "random"]
SPLIT_KINDS: tuple[SplitKind, ...] = ("temporal", "spatio-temporal", "spatial", "random")
HEADLINE: SplitKind = "spatio-temporal"
"""The split that speaks for the model: other places and a later time."""
HEADLINE_ORDER: tuple[SplitKind, ...] = (HEADLINE, "temporal", "spatial", "random")
"""The first of these that could be made speaks for the model."""
_IN_SPACE: tuple[SplitKind, ...] = ("spatio-temporal", "spatial")
SEASONS = ("winter", "spring", "summer", "autumn")
MODEL = "model"
"""Name of the model among its forecasts; the others are `models.baselines.BASELINES`."""


@dataclass(frozen=True, slots=True)
class HorizonResult:
    """Figures of one horizon: the model, the baselines, where predicted and observed part, and the model's skill
    `by_group`: season, road_class and district, each by name."""

    horizon_days: int
    model: Skill
    baselines: dict[str, Skill]
    by_season: dict[str, Balance]
    by_road_class: dict[str, Balance]
    by_district: dict[str, Balance]
    by_group: dict[str, dict[str, GroupSkill]]


@dataclass(frozen=True, slots=True)
class SplitResult:
    """Figures of one split; `test_winters` counts the Januaries among its test cuts: a winter or two say little.

    Of the `folds` of a split in space, `folds_tested` were fitted and tested; both are 1 for the others.
    """

    kind: SplitKind
    folds: int
    folds_tested: int
    first_test_cut: str
    last_test_cut: str
    test_winters: int
    horizons: tuple[HorizonResult, ...]

    def as_json(self) -> dict[str, Any]:
        """Plain numbers, strings and None (for NaN): JSON-ready."""
        converted: dict[str, Any] = plain(asdict(self))
        return converted


@dataclass(frozen=True, slots=True)
class MissingSplit:
    """A split that the records are too few for, and why, in English and German."""

    kind: SplitKind
    reason_en: str
    reason_de: str

    @classmethod
    def because(cls, kind: SplitKind, error: NotEnoughLabelsError) -> "MissingSplit":
        """What the error says."""
        return cls(kind, str(error), error.german)


def headline_of(kinds: Collection[SplitKind]) -> SplitKind:
    """The split that speaks for the model among those that could be made, at least one.

    Examples
    --------
    >>> headline_of(["random", "temporal"])
    'temporal'
    """
    return next(kind for kind in HEADLINE_ORDER if kind in kinds)


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


def count_winters(cut: Instants) -> int:
    """Number of winters (December to February) that cuts (n,) lie in; January stands for one.

    Examples
    --------
    >>> count_winters(np.array(["2025-01-02", "2025-01-30", "2025-07-01", "2026-01-05"], "datetime64[us]"))
    2
    """
    return int((np.unique(cut.astype("datetime64[M]")).astype(np.int64) % 12 == 0).sum())


@dataclass(frozen=True, slots=True)
class Fold:
    """One fold of a split, fitted: the model, and each baseline by horizon.

    `learn` are the rows that both learned from, `held_out` the test rows that they did not see; `segments`
    (n_segments,) says on which segments the fold may be tested.
    """

    model: RiskModel
    baselines: dict[str, list[Baseline]]
    learn: Dataset
    held_out: Dataset
    segments: Bools

    def predict(self, rows: Dataset) -> dict[str, Floats]:
        """Probabilities (n, n_horizons) of the model and of each baseline."""
        forecasts = {MODEL: self.model.predict_proba(rows.features)}
        for name, fitted in self.baselines.items():
            forecasts[name] = np.column_stack([baseline.predict(rows) for baseline in fitted])
        return forecasts


@dataclass(frozen=True, slots=True)
class Forecasts:
    """Test rows of all folds of a split, and the probabilities (n, n_horizons) that each forecast gave to them."""

    kind: SplitKind
    rows: Dataset
    probability: dict[str, Floats]

    def known(self, column: int) -> tuple[Dataset, Floats, dict[str, Floats]]:
        """Rows whose label of a horizon is known, their labels (m,), and the probabilities (m,) by forecast."""
        known = np.isfinite(self.rows.labels[:, column])
        return (
            self.rows.take(known),
            self.rows.labels[known, column],
            {name: p[known, column] for name, p in self.probability.items()},
        )


def _row_key(dataset: Dataset) -> NDArray[np.int64]:
    """One number for each segment and cut date."""
    hour = dataset.cut.astype("datetime64[h]").astype(np.int64)
    return np.asarray(dataset.segment_index.astype(np.int64) << 32 | hour)


def folds_of(
    kind: SplitKind,
    development: Dataset,
    test: Dataset,
    split: TimeSplit,
    block: Ints,
    *,
    folds: int,
    seed: int,
    most_folds: int | None = None,
) -> list[tuple[Dataset, Dataset]]:
    """Rows to learn from (training and calibration) and test rows of each fold of a split.

    Parameters
    ----------
    development : Dataset
        Rows of all times, possibly thinned: what is learned from comes from it.
    test : Dataset
        All rows of the test slice, not thinned.
    split : TimeSplit
        The slices of time. What is learned was settled before the test slice begins in every split but *spatial* and
        *random*, which learn from all times.
    block : ndarray, shape (n_segments,)
        Block of at least 500 m in which a segment lies; folds are made of whole blocks.
    folds, seed : int
        Number of folds in space and seed of their drawing.
    most_folds : int, optional
        Only the first so many of these folds: with one of three, a third of the blocks is held out and tested.
    """
    rng = np.random.default_rng(seed)
    before = mask_labels(development, settled_by(development, split.test_from))
    if kind == "temporal":
        return [(before, test)]
    if kind == "random":
        held_out = test.take(rng.random(len(test)) < 1 / folds)
        return [(development.take(~np.isin(_row_key(development), _row_key(held_out))), held_out)]
    fold_of_segment = rng.integers(0, folds, int(block.max(initial=0)) + 1)[block]
    learn = before if kind == "spatio-temporal" else development
    return [
        (
            learn.take(fold_of_segment[learn.segment_index] != fold),
            test.take(fold_of_segment[test.segment_index] == fold),
        )
        for fold in range(folds)[:most_folds]
    ]


def fit_split(
    kind: SplitKind,
    development: Dataset,
    test: Dataset,
    split: TimeSplit,
    block: Ints,
    make_model: Callable[[], RiskModel],
    *,
    folds: int = 3,
    seed: int = 0,
    most_folds: int | None = None,
    fitted: RollingOrigins | None = None,
) -> list[Fold]:
    """Fit each fold of a split that holds any test row. Parameters and errors as in `evaluate_split`."""
    until = split.test_from if kind in ("temporal", "spatio-temporal") else split.data_until
    result = []
    parts = folds_of(kind, development, test, split, block, folds=folds, seed=seed, most_folds=most_folds)
    for learn, held_out in parts:
        if not len(held_out):
            continue
        shared = fitted if kind == "temporal" else None
        rolling = shared or RollingOrigins(make_model, learn, origins_of(split))
        model = rolling.model(until)  # before the baselines: it says by name what is too little, they would not
        columns = range(len(test.horizons_days))
        baselines = {name: [make().fit(learn, column) for column in columns] for name, make in BASELINES.items()}
        blocks = np.unique(block[held_out.segment_index])
        result.append(Fold(model, baselines, learn, held_out, np.isin(block, blocks)))
    if not result and len(test) and kind in _IN_SPACE:
        places = np.unique(block[test.segment_index]).size
        raise NotEnoughLabelsError(
            f"Too few places: of the blocks of 500 m with a row to test ({places}) none fell to the part that is held "
            "out.",
            f"Zu wenige Orte: Von den Blöcken von 500 m mit Zeilen zum Prüfen ({places}) fiel keiner in den Teil, der "
            "zurückgehalten wird.",
        )
    if not result:
        raise NotEnoughLabelsError(
            "Nobody looked at any segment in the time that would be tested on.",
            "In der Zeit, auf der geprüft würde, hat niemand einen Abschnitt angesehen.",
        )
    return result


def pool(kind: SplitKind, folds: Sequence[Fold]) -> Forecasts:
    """Forecasts of what the folds of a split hold out."""
    parts = [fold.predict(fold.held_out) for fold in folds]
    return Forecasts(
        kind,
        concatenate(*(fold.held_out for fold in folds)),
        {name: np.concatenate([part[name] for part in parts]) for name in (MODEL, *BASELINES)},
    )


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
    most_folds: int | None = None,
    fitted: RollingOrigins | None = None,
) -> SplitResult:
    """Fit on each fold of a split, pool the test predictions, and measure. Parameters as in `folds_of`.

    Models are fitted and calibrated as in `models.rolling`. `fitted`: models of `development` from the origins of
    `split`, where the caller has them; only the temporal split can use them.

    Raises `models.risk.NotEnoughLabelsError` when a slice has too few rows of a class.
    """
    fits = fit_split(
        kind, development, test, split, block, make_model,
        folds=folds, seed=seed, most_folds=most_folds, fitted=fitted,
    )  # fmt: skip
    return measure(
        pool(kind, fits), capacity=capacity, districts=districts,
        folds=folds if kind in _IN_SPACE else 1, folds_tested=len(fits),
    )  # fmt: skip


def measure(
    forecasts: Forecasts, *, capacity: int, districts: Sequence[str], folds: int = 1, folds_tested: int = 1
) -> SplitResult:
    """Figures of forecasts at the capacity of the crews (stretches a day), by horizon and group."""
    rows = forecasts.rows
    horizons = tuple(_measure(forecasts, column, capacity, districts) for column in range(len(rows.horizons_days)))
    first, last = str(rows.cut.min().astype("datetime64[D]")), str(rows.cut.max().astype("datetime64[D]"))
    return SplitResult(forecasts.kind, folds, folds_tested, first, last, count_winters(rows.cut), horizons)


def _measure(forecasts: Forecasts, column: int, capacity: int, districts: Sequence[str]) -> HorizonResult:
    rows, y, probability = forecasts.known(column)
    cut = cut_numbers(rows)
    skills = {name: skill(y, p, cut, capacity=capacity) for name, p in probability.items()}
    groups, model = groups_of(rows, districts), probability[MODEL]
    season, road_class, district = (balance_by(y, model, group, names) for group, names in groups.values())
    by_group = {key: skill_by(y, model, cut, group, names) for key, (group, names) in groups.items()}
    return HorizonResult(rows.horizons_days[column], skills.pop(MODEL), skills, season, road_class, district, by_group)


def cut_numbers(rows: Dataset) -> NDArray[np.int64]:
    """Number of the cut date of each row (n,), 0 … n_cuts − 1."""
    return np.asarray(np.unique(rows.cut, return_inverse=True)[1], np.int64)


def groups_of(rows: Dataset, districts: Sequence[str]) -> dict[str, tuple[NDArray[np.int64], tuple[str, ...]]]:
    """Season, road class and district of each row (n,), each with the names that its numbers point into."""
    return {
        "season": (season_of(rows.cut).astype(np.int64), SEASONS),
        "road_class": (rows.road_class.astype(np.int64), ROAD_CLASSES),
        "district": (rows.district.astype(np.int64), tuple(districts)),
    }
