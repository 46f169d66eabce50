"""What each kind of sensor would show: the world around it, with the errors of its probes.

Values are in the units and under the names of the codec. Every sensor has errors of its own that stay (`bias`) and
errors from sample to sample (`noise`), within what the makers state.

References
----------
.. [1] G. C. Topp, J. L. Davis, and A. P. Annan, "Electromagnetic determination of soil water content," Water Resour.
   Res., vol. 16, no. 3, pp. 574-582, 1980, doi:10.1029/WR016i003p00574: dielectric probes see liquid water, not ice.
.. [2] O. A. Alduchov and R. E. Eskridge, "Improved Magnus form approximation of saturation vapor pressure," J. Appl.
   Meteorol., vol. 35, pp. 601-609, 1996, doi:10.1175/1520-0450(1996)035<0601:IMFAOS>2.0.CO;2.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.devices.device_kinds import (
    LSE01_DEPTH_CM,
    PT100_DEPTH_CM,
    SMTP_DEPTHS_CM,
    SPEED_CLASSES_KMH,
    DeviceKind,
)
from simulators.devices.surroundings import Floats, Ints, Surroundings
from simulators.devices.traffic_flow import class_shares, inbound_share, per_hour, poisson
from simulators.instants import DAY_US, HOUR_US

RAIN_TIP_MM = 0.017
"""Size of a drop of the weather station's gauge."""
BIASES = 20
"""How many lasting errors a device has at most."""
_GULLY_DEPTH_MM = 950.0
_SILT_CYCLE_DAYS = 183  # gullies are emptied twice a year
_STEPS_PER_G = 63.0


@dataclass(frozen=True, slots=True)
class Sites:
    """Where the devices of a world stand, by their number."""

    exposure: NDArray[np.intp]
    drainage: NDArray[np.intp]
    vehicles_per_day: Floats
    heavy_per_day: Floats
    speed_kmh: Floats
    """Mean speed of free traffic."""
    unevenness: Floats
    """0 smooth to 1: how likely a lorry shakes what stands beside it."""
    rain_before_mm: Callable[[int], float]
    """Rain from the day on which all devices were installed to the begin of a weather year."""


@dataclass(frozen=True, slots=True)
class Samples:
    """n samples of devices of one kind within one weather year."""

    kind: DeviceKind
    device: NDArray[np.int32]
    at_us: Ints
    around: Surroundings
    year: int
    sites: Sites
    noise: Floats
    """Standard normal numbers, (draws, n)."""
    uniform: Floats
    """The same draws in (0, 1)."""
    bias: Floats
    """Standard normal numbers of each device, (BIASES, n)."""

    def now(self, hourly: NDArray[np.floating], *, lag_s: float = 0.0) -> Floats:
        """A series at the samples' times, or as long before as a probe lags behind."""
        return self.around.at(self.at_us - int(lag_s * 1e6), hourly)

    def ground_temp_c(self, depths_cm: tuple[int, ...], *, lag_s: float = 0.0) -> Floats:
        """Temperatures in the pavement where the devices are, (n, depths)."""
        hourly = self.around.ground_temp_c(depths_cm)
        return self.around.at(self.at_us - int(lag_s * 1e6), hourly, self.sites.exposure[self.device])

    @property
    def air_temp_c(self) -> Floats:
        """Of the air itself."""
        return self.now(self.around.air_temp_c)

    @property
    def sun(self) -> Floats:
        """Global radiation, 1 for a clear summer noon."""
        return self.now(self.around.radiation_w_per_m2) / 900.0


Values = dict[str, Floats]


def _surface(s: Samples) -> Values:
    """A pyrometer on a mast: quick, ±0.3 K; its own air probe is warmed by the sun, the shielded one hardly."""
    exposure = s.sites.exposure[s.device]
    surface = s.around.at(s.at_us, s.around.surface_temp_c, exposure) + 0.25 * s.bias[0] + 0.10 * s.noise[0]
    sunlit = s.sun * np.array([1.0, 0.7, 0.3])[exposure]
    air = s.air_temp_c
    humidity = s.now(s.around.humidity_pct)
    shield = air + 0.15 * s.bias[1] + 0.25 * sunlit + 0.05 * s.noise[1]
    plain = air + 0.2 * s.bias[2] + 1.6 * sunlit + 0.08 * s.noise[2]
    dry = np.exp(17.625 * air / (243.04 + air) - 17.625 * plain / (243.04 + plain))  # same vapour in warmer air [2]
    plain_humidity = np.clip(humidity * dry + 1.0 * s.bias[3] + 0.6 * s.noise[3], 1, 100)
    return {
        "surface_temperature": surface,
        "air_temperature": plain,
        "air_humidity": plain_humidity,
        "dew_point": dew_point_c(plain, plain_humidity),
        "angle": np.rint(38 + 4 * s.bias[4]),
        "sensor_temperature": np.round(plain + 0.8 * sunlit + 0.4, 2),
        "air_temperature_radiation_shield": shield,
        "air_humidity_radiation_shield": np.clip(humidity + 0.8 * s.bias[5] + 0.5 * s.noise[4], 0, 100),
    }


