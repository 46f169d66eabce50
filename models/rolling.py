"""Fitting with calibration on rolling origins: predictions of each stretch of time by a model of what came before it.

A slice of time that is held out for calibration holds one or two seasons, and its level is that of its winter, which
the next one will not have; it is the newest winter, too, from which the model then learns nothing. Here a model is
fitted before each of several origins and predicts the time up to the next. These predictions, over a year and more,
tell how far to trust differences between segments, and how far the truth lies from a forecast. The model itself learns
from all rows, and its level is theirs: the mean of all years is the best guess for one that is not known. Levels of the
earlier models do not carry over, for each of them knew fewer winters.
"""

import copy
from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from models.dataset import Dataset, TimeSplit, concatenate, mask_labels, settled_by
from models.inputs import Instant
from models.risk import LEAST_POSITIVES, NotEnoughLabelsError, RiskModel


def origins_of(split: TimeSplit) -> tuple[Instant, Instant, Instant]:
    """Origins of a split in time: where calibration begins, half-way to the test slice, and where that begins."""
    return (
        split.calibrate_from,
        split.calibrate_from + (split.test_from - split.calibrate_from) // 2,
        split.test_from,
    )


class RollingOrigins:
    """Models of the same rows before several origins, each fitted when it is first asked for, and kept.

    Parameters
    ----------
    make_model : callable
        Makes an unfitted model.
    rows : Dataset
        Rows of all times; a model sees only those labels that were settled by its origin.
    origins : sequence of datetime64[us]
        In rising order.
    """

    def __init__(self, make_model: Callable[[], RiskModel], rows: Dataset, origins: Sequence[Instant]) -> None:
        self.rows = rows
        self.origins = tuple(origins)
        self._make_model = make_model
        self._fitted: dict[Instant, RiskModel] = {}

    def _before(self, end: Instant) -> RiskModel:
        """The model of what was settled by `end`, not calibrated."""
        if end not in self._fitted:
            self._fitted[end] = self._make_model().fit(mask_labels(self.rows, settled_by(self.rows, end)))
        return self._fitted[end]

    def model(self, until: Instant) -> RiskModel:
        """The model of what was settled by `until`, calibrated on predictions from the origins before that.

        An origin before which too little was recorded to learn from is passed over. Raises
        `models.risk.NotEnoughLabelsError` when that leaves none, or too little to calibrate on.
        """
        known = mask_labels(self.rows, settled_by(self.rows, until))
        ends = [*(origin for origin in self.origins if origin < until), until]
        rows, relative, level = [], [], []
        for position, origin in enumerate(ends[:-1]):
            earlier = self._before(origin)
            if earlier.positives_.min() >= LEAST_POSITIVES:
                later = known.take((known.cut >= origin) & (known.cut < ends[position + 1]))
                rows.append(replace(later, features=later.features[:, :0]))  # they have said what they can
                relative.append(earlier.relative(later.features))
                level.append(earlier.level(later.features))
        if not rows:
            before = ", ".join(str(origin)[:10] for origin in ends[:-1])
            raise NotEnoughLabelsError(
                f"Too little was recorded before {before} to learn from.",
                f"Vor {before} wurde zu wenig aufgezeichnet, um daraus zu lernen.",
            )
        model = copy.copy(self._before(until))
        return model.calibrate(concatenate(*rows), np.concatenate(relative), np.concatenate(level), known)
