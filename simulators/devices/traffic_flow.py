"""How much traffic there is by the hour and how fast it goes: what counters and shaken boxes at a carriageway notice.

Shapes of a German town: two peaks on working days, later and flatter at weekends, few lorries on Sundays (§ 30 StVO).
The numbers are assumptions of that shape.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr, ndtri

Floats = NDArray[np.float64]

_WORKDAY = np.array(
    [7, 4, 3, 3, 6, 16, 42, 74, 69, 54, 50, 51, 54, 55, 58, 69, 79, 74, 62, 49, 36, 27, 21, 17]
)  # fmt: skip
_SATURDAY = np.array(
    [16, 11, 8, 6, 6, 9, 17, 28, 44, 59, 69, 73, 72, 68, 64, 62, 61, 60, 58, 51, 42, 35, 32, 29]
)  # fmt: skip
_SUNDAY = np.array(
    [24, 18, 14, 11, 9, 9, 12, 19, 31, 46, 60, 69, 70, 69, 71, 73, 74, 72, 65, 55, 44, 35, 27, 23]
)  # fmt: skip
_HOURS = np.stack([day / day.sum() for day in (_WORKDAY, _SATURDAY, _SUNDAY)])
_OF_WORKDAY = np.array([1.0, 0.78, 0.58])
_HEAVY_OF_WORKDAY = np.array([1.0, 0.40, 0.12])
_HEAVY_SHARE = {"main": 0.045, "collector": 0.04}
_HEAVY_SHARE_ELSEWHERE = 0.03
_INBOUND_BY_HOUR = 0.5 + 0.10 * np.cos(2 * np.pi * (np.arange(24) - 7.5) / 19)


def vehicles_per_day(heavy_vehicles_per_day: Floats, road_class: NDArray[np.str_]) -> Floats:
    """All vehicles of a working day, from the heavy ones that a register knows."""
    share = np.full(len(road_class), _HEAVY_SHARE_ELSEWHERE)
    for name, value in _HEAVY_SHARE.items():
        share[road_class == name] = value
    result: Floats = heavy_vehicles_per_day / share
    return result


def per_hour(daily: Floats, hour: NDArray[np.int64], day_kind: NDArray[np.int64], *, heavy: bool = False) -> Floats:
    """Expected vehicles in an hour of the local day, from those of a working day; `day_kind` as in Surroundings."""
    level = _HEAVY_OF_WORKDAY if heavy else _OF_WORKDAY
    result: Floats = daily * level[day_kind] * _HOURS[day_kind, hour]
    return result


def inbound_share(hour: NDArray[np.int64]) -> Floats:
    """Part of the traffic that drives into town: more in the morning."""
    result: Floats = _INBOUND_BY_HOUR[hour]
    return result


def class_shares(mean_kmh: Floats, spread_kmh: float, limits_kmh: tuple[float, ...]) -> tuple[Floats, Floats]:
    """How speeds spread over classes.

    Parameters
    ----------
    mean_kmh : numpy.ndarray, shape (n,)
        Mean speed; speeds are normally distributed about it.
    limits_kmh : tuple of float
        Upper ends of all classes but the last.

    Returns
    -------
    shares, means : numpy.ndarray, shape (n, classes)
        Part of the vehicles in each class, and their mean speed there [km/h].
    """
    edges = np.concatenate([[-np.inf], limits_kmh, [np.inf]])
    standard = (edges[None, :] - mean_kmh[:, None]) / spread_kmh
    below = ndtr(standard)
    shares = np.maximum(np.diff(below, axis=1), 1e-9)
    density = np.exp(-0.5 * standard**2) / np.sqrt(2 * np.pi)
    means = mean_kmh[:, None] - spread_kmh * np.diff(density, axis=1) / shares
    low, high = np.maximum(edges[:-1], 3.0), np.minimum(edges[1:], 160.0)
    return shares, np.clip(means, low, high)


def poisson(uniform: Floats, expected: Floats) -> Floats:
    """Poisson numbers by inversion of uniform ones; above 30 by the normal law with its skewness (Cornish-Fisher)."""
    many = expected > 30
    normal = ndtri(uniform)
    approximate = np.rint(expected + np.sqrt(expected) * normal + (normal**2 - 1) / 6)
    result = np.where(many, np.maximum(approximate, 0.0), 0.0)
    few = np.flatnonzero(~many.ravel())
    u, mean = uniform.ravel()[few], expected.ravel()[few]
    term, count = np.exp(-mean), np.zeros(len(few))
    total = term.copy()
    for k in range(1, 90):
        above = u > total
        if not above.any():
            break
        count[above] = k
        term = term * mean / k
        total += term
    result.ravel()[few] = count
    return result
