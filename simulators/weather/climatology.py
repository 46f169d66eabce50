"""What is normal at a place, from twenty years of its weather: temperature by day and hour, and amounts of rain."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

from simulators.weather.sky import day_of_year
from simulators.weather.weather import WeatherSource, fresh_weather_year, weather_year_of

YEARS = 20
_STEPS_H = (3, 6)
_RANKS = (np.arange(800) + 0.5) / 800
VIEWS = np.linspace(-4.5, 4.5, 73)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False)
class Climatology:
    """Normals; hours are those since 1970 (UTC) at their begin."""

    temp_waves_c: Floats  # (5, 5): waves of the year by waves of the day
    variance_waves_c2: Floats  # (5,)
    rain_mm_per_h: Floats  # (12,): mean of each month
    rain_by_rank: dict[int, Floats]
    """Amount of steps of 3 and 6 hours as a multiple of their month's mean, at each of 800 ranks."""
    wet_share: dict[int, float]

    def temp_c(self, hour: Ints) -> Floats:
        """Normal temperature. [°C]"""
        result: Floats = np.einsum(
            "...a,ab,...b->...", _waves(day_of_year(hour // 24) / 365.25), self.temp_waves_c, _waves(hour % 24 / 24)
        )
        return result

    def spread_c(self, hour: Ints) -> Floats:
        """Standard deviation of temperature about its normal. [°C]"""
        variance: Floats = _waves(day_of_year(hour // 24) / 365.25) @ self.variance_waves_c2
        return np.sqrt(np.maximum(variance, 1.0))

    def rain_rank(self, amount_mm: Floats, hour: Ints, step_h: int, chance: Floats) -> Floats:
        """Climatological rank of amounts of steps, 0 to 1; dry ones get one of theirs by `chance` (0 to 1)."""
        relative = amount_mm / self.mean_rain_mm(hour, step_h)
        table, dry = self.rain_by_rank[step_h], 1 - self.wet_share[step_h]
        wet = np.flatnonzero(table > 0)
        rank = np.interp(relative, table[wet], _RANKS[wet])
        return np.where(amount_mm > 0, np.maximum(rank, dry), dry * chance)

    def expected_rain(self, step_h: int, blur: float) -> Floats:
        """Mean amount of a step, as a multiple of its month's mean, that can be expected after a blurred view of its
        rank: at each of `VIEWS`, normal numbers whose correlation with the amount's is √(1 - blur).

        `blur` is 0 (the amount is known) to 1 (nothing is).
        """
        node = np.sqrt(1 - blur) * VIEWS[:, None] + np.sqrt(blur) * ndtri(_RANKS)
        result: Floats = np.interp(ndtr(node), _RANKS, self.rain_by_rank[step_h]).mean(axis=1)
        return result

    def mean_rain_mm(self, hour: Ints, step_h: int) -> Floats:
        """Normal amount of steps. [mm]"""
        month = (hour // 24).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
        result: Floats = self.rain_mm_per_h[month] * step_h
        return result


def climatology_of(source: WeatherSource, before_year: int) -> Climatology:
    """Normals of the twenty weather years before one, without what a scenario changes; of measured weather, those of
    its last whole weather years, up to twenty, if there are five or more.

    Parameters
    ----------
    before_year : int
        The first weather year of the world.
    """
    file = source.file
    if file is not None:
        first, last = weather_year_of(file.first) + 1, weather_year_of(file.last)
        if last - first >= 5:
            return _climatology(WeatherSource(source.streams, file=file), max(first, last - YEARS), last)
    climate = WeatherSource(source.streams, latitude_deg=source.latitude_deg, longitude_deg=source.longitude_deg)
    return _climatology(climate, before_year - YEARS, before_year)


@lru_cache(maxsize=4)
def _climatology(source: WeatherSource, first_year: int, stop_year: int) -> Climatology:
    years = [fresh_weather_year(source, year) for year in range(first_year, stop_year)]
    temp, rain = (np.concatenate([getattr(y, n) for y in years]) for n in ("air_temp_c", "rain_mm"))
    hour = int(years[0].ends_at[0].astype("datetime64[h]").astype(np.int64)) - 1 + np.arange(len(temp))
    place = day_of_year(hour // 24) * 24 + hour % 24
    count = np.bincount(place, minlength=366 * 24)
    mean = np.bincount(place, temp, 366 * 24) / np.maximum(count, 1)
    day, of_day = np.divmod(np.arange(366 * 24), 24)
    design = np.einsum("na,nb->nab", _waves(day / 365.25), _waves(of_day / 24)).reshape(len(mean), -1)
    some = count > 0
    waves: Floats = np.asarray(np.linalg.lstsq(design[some], mean[some], rcond=None)[0], np.float64).reshape(5, 5)
    off = temp - np.einsum("ab,nab->n", waves, design.reshape(-1, 5, 5))[place]
    square = np.bincount(place // 24, off**2, 366) / np.maximum(np.bincount(place // 24, minlength=366), 1)
    days = np.flatnonzero(square > 0)
    variance = np.asarray(np.linalg.lstsq(_waves(days / 365.25), square[days], rcond=None)[0], np.float64)
    month = (hour // 24).astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    per_hour = np.maximum(np.bincount(month, rain, 12) / np.bincount(month, minlength=12), 1e-3)
    by_rank, wet = {}, {}
    for step in _STEPS_H:
        relative = (rain.reshape(-1, step).sum(axis=1)) / (per_hour[month[::step]] * step)
        wet[step] = max(float((relative > 1e-9).mean()), 1 / len(_RANKS))
        # Means within equal parts of the sorted amounts, so that the mean of all is kept.
        edges = np.linspace(0, len(relative), len(_RANKS) + 1).round().astype(np.intp)
        total = np.concatenate([[0.0], np.cumsum(np.sort(relative))])
        table = np.diff(total[edges]) / np.diff(edges)
        by_rank[step] = np.where(table > 1e-9, table, 0.0)
    return Climatology(waves, variance, per_hour, by_rank, wet)


def _waves(turn: Floats) -> Floats:
    """1 and the waves of once and twice a turn, along a new last axis."""
    phase = 2 * np.pi * np.asarray(turn)
    return np.stack([np.ones_like(phase), np.cos(phase), np.sin(phase), np.cos(2 * phase), np.sin(2 * phase)], axis=-1)
