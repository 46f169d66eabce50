"""Which class a detector gives what it has found: the four of the road damage challenges, sometimes another one."""

import numpy as np
from numpy.typing import NDArray

DAMAGE_CLASSES = ("D00", "D10", "D20", "D40")
POTHOLE = 3
CONFUSION = np.array(
    [
        [0.9300, 0.0200, 0.0498, 0.0002],
        [0.0250, 0.9396, 0.0350, 0.0004],
        [0.0450, 0.0250, 0.9290, 0.0010],
        [0.0030, 0.0070, 0.0300, 0.9600],
    ]
)
"""Share of each class (row) that is reported as each class (column). There are a hundred cracks for a pothole, so that
one in a thousand makes a third of the false potholes."""
_MOST_MISTAKES = 0.9


def reported_class(
    true: NDArray[np.int64], drawn: NDArray[np.float64], factor: NDArray[np.float64]
) -> NDArray[np.int64]:
    """Classes that a detector gives; both are indexes into `DAMAGE_CLASSES`.

    Parameters
    ----------
    drawn : NDArray
        Uniform numbers of the detections, 0 to 1.
    factor : NDArray
        How many times as often as usual each detection is mistaken.
    """
    wrong = CONFUSION * (1 - np.eye(len(DAMAGE_CLASSES)))
    chance = wrong.sum(axis=1)[true]
    mistaken = np.flatnonzero(drawn < np.minimum(chance * factor, _MOST_MISTAKES))
    result = true.copy()
    if len(mistaken):
        share = drawn[mistaken] / np.minimum(chance * factor, _MOST_MISTAKES)[mistaken]  # uniform again
        steps = np.cumsum(wrong, axis=1) / wrong.sum(axis=1)[:, None]
        result[mistaken] = (share[:, None] > steps[true[mistaken]]).sum(axis=1)
    return result
