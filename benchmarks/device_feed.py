"""How many messages of sensors a process makes: by format, by number of devices, and beside encoding them one by one.

    .venv/bin/python benchmarks/device_feed.py [--devices 2000] [--hours 24]

CPU time of one process, after the weather of the year is there. Beside each format stands what only writing the same
messages takes when each is encoded on its own: from its members, with json, msgspec or protobuf.
"""

import argparse
import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import msgspec

from ingest.formats.chirpstack_v4_protobuf import encode
from simulators.devices.device_feed import DeviceFeed
from simulators.feed import FeedBlock
from simulators.instants import HOUR_US
from simulators.scenario import Lora, read_scenario
from simulators.truth.truth import truth_of
from simulators.world import build_world

_START_US = round(datetime(2025, 1, 14, tzinfo=UTC).timestamp() * 1e6)
_SAMPLE = 5_000

FORMATS = {
    "ChirpStack JSON": Lora(chirpstack_marshaler="json", tts_share=0.0),
    "ChirpStack protobuf": Lora(chirpstack_marshaler="protobuf", tts_share=0.0),
    "The Things Stack": Lora(tts_share=1.0),
}


def feed_of(lora: Lora, devices: int) -> DeviceFeed:
    """The feed of a city whose weather has been made."""
    scenario = msgspec.structs.replace(read_scenario("ordinary"), lora=lora)
    feed = DeviceFeed(truth_of(build_world(seed=7, length_km=120, scenario=scenario, device_count=devices)))
    feed.block(_START_US - 48 * HOUR_US, _START_US - 47 * HOUR_US)
    return feed


def made(feed: DeviceFeed, hours: int) -> tuple[int, float, FeedBlock]:
    """Messages of so many hours, hour by hour: how many, the CPU time [s], and those of the last hour."""
    began, count = time.process_time(), 0
    block = feed.block(_START_US, _START_US)
    for hour in range(hours):
        block = feed.block(_START_US + hour * HOUR_US, _START_US + (hour + 1) * HOUR_US)
        count += len(block)
    return count, time.process_time() - began, block


def one_by_one(block: FeedBlock, write: Callable[[str, Any], object]) -> float:
    """Messages a second when each is written from its members."""
    pairs = [
        (topic.rsplit("/", 1)[-1], payload)
        for topic, payload in zip(block.topics, block.payloads, strict=True)
        if topic.startswith(("application/", "v3/"))
    ][:_SAMPLE]
    events = [(kind, json.loads(payload)) for kind, payload in pairs]
    began = time.process_time()
    for kind, event in events:
        write(kind, event)
    return len(events) / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, default=2000)
    parser.add_argument("--hours", type=int, default=24)
    options = parser.parse_args()
    blocks = {}
    print(f"{'':24}{'messages':>10}{'messages/s':>12}{'bytes each':>12}")
    for name, lora in FORMATS.items():
        count, seconds, block = made(feed_of(lora, options.devices), options.hours)
        size = sum(map(len, block.payloads)) / max(len(block), 1)
        print(f"{name:24}{count:10,}{count / seconds:12,.0f}{size:12,.0f}")
        blocks[name] = block
    print("\nOnly writing them, one by one, from members that are ready:")
    text = blocks["ChirpStack JSON"]
    for name, block, write in (
        ("json.dumps", text, lambda _, event: json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode()),
        ("msgspec.json", text, lambda _, event: msgspec.json.encode(event)),
        ("protobuf, ParseDict", text, encode),
        ("json.dumps, TTS", blocks["The Things Stack"], lambda _, event: json.dumps(event).encode()),
    ):
        print(f"{name:24}{'':10}{one_by_one(block, write):12,.0f}")
    print("\nBy number of devices, ChirpStack JSON:")
    for devices in (options.devices // 4, options.devices, options.devices * 4):
        count, seconds, _ = made(feed_of(FORMATS["ChirpStack JSON"], devices), options.hours)
        print(f"{devices:<24,}{count:10,}{count / seconds:12,.0f}")


if __name__ == "__main__":
    main()
