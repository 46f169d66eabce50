"""Vehicle readings loaded in bulk, matches of readings and records, and segment-days."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from operator import attrgetter
from typing import Any, NamedTuple
from uuid import UUID

import psycopg

from roadtwin.storage import queries
from roadtwin.types import Detection, Flag, Origin, VehicleReading

_SQL = queries.load("readings")
_MANY_RECORDS = 1000
_LOCK_KEY = 0x726F6164_6D746368  # of those that match: two at once would match the same facts


class PassReading(NamedTuple):
    """A reading of a pass; those that are matched already are company for the others. `pass_no` within a batch."""

    pass_no: int
    event_id: UUID
    observed_at: datetime
    lon: float
    lat: float
    heading_deg: float | None
    speed_mps: float
    accuracy_m: float | None
    is_matched: bool


class RecordPlace(NamedTuple):
    """Where a repair, a report or a finding says it was, not yet matched."""

    record_kind: str
    record_id: UUID
    part_no: int
    public_segment_id: str | None
    lon: float | None
    lat: float | None
    accuracy_m: float | None


class FrameLimits(NamedTuple):
    """What makes a frame fit for detection, and an acceleration a roughness; see `records.segment_days`.

    `unfit` are the flags of readings that are not used at all.
    """

    blur_max: float
    wet_max: float
    light_min: float
    reference_speed_mps: float
    speed_min_mps: float
    accel_min_mps2: float
    accel_max_mps2: float
    accel_stuck_readings: int
    unfit: int


def load_vehicle_readings(
    conn: psycopg.Connection[Any], readings: Iterable[tuple[VehicleReading, datetime]], *, origin: Origin
) -> int:
    """Write readings, each with its recorded_at, and their detections; returns how many readings are new.

    A reading that is there already is left as it is. Part of the caller's transaction.
    """
    rows = list(readings)
    with conn.cursor() as cur:
        cur.execute(_SQL["stage_vehicle_reading"])
        with cur.copy(_SQL["copy_vehicle_reading"]) as copy:
            for reading, recorded_at in rows:
                copy.write_row(_reading_row(reading, recorded_at, origin))
        with cur.copy(_SQL["copy_detection"]) as copy:
            for reading, recorded_at in rows:
                for detection in reading.detections:
                    copy.write_row(_detection_row(reading, detection, recorded_at))
        cur.execute(_SQL["merge_vehicle_reading"])
        stored = cur.rowcount
        cur.execute(_SQL["merge_detection"])
    return stored


def _reading_row(r: VehicleReading, recorded_at: datetime, origin: Origin) -> tuple[object, ...]:
    position, imu = r.position, (r.accel_rms_mps2, r.accel_peak_mps2, r.sample_rate_hz)
    who = (r.event_id, r.observed_at, recorded_at, origin.value, r.vehicle_pseudonym, r.calibration_id)
    where = (position.lon, position.lat, position.accuracy_m, r.heading_deg, r.speed_mps, r.pass_id, r.lane)
    frame = (r.camera_model, r.camera_version, r.blur, r.wet, r.light)
    return *who, *where, *frame, *imu, r.image_ref, int(r.flags)


def _detection_row(r: VehicleReading, d: Detection, recorded_at: datetime) -> tuple[object, ...]:
    seen = (d.detection_no, d.class_code, d.confidence, list(d.bbox_px), d.image_width_px, d.image_height_px)
    return r.event_id, r.observed_at, recorded_at, *seen, d.width_m, d.length_m, d.depth_m, d.area_m2, d.track_id


def load_segment_days(conn: psycopg.Connection[Any], rows: Iterable[Sequence[object]]) -> int:
    """Write segment-days in the column order of `copy_segment_day`; returns how many are new."""
    with conn.cursor() as cur:
        cur.execute(_SQL["stage_segment_day"])
        with cur.copy(_SQL["copy_segment_day"]) as copy:
            for row in rows:
                copy.write_row(row)
        cur.execute(_SQL["merge_segment_day"])
        return cur.rowcount


def choose_unmatched_passes(
    conn: psycopg.Connection[Any], *, matcher_version: int, limit: int, context: timedelta
) -> int:
    """Choose the passes of vehicle readings without a match of this version, at most `limit`, those recorded first.

    `read_chosen_passes` then gives all readings of those passes, from `context` before the first to `context` after
    the last chosen one: no pass is cut, unless it is longer than that. Returns the number of readings chosen. Waits for
    another transaction that matches, and keeps others from it until the caller's ends.
    """
    conn.execute(_SQL["lock_matching"], {"key": _LOCK_KEY})
    conn.execute(_SQL["stage_chosen_pass"])
    parameters = {"matcher_version": matcher_version, "limit": limit, "context": context}
    conn.execute(_SQL["choose_unmatched_passes"], parameters)
    conn.execute(_SQL["analyze_chosen_pass"])
    chosen: int = conn.execute(_SQL["read_chosen_bounds"]).fetchall()[0][0]
    return chosen


def read_chosen_passes(
    conn: psycopg.Connection[Any], *, matcher_version: int, at_least: int
) -> Iterator[list[PassReading]]:
    """Readings of the chosen passes, by pass and time; in portions of whole passes with `at_least` readings each.

    No other statement may run on the connection before the last portion is read.
    """
    _, begin_at, end_at = conn.execute(_SQL["read_chosen_bounds"]).fetchall()[0]
    bounds = {"begin_at": begin_at, "end_at": end_at}
    conn.execute(_SQL["stage_chosen_reading"])
    conn.execute(_SQL["choose_readings"], bounds)
    conn.execute(_SQL["analyze_chosen_reading"])
    portion: list[PassReading] = []
    with conn.cursor("chosen_passes", binary=True) as cur:
        cur.itersize = at_least
        cur.execute(_SQL["read_chosen_readings"], {"matcher_version": matcher_version, **bounds})
        for _, readings in groupby(map(PassReading._make, cur), key=attrgetter("pass_no")):
            portion.extend(readings)
            if len(portion) >= at_least:
                yield portion
                portion = []
    if portion:
        yield portion


def read_unmatched_records(conn: psycopg.Connection[Any], *, matcher_version: int) -> list[RecordPlace]:
    """Repairs, reports and findings without a match of this version; waits as `choose_unmatched_passes` does."""
    conn.execute(_SQL["lock_matching"], {"key": _LOCK_KEY})
    rows = conn.execute(_SQL["read_unmatched_records"], {"matcher_version": matcher_version}).fetchall()
    return [RecordPlace(*row) for row in rows]


def write_reading_matches(
    conn: psycopg.Connection[Any], rows: Iterable[Sequence[object]], *, matcher_version: int, limits: FrameLimits
) -> int:
    """Write matches in the column order of `copy_reading_match`, flag readings outside the network, and make the
    segment-days again that they fall on, and those that an older version of the matcher had put them on; returns the
    number of segment-days written. Part of the caller's transaction.
    """
    outside = {"outside": int(Flag.OUTSIDE_NETWORK)}
    with conn.cursor() as cur:
        cur.execute(_SQL["stage_reading_match"])
        with cur.copy(_SQL["copy_reading_match"]) as copy:
            for row in rows:
                copy.write_row(row)
        cur.execute(_SQL["merge_reading_match"])
        cur.execute(_SQL["flag_outside_network"], outside)
        cur.execute(_SQL["unflag_inside_network"], outside)
        cur.execute(_SQL["analyze_reading_match"])
        _leave_former_segment_days(cur, matcher_version)
        cur.execute(_SQL["roll_up_segment_days"], {"matcher_version": matcher_version, **limits._asdict()})
        return cur.rowcount


def _leave_former_segment_days(cur: psycopg.Cursor[Any], matcher_version: int) -> None:
    """Note the segment-days that staged readings have left since an older version of the matcher, and drop them."""
    cur.execute(_SQL["stage_former_match"])
    begin_at, end_at = cur.execute(_SQL["read_staged_bounds"]).fetchall()[0]
    bounds = {"begin_at": begin_at, "end_at": end_at}
    if cur.execute(_SQL["find_former_matches"], {"matcher_version": matcher_version, **bounds}).rowcount:
        cur.execute(_SQL["analyze_former_match"])
        cur.execute(_SQL["find_left_segment_days"], bounds)
        cur.execute(_SQL["delete_left_segment_days"])


def write_record_matches(conn: psycopg.Connection[Any], rows: Iterable[Sequence[object]]) -> None:
    """Write matches of records in the column order of `copy_record_match`."""
    count = 0
    with conn.cursor() as cur:
        with cur.copy(_SQL["copy_record_match"]) as copy:
            for count, row in enumerate(rows, start=1):  # noqa: B007
                copy.write_row(row)
        if count >= _MANY_RECORDS:
            cur.execute(_SQL["analyze_record_match"])


def forget_stale_matches(conn: psycopg.Connection[Any]) -> None:
    """Drop matches that a change of the network made wrong or possible; `match_new` makes them again."""
    conn.execute(_SQL["forget_reading_matches"])
    conn.execute(_SQL["forget_record_matches"])
