"""How far the features that are scored have moved from those of training.

The reference is made at training: for each feature, the shares of ten bins that hold equally many values, by calendar
month, over segments at dates spread over the time of training: all of them or, of a large city, some drawn by lot,
whether labels are known there or not (they are only where somebody looked, while all is scored). A day is held against
the three months around its own and against the last date of training, and the smaller index counts: in January frost
is no drift, nor is what has grown all the time up to the end of training, such as the age of the last survey.

The measure is the population stability index of shares p (now) and q (reference), [1]_

    PSI = Σ (p − q) ln(p / q),

below 0.1 usually taken for none and above 0.25 for much. Of n and m values of one distribution it is about (1/n + 1/m)
times χ², with one degree of freedom less than there are bins: `psi_by_chance` is what 1 % of days without drift pass.
Dates differ by more than chance (counts relative to a growing mean, passes by weekday): `psi_usual` is the index that
one in ten dates of training itself had.

What is nearly the same for the whole city on a day, such as weather, has no distribution over segments that could be
held against one over years: it is only asked whether its values lie outside the range of training, where the model
extrapolates.

References
----------
.. [1] B. Yurdakul and J. Naranjo, "Statistical properties of the population stability index," Journal of Risk Model
       Validation 14 (4), 2020. doi:10.21314/JRMV.2020.227
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.stats import chi2

from models.features import FeatureSet
from models.inputs import Floats, Instants

REFERENCE_VERSION = 1
BINS = 10
SHARED_BETWEEN_DATES = 0.9
"""A feature of whose variance more than this share lies between dates is one of the whole city on a day."""
_LEAST_COUNT = 0.5  # added to each bin: an empty one must not make an index infinite


@dataclass(frozen=True, slots=True)
class FeatureDrift:
    """One feature now and in training.

    `psi` is NaN for features that the whole city shares, and where either side knows no value. `outside_pct` [%] of the
    known values lie outside the range of training. `unknown_pct`, `unknown_reference_pct` [%]: values that are NaN.
    """

    name: str
    shared: bool
    psi: float
    psi_by_chance: float
    psi_usual: float
    outside_pct: float
    unknown_pct: float
    unknown_reference_pct: float


def make_reference(tables: Sequence[NDArray[np.float32]], cuts: Instants, feature_set: FeatureSet) -> dict[str, Any]:
    """The reference of a training as plain JSON.

    Parameters
    ----------
    tables : sequence of ndarray, each of shape (n_segments, n_features)
        Features of all segments at each cut, or of the same drawn ones, NaN unknown. Minimum and maximum of training
        are theirs: of drawn segments they lie a little inside those of the city.
    cuts : ndarray of datetime64[us], shape (n_cuts,)
        Oldest first.
    feature_set : FeatureSet
        Names of the columns.
    """
    month = cuts.astype("datetime64[M]").astype(np.int64) % 12
    features = []
    for column, name in enumerate(feature_set.names):
        values = [table[:, column].astype(np.float64) for table in tables]
        together = np.concatenate(values) if values else np.zeros(0)
        known = together[np.isfinite(together)]
        edges = _edges(known)
        counts = np.zeros((12, edges.size + 1), np.int64)
        unknown, rows = np.zeros(12, np.int64), np.zeros(12, np.int64)
        for m, of_cut in zip(month, values, strict=True):
            counts[m] += _counts(of_cut, edges)
            unknown[m] += int((~np.isfinite(of_cut)).sum())
            rows[m] += of_cut.size
        features.append(
            {
                "name": name,
                "shared": _share_between(values) > SHARED_BETWEEN_DATES,
                "minimum": float(known.min()) if known.size else None,
                "maximum": float(known.max()) if known.size else None,
                "edges": edges.tolist(),
                "counts_by_month": counts.tolist(),
                "counts_last": (_counts(values[-1], edges) if values else counts[0]).tolist(),
                "psi_usual": _usual(values, month, edges, counts),
                "unknown_by_month": unknown.tolist(),
                "rows_by_month": rows.tolist(),
            }
        )
    return {"version": REFERENCE_VERSION, "feature_set_version": feature_set.version, "features": features}


def feature_drift(features: NDArray[np.float32], month: int, reference: Mapping[str, Any]) -> list[FeatureDrift]:
    """Drift of the features (n_segments, n_features) of one time in calendar `month`, 1 … 12, in their order.

    Raises ValueError when the reference is of another number of features.
    """
    described = reference["features"]
    if features.shape[1] != len(described):
        raise ValueError(f"Got {features.shape[1]} features, expected the {len(described)} of the reference.")
    result = []
    for column, known in enumerate(described):
        values = features[:, column].astype(np.float64)
        months = _season(month)
        rows = int(np.array(known["rows_by_month"])[months].sum())
        if not rows:  # less than a year of training: all of it
            months = list(range(12))
            rows = int(np.array(known["rows_by_month"]).sum())
        counts, last = np.array(known["counts_by_month"])[months].sum(axis=0), np.array(known["counts_last"])
        unknown = float(np.array(known["unknown_by_month"])[months].sum())
        finite = values[np.isfinite(values)]
        outside = (finite < (known["minimum"] or 0.0)) | (finite > (known["maximum"] or 0.0))
        now = _counts(values, np.array(known["edges"]))
        references = [] if known["shared"] or not finite.size or now.size < 2 else [counts, last]
        indices = [(stability_index(now, of), of.sum()) for of in references if of.sum()]
        psi, size = min(indices, default=(float("nan"), 1))
        result.append(
            FeatureDrift(
                name=known["name"],
                shared=bool(known["shared"]),
                psi=psi,
                psi_by_chance=float(chi2.ppf(0.99, now.size - 1) * (1 / finite.size + 1 / size)) if indices else psi,
                psi_usual=float(known["psi_usual"]),
                outside_pct=100 * float(outside.mean()) if finite.size and known["minimum"] is not None else 0.0,
                unknown_pct=100 * (1 - finite.size / max(values.size, 1)),
                unknown_reference_pct=100 * unknown / max(rows, 1),
            )
        )
    return result


def stability_index(counts: NDArray[np.int64], reference: NDArray[np.int64]) -> float:
    """Population stability index of two histograms (n_bins,) over the same bins.

    Examples
    --------
    >>> round(stability_index(np.array([50, 50]), np.array([500, 500])), 3)
    0.0
    >>> round(stability_index(np.array([90, 10]), np.array([500, 500])), 2)
    0.85
    """
    p, q = (counts + _LEAST_COUNT, reference + _LEAST_COUNT)
    p, q = p / p.sum(), q / q.sum()
    return float(((p - q) * np.log(p / q)).sum())


def _edges(known: Floats) -> Floats:
    """Inner edges of bins that hold about equally many values; fewer where values are tied (counts, zeros).

    Half-way between two values that occur: whole days since something, counted at another hour of the day, must not
    all fall into the bin below.
    """
    if not known.size:
        return np.zeros(0)
    values = np.unique(known)
    at = np.searchsorted(values, np.quantile(known, np.arange(1, BINS) / BINS, method="inverted_cdf"))
    at = np.unique(at[at < values.size - 1])
    return (values[at] + values[at + 1]) / 2


def _usual(tables: Sequence[Floats], month: NDArray[np.int64], edges: Floats, counts: NDArray[np.int64]) -> float:
    """The stability index that one in ten dates of training had against its own season; 0 without any."""
    indices = [
        stability_index(_counts(values, edges), counts[_season(int(m) + 1)].sum(axis=0))
        for values, m in zip(tables, month, strict=True)
        if np.isfinite(values).any()
    ]
    return float(np.quantile(indices, 0.9)) if indices else 0.0


def _season(month: int) -> list[int]:
    """Rows of the month, 1 … 12, and of those before and after it."""
    return [(month - 2) % 12, month - 1, month % 12]


def _counts(values: Floats, edges: Floats) -> NDArray[np.int64]:
    """Values in each bin, shape (n_edges + 1,); a value on an edge belongs to the bin above it."""
    return np.bincount(np.searchsorted(edges, values[np.isfinite(values)], side="right"), minlength=edges.size + 1)


def _share_between(tables: Sequence[Floats]) -> float:
    """Share of the variance that lies between the dates; 0 where there is none."""
    parts = [values[np.isfinite(values)] for values in tables]
    parts = [values for values in parts if values.size]
    if not parts:
        return 0.0
    together = np.concatenate(parts)
    total = float(((together - together.mean()) ** 2).sum())
    if total <= 0:
        return 0.0
    between = sum(values.size * (float(values.mean()) - float(together.mean())) ** 2 for values in parts)
    return between / total
