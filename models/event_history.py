"""Dated events on street segments, and what they tell of a segment as of a day: for cities that have nothing else.

A day d is a whole number of days since 1970; "before d" means earlier days. Nothing here looks at an event of the cut's
own day or later, nor at a segment that is only known by such an event.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray
from scipy.spatial import cKDTree

from models.inputs import Floats, Ints

DAYS_PER_YEAR = 365.25
_DECAY_DAYS = 365.0
_NEAR_M, _AROUND_M = 300.0, 1000.0
_STREET_PRIOR, _AROUND_PRIOR = 2.0, 3.0
"""Segments' worth of the city's mean that a street's or a neighbourhood's rate is drawn to."""
_COUNT_PRIOR = 0.3
_POSITION_ERROR_M = 5.0


@dataclass(frozen=True, slots=True)
class EventHistory:
    """m events on n segments.

    `attributes` (n, p) are numbers of the register, NaN unknown; with them every segment counts as known from the first
    day on, else from its first event on. `street` (n,) numbers the streets, −1 unknown; `position_m` (m, 2) are metres
    east and north, NaN unknown.
    """

    segment_ids: tuple[str, ...]
    segment: Ints
    day: NDArray[np.int64]
    street: Ints | None = None
    position_m: Floats | None = None
    attributes: Floats | None = None
    attribute_names: Sequence[str] = ()

    @property
    def first_day(self) -> int:
        """Day of the first event."""
        return int(self.day.min())

    def before(self, cut: int) -> "EventHistory":
        """What was there before a day: later events, and segments known only by them, are gone."""
        past = self.day < cut
        known = np.unique(self.segment[past]) if self.attributes is None else np.arange(len(self.segment_ids))
        return replace(
            self,
            segment_ids=tuple(self.segment_ids[i] for i in known.tolist()),
            segment=np.searchsorted(known, self.segment[past]).astype(np.int32),
            day=self.day[past],
            street=None if self.street is None else self.street[known],
            position_m=None if self.position_m is None else self.position_m[past],
        )

    def known_by(self, cut: int) -> NDArray[np.int64]:
        """Segments that are known before a day, shape (k,)."""
        if self.attributes is not None:
            return np.arange(len(self.segment_ids))
        return np.unique(self.segment[self.day < cut]).astype(np.int64)

    def counts(self, begin: int, end: int) -> NDArray[np.int64]:
        """Events of each segment in [begin, end), shape (n,)."""
        inside = (self.day >= begin) & (self.day < end)
        return np.bincount(self.segment[inside], minlength=len(self.segment_ids))

    def features(self, cut: int) -> tuple[NDArray[np.int64], dict[str, Floats]]:
        """Known segments (k,) and features (k,) of each by name, from events before `cut` only.

        Logarithms of rates, so that they keep their meaning while the record grows.
        """
        past, count = self.day < cut, len(self.segment_ids)
        segment, day = self.segment[past], self.day[past]
        known = self.known_by(cut)
        years = max(cut - self.first_day, 1) / DAYS_PER_YEAR
        events = np.bincount(segment, minlength=count).astype(np.float64)
        mean = max(float(events.sum()), 1.0) / max(len(known), 1)
        days = np.bincount(np.unique(segment.astype(np.int64) << 32 | day) >> 32, minlength=count)
        fading = np.bincount(segment, np.exp(-(cut - day) / _DECAY_DAYS), count)
        last, first = np.full(count, self.first_day), np.full(count, cut)
        np.maximum.at(last, segment, day)
        np.minimum.at(first, segment, day)
        table = {
            "events_a_year": np.log(events / years + _COUNT_PRIOR),
            "days_with_events_a_year": np.log(days / years + _COUNT_PRIOR),
            "recent_events": np.log(fading / max(float(fading.sum()), 1e-9) * len(known) + _COUNT_PRIOR),
            "days_since_last": np.log1p(cut - last),
            "days_since_first": np.log1p(cut - first),
        }
        if self.street is not None:
            table |= self._street(events, known, mean)
        if self.position_m is not None:
            table |= self._surroundings(self.position_m[past], segment, known, mean)
        result = {name: values[known] for name, values in table.items()}
        if self.attributes is not None:
            result |= {name: self.attributes[known, i] for i, name in enumerate(self.attribute_names)}
        return known, result

    def _street(self, events: Floats, known: NDArray[np.int64], mean: float) -> dict[str, Floats]:
        """Rate of the other segments of the street, and how many there are."""
        assert self.street is not None
        has_street = self.street >= 0
        place = np.where(has_street, self.street, 0)
        size = int(self.street.max(initial=0)) + 1
        here = known[has_street[known]]
        on_street = np.bincount(place, np.where(has_street, events, 0.0), size)[place] - events
        others = np.bincount(place[here], minlength=size)[place] - 1.0
        rate = np.log((on_street + _STREET_PRIOR * mean) / (others + _STREET_PRIOR) / mean)
        return {
            "street_rate": np.where(has_street & (others > 0), rate, 0.0),
            "street_segments": np.where(has_street, np.log1p(np.maximum(others, 0.0)), np.nan),
        }

    def _surroundings(
        self, position_m: Floats, segment: Ints, known: NDArray[np.int64], mean: float
    ) -> dict[str, Floats]:
        """Rate and number of the known segments within 300 m and 1 km, and how far the segment's own events spread."""
        count = len(self.segment_ids)
        placed = np.isfinite(position_m).all(axis=1)
        where, at = segment[placed], position_m[placed]
        number = np.bincount(where, minlength=count).astype(np.float64)
        total = np.stack([np.bincount(where, at[:, axis], count) for axis in (0, 1)], axis=1)
        middle = total / np.maximum(number, 1.0)[:, None]
        square = np.bincount(where, ((at - middle[where]) ** 2).sum(axis=1), count) / np.maximum(number, 1.0)
        here = known[number[known] > 0]
        result = {"spread": np.full(count, np.nan)}
        result["spread"][here] = np.log(np.sqrt(square[here]) + _POSITION_ERROR_M)
        if not len(here):
            return result
        segments, happened = cKDTree(middle[here]), cKDTree(middle[where])
        for name, radius_m in (("near", _NEAR_M), ("around", _AROUND_M)):
            rate, density = np.full(count, np.nan), np.full(count, np.nan)
            others = segments.query_ball_point(middle[here], radius_m, return_length=True) - 1.0
            around = happened.query_ball_point(middle[here], radius_m, return_length=True) - number[here]
            rate[here] = np.log((around + _AROUND_PRIOR * mean) / (others + _AROUND_PRIOR) / mean)
            density[here] = np.log1p(others)
            result |= {f"{name}_rate": rate, f"{name}_segments": density}
        return result
