"""From a pre-filled Mosquitto queue to committed rows, beside what bounds it from below and from above.

python -m benchmarks.ingest_rate [--messages 300000] [--runs 5] [--feed uplinks|vehicles|both] [--json FILE]

Compared in one run, alternating, since machines are noisy and only ratios last:

- roadtwin: `run_ingest` with everything on (raw bytes, deduplication, flags, digest, accounting), one worker, in a
  process of its own. The clock runs from before it connects until the last COMMIT and PUBACK; then rows are counted
  and the broker is asked whether it still holds anything.
- bare paho: an unmodified paho subscriber that acknowledges the same queue and does nothing else (code below).
- bare COPY: the rows that roadtwin stored, read back as binary COPY and copied into the same tables with the same keys
  of an empty database, in one transaction. No decoding, no deduplication.
- mq-bridge, where it is installed: one keyed row a message, acknowledged after the write. What it does and how to
  install it is in `benchmarks/peer_mq_bridge.py`.

The database is the one of `make services` (TimescaleDB), or ROADTWIN_BENCH_DATABASE_URL (a server where databases can
be made), else the embedded one. fsync, synchronous_commit and full_page_writes must be on; they are checked.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, LiteralString
from urllib.parse import urlsplit

import paho.mqtt.client as paho
import psycopg

from benchmarks import peer_mq_bridge
from benchmarks.databases import database_server, fresh_database
from benchmarks.feeds import UPLINK_TOPICS, VEHICLE_TOPICS, uplinks, vehicle_readings
from benchmarks.queues import fill, make_session, queued_messages
from roadtwin.jobs.broker import start_broker
from roadtwin.settings import Settings
from roadtwin.storage.database import detect_mode

REPOSITORY = Path(__file__).resolve().parents[1]
LONGEST_S = 900
RECEIVE_MAXIMUM = Settings.model_fields["mqtt_receive_maximum"].default
FEEDS: dict[str, tuple[Callable[[int], Iterator[tuple[str, bytes]]], tuple[str, ...]]] = {
    "uplinks": (uplinks, UPLINK_TOPICS),
    "vehicles": (vehicle_readings, VEHICLE_TOPICS),
}
# In the order in which they can be copied into an empty database.
TABLES: tuple[LiteralString, ...] = (
    "device", "series", "ingest_batch", "raw_batch", "message", "observation", "vehicle_reading", "detection",
)  # fmt: skip
MEASURED = TABLES[3:]


@dataclass(frozen=True)
class Result:
    """One measured way through the queue. CPU is that of its own process."""

    messages: int
    seconds: float
    cpu_s: float = 0.0
    peak_mib: float = 0.0

    @property
    def per_s(self) -> float:
        return self.messages / self.seconds


# Bare paho: what a subscriber with the stock client can do at the most.


def run_bare_paho(url: str, number: int) -> Result:
    """An unmodified paho client receives and acknowledges the queue, doing nothing with it."""
    done, count = threading.Event(), 0

    def on_message(_client: paho.Client, _userdata: Any, _message: paho.MQTTMessage) -> None:
        nonlocal count
        count += 1
        if count == number:
            done.set()

    parts = urlsplit(url)
    began = time.perf_counter()
    client = paho.Client(paho.CallbackAPIVersion.VERSION2, "bench-paho", protocol=paho.MQTTv5)
    client.on_message = on_message
    properties = paho.Properties(paho.PacketTypes.CONNECT)
    properties.SessionExpiryInterval = 3600
    properties.ReceiveMaximum = RECEIVE_MAXIMUM
    client.connect(parts.hostname or "", parts.port or 1883, clean_start=False, properties=properties)
    client.loop_start()
    if not done.wait(LONGEST_S):
        raise SystemExit(f"bare paho received {count} of {number} messages")
    client.disconnect()
    client.loop_stop()
    return _finished(number, time.perf_counter() - began)


# Roadtwin, everything on.


def run_roadtwin(mqtt_url: str, database_url: str, topics: tuple[str, ...], data_dir: Path, number: int) -> Result:
    """The ingester as the command runs it, until everything is committed and acknowledged."""
    from ingest.consumer import SWITCH_INTERVAL_S, run_ingest
    from roadtwin.types import BatchCounts

    settings = Settings(data_dir=data_dir, mqtt_client_id="bench-ingest", mqtt_topics=topics)
    stop, received = threading.Event(), 0

    def on_batch(counts: BatchCounts) -> None:
        nonlocal received
        received += counts.received
        if received >= number:
            stop.set()

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    timer = threading.Timer(LONGEST_S, stop.set)
    timer.start()
    began = time.perf_counter()
    run_ingest(settings, database_url, mqtt_url, stop, on_batch=on_batch)  # returns when the acknowledgements are out
    seconds = time.perf_counter() - began
    timer.cancel()
    if received < number:
        raise SystemExit(f"the ingester received {received} of {number} messages")
    return _finished(number, seconds)


def _finished(number: int, seconds: float) -> Result:
    usage = resource.getrusage(resource.RUSAGE_SELF)
    # Not ru_maxrss: it also knows the process that started this one.
    status = Path("/proc/self/status").read_text()
    peak_kib = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM:"))
    return Result(number, seconds, usage.ru_utime + usage.ru_stime, peak_kib / 1024)


def in_own_process(*arguments: str) -> Result:
    """A role of this file in a fresh process."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.ingest_rate", *arguments],
        cwd=REPOSITORY, capture_output=True, text=True, timeout=LONGEST_S + 60, check=False,
    )  # fmt: skip
    if done.returncode != 0:
        raise SystemExit(f"{arguments[1]}: {done.stderr[-2000:]}")
    return Result(**json.loads(done.stdout.splitlines()[-1]))


