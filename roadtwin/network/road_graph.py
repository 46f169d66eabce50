"""The road network as a graph: which roads meet where, and how far it is from one to another along them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import shapely
from numpy.typing import NDArray
from pyproj import Transformer
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from roadtwin.network.sections import Segment

MEETING_TOLERANCE_M = 1.0
"""Ends of sections as near as this meet, and an end as near as this to another section meets it there. Assumption:
registers are drawn to some decimetres, and no two roads pass each other within a metre."""

_AXIS_M = 2.0**20  # longer than any section: all sections one after the other on one axis, to 0.1 mm

Floats = NDArray[np.float64]
Ints = NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Pieces:
    """Straight pieces of centreline between vertices, shape (p,), by section and station.

    `begin`, `end` (p, 2) in metres east and north; `segment` and `section` that they are of; `station_m` of the begin
    and `length_m` in stations.
    """

    begin: Floats
    end: Floats
    segment: Ints
    section: Ints
    station_m: Floats
    length_m: Floats

    @classmethod
    def of(cls, segments: Sequence[Segment], to_metric: Transformer) -> "Pieces":
        """All pieces of segments."""
        order = sorted(range(len(segments)), key=lambda i: (segments[i].section_index, segments[i].from_station_m))
        lines = [segments[i].line for i in order]
        points = np.concatenate(lines) if lines else np.zeros((0, 2))
        place = np.column_stack(to_metric.transform(points[:, 0], points[:, 1])).reshape(-1, 2)
        owner = np.repeat(np.arange(len(order)), np.array([len(line) for line in lines], dtype=np.intp))
        first = np.flatnonzero(owner[:-1] == owner[1:])
        owner = owner[first]
        begin, end = place[first], place[first + 1]
        metric_m = np.hypot(*(end - begin).T)
        stations = np.array([[segments[i].from_station_m, segments[i].length_m] for i in order]).reshape(-1, 2)
        length_m = metric_m * (stations[:, 1] / np.maximum(np.bincount(owner, metric_m, len(order)), 1e-9))[owner]
        along = np.cumsum(length_m) - length_m
        start = np.searchsorted(owner, np.arange(len(order)))
        segment = np.array(order, dtype=np.intp)[owner]
        section = np.array([s.section_index for s in segments], dtype=np.intp)[segment]
        return cls(begin, end, segment, section, stations[owner, 0] + along - along[start][owner], length_m)


class RoadGraph:
    """Links, which are stretches of sections between places where roads meet, and the nodes that they join.

    Roads meet where ends of sections meet, or where an end of one lies on another. Roads that cross without an end
    there (bridges) do not. Every link may be driven in both directions: registers do not say which ones may not.
    Links, shape (l,), have stations `link_from_m` and `link_to_m` and two nodes, `link_nodes` (l, 2).
    """

    def __init__(self, pieces: Pieces) -> None:
        self.tree = shapely.STRtree(shapely.linestrings(np.stack([pieces.begin, pieces.end], axis=1)))
        section, first = np.unique(pieces.section, return_index=True)
        last = np.append(first[1:], len(pieces.section)) - 1
        reach_m = np.column_stack([pieces.station_m[first], pieces.station_m[last] + pieces.length_m[last]])
        ends = np.stack([pieces.begin[first], pieces.end[last]], axis=1).reshape(-1, 2)  # two of each section
        end, cut, cut_m = self._ends_on_others(pieces, ends, section, reach_m)
        # Places: the ends of all sections, then the cuts. Places that lie together are one node.
        joined = KDTree(ends).query_pairs(MEETING_TOLERANCE_M, output_type="ndarray").reshape(-1, 2)
        pairs = np.concatenate([joined, np.column_stack([end, len(ends) + np.arange(len(cut))])]).astype(np.intp)
        count = len(ends) + len(cut)
        together = coo_matrix((np.ones(len(pairs)), (pairs[:, 0], pairs[:, 1])), shape=(count, count))
        self.node_count, node = connected_components(together, directed=False)
        # A link lies between two places that follow one another on a section.
        at_section, at_m = np.concatenate([np.repeat(section, 2), cut]), np.concatenate([reach_m.ravel(), cut_m])
        order = np.lexsort((at_m, at_section))
        here, there = order[:-1], order[1:]
        is_link = (at_section[here] == at_section[there]) & (at_m[there] > at_m[here])
        here, there = here[is_link], there[is_link]
        self.link_from_m, self.link_to_m = at_m[here], at_m[there]
        self.link_nodes = np.column_stack([node[here], node[there]]).astype(np.intp)
        self._link_axis_m = at_section[here] * _AXIS_M + self.link_from_m
        arcs = np.concatenate([self.link_nodes, self.link_nodes[:, ::-1]])
        by_node = np.argsort(arcs[:, 0], kind="stable")
        self._neighbour = arcs[by_node, 1]
        self._arc_m = np.tile(self.link_to_m - self.link_from_m, 2)[by_node]
        self._arc_start = np.searchsorted(arcs[by_node, 0], np.arange(self.node_count + 1))

    def _ends_on_others(
        self, pieces: Pieces, ends: Floats, section: Ints, reach_m: Floats
    ) -> tuple[Ints, Ints, Floats]:
        """Ends that lie on a section, not at one of its ends: the end, the section and the station there."""
        end, piece = self.tree.query(shapely.points(ends), predicate="dwithin", distance=MEETING_TOLERANCE_M)
        _, station_m, _ = foot_on(pieces, piece, ends[end])
        on = pieces.section[piece]
        low, high = reach_m[np.searchsorted(section, on)].T
        inside = (station_m - low > MEETING_TOLERANCE_M) & (high - station_m > MEETING_TOLERANCE_M)
        end, on, station_m = end[inside], on[inside], station_m[inside]
        _, once = np.unique(np.column_stack([end, on]), axis=0, return_index=True)  # at a vertex two pieces are near
        return end[once], on[once], station_m[once]

    def link_at(self, section: Ints, station_m: Floats) -> Ints:
        """Link of places on sections."""
        after = np.searchsorted(self._link_axis_m, section * _AXIS_M + station_m, side="right")
        return np.maximum(after - 1, np.searchsorted(self._link_axis_m, section * _AXIS_M))

    def distances(self, source: Ints, limit_m: Floats) -> "NodeDistances":
        """Shortest ways from each of some nodes to all that are within its limit.

        Parameters
        ----------
        source : numpy.ndarray, shape (s,)
            Nodes; each once.
        limit_m : numpy.ndarray, shape (s,)
            How far to look from each. [m]
        """
        limit = np.zeros(self.node_count)
        limit[source] = limit_m
        key, way_m = np.sort(source * self.node_count + source), np.zeros(len(source))
        front, front_m = key, way_m
        while len(front):
            begin, node = np.divmod(front, self.node_count)
            count = self._arc_start[node + 1] - self._arc_start[node]
            arc = np.arange(count.sum()) + np.repeat(self._arc_start[node] - (np.cumsum(count) - count), count)
            begin, reached_m = np.repeat(begin, count), np.repeat(front_m, count) + self._arc_m[arc]
            near = reached_m <= limit[begin]
            reached, reached_m = begin[near] * self.node_count + self._neighbour[arc[near]], reached_m[near]
            every, every_m = np.concatenate([key, reached]), np.concatenate([way_m, reached_m])
            order = np.lexsort((np.arange(len(every)), every_m, every))
            order = order[np.diff(every[order], prepend=-1) > 0]
            better = order >= len(key)
            key, way_m = every[order], every_m[order]
            front, front_m = key[better], way_m[better]
        return NodeDistances(key, way_m, self.node_count)


@dataclass(frozen=True, slots=True)
class NodeDistances:
    """Lengths of shortest ways between pairs of nodes, by sorted keys."""

    _key: Ints
    _way_m: Floats
    _node_count: int

    def between(self, a: Ints, b: Ints) -> Floats:
        """From nodes a to nodes b, any shape [m]; infinite where it was not looked so far."""
        wanted = a * self._node_count + b
        at = np.minimum(np.searchsorted(self._key, wanted), len(self._key) - 1)
        return np.where(self._key[at] == wanted, self._way_m[at], np.inf)


def foot_on(pieces: Pieces, piece: Ints, point: Floats) -> tuple[Floats, Floats, Floats]:
    """Nearest place to each point (n, 2) on a piece (n,): itself (n, 2), its station and its distance [m]."""
    begin = pieces.begin[piece]
    along = pieces.end[piece] - begin
    square = np.maximum((along**2).sum(axis=1), 1e-12)
    share = np.clip(((point - begin) * along).sum(axis=1) / square, 0.0, 1.0)
    foot = begin + share[:, None] * along
    return foot, pieces.station_m[piece] + share * pieces.length_m[piece], np.hypot(*(point - foot).T)
