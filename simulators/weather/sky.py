"""The sky over the city: the sun, radiation through clouds, and water vapour. Pure functions of arrays.

References
----------
.. [1] F. Kasten and G. Czeplak, "Solar and terrestrial radiation dependent on the amount and type of cloud," Sol.
   Energy, vol. 24, no. 2, pp. 177-189, 1980, doi:10.1016/0038-092X(80)90391-6.
.. [2] O. A. Alduchov and R. E. Eskridge, "Improved Magnus form approximation of saturation vapor pressure," J. Appl.
   Meteorol., vol. 35, no. 4, pp. 601-609, 1996, doi:10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2.
"""

import numpy as np
from numpy.typing import NDArray

LATITUDE_DEG, LONGITUDE_DEG = 51.45, 7.01
"""Where the made-up city lies: by Essen."""
_CLOUD_WEIGHT, _CLOUD_POWER = 0.75, 3.4  # of [1]: what full cloud takes from the clear sky's radiation


def sun_sine(
    day_of_year: NDArray[np.int64],
    hour_utc: NDArray[np.float64],
    latitude_deg: float = LATITUDE_DEG,
    longitude_deg: float = LONGITUDE_DEG,
) -> NDArray[np.float64]:
    """Sine of the sun's elevation at a place; the equation of time (a quarter of an hour at most) is left out.

    Parameters
    ----------
    day_of_year : numpy.ndarray
        0 for 1 January.
    hour_utc : numpy.ndarray
        0 to 24. [h]
    """
    declination = np.radians(-23.44) * np.cos(2 * np.pi * (day_of_year + 10) / 365.25)
    latitude = np.radians(latitude_deg)
    hour_angle = np.pi * (hour_utc + longitude_deg / 15 - 12) / 12
    result: NDArray[np.float64] = np.sin(latitude) * np.sin(declination) + np.cos(latitude) * np.cos(
        declination
    ) * np.cos(hour_angle)
    return result


def sun_elevation_deg(
    at_us: NDArray[np.int64], latitude_deg: float = LATITUDE_DEG, longitude_deg: float = LONGITUDE_DEG
) -> NDArray[np.float64]:
    """Elevation of the sun at instants [µs since 1970, UTC], without refraction [°].

    Examples
    --------
    >>> sun_elevation_deg(np.array(["2026-01-15T11:32", "2026-06-21T11:32"], "datetime64[us]").astype(int)).round(0)
    array([17., 62.])
    """
    day = np.asarray(at_us, np.int64) // 86_400_000_000
    sine = sun_sine(day_of_year(day), (at_us - day * 86_400_000_000) / 3.6e9, latitude_deg, longitude_deg)
    result: NDArray[np.float64] = np.degrees(np.arcsin(sine))
    return result


def day_of_year(days: NDArray[np.int64]) -> NDArray[np.int64]:
    """0 for 1 January; `days` since 1970."""
    dates = days.astype("datetime64[D]")
    result: NDArray[np.int64] = (dates - dates.astype("datetime64[Y]")).astype(np.int64)
    return result


def day_length_h(days: NDArray[np.int64], latitude_deg: float = LATITUDE_DEG) -> NDArray[np.float64]:
    """Time from sunrise to sunset, without refraction; `days` since 1970. [h]"""
    noon_sine = sun_sine(day_of_year(days), np.array(12.0), latitude_deg, 0.0)
    midnight_sine = sun_sine(day_of_year(days), np.array(0.0), latitude_deg, 0.0)
    # The sine runs as a + b·cos(hour angle) between the two.
    middle, half = (noon_sine + midnight_sine) / 2, (noon_sine - midnight_sine) / 2
    result: NDArray[np.float64] = 24 / np.pi * np.arccos(np.clip(-middle / half, -1, 1))
    return result


def extraterrestrial_kwh_per_m2(days: NDArray[np.int64], latitude_deg: float = LATITUDE_DEG) -> NDArray[np.float64]:
    """Radiation of a whole day on the level above the atmosphere; `days` since 1970. [kWh/m²]"""
    day = day_of_year(days)
    half_day = np.pi * day_length_h(days, latitude_deg) / 24
    noon, midnight = (sun_sine(day, np.array(hour), latitude_deg, 0.0) for hour in (12.0, 0.0))
    mean_sine = ((noon + midnight) / 2 * half_day + (noon - midnight) / 2 * np.sin(half_day)) / np.pi
    nearness = 1 + 0.033 * np.cos(2 * np.pi * (day + 1) / 365.25)
    result: NDArray[np.float64] = 24 * 1.361 * nearness * mean_sine
    return result


def clear_sky_w_per_m2(
    days: NDArray[np.int64], latitude_deg: float = LATITUDE_DEG, longitude_deg: float = LONGITUDE_DEG
) -> NDArray[np.float64]:
    """Global radiation on the level under a clear sky [1] in the middle of each hour, shape (24·days,). [W/m²]"""
    sine = sun_sine(
        np.repeat(day_of_year(days), 24), np.tile(np.arange(24) + 0.5, len(days)), latitude_deg, longitude_deg
    )
    result: NDArray[np.float64] = np.maximum(910.0 * sine - 30.0, 0.0)
    return result


def cloud_transmission(cloud_cover: NDArray[np.float64]) -> NDArray[np.float64]:
    """Part of the clear sky's radiation that comes through clouds [1]; 1 to 0.25 for a cover of 0 to 1."""
    result: NDArray[np.float64] = 1 - _CLOUD_WEIGHT * cloud_cover**_CLOUD_POWER
    return result


def cloud_of_transmission(transmission: NDArray[np.float64]) -> NDArray[np.float64]:
    """The inverse of `cloud_transmission`; what lies outside its range gets the nearest cover."""
    taken = np.clip((1 - transmission) / _CLOUD_WEIGHT, 0.0, 1.0)
    result: NDArray[np.float64] = taken ** (1 / _CLOUD_POWER)
    return result


def saturation_pressure_hpa(temp_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Saturation vapour pressure over water [2]. [hPa]"""
    return 6.1094 * np.exp(17.625 * temp_c / (243.04 + temp_c))


def relative_humidity_pct(dew_point_c: NDArray[np.float64], temp_c: NDArray[np.float64]) -> NDArray[np.float64]:
    """Relative humidity, at most 100 (the dew point is never above the air). [%]"""
    return 100 * saturation_pressure_hpa(np.minimum(dew_point_c, temp_c)) / saturation_pressure_hpa(temp_c)
