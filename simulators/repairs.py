"""The city's crews: a list by urgency, a capacity by the size of the city, deep holes on the same day.

Essen: 120 holes a working day on 1,600 km, up to 300 in winter; "considerable" potholes on the same day.
"""

from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.condition import Condition
from simulators.holes import STILL_OPEN_US, Holes

_HOUR_US = 3_600_000_000
USUAL_PER_KM_DAY, WINTER_PER_KM_DAY = 120 / 1600, 300 / 1600
_METHODS = ("cold_mix", "hot_mix", "infill", "patch")
_WINTER_SHARES, _SUMMER_SHARES = np.array([0.84, 0.04, 0.12, 0.0]), np.array([0.38, 0.42, 0.08, 0.12])
_WINTER_MONTHS = (11, 12, 1, 2, 3)


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
        self._length_km = float(condition.length_m.sum()) / 1000
        self.count = max(1, round(self._length_km / 60))
        self.reset()

    def reset(self) -> None:
        """Begin again before the first day."""
        self._credit = 0.0

    def from_list(
        self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64], clock: float
    ) -> list[Work]:
        """Work down the list of what was known at six in the morning; on Saturdays and Sundays only severe holes."""
        listed = open_holes[holes.known_us[open_holes] <= begin_us + 6 * _HOUR_US]
        severity = holes.severity(listed, clock)
        if day.weekday() > 4:
            listed, severity = listed[severity == 3], severity[severity == 3]
            room = int(np.ceil(0.2 * USUAL_PER_KM_DAY * self._length_km))
        else:
            usual = USUAL_PER_KM_DAY * self._length_km
            busy = len(listed) > 2 * usual
            self._credit = min(self._credit, usual) + (WINTER_PER_KM_DAY * self._length_km if busy else usual)
            room = int(self._credit)
        order = np.lexsort((listed, holes.known_us[listed], -severity))[:room]
        if day.weekday() <= 4:
            self._credit -= len(order)
        hour = 6.8 + 8.7 * self._streams.uniform("repairs/hour", listed[order], day.toordinal())
        times = begin_us + (hour * _HOUR_US).astype(np.int64)
        return self._repair(day, holes, listed[order], times)

    def same_day(
        self, day: date, begin_us: int, holes: Holes, open_holes: NDArray[np.int64], clock: float
    ) -> list[Work]:
        """Severe holes that became known today: closed within hours, or made safe when it is late."""
        end_us = begin_us + 21 * _HOUR_US
        known = holes.known_us[open_holes]
        new = open_holes[
            (known > begin_us + 6 * _HOUR_US) & (known < end_us) & (holes.closed_us[open_holes] >= STILL_OPEN_US)
        ]
        new = new[holes.severity(new, clock) == 3]
        delay = 0.6 + 2.6 * self._streams.uniform("repairs/same-day", new, day.toordinal())
        times = holes.known_us[new] + (delay * _HOUR_US).astype(np.int64)
        early = times < begin_us + 18 * _HOUR_US
        late = new[~early & (holes.secured_us[new] >= STILL_OPEN_US)]
        secured_us = holes.known_us[late] + _HOUR_US
        holes.secured_us[late] = secured_us
        secured = [
            Work(int(hole), "secured", "barrier", int(at), int(hole) % self.count)
            for hole, at in zip(late, secured_us, strict=True)
        ]
        return self._repair(day, holes, new[early], times[early]) + secured

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
