"""The hidden hazard of a new pothole, and the two numbers of Essen that it is tied to.

λ of a segment and day = λ0 · multiplier (condition) · weather response · patches · length / 100 m, where λ0 and the
strength of the weather response are solved so that, over the weather of the world's first years, the mean is 0.0375
per 100 m and week and January and February have 2.5 times as much (Essen: 120 repairs a working day, 300 in winter).
"""

from dataclasses import dataclass
from datetime import date, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import pdtr

from simulators.condition import Condition
from simulators.pavement import DRAINAGE, EXPOSURES, pavement_year, year_offset_days
from simulators.randomness import Streams
from simulators.weather import weather_year, weather_year_of

MEAN_PER_100_M_WEEK = 0.0375
WINTER_RATIO = 2.5
CALIBRATION_YEARS = 6
PATCH_EFFECT, PATCH_LIMIT = 0.2, 5
"""A cold patch younger than a year adds a fifth to its segment's hazard, up to twofold in all; the additional holes are
at patches. (The ×3 of the sources is for the patch's own place, not for 100 m around it.)"""
COLD_SHARE = 0.7
SPIN_UP_DAYS = 400


@dataclass(frozen=True, slots=True)
class WeatherResponse:
    """Of one weather year: (days, drainage, exposure), before the strength exponent; `thaw` (days,) is weakness."""

    log_factor: NDArray[np.float64]
    thaw: NDArray[np.float64]


@lru_cache(maxsize=24)
def weather_response(streams: Streams, year: int) -> WeatherResponse:
    """How a year's weather acts: freeze-thaw cycles where the base is wet, rain soaking in, cold, thaw weakness."""
    before, now = pavement_year(streams, year - 1), pavement_year(streams, year)
    lead = 30
    cycles = np.concatenate([before.freeze_thaw_cycles[-lead:], now.freeze_thaw_cycles]).astype(float)
    saturation = np.concatenate([before.saturation[-lead:], now.saturation])
    wet = np.clip((saturation - 0.35) / 0.35, 0.0, 1.0)
    effect = np.exp(0.15 * streams.normal("truth/effect-weather", np.arange(3)))
    # ×1.1 for each cycle of the last 14 days on a wet section, ×1.0 on a dry one.
    per_day = cycles[:, None, :] * wet[:, :, None]
    running = np.cumsum(np.concatenate([np.zeros((1, *per_day.shape[1:])), per_day]), axis=0)
    recent = (running[14:] - running[:-14])[lead - 13 :]
    liquid = np.concatenate([weather_year(streams, y).melt_mm.reshape(-1, 24).sum(axis=1) for y in (year - 1, year)])
    index = _antecedent_precipitation(liquid)[-len(now.thaw_weakness) :]
    mean_temp = np.concatenate(
        [weather_year(streams, y).air_temp_c.reshape(-1, 24).mean(axis=1) for y in (year - 1, year)]
    )
    fortnight = np.convolve(mean_temp, np.full(14, 1 / 14))[: len(mean_temp)][-len(now.thaw_weakness) :]
    log = effect[0] * np.log(1.1) * np.minimum(recent, 8.0)
    log += 0.06 * (10.0 - fortnight)[:, None, None]  # cold binder is brittle, long nights keep the surface wet
    log += effect[1] * 0.30 * np.clip(index / 18.0 - 1.0, -1.0, 2.5)[:, None, None]
    log += effect[2] * 0.25 * (wet[lead:, :, None] - 0.5)
    return WeatherResponse(log, now.thaw_weakness)


