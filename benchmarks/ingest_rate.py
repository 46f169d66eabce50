"""How fast a pre-filled queue is committed, beside a bare stock paho subscriber that only acknowledges the same queue.

python benchmarks/ingest_rate.py [--messages 5000]

Both run in this process, one after the other, on the same broker with one session each; the ratio matters, not the
absolute figures. Messages are ChirpStack v4 uplinks of about 1.1 kB with four measurements from 200 devices. The
database is the embedded one with fsync on, or the one of ROADTWIN_BENCH_DATABASE_URL (migrated, may be a real
TimescaleDB). The clock of the ingester stops when the last message is committed; the rows are counted afterwards.
"""

import argparse
import base64
import json
import os
import random
import tempfile
import threading
import time
import uuid
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import paho.mqtt.client as paho

from ingest.consumer import run_ingest
from ingest.mqtt import Session, open_client, parse_mqtt_url
from roadtwin.jobs.broker import start_broker
from roadtwin.settings import Settings
from roadtwin.storage.database import connect, detect_mode
from roadtwin.storage.embedded import EmbeddedPostgres
from roadtwin.storage.migrate import migrate
from roadtwin.types import BatchCounts

DEVICES = 200
EXPIRY_S = 3600
RECEIVE_MAXIMUM = 2000
TOPICS = ("application/+/device/+/event/+",)


def make_messages(number: int, seed: int = 1) -> list[tuple[str, bytes]]:
    """Uplinks of a soil probe: two receptions, four measurements."""
    rng = random.Random(seed)
    begin = datetime.now(UTC) - timedelta(minutes=30)
    application = str(uuid.UUID(int=rng.getrandbits(128)))
    return [_make_message(rng, application, n, begin + timedelta(milliseconds=n)) for n in range(number)]


def _make_message(rng: random.Random, application: str, n: int, at: datetime) -> tuple[str, bytes]:
    dev_eui = f"{n % DEVICES:016x}"
    time_text = at.isoformat()
    receptions = [
        {
            "gatewayId": f"{gateway:016x}",
            "uplinkId": rng.getrandbits(32),
            "nsTime": time_text,
            "rssi": rng.randint(-118, -60),
            "snr": rng.randint(-40, 40) / 4,
            "channel": rng.randint(0, 7),
            "location": {"latitude": 51.45, "longitude": 7.01, "altitude": 90.0},
            "context": base64.b64encode(rng.randbytes(4)).decode(),
            "crcStatus": "CRC_OK",
        }
        for gateway in range(1, 2)
    ]
    event: dict[str, Any] = {
        "deduplicationId": str(uuid.UUID(int=rng.getrandbits(128), version=4)),
        "time": time_text,
        "deviceInfo": {
            "tenantId": str(uuid.UUID(int=7)),
            "tenantName": "City",
            "applicationId": application,
            "applicationName": "Roads",
            "deviceProfileId": str(uuid.UUID(int=9)),
            "deviceProfileName": "soil-moisture-profile",
            "deviceName": f"Probe {n % DEVICES}",
            "devEui": dev_eui,
            "deviceClassEnabled": "CLASS_A",
            "tags": {"district": "north"},
        },
        "devAddr": f"{n % DEVICES:08x}",
        "adr": True,
        "dr": 5,
        "fCnt": n // DEVICES,
        "fPort": 2,
        "confirmed": False,
        "data": base64.b64encode(rng.randbytes(12)).decode(),
        "object": {
            "moisture_20cm": rng.randint(100, 400) / 10,
            "temperature_20cm": rng.randint(-50, 250) / 10,
            "moisture_40cm": rng.randint(100, 400) / 10,
            "battery": 3.6,
        },
        "rxInfo": receptions,
        "txInfo": {
            "frequency": 868100000,
            "modulation": {"lora": {"bandwidth": 125000, "spreadingFactor": 7, "codeRate": "CR_4_5"}},
        },
        "regionConfigId": "eu868",
    }
    return f"application/{application}/device/{dev_eui}/event/up", json.dumps(event, separators=(",", ":")).encode()


