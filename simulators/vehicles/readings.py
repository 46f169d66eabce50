"""Camera reports of about ten metres: where the box says it was, what it detected, how the road shook it.

History takes those with a pothole, the live feed takes all; both come from here, so that they agree. Everything is
keyed by the drive and the place, so that it does not depend on which drives are asked for together.
"""

import hashlib
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol
from uuid import UUID

import numpy as np
from numpy.typing import NDArray

from roadtwin.types import Detection, Position, VehicleReading
from simulators.instants import as_time
from simulators.truth.truth import Truth
from simulators.vehicles.detector import (
    CODES,
    IMAGE_HEIGHT_PX,
    IMAGE_WIDTH_PX,
    LID,
    WORN_LINE,
    Described,
    Found,
    describe,
)
from simulators.vehicles.drives import Drives
from simulators.vehicles.fleet import CAMERA_HEIGHT_M
from simulators.vehicles.gnss import Gnss
from simulators.vehicles.imu import (
    Jolts,
    Lids,
    accelerations,
    hole_jolts,
    lane_m,
    lid_jolts,
    segment_shaking,
    wander_m,
)
from simulators.vehicles.mistakes import POTHOLE
from simulators.vehicles.observers import ranges
from simulators.vehicles.segment_drives import THINGS, Cracks, Cut, SegmentViews
from simulators.vehicles.traffic import bin_count

CAMERA_MODEL = "roadtwin-sim-yolo"
# Entities of things that cameras find, beside cracks.
_HOLES, _OTHERS = 2**18, 2**19
_LID_SEEN, _WORN_SHARE, _WORN_SEEN = 0.5, 0.05, 0.4
_VERSION_OF_ID = 0xFFFFFFFFFFFF0FFF, 0x4000, 0x3FFFFFFFFFFFFFFF, 0x8000000000000000  # RFC 9562: version 4, variant


class Pseudonymiser(Protocol):
    """What replaces a vehicle's id in loaded history, as ingest does it on the wire."""

    def pseudonym(self, vehicle_id: str, at: datetime) -> str:
        """Name in the month of `at`."""

    def calibration_id(self, vehicle_id: str) -> str:
        """Lasting name for calibration."""


class PlainPseudonyms:
    """Unkeyed stand-ins: the vehicles are invented, so nobody has to be protected."""

    def pseudonym(self, vehicle_id: str, at: datetime) -> str:
        """Name in the UTC month of `at`."""
        return "v-" + hashlib.sha256(f"{vehicle_id}/{at:%Y-%m}".encode()).hexdigest()[:24]

    def calibration_id(self, vehicle_id: str) -> str:
        """Lasting name for calibration."""
        return "c-" + hashlib.sha256(f"{vehicle_id}/calibration".encode()).hexdigest()[:24]


@dataclass(frozen=True, slots=True)
class ReadingColumns:
    """n readings as boxes send them, rounded. `found` and `described`: their detections, those of reading i from
    `first[i]` to before `first[i + 1]`."""

    row: NDArray[np.intp]
    true_us: NDArray[np.int64]  # when it was; `observed_us` is what the box's clock showed, to the millisecond
    observed_us: NDArray[np.int64]
    id_words: NDArray[np.uint64]  # (n, 2): event ids
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    accuracy_m: NDArray[np.float64]
    heading_deg: NDArray[np.float64]
    speed_mps: NDArray[np.float64]
    version: NDArray[np.int64]
    accel_rms_mps2: NDArray[np.float64]
    accel_peak_mps2: NDArray[np.float64]
    found: Found
    described: Described
    first: NDArray[np.intp]

    def take(self, rows: NDArray[np.intp]) -> "ReadingColumns":
        """Some of the readings (`rows` ascending)."""
        count = np.diff(self.first)[rows]
        things = ranges(self.first[rows], self.first[rows] + count)
        found = Found(*(getattr(self.found, name)[things] for name in Found.__slots__))
        found = replace(found, reading=np.repeat(np.arange(len(rows)), count))
        described = Described(*(getattr(self.described, name)[things] for name in Described.__slots__))
        columns = {name: getattr(self, name)[rows] for name in self.__slots__[:-3]}
        first = np.concatenate([[0], np.cumsum(count)])
        return replace(self, **columns, found=found, described=described, first=first)


