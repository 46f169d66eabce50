"""Frost, thaw and warmth of the pavement from the weather, and from how much colder or warmer a place is at night.

Hours and days are regular series, oldest first. A place differs from the station by an offset; what follows from it is
tabulated over offsets once for the city, and averaged over each place's own offset and its uncertainty.
"""

import math
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, roots_hermitenorm

from models.features.weather import KNOWN_SHARE
from models.state.fields import Estimate, Field

Floats = NDArray[np.float64]

FREEZE_BELOW_C, THAW_ABOVE_C = -1.0, 1.0
"""A cycle is a surface below the first and then above the second: noise about 0 °C is none. [°C]"""
WEAK_FROM_THAWED_CD = 16.0
"""A base is critically weak when so much frost has thawed. [°C·d] CRREL Report 96-14, 1996."""
WEAK_MODULUS = 0.35
"""Modulus of a base when it is weakest, as a share of that before the frost. [-] Field moduli fall to about 35 %."""
RECOVERY_DAYS = 40.0
"""Time constant of the recovery. [d] It takes about four months: 95 % in three time constants."""
NIGHT_OFFSET_FIELD = Field(spread=1.0, range_m=1500.0, noise=0.3, range_traits=1.0)
"""How the nightly minimum of surfaces differs from the weather's estimate. [°C] Assumed until fitted."""
NIGHT_OFFSET_SHARED_C = 0.7
"""Error of the weather's estimate of nightly minima that the whole city shares. [°C] Assumed."""

DAY_ERROR_C = 1.0
"""How far a day or night of a place is off beyond its usual offset: 1 σ, each day by itself. [°C] Assumed."""
LEAST_CYCLES_SD, LEAST_FROST_SD_CD = 0.1, 0.1
"""Beside all that is estimated, one count in a hundred is off by one [-], and a frost index by as little [°C·d]: a
surface that nobody measured is never known exactly, not even in summer. Assumed."""
SOUND_MODULUS_SD_PCT, WEAK_MODULUS_SD_PCT = 3.0, 15.0
"""A base that was never frozen is as stiff as its moisture lets it be; how weak a thaw makes it is known roughly. [%]
Assumed."""

_OFFSETS_C = np.linspace(-8.0, 8.0, 65)
_NODES, _WEIGHTS = roots_hermitenorm(9)
_WEIGHTS = _WEIGHTS / _WEIGHTS.sum()


def surface_temp_from_weather_c(air_temp_c: Floats, radiation_w_per_m2: Floats, wind_speed_mps: Floats) -> Estimate:
    """Temperature of an open asphalt surface from the weather of hours.

    Parameters
    ----------
    air_temp_c, radiation_w_per_m2, wind_speed_mps : ndarray, shape (h,)
        Air temperature [°C], global radiation [W/m²], wind speed [m/s]. NaN radiation counts as none and widens the
        standard deviation; NaN wind counts as 2 m/s.

    Returns
    -------
    Estimate, shape (h,)
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
    >>> surface_temp_from_weather_c(np.array([25.0]), np.array([800.0]), np.array([2.0])).value.round(1)
    array([44.7])
    """
    radiation = np.maximum(np.nan_to_num(radiation_w_per_m2, nan=0.0), 0.0)
    wind = np.maximum(np.nan_to_num(wind_speed_mps, nan=2.0), 0.0)
    warming_c = 0.5 * 0.9 * radiation / (5.0 + 5.7 + 3.8 * wind)
    unknown_c = np.where(np.isnan(radiation_w_per_m2), 4.0, 0.0)  # sun or no sun
    sd = np.sqrt(1.5**2 + (0.25 * warming_c) ** 2 + unknown_c**2)
    return Estimate(air_temp_c + warming_c, np.where(np.isnan(air_temp_c), np.nan, sd))


def freeze_thaw_cycles(surface_temp_c: Floats) -> float:
    """Number of freeze–thaw cycles of a series: below −1 °C and then above +1 °C; NaN hours are passed over. [-]

    NaN when more than 20 % of the series are unknown.

    Examples
    --------
    >>> freeze_thaw_cycles(np.array([2.0, -0.5, 0.5, -2.0, 0.2, -1.5, 3.0, -4.0]))
    1.0
    """
    if not surface_temp_c.size or np.isfinite(surface_temp_c).mean() < KNOWN_SHARE:
        return float("nan")
    side = np.where(surface_temp_c < FREEZE_BELOW_C, -1, np.where(surface_temp_c > THAW_ABOVE_C, 1, 0))
    side = side[side != 0]
    return float(np.count_nonzero((side[:-1] < 0) & (side[1:] > 0)))


