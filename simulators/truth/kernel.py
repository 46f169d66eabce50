"""The parts of the hazard of a new pothole: how weather and patches act, and where it saturates.

λ of a segment and day = P(S(λ0 · multiplier (condition) · patches) · weather response) · length / 100 m. S and P
saturate: where the surface is broken everywhere, more causes or worse weather do not break it more often.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from simulators.truth.condition import Condition
from simulators.truth.effects import effects_of
from simulators.weather.pavement import pavement_year
from simulators.weather.weather import WeatherSource, weather_year

MEAN_PER_100_M_WEEK = 0.0375
"""Essen: 120 repairs a working day on 1,600 km."""
PATCH_EFFECT, PATCH_LIMIT = 0.2, 5
"""A cold patch younger than a year adds a fifth to its segment's hazard, up to twofold in all; the additional holes are
at patches. (The ×3 of the sources is for the patch's own place, not for 100 m around it.)"""
LOW_SUN = 0.15
"""Half the difference between mid-January and mid-July that does not come from the year's own weather [logarithm]."""
ALL_YEAR = 0.5
"""What breaks open in any weather, by traffic and age: added to a response that is 1 at 10 °C in a dry spell."""
PEAK = 10.0
"""No segment has more than ten times the city's mean hazard in any weather (0.38 a week per 100 m, 5 in 90 days)."""


@dataclass(frozen=True, slots=True)
class WeatherResponse:
    """Of one weather year: (days, drainage, exposure), before the strength exponent; `thaw` (days,) is weakness."""

    log_factor: NDArray[np.float64]
    thaw: NDArray[np.float64]


@lru_cache(maxsize=24)
def weather_response(source: WeatherSource, year: int) -> WeatherResponse:
    """How a year's weather acts: freeze-thaw cycles where the base is wet, rain soaking in, cold, thaw weakness."""
    before, now = pavement_year(source, year - 1), pavement_year(source, year)
    lead = 30
    cycles = np.concatenate([before.freeze_thaw_cycles[-lead:], now.freeze_thaw_cycles]).astype(float)
    saturation = np.concatenate([before.saturation[-lead:], now.saturation])
    effects = effects_of(source.streams)
    wet = np.clip((saturation - effects.wet_saturation) / 0.35, 0.0, 1.0)
    # ×1.1 for each cycle of the last 14 days on a wet section, ×1.0 on a dry one.
    per_day = cycles[:, None, :] * wet[:, :, None]
    running = np.cumsum(np.concatenate([np.zeros((1, *per_day.shape[1:])), per_day]), axis=0)
    recent = (running[14:] - running[:-14])[lead - 13 :]
    liquid = np.concatenate([weather_year(source, y).melt_mm.reshape(-1, 24).sum(axis=1) for y in (year - 1, year)])
    index = _antecedent_precipitation(liquid)[-len(now.thaw_weakness) :]
    mean_temp = np.concatenate(
        [weather_year(source, y).air_temp_c.reshape(-1, 24).mean(axis=1) for y in (year - 1, year)]
    )
    fortnight = np.convolve(mean_temp, np.full(14, 1 / 14))[: len(mean_temp)][-len(now.thaw_weakness) :]
    log = effects.cycles * np.log(1.1) * np.minimum(recent, effects.cycle_cap)
    # Cold binder is brittle, and long nights keep the surface wet.
    log += effects.cold * 0.06 * (10.0 - fortnight)[:, None, None]
    log += effects.rain * 0.30 * np.clip(index / 18.0 - 1.0, -1.0, 2.5)[:, None, None]
    log += effects.wet_base * 0.25 * (wet[lead:, :, None] - 0.5)
    # In the low sun of winter surfaces stay wet for days, in every year.
    phase = 2 * np.pi * (np.arange(len(log)) - 201) / 365.25
    log += LOW_SUN * np.cos(phase)[:, None, None]
    return WeatherResponse(log, effects.thaw * now.thaw_weakness)


def _antecedent_precipitation(liquid_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Antecedent precipitation index with k = 0.9 [mm]."""
    weights = 0.9 ** np.arange(90)
    result: NDArray[np.float64] = np.convolve(liquid_mm, weights)[: len(liquid_mm)]
    return result


def weather_factor(
    response: WeatherResponse, strength: float, rows: slice, condition: Condition, heavy_rank: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weather response of every segment on some days of a year, shape (days, segments)."""
    factor = np.exp(strength * response.log_factor[rows])[:, condition.drainage, condition.exposure]
    thaw = 1.0 + strength * response.thaw[rows, None] * (0.5 + 1.5 * heavy_rank)
    result: NDArray[np.float64] = ALL_YEAR + factor * thaw
    return result


def patch_factor(condition: Condition, day: date, patches: NDArray[np.float64]) -> NDArray[np.float64]:
    """What cold patches younger than their life make of the hazard of their segment."""
    return 1.0 + PATCH_EFFECT * condition.patch_effect(day) * np.minimum(patches, PATCH_LIMIT)


def saturated(rate: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    """S: the rate itself where it is small, never above the ceiling.

    Examples
    --------
    >>> saturated(np.array([0.01, 0.1, 1.0]), 0.2).round(3).tolist()
    [0.01, 0.092, 0.2]
    """
    result: NDArray[np.float64] = ceiling * np.tanh(rate / ceiling)
    return result


def poisson_count(mean: NDArray[np.float64], u: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Poisson numbers by inversion of uniform ones, cut off at `most`.

    Examples
    --------
    >>> poisson_count(np.array([0.1, 0.1, 2.0]), np.array([0.5, 0.95, 0.9]), 3).tolist()
    [0, 1, 3]
    """
    return sum((u > pdtr(k, mean) for k in range(most)), start=np.zeros(len(mean), np.int64))
