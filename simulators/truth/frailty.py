"""What lies under a road and stands in no register: frailty by stretches of 100 m, alike along a section.

Frailty belongs to the ground and not to the way it is cut into segments. A section has pieces of about 100 m; the
frailty of a piece is gamma distributed with shape 0.5 and mean 1, and pieces of one section share part of it (a
Gaussian copula: ground and construction go on beyond a hundred metres). Within a piece, fifths share it unevenly
(Dirichlet); over the whole piece their mean is the piece's own value. A segment of any length has the mean over its
length.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaincinv, ndtr

from simulators.geometry import RoadGeometry
from simulators.randomness import Streams

SHAPE = 0.5
SECTION_CORRELATION = 0.45
"""Correlation of two pieces of a section, as normal scores."""
PIECE_M, FIFTHS, FIFTH_SHAPE = 100.0, 5, 2
LEAK_SHARE, LEAK_FACTOR = 0.12, 2.2
"""The driver that stands in no record: an old leaking sewer under the section."""


def frailty_of_segments(geometry: RoadGeometry, streams: Streams) -> NDArray[np.float64]:
    """Frailty of each segment, mean about 1.

    Parameters
    ----------
    geometry : RoadGeometry
        Sections and segments, however they are cut.
    streams : Streams
        Random streams of the world.
    """
    length = geometry.section_length_m
    pieces = np.maximum(1, np.round(length / PIECE_M)).astype(np.int64)
    section = np.repeat(np.arange(len(length)), pieces)
    first = np.cumsum(pieces) - pieces
    number = np.arange(len(section)) - first[section]
    shared = streams.normal("truth/frailty-section", section)
    own = streams.normal("truth/frailty", section * 65_536 + number)
    score = np.sqrt(SECTION_CORRELATION) * shared + np.sqrt(1 - SECTION_CORRELATION) * own
    frailty = gammaincinv(SHAPE, ndtr(score)) / SHAPE
    key = (section * 65_536 + number)[:, None] * FIFTHS + np.arange(FIFTHS)
    shares = -np.log(streams.uniforms("truth/frailty-fifth", key, 0, FIFTH_SHAPE)).sum(axis=0)
    shares /= shares.mean(axis=1, keepdims=True)
    # Integrated along the section, so that a segment's mean is a difference of two values of the integral.
    cell_m = np.repeat(length / pieces, pieces)[:, None] / FIFTHS
    along = np.concatenate([[0.0], np.cumsum((frailty[:, None] * shares * cell_m).ravel())])
    at = np.concatenate([[0.0], np.cumsum(np.broadcast_to(cell_m, shares.shape).ravel())])
    before = np.concatenate([[0.0], np.cumsum(length)])[geometry.segment_section]
    ends = [before + geometry.segment_from_m, before + geometry.segment_from_m + geometry.segment_length_m]
    begin, end = (np.interp(x, at, along) for x in ends)
    result: NDArray[np.float64] = np.maximum(end - begin, 0.0) / geometry.segment_length_m
    return result


def leak_factor_of_sections(count: int, streams: Streams) -> NDArray[np.float64]:
    """Multiplier of each section for what leaks below it."""
    leaking = streams.uniform("truth/leak", np.arange(count)) < LEAK_SHARE
    return np.where(leaking, LEAK_FACTOR, 1.0)
