"""The exact counts of a real week of ChirpStack events, through broker and database."""

import gzip
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest

from tests.integration.ingest.conftest import RunningIngester, fetch, received, wait_for

SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared")
EVENTS = SHARED / "data" / "chirpstack_v4_uplinks" / "events.ndjson.gz"

pytestmark = pytest.mark.skipif(not EVENTS.exists(), reason=f"{EVENTS} is not there")


def test_every_event_of_a_real_week_is_stored_once_also_when_published_twice(
    start_ingester: Callable[..., RunningIngester],
    publish: Callable[..., None],
    database_url: str,
    mqtt_url: str,
    db: psycopg.Connection[Any],
):
    events = gzip.decompress(EVENTS.read_bytes()).splitlines()
    start_ingester(database_url, mqtt_url).wait_until_ready()

    for round_no in (1, 2):
        for begin in range(0, len(events), 400):  # never more than a broker with defaults keeps for us
            publish(*(("application/a/device/d/event/lost", event) for event in events[begin : begin + 400]))
            wait_for(lambda done=begin + 400, n=round_no: received(database_url) >= min(done, 5516) + (n - 1) * 5516)

        assert dict(fetch(db, "SELECT event_kind, count(*) FROM message GROUP BY 1")) == {
            "up": 5430,
            "status": 58,
            "join": 19,
            "log": 9,
        }
        assert fetch(db, "SELECT count(*) FROM rejected_message") == [(0,)]
    assert fetch(db, "SELECT sum(stored), sum(duplicate), sum(rejected) FROM ingest_batch") == [(5516, 5516, 0)]
    assert fetch(db, "SELECT count(*) FROM device") == [(20,)]
    assert fetch(db, "SELECT count(*) FROM message WHERE gateway_count = 2") == [(226,)]
    assert fetch(db, "SELECT count(*), count(*) FILTER (WHERE details ? 'profile') FROM message WHERE f_port = 0") == [
        (303, 0)
    ]
    assert fetch(db, "SELECT max(best_rssi_dbm) FROM message") == [(-48,)]
    measured = "SELECT quantity, count(*), count(*) FILTER (WHERE flags & 65 <> 0) FROM observation NATURAL JOIN series"
    assert {row[0]: row[1:] for row in fetch(db, f"{measured} GROUP BY 1")} == {
        "air_temp_c": (1428 + 258, 0),
        "humidity_pct": (258, 0),
        "distance_mm": (84 + 261, 84 + 149),  # the EM500-UDL reports 0 throughout, the DDS75 0 without a probe
        "contact_open": (175, 0),
        "battery_v": (2812 + 22 + 11 + 261 + 6, 1),
        "battery_pct": (84 + 16, 0),  # 58 statuses, 42 of them without a known level
    }
