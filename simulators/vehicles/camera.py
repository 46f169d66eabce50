"""How well a camera on a vehicle can see: light, wetness, blur; and a detector with the skill of published ones.

Recall and precision of about 0.75 for potholes in the vehicle's own lane (F1 of the road damage challenges: 0.67 to
0.79, doi:10.48550/arXiv.2209.08538); × 0.6 when the road is wet or it is dark. What it reports: `vehicles.detector`.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from simulators.vehicles.traffic import Passes
from simulators.weather.sky import sun_elevation_deg
from simulators.weather.weather import HourlyWeather
from simulators.world import World

RECALL_BY_SEVERITY = np.array([0.0, 0.62, 0.80, 0.92])  # index: severity 1 to 3
OTHER_LANE, POOR_FRAME = 0.35, 0.6
FALSE_PER_100_M = 0.0045
"""False potholes per 100 m drive; with the cracks that are taken for potholes, precision is about 0.75."""
CONFIRMED_FALSE_FACTOR = 0.2
"""Cameras that pass many times a day report what several drives agree on: this share of their false potholes stays."""
_CONFUSERS = 3
# Horizontal illuminance under a clear sky by the sun's elevation: night with street lamps, the end of civil twilight,
# sunrise, and up to high sun; decimal logarithm of lux.
_ELEVATION_DEG = np.array([-90.0, -12.0, -6.0, 0.0, 5.0, 10.0, 20.0, 40.0, 65.0])
_CLEAR_LOG_LUX = np.array([0.9, 0.9, 1.0, 2.75, 3.75, 4.1, 4.5, 4.85, 5.0])
_OVERCAST_LOG_LUX = -0.75  # a closed cover lets a fifth through


@dataclass(frozen=True, slots=True)
class FrameQuality:
    """Of each drive, 0 to 1: blur, wetness of the surface, light (0.1 by street lamps, 0.3 about at sunrise)."""

    blur: NDArray[np.float64]
    wet: NDArray[np.float64]
    light: NDArray[np.float64]

    def take(self, rows: NDArray[np.intp]) -> "FrameQuality":
        """Of some of the drives."""
        return FrameQuality(self.blur[rows], self.wet[rows], self.light[rows])

    @property
    def good(self) -> NDArray[np.bool_]:
        """Frames fit for detection."""
        return (self.wet < 0.5) & (self.light > 0.3) & (self.blur < 0.6)


def frame_quality(
    world: World, passes: Passes, weather: HourlyWeather, time_key: int | NDArray[np.int64]
) -> FrameQuality:
    """Quality of the frames of each drive, from the weather of its hour, which `weather` has to cover.

    `time_key` is the day of the drives, or a number of each.
    """
    first_us = weather.ends_at[0].astype(np.int64)
    hour = np.clip((passes.start_us - first_us) // 3_600_000_000 + 1, 0, len(weather.ends_at) - 1)
    before = np.maximum(hour - 1, 0)
    film = np.clip(weather.rain_mm[hour] / 0.4 + 0.5 * weather.rain_mm[before] / 0.4, 0, 1)
    noise = world.streams.uniforms("camera/quality", passes.key, time_key, 3)
    wet = np.clip(0.85 * film + 0.10 * noise[0], 0, 1)
    light = np.clip(daylight(passes.start_us, weather.cloud_cover[hour]) + 0.05 * (noise[1] - 0.5), 0, 1)
    blur = np.clip(0.04 + 0.012 * passes.speed_mps + 0.25 * noise[2] ** 4 + 0.15 * (1 - light), 0, 1)
    return FrameQuality(blur.round(2), wet.round(2), light.round(2))


def daylight(at_us: NDArray[np.int64], cloud_cover: NDArray[np.float64]) -> NDArray[np.float64]:
    """Light in a frame, 0 to 1, at instants [µs since 1970, UTC] under a cloud cover of 0 to 1.

    Logarithmic in the illuminance, as exposure is: 0.1 below 30 lx, 0.3 at 160 lx, 0.95 from 30,000 lx on.

    Examples
    --------
    >>> noon, dawn = (int(np.datetime64(f"2026-01-15T{utc}", "us").astype(int)) for utc in ("12:00", "06:30"))
    >>> daylight(np.array([noon, dawn]), np.array([1.0, 0.0])).round(2).tolist()
    [0.7, 0.1]
    """
    log_lux = np.interp(sun_elevation_deg(at_us), _ELEVATION_DEG, _CLEAR_LOG_LUX)
    log_lux += _OVERCAST_LOG_LUX * cloud_cover**3
    result: NDArray[np.float64] = 0.1 + 0.85 * np.clip((log_lux - 1.5) / 3.0, 0, 1)
    return result


def recall(severity: NDArray[np.int64], own_lane: NDArray[np.bool_], good: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Chance that a hole in view is reported in one drive."""
    result: NDArray[np.float64] = (
        RECALL_BY_SEVERITY[severity] * np.where(own_lane, 1.0, OTHER_LANE) * np.where(good, 1.0, POOR_FRAME)
    )
    return result


def false_potholes(
    world: World,
    passes: Passes,
    good: NDArray[np.bool_],
    time_key: int | NDArray[np.int64],
    factor: NDArray[np.float64],
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Rows of drives with a false pothole, and its station [m]: lids, patches, shadows, mostly the same ones again.

    `factor` multiplies the usual number of each drive.
    """
    length = world.geometry.section_length_m[passes.section]
    proneness = _proneness(world)[passes.section]
    mean = factor * FALSE_PER_100_M * length / 100 * proneness * np.where(good, 1.0, 1.3)
    rows = np.flatnonzero(world.streams.uniform("camera/false", passes.key, time_key) < 1 - np.exp(-mean))
    time_key = np.broadcast_to(time_key, passes.key.shape)[rows]
    which = (world.streams.uniform("camera/false", passes.key[rows], time_key, 1) * _CONFUSERS).astype(np.int64)
    station = length[rows] * world.streams.uniform("camera/confuser", passes.section[rows], which)
    return rows, station


def _proneness(world: World) -> NDArray[np.float64]:
    """How much a section looks like holes where there are none; 1 on average."""
    known: NDArray[np.float64] | None = world.kept.get("camera proneness")
    if known is None:
        known = np.exp(0.8 * world.streams.normal("camera/proneness", np.arange(len(world.sections))) - 0.32)
        world.kept["camera proneness"] = known
    return known
