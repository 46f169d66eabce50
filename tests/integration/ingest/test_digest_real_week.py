"""What the digest makes of a real week of ChirpStack events: the exact counts of its description."""

import gzip
import json
import os
import random
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.digest import digest
from roadtwin.storage.messages import write_batch
from roadtwin.types import Flag, Origin
from tests.integration.ingest.conftest import fetch
from tests.samples import decoder

SHARED = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared")
EVENTS = SHARED / "data" / "chirpstack_v4_uplinks" / "events.ndjson.gz"
NOW = datetime(2026, 1, 22, tzinfo=UTC)

pytestmark = pytest.mark.skipif(not EVENTS.exists(), reason=f"{EVENTS} is not there")


@pytest.mark.parametrize(("batch", "most_batches", "places_late"), [(5516, 1, 0), (97, 3, 0), (97, 3, 40)])
def test_a_real_week_gives_its_exact_counts_whatever_a_round_holds_and_in_any_order(
    db, batch, most_batches, places_late
):
    decode = decoder().decode
    messages = []
    for event in gzip.decompress(EVENTS.read_bytes()).splitlines():
        arrival = datetime.fromisoformat(json.loads(event)["time"]) + timedelta(seconds=1)
        messages.append(decode("application/a/device/d/event/lost", event, arrival))
    rng = random.Random(5)
    messages = [m for _, m in sorted(enumerate(messages), key=lambda at: at[0] + rng.uniform(0, places_late))]
    for begin in range(0, len(messages), batch):
        write_batch(db, messages[begin : begin + batch], [], worker="test", origin=Origin.MQTT)
    while digest(db, NOW, most_batches=most_batches).batches:
        pass

    sums = "sum(messages), sum(uplinks), sum(frames_missing), sum(counter_falls), sum(repeated_counters)"
    assert fetch(db, f"SELECT {sums}, sum(retransmissions) FROM device_health") == [(5516, 5430, 5467, 2, 12, 0)]
    # One device fell twice: once after it had joined, once without a join that we were told of.
    assert fetch(
        db,
        """SELECT d.device, h.counter_falls, h.rejoins, h.last_reset_at::date::text
           FROM device_health AS h JOIN device AS d USING (device_id) WHERE h.counter_falls > 0""",
    ) == [("7894e80000027b84", 2, 1, "2026-01-16")]
    reset, again, low = int(Flag.COUNTER_RESET), int(Flag.RETRANSMISSION), int(Flag.LOW_BATTERY)
    flagged = ", ".join(f"count(*) FILTER (WHERE flags & {flag} <> 0)" for flag in (reset, again, low))
    assert fetch(db, f"SELECT {flagged} FROM message") == [(2, 0, 0)]
    # Renames make no new device, and a level that is not available is no empty battery.
    assert fetch(db, "SELECT count(*), count(*) FILTER (WHERE battery_low) FROM device_health") == [(20, 0)]
    assert fetch(db, "SELECT count(*) FROM message WHERE event_kind = 'up' AND f_port = 0") == [(303,)]
    assert fetch(db, "SELECT sum(receptions) FROM gateway_health") == [(5430 + 226,)]
    assert fetch(db, "SELECT count(*) FROM gateway_health") == [(4,)]
