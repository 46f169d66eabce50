"""The weather that is coming, as it was forecast: the newest issue that was known, never what came."""

from datetime import tzinfo

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from models.days import local_day
from models.inputs import Floats, Instant, WeatherForecasts

DAYS = 7
"""Local days after today that are looked at; beyond, the season stands for the climate. [d] Today itself is in no
window: how much of it is over depends on the hour, and a model trained at one hour would misread another."""
STALE_HOURS = 36
"""An older issue is no forecast any more. [h]"""
ERROR_C_AFTER_A_DAY, ERROR_C_PER_DAY = 1.0, 0.4
"""Error of a forecast temperature (1 σ) and what each further day adds; of the usual size, not measured. [°C]"""

_UNKNOWN = {"forecast_freeze_thaw_7d": np.nan, "forecast_mean_temp_7d_c": np.nan, "forecast_rain_7d_mm": np.nan}


class ForecastFeatures:
    """Features of forecasts for any number of times; rows are sorted once."""

    def __init__(self, forecasts: WeatherForecasts, timezone: tzinfo) -> None:
        order = np.lexsort((forecasts.valid_at, forecasts.issued_at))
        self._rows, self._timezone = forecasts.take(order), timezone
        self._issues, self._start = np.unique(self._rows.issued_at, return_index=True)

    def at(self, as_of: Instant) -> dict[str, float]:
        """Expected freeze–thaw days, mean temperature [°C] and rain [mm] of the coming days; NaN without a forecast."""
        newest = int(np.searchsorted(self._issues, as_of, side="right")) - 1
        while newest >= 0 and as_of - self._issues[newest] <= np.timedelta64(STALE_HOURS, "h"):
            end = self._start[newest + 1] if newest + 1 < self._issues.size else len(self._rows)
            issue = self._rows.take(np.arange(self._start[newest], end))
            known = issue.recorded_by(as_of)  # an issue that had not arrived yet is none
            if len(known):
                return _features(known, as_of, self._timezone)
            newest -= 1
        return dict(_UNKNOWN)


def _features(issue: WeatherForecasts, as_of: Instant, timezone: tzinfo) -> dict[str, float]:
    day = local_day(issue.valid_at, timezone)
    today = local_day(np.array([as_of]), timezone)[0]
    coming = [day == today + number for number in range(1, DAYS + 1)]
    temps = [issue.air_temp_c[rows & np.isfinite(issue.air_temp_c)] for rows in coming]
    if any(temp.size == 0 for temp in temps):
        return dict(_UNKNOWN)
    error_c = ERROR_C_AFTER_A_DAY + ERROR_C_PER_DAY * np.arange(DAYS, dtype=np.float64)
    lowest, highest = (np.array([f(temp) for temp in temps], np.float64) for f in (np.min, np.max))
    return {
        "forecast_freeze_thaw_7d": float(np.sum(freeze_thaw_chance(lowest, highest, error_c))),
        "forecast_mean_temp_7d_c": float(np.mean([temp.mean() for temp in temps])),
        "forecast_rain_7d_mm": _rain_mm(issue, np.logical_or.reduce(coming)),
    }


def freeze_thaw_chance(lowest_c: Floats, highest_c: Floats, error_c: Floats) -> Floats:
    """Chance that a day freezes and thaws, for forecast extremes (n,) with an error of so much (1 σ). 0 to 1.

    Examples
    --------
    >>> freeze_thaw_chance(np.array([-4.0, 0.0]), np.array([4.0, 8.0]), np.array([1.0, 1.0])).round(2)
    array([1. , 0.5])
    """
    return np.asarray(ndtr(-lowest_c / error_c) * ndtr(highest_c / error_c))


def _rain_mm(issue: WeatherForecasts, coming: NDArray[np.bool_]) -> float:
    """Sum over the coming days, mean of the stations; `rain_mm` is an hourly mean since the valid time before."""
    sums = []
    for station in np.unique(issue.station):
        rows = np.flatnonzero(issue.station == station)
        valid = issue.valid_at[rows]
        hours = np.diff(valid, prepend=issue.issued_at[rows[0]]) / np.timedelta64(1, "h")
        used = coming[rows] & np.isfinite(issue.rain_mm[rows])
        if used.any():
            sums.append(float(np.sum((issue.rain_mm[rows] * hours)[used])))
    return float(np.mean(sums)) if sums else float("nan")
