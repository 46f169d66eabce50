"""Figures of forecasts as plain JSON: skill with intervals, differences to the others, balances, curves."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.evaluation import MODEL, Forecasts, cut_numbers, groups_of
from models.inputs import Floats, Ints
from models.metrics import balance_by, gain_curve, reliability, roc_curve, skill, skill_by
from models.resampling import BlockResampling, Draws, Interval, differences, interval
from models.risk import RiskModel


@dataclass(frozen=True, slots=True)
class Measured:
    """Figures of one horizon: plain JSON, and the draws of every forecast, from which figures of worlds are made."""

    json: dict[str, Any]
    draws: dict[str, tuple[Draws, Draws]]


def figures_of(
    forecasts: Forecasts,
    column: int,
    *,
    block: Ints,
    capacity: int,
    districts: Sequence[str],
    draws: int,
    balanced: Iterable[str] = (MODEL,),
    curves: bool = False,
    seed: int = 0,
) -> Measured:
    """Everything about one horizon of a split.

    Parameters
    ----------
    forecasts : Forecasts
        Rows with the probabilities of the model and of what stands beside it.
    column : int
        Which horizon.
    block : ndarray, shape (n_segments,)
        Block of each segment, which intervals are drawn over.
    capacity : int
        Stretches that the crews can look at each time.
    districts : sequence of str
        Names of the districts.
    draws, seed : int
        Resamples of the blocks.
    balanced : iterable of str
        Forecasts whose predicted and observed numbers are given by group.
    curves : bool
        Whether ROC and gain curves are wanted, too.
    """
    rows, y, probability = forecasts.known(column)
    cut = cut_numbers(rows)
    drawn = BlockResampling(y, block[rows.segment_index], cut, capacity=capacity, draws=draws, seed=seed).figures(
        probability
    )
    others = [name for name in probability if name != MODEL]
    result: dict[str, Any] = {
        "horizon_days": rows.horizons_days[column],
        "forecasts": {name: asdict(skill(y, p, cut, capacity=capacity)) for name, p in probability.items()},
        "intervals": {name: intervals_of(*figures) for name, figures in drawn.items()},
        "model_minus": {
            name: {figure: triple(i) for figure, i in of_figure.items()}
            for name, of_figure in differences(drawn, MODEL, others).items()
        },
        "reliability": {name: [asdict(b) for b in reliability(y, probability[name])] for name in balanced},
        "balance": {
            name: {
                group: {key: asdict(value) for key, value in balance_by(y, probability[name], number, names).items()}
                for group, (number, names) in groups_of(rows, districts).items()
            }
            for name in balanced
        },
    }
    result["by_group"] = {
        group: {key: asdict(value) for key, value in skill_by(y, probability[MODEL], cut, number, names).items()}
        for group, (number, names) in groups_of(rows, districts).items()
    }
    if curves:
        result["roc"] = {name: roc_curve(y, p) for name, p in probability.items()}
        result["gain"] = {name: gain_curve(y, p) for name, p in probability.items()}
    return Measured(result, drawn)


def intervals_of(own: Draws, draws: Draws) -> dict[str, list[float]]:
    """Value, lower and upper end of every figure."""
    return {figure: triple(interval(float(own[figure][0]), draws[figure])) for figure in own}


def triple(found: Interval) -> list[float]:
    """Value, lower end, upper end."""
    return [found.value, found.low, found.high]


def effects(
    model: RiskModel,
    features: NDArray[np.float32],
    horizon_days: int,
    *,
    names: Sequence[str],
    most: int = 12,
    bins: int = 16,
    seed: int = 0,
) -> list[dict[str, Any]]:
    """The features that move the log-odds most, with their mean effect over their range.

    The effect of a value is the mean contribution of rows that have it: equally full bins of up to 4,000 rows drawn
    from `features`. `strength` is the mean size of the contribution over all of them.
    """
    chosen = np.random.default_rng(seed).permutation(len(features))[:4000]
    sample = features[chosen]
    contribution = model.contributions(sample, horizon_days)
    strength = np.abs(contribution).mean(axis=0)
    strongest = [int(i) for i in np.argsort(-strength, kind="stable")[:most] if strength[i] > 0]
    return [
        {
            "feature": names[i],
            "strength_log_odds": float(strength[i]),
            "effect": _effect(sample[:, i].astype(np.float64), contribution[:, i], bins),
        }
        for i in strongest
    ]


def _effect(values: Floats, contribution: Floats, bins: int) -> list[list[float]]:
    known = np.flatnonzero(np.isfinite(values))
    distinct = np.unique(values[known])
    if distinct.size <= bins:
        parts = [known[values[known] == value] for value in distinct]
    else:
        edges = np.unique(np.quantile(values[known], np.linspace(0, 1, bins + 1)[1:-1]))
        number = np.searchsorted(edges, values[known], side="right")
        parts = [known[number == n] for n in range(edges.size + 1)]
    return [[float(values[p].mean()), float(contribution[p].mean())] for p in parts if p.size]


def by_segment(forecasts: Forecasts, column: int, segments: int) -> Mapping[str, Floats]:
    """Mean predicted and observed over a segment's rows, shape (n_segments,); NaN where there is no row."""
    rows, y, probability = forecasts.known(column)
    count = np.bincount(rows.segment_index, minlength=segments).astype(np.float64)
    with np.errstate(invalid="ignore"):
        return {
            "predicted": np.bincount(rows.segment_index, weights=probability[MODEL], minlength=segments) / count,
            "observed": np.bincount(rows.segment_index, weights=y, minlength=segments) / count,
        }
