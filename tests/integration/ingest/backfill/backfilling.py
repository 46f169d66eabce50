"""What the server keeps, what came live, and a backfill between them."""

import os
import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path

from typer.testing import CliRunner

from ingest.backfill import backfill, open_api
from ingest.tts_storage import Application
from roadtwin.storage.messages import write_batch
from roadtwin.types import Origin
from tests.integration.ingest.conftest import fetch
from tests.samples import decoder, encoded, tts
from tests.storage_integration import rfc3339, times

ROADS = Application("roads", "essen")
TOPIC = "v3/roads@essen/devices/soil-7/up"
NOW = datetime(2026, 3, 10, 12, 0, tzinfo=UTC)
RUNNER = CliRunner()
DECODER = decoder()
SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[5] / "shared")
SOIL = SHARED / "data" / "ttn_v3_soil" / "ttn_storage_uplinks.json"


def uplink(at, number=0, **changes):
    """As it comes live; the application server is 0.2 s after the network server."""
    inner = {"f_cnt": number % 60_000, "received_at": rfc3339(at - timedelta(milliseconds=200))}
    return tts(received_at=rfc3339(at), uplink_message=inner, **changes)


def fill(server, first, number, *, step_s=10.0, offset=0):
    for n, at in enumerate(times(first, number, step_s)):
        server.add(uplink(at, n + offset))


def run(conn, settings, *, since=None, now=NOW, clock=None, stop=None, **options):
    [done] = backfill(
        conn, open_api(settings), DECODER, [ROADS], since=since, clock=clock or (lambda: now),
        stop=stop or threading.Event(), first_retry_s=0.01, **options,
    )  # fmt: skip
    return done


def told(done):
    c = done.counts
    return (c.received, c.stored, c.duplicate, c.rejected)


def store_live(conn, message):
    at = datetime.fromisoformat(message["received_at"])
    decoded = DECODER.decode(TOPIC, encoded(message), at)
    return write_batch(conn, [decoded], [], worker="live", origin=Origin.MQTT)


def messages(conn):
    return fetch(conn, "SELECT count(*), count(DISTINCT message_id) FROM message")[0]
