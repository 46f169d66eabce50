"""What passing cameras saw, per good pass, and how much they looked: exposure is a feature, not an accident."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

HALF_LIFE_DAYS = 45.0
"""A pass this old counts half as much as one of today [d]."""


def recency_weight(age_days: Floats, *, half_life_days: float = HALF_LIFE_DAYS) -> Floats:
    """Weight of a pass by its age: 1 today, 0.5 after the half-life. [-]

    Examples
    --------
    >>> recency_weight(np.array([0.0, 45.0, 90.0]))
    array([1.  , 0.5 , 0.25])
    """
    return np.asarray(0.5 ** (np.maximum(age_days, 0.0) / half_life_days))


def rate(seen: Floats, looked: Floats) -> Floats:
    """What was seen for each time somebody looked, both added up by segment with the weights of their ages, shape (n,).

    NaN where nobody looked.
    """
    rates: Floats = np.divide(seen, looked, out=np.full(looked.size, np.nan), where=looked > 0)
    return rates
