"""How far forecasts of the weather are off, by lead time."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.weather.forecasts import LEADS_H, STEPS_H, Forecasts
from simulators.weather.weather import hourly_weather
from simulators.world import World


@dataclass(frozen=True, slots=True)
class ForecastSkill:
    """n lead times; NaN where nothing was forecast."""

    lead_days: NDArray[np.float64]
    temp_rms_c: NDArray[np.float64]
    temp_bias_c: NDArray[np.float64]
    rain_correlation: NDArray[np.float64]  # of the step's amount
    climate_rms_c: float
    """Error of a forecast that says the normal, always."""


def gather_skill(world: World, start: datetime, end: datetime) -> ForecastSkill:
    """Forecasts issued in a period against what came."""
    forecasts = Forecasts(world)
    issued = list(forecasts.issued(start, end))
    longest = timedelta(hours=int(LEADS_H[-1]))
    weather = hourly_weather(world.weather, start - timedelta(days=1), end + longest)
    begin_h = int(weather.ends_at[0].astype("datetime64[h]").astype(np.int64))
    valid_h = np.array([round(f.valid_at.timestamp() / 3600) for f in issued])
    lead_h = valid_h - np.array([round(f.issued_at.timestamp() / 3600) for f in issued])
    row = valid_h - begin_h
    error = np.array([f.air_temp_c for f in issued], float) - weather.air_temp_c[row]
    until = np.concatenate([[0.0], np.cumsum(weather.rain_mm)])
    step = STEPS_H[np.searchsorted(LEADS_H, lead_h)]
    fallen, told = until[row + 1] - until[row + 1 - step], np.array([f.rain_mm for f in issued], float) * step
    groups = [lead_h == lead for lead in LEADS_H]
    normal = weather.air_temp_c - forecasts.climatology.temp_c(np.arange(len(weather.air_temp_c)) + begin_h - 1)
    return ForecastSkill(
        lead_days=LEADS_H / 24,
        temp_rms_c=np.array([float(np.sqrt(np.mean(error[group] ** 2))) for group in groups]),
        temp_bias_c=np.array([float(np.mean(error[group])) for group in groups]),
        rain_correlation=np.array([_correlation(fallen[group], told[group]) for group in groups]),
        climate_rms_c=float(np.sqrt(np.mean(normal**2))),
    )


def _correlation(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if one.std() > 0 and other.std() > 0 else 0.0
