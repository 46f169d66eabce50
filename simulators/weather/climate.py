"""The Ruhr climate as a stochastic generator: hourly weather of a weather year from noise that is keyed by day or hour.

Daily temperature, wetness and cloud follow moving averages of that noise with a synoptic memory of days and a slow
memory of weeks [1]_, which makes spells and winters that differ. The weather of an hour depends on the noise of its day
and of days before it, never on later noise: weather can be continued anew after any day (`Noise.branches`).

References
----------
.. [1] D. S. Wilks and R. L. Wilby, "The weather generation game," Prog. Phys. Geogr., vol. 23, no. 3, pp. 329-357,
   1999, doi:10.1177/030913339902300302.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr, ndtri

from simulators.randomness import Streams
from simulators.weather.normals import DAYS_IN_MONTH, RAIN_DAYS_NORMAL, RAIN_NORMAL_MM, TEMP_NORMAL_C
from simulators.weather.sky import (
    LONGITUDE_DEG,
    clear_sky_w_per_m2,
    cloud_transmission,
    day_of_year,
    relative_humidity_pct,
)
from simulators.weather.weather_changes import DailyChanges

_RAIN_SHAPE = 0.72  # of the gamma distribution of a wet day's amount
_MEMORY_DAYS = 150
_PHASE_DAYS = 18  # the cold of the year comes some weeks after the solstice
_FRONT_HOURS = 12  # in which a day's own values replace those of the day before
_COLDER_C = np.array([0.25, 0.7, 0.45, 0.35, 0.1, 0, 0, 0, 0, 0, 0.5, 0.6])
"""The year of frost and ice days is the state's, the months' means are the city's: in winter between the two."""
_HALF_NORMAL_MEAN = np.hypot(0.86, 0.52) / np.sqrt(2 * np.pi)  # of the negative part of the anomaly before stretching
_DAY_OFFSET, _HOUR_OFFSET = 40_000, 1_000_000  # keep the keys of days and hours before 1970 positive


@dataclass(frozen=True, slots=True)
class Noise:
    """Standard normal noise of days and hours. After each branch (day since 1970, draw) it is fresh noise of that draw;
    branches are in the order of their days."""

    streams: Streams
    branches: tuple[tuple[int, int], ...] = ()

    def daily(self, name: str, first: int, stop: int) -> NDArray[np.float64]:
        """Noise of the days `first` to `stop` - 1 (since 1970)."""
        return self._pieces(name, 0, first, stop, 1, _DAY_OFFSET)

    def hourly(self, name: str, first: int, stop: int) -> NDArray[np.float64]:
        """Noise of the hours `first` to `stop` - 1 (since 1970)."""
        return self._pieces(name, 1, first, stop, 24, _HOUR_OFFSET)

    def _pieces(self, name: str, entity: int, first: int, stop: int, per_day: int, offset: int) -> NDArray[np.float64]:
        parts, at, stream = [], first, name
        for day, draw in self.branches:
            until = min((day + 1) * per_day, stop)
            if until > at:
                parts.append(self.streams.normal(stream, entity, np.arange(at, until) + offset))
                at = until
            stream = f"{name}/after {day}/{draw}"
        if stop > at:
            parts.append(self.streams.normal(stream, entity, np.arange(at, stop) + offset))
        return parts[0] if len(parts) == 1 else np.concatenate(parts)


@dataclass(frozen=True, slots=True)
class ClimateHours:
    """The hours of a weather year as the generator gives them, shape (24·days,)."""

    air_temp_c: NDArray[np.float64]
    humidity_pct: NDArray[np.float64]
    wind_speed_mps: NDArray[np.float64]
    rain_mm: NDArray[np.float64]
    radiation_w_per_m2: NDArray[np.float64]
    cloud_cover: NDArray[np.float64]
    pressure_hpa: NDArray[np.float64]


