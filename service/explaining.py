"""Reasons of a score that were not stored with it: made on demand from the feature row that the model saw."""

from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from service.state import Connection, Row


@dataclass(slots=True)
class Explainer:
    """Keeps the last loaded model."""

    async def explain(
        self,
        db: "Connection",
        *,
        segment_id: int,
        as_of: datetime,
        score: "Row",  # noqa: ARG002
    ) -> list[dict[str, Any]] | None:
        """Reasons of one score, or None when they cannot be made."""
        return None
