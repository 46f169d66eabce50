"""Camera features of every segment for any number of times, from segment-days that are sorted once."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from models.features.camera import rate, recency_weight
from models.features.windows import CAMERA_DAYS
from models.inputs import Bools, Floats, Instant, Instants, SegmentDayTable

_PART_ROWS = 1 << 18


class CameraFeatures:
    """What passes saw, as of any time.

    Rows are sorted by day, segment and time of recording: those of a window lie together, whatever the order in which
    they came, and sums over them do not depend on it. A time costs what its window holds, not what all years do; only
    for segments without a good pass in it are earlier days searched for the last one.

    Parameters
    ----------
    days : SegmentDayTable
        In any order. Of several rows of one segment and day the last one recorded is in force.
    segment_count : int
        Number of segments.
    """

    def __init__(self, days: SegmentDayTable, segment_count: int) -> None:
        self._count = segment_count
        editions, ordered = self._editions(days)
        if not ordered:
            days = days.take(np.lexsort((days.recorded_at, days.segment_index, days.day)))
            editions, _ = self._editions(days)
        self._days = days
        self._replaced, self._replaced_at = editions, days.recorded_at[editions + 1]

    @staticmethod
    def _editions(days: SegmentDayTable) -> tuple[NDArray[np.int64], bool]:
        """Rows whose next one is an edition of the same day, and whether all rows are in order.

        Compared column by column and in parts: a joint key of tens of millions of rows would be their largest column.
        """
        found, ordered = [np.zeros(0, np.int64)], True
        for begin in range(0, len(days) - 1, _PART_ROWS):
            end = min(begin + _PART_ROWS, len(days) - 1)
            here, after = slice(begin, end), slice(begin + 1, end + 1)
            later, one_day = days.day[after] > days.day[here], days.day[after] == days.day[here]
            same = one_day & (days.segment_index[after] == days.segment_index[here])
            in_order = later | one_day & (days.segment_index[after] >= days.segment_index[here])
            editions = begin + np.flatnonzero(same)
            dated = days.recorded_at[editions + 1] >= days.recorded_at[editions]
            ordered = ordered and bool(in_order.all() and dated.all())
            found.append(editions)
        return np.concatenate(found), ordered

    def at(self, as_of: Instant, today: Instant, wanted: Bools | None = None) -> dict[str, Floats]:
        """Features as of an instant on the local day `today`, each of shape (n_segments,), without `last_seen_days`.

        `wanted` (n_segments,): for these segments only; of others no pass is read.
        """
        of_age = recency_weight(np.arange(CAMERA_DAYS, dtype=np.float64))  # a power a day, not a power a row
        exposure, linear, alligator, rough, measured, passes_28d, passes_90d = np.zeros((7, self._count))
        for rows in self._window(as_of, today, wanted):
            where, passes = rows.segment_index.astype(np.intp), rows.good_passes
            age = _number(today) - rows.day
            weight, known = of_age[age], np.isfinite(rows.roughness_mps2)
            # Added in the order of rows, so that sums do not depend on the parts that they are read in.
            np.add.at(exposure, where, weight * passes)
            np.add.at(linear, where, weight * rows.linear_cracks)
            np.add.at(alligator, where, weight * rows.alligator_cracks)
            np.add.at(rough, where[known], weight[known] * rows.roughness_mps2[known])
            np.add.at(measured, where[known], weight[known])
            for days, total in ((28, passes_28d), (90, passes_90d)):
                np.add.at(total, where[age < days], passes[age < days].astype(np.float64))
        return {
            "linear_cracks_per_pass": rate(linear, exposure),
            "alligator_cracks_per_pass": rate(alligator, exposure),
            "roughness_mps2": rate(rough, measured),
            "good_passes_28d": passes_28d,
            "good_passes_90d": passes_90d,
        }

    def last_seen(self, as_of: Instant, today: Instant, wanted: Bools | None = None) -> Instants:
        """Newest day with a good pass, shape (n_segments,); NaT where there is none. `wanted` as in `at`."""
        newest = np.full(self._count, np.datetime64("NaT"), "datetime64[D]")
        for rows in self._window(as_of, today, wanted):
            self._enter(newest, rows)
        unseen = np.isnat(newest) if wanted is None else np.isnat(newest) & wanted
        first = int(np.searchsorted(self._days.day, _number(today) - CAMERA_DAYS, side="right"))
        for begin in reversed(range(0, first, _PART_ROWS)):
            if not unseen.any():
                break
            self._enter(newest, self._known(begin, min(begin + _PART_ROWS, first), as_of, unseen))
            unseen &= np.isnat(newest)
        return newest

    def _window(self, as_of: Instant, today: Instant, wanted: Bools | None) -> Iterator[SegmentDayTable]:
        """What was known of the window that ends today, in the order of rows and some hundred thousand at a time: in a
        large city half a year has five million."""
        last_day = _number(today)
        first, last = np.searchsorted(self._days.day, [last_day - CAMERA_DAYS, last_day], side="right")
        for begin in range(int(first), int(last), _PART_ROWS):
            yield self._known(begin, min(begin + _PART_ROWS, int(last)), as_of, wanted)

    def _known(self, first: int, last: int, as_of: Instant, wanted: Bools | None) -> SegmentDayTable:
        held = self._days.recorded_at[first:last] <= as_of
        begin, end = np.searchsorted(self._replaced, [first, last])
        gone = self._replaced[begin:end][self._replaced_at[begin:end] <= as_of]
        held[gone - first] = False
        if wanted is not None:
            held &= wanted[self._days.segment_index[first:last]]
        return self._days.take(first + np.flatnonzero(held))

    @staticmethod
    def _enter(newest: Instants, rows: SegmentDayTable) -> None:
        good: NDArray[np.bool_] = rows.good_passes > 0
        newest[rows.segment_index[good]] = rows.day[good].astype(
            "datetime64[D]"
        )  # in the order of days: the last one stays


def _number(day: Instant) -> np.int32:
    """Days since 1970-01-01, as segment-days count them: in their type, or searching would make wide copies of all."""
    return np.int32(day.astype("datetime64[D]").astype(np.int64))
