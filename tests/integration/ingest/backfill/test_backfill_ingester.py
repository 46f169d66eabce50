"""An ingester fetches by itself what The Things Stack kept, beside what comes live."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest
from structlog.testing import capture_logs

from ingest import backfill_task
from ingest.backfill_task import BackfillTask
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.telemetry import BACKFILL_FAILURES, HOUSEKEEPING_FAILURES
from tests.integration.ingest.backfill.backfilling import DECODER, NOW, TOPIC, fill, messages, run, store_live, uplink
from tests.integration.ingest.conftest import count, wait_for
from tests.samples import encoded
from tests.storage_integration import KEY


@pytest.fixture
def soon(monkeypatch):
    monkeypatch.setattr(backfill_task, "TURN_EVERY_S", 0.1)
    monkeypatch.setattr("ingest.consumer.TURN_EVERY_S", 0.1)


def ingester_options(server):
    return {"tts_url": server.url, "tts_api_key": Settings(tts_api_key=KEY).tts_api_key,
            "tts_applications": ("roads@essen",)}  # fmt: skip


def test_an_ingester_fetches_at_its_start_and_still_takes_what_comes_live(
    database_url, mqtt_url, start_ingester, publish, server, soon
):
    now = datetime.now(UTC)
    fill(server, now - timedelta(hours=5), 1200)
    live = uplink(now - timedelta(seconds=1), 5000)

    start_ingester(database_url, mqtt_url, **ingester_options(server)).wait_until_ready()
    publish((TOPIC, encoded(live)))

    # Others may publish on this broker: only ours are counted.
    fetched = "SELECT count(*) FROM message WHERE origin = 'backfilled'"
    came_live = "SELECT count(*) FROM message WHERE origin = 'mqtt' AND topic = %s AND f_cnt = 5000"
    wait_for(lambda: count(database_url, fetched) == 1200)
    wait_for(lambda: count(database_url, came_live, TOPIC) == 1)
    mark = "SELECT count(*) FROM ingest_batch WHERE worker = 'backfill roads@essen' AND observed_until > %s"
    wait_for(lambda: count(database_url, mark, now))


class Worker:
    """A backfill task with a connection and a clock of its own."""

    def __init__(self, settings, database_url, *, now=NOW, first_retry_s=0.0):
        self.now = now
        self.history = [(now, False)]
        self.conn = connect(database_url)
        self.task = BackfillTask(
            settings,
            DECODER,
            lambda: self.history,
            threading.Event(),
            clock=lambda: self.now,
            first_retry_s=first_retry_s,
        )

    def turn(self):
        self.task.turn(self.conn)
        assert self.conn.info.transaction_status == psycopg.pq.TransactionStatus.IDLE


@pytest.fixture
def start_worker(settings, database_url, db):
    workers = []

    def start(**options):
        workers.append(Worker(settings, database_url, **options))
        return workers[-1]

    yield start
    for worker in workers:
        worker.conn.close()


def test_a_turn_is_one_page_and_a_new_session_is_a_new_reason(start_worker, server, db):
    fill(server, NOW - timedelta(hours=2), 1500, step_s=1)
    worker = start_worker()

    worker.turn()
    assert messages(db) == (1000, 1000)
    worker.turn()
    worker.turn()
    assert messages(db) == (1500, 1500)
    asked = len(server.requests)
    worker.turn()
    assert len(server.requests) == asked, "nothing is due for an hour"

    worker.now = NOW + timedelta(minutes=3)
    worker.history.append((worker.now, True))
    worker.turn()
    assert len(server.requests) == asked, "the broker had kept our session"
    worker.history.append((worker.now, False))
    server.add(uplink(NOW + timedelta(minutes=1), 4000))
    worker.turn()
    assert messages(db) == (1501, 1501)


def test_a_session_lost_while_a_fetch_is_under_way_is_followed_by_another_fetch(start_worker, server, db):
    fill(server, NOW - timedelta(hours=2), 1500, step_s=1)
    worker = start_worker()

    worker.turn()
    worker.now = NOW + timedelta(minutes=3)
    worker.history.append((worker.now, False))
    server.add(uplink(NOW + timedelta(minutes=1), 4000))
    for _ in range(4):
        worker.turn()

    assert server.requests[1]["after"] > server.requests[0]["after"], "the first one goes on"
    assert "2026-03-10T10:59:59.999000Z" in [query["after"] for query in server.requests], "another follows it"
    assert messages(db) == (1501, 1501)


def test_of_two_workers_one_fetches(start_worker, server, db):
    fill(server, NOW - timedelta(hours=2), 1500, step_s=1)
    one, other = start_worker(), start_worker()

    one.turn()
    other.turn()
    assert len(server.requests) == 1, "the other one waits"
    one.turn()
    one.turn()
    asked = len(server.requests)
    other.turn()

    assert messages(db) == (1500, 1500)
    assert len(server.requests) == asked, "the other one finds that it is done"


def test_a_worker_that_goes_leaves_the_rest_to_the_other(start_worker, server, db):
    fill(server, NOW - timedelta(hours=2), 1500, step_s=1)
    one, other = start_worker(), start_worker()

    one.turn()
    one.conn.close()  # its lock goes when the server has noticed

    wait_for(lambda: other.turn() or messages(db) == (1500, 1500))


def test_whoever_waits_for_the_server_keeps_nobody_back_and_goes_on_where_it_was(start_worker, server, settings, db):
    fill(server, NOW - timedelta(hours=2), 900, step_s=1)
    server.faults.extend(["cut"])
    one = start_worker(first_retry_s=3600.0)
    one.turn()
    assert 0 < messages(db)[0] < 900

    run(db, settings)
    for state in one.task._states:
        state.due_s = 0.0
    one.turn()

    assert messages(db) == (900, 900)
    assert server.requests[-1]["after"] > server.requests[0]["after"]


def test_what_comes_live_while_a_fetch_is_cut_short_does_not_hide_the_gap(start_worker, server, db):
    store_live(db, uplink(NOW - timedelta(hours=9), 1))
    fill(server, NOW - timedelta(hours=8), 3, offset=10)
    server.faults.append(503)
    one = start_worker()
    one.turn()
    one.conn.close()
    later = NOW + timedelta(hours=1)
    store_live(db, uplink(later, 2))

    start_worker(now=later + timedelta(minutes=1)).turn()

    assert messages(db) == (5, 5)


def test_failures_are_counted_and_logged_once_and_do_not_count_as_the_housekeepers(start_worker, server, db):
    fill(server, NOW - timedelta(hours=2), 3)
    server.faults.extend([401, 401, 503])
    failures = BACKFILL_FAILURES._value.get()
    of_housekeeper = HOUSEKEEPING_FAILURES.labels("backfill")._value.get()
    worker = start_worker()

    with capture_logs() as logs:
        for _ in range(3):
            worker.turn()
            for state in worker.task._states:
                state.due_s = 0.0
        worker.turn()

    assert messages(db) == (3, 3)
    assert BACKFILL_FAILURES._value.get() - failures == 3
    assert HOUSEKEEPING_FAILURES.labels("backfill")._value.get() == of_housekeeper
    assert [log["action"] for log in logs].count("backfill_failed") == 1
    assert KEY not in str(logs)
