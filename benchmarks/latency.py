"""How long from publish to committed, when little comes and when more does.

python -m benchmarks.latency [--messages 300] [--per-s 10 200 1000]

One ingester with its default settings, in a thread beside the publisher (which only makes it slower), on Mosquitto and
on the database that `benchmarks.databases` finds. Messages come at random gaps; the clock of each runs from before its
publish until its batch is committed and acknowledged. Prints the median, the 99th percentile and the longest.
"""

import argparse
import random
import tempfile
import threading
import time
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from benchmarks.databases import database_server, fresh_database
from benchmarks.feeds import UPLINK_TOPICS, make_messages
from ingest.consumer import run_ingest
from ingest.mqtt import Session, open_client, parse_mqtt_url
from roadtwin.jobs.broker import start_broker
from roadtwin.settings import Settings
from roadtwin.types import BatchCounts


def measure(mqtt_url: str, database_url: str, directory: Path, number: int, per_s: float) -> np.ndarray:
    """Seconds of each message. The first hundred meet new devices and are left out."""
    warm_up = 100
    messages = make_messages(number + warm_up)
    published, committed = np.zeros(len(messages)), np.zeros(len(messages))
    stop, ready, done = threading.Event(), threading.Event(), threading.Event()
    received = 0

    def on_batch(counts: BatchCounts) -> None:
        nonlocal received
        committed[received : received + counts.received] = time.perf_counter()
        received += counts.received
        if received == len(messages):
            done.set()

    settings = Settings(data_dir=directory, mqtt_client_id=f"latency-{per_s:g}", mqtt_topics=UPLINK_TOPICS)
    ingester = threading.Thread(
        target=run_ingest,
        args=(settings, database_url, mqtt_url, stop),
        kwargs={"on_batch": on_batch, "on_ready": ready.set},
    )
    ingester.start()
    ready.wait(30)
    client = open_client(parse_mqtt_url(mqtt_url), Session("latency-publisher"), lambda _client: None)
    rng = random.Random(1)
    for n, (topic, payload) in enumerate(messages):
        time.sleep(rng.expovariate(per_s))
        published[n] = time.perf_counter()
        client.publish(topic, payload, qos=1)
    finished = done.wait(60)
    client.disconnect()
    client.loop_stop()
    stop.set()
    ingester.join(30)
    if not finished:
        raise SystemExit(f"{received} of {len(messages)} messages were committed")
    return (committed - published)[warm_up:]


def main() -> None:
    """Measure at each rate and print a line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=300)
    parser.add_argument("--per-s", type=float, nargs="+", default=[10.0, 200.0, 1000.0])
    given = parser.parse_args()
    with ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="roadtwin-bench-")))
        directory.chmod(0o755)  # the database's own user must be able to enter it
        broker = stack.enter_context(start_broker(directory, kind="mosquitto"))
        server_url = database_server(directory, stack)
        for per_s in given.per_s:
            with fresh_database(server_url, "roadtwin_bench_latency") as url:
                seconds = measure(broker.url, url, directory, given.messages, per_s)
            low, high = 1e3 * np.percentile(seconds, [50, 99])
            print(
                f"{per_s:6.0f} messages/s: publish to committed, median {low:.0f} ms, p99 {high:.0f} ms, "
                f"longest {1e3 * seconds.max():.0f} ms"
            )


if __name__ == "__main__":
    main()
