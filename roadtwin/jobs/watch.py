"""What runs by itself: scoring every interval and at its time of the day, monitoring, and training of challengers."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any
from zoneinfo import ZoneInfo

import psycopg

from roadtwin.errors import MigrationError, ModelVersionError, RoadtwinError
from roadtwin.jobs.monitor import monitor
from roadtwin.jobs.refresh import refresh_and_score
from roadtwin.jobs.retrain import retrain
from roadtwin.jobs.schedule import monitoring_due, next_daily, score_due, training_due
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city
from roadtwin.storage.database import connect
from roadtwin.storage.migrate import check_schema
from roadtwin.storage.model_runs import read_last_training
from roadtwin.storage.monitoring import read_newest_monitoring
from roadtwin.storage.score_requests import read_newest_open_request
from roadtwin.storage.scores import read_newest_score_run
from roadtwin.telemetry import get_logger

log = get_logger(__name__)

_FIRST_RETRY_S = 2.0
_LOOK_S = 2.0
"""How often the database is asked whether something is due: somebody may ask for scores at any time."""

Clock = Callable[[], datetime]


@dataclass(slots=True)
class _Task:
    """Something that is done when it is due; after a failure it is not tried before `not_before`."""

    name: str
    due: Callable[[psycopg.Connection[Any], datetime], datetime | None]
    run: Callable[[psycopg.Connection[Any], datetime], dict[str, Any]]
    retry_at: Callable[[datetime, float], datetime]
    not_before: datetime = field(default=datetime.min.replace(tzinfo=UTC))
    retry_s: float = _FIRST_RETRY_S


class _Watcher:
    """The three tasks of one process. What is due is read from the database: others may score and train too."""

    def __init__(self, settings: Settings, started: datetime) -> None:
        self._settings = settings
        self._started = started
        self._city_zone: tzinfo | None = None
        self._model_unreadable = False
        self.tasks = (
            _Task("train", self._training_due, self._train, self._next_night),
            _Task("score", self._score_due, self._score, lambda now, wait_s: now + timedelta(seconds=wait_s)),
            _Task("monitor", self._monitoring_due, self._monitor, lambda now, _wait_s: now + timedelta(hours=1)),
        )

    def _zone(self, conn: psycopg.Connection[Any]) -> tzinfo:
        if self._city_zone is None and (city := read_city(conn)) is not None:
            self._city_zone = ZoneInfo(city.timezone)
        return self._city_zone or self._settings.timezone

    def _score_due(self, conn: psycopg.Connection[Any], now: datetime) -> datetime:
        if read_newest_open_request(conn) is not None:
            return now
        newest = read_newest_score_run(conn)
        return score_due(
            None if newest is None else newest.as_of,
            now,
            interval=timedelta(seconds=self._settings.score_interval_s),
            daily_at=self._settings.score_daily_at,
            zone=self._zone(conn),
        )

    def _score(self, conn: psycopg.Connection[Any], now: datetime) -> dict[str, Any]:
        try:
            run = refresh_and_score(conn, self._settings, now=now)
        except ModelVersionError:
            self._model_unreadable = True  # after an upgrade: nothing is scored until there is a model of this version
            raise
        return {"segments": run.segment_count, "model_run": run.model_run_id}

    def _training_due(self, conn: psycopg.Connection[Any], now: datetime) -> datetime | None:
        if self._model_unreadable and self._settings.retrain_interval_days:
            return now
        return training_due(
            read_last_training(conn),
            self._started,
            interval_days=self._settings.retrain_interval_days,
            at=self._settings.retrain_at,
            zone=self._zone(conn),
        )

    def _train(self, conn: psycopg.Connection[Any], now: datetime) -> dict[str, Any]:
        made = retrain(conn, self._settings, now=now, cause="schedule")
        self._model_unreadable = False
        verdict = made.comparison.verdict_en if made.comparison else "The first model: in use at once."
        return {"model_run": made.run.model_run_id, "in_use": made.run.active, "verdict": verdict}

    def _next_night(self, now: datetime, _wait_s: float) -> datetime:
        return next_daily(now, self._settings.retrain_at, self._city_zone or self._settings.timezone)

    def _monitoring_due(self, conn: psycopg.Connection[Any], now: datetime) -> datetime | None:
        newest, scores = read_newest_monitoring(conn), read_newest_score_run(conn)
        return monitoring_due(
            newest.monitored_at if newest else None,
            scores.as_of if scores else None,
            now,
            daily_at=self._settings.score_daily_at,
            zone=self._zone(conn),
        )

    def _monitor(self, conn: psycopg.Connection[Any], now: datetime) -> dict[str, Any]:
        row = monitor(conn, self._settings, now=now)
        conn.commit()
        return {"model_run": row.model_run_id, "alarms": [f"{a['name']} {a['subject']}" for a in row.alarms]}


def _utc_now() -> datetime:
    return datetime.now(UTC)


def watch(
    url: str, settings: Settings, stop: threading.Event, *, clock: Clock = _utc_now, look_s: float = _LOOK_S
) -> None:
    """Score, monitor and train when it is due, until `stop` is set.

    Scores are due every `score_interval_s`, at `score_daily_at` of each day, and when somebody asks for them;
    monitoring after the first scores since a day's `score_daily_at`; training every `retrain_interval_days` at
    `retrain_at`, and at once when this version cannot read the model. What was missed while nothing ran is done once.
    What fails (no model yet, too little history) is logged and tried again later; a database that is away is waited
    for, longer each time, up to the interval. What is due goes by `clock`, which tells the time in UTC and
    is looked at every `look_s` seconds.

    Raises MigrationError as soon as the schema is not that of this version, also when it is migrated meanwhile: an
    older version would undo what a migration made, and fill tables in its own way.
    """
    watcher = _Watcher(settings, clock())
    wait_s = _FIRST_RETRY_S
    while not stop.is_set():
        try:
            with connect(url, application_name="roadtwin-score") as conn:
                while not stop.is_set():
                    check_schema(conn)
                    for task in watcher.tasks:
                        _attend(conn, task, settings, clock)
                        if stop.is_set():
                            return
                    wait_s = _FIRST_RETRY_S
                    stop.wait(look_s)
        except MigrationError:
            raise
        except (RoadtwinError, psycopg.Error) as exc:
            log.warning("watching failed", action="watch_failed", error=str(exc), retry_s=wait_s)
            stop.wait(wait_s)
            wait_s = min(2 * wait_s, float(settings.score_interval_s))


def _attend(conn: psycopg.Connection[Any], task: _Task, settings: Settings, clock: Clock) -> None:
    """Run a task if it is due. Errors of the database are the caller's; others only put the task off."""
    now = clock()
    due = task.due(conn, now) if now >= task.not_before else None
    conn.rollback()  # looking must not leave a transaction open
    if due is None or due > now:
        return
    try:
        done = task.run(conn, now)
    except RoadtwinError as exc:
        conn.rollback()
        task.not_before = task.retry_at(now, task.retry_s)
        retry_at = task.not_before.isoformat(timespec="seconds")
        log.warning("task failed", action=f"{task.name}_failed", error=str(exc), retry_at=retry_at)
        task.retry_s = min(2 * task.retry_s, float(settings.score_interval_s))
        return
    task.retry_s = _FIRST_RETRY_S
    seconds = round((clock() - now).total_seconds(), 3)
    log.info("task done", action=f"{task.name}_done", seconds=seconds, **done)
