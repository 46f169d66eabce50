"""What was decided about scores, and what was not."""

from datetime import date, datetime
from typing import Literal
from uuid import UUID

from pydantic import Field

from service.schemas import Answer, Point


class DecisionItem(Answer):
    """A decision with the score that was known then; a score of null: none was."""

    decision_id: UUID
    decided_at: datetime
    recorded_at: datetime
    decided_by: str
    segment_id: str | None
    name: str | None
    district: str | None
    pothole_id: UUID | None
    action: str
    reason: str | None
    score_as_of: datetime | None
    horizon_days: int | None
    probability: float | None
    probability_low: float | None
    probability_high: float | None
    expected_count: float | None
    rank: int | None
    model_run_id: int | None


class DecisionPage(Answer):
    """Decisions, newest first."""

    decisions: list[DecisionItem]
    next_page: str | None = Field(description="Opaque token of the next page; null: this was the last one.")


class TopScore(Answer):
    """A score at the top, and what became of it so far."""

    segment_id: str
    name: str
    district: str
    mid: Point
    rank: int
    probability: float
    probability_low: float | None
    probability_high: float | None
    state: Literal["undecided", "decided", "inspected"]
    action: str | None = Field(description="Of the newest decision that still holds.")
    decided_at: datetime | None


class ActedDay(Answer):
    """The top of a local day's last scores: how much of it somebody acted on, and what came of the rest."""

    day: date
    score_as_of: datetime
    settled: bool = Field(description="The horizon has passed: what came of it is known.")
    top_count: int
    decided_count: int
    visited_count: int = Field(description="Inspected or repaired within 7 days.")
    unacted_count: int = Field(description="Neither decided on nor visited within 7 days.")
    unacted_expected_segments: float = Field(description="Sum of their probabilities.")
    unacted_broken_count: int = Field(description="How many of them got a new pothole within the horizon so far.")


class UndecidedAnswer(Answer):
    """Top scores that nobody has decided about, and how it was on the days before."""

    score_as_of: datetime | None
    horizon_days: int
    top: int
    undecided_count: int
    decided_count: int
    inspected_count: int
    undecided: list[TopScore]
    days: list[ActedDay]
