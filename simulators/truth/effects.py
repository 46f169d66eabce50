"""How strong each cause of potholes is, and from where on it acts: other numbers in every world.

No model can learn the simulator by heart, because sizes and thresholds are drawn anew for each seed about the values of
the sources (docs/reference/simulator.md). All draws are cut off at two standard deviations.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from simulators.randomness import Streams

SIZE_SPREAD = 0.2
"""Standard deviation of the logarithm of the exponent on each effect."""
THRESHOLD_SPREAD = 0.15
"""Standard deviation of the logarithm of each threshold that is a ratio or a share."""

_SIZES = ("age", "crack", "trench", "load", "frost", "cycles", "rain", "wet_base", "cold", "thaw", "traffic")


@dataclass(frozen=True, slots=True)
class Effects:
    """The effects of one world. Sizes are exponents on the multiplier of the sources (1: as there)."""

    age: float
    crack: float
    trench: float
    load: float
    frost: float
    cycles: float
    rain: float
    wet_base: float
    cold: float
    thaw: float
    traffic: float
    """On the power 0.35 of heavy traffic's change where it is diverted."""
    crack_low_pct: float
    """Cracked area with half of ×2 [%]; 5 on average."""
    crack_high_pct: float
    """Cracked area half way from ×2 to ×5 [%]; 20."""
    trench_pct: float
    """10 %."""
    frost_deficit_cm: float
    """10 cm, ± 1.5."""
    utilisation: float
    """Axle passes so far by those designed for; 1."""
    cycle_cap: float
    """Freeze-thaw cycles of a fortnight beyond which more do not matter; 8."""
    wet_saturation: float
    """Degree of saturation of the base from which on it counts as wet; 0.35 ± 0.03."""


@lru_cache(maxsize=16)
def effects_of(streams: Streams) -> Effects:
    """The effects of a seed."""
    z = np.clip(streams.normal("truth/effects", np.arange(18)), -2.0, 2.0)
    size: dict[str, float] = dict(zip(_SIZES, np.exp(SIZE_SPREAD * z[:11]).tolist(), strict=True))
    ratio = np.exp(THRESHOLD_SPREAD * z[11:]).tolist()
    return Effects(
        **size,
        crack_low_pct=5.0 * ratio[0],
        crack_high_pct=20.0 * ratio[1],
        trench_pct=10.0 * ratio[2],
        frost_deficit_cm=10.0 + 1.5 * float(z[14]),
        utilisation=ratio[4],
        cycle_cap=8.0 * ratio[5],
        wet_saturation=0.35 + 0.03 * float(z[17]),
    )
