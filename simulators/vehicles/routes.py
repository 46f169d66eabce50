"""Routes over a street network: walks without a jump, and bus lines."""

from collections import defaultdict
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix, csr_matrix
from scipy.sparse.csgraph import dijkstra

from roadtwin.network.sections import RoadSection

LINE_M, LINE_SECTIONS = 7000.0, 45
"""A bus line grows up to this length, or so many sections, one way."""
_LINE_WORTH_M, _JUMP_M = 2500.0, 1500.0  # a shorter line goes on over streets without buses, if not for long
_SAME_PLACE_DEG = 1e-6  # a tenth of a metre


@dataclass(frozen=True, slots=True)
class Walk:
    """Sections one after the other, and in which direction: +1 with the stationing, −1 against it."""

    section: NDArray[np.int32]
    direction: NDArray[np.int8]

    def and_back(self) -> "Walk":
        """The walk and its way back."""
        return Walk(
            np.concatenate([self.section, self.section[::-1]]), np.concatenate([self.direction, -self.direction[::-1]])
        )


class SectionGraph:
    """Sections as edges between the places where they meet."""

    def __init__(self, sections: tuple[RoadSection, ...], length_m: NDArray[np.float64]) -> None:
        ends = np.concatenate(
            [np.array([s.line[0] for s in sections]), np.array([s.line[-1] for s in sections])]
        ).reshape(-1, 2)
        grid = np.round(ends / _SAME_PLACE_DEG).astype(np.int64)
        _, first, node = np.unique(grid, axis=0, return_index=True, return_inverse=True)
        node = node.ravel()
        self.place = ends[first]  # longitude, latitude of each node
        self.begin, self.end = node[: len(sections)], node[len(sections) :]
        self._length_m = length_m
        self._course = np.column_stack([_course(sections, 0, 1), _course(sections, -1, -2)])  # away from either end

    def nodes(self, section: NDArray[np.int32], direction: NDArray[np.int8]) -> tuple[NDArray[np.int64], ...]:
        """Where drives along sections begin and end."""
        ahead = direction > 0
        begin, end = self.begin[section], self.end[section]
        return np.where(ahead, begin, end), np.where(ahead, end, begin)

    # -- both sides of every street --------------------------------------------------------------------------------
    def round_trip(self, sections: NDArray[np.int32]) -> Walk:
        """Every section once in each direction, without a jump wherever the sections hang together.

        A street can be taken as two arcs, there and back: such a graph has an Eulerian circuit (Hierholzer). It turns
        round only where a street ends. Parts that do not hang together come one after the other, in the given order.
        """
        leaving: dict[int, list[tuple[int, int]]] = defaultdict(list)
        for section in sections[::-1].tolist():
            leaving[int(self.begin[section])].append((section, 1))
            leaving[int(self.end[section])].append((section, -1))
        left = {(section, direction) for section in sections.tolist() for direction in (1, -1)}
        walk: list[tuple[int, int]] = []
        for section in sections.tolist():
            if (section, 1) in left:
                walk += self._circuit((section, 1), leaving, left)
        section_, direction = (np.array(part) for part in zip(*walk, strict=True))
        return Walk(section_.astype(np.int32), direction.astype(np.int8))

    def _circuit(
        self, first: tuple[int, int], leaving: dict[int, list[tuple[int, int]]], left: set[tuple[int, int]]
    ) -> list[tuple[int, int]]:
        """Hierholzer's circuit over all arcs that can be reached, from `first` on; takes them out of `left`."""
        left.discard(first)
        stack, done = [first], []
        while stack:
            section, direction = stack[-1]
            node = int(self.end[section] if direction > 0 else self.begin[section])
            arcs = leaving[node]
            while arcs and arcs[-1] not in left:
                arcs.pop()
            choice = next((arc for arc in reversed(arcs) if arc in left and arc != (section, -direction)), None)
            choice = choice or (arcs[-1] if arcs else None)
            if choice is None:
                done.append(stack.pop())
            else:
                left.discard(choice)
                stack.append(choice)
        return done[::-1]

    # -- bus lines -------------------------------------------------------------------------------------------------
    def lines(self, sections: NDArray[np.int32]) -> tuple[Walk, ...]:
        """Lines, one way, that together cover `sections`: straight on where there is a choice, joined by the shortest
        way over other streets where a line would be too short. No street is covered twice except on such a way."""
        todo, at = set(sections.tolist()), defaultdict(list)
        for section in sections.tolist():
            at[int(self.begin[section])].append(section)
            at[int(self.end[section])].append(section)
        roads, lines = self._roads(), []
        while todo:
            arc: tuple[int, int] | None = self._first_arc(todo, at)
            line: list[tuple[int, int]] = []
            while arc is not None:
                line.append(arc)
                todo.discard(arc[0])
                length = float(self._length_m[[section for section, _ in line]].sum())
                if length >= LINE_M or len(line) >= LINE_SECTIONS:
                    break
                node = int(self.end[arc[0]] if arc[1] > 0 else self.begin[arc[0]])
                ahead = [section for section in at[node] if section in todo]
                if not ahead and length < _LINE_WORTH_M:
                    way = self._way_on(node, roads, todo, at)
                    line += way
                    node = node if not way else self._end_of(way[-1])
                    ahead = [section for section in at[node] if section in todo]
                arc = self._straightest(line[-1], node, ahead)
            lines.append(Walk(*_arrays(line)))
        return tuple(lines)

    def _first_arc(self, todo: set[int], at: dict[int, list[int]]) -> tuple[int, int]:
        """Where a line begins: at an end of what is left to cover, if there is one."""
        for section in sorted(todo):
            for node, direction in ((int(self.begin[section]), 1), (int(self.end[section]), -1)):
                if sum(other in todo for other in at[node]) == 1:
                    return section, direction
        return min(todo), 1

    def _end_of(self, arc: tuple[int, int]) -> int:
        return int(self.end[arc[0]] if arc[1] > 0 else self.begin[arc[0]])

    def _straightest(self, last: tuple[int, int], node: int, ahead: list[int]) -> tuple[int, int] | None:
        if not ahead:
            return None
        coming = self._course[last[0], 1 if last[1] > 0 else 0] + 180.0  # away from the last end, turned round
        arcs = [(s, 1 if int(self.begin[s]) == node else -1) for s in ahead]
        turn = [abs((self._course[s, 0 if d > 0 else 1] - coming + 180.0) % 360.0 - 180.0) for s, d in arcs]
        return arcs[int(np.argmin(turn))]

    def _roads(self) -> tuple[csr_matrix, dict[tuple[int, int], int]]:
        """The shortest section between any two places, as a matrix of lengths and by name."""
        shortest: dict[tuple[int, int], int] = {}
        for section in np.argsort(-self._length_m, kind="stable").tolist():
            a, b = int(self.begin[section]), int(self.end[section])
            if a != b:
                shortest[a, b] = shortest[b, a] = section
        pairs, chosen = np.array(list(shortest)).reshape(-1, 2), np.array(list(shortest.values()), int)
        shape = (len(self.place), len(self.place))
        return csr_matrix(coo_matrix((self._length_m[chosen], (pairs[:, 0], pairs[:, 1])), shape=shape)), shortest

    def _way_on(
        self,
        node: int,
        roads: tuple[csr_matrix, dict[tuple[int, int], int]],
        todo: set[int],
        at: dict[int, list[int]],
    ) -> list[tuple[int, int]]:
        """The shortest way to a street that is still to be covered; empty if there is none near."""
        matrix, shortest = roads
        distance, before = dijkstra(matrix, indices=node, limit=_JUMP_M, return_predecessors=True)
        near = np.flatnonzero(np.isfinite(distance))
        goals = [n for n in near[np.argsort(distance[near], kind="stable")].tolist() if any(s in todo for s in at[n])]
        way: list[tuple[int, int]] = []
        goal = goals[0] if goals else node
        while goal != node:
            section = shortest[int(before[goal]), goal]
            way.append((section, 1 if int(self.end[section]) == goal else -1))
            goal = int(before[goal])
        return way[::-1]


def _arrays(arcs: list[tuple[int, int]]) -> tuple[NDArray[np.int32], NDArray[np.int8]]:
    section, direction = (np.array(part) for part in zip(*arcs, strict=True))
    return section.astype(np.int32), direction.astype(np.int8)


def _course(sections: tuple[RoadSection, ...], here: int, there: int) -> NDArray[np.float64]:
    """Direction in which each section leaves one of its ends [°, clockwise from north]."""
    step = np.array([section.line[there] - section.line[here] for section in sections]).reshape(-1, 2)
    latitude = np.radians(sections[0].line[0][1]) if sections else 0.0
    result: NDArray[np.float64] = np.degrees(np.arctan2(step[:, 0] * np.cos(latitude), step[:, 1]))
    return result
