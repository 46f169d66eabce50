"""Weather as potholes feel it: frost, thaw, rain, and rain that freezes. Pure functions on regular series.

Days are local days of the city that are over, oldest first. Station weather stands for the whole city in this feature
set.
A window of which less than 80 % is known gives NaN.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

KNOWN_SHARE = 0.8
"""Least share of a window that must be known; sums are taken over what is known."""
API_RETENTION = 0.9
"""Daily retention of the antecedent precipitation index [-]."""
API_DAYS = 60
"""Days of that index; 0.9**60 is below 0.2 %. [d]"""
LONGEST_THAW_DAYS = 120
"""After this the base has recovered and days of thaw are no longer told apart. [d]"""
LARGEST_THAW_INDEX_CD = 400.0
"""Likewise for the thaw index. [°C·d]"""
WET_ROAD_MM, WET_ROAD_DAYS = 2.0, 3
"""A road is wet when at least so much rain fell on so many days, the day asked about the last. [mm, d]"""


def window_sum(values: Floats, length: int) -> float:
    """Sum of the last `length` values; NaN when more than 20 % of them are unknown.

    Examples
    --------
    >>> window_sum(np.array([1.0, 2.0, 3.0]), 2), window_sum(np.array([np.nan, 2.0]), 2)
    (5.0, nan)
    """
    window = values[-length:]
    if window.size < KNOWN_SHARE * length or np.isfinite(window).mean() < KNOWN_SHARE:
        return float("nan")
    return float(np.nansum(window))


def window_mean(values: Floats, length: int) -> float:
    """Mean of the known ones of the last `length` values; NaN when more than 20 % of them are unknown.

    Examples
    --------
    >>> window_mean(np.array([1.0, 2.0, 4.0]), 2), window_mean(np.array([np.nan, 2.0]), 2)
    (3.0, nan)
    """
    window = values[-length:]
    if window.size < KNOWN_SHARE * length or np.isfinite(window).mean() < KNOWN_SHARE:
        return float("nan")
    return float(np.nanmean(window))


def freeze_thaw_days(minimum_c: Floats, maximum_c: Floats) -> Floats:
    """Days with a freeze–thaw cycle of the air: minimum below and maximum above 0 °C.

    Parameters
    ----------
    minimum_c, maximum_c : ndarray, shape (n_days,)
        Lowest and highest hourly air temperature of the local day. [°C]

    Returns
    -------
    ndarray, shape (n_days,)
        1 or 0, NaN where unknown. Air counts are conservative against those of the surface [1]_.

    References
    ----------
    .. [1] D. M. Hershfield, "The frequency of freeze-thaw cycles," J. Appl. Meteorol., vol. 13, no. 3,
       pp. 348-354, 1974.

    Examples
    --------
    >>> freeze_thaw_days(np.array([-3.0, -5.0, 2.0]), np.array([4.0, -1.0, 9.0]))
    array([1., 0., 0.])
    """
    cycle = (minimum_c < 0) & (maximum_c > 0)
    return np.where(np.isnan(minimum_c) | np.isnan(maximum_c), np.nan, cycle.astype(float))


def frost_index_cd(mean_c: Floats, days: int) -> float:
    """Frost index of the last `days` days: sum of the degrees below zero of the daily means. [°C·d]

    Frost depth goes with its square root (Stefan).

    Examples
    --------
    >>> frost_index_cd(np.array([-4.0, 2.0, -1.5]), 3)
    5.5
    """
    return window_sum(np.where(np.isnan(mean_c), np.nan, np.maximum(0.0, -mean_c)), days)


def thaw_state(
    mean_c: Floats, *, longest_days: int = LONGEST_THAW_DAYS, largest_cd: float = LARGEST_THAW_INDEX_CD
) -> tuple[float, float]:
    """How far the thaw has gone since the last freezing day.

    Parameters
    ----------
    mean_c : ndarray, shape (n_days,)
        Daily mean of the air temperature. [°C]
    longest_days : int
        After this the base has recovered and days are no longer told apart. [d]
    largest_cd : float
        Likewise for the index. [°C·d]

    Returns
    -------
    thaw_index_cd, days_since_thaw : float
        Degree days above zero, and days, since the last day with a mean below zero, capped. The base is critically
        weak from about 16 °C·d on [1]_ and recovers within about four months. NaN when no day is known.

    References
    ----------
    .. [1] US Army Cold Regions Research and Engineering Laboratory, CRREL Report 96-14, 1996 (thawing index at which
       a base course is critically weak).

    Examples
    --------
    >>> thaw_state(np.array([-2.0, 3.0, 5.0]))
    (8.0, 2.0)
    """
    if not np.isfinite(mean_c).any():
        return float("nan"), float("nan")
    frozen = np.flatnonzero(mean_c < 0)
    since = mean_c[frozen[-1] + 1 :] if frozen.size else mean_c
    if not frozen.size and since.size < longest_days:
        return float("nan"), float("nan")  # the series is too short to say when it last froze
    return min(float(np.nansum(np.maximum(since, 0.0))), largest_cd), float(min(since.size, longest_days))


def antecedent_precipitation_mm(rain_mm: Floats, *, retention: float = API_RETENTION, days: int = API_DAYS) -> float:
    """Antecedent precipitation index of daily rain: ``sum(k**age * rain)``. [mm]

    Parameters
    ----------
    rain_mm : ndarray, shape (n_days,)
        Daily rain, the newest day last. [mm]
    retention : float
        k, what is left of the index a day later. [-]
    days : int
        Days summed.

    References
    ----------
    .. [1] M. A. Kohler and R. K. Linsley, "Predicting the runoff from storm rainfall," US Weather Bureau Research
       Paper 34, 1951.

    Examples
    --------
    >>> round(antecedent_precipitation_mm(np.array([10.0, 0.0, 5.0]), days=3), 2)
    13.1
    """
    window = rain_mm[-days:]
    weights = retention ** np.arange(window.size - 1, -1, -1.0)
    if window.size < KNOWN_SHARE * days or np.isfinite(window).mean() < KNOWN_SHARE:
        return float("nan")
    return float(np.nansum(weights * window))


def rain_then_frost_days(rain_mm: Floats, minimum_c: Floats, *, least_mm: float = WET_ROAD_MM) -> Floats:
    """Days that froze on a wet road: minimum below 0 °C and at least `least_mm` of rain that day or the two before.

    Water that stands in cracks when it freezes is what opens them.

    Examples
    --------
    >>> rain_then_frost_days(np.array([6.0, 0.0, 0.0, 0.0]), np.array([3.0, -1.0, 1.0, -2.0]))
    array([0., 1., 0., 0.])
    """
    padded = np.concatenate([np.full(WET_ROAD_DAYS - 1, np.nan), rain_mm])
    recent = np.nansum(np.lib.stride_tricks.sliding_window_view(padded, WET_ROAD_DAYS), axis=1)
    unknown = np.isnan(minimum_c) | np.isnan(rain_mm)
    return np.where(unknown, np.nan, ((minimum_c < 0) & (recent >= least_mm)).astype(float))


def season(day: np.datetime64) -> tuple[float, float]:
    """Sine and cosine of the day of the year. [-]

    Examples
    --------
    >>> season(np.datetime64("2026-01-01"))
    (0.0, 1.0)
    """
    year = day.astype("datetime64[Y]")
    begin = year.astype("datetime64[D]")
    length = ((year + 1).astype("datetime64[D]") - begin).astype(int)
    angle = 2 * np.pi * (day.astype("datetime64[D]") - begin).astype(int) / length
    return float(np.sin(angle)), float(np.cos(angle))
