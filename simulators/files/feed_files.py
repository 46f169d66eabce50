"""The feeds of a period as recordings that `roadtwin replay` plays, made in parts of some days.

Parts are made in any order and by any process, and joined in theirs. A block never holds messages of two UTC days, so
that the bytes do not depend on how long a part is.
"""

from collections import deque
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

from ingest.recording import RecordingWriter
from simulators.devices.device_feed import DeviceFeed
from simulators.files.record_files import windows
from simulators.instants import us_of
from simulators.messages import Source, published_blocks
from simulators.truth.truth import truth_of
from simulators.vehicles.vehicle_feed import VehicleFeed
from simulators.world import CITY_NAME, World

Feed = Literal["devices", "vehicles"]
FEED_FILES: dict[Feed, str] = {"devices": "devices.feed", "vehicles": "vehicles.feed"}


def write_part(
    world: World,
    on_progress: Callable[[float], None],
    *,
    path: Path,
    feed: Feed,
    start: datetime,
    end: datetime,
    additional_buses: int,
    window: timedelta,
) -> None:
    """Write the messages that are published from `start` to before `end`; memory: an hour of them."""
    due = _source(world, feed, additional_buses)
    with RecordingWriter(path, {}, replace=True, durable=False) as writer:
        for day_start, day_end in days_of(start, end, 1):
            for at, until in windows(day_start, day_end, window):
                for block in published_blocks(world, due, us_of(at), us_of(until)):
                    writer.write_block(block.publish_us, block.topics, block.payloads)
            writer.end_block()
            on_progress((day_end - start) / (end - start))


def _source(world: World, feed: Feed, additional_buses: int) -> Source:
    """What gives the messages that are due in a window; kept with the world, for it has its newest ones at hand."""
    name = f"feed of {feed}, {additional_buses} additional buses"
    if name not in world.kept:
        truth = truth_of(world)
        world.kept[name] = DeviceFeed(truth) if feed == "devices" else VehicleFeed(truth, additional_buses)
    due: Source = world.kept[name].block
    return due


def open_feed(directory: Path, feed: Feed) -> RecordingWriter:
    """The file of a whole feed. Its description leaves the seed out: who knows it knows the truth."""
    description = {"recorder": "roadtwin simulate", "city": CITY_NAME, "feed": feed, "times": "publication"}
    return RecordingWriter(directory / FEED_FILES[feed], description, replace=True, durable=False)


class PartJoiner:
    """Joins the parts of a feed in the order in which they were announced, whichever is ready first."""

    def __init__(self, writer: RecordingWriter) -> None:
        self._writer, self._expected, self._ready = writer, deque[Path](), set[Path]()

    def expect(self, part: Path) -> Path:
        """Announce a part that follows those announced before; returns it."""
        self._expected.append(part)
        return part

    def add(self, part: Path) -> None:
        """A part is ready; it is removed when it has been joined."""
        self._ready.add(part)
        while self._expected and self._expected[0] in self._ready:
            first = self._expected.popleft()
            self._writer.append_blocks(first)
            first.unlink()


def days_of(start: datetime, end: datetime, days: int) -> Iterator[tuple[datetime, datetime]]:
    """A period in parts of whole UTC days, the first and the last one shorter."""
    at, midnight = start.astimezone(UTC), start.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    while at < end:
        midnight += timedelta(days=days)
        until = min(midnight, end)
        yield at, until
        at = until