def make_session(url: str, client_id: str) -> None:
    """Subscribe and leave: from now on the broker queues for this client id."""
    subscribed = threading.Event()

    def prepare(client: paho.Client) -> None:
        client.on_subscribe = lambda *_: subscribed.set()

    session = Session(client_id, expiry_s=EXPIRY_S, receive_maximum=RECEIVE_MAXIMUM)
    client = open_client(parse_mqtt_url(url), session, prepare)
    client.subscribe([(topic, 1) for topic in TOPICS])
    subscribed.wait(10)
    client.disconnect()
    client.loop_stop()


def publish(url: str, messages: list[tuple[str, bytes]]) -> None:
    """Fill the queues of all sessions."""
    client = open_client(
        parse_mqtt_url(url), Session("bench-publisher"), lambda client: client.max_inflight_messages_set(500)
    )
    infos = [client.publish(topic, payload, qos=1) for topic, payload in messages]
    for info in infos:
        info.wait_for_publish(60)
    client.disconnect()
    client.loop_stop()


def run_bare_paho(url: str, number: int) -> float:
    """Seconds in which an unmodified paho client receives and acknowledges the queue, doing nothing with it."""
    done, count = threading.Event(), 0

    def on_message(_client: paho.Client, _userdata: Any, _message: paho.MQTTMessage) -> None:
        nonlocal count
        count += 1
        if count == number:
            done.set()

    def prepare(client: paho.Client) -> None:
        client.on_message = on_message

    began = time.perf_counter()
    session = Session("bench-paho", expiry_s=EXPIRY_S, receive_maximum=RECEIVE_MAXIMUM)
    client = open_client(parse_mqtt_url(url), session, prepare)
    if not done.wait(300):
        raise SystemExit(f"bare paho received {count} of {number} messages")
    seconds = time.perf_counter() - began
    client.disconnect()
    client.loop_stop()
    return seconds


def run_roadtwin(mqtt_url: str, database_url: str, settings: Settings, number: int) -> tuple[float, BatchCounts]:
    """Seconds until the queue is committed, with everything on."""
    stop, total, seconds = threading.Event(), BatchCounts(0, 0, 0, 0), 0.0
    began = time.perf_counter()

    def on_batch(counts: BatchCounts) -> None:
        nonlocal total, seconds
        total += counts
        if total.received >= number:
            seconds = time.perf_counter() - began
            stop.set()

    timer = threading.Timer(300, stop.set)
    timer.start()
    run_ingest(settings, database_url, mqtt_url, stop, on_batch=on_batch)
    timer.cancel()
    if total.received < number:
        raise SystemExit(f"the ingester received {total.received} of {number} messages")
    return seconds, total


def main() -> None:
    """Run both and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=5000)
    number = parser.parse_args().messages
    messages = make_messages(number)
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roadtwin-bench-")))
        directory.chmod(0o755)  # the database's own user must be able to enter it
        database_url = os.environ.get("ROADTWIN_BENCH_DATABASE_URL")
        if database_url is None:
            database_url = stack.enter_context(EmbeddedPostgres(directory)).url
            migrate(database_url)
        broker = stack.enter_context(start_broker(directory))
        settings = Settings(
            data_dir=directory, mqtt_client_id="bench-ingest", mqtt_topics=TOPICS, mqtt_receive_maximum=RECEIVE_MAXIMUM
        )
        for client_id in ("bench-paho", settings.mqtt_client_id):
            make_session(broker.url, client_id)
        publish(broker.url, messages)
        bare_s = run_bare_paho(broker.url, number)
        ours_s, counts = run_roadtwin(broker.url, database_url, settings, number)
        with connect(database_url) as conn:
            mode = detect_mode(conn)
            row = conn.execute("SELECT stored, observations_stored FROM ingest_batch").fetchall()
    if sum(r[0] for r in row) < counts.stored or counts.stored != number:
        raise SystemExit(f"expected {number} stored messages, the accounts say {counts}")
    size = sum(len(payload) for _, payload in messages) / number
    print(
        f"{number} uplinks of {size:.0f} B with {counts.observations_stored // number} measurements, "
        f"{broker.kind}, {mode}"
    )
    print(f"{'bare paho, acknowledges only':<34}{number / bare_s:>9.0f} messages/s")
    print(f"{'roadtwin ingest, committed':<34}{number / ours_s:>9.0f} messages/s")
    print(f"{'ratio':<34}{bare_s / ours_s:>9.2f}")


if __name__ == "__main__":
    main()
