"""What `roadtwin status` tells about workers, and what the accounts of one are made of."""

import json
import os
import subprocess
import sys
from datetime import UTC, datetime

from ingest.membership import total
from roadtwin.storage.workers import Heartbeat, WorkerCounts, find_workers, retire_worker, write_heartbeat
from roadtwin.telemetry import RECEIVED
from tests.integration.ingest.conftest import fetch, wait_for
from tests.samples import CHIRPSTACK_UP, chirpstack, encoded

COUNTS = WorkerCounts(
    received=9,
    journal_found=1,
    stored=5,
    duplicate=1,
    rejected=1,
    journalled=2,
    in_process=1,
    session_new_count=1,
    qos0=0,
)


def beat(name: str, *, connected: bool = True) -> Heartbeat:
    return Heartbeat(name, "essen", "host-a", 42, datetime.now(UTC), connected, COUNTS)


def status(*arguments: str, database_url: str) -> str:
    return subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", "status", *arguments],
        check=True,
        capture_output=True,
        text=True,
        env=os.environ | {"ROADTWIN_DATABASE_URL": database_url},
    ).stdout


def test_status_names_the_workers_that_are_absent_and_none_that_is_retired(db, database_url):
    for name in ("essen-1", "essen-2", "essen-3"):
        write_heartbeat(db, beat(name))
    db.execute("UPDATE ingest_worker SET seen_at = seen_at - interval '5 min' WHERE worker = 'essen-2'")
    retire_worker(db, "essen-3")
    db.commit()

    lines = status(database_url=database_url).splitlines()
    workers = json.loads(status("--json", database_url=database_url))["workers"]

    assert "Workers       2 with a session at the broker, 1 connected" in lines
    assert "Absent        essen-2 (host-a, 5 min ago)" in lines
    assert [(row["worker"], row["absent"]) for row in workers] == [("essen-1", False), ("essen-2", True)]


def test_a_worker_that_beats_again_is_neither_absent_nor_retired(db):
    assert not write_heartbeat(db, beat("essen-1"))
    retire_worker(db, "essen-1")
    db.execute("UPDATE ingest_worker SET absence_logged_at = now()")

    assert write_heartbeat(db, beat("essen-1"))
    assert not write_heartbeat(db, beat("essen-1"))
    (row,) = find_workers(db)
    assert (row.retired_at, row.absent) == (None, False)
    assert COUNTS.difference == 0


def test_the_accounts_of_a_worker_balance(start_ingester, database_url, mqtt_url, publish, db):
    ingester = start_ingester(database_url, mqtt_url).wait_until_ready()
    before = total(RECEIVED)
    message = (CHIRPSTACK_UP, encoded(chirpstack(fCnt=1)))
    publish(message, message, (CHIRPSTACK_UP, encoded(chirpstack(fCnt=2, deduplicationId="b"))), (CHIRPSTACK_UP, b"?"))
    wait_for(lambda: total(RECEIVED) >= before + 4)
    ingester.close()

    rows = fetch(
        db,
        "SELECT received - stored - duplicate - rejected - journalled - in_process, received >= 4, stored >= 2,"
        " duplicate >= 1, rejected >= 1, connected FROM ingest_worker",
    )
    assert rows == [(0, True, True, True, True, False)]
