"""Places on the network near positions: where each of them may have been."""

from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray

from roadtwin.network.road_graph import Floats, Ints, Pieces, RoadGraph, foot_on

MOST_PLACES = 6
"""Places kept for a position, the nearest ones: more roads than meet at most junctions. Bounds time and memory."""


@dataclass(frozen=True, slots=True)
class Places:
    """Places near n positions, shape (n, k): the nearest one on each link within reach, nearest first.

    `piece` and `link` are −1 where there are fewer. `station_m` along the section, `distance_m` from the position,
    `foot` (n, k, 2) in metres east and north.
    """

    piece: Ints
    link: Ints
    station_m: Floats
    distance_m: Floats
    foot: Floats

    @property
    def exists(self) -> NDArray[np.bool_]:
        """Which of them are there, shape (n, k)."""
        return self.piece >= 0

    def take(self, rows: Ints) -> "Places":
        """Those of some of the positions, without columns that none of them uses."""
        width = int(self.exists[rows].sum(axis=1).max(initial=1))
        return Places(*(getattr(self, name)[rows, :width] for name in Places.__slots__))


def places_near(graph: RoadGraph, pieces: Pieces, position: Floats, max_distance_m: float) -> Places:
    """Places within a distance of positions.

    Of equally near ones the first in the order of segments comes first, so that nothing depends on chance.

    Parameters
    ----------
    position : numpy.ndarray, shape (n, 2)
        Metres east and north; one that is not finite has no place.
    max_distance_m : float
        How far from the position a place may be. [m]
    """
    usable = np.flatnonzero(np.isfinite(position).all(axis=1))
    points = shapely.points(position[usable])
    owner, piece = graph.tree.query(points, predicate="dwithin", distance=max_distance_m)
    owner = usable[owner]
    foot, station_m, distance_m = foot_on(pieces, piece, position[owner])
    link = graph.link_at(pieces.section[piece], station_m)
    # Nearest first; a micrometre makes no difference, so that ends of pieces that meet are equally near.
    order = np.lexsort((pieces.segment[piece], np.round(distance_m, 6), owner))
    _, first = np.unique(owner[order] * len(graph.link_nodes) + link[order], return_index=True)
    order = order[np.sort(first)]
    rank = np.arange(len(order)) - np.searchsorted(owner[order], owner[order])
    order, rank = order[rank < MOST_PLACES], rank[rank < MOST_PLACES]
    shape = len(position), int(rank.max(initial=0)) + 1
    at = owner[order], rank
    result = Places(
        np.full(shape, -1), np.full(shape, -1), np.zeros(shape), np.full(shape, np.inf), np.zeros((*shape, 2))
    )
    result.piece[at], result.link[at] = piece[order], link[order]
    result.station_m[at], result.distance_m[at] = station_m[order], distance_m[order]
    result.foot[at] = foot[order]
    return result
