"""The fastest peer found so far: PyPI's `mq-bridge`, an MQTT-to-PostgreSQL route in Rust, on the queue that we drain.

Not a dependency. `benchmarks/ingest_rate.py` runs it where this interpreter can import it, or the interpreter named by
ROADTWIN_BENCH_PEER_PYTHON (of a virtual environment with `pip install mq-bridge`; written for 1.2.0).

What it does like us: a persistent session at QoS 1, PUBACK only after the write, and a keyed write that absorbs what is
delivered again (INSERT … ON CONFLICT DO UPDATE in batches, on the unique id in the message), with the same fsync. Its
clock too runs from before it connects until the broker has the last PUBACK; rows and queue are checked afterwards.

What it does not do, all in its favour:

- One row a message, not one and four measurements (or ten detections): the key, the time, and the other fields of the
  JSON as one jsonb column. The topic is not stored; nor are the raw bytes, only what jsonb keeps of them.
- Nothing is decoded or checked: no units, no flags, no receptions, no series, no devices.
- No accounting of what came in, no digest of what it stored; a message that it cannot write is dropped with a log line.
- A table without partitions and with no index but the primary key; ours are hypertables with their keys.

Its settings are the best that we found. `columns: auto` puts many rows into one INSERT, while an `insert_query` with
casts falls back to one statement a row. Four tasks write over four connections at once: with one task, its default,
it reaches about 0.85 of bare paho instead of 1.4. Its queue must be larger than the window: where the window is larger,
its subscription can time out behind the backlog, and it does not start.
"""

import importlib
import json
import os
import resource
import socket
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

CLIENT_ID = "bench-mq-bridge"
PYTHON_VARIABLE = "ROADTWIN_BENCH_PEER_PYTHON"
LONGEST_S = 900.0
STALLED_S = 60.0
QUIET_S = 0.2
ROUTE: dict[str, Any] = {"batch_size": 1024, "concurrency": 4}
WINDOW = {"max_inflight": 10_000, "queue_capacity": 20_000}
# Its columns are named as the fields of the message: the key and the time of each feed.
FIELDS = {"uplinks": ("deduplicationId", "time"), "vehicles": ("event_id", "observed_at")}
PUBACK_BYTES = 4  # of MQTT 5 without reason code and properties, as mq-bridge sends it
_BYTES_ACKED_AT = 120  # of tcpi_bytes_acked in Linux's struct tcp_info


def find_peer() -> tuple[str, str] | None:
    """The interpreter that can import mq-bridge and the version of it; None where there is none.

    Raises SystemExit when ROADTWIN_BENCH_PEER_PYTHON names an interpreter that cannot.
    """
    named = os.environ.get(PYTHON_VARIABLE)
    python = named or sys.executable
    asked = [python, "-c", "import mq_bridge; print(mq_bridge.__version__)"]
    try:
        found = subprocess.run(asked, capture_output=True, text=True, timeout=60, check=False)
    except OSError as error:
        raise SystemExit(f"{PYTHON_VARIABLE} is {python!r}, expected a Python interpreter: {error}") from error
    if found.returncode == 0:
        return python, found.stdout.strip()
    if named:
        raise SystemExit(f"{PYTHON_VARIABLE}: {python} cannot import mq_bridge: {found.stderr.strip()[-300:]}")
    return None


