"""Drives with what their cameras saw, in columns: those of days of the truth, and circuits of additional buses."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date

import numpy as np
from numpy.typing import NDArray

from simulators.truth.truth import DayEvents
from simulators.vehicles.camera import FrameQuality
from simulators.vehicles.observers import Sighting
from simulators.vehicles.traffic import Passes


@dataclass(frozen=True, slots=True)
class Seen:
    """n holes and false potholes (`hole` −1) that cameras reported; `row` is the drive, `reported` the class."""

    hole: NDArray[np.int64]
    row: NDArray[np.intp]
    station_m: NDArray[np.float64]
    reported: NDArray[np.int64]

    @classmethod
    def of(cls, sightings: Iterable[Sighting]) -> "Seen":
        """Columns of sightings."""
        rows = [(s.hole, s.row, s.reported, s.station_m) for s in sightings]
        hole, row, reported, station = (np.array(part) for part in zip(*rows, strict=True)) if rows else (_EMPTY,) * 4
        return cls(hole.astype(np.int64), row.astype(np.intp), station.astype(float), reported.astype(np.int64))


_EMPTY = np.zeros(0)


@dataclass(frozen=True, slots=True)
class Drives:
    """n drives, sorted by section. `day` is the local day (ordinal); day or circuit number and key name a drive."""

    passes: Passes
    quality: FrameQuality
    seen: Seen
    time_key: NDArray[np.int64]
    day: NDArray[np.int64]
    clock: NDArray[np.float64]  # growth clock of the holes

    @classmethod
    def of_day(cls, events: DayEvents) -> "Drives":
        """The drives of a day of the truth."""
        day = events.day
        return cls.made(events.passes, events.quality, events.sightings, day.toordinal(), day, events.clock)

    @classmethod
    def made(
        cls,
        passes: Passes,
        quality: FrameQuality,
        sightings: Iterable[Sighting],
        time_key: int | NDArray[np.int64],
        day: date,
        clock: float,
    ) -> "Drives":
        """Drives of one local day."""
        shape = passes.key.shape
        keys = np.broadcast_to(np.asarray(time_key, np.int64), shape)
        days, clocks = np.full(shape, day.toordinal(), np.int64), np.full(shape, clock)
        return cls(passes, quality, Seen.of(sightings), keys, days, clocks)

    def take(self, rows: NDArray[np.intp]) -> "Drives":
        """Some of the drives (`rows` ascending)."""
        place = np.full(len(self.passes.key) + 1, -1, np.intp)
        place[rows] = np.arange(len(rows))
        row = place[self.seen.row]
        kept = np.flatnonzero(row >= 0)
        seen = Seen(self.seen.hole[kept], row[kept], self.seen.station_m[kept], self.seen.reported[kept])
        time_key, day, clock = self.time_key[rows], self.day[rows], self.clock[rows]
        return Drives(self.passes.take(rows), self.quality.take(rows), seen, time_key, day, clock)

    @classmethod
    def joined(cls, parts: "list[Drives]") -> "Drives":
        """Several lots (at least one) as one, sorted by section."""
        offset = np.cumsum([0, *(len(part.passes.key) for part in parts)])
        seen = Seen(
            np.concatenate([part.seen.hole for part in parts]),
            np.concatenate([part.seen.row + first for part, first in zip(parts, offset[:-1], strict=True)]),
            np.concatenate([part.seen.station_m for part in parts]),
            np.concatenate([part.seen.reported for part in parts]),
        )
        quality = FrameQuality(
            *(np.concatenate([getattr(part.quality, name) for part in parts]) for name in FrameQuality.__slots__)
        )
        time_key, day, clock = (
            np.concatenate([getattr(part, name) for part in parts]) for name in ("time_key", "day", "clock")
        )
        passes = Passes.joined([part.passes for part in parts])
        order = np.argsort(passes.section, kind="stable")
        place = np.empty(len(order), np.intp)
        place[order] = np.arange(len(order))
        seen = Seen(seen.hole, place[seen.row], seen.station_m, seen.reported)
        return cls(passes.take(order), quality.take(order), seen, time_key[order], day[order], clock[order])
