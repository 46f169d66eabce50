"""Who ingests: one row for every client id that ever had a session, until that session is drained and ended."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import psycopg
from psycopg.rows import class_row

from roadtwin.storage import queries

Connection = psycopg.Connection[Any]

ABSENT_AFTER_S = 60.0
"""A member that has not been seen for this long, six heartbeats, is absent [s]."""

_SQL = queries.load("workers")


@dataclass(frozen=True, slots=True)
class WorkerCounts:
    """Accounts of one worker since its start: the two on the left equal the five after them, in a quiet moment.

    Exact whenever nothing moves between two of the counters being read. `session_new_count` and `qos0` stand beside.
    """

    received: int
    journal_found: int
    stored: int
    duplicate: int
    rejected: int
    journalled: int
    in_process: int
    session_new_count: int
    qos0: int

    @property
    def difference(self) -> int:
        """What is unaccounted for; 0 in a quiet moment."""
        arrived = self.received + self.journal_found
        return arrived - self.stored - self.duplicate - self.rejected - self.journalled - self.in_process


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """What a worker says about itself."""

    worker: str
    share_group: str
    host: str
    pid: int
    started_at: datetime
    connected: bool
    counts: WorkerCounts


@dataclass(frozen=True, slots=True)
class WorkerRow:
    """A worker as the database knows it; `unseen_s` is the time since its last heartbeat [s]."""

    worker: str
    share_group: str
    host: str
    pid: int
    started_at: datetime
    seen_at: datetime
    retired_at: datetime | None
    connected: bool
    received: int
    journal_found: int
    stored: int
    duplicate: int
    rejected: int
    journalled: int
    in_process: int
    session_new_count: int
    qos0: int
    unseen_s: float

    @property
    def absent(self) -> bool:
        """Not retired, and not seen for ABSENT_AFTER_S: the broker may be keeping messages for it that nobody takes."""
        return self.retired_at is None and self.unseen_s > ABSENT_AFTER_S


@dataclass(frozen=True, slots=True)
class Absence:
    """An absent member, told to one caller only."""

    worker: str
    host: str
    seen_at: datetime


def write_heartbeat(conn: Connection, beat: Heartbeat) -> bool:
    """Note that a worker is there, in one transaction: no longer absent or retired. True if its absence was noticed."""
    with conn.transaction():
        row = conn.execute(_SQL["lock_worker"], {"worker": beat.worker}).fetchone()
        conn.execute(
            _SQL["upsert_worker"],
            {
                "worker": beat.worker,
                "share_group": beat.share_group,
                "host": beat.host,
                "pid": beat.pid,
                "started_at": beat.started_at,
                "connected": beat.connected,
                **{name: getattr(beat.counts, name) for name in WorkerCounts.__slots__},
            },
        )
    return row is not None and row[0] is not None


def find_absent(
    conn: Connection, *, share_group: str, worker: str, absent_after_s: float
) -> tuple[list[str], list[Absence], int]:
    """Other members of the group that are absent, those whose absence is news, and how many members there are."""
    found = {"share_group": share_group, "worker": worker, "absent_after": timedelta(seconds=absent_after_s)}
    with conn.transaction():
        absent = [str(row[0]) for row in conn.execute(_SQL["find_absent_workers"], found)]
        if not absent:
            return [], [], 0
        rows = conn.execute(_SQL["claim_absences"], found | {"workers": absent}).fetchall()
        members = conn.execute(_SQL["count_members"], found).fetchone()
    assert members is not None, "a count always gives a row"
    return absent, [Absence(*row) for row in rows], int(members[0])


def find_workers(
    conn: Connection, *, share_group: str | None = None, worker: str | None = None, retired: bool = False
) -> list[WorkerRow]:
    """Workers of a group, or one worker, or all; with `retired`, the retired ones too. In the caller's transaction."""
    with conn.cursor(row_factory=class_row(WorkerRow)) as cursor:
        return cursor.execute(
            _SQL["find_workers"], {"share_group": share_group, "worker": worker, "retired": retired}
        ).fetchall()


def retire_worker(conn: Connection, worker: str) -> None:
    """Its session is ended: the broker keeps nothing for it any more. In the caller's transaction."""
    conn.execute(_SQL["retire_worker"], {"worker": worker})