def _antecedent_precipitation(liquid_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Antecedent precipitation index with k = 0.9 [mm]."""
    weights = 0.9 ** np.arange(90)
    result: NDArray[np.float64] = np.convolve(liquid_mm, weights)[: len(liquid_mm)]
    return result


@dataclass(frozen=True, slots=True)
class Calibration:
    """λ0 [per 100 m and week] and the exponent on the weather response."""

    base_rate: float
    strength: float


def weather_factor(
    response: WeatherResponse, strength: float, rows: slice, condition: Condition
) -> NDArray[np.float64]:
    """Weather response of every segment on some days of a year, shape (days, segments)."""
    factor = np.exp(strength * response.log_factor[rows])[:, condition.drainage, condition.exposure]
    thaw = 1.0 + strength * response.thaw[rows, None] * (0.5 + 1.5 * condition.heavy_rank[None, :])
    result: NDArray[np.float64] = factor * thaw
    return result


def calibrate(condition: Condition) -> Calibration:
    """Solve strength, then λ0, for the weather years around the world's begin; see the module's text."""
    streams, epoch = condition.world.streams, condition.world.epoch
    first = weather_year_of(epoch)
    years = range(first, first + CALIBRATION_YEARS)
    weight = condition.multiplier(epoch.year + 2, 6) * condition.length_m
    groups = np.ravel_multi_index((condition.drainage, condition.exposure), (len(DRAINAGE), len(EXPOSURES)))
    share = np.bincount(groups, weight, len(DRAINAGE) * len(EXPOSURES)) / weight.sum()
    load = np.bincount(groups, weight * (0.5 + 1.5 * condition.heavy_rank), len(share)) / np.maximum(
        np.bincount(groups, weight, len(share)), 1e-12
    )
    responses = [weather_response(streams, year) for year in years]
    log = np.concatenate([r.log_factor.reshape(len(r.thaw), -1) for r in responses])
    thaw = np.concatenate([r.thaw for r in responses])
    months = np.concatenate([_months(year, len(r.thaw)) for year, r in zip(years, responses, strict=True)])

    def daily(strength: float) -> NDArray[np.float64]:
        result: NDArray[np.float64] = (np.exp(strength * log) * (1 + strength * thaw[:, None] * load)) @ share
        return result

    low, high = 0.0, 6.0
    for _ in range(50):
        strength = (low + high) / 2
        mean = daily(strength)
        low, high = (strength, high) if mean[months <= 2].mean() / mean.mean() < WINTER_RATIO else (low, strength)
    per_segment = np.zeros(len(weight))
    for year_row in _sample_months(epoch):
        per_segment += condition.multiplier(*year_row) / len(_sample_months(epoch))
    relative = per_segment * _mean_weather(responses, strength, condition)
    return Calibration(_solve_base_rate(relative, condition.length_m), strength)


def _sample_months(epoch: date) -> list[tuple[int, int]]:
    return [(epoch.year + year, month) for year in range(CALIBRATION_YEARS) for month in (1, 7)]


def _months(year: int, days: int) -> NDArray[np.int64]:
    dates = np.datetime64(f"{year}-07-01") + np.arange(days)
    result: NDArray[np.int64] = dates.astype("datetime64[M]").astype(np.int64) % 12 + 1
    return result


def _mean_weather(responses: list[WeatherResponse], strength: float, condition: Condition) -> NDArray[np.float64]:
    total, days = np.zeros(len(condition.length_m)), 0
    for response in responses:
        factor = np.exp(strength * response.log_factor)
        plain = factor.sum(axis=0)[condition.drainage, condition.exposure]
        thawing = (factor * response.thaw[:, None, None]).sum(axis=0)[condition.drainage, condition.exposure]
        total += plain + strength * thawing * (0.5 + 1.5 * condition.heavy_rank)
        days += len(response.thaw)
    return total / days


def _solve_base_rate(relative: NDArray[np.float64], length_m: NDArray[np.float64]) -> float:
    """λ0 so that the mean hazard per 100 m, patches included, is Essen's."""
    target = MEAN_PER_100_M_WEEK
    low, high = 0.0, 50.0 * target / float(np.average(relative, weights=length_m))
    for _ in range(60):
        base = (low + high) / 2
        plain = base * relative  # per 100 m and week
        rate = plain
        for _ in range(12):  # patches make holes and holes make patches: to the fixed point, segment by segment
            patches = COLD_SHARE * rate * 52.18 * length_m / 100
            rate = plain * (1 + PATCH_EFFECT * _expected_min(patches, PATCH_LIMIT))
        low, high = (base, high) if float(np.average(rate, weights=length_m)) < target else (low, base)
    return (low + high) / 2


def _expected_min(mean: NDArray[np.float64], limit: int) -> NDArray[np.float64]:
    """E[min(N, limit)] of a Poisson N: Σ P(N > k) for k below the limit."""
    result: NDArray[np.float64] = sum((1 - pdtr(k, mean) for k in range(limit)), start=np.zeros_like(mean))
    return result


class Hazard:
    """λ without patches, day by day."""

    def __init__(self, condition: Condition) -> None:
        self.condition = condition
        self.calibration = calibrate(condition)

    @lru_cache(maxsize=8)  # noqa: B019 - a hazard lives as long as its world
    def _month(self, year: int, month: int) -> NDArray[np.float64]:
        """(days of the month, segments): expected new holes per segment and day, patches apart."""
        streams, begin = self.condition.world.streams, date(year, month, 1)
        after = date(year + month // 12, month % 12 + 1, 1)
        weather = weather_year_of(begin)
        rows = slice(year_offset_days(weather, begin), year_offset_days(weather, after))
        factor = weather_factor(weather_response(streams, weather), self.calibration.strength, rows, self.condition)
        static = self.condition.multiplier(year, month) * self.condition.length_m / 100
        result: NDArray[np.float64] = self.calibration.base_rate / 7 * factor * static
        return result

    def expected_holes(self, day: date) -> NDArray[np.float64]:
        """Expected new holes of a day on each segment, patches apart, shape (segments,)."""
        result: NDArray[np.float64] = self._month(day.year, day.month)[day.day - 1]
        return result


def days_between(first: date, last: date) -> list[date]:
    """The days from first to before last."""
    return [first + timedelta(days=i) for i in range((last - first).days)]
