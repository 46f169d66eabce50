"""What weather and sensors tell of segments: frost, thaw, rain, surface temperature, moisture of the base."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
from numpy.typing import NDArray

from models.days import local_day
from models.features.weather import antecedent_precipitation_mm, freeze_thaw_days, frost_index_cd, window_sum
from models.inputs import WeatherHours
from models.plausible import without_absurd_hours
from models.state.fields import Estimate, Measured, Places, at_segments, interpolate
from models.state.weather import (
    DAY_ERROR_C,
    LEAST_CYCLES_SD,
    LEAST_FROST_SD_CD,
    NIGHT_OFFSET_FIELD,
    NIGHT_OFFSET_SHARED_C,
    SOUND_MODULUS_SD_PCT,
    WEAK_MODULUS_SD_PCT,
    base_modulus_share,
    freeze_thaw_cycles,
    frost_days_sd_cd,
    over_offsets,
    surface_temp_from_weather_c,
    with_errors,
)
from models.twin import day_count_sd, soil_moisture_from_rain_pct
from roadtwin.storage.twin import SensorValue, read_sensor_values
from roadtwin.storage.twin_facts import Scope, read_facts
from roadtwin.twin.setting import Columns, Floats, Quantity, Setting, datetimes, named

DAYS = 150
"""Daily weather is read this far back: thaw is over after four months. [d]"""
LEAST_THAW_DAYS = 60
"""With fewer days of weather nobody knows whether the base is still weak from a frost before them. [d]"""
HOURS = 30 * 24
LEAST_HOURS = 20
"""A day with fewer known hours is unknown; the day that has only begun is taken as it stands."""
RADIATION_SHARE = 0.8
"""With less known radiation, cycles are those of the air by day."""
SURFACE_TEMP_MAX_AGE = timedelta(hours=3)
SOIL_MOISTURE_MAX_AGE = timedelta(hours=24)

_FROST_PLACE_SD_C = 0.5  # without sensors a place is steadily warmer or colder than the station by about this [°C]
_RAIN_PLACE_SHARE = 0.2  # rain of a week differs between places of a city by about this share
_HOUR = np.timedelta64(1, "h")


@dataclass(frozen=True, slots=True)
class CityWeather:
    """Hours and local days up to a time, mean of the stations, oldest first; NaN unknown.

    `hour_end` (h,) instants; air temperature, surface temperature by the weather [°C] with its sd, `radiation_known`.
    Days (d,): minimum, mean, maximum of the air and of the surface [°C], rain [mm].
    """

    hour_end: NDArray[np.datetime64]
    air_c: Floats
    surface: Estimate
    radiation_known: NDArray[np.bool_]
    minimum_c: Floats
    mean_c: Floats
    maximum_c: Floats
    surface_minimum_c: Floats
    surface_mean_c: Floats
    surface_maximum_c: Floats
    rain_mm: Floats
    newest_at: datetime | None

    def expected_c(self, at: NDArray[np.datetime64]) -> Floats:
        """Surface temperature by the weather at instants; NaN farther than 3 h from a known hour. [°C]"""
        known = np.flatnonzero(np.isfinite(self.surface.value))
        if not known.size:
            return np.full(at.shape, np.nan)
        hours = self.hour_end[known].astype("datetime64[us]").astype(np.int64)
        when = at.astype("datetime64[us]").astype(np.int64)
        right = np.minimum(np.searchsorted(hours, when), hours.size - 1)
        distance = np.minimum(np.abs(when - hours[right]), np.abs(when - hours[np.maximum(right - 1, 0)]))
        near = distance <= SURFACE_TEMP_MAX_AGE / timedelta(microseconds=1)
        return np.where(near, np.interp(when, hours, self.surface.value[known]), np.nan)


def read_weather(setting: Setting, *, first: datetime | None = None) -> Columns:
    """Rows of weather recorded by now, far enough back for a state as of `first` (default: now).

    Values that cannot have been are NaN; each is judged by what was recorded before it, so that the rows as recorded by
    an earlier time are simply a part of these.
    """
    since = (first or setting.now) - timedelta(days=DAYS + 1)
    rows = read_facts(setting.conn, "weather_hours", Scope(setting.now), since=since)
    sound, _ = without_absurd_hours(
        WeatherHours(
            recorded_at=rows["recorded_at"],
            observed_at=rows["observed_at"],
            station=rows["station"],
            air_temp_c=rows["air_temp_c"].astype(np.float64),
            rain_mm=rows["rain_mm"].astype(np.float64),
        )
    )
    return rows | {"air_temp_c": sound.air_temp_c, "rain_mm": sound.rain_mm}


def city_weather(setting: Setting) -> CityWeather:
    """Weather as recorded by now."""
    rows = setting.weather if setting.weather is not None else read_weather(setting)
    known = (rows["recorded_at"] <= setting.instant) & (rows["observed_at"] <= setting.instant)
    hours, air_c, rain_mm, radiation, wind = _mean_of_stations({name: column[known] for name, column in rows.items()})
    surface = surface_temp_from_weather_c(air_c, radiation, wind)
    # An hour belongs to the day in which it began.
    began: NDArray[np.datetime64] = (hours - _HOUR).astype("datetime64[us]")
    day = local_day(began, setting.zone)
    place = (day - setting.today).astype(int) + DAYS
    inside = (place >= 0) & (place <= DAYS)

    def by_day(values: Floats, how: str) -> Floats:
        result = np.full(DAYS + 1, np.nan)
        known = inside & np.isfinite(values)
        count = np.bincount(place[known], minlength=DAYS + 1)
        enough = (count >= LEAST_HOURS) | ((np.arange(DAYS + 1) == DAYS) & (count > 0))
        if how in ("sum", "mean"):
            total = np.bincount(place[known], values[known], DAYS + 1)
            result[enough] = total[enough] / (count[enough] if how == "mean" else 1)
            return result
        least = np.full(DAYS + 1, np.inf)
        np.minimum.at(least, place[known], values[known] if how == "min" else -values[known])
        result[enough] = least[enough] if how == "min" else -least[enough]
        return result

    return CityWeather(
        hour_end=hours,
        air_c=air_c,
        surface=surface,
        radiation_known=np.isfinite(radiation),
        minimum_c=by_day(air_c, "min"),
        mean_c=by_day(air_c, "mean"),
        maximum_c=by_day(air_c, "max"),
        surface_minimum_c=by_day(surface.value, "min"),
        surface_mean_c=by_day(surface.value, "mean"),
        surface_maximum_c=by_day(surface.value, "max"),
        rain_mm=by_day(rain_mm, "sum"),
        newest_at=datetimes(hours[-1:])[0] if hours.size else None,
    )


def _mean_of_stations(rows: Columns) -> tuple[NDArray[np.datetime64], Floats, Floats, Floats, Floats]:
    order = np.lexsort((rows["recorded_at"], rows["station"], rows["observed_at"]))
    station, at = rows["station"][order], rows["observed_at"][order]
    last = np.append((station[1:] != station[:-1]) | (at[1:] != at[:-1]), True)[: order.size]
    order = order[last]
    hours, which = np.unique(rows["observed_at"][order], return_inverse=True)

    def mean(values: Floats) -> Floats:
        known = np.isfinite(values)
        count = np.bincount(which[known], minlength=hours.size)
        total = np.bincount(which[known], values[known], hours.size)
        return np.where(count > 0, total / np.maximum(count, 1), np.nan)

    columns = (rows["air_temp_c"], rows["rain_mm"], rows["radiation_w_per_m2"], rows["wind_speed_mps"])
    air_c, rain_mm, radiation, wind = (mean(column[order].astype(np.float64)) for column in columns)
    return hours, air_c, rain_mm, radiation, wind


def weather_quantities(setting: Setting) -> dict[str, Quantity]:
    """Frost, thaw, rain, surface temperature and moisture of the base."""
    weather, n = city_weather(setting), len(setting.network.ids)
    newest = [weather.newest_at] * n
    known = int(np.isfinite(weather.mean_c[-30:]).sum())
    wet = int(np.isfinite(weather.rain_mm[-7:]).sum())
    offset_c, sensed = night_offset(setting, weather)
    rain_7d_mm = window_sum(weather.rain_mm, 7)

    def everywhere(value: float, sd: float, count: int) -> Quantity:
        values = np.full(n, value)
        return Quantity(
            values, np.full(n, sd if value == value else np.nan), [count] * n, newest, named("weather", values)
        )

    def by_place(estimate: Estimate, usual: str = "weather") -> Quantity:
        source = [
            "none" if value != value else "sensors" if near else usual
            for value, near in zip(estimate.value.tolist(), sensed.tolist(), strict=True)
        ]
        return Quantity(estimate.value, estimate.sd, [known] * n, newest, source)

    last = setting.instant - HOURS * _HOUR
    recent = weather.hour_end > last
    surface_c = weather.surface.value[recent]
    complete = recent.sum() >= 0.8 * HOURS
    if complete and weather.radiation_known[recent].mean() >= RADIATION_SHARE:
        low_c, high_c, usual = weather.surface_minimum_c, weather.surface_maximum_c, "weather"
        cycles = over_offsets(lambda c: freeze_thaw_cycles(surface_c + c), offset_c)
    else:
        low_c, high_c, usual = weather.minimum_c, weather.maximum_c, "air"
        cycles = over_offsets(lambda c: window_sum(freeze_thaw_days(low_c + c, high_c + c), 30), offset_c)
    by_day = day_count_sd(low_c[-30:], high_c[-30:], place_sd_c=DAY_ERROR_C)
    cycles = with_errors(cycles, by_day, LEAST_CYCLES_SD)
    frost = over_offsets(lambda c: frost_index_cd(weather.surface_mean_c + c, 30), offset_c)
    frost = with_errors(frost, frost_days_sd_cd(weather.surface_mean_c[-30:]), LEAST_FROST_SD_CD)
    known_days = np.flatnonzero(np.isfinite(weather.mean_c))
    begin = int(known_days[0]) if known_days.size else DAYS
    days_c = weather.mean_c[begin:] if DAYS - begin >= LEAST_THAW_DAYS else np.full(1, np.nan)
    modulus = over_offsets(lambda c: 100 * base_modulus_share(days_c + c), offset_c)
    return {
        "freeze_thaw_cycles_30d": by_place(cycles, usual),
        "frost_index_30d_c_d": by_place(frost),
        "base_modulus_pct": by_place(
            with_errors(modulus, SOUND_MODULUS_SD_PCT, np.where(modulus.value < 99.5, WEAK_MODULUS_SD_PCT, 0.0))
        ),
        "rain_7d_mm": everywhere(rain_7d_mm, 1.0 + _RAIN_PLACE_SHARE * rain_7d_mm, wet),
        "surface_temp_c": _surface_temp(setting, weather),
        "soil_moisture_pct": _soil_moisture(setting, weather),
    }


def night_offset(setting: Setting, weather: CityWeather) -> tuple[Estimate, NDArray[np.bool_]]:
    """How much colder or warmer than by the weather each segment is at night [°C], and where sensors tell it."""
    first_day = setting.today - np.timedelta64(30, "D")
    rows = read_facts(setting.conn, "night_minima", Scope(setting.now), first_day=first_day.astype(object))
    place = (rows["day"] - setting.today).astype(int) + DAYS
    off = rows["minimum_c"] - weather.surface_minimum_c[np.clip(place, 0, DAYS)]
    known = np.isfinite(off) & (place >= 0) & (place < DAYS)
    at, which = np.unique(np.column_stack([rows["lon"], rows["lat"]])[known], axis=0, return_inverse=True)
    count = np.bincount(which.reshape(-1), minlength=len(at))
    mean = np.bincount(which.reshape(-1), off[known], len(at)) / np.maximum(count, 1)
    places = setting.network.places
    sensors = at_segments(setting.whole.places, setting.whole.plane_m(at))
    measured = Measured(sensors, mean, np.zeros(len(at)), np.zeros(len(at)))
    spread = _FROST_PLACE_SD_C if not len(at) else NIGHT_OFFSET_SHARED_C
    background = Estimate(np.zeros(1), np.array([spread]))
    field = NIGHT_OFFSET_FIELD
    without = interpolate(places, _none(places), background, field)
    offset = interpolate(places, measured, background, field)
    return offset, offset.sd**2 < 0.5 * without.sd**2


def _none(places: Places) -> Measured:
    nothing = np.zeros(0)
    return Measured(places.take(np.zeros(0, np.intp)), nothing, nothing, nothing)


def measured_surface(setting: Setting, weather: CityWeather) -> tuple[Measured, list[SensorValue]]:
    """What surface sensors say, beside what the weather lets one expect at their time."""
    sensors = read_sensor_values(setting.conn, "surface_temp_c", now=setting.now, window=SURFACE_TEMP_MAX_AGE)
    at = np.array([sensor.observed_at.replace(tzinfo=None) for sensor in sensors], "datetime64[us]")
    return _measured(setting, sensors, weather.expected_c(at)), sensors


def measured_moisture(setting: Setting, weather: CityWeather) -> tuple[Measured, list[SensorValue]]:
    """What moisture probes say, beside what the rain lets one expect."""
    sensors = read_sensor_values(setting.conn, "soil_moisture_pct", now=setting.now, window=SOIL_MOISTURE_MAX_AGE)
    return _measured(setting, sensors, np.full(len(sensors), moisture_by_rain(weather).value[0])), sensors


def _measured(setting: Setting, sensors: list[SensorValue], expected: Floats) -> Measured:
    at = setting.whole.plane_m([(sensor.lon, sensor.lat) for sensor in sensors])
    age_h = np.array([(setting.now - sensor.observed_at) / timedelta(hours=1) for sensor in sensors], np.float64)
    value = np.array([sensor.value for sensor in sensors], np.float64)
    return Measured(at_segments(setting.whole.places, at), value, expected, age_h)


def surface_by_weather(setting: Setting, weather: CityWeather) -> Estimate:
    """Surface temperature by the newest hour of the last three, shape (1,). [°C]"""
    known = np.isfinite(weather.surface.value) & (
        weather.hour_end > setting.instant - np.timedelta64(SURFACE_TEMP_MAX_AGE)
    )
    if not known.any():
        return Estimate(np.full(1, np.nan), np.full(1, np.nan))
    newest = np.flatnonzero(known)[-1:]
    return Estimate(weather.surface.value[newest], weather.surface.sd[newest])


def moisture_by_rain(weather: CityWeather) -> Estimate:
    """Moisture of the base by the rain of two months, shape (1,). [%]"""
    recent = np.isfinite(weather.rain_mm[-30:]).mean() >= 0.8
    return soil_moisture_from_rain_pct(antecedent_precipitation_mm(weather.rain_mm) if recent else float("nan"))


def _surface_temp(setting: Setting, weather: CityWeather) -> Quantity:
    measured, sensors = measured_surface(setting, weather)
    known = np.flatnonzero(np.isfinite(weather.surface.value))
    weather_at = datetimes(weather.hour_end[known[-1:]])[0] if known.size else None
    return _spread(setting, "surface_temp_c", measured, sensors, surface_by_weather(setting, weather), weather_at)


def _soil_moisture(setting: Setting, weather: CityWeather) -> Quantity:
    measured, sensors = measured_moisture(setting, weather)
    background = moisture_by_rain(weather)
    # The curve is off by as much for the whole city as for a place: half of its variance each.
    background = Estimate(background.value, background.sd / 2)
    return _spread(setting, "soil_moisture_pct", measured, sensors, background, weather.newest_at)


def _spread(
    setting: Setting,
    quantity: str,
    measured: Measured,
    sensors: list[SensorValue],
    background: Estimate,
    weather_at: datetime | None,
) -> Quantity:
    """A quantity over the city; where sensors halve the variance of the weather's estimate, they are the source."""
    places, field = setting.network.places, setting.parameters.fields[quantity]
    estimate = interpolate(places, measured, background, field)
    without = interpolate(places, _none(places), background, field)
    by_sensors = (np.isnan(without.sd) | (estimate.sd**2 < 0.5 * without.sd**2)) & bool(sensors)
    newest_sensor = max((sensor.observed_at for sensor in sensors), default=None)
    by_weather = int(np.isfinite(background.value[0]))
    rows = [
        (0, None, "none")
        if value != value
        else (len(sensors), newest_sensor, "sensors")
        if sensed
        else (by_weather + len(sensors), weather_at, "weather")
        for value, sensed in zip(estimate.value.tolist(), by_sensors.tolist(), strict=True)
    ]
    count, newest_at, source = zip(*rows, strict=True)
    return Quantity(estimate.value, estimate.sd, count, newest_at, source)
