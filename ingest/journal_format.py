"""The bytes of the journal: headers, frames of messages with checksums, and how to find them again after damage.

The layout is described in docs/reference/journal.md; a change of it needs another FORMAT_VERSION.
"""

import os
import struct
import zlib
from collections.abc import Sequence
from datetime import datetime
from enum import Enum
from typing import NamedTuple

import msgspec

from ingest.received import Received
from roadtwin.errors import JournalError

FORMAT_VERSION = 1
FRAME_BYTES = 1 << 20
"""A frame is closed once its messages hold this much [B]; a larger message is a frame of its own."""
SEARCH_BYTES = 1 << 20
"""How much of a file is held at a time when looking for the next frame after damage [B]."""
MARK_BYTES = 8

HEADER = struct.Struct("<8sIQ8sI")
"""Magic, version, sequence, mark, CRC-32 of what precedes. Every version keeps this layout."""
FRAME = struct.Struct("<8sIIQII")
"""Mark, bytes of the body, messages, sequence of the first one, CRC-32 of the body, CRC-32 of what precedes."""


class Magic(bytes, Enum):
    """What a file of the journal begins with."""

    SEGMENT = b"RTJOURNL"
    POSITION = b"RTJPOSIT"


class Header(NamedTuple):
    """What a segment and the position file begin with: a sequence number, and the mark of the journal's frames.

    The mark is random, so that no payload can hold what looks like a frame of this journal.
    """

    sequence: int
    mark: bytes


class Frame(NamedTuple):
    """Messages that were written together, not decoded yet."""

    offset: int
    end: int
    sequence: int
    messages: int
    body: bytes


class Damage(NamedTuple):
    """Bytes that are no frame."""

    offset: int
    end: int


class _Record(msgspec.Struct, array_like=True, gc=False):
    """A message in a frame; the names are for reading this only, the file holds the values in this order."""

    topic: str
    payload: bytes
    recorded_at: datetime
    retained: bool
    duplicate: bool
    qos: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(list[_Record])


def encode_header(magic: Magic, header: Header) -> bytes:
    """The first bytes of a segment, all bytes of a position file."""
    start = HEADER.pack(magic, FORMAT_VERSION, header.sequence, header.mark, 0)[:-4]
    return start + zlib.crc32(start).to_bytes(4, "little")


def decode_header(magic: Magic, data: bytes, name: str) -> Header | None:
    """The header at the start of `data`, or None where it is torn or damaged.

    Raises JournalError when it is whole and of another version.
    """
    if len(data) < HEADER.size:
        return None
    found, version, sequence, mark, checksum = HEADER.unpack_from(data)
    if found != magic or zlib.crc32(data[: HEADER.size - 4]) != checksum:
        return None
    if version != FORMAT_VERSION:
        raise JournalError(
            f"{name} has format version {version}, this version of Roadtwin reads {FORMAT_VERSION}: drain the journal "
            "with the version that wrote it."
        )
    return Header(sequence, mark)


def encode_frames(items: Sequence[Received], sequence: int, mark: bytes) -> list[bytes]:
    """Frames of `items`, of which the first gets the number `sequence`. Usually it is one frame."""
    frames: list[bytes] = []
    records: list[_Record] = []
    size = 0
    for item in items:
        size += len(item.payload) + len(item.topic)
        if size > FRAME_BYTES and records:
            frames.append(_encode_frame(records, sequence, mark))
            sequence += len(records)
            records, size = [], len(item.payload) + len(item.topic)
        records.append(_Record(item.topic, item.payload, item.recorded_at, item.retained, item.duplicate, item.qos))
    if records:
        frames.append(_encode_frame(records, sequence, mark))
    return frames


def _encode_frame(records: list[_Record], sequence: int, mark: bytes) -> bytes:
    body = _ENCODER.encode(records)
    start = FRAME.pack(mark, len(body), len(records), sequence, zlib.crc32(body), 0)[:-4]
    return b"".join((start, zlib.crc32(start).to_bytes(4, "little"), body))


def decode_frame(frame: Frame) -> list[Received]:
    """The messages of a frame, as such that need no acknowledgement: QoS 0, no connection, no packet id.

    Raises JournalError when its checksum is right and its content is not: whoever wrote it did not keep to the format.
    """
    try:
        records = _DECODER.decode(frame.body)
    except msgspec.DecodeError as exc:
        raise JournalError(f"The frame at byte {frame.offset} is whole and cannot be decoded: {exc}.") from exc
    if len(records) != frame.messages:
        raise JournalError(
            f"The frame at byte {frame.offset} holds {len(records)} messages, expected {frame.messages}."
        )
    return [Received(r.topic, r.payload, r.recorded_at, r.retained, r.duplicate) for r in records]


def read_next(file: int, offset: int, end: int, mark: bytes, sequence: int) -> Frame | Damage | None:
    """What begins at `offset`: a frame, or damage up to the next frame or to `end`; None at `end`.

    `sequence` is the least number that the next message can have. Memory: one frame.
    """
    if offset >= end:
        return None
    frame = _read_frame(file, offset, end, mark, sequence)
    if frame is not None:
        return frame
    found = _find_frame(file, offset + 1, end, mark, sequence)
    return Damage(offset, end if found is None else found.offset)


def _read_frame(file: int, offset: int, end: int, mark: bytes, sequence: int) -> Frame | None:
    start = os.pread(file, FRAME.size, offset)
    if len(start) < FRAME.size:
        return None
    found, size, messages, first, body_checksum, checksum = FRAME.unpack(start)
    # The header has a checksum of its own: a damaged length must not make us read gigabytes.
    if found != mark or zlib.crc32(start[:-4]) != checksum or first < sequence or offset + FRAME.size + size > end:
        return None
    body = _read_exactly(file, size, offset + FRAME.size)
    if len(body) < size or zlib.crc32(body) != body_checksum:
        return None
    return Frame(offset, offset + FRAME.size + size, first, messages, body)


def _read_exactly(file: int, size: int, offset: int) -> bytes:
    """Up to `size` bytes, fewer only at the end of the file: one pread gives 2 GiB at most."""
    body = os.pread(file, size, offset)
    while len(body) < size:
        more = os.pread(file, size - len(body), offset + len(body))
        if not more:
            break
        body += more
    return body


def _find_frame(file: int, offset: int, end: int, mark: bytes, sequence: int) -> Frame | None:
    """The first whole frame at or after `offset`."""
    while end - offset >= FRAME.size:
        window = os.pread(file, min(SEARCH_BYTES, end - offset), offset)
        at = window.find(mark)
        while at >= 0:
            frame = _read_frame(file, offset + at, end, mark, sequence)
            if frame is not None:
                return frame
            at = window.find(mark, at + 1)
        if len(window) < MARK_BYTES:
            return None
        offset += len(window) - MARK_BYTES + 1  # a mark may lie across two windows
    return None