def dew_point_c(temp_c: Floats, humidity_pct: Floats) -> Floats:
    """Dew point over water [°C] by the Magnus form [2], for 1 to 100 %.

    Examples
    --------
    >>> dew_point_c(np.array([20.0]), np.array([50.0])).round(1)
    array([9.3])
    """
    gamma = np.log(humidity_pct / 100) + 17.625 * temp_c / (243.04 + temp_c)
    result: Floats = 243.04 * gamma / (17.625 - gamma)
    return result


def _pavement(s: Samples) -> Values:
    """A platinum probe (class B: ±0.3 K) in the asphalt; its sheath is ten minutes behind."""
    temp = s.ground_temp_c((PT100_DEPTH_CM,), lag_s=600)[:, 0]
    return {"temperature": temp + 0.2 * s.bias[0] + 0.03 * s.noise[0]}


def _moisture(s: Samples, depths_cm: tuple[int, ...], temp_c: Floats, first_bias: int) -> Floats:
    """Volumetric moisture at depths, (n, depths) [%]: deeper soil follows later, and ice is not seen [1]."""
    lags = tuple(max(1, round(depth / 10) - 1) for depth in depths_cm)
    wet = s.around.at(s.at_us, s.around.saturation(lags), s.sites.drainage[s.device])
    volume = 7.0 + 24.0 * wet + 0.8 * s.bias[first_bias : first_bias + len(lags)].T
    liquid = np.clip(1 + 0.5 * temp_c, 0.35, 1.0)
    result: Floats = np.clip(volume, 1, 60) * liquid
    return result


def _soil_profile(s: Samples) -> Values:
    depths = SMTP_DEPTHS_CM
    temp = s.ground_temp_c(depths) + 0.2 * s.bias[: len(depths)].T
    moisture = _moisture(s, depths, temp, first_bias=len(depths))
    values: Values = {}
    for i in range(len(depths)):
        values[f"soil_moisture_at_depth_{i}"] = moisture[:, i] + 0.06 * s.noise[2 * i]
        values[f"soil_temperature_at_depth_{i}"] = temp[:, i] + 0.03 * s.noise[2 * i + 1]
    return values


def _soil(s: Samples) -> Values:
    temp = s.ground_temp_c((LSE01_DEPTH_CM,)) + 0.3 * s.bias[:1].T
    moisture = _moisture(s, (LSE01_DEPTH_CM,), temp, first_bias=1)[:, 0]
    # Conductivity of the bulk soil rises with its water, and with salt that seeps in.
    ec = (3.2 + 0.6 * s.bias[2]) * np.maximum(moisture, 1) ** 1.3 * (1 + 0.6 * s.now(s.around.salt, lag_s=5 * 86_400))
    return {
        "water_SOIL": np.clip(moisture + 0.1 * s.noise[0], 0, 100),
        "temp_SOIL": temp[:, 0] + 0.04 * s.noise[1],
        "conduct_SOIL": np.clip(ec * (1 + 0.01 * s.noise[2]), 1, 20_000),
    }


def _level_mm(s: Samples, noise_mm: float) -> Floats:
    """Water in a gully or a low point: what lies in its sump, and what has run to it lately."""
    poor = 0.6 + 0.4 * s.sites.drainage[s.device]
    level = 45.0 + 12.0 * s.bias[0] + s.now(s.around.runoff_mm) * 16.0 * poor * np.exp(0.3 * s.bias[1])
    result: Floats = np.clip(level + noise_mm * s.noise[0], 0, 3000)
    return result


