"""Everything a model sees: columns of facts, each with the time it was true and the time we knew it.

Shapes and types are checked when a table is made. Instants are UTC, `datetime64[us]`; NaT and NaN mean *unknown*.
`segment_index` points into the rows of one `SegmentTable`.
"""

from dataclasses import dataclass, fields, replace
from datetime import tzinfo
from enum import IntEnum
from typing import Any, ClassVar, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
FloatsOrSingle = NDArray[np.float64] | NDArray[np.float32]
"""Of columns with a row for each segment and day, of which a city has tens of millions."""
Counts = FloatsOrSingle | NDArray[np.uint16]
"""The same of whole numbers."""
Ints = NDArray[np.int32]
Bools = NDArray[np.bool_]
Instants = NDArray[np.datetime64]
Instant = np.datetime64

INSTANT = np.dtype("datetime64[us]")
DAY = np.dtype("datetime64[D]")


def instant(text: str) -> Instant:
    """An instant in the precision that every table uses.

    Examples
    --------
    >>> instant("2026-01-05T04:00")
    np.datetime64('2026-01-05T04:00:00.000000')
    """
    return np.datetime64(text, "us")


@dataclass(frozen=True, slots=True)
class Columns:
    """Equal-length one-dimensional columns. Subclasses name their columns of instants and of days."""

    INSTANTS: ClassVar[frozenset[str]] = frozenset({"observed_at", "recorded_at"})
    DAYS: ClassVar[frozenset[str]] = frozenset()

    def __post_init__(self) -> None:
        length: int | None = None
        for name, column in self._columns().items():
            if column.ndim != 1:
                raise ValueError(f"{type(self).__name__}.{name}: got shape {column.shape}, expected one dimension.")
            length = column.shape[0] if length is None else length
            if column.shape[0] != length:
                raise ValueError(f"{type(self).__name__}.{name}: got {column.shape[0]} rows, expected {length}.")
            expected = INSTANT if name in self.INSTANTS else DAY if name in self.DAYS else None
            if (expected is not None and column.dtype != expected) or (expected is None and column.dtype.kind == "M"):
                raise ValueError(f"{type(self).__name__}.{name}: got {column.dtype}, expected {expected or 'numbers'}.")

    def _columns(self) -> dict[str, NDArray[Any]]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if isinstance(value, np.ndarray)}

    def __len__(self) -> int:
        return int(next(iter(self._columns().values())).shape[0])

    @classmethod
    def empty(cls) -> Self:
        """No rows: a source that a city does not have."""
        kinds: dict[Any, Any] = {Ints: np.int32, Bools: np.bool_}
        columns = {
            f.name: INSTANT if f.name in cls.INSTANTS else DAY if f.name in cls.DAYS else kinds.get(f.type, np.float64)
            for f in fields(cls)
        }
        return cls(**{name: np.zeros(0, kind) for name, kind in columns.items()})

    def take(self, rows: NDArray[Any]) -> Self:
        """The same columns with these rows only (index or mask)."""
        return replace(self, **{name: column[rows] for name, column in self._columns().items()})


@dataclass(frozen=True, slots=True)
class Facts(Columns):
    """Columns of facts: each row has `recorded_at`, the time at which we knew it."""

    recorded_at: Instants

    def recorded_by(self, as_of: Instant) -> Self:
        """What we knew at `as_of`."""
        return self.take(self.recorded_at <= as_of)


@dataclass(frozen=True, slots=True)
class SegmentTable(Columns):
    """The segments that are valid now, n rows; attributes as the road register gives them, NaN where it does not.

    `district` (n,) points into `districts`; `road_class` (n,) into `roadtwin.network.sections.ROAD_CLASSES`.
    `pavement_class` (n,) is the rank of the RStO class, Bk0.3 = 0 … Bk100 = 6; `drainage` (n,) 0 good, 1 fair, 2 poor;
    `bus_route` (n,) 0 or 1; `axle_passes_per_day` (n,) equivalent 10-t axles (RStO). Lengths, stations, widths and
    gully spacing [m], trench and tree cover [%], thickness and frost deficit [cm]. `construction_year` (n,) is that of
    the pavement as a whole, `wearing_course_year` (n,) that of its surface.
    """

    segment_id: Ints
    section_id: Ints
    from_station_m: Floats
    to_station_m: Floats
    length_m: Floats
    mid_lon: Floats
    mid_lat: Floats
    district: Ints
    districts: tuple[str, ...]
    road_class: Ints
    wearing_course_year: Floats
    pavement_class: Floats
    heavy_vehicles_per_day: Floats
    bus_route: Floats
    trench_area_pct: Floats
    frost_deficit_cm: Floats
    drainage: Floats
    tree_cover_pct: Floats
    width_m: Floats
    axle_passes_per_day: Floats
    thickness_cm: Floats
    gully_spacing_m: Floats
    construction_year: Floats

    def positions_m(self) -> Floats:
        """Midpoints on a local plane, shape (n, 2) [m].

        Equirectangular about the mean latitude: within a city (30 km) distances are right to about 0.2 %,
        which is enough to say what lies within 200 m.
        """
        if not len(self):
            return np.zeros((0, 2))
        lat0 = np.radians(self.mid_lat.mean())
        earth_radius_m = 6_371_008.8
        x = np.radians(self.mid_lon - self.mid_lon.mean()) * np.cos(lat0) * earth_radius_m
        y = np.radians(self.mid_lat - self.mid_lat.mean()) * earth_radius_m
        return np.column_stack([x, y])


