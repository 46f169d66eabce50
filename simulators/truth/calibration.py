"""The numbers of Essen that the hidden hazard is tied to, and how λ0 and the weather's strength follow from them.

λ0 and the strength of the weather response are solved so that, over the weather of the world's first years, the mean is
0.0375 per 100 m and week and January and February have 2.5 times as much (Essen: 120 repairs a working day, 300 in
winter). The weather is the climate's, without the changes of a scenario: a hard winter has to bring more holes.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.truth.condition import Condition
from simulators.truth.kernel import (
    ALL_YEAR,
    MEAN_PER_100_M_WEEK,
    PATCH_EFFECT,
    PATCH_LIMIT,
    PEAK,
    WeatherResponse,
    saturated,
    weather_factor,
    weather_response,
)
from simulators.truth.regime import PATCH_LIFE_DAYS
from simulators.weather.pavement import DRAINAGE, EXPOSURES
from simulators.weather.weather import weather_year_of

WINTER_RATIO = 2.5
CALIBRATION_YEARS = 6
STRENGTH_MAX = 3.0
"""Years with nothing but mild winters cannot be made to have the ratio: the response is not stretched beyond this."""
COLD_SHARE = 0.7
SATURATION = 5.5
"""No segment has more than this many times the city's mean hazard in mean weather (11 holes a year per 100 m)."""
TREATMENT_RELIEF = 0.11
"""What λ0 is raised by, found by running worlds: treatments (`truth.repairs`) and the scatter of patches under the
concave S take a tenth of all holes away."""


@dataclass(frozen=True, slots=True)
class Calibration:
    """λ0 and the ceiling of S [per 100 m and week], the exponent on the weather response, and how many patches younger
    than a year each segment has on average."""

    base_rate: float
    ceiling: float
    strength: float
    patches: NDArray[np.float64]


def calibrate(condition: Condition) -> Calibration:
    """Solve strength, then λ0, for the weather years around the world's begin; see the module's text."""
    climate, epoch = condition.world.climate, condition.world.epoch
    first = weather_year_of(epoch)
    years = range(first, first + CALIBRATION_YEARS)
    heavy_rank = _usual_load(condition)
    weight = condition.multiplier(epoch.year + 2, 6, treated=False) * condition.length_m
    groups = np.ravel_multi_index((condition.drainage, condition.exposure), (len(DRAINAGE), len(EXPOSURES)))
    share = np.bincount(groups, weight, len(DRAINAGE) * len(EXPOSURES)) / weight.sum()
    load = np.bincount(groups, weight * (0.5 + 1.5 * heavy_rank), len(share)) / np.maximum(
        np.bincount(groups, weight, len(share)), 1e-12
    )
    responses = [weather_response(climate, year) for year in years]
    log = np.concatenate([r.log_factor.reshape(len(r.thaw), -1) for r in responses])
    thaw = np.concatenate([r.thaw for r in responses])
    months = np.concatenate([_months(year, len(r.thaw)) for year, r in zip(years, responses, strict=True)])

    def daily(strength: float) -> NDArray[np.float64]:
        result: NDArray[np.float64] = (
            ALL_YEAR + np.exp(strength * log) * (1 + strength * thaw[:, None] * load)
        ) @ share
        return result

    sampled = np.array([condition.multiplier(*month, treated=False) for month in _sample_months(epoch)])
    goal = WINTER_RATIO
    for _ in range(3):
        low, high = 0.0, STRENGTH_MAX
        for _ in range(30):
            strength = (low + high) / 2
            mean = daily(strength)
            low, high = (strength, high) if mean[months <= 2].mean() / mean.mean() < goal else (low, strength)
        weather = _mean_weather(responses, strength, condition)
        solved = _solve_base_rate(sampled, weather, strength, condition, 1 + TREATMENT_RELIEF)
        for _ in range(2):
            lost, ratio = _at_peak(solved, sampled, responses, condition)
            solved = _solve_base_rate(sampled, weather, strength, condition, (1 + TREATMENT_RELIEF) / (1 - lost))
        goal *= WINTER_RATIO / ratio
    return solved


