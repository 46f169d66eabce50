"""The city's crews: a list by urgency, a capacity by the size of the city, deep holes on the same day, and deadlines.

Essen: 120 holes a working day on 1,600 km, up to 300 in winter; "considerable" potholes on the same day. A hole that
has had its severity for longer than `DEADLINE_DAYS` is closed whatever the backlog is: somebody of the city has passed.

Where patching does not help (`TREATMENT_REPAIRS` in `TREATMENT_WINDOW_DAYS`), the segment gets a new wearing course
within weeks, as long as the year's budget for it lasts; segments shorter than 100 m together with the others of their
piece of 100 m.
"""

from collections import Counter, defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.instants import HOUR_US
from simulators.truth.condition import Condition, Treatment
from simulators.truth.frailty import PIECE_M
from simulators.truth.holes import STILL_OPEN_US, Holes

USUAL_PER_KM_DAY, WINTER_PER_KM_DAY = 120 / 1600, 300 / 1600
_METHODS = ("cold_mix", "hot_mix", "infill", "patch")
_WINTER_SHARES, _SUMMER_SHARES = np.array([0.84, 0.04, 0.12, 0.0]), np.array([0.38, 0.42, 0.08, 0.12])
_WINTER_MONTHS = (11, 12, 1, 2, 3)
DEADLINE_DAYS = np.array([0, 75, 21, 1])  # by severity
TREATMENT_REPAIRS, TREATMENT_WINDOW_DAYS = 8, 120
TREATMENT_SHARE_PER_YEAR = 0.01
"""Budget: this share of the city's segments a year."""
TREATMENT_LEAD_DAYS = (21, 49)


@dataclass(frozen=True, slots=True)
class Work:
    """One hole closed or made safe."""

    hole: int
    kind: str  # repaired, secured
    method: str
    time_us: int
    crew: int