# Bare COPY: the same rows into the same tables.


def read_rows(url: str) -> dict[str, list[bytes]]:
    """Every table as binary COPY."""
    rows = {}
    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        for table in TABLES:
            with cursor.copy(f"COPY (SELECT * FROM {table}) TO STDOUT (FORMAT BINARY)") as copy:
                rows[table] = [bytes(block) for block in copy]
    return rows


def run_bare_copy(url: str, rows: dict[str, list[bytes]], number: int) -> Result:
    """Copy the rows of messages and measurements in one transaction; what they refer to is there before."""

    def copy_into(cursor: psycopg.Cursor[Any], table: LiteralString) -> None:
        with cursor.copy(f"COPY {table} FROM STDIN (FORMAT BINARY)") as copy:
            for start in range(0, len(rows[table]), 1000):
                copy.write(b"".join(rows[table][start : start + 1000]))

    with psycopg.connect(url) as conn, conn.cursor() as cursor:
        for table in TABLES:
            if table not in MEASURED:
                copy_into(cursor, table)
        conn.commit()
        began = time.perf_counter()
        cursor.execute("SET LOCAL synchronous_commit = on")
        for table in MEASURED:
            copy_into(cursor, table)
        conn.commit()
        return Result(number, time.perf_counter() - began)


# What is checked.


def check_rows(url: str, feed: str, number: int) -> int:
    """Raise unless every message and every measurement is there; gives the measurements a message."""
    with psycopg.connect(url) as conn:
        (messages,) = conn.execute("SELECT count(*) FROM message").fetchone() or (0,)
        table: LiteralString = "observation" if feed == "uplinks" else "detection"
        (measured,) = conn.execute(f"SELECT count(*) FROM {table}").fetchone() or (0,)
        (raw,) = conn.execute("SELECT count(*) FROM message JOIN raw_batch USING (batch_id)").fetchone() or (0,)
        (stored, received) = conn.execute(
            "SELECT sum(stored)::bigint, sum(received)::bigint FROM ingest_batch"
        ).fetchone() or (0, 0)
    expected = number * (4 if feed == "uplinks" else 10)
    if (messages, raw, stored, measured) != (number, number, number, expected) or received < number:
        raise SystemExit(
            f"expected {number} messages and {expected} measurements, found {messages} ({raw} with raw bytes, {stored} "
            f"of {received} by the accounts) and {measured}"
        )
    return expected // number


# The comparison.


