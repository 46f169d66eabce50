"""Hourly weather of the Ruhr climate by a stochastic generator, the same for any window that is asked for.

Made in weather years (1 July to 30 June, so that a winter is whole) from noise that is keyed by day or hour: daily
temperature, wetness and cloud follow moving averages of that noise with a synoptic memory of days and a slow memory of
weeks, which makes spells and winters that differ. Normals: 1991-2020 of Essen and North Rhine-Westphalia
(docs/reference/simulator.md).

References
----------
.. [1] F. Kasten and G. Czeplak, "Solar and terrestrial radiation dependent on the amount and type of cloud," Sol.
   Energy, vol. 24, no. 2, pp. 177-189, 1980, doi:10.1016/0038-092X(80)90391-6.
.. [2] D. S. Wilks and R. L. Wilby, "The weather generation game," Prog. Phys. Geogr., vol. 23, no. 3, pp. 329-357,
   1999, doi:10.1177/030913339902300302.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, ndtri

from simulators.randomness import Streams
from simulators.scenario import WeatherChange

STATION = "sim-wetter-1"
LATITUDE_DEG, LONGITUDE_DEG = 51.45, 7.01
RAIN_NORMAL_MM = np.array([81, 57, 75, 68, 73, 97, 89, 77, 73, 70, 83, 90], dtype=float)
"""Mean rain of each month of the year, Essen 1991-2020. [mm]"""
_RAIN_DAYS = np.array([17, 14, 15, 13, 14, 14, 15, 14, 14, 15, 17, 18], dtype=float) / np.array(
    [31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31]
)
_RAIN_SHAPE = 0.72  # of the gamma distribution of a wet day's amount
_MEMORY_DAYS = 150


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

    `changes` are those of a scenario, with the day and the zone that their windows refer to.
    """

    streams: Streams
    changes: tuple[WeatherChange, ...] = ()
    today: date | None = None
    timezone: str = "Europe/Berlin"
    latitude_deg: float = LATITUDE_DEG
    longitude_deg: float = LONGITUDE_DEG


def hourly_weather(source: WeatherSource, start: datetime, end: datetime) -> HourlyWeather:
    """Weather of the hours that end in (start, end]; both aware. The same hour is the same in every window."""
    start, end = start.astimezone(UTC), end.astimezone(UTC)
    first_year, last_year = weather_year_of(start.date()), weather_year_of(end.date())
    years = [weather_year(source, year) for year in range(first_year, last_year + 1)]
    joined = (
        years[0]
        if len(years) == 1
        else HourlyWeather(
            *(np.concatenate([getattr(year, name) for year in years]) for name in HourlyWeather.__slots__)
        )
    )
    window = [np.datetime64(t.replace(tzinfo=None), "us") for t in (start, end)]
    first, last = np.searchsorted(joined.ends_at, window, side="right")
    return joined.window(int(first), int(last))


