"""Rows to learn from: every segment at every cut date, with features as of the cut and a label per horizon.

The label of a row at cut t for horizon h is

* 1 if a pothole, confirmed by then or later, was *first recorded* in (t, t + h];
* 0 if none was;
* NaN if nobody looked: unknown, left out. Never 0.

*Looked* means a good camera pass or an inspection recorded in (t, t + h + `MATURITY_DAYS`]: whoever passes a fortnight
after a week and records nothing new has seen that week, too. It is asked of ones and zeros alike. Were it asked of
zeros only, or only within a window shorter than the time between two passes, then a road that is seldom watched would
keep its ones (reports, repairs) and lose its zeros, and not being watched would look like a danger.

Confirmation takes time: whether a candidate was a hole is settled `MATURITY_DAYS` after its first record. A window must
end that long before the end of the data, and as long before the next slice of a split begins.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import time, tzinfo

import numpy as np
from numpy.typing import NDArray

from models.days import local_day, local_day_start
from models.features import FEATURE_SET, FeatureSet
from models.features.build import FeatureBuilder
from models.inputs import Bools, CityInputs, Floats, Instant, Instants, Ints, SegmentDayTable
from models.potholes import LAPSE_DAYS
from roadtwin.types import HORIZONS_DAYS

MATURITY_DAYS = LAPSE_DAYS
"""Days after the end of a window from which on its label cannot change [d]."""
WARM_UP_DAYS = 90
"""Records needed before the first cut, so that memory and camera features have something to remember [d]."""
_PART_ROWS = 1 << 20


COLUMNS = ("features", "labels", "segment_index", "cut", "district", "road_class")
"""Names of the columns of a `Dataset`."""


def days(number: float) -> np.timedelta64:
    """A span of so many days."""
    return np.timedelta64(round(number * 86_400_000_000), "us")


@dataclass(frozen=True, slots=True)
class Dataset:
    """n rows; `features` (n, f) float32, `labels` (n, h) 1, 0 or NaN for `horizons_days` (h,).

    `segment_index` and `cut` (n,) say which row it is; `district` and `road_class` (n,) are for breakdowns.
    """

    features: NDArray[np.float32]
    labels: Floats
    segment_index: Ints
    cut: Instants
    district: Ints
    road_class: Ints
    horizons_days: tuple[int, ...]
    feature_set: FeatureSet

    def __len__(self) -> int:
        return int(self.features.shape[0])

    def take(self, rows: NDArray[np.int64] | Bools) -> "Dataset":
        """The rows of an index or mask; those of a mask that are a single run are not copied."""
        chosen: NDArray[np.int64] | Bools | slice = rows
        if rows.dtype == bool:
            at = np.flatnonzero(rows)
            if at.size and at[-1] - at[0] + 1 == at.size:
                chosen = slice(int(at[0]), int(at[-1]) + 1)
        return replace(self, **{name: getattr(self, name)[chosen] for name in COLUMNS})


def concatenate(*parts: Dataset) -> Dataset:
    """Datasets of the same feature set and horizons, one after the other."""
    joined = {name: np.concatenate([getattr(part, name) for part in parts]) for name in COLUMNS}
    return Dataset(horizons_days=parts[0].horizons_days, feature_set=parts[0].feature_set, **joined)


def make_labels(inputs: CityInputs, cut: Instant, *, horizons_days: Sequence[int] = HORIZONS_DAYS) -> Floats:
    """Labels of every segment for windows that begin at `cut`, shape (n_segments, n_horizons); see the module."""
    holes, count = inputs.potholes, len(inputs.segments)
    labels = np.full((count, len(horizons_days)), np.nan)
    confirmed = ~np.isnat(holes.confirmed_at) & (holes.first_recorded_at > cut)
    looked_at = _first_looks(inputs, cut, cut + days(max(horizons_days) + MATURITY_DAYS))
    for column, horizon in enumerate(horizons_days):
        end = cut + days(horizon)
        looked, hole = looked_at <= end + days(MATURITY_DAYS), np.zeros(count, bool)
        hole[holes.segment_index[confirmed & (holes.first_recorded_at <= end)]] = True
        labels[looked, column] = hole[looked]
    return labels


def _first_looks(inputs: CityInputs, cut: Instant, until: Instant) -> Instants:
    """When each segment was first looked at in (cut, until], recorded time, shape (n_segments,); NaT if it was not.

    Some million rows at a time: of years in a large city, masks and places of all of them would take hundreds of MB.
    """
    unseen = np.iinfo(np.int64).max
    first = np.full(len(inputs.segments), unseen)
    for table in (inputs.segment_days, inputs.inspections):
        for begin in range(0, len(table), _PART_ROWS):
            part = slice(begin, begin + _PART_ROWS)
            recorded_at = table.recorded_at[part]
            rows = (recorded_at > cut) & (recorded_at <= until)
            if isinstance(table, SegmentDayTable):
                rows &= table.good_passes[part] > 0
            np.minimum.at(first, table.segment_index[part][rows], recorded_at[rows].astype(np.int64))
    first[first == unseen] = np.iinfo(np.int64).min  # the integer that NaT is stored as
    return first.astype("datetime64[us]")


def make_cuts(first: Instant, last: Instant, *, step_days: int, at: time, zone: tzinfo) -> Instants:
    """Cuts at the local time of day `at` of every `step_days`-th day from `last` back to `first`, oldest first.

    That of scoring: what was recorded today by then, and how old a forecast is, must be the same in training.
    """
    newest = local_day(np.array([last], "datetime64[us]"), zone)[0]
    count = max(0, int((last - first) / days(step_days)) + 2)
    cuts = local_day_start(newest - np.arange(count)[::-1] * step_days, zone, at).astype("datetime64[us]")
    if cuts.size and cuts[-1] > last:
        cuts = local_day_start(newest - 1 - np.arange(count)[::-1] * step_days, zone, at).astype("datetime64[us]")
    return np.asarray(cuts[cuts >= first])


def build_dataset(
    inputs: CityInputs,
    cuts: Instants,
    *,
    data_until: Instant,
    horizons_days: Sequence[int] = HORIZONS_DAYS,
    feature_set: FeatureSet = FEATURE_SET,
    max_rows: int | None = None,
    rng: np.random.Generator | None = None,
) -> Dataset:
    """Rows of all segments at all cuts.

    Parameters
    ----------
    inputs : CityInputs
        Everything known at the end of the data.
    cuts : ndarray of datetime64[us], shape (n_cuts,)
        When predictions are made.
    data_until : datetime64[us]
        End of the data: a label that is not settled by then is unknown.
    horizons_days : sequence of int
        Lengths of the label windows. [d]
    max_rows : int, optional
        About how many rows to keep: a random part of all. No rarer class is favoured, so no weights are needed
        (boosting with weights bins features some fifty times slower), and 300,000 rows hold thousands of holes.
    rng : numpy.random.Generator, optional
        Needed with `max_rows`.

    Returns
    -------
    Dataset
        Rows whose labels are unknown for every horizon are left out.
    """
    builder, segments = FeatureBuilder(inputs, feature_set), inputs.segments
    total = len(segments) * cuts.size
    share = 1.0 if max_rows is None else min(1.0, max_rows / max(total, 1))
    if share < 1 and rng is None:
        raise ValueError("Got max_rows without rng: which rows are kept must be repeatable.")
    kept: list[tuple[NDArray[np.int64], NDArray[np.float16]]] = []  # of 0, 1 and NaN nothing is lost
    for cut in cuts:
        labels = make_labels(inputs, cut, horizons_days=horizons_days)
        labels[:, [cut + days(h + MATURITY_DAYS) > data_until for h in horizons_days]] = np.nan
        drawn = np.ones(len(segments), bool) if rng is None else rng.random(len(segments)) < share
        rows = np.flatnonzero(np.isfinite(labels).any(axis=1) & drawn)
        kept.append((rows, labels[rows].astype(np.float16)))
    # Their number known, features go straight to their place: joining parts would hold all of them twice.
    ends = np.cumsum([0, *(rows.size for rows, _ in kept)])
    features = np.empty((int(ends[-1]), len(feature_set.features)), np.float32)
    for number, (cut, (rows, _)) in enumerate(zip(cuts, kept, strict=True)):
        if rows.size:
            features[ends[number] : ends[number + 1]] = builder.at(cut, rows)
    index = np.concatenate([np.zeros(0, np.int64), *(rows for rows, _ in kept)])
    return Dataset(
        features=features,
        labels=np.concatenate([np.zeros((0, len(horizons_days))), *(labels for _, labels in kept)], dtype=np.float64),
        segment_index=index.astype(np.int32),
        cut=np.repeat(cuts.astype("datetime64[us]"), np.diff(ends)),
        district=segments.district[index],
        road_class=segments.road_class[index],
        horizons_days=tuple(horizons_days),
        feature_set=feature_set,
    )


@dataclass(frozen=True, slots=True)
class TimeSplit:
    """Three slices of time, one after the other: training up to `calibrate_from`, calibration up to `test_from`, test.

    For every horizon h the label windows of a slice, and the time in which they mature, end before the next slice
    begins: the gap between the last cut of a slice and the first of the next is at least h + `MATURITY_DAYS`.
    """

    calibrate_from: Instant
    test_from: Instant
    data_until: Instant

    def masks(self, cut: Instants, horizon_days: int) -> tuple[Bools, Bools, Bools]:
        """Which rows (cut, shape (n,)) serve a horizon for training, calibration and test."""
        settled = cut + days(horizon_days + MATURITY_DAYS)
        train = settled <= self.calibrate_from
        calibrate = (cut >= self.calibrate_from) & (settled <= self.test_from)
        test = (cut >= self.test_from) & (settled <= self.data_until)
        return train, calibrate, test


def mask_labels(dataset: Dataset, rows: NDArray[np.bool_]) -> Dataset:
    """The dataset with labels only where `rows` (n, h) is true, from the first row with a label to the last.

    Rows in between that have none are kept: the result may then share the memory of `dataset`, and a million rows are
    not copied.
    """
    labels = np.where(rows, dataset.labels, np.nan)
    known = np.flatnonzero(np.isfinite(labels).any(axis=1))
    inside = np.zeros(len(dataset), bool)
    if known.size:
        inside[known[0] : known[-1] + 1] = True
    return replace(dataset, labels=labels).take(inside)


def settled_by(dataset: Dataset, end: Instant) -> Bools:
    """Which labels (n, h) were settled by `end`: window and time to mature are over."""
    return np.column_stack([dataset.cut + days(h + MATURITY_DAYS) <= end for h in dataset.horizons_days])


def split_in_time(dataset: Dataset, split: TimeSplit) -> tuple[Dataset, Dataset, Dataset]:
    """Training, calibration and test rows; a row may serve one horizon and not another."""
    by_horizon = [split.masks(dataset.cut, horizon) for horizon in dataset.horizons_days]
    train, calibrate, test = (mask_labels(dataset, np.column_stack(slices)) for slices in zip(*by_horizon, strict=True))
    return train, calibrate, test


def spatial_blocks(positions_m: Floats, *, size_m: float = 500.0) -> Ints:
    """Number of the square block in which each midpoint (n, 2) lies, shape (n,), 0 … n_blocks − 1."""
    cells = np.floor(positions_m / size_m).astype(np.int64)
    return np.unique(cells, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int32)
