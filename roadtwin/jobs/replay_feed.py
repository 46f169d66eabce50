"""Recordings published again: with their own timing or another, at their own times or others, from where one ended."""

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from msgspec.structs import replace

from ingest.mqtt import BrokerAddress
from ingest.pacing import PacedBlock, Pacing, publish_paced
from ingest.publisher import Publisher
from ingest.recording import RecordingInfo, read_info
from ingest.recording_format import RecordedBlock
from ingest.recording_merge import read_merged
from ingest.shifting import MOST_SHIFT_S, Shifter, format_of
from roadtwin.errors import ReplayError
from roadtwin.jobs.replay_state import ReplayState, mark_of, read_state, write_state

SAVE_EVERY_S = 1.0
MOST_TOPICS = 20
_UNIX = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


@dataclass(frozen=True, slots=True)
class FeedPart:
    """What of which recordings is published; `shift_to` is the new time of the first message (to the second)."""

    paths: Sequence[Path]
    since: datetime | None = None
    until: datetime | None = None
    shift_to: datetime | None = None

    def blocks(self, skip: int = 0) -> Iterator[RecordedBlock]:
        """The messages, without the first `skip`. Raises RecordingError."""
        return read_merged(self.paths, since_us=_us(self.since), until_us=_us(self.until), skip=skip)

    def first_us(self) -> int:
        """When the first message was recorded. Raises ReplayError when there is none."""
        block = next(self.blocks(), None)
        if block is None:
            raise ReplayError(f"{', '.join(map(str, self.paths))}: there is no message in this period.")
        return int(block.at_us[0])


@dataclass(slots=True)
class FeedReplayed:
    """What became of the messages of one run."""

    published: int = 0
    confirmed: int = 0
    without_confirmation: int = 0
    """Sent with QoS 0, as they were recorded: a broker does not confirm these."""
    skipped: int = 0
    """Confirmed by an earlier run."""
    finished: bool = False
    shift_s: int = 0
    shifted: Counter[str] = field(default_factory=Counter)
    """Messages whose times were moved, by format."""
    unchanged: Counter[str] = field(default_factory=Counter)
    """Messages that have no time that could be moved, by format or sender."""
    digests: tuple[bytes, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "published": self.published,
            "confirmed": self.confirmed,
            "without_confirmation": self.without_confirmation,
            "skipped": self.skipped,
            "finished": self.finished,
            "shift_s": self.shift_s,
            "shifted": dict(self.shifted),
            "unchanged": dict(self.unchanged),
        }


def replay_feed(
    part: FeedPart,
    address: BrokerAddress,
    pacing: Pacing,
    *,
    stop: threading.Event,
    resume: Path | None = None,
    keep_digests: bool = False,
    on_progress: Callable[[float], None] | None = None,
) -> FeedReplayed:
    """Publish recordings with QoS and retain flag as recorded, until they end or `stop` is set; wait for confirmations.

    With `resume`, the number of messages that are confirmed is kept in this file about once a second, and a later run
    goes on behind them: after a kill some are published twice, none is left out. What they are shifted by is kept too.

    Raises
    ------
    RecordingError, ReplayError
        A recording, or the file of an earlier run, cannot be used.
    BrokerUnavailableError, BrokerRefusedError
        As Publisher.
    """
    infos = [read_info(path) for path in part.paths]
    first_us = part.first_us()
    state = _begin(part, infos, first_us, resume)
    result = FeedReplayed(skipped=state.position, shift_s=state.shift_s, finished=state.finished)
    if state.finished:
        return result
    shifter = Shifter(state.shift_s) if state.shift_s else None
    latest_us = max(info.latest_us or first_us for info in infos)
    last_us = min(latest_us, _us(part.until) or latest_us) + state.shift_s * 1_000_000
    begin_us = first_us + state.shift_s * 1_000_000
    with Publisher(address, name="replay", keep_digests=keep_digests) as publisher:
        saved_s = time.monotonic()

        def save(*, finished: bool = False) -> None:
            if resume is not None:
                position = result.skipped + publisher.settled
                write_state(resume, replace(state, position=position, finished=finished))

        def tell(at_us: int, _published: int) -> None:
            nonlocal saved_s
            if time.monotonic() - saved_s > SAVE_EVERY_S:
                saved_s = time.monotonic()
                save()
            if on_progress is not None:
                on_progress((at_us - begin_us) / max(last_us - begin_us, 1))

        try:
            publish_paced(publisher, _paced(part.blocks(state.position), shifter), pacing, stop=stop, on_progress=tell)
            publisher.wait_for_confirmations()
        finally:
            save()
        result.finished = not stop.is_set()
        save(finished=result.finished)
        result.published, result.confirmed = publisher.published, publisher.confirmed
        result.without_confirmation = publisher.settled - publisher.confirmed
        result.digests = publisher.digests
    if shifter is not None:
        result.shifted, result.unchanged = shifter.shifted, shifter.unchanged
    return result


