"""The hidden Markov model of a drive: how probable a reading is at a place, and a place after another one.

The method is that of Newson and Krumm (2009) with four additions: heading, way driven by speed, a price for driving
against the own heading, and a state for being off the network. Equations, sources of the constants and limits stand in
docs/reference/map-matching.md. All counts are in nats: natural logarithms of probabilities, up to what is common to all
states.

P. Newson, J. Krumm: Hidden Markov map matching through noise and sparseness. ACM SIGSPATIAL GIS 2009, 336-343,
doi:10.1145/1653771.1653818.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadtwin.network.places import Places
from roadtwin.network.road_graph import Floats, Ints, Pieces, RoadGraph

LANE_M = 2.0
"""How far from the centreline vehicles drive (1 σ): half a lane of 3.5 m, rounded up. Assumption. [m]"""
HEADING_ERROR_DEG = 15.0
"""Difference of a heading and the direction of the centreline (1 σ), with bends and overtaking. Assumption. [°]"""
HEADING_DOUBT = 4.0
"""Most that a heading counts against a place: one in e⁴ = 55 is wrong altogether. Assumption."""
HEADING_SPEED_MPS = 2.0
"""Slower than this a heading from satellites says nothing. Assumption. [m/s]"""
INDEPENDENT_SIGMA = 2.0
"""Readings that are this many σ apart count in full, nearer ones by their share: their errors are kin. Newson and
Krumm leave out readings nearer than 2 σ to the one before."""
STANDING_SHARE = 0.02
"""Least that a reading counts, so that a vehicle that stands is somewhere, too. Assumption."""
DETOUR_M = 5.0
"""β: scale of the difference between the way on the network and the way driven. Assumption. [m]"""
SLACK_SIGMA = 2.0
"""The way on the network may be shorter than the one driven by this many σ of both positions. Assumption."""
MOST_DETOUR = 15.0
"""Most that an unlikely way counts, so that a gap in the register does not break a trace. Assumption."""
AGAINST = 4.0
"""What it counts to leave a place, or to come to one, against the own heading. Assumption."""
OFF_NETWORK = 4.5
"""What a reading off the network counts: as much as one 3 σ from a street and along it. Assumption."""
LEAVING = 6.0
"""What leaving the network counts, and coming back. Assumption."""
APART_SIGMA = 3.0
"""Positions are not farther apart than the way driven and this many σ of both: else the speed is wrong. Assumption."""
UNKNOWN_SPEED_MPS = 14.0
"""Most that a vehicle without a known speed drives on average: 50 km/h, the limit in German towns (§ 3 StVO). [m/s]"""
BREAK_S, BREAK_M = 120.0, 500.0
"""After a longer time or way without a reading a trace begins anew. Assumption. [s], [m]"""

_CLEARLY_DEG = 60.0  # a heading this near to a direction of the road is that direction


@dataclass(frozen=True, slots=True)
class Trace:
    """n readings by trace and time. `heading_deg` is NaN where it says nothing.

    `coupled` (n,): the reading belongs to the same unbroken trace as the one before, `driven_m` to `most_driven_m` (n,)
    after it.
    """

    position: Floats  # (n, 2), metres east and north
    heading_deg: Floats
    accuracy_m: Floats
    coupled: NDArray[np.bool_]
    driven_m: Floats
    most_driven_m: Floats


def turns_deg(trace: Trace, places: Places, pieces: Pieces) -> Floats:
    """From the direction of the road at each place to the heading, −180 to 180, (n, k); NaN without a heading. [°]"""
    along = pieces.end[places.piece] - pieces.begin[places.piece]
    direction_deg = np.degrees(np.arctan2(along[..., 0], along[..., 1]))
    return np.asarray((trace.heading_deg[:, None] - direction_deg + 180.0) % 360.0 - 180.0)


def log_emission(trace: Trace, places: Places, turn_deg: Floats) -> Floats:
    """How well readings agree with each of their places and, last, with being off the network.

    `turn_deg` as of `turns_deg`.

    Returns
    -------
    numpy.ndarray, shape (n, k + 1)
        −inf where there is no place, and for being off the network where a reading is alone: then nothing but its
        distance could tell, and that is within what the caller accepts.
    """
    error_m = np.hypot(trace.accuracy_m, LANE_M)
    straight_m = np.hypot(*np.diff(trace.position, axis=0, prepend=trace.position[:1]).T)
    apart_m = np.maximum(trace.driven_m, straight_m)
    share = np.clip(apart_m / (INDEPENDENT_SIGMA * error_m), STANDING_SHARE, 1.0)
    share = np.where(trace.coupled, share, 1.0)
    turn = np.abs(turn_deg)
    aside = np.minimum(turn, 180.0 - turn) / HEADING_ERROR_DEG
    against = np.where(np.isnan(aside), 0.0, np.minimum(0.5 * aside**2, HEADING_DOUBT))
    result = np.empty((len(share), places.piece.shape[1] + 1))
    result[:, :-1] = -share[:, None] * (0.5 * (places.distance_m / error_m[:, None]) ** 2 + against)
    alone = ~trace.coupled & ~np.append(trace.coupled[1:], False)
    result[:, -1] = np.where(alone, -np.inf, -share * OFF_NETWORK)
    return result


def log_transition(trace: Trace, places: Places, turn_deg: Floats, graph: RoadGraph) -> Floats:
    """How probable each place is after each place of the reading before, (n, k + 1, k + 1); the last state is off.

    0 into places at which a trace begins. What is not a place counts nothing here: its emission is −inf.
    """
    count, width = places.piece.shape
    result = np.zeros((count, width + 1, width + 1))
    result[:, :, -1] = -LEAVING
    result[trace.coupled, -1, :] = -LEAVING
    result[trace.coupled, -1, -1] = 0.0
    exists = places.exists
    row, a, b = np.nonzero(exists[:-1, :, None] & exists[1:, None, :] & trace.coupled[1:, None, None])
    come, go = (row, a), (row + 1, b)
    driven_m = trace.driven_m[row + 1]
    straight_m = np.hypot(*(places.foot[come] - places.foot[go]).T)
    way_m = np.abs(places.station_m[come] - places.station_m[go])
    other = np.flatnonzero(places.link[come] != places.link[go])
    most_m = trace.most_driven_m[row + 1]
    far_m = most_m[other] + MOST_DETOUR * DETOUR_M  # farther makes no difference
    pairs = (row[other], a[other]), (row[other] + 1, b[other])
    way_m[other] = _ways_between(graph, places, turn_deg, pairs, far_m)
    longer_m = way_m - np.maximum(most_m, straight_m)
    slack_m = SLACK_SIGMA * np.hypot(trace.accuracy_m[row], trace.accuracy_m[row + 1])
    shorter_m = driven_m - way_m - slack_m
    difference_m = np.maximum(np.maximum(longer_m, shorter_m), 0.0)
    result[row + 1, a, b] = -np.minimum(difference_m / DETOUR_M, MOST_DETOUR)
    return result


def _ways_between(
    graph: RoadGraph,
    places: Places,
    turn_deg: Floats,
    pairs: tuple[tuple[Ints, Ints], tuple[Ints, Ints]],
    far_m: Floats,
) -> Floats:
    """Way along the network between pairs of places on different links, with the price of driving against the heading
    in metres; infinite, or more than `far_m`, where it is farther."""
    come, go = pairs
    if not len(far_m):
        return far_m
    from_link, to_link = places.link[come], places.link[go]
    begin_node, end_node = graph.link_nodes[from_link], graph.link_nodes[to_link]
    source, inverse = np.unique(begin_node, return_inverse=True)
    limit_m = np.zeros(len(source))
    np.maximum.at(limit_m, inverse.reshape(-1), np.repeat(far_m, 2))
    distances = graph.distances(source, limit_m)
    result = np.full(len(far_m), np.inf)
    leaving = _to_ends_m(graph, places.station_m[come], from_link)
    coming = _to_ends_m(graph, places.station_m[go], to_link)
    for i in (0, 1):
        for j in (0, 1):
            # Towards the end of the link (i = 1) one drives along it, and from its begin (j = 0) as well.
            against = _against(turn_deg[come], forward=i == 1) + _against(turn_deg[go], forward=j == 0)
            between_m = distances.between(begin_node[:, i], end_node[:, j])
            way_m = leaving[i] + between_m + coming[j] + AGAINST * DETOUR_M * against
            np.minimum(result, way_m, out=result)
    return result


def _to_ends_m(graph: RoadGraph, station_m: Floats, link: Ints) -> tuple[Floats, Floats]:
    return station_m - graph.link_from_m[link], graph.link_to_m[link] - station_m


def _against(turn_deg: Floats, *, forward: bool) -> NDArray[np.bool_]:
    """Whether a heading is clearly the other direction of the road; False where there is none."""
    turn = np.abs(turn_deg)
    return turn > 180.0 - _CLEARLY_DEG if forward else turn < _CLEARLY_DEG
