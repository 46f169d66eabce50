"""What vehicle passes saw of a segment on one local day, in columns: the form in which history is loaded."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FIT_FRAME_BLUR_MAX = 0.6
FIT_FRAME_WET_MAX = 0.5
FIT_FRAME_LIGHT_MIN = 0.3
"""A frame is fit for detection when it is not blurred, wet or dark beyond these; a pass is good when at least half of
its frames over the segment are. Wet roads hide cracks, and detectors that were trained by day fail in the dark."""

ROUGHNESS_REFERENCE_SPEED_MPS = 10.0
"""Speed to which vertical acceleration is normalised: that of a refuse truck or bus between stops. [m/s]

The profile of a road has a displacement spectrum that falls with the square of the spatial frequency (ISO 8608), so
that the acceleration a linear vehicle feels grows with the square root of its speed: normalised, it is
``accel_rms_mps2 * sqrt(10 / speed_mps)``.
"""

ROUGHNESS_SPEED_MIN_MPS = 3.0
"""Slower than this, engine and stops shake the vehicle more than the road does: no roughness. [m/s]"""


ACCEL_MIN_MPS2, ACCEL_MAX_MPS2 = 0.01, 15.0
"""A vehicle that drives is shaken by more than the first, and no road shakes it by more than the second (1.5 g as a
root mean square) [m/s²]: beyond them the sensor is dead, loose or broken."""

ACCEL_STUCK_READINGS = 8
"""So many readings of one pass over a segment with the very same acceleration: the sensor is stuck."""


@dataclass(frozen=True, slots=True)
class SegmentDays:
    """n rows; a segment-day without a row means that nobody passed.

    `segment_ids` are public ids; `segment_index` (n,) points into them. `day` (n,) is a local day of the city
    (datetime64[D]); `recorded_at` (n,) UTC (datetime64[us]). The counts (n,) are detections of all passes of the day;
    `roughness_mps2` (n,) is NaN where no pass measured it [m/s²].
    """

    segment_ids: tuple[str, ...]
    segment_index: NDArray[np.int32]
    day: NDArray[np.datetime64]
    recorded_at: NDArray[np.datetime64]
    passes: NDArray[np.int16]
    good_passes: NDArray[np.int16]
    longitudinal_cracks: NDArray[np.int16]
    transverse_cracks: NDArray[np.int16]
    alligator_cracks: NDArray[np.int16]
    potholes_seen: NDArray[np.int16]
    roughness_mps2: NDArray[np.float32]
