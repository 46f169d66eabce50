"""Facts of former and present segments, placed on the present ones."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.inputs import Ints
from roadtwin.storage.network import Heir

Columns = dict[str, NDArray[Any]]
"""Rows by column, as read; `segment_id` says where each belongs."""
_PART = 1 << 20


class Heirs:
    """Which present segment stands for a former one: the one that holds the greatest part of it."""

    def __init__(self, rows: list[Heir]) -> None:
        rows = sorted(rows, key=lambda row: row.old_segment_id)
        self._old = np.array([row.old_segment_id for row in rows], np.int32)
        self._new = np.array([row.new_segment_id for row in rows], np.int32)
        # Of several former segments with one heir, the longest alone tells how a day was: passes do not add up.
        first: dict[int, Heir] = {}
        for row in rows:
            if row.new_segment_id not in first or row.length_m > first[row.new_segment_id].length_m:
                first[row.new_segment_id] = row
        self._main = np.array([first[row.new_segment_id] is row for row in rows], bool)

    def with_former(self, segment_ids: Sequence[int]) -> list[int]:
        """These present segments and the former ones for which they stand."""
        return [*segment_ids, *self._old[np.isin(self._new, segment_ids)].tolist()]

    def of_facts(self, columns: Columns) -> Columns:
        """Rows with the present segment's id in the place of a former one's."""
        if not self._old.size:
            return columns
        segment_id, old, place = self._places(columns)
        segment_id[old] = self._new[place[old]]
        return columns | {"segment_id": segment_id}

    def of_days(self, columns: Columns) -> Columns:
        """The same for segment-days: one former segment stands for each present one, where that has no row of its own.

        Raw readings are matched again to the new segments, which makes their days anew.
        """
        if not self._old.size:
            return columns  # years of segment-days are not copied for nothing
        _, old, place = self._places(columns)
        kept = ~old
        kept[old] = self._main[place[old]]
        moved = self.of_facts({name: column[kept] for name, column in columns.items()})
        key = moved["segment_id"].astype(np.int64) << 32 | moved["day"].astype(np.int64)
        inherited = old[kept]
        used = ~(inherited & np.isin(key, key[~inherited]))
        return {name: column[used] for name, column in moved.items()}

    def _places(self, columns: Columns) -> tuple[Ints, NDArray[np.bool_], NDArray[np.intp]]:
        segment_id = columns["segment_id"].copy()
        place = np.searchsorted(self._old, segment_id)
        old = place < self._old.size
        old[old] = self._old[place[old]] == segment_id[old]
        return segment_id, old, place


def on_segments(columns: Columns, segment_ids: Ints) -> Columns:
    """Rows on these (sorted) segments, with `segment_index` in place of the id."""
    position = positions(columns["segment_id"], segment_ids)
    rows = {name: column for name, column in columns.items() if name != "segment_id"} | {"segment_index": position}
    known = position >= 0
    return rows if known.all() else {name: column[known] for name, column in rows.items()}


def positions(of: Ints, segment_ids: Ints) -> Ints:
    """Number of each id (n,) among the sorted `segment_ids`, −1 where it is none of them."""
    found = np.empty(of.size, np.int32)
    for begin in range(0, of.size, _PART):  # searching gives wide numbers: of some rows at a time, not of all
        part = of[begin : begin + _PART]
        at = np.searchsorted(segment_ids, part)
        known = at < segment_ids.size
        known[known] = segment_ids[at[known]] == part[known]
        found[begin : begin + _PART] = np.where(known, at, -1)
    return found
