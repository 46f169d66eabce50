"""What happened here before: potholes known, also nearby, and repairs. Counts of events by segment, as of a time.

A pothole counts from the time on at which it was confirmed (recorded time), in the window in which it was first
recorded. One that was first seen before the window and confirmed in it is therefore no new one.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]
Ints = NDArray[np.int32]
Instants = NDArray[np.datetime64]

FRAILTY_SHAPE = 0.5
"""Shape of the gamma distribution of frailty over places: strong clustering. [-]"""
NEIGHBOURHOOD_M = 200.0
"""How far the surroundings of a segment reach. [m]"""
_PART_ROWS = 1 << 18


def count_by_segment(segment_index: Ints, rows: NDArray[np.bool_], segment_count: int) -> Floats:
    """Number of `rows` (mask, shape (n,)) on each segment, shape (segment_count,)."""
    return np.bincount(segment_index[rows], minlength=segment_count).astype(float)


def newest_by_segment(segment_index: Ints, at: Instants, rows: NDArray[np.bool_], segment_count: int) -> Instants:
    """Newest instant of the `rows` of each segment, shape (segment_count,); NaT where there is none."""
    newest = np.full(segment_count, np.iinfo(np.int64).min)  # the integer that NaT is stored as
    for begin in range(0, rows.size, _PART_ROWS):  # a large city has millions of inspections
        part = slice(begin, begin + _PART_ROWS)
        chosen = rows[part]
        instants = at[part][chosen].astype("datetime64[us]")
        np.maximum.at(newest, segment_index[part][chosen], instants.astype(np.int64))
    return newest.astype("datetime64[us]")


def relative_rate(count: Floats, expected: Floats, *, shape: float = FRAILTY_SHAPE) -> Floats:
    """How many times the usual hazard a place has shown, shrunk to 1 where little was expected. [-]

    Parameters
    ----------
    count : ndarray, shape (n,)
        Potholes known of each place.
    expected : ndarray, shape (n,)
        Number that the mean of the city gives for the same time and length.
    shape : float
        Shape of the gamma distribution of frailty over places. [-]

    Returns
    -------
    ndarray, shape (n,)
        ``(shape + count) / (shape + expected)``: mean of the gamma–Poisson posterior. A raw count would grow with the
        length of the records, and with it the risk; this does not.

    References
    ----------
    .. [1] M. Greenwood and G. U. Yule, "An inquiry into the nature of frequency distributions," J. R. Stat. Soc.,
       vol. 83, no. 2, pp. 255-279, 1920, doi:10.2307/2341080.

    Examples
    --------
    >>> relative_rate(np.array([0.0, 2.0]), np.array([0.5, 0.5]))
    array([0.5, 2.5])
    """
    return (shape + count) / (shape + expected)


def days_since(at: Instants, as_of: np.datetime64) -> Floats:
    """Days from each instant to `as_of`; NaN for NaT. [d]

    Examples
    --------
    >>> days_since(np.array(["2026-01-01", "NaT"], "datetime64[us]"), np.datetime64("2026-01-03", "us"))
    array([ 2., nan])
    """
    return (as_of - at) / np.timedelta64(1, "D")


def neighbours(positions_m: Floats, *, radius_m: float = NEIGHBOURHOOD_M) -> csr_array:
    """Who lies near whom: sparse (n, n) of ones for midpoints within `radius_m`, the segment itself left out.

    Parameters
    ----------
    positions_m : ndarray, shape (n, 2)
        Midpoints of the segments on a plane. [m]
    radius_m : float
        Straight-line distance: damage next door says something about soil, age and builder, not only along the road.
    """
    count = positions_m.shape[0]
    pairs = cKDTree(positions_m).query_pairs(radius_m, output_type="ndarray") if count else np.zeros((0, 2), int)
    row, column = np.concatenate([pairs, pairs[:, ::-1]]).T
    return csr_array((np.ones(row.size), (row, column)), shape=(count, count))