def _water_level(s: Samples) -> Values:
    """A pressure probe in an underpass or a gully: depth, temperature and conductivity; salt comes with the thaw."""
    runoff = s.now(s.around.runoff_mm)
    ground = s.ground_temp_c((80,))[:, 0]
    mixed = np.clip(runoff / 8.0, 0, 0.6)
    temp = np.clip(ground * (1 - mixed) + s.air_temp_c * mixed + 0.2 * s.bias[2], 0.3, 30) + 0.06 * s.noise[1]
    salt = s.now(s.around.salt)
    ec = (620 + 120 * s.bias[3]) / (1 + 0.35 * runoff) + 5200 * salt * np.exp(-runoff / 6)
    return {
        "water_depth": _level_mm(s, 1.2),
        "temperature": temp,
        "electrical_conductivity": np.clip(ec * (1 + 0.01 * s.noise[2]), 30, 60_000),
        "freezing_flag": np.zeros(len(s.at_us)),
    }


def _water_distance(s: Samples) -> Values:
    """Ultrasound from under the lid of a gully: 1 mm steps, ±(1 mm + 0.3 %), never nearer than its blind zone."""
    mount = _GULLY_DEPTH_MM + 60.0 * s.bias[2]
    distance = mount - _level_mm(s, 0.0)
    warm = 0.0017 * (s.air_temp_c - 20) * 0.1  # a tenth of the change of the speed of sound is left uncorrected
    return {"distance": np.clip(distance * (1 + warm) + 1.5 * s.noise[1], 300, 10_000)}


def _weather(s: Samples) -> Values:
    air = s.air_temp_c + 0.2 * s.bias[0] + 0.05 * s.noise[0]
    humidity = np.clip(s.now(s.around.humidity_pct) + 0.8 * s.bias[1] + 0.5 * s.noise[1], 1, 100)
    wind = np.clip(s.now(s.around.wind_speed_mps) * (1 + 0.15 * s.noise[2]) * np.exp(0.1 * s.bias[2]), 0, 60)
    gust = wind * (1.35 + 0.15 * np.abs(s.noise[3])) + 0.3
    direction = np.round((s.now(s.around.wind_direction_deg) + 12 * s.noise[4] + 2 * s.bias[3]) % 360, 1) % 360
    interval_us = s.kind.interval_s * 1_000_000
    before = s.sites.rain_before_mm(s.year)
    caught = 1 + 0.02 * s.bias[4]
    drops = [
        np.floor((before + s.around.rain_mm(at)) * caught / RAIN_TIP_MM + 1e-6)
        for at in (s.at_us, s.at_us - interval_us)
    ]
    pressure_hpa = s.now(s.around.pressure_hpa) + 0.3 * s.bias[5] + 0.05 * s.noise[5]
    vapour_kpa = 0.61094 * np.exp(17.625 * air / (243.04 + air)) * humidity / 100
    raining = drops[0] > drops[1]
    return {
        "solar_radiation": np.clip(s.now(s.around.radiation_w_per_m2) * (1 + 0.02 * s.bias[6]), 0, 1500),
        "precipitation": np.round(np.maximum(drops[0] - drops[1], 0) * RAIN_TIP_MM, 3),
        "lightning_strike_count": np.zeros(len(s.at_us)),
        "lightning_average_distance": np.zeros(len(s.at_us)),
        "wind_speed": wind,
        "wind_direction": direction,
        "maximum_wind_speed": np.clip(gust, 0, 90),
        "air_temperature": air,
        "vapor_pressure": np.round(vapour_kpa, 2),
        "barometric_pressure": pressure_hpa / 10,
        "relative_humidity": humidity,
        "internal_temperature": np.round(air + 3.0 * s.sun + 0.5, 1),
        "tilt_angle_x_orientation": np.round(0.5 * s.bias[7] + 0.05 * s.noise[6], 1),
        "tilt_angle_y_orientation": np.round(0.5 * s.bias[8] + 0.05 * s.noise[7], 1),
        "precipitation_electrical_conductivity": np.where(raining, 18.0, 0.0),
        "cumulative_precipitation": np.round(drops[0] * RAIN_TIP_MM, 3),
    }