class Cameras:
    """The cameras of a world."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.world = truth, truth.world
        self.timetable = truth.observers.timetable
        self.views = SegmentViews(truth)
        self._gnss = Gnss(self.world, self.timetable)
        self._lids = Lids.of(truth)
        self._bins = bin_count(self.world.geometry.section_length_m)
        self._large = np.array([s.road_class in ("main", "collector") for s in self.world.sections])

    # -- per ten metres --------------------------------------------------------------------------------------------
    def with_potholes(self, drives: Drives, pseudonyms: Pseudonymiser) -> list[tuple[int, VehicleReading]]:
        """The reports that show a pothole, with only the potholes in them, and when they were made [µs]; in the order
        of time."""
        cut = self.views.cut(drives)
        row_of, bin_of, reported, entity, hole = self._pothole_like(drives, cut, only_potholes=True)
        if not len(row_of):
            return []
        distinct, reading = np.unique(row_of * 2**32 + bin_of, return_inverse=True)
        row, bin_no = np.divmod(distinct, 2**32)
        columns = self._columns(
            drives, row, bin_no, [self._as_found(drives, reading, row_of, reported, entity, hole)], None
        )
        return self._as_readings(drives, columns, pseudonyms)

    def everything(self, drives: Drives) -> ReadingColumns:
        """All reports of drives, nothing-seen ones included; by drive, in the order of time within it."""
        count = self._bins[drives.passes.section]
        row = np.repeat(np.arange(len(count)), count)
        before = np.cumsum(count) - count
        bin_no = np.arange(len(row)) - before[row]
        cut = self.views.cut(drives)
        row_of, bin_of, reported, entity, hole = self._pothole_like(drives, cut, only_potholes=False)
        found = [
            self._as_found(drives, before[row_of] + bin_of, row_of, reported, entity, hole),
            self._lids_found(drives, before),
            self._worn_lines(drives, row, bin_no),
        ]
        return self._columns(drives, row, bin_no, found, self._shaking(drives, cut, row, bin_no, before))

    def _bin(self, drives: Drives, row: NDArray[np.intp], station_m: NDArray[np.float64]) -> NDArray[np.int64]:
        section = drives.passes.section[row]
        count, length = self._bins[section], self.world.geometry.section_length_m[section]
        along = np.where(drives.passes.direction[row] > 0, station_m, length - station_m)
        result: NDArray[np.int64] = np.clip((along / length * count).astype(np.int64), 0, count - 1)
        return result

    def _station(self, drives: Drives, row: NDArray[np.intp], bin_no: NDArray[np.int64]) -> NDArray[np.float64]:
        section = drives.passes.section[row]
        length, count = self.world.geometry.section_length_m[section], self._bins[section]
        along = (bin_no + 0.5) / count * length
        result: NDArray[np.float64] = np.where(drives.passes.direction[row] > 0, along, length - along)
        return result

    # -- what is found ---------------------------------------------------------------------------------------------
    def _pothole_like(
        self, drives: Drives, cut: Cut, *, only_potholes: bool
    ) -> tuple[NDArray[np.intp], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """Holes, false potholes and cracks: drive, bin, reported class, entity, and the hole (−1: a crack, −2: nothing
        is there)."""
        seen, cracks, geometry = drives.seen, self.views.cracks(drives, cut), self.world.geometry
        number = np.where(seen.hole >= 0, _HOLES + seen.hole % _HOLES, _OTHERS - 1)
        if only_potholes:
            kept = np.flatnonzero(cracks.reported == POTHOLE)
            cracks = Cracks(cracks.at[kept], cracks.entity[kept], cracks.reported[kept])
        crack_row, segment = cut.row[cracks.at], cut.segment[cracks.at]
        along = self.world.streams.uniform("camera/crack-at", cracks.entity, drives.time_key[crack_row])
        station = geometry.segment_from_m[segment] + along * geometry.segment_length_m[segment]
        row = np.concatenate([seen.row, crack_row])
        reported = np.concatenate([seen.reported, cracks.reported])
        entity = np.concatenate([drives.passes.key[seen.row] * THINGS + number, cracks.entity])
        hole = np.concatenate([np.where(seen.hole >= 0, seen.hole, -2), np.full(len(crack_row), -1)])
        bin_no = self._bin(drives, row, np.concatenate([seen.station_m, station]))
        if only_potholes:
            kept = np.flatnonzero(reported == POTHOLE)
            row, bin_no, reported, entity, hole = (c[kept] for c in (row, bin_no, reported, entity, hole))
        return row, bin_no, reported, entity, hole

    def _as_found(
        self,
        drives: Drives,
        reading: NDArray[np.intp],
        row: NDArray[np.intp],
        reported: NDArray[np.int64],
        entity: NDArray[np.int64],
        hole: NDArray[np.int64],
    ) -> Found:
        width, depth, right = (np.full(len(row), np.nan) for _ in range(3))
        is_hole, holes = np.flatnonzero(hole >= 0), self.truth.holes
        clock = drives.clock[row]
        for value in np.unique(clock[is_hole]).tolist():
            there = is_hole[clock[is_hole] == value]
            width[there], depth[there] = holes.width_m(hole[there], value), holes.depth_m(hole[there], value)
        which, at = hole[is_hole], row[is_hole]
        lane = lane_m(self.truth, holes.segment[which]) + wander_m(self.world, drives)[at]
        right[is_hole] = -holes.offset_m[which] * drives.passes.direction[at] - lane
        return Found(reading, reported, hole > -2, entity, drives.time_key[row], width, depth, right)

    def _lids_found(self, drives: Drives, before: NDArray[np.int64]) -> Found:
        """Lids in the own half of the road: no damage, but detectors know them."""
        lids = self._lids
        row, lid = lids.passed(drives)
        entity = drives.passes.key[row] * THINGS + _OTHERS + lid % _HOLES
        drawn = self.world.streams.uniform("camera/lid", entity, drives.time_key[row])
        ours = (lids.offset_m[lid] < 0) == (drives.passes.direction[row] > 0)
        hit = np.flatnonzero(
            (drawn < np.where(drives.quality.good, _LID_SEEN, 0.5 * _LID_SEEN)[row]) & ours & ~lids.is_rail[lid]
        )
        row, lid = row[hit], lid[hit]
        reading = before[row] + self._bin(drives, row, lids.station_m[lid])
        return self._maskable(drives, reading, row, LID, entity[hit], lids.right_m(self.truth, drives, row, lid))

    def _worn_lines(self, drives: Drives, row: NDArray[np.intp], bin_no: NDArray[np.int64]) -> Found:
        """Worn lines of main roads and collectors: the same places again."""
        passes, streams = drives.passes, self.world.streams
        section = passes.section[row].astype(np.int64)
        lined = np.flatnonzero(self._large[section])
        place = (section * 2 + (passes.direction[row] < 0))[lined] * 4096 + bin_no[lined]
        lined = lined[streams.uniform("camera/worn", place) < _WORN_SHARE]
        entity = passes.key[row[lined]] * THINGS + _OTHERS + _HOLES + bin_no[lined]
        seen = streams.uniform("camera/worn-seen", entity, drives.time_key[row[lined]]) < _WORN_SEEN
        lined, entity = lined[seen], entity[seen]
        return self._maskable(drives, lined, row[lined], WORN_LINE, entity, np.full(len(lined), -1.4))

    def _maskable(
        self,
        drives: Drives,
        reading: NDArray[np.intp],
        row: NDArray[np.intp],
        code: int,
        entity: NDArray[np.int64],
        right_m: NDArray[np.float64],
    ) -> Found:
        unknown, kind = np.full(len(row), np.nan), np.full(len(row), code)
        return Found(
            reading, kind, np.ones(len(row), np.bool_), entity, drives.time_key[row], unknown, unknown, right_m
        )

    # -- shaking ---------------------------------------------------------------------------------------------------
    def _shaking(
        self, drives: Drives, cut: Cut, row: NDArray[np.intp], bin_no: NDArray[np.int64], before: NDArray[np.int64]
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        passes = drives.passes
        smooth = segment_shaking(self.truth, drives, cut.row, cut.segment, cut.drawn[3])
        road = smooth[self.views.place(drives, row, self._station(drives, row, bin_no))]
        energy, largest = np.zeros(len(row)), np.zeros(len(row))

        def add(jolts: Jolts) -> NDArray[np.intp]:
            reading: NDArray[np.intp] = before[jolts.row] + self._bin(drives, jolts.row, jolts.station_m)
            np.maximum.at(largest, reading, jolts.amplitude_mps2)
            return reading

        holes = hole_jolts(self.truth, drives)
        np.add.at(energy, add(holes), holes.energy(passes.speed_mps[holes.row]))
        add(lid_jolts(self.truth, drives, self._lids))  # short: in the peak, not in the mean
        drawn = self.world.streams.uniforms("imu/reading", passes.key[row] * 4096 + bin_no, drives.time_key[row], 2)
        return accelerations(road, energy, largest, passes.speed_mps[row], drawn)

    # -- together --------------------------------------------------------------------------------------------------
    def _columns(
        self,
        drives: Drives,
        row: NDArray[np.intp],
        bin_no: NDArray[np.int64],
        found: list[Found],
        shaking: tuple[NDArray[np.float64], NDArray[np.float64]] | None,
    ) -> ReadingColumns:
        passes, geometry, faults = drives.passes, self.world.geometry, self.timetable.faults
        section, station = passes.section[row], self._station(drives, row, bin_no)
        along = np.where(passes.direction[row] > 0, station, geometry.section_length_m[section] - station)
        true_us = passes.start_us[row] + (along / passes.speed_mps[row] * 1e6).astype(np.int64)
        key = passes.key[row] * 4096 + bin_no
        lane = lane_m(self.truth, geometry.segment_at(section, station))
        lon, lat, heading, accuracy = self._gnss.positions(drives, row, station, lane, true_us, key)
        observed_us = (true_us + faults.clock_us(passes.vehicle[row], true_us)) // 1000 * 1000
        things = Found.joined(found)
        detectors = faults.detectors(passes.vehicle, passes.start_us)
        at = row[things.reading]
        height = CAMERA_HEIGHT_M[self.timetable.fleet.kind(passes.vehicle)]
        described = describe(
            self.world.streams, things, drives.quality.good[at], detectors.confidence_shift[at], height[at]
        )
        unknown = np.full(len(row), np.nan)
        rms, peak = shaking if shaking is not None else (unknown, unknown)
        return ReadingColumns(
            row, true_us, observed_us, self._ids(key, drives.time_key[row]), lon.round(7), lat.round(7),
            accuracy.round(1), heading.round(1) % 360.0, passes.speed_mps[row].round(2), detectors.version[row],
            rms.round(3), peak.round(3), things, described,
            np.searchsorted(things.reading, np.arange(len(row) + 1)),
        )  # fmt: skip

    def _ids(self, key: NDArray[np.int64], time_key: NDArray[np.int64]) -> NDArray[np.uint64]:
        """Ids of readings, random ones (version 4) that are the same in every run."""
        high, low = (self.world.streams.words(f"reading/{half}", key, time_key, 1)[0] for half in ("high", "low"))
        keep_high, version, keep_low, variant = (np.uint64(word) for word in _VERSION_OF_ID)
        return np.stack([high & keep_high | version, low & keep_low | variant], axis=1)

    def _as_readings(
        self, drives: Drives, columns: ReadingColumns, pseudonyms: Pseudonymiser
    ) -> list[tuple[int, VehicleReading]]:
        row, quality, passes = columns.row, drives.quality, drives.passes
        names = {int(v): self.timetable.fleet.name(int(v)) for v in np.unique(passes.vehicle[row])}
        detections = _detections(columns)
        values = zip(
            columns.true_us.tolist(), columns.observed_us.tolist(), columns.id_words.tolist(), columns.lon.tolist(),
            columns.lat.tolist(), columns.accuracy_m.tolist(), columns.heading_deg.tolist(),
            columns.speed_mps.tolist(), columns.version.tolist(), passes.vehicle[row].tolist(),
            drives.time_key[row].tolist(), passes.key[row].tolist(), quality.blur[row].tolist(),
            quality.wet[row].tolist(), quality.light[row].tolist(), strict=True,
        )  # fmt: skip
        readings: list[tuple[int, VehicleReading]] = []
        for i, (
            true_us, us, (high, low), lon, lat, error, course, speed, version, vehicle, time_key, key, blur, wet, light,
        ) in enumerate(values):  # fmt: skip
            at, name = as_time(us), names[vehicle]
            reading = VehicleReading(
                event_id=UUID(int=high << 64 | low),
                observed_at=at,
                vehicle_pseudonym=pseudonyms.pseudonym(name, at),
                calibration_id=pseudonyms.calibration_id(name),
                position=Position(lon, lat, error),
                heading_deg=course,
                speed_mps=speed,
                pass_id=f"{time_key}-{key}",
                camera_model=CAMERA_MODEL,
                camera_version=self.timetable.faults.versions[version],
                blur=blur,
                wet=wet,
                light=light,
                detections=tuple(detections[columns.first[i] : columns.first[i + 1]]),
            )
            readings.append((true_us, reading))
        readings.sort(key=lambda pair: (pair[1].observed_at, pair[1].event_id))
        return readings


def _detections(columns: ReadingColumns) -> list[Detection]:
    """Detections of all readings, one after the other; numbered within each reading."""
    told = columns.described
    number = np.arange(len(columns.found.reading)) - columns.first[columns.found.reading]
    values = zip(
        number.tolist(), columns.found.code.tolist(), told.confidence.tolist(), told.box_px.tolist(),
        told.width_m.tolist(), told.length_m.tolist(), told.depth_m.tolist(), told.area_m2.tolist(), strict=True,
    )  # fmt: skip
    return [
        Detection(
            detection_no=n,
            class_code=CODES[code],
            confidence=confidence,
            bbox_px=(box[0], box[1], box[2], box[3]),
            image_width_px=IMAGE_WIDTH_PX,
            image_height_px=IMAGE_HEIGHT_PX,
            width_m=width,
            length_m=length,
            depth_m=None if depth != depth else depth,
            area_m2=area,
        )
        for n, code, confidence, box, width, length, depth, area in values
    ]
