"""Work beside the stream: one task does not depend on another."""

import time
from datetime import UTC, datetime

from structlog.testing import capture_logs

from ingest.housekeeping import REST_FACTOR, Housekeeper
from roadtwin.storage.database import connect
from roadtwin.storage.messages import write_batch
from roadtwin.types import Origin
from tests.integration.ingest.conftest import wait_for
from tests.samples import CHIRPSTACK_UP, NOW, chirpstack, decoder, encoded


def test_a_task_with_a_mistake_does_not_end_the_others(database_url, db):
    runs: list[str] = []
    housekeeper = Housekeeper(database_url, decoder(), name="tasks", clock=lambda: datetime.now(UTC))
    housekeeper.add("mistaken", 0.1, lambda _conn: runs.append("mistaken") or {}["nothing"])
    housekeeper.add("sound", 0.1, lambda _conn: runs.append("sound"))
    with capture_logs() as logs:
        housekeeper.start()
        wait_for(lambda: min(runs.count("mistaken"), runs.count("sound")) >= 2)
        housekeeper.close()

    assert [log["task"] for log in logs if log.get("action") == "housekeeping_mistake"] == ["mistaken"]


def test_digesting_goes_on_at_once_rests_while_messages_queue_and_waits_when_nothing_is_left(database_url, db):
    busy = True
    housekeeper = Housekeeper(database_url, decoder(), name="tasks", clock=lambda: datetime.now(UTC), busy=lambda: busy)

    def store(number: int) -> None:
        event = chirpstack(deduplicationId=f"digest-{number}", fCnt=number, time=f"2026-03-10T10:00:0{number}Z")
        write_batch(db, [decoder().decode(CHIRPSTACK_UP, encoded(event), NOW)], [], worker="t", origin=Origin.MQTT)

    with connect(database_url) as conn:
        store(1)
        began = time.monotonic()
        rest_s = housekeeper._digest(conn)
        assert rest_s is not None
        assert 0 < rest_s <= REST_FACTOR * (time.monotonic() - began)
        busy = False
        store(2)
        assert housekeeper._digest(conn) == 0.0
        assert housekeeper._digest(conn) is None
