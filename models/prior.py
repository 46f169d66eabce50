"""What physics and earlier studies let expect of each feature before a city has told anything: the cold-start model.

The log-odds of a new pothole are a sum of effects, slope × (t(x) − centre) / scale, with t the identity or a logarithm.
A city without labels is scored with the slopes below; labels then move them, each as far as its standard deviation and
the number of labels allow (`models.additive`, `models.city_level`). The figures are prior means, not fitted values.

References
----------
.. [1] Thawing index and weakened bases: US Army CRREL Report 96-14, 1996.
.. [2] Utility cuts: condition 30 % lower where cuts exceed 10 % of the area (Pacifica, California); remaining life a
   third (young roads) or a sixth (older ones) shorter. ×1.5 at 10 % of the area is what that makes of the hazard.
.. [3] Rates: 120 repairs a working day on 1,600 km (City of Essen), 18.8 a km and year, a third of them more in winter.
.. [4] Cracks before holes: HDM-4, volume 4, part C: potholing begins where wide cracks cover more than 20 %.
.. [5] Gamma–Poisson posteriors of what a place has shown: M. Greenwood and G. U. Yule, doi:10.2307/2341080.
.. [6] Cold patches: 56 % of 1,250 lived for about four years, so 14 % fail a year (SHRP H-106; FHWA *Focus*, January
   2000).
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from models.inputs import Floats

Transform = Literal["plain", "log", "log1p"]

RATE_PER_100_M_WEEK = 0.0375
"""New potholes on 100 m in a week, mean of the year: Essen's repairs [3]_."""
USUAL_LENGTH_M = 100.0
"""Of a segment whose length is not known. [m]"""
MEMORY_OF_WEATHER_DAYS = 30.0
"""What the weather has done so far matters for so long: its slopes fall with the horizon. [d] Assumption."""
WEATHER_SWING, WEATHER_PEAK_DAY = 0.58, 17.0
"""First harmonic over the year of the effects of weather and forecast below in the usual year of `models.climate`: half
its range [log-odds] and the day of the year of its highest value."""


@dataclass(frozen=True, slots=True)
class Effect:
    """Prior of one feature: `slope` ± `sd` log-odds for a step of `scale` (in t(x)), none at `centre`.

    `exposure`: tells how closely the road is watched, which is no danger; forecasts take it as everywhere the same.
    """

    transform: Transform
    centre: float
    scale: float
    slope: float = 0.0
    sd: float = 0.2
    exposure: bool = False

    def coordinate(self, values: NDArray[np.floating]) -> Floats:
        """(t(x) − centre) / scale, cut off at ±4; NaN stays NaN."""
        x = np.asarray(values, dtype=np.float64)
        if self.transform == "log":
            x = np.log(np.maximum(x, 0.02))
        elif self.transform == "log1p":
            x = np.log1p(np.maximum(x, 0.0))
        return np.clip((x - self.centre) / self.scale, -4.0, 4.0)


_WEATHER_SD = 0.13
_SEASON_SD = 0.3
_AGAIN_SD = 0.03
"""The same weather in other words: a few winters cannot tell which of its measures matters."""

