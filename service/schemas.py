"""What the API answers with. Quantities' names end in their unit; instants are UTC, days are the city's local days."""

from datetime import date, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from models.worklist import Hindrance, PotholeStatus


class Answer(BaseModel):
    """Base of all answers."""

    model_config = ConfigDict(from_attributes=True)


class Point(Answer):
    """Longitude and latitude, WGS 84 [°]."""

    lon: float
    lat: float


class District(Answer):
    """A district with the mean position of its segments."""

    name: str
    segment_count: int
    length_km: float
    lon: float
    lat: float


class ScoreRun(Answer):
    """The newest complete set of scores."""

    as_of: datetime = Field(description="Nothing recorded later was used.")
    recorded_at: datetime
    age_s: float = Field(description="Age of `as_of` [s].")
    segment_count: int
    model_run_id: int
    trained_at: datetime
    cold_start: bool = Field(description="The model was never tested on this city; `/v1/model` says why.")


class CityAnswer(Answer):
    """The city of this database."""

    name: str
    timezone: str
    simulated: bool = Field(description="A simulated city says so on every screen.")
    segment_count: int
    length_km: float
    bbox: list[float] | None = Field(description="West, south, east, north [°].")
    districts: list[District]
    horizons_days: list[int]
    score_run: ScoreRun | None
    model_alarm_count: int | None = Field(description="Of `/v1/model/monitoring`; null: not monitored yet.")
    crew_capacity: int = Field(description="Places that the crews can treat a day: default length of the worklist.")
    writing_needs_key: Literal[True] = True
    reading_needs_key: bool


class Score(Answer):
    """P(at least one new pothole on this segment within the horizon)."""

    horizon_days: int
    probability: float = Field(ge=0, le=1)
    probability_low: float | None = Field(description="Lower end of the 90 % interval; null: this model gives none.")
    probability_high: float | None
    expected_count: float
    expected_per_100_m: float
    rank: int = Field(description="1 = highest probability of all segments for this horizon.")
    as_of: datetime
    model_run_id: int


class SegmentItem(Answer):
    """One segment in a list."""

    segment_id: str = Field(description="Stable public id: source:section:from-to.")
    name: str
    district: str
    road_class: str
    length_m: float
    mid: Point
    condition_grade: float | None = Field(description="1 best … 5 worst; null: unknown, which is not good.")
    evidence_count: int
    newest_evidence_at: datetime | None
    evidence_age_days: float | None = Field(description="Age of the newest evidence [d].")
    open_potholes: int
    worst_severity: int | None
    scores: list[Score]


class SegmentPage(Answer):
    """Segments, worst first by the asked horizon."""

    score_as_of: datetime | None
    horizon_days: int
    segments: list[SegmentItem]
    next_page: str | None = Field(description="Opaque token of the next page; null: this was the last one.")


class Reason(Answer):
    """Why a score is as it is: one signed contribution, strongest first."""

    feature: str
    value: float | None
    contribution_log_odds: float
    factor: float = Field(description="How the odds change by it: 2 doubles them, 0.5 halves them.")
    text_de: str
    text_en: str


class ScoreWithReasons(Score):
    """A score and its reasons."""

    reasons: list[Reason] | None
    reasons_available: bool = Field(description="false: neither stored nor computable for this score.")


class StateQuantity(Answer):
    """What the twin holds of one quantity."""

    quantity: str = Field(description="Name that ends in its unit.")
    value: float | None
    sd: float | None = Field(description="Standard deviation, same unit.")
    count: int
    newest_at: datetime | None
    age_s: float | None
    source: str | None
    unit: str | None
    label_de: str | None
    label_en: str | None


REOPENED = (
    "Broken up again: what closed the hole before it here was a repair, and this one was never lost from sight since."
)


class Pothole(Answer):
    """One pothole, derived from evidence."""

    pothole_id: UUID
    status: PotholeStatus
    severity: int
    lon: float
    lat: float
    station_m: float
    first_recorded_at: datetime
    confirmed_at: datetime | None
    secured_at: datetime | None
    closed_at: datetime | None
    last_evidence_at: datetime
    evidence_count: int
    seen_again: bool = Field(description="Looks did not find it at least once, and then it was seen again.")
    reopened: bool = Field(description=REOPENED)


class Evidence(Answer):
    """Something that was seen, done or planned on the segment, newest first."""

    kind: Literal["pothole", "passes", "repair", "inspection", "report", "decision", "planned_work"]
    id: str
    at: datetime
    recorded_at: datetime | None
    age_s: float
    pending: bool = Field(False, description="Recorded, and not yet taken in by the next run of matching and scoring.")
    details: dict[str, Any]


class Weather(Answer):
    """Weather of the city's station, as far as it is known."""

    station: str
    observed_at: datetime
    age_s: float
    air_temp_c: float | None
    snow_depth_cm: float | None
    rain_24h_mm: float | None
    rain_7d_mm: float | None
    minimum_7d_c: float | None
    frost_hours_7d: int


class HistoryPoint(Answer):
    """The last score of one local day."""

    day: date
    horizon_days: int
    probability: float
    model_run_id: int


class SegmentAnswer(Answer):
    """One segment: state, scores with reasons, evidence with its age."""

    segment_id: str
    name: str
    district: str
    road_class: str
    length_m: float
    from_station_m: float
    to_station_m: float
    section: str
    mid: Point
    geometry: dict[str, Any] = Field(description="GeoJSON LineString.")
    attributes: dict[str, Any]
    owner: str | None = Field(description="Who maintains the road; null: the city itself.")
    maintenance_district: str | None
    warranty_until: date | None
    inspection_interval_days: int | None
    hindrances: list[Hindrance]
    valid: bool = Field(description="false: a re-import replaced this segment.")
    neighbours: list[str] = Field(description="Segments before and after it on the same section.")
    condition_grade: float | None
    evidence_count: int
    newest_evidence_at: datetime | None
    evidence_age_days: float | None
    state_as_of: datetime | None
    state: list[StateQuantity]
    scores: list[ScoreWithReasons]
    history: list[HistoryPoint]
    potholes: list[Pothole]
    evidence: list[Evidence]
    weather: Weather | None


class Stored(Answer):
    """A record or decision is kept."""

    kind: str
    id: UUID
    recorded_at: datetime = Field(description="When this service knew; set by its clock.")
    created: bool = Field(description="false: it was already there, unchanged.")
    segment_id: str | None = Field(description="The segment it belongs to, as given or nearest; null: none is near.")
