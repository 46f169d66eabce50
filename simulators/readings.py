"""Camera reports of about ten metres: where the box says it was, what it detected, how the road shook it.

History takes those with a pothole, the live feed takes all; both come from here, so that they agree.
"""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from roadtwin.records.segment_days import ROUGHNESS_REFERENCE_SPEED_MPS
from roadtwin.types import Detection, Position, VehicleReading
from simulators.camera import FrameQuality
from simulators.cracking import shaking_mps2
from simulators.observers import Sighting
from simulators.traffic import Passes, bin_count
from simulators.truth import DayEvents, Truth

CAMERA_MODEL, CAMERA_VERSION = "roadtwin-sim-yolo", "1.0.0"
IMAGE_WIDTH_PX, IMAGE_HEIGHT_PX = 1280, 720
_CRACK_CLASSES = ("D00", "D10", "D20")
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
GNSS_ERROR_M = (3.0, 10.0)
"""Horizontal error (1 σ) between open sky and street canyon [m]."""


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
class Drives:
    """Drives of one day (or of one circuit of an additional bus) with what their cameras saw."""

    time_key: int
    passes: Passes
    quality: FrameQuality
    sightings: list[Sighting]
    clock: float

    @classmethod
    def of_day(cls, events: DayEvents) -> "Drives":
        """The drives of a day of the truth."""
        return cls(events.day.toordinal(), events.passes, events.quality, events.sightings, events.clock)


@dataclass(frozen=True, slots=True)
class SegmentDrives:
    """Each drive cut into segments: n rows of drive and segment, with crack detections by class and the roughness.

    Roughness is what the shaking would be at `ROUGHNESS_REFERENCE_SPEED_MPS`; boxes send it as it was at their speed.
    """

    row: NDArray[np.intp]
    segment: NDArray[np.int32]
    cracks: NDArray[np.int16]  # (n, 3): D00, D10, D20
    roughness_mps2: NDArray[np.float32]


def as_time(us: int) -> datetime:
    """An instant from µs since 1970."""
    return _UNIX + us * _MICROSECOND


def poisson(mean: NDArray[np.float64], u: NDArray[np.float64], most: int = 12) -> NDArray[np.int16]:
    """Poisson numbers (cut off at `most`) by inversion of uniform ones."""
    term = np.exp(-mean)
    total, count = term.copy(), np.zeros(mean.shape, np.int16)
    for k in range(1, most + 1):
        more = u > total
        if not more.any():
            break
        count += more
        term = term * mean / k
        total += term
    return count


