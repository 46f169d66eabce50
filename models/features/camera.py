"""What passing cameras saw, per good pass, and how much they looked: exposure is a feature, not an accident."""

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]

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


def per_good_pass(segment_index: Ints, seen: Floats, good_passes: Floats, weight: Floats, segment_count: int) -> Floats:
    """Detections per good pass, weighted by recency.

    Parameters
    ----------
    segment_index : ndarray, shape (n,)
        Segment of each segment-day.
    seen, good_passes, weight : ndarray, shape (n,)
        Detections and good passes of the day, and the weight of its age. [-]
    segment_count : int
        Number of segments.

    Returns
    -------
    ndarray, shape (segment_count,)
        ``sum(w * seen) / sum(w * good_passes)``; NaN where no good pass is known.
    """
    total = np.bincount(segment_index, weights=weight * seen, minlength=segment_count)
    exposure = np.bincount(segment_index, weights=weight * good_passes, minlength=segment_count)
    rate: Floats = np.divide(total, exposure, out=np.full(segment_count, np.nan), where=exposure > 0)
    return rate
