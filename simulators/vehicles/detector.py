"""What a detector tells of each thing that it has found: class, confidence, box in the image, estimated size.

Confidences of true and false detections overlap, as those of published detectors do. Boxes follow from a pinhole camera
behind the windscreen; sizes are a fifth off (1 σ), depths two fifths, as monocular estimates are.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit, ndtri

from simulators.randomness import Streams
from simulators.vehicles.mistakes import DAMAGE_CLASSES, POTHOLE

CODES = (*DAMAGE_CLASSES, "D44", "D50")
LONGITUDINAL, TRANSVERSE, ALLIGATOR, WORN_LINE, LID = 0, 1, 2, 4, 5
IMAGE_WIDTH_PX, IMAGE_HEIGHT_PX = 1280, 720
_FOCAL_PX, _HORIZON_PX = 900.0, 290.0
_NEAR_M, _FAR_M = 6.5, 14.0  # where things are reported: below, the bonnet hides the road
_TRUE_LOGIT, _FALSE_LOGIT, _POOR_LOGIT, _SPREAD_LOGIT = 0.75, -0.45, -0.5, 0.85
_LOWEST, _HIGHEST = 0.25, 0.99  # what is less sure is not reported
_TYPICAL_M = np.array([[0.15, 2.5], [1.8, 0.15], [1.0, 1.4], [0.30, 0.35], [0.15, 3.0], [0.62, 0.62]])
_FALSE_DEPTH_M = 0.02


@dataclass(frozen=True, slots=True)
class Found:
    """n things that detectors reported, sorted by reading, potholes first.

    `entity` and `time_key` name a thing for random streams. `width_m` and `depth_m` are the true ones of holes, NaN of
    other things.
    """

    reading: NDArray[np.int64]
    code: NDArray[np.int64]  # reported: index into `CODES`
    is_true: NDArray[np.bool_]
    entity: NDArray[np.int64]
    time_key: NDArray[np.int64]
    width_m: NDArray[np.float64]
    depth_m: NDArray[np.float64]
    right_m: NDArray[np.float64]  # of the vehicle's middle; NaN where it does not matter

    @classmethod
    def joined(cls, parts: "list[Found]") -> "Found":
        """Several lots as one, in order."""
        whole = cls(*(np.concatenate([getattr(part, name) for part in parts]) for name in cls.__slots__))
        # Ordered by what a thing is, not by what else was found.
        order = np.lexsort((whole.entity, whole.code != POTHOLE, whole.reading))
        return cls(*(getattr(whole, name)[order] for name in cls.__slots__))


@dataclass(frozen=True, slots=True)
class Described:
    """What is told of n things; rounded as it is sent. Depth is NaN for all but potholes."""

    confidence: NDArray[np.float64]
    box_px: NDArray[np.float64]  # (n, 4): x_min, y_min, x_max, y_max
    width_m: NDArray[np.float64]
    length_m: NDArray[np.float64]
    depth_m: NDArray[np.float64]
    area_m2: NDArray[np.float64]


def describe(
    streams: Streams,
    found: Found,
    good: NDArray[np.bool_],
    confidence_shift: NDArray[np.float64],
    camera_height_m: NDArray[np.float64],
) -> Described:
    """What detectors tell.

    Parameters
    ----------
    good : NDArray
        Whether the frame of each thing was fit.
    confidence_shift : NDArray
        What the version of the detector adds to the confidence.
    camera_height_m : NDArray
        Height above the road. [m]
    """
    drawn = streams.uniforms("camera/box", found.entity, found.time_key, 6)
    width, length = _sizes(found, ndtri(drawn[1:3]))
    depth = np.where(np.isnan(found.depth_m), _FALSE_DEPTH_M, found.depth_m)
    depth = np.clip(depth * np.exp(0.4 * ndtri(drawn[3])), 0.005, 0.3)
    logit = np.where(found.is_true, _TRUE_LOGIT, _FALSE_LOGIT) + np.where(good, 0.0, _POOR_LOGIT)
    logit += np.where(np.isnan(found.width_m), 0.0, 1.5 * (np.nan_to_num(found.width_m) - 0.3))  # large ones are clear
    surely = expit(logit + _SPREAD_LOGIT * ndtri(drawn[0]))
    confidence = np.clip(_LOWEST + (_HIGHEST - _LOWEST) * surely + confidence_shift, 0.01, _HIGHEST)
    return Described(
        confidence.round(3),
        _boxes(found, width, length, drawn[4:6], camera_height_m).round(1),
        width.round(2),
        length.round(2),
        np.where(found.code == POTHOLE, depth, np.nan).round(3),
        (0.8 * width * length).round(3),
    )


def _sizes(found: Found, error: NDArray[np.float64]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Width across and length along the road."""
    off = np.exp(0.2 * error)
    is_hole = ~np.isnan(found.width_m)
    across = np.where(is_hole, found.width_m, _TYPICAL_M[found.code, 0])
    along = np.where(is_hole, 1.15 * found.width_m, _TYPICAL_M[found.code, 1])
    return np.maximum(across * off[0], 0.05), np.maximum(along * off[1], 0.05)


def _boxes(
    found: Found,
    width_m: NDArray[np.float64],
    length_m: NDArray[np.float64],
    drawn: NDArray[np.float64],
    camera_height_m: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Boxes of things that lie flat on the road, within the image."""
    far = _NEAR_M + (_FAR_M - _NEAR_M) * drawn[0]
    right = np.where(np.isnan(found.right_m), 3.0 * drawn[1] - 1.5, found.right_m)
    middle, half = IMAGE_WIDTH_PX / 2 + _FOCAL_PX * right / far, _FOCAL_PX * width_m / far / 2
    below, above = (_HORIZON_PX + _FOCAL_PX * camera_height_m / (far + end) for end in (0.0, length_m))
    x_min = np.clip(middle - half, 0, IMAGE_WIDTH_PX - 4)
    y_min = np.clip(above, 0, IMAGE_HEIGHT_PX - 4)
    x_max = np.clip(middle + half, x_min + 3, IMAGE_WIDTH_PX)
    return np.stack([x_min, y_min, x_max, np.clip(below, y_min + 3, IMAGE_HEIGHT_PX)], axis=1)
