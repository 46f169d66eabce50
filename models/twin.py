"""Condition grade of a segment, and what rain and days near 0 °C let one expect; see `models.state` for the rest."""

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

from models.state.fields import Estimate

Floats = NDArray[np.float64]


CRACK_ANCHORS_PCT = (1.0, 15.0, 25.0)
"""Cracked cells at the grades 1.5, 3.5 and 4.5: placeholders of the usual size, the rule books' own are not public."""
LEAST_GOOD_PASSES = 3
"""With fewer good passes a camera's grade is unknown."""
CAMERA_GRADE_SD = 0.6
"""What a grade from a count of detections leaves open however often one looks: width, depth and skid are not seen."""


def soil_moisture_from_rain_pct(antecedent_precipitation_mm: float) -> Estimate:
    """Volumetric moisture of an unbound base from the rain before.

    Parameters
    ----------
    antecedent_precipitation_mm : float
        Antecedent precipitation index, daily retention 0.9. [mm]

    Returns
    -------
    Estimate, shape (1,)
        [%] 8 when dry, towards 30 when wet; the sd of 6 says that a single place is hardly known without a probe.

    Notes
    -----
    A saturating curve between the residual and the saturated content usual for sandy gravel bases; not fitted.

    Examples
    --------
    >>> soil_moisture_from_rain_pct(30.0).value.round(1)
    array([21.9])
    """
    value = 8.0 + 22.0 * (1.0 - math.exp(-antecedent_precipitation_mm / 30.0))
    return Estimate(np.array([value]), np.array([6.0 if math.isfinite(value) else math.nan]))


def day_count_sd(minimum_c: Floats, maximum_c: Floats, *, place_sd_c: float = 1.0) -> float:
    """Standard deviation of a number of freeze–thaw days, for a place that may differ from the station. [d]

    A day near 0 °C may count there or not: each adds p(1 − p), p the chance that it froze and thawed where the
    temperature differs with standard deviation `place_sd_c` [°C] from that of the station. NaN days add nothing.

    Examples
    --------
    >>> round(day_count_sd(np.array([-8.0, 0.0]), np.array([-4.0, 6.0])), 2)
    0.5
    """
    chance = ndtr(-minimum_c / place_sd_c) * ndtr(maximum_c / place_sd_c)
    return float(np.sqrt(np.nansum(chance * (1 - chance))))


def grade_from_cracks(crack_pct: ArrayLike) -> Floats:
    """Grade 1 (best) to 5 (worst) of a share of cracked cells: piecewise linear through the anchors. [-]

    Examples
    --------
    >>> grade_from_cracks([0.0, 1.0, 15.0, 25.0, 60.0])
    array([1. , 1.5, 3.5, 4.5, 5. ])
    """
    x15, x35, x45 = CRACK_ANCHORS_PCT
    share = np.asarray(crack_pct, dtype=np.float64)
    worst = x45 + 0.5 * (x45 - x35)
    return np.asarray(
        np.where(np.isnan(share), np.nan, np.interp(share, [0, x15, x35, x45, worst], [1, 1.5, 3.5, 4.5, 5]))
    )


def condition_grade(
    crack_index: Estimate,
    good_passes: Floats,
    survey_grade: Floats,
    survey_age_years: Floats,
    open_potholes: Floats,
    worst_severity: Floats,
) -> Estimate:
    """Condition grade of segments: 1 best … 5 worst, NaN unknown.

    Parameters
    ----------
    crack_index, good_passes : Estimate and ndarray, shape (n,)
        From cameras. [%], [-]
    survey_grade, survey_age_years : ndarray, shape (n,)
        Total grade of the newest survey, and its age [a]; NaN where there was none.
    open_potholes, worst_severity : ndarray, shape (n,)
        Known open potholes, and the greatest severity among them, 1 to 3 (0: none).

    Returns
    -------
    Estimate, shape (n,)

    Notes
    -----
    Camera and survey are averaged with the inverse of their variances; a survey's sd of 0.3 grows by 0.2 a year. An
    open pothole makes the grade at least 3.5 plus half its severity, and a quarter more for each further one. No
    pothole is no evidence of a good road: without camera and survey the grade stays unknown. It is an own estimate
    in the direction of the ZEB grades, not one of theirs.
    """
    camera = np.where(good_passes >= LEAST_GOOD_PASSES, grade_from_cracks(crack_index.value), np.nan)
    slope = 2.0 / (CRACK_ANCHORS_PCT[1] - CRACK_ANCHORS_PCT[0])
    camera_sd = np.hypot(CAMERA_GRADE_SD, slope * crack_index.sd)
    survey_sd = 0.3 + 0.2 * np.maximum(survey_age_years, 0.0)
    weights = np.stack([camera_sd**-2, survey_sd**-2])
    grades = np.stack([camera, survey_grade])
    weights = np.where(np.isnan(grades) | np.isnan(weights), 0.0, weights)
    total = weights.sum(axis=0)
    known = total > 0
    divisor = np.where(known, total, 1.0)
    value = np.where(known, (weights * np.nan_to_num(grades)).sum(axis=0) / divisor, np.nan)
    sd = np.where(known, divisor**-0.5, np.nan)
    holed = open_potholes > 0
    least = np.minimum(3.5 + 0.5 * worst_severity + 0.25 * np.maximum(open_potholes - 1, 0), 5.0)
    raised = holed & (np.isnan(value) | (least > value))
    return Estimate(np.where(raised, least, value), np.where(raised, 0.5, sd))