def measure(feed: str, number: int, runs: int, directory: Path, server_url: str) -> dict[str, list[Result]]:
    """All ways, alternating; the first of a run changes with the run."""
    make, topics = FEEDS[feed]
    results: dict[str, list[Result]] = {"roadtwin": [], "bare paho": [], "bare COPY": []}
    peer = peer_mq_bridge.find_peer()
    print(f"mq-bridge: {peer[1] if peer else 'not installed'}", file=sys.stderr)
    if peer:
        results["mq-bridge"] = []
    with start_broker(directory, kind="mosquitto") as broker:
        for run in range(runs):
            for client_id in ("bench-paho", "bench-ingest", *([peer_mq_bridge.CLIENT_ID] if peer else [])):
                make_session(broker.url, client_id, topics, RECEIVE_MAXIMUM)
            fill(broker.url, make(number))

            def bare_paho(url: str = broker.url) -> None:
                results["bare paho"].append(
                    in_own_process("--role", "paho", "--mqtt-url", url, "--messages", str(number))
                )

            def roadtwin_and_copy(url: str = broker.url) -> None:
                with fresh_database(server_url, "roadtwin_bench") as database_url:
                    results["roadtwin"].append(
                        in_own_process(
                            "--role",
                            "roadtwin",
                            "--mqtt-url",
                            url,
                            "--database-url",
                            database_url,
                            "--data-dir",
                            str(directory),
                            "--feed",
                            feed,
                            "--messages",
                            str(number),
                        )
                    )
                    check_rows(database_url, feed, number)
                    if queued_messages(url, "bench-ingest", RECEIVE_MAXIMUM):
                        raise SystemExit("the broker still holds messages that roadtwin should have acknowledged")
                    rows = read_rows(database_url)
                with fresh_database(server_url, "roadtwin_bench_copy") as database_url:
                    results["bare COPY"].append(run_bare_copy(database_url, rows, number))

            def mq_bridge(url: str = broker.url) -> None:
                if peer is None:
                    return
                with fresh_database(server_url, "roadtwin_bench_peer") as database_url:
                    found = peer_mq_bridge.run_mq_bridge(peer[0], url, database_url, feed, topics, number)
                if queued_messages(url, peer_mq_bridge.CLIENT_ID, RECEIVE_MAXIMUM):
                    raise SystemExit("the broker still holds messages that mq-bridge should have acknowledged")
                results["mq-bridge"].append(Result(number, **found))

            for step in (bare_paho, roadtwin_and_copy, mq_bridge)[:: 1 if run % 2 else -1]:
                step()
            rates = "  ".join(f"{name} {found[-1].per_s:,.0f}/s" for name, found in results.items())
            print(f"  run {run + 1}: {rates}", file=sys.stderr, flush=True)
    return results


def report(feed: str, number: int, mode: str, results: dict[str, list[Result]]) -> dict[str, Any]:
    """Print medians and ratios; gives them as data."""
    rates = {name: statistics.median(result.per_s for result in found) for name, found in results.items()}
    ours = results["roadtwin"]
    cpu = statistics.median(1e3 * r.cpu_s / (number / 1000) for r in ours)
    peak = max(r.peak_mib for r in ours)
    size = sum(len(payload) for _, payload in FEEDS[feed][0](1000)) / 1000
    print(f"{number:,} {feed} of {size:,.0f} B, one worker, mosquitto, {mode}, median of {len(ours)} runs")
    for name, rate in rates.items():
        ratio = "" if name == "roadtwin" else f"   roadtwin is {rates['roadtwin'] / rate:.2f} × that"
        print(f"  {name:<12}{rate:>10,.0f} messages/s{ratio}")
    print(f"  roadtwin's process: {cpu:.0f} ms CPU per 1,000 messages, peak {peak:.0f} MiB")
    return {
        "feed": feed, "messages": number, "database": mode, "rates": rates, "cpu_ms_per_1000": cpu, "peak_mib": peak,
        "runs": {name: [asdict(result) for result in found] for name, found in results.items()},
    }  # fmt: skip


def main() -> None:
    """Measure and print a table, or play one role of it."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=300_000, help="so many that the queue lasts 30 s")
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--feed", choices=(*FEEDS, "both"), default="both")
    parser.add_argument("--json", type=Path, help="also write the figures to this file")
    parser.add_argument("--role", choices=("paho", "roadtwin"), help=argparse.SUPPRESS)
    parser.add_argument("--mqtt-url", help=argparse.SUPPRESS)
    parser.add_argument("--database-url", help=argparse.SUPPRESS)
    parser.add_argument("--data-dir", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.role == "paho":
        print(json.dumps(asdict(run_bare_paho(given.mqtt_url, given.messages))))
    elif given.role == "roadtwin":
        topics = FEEDS[given.feed][1]
        result = run_roadtwin(given.mqtt_url, given.database_url, topics, given.data_dir, given.messages)
        print(json.dumps(asdict(result)))
    else:
        figures = []
        with ExitStack() as stack:
            directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roadtwin-bench-")))
            directory.chmod(0o755)  # the database's own user must be able to enter it
            server_url = database_server(directory, stack)
            with psycopg.connect(server_url) as conn:
                offered = conn.execute("SELECT FROM pg_available_extensions WHERE name = 'timescaledb'").rowcount
                mode = "TimescaleDB" if offered else str(detect_mode(conn))
            for feed in FEEDS if given.feed == "both" else (given.feed,):
                number = given.messages if feed == "uplinks" else given.messages // 5
                figures.append(report(feed, number, mode, measure(feed, number, given.runs, directory, server_url)))
        if given.json:
            given.json.write_text(json.dumps(figures, indent=1))


if __name__ == "__main__":
    main()
