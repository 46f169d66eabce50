"""Segment-days as CSV."""

import re
from collections.abc import Iterator
from functools import lru_cache
from itertools import pairwise

import numpy as np

from roadtwin.records.segment_days import SegmentDays

SEGMENT_DAYS_FILE = "segment-days.csv"
COLUMNS = (
    "segment_id",
    "day",
    "recorded_at",
    "passes",
    "good_passes",
    "longitudinal_cracks",
    "transverse_cracks",
    "alligator_cracks",
    "potholes_seen",
    "roughness_mps2",
)


def csv_header() -> bytes:
    """The first line of a file."""
    return (",".join(COLUMNS) + "\n").encode()


def csv_lines(days: SegmentDays) -> Iterator[bytes]:
    """A line for each row, in portions of one local day; roughness is empty where nothing measured it."""
    rough = ["" if value != value else f"{value:.3f}" for value in days.roughness_mps2.tolist()]
    counts = [
        column.tolist()
        for column in (
            days.passes,
            days.good_passes,
            days.longitudinal_cracks,
            days.transverse_cracks,
            days.alligator_cracks,
            days.potholes_seen,
        )
    ]
    names, index = _fields(days.segment_ids), days.segment_index.tolist()
    # A day is known when it is over, and later where a box had no network.
    times = (days.day.astype(np.int64), days.recorded_at.astype(np.int64))
    begins = np.flatnonzero(np.any([np.diff(at, prepend=-(2**62)) != 0 for at in times], axis=0)).tolist()
    for first, after in pairwise([*begins, len(index)]):
        when = f"{days.day[first]},{days.recorded_at[first].astype('datetime64[s]')}Z"
        rows = zip(index[first:after], *(column[first:after] for column in counts), rough[first:after], strict=True)
        yield "".join(
            f"{names[i]},{when},{passes},{good},{longitudinal},{transverse},{alligator},{potholes},{mean}\n"
            for i, passes, good, longitudinal, transverse, alligator, potholes, mean in rows
        ).encode()


@lru_cache(maxsize=2)
def _fields(names: tuple[str, ...]) -> list[str]:
    """Ids as fields; those of imported networks hold whatever their register has (RFC 4180)."""
    return ['"' + name.replace('"', '""') + '"' if re.search('[",\r\n]', name) else name for name in names]
