"""What weather does to a road: temperatures by a heat balance and conduction, base moisture by a bucket, and frost.

Heat: one column of pavement with seven nodes. At its surface short-wave radiation is absorbed, long-wave radiation and
wind take heat away; below, heat is conducted, down to ground of nearly constant temperature. Backward Euler in steps of
one hour with one mean surface coefficient, so that the step matrix is constant and a year costs milliseconds; the wind
of the hour scales the radiative forcing. Heat in less heat out is heat stored, to rounding.

Latent heat is left out. Evaporation: the surface is dry and quick. Freezing: a base with 5 % of water by volume gives
off 17 MJ/m³, as much as 8 °C of cooling; frost therefore comes and goes some days early at 40 cm and deeper.

References
----------
.. [1] M. I. Gui, P. E. Phelan, K. E. Kaloush, and J. S. Golden, "Impact of pavement thermophysical properties on
   surface temperatures," J. Mater. Civ. Eng., vol. 19, no. 8, pp. 683-690, 2007,
   doi:10.1061/(ASCE)0899-1561(2007)19:8(683).
.. [2] FHWA-HRT-08-057, "Long-Term Pavement Performance: freeze-thaw," chapter 4: depression and the 0 °C isotherm.
.. [3] CRREL 96-14: critical weakness after a thawing index of about 16 °C·d.
"""

from dataclasses import dataclass
from datetime import date
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from simulators.weather.weather import HourlyWeather, WeatherSource, weather_year

DRAINAGE = ("good", "fair", "poor")
EXPOSURES = ("open", "half", "shaded")
_SUNLIT = np.array([1.0, 0.75, 0.45])  # share of global radiation that reaches the surface, by exposure
_SKY = np.array([1.0, 0.8, 0.55])  # share of the sky that the surface sees
DEPTHS_M = np.array([0.0, 0.05, 0.12, 0.20, 0.40, 0.80, 1.60])
CONDUCTIVITY_W_PER_MK, HEAT_J_PER_M3K = 1.4, 2.0e6
SURFACE_W_PER_M2K = 24.0
GROUND_TEMP_C, GROUND_BELOW_M = 10.4, 2.0
"""Ground of constant temperature, and how far below the lowest node it lies."""
_ABSORPTIVITY, _CLEAR_SKY_LOSS_W_PER_M2 = 0.90, 92.0
_LEAST_RISE_C, _MOST_RISE_C = -9.0, 38.0  # of the equivalent temperature over the air: calm air limits neither

FREEZE_C, THAW_C = -1.0, 1.0  # hysteresis of a freeze-thaw cycle [2]
CRITICAL_THAW_C_D = 16.0  # [3]
RECOVERY_DAYS = 40.0  # e-folding of base strength: all but recovered after four months

CAPACITY_MM = 15.0
RESIDUAL = 0.25  # degree of saturation that never drains
_INFILTRATION = np.array([0.12, 0.18, 0.24])  # share of rain that enters the base, by drainage
_DRAIN_DAYS = np.array([6.0, 10.0, 16.0])
WET_SATURATION = 0.55


@dataclass(frozen=True, slots=True)
class PavementYear:
    """Hourly and daily states of one weather year; exposure and drainage are the last axis."""

    depth_temp_c: NDArray[np.float32]  # (hours, depths, exposures)
    freeze_thaw_cycles: NDArray[np.int8]  # (days, exposures): cycles completed on that day
    thaw_weakness: NDArray[np.float64]  # (days,): 0 none … 1 base and subgrade at their weakest
    saturation: NDArray[np.float64]  # (days, drainage): degree of saturation at the end of the day

    @property
    def surface_temp_c(self) -> NDArray[np.float32]:
        """Shape (hours, exposures)."""
        return self.depth_temp_c[:, 0, :]

    @property
    def ground_temp_c(self) -> NDArray[np.float32]:
        """Under half shade, where most sensors are: shape (hours, depths)."""
        return self.depth_temp_c[:, :, 1]


def pavement_year(source: WeatherSource, year: int) -> PavementYear:
    """States of the weather year that begins on 1 July of `year`; spun up over the spring before it."""
    return _pavement_year(source.within(date(year - 1, 7, 1), date(year + 1, 6, 30)), year)


@lru_cache(maxsize=32)
def _pavement_year(source: WeatherSource, year: int) -> PavementYear:
    before, weather = weather_year(source, year - 1), weather_year(source, year)
    spin_hours = 24 * 92
    spin = before.window(len(before.ends_at) - spin_hours, len(before.ends_at))
    temp = _column(HourlyWeather.joined([spin, weather]))[spin_hours:].astype(np.float32)
    daily_temp = weather.air_temp_c.reshape(-1, 24).mean(axis=1)
    _, weakness = thaw_weakness(daily_temp)
    liquid = np.concatenate([spin.melt_mm, weather.melt_mm]).reshape(-1, 24).sum(axis=1)
    radiation = np.concatenate([spin.radiation_w_per_m2, weather.radiation_w_per_m2]).reshape(-1, 24).mean(axis=1)
    saturation, _, _ = base_moisture(liquid, radiation)
    days = spin_hours // 24
    return PavementYear(
        depth_temp_c=temp,
        freeze_thaw_cycles=daily_cycles(temp[:, 0, :]),
        thaw_weakness=weakness,
        saturation=saturation[days:],
    )