class Cameras:
    """The cameras of a world."""

    def __init__(self, truth: Truth) -> None:
        self.truth, self.world = truth, truth.world
        section = np.arange(len(self.world.sections))
        low, high = GNSS_ERROR_M
        self._accuracy_m = low + (high - low) * self.world.streams.uniform("camera/canyon", section) ** 2
        self._bins = bin_count(self.world.geometry.section_length_m)

    # -- per segment -----------------------------------------------------------------------------------------------
    def by_segment(self, drives: Drives, day: date) -> SegmentDrives:
        """What each drive saw of each segment, potholes apart."""
        geometry, condition, streams = self.world.geometry, self.truth.condition, self.world.streams
        passes = drives.passes
        count = geometry.segment_count[passes.section]
        row = np.repeat(np.arange(len(passes.section)), count)
        within = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        segment = (geometry.first_segment[passes.section[row]] + within).astype(np.int32)
        key = passes.key[row] * 4096 + within
        u = streams.uniforms("camera/segment", key, drives.time_key, 4)
        crack = condition.crack_pct(day.year, day.month)[segment]
        length = geometry.segment_length_m[segment] / 100
        fit = np.where(drives.quality.good, 1.0, 0.6)[row] * length
        means = np.stack([0.10 + 0.035 * crack, 0.08 + 0.025 * crack, 0.02 + 0.045 * crack], axis=1) * fit[:, None]
        cracks = poisson(means, u[:3].T)
        rough = shaking_mps2(self.truth.roughness_index(day)[segment]) * np.exp(0.18 * ndtri(u[3]))
        return SegmentDrives(row, segment, cracks, rough.astype(np.float32).round(3))

    # -- per ten metres --------------------------------------------------------------------------------------------
    def with_potholes(self, drives: Drives, pseudonyms: Pseudonymiser) -> list[VehicleReading]:
        """The reports that show a pothole, with only the potholes in them, in time order."""
        at: dict[tuple[int, int], list[Sighting]] = {}
        for sighting in drives.sightings:
            at.setdefault((sighting.row, self._bin(drives.passes, sighting)), []).append(sighting)
        if not at:
            return []
        row, bin_no = (np.array(part) for part in zip(*at, strict=True))
        return self._readings(drives, row, bin_no, list(at.values()), {}, None, pseudonyms)

    def everything(
        self, drives: Drives, rows: NDArray[np.intp], segments: SegmentDrives, pseudonyms: Pseudonymiser
    ) -> list[VehicleReading]:
        """All reports of some drives, nothing-seen ones included, in time order."""
        count = self._bins[drives.passes.section[rows]]
        row = np.repeat(rows, count)
        bin_no = np.arange(len(row)) - np.repeat(np.cumsum(count) - count, count)
        place = {pair: i for i, pair in enumerate(zip(row.tolist(), bin_no.tolist(), strict=True))}
        sightings: list[list[Sighting]] = [[] for _ in range(len(row))]
        for sighting in drives.sightings:
            index = place.get((sighting.row, self._bin(drives.passes, sighting)))
            if index is not None:
                sightings[index].append(sighting)
        cracks, shaking = self._spread(drives, row, bin_no, segments, place)
        return self._readings(drives, row, bin_no, sightings, cracks, shaking, pseudonyms)

    def _bin(self, passes: Passes, sighting: Sighting) -> int:
        count = int(self._bins[sighting.section])
        length = float(self.world.geometry.section_length_m[sighting.section])
        along = sighting.station_m if passes.direction[sighting.row] > 0 else length - sighting.station_m
        return min(int(along / length * count), count - 1)

    def _spread(
        self,
        drives: Drives,
        row: NDArray[np.intp],
        bin_no: NDArray[np.int64],
        segments: SegmentDrives,
        place: dict[tuple[int, int], int],
    ) -> tuple[dict[int, list[str]], NDArray[np.float64]]:
        """Give the cracks of each segment to its reports, and each report the shaking of its segment at its speed."""
        passes, geometry = drives.passes, self.world.geometry
        cracks: dict[int, list[str]] = {}
        where = np.flatnonzero(segments.cracks.sum(axis=1))
        length = geometry.section_length_m[passes.section]
        for i in where.tolist():
            drive, segment = int(segments.row[i]), int(segments.segment[i])
            key = int(passes.key[drive]) * 4096 + segment
            codes = [c for c, n in zip(_CRACK_CLASSES, segments.cracks[i].tolist(), strict=True) for _ in range(n)]
            u = self.world.streams.uniform("camera/crack-at", key * 64 + np.arange(len(codes)), drives.time_key)
            stations = geometry.segment_from_m[segment] + u * geometry.segment_length_m[segment]
            total, bins = float(length[drive]), int(self._bins[passes.section[drive]])
            along = stations if passes.direction[drive] > 0 else total - stations
            for code, b in zip(codes, np.minimum((along / total * bins).astype(int), bins - 1).tolist(), strict=True):
                index = place.get((drive, b))
                if index is not None:
                    cracks.setdefault(index, []).append(code)
        station = self._station(passes, row, bin_no)
        segment_of = geometry.segment_at(passes.section[row], station)
        rough = np.full((len(passes.section),), 0.0)
        lookup = {
            (int(r), int(s)): float(v)
            for r, s, v in zip(segments.row, segments.segment, segments.roughness_mps2, strict=True)
        }
        shaking = np.array([lookup.get((int(r), int(s)), rough[r]) for r, s in zip(row, segment_of, strict=True)])
        noise = self.world.streams.normal("camera/shake", passes.key[row] * 4096 + bin_no, drives.time_key)
        speed = np.sqrt(passes.speed_mps[row] / ROUGHNESS_REFERENCE_SPEED_MPS)
        return cracks, shaking * speed * np.exp(0.12 * noise)

    def _station(self, passes: Passes, row: NDArray[np.intp], bin_no: NDArray[np.int64]) -> NDArray[np.float64]:
        section = passes.section[row]
        length, count = self.world.geometry.section_length_m[section], self._bins[section]
        along = (bin_no + 0.5) / count * length
        result: NDArray[np.float64] = np.where(passes.direction[row] > 0, along, length - along)
        return result

    def _readings(
        self,
        drives: Drives,
        row: NDArray[np.intp],
        bin_no: NDArray[np.int64],
        sightings: list[list[Sighting]],
        cracks: dict[int, list[str]],
        shaking: NDArray[np.float64] | None,
        pseudonyms: Pseudonymiser,
    ) -> list[VehicleReading]:
        passes, quality, geometry = drives.passes, drives.quality, self.world.geometry
        section, station = passes.section[row], self._station(passes, row, bin_no)
        length = geometry.section_length_m[section]
        along = np.where(passes.direction[row] > 0, station, length - station)
        time_us = passes.start_us[row] + (along / passes.speed_mps[row] * 1e6).astype(np.int64)
        # To the millisecond, as camera boxes write it.
        time_us = time_us // 1000 * 1000
        lon, lat, heading, accuracy = self._positions(drives, row, bin_no, section, station)
        names = {int(v): self.truth.observers.timetable.vehicle_name(int(v)) for v in np.unique(passes.vehicle[row])}
        columns = zip(
            bin_no.tolist(), time_us.tolist(), lon.tolist(), lat.tolist(), heading.tolist(),
            accuracy.tolist(), passes.vehicle[row].tolist(), passes.key[row].tolist(), passes.speed_mps[row].tolist(),
            quality.blur[row].tolist(), quality.wet[row].tolist(), quality.light[row].tolist(), strict=True,
        )  # fmt: skip
        readings: list[VehicleReading] = []
        for i, (b, us, x, y, course, error_m, vehicle, key, speed, blur, wet, light) in enumerate(columns):
            at, name = as_time(us), names[vehicle]
            shake = None if shaking is None else float(shaking[i])
            readings.append(
                VehicleReading(
                    event_id=self.world.streams.uuid("reading", drives.time_key, key, b),
                    observed_at=at,
                    vehicle_pseudonym=pseudonyms.pseudonym(name, at),
                    calibration_id=pseudonyms.calibration_id(name),
                    position=Position(round(x, 7), round(y, 7), round(error_m, 1)),
                    heading_deg=round(course, 1) % 360,
                    speed_mps=round(speed, 2),
                    pass_id=f"{drives.time_key}-{key}",
                    camera_model=CAMERA_MODEL,
                    camera_version=CAMERA_VERSION,
                    blur=blur,
                    wet=wet,
                    light=light,
                    detections=self._detections(drives, key * 4096 + b, sightings[i], cracks.get(i, [])),
                    accel_rms_mps2=None if shake is None else round(shake, 3),
                    accel_peak_mps2=None if shake is None else round(shake * (3.4 + 4.0 * len(sightings[i])), 3),
                    sample_rate_hz=None if shake is None else 100.0,
                )
            )
        readings.sort(key=lambda reading: (reading.observed_at, reading.event_id))
        return readings

    def vehicle_of(self, drives: Drives, rows: Iterable[int]) -> dict[int, str]:
        """Names of the vehicles of some drives."""
        name = self.truth.observers.timetable.vehicle_name
        return {int(row): name(int(drives.passes.vehicle[row])) for row in rows}

    def _positions(
        self,
        drives: Drives,
        row: NDArray[np.intp],
        bin_no: NDArray[np.int64],
        section: NDArray[np.int32],
        station: NDArray[np.float64],
    ) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
        """Longitude, latitude, heading and stated accuracy as the box reports them.

        Most of the error stays the same over a drive along a section (satellites behind house fronts), the rest
        changes from report to report.
        """
        passes, streams = drives.passes, self.world.streams
        lon, lat, heading = self.world.geometry.locate(section, station)
        heading = np.where(passes.direction[row] > 0, heading, heading + 180.0) % 360.0
        accuracy = self._accuracy_m[section]
        drive = streams.uniforms("camera/gnss-drive", passes.key[row], drives.time_key, 2)
        report = streams.uniforms("camera/gnss", passes.key[row] * 4096 + bin_no, drives.time_key, 3)
        lane_m = 1.6  # the vehicle drives to the right of the centreline
        right = np.radians(heading + 90.0)
        scale = accuracy / np.sqrt(2)
        east = scale * (0.88 * ndtri(drive[0]) + 0.47 * ndtri(report[0])) + lane_m * np.sin(right)
        north = scale * (0.88 * ndtri(drive[1]) + 0.47 * ndtri(report[1])) + lane_m * np.cos(right)
        lon, lat = self.world.geometry.shifted(lon, lat, east, north)
        return lon, lat, (heading + 2.5 * ndtri(report[2])) % 360.0, accuracy

    def _detections(
        self, drives: Drives, key: int, sightings: list[Sighting], cracks: list[str]
    ) -> tuple[Detection, ...]:
        if not sightings and not cracks:
            return ()
        codes = ["D40"] * len(sightings) + cracks
        out: list[Detection] = []
        for number, code in enumerate(codes):
            draw = self.world.streams.numbers("camera/box", key * 64 + number, drives.time_key, 5)
            sighting = sightings[number] if number < len(sightings) else None
            width, long = self._size_m(code, sighting, drives.clock, draw)
            true = sighting is None or sighting.hole >= 0
            confidence = (0.42 if true else 0.35) + (0.55 if true else 0.42) * draw[0] ** (0.7 if true else 1.5)
            x, y = 200 + 800 * draw[1], 320 + 300 * draw[2]
            box_w, box_h = min(210.0 * width, 900.0), min(120.0 * long, 380.0)
            out.append(
                Detection(
                    detection_no=number,
                    class_code=code,
                    confidence=round(confidence, 3),
                    bbox_px=(
                        round(max(x - box_w / 2, 0.0), 1),
                        round(max(y - box_h / 2, 0.0), 1),
                        round(min(x + box_w / 2, float(IMAGE_WIDTH_PX)), 1),
                        round(min(y + box_h / 2, float(IMAGE_HEIGHT_PX)), 1),
                    ),
                    image_width_px=IMAGE_WIDTH_PX,
                    image_height_px=IMAGE_HEIGHT_PX,
                    width_m=round(width, 2),
                    length_m=round(long, 2),
                    area_m2=round(0.8 * width * long, 3),
                )
            )
        return tuple(out)

    def _size_m(self, code: str, sighting: Sighting | None, clock: float, draw: list[float]) -> tuple[float, float]:
        """Estimated width and length: a fifth off (1 σ), as monocular cameras are."""
        error = 0.66 + 0.68 * draw[3], 0.66 + 0.68 * draw[4]
        if sighting is not None and sighting.hole >= 0:
            width = float(self.truth.holes.width_m(np.array([sighting.hole]), clock)[0])
            return max(width * error[0], 0.05), max(1.15 * width * error[1], 0.05)
        if sighting is not None:
            return 0.3 * error[0], 0.35 * error[1]
        typical = {"D00": (0.15, 2.5), "D10": (1.8, 0.15), "D20": (1.0, 1.4)}[code]
        return typical[0] * error[0], typical[1] * error[1]
