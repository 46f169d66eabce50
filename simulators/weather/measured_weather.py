"""Hours of measured weather: as a file has them, or from its days.

From days: a temperature wave from the night's minimum to the afternoon's maximum and on to the next night, whose
minimum, maximum and mean are the day's; rain shared out over wet hours with the day's sum; radiation from the sunshine
duration [1]_ [2]_, else from cloud. What a file does not have is the generated climate's (wind, pressure), or follows
from what it has (humidity from a dew point near the night's minimum).

References
----------
.. [1] A. Ångström, "Solar and terrestrial radiation," Q. J. R. Meteorol. Soc., vol. 50, no. 210, pp. 121-126, 1924,
   doi:10.1002/qj.49705021008.
.. [2] R. G. Allen, L. S. Pereira, D. Raes, and M. Smith, "Crop evapotranspiration," FAO Irrigation and Drainage Paper
   56, 1998, equation 35: shares of the radiation above the atmosphere.
"""

from dataclasses import fields, replace

import numpy as np
from numpy.typing import NDArray

from simulators.weather.climate import ClimateHours, Noise, days_since_1970, hourly_rain, hourly_wind
from simulators.weather.sky import (
    clear_sky_w_per_m2,
    cloud_of_transmission,
    cloud_transmission,
    day_length_h,
    extraterrestrial_kwh_per_m2,
    relative_humidity_pct,
)
from simulators.weather.weather_files import WeatherFile

_MAXIMUM_HOUR = 13  # UTC: about 14:30 by the sun in summer time's zone
_OVERCAST_SHARE, _SUN_SHARE = 0.25, 0.50  # [2]
_MEMORY_HOURS = 87.0  # of temperature, as in the generator: how long generated weather remembers where measured ended

Floats = NDArray[np.float64]


def with_measured(
    file: WeatherFile,
    generated: ClimateHours,
    noise: Noise,
    days: NDArray[np.int64],
    last_day: int,
    place: tuple[float, float],
) -> tuple[ClimateHours, Floats]:
    """Hours of a weather year with those that a file has in their place, and measured snow depth [cm] (else NaN).

    Parameters
    ----------
    generated : ClimateHours
        Hours of all days but the first of `days`.
    days : numpy.ndarray
        Consecutive days since 1970; the first leads into the year.
    last_day : int
        Measured weather after this day (since 1970) is not used; generated weather goes on from there, and its
        temperature leads over within days.
    place : tuple of float
        Latitude and longitude. [°]
    """
    first = days_since_1970(file.first)
    begin, stop = max(first, int(days[1])), min(last_day, days_since_1970(file.last), int(days[-1])) + 1
    snow_cm = np.full(24 * (len(days) - 1), np.nan)
    if begin >= stop:
        return generated, snow_cm
    rows = slice(begin - first, stop - first)
    hours = slice(24 * (begin - int(days[1])), 24 * (stop - int(days[1])))
    usual = ClimateHours(*(getattr(generated, f.name)[hours] for f in fields(ClimateHours)))
    covered = np.arange(begin - 1, stop)
    if file.is_hourly:
        measured, snow_cm[hours] = _from_hours(file, rows, usual, covered, place)
    else:
        measured, snow_cm[hours] = _from_days(file, rows, usual, noise, covered, place)
    joined = {}
    for f in fields(ClimateHours):
        joined[f.name] = getattr(generated, f.name).copy()
        joined[f.name][hours] = getattr(measured, f.name)
    after = len(snow_cm) - hours.stop
    if after > 0:
        offset = float(measured.air_temp_c[-1] - usual.air_temp_c[-1])
        led = generated.air_temp_c[hours.stop :] + offset * np.exp(-np.arange(1, after + 1) / _MEMORY_HOURS)
        joined["air_temp_c"][hours.stop :] = led.round(2)
    return replace(generated, **joined), snow_cm


def _from_hours(
    file: WeatherFile,
    rows: slice,
    usual: ClimateHours,
    days: NDArray[np.int64],
    place: tuple[float, float],
) -> tuple[ClimateHours, Floats]:
    hours = slice(24 * rows.start, 24 * rows.stop)
    count = 24 * (rows.stop - rows.start)
    columns = {name: values[hours] for name, values in file.columns.items()}
    nothing = np.full(count, np.nan)
    clear = clear_sky_w_per_m2(days[1:], *place)
    cloud, radiation = (columns.get(name, nothing) for name in ("cloud_cover", "radiation_w_per_m2"))
    per_day = np.nansum(radiation.reshape(-1, 24), axis=1) / clear.reshape(-1, 24).sum(axis=1)
    cloud = np.where(np.isnan(cloud), np.repeat(cloud_of_transmission(per_day), 24), cloud)
    temp = columns["air_temp_c"]
    dew = np.repeat(temp.reshape(-1, 24).min(axis=1) - 1.0, 24)
    result = ClimateHours(
        air_temp_c=temp,
        humidity_pct=_known(columns.get("humidity_pct", nothing), relative_humidity_pct(dew, temp).round(1)),
        wind_speed_mps=_known(columns.get("wind_speed_mps", nothing), usual.wind_speed_mps),
        rain_mm=columns["rain_mm"],
        radiation_w_per_m2=_known(radiation, clear * cloud_transmission(cloud)).round(1),
        cloud_cover=cloud,
        pressure_hpa=_known(columns.get("pressure_hpa", nothing), usual.pressure_hpa),
    )
    return result, columns.get("snow_depth_cm", nothing)