def base_modulus_share(mean_c: Floats) -> float:
    """Modulus of the base at the end of a series of days, relative to a base that was never frozen. [-]

    Parameters
    ----------
    mean_c : ndarray, shape (n_days,)
        Daily mean temperature; half a year shows all that matters. [°C] NaN days change nothing.

    Returns
    -------
    float
        1 sound … 0.35 critically weak; NaN when more than 20 % of the days are unknown.

    Notes
    -----
    Frost is stored below zero and thaws above. Weakness is what has thawed over 16 °C·d [1]_, 1 at most, and fades with
    a time constant of 40 days; the modulus falls to about 35 % and needs about four months [2]_.

    References
    ----------
    .. [1] US Army Cold Regions Research and Engineering Laboratory, CRREL Report 96-14, 1996.
    .. [2] Field assessments of pavement moduli through spring thaw, as cited in `docs/reference/twin-state.md`.

    Examples
    --------
    >>> base_modulus_share(np.array([-4.0] * 10 + [4.0] * 4)) < 0.4
    True
    >>> base_modulus_share(np.array([4.0] * 60))
    1.0
    """
    if not mean_c.size or np.isfinite(mean_c).mean() < KNOWN_SHARE:
        return float("nan")
    frost, weakness, fading = 0.0, 0.0, math.exp(-1 / RECOVERY_DAYS)
    for temp_c in mean_c[np.isfinite(mean_c)].tolist():
        weakness *= fading
        if temp_c < 0:
            frost -= temp_c
        else:
            thawed = min(frost, temp_c)
            frost -= thawed
            weakness = min(1.0, weakness + thawed / WEAK_FROM_THAWED_CD)
    return 1.0 - (1.0 - WEAK_MODULUS) * weakness


def over_offsets(effect: Callable[[float], float], offset_c: Estimate) -> Estimate:
    """What places with uncertain offsets feel: mean and sd of an effect of the offset.

    Parameters
    ----------
    effect : callable
        Offset [°C] → effect; called for 65 offsets from −8 to 8 °C.
    offset_c : Estimate, shape (n,)
        Of each place. [°C]

    Returns
    -------
    Estimate, shape (n,)
        In the unit of the effect. NaN where the effect is.

    Examples
    --------
    >>> felt = over_offsets(lambda offset_c: 10 - 2 * offset_c, Estimate(np.array([0.0, 1.0]), np.array([0.0, 0.5])))
    >>> felt.value.round(6), felt.sd.round(6)
    (array([10.,  8.]), array([0., 1.]))
    """
    table = np.array([effect(float(offset)) for offset in _OFFSETS_C])
    at = offset_c.value[:, None] + offset_c.sd[:, None] * _NODES
    values = np.interp(at, _OFFSETS_C, table)
    mean = values @ _WEIGHTS
    variance = (values - mean[:, None]) ** 2 @ _WEIGHTS
    return Estimate(mean, np.sqrt(np.maximum(variance, 0.0)))


def frost_days_sd_cd(mean_c: Floats, *, day_error_c: float = DAY_ERROR_C) -> float:
    """Standard deviation of the frost index of days, each of which is off by itself. [°C·d]

    Parameters
    ----------
    mean_c : ndarray, shape (n_days,)
        Daily means. [°C] NaN days add nothing.
    day_error_c : float
        1 σ of the error of one of them. [°C]

    Notes
    -----
    Variances of max(0, −T) with T normal, added up.

    Examples
    --------
    >>> round(frost_days_sd_cd(np.array([-9.0] * 4 + [9.0] * 4)), 2)
    2.0
    """
    below = -mean_c[np.isfinite(mean_c)] / day_error_c
    cold, density = ndtr(below), np.exp(-0.5 * below**2) / math.sqrt(2 * math.pi)
    mean = below * cold + density
    variance = (below**2 + 1) * cold + below * density - mean**2
    return day_error_c * math.sqrt(max(float(variance.sum()), 0.0))


def with_errors(estimate: Estimate, *sds: float | Floats) -> Estimate:
    """The same values with further errors, independent of one another, of these standard deviations.

    Examples
    --------
    >>> with_errors(Estimate(np.array([5.0, 2.0]), np.array([3.0, 0.0])), 4.0).sd
    array([5., 4.])
    """
    return Estimate(estimate.value, np.sqrt(estimate.sd**2 + sum(np.square(sd) for sd in sds)))