def climate_hours(
    noise: Noise, changes: DailyChanges, days: NDArray[np.int64], latitude_deg: float, longitude_deg: float
) -> ClimateHours:
    """Hours of the days after the first of `days` (since 1970, consecutive): the first one only leads into the second.

    `changes` are of the same days. The same hour is the same in every window.
    """
    month, season = calendar(days)
    wetness = 0.954 * _memory(noise, "weather/rain", days, 0.42) + 0.30 * _memory(
        noise, "weather/wet-spell", days, 0.97
    )
    cloud = np.clip(_daily_cloud(noise, days, wetness, season) + changes.cloud_shift, 0, 1)
    cloud_h = np.clip(_through_day(cloud) + 0.12 * _hour_noise(noise, "cloud", days, 3), 0, 1)
    normal = normal_temp_c(days) + changes.air_temp_shift_c
    mean = normal + changes.air_temp_spread_factor * _anomaly_c(noise, days, wetness, season)
    temp = _hourly_temperature(noise, days, mean, cloud, season).round(2)
    rain = hourly_rain(noise, days[1:], _daily_rain(noise, days, month, wetness, changes)[1:])
    humidity = _humidity(noise, days, temp, wetness)
    slow = _through_day(_memory(noise, "weather/pressure", days, 0.8) - 0.5 * wetness)
    return ClimateHours(
        air_temp_c=temp,
        humidity_pct=np.where(rain > 0.1, np.maximum(humidity, 88.0), humidity).round(1),
        wind_speed_mps=hourly_wind(noise, days, _daily_wind(noise, days, wetness, season) * changes.wind_factor),
        rain_mm=rain,
        radiation_w_per_m2=(
            clear_sky_w_per_m2(days[1:], latitude_deg, longitude_deg) * cloud_transmission(cloud_h)
        ).round(1),
        cloud_cover=cloud_h,
        pressure_hpa=(1005.5 + 8.5 * slow).round(1),
    )


def days_since_1970(day: date) -> int:
    """Number of a day."""
    return day.toordinal() - 719_163


