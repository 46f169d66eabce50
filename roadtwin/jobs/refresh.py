"""One round of everything that follows new facts: match, roll up sensors, derive potholes, refresh the twin, score."""

from collections.abc import Callable
from datetime import datetime
from typing import Any

import psycopg

from roadtwin.jobs.draw import draw_inspections
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.match import match_new
from roadtwin.jobs.score import score_all
from roadtwin.jobs.sensors import roll_up_sensors
from roadtwin.jobs.state import refresh_state
from roadtwin.settings import Settings
from roadtwin.storage.score_requests import answer_score_requests, read_newest_open_request
from roadtwin.storage.scores import ScoreRun, one_refresh_at_a_time


def refresh(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Match, roll up sensors, derive potholes and refresh the twin as of `now`; each part commits by itself.

    One at a time in a database: a second one waits, since both would write the same rows.
    """
    report = on_progress or (lambda _part: None)
    with one_refresh_at_a_time(conn):
        report(0.0)
        match_new(conn, settings, now=now)
        conn.commit()
        report(0.3)
        roll_up_sensors(conn, now=now)
        derive_potholes(conn, now=now)
        conn.commit()
        report(0.6)
        refresh_state(conn, settings, now=now)
        conn.commit()
        report(1.0)


def refresh_and_score(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> ScoreRun:
    """Bring everything derived up to `now`; each part commits by itself, so a failure keeps those before it.

    Answers the requests for scores that were open when it began. The first scores of a local day draw its inspections
    by lot. Raises ModelNotTrainedError or ModelVersionError after the other parts are done.
    """
    asked = read_newest_open_request(conn)
    conn.commit()
    refresh(conn, settings, now=now)
    run = score_all(conn, settings, now=now)
    if asked is not None:
        answer_score_requests(conn, asked, as_of=run.as_of)
    conn.commit()
    draw_inspections(conn, settings, score_as_of=run.as_of, now=now)
    conn.commit()
    return run
