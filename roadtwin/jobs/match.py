"""Placing new facts on the network, and rolling raw vehicle readings up to segment-days."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, NamedTuple
from uuid import UUID

import numpy as np
import psycopg
import shapely
from numpy.typing import NDArray
from psycopg.pq import TransactionStatus

from roadtwin.network.matching import MATCHER_VERSION, Match, SegmentMatcher
from roadtwin.network.sections import Attributes, Segment
from roadtwin.network.trace_matching import TraceMatcher
from roadtwin.records.segment_days import (
    ACCEL_MAX_MPS2,
    ACCEL_MIN_MPS2,
    ACCEL_STUCK_READINGS,
    FIT_FRAME_BLUR_MAX,
    FIT_FRAME_LIGHT_MIN,
    FIT_FRAME_WET_MAX,
    ROUGHNESS_REFERENCE_SPEED_MPS,
    ROUGHNESS_SPEED_MIN_MPS,
)
from roadtwin.settings import Settings
from roadtwin.storage.network import StoredSegment, read_current_segments, read_successors
from roadtwin.storage.readings import (
    FrameLimits,
    PassReading,
    RecordPlace,
    choose_unmatched_passes,
    read_chosen_passes,
    read_unmatched_records,
    write_reading_matches,
    write_record_matches,
)
from roadtwin.types import UNFIT

_LIMITS = FrameLimits(
    blur_max=FIT_FRAME_BLUR_MAX,
    wet_max=FIT_FRAME_WET_MAX,
    light_min=FIT_FRAME_LIGHT_MIN,
    reference_speed_mps=ROUGHNESS_REFERENCE_SPEED_MPS,
    speed_min_mps=ROUGHNESS_SPEED_MIN_MPS,
    accel_min_mps2=ACCEL_MIN_MPS2,
    accel_max_mps2=ACCEL_MAX_MPS2,
    accel_stuck_readings=ACCEL_STUCK_READINGS,
    unfit=int(UNFIT),
)

_BATCH_READINGS = 200_000  # chosen at once: what an interruption costs
_PORTION_READINGS = 50_000  # matched at once, in whole passes; with what is placed of a batch it bounds memory
_COMPANY = timedelta(minutes=15)  # how far around a reading others of its pass help to place it


@dataclass(frozen=True, slots=True)
class MatchCounts:
    """What was placed; `…_outside` of those lie on no segment. `segment_days` were made or made again."""

    readings: int
    readings_outside: int
    records: int
    records_outside: int
    segment_days: int


class Place(NamedTuple):
    """Where a fact was put; all None when nowhere."""

    section_id: int | None
    segment_id: int | None
    station_m: float | None
    offset_m: float | None


class Network:
    """The present network with its matcher: the ids of the database beside the rows of the matcher."""

    def __init__(self, segments: Sequence[StoredSegment], successors: Mapping[str, int]) -> None:
        self.segments = segments
        section_ids = [segment.section_id for segment in segments]
        self._section_ids, section_index = np.unique(np.array(section_ids, dtype=np.int64), return_inverse=True)
        lines = shapely.from_wkb([bytes(segment.geometry_wkb) for segment in segments])
        self._segments = [
            Segment(
                public_id=stored.public_id,
                section_index=int(index),
                nominal_length_m=stored.nominal_length_m,
                from_station_m=stored.from_station_m,
                to_station_m=stored.to_station_m,
                name=stored.name,
                district=stored.district,
                road_class=stored.road_class,
                line=shapely.get_coordinates(line),
                attributes=Attributes(),
            )
            for stored, index, line in zip(segments, section_index.tolist(), lines, strict=True)
        ]
        self.section_index: NDArray[np.int64] = section_index
        index_of_id = {segment.segment_id: i for i, segment in enumerate(segments)}
        self._by_public_id = {public_id: index_of_id[heir] for public_id, heir in successors.items()}
        self._by_public_id |= {segment.public_id: i for i, segment in enumerate(segments)}

    @cached_property
    def matcher(self) -> SegmentMatcher:
        """Matches positions that stand alone."""
        return SegmentMatcher(self._segments)

    @cached_property
    def trace_matcher(self) -> TraceMatcher:
        """Matches the positions of a drive together."""
        return TraceMatcher(self._segments)

    def find(self, public_id: str | None) -> int | None:
        """Row of a segment, or of the heir of a former one; None if there is none of this id."""
        return None if public_id is None else self._by_public_id.get(public_id)

    def places(self, match: Match) -> Iterator[Place]:
        """The ids and metres of a match."""
        columns = (match.segment_index.tolist(), match.station_m.tolist(), match.offset_m.tolist())
        for index, station_m, offset_m in zip(*columns, strict=True):
            if index < 0:
                yield Place(None, None, None, None)
            else:
                segment = self.segments[index]
                yield Place(segment.section_id, segment.segment_id, station_m, offset_m)

    def middle(self, index: int) -> Place:
        """The middle station of a segment; its offset is not known."""
        segment = self.segments[index]
        middle_m = (segment.from_station_m + segment.to_station_m) / 2
        return Place(segment.section_id, segment.segment_id, middle_m, None)


def read_network(conn: psycopg.Connection[Any]) -> Network:
    """The present network of the database."""
    return Network(read_current_segments(conn), read_successors(conn))


def match_new(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> MatchCounts:
    """Match what this version of the matcher has not matched yet, and roll readings up.

    Vehicle readings outside the network are flagged. A record that names a segment and no position is put to the
    middle of that segment; one that names both to the nearest place on that segment's section, or to the middle if
    its position is farther than `match_max_distance_m` from it; one with a position only is matched like a reading.
    Local days of the city on which new raw readings fall are summed up again in `segment_day`.

    The readings of a pass are matched together. Passes go in the order in which their readings were recorded, in
    batches that cut none of them. A reading that comes when others of its pass are matched already is matched in their
    company; they stay where they are. Each batch and the records are a transaction of their own, or all are a part of
    the caller's. Interrupted and run again, it takes up what is missing.
    """
    caller_has_begun = conn.info.transaction_status != TransactionStatus.IDLE
    network = read_network(conn)
    if not caller_has_begun:
        conn.commit()  # ends what reading began, so that each batch is a transaction of its own
    readings = outside = segment_days = 0
    while True:
        with conn.transaction():
            chosen = choose_unmatched_passes(
                conn, matcher_version=MATCHER_VERSION, limit=_BATCH_READINGS, context=_COMPANY
            )
            if chosen:
                placed = list(_match_chosen(conn, network, settings.match_max_distance_m))
                rows = (
                    (event_id, observed_at, MATCHER_VERSION, *place, now) for event_id, observed_at, place in placed
                )
                segment_days += write_reading_matches(conn, rows, matcher_version=MATCHER_VERSION, limits=_LIMITS)
                readings += len(placed)
                outside += sum(place.segment_id is None for _, _, place in placed)
        if chosen < _BATCH_READINGS:
            break
    records, records_outside = _place_records(conn, network, settings.match_max_distance_m, now)
    return MatchCounts(readings, outside, records, records_outside, segment_days)


def _place_records(
    conn: psycopg.Connection[Any], network: Network, max_distance_m: float, now: datetime
) -> tuple[int, int]:
    """Match new records; returns how many, and how many of them have no place."""
    with conn.transaction():
        records = read_unmatched_records(conn, matcher_version=MATCHER_VERSION)
        places = _match_records(network, records, max_distance_m)
        rows = (
            (record.record_kind, record.record_id, record.part_no, MATCHER_VERSION, *place, now)
            for record, place in zip(records, places, strict=True)
        )
        write_record_matches(conn, rows)
    return len(records), sum(place.segment_id is None for place in places)


def _match_chosen(
    conn: psycopg.Connection[Any], network: Network, max_distance_m: float
) -> Iterator[tuple[UUID, datetime, Place]]:
    """Places of the chosen readings that have no match yet."""
    for readings in read_chosen_passes(conn, matcher_version=MATCHER_VERSION, at_least=_PORTION_READINGS):
        for reading, place in zip(readings, _match_passes(network, readings, max_distance_m), strict=True):
            if not reading.is_matched:
                yield reading.event_id, reading.observed_at, place


def _match_passes(network: Network, readings: Sequence[PassReading], max_distance_m: float) -> Iterator[Place]:
    pass_no, _, observed_at, lon, lat, heading_deg, speed_mps, accuracy_m, _ = zip(*readings, strict=True)
    first = min(observed_at)
    match = network.trace_matcher.match(
        np.array(pass_no, dtype=np.int64),
        np.array([(at - first).total_seconds() for at in observed_at]),
        np.array(lon, dtype=np.float64),
        np.array(lat, dtype=np.float64),
        heading_deg=np.array(heading_deg, dtype=np.float64),  # None becomes NaN
        speed_mps=np.array(speed_mps, dtype=np.float64),
        accuracy_m=np.array(accuracy_m, dtype=np.float64),
        max_distance_m=max_distance_m,
    )
    return network.places(match)


def _match_records(network: Network, records: Sequence[RecordPlace], max_distance_m: float) -> list[Place]:
    places = [Place(None, None, None, None)] * len(records)
    named = [(i, network.find(record.public_segment_id)) for i, record in enumerate(records)]
    on_section = [(i, index) for i, index in named if index is not None and records[i].lon is not None]
    anywhere = [i for i, index in named if index is None and records[i].lon is not None]
    if on_section:
        rows, indices = (np.array(column, dtype=np.int64) for column in zip(*on_section, strict=True))
        lon, lat = _positions(records, rows.tolist())
        match = network.matcher.match_on_section(lon, lat, network.section_index[indices], max_distance_m)
        for row, place in zip(rows.tolist(), network.places(match), strict=True):
            places[row] = place
    if anywhere:
        lon, lat = _positions(records, anywhere)
        match = network.matcher.match(lon, lat, max_distance_m=max_distance_m)
        for row, place in zip(anywhere, network.places(match), strict=True):
            places[row] = place
    for row, index in named:
        if index is not None and places[row].segment_id is None:
            places[row] = network.middle(index)
    return places


def _positions(records: Sequence[RecordPlace], rows: Sequence[int]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    return (
        np.array([records[row].lon for row in rows], dtype=np.float64),
        np.array([records[row].lat for row in rows], dtype=np.float64),
    )
