"""Refreshing the twin state: everything known of each segment now, with its uncertainty, count, age and source."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import psycopg
from numpy.typing import NDArray

from roadtwin.jobs.state_quantities import (
    Quantity,
    camera_quantities,
    grade_quantity,
    people_quantities,
    weather_quantities,
)
from roadtwin.settings import Settings
from roadtwin.storage.network import StoredSegment, read_current_segments
from roadtwin.storage.twin import StateRow, write_state


@dataclass(frozen=True, slots=True)
class StateCounts:
    """What was refreshed; `graded` segments have a condition grade, of the others none is known."""

    segments: int
    graded: int
    as_of: datetime


def refresh_state(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> StateCounts:
    """Write the state of every segment as known at `now`, and the snapshot of its local day; one transaction.

    Only what was recorded by `now` is used, and of devices only confirmed ones. A quantity that nobody measured has
    the value null and the source "none": unknown is never good.
    """
    with conn.transaction():
        segments = read_current_segments(conn)
        if not segments:
            return StateCounts(0, 0, now)
        zone = settings.timezone
        quantities = weather_quantities(conn, segments, zone=zone, now=now)
        quantities |= camera_quantities(conn, segments, zone=zone, now=now)
        quantities |= people_quantities(conn, segments, quantities["last_pass_age_d"], now=now)
        grade = grade_quantity(
            conn, segments, quantities["crack_index_pct"], quantities["open_potholes_count"], now=now
        )
        quantities["condition_grade"] = grade
        write_state(conn, _rows(segments, quantities, now))
    return StateCounts(len(segments), int(np.isfinite(grade.value).sum()), now)


def _rows(segments: Sequence[StoredSegment], quantities: Mapping[str, Quantity], now: datetime) -> Iterator[StateRow]:
    columns = {
        name: (_nullable(q.value), _nullable(q.sd), q.count, [_iso(at) for at in q.newest_at], q.source)
        for name, q in quantities.items()
    }
    grade = quantities["condition_grade"]
    for i, segment in enumerate(segments):
        state = {
            name: {"value": value[i], "sd": sd[i], "count": count[i], "newest_at": newest[i], "source": source[i]}
            for name, (value, sd, count, newest, source) in columns.items()
        }
        yield StateRow(
            segment_id=segment.segment_id,
            as_of=now,
            state=msgspec.json.encode(state).decode(),
            condition_grade=columns["condition_grade"][0][i],
            evidence_count=grade.count[i],
            newest_evidence_at=grade.newest_at[i],
        )


def _nullable(values: NDArray[np.float64]) -> list[float | None]:
    return [None if value != value else round(value, 4) for value in values.tolist()]


def _iso(at: datetime | None) -> str | None:
    return None if at is None else at.astimezone(UTC).isoformat()