def _from_days(
    file: WeatherFile,
    rows: slice,
    usual: ClimateHours,
    noise: Noise,
    days: NDArray[np.int64],
    place: tuple[float, float],
) -> tuple[ClimateHours, Floats]:
    count = rows.stop - rows.start
    columns = {name: values[rows] for name, values in file.columns.items()}
    nothing = np.full(count, np.nan)
    temp = _temperature(file, rows, np.clip(12 - day_length_h(days[1:], place[0]) / 2, 3, 7))
    sun = np.clip(columns.get("sunshine_h", nothing) / day_length_h(days[1:], place[0]), 0, 1)
    cloud = columns.get("cloud_cover", nothing)
    clear = clear_sky_w_per_m2(days[1:], *place)
    clear_kwh = clear.reshape(-1, 24).sum(axis=1) / 1000
    by_sun = (_OVERCAST_SHARE + _SUN_SHARE * sun) * extraterrestrial_kwh_per_m2(days[1:], place[0]) / clear_kwh
    through = _known(by_sun, cloud_transmission(cloud))
    cloud = _known(cloud, cloud_of_transmission(through))
    wind = hourly_wind(noise, days, np.full(len(days), 3.0)).reshape(-1, 24)
    wind *= (columns.get("wind_speed_mps", nothing) / wind.mean(axis=1))[:, None]
    result = ClimateHours(
        air_temp_c=temp.ravel().round(2),
        humidity_pct=_humidity(columns.get("humidity_pct", nothing), temp).ravel().round(1),
        wind_speed_mps=_known(wind.ravel(), usual.wind_speed_mps).round(2),
        rain_mm=hourly_rain(noise, days[1:], columns["rain_mm"]),
        radiation_w_per_m2=(clear * np.repeat(through, 24)).round(1),
        cloud_cover=np.repeat(cloud, 24),
        pressure_hpa=_known(_through_noons(columns.get("pressure_hpa", nothing)), usual.pressure_hpa).round(1),
    )
    return result, _through_noons(columns.get("snow_depth_cm", nothing)).round(1)


def _known(values: Floats, otherwise: Floats) -> Floats:
    return np.where(np.isnan(values), otherwise, values)


def _through_noons(daily: Floats) -> Floats:
    """Straight lines from noon to noon; NaN where a day has no value."""
    hours = (np.arange(24 * len(daily)) + 0.5) / 24 - 0.5
    known = ~np.isnan(daily)
    if not known.any():
        return np.full(24 * len(daily), np.nan)
    lines = np.interp(hours, np.flatnonzero(known), daily[known])
    return np.where(np.repeat(known, 24), lines, np.nan)


def _temperature(file: WeatherFile, rows: slice, minimum_hour: Floats) -> Floats:
    """Hours of days, shape (days, 24): their minimum and maximum are the file's, their mean too where hours can have it
    (within about a tenth of the range of either end they cannot)."""
    total = len(file.columns["air_temp_min_c"])
    around = np.clip(np.arange(rows.start - 1, rows.stop + 1), 0, total - 1)
    low, high, mean = (file.columns[f"air_temp_{name}_c"][around] for name in ("min", "max", "mean"))
    # Midnights: between the days' means, cooled by the night, within what both days allow.
    width = high - low
    midnight = (mean[:-1] + mean[1:]) / 2 - 0.08 * (width[:-1] + width[1:])
    lowest, highest = np.maximum(low[:-1], low[1:]), np.minimum(high[:-1], high[1:])
    midnight = np.where(lowest > highest, (lowest + highest) / 2, np.clip(midnight, lowest, highest))
    low, high, mean = (values[1:-1, None] for values in (low, high, mean))
    begin, end = (np.clip(values[:, None], low, high) for values in (midnight[:-1], midnight[1:]))
    hour, coldest = np.arange(24.0), np.round(minimum_hour)[:, None]

    def between(a: Floats, b: Floats, share: Floats) -> Floats:
        course: Floats = a + (b - a) * (1 - np.cos(np.pi * np.clip(share, 0, 1))) / 2
        return course

    wave = np.where(
        hour <= coldest,
        between(begin, low, (hour + 0.5) / (coldest + 0.5)),
        np.where(
            hour <= _MAXIMUM_HOUR,
            between(low, high, (hour - coldest) / (_MAXIMUM_HOUR - coldest)),
            between(high, end, (hour - _MAXIMUM_HOUR) / (23.5 - _MAXIMUM_HOUR)),
        ),
    )
    span = np.maximum(high - low, 1e-9)
    result: Floats = low + span * _with_mean(np.clip((wave - low) / span, 0, 1).round(9), (mean - low) / span)
    return result


def _with_mean(share: Floats, mean: Floats) -> Floats:
    """Raise shares of 0 to 1 to the power that gives each row its mean: 0 stays 0, and 1 stays 1."""
    lowest, highest = np.full_like(mean, -3.0), np.full_like(mean, 3.0)  # of the power's natural logarithm
    for _ in range(40):
        middle = (lowest + highest) / 2
        above = (share ** np.exp(middle)).mean(axis=1, keepdims=True) > mean
        lowest, highest = np.where(above, middle, lowest), np.where(above, highest, middle)
    result: Floats = share ** np.exp((lowest + highest) / 2)
    return result


def _humidity(mean_pct: Floats, temp: Floats) -> Floats:
    """Relative humidity of hours under a dew point that gives the day's mean; without one it lies 1 °C below the
    minimum. [%]"""
    lowest, highest = temp.min(axis=1, keepdims=True) - 40.0, temp.max(axis=1, keepdims=True)
    for _ in range(30):
        middle = (lowest + highest) / 2
        above = relative_humidity_pct(middle, temp).mean(axis=1, keepdims=True) > mean_pct[:, None]
        lowest, highest = np.where(above, lowest, middle), np.where(above, middle, highest)
    unknown = temp.min(axis=1, keepdims=True) - 1.0
    return relative_humidity_pct(np.where(np.isnan(mean_pct)[:, None], unknown, (lowest + highest) / 2), temp)