@dataclass(frozen=True, slots=True)
class WeatherHours(Facts):
    """Weather of the hour that ended at `observed_at`; `station` (n,) is any code. NaN: not measured."""

    observed_at: Instants
    station: Ints
    air_temp_c: Floats
    rain_mm: Floats


@dataclass(frozen=True, slots=True)
class WeatherForecasts(Facts):
    """Forecasts of the weather at `valid_at`, issued at `issued_at`; known from `recorded_at` on, never before.

    `air_temp_c` (n,) at the valid time [°C]; `rain_mm` (n,) is the mean hourly rain since the valid time before it in
    the same issue [mm/h]. `station` (n,) is any code.
    """

    INSTANTS: ClassVar[frozenset[str]] = frozenset({"issued_at", "valid_at", "recorded_at"})

    issued_at: Instants
    valid_at: Instants
    station: Ints
    air_temp_c: Floats
    rain_mm: Floats


class EvidenceKind(IntEnum):
    """What says that there is, or no longer is, a pothole."""

    DETECTION = 1  # a camera's D40
    FINDING = 2  # an inspector's D40
    REPORT = 3  # a report of the category pothole
    REPAIR = 4  # a pothole was closed
    SECURING = 5  # a pothole was made safe until its repair
    RENEWAL = 6  # the surface of the segment was renewed: every hole in it is gone


@dataclass(frozen=True, slots=True)
class Evidence(Facts):
    """Evidence of potholes, n rows in any order.

    `evidence_id` (n,) holds `uuid.UUID`, `part_no` (n,) the number of a detection or finding within it.
    `station_m` (n,) along the section [m]; `accuracy_m` (n,) its 1 σ [m]. A record that names only a segment
    stands in its middle with an accuracy of a quarter of its length: twice that is the segment.
    `pass_no` (n,) is equal for detections of one pass, −1 for what is no detection.
    `width_m`, `depth_m` (n,) [m]; `severity` (n,) 1–3 as a person graded it, 0 not graded.
    """

    observed_at: Instants
    kind: NDArray[np.int8]
    evidence_id: NDArray[np.object_]
    part_no: Ints
    section_id: Ints
    segment_id: Ints
    station_m: Floats
    accuracy_m: Floats
    lon: Floats
    lat: Floats
    pass_no: Ints
    width_m: Floats
    depth_m: Floats
    severity: NDArray[np.int8]


@dataclass(frozen=True, slots=True)
class Looks(Facts):
    """Looks at segments at which a hole would have been seen, n rows in any order.

    `observed_from` (n,) is the earliest time at which the look may have been: when a person looked (`by_person` (n,)),
    or the beginning of the local day of a good camera pass. What was found is in `Evidence`.
    """

    INSTANTS: ClassVar[frozenset[str]] = frozenset({"observed_from", "recorded_at"})

    observed_from: Instants
    segment_id: Ints
    by_person: Bools


def _taken_back(column: Instants, as_of: Instant) -> Instants:
    """Instants that were not yet known at `as_of` become NaT."""
    return np.where(column <= as_of, column, np.datetime64("NaT", "us"))


@dataclass(frozen=True, slots=True)
class Potholes(Columns):
    """Potholes as the rule derived them, n rows; candidates have no `confirmed_at` (NaT).

    All three times are recorded times, so that each says from when on we knew it. `first_recorded_at` is the label
    time. Severity, place and evidence may still grow with later rows and are therefore no features.
    """

    INSTANTS: ClassVar[frozenset[str]] = frozenset({"first_recorded_at", "confirmed_at", "secured_at"})

    segment_index: Ints
    first_recorded_at: Instants
    confirmed_at: Instants
    secured_at: Instants

    def recorded_by(self, as_of: Instant) -> Self:
        """What we knew at `as_of`: later confirmations and securings are taken back."""
        known = self.take(self.first_recorded_at <= as_of)
        confirmed_at, secured_at = (_taken_back(column, as_of) for column in (known.confirmed_at, known.secured_at))
        return replace(known, confirmed_at=confirmed_at, secured_at=secured_at)


@dataclass(frozen=True, slots=True)
class OpenSpells(Columns):
    """When which confirmed potholes were known to be open, n rows, in recorded times; `closed_at` NaT: still open.

    A hole that was not found and then seen again has several. One time of closing a hole would not do: what came after
    it was seen again would change what was known before.
    """

    INSTANTS: ClassVar[frozenset[str]] = frozenset({"opened_at", "closed_at"})

    segment_index: Ints
    opened_at: Instants
    closed_at: Instants

    def recorded_by(self, as_of: Instant) -> Self:
        """What we knew at `as_of`: later closures are taken back."""
        known = self.take(self.opened_at <= as_of)
        return replace(known, closed_at=_taken_back(known.closed_at, as_of))


