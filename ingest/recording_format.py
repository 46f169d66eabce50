"""The bytes of a recording: its header, blocks of messages with checksums, and its end.

The layout is described in docs/reference/recording.md; a change of it needs another FORMAT_VERSION. It is not the
journal's (journal_format.py): that one is written a batch at a time to be read once and in a hurry, holds what another
attempt at the same message would need, and marks its frames at random. A recording is kept, so it is compressed by
columns; and the same messages must give the same bytes.
"""

import struct
import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

import msgspec
import numpy as np
import zstandard
from numpy.typing import NDArray

from roadtwin.errors import RecordingError

FORMAT_VERSION = 1
MAGIC = b"RTFEED\r\n"
BLOCK_MAGIC = b"RTFBLOCK"
END_MAGIC = b"RTFEED.."
MOST_DESCRIPTION_BYTES = 1 << 20
MOST_RAW_BYTES = 1 << 30
"""What a block may hold; what claims to hold more is damaged, or an attack on our memory [B]."""
MOST_TOPIC_BYTES = 65_535
MOST_BLOCK_MESSAGES = 65_536
LEVEL = 1
"""Of zstd. Level 3 takes half as long again for a few per cent."""

HEADER = struct.Struct("<8sIII")
"""Magic, version, bytes of the description, CRC-32 of what precedes and of the description behind it."""
BLOCK = struct.Struct("<8sIIIqqII")
"""Magic, messages, bytes unpacked, bytes packed, earliest and latest time, CRC-32 of the packed bytes, and of what
precedes."""
END = struct.Struct("<8sQQI")
"""Magic, blocks, messages, CRC-32 of what precedes."""
_COLUMNS = struct.Struct("<BH")
"""Width of a time in bytes, topics less one."""

RETAINED = 4
_QOS = 3


class BlockHeader(NamedTuple):
    """What stands before a block: enough to pass over it."""

    messages: int
    raw_bytes: int
    packed_bytes: int
    earliest_us: int
    latest_us: int
    checksum: int


class RecordedBlock(NamedTuple):
    """n messages in the order in which they were written."""

    at_us: NDArray[np.int64]
    """Shape (n,), µs since 1970 UTC."""
    topics: list[str]
    payloads: list[bytes]
    qos: NDArray[np.uint8]
    """Shape (n,), 0 to 2."""
    retained: NDArray[np.bool_]
    """Shape (n,)."""


def encode_header(description: dict[str, Any]) -> bytes:
    """The beginning of a file. Raises RecordingError for a description that is no JSON, or too long."""
    try:
        text = msgspec.json.encode(description, order="deterministic")
    except (TypeError, ValueError) as exc:
        raise RecordingError(f"Description of a recording: got what is no JSON: {exc}.") from None
    if len(text) > MOST_DESCRIPTION_BYTES:
        raise RecordingError(
            f"Description of a recording: got {len(text)} bytes, expected at most {MOST_DESCRIPTION_BYTES}."
        )
    start = HEADER.pack(MAGIC, FORMAT_VERSION, len(text), 0)[:-4]
    return start + zlib.crc32(text, zlib.crc32(start)).to_bytes(4, "little") + text


def decode_header(start: bytes, name: str) -> tuple[int, int]:
    """Bytes of the description and its checksum, from the first HEADER.size bytes of a file.

    Raises RecordingError when it is no recording, or one of another version.
    """
    if len(start) < HEADER.size or not start.startswith(MAGIC):
        raise RecordingError(f"{name} is no recording: it does not begin with {MAGIC[:6].decode()}.")
    _, version, size, checksum = HEADER.unpack(start)
    if version != FORMAT_VERSION:
        raise RecordingError(
            f"{name} has format version {version}, this version of Roadtwin reads {FORMAT_VERSION}: use a newer one."
        )
    return size, checksum


def decode_description(start: bytes, text: bytes, checksum: int, name: str) -> dict[str, Any]:
    """The description behind the header. Raises RecordingError when either is damaged."""
    if zlib.crc32(text, zlib.crc32(start[:-4])) != checksum:
        raise RecordingError(f"{name}: its header or its description is damaged.")
    try:
        return msgspec.json.decode(text, type=dict[str, Any])
    except msgspec.MsgspecError as exc:
        raise RecordingError(f"{name}: its description is no JSON object: {exc}.") from None


def encode_end(blocks: int, messages: int) -> bytes:
    """What stands at the end of a file that was closed."""
    start = END.pack(END_MAGIC, blocks, messages, 0)[:-4]
    return start + zlib.crc32(start).to_bytes(4, "little")


def decode_end(data: bytes) -> tuple[int, int] | None:
    """Blocks and messages, or None where this is no end."""
    if len(data) < END.size or not data.startswith(END_MAGIC):
        return None
    _, blocks, messages, checksum = END.unpack_from(data)
    return (blocks, messages) if zlib.crc32(data[: END.size - 4]) == checksum else None


