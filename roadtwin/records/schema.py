"""Records: repairs, inspections, reports, weather and plans, as versioned JSON objects (one a line in files).

They come in by `roadtwin import KIND FILE`, by `POST /v1/…` and from the simulators: one schema for all three.
`observed_at` is when it was true; `recorded_at` is when the sender's register knew it. A sender that does not know
leaves `recorded_at` out, and the importer states the reporting lag that it assumes. Unknown fields are refused.
"""

from datetime import UTC, date, datetime
from typing import Annotated, Literal
from uuid import UUID

import msgspec
from msgspec import Meta

from roadtwin.records.classes import ClassCode

EARLIEST = datetime(1900, 1, 1, tzinfo=UTC)
"""A time before this was never set; before the year 1 (an offset can lead there) it could not even be read back."""
LATEST = datetime(2200, 1, 1, tzinfo=UTC)

Instant = Annotated[datetime, Meta(tz=True, description="RFC 3339 with offset.")]
Lon = Annotated[float, Meta(ge=-180, le=180, description="Longitude, WGS 84 [°].")]
Lat = Annotated[float, Meta(ge=-90, le=90, description="Latitude, WGS 84 [°].")]
Metres = Annotated[float, Meta(ge=0, le=10_000)]
Severity = Annotated[int, Meta(ge=1, le=3, description="1 low, 2 medium, 3 high.")]
Word = Annotated[str, Meta(min_length=1, max_length=200)]
Text = Annotated[str, Meta(max_length=4000)]


class RecordPosition(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where it was."""

    lon: Lon
    lat: Lat
    accuracy_m: Annotated[float, Meta(ge=0, le=1000)] | None = None


class Record(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every record has. `record_id` is the sender's: sent again, the record changes nothing."""

    record_id: UUID
    schema_version: Literal[1] = 1
    observed_at: Instant
    recorded_at: Instant | None = None


class Repair(Record, frozen=True, kw_only=True):
    """A pothole closed (`repaired`) or made safe until then (`secured`). Position, segment, or both."""

    segment_id: Word | None = None
    position: RecordPosition | None = None
    kind: Literal["repaired", "secured"] = "repaired"
    method: Literal["cold_mix", "hot_mix", "infill", "patch", "resurfacing", "barrier"]
    area_m2: Annotated[float, Meta(ge=0, le=100_000)] | None = None
    depth_m: Annotated[float, Meta(ge=0, le=2)] | None = None
    crew: Word | None = None
    note: Text | None = None


class Finding(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One distress found by an inspector."""

    class_code: ClassCode
    severity: Severity
    position: RecordPosition | None = None
    width_m: Annotated[float, Meta(ge=0, le=50)] | None = None
    depth_m: Annotated[float, Meta(ge=0, le=2)] | None = None


class Inspection(Record, frozen=True, kw_only=True):
    """One person looked at one segment. No finding means: looked, and nothing was there."""

    segment_id: Word
    inspector_role: Word
    findings: tuple[Finding, ...] = ()
    note: Text | None = None


class Report(Record, frozen=True, kw_only=True):
    """Somebody says that there is damage. Must not hold names, addresses or telephone numbers."""

    segment_id: Word | None = None
    position: RecordPosition | None = None
    channel: Literal["app", "phone", "web", "staff"]
    category: Literal["pothole", "crack", "other"] = "pothole"
    text: Text | None = None


class Weather(Record, frozen=True, kw_only=True):
    """Weather of the hour that ended at `observed_at`."""

    station: Word
    air_temp_c: Annotated[float, Meta(ge=-60, le=60)] | None = None
    humidity_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    wind_speed_mps: Annotated[float, Meta(ge=0, le=100)] | None = None
    rain_mm: Annotated[float, Meta(ge=0, le=300)] | None = None
    snow_depth_cm: Annotated[float, Meta(ge=0, le=1000)] | None = None
    radiation_w_per_m2: Annotated[float, Meta(ge=0, le=2000)] | None = None


class WeatherForecast(Record, frozen=True, kw_only=True):
    """Forecast issued at `issued_at` (also `observed_at`) for the hour ending at `valid_at`."""

    station: Word
    issued_at: Instant
    valid_at: Instant
    air_temp_c: Annotated[float, Meta(ge=-60, le=60)] | None = None
    rain_mm: Annotated[float, Meta(ge=0, le=300)] | None = None


class Survey(Record, frozen=True, kw_only=True):
    """Graded condition of a segment from a survey (ZEB/E EMI direction: 1 best … 5 worst)."""

    segment_id: Word
    rule_set: Word
    crack_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    patch_pct: Annotated[float, Meta(ge=0, le=100)] | None = None
    rut_depth_mm: Annotated[float, Meta(ge=0, le=500)] | None = None
    substance_grade: Annotated[float, Meta(ge=1, le=5)] | None = None
    serviceability_grade: Annotated[float, Meta(ge=1, le=5)] | None = None
    total_grade: Annotated[float, Meta(ge=1, le=5)] | None = None


class TrenchPermit(Record, frozen=True, kw_only=True):
    """The road was opened by a utility (Aufbruch); `observed_at` is the day of opening."""

    segment_id: Word
    area_m2: Annotated[float, Meta(ge=0, le=100_000)]
    closed_at: Instant | None = None


class PlannedWork(Record, frozen=True, kw_only=True):
    """Works that are decided: no patching there shortly before."""

    segment_id: Word
    starts_on: date
    ends_on: date
    kind: Literal["resurfacing", "reconstruction", "utility"]


RECORD_KINDS: dict[str, type[Record]] = {
    "repair": Repair,
    "inspection": Inspection,
    "report": Report,
    "weather": Weather,
    "weather_forecast": WeatherForecast,
    "survey": Survey,
    "trench_permit": TrenchPermit,
    "planned_work": PlannedWork,
}
"""Kind → schema. The kind is the name of the file (`repair.jsonl`), of the table and of the API resource."""


def positions_of(record: Record) -> dict[str, RecordPosition]:
    """The positions that a record holds, by their fields: its own (`position`), or `findings[n].position`."""
    if isinstance(record, Inspection):
        named = ((f"findings[{number}].position", finding.position) for number, finding in enumerate(record.findings))
        return {name: position for name, position in named if position is not None}
    if isinstance(record, Repair | Report) and record.position is not None:
        return {"position": record.position}
    return {}