@dataclass(frozen=True, slots=True)
class SegmentDayTable(Facts):
    """What all vehicle passes of one local day saw of one segment; a correction is a row with a later `recorded_at`.

    `day` (n,) counts local days since 1970-01-01: as instants they would be the largest column of tens of millions of
    rows. Counts (n,) are sums over the passes of the day; `good_passes` had frames fit for detection;
    `linear_cracks` are D00 and D10, `alligator_cracks` D20; `roughness_mps2` (n,) is NaN where not measured [m/s²].
    """

    segment_index: Ints
    day: Ints
    good_passes: Counts
    linear_cracks: Counts
    alligator_cracks: Counts
    roughness_mps2: FloatsOrSingle


class SensorQuantity(IntEnum):
    """What a sensor-day is of."""

    SURFACE_TEMP = 1  # of the carriageway [°C]
    SOIL_MOISTURE = 2  # volumetric, of the base down to 60 cm [%]


@dataclass(frozen=True, slots=True)
class SensorDays(Facts):
    """What one sensor measured on one local day; a correction is a row with a later `recorded_at`.

    Of confirmed devices, and of values without a flag that makes them unfit. `sensor` (n,) is any code of the series,
    `segment_index` (n,) the segment nearest to where it was installed that day. `minimum`, `mean`, `maximum` (n,) in
    the unit of `quantity` (n,), a `SensorQuantity`; `freeze_thaw_cycles` (n,) thaws above 1 °C after a frost below
    −1 °C, NaN where it is no temperature. A day without any fit value is NaN throughout.
    """

    DAYS: ClassVar[frozenset[str]] = frozenset({"day"})

    sensor: Ints
    segment_index: Ints
    day: Instants
    quantity: Ints
    minimum: Floats
    mean: Floats
    maximum: Floats
    freeze_thaw_cycles: Floats


@dataclass(frozen=True, slots=True)
class Inspections(Facts):
    """One person looked at one segment, whatever was found."""

    observed_at: Instants
    segment_index: Ints


@dataclass(frozen=True, slots=True)
class Repairs(Facts):
    """Repairs of potholes; `renewal` (n,): of the whole surface; `cold_mix` (n,): with cold mix."""

    observed_at: Instants
    segment_index: Ints
    renewal: Bools
    cold_mix: Bools


@dataclass(frozen=True, slots=True)
class TrenchPermits(Facts):
    """Openings of the road by utilities; `area_m2` (n,) [m²]."""

    observed_at: Instants
    segment_index: Ints
    area_m2: Floats


@dataclass(frozen=True, slots=True)
class Surveys(Facts):
    """Condition surveys of segments; shares of cracked and patched surface [%], rut depth [mm], total grade 1 to 5."""

    observed_at: Instants
    segment_index: Ints
    crack_pct: Floats
    patch_pct: Floats
    rut_depth_mm: Floats
    total_grade: Floats


@dataclass(frozen=True, slots=True)
class CityInputs:
    """All that a model may see of one city; `timezone` makes its days.

    `editions` are the former editions of the register, oldest first, each with the time at which the next one was
    recorded: the same segments in the same order as in `segments`, with the attributes of then.
    """

    segments: SegmentTable
    weather: WeatherHours
    forecasts: WeatherForecasts
    potholes: Potholes
    open_spells: OpenSpells
    segment_days: SegmentDayTable
    sensor_days: SensorDays
    inspections: Inspections
    repairs: Repairs
    trench_permits: TrenchPermits
    surveys: Surveys
    timezone: tzinfo
    editions: tuple[tuple[Instant, SegmentTable], ...] = ()

    def edition_at(self, as_of: Instant) -> int:
        """How many editions of the register were replaced by `as_of`: the number of the one in force then."""
        return sum(bool(replaced_at <= as_of) for replaced_at, _ in self.editions)

    def segments_at(self, as_of: Instant) -> SegmentTable:
        """The segments with the attributes known at `as_of`; before the register was first imported, with those."""
        return (*(former for _, former in self.editions), self.segments)[self.edition_at(as_of)]

    def recorded_by(self, as_of: Instant) -> "CityInputs":
        """The same city as we knew it at `as_of`."""
        return replace(
            self,
            segments=self.segments_at(as_of),
            editions=self.editions[: self.edition_at(as_of)],
            weather=self.weather.recorded_by(as_of),
            forecasts=self.forecasts.recorded_by(as_of),
            potholes=self.potholes.recorded_by(as_of),
            open_spells=self.open_spells.recorded_by(as_of),
            segment_days=self.segment_days.recorded_by(as_of),
            sensor_days=self.sensor_days.recorded_by(as_of),
            inspections=self.inspections.recorded_by(as_of),
            repairs=self.repairs.recorded_by(as_of),
            trench_permits=self.trench_permits.recorded_by(as_of),
            surveys=self.surveys.recorded_by(as_of),
        )
