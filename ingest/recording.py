"""Recordings: MQTT messages with their times, topics, QoS and retain flags in one compact file (`.feed`).

The format and what survives a crash is in docs/reference/recording.md; recording_format.py makes and reads the bytes.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, NamedTuple, Self

import msgspec
import numpy as np
from numpy.typing import NDArray

from ingest.journal_files import sync, sync_directory
from ingest.recording_format import RETAINED, RecordedBlock, encode_block, encode_end, encode_header, flag_of
from ingest.recording_reader import open_recording
from roadtwin.errors import RecordingError

SUFFIX = ".feed"
BLOCK_MESSAGES = 8192
"""A block is closed with so many messages …"""
BLOCK_BYTES = 4 << 20
"""… or with the message that brings it to so many bytes of payload [B]."""
_COPY_BYTES = 1 << 20
MOST_PAYLOAD_BYTES = 268_435_455
"""The longest packet that MQTT can express [B]."""


class RecordedMessage(msgspec.Struct, frozen=True, gc=False):
    """A message and when it was recorded (or, simulated, published): µs since 1970 UTC. `qos` is 0 to 2."""

    at_us: int
    topic: str
    payload: bytes
    qos: int = 1
    retained: bool = False


@dataclass(frozen=True, slots=True)
class RecordingInfo:
    """What the headers of a recording tell, without unpacking it.

    `complete`: it was closed. Where it was not, `torn_bytes` at its end are no whole block; `torn_messages` is how many
    the block there was to hold, None where its header is torn too.
    """

    path: Path
    description: dict[str, Any]
    file_bytes: int
    blocks: int
    messages: int
    raw_bytes: int
    earliest_us: int | None
    latest_us: int | None
    complete: bool
    torn_bytes: int
    torn_messages: int | None


class RecordingWriter:
    """Writes a recording; use as a context manager.

    The same description and messages give the same bytes, however they are divided among the calls, unless `flush` or
    `end_block` is called: they close a block. Memory: one block. An exception that leaves the context leaves a file
    without its end, as a crash does. Not for several threads at once.

    Parameters
    ----------
    path : Path
        Must not exist, unless `append` or `replace`.
    description : dict
        JSON values, for the reader: what the times are, where the messages come from. No secrets.
    append : bool
        Go on at the end of a file, if it is there. Its own description stays; a torn block at its end is cut off.
    replace : bool
        Write in place of a file that is there.
    private : bool
        A new file can be read by its owner only: live feeds name vehicles.
    durable : bool
        Wait for the disk where something is flushed or closed; what can be made again needs no wait.

    Raises
    ------
    RecordingError
        The file cannot be written, exists, or (append) is no recording of this version, or is damaged.
    """

    def __init__(
        self,
        path: Path,
        description: dict[str, Any],
        *,
        append: bool = False,
        replace: bool = False,
        private: bool = False,
        durable: bool = True,
    ) -> None:
        self.path, self._durable = path, durable
        self.messages = self.blocks = 0
        """Written, and with `flush` or at the end those that wait too."""
        self._times: list[int] = []
        self._topics: list[str] = []
        self._payloads: list[bytes] = []
        self._flags = bytearray()
        self._pending_bytes = 0
        header = encode_header(description)
        with self._explained():
            if append and path.exists() and path.stat().st_size:
                self._file, self.file_bytes = self._reopen()
            else:
                how = os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC | (os.O_TRUNC if append or replace else os.O_EXCL)
                self._file = os.fdopen(os.open(path, how, 0o600 if private else 0o666), "wb")
                self._file.write(header)
                self.file_bytes = len(header)
                self._file.flush()
                sync_directory(path.parent)

    def _reopen(self) -> tuple[BinaryIO, int]:
        with open_recording(self.path) as reader:
            for _ in reader.headers():
                pass
            if reader.blocks and not reader.last_is_whole():
                raise RecordingError(f"{self.path}: block {reader.blocks} is damaged: its checksum is wrong.")
            self.blocks, self.messages, end = reader.blocks, reader.messages, reader.offset
        file = self.path.open("r+b")
        file.seek(end)
        file.truncate()
        return file, end

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if kind is None:
            self.close()
        else:
            self._file.close()

    def close(self) -> None:
        """Write what waits and the end of the file. Raises RecordingError."""
        try:
            self.flush()
            with self._explained():
                self._append(encode_end(self.blocks, self.messages))
                self._sync()
        finally:
            self._file.close()

    def write(self, message: RecordedMessage) -> None:
        """Add one message. Raises RecordingError when it cannot be written or no MQTT message can be so."""
        self._add([message.at_us], [message.topic], [message.payload], bytes((_flag(message.qos, message.retained),)))

    def write_block(
        self,
        at_us: NDArray[np.int64],
        topics: list[str],
        payloads: list[bytes],
        qos: int = 1,
        *,
        flags: bytes | None = None,
    ) -> None:
        """Add n messages in this order.

        Parameters
        ----------
        at_us : array of int64, shape (n,)
            µs since 1970 UTC.
        qos : int
            Of all of them, not retained; or `flags` gives for each what `recording_format.flag_of` makes.

        Raises
        ------
        RecordingError
            As `write`; nothing is added when the lengths differ.
        """
        if flags is None:
            flags = bytes((_flag(qos, False),)) * len(topics)
        if not len(at_us) == len(topics) == len(payloads) == len(flags):
            raise RecordingError(
                f"Got {len(at_us)} times, {len(topics)} topics, {len(payloads)} payloads and {len(flags)} flags, "
                "expected as many of each."
            )
        self._add(np.asarray(at_us).tolist(), topics, payloads, flags)

    def _add(self, times: list[int], topics: list[str], payloads: list[bytes], flags: bytes) -> None:
        start = 0
        while start < len(times):
            end = start + self._cut(payloads, start)
            self._times += times[start:end]
            self._topics += topics[start:end]
            self._payloads += payloads[start:end]
            self._flags += flags[start:end]
            if len(self._times) >= BLOCK_MESSAGES or self._pending_bytes >= BLOCK_BYTES:
                with self._explained():
                    self._close_block()
            start = end

    def _cut(self, payloads: list[bytes], start: int) -> int:
        """How many from `start` on belong to this block: a rule that looks at the messages only."""
        sizes = list(map(len, payloads[start : start + BLOCK_MESSAGES - len(self._times)]))
        if max(sizes) > MOST_PAYLOAD_BYTES:
            raise RecordingError(f"Payload: got {max(sizes)} bytes, MQTT allows {MOST_PAYLOAD_BYTES}.")
        total = self._pending_bytes + sum(sizes)
        count = len(sizes)
        if total >= BLOCK_BYTES:
            count = 1 + int(np.searchsorted(self._pending_bytes + np.cumsum(sizes), BLOCK_BYTES))
            count = min(count, len(sizes))
        self._pending_bytes += sum(sizes[:count])
        return count

    def _close_block(self) -> None:
        self._append(encode_block(self._times, self._topics, self._payloads, bytes(self._flags)))
        self.blocks += 1
        self.messages += len(self._times)
        self._times, self._topics, self._payloads, self._flags = [], [], [], bytearray()
        self._pending_bytes = 0

    def flush(self) -> None:
        """Close the block that is begun; when this returns everything is on disk, if durable. Raises RecordingError."""
        with self._explained():
            if self._times:
                self._close_block()
            self._sync()

    def end_block(self) -> None:
        """Close the block that is begun: the next message begins another one. Raises RecordingError."""
        if self._times:
            with self._explained():
                self._close_block()

    def append_blocks(self, path: Path) -> None:
        """Add the blocks of another recording as they are, without unpacking them.

        Raises RecordingError when it is not whole.
        """
        self.end_block()
        with open_recording(path) as reader:
            begin = reader.offset
            for _ in reader.headers():
                pass
            if not reader.complete:
                raise RecordingError(f"{path}: expected a recording that was closed; this one is cut short.")
            blocks, messages, end = reader.blocks, reader.messages, reader.offset
        with self._explained(), path.open("rb") as file:
            file.seek(begin)
            while begin < end:
                piece = file.read(min(_COPY_BYTES, end - begin))
                self._append(piece)
                begin += len(piece)
        self.blocks += blocks
        self.messages += messages

    def _append(self, data: bytes) -> None:
        self._file.write(data)
        self.file_bytes += len(data)

    def _sync(self) -> None:
        self._file.flush()
        if self._durable:
            sync(self._file.fileno())

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except FileExistsError:
            raise RecordingError(f"{self.path} is there already; nothing is overwritten.") from None
        except OSError as exc:
            raise RecordingError(f"{self.path}: cannot be written: {exc.strerror or exc}.") from None


def compact(path: Path) -> bool:
    """Write a recording of many small blocks anew in full ones, in its place; whether it was worth it.

    A feed of a few messages a second is written in as many blocks a second, which compress badly. Raises
    RecordingError; the file is then as it was.
    """
    info = read_info(path)
    if info.blocks <= 8 + 2 * max(info.messages / BLOCK_MESSAGES, info.raw_bytes / BLOCK_BYTES):
        return False
    draft = path.with_name(path.name + ".draft")
    try:
        with RecordingWriter(draft, info.description, replace=True, private=True) as writer:
            for block in read_blocks(path):
                flags = (block.qos | block.retained * np.uint8(RETAINED)).tobytes()
                writer.write_block(block.at_us, block.topics, block.payloads, flags=flags)
        draft.chmod(path.stat().st_mode & 0o777)
        draft.replace(path)
        sync_directory(path.parent)
    except OSError as exc:
        raise RecordingError(f"{path}: cannot be written: {exc.strerror or exc}.") from None
    finally:
        draft.unlink(missing_ok=True)
    return True


def _flag(qos: int, retained: bool) -> int:
    if qos not in (0, 1, 2):
        raise RecordingError(f"QoS: got {qos}, expected 0, 1 or 2.")
    return flag_of(qos, retained)


def read_info(path: Path) -> RecordingInfo:
    """What is in a recording, from its headers. Raises RecordingError for what is none, or is damaged."""
    raw_bytes, earliest, latest = 0, [], []
    with open_recording(path) as reader:
        for header in reader.headers():
            raw_bytes += header.raw_bytes
            earliest.append(header.earliest_us)
            latest.append(header.latest_us)
        return RecordingInfo(
            path,
            reader.description,
            reader.size,
            reader.blocks,
            reader.messages,
            raw_bytes,
            min(earliest, default=None),
            max(latest, default=None),
            reader.complete,
            reader.torn_bytes,
            reader.torn_messages,
        )


class NumberedBlock(NamedTuple):
    """A block with the number in its file of its first message, counted from 0."""

    first: int
    block: RecordedBlock


def read_numbered_blocks(
    path: Path, *, first: int = 0, since_us: int | None = None, until_us: int | None = None
) -> Iterator[NumberedBlock]:
    """Blocks from the one that holds message number `first` on; what is wholly outside the period is passed over.

    A torn block at the end, as a crash leaves it, ends the reading without a word (`read_info` tells). Memory: one
    block. Raises RecordingError for what is no recording, and for damage, with the number of the block.
    """
    with open_recording(path) as reader:
        for header in reader.headers():
            begin = reader.messages - header.messages
            if reader.messages <= first or (since_us is not None and header.latest_us < since_us):
                continue
            if until_us is not None and header.earliest_us >= until_us:
                continue
            yield NumberedBlock(begin, reader.load())


def read_blocks(path: Path) -> Iterator[RecordedBlock]:
    """All blocks; as `read_numbered_blocks`."""
    return (numbered.block for numbered in read_numbered_blocks(path))


def read_recording(path: Path) -> Iterator[RecordedMessage]:
    """All messages in the order in which they were written; as `read_numbered_blocks`."""
    for block in read_blocks(path):
        columns = (block.at_us.tolist(), block.topics, block.payloads, block.qos.tolist(), block.retained.tolist())
        yield from map(RecordedMessage, *columns)