def calendar(days: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Month index 0-11, and the season's phase: +1 in mid-January, -1 in mid-July; `days` since 1970."""
    month = days.astype("datetime64[D]").astype("datetime64[M]").astype(np.int64) % 12
    return month, np.cos(2 * np.pi * (day_of_year(days) - _PHASE_DAYS) / 365.25)


def normal_temp_c(days: NDArray[np.int64]) -> NDArray[np.float64]:
    """Normal daily mean of the generator; `days` since 1970. [°C]"""
    result: NDArray[np.float64] = _harmonics(day_of_year(days)) @ _TEMP_HARMONICS_C
    return result


def _harmonics(day: NDArray[np.int64]) -> NDArray[np.float64]:
    """1 and the waves of a year, half a year and a third of it at days of the year, shape (n, 7)."""
    phases = 2 * np.pi * (day[:, None] + 0.5) / 365.25 * np.arange(1, 4)
    return np.concatenate([np.ones((len(day), 1)), np.cos(phases), np.sin(phases)], axis=1)


def _fitted() -> NDArray[np.float64]:
    """Harmonics whose means of the months come nearest to the normals of the months."""
    day = np.arange(365)
    month, _ = calendar(day)  # 1970
    of_month = np.stack([_harmonics(day[month == m]).mean(axis=0) for m in range(12)])
    result: NDArray[np.float64] = np.linalg.lstsq(of_month, TEMP_NORMAL_C - _COLDER_C, rcond=None)[0]
    return result


_TEMP_HARMONICS_C = _fitted()


def _memory(noise: Noise, name: str, days: NDArray[np.int64], persistence: float) -> NDArray[np.float64]:
    """Standard normal series with autocorrelation `persistence`^lag, the same whatever window it is made for."""
    reach = min(_MEMORY_DAYS, int(np.ceil(np.log(1e-4) / np.log(persistence))))
    weights = persistence ** np.arange(reach)
    numbers = noise.daily(name, int(days[0]) - reach + 1, int(days[-1]) + 1)
    result: NDArray[np.float64] = np.convolve(numbers, weights / np.sqrt(np.sum(weights**2)), mode="valid")
    return result


def _hour_noise(noise: Noise, name: str, days: NDArray[np.int64], smooth_hours: int) -> NDArray[np.float64]:
    """Standard normal noise of the hours of all days but the first, smoothed over the hours before."""
    first, stop = int(days[1]) * 24, (int(days[-1]) + 1) * 24
    numbers = noise.hourly(f"weather/hour/{name}", first - 2 * smooth_hours, stop)
    kernel = np.exp(-0.5 * (np.arange(-smooth_hours, smooth_hours + 1) / max(smooth_hours / 2, 0.5)) ** 2)
    result: NDArray[np.float64] = np.convolve(numbers, kernel / np.sqrt(np.sum(kernel**2)), mode="valid")
    return result


def _through_day(daily: NDArray[np.float64]) -> NDArray[np.float64]:
    """Hourly values of all days but the first: the day's own from noon on, led into from the day before's."""
    share = np.clip((np.arange(24) + 0.5) / _FRONT_HOURS, 0, 1)
    result: NDArray[np.float64] = (daily[:-1, None] + np.diff(daily)[:, None] * share).ravel()
    return result


def _daily_rain(
    noise: Noise,
    days: NDArray[np.int64],
    month: NDArray[np.int64],
    wetness: NDArray[np.float64],
    changes: DailyChanges,
) -> NDArray[np.float64]:
    """A day is wet when wetness passes the month's threshold; its amount is gamma distributed and larger, the wetter
    the spell is (the two are coupled through a common normal)."""
    usual = (RAIN_DAYS_NORMAL / DAYS_IN_MONTH)[month]
    chance = np.clip(usual * changes.wet_days_factor, 1e-6, 0.97)
    wet = wetness > ndtri(1 - chance)
    # What is left of wetness above the threshold, as a uniform number, mixed with the day's own draw.
    above = np.clip(ndtr(wetness) - (1 - chance), 1e-9, None) / chance
    own = noise.daily("weather/rain-amount", int(days[0]), int(days[-1]) + 1)
    coupled = 0.35 * ndtri(np.clip(above, 1e-6, 1 - 1e-6)) + np.sqrt(1 - 0.35**2) * own
    share = np.clip(ndtr(coupled), 1e-6, 1 - 1e-6)
    mean_amount = changes.rain_factor * RAIN_NORMAL_MM[month] / (chance * DAYS_IN_MONTH[month])
    amount = gammaincinv(_RAIN_SHAPE, share) / _RAIN_SHAPE * mean_amount
    return np.where(wet, amount, 0.0)


def _daily_cloud(
    noise: Noise, days: NDArray[np.int64], wetness: NDArray[np.float64], season: NDArray[np.float64]
) -> NDArray[np.float64]:
    own = _memory(noise, "weather/cloud", days, 0.5)
    return 1 / (1 + np.exp(-(1.25 + 0.45 * season + 1.0 * wetness + 1.1 * own)))


def _anomaly_c(
    noise: Noise, days: NDArray[np.int64], wetness: NDArray[np.float64], season: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Departure from the normal: a synoptic part (days), a slow part (weeks: hard and mild winters) and the effect of
    wet, cloudy air: mild in winter, cool in summer."""
    spread = 3.35 + 0.70 * season
    synoptic, slow = (_memory(noise, f"weather/{name}", days, p) for name, p in (("synoptic", 0.76), ("slow", 0.972)))
    anomaly = 0.86 * synoptic + 0.52 * slow
    # Continental cold is rarer and goes further than Atlantic warmth: winter's cold side is stretched, the mean kept.
    stretch = 0.15 * np.maximum(season, 0)
    anomaly = np.where(anomaly < 0, anomaly * (1 + stretch), anomaly) + stretch * _HALF_NORMAL_MEAN
    result: NDArray[np.float64] = spread * anomaly + 1.0 * season * wetness
    return result


def _hourly_temperature(
    noise: Noise,
    days: NDArray[np.int64],
    mean: NDArray[np.float64],
    cloud: NDArray[np.float64],
    season: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Daily means joined over the morning, with a daily wave that clear days make large."""
    range_c = _through_day((6.3 - 2.65 * season) * (1.67 - 0.88 * cloud))
    wave = np.tile(DAILY_WAVE, len(days) - 1)
    return _through_day(mean) + range_c / 2 * wave + 0.35 * _hour_noise(noise, "temperature", days, 3)


def _daily_wave() -> NDArray[np.float64]:
    phase = 2 * np.pi * (np.arange(24) + 0.5 + LONGITUDE_DEG / 15 - 14.6) / 24
    return np.cos(phase) + 0.18 * np.cos(2 * phase)


DAILY_WAVE = _daily_wave()
"""Course of the temperature over the 24 hours of a UTC day, about -1 to 1.2; its mean is 0."""


def _around_the_clock(smooth_hours: float) -> NDArray[np.float64]:
    apart = np.abs(np.subtract.outer(np.arange(24), np.arange(24)))
    result: NDArray[np.float64] = np.exp(-0.5 * (np.minimum(apart, 24 - apart) / smooth_hours) ** 2)
    return result


_AROUND_THE_CLOCK = _around_the_clock(2.0)


def hourly_rain(noise: Noise, days: NDArray[np.int64], daily_mm: NDArray[np.float64]) -> NDArray[np.float64]:
    """Share the rain of days out over their wettest hours, to 0.01 mm: showers and fronts of some hours, not a drizzle
    of 24. The sum of a day's hours is its amount, rounded to 0.01 mm."""
    # Smoothed around the clock, so that no hour of the day is likelier than another.
    raw = noise.hourly("weather/hour/rain", int(days[0]) * 24, (int(days[-1]) + 1) * 24).reshape(-1, 24)
    numbers = raw @ _AROUND_THE_CLOCK
    weight = np.clip(numbers - np.quantile(numbers, 0.68, axis=1, keepdims=True), 0, None) ** 1.4
    until = np.cumsum(weight, axis=1)
    hundredths = np.round(until / until[:, -1:] * np.round(daily_mm * 100)[:, None])
    result: NDArray[np.float64] = np.diff(hundredths, axis=1, prepend=0.0).ravel() / 100
    return result


def _humidity(
    noise: Noise, days: NDArray[np.int64], temp: NDArray[np.float64], wetness: NDArray[np.float64]
) -> NDArray[np.float64]:
    """The dew point lies near the night's minimum, below it in dry air."""
    own = _memory(noise, "weather/dew", days, 0.5)
    deficit = _through_day(np.clip(1.2 - 0.9 * wetness + 0.8 * own, -0.5, 6.0))
    low = temp.reshape(-1, 24).min(axis=1)
    dew = _through_day(np.concatenate([low[:1], low])) - deficit
    return np.clip(relative_humidity_pct(dew, temp), 15, 100)


def _daily_wind(
    noise: Noise, days: NDArray[np.int64], wetness: NDArray[np.float64], season: NDArray[np.float64]
) -> NDArray[np.float64]:
    return np.exp(1.08 + 0.12 * season + 0.20 * wetness + 0.36 * _memory(noise, "weather/wind", days, 0.55))


def hourly_wind(noise: Noise, days: NDArray[np.int64], daily_mps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Wind of the hours of all days but the first: stronger in the afternoon, with gusty hours. [m/s]"""
    wave = np.tile(1 + 0.22 * np.cos(2 * np.pi * (np.arange(24) + 0.5 - 13.5) / 24), len(days) - 1)
    gusty = np.exp(0.16 * _hour_noise(noise, "wind", days, 2))
    result: NDArray[np.float64] = np.clip(_through_day(daily_mps) * wave * gusty, 0.1, 35.0).round(2)
    return result
