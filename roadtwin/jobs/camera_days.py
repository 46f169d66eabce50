"""Segment-days of vehicles' cameras into the table that features are made from."""

from dataclasses import replace
from datetime import date, datetime, timedelta
from typing import Any

import numpy as np
import psycopg

from models.features.windows import CAMERA_DAYS
from models.inputs import Ints, SegmentDayTable
from roadtwin.jobs.on_segments import Columns, Heirs, positions
from roadtwin.records.segment_days import ACCEL_MAX_MPS2
from roadtwin.storage.model_inputs import Part, read_columns


def read_recent_days(
    conn: psycopg.Connection[Any], segment_ids: Ints, heirs: Heirs, now: datetime, today: date
) -> Columns:
    """Segment-days of the window of camera features, and the last look of segments that have none in it."""
    part = Part(from_day=today - timedelta(days=CAMERA_DAYS))
    window = heirs.of_days(read_columns(conn, "segment_days", now=now, part=part))
    place = positions(window["segment_id"], segment_ids)
    seen = np.zeros(segment_ids.size, bool)
    seen[place[(window["good_passes"] > 0) & (place >= 0)]] = True
    del place
    # A row that another edition of its day takes back may have been the only good one.
    key = np.sort(window["segment_id"].astype(np.int64) << 32 | window["day"].astype(np.int64))
    corrected = np.isin(segment_ids, np.unique(key[1:][key[1:] == key[:-1]] >> 32))
    del key
    unseen = heirs.with_former(segment_ids[~seen | corrected].tolist())
    before = heirs.of_days(read_columns(conn, "last_looks", now=now, part=replace(part, segment_ids=unseen)))
    # One column after the other, so that half a year is not held twice.
    return {name: np.concatenate([window.pop(name), before[name]]) for name in tuple(window)}


def to_table_of_days(columns: Columns, segment_ids: Ints) -> SegmentDayTable:
    """Rows by day, segment and time of recording, as camera features want them: they then need no second copy.

    Takes the columns out of `columns`, one after the other: of years in a large city, memory has no room for all of
    them twice.
    """
    count = max(segment_ids.size, 1)
    index = positions(columns.pop("segment_id"), segment_ids)
    known = index >= 0
    if not known.all():
        index = index[known]
        for name in tuple(columns):
            columns[name] = columns[name][known]
    del known
    for name in ("good_passes", "linear_cracks", "alligator_cracks"):
        columns[name] = columns[name].astype(np.uint16)  # the sum of two small integers is the largest of them
    key = columns.pop("day").astype(np.int64)
    key *= count
    key += index
    del index
    order = np.argsort(key, kind="stable")
    key = key[order]
    again = key[1:] == key[:-1]
    editions = np.flatnonzero(np.append(again, False) | np.append(False, again))
    rows = order[editions]  # of days with several editions, in whose places they stay
    order[editions] = rows[np.lexsort((columns["recorded_at"][rows], key[editions]))]
    for name in tuple(columns):
        columns[name] = columns[name][order]
    del order, again, editions, rows
    roughness_mps2 = columns.pop("roughness_mps2")
    roughness_mps2[~(roughness_mps2 <= ACCEL_MAX_MPS2)] = np.nan
    segment_index = (key % count).astype(np.int32)
    key //= count
    return SegmentDayTable(
        recorded_at=columns.pop("recorded_at"),
        segment_index=segment_index,
        day=key.astype(np.int32),
        good_passes=columns.pop("good_passes"),
        linear_cracks=columns.pop("linear_cracks"),
        alligator_cracks=columns.pop("alligator_cracks"),
        roughness_mps2=roughness_mps2,
    )