def _column(weather: HourlyWeather) -> NDArray[np.float64]:
    """Temperatures of the column, shape (hours, depths, exposures)."""
    return column_temperatures(
        weather.air_temp_c, weather.radiation_w_per_m2, weather.cloud_cover, weather.wind_speed_mps
    )


def column_temperatures(
    air_temp_c: NDArray[np.float64],
    radiation_w_per_m2: NDArray[np.float64],
    cloud_cover: NDArray[np.float64],
    wind_speed_mps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Temperatures in a pavement, hour by hour, from a start at the first air temperature.

    Parameters
    ----------
    air_temp_c, radiation_w_per_m2, cloud_cover, wind_speed_mps : numpy.ndarray, shape (n,)
        Air temperature [°C], global radiation [W/m²], cloud cover [0-1] and wind speed [m/s] of each hour.

    Returns
    -------
    numpy.ndarray, shape (n, 7, 3)
        Temperature at `DEPTHS_M` for each of `EXPOSURES`. [°C]
    """
    equivalent = equivalent_temp_c(air_temp_c, radiation_w_per_m2, cloud_cover, wind_speed_mps)
    heat = node_heat_j_per_m2k()
    forcing, ground = np.zeros(len(DEPTHS_M)), np.zeros(len(DEPTHS_M))
    forcing[0] = 3600.0 * SURFACE_W_PER_M2K / heat[0]
    ground[-1] = 3600.0 * CONDUCTIVITY_W_PER_MK / GROUND_BELOW_M / heat[-1] * GROUND_TEMP_C
    start = np.linspace(float(air_temp_c[:24].mean()), GROUND_TEMP_C, len(DEPTHS_M))
    # In the eigenvectors of the step each mode is a filter of first order of its own.
    values, vectors = np.linalg.eig(np.linalg.inv(_system(3600.0)))
    values, vectors = values.real, vectors.real  # the system is similar to a symmetric one
    into = np.linalg.inv(vectors)
    modes = np.empty((len(DEPTHS_M), len(air_temp_c), len(EXPOSURES)))
    for mode, value in enumerate(values.tolist()):
        driven = value * (float(into[mode] @ forcing) * equivalent + float(into[mode] @ ground))
        initial = np.full((1, len(EXPOSURES)), value * float(into[mode] @ start))
        modes[mode], _ = lfilter([1.0], [1.0, -value], driven, axis=0, zi=initial)
    result: NDArray[np.float64] = np.einsum("dm,mhe->hde", vectors, modes)
    return result


def equivalent_temp_c(
    air_temp_c: NDArray[np.float64],
    radiation_w_per_m2: NDArray[np.float64],
    cloud_cover: NDArray[np.float64],
    wind_speed_mps: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Temperature at which a surface would neither take nor give heat, shape (n, 3): the air's, with what the sun gives
    and the sky takes, the more, the calmer it is (parameters as for `column_temperatures`). [°C]"""
    exchange = 10.0 + 3.8 * wind_speed_mps  # radiation and convection together [W/(m²·K)]
    absorbed = _ABSORPTIVITY * radiation_w_per_m2[:, None] * _SUNLIT
    lost = _CLEAR_SKY_LOSS_W_PER_M2 * (1 - 0.85 * cloud_cover[:, None] ** 2) * _SKY
    rise = np.clip((absorbed - lost) / exchange[:, None], _LEAST_RISE_C, _MOST_RISE_C)
    result: NDArray[np.float64] = air_temp_c[:, None] + rise
    return result


def node_heat_j_per_m2k() -> NDArray[np.float64]:
    """Heat capacity of each node's slab per area [J/(m²·K)]."""
    edges = np.concatenate([[0.0], (DEPTHS_M[1:] + DEPTHS_M[:-1]) / 2, [2.4]])
    result: NDArray[np.float64] = np.diff(edges) * HEAT_J_PER_M3K
    return result


def _system(seconds: float) -> NDArray[np.float64]:
    """Matrix of the backward Euler step: surface exchange, conduction between nodes, ground below."""
    count = len(DEPTHS_M)
    matrix, heat = np.eye(count), node_heat_j_per_m2k()
    for i, gap in enumerate(np.diff(DEPTHS_M)):
        flow = seconds * CONDUCTIVITY_W_PER_MK / gap
        for a, b in ((i, i + 1), (i + 1, i)):
            matrix[a, a] += flow / heat[a]
            matrix[a, b] -= flow / heat[a]
    matrix[0, 0] += seconds * SURFACE_W_PER_M2K / heat[0]
    matrix[-1, -1] += seconds * CONDUCTIVITY_W_PER_MK / GROUND_BELOW_M / heat[-1]
    return matrix


def daily_cycles(surface_temp_c: NDArray[np.float32]) -> NDArray[np.int8]:
    """Freeze-thaw cycles completed on each day: above +1 °C after below -1 °C after above +1 °C, each for an hour.

    Parameters
    ----------
    surface_temp_c : numpy.ndarray, shape (24·days, k)
        Hourly temperatures. [°C]

    Returns
    -------
    numpy.ndarray, shape (days, k)

    Examples
    --------
    >>> day = np.array([[2.0]] * 6 + [[0.5]] * 6 + [[-2.0]] * 6 + [[1.5]] * 6, np.float32)
    >>> daily_cycles(day).tolist(), daily_cycles(np.abs(day)).tolist()
    ([[1]], [[0]])
    """
    side = np.where(surface_temp_c > THAW_C, 1, np.where(surface_temp_c < FREEZE_C, -1, 0)).astype(np.int8)
    # Carry the last decided side over the undecided band between.
    decided = np.where(side != 0, np.arange(len(side))[:, None], -1)
    last = np.maximum.accumulate(decided, axis=0)
    carried = np.where(last >= 0, np.take_along_axis(side, np.maximum(last, 0), axis=0), 1)
    thawed = (carried[1:] == 1) & (carried[:-1] == -1)
    hours = np.concatenate([np.zeros((1, side.shape[1]), bool), thawed])
    result: NDArray[np.int8] = hours.reshape(-1, 24, side.shape[1]).sum(axis=1).astype(np.int8)
    return result


def thaw_weakness(daily_temp_c: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Freezing index of the present frost period, and how weak the base is while and after it thaws.

    Parameters
    ----------
    daily_temp_c : numpy.ndarray, shape (days,)
        Daily mean air temperature, from a day without frost in the ground on. [°C]

    Returns
    -------
    freezing_index, weakness : numpy.ndarray, shape (days,)
        Σ of degrees below zero of the frost period [°C·d]; 0 (strong) to 1: reached when frost of 40 °C·d or more has
        thawed by 16 °C·d, recovering with a time constant of 40 days afterwards.
    """
    freezing_index, weakness = np.zeros_like(daily_temp_c), np.zeros_like(daily_temp_c)
    frost = thawing = weak = 0.0
    for day, temp in enumerate(daily_temp_c.tolist()):
        weak *= float(np.exp(-1 / RECOVERY_DAYS))
        if temp < 0:
            frost, thawing = frost - temp, 0.0
        elif frost > 0:
            thawing += temp
            reached = min(thawing / CRITICAL_THAW_C_D, 1.0)
            weak = max(weak, min(frost / 40.0, 1.0) ** 0.7 * reached)
            if reached >= 1.0:
                frost = 0.0
        freezing_index[day], weakness[day] = frost, weak
    return freezing_index, weakness


def base_moisture(
    liquid_mm: NDArray[np.float64], radiation_w_per_m2: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Water in the base by a bucket for each drainage class: what comes in goes out or stays.

    Parameters
    ----------
    liquid_mm, radiation_w_per_m2 : numpy.ndarray, shape (days,)
        Rain and melt water that reaches the road [mm/d]; mean global radiation [W/m²].

    Returns
    -------
    saturation, inflow_mm, outflow_mm : numpy.ndarray, shape (days, 3)
        Degree of saturation at the end of the day (0.25 to 1); water that entered and left the base that day [mm].
    """
    shape = (len(liquid_mm), len(DRAINAGE))
    saturation, inflow, outflow = np.zeros(shape), np.zeros(shape), np.zeros(shape)
    # Vapour leaves through cracks and shoulders: 4 % of what the sun could evaporate (2.45 MJ/kg).
    vapour = 0.04 * radiation_w_per_m2 * 86_400 / 2.45e6
    full, residual = CAPACITY_MM, RESIDUAL * CAPACITY_MM
    for column in range(len(DRAINAGE)):
        stored = 0.45 * full
        share, drain = float(_INFILTRATION[column]), float(np.exp(-1 / _DRAIN_DAYS[column]))
        for day, (water, dry) in enumerate(zip(liquid_mm.tolist(), vapour.tolist(), strict=True)):
            entering = min(share * water, full - stored)
            free = stored + entering - residual
            left = max(free * drain - dry, 0.0)
            inflow[day, column], outflow[day, column] = entering, free - left
            stored = residual + left
            saturation[day, column] = stored / full
    return saturation, inflow, outflow


def year_offset_days(year: int, day: date) -> int:
    """Row of a (UTC) day in the daily arrays of its weather year."""
    return (day - date(year, 7, 1)).days
