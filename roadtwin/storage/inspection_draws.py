"""The day's inspections by lot."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import date, datetime
from typing import Any, NamedTuple

import psycopg

from roadtwin.storage import queries

_SQL = queries.load("inspection_draws")


@dataclass(frozen=True, slots=True)
class InspectionDraw:
    """How a local day's sample was drawn: for `capacity`, each of the frame with `drawn_count / frame_count`."""

    day: date
    drawn_at: datetime
    score_as_of: datetime
    seed: str
    share: float
    capacity: int
    top_count: int
    frame_count: int
    drawn_count: int


class Candidate(NamedTuple):
    """A scored segment with who has to keep it."""

    segment_id: int
    public_id: str
    owner: str | None
    warranty_until: date | None
    works_start_on: date | None


def read_draw(conn: psycopg.Connection[Any], day: date) -> InspectionDraw | None:
    """The draw of a local day, or None."""
    row = conn.execute(_SQL["read_draw"], {"day": day}).fetchone()
    return InspectionDraw(*row) if row else None


def read_candidates(
    conn: psycopg.Connection[Any],
    *,
    as_of: datetime,
    horizon_days: int,
    nominal_length_m: int,
    now: datetime,
    today: date,
    works_until: date,
) -> list[Candidate]:
    """Scored segments, worst first, with works that are known at `now` and begin until `works_until`."""
    parameters = {
        "as_of": as_of,
        "horizon_days": horizon_days,
        "nominal_length_m": nominal_length_m,
        "now": now,
        "today": today,
        "works_until": works_until,
    }
    return [Candidate(*row) for row in conn.execute(_SQL["read_candidates"], parameters)]


def write_draw(conn: psycopg.Connection[Any], draw: InspectionDraw, segments: Sequence[tuple[int, int]]) -> bool:
    """Store a day's draw, segments with their place by risk; False, and nothing is written, when the day has one.

    Part of the caller's transaction.
    """
    if conn.execute(_SQL["insert_draw"], asdict(draw)).fetchone() is None:
        return False
    rows = [
        {"day": draw.day, "position": n, "segment_id": id_, "risk_position": by_risk}
        for n, (id_, by_risk) in enumerate(segments, 1)
    ]
    with conn.cursor() as cursor:
        cursor.executemany(_SQL["insert_drawn_segment"], rows)
    return True
