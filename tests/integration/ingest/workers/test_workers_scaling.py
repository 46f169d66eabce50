"""More workers, fewer workers, and back to one that works alone: nothing is lost on the way."""

from tests.integration.ingest.mosquitto import needs_mosquitto
from tests.integration.ingest.workers.rig import (
    stored,
    wait_until_connected,
    wait_until_stored,
    workers,
)

pytestmark = needs_mosquitto


def members(database_url: str) -> set[str]:
    return set(workers(database_url))


def test_from_three_workers_to_one_and_to_two_under_a_stream(ingest, stream, one_database_url):
    database_url = one_database_url
    three = ingest(database_url, "--workers", "3")
    wait_until_connected(database_url, "essen-1", "essen-2", "essen-3")
    three.kill()  # its workers end by themselves
    stream.publish(90)  # parked for the three of them
    stream.start(every_s=0.05)

    one = ingest(database_url)
    wait_until_connected(database_url, "essen")
    taken_before = [event["timestamp"] for event in one.events("ingest_ready") if event["worker"] == "essen"]
    retired = [event["timestamp"] for event in one.events("worker_retired")]
    stream.pause()
    wait_until_stored(database_url, stream)

    assert members(database_url) == {"essen"}
    assert len(retired) == 3
    assert max(retired) < taken_before[0]
    assert one.stop() == 0

    stream.start(every_s=0.05)
    two = ingest(database_url, "--workers", "2")
    wait_until_connected(database_url, "essen-1", "essen-2")
    stream.pause()
    wait_until_stored(database_url, stream)

    assert members(database_url) == {"essen-1", "essen-2"}
    assert two.stop() == 0

    stream.publish(20)
    by_hand = ingest(database_url, "--retire", "essen-2")
    assert by_hand.process.wait(30) == 0
    assert members(database_url) == {"essen-1"}
    assert stored(database_url) == stream.published - 10
