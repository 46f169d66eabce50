"""Inspectors on foot: main roads weekly, all others every four weeks."""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.instants import HOUR_US
from simulators.truth.condition import Condition
from simulators.truth.holes import Holes

INSPECTOR_RECALL = np.array([0.0, 0.88, 0.93, 0.98])


@dataclass(frozen=True, slots=True)
class Visit:
    """An inspector at a segment."""

    segment: int
    time_us: int


@dataclass(frozen=True, slots=True)
class Finding:
    """A hole that an inspector wrote down."""

    hole: int
    severity: int


class Inspectors:
    """The inspectors of a world."""

    def __init__(self, condition: Condition) -> None:
        self.world, self._section = condition.world, condition.section
        streams, section = self.world.streams, condition.section
        self._visit_slot = (streams.uniform("observers/slot", section) * 20).astype(np.int64)
        self._weekly = np.array([(s.inspection_interval_days or 28) <= 7 for s in self.world.sections])[section]

    def inspect(
        self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64]
    ) -> tuple[list[Visit], dict[int, list[Finding]]]:
        """Segments walked on a day (main roads weekly, others every four weeks, not at weekends) and what was found."""
        weekday, week, ordinal = day.weekday(), (day.toordinal() - 1) // 7, day.toordinal()
        if weekday > 4:
            return [], {}
        due = np.where(self._weekly, self._visit_slot % 5 == weekday, self._visit_slot == (week % 4) * 5 + weekday)
        segments = np.flatnonzero(due)
        streams = self.world.streams
        drawn = streams.of_day("observers/visits", ordinal, (2, len(due)))
        segments = segments[drawn[0][segments] > 0.04]
        first = self.world.geometry.first_segment[self._section[segments]]
        hour = 7.5 + 7.0 * drawn[1][first]
        times = begin_us + (hour * HOUR_US).astype(np.int64) + 75_000_000 * (segments % 12)
        visits = [Visit(int(s), int(t)) for s, t in zip(segments, times, strict=True)]
        findings: dict[int, list[Finding]] = {}
        visit_of = np.full(len(self._section), -1)
        visit_of[segments] = np.arange(len(segments))
        candidates = open_holes[visit_of[holes.segment[open_holes]] >= 0]
        at = visit_of[holes.segment[candidates]]
        severity = holes.grade[candidates]
        found = streams.uniform("observers/found", candidates, ordinal) < INSPECTOR_RECALL[severity]
        found &= (holes.born_us[candidates] <= times[at]) & (times[at] < holes.closed_us[candidates])
        for hole, visit, grade in zip(candidates[found], at[found], severity[found], strict=True):
            findings.setdefault(int(visit), []).append(Finding(int(hole), int(grade)))
            holes.known_us[hole] = min(int(holes.known_us[hole]), int(times[visit]))
        return visits, findings
