"""What the worklist answers with: tasks, the jobs they are merged into, and how the inspections by lot were drawn."""

from datetime import date, datetime
from enum import StrEnum
from uuid import UUID

from pydantic import Field

from models.worklist import Hindrance, PotholeStatus
from service.schemas import REOPENED, Answer, Point


class SelectedBy(StrEnum):
    """Why a segment is to be inspected."""

    RISK = "risk"  # it is at the top of the list
    RANDOM = "random"  # it was drawn by lot, so that the model stays honest


class DecisionNote(Answer):
    """The newest decision about a place."""

    action: str
    decided_at: datetime
    reason: str | None


class PotholeTask(Answer):
    """An open pothole (or one repaired today) with its due time."""

    position: int = Field(description="Place in the order of work, from 1.")
    pothole_id: UUID
    segment_id: str
    name: str
    district: str
    road_class: str
    lon: float
    lat: float
    severity: int
    status: PotholeStatus
    pending: bool = Field(description="A repair is recorded, and the twin takes it in with its next run.")
    due_at: datetime
    overdue: bool
    first_recorded_at: datetime
    known_since: datetime = Field(
        description="`first_recorded_at`; later if looks did not find the hole meanwhile: when it was seen again."
    )
    age_s: float = Field(description="Time since `known_since` [s].")
    last_evidence_at: datetime
    evidence_count: int
    open_probability: float | None = Field(
        description="That it is there [-]: 1 if confirmed by a person; else the twin's probability that its segment "
        "has an open pothole. null: repaired; or the twin has not taken it in yet (again), which the order takes as "
        "certain."
    )
    doubtful: bool = Field(description="It is likelier that it is gone than that it is there.")
    confirmed_by_person: bool = Field(
        description="A person found it and left it open, and looks did not settle since then that it is gone."
    )
    seen_again: bool = Field(description="Looks did not find it (that closed it last), and then it was seen again.")
    reopened: bool = Field(description=REOPENED)
    owner: str | None
    maintenance_district: str | None
    hindrances: list[Hindrance]
    decision: DecisionNote | None
    job: int | None = Field(None, description="Number of the job it belongs to; null: no work for a crew.")


class InspectionTask(Answer):
    """A segment to look at, by risk or by lot."""

    position: int
    segment_id: str
    name: str
    district: str
    road_class: str
    length_m: float
    mid: Point
    selected_by: SelectedBy
    selection_probability: float = Field(
        gt=0, le=1, description="With which it came on today's list: 1 by risk; by lot, what findings are divided by."
    )
    probability: float
    probability_low: float | None = Field(description="Lower end of the 90 % interval; null: this model gives none.")
    probability_high: float | None
    expected_per_100_m: float
    rank: int
    condition_grade: float | None
    newest_evidence_at: datetime | None
    evidence_age_days: float | None
    inspected_since_at: datetime | None = Field(
        description="Last inspection today or after the score was made; null: none."
    )
    main_reason_de: str | None
    main_reason_en: str | None
    owner: str | None
    maintenance_district: str | None
    hindrances: list[Hindrance]
    decision: DecisionNote | None
    job: int | None = Field(None, description="Number of the job it belongs to; null: no work for a crew.")


class LotNote(Answer):
    """How today's inspections by lot were drawn: a simple random sample of the frame."""

    day: date
    drawn_at: datetime
    share: float = Field(description="Of the inspection capacity.")
    seed: str = Field(description="The order of the draw is that of SHA-256(seed|segment_id).")
    frame_count: int = Field(description="Segments that could be drawn: scored, for the crews, not at this list's top.")
    drawn_count: int = Field(description="Of the whole city, for this capacity.")
    probability: float = Field(description="drawn_count / frame_count.")
    inspected_count: int = Field(description="How many of them have been inspected since.")


class JobNote(Answer):
    """Tasks done under one mobilisation."""

    job: int = Field(description="From 1; tasks carry it.")
    crew: int | None = Field(description="From 1; null: it does not fit into the day.")
    order: int | None = Field(description="Place in the crew's day, from 1.")
    name: str = Field(description="Street of most of its tasks.")
    district: str
    mid: Point
    bbox: list[float] = Field(description="West, south, east, north of its tasks [°].")
    must: bool = Field(
        description="Holds a task that cannot wait: drawn by lot; or a due, overdue or severe pothole that is "
        "there with a fair chance."
    )
    pothole_ids: list[UUID] = Field(description="In the order of the way through the job, as are segment_ids.")
    segment_ids: list[str] = Field(description="To inspect.")
    duration_min: float
    mobilisation_min: float
    way_min: float
    work_min: float
    benefit: float


class PlanAssumptions(Answer):
    """What the jobs rest on; all figures are defaults of ours unless asked otherwise."""

    mobilisation_min: float
    reach_m: float = Field(description="Farthest from a task of a closure to the next one [m].")
    extent_m: float = Field(description="Diagonal of the rectangle that a job's tasks may fill [m].")
    member_speed_kmh: float
    drive_speed_kmh: float
    detour: float
    pothole_min: dict[int, float]
    inspection_min: float
    severity_weight: dict[int, float]
    secured_share: float
    depot_counted: bool = Field(description="false: the way from and to the depot is not in the hours.")


class WorkPlan(Answer):
    """Jobs of a day for the crews; those that do not fit come last."""

    crews: int
    hours: float
    jobs: list[JobNote]
    crew_minutes: list[float] = Field(description="Planned time of each crew, drives included [min].")
    drive_minutes: list[float]
    planned_tasks: int
    saved_minutes: float = Field(description="Mobilisations saved by merging, less the ways between members [min].")
    benefit: float = Field(description="Of the planned jobs [expected new holes, and severity-weighted potholes].")
    assumptions: PlanAssumptions


class WorklistAnswer(Answer):
    """What the crews should do: open potholes in the order of work, then segments to inspect; and both as jobs."""

    now: datetime
    today: date
    capacity: int
    horizon_days: int
    district: str | None
    score_as_of: datetime | None
    open_pothole_count: int = Field(description="Of the crews' potholes that are open; the list may be shorter.")
    overdue_count: int
    secured_count: int
    repaired_today_count: int
    undecided_count: int = Field(description="Listed inspections that nobody has decided about.")
    potholes: list[PotholeTask]
    inspections: list[InspectionTask]
    by_lot: LotNote | None = Field(description="null: no scoring has drawn today's inspections yet.")
    plan: WorkPlan
    left_out: dict[str, int] = Field(
        description="How many places each reason kept off the lists; `include` shows them."
    )
