"""Hourly weather of a world: generated (`weather.climate`) and changed by a scenario, or measured (from a file).

Either can be continued anew after a day.

Kept in weather years (1 July to 30 June, so that a winter is whole). The same hour is the same in every window.
"""

from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import SimulationError
from simulators.randomness import Streams
from simulators.scenario import WeatherChange
from simulators.weather.climate import Noise, climate_hours, days_since_1970
from simulators.weather.measured_weather import with_measured
from simulators.weather.sky import LATITUDE_DEG, LONGITUDE_DEG
from simulators.weather.weather_changes import change_weight, daily_changes
from simulators.weather.weather_files import WeatherFile

STATION = "sim-wetter-1"


@dataclass(frozen=True, slots=True)
class HourlyWeather:
    """n hours; hour i ends at `ends_at[i]`. Amounts are of the hour, the rest its mean."""

    ends_at: NDArray[np.datetime64]  # UTC, datetime64[us]
    air_temp_c: NDArray[np.float64]
    humidity_pct: NDArray[np.float64]
    wind_speed_mps: NDArray[np.float64]
    rain_mm: NDArray[np.float64]  # water equivalent, also of snow
    radiation_w_per_m2: NDArray[np.float64]
    cloud_cover: NDArray[np.float64]  # 0 to 1
    snow_depth_cm: NDArray[np.float64]
    melt_mm: NDArray[np.float64]  # liquid water that reaches the road: rain as such, and melted snow
    pressure_hpa: NDArray[np.float64]

    def window(self, first: int, last: int) -> "HourlyWeather":
        """Hours first to last - 1."""
        return HourlyWeather(*(getattr(self, name)[first:last] for name in self.__slots__))

    @classmethod
    def joined(cls, parts: "list[HourlyWeather]") -> "HourlyWeather":
        """Hours that follow each other."""
        if len(parts) == 1:
            return parts[0]
        return cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))


def weather_year_of(day: date) -> int:
    """The weather year that a day belongs to, named by the calendar year in which it begins.

    Examples
    --------
    >>> weather_year_of(date(2024, 6, 30)), weather_year_of(date(2024, 7, 1))
    (2023, 2024)
    """
    return day.year if day.month >= 7 else day.year - 1


@dataclass(frozen=True, slots=True)
class WeatherSource:
    """Where the weather of a world comes from. Equal sources give equal weather, so that years can be kept by source.

    `changes` are those of a scenario, with the day and the zone that their windows refer to. `branches` are days (since
    1970) after which the weather goes on with fresh noise, each with the number of the draw, in order. With a `file`
    the weather of its days is the measured one. Before and after them years are filled up with generated weather, so
    that soil and snow have a past and plans a future; `hourly_weather` gives nothing after its end.
    """

    streams: Streams
    changes: tuple[WeatherChange, ...] = ()
    today: date | None = None
    timezone: str = "Europe/Berlin"
    latitude_deg: float = LATITUDE_DEG
    longitude_deg: float = LONGITUDE_DEG
    branches: tuple[tuple[int, int], ...] = ()
    file: WeatherFile | None = None

    def continued(self, after: date, draw: int) -> "WeatherSource":
        """The same weather up to the end of a UTC day, and from then on weather that continues it with fresh noise.

        Spells go on as far as their memory reaches: the moving averages keep the noise of the days up to `after`. Each
        pair of `after` and `draw` has a noise of its own; changes of a scenario hold as before. Measured weather goes
        on as generated weather, whose temperature leads over within days.
        """
        day = days_since_1970(after)
        return replace(self, branches=(*(branch for branch in self.branches if branch[0] < day), (day, draw)))

    def within(self, first: date, last: date) -> "WeatherSource":
        """The source reduced to what matters for the UTC days `first` to `last` of weather years: sources that differ
        only before or after have the same one."""
        end = days_since_1970(last)
        branches = tuple(branch for branch in self.branches if branch[0] < end)
        if not self.changes:
            return self if branches == self.branches else replace(self, branches=branches)
        assert self.today is not None
        days = np.arange(days_since_1970(first) - 1, end + 1)
        if not any(change_weight(change, days, self.today, self.timezone).any() for change in self.changes):
            return replace(self, branches=branches, changes=(), today=None)
        return replace(self, branches=branches)

    def require(self, end: datetime) -> None:
        """Raise SimulationError, which names the file's period, if measured weather ends before `end` (aware)."""
        if self.file is not None and not self.branches and end > self.file.end:
            needed = end.astimezone(UTC)
            raise SimulationError(
                f"Weather: {self.file.period} (UTC), got a need for it until {needed:%Y-%m-%d %H:%M}."
            )


