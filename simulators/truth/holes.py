"""Potholes as they are: where, how deep on a day, when closed. Columns that grow; a hole's number is its row."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

STILL_OPEN_US = 2**62
"""A time that never comes: not known, not secured, not closed."""
_MAX_DEPTH_M, _MAX_WIDTH_M = 0.14, 0.90
# Severity by depth class (13-25, 25-50, > 50 mm) and width class (100-200, 200-450, > 450 mm), as for ASTM D6433.
_SEVERITY = np.array([[1, 1, 2], [1, 2, 3], [2, 2, 3]])


_COLUMNS = {
    "segment": np.int32,
    "section": np.int32,
    "station_m": np.float64,
    "offset_m": np.float64,  # positive to the left of the stationing
    "born_us": np.int64,
    "clock": np.float64,  # the growth clock at birth
    "depth_at_birth_m": np.float64,
    "growth_m": np.float64,  # per unit of the growth clock
    "width_at_birth_m": np.float64,
    "grade": np.int8,  # severity when the open holes were last graded; 0 before that
    "grade_since_us": np.int64,  # since when it has that severity
    "known_us": np.int64,  # when the city knew
    "secured_us": np.int64,
    "closed_us": np.int64,
}


class Holes:
    """All holes of a world so far. Times are µs since 1970, UTC. Columns are longer than the number of holes."""

    segment: NDArray[np.int32]
    section: NDArray[np.int32]
    station_m: NDArray[np.float64]
    offset_m: NDArray[np.float64]
    born_us: NDArray[np.int64]
    clock: NDArray[np.float64]
    depth_at_birth_m: NDArray[np.float64]
    growth_m: NDArray[np.float64]
    width_at_birth_m: NDArray[np.float64]
    grade: NDArray[np.int8]
    grade_since_us: NDArray[np.int64]
    known_us: NDArray[np.int64]
    secured_us: NDArray[np.int64]
    closed_us: NDArray[np.int64]

    def __init__(self) -> None:
        self._count = 0
        for name, kind in _COLUMNS.items():
            setattr(self, name, np.zeros(1024, kind))

    def __len__(self) -> int:
        return self._count

    def append(self, **columns: NDArray[Any]) -> NDArray[np.int64]:
        """Add holes that nobody knows of yet; returns their numbers."""
        first, after = self._count, self._count + len(columns["segment"])
        never = np.full(after - first, STILL_OPEN_US)
        columns = {**columns, "known_us": never, "secured_us": never, "closed_us": never}
        columns |= {"grade": np.zeros(after - first, np.int8), "grade_since_us": columns["born_us"]}
        for name in _COLUMNS:
            column: NDArray[Any] = getattr(self, name)
            if after > len(column):
                column = np.concatenate([column, np.zeros(max(len(column), after), column.dtype)])
                setattr(self, name, column)
            column[first:after] = columns[name]
        self._count = after
        return np.arange(first, after)

    def grade_open(self, which: NDArray[np.int64], clock: float, at_us: int) -> None:
        """Note the present severity of open holes, and since when they have it."""
        before, now = self.grade[which], self.severity(which, clock)
        worse = which[(now != before) & (before > 0)]
        self.grade[which], self.grade_since_us[worse] = now, at_us

    def depth_m(self, which: NDArray[np.int64], clock: float) -> NDArray[np.float64]:
        """Depth when the growth clock shows `clock` [m]."""
        grown = self.growth_m[which] * np.maximum(clock - self.clock[which], 0.0)
        return np.minimum(self.depth_at_birth_m[which] + grown, _MAX_DEPTH_M)

    def width_m(self, which: NDArray[np.int64], clock: float) -> NDArray[np.float64]:
        """Diameter when the growth clock shows `clock` [m]."""
        ratio = self.depth_m(which, clock) / self.depth_at_birth_m[which]
        return np.minimum(self.width_at_birth_m[which] * (0.5 + 0.5 * ratio), _MAX_WIDTH_M)

    def severity(self, which: NDArray[np.int64], clock: float) -> NDArray[np.int64]:
        """1 low, 2 medium, 3 high."""
        depth = np.digitize(self.depth_m(which, clock), [0.025, 0.05])
        width = np.digitize(self.width_m(which, clock), [0.20, 0.45])
        result: NDArray[np.int64] = _SEVERITY[depth, width]
        return result
