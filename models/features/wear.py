"""What a road brings along: age, structure, load, openings, water. Attributes of the register, NaN where it is silent.

Attributes are those of the register's edition known at the time asked about (`CityInputs.segments_at`). Before the
register was first imported they are what they were at that import: what it said earlier, nobody recorded.
"""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

REGISTER_FEATURES: tuple[str, ...] = (
    "wearing_course_age_years", "pavement_age_years", "design_load_used_pct",
    "pavement_class", "heavy_vehicles_per_day", "axle_passes_per_day", "bus_route",
    "trench_area_pct", "recent_trench_pct", "thickness_cm", "frost_deficit_cm", "drainage", "gully_spacing_m",
    "tree_cover_pct", "width_m", "length_m",
)  # fmt: skip
"""Features that an attribute of the register stands in, alone or beside recorded facts (renewals, openings)."""
DESIGN_LOADS_MILLION = np.array([0.3, 1.0, 1.8, 3.2, 10.0, 32.0, 100.0])
"""Largest load of each class of RStO 12, Bk0.3 … Bk100, over its thirty years [million equivalent 10-t axles]."""


def wearing_course_age_years(
    year_built: Floats, renewed_at: NDArray[np.datetime64], as_of: np.datetime64, road_class: NDArray[np.int32]
) -> Floats:
    """Age of the wearing course.

    Parameters
    ----------
    year_built : ndarray, shape (n,)
        Year of the wearing course in the register, NaN unknown; its middle is taken.
    renewed_at : ndarray of datetime64, shape (n,)
        Newest renewal known at `as_of`, NaT where there is none.
    as_of : datetime64
        The instant asked about.
    road_class : ndarray of int, shape (n,)
        Codes of classes of roads.

    Returns
    -------
    ndarray, shape (n,)
        Years, at least 0; NaN unknown. A register that was first imported later knows courses of later years than
        `as_of`: the road had an older one, of which nobody says how old it was. Its age is the median of the known
        ones of its class (of all roads where the class has none): neither that it is unknown nor that it is great may
        tell that the road is to be renewed.

    Examples
    --------
    >>> nat = np.array(["NaT", "2026-01-01"], "datetime64[us]")
    >>> main = np.zeros(2, np.int32)
    >>> wearing_course_age_years(np.array([2000.0, 2000.0]), nat, np.datetime64("2026-07-02"), main).round(1)
    array([26. ,  0.5])
    >>> nat[1] = "NaT"
    >>> wearing_course_age_years(np.array([2000.0, 2027.0]), nat, np.datetime64("2026-07-02"), main).round(1)
    array([26., 26.])
    """
    year = as_of.astype("datetime64[Y]")
    within = (as_of - year.astype("datetime64[D]")) / np.timedelta64(1, "D") / 365.25
    now = year.astype(int) + 1970 + float(within)
    there = year_built <= year.astype(int) + 1970
    age = np.where(there, np.maximum(0.0, now - (year_built + 0.5)), np.nan)
    renewed = ~np.isnat(renewed_at)
    since = np.asarray((as_of - renewed_at) / np.timedelta64(365 * 24 + 6, "h"), dtype=np.float64)
    ages = np.asarray(np.where(renewed, np.fmin(age, since), age), dtype=np.float64)
    later, known = (year_built > year.astype(int) + 1970) & ~renewed, np.isfinite(ages)
    for code in np.unique(road_class[later]):
        alike = known & (road_class == code)
        among = alike if alike.any() else known
        if among.any():
            ages[later & (road_class == code)] = np.median(ages[among])
    return ages


def pavement_age_years(construction_year: Floats, as_of: np.datetime64, road_class: NDArray[np.int32]) -> Floats:
    """Age of the pavement as a whole, shape (n,): as of its wearing course, from the year of construction.

    A renewed surface does not make it younger. A year after that of `as_of` gives the median of the road class, too.
    """
    return wearing_course_age_years(
        construction_year, np.full(construction_year.size, np.datetime64("NaT"), "datetime64[us]"), as_of, road_class
    )


def axle_passes_million(axle_passes_per_day: Floats, years: Floats) -> Floats:
    """Equivalent axles of so many years at today's traffic, shape (n,) [million]; NaN where either is unknown.

    Examples
    --------
    >>> axle_passes_million(np.array([1000.0, np.nan]), np.array([20.0, 20.0])).round(2)
    array([7.3, nan])
    """
    return np.asarray(axle_passes_per_day * years * 365.25 / 1e6)


def design_load_used_pct(passes_million: Floats, pavement_class: Floats) -> Floats:
    """Share of the load that the pavement was designed for that has passed. [%]

    Parameters
    ----------
    passes_million : ndarray, shape (n,)
        Equivalent 10-t axles since construction. [million]
    pavement_class : ndarray, shape (n,)
        Rank of the class of RStO 12, NaN unknown. Its design load is the largest of the class. [1]

    Examples
    --------
    >>> design_load_used_pct(np.array([0.6, 5.0, 5.0]), np.array([0.0, 4.0, np.nan]))
    array([200.,  50.,  nan])
    """
    known = np.isfinite(pavement_class)
    design = np.where(known, DESIGN_LOADS_MILLION[np.where(known, pavement_class, 0).astype(np.int64)], np.nan)
    return np.asarray(100 * passes_million / design)


def recent_trench_pct(area_m2: Floats, length_m: Floats, width_m: Floats) -> Floats:
    """Share of a segment's surface that utilities opened lately. [%]

    Parameters
    ----------
    area_m2 : ndarray, shape (n,)
        Area of the openings recorded within the window. [m²]
    length_m, width_m : ndarray, shape (n,)
        Of the segment. [m] An unknown width gives NaN, unless nothing was opened.

    Notes
    -----
    In a study of Pacifica (California), cuts over more than 10 % of the area went with a condition index 30 % lower.

    Examples
    --------
    >>> recent_trench_pct(np.array([0.0, 30.0]), np.array([100.0, 100.0]), np.array([np.nan, 6.0]))
    array([0., 5.])
    """
    share = 100 * area_m2 / (length_m * width_m)
    return np.where(area_m2 == 0, 0.0, np.minimum(share, 100.0))
