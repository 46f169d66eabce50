"""What if: stored feature rows, a treatment and a weather scenario in; changed rows, probabilities and assumptions out.

The model was learned from what happened, not from trials: roads were patched because they were bad. So a treatment
changes only those features through which it acts on the road, never those that are marks of a bad road in the records
(numbers of repairs), what is changed is held within what training knew, and every answer carries what was assumed.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.dispersion import RiskForecast
from models.features import FEATURE_SET, FeatureSet
from models.inputs import Floats
from models.risk import RiskModel
from models.weather_scenario import WeatherScenario, apply_weather, out_of_season
from models.whatif_words import NO_EFFECT, OUT_OF_SEASON, RAISED, Assumption, Treatment, assumptions, held_back

SEALED_CRACKS_SHARE = 0.1
"""Linear cracks that still let water in after crack sealing [-]; ours, no source."""
INFILL_CRACKS_SHARE = 0.5
"""Alligator cracks left when the surroundings of holes are cut out and filled with hot mix [-]; ours, no source."""
QUIET_DAYS = 365.0
"""A new surface counts as if the last hole of the old one lay this far back [d]."""


_Effect = Callable[[Floats], Floats]


def _to(value: float) -> _Effect:
    return lambda x: np.full_like(x, value)


def _known_to(value: float) -> _Effect:
    return lambda x: np.where(np.isnan(x), np.nan, value)


def _at_most(value: float) -> _Effect:
    return lambda x: np.minimum(x, value)  # unknown stays unknown


def _at_least(value: float) -> _Effect:
    return lambda x: np.maximum(x, value)


def _times(share: float) -> _Effect:
    return lambda x: x * share


_PATCHED: Mapping[str, _Effect] = {"potholes_open": _to(0.0)}
_NEW_SURFACE: Mapping[str, _Effect] = {
    **_PATCHED,
    "wearing_course_age_years": _to(0.0),
    "linear_cracks_per_pass": _to(0.0),
    "alligator_cracks_per_pass": _to(0.0),
    "recent_trench_pct": _to(0.0),
    "survey_crack_pct": _known_to(0.0),
    "survey_patch_pct": _known_to(0.0),
    "survey_rut_depth_mm": _known_to(0.0),
    "survey_total_grade": _at_most(1.0),
    "potholes_30d": _to(0.0),
    "potholes_90d": _to(0.0),
    "potholes_365d_relative": _at_most(1.0),
    "days_since_pothole": _at_least(QUIET_DAYS),
    "cold_patches_365d": _to(0.0),  # by its definition a renewal takes them away
}
_DRAINED: Mapping[str, _Effect] = {"drainage": _at_most(0.0)}
_EFFECTS: Mapping[Treatment, Mapping[str, _Effect]] = {
    Treatment.NONE: {},
    Treatment.COLD_MIX: _PATCHED,
    Treatment.INFILL: {**_PATCHED, "alligator_cracks_per_pass": _times(INFILL_CRACKS_SHARE)},
    Treatment.CRACK_SEALING: {"linear_cracks_per_pass": _times(SEALED_CRACKS_SHARE)},
    Treatment.RESURFACING: _NEW_SURFACE,
    Treatment.DRAINAGE_REPAIR: _DRAINED,
    Treatment.RECONSTRUCTION: {
        **_NEW_SURFACE,
        **_DRAINED,
        "pavement_age_years": _to(0.0),
        "design_load_used_pct": _known_to(0.0),
        "frost_deficit_cm": _at_most(0.0),
        "trench_area_pct": _to(0.0),
        "potholes_relative": _at_most(1.0),
    },
}
_SMOOTHED = frozenset({Treatment.RESURFACING, Treatment.RECONSTRUCTION})


def apply_treatment(
    features: NDArray[np.float32],
    treatment: Treatment,
    *,
    smooth_mps2: float | None = None,
    feature_set: FeatureSet = FEATURE_SET,
) -> NDArray[np.float32]:
    """The rows as they would be right after a treatment.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Stored feature rows; NaN unknown. Unknown values stay unknown unless the treatment makes them known.
    treatment : Treatment
        What is done.
    smooth_mps2 : float, optional
        Roughness of a new surface, such as that of the city's smoothest tenth. [m/s²] None: roughness stays.
    feature_set : FeatureSet
        Order of the columns.
    """
    rows = features.copy()
    effects = dict(_EFFECTS[treatment])
    if treatment in _SMOOTHED and smooth_mps2 is not None:
        effects["roughness_mps2"] = _at_most(smooth_mps2)
    if treatment is Treatment.RECONSTRUCTION:  # thick enough for frost: what was missing is there
        missing_cm = np.maximum(features[:, feature_set.index("frost_deficit_cm")], 0.0)
        rows[:, feature_set.index("thickness_cm")] += missing_cm
    for name, effect in effects.items():
        column = feature_set.index(name)
        rows[:, column] = effect(features[:, column].astype(np.float64))
    return rows


@dataclass(frozen=True, slots=True)
class Ranges:
    """What training knew of each feature, each of shape (f,); NaN: nothing."""

    minimum: Floats
    maximum: Floats


def clip_changed(
    before: NDArray[np.float32], after: NDArray[np.float32], ranges: Ranges
) -> tuple[NDArray[np.float32], tuple[str, ...]]:
    """`after` (n, f) with what was changed held within the ranges of training, and the features that were held back.

    What was beyond them before stays: it was measured.
    """
    held = np.fmin(np.fmax(after, ranges.minimum), ranges.maximum).astype(np.float32)  # a range of NaN holds nothing
    beyond = (held != after) & np.isfinite(after) & (before != after)
    names = tuple(FEATURE_SET.names[i] for i in np.flatnonzero(beyond.any(axis=0)))
    return np.where(beyond, held, after), names


@dataclass(frozen=True, slots=True)
class Answer:
    """Three states of the same n segments, and what they rest on.

    `now`: as scored. `untreated`: after the weather alone. `treated`: the same with the treatment; what a treatment
    avoids is untreated − treated. `changed`: names of the features in which some row differs from now.
    """

    now: RiskForecast
    untreated: RiskForecast
    treated: RiskForecast
    features: NDArray[np.float32]
    treated_features: NDArray[np.float32]
    changed: tuple[str, ...]
    assumptions: tuple[Assumption, ...]

    def avoided_count(self) -> Floats:
        """Expected new potholes that the treatment avoids, over all segments, shape (n_horizons,)."""
        return np.asarray((self.untreated.expected_count - self.treated.expected_count).sum(axis=0))


def answer(
    model: RiskModel,
    features: NDArray[np.float32],
    *,
    treatment: Treatment,
    weather: WeatherScenario,
    days: int,
    smooth_mps2: float | None = None,
    ranges: Ranges | None = None,
) -> Answer:
    """What the model expects of these rows now, after the weather, and after weather and treatment.

    Parameters
    ----------
    model : RiskModel
        Fitted and calibrated for `models.features.FEATURE_SET`.
    features : ndarray, shape (n, f)
        Stored rows of the feature set; NaN unknown.
    treatment, weather, days, smooth_mps2
        See `apply_treatment` and `weather_scenario.apply_weather`.
    ranges : Ranges, optional
        Of training; None: not known, and what is changed is not held back.
    """
    weathered = apply_weather(features, weather, days)
    treated = apply_treatment(weathered, treatment, smooth_mps2=smooth_mps2)
    held: tuple[str, ...] = ()
    if ranges is not None:
        weathered, _ = clip_changed(features, weathered, ranges)
        treated, held = clip_changed(features, treated, ranges)
    now = model.predict(features)
    untreated = now if weather is WeatherScenario.AS_FORECAST else model.predict(weathered)
    after = untreated if treatment is Treatment.NONE else model.predict(treated)
    same = (features == treated) | (np.isnan(features) & np.isnan(treated))
    changed = tuple(FEATURE_SET.names[i] for i in np.flatnonzero(~same.all(axis=0)))
    told = list(assumptions(treatment, weather, days))
    if held:
        told.append(held_back(held))
    if out_of_season(features, weather):
        told.append(OUT_OF_SEASON)
    if treatment is not Treatment.NONE and not _acts(weathered, treated):
        told.append(NO_EFFECT)
    if (after.probability > untreated.probability + 1e-9).any():
        told.append(RAISED)
    return Answer(now, untreated, after, features, treated, changed, tuple(told))


def _acts(before: NDArray[np.float32], after: NDArray[np.float32]) -> bool:
    return not np.array_equal(before, after, equal_nan=True)
