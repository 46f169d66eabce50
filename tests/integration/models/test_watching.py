"""What runs by itself, in the loop that `roadtwin score --watch` runs, by a clock that the test moves over three days.

The city trains every second night at two and scores each day at five, its own time; nothing else makes scores.
"""

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from zoneinfo import ZoneInfo

import psycopg
import pytest
from structlog.testing import capture_logs

from roadtwin.jobs.score import score_all
from roadtwin.jobs.watch import watch
from roadtwin.storage.database import connect

ZONE = ZoneInfo("Europe/Berlin")
READS_A_LOOK = 4
"""The clock is read once for each of the three tasks, and once more where something was done."""


def local(day: int, hour: int, minute: int = 0) -> datetime:
    return datetime(2026, 6, day, hour, minute, tzinfo=ZONE)


@dataclass
class Clock:
    """Stands still until it is moved, and tells how often it was read since then."""

    now: datetime
    reads: int = field(default=0)

    def __call__(self) -> datetime:
        self.reads += 1
        return self.now

    def move(self, now: datetime, *, looks: int = 2) -> None:
        """Wait until every task was looked at so often, at least, at the new time."""
        self.now, self.reads = now, 0
        deadline = time.monotonic() + 300
        while self.reads < READS_A_LOOK * (looks + 1):
            assert time.monotonic() < deadline
            time.sleep(0.05)


@dataclass
class Watched:
    """The loop's clock, log and thread, and a connection beside it."""

    clock: Clock
    logs: list[Any]
    thread: threading.Thread
    conn: psycopg.Connection[Any]

    def did(self) -> list[str]:
        """What was done and what failed, in order, since this was asked last."""
        actions = [entry["action"] for entry in self.logs if "action" in entry]
        self.logs.clear()
        return [action for action in actions if action.endswith(("_done", "_failed"))]

    def scored(self) -> list[datetime]:
        rows = self.conn.execute("SELECT as_of FROM score_run ORDER BY as_of").fetchall()
        self.conn.rollback()
        return [as_of for (as_of,) in rows]

    def trained(self) -> list[datetime]:
        rows = self.conn.execute("SELECT trained_at FROM model_run ORDER BY trained_at").fetchall()
        self.conn.rollback()
        return [trained_at for (trained_at,) in rows]


@pytest.fixture
def watched(simulated) -> Iterator[Watched]:
    """The loop on the city, whose scores and model are of the first of June at five."""
    settings = simulated.settings.model_copy(update={"retrain_interval_days": 2, "score_interval_s": 10 * 86_400})
    clock, stop = Clock(local(1, 5, 1)), threading.Event()
    with connect(simulated.url) as conn, capture_logs() as logs:
        score_all(conn, settings, now=local(1, 5))
        conn.commit()
        arguments = {"clock": clock, "look_s": 0.05}
        thread = threading.Thread(target=watch, args=(simulated.url, settings, stop), kwargs=arguments)
        thread.start()
        yield Watched(clock, logs, thread, conn)
        stop.set()
        thread.join(60)
        assert not thread.is_alive()


def test_scores_and_challengers_are_made_once_when_they_are_due_and_a_failure_only_puts_off(watched):
    clock, first = watched.clock, local(1, 5)
    assert watched.trained() == [first]

    clock.move(local(1, 5, 2))
    assert watched.did() == ["monitor_done"]
    clock.move(local(2, 4, 59))  # a night without training
    assert watched.did() == []

    clock.move(local(2, 5), looks=4)
    assert watched.did() == ["score_done", "monitor_done"]
    clock.move(local(2, 23))
    clock.move(local(3, 1, 59))
    assert watched.did() == []
    assert watched.scored() == [first, local(2, 5)]

    clock.move(local(3, 2, 3), looks=4)
    assert watched.did() == ["train_done"]
    assert watched.trained() == [first, local(3, 2, 3)]
    assert watched.scored() == [first, local(2, 5)]

    watched.conn.execute("UPDATE model_run SET active = FALSE")
    watched.conn.commit()
    clock.move(local(3, 5))
    failed = [entry for entry in watched.logs if entry.get("action") == "score_failed"]
    assert "roadtwin train" in failed[0]["error"]
    assert failed[0]["log_level"] == "warning"
    assert watched.did() == ["score_failed"]
    assert watched.thread.is_alive()

    watched.conn.execute(
        "UPDATE model_run SET active = TRUE WHERE model_run_id = (SELECT max(model_run_id) FROM model_run)"
    )
    watched.conn.commit()
    clock.move(local(3, 5, 1))
    assert watched.did() == ["score_done", "monitor_done"]
    assert watched.scored() == [first, local(2, 5), local(3, 5, 1)]
    assert watched.trained() == [first, local(3, 2, 3)]