EFFECTS: dict[str, Effect] = {
    # Weather of the city up to now. Each cycle on a wet base ×1.1, half of the bases being wet; cold binder is brittle.
    "freeze_thaw_7d": Effect("plain", 1.0, 2.0, 0.05, _AGAIN_SD),
    "freeze_thaw_14d": Effect("plain", 2.0, 3.0, 0.14, _WEATHER_SD),
    "freeze_thaw_30d": Effect("plain", 4.0, 6.0, 0.05, _AGAIN_SD),
    "freeze_thaw_90d": Effect("plain", 12.0, 15.0, 0.0, _AGAIN_SD),
    "frost_index_30d_cd": Effect("log1p", 1.0, 1.5, 0.05, _AGAIN_SD),
    "frost_index_180d_cd": Effect("log1p", 2.0, 1.5, 0.0, _AGAIN_SD),
    "thaw_index_cd": Effect("plain", 200.0, 150.0, -0.05, _AGAIN_SD),
    "days_since_thaw": Effect("plain", 60.0, 50.0, -0.1, _WEATHER_SD),  # weak bases recover within months [1]
    "mean_temp_14d_c": Effect("plain", 10.0, 7.0, -0.25, _WEATHER_SD),
    "rain_3d_mm": Effect("log1p", 1.5, 1.2, 0.0, _AGAIN_SD),
    "rain_7d_mm": Effect("log1p", 2.3, 1.0, 0.05, _AGAIN_SD),
    "rain_30d_mm": Effect("log1p", 4.1, 0.5, 0.1, _AGAIN_SD),
    "antecedent_precipitation_mm": Effect("log1p", 2.8, 0.7, 0.1, _WEATHER_SD),
    "rain_then_frost_30d": Effect("plain", 2.0, 4.0, 0.05, _AGAIN_SD),
    "forecast_freeze_thaw_7d": Effect("plain", 1.0, 2.0, 0.05, _WEATHER_SD),
    "forecast_mean_temp_7d_c": Effect("plain", 10.0, 7.0, -0.1, _WEATHER_SD),
    "forecast_rain_7d_mm": Effect("log1p", 2.5, 1.0, 0.05, _WEATHER_SD),
    "season_sin": Effect("plain", 0.0, 0.7, 0.0, _SEASON_SD),
    "season_cos": Effect("plain", 0.0, 0.7, 0.1, _SEASON_SD),
    # What the road brings along.
    "wearing_course_age_years": Effect("plain", 20.0, 10.0, 0.26),  # ×1.3 a decade
    "pavement_age_years": Effect("plain", 40.0, 20.0, 0.0),  # assumption: the wearing course's age tells it
    "design_load_used_pct": Effect("log1p", 3.7, 0.8, 0.0),  # assumption: age and axles tell it until labels do
    "pavement_class": Effect("plain", 2.0, 1.5, 0.0),
    "heavy_vehicles_per_day": Effect("log1p", 4.5, 1.5, 0.15),
    "axle_passes_per_day": Effect("log1p", 3.5, 1.5, 0.1),
    "bus_route": Effect("plain", 0.0, 1.0, 0.0),
    "trench_area_pct": Effect("log1p", 1.2, 1.0, 0.2),  # ×1.5 from 10 % of the area on [2]
    "recent_trench_pct": Effect("log1p", 0.0, 1.0, 0.1),
    "thickness_cm": Effect("plain", 50.0, 10.0, 0.0),
    "frost_deficit_cm": Effect("plain", 0.0, 10.0, 0.2),  # ×1.3 where 10 cm are missing
    "drainage": Effect("plain", 0.5, 0.8, 0.15),
    "gully_spacing_m": Effect("plain", 45.0, 15.0, 0.05),
    "tree_cover_pct": Effect("plain", 20.0, 20.0, 0.0),
    "width_m": Effect("log1p", 2.0, 0.3, 0.0),
    "length_m": Effect("log", 4.6, 0.3, 0.3, 0.1),  # a hazard grows with length: slope = scale
    "survey_crack_pct": Effect("log1p", 1.6, 1.0, 0.3),  # ×2 from 5, ×5 from 20 % on [4]
    "survey_patch_pct": Effect("log1p", 1.0, 1.0, 0.1),
    "survey_rut_depth_mm": Effect("log1p", 1.8, 0.6, 0.0),
    "survey_total_grade": Effect("plain", 3.0, 1.0, 0.1),
    "survey_age_years": Effect("plain", 2.0, 2.0, 0.0),
    # What happened here before: posteriors of frailty [5], so a slope near 1 for their logarithm.
    "potholes_30d": Effect("log1p", 0.0, 0.4, 0.0),
    "potholes_90d": Effect("log1p", 0.2, 0.6, 0.0),
    "potholes_365d_relative": Effect("log", -0.4, 1.0, 0.3),
    "potholes_relative": Effect("log", -0.5, 1.1, 0.6, 0.4),
    "potholes_200m_relative": Effect("log", -0.1, 0.6, 0.1),
    "potholes_open": Effect("log1p", 0.05, 0.25, 0.05),
    "days_since_pothole": Effect("log1p", 4.5, 1.3, -0.1),
    "repairs_90d": Effect("log1p", 0.2, 0.5, 0.1),
    "days_since_repair": Effect("log1p", 4.8, 1.2, 0.0),
    "cold_patches_365d": Effect("log1p", 0.5, 0.7, 0.07),  # ×1.07 a patch, as 0.14 a year of them fail [6]
    # What passing cameras saw, and how much they looked.
    "linear_cracks_per_pass": Effect("log1p", 0.6, 0.6, 0.1),
    "alligator_cracks_per_pass": Effect("log1p", 0.4, 0.5, 0.2),
    "roughness_mps2": Effect("log", -0.55, 0.3, 0.2),
    "good_passes_28d": Effect("log1p", 1.5, 1.0, 0.0, exposure=True),
    "good_passes_90d": Effect("log1p", 2.5, 1.0, 0.0, exposure=True),
    "last_seen_days": Effect("log1p", 1.5, 1.0, 0.0, exposure=True),
    # What LoRaWAN sensors measured, spread to all segments.
    "surface_freeze_thaw_7d": Effect("plain", 1.0, 2.0, 0.0, 0.1),
    "surface_freeze_thaw_30d": Effect("plain", 4.0, 6.0, 0.0, 0.1),
    "surface_freeze_thaw_90d": Effect("plain", 12.0, 15.0, 0.0, 0.05),
    "surface_minimum_7d_c": Effect("plain", 5.0, 7.0, 0.0, 0.1),
    "base_moisture_pct": Effect("plain", 18.0, 6.0, 0.1),
    "base_moisture_trend_30d_pct": Effect("plain", 0.0, 4.0, 0.0, 0.1),
    "base_moisture_anomaly_pct": Effect("plain", 0.0, 4.0, 0.0, 0.1),
}
"""Prior of every feature of the feature set; a test asks that none is missing."""


