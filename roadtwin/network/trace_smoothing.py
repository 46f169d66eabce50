"""Positions of a drive made more precise by its headings and speeds, before any street is looked at.

Heading and speed come from the Doppler shift and err independently of the position: from one reading to the next they
tell by decimetres to metres how far a vehicle came and whither (dead reckoning), while the error of the positions
stays much the same over a block. So the most probable true positions are those that both agree with best, by least
squares: for a drive of n readings a tridiagonal system of n equations. Equations and constants stand in
docs/reference/map-matching.md.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import solveh_banded

from roadtwin.network.road_graph import Floats

Vectors = NDArray[np.complex128]

KIN_M = 100.0
"""Way after which a position's error is a new one: what is as near counts by its share of it. Assumption: two blocks
of house fronts. [m]"""
STEP_ERROR_RAD = 0.26
"""Error of a step across and along, by its length: 15°, what a heading may err in `trace_model`. Assumption. [rad]"""
STANDING_ERROR_M = 0.1
"""Error of a step of a vehicle that stands. Assumption. [m]"""
LEAST_SHARE = 0.001
"""Least that a position counts: those of a vehicle that stands have one and the same error. Assumption."""
CHECK_READINGS = 5
"""Steps are compared with the positions that lie this many readings before and after. Assumption."""
ASTRAY_SIGMA = 4.0
"""A step is not believed where the two differ by more than so many σ of both positions. Assumption."""


def smoothed(
    position: Floats,
    accuracy_m: Floats,
    heading_deg: Floats,
    way_m: Floats,
    stands: NDArray[np.bool_],
    run: NDArray[np.intp],
) -> Floats:
    """Most probable positions, given positions and what heading and speed tell of the steps between them.

    A step is unknown where there is no speed, or no heading although the vehicle moves; and it is not believed where
    the steps around it lead elsewhere than the positions. Over such a step nothing is learnt, and a position between
    two of them stays exactly as it is.

    Parameters
    ----------
    position : numpy.ndarray, shape (n, 2)
        Metres east and north, in order of time. One that is not finite stays so.
    accuracy_m : numpy.ndarray, shape (n,)
        Error of each coordinate (1 σ). [m]
    heading_deg : numpy.ndarray, shape (n,)
        Direction of travel, clockwise from north; NaN where it is not known. [°]
    way_m : numpy.ndarray, shape (n,)
        Way from the reading before, by speed and time; NaN where it is not known. [m]
    stands : numpy.ndarray, shape (n,)
        Whether the vehicle stood or crept all the way from the reading before.
    run : numpy.ndarray, shape (n,)
        Number of the unbroken drive, ascending.

    Returns
    -------
    numpy.ndarray, shape (n, 2)
    """
    accuracy_m = np.maximum(accuracy_m, STANDING_ERROR_M)  # no receiver is exact, whatever it states
    # Complex numbers stand for vectors in the plane: east + i north.
    place = np.ascontiguousarray(position).view(np.complex128)[:, 0]
    course = np.radians(heading_deg)
    here = np.sin(course) + 1j * np.cos(course)
    before = np.roll(here, 1)
    here, before = np.where(np.isnan(here), before, here), np.where(np.isnan(before), here, before)
    step = np.where(stands, 0.0, way_m * (here + before) / 2)
    bend = np.where(stands, 1.0, _square(here - before) / 24)
    variance = way_m**2 * (STEP_ERROR_RAD**2 + bend) + STANDING_ERROR_M**2
    # How much farther the position came than the step.
    with np.errstate(invalid="ignore"):
        excess = np.diff(place, prepend=place[:1]) - step
    known = np.isfinite(excess) & (np.diff(run, prepend=run[:1] - 1) == 0)
    excess = np.where(known, excess, 0.0)
    known &= ~_astray(excess, accuracy_m, run)
    if not known.any():
        return position.copy()
    share = np.where(known, np.clip(way_m / KIN_M, LEAST_SHARE, 1.0), 1.0)
    tie = np.where(known, 1 / variance, 0.0)
    pull = tie * excess
    # Normal equations of min Σ share · |correction|² / accuracy² + Σ tie · |change of correction + excess|².
    bands = np.empty((2, len(tie)))
    bands[0] = -tie
    bands[1] = share / accuracy_m**2 + tie
    bands[1, :-1] += tie[1:]
    correction = solveh_banded(bands, np.append(pull[1:], 0.0) - pull, check_finite=False)
    return np.asarray(position + np.ascontiguousarray(correction).view(np.float64).reshape(-1, 2))


def _astray(excess: Vectors, accuracy_m: Floats, run: NDArray[np.intp]) -> NDArray[np.bool_]:
    """Whether the steps around each one lead elsewhere than the positions before and after them."""
    number = np.arange(len(run))
    first = np.maximum(number - 1 - CHECK_READINGS, np.searchsorted(run, run))
    last = np.minimum(number + CHECK_READINGS, np.searchsorted(run, run, side="right") - 1)
    total = np.cumsum(excess)
    apart2_m2 = _square(total[last] - total[first])
    return np.asarray(apart2_m2 > ASTRAY_SIGMA**2 * (accuracy_m[first] ** 2 + accuracy_m[last] ** 2))


def _square(vector: Vectors) -> Floats:
    return np.asarray(vector.real**2 + vector.imag**2)