def hourly_weather(source: WeatherSource, start: datetime, end: datetime) -> HourlyWeather:
    """Weather of the hours that end in (start, end]; both aware. The same hour is the same in every window.

    Raises SimulationError if the weather is measured and its file ends before.
    """
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    first_year, last_year = weather_year_of(start.date()), weather_year_of(end.date())
    source.require(end)
    years = [weather_year(source, year) for year in range(first_year, last_year + 1)]
    joined = HourlyWeather.joined(years)
    window = [np.datetime64(t.replace(tzinfo=None), "us") for t in (start, end)]
    first, last = np.searchsorted(joined.ends_at, window, side="right")
    return joined.window(int(first), int(last))


def weather_year(source: WeatherSource, year: int) -> HourlyWeather:
    """All hours of the weather year that begins on 1 July of `year` (hours ending after 00:00 of that day, UTC)."""
    begin, end = date(year, 7, 1), date(year + 1, 7, 1)
    return _weather_year(source.within(begin, end - timedelta(days=1)), year)


@lru_cache(maxsize=32)
def _weather_year(source: WeatherSource, year: int) -> HourlyWeather:
    return fresh_weather_year(source, year)


def fresh_weather_year(source: WeatherSource, year: int) -> HourlyWeather:
    """The same as `weather_year`, made anew and not kept: for those who pass through many years once."""
    begin, end = date(year, 7, 1), date(year + 1, 7, 1)
    days = np.arange(days_since_1970(begin) - 1, days_since_1970(end))  # one day more, which leads into the first
    noise = Noise(source.streams, source.branches)
    changes = daily_changes(source.changes, days, source.today, source.timezone)
    hours = climate_hours(noise, changes, days, source.latitude_deg, source.longitude_deg)
    measured_snow_cm = np.full(24 * (len(days) - 1), np.nan)
    if source.file is not None:
        last = source.branches[0][0] if source.branches else int(days[-1])
        place = source.latitude_deg, source.longitude_deg
        hours, measured_snow_cm = with_measured(source.file, hours, noise, days, last, place)
    snow_cm, melt = snow(hours.air_temp_c, hours.rain_mm)
    ends = np.datetime64(begin.isoformat(), "us") + np.arange(1, 24 * (len(days) - 1) + 1) * np.timedelta64(1, "h")
    return HourlyWeather(
        ends_at=ends,
        air_temp_c=hours.air_temp_c,
        humidity_pct=hours.humidity_pct,
        wind_speed_mps=hours.wind_speed_mps,
        rain_mm=hours.rain_mm,
        radiation_w_per_m2=hours.radiation_w_per_m2,
        cloud_cover=hours.cloud_cover,
        snow_depth_cm=np.where(np.isnan(measured_snow_cm), snow_cm, measured_snow_cm),
        melt_mm=melt,
        pressure_hpa=hours.pressure_hpa,
    )


def snow(temp_c: NDArray[np.float64], rain_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Snow cover [cm] by degree-days (4 mm/°C·d above 0 °C, and 1 mm a day by the ground's heat), and the liquid water
    that reaches the road [mm]: mass is conserved.

    A weather year begins without snow.
    """
    snowfall = np.where(temp_c < 0.6, rain_mm, 0.0)
    melt_capacity = (np.clip(temp_c, 0, None) * 4.0 + 1.0) / 24
    cover, depth, melted = 0.0, np.zeros_like(temp_c), np.zeros_like(temp_c)
    for i, (fallen, capacity) in enumerate(zip(snowfall.tolist(), melt_capacity.tolist(), strict=True)):
        cover += fallen
        if cover > 0.0:
            melted[i] = min(cover, capacity)
            cover -= melted[i]
            depth[i] = cover
    return (depth / 10 / 0.18).round(1), rain_mm - snowfall + melted  # density of settled snow: 0.18