def weather_share(horizon_days: int) -> float:
    """How much of a slope of the weather so far is left as a mean over a horizon: 1 at once, falling. [-]

    Examples
    --------
    >>> [round(weather_share(h), 2) for h in (7, 28, 90)]
    [0.89, 0.65, 0.32]
    """
    span = horizon_days / MEMORY_OF_WEATHER_DAYS
    return float(-np.expm1(-span) / span)


def season_slopes(horizon_days: int) -> tuple[float, float]:
    """Prior slopes of `season_sin` and `season_cos` for a window that begins at the date which they tell. [log-odds]

    What the weather so far no longer tells of a long window, its season does: with the share w of `weather_share`,
    swing A, and peak φ, the season's part at a date θ is a cos θ + (1 − w) A cos(θ − φ), of which a window from θ to
    θ + 2δ has the mean.

    Examples
    --------
    >>> [tuple(round(slope, 2) for slope in season_slopes(h)) for h in (7, 28, 90)]
    [(0.0, 0.14), (-0.02, 0.24), (-0.18, 0.29)]
    """
    own = EFFECTS["season_cos"]
    half = np.pi * horizon_days / 365.25
    peak = 2 * np.pi * WEATHER_PEAK_DAY / 365.25
    lost = (1 - weather_share(horizon_days)) * WEATHER_SWING * own.scale
    mean = np.sin(half) / half
    sine = -mean * (own.slope * np.sin(half) + lost * np.sin(half - peak))
    cosine = mean * (own.slope * np.cos(half) + lost * np.cos(half - peak))
    return float(sine), float(cosine)


def base_log_odds(horizon_days: int) -> float:
    """Log-odds of at least one new hole on 100 m of a usual road in a window of average weather [3]_.

    Examples
    --------
    >>> round(base_log_odds(7), 2)
    -3.26
    """
    return float(np.log(np.expm1(RATE_PER_100_M_WEEK * horizon_days / 7)))
