"""What lies around the sensors: weather, pavement and traffic of a weather year, at any instant of it.

One object holds a whole weather year, so that a value never depends on which samples are asked for at once. Between the
middles of hours values run straight.
"""

from datetime import UTC, datetime, timedelta
from functools import cached_property
from zoneinfo import ZoneInfo

import numpy as np
from numpy.typing import NDArray

from simulators.holidays import public_holidays
from simulators.instants import HOUR_US
from simulators.weather.pavement import DEPTHS_M, pavement_year
from simulators.weather.weather import WeatherSource, weather_year

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

_RUNOFF_HOURS = 3.0
"""Time constant of what runs off a street and out of a gully again."""
_SALT_DAYS = 2.0


class Surroundings:
    """The weather year that begins on 1 July of `year`, UTC.

    Sums and what lags behind begin with the year before where there is one (`has_past`), else with the year itself.
    """

    def __init__(self, source: WeatherSource, year: int, zone: ZoneInfo, *, has_past: bool) -> None:
        self._source, self._zone, self._streams, self._year = source, zone, source.streams, year
        self._weather, self._pavement = weather_year(source, year), pavement_year(source, year)
        self._by_depths: dict[tuple[int, ...], Floats] = {}
        self._by_lags: dict[tuple[int, ...], Floats] = {}
        self._past = (weather_year(source, year - 1), pavement_year(source, year - 1)) if has_past else None
        self.begin_us = int(self._weather.ends_at[0].astype(np.int64)) - HOUR_US
        self.hours = len(self._weather.ends_at)

    # -- instants --------------------------------------------------------------------------------------------------
    def hour(self, at_us: Ints) -> NDArray[np.intp]:
        """Row of the hour in which instants lie."""
        return np.clip((at_us - self.begin_us) // HOUR_US, 0, self.hours - 1)

    def at(self, at_us: Ints, hourly: NDArray[np.floating], column: NDArray[np.intp] | None = None) -> Floats:
        """Values at instants.

        Parameters
        ----------
        at_us : numpy.ndarray, shape (n,)
            Instants. [µs since 1970, UTC]
        hourly : numpy.ndarray, shape (hours, ...)
            Means of hours.
        column : numpy.ndarray, shape (n,), optional
            Which of the second axis each instant wants; all of it if left out.
        """
        place = (at_us - self.begin_us) / HOUR_US - 0.5
        row = np.clip(np.floor(place).astype(np.intp), 0, self.hours - 2)
        share = np.clip(place - row, 0.0, 1.0)  # the first and the last half hour of a year hold its first and last
        low, high = (hourly[r] if column is None else hourly[r, column] for r in (row, row + 1))
        share = share.reshape(-1, *(1,) * (low.ndim - 1))
        result: Floats = low + share * (high - low)
        return result

    # -- weather ---------------------------------------------------------------------------------------------------
    @property
    def air_temp_c(self) -> Floats:
        """Hourly air temperature [°C]."""
        return self._weather.air_temp_c

    @property
    def humidity_pct(self) -> Floats:
        """Hourly relative humidity [%]."""
        return self._weather.humidity_pct

    @property
    def wind_speed_mps(self) -> Floats:
        """Hourly wind speed [m/s]."""
        return self._weather.wind_speed_mps

    @property
    def pressure_hpa(self) -> Floats:
        """Hourly air pressure [hPa]."""
        return self._weather.pressure_hpa

    @property
    def radiation_w_per_m2(self) -> Floats:
        """Hourly global radiation [W/m²]."""
        return self._weather.radiation_w_per_m2

    @cached_property
    def wind_direction_deg(self) -> Floats:
        """Hourly, unwrapped: mostly from the south-west, swinging over days [°]."""
        blocks = np.arange(self.begin_us // (6 * HOUR_US) - 12, (self.begin_us // HOUR_US + self.hours) // 6 + 2)
        noise = self._streams.normal("sensors/wind-direction", blocks)
        memory = 0.8 ** np.arange(12)
        swing = np.convolve(noise, memory / np.sqrt(np.sum(memory**2)), mode="valid")
        places = blocks[11:] * 6.0
        hours = self.begin_us // HOUR_US + np.arange(self.hours)
        return 235.0 + 65.0 * np.interp(hours, places, swing)

    @cached_property
    def _rain_edges_mm(self) -> Floats:
        """Rain since the begin of the year at the begin and end of each hour."""
        return np.concatenate([[0.0], np.cumsum(self._weather.rain_mm)])

    def rain_mm(self, at_us: Ints) -> Floats:
        """Rain since the begin of the year [mm]; negative before, as it fell in the year before."""
        place = (at_us - self.begin_us) / HOUR_US
        edges = np.arange(self.hours + 1, dtype=np.float64)
        result = np.interp(place, edges, self._rain_edges_mm)
        if self._past is not None and len(place) and place.min() < 0:
            before = self._past[0].rain_mm
            back = np.concatenate([[0.0], np.cumsum(before[::-1])])
            result = np.where(place < 0, -np.interp(-place, np.arange(len(back)), back), result)
        return result

    # -- road ------------------------------------------------------------------------------------------------------
    @property
    def surface_temp_c(self) -> NDArray[np.float32]:
        """Hourly temperature of the surface by exposure, (hours, 3) [°C]."""
        return self._pavement.surface_temp_c

    def ground_temp_c(self, depths_cm: tuple[int, ...]) -> Floats:
        """Hourly temperatures at depths under each exposure, (hours, 3, depths)."""
        if depths_cm not in self._by_depths:
            weights = np.stack([np.interp(np.array(depths_cm) / 100, DEPTHS_M, row) for row in np.eye(len(DEPTHS_M))])
            self._by_depths[depths_cm] = self._pavement.depth_temp_c.transpose(0, 2, 1) @ weights
        return self._by_depths[depths_cm]

    def saturation(self, lag_days: tuple[int, ...]) -> Floats:
        """Degree of saturation in the middle of each hour by drainage and lag, (hours, 3, lags): the mean of the days
        before, the deeper the more of them."""
        if lag_days not in self._by_lags:
            self._by_lags[lag_days] = self._lagging(lag_days)
        return self._by_lags[lag_days]

    def _lagging(self, lag_days: tuple[int, ...]) -> Floats:
        longest = max(lag_days)
        daily = self._pavement.saturation
        before = daily[:1].repeat(longest, 0) if self._past is None else self._past[1].saturation[-longest:]
        daily = np.concatenate([before, daily])
        sums = np.concatenate([np.zeros((1, daily.shape[1])), np.cumsum(daily, axis=0)])
        # At the end of each day, and at the begin of the first one.
        ends = np.arange(longest, len(daily) + 1)
        means = np.stack([(sums[ends] - sums[ends - lag]) / lag for lag in lag_days], axis=2)
        place = (np.arange(self.hours) + 0.5) / 24
        row = place.astype(np.intp)
        share = (place - row)[:, None, None]
        result: Floats = means[row] * (1 - share) + means[row + 1] * share
        return result

    @cached_property
    def runoff_mm(self) -> Floats:
        """Rain and melt water of the last hours, fading, at the end of each hour [mm]."""
        weights = np.exp(-np.arange(36) / _RUNOFF_HOURS)
        before = np.zeros(36) if self._past is None else self._past[0].melt_mm[-36:]
        result: Floats = np.convolve(np.concatenate([before, self._weather.melt_mm]), weights)[36 : 36 + self.hours]
        return result

    @cached_property
    def salt(self) -> Floats:
        """Hourly, 0 none to 1: how salty the water on the streets is. Salt is spread in frost and washed away."""
        frosty = self._weather.air_temp_c < 0.5
        washed = np.exp(-self._weather.melt_mm / 4.0 - 1 / (24 * _SALT_DAYS))
        level, result = 0.0, np.empty(self.hours)
        for i, (cold, left) in enumerate(zip(frosty.tolist(), washed.tolist(), strict=True)):
            level = min(level + 0.08, 1.0) if cold else level * left
            result[i] = level
        return result

    # -- calendar --------------------------------------------------------------------------------------------------
    @cached_property
    def local_hour(self) -> NDArray[np.int64]:
        """Hour of the local day of each hour."""
        return np.array([moment.hour for moment in self._local])

    @cached_property
    def day_kind(self) -> NDArray[np.int64]:
        """0 for working days, 1 for Saturdays, 2 for Sundays and holidays, of each hour's local day."""
        days = [moment.date() for moment in self._local]
        kinds = {
            day: 2 if day in public_holidays(day.year) else max(day.weekday() - 4, 0) for day in dict.fromkeys(days)
        }
        return np.array([kinds[day] for day in days])

    @cached_property
    def _local(self) -> list[datetime]:
        begin = datetime(self._year, 7, 1, tzinfo=UTC)
        return [(begin + timedelta(hours=hour, minutes=30)).astimezone(self._zone) for hour in range(self.hours)]
