"""What a road register gives: sections with a line, and the attributes that matter for wear."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import date

import msgspec
import numpy as np
from numpy.typing import NDArray

ROAD_CLASSES: tuple[str, ...] = ("main", "collector", "residential", "other")


class Attributes(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Attributes of a section or segment; None is *unknown*, never "no". Kept as JSON under these names.

    Classes and terms: RStO 12 (pavement class Bk0.3 … Bk100), domain of pavement engineering.
    """

    construction_year: int | None = None
    wearing_course_year: int | None = None
    pavement_class: str | None = None
    surface: str | None = None
    heavy_vehicles_per_day: float | None = None
    axle_passes_per_day: float | None = None
    """Equivalent passes of a 10-t axle on the heaviest lane (RStO 12, without slope and growth)."""
    bus_route: bool | None = None
    tram_track: bool | None = None
    """Rails in the carriageway, which cameras take for damage again and again."""
    trench_area_pct: float | None = None
    thickness_cm: float | None = None
    """Frost-safe thickness built, all layers above the subgrade. [cm]"""
    frost_deficit_cm: float | None = None
    """Frost-safe thickness required less thickness built (RStO 12); positive: too thin. [cm]"""
    drainage: str | None = None  # good, fair, poor
    gully_spacing_m: float | None = None
    tree_cover_pct: float | None = None
    land_use: str | None = None  # centre, housing, industry, green
    width_m: float | None = None
    lanes: int | None = None
    speed_limit_kmh: float | None = None


PLAUSIBLE_ATTRIBUTES: dict[str, tuple[float, float]] = {
    "construction_year": (1700, 2100),
    "wearing_course_year": (1700, 2100),
    "heavy_vehicles_per_day": (0, 50_000),
    "axle_passes_per_day": (0, 200_000),
    "trench_area_pct": (0, 100),
    "thickness_cm": (3, 300),
    "frost_deficit_cm": (-150, 150),
    "gully_spacing_m": (1, 2000),
    "tree_cover_pct": (0, 100),
    "width_m": (1, 100),
    "lanes": (1, 20),
    "speed_limit_kmh": (1, 200),
}
"""Least and greatest value that an attribute can have; what is outside, such as −999 or 9999, stands for unknown."""


def plausible_attribute(name: str, value: object) -> float:
    """A number of a register; NaN for what is unknown and for what no road has.

    Examples
    --------
    >>> [plausible_attribute("width_m", value) for value in (6.5, -999, None)]
    [6.5, nan, nan]
    """
    return float(plausible_attributes(name, [value])[0])


def plausible_attributes(name: str, values: Iterable[object]) -> NDArray[np.float64]:
    """The same of many values, shape (n,): in large cities, one by one they take a second."""
    numbers = np.array([_number(value) for value in values], np.float64)
    low, high = PLAUSIBLE_ATTRIBUTES.get(name, (-np.inf, np.inf))
    numbers[~((numbers >= low) & (numbers <= high))] = np.nan
    return numbers


def _number(value: object) -> float:
    if value is None:
        return np.nan
    return float(value) if isinstance(value, (int, float)) else float(str(value))


@dataclass(frozen=True, slots=True)
class RoadSection:
    """One stretch of road as its register has it.

    `line` has shape (n ≥ 2, 2): longitude and latitude, WGS 84 [°], in the direction of stationing.
    """

    source: str
    source_section_id: str
    line: NDArray[np.float64]
    name: str | None = None
    district: str | None = None
    road_class: str = "other"
    owner: str | None = None
    maintenance_district: str | None = None
    warranty_until: date | None = None
    inspection_interval_days: int | None = None
    attributes: Attributes = field(default_factory=Attributes)


@dataclass(frozen=True, slots=True)
class Segment:
    """An equal piece of a section's centreline.

    `public_id` is `source:section:from-to` with stations rounded to whole metres: stable as long as the
    section's length is. `line` as in `RoadSection`.
    """

    public_id: str
    section_index: int
    nominal_length_m: int
    from_station_m: float
    to_station_m: float
    name: str
    district: str
    road_class: str
    line: NDArray[np.float64]
    attributes: Attributes

    @property
    def length_m(self) -> float:
        """Length along the centreline [m]."""
        return self.to_station_m - self.from_station_m
