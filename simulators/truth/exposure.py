"""Expected holes of a month as a function of the static part of the hazard, for all segments of one kind at once.

The kinds are drainage, shade and, in steps, the load in a thaw; segments of one kind have the same weather response,
and what is left of a segment is one number. So a month of daily hazards of thousands of segments, each at dozens of
possible frailties, is one table and a look-up in it.
"""

from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.truth.calibration import Calibration
from simulators.truth.kernel import ALL_YEAR, MEAN_PER_100_M_WEEK, PEAK, saturated, weather_response
from simulators.weather.pavement import DRAINAGE, EXPOSURES, year_offset_days
from simulators.weather.weather import WeatherSource, weather_year_of

LOAD_STEPS = 16
_NODES = 32
Floats = NDArray[np.float64]


def kinds_of(drainage: NDArray[np.int64], exposure: NDArray[np.int64], heavy_rank: Floats) -> NDArray[np.int64]:
    """Number of each segment's kind."""
    load = np.round(heavy_rank * (LOAD_STEPS - 1)).astype(np.int64)
    result: NDArray[np.int64] = (drainage * len(EXPOSURES) + exposure) * LOAD_STEPS + load
    return result


class MonthExposure:
    """The weather response of the days of a calendar month, summed up over any of its days."""

    def __init__(self, calibration: Calibration, source: WeatherSource, year: int, month: int) -> None:
        begin, after = date(year, month, 1), date(year + month // 12, month % 12 + 1, 1)
        weather_year = weather_year_of(begin)
        response = weather_response(source, weather_year)
        rows = slice(year_offset_days(weather_year, begin), year_offset_days(weather_year, after))
        factor = np.exp(calibration.strength * response.log_factor[rows]).reshape(-1, len(DRAINAGE) * len(EXPOSURES))
        load = np.arange(LOAD_STEPS) / (LOAD_STEPS - 1)
        thaw = 1.0 + calibration.strength * response.thaw[rows, None] * (0.5 + 1.5 * load)
        self.begin = begin
        self.weather: Floats = ALL_YEAR + (factor[:, :, None] * thaw[:, None, :]).reshape(len(factor), -1)
        """Shape (days, kinds)."""
        self._ceiling = calibration.ceiling
        static = np.linspace(0.0, calibration.ceiling, _NODES)
        daily = saturated(self.weather[:, :, None] * static, PEAK * MEAN_PER_100_M_WEEK) / 7
        self._until = np.concatenate([np.zeros((1, *daily.shape[1:])), np.cumsum(daily, axis=0)])

    def expected(
        self, kind: NDArray[np.int64], first: NDArray[np.int64] | int, after: NDArray[np.int64] | int, static: Floats
    ) -> Floats:
        """Expected holes per 100 m of some segments.

        Parameters
        ----------
        kind : numpy.ndarray, shape (n,)
            Kinds of the segments.
        first, after : numpy.ndarray, shape (n,), or int
            First day of the month (0 …) and the one after the last.
        static : numpy.ndarray, shape (n, k)
            S(λ0 · multiplier · patches), per 100 m and week; at most the ceiling.

        Returns
        -------
        numpy.ndarray, shape (n, k)
        """
        table = self._until[after, kind] - self._until[first, kind]
        at = static * ((_NODES - 1) / self._ceiling)
        node = np.minimum(at.astype(np.intp), _NODES - 2)
        low, high = (np.take_along_axis(table, node + step, axis=1) for step in (0, 1))
        result: Floats = low + (high - low) * (at - node)
        return result

    def daily(self, kind: NDArray[np.int64], day: int, static: Floats) -> Floats:
        """Expected holes per 100 m of some segments on one day of the month, shape (n, k)."""
        rate = saturated(self.weather[day, kind][:, None] * static, PEAK * MEAN_PER_100_M_WEEK)
        result: Floats = rate / 7
        return result
