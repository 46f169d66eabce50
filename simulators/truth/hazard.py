"""The hidden hazard of a new pothole, day by day (`truth.kernel`), tied to Essen (`truth.calibration`)."""

from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.truth.calibration import calibrate
from simulators.truth.condition import Condition
from simulators.truth.kernel import MEAN_PER_100_M_WEEK, PEAK, saturated, weather_factor, weather_response
from simulators.weather.pavement import year_offset_days
from simulators.weather.weather import weather_year_of

SPIN_UP_DAYS = 120
"""No hole is open for longer, and repairs are counted over this period; patches, which last a year, are there from the
beginning (`Calibration.patches`)."""


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
