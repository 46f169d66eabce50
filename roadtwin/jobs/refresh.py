"""One round of everything that follows new facts: match, derive potholes, refresh the twin, score."""

import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import psycopg

from roadtwin.errors import RoadtwinError
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.match import match_new
from roadtwin.jobs.score import score_all
from roadtwin.jobs.state import refresh_state
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.scores import ScoreRun, one_refresh_at_a_time
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

_FIRST_RETRY_S = 2.0


def refresh(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Match, derive potholes and refresh the twin as of `now`; each part commits by itself.

    One at a time in a database: a second one waits, since both would write the same rows.
    """
    report = on_progress or (lambda _part: None)
    with one_refresh_at_a_time(conn):
        report(0.0)
        match_new(conn, settings, now=now)
        conn.commit()
        report(0.3)
        derive_potholes(conn, now=now)
        conn.commit()
        report(0.6)
        refresh_state(conn, settings, now=now)
        conn.commit()
        report(1.0)


def refresh_and_score(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime) -> ScoreRun:
    """Bring everything derived up to `now`; each part commits by itself, so a failure keeps those before it.

    Raises ModelNotTrainedError or ModelVersionError after the other parts are done.
    """
    refresh(conn, settings, now=now)
    run = score_all(conn, settings, now=now)
    conn.commit()
    return run


def watch(url: str, settings: Settings, stop: threading.Event) -> None:
    """Refresh and score every `score_interval_s` until `stop` is set.

    A round that fails (no database, no model yet) is logged and tried again, later each time, up to the interval.
    """
    wait_s = _FIRST_RETRY_S
    while not stop.is_set():
        began = datetime.now(UTC)
        try:
            with connect(url, application_name="roadtwin-score") as conn:
                run = refresh_and_score(conn, settings, now=began)
        except (RoadtwinError, psycopg.Error) as exc:
            log.warning("scoring failed", action="score_failed", error=str(exc), retry_s=wait_s)
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, float(settings.score_interval_s))
            continue
        wait_s = _FIRST_RETRY_S
        seconds = (datetime.now(UTC) - began).total_seconds()
        log.info("scored", action="scored", segments=run.segment_count, model_run=run.model_run_id, seconds=seconds)
        stop.wait(max(0.0, settings.score_interval_s - seconds))
