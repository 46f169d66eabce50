"""The past of a world as one would have it who saw every hole: likelihoods of what is hidden, day by day."""

from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from simulators.ceilings.mixture import GRID
from simulators.truth.exposure import Floats, MonthExposure, kinds_of
from simulators.truth.kernel import patch_factor, saturated
from simulators.truth.truth import DayEvents, Truth


class Past:
    """Adds up days in their order; `likelihood` can be asked for at any time."""

    def __init__(self, truth: Truth) -> None:
        self._truth, self._condition, self._hazard = truth, truth.condition, truth.hazard
        count = len(truth.world.segments)
        self._before, self._after = np.zeros((count, len(GRID))), np.zeros((count, len(GRID)))
        self._patches = np.zeros(count)
        self._since = np.zeros(count, np.int64)
        self._month: MonthExposure | None = None
        self._renewed = np.zeros(count, bool)
        self.counts = np.zeros(count, np.int64)
        """Holes so far on each segment."""
        self.daily: dict[date, int] = {}
        """Holes so far of the whole city, by day."""

    def add(self, events: DayEvents) -> None:
        """One more day."""
        day = events.day
        if self._month is None or day.day == 1 or day == self._condition.regime.changes_on:
            self._finish(day)
            if self._month is None or day.day == 1:
                self._begin(day)
        patches = events.patches.astype(np.float64)
        changed = np.flatnonzero(patches != self._patches)
        self._flush(changed, day)
        self._patches[changed] = patches[changed]
        born = self._truth.holes.segment[events.born].astype(np.int64)
        if len(born):
            assert self._month is not None
            static = self._static(born, day)
            log = np.log(self._month.daily(self._kind[born], day.day - 1, static))
            into = self._renewed[born]
            np.add.at(self._before, born[~into], log[~into])
            np.add.at(self._after, born[into], log[into])
        np.add.at(self.counts, born, 1)
        self.daily[day] = len(born)

    def likelihood(self, cut: date) -> tuple[Floats, Floats]:
        """Logarithms of the likelihood of all days before `cut`, the day after the last that was added."""
        self._finish(cut)
        return self._before.copy(), self._after.copy()

    def _begin(self, day: date) -> None:
        condition, year, month = self._condition, day.year, day.month
        self._month = MonthExposure(self._hazard.calibration, condition.weather, year, month)
        self._renewed = condition.is_renewed(year, month)
        self._kind = kinds_of(condition.drainage, condition.exposure, condition.heavy_rank(year, month))
        self._recorded = self._hazard.calibration.base_rate * condition.recorded(year, month)
        self._since[:] = day.day - 1

    def _static(self, segments: NDArray[np.int64], day: date) -> Floats:
        factor = self._recorded[segments] * patch_factor(self._condition, day, self._patches[segments])
        return saturated(factor[:, None] * GRID, self._hazard.calibration.ceiling)

    def _flush(self, segments: NDArray[np.int64], day: date) -> None:
        """Add the days from when a segment was last added to before `day`."""
        if self._month is None:
            return
        after = (day - self._month.begin).days
        segments = segments[self._since[segments] < after]
        if not len(segments):
            return
        static = self._static(segments, day - timedelta(days=1))
        expected = self._month.expected(self._kind[segments], self._since[segments], after, static)
        expected *= self._condition.length_m[segments, None] / 100
        into = self._renewed[segments]
        self._before[segments[~into]] -= expected[~into]
        self._after[segments[into]] -= expected[into]
        self._since[segments] = after

    def _finish(self, day: date) -> None:
        self._flush(np.arange(len(self._since)), day)
