"""Several workers share the messages; they die and come back, and nothing is lost."""

import os
import re
import signal
import socket
import time
import urllib.request

from tests.integration.ingest.conftest import count, wait_for
from tests.integration.ingest.mosquitto import needs_mosquitto
from tests.integration.ingest.workers.rig import (
    process_is_there,
    wait_until_connected,
    wait_until_stored,
    workers,
)

pytestmark = needs_mosquitto


def is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0


def metrics(port: int) -> str:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=5) as answer:
        return str(answer.read().decode())


def test_three_workers_store_a_stream_once_also_when_one_is_killed_and_end_together(ingest, stream, database_url):
    port = next(port for port in range(21_000, 30_000, 10) if all(is_free(port + k) for k in range(4)))
    command = ingest(database_url, "--workers", "3", METRICS_PORT=port)
    names = ["essen-1", "essen-2", "essen-3"]
    before = wait_until_connected(database_url, *names)
    stream.publish(300)
    wait_until_stored(database_url, stream)

    assert "roadtwin_ingest_running_workers 3.0" in metrics(port)
    assert all(re.search(r"^roadtwin_ingest_received_messages_total [1-9]", metrics(port + k), re.M) for k in (1, 2, 3))

    os.kill(before["essen-2"].pid, signal.SIGKILL)
    stream.publish(300)
    wait_until_stored(database_url, stream)
    wait_for(lambda: workers(database_url)["essen-2"].pid != before["essen-2"].pid)
    began_s = time.monotonic()
    code = command.stop()

    rows = workers(database_url)
    assert code == 0
    assert time.monotonic() - began_s < 10
    assert not any(process_is_there(row.pid) for row in (*before.values(), *rows.values()))
    assert [event["how"] for event in command.events("worker_ended")] == ["by signal 9"]
    assert sorted(rows) == names
    assert {name: row.connected for name, row in rows.items()} == dict.fromkeys(names, False)
    assert {name: row.started_at != before[name].started_at for name, row in rows.items()} == {
        "essen-1": False,
        "essen-2": True,
        "essen-3": False,
    }
    for row in rows.values():
        assert row.received > 0
        assert row.received == row.stored + row.duplicate + row.rejected + row.journalled + row.in_process
    assert {row.retired_at for row in rows.values()} == {None}
    assert count(database_url, "SELECT count(DISTINCT worker) FROM ingest_batch WHERE stored > 0") == 3
