"""State of a segment now: what sensors, weather, cameras and people say of it, each with its uncertainty.

Pure functions, arrays in and arrays out. NaN is *unknown*; a standard deviation (sd) says how far the truth may be.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.special import ndtr

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values with their standard deviations, shape (n,), in the unit that the name of the quantity ends in."""

    value: Floats
    sd: Floats


@dataclass(frozen=True, slots=True)
class Field:
    """How a quantity varies over a city: `spread` of single places about the weather estimate, `range_m` over which
    that deviation is shared (the correlation has fallen to 37 %), `noise` of one sensor. Same unit as the quantity."""

    spread: float
    range_m: float
    noise: float


# Assumed, to be fitted once a city has a year of data: shade and pavement change within a street, soil within metres.
SURFACE_TEMP_FIELD = Field(spread=2.5, range_m=1500.0, noise=0.5)
SOIL_MOISTURE_FIELD = Field(spread=6.0, range_m=300.0, noise=2.0)

CELL_SHARE_PCT = 1.0
"""Share of the cells of 100 m of lane (1 m by a third of a lane: 300) that a linear crack of 3 m touches. [%]"""
ALLIGATOR_WEIGHT = 3.0
"""An area of alligator cracks touches about three times as many cells as a linear crack."""
DETECTOR_RECALL = 0.75
"""Share of visible cracks that a camera reports (published F1 0.70 to 0.80); the index is scaled up by it."""
CRACK_ANCHORS_PCT = (1.0, 15.0, 25.0)
"""Cracked cells at the grades 1.5, 3.5 and 4.5: placeholders of the usual size, the rule books' own are not public."""
LEAST_GOOD_PASSES = 3
"""With fewer good passes a camera's grade is unknown."""
CAMERA_GRADE_SD = 0.6
"""What a grade from a count of detections leaves open however often one looks: width, depth and skid are not seen."""


def surface_temp_from_weather_c(air_temp_c: float, radiation_w_per_m2: float, wind_speed_mps: float) -> Estimate:
    """Temperature of an open asphalt surface from the weather of the hour.

    Parameters
    ----------
    air_temp_c, radiation_w_per_m2, wind_speed_mps : float
        Air temperature [°C], global radiation [W/m²], wind speed [m/s]. NaN radiation counts as none and widens the
        standard deviation; NaN wind counts as 2 m/s.

    Returns
    -------
    Estimate, shape (1,)
        [°C] NaN without an air temperature.

    Notes
    -----
    Absorbed radiation (absorptivity 0.9), half of which the pavement conducts away in an hour, over the heat transfer
    to the air: convection 5.7 + 3.8 v [1]_ and long-wave exchange of about 5 W/m²K. A balance, not a forecast model.

    References
    ----------
    .. [1] W. H. McAdams, *Heat Transmission*, 3rd ed. New York: McGraw-Hill, 1954.

    Examples
    --------
    >>> surface_temp_from_weather_c(25.0, 800.0, 2.0).value.round(1)
    array([44.7])
    """
    radiation = 0.0 if math.isnan(radiation_w_per_m2) else max(radiation_w_per_m2, 0.0)
    wind = 2.0 if math.isnan(wind_speed_mps) else max(wind_speed_mps, 0.0)
    warming_c = 0.5 * 0.9 * radiation / (5.0 + 5.7 + 3.8 * wind)
    unknown_c = 4.0 if math.isnan(radiation_w_per_m2) else 0.0  # sun or no sun
    sd = math.hypot(1.5, 0.25 * warming_c, unknown_c)
    return Estimate(np.array([air_temp_c + warming_c]), np.array([sd if math.isfinite(air_temp_c) else math.nan]))


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


def interpolate(places_m: Floats, sensors_m: Floats, measured: Floats, background: Estimate, field: Field) -> Estimate:
    """Spread what sensors measure over a city: the weather's estimate plus the deviations that sensors show near by.

    Simple kriging with an exponential correlation: at a sensor the sd is its noise, far from all of them value and sd
    go back to those of the weather.

    Parameters
    ----------
    places_m : ndarray, shape (n, 2)
        Where the quantity is asked for, on a plane. [m]
    sensors_m, measured : ndarray, shape (m, 2) and (m,)
        Where it is measured, and what; m may be 0.
    background : Estimate, shape (1,)
        From the weather; when it is NaN, the mean of the sensors with the spread of the field stands in.
    field : Field
        Spread, range and noise.

    Returns
    -------
    Estimate, shape (n,)
        NaN where there is neither weather nor sensor.

    Examples
    --------
    >>> at = np.array([[0.0, 0.0], [1500.0, 0.0], [1e6, 0.0]])
    >>> weather = Estimate(np.array([10.0]), np.array([1.0]))
    >>> near = interpolate(at, at[:1], np.array([14.0]), weather, Field(spread=2.0, range_m=1500.0, noise=0.0))
    >>> near.value.round(1), near.sd.round(1)
    (array([14. , 11.5, 10. ]), array([0. , 2.1, 2.2]))
    """
    mean, sd = float(background.value[0]), float(background.sd[0])
    if not math.isfinite(mean):
        if not len(measured):
            return Estimate(np.full(len(places_m), np.nan), np.full(len(places_m), np.nan))
        mean, sd = float(measured.mean()), 0.0
    spread = math.hypot(field.spread, sd)
    if not len(measured):
        return Estimate(np.full(len(places_m), mean), np.full(len(places_m), spread))

    def covariance(one: Floats, other: Floats) -> Floats:
        distance_m = np.hypot(*(one[:, None, :] - other[None, :, :]).transpose(2, 0, 1))
        return np.asarray(spread**2 * np.exp(-distance_m / field.range_m))

    # The tiny addition keeps two noiseless sensors at one place solvable.
    among = covariance(sensors_m, sensors_m) + np.eye(len(measured)) * (field.noise**2 + 1e-9 * spread**2)
    towards = covariance(places_m, sensors_m)
    weights = np.linalg.solve(among, towards.T).T
    variance = spread**2 - np.einsum("nm,nm->n", weights, towards)
    return Estimate(mean + weights @ (measured - mean), np.sqrt(np.maximum(variance, 0.0)))


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


def crack_index_pct(linear: Floats, alligator: Floats, good_passes: Floats, length_m: Floats) -> Estimate:
    """Share of the cells of a lane that hold a crack, estimated from what cameras counted.

    Parameters
    ----------
    linear, alligator : ndarray, shape (n,)
        Detections in all good passes of the window.
    good_passes : ndarray, shape (n,)
        Passes with frames fit for detection.
    length_m : ndarray, shape (n,)
        Length of the segment. [m]

    Returns
    -------
    Estimate, shape (n,)
        [%] NaN without a good pass. The sd is that of counting; what the camera cannot see is not in it.

    Examples
    --------
    >>> crack_index_pct(np.array([6.0]), np.array([2.0]), np.array([4.0]), np.array([100.0])).value
    array([4.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        per_count = CELL_SHARE_PCT / DETECTOR_RECALL * (100.0 / length_m) / good_passes
        value = (linear + ALLIGATOR_WEIGHT * alligator) * per_count
        # A count of nothing is still one that may have been one: Poisson with half a count added.
        sd = np.sqrt(linear + 0.5 + ALLIGATOR_WEIGHT**2 * alligator) * per_count
    seen = good_passes > 0
    return Estimate(np.where(seen, np.minimum(value, 100.0), np.nan), np.where(seen, sd, np.nan))


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