def _begin(part: FeedPart, infos: Sequence[RecordingInfo], first_us: int, resume: Path | None) -> ReplayState:
    """The state to begin from: that of the earlier run, or a new one."""
    shift_s = 0
    if part.shift_to is not None:
        shift_s = ((part.shift_to - _UNIX) // _MICROSECOND - first_us) // 1_000_000
        if abs(shift_s) > MOST_SHIFT_S:
            raise ReplayError(f"--shift-to: got {part.shift_to.isoformat()}, expected a time of these centuries.")
    marks = tuple(mark_of(info) for info in infos)
    state = ReplayState(marks, _us(part.since), _us(part.until), shift_s)
    earlier = read_state(resume) if resume is not None else None
    if earlier is None or resume is None:
        return state
    earlier.check(state, resume)
    grown = any(now.messages > before.messages for now, before in zip(marks, earlier.files, strict=True))
    return replace(earlier, files=marks, finished=earlier.finished and not grown)


def _paced(blocks: Iterator[RecordedBlock], shifter: Shifter | None) -> Iterator[PacedBlock]:
    for block in blocks:
        at_us, payloads = block.at_us, block.payloads
        if shifter is not None:
            at_us = at_us + np.int64(shifter.shift_s * 1_000_000)
            payloads = [shifter.shift(*message) for message in zip(block.topics, payloads, strict=True)]
        yield PacedBlock(at_us, block.topics, payloads, block.qos.tolist(), block.retained.tolist())


@dataclass(slots=True)
class FeedContents:
    """What is in recordings: for `--dry-run`."""

    files: list[dict[str, Any]]
    messages: int = 0
    payload_bytes: int = 0
    earliest: datetime | None = None
    latest: datetime | None = None
    retained: int = 0
    qos: Counter[int] = field(default_factory=Counter)
    formats: Counter[str] = field(default_factory=Counter)
    topics: Counter[str] = field(default_factory=Counter)

    def to_json(self) -> dict[str, Any]:
        """Plain values; of the topics, the number and the most frequent ones."""
        return {
            "files": self.files,
            "messages": self.messages,
            "payload_bytes": self.payload_bytes,
            "earliest": None if self.earliest is None else self.earliest.isoformat(),
            "latest": None if self.latest is None else self.latest.isoformat(),
            "retained": self.retained,
            "qos": {str(level): count for level, count in sorted(self.qos.items())},
            "formats": dict(self.formats.most_common()),
            "topics": len(self.topics),
            "most_frequent_topics": dict(self.topics.most_common(MOST_TOPICS)),
        }


def look_into(part: FeedPart) -> FeedContents:
    """Read recordings whole and count. Raises RecordingError."""
    infos = [read_info(path) for path in part.paths]
    contents = FeedContents([_told(info) for info in infos])
    for block in part.blocks():
        contents.messages += len(block.topics)
        contents.payload_bytes += sum(map(len, block.payloads))
        contents.retained += int(block.retained.sum())
        contents.qos.update(block.qos.tolist())
        contents.topics.update(block.topics)
        contents.formats.update(map(format_of, block.topics, block.payloads))
        earliest, latest = (_UNIX + int(us) * _MICROSECOND for us in (block.at_us.min(), block.at_us.max()))
        contents.earliest = min(earliest, contents.earliest or earliest)
        contents.latest = max(latest, contents.latest or latest)
    return contents


def _told(info: RecordingInfo) -> dict[str, Any]:
    return {
        "path": str(info.path),
        "description": info.description,
        "file_bytes": info.file_bytes,
        "blocks": info.blocks,
        "messages": info.messages,
        "complete": info.complete,
        "torn_bytes": info.torn_bytes,
        "torn_messages": info.torn_messages,
    }


def _us(at: datetime | None) -> int | None:
    return None if at is None else (at - _UNIX) // _MICROSECOND
