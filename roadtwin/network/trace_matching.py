"""Matching traces to segments by a hidden Markov model: all positions of a drive together, not each alone."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadtwin.network.matching import DEFAULT_ACCURACY_M, Match, metric_projection
from roadtwin.network.places import Places, places_near
from roadtwin.network.road_graph import Floats, Ints, Pieces, RoadGraph
from roadtwin.network.sections import Segment
from roadtwin.network.trace_model import (
    APART_SIGMA,
    BREAK_M,
    BREAK_S,
    HEADING_SPEED_MPS,
    UNKNOWN_SPEED_MPS,
    Trace,
    log_emission,
    log_transition,
    turns_deg,
)
from roadtwin.network.trace_smoothing import smoothed
from roadtwin.network.viterbi import best_states

_BLOCK = 8192  # positions that are looked at together, in whole traces: what fits into a processor's cache


class TraceMatcher:
    """Matches traces of longitude and latitude to the segments it was built from.

    Examples
    --------
    >>> from roadtwin.network.sections import RoadSection
    >>> from roadtwin.network.split import split_network
    >>> lines = np.array([[[7.0, 51.0], [7.0, 51.002]], [[7.0002, 51.0], [7.0002, 51.002]]])
    >>> streets = [RoadSection("demo", name, line) for name, line in zip("ab", lines)]
    >>> matcher = TraceMatcher(split_network(streets))
    >>> lon, lat = [7.00003, 7.00004, 7.00012, 7.00002, 7.00003], 51.0005 + 0.0001 * np.arange(5)
    >>> matcher.match([1] * 5, np.arange(5), lon, lat).section_index  # the third one is nearer to b
    array([0, 0, 0, 0, 0], dtype=int32)
    """

    def __init__(self, segments: Sequence[Segment]) -> None:
        self._to_metric = metric_projection(segments)
        self._pieces = Pieces.of(segments, self._to_metric)
        self._graph = RoadGraph(self._pieces) if len(segments) else None

    def match(
        self,
        trace: ArrayLike,
        time_s: ArrayLike,
        lon: ArrayLike,
        lat: ArrayLike,
        heading_deg: ArrayLike | None = None,
        speed_mps: ArrayLike | None = None,
        accuracy_m: ArrayLike | None = None,
        max_distance_m: float = 25.0,
    ) -> Match:
        """Segment of each reading, given all readings of its trace.

        Where headings and speeds are known, positions are smoothed by them first (`trace_smoothing`); station and
        offset are those of the smoothed position. A reading that is alone in its trace goes to the street that its
        position and heading agree with best: without heading the nearest one. Others may be off the network although a
        street is near.

        Parameters
        ----------
        trace : array-like of int, shape (n,)
            Which readings belong together; in any order.
        time_s : array-like, shape (n,)
            When they were made, by any clock that is the same within a trace. [s]
        lon, lat : array-like, shape (n,)
            WGS 84. [°] NaN matches nothing.
        heading_deg : array-like, shape (n,), optional
            Direction of travel, clockwise from north. [°] NaN where it is not known.
        speed_mps : array-like, shape (n,), optional
            Speed over ground. [m/s] NaN where it is not known: the straight line stands for the way driven.
        accuracy_m : array-like, shape (n,), optional
            Accuracy (1 σ) of the positions. [m] NaN and None stand for 5 m.
        max_distance_m : float
            Farthest a position, smoothed where it can be, may lie from a segment. [m]
        """
        number, time = np.asarray(trace, dtype=np.int64), np.asarray(time_s, dtype=np.float64)
        result = Match.nowhere(len(number))
        if self._graph is None:
            return result
        position = np.column_stack(self._to_metric.transform(np.asarray(lon, np.float64), np.asarray(lat, np.float64)))
        order = np.lexsort((time, number))
        number, time, position = number[order], time[order], position[order]
        heading, speed, accuracy = (
            np.full(len(order), missing) if values is None else np.asarray(values, dtype=np.float64)[order]
            for values, missing in ((heading_deg, np.nan), (speed_mps, np.nan), (accuracy_m, np.nan))
        )
        accuracy = np.where(np.isnan(accuracy), DEFAULT_ACCURACY_M, accuracy)
        heading = np.where(speed < HEADING_SPEED_MPS, np.nan, heading)
        way_m, most_m, by_speed_m, stands, run = _ways(number, time, position, speed, accuracy)
        for part in _blocks(run):
            position[part] = smoothed(
                position[part], accuracy[part], heading[part], by_speed_m[part], stands[part], run[part]
            )
            places = places_near(self._graph, self._pieces, position[part], max_distance_m)
            near = np.flatnonzero(places.exists[:, 0])
            if not len(near):
                continue
            rows = near + part.start
            # Positions far from every street are left out of the chain; the way and the time that they took are not.
            driven_m = np.diff(way_m[rows], prepend=way_m[rows[0]])
            coupled = (np.diff(run[rows], prepend=-1) == 0) & (driven_m <= BREAK_M)
            coupled &= np.diff(time[rows], prepend=time[rows[0]]) <= BREAK_S
            most_driven_m = np.diff(most_m[rows], prepend=most_m[rows[0]])
            driven_m, most_driven_m = np.where(coupled, driven_m, 0.0), np.where(coupled, most_driven_m, 0.0)
            seen = Trace(position[rows], heading[rows], accuracy[rows], coupled, driven_m, most_driven_m)
            self._place(result, order[rows], seen, places.take(near), self._graph)
        return result

    def _place(self, result: Match, rows: Ints, trace: Trace, places: Places, graph: RoadGraph) -> None:
        """Find the places of traces and write them into rows of the result."""
        turn_deg = turns_deg(trace, places, self._pieces)
        states = best_states(log_emission(trace, places, turn_deg), log_transition(trace, places, turn_deg, graph))
        on = np.flatnonzero(states < places.piece.shape[1])  # the last state is off the network
        at, rows = (on, states[on]), rows[on]
        piece, distance_m = places.piece[at], places.distance_m[at]
        along = self._pieces.end[piece] - self._pieces.begin[piece]
        aside = trace.position[on] - places.foot[at]
        left = along[:, 0] * aside[:, 1] - along[:, 1] * aside[:, 0]
        result.segment_index[rows] = self._pieces.segment[piece]
        result.section_index[rows] = self._pieces.section[piece]
        result.station_m[rows] = places.station_m[at]
        result.offset_m[rows] = np.where(left < 0, -distance_m, distance_m)


def _ways(
    number: Ints, time_s: Floats, position: Floats, speed_mps: Floats, accuracy_m: Floats
) -> tuple[Floats, Floats, Floats, NDArray[np.bool_], Ints]:
    """Way driven up to each reading, at least and at most, on an axis common to all [m]; way from the reading before by
    the speed alone [m], NaN without one; whether it stood or crept all that way; number of its unbroken run.

    By speed and time where there is a speed, but never shorter than positions can be apart. Else at least the straight
    line, and at most as far as one gets in that time.
    """
    first = np.diff(number, prepend=number[:1] - 1) != 0
    step_s = np.where(first, 0.0, np.diff(time_s, prepend=time_s[:1]))
    before = np.roll(speed_mps, 1)
    speed = (np.where(np.isnan(speed_mps), before, speed_mps) + np.where(np.isnan(before), speed_mps, before)) / 2
    straight_m = np.hypot(*np.diff(position, axis=0, prepend=position[:1]).T)
    straight_m = np.where(first | ~np.isfinite(straight_m), 0.0, straight_m)
    least_m = straight_m - APART_SIGMA * np.hypot(accuracy_m, np.roll(accuracy_m, 1))
    by_speed_m = speed * step_s
    step_m = np.where(np.isnan(speed), straight_m, np.maximum(by_speed_m, least_m))
    most_m = np.where(np.isnan(speed), np.maximum(straight_m, np.minimum(UNKNOWN_SPEED_MPS * step_s, BREAK_M)), step_m)
    run = np.cumsum(first | (step_s > BREAK_S) | (np.maximum(step_m, straight_m) > BREAK_M))
    stands = (speed_mps < HEADING_SPEED_MPS) & (before < HEADING_SPEED_MPS)
    return np.cumsum(step_m), np.cumsum(most_m), by_speed_m, stands, run


def _blocks(run: Ints) -> Iterator[slice]:
    """Whole runs, together at least `_BLOCK` readings, except the last ones."""
    begin = 0
    while begin < len(run):
        last = min(begin + _BLOCK, len(run)) - 1
        end = int(np.searchsorted(run, run[last], side="right"))
        yield slice(begin, end)
        begin = end
