"""Weather and pavement of the report's period, by day and by month."""

from dataclasses import dataclass
from datetime import UTC, date, datetime

import numpy as np
from numpy.typing import NDArray

from simulators.weather.pavement import pavement_year, year_offset_days
from simulators.weather.weather import WeatherSource, hourly_weather, weather_year, weather_year_of
from simulators.world import World

COMPARED_YEARS = 20
"""Years of the unchanged climate that make the bands."""


@dataclass(frozen=True, slots=True)
class Months:
    """n calendar months."""

    month: NDArray[np.int64]  # 1 to 12
    air_temp_c: NDArray[np.float64]
    rain_mm: NDArray[np.float64]
    frost_days: NDArray[np.float64]
    ice_days: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Climate:
    """What the period's weather was (days are UTC)."""

    days: NDArray[np.datetime64]  # (n,) datetime64[D]
    air_min_c: NDArray[np.float64]
    air_mean_c: NDArray[np.float64]
    air_max_c: NDArray[np.float64]
    rain_mm: NDArray[np.float64]
    snow_depth_cm: NDArray[np.float64]
    surface_min_c: NDArray[np.float64]  # of the pavement under an open sky
    surface_max_c: NDArray[np.float64]
    freeze_thaw_cycles: NDArray[np.int64]
    thaw_weakness: NDArray[np.float64]
    saturation: NDArray[np.float64]  # (n, 3) by drainage
    months: Months
    usual: Months  # of the unchanged climate: (years × 12), all years one after the other

    def usual_quantiles(self, name: str, probabilities: tuple[float, ...]) -> NDArray[np.float64]:
        """Quantiles between years for each of `months`, shape (probabilities, n)."""
        values = getattr(self.usual, name)
        columns = [np.quantile(values[self.usual.month == month], probabilities) for month in self.months.month]
        return np.array(columns).T


def gather_climate(world: World, first: date, after: date) -> Climate:
    """Weather of the days from `first` to before `after`."""
    midnight = [datetime(day.year, day.month, day.day, tzinfo=UTC) for day in (first, after)]
    weather = hourly_weather(world.weather, *midnight)
    count = (after - first).days
    air, rain = weather.air_temp_c.reshape(count, 24), weather.rain_mm.reshape(count, 24).sum(axis=1)
    days = np.datetime64(first.isoformat(), "D") + np.arange(count)
    pavement = _pavement_days(world.weather, first, after)
    return Climate(
        days=days,
        air_min_c=air.min(axis=1),
        air_mean_c=air.mean(axis=1),
        air_max_c=air.max(axis=1),
        rain_mm=rain,
        snow_depth_cm=weather.snow_depth_cm.reshape(count, 24).max(axis=1),
        months=_months(days, air, rain),
        usual=_usual(world.climate, first),
        surface_min_c=pavement["surface_min_c"],
        surface_max_c=pavement["surface_max_c"],
        freeze_thaw_cycles=pavement["freeze_thaw_cycles"].astype(np.int64),
        thaw_weakness=pavement["thaw_weakness"],
        saturation=pavement["saturation"],
    )


def _pavement_days(source: WeatherSource, first: date, after: date) -> dict[str, NDArray[np.float64]]:
    parts: dict[str, list[NDArray[np.float64]]] = {}
    day = first
    while day < after:
        year = weather_year_of(day)
        until = min(after, date(year + 1, 7, 1))
        rows = slice(year_offset_days(year, day), year_offset_days(year, until))
        states = pavement_year(source, year)
        surface = states.surface_temp_c[:, 0].reshape(-1, 24)[rows]
        found = {
            "surface_min_c": surface.min(axis=1).astype(float),
            "surface_max_c": surface.max(axis=1).astype(float),
            "freeze_thaw_cycles": states.freeze_thaw_cycles[rows, 0].astype(float),
            "thaw_weakness": states.thaw_weakness[rows],
            "saturation": states.saturation[rows],
        }
        for name, values in found.items():
            parts.setdefault(name, []).append(values)
        day = until
    return {name: np.concatenate(values) for name, values in parts.items()}


def _months(days: NDArray[np.datetime64], air: NDArray[np.float64], rain: NDArray[np.float64]) -> Months:
    """Whole months of consecutive days; a part of a month only where there is no whole one."""
    number = days.astype("datetime64[M]")
    names, index, counts = np.unique(number, return_inverse=True, return_counts=True)
    length = ((names + 1).astype("datetime64[D]") - names.astype("datetime64[D]")).astype(np.int64)
    whole = counts == length if (counts == length).any() else counts > 0

    def sums(values: NDArray[np.generic]) -> NDArray[np.float64]:
        result: NDArray[np.float64] = np.bincount(index, values.astype(float), minlength=len(names))[whole].astype(
            float
        )
        return result

    return Months(
        month=names[whole].astype(np.int64) % 12 + 1,
        air_temp_c=sums(air.mean(axis=1)) / counts[whole],
        rain_mm=sums(rain),
        frost_days=sums(air.min(axis=1) < 0),
        ice_days=sums(air.max(axis=1) < 0),
    )


def _usual(source: WeatherSource, first: date) -> Months:
    """Months of some years of the climate, the same for every scenario of a world."""
    years = []
    for year in range(weather_year_of(first) - COMPARED_YEARS // 2, weather_year_of(first) + COMPARED_YEARS // 2):
        weather = weather_year(source, year)
        air = weather.air_temp_c.reshape(-1, 24)
        days = np.datetime64(f"{year}-07-01", "D") + np.arange(len(air))
        years.append(_months(days, air, weather.rain_mm.reshape(-1, 24).sum(axis=1)))
    return Months(*(np.concatenate([getattr(year, name) for year in years]) for name in Months.__slots__))
