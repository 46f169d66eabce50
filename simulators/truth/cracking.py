"""Cracks and roughness of a wearing course: when cracks begin, how they spread, how rough the road becomes.

Cracks begin at an age that differs from segment to segment and then spread S-shaped. Both run on a clock that is faster
after years with many freeze-thaw cycles on a wet base, and under heavy vehicles. Roughness is an index like the IRI
[m/km]; it is not the IRI, which is defined for a car at 80 km/h (ASTM E1926).
"""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

from simulators.randomness import Streams
from simulators.weather.pavement import pavement_year
from simulators.weather.weather import WeatherSource

CRACKED_MOST_PCT, _SPREAD_POWER = 40.0, 1.3
INITIATION_YEARS = {"main": 8.0, "collector": 9.5, "residential": 11.5}
SPREAD_YEARS = {"main": 12.5, "collector": 14.4, "residential": 17.0}
"""15 % of the area (grade 3.5) is cracked after 15, 17.5 and 21 years, mid-range of practice; 25 % (4.5) 5 to 7 years
later, so that a tenth of the main roads and a seventh of the others are beyond it (surveys of Essen: 10 and 15 %)."""
_WEAR_FIXED, _WEAR_WET, _WEAR_FROST = 0.40, 0.30, 0.30
_MEAN_SATURATION, _MEAN_WET_CYCLES = 0.44, 11.0  # of fair drainage in half shade, over 48 years of the climate
_MONTH_BEGINS = np.array([0, 31, 62, 92, 123, 153, 184, 215, 243, 274, 304, 335])  # July first


@lru_cache(maxsize=48)
def wear_of_months(source: WeatherSource, year: int) -> NDArray[np.float64]:
    """Wear of each month of a weather year, July first, in months of the mean climate; shape (12, drainage, exposure).

    A wet base and freeze-thaw cycles on it make two thirds of it; badly drained roads wear faster than well drained.
    """
    pavement = pavement_year(source, year)
    days = pavement.saturation[:365]
    length = np.diff(np.append(_MONTH_BEGINS, 365))[:, None]
    wet = np.add.reduceat(days, _MONTH_BEGINS, axis=0) / length / _MEAN_SATURATION
    cycles = pavement.freeze_thaw_cycles[:365, None, :] * np.clip((days - 0.35) / 0.35, 0.0, 1.0)[:, :, None]
    frost = np.add.reduceat(cycles, _MONTH_BEGINS, axis=0) / _MEAN_WET_CYCLES * 12
    result: NDArray[np.float64] = _WEAR_FIXED + _WEAR_WET * wet[:, :, None] + _WEAR_FROST * frost
    return result


class Cracking:
    """How the wearing courses of a world crack."""

    def __init__(
        self,
        streams: Streams,
        road_class: NDArray[np.str_],
        section: NDArray[np.int32],
        heavy_rank: NDArray[np.float64],
    ) -> None:
        index = np.arange(len(road_class))
        shared, own = streams.normal("truth/initiation", section), streams.normal("truth/initiation", index, 1)
        spread = streams.normal("truth/crack-growth", section)
        begins, grows = (
            np.array([years.get(c, years["residential"]) for c in road_class])
            for years in (INITIATION_YEARS, SPREAD_YEARS)
        )
        self._initiation = begins * np.exp(0.28 * shared + 0.22 * own)
        self._spread = grows * np.exp(0.18 * spread)
        self._speed = 0.85 + 0.3 * heavy_rank

    def crack_pct(self, wear_years: NDArray[np.float64]) -> NDArray[np.float64]:
        """Cracked share of the surface of each segment, after some years of wear since the course was laid [%]."""
        since = np.maximum(self._speed * wear_years - self._initiation, 0.0)
        result: NDArray[np.float64] = CRACKED_MOST_PCT * (1 - np.exp(-((since / self._spread) ** _SPREAD_POWER)))
        return result


def roughness_index(
    age_years: NDArray[np.float64],
    crack_pct: NDArray[np.float64],
    trench_pct: NDArray[np.float64],
    patches: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Roughness, like the IRI [m/km]: 1.6 when new, 4 to 6 on a worn out street.

    Parameters
    ----------
    age_years, crack_pct, trench_pct, patches : numpy.ndarray, shape (n,)
        Age of the wearing course [a], cracked and opened share of the area [%], cold patches per 100 m.
    """
    patched = 0.12 * np.minimum(patches, 8.0)
    result: NDArray[np.float64] = 1.6 + 0.015 * np.minimum(age_years, 40.0) + 0.055 * crack_pct + 0.06 * trench_pct
    return result + patched


def shaking_mps2(roughness: NDArray[np.float64]) -> NDArray[np.float64]:
    """Root mean square of the vertical acceleration in a box at 10 m/s [m/s²]: 0.2 for each m/km."""
    return 0.2 * roughness
