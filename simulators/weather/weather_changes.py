"""What a scenario changes in the weather, day by day."""

from dataclasses import dataclass
from datetime import date, timedelta
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulators.instants import DAY_US
from simulators.scenario import WeatherChange
from simulators.spans import spans_of

_BLEND_DAYS = 7.0


@dataclass(frozen=True, slots=True)
class DailyChanges:
    """Changes of n days; without any the shifts are 0 and the factors 1."""

    air_temp_shift_c: NDArray[np.float64]
    air_temp_spread_factor: NDArray[np.float64]
    rain_factor: NDArray[np.float64]
    wet_days_factor: NDArray[np.float64]
    cloud_shift: NDArray[np.float64]
    wind_factor: NDArray[np.float64]


def daily_changes(
    changes: tuple[WeatherChange, ...], days: NDArray[np.int64], today: date | None, timezone: str
) -> DailyChanges:
    """All changes together: shifts add up, factors are multiplied.

    A change comes in over the first week of its window and goes over the last, or over half of a shorter window;
    outside the window the weather is what it would have been.

    Parameters
    ----------
    days : numpy.ndarray, shape (n,)
        UTC days since 1970, consecutive.
    today : date, optional
        Day to which the windows refer; needed if there are changes.
    timezone : str
        Zone of the windows.
    """
    shift, cloud = np.zeros(len(days)), np.zeros(len(days))
    spread, rain, wet, wind = np.ones((4, len(days)))
    for change in changes:
        assert today is not None
        weight = change_weight(change, days, today, timezone)
        shift += weight * change.air_temp_shift_c
        cloud += weight * change.cloud_shift
        for factors, factor in (
            (spread, change.air_temp_spread_factor),
            (rain, change.rain_factor),
            (wet, change.wet_days_factor),
            (wind, change.wind_factor),
        ):
            factors *= 1 + weight * (factor - 1)
    return DailyChanges(shift, spread, rain, wet, cloud, wind)


def change_weight(change: WeatherChange, days: NDArray[np.int64], today: date, timezone: str) -> NDArray[np.float64]:
    """How far a change holds on UTC days (since 1970, consecutive): 0 outside its windows, 1 well inside."""
    first, last = (date(1970, 1, 1) + timedelta(days=int(day)) for day in (days[0], days[-1]))
    weight = np.zeros(len(days))
    for span in spans_of(change, today, ZoneInfo(timezone), first, last):
        begin, end = (bound / DAY_US for bound in span.bounds_us)
        ramp = min(_BLEND_DAYS, (end - begin) / 2)
        middle = days + 0.5
        weight = np.maximum(weight, np.clip(np.minimum(middle - begin, end - middle) / ramp, 0.0, 1.0))
    return weight