def encode_block(at_us: Sequence[int], topics: Sequence[str], payloads: Sequence[bytes], flags: bytes) -> bytes:
    """A block of 1 to MOST_BLOCK_MESSAGES messages; `flags` are made by `flag_of`.

    Raises RecordingError for a topic that MQTT cannot express.
    """
    times = np.array(at_us, np.int64)
    earliest, latest = int(times.min()), int(times.max())
    steps = np.diff(times, prepend=np.int64(earliest))
    width = next(w for w in (1, 2, 4, 8) if w == 8 or int(np.abs(steps).max()) < 1 << (8 * w - 1))
    numbers: dict[str, int] = {}
    indices = [numbers.setdefault(topic, len(numbers)) for topic in topics]
    names = [_encode_topic(topic) for topic in numbers]
    raw = b"".join(
        (
            _COLUMNS.pack(width, len(names) - 1),
            steps.astype(f"<i{width}").tobytes(),
            np.array([len(name) for name in names], "<u2").tobytes(),
            np.array(indices, "<u2").tobytes(),
            flags,
            np.array([len(payload) for payload in payloads], "<u4").tobytes(),
            *names,
            *payloads,
        )
    )
    packed = zstandard.ZstdCompressor(level=LEVEL).compress(raw)
    start = BLOCK.pack(BLOCK_MAGIC, len(times), len(raw), len(packed), earliest, latest, zlib.crc32(packed), 0)[:-4]
    return b"".join((start, zlib.crc32(start).to_bytes(4, "little"), packed))


@lru_cache(maxsize=65_536)
def _encode_topic(topic: str) -> bytes:
    try:
        name = topic.encode()
    except UnicodeEncodeError:
        name = b""
    if not 0 < len(name) <= MOST_TOPIC_BYTES:
        raise RecordingError(f"Topic: got {topic[:80]!r}, expected 1 to {MOST_TOPIC_BYTES} bytes of UTF-8.")
    return name


def flag_of(qos: int, retained: bool) -> int:
    """QoS and retain flag in one byte."""
    return qos | (RETAINED if retained else 0)


def decode_block_header(data: bytes) -> BlockHeader | None:
    """What the first BLOCK.size bytes say, or None where no block begins."""
    if len(data) < BLOCK.size or not data.startswith(BLOCK_MAGIC):
        return None
    _, messages, raw_bytes, packed_bytes, earliest, latest, body_checksum, checksum = BLOCK.unpack_from(data)
    if zlib.crc32(data[: BLOCK.size - 4]) != checksum:
        return None
    return BlockHeader(messages, raw_bytes, packed_bytes, earliest, latest, body_checksum)


def decode_block(header: BlockHeader, packed: bytes) -> RecordedBlock:
    """The messages of a block.

    Raises ValueError when it is damaged, or does not keep to the format.
    """
    if len(packed) != header.packed_bytes or zlib.crc32(packed) != header.checksum:
        raise ValueError("its checksum is wrong")
    n = header.messages
    if not 0 < n <= MOST_BLOCK_MESSAGES or not 0 < header.raw_bytes <= MOST_RAW_BYTES:
        raise ValueError(f"it claims {n} messages of {header.raw_bytes} bytes")
    try:
        if zstandard.frame_content_size(packed) != header.raw_bytes:
            raise ValueError("its sizes differ")
        raw = zstandard.ZstdDecompressor().decompress(packed)
        width, last_topic = _COLUMNS.unpack_from(raw)
        if width not in (1, 2, 4, 8):
            raise ValueError(f"its times are {width} bytes wide")
        columns = _Columns(raw, _COLUMNS.size)
        at_us = header.earliest_us + np.cumsum(columns.take(f"<i{width}", n), dtype=np.int64)
        name_bytes = columns.take("<u2", last_topic + 1)
        indices = columns.take("<u2", n)
        flags = columns.take("u1", n)
        payload_bytes = columns.take("<u4", n)
        names = [name.decode() for name in columns.slices(name_bytes)]
        payloads = columns.slices(payload_bytes)
        topics = [names[index] for index in indices.tolist()]
    except (zstandard.ZstdError, struct.error, IndexError, UnicodeDecodeError) as exc:
        raise ValueError(f"it is whole and does not keep to the format: {exc}") from None
    qos: NDArray[np.uint8] = (flags & _QOS).astype(np.uint8)
    if columns.at != len(raw) or (qos > 2).any():
        raise ValueError("it is whole and does not keep to the format")
    return RecordedBlock(at_us, topics, payloads, qos, (flags & RETAINED) > 0)


class _Columns:
    """Columns one behind the other."""

    def __init__(self, raw: bytes, at: int) -> None:
        self._raw, self.at = raw, at

    def take(self, kind: str, count: int) -> NDArray[Any]:
        """`count` numbers. Raises ValueError where there are fewer."""
        column: NDArray[Any] = np.frombuffer(self._raw, kind, count, self.at)
        self.at += column.nbytes
        return column

    def slices(self, sizes: NDArray[Any]) -> list[bytes]:
        """Stretches of these sizes."""
        ends = self.at + np.cumsum(sizes, dtype=np.int64)
        raw, begin, parts = self._raw, self.at, []
        for end in ends.tolist():
            parts.append(raw[begin:end])
            begin = end
        self.at = begin
        return parts