class Crews:
    """Repairs of a world, in the order of its days."""

    def __init__(self, condition: Condition) -> None:
        self._streams = condition.world.streams
        self._segment_count = len(condition.length_m)
        self._piece = pieces_of(condition)
        self._length_km = float(condition.length_m.sum()) / 1000
        self.count = max(1, round(self._length_km / 60))
        self.reset()

    def reset(self) -> None:
        """Begin again before the first day."""
        self._credit = 0.0
        self._repaired_on: dict[int, list[int]] = defaultdict(list)
        self._treated_until: dict[int, date] = {}
        self._treatments: Counter[int] = Counter()

    def from_list(self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64]) -> list[Work]:
        """Work down the list of what was known at six in the morning; on Saturdays and Sundays only severe holes."""
        age_us, severity = begin_us - holes.grade_since_us[open_holes], holes.grade[open_holes]
        overdue = age_us > DEADLINE_DAYS[severity] * 24 * HOUR_US
        holes.known_us[open_holes[overdue]] = np.minimum(holes.known_us[open_holes[overdue]], begin_us)
        on_list = holes.known_us[open_holes] <= begin_us + 6 * HOUR_US
        if day.weekday() > 4:
            on_list &= severity == 3
        listed, severity, overdue = open_holes[on_list], severity[on_list], overdue[on_list]
        if day.weekday() > 4:
            room = int(np.ceil(0.2 * USUAL_PER_KM_DAY * self._length_km))
        else:
            usual = USUAL_PER_KM_DAY * self._length_km
            busy = len(listed) > 2 * usual
            self._credit = min(self._credit, usual) + (WINTER_PER_KM_DAY * self._length_km if busy else usual)
            room = int(self._credit)
        order = np.lexsort((listed, holes.known_us[listed], -severity))
        order = order[(np.arange(len(order)) < room) | overdue[order]]
        if day.weekday() <= 4:
            self._credit = max(self._credit - len(order), 0.0)
        hour = 6.8 + 8.7 * self._streams.uniform("repairs/hour", listed[order], day.toordinal())
        times = begin_us + (hour * HOUR_US).astype(np.int64)
        return self._repair(day, holes, listed[order], times)

    def same_day(self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64]) -> list[Work]:
        """Severe holes that became known today: closed within hours, or made safe when it is late."""
        end_us = begin_us + 21 * HOUR_US
        known = holes.known_us[open_holes]
        new = open_holes[
            (known > begin_us + 6 * HOUR_US) & (known < end_us) & (holes.closed_us[open_holes] >= STILL_OPEN_US)
        ]
        new = new[holes.grade[new] == 3]
        delay = 0.6 + 2.6 * self._streams.uniform("repairs/same-day", new, day.toordinal())
        times = holes.known_us[new] + (delay * HOUR_US).astype(np.int64)
        early = times < begin_us + 18 * HOUR_US
        late = new[~early & (holes.secured_us[new] >= STILL_OPEN_US)]
        secured_us = holes.known_us[late] + HOUR_US
        holes.secured_us[late] = secured_us
        secured = [
            Work(int(hole), "secured", "barrier", int(at), int(hole) % self.count)
            for hole, at in zip(late, secured_us, strict=True)
        ]
        return self._repair(day, holes, new[early], times[early]) + secured

    def decide_treatments(self, day: date, segments: Iterable[int]) -> list[Treatment]:
        """Note repairs on segments; returns new wearing courses that are decided because of them."""
        today, decided = day.toordinal(), []
        for piece in self._piece[np.fromiter(segments, np.int64)].tolist():
            recent = [at for at in self._repaired_on[piece] if at > today - TREATMENT_WINDOW_DAYS]
            self._repaired_on[piece] = [*recent, today]
            if len(recent) + 1 < TREATMENT_REPAIRS or self._treated_until.get(piece, date.min) >= day:
                continue
            members = np.flatnonzero(self._piece == piece).tolist()
            if self._treatments[day.year] + len(members) > max(1, TREATMENT_SHARE_PER_YEAR * self._segment_count):
                continue
            low, high = TREATMENT_LEAD_DAYS
            u = self._streams.numbers("repairs/treatment", piece, today, 2)
            done = day + timedelta(days=low + int((high - low) * u[0]))
            thaw = date(done.year + (done.month == 12), 2, 15)
            if done.month == 12 or done < thaw:  # no paving in deep winter
                done = thaw + timedelta(days=int(21 * u[1]))
            decided += [Treatment(segment, day, done) for segment in members]
            self._treated_until[piece] = done + timedelta(days=TREATMENT_WINDOW_DAYS)
            self._treatments[day.year] += len(members)
        return decided

    def _repair(self, day: date, holes: Holes, which: NDArray[np.int64], times: NDArray[np.int64]) -> list[Work]:
        shares = np.cumsum(_WINTER_SHARES if day.month in _WINTER_MONTHS else _SUMMER_SHARES)
        drawn = self._streams.uniform("repairs/method", which)
        method = np.minimum(np.searchsorted(shares, drawn), len(_METHODS) - 1)
        times = np.maximum(times, holes.born_us[which] + 60_000_000)
        holes.closed_us[which] = times
        return [
            Work(int(hole), "repaired", _METHODS[m], int(at), int(hole) % self.count)
            for hole, m, at in zip(which, method, times, strict=True)
        ]


def cold_mix_share(day: date) -> float:
    """Part of the repairs of a day's season that is cold mix."""
    return float((_WINTER_SHARES if day.month in _WINTER_MONTHS else _SUMMER_SHARES)[0])


def pieces_of(condition: Condition) -> NDArray[np.int64]:
    """The first segment of the piece of about 100 m in which each segment lies: itself, unless it is shorter."""
    geometry, section = condition.world.geometry, condition.section
    length = geometry.section_length_m[section]
    piece_m = np.maximum(length / np.maximum(np.round(length / PIECE_M), 1), geometry.segment_length_m)
    number = ((geometry.segment_from_m + geometry.segment_length_m / 2) // piece_m).astype(np.int64)
    _, first, inverse = np.unique(section.astype(np.int64) * 65_536 + number, return_index=True, return_inverse=True)
    result: NDArray[np.int64] = first[inverse]
    return result
