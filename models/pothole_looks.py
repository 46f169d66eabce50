"""Looks at segments that may have missed a hole, for the rule that makes potholes of evidence."""

from bisect import bisect_left

import numpy as np

from models.inputs import Instant, Looks

LEAST_CAMERA_DAYS = 4
"""Days with a good camera pass that must miss a hole before it counts as not found."""


class Misses:
    """Looks by segment, in the order of recording."""

    def __init__(self, looks: Looks, now: Instant) -> None:
        known = looks.recorded_by(now)
        recorded, begun = (column.astype(np.int64) for column in (known.recorded_at, known.observed_from))
        order = np.lexsort((known.by_person, begun, recorded, known.segment_id))
        ids, starts, counts = np.unique(known.segment_id[order], return_index=True, return_counts=True)
        columns = [column[order].tolist() for column in (recorded, begun, known.by_person)]
        self._of = {
            segment: tuple(column[start : start + count] for column in columns)
            for segment, start, count in zip(ids.tolist(), starts.tolist(), counts.tolist(), strict=True)
        }

    def first(self, segment_id: int, *, seen_us: int, known_us: int) -> tuple[int, int] | None:
        """Recorded and observed time of the look that settles that a hole last seen (and known) then is gone."""
        recorded, begun, by_person = self._of.get(segment_id, ([], [], []))
        days = set()
        for i in range(bisect_left(recorded, known_us), len(recorded)):
            if begun[i] <= seen_us:
                continue
            days.add(begun[i])
            if by_person[i] or len(days) >= LEAST_CAMERA_DAYS:
                return recorded[i], begun[i]
        return None
