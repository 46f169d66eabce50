"""How the model in use is doing: what became of its scores, how its inputs have moved, and what is wrong, by name.

A score is settled when its window is over and the labels in it can no longer change (`models.dataset`). Of settled
scores the sums are kept that all figures are made of; windows in which nobody looked are unknown and in no sum.

Windows that begin a week apart count the same hole again, h/7 times for a horizon of h days: what a number of holes
says by chance is reckoned with windows that do not overlap, and a ratio is only called wrong when it is outside its
limits and by more than two standard deviations of such a number (Poisson).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import sqrt
from typing import Any

import numpy as np

from models.alarm import Alarm
from models.baselines import Climatology
from models.dataset import Dataset
from models.drift import FeatureDrift
from models.features import FEATURE_SET
from models.inputs import CityInputs, Floats, Instant

LEAST_OBSERVED = 30.0
"""Holes of windows that do not overlap, observed or predicted, below which a horizon is not judged."""
_DEVIATIONS = 2.0


@dataclass(frozen=True, slots=True)
class Limits:
    """From when on something is wrong; see the settings of the same names."""

    calibration: float
    brier_skill: float
    psi: float
    unknown_features: float
    outside_pct: float


@dataclass(frozen=True, slots=True)
class Outcome:
    """Sums over the segments that somebody looked at, of one set of scores and one horizon."""

    horizon_days: int
    segments_known: int
    predicted: float
    observed: int
    squared_error: float
    climatology_squared_error: float | None


@dataclass(frozen=True, slots=True)
class HorizonHealth:
    """Settled scores of one horizon together.

    `independent_observed` are the holes of windows that do not overlap; `brier_skill` is against the climatology of the
    model's training, NaN where a model has none.
    """

    horizon_days: int
    score_sets: int
    segments_known: int
    predicted: float
    observed: int
    independent_observed: float
    predicted_over_observed: float
    brier: float
    brier_skill: float
    judged: bool


def climatology_rates(rows: Dataset) -> dict[str, list[float]]:
    """Rates by month and road class for each horizon, from the rows of a training."""
    return {
        str(horizon): Climatology().fit(rows, column).rates_.tolist()
        for column, horizon in enumerate(rows.horizons_days)
        if np.isfinite(rows.labels[:, column]).any()
    }


def climatology_of(rates: Sequence[float], inputs: CityInputs, as_of: Instant) -> Floats:
    """What the climatology of a training says of every segment at a time, shape (n_segments,)."""
    segments = inputs.segments
    count = len(segments)
    baseline = Climatology()
    baseline.rates_ = np.asarray(rates)
    return baseline.predict(
        Dataset(
            features=np.zeros((count, 0), np.float32),
            labels=np.zeros((count, 0)),
            segment_index=np.arange(count, dtype=np.int32),
            cut=np.full(count, as_of),
            district=segments.district,
            road_class=segments.road_class,
            horizons_days=(),
            feature_set=FEATURE_SET,
        )
    )


def outcome(horizon_days: int, labels: Floats, probability: Floats, climatology: Floats | None) -> Outcome:
    """Sums of one set of scores: labels (n,) 1, 0 or NaN unknown; probabilities (n,) NaN without a score."""
    known = np.isfinite(labels) & np.isfinite(probability)
    y, p = labels[known], probability[known]
    return Outcome(
        horizon_days=horizon_days,
        segments_known=int(known.sum()),
        predicted=float(p.sum()),
        observed=int(y.sum()),
        squared_error=float(((p - y) ** 2).sum()),
        climatology_squared_error=None if climatology is None else float(((climatology[known] - y) ** 2).sum()),
    )


def horizon_health(horizon_days: int, outcomes: Sequence[Outcome], *, step_days: float) -> HorizonHealth:
    """Outcomes of one horizon, of sets of scores that begin at least `step_days` apart, taken together."""
    nan = float("nan")
    known = sum(o.segments_known for o in outcomes)
    predicted, observed = sum(o.predicted for o in outcomes), sum(o.observed for o in outcomes)
    overlap = max(1.0, horizon_days / step_days)
    errors = [o.climatology_squared_error for o in outcomes]
    climatology = sum(e for e in errors if e is not None) if errors and None not in errors else nan
    squared_error = sum(o.squared_error for o in outcomes)
    return HorizonHealth(
        horizon_days=horizon_days,
        score_sets=len(outcomes),
        segments_known=known,
        predicted=predicted,
        observed=observed,
        independent_observed=observed / overlap,
        predicted_over_observed=predicted / observed if observed else nan,
        brier=squared_error / known if known else nan,
        brier_skill=1 - squared_error / climatology if climatology else nan,
        judged=max(predicted, observed) / overlap >= LEAST_OBSERVED,
    )


def find_alarms(health: Sequence[HorizonHealth], drift: Sequence[FeatureDrift], limits: Limits) -> list[Alarm]:
    """What is wrong, worst kind first: level, skill, lost features, drift, extrapolation."""
    judged = [h for h in health if h.judged]
    alarms = [_calibration(h, limits) for h in judged if _is_off(h, limits)]
    alarms += [_skill(h, limits) for h in judged if h.brier_skill < limits.brier_skill]
    lost = [d for d in drift if d.unknown_pct == 100 and d.unknown_reference_pct < 100]
    if drift and len(lost) / len(drift) > limits.unknown_features:
        alarms += [_lost(d, len(lost) / len(drift), limits) for d in lost]
    alarms += [_drifted(d, limits) for d in drift if d.psi > max(limits.psi + d.psi_by_chance, d.psi_usual)]
    alarms += [_outside(d, limits) for d in drift if d.outside_pct > limits.outside_pct]
    return alarms


def _is_off(h: HorizonHealth, limits: Limits) -> bool:
    if 1 / limits.calibration <= h.predicted_over_observed <= limits.calibration:
        return False
    overlap = h.observed / h.independent_observed if h.observed else max(1.0, h.horizon_days / 7)
    return abs(h.predicted - h.observed) / overlap > _DEVIATIONS * sqrt(h.predicted / overlap)


def _calibration(h: HorizonHealth, limits: Limits) -> Alarm:
    # Nothing observed where something was predicted is the worst ratio of all; infinity is no number of JSON.
    ratio = h.predicted_over_observed if h.observed else h.predicted
    told = f"{h.predicted:.0f}", f"{h.observed}"
    return Alarm(
        "calibration", f"{h.horizon_days} d", ratio, limits.calibration,
        f"{h.horizon_days} Tage: {told[0]} neue Schlaglöcher vorhergesagt, {told[1]} beobachtet.",
        f"{h.horizon_days} days: {told[0]} new potholes predicted, {told[1]} observed.",
    )  # fmt: skip


def _skill(h: HorizonHealth, limits: Limits) -> Alarm:
    return Alarm(
        "skill", f"{h.horizon_days} d", h.brier_skill, limits.brier_skill,
        f"{h.horizon_days} Tage: Brier-Skill gegen die Klimatologie nur {h.brier_skill:.3f}.",
        f"{h.horizon_days} days: Brier skill against climatology is only {h.brier_skill:.3f}.",
    )  # fmt: skip


def _lost(d: FeatureDrift, share: float, limits: Limits) -> Alarm:
    return Alarm(
        "feature_unknown", d.name, share, limits.unknown_features,
        f"Das Merkmal {d.name} ist überall unbekannt; beim Training war es bekannt.",
        f"The feature {d.name} is unknown everywhere; in training it was known.",
    )  # fmt: skip


def _drifted(d: FeatureDrift, limits: Limits) -> Alarm:
    return Alarm(
        "feature_drift", d.name, d.psi, limits.psi,
        f"Die Verteilung von {d.name} weicht von der des Trainings ab (PSI {d.psi:.2f}).",
        f"The distribution of {d.name} has moved from that of training (PSI {d.psi:.2f}).",
    )  # fmt: skip


def _outside(d: FeatureDrift, limits: Limits) -> Alarm:
    return Alarm(
        "feature_outside", d.name, d.outside_pct, limits.outside_pct,
        f"{d.outside_pct:.0f} % der Werte von {d.name} liegen außerhalb dessen, was das Training kannte.",
        f"{d.outside_pct:.0f} % of the values of {d.name} lie outside what training knew.",
    )  # fmt: skip


def reference_matches(reference: Mapping[str, Any] | None, feature_set_version: int) -> bool:
    """Whether feature rows of this version can be held against a model's reference."""
    return reference is not None and reference["feature_set_version"] == feature_set_version