@lru_cache(maxsize=24)
def weather_year(source: WeatherSource, year: int) -> HourlyWeather:
    """All hours of the weather year that begins on 1 July of `year` (hours ending after 00:00 of that day, UTC)."""
    streams = source.streams
    begin, count = date(year, 7, 1), (date(year + 1, 7, 1) - date(year, 7, 1)).days
    days = np.arange(count + 2) + (begin - date(1970, 1, 1)).days - 1  # one day more at each end, to interpolate
    month, season = _calendar(days)
    wetness = 0.954 * _memory(streams, "weather/rain", days, 0.42) + 0.30 * _memory(
        streams, "weather/wet-spell", days, 0.97
    )
    daily_rain = _daily_rain(streams, days, month, wetness)
    cloud = _daily_cloud(streams, days, wetness, season)
    mean = _daily_temperature(streams, days, wetness, season)
    hours = np.arange(0.5, count * 24) / 24.0  # middle of each hour, days since begin
    cloud_h = np.clip(
        np.interp(hours, np.arange(count + 2) - 0.5, cloud) + 0.12 * _hour_noise(streams, "cloud", days, 3), 0, 1
    )
    radiation = _radiation(days[1:-1], cloud_h)
    temp = _hourly_temperature(streams, days, hours, mean, cloud, season)
    rain = _hourly_rain(streams, days, daily_rain).round(2)
    daily_min = temp.reshape(count, 24).min(axis=1)
    humidity = _humidity(streams, days, hours, temp, daily_min, wetness)
    humidity = np.where(rain > 0.1, np.maximum(humidity, 88.0), humidity)
    wind = _wind(streams, days, hours, wetness, season)
    snow_cm, melt = _snow(temp, rain)
    ends = np.datetime64(begin.isoformat(), "us") + (np.arange(count * 24) + 1) * np.timedelta64(3_600_000_000, "us")
    slow = np.interp(hours, np.arange(count + 2) - 0.5, _memory(streams, "weather/pressure", days, 0.8) - 0.5 * wetness)
    return HourlyWeather(
        ends_at=ends,
        air_temp_c=temp.round(2),
        humidity_pct=humidity.round(1),
        wind_speed_mps=wind.round(2),
        rain_mm=rain,
        radiation_w_per_m2=radiation.round(1),
        cloud_cover=cloud_h,
        snow_depth_cm=snow_cm.round(1),
        melt_mm=melt,
        pressure_hpa=(1005.5 + 8.5 * slow).round(1),
    )


