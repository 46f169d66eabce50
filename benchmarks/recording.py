"""How fast recordings are written, read, moved in time, recorded live and replayed, and how large they are.

python -m benchmarks.recording [--messages 100000]

Needs Mosquitto for the live part: a broker of this benchmark's own, without persistence. Messages are uplinks of about
1.1 kB at QoS 1. Publishing is measured beside stock paho with as many in flight, a file beside gzipped JSON lines and
the same with zstd. The ratios matter, not the absolute figures.
"""

import argparse
import base64
import gzip
import json
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import numpy as np
import paho.mqtt.client as paho
import zstandard

from benchmarks.feeds import make_messages
from benchmarks.receive import run_mosquitto, wait_until
from ingest.mqtt import BrokerAddress, Session, open_client, parse_mqtt_url
from ingest.pacing import PacedBlock, Pacing, publish_paced
from ingest.publisher import IN_FLIGHT, Publisher
from ingest.recording import RecordingWriter, read_blocks, read_info
from ingest.shifting import Shifter
from roadtwin.jobs.record import record
from roadtwin.jobs.replay_feed import FeedPart, replay_feed

PAHO_MESSAGES = 20_000
RATE_PER_S = 5000.0
RATE_S = 5.0


def timed(what: str, count: int, work: Callable[[], object]) -> None:
    """Print how many a second."""
    began = time.perf_counter()
    work()
    print(f"{what:<58}{count / (time.perf_counter() - began):>12,.0f} messages/s")


def write_file(path: Path, messages: list[tuple[str, bytes]]) -> None:
    topics, payloads = [topic for topic, _ in messages], [payload for _, payload in messages]
    at_us = 1_773_143_000_000_000 + 2000 * np.arange(len(messages), dtype=np.int64)
    timed("written", len(messages), lambda: _write(path, at_us, topics, payloads))
    timed("read", len(messages), lambda: sum(len(block.topics) for block in read_blocks(path)))


def _write(
    path: Path, at_us: "np.ndarray[tuple[int], np.dtype[np.int64]]", topics: list[str], payloads: list[bytes]
) -> None:
    with RecordingWriter(path, {}, replace=True) as writer:
        writer.write_block(at_us, topics, payloads)


def compare_sizes(path: Path, messages: list[tuple[str, bytes]]) -> None:
    lines = b"".join(
        json.dumps({"at_us": n, "topic": topic, "payload_base64": base64.b64encode(payload).decode()}).encode() + b"\n"
        for n, (topic, payload) in enumerate(messages)
    )
    payload_bytes = sum(len(payload) for _, payload in messages)
    sizes = {
        "payloads alone": payload_bytes,
        "recording": path.stat().st_size,
        "JSON lines, gzip -6": len(gzip.compress(lines, 6)),
        "JSON lines, zstd -3": len(zstandard.ZstdCompressor(3).compress(lines)),
    }
    for name, size in sizes.items():
        print(f"{name:<58}{size:>12,} bytes  {size / payload_bytes:6.1%}")


def publish_with_paho(address: BrokerAddress, messages: list[tuple[str, bytes]]) -> None:
    confirmed = [0]

    def count(*_: object) -> None:
        confirmed[0] += 1

    def prepare(client: paho.Client) -> None:
        client.on_publish = count
        client.max_inflight_messages_set(IN_FLIGHT)

    client = open_client(address, Session(f"paho-{uuid4().hex[:8]}"), prepare)
    for topic, payload in messages:
        client.publish(topic, payload, qos=1)
    wait_until(lambda: confirmed[0] >= len(messages))
    client.disconnect()
    client.loop_stop()


def publish_in_bulk(address: BrokerAddress, messages: list[tuple[str, bytes]]) -> None:
    with Publisher(address, name="bench") as publisher:
        publisher.publish_many([topic for topic, _ in messages], [payload for _, payload in messages])
        publisher.wait_for_confirmations()


def publish_at_a_rate(address: BrokerAddress) -> None:
    """While they are generated, in the same process."""
    count = int(RATE_PER_S * RATE_S)

    def blocks() -> object:
        for n in range(0, count, 250):
            made = make_messages(250, seed=n)
            yield PacedBlock(np.arange(250, dtype=np.int64), [topic for topic, _ in made], [load for _, load in made])

    with Publisher(address, name="bench") as publisher:
        publish_paced(publisher, blocks(), Pacing(None, RATE_PER_S), stop=threading.Event())  # type: ignore[arg-type]
        publisher.wait_for_confirmations()


def live(path: Path, messages: list[tuple[str, bytes]]) -> None:
    with run_mosquitto() as port:
        address = parse_mqtt_url(f"mqtt://127.0.0.1:{port}")
        few = messages[:PAHO_MESSAGES]
        timed("published and confirmed, stock paho", len(few), lambda: publish_with_paho(address, few))
        timed("published and confirmed, in bulk", len(messages), lambda: publish_in_bulk(address, messages))
        timed(
            f"published at {RATE_PER_S:,.0f}/s while they are generated",
            int(RATE_PER_S * RATE_S),
            lambda: publish_at_a_rate(address),
        )
        stop = threading.Event()

        def replay(**options: object) -> None:
            replay_feed(FeedPart([path], **options), address, Pacing(None), stop=stop)  # type: ignore[arg-type]

        timed("replayed", len(messages), replay)
        target = path.with_name("live.feed")
        ready = threading.Event()
        recorder = threading.Thread(
            target=record, args=(target, address, ["#"]), kwargs={"stop": stop, "on_ready": ready.set}
        )
        recorder.start()
        ready.wait(30)

        def replay_and_record() -> None:
            replay()
            wait_until(lambda: read_info(target).messages >= len(messages))

        timed("replayed and recorded, durably, in one process", len(messages), replay_and_record)
        stop.set()
        recorder.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--messages", type=int, default=100_000)
    options = parser.parse_args()
    messages = make_messages(options.messages)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "bench.feed"
        write_file(path, messages)
        shifter = Shifter(86_400)
        timed("moved in time", len(messages), lambda: [shifter.shift(*message) for message in messages])
        compare_sizes(path, messages)
        live(path, messages)


if __name__ == "__main__":
    main()