def _at_peak(
    solved: Calibration, multiplier: NDArray[np.float64], responses: list[WeatherResponse], condition: Condition
) -> tuple[float, float]:
    """Share of all holes that P takes away, and what January and February then have by the mean; every fifth day."""
    heavy_rank, first = _usual_load(condition), weather_year_of(condition.world.epoch)
    patched = _mean_patch_factor(solved.patches, condition)
    static = saturated(solved.base_rate * multiplier * patched, solved.ceiling).mean(axis=0)
    before, after, months = [], [], []
    for year, response in enumerate(responses, start=first):
        rate = weather_factor(response, solved.strength, slice(None, None, 5), condition, heavy_rank) * static
        before.append(rate @ condition.length_m)
        after.append(saturated(rate, PEAK * MEAN_PER_100_M_WEEK) @ condition.length_m)
        months.append(_months(year, len(response.thaw))[::5])
    holes = np.concatenate(after)
    winter = holes[np.concatenate(months) <= 2].mean() / holes.mean()
    return 1 - float(holes.sum() / np.concatenate(before).sum()), float(winter)


def _usual_load(condition: Condition) -> NDArray[np.float64]:
    return condition.heavy_rank(condition.world.epoch.year, condition.world.epoch.month)


def _mean_patch_factor(patches: NDArray[np.float64], condition: Condition) -> NDArray[np.float64]:
    """What some number of new patches a year makes of the hazard, on average over the period and its two regimes."""
    epoch, regime = condition.world.epoch, condition.regime
    before = (regime.changes_on - epoch).days / (365.25 * CALIBRATION_YEARS)
    usual = PATCH_EFFECT * _expected_min(patches, PATCH_LIMIT)
    lasting = patches * (regime.patch_life_days / PATCH_LIFE_DAYS)
    changed = PATCH_EFFECT * regime.patch_effect_factor * _expected_min(lasting, PATCH_LIMIT)
    result: NDArray[np.float64] = 1 + before * usual + (1 - before) * changed
    return result


def _sample_months(epoch: date) -> list[tuple[int, int]]:
    return [(epoch.year + year, month) for year in range(CALIBRATION_YEARS) for month in (1, 7)]


def _months(year: int, days: int) -> NDArray[np.int64]:
    dates = np.datetime64(f"{year}-07-01") + np.arange(days)
    result: NDArray[np.int64] = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return result


def _mean_weather(responses: list[WeatherResponse], strength: float, condition: Condition) -> NDArray[np.float64]:
    total, days, heavy_rank = np.zeros(len(condition.length_m)), 0, _usual_load(condition)
    for response in responses:
        factor = np.exp(strength * response.log_factor)
        plain = factor.sum(axis=0)[condition.drainage, condition.exposure]
        thawing = (factor * response.thaw[:, None, None]).sum(axis=0)[condition.drainage, condition.exposure]
        total += plain + strength * thawing * (0.5 + 1.5 * heavy_rank)
        days += len(response.thaw)
    return ALL_YEAR + total / days


def _solve_base_rate(
    multiplier: NDArray[np.float64],
    weather: NDArray[np.float64],
    strength: float,
    condition: Condition,
    raised: float,
) -> Calibration:
    """λ0 so that the mean hazard per 100 m, patches included, is Essen's, times `raised`.

    `multiplier` has a row for each of some months of the period.
    """
    target, length_m = MEAN_PER_100_M_WEEK * raised, condition.length_m
    ceiling = SATURATION * MEAN_PER_100_M_WEEK / float(np.average(weather, weights=length_m))
    base = target / float(np.average(multiplier.mean(axis=0) * weather, weights=length_m))
    patches = np.zeros_like(weather)
    # Patches make holes and holes make patches: to the fixed point of all segments and λ0 together. The mean grows more
    # slowly than λ0, so that no step goes too far.
    for _ in range(24):
        factor = _mean_patch_factor(patches, condition)
        rate = weather * saturated(base * multiplier * factor, ceiling).mean(axis=0)  # per 100 m and week
        patches = COLD_SHARE * rate * 52.18 * length_m / 100
        base *= target / float(np.average(rate, weights=length_m))
    return Calibration(base, ceiling, strength, patches)


def _expected_min(mean: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """E[min(N, limit)] of a Poisson N: Σ P(N > k) for k below the limit."""
    term = np.exp(-mean)
    below, result = term.copy(), 1 - term
    for k in range(1, limit):
        term = term * mean / k
        below += term
        result += 1 - below
    return result