def run_mq_bridge(
    python: str, mqtt_url: str, database_url: str, feed: str, topics: tuple[str, ...], number: int
) -> dict[str, float]:
    """Drain the queue of `CLIENT_ID` in a process of its own: its `seconds`, `cpu_s` and `peak_mib`.

    Makes its table in the database. Raises SystemExit when it fails, stalls or has not written `number` rows.
    """
    import psycopg  # here, since the peer's own interpreter, which runs this file, need not have it
    from psycopg import sql

    key, observed = map(sql.Identifier, FIELDS[feed])
    columns = sql.SQL("{} uuid PRIMARY KEY, {} timestamptz NOT NULL, rest jsonb").format(key, observed)
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(sql.SQL("CREATE TABLE peer ({})").format(columns))
        told = json.dumps([_route(mqtt_url, database_url, feed, topics), urlsplit(mqtt_url).port, number])
        done = subprocess.run(
            [python, __file__], input=told, capture_output=True, text=True, timeout=LONGEST_S + 60, check=False
        )
        if done.returncode != 0:
            raise SystemExit(f"mq-bridge: {done.stderr[-2000:]}")
        (rows,) = conn.execute("SELECT count(*) FROM peer").fetchone() or (0,)
    if rows != number:
        raise SystemExit(f"mq-bridge acknowledged {number} messages and wrote {rows} rows: {done.stderr[-2000:]}")
    seconds, cpu_s, peak_mib = json.loads(done.stdout.splitlines()[-1])
    return {"seconds": seconds, "cpu_s": cpu_s, "peak_mib": peak_mib}


def _route(mqtt_url: str, database_url: str, feed: str, topics: tuple[str, ...]) -> dict[str, Any]:
    """What mq-bridge is told; the names are its own."""
    (topic,) = topics  # it subscribes to one filter
    mqtt = {
        "url": mqtt_url.replace("mqtt://", "tcp://", 1), "topic": topic, "client_id": CLIENT_ID, "protocol": "v5",
        "qos": 1, "clean_session": False, "session_expiry_interval": 3600, "delayed_ack": False, **WINDOW,
    }  # fmt: skip
    sqlx = {"url": database_url, "table": "peer", "columns": "auto", "key": FIELDS[feed][0], "extra_column": "rest"}
    return {"input": {"mqtt": mqtt}, "output": {"sqlx": sqlx}, "required_delivery": "at_least_once", **ROUTE}


# In the peer's own interpreter, which has nothing of ours.


def main() -> None:
    """Drain the queue by the route on stdin; print the seconds, the CPU seconds and the peak MiB of this process."""
    mq_bridge = importlib.import_module("mq_bridge")
    mq_bridge.init_logging("warn")  # to stderr, by Python's logging
    config, broker_port, number = json.load(sys.stdin)
    route = mq_bridge.Route.from_config(config)
    began = time.perf_counter()
    route.start()
    seconds = _last_acknowledged(broker_port, number) - began
    route.stop()
    route.join()
    usage = resource.getrusage(resource.RUSAGE_SELF)
    print(json.dumps([seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024]), flush=True)


def _last_acknowledged(broker_port: int, number: int) -> float:
    """When the broker had the last PUBACK, on the clock of `time.perf_counter`.

    mq-bridge does not tell, and asking the broker would take the session from it. So what the broker's kernel has
    received of its connection is watched, which costs neither of them anything.
    """
    connection = _connection_to(broker_port)
    began = changed = time.perf_counter()
    received = 0
    while True:
        time.sleep(0.005)
        now = time.perf_counter()
        info = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
        (seen,) = struct.unpack_from("=Q", info, _BYTES_ACKED_AT)
        if seen != received:
            received, changed = seen, now
        if received >= number * PUBACK_BYTES and now - changed > QUIET_S:
            return changed
        if now - changed > STALLED_S or now - began > LONGEST_S:
            raise SystemExit(f"at most {received // PUBACK_BYTES} of {number} acknowledged after {now - began:.0f} s")


def _connection_to(port: int) -> socket.socket:
    """A copy of this process's connected socket with this port at the other end."""
    for entry in Path("/proc/self/fd").iterdir():
        try:
            copy = socket.socket(fileno=os.dup(int(entry.name)))
        except OSError:  # not a socket, or gone since it was listed
            continue
        try:
            if copy.family in (socket.AF_INET, socket.AF_INET6) and copy.getpeername()[1] == port:
                return copy
        except OSError:  # not connected
            pass
        copy.close()
    raise SystemExit(f"mq-bridge has no connection to port {port}")


if __name__ == "__main__":
    main()