def _vibration(s: Samples) -> Values:
    """A box at the kerb: gravity by how it hangs, jolts while a lorry passes, and how many jolts there were."""
    row = s.around.hour(s.at_us)
    lorries = per_hour(
        s.sites.heavy_per_day[s.device], s.around.local_hour[row], s.around.day_kind[row], heavy=True
    ) * (s.kind.interval_s / 3600)
    felt = lorries * s.sites.unevenness[s.device]
    passing = s.uniform[3] < felt * 1.5 / s.kind.interval_s  # a lorry shakes the box for a second and a half
    jolt = np.where(passing, 6.0, 0.25)
    lean_x, lean_y = 0.02 * s.bias[0], 0.02 * s.bias[1]
    return {
        "temperature": s.now(s.around.air_temp_c, lag_s=1200) + 3.0 * s.sun + 0.3 * s.bias[2],
        "humidity": np.clip(35 + 0.5 * s.now(s.around.humidity_pct, lag_s=7200) + 1.2 * s.noise[4], 5, 100),
        "x": np.clip(_STEPS_PER_G * lean_x + jolt * s.noise[0], -128, 127),
        "y": np.clip(_STEPS_PER_G * lean_y + jolt * s.noise[1], -128, 127),
        "z": np.clip(_STEPS_PER_G * (1 - (lean_x**2 + lean_y**2) / 2) + jolt * s.noise[2], -128, 127),
        "accMotion": np.minimum(poisson(s.uniform[5], felt), 255),
    }


def _silt(s: Samples) -> Values:
    """The bucket of a gully on a scale: what rain has washed into it since it was emptied, and leaves."""
    day = s.at_us // DAY_US
    since = (day + (7 * s.device).astype(np.int64)) % _SILT_CYCLE_DAYS
    emptied_us = s.at_us - since * DAY_US - s.at_us % DAY_US + 8 * HOUR_US
    washed_mm = np.maximum(s.around.rain_mm(s.at_us) - s.around.rain_mm(np.minimum(emptied_us, s.at_us)), 0)
    grams_per_mm = 26.0 * np.exp(0.35 * s.bias[0])
    water = 900.0 * np.clip(s.now(s.around.runoff_mm) / 5.0, 0, 1)
    return {"weight": 3400 + 250 * s.bias[1] + washed_mm * grams_per_mm + water + 12 * s.noise[0]}


def _traffic(s: Samples) -> Values:
    """A radar at a main road: vehicles of the last interval by direction and class of speed."""
    row = s.around.hour(s.at_us - s.kind.interval_s * 500_000)  # the middle of what was counted
    hour = s.around.local_hour[row]
    vehicles = per_hour(s.sites.vehicles_per_day[s.device], hour, s.around.day_kind[row])
    vehicles = vehicles * (s.kind.interval_s / 3600) * np.exp(0.06 * s.noise[0])
    free = s.sites.speed_kmh[s.device]
    full = np.clip(vehicles * 3600 / s.kind.interval_s / 1500, 0, 1)
    shares, means = class_shares(free * (1.04 - 0.28 * full**2) + 1.2 * s.noise[1], 7.5, SPEED_CLASSES_KMH)
    inbound = inbound_share(hour)
    values: Values = {
        "solar_panel_power": np.rint(2600 * s.sun * np.exp(0.1 * s.bias[0])),
        "temperature": s.now(s.around.air_temp_c, lag_s=900) + 5.0 * s.sun + 0.3 * s.bias[1],
    }
    for number in range(len(SPEED_CLASSES_KMH) + 1):
        for side, part in (("left", inbound), ("right", 1 - inbound)):
            draw = 2 + 2 * number + (side == "right")
            count = np.minimum(poisson(s.uniform[draw], vehicles * part * shares[:, number]), 65_535)
            values[f"{side}_count_class{number}"] = count
            values[f"{side}_avg_class{number}"] = np.where(count > 0, np.rint(means[:, number]), 0)
    return values


@dataclass(frozen=True, slots=True)
class Model:
    """How values of a kind are made, and how many random numbers a sample needs."""

    make: Callable[[Samples], Values]
    draws: int


MODELS: dict[str, Model] = {
    "surface": Model(_surface, 5),
    "pavement": Model(_pavement, 1),
    "soil-profile": Model(_soil_profile, 2 * len(SMTP_DEPTHS_CM)),
    "soil": Model(_soil, 3),
    "water-level": Model(_water_level, 3),
    "water-distance": Model(_water_distance, 2),
    "weather": Model(_weather, 8),
    "vibration": Model(_vibration, 6),
    "silt": Model(_silt, 1),
    "traffic": Model(_traffic, 2 + 2 * (len(SPEED_CLASSES_KMH) + 1)),
}
"""By `DeviceKind.short`."""
