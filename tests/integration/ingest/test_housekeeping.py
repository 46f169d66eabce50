"""Work beside the stream: one task does not depend on another."""

from datetime import UTC, datetime

from structlog.testing import capture_logs

from ingest.housekeeping import Housekeeper
from tests.integration.ingest.conftest import wait_for
from tests.samples import decoder


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