def _calendar(days: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Month index 0-11, and the season's phase: +1 in mid-January, -1 in mid-July."""
    dates = days.astype("datetime64[D]")
    month = dates.astype("datetime64[M]").astype(np.int64) % 12
    day_of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
    return month, np.cos(2 * np.pi * (day_of_year - 18) / 365.25)


def _memory(streams: Streams, name: str, days: NDArray[np.int64], persistence: float) -> NDArray[np.float64]:
    """Standard normal series with autocorrelation `persistence`^lag, the same whatever window it is made for."""
    reach = min(_MEMORY_DAYS, int(np.ceil(np.log(1e-4) / np.log(persistence))))
    weights = persistence ** np.arange(reach)
    noise = streams.normal(name, 0, np.arange(days[0] - reach + 1, days[-1] + 1) + 40_000)
    result: NDArray[np.float64] = np.convolve(noise, weights / np.sqrt(np.sum(weights**2)), mode="valid")
    return result


def _hour_noise(streams: Streams, name: str, days: NDArray[np.int64], smooth_hours: int) -> NDArray[np.float64]:
    """Standard normal noise of the inner days' hours, smoothed over some hours; keyed by hour."""
    first, last = int(days[1]) * 24, (int(days[-2]) + 1) * 24
    noise = streams.normal(f"weather/hour/{name}", 1, np.arange(first - smooth_hours, last + smooth_hours) + 1_000_000)
    kernel = np.exp(-0.5 * (np.arange(-smooth_hours, smooth_hours + 1) / max(smooth_hours / 2, 0.5)) ** 2)
    result: NDArray[np.float64] = np.convolve(noise, kernel / np.sqrt(np.sum(kernel**2)), mode="valid")
    return result


def _daily_rain(
    streams: Streams, days: NDArray[np.int64], month: NDArray[np.int64], wetness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """A day is wet when wetness passes the month's threshold; its amount is gamma distributed and larger, the wetter
    the spell is (the two are coupled through a common normal)."""
    chance = _RAIN_DAYS[month]
    wet = wetness > ndtri(1 - chance)
    # What is left of wetness above the threshold, as a uniform number, mixed with the day's own draw.
    above = np.clip(ndtr(wetness) - (1 - chance), 1e-9, None) / chance
    own = streams.normal("weather/rain-amount", 0, days + 40_000)
    coupled = 0.35 * ndtri(np.clip(above, 1e-6, 1 - 1e-6)) + np.sqrt(1 - 0.35**2) * own
    share = np.clip(ndtr(coupled), 1e-6, 1 - 1e-6)
    days_in_month = np.array([31, 28.25, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31])
    mean_amount = 1.02 * RAIN_NORMAL_MM[month] / (chance * days_in_month[month])
    amount = gammaincinv(_RAIN_SHAPE, share) / _RAIN_SHAPE * mean_amount
    return np.where(wet, amount, 0.0)


def _daily_cloud(
    streams: Streams, days: NDArray[np.int64], wetness: NDArray[np.float64], season: NDArray[np.float64]
) -> NDArray[np.float64]:
    own = _memory(streams, "weather/cloud", days, 0.5)
    return 1 / (1 + np.exp(-(0.75 + 0.3 * season + 1.0 * wetness + 1.1 * own)))


def _daily_temperature(
    streams: Streams, days: NDArray[np.int64], wetness: NDArray[np.float64], season: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Normal of the day, plus a synoptic part (days), a slow part (weeks: hard and mild winters) and the effect of wet,
    cloudy air: mild in winter, cool in summer."""
    normal = 9.80 - 7.95 * season
    spread = 3.35 + 0.55 * season
    synoptic, slow = (_memory(streams, f"weather/{name}", days, p) for name, p in (("synoptic", 0.76), ("slow", 0.972)))
    anomaly = 0.86 * synoptic + 0.52 * slow
    # Continental cold is rarer and goes further than Atlantic warmth: stretch the cold side of winter.
    anomaly = np.where((anomaly < 0) & (season > 0), anomaly * (1 + 0.12 * season), anomaly)
    return normal + spread * anomaly + 1.0 * season * wetness


def _hourly_temperature(
    streams: Streams,
    days: NDArray[np.int64],
    hours: NDArray[np.float64],
    mean: NDArray[np.float64],
    cloud: NDArray[np.float64],
    season: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Daily means joined smoothly, with a daily wave that clear days make large."""
    at = np.arange(len(days)) - 0.5
    range_c = np.interp(hours, at, (6.8 - 3.3 * season) * (1.62 - 0.86 * cloud))
    solar_hour = (hours % 1.0) * 24 + LONGITUDE_DEG / 15
    phase = 2 * np.pi * (solar_hour - 14.6) / 24
    wave = np.cos(phase) + 0.18 * np.cos(2 * phase)
    return np.interp(hours, at, mean) + range_c / 2 * wave + 0.35 * _hour_noise(streams, "temperature", days, 3)


def _hourly_rain(streams: Streams, days: NDArray[np.int64], daily_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share a day's rain out over its wettest hours: showers and fronts of some hours, not a drizzle of 24."""
    noise = _hour_noise(streams, "rain", days, 4).reshape(-1, 24)
    weight = np.clip(noise - np.quantile(noise, 0.68, axis=1, keepdims=True), 0, None) ** 1.4
    total = weight.sum(axis=1, keepdims=True)
    result: NDArray[np.float64] = (weight / total * daily_mm[1:-1, None]).ravel()
    return result


def _radiation(days: NDArray[np.int64], cloud: NDArray[np.float64]) -> NDArray[np.float64]:
    """Global radiation on the level: clear sky and cloud attenuation of [1]."""
    dates = days.astype("datetime64[D]")
    day_of_year = np.repeat((dates - dates.astype("datetime64[Y]")).astype(np.int64), 24)
    sine = _sun_sine(day_of_year, np.tile(np.arange(24) + 0.5, len(days)))
    clear = np.maximum(910.0 * sine - 30.0, 0.0)
    result: NDArray[np.float64] = clear * (1 - 0.75 * cloud**3.4)
    return result


def _sun_sine(day_of_year: NDArray[np.int64], hour_utc: NDArray[np.float64]) -> NDArray[np.float64]:
    """Sine of the sun's elevation over the city; the equation of time (a quarter of an hour at most) is left out."""
    declination = np.radians(-23.44) * np.cos(2 * np.pi * (day_of_year + 10) / 365.25)
    latitude = np.radians(LATITUDE_DEG)
    hour_angle = np.pi * (hour_utc + LONGITUDE_DEG / 15 - 12) / 12
    result: NDArray[np.float64] = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(
        declination
    ) * np.cos(hour_angle)
    return result


def sun_elevation_deg(at_us: NDArray[np.int64]) -> NDArray[np.float64]:
    """Elevation of the sun over the city at instants [µs since 1970, UTC], without refraction [°].

    Examples
    --------
    >>> sun_elevation_deg(np.array(["2026-01-15T11:32", "2026-06-21T11:32"], "datetime64[us]").astype(int)).round(0)
    array([17., 62.])
    """
    day = np.asarray(at_us, np.int64) // 86_400_000_000
    dates = day.astype("datetime64[D]")
    day_of_year = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
    sine = _sun_sine(day_of_year, (at_us - day * 86_400_000_000) / 3.6e9)
    result: NDArray[np.float64] = np.degrees(np.arcsin(sine))
    return result


def saturation_pressure_hpa(temp_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Saturation vapour pressure over water [hPa]: doi:10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2."""
    return 6.1094 * np.exp(17.625 * temp_c / (243.04 + temp_c))


def _humidity(
    streams: Streams,
    days: NDArray[np.int64],
    hours: NDArray[np.float64],
    temp: NDArray[np.float64],
    daily_min: NDArray[np.float64],
    wetness: NDArray[np.float64],
) -> NDArray[np.float64]:
    """The dew point lies near the night's minimum, below it in dry air."""
    own = _memory(streams, "weather/dew", days, 0.5)[1:-1]
    dew = daily_min - np.clip(1.2 - 0.9 * wetness[1:-1] + 0.8 * own, -0.5, 6.0)
    dew_h = np.interp(hours, np.arange(len(daily_min)) + 0.25, dew)
    return np.clip(100 * saturation_pressure_hpa(np.minimum(dew_h, temp)) / saturation_pressure_hpa(temp), 15, 100)


def _wind(
    streams: Streams,
    days: NDArray[np.int64],
    hours: NDArray[np.float64],
    wetness: NDArray[np.float64],
    season: NDArray[np.float64],
) -> NDArray[np.float64]:
    daily = np.exp(1.08 + 0.12 * season + 0.20 * wetness + 0.36 * _memory(streams, "weather/wind", days, 0.55))
    wave = 1 + 0.22 * np.cos(2 * np.pi * ((hours % 1.0) * 24 - 13.5) / 24)
    gusty = np.exp(0.16 * _hour_noise(streams, "wind", days, 2))
    return np.clip(np.interp(hours, np.arange(len(days)) - 0.5, daily) * wave * gusty, 0.1, 35.0)


def _snow(temp_c: NDArray[np.float64], rain_mm: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Snow cover by degree-days (4 mm/°C·d above 0 °C), and the liquid water that comes out: mass is conserved.

    A weather year begins without snow.
    """
    snowfall = np.where(temp_c < 0.8, rain_mm, 0.0)
    melt_capacity = np.clip(temp_c, 0, None) * 4.0 / 24
    cover, depth, melted = 0.0, np.zeros_like(temp_c), np.zeros_like(temp_c)
    for i, (fallen, capacity) in enumerate(zip(snowfall.tolist(), melt_capacity.tolist(), strict=True)):
        cover += fallen
        if cover > 0.0:
            melted[i] = min(cover, capacity)
            cover -= melted[i]
            depth[i] = cover
    return depth / 10 / 0.18, rain_mm - snowfall + melted  # density of settled snow: 0.18


def day_bounds(day: date) -> tuple[datetime, datetime]:
    """Begin and end of a UTC day."""
    begin = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return begin, begin + timedelta(days=1)
