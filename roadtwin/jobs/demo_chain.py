"""The chain checked end to end: published over MQTT, stored, scored, served over HTTP; the counts must agree."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from ingest.mqtt import parse_mqtt_url
from models.worklist import Hindrance
from roadtwin.jobs.demo import Check, Prepared, get_json, refresh
from roadtwin.jobs.replay import publish_and_wait
from roadtwin.jobs.simulated import keep_up
from roadtwin.jobs.verify import verify
from roadtwin.settings import Settings
from roadtwin.storage.database import connect, detect_mode
from roadtwin.storage.messages import read_accounts
from roadtwin.storage.status import read_status
from roadtwin.types import HORIZONS_DAYS
from simulators.messages import messages

LEAD = timedelta(minutes=2)
"""How much of the newest past is left for the check to publish: some hundred messages with the buses below."""
ADDITIONAL_BUSES = 8


def check_chain(
    url: str,
    mqtt_url: str,
    address: str,
    settings: Settings,
    prepared: Prepared,
    *,
    check_children: Callable[[], None],
) -> dict[str, Any]:
    """Publish what the city sent since its past was written, and follow it to the map.

    Needs a running ingester and service. Returns the summary; `ok` says whether every pair of counts agrees.
    """
    now = datetime.now(UTC)
    feed = list(messages(prepared.world, start=prepared.simulated.until, end=now, additional_buses=ADDITIONAL_BUSES))
    with connect(url) as conn:
        before = read_accounts(conn)
    result = publish_and_wait(feed, len(feed), parse_mqtt_url(mqtt_url, ca_file=settings.mqtt_ca_file), url)
    check_children()
    keep_up(url, prepared.simulated, prepared.world, now=now)
    refresh(url, settings, on_progress=lambda _phase, _part: None)
    with connect(url) as conn:
        report = verify(conn, result.manifest)
        status = read_status(conn)
        mode = detect_mode(conn)
    assert report.witness is not None
    assert status.newest_scores is not None
    served = get_json(address, "/v1/ingest/status")
    collection = get_json(address, "/v1/segments.geojson")
    everything = ",".join(Hindrance)
    worklist = get_json(address, f"/v1/worklist?include={everything}")
    segments = len(prepared.world.segments)
    first = collection["features"][0]["properties"]["segment_id"]
    detail = get_json(address, f"/v1/segments/{quote(first, safe='')}")
    card = get_json(address, "/v1/model")
    published = len(result.manifest.payload_sha256)
    checks = [
        Check("messages published over MQTT = found in the tables", published, _found(report.witness)),
        Check("messages received by the ingester = published", len(feed), report.accounts.received - before.received),
        Check("messages stored or known already = published", len(feed), result.stored + result.duplicate),
        Check("messages rejected", 0, report.accounts.rejected),
        Check("differences between accounts and tables", 0, len(report.differences)),
        Check("messages stored, as the API says", report.accounts.stored, served["stored"]),
        Check("segments scored = segments of the city", segments, status.newest_scores.segment_count),
        Check("segments served = segments of the city", segments, len(collection["features"])),
        Check("scores of a segment = horizons", len(HORIZONS_DAYS), len(detail["scores"])),
        Check(
            "open potholes served = open potholes stored",
            status.counts["potholes_open"],
            worklist["open_pothole_count"],
        ),
    ]
    return {
        "ok": all(check.ok for check in checks),
        "checks": [check.to_json() for check in checks],
        "database": mode.value,
        "simulated": True,
        "segments": segments,
        "published": len(feed),
        "stored": report.accounts.stored,
        "duplicate": report.accounts.duplicate,
        "rejected": report.accounts.rejected,
        "open_potholes": status.counts["potholes_open"],
        "model_skill_simulated": card["card"]["holdout"],
    }


def _found(witness: Any) -> int:
    return int(witness.stored + witness.duplicate + witness.rejected)
