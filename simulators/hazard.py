"""The hidden hazard of a new pothole, and the two numbers of Essen that it is tied to.

λ of a segment and day = P(S(λ0 · multiplier (condition) · patches) · weather response) · length / 100 m. S and P
saturate: where the surface is broken everywhere, more causes or worse weather do not break it more often. λ0 and the
strength of the weather response are solved so that, over the weather of the world's first years, the mean is 0.0375 per
100 m and week and January and February have 2.5 times as much (Essen: 120 repairs a working day, 300 in winter).
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from simulators.condition import Condition
from simulators.effects import effects_of
from simulators.pavement import DRAINAGE, EXPOSURES, pavement_year, year_offset_days
from simulators.regime import PATCH_LIFE_DAYS
from simulators.weather import WeatherSource, weather_year, weather_year_of

MEAN_PER_100_M_WEEK = 0.0375
WINTER_RATIO = 2.5
CALIBRATION_YEARS = 6
STRENGTH_MAX = 2.2
"""Years with nothing but mild winters cannot be made to have the ratio: the response is not stretched beyond this."""
PATCH_EFFECT, PATCH_LIMIT = 0.2, 5
"""A cold patch younger than a year adds a fifth to its segment's hazard, up to twofold in all; the additional holes are
at patches. (The ×3 of the sources is for the patch's own place, not for 100 m around it.)"""
COLD_SHARE = 0.7
SATURATION, PEAK = 5.5, 10.0
"""No segment has more than 5.5 times the city's mean hazard in mean weather (0.21 a week per 100 m, 11 a year) and ten
times in any weather (0.38 a week, 5 in 90 days)."""
TREATMENT_RELIEF, PEAK_FLATTENING = 0.11, 0.1
"""What λ0 and the winter's strength are raised by, found by running worlds: treatments (`simulators.repairs`) and the
scatter of patches under the concave S take a tenth of all holes away, P a tenth of the winter's excess."""
SPIN_UP_DAYS = 120
"""No hole is open for longer, and repairs are counted over this period; patches, which last a year, are there from the
beginning (`Calibration.patches`)."""


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
    return WeatherResponse(log, effects.thaw * now.thaw_weakness)


def _antecedent_precipitation(liquid_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Antecedent precipitation index with k = 0.9 [mm]."""
    weights = 0.9 ** np.arange(90)
    result: NDArray[np.float64] = np.convolve(liquid_mm, weights)[: len(liquid_mm)]
    return result


@dataclass(frozen=True, slots=True)
class Calibration:
    """λ0 and the ceiling of S [per 100 m and week], the exponent on the weather response, and how many patches younger
    than a year each segment has on average."""

    base_rate: float
    ceiling: float
    strength: float
    patches: NDArray[np.float64]


def weather_factor(
    response: WeatherResponse, strength: float, rows: slice, condition: Condition, heavy_rank: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Weather response of every segment on some days of a year, shape (days, segments)."""
    factor = np.exp(strength * response.log_factor[rows])[:, condition.drainage, condition.exposure]
    thaw = 1.0 + strength * response.thaw[rows, None] * (0.5 + 1.5 * heavy_rank)
    result: NDArray[np.float64] = factor * thaw
    return result


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
        result: NDArray[np.float64] = (np.exp(strength * log) * (1 + strength * thaw[:, None] * load)) @ share
        return result

    low, high, goal = 0.0, STRENGTH_MAX, WINTER_RATIO * (1 + PEAK_FLATTENING)
    for _ in range(30):
        strength = (low + high) / 2
        mean = daily(strength)
        low, high = (strength, high) if mean[months <= 2].mean() / mean.mean() < goal else (low, strength)
    sampled = np.array([condition.multiplier(*month, treated=False) for month in _sample_months(epoch)])
    weather = _mean_weather(responses, strength, condition)
    solved = _solve_base_rate(sampled, weather, strength, condition, 1 + TREATMENT_RELIEF)
    for _ in range(3):
        raised = (1 + TREATMENT_RELIEF) / (1 - _lost_at_peak(solved, sampled, responses, condition))
        solved = _solve_base_rate(sampled, weather, strength, condition, raised)
    return solved


def _lost_at_peak(
    solved: Calibration, multiplier: NDArray[np.float64], responses: list[WeatherResponse], condition: Condition
) -> float:
    """Share of all holes that P takes away, from every fifth day."""
    heavy_rank = _usual_load(condition)
    patch_factor = _mean_patch_factor(solved.patches, condition)
    static = saturated(solved.base_rate * multiplier * patch_factor, solved.ceiling).mean(axis=0)
    before = after = 0.0
    for response in responses:
        rate = weather_factor(response, solved.strength, slice(None, None, 5), condition, heavy_rank) * static
        before += float((rate @ condition.length_m).sum())
        after += float((saturated(rate, PEAK * MEAN_PER_100_M_WEEK) @ condition.length_m).sum())
    return 1 - after / before


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


def patch_factor(condition: Condition, day: date, patches: NDArray[np.float64]) -> NDArray[np.float64]:
    """What cold patches younger than their life make of the hazard of their segment."""
    return 1.0 + PATCH_EFFECT * condition.patch_effect(day) * np.minimum(patches, PATCH_LIMIT)


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
    return total / days


def saturated(rate: NDArray[np.float64], ceiling: float) -> NDArray[np.float64]:
    """S: the rate itself where it is small, never above the ceiling.

    Examples
    --------
    >>> saturated(np.array([0.01, 0.1, 1.0]), 0.2).round(3).tolist()
    [0.01, 0.092, 0.2]
    """
    result: NDArray[np.float64] = ceiling * np.tanh(rate / ceiling)
    return result


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
    low, high = 0.0, 200.0 * target / float(np.average(multiplier.mean(axis=0) * weather, weights=length_m))
    patches = np.zeros_like(weather)
    for _ in range(25):
        base = (low + high) / 2
        rate = weather * saturated(base * multiplier, ceiling).mean(axis=0)  # per 100 m and week
        for _ in range(6):  # patches make holes and holes make patches: to the fixed point, segment by segment
            patches = COLD_SHARE * rate * 52.18 * length_m / 100
            factor = _mean_patch_factor(patches, condition)
            rate = weather * saturated(base * multiplier * factor, ceiling).mean(axis=0)
        low, high = (base, high) if float(np.average(rate, weights=length_m)) < target else (low, base)
    return Calibration((low + high) / 2, ceiling, strength, patches)


def _expected_min(mean: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """E[min(N, limit)] of a Poisson N: Σ P(N > k) for k below the limit."""
    term = np.exp(-mean)
    below, result = term.copy(), 1 - term
    for k in range(1, limit):
        term = term * mean / k
        below += term
        result += 1 - below
    return result


def poisson_count(mean: NDArray[np.float64], u: NDArray[np.float64], most: int) -> NDArray[np.int64]:
    """Poisson numbers by inversion of uniform ones, cut off at `most`.

    Examples
    --------
    >>> poisson_count(np.array([0.1, 0.1, 2.0]), np.array([0.5, 0.95, 0.9]), 3).tolist()
    [0, 1, 3]
    """
    return sum((u > pdtr(k, mean) for k in range(most)), start=np.zeros(len(mean), np.int64))


class Hazard:
    """λ, day by day. Calibrated in the world's climate, whatever its weather is."""

    def __init__(self, condition: Condition) -> None:
        self.condition, world = condition, condition.world
        usual = condition if world.weather == world.climate else Condition(world, world.climate)
        self.calibration = calibrate(usual)

    @lru_cache(maxsize=8)  # noqa: B019 - a hazard lives as long as its world
    def _month(self, year: int, month: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Weather response (days of the month, segments); λ0 · multiplier (segments,)."""
        begin = date(year, month, 1)
        after = date(year + month // 12, month % 12 + 1, 1)
        weather = weather_year_of(begin)
        rows = slice(year_offset_days(weather, begin), year_offset_days(weather, after))
        response, strength = weather_response(self.condition.weather, weather), self.calibration.strength
        factor = weather_factor(response, strength, rows, self.condition, self.condition.heavy_rank(year, month))
        return factor, self.calibration.base_rate * self.condition.multiplier(year, month)

    def expected_holes(self, day: date, patch_factor: NDArray[np.float64] | float = 1.0) -> NDArray[np.float64]:
        """Expected new holes of a day on each segment, shape (segments,); patches apart if no factor is given."""
        factor, static = self._month(day.year, day.month)
        rate = factor[day.day - 1] * saturated(static * patch_factor, self.calibration.ceiling)
        result: NDArray[np.float64] = saturated(rate, PEAK * MEAN_PER_100_M_WEEK) * self.condition.length_m / 700
        return result
