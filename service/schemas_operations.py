"""What the API answers about its own running: flow of messages, health. Names as in `service.schemas`."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from service.schemas import Answer


class OriginTotals(Answer):
    """Accounts of one way in: received = stored + duplicate + rejected."""

    origin: str
    batches: int
    received: int
    stored: int
    duplicate: int
    rejected: int
    observations_stored: int
    observation_conflicts: int
    newest_at: datetime | None


class Batch(Answer):
    """Accounts of one transaction of the ingester."""

    batch_id: int
    worker: str
    origin: str
    recorded_at: datetime
    received: int
    stored: int
    duplicate: int
    rejected: int
    observations_stored: int
    observations_duplicate: int
    observation_conflicts: int


class IngestStatus(Answer):
    """How the flow of messages is doing."""

    now: datetime
    messages_per_min_1: float = Field(description="Received over the last minute [1/min].")
    messages_per_min_5: float = Field(description="Mean over five minutes [1/min].")
    messages_per_min_60: float
    rejected_60_min: int
    newest_message_at: datetime | None
    newest_message_age_s: float | None
    received: int
    stored: int
    duplicate: int
    rejected: int
    by_origin: list[OriginTotals]
    rejected_kinds: int = Field(description="Distinct rejected messages that are kept.")
    devices: dict[str, int] = Field(description="Number of devices by status.")
    devices_unconfirmed: int
    batches: list[Batch]


class RejectedItem(Answer):
    """A message that could not be decoded: kept with its reason."""

    digest: str
    topic: str | None = Field(description="Null without an operator's key: what cannot be decoded may name anybody.")
    code: str
    reason: str
    payload_bytes: int
    payload_head: str | None = Field(
        description="First 256 bytes; what is not UTF-8 is escaped. Null without an operator's key."
    )
    first_seen_at: datetime
    last_seen_at: datetime
    count: int


class RejectedPage(Answer):
    """Rejected messages, newest first."""

    rejected: list[RejectedItem]
    next_page: str | None


class Health(Answer):
    """The process answers."""

    status: Literal["ok"] = "ok"
    version: str


class Readiness(Answer):
    """Whether the service can answer questions."""

    status: Literal["ready"] = "ready"
    segments: int
    score_as_of: datetime | None
