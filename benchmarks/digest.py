"""What digesting costs: µs for each message of rounds as a busy ingester leaves them.

    python -m benchmarks.digest [--messages 100000] [--round 25000] [--days 400]

Stores messages of a made-up fleet (four measurements each, some frames lost, some late) in a database of its own on the
server that `benchmarks.databases` finds, then digests them round by round. A round of 25,000 is five seconds of 5,000
messages a second.
With --days, a message of each day before lies in chunks of its own, as after a year.
Prints one JSON object: wall-clock time, processor time of this process, and that of the server's process for it where
both run on one machine; all by message. The processor times are what it takes from the ingester on a busy machine.
"""

import argparse
import json
import math
import os
import random
import resource
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import NAMESPACE_URL, uuid5

import psycopg
from msgspec.structs import replace

from benchmarks.databases import database_server, fresh_database
from ingest.digest import digest
from roadtwin.storage.database import connect
from roadtwin.storage.messages import BatchWriter
from roadtwin.types import Clock, DeviceKey, Message, Observation, Origin, Reception

START = datetime(2026, 3, 10, tzinfo=UTC)
BATCH = 1000
QUANTITIES = ("surface_temp_c", "air_temp_c", "humidity_pct", "battery_v")


def fleet(messages: int, devices: int, rate_per_s: float) -> Iterator[Message]:
    """Uplinks of devices in turn; one frame in ten is lost, one in a hundred comes a minute late."""
    rng = random.Random(1)
    keys = [DeviceKey("chirpstack-v4", "bench", f"{number:016x}") for number in range(devices)]
    values = [[5.0, 5.0, 60.0, 3.6] for _ in keys]
    for number in range(messages):
        device, f_cnt = number % devices, number // devices + number // devices // 10
        recorded_at = START + timedelta(seconds=number / rate_per_s)
        observed_at = recorded_at - timedelta(seconds=60 if rng.random() < 0.01 else 0.3)
        level = values[device]
        level[:3] = [value + rng.uniform(-0.1, 0.1) for value in level[:3]]
        yield Message(
            message_id=uuid5(NAMESPACE_URL, f"{device} {number}"),
            format="chirpstack-v4-json",
            event_kind="up",
            topic="application/bench/device/x/event/up",
            payload=b'{"data": "AQID"}',
            recorded_at=recorded_at,
            event_at=observed_at,
            clock=Clock.GPS,
            device=keys[device],
            dev_eui=keys[device].device,
            f_cnt=f_cnt,
            f_port=2,
            gateway_count=1,
            best_rssi_dbm=-97.0,
            best_snr_db=4.5,
            observations=tuple(
                Observation("", name, None, observed_at, value) for name, value in zip(QUANTITIES, level, strict=True)
            ),
            clock_skew_s=0.25,
            receptions=(Reception(f"gateway-{device % 20}", -97.0, 4.5, 0.25),),
        )


def a_day_before(message: Message, days: int) -> Message:
    """The message, so many days earlier."""
    earlier = timedelta(days=days)
    assert message.event_at is not None
    event_at = message.event_at - earlier
    observations = tuple(replace(o, observed_at=event_at) for o in message.observations)
    return replace(
        message,
        message_id=uuid5(NAMESPACE_URL, f"{message.message_id} {days}"),
        recorded_at=message.recorded_at - earlier,
        event_at=event_at,
        observations=observations,
    )


def store(conn: psycopg.Connection[tuple[object, ...]], messages: Sequence[Message]) -> None:
    """Write them in batches, as the ingester does."""
    writer = BatchWriter(conn, worker="bench", origin=Origin.MQTT)
    for begin in range(0, len(messages), BATCH):
        writer.write(messages[begin : begin + BATCH], [])


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--round", type=int, default=25_000, help="messages of a round at most")
    parser.add_argument("--days", type=int, default=0, help="days of history before")
    arguments = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roadtwin-bench-")))
        directory.chmod(0o755)  # the database's own user must be able to enter it
        server_url = database_server(directory, stack)
        url = stack.enter_context(fresh_database(server_url, "roadtwin_bench_digest"))
        print(json.dumps(measure(url, arguments), indent=1))


def measure(url: str, arguments: argparse.Namespace) -> dict[str, object]:
    """Store all, then digest all, round by round."""
    rounds: list[dict[str, float]] = []
    with connect(url) as conn:
        store(conn, list(fleet(arguments.messages, arguments.devices, 5000)))
        store(conn, [a_day_before(message, day) for day, message in enumerate(fleet(arguments.days, 10, 1), start=1)])
        conn.commit()
        server = Path(f"/proc/{conn.info.backend_pid}/stat")
        while True:
            begun = time.perf_counter(), time.process_time(), processor_s(server)
            counts = digest(conn, datetime.now(UTC), most_rows=arguments.round * (1 + len(QUANTITIES)))
            ended = time.perf_counter(), time.process_time(), processor_s(server)
            if not counts.batches:
                break
            wall, own, theirs = (end - begin for begin, end in zip(begun, ended, strict=True))
            rounds.append({"messages": counts.messages, "wall_s": wall, "own_cpu_s": own, "server_cpu_s": theirs})
    total = sum(r["messages"] for r in rounds)
    by_message = {
        name.replace("_s", "_us_per_message"): round(sum(r[name] for r in rounds) / total * 1e6, 2)
        for name in ("wall_s", "own_cpu_s", "server_cpu_s")
    }
    cpu_us = by_message["own_cpu_us_per_message"] + by_message["server_cpu_us_per_message"]
    return {
        "messages": total,
        "devices": arguments.devices,
        "rounds": len(rounds),
        **by_message,
        "share_of_a_core_at_5000_per_s": round(cpu_us * 5000 / 1e6, 3),
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def processor_s(stat: Path) -> float:
    """Processor time of a process by its /proc entry (proc(5)); NaN where it runs elsewhere."""
    try:
        fields = stat.read_text().rsplit(")", 1)[1].split()
    except OSError:
        return math.nan
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
