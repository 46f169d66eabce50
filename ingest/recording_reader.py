"""Walking over the file of a recording: block by block, as far as a crash has left whole ones."""

import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from ingest.recording_format import (
    BLOCK,
    BLOCK_MAGIC,
    END,
    END_MAGIC,
    HEADER,
    MOST_DESCRIPTION_BYTES,
    BlockHeader,
    RecordedBlock,
    decode_block,
    decode_block_header,
    decode_description,
    decode_end,
    decode_header,
)
from roadtwin.errors import RecordingError

_SEARCH_BYTES = 1 << 20


@contextmanager
def open_recording(path: Path) -> Iterator["RecordingReader"]:
    """A reader at the first block. Raises RecordingError when the file cannot be read or is no recording."""
    try:
        with path.open("rb") as file:
            yield RecordingReader(path, file)
    except OSError as exc:
        raise RecordingError(f"{path}: cannot be read: {exc.strerror or exc}.") from None


class RecordingReader:
    """Walks over a file, block header by block header; the counts are those of the blocks walked over."""

    def __init__(self, path: Path, file: BinaryIO) -> None:
        self.path, self._file = path, file
        start = file.read(HEADER.size)
        size, checksum = decode_header(start, str(path))
        self.description = decode_description(start, file.read(min(size, MOST_DESCRIPTION_BYTES)), checksum, str(path))
        self.size = os.fstat(file.fileno()).st_size
        self.offset = file.tell()
        self.blocks = self.messages = 0
        self.complete = False
        self.torn_messages: int | None = None
        self._last: tuple[int, BlockHeader] | None = None  # where its body begins

    @property
    def torn_bytes(self) -> int:
        """What follows the last whole block and is no end."""
        return 0 if self.complete else self.size - self.offset

    def headers(self) -> Iterator[BlockHeader]:
        """The header of each whole block; counts them. Raises RecordingError for damage."""
        while self.offset < self.size:
            self._file.seek(self.offset)
            data = self._file.read(BLOCK.size)
            header = decode_block_header(data)
            end = self.offset + BLOCK.size + header.packed_bytes if header is not None else self.size + 1
            if header is not None and end <= self.size:
                before, self._last = self._last, (self.offset + BLOCK.size, header)
                if not self._begins(end) and not self.last_is_whole() and not self._follows(end):  # torn by a crash
                    self.torn_messages, self._last = header.messages, before
                    return
                self.offset = end
                self.blocks += 1
                self.messages += header.messages
                yield header
                continue
            if decode_end(data) == (self.blocks, self.messages) and self.offset + END.size == self.size:
                self.complete = True
                return
            if self._follows(self.offset + 1):
                raise RecordingError(
                    f"{self.path}: block {self.blocks + 1} (at byte {self.offset}, messages from number "
                    f"{self.messages + 1:,} on) is damaged: its header is not readable."
                )
            self.torn_messages = header.messages if header is not None else None
            return

    def load(self) -> RecordedBlock:
        """The block whose header was given last. Raises RecordingError when it is damaged."""
        at, header = self._the_last()
        self._file.seek(at)
        try:
            return decode_block(header, self._file.read(header.packed_bytes))
        except ValueError as exc:
            raise RecordingError(
                f"{self.path}: block {self.blocks} (at byte {at - BLOCK.size}, messages "
                f"{self.messages - header.messages + 1:,} to {self.messages:,}) is damaged: {exc}."
            ) from None

    def last_is_whole(self) -> bool:
        """The checksum of the block whose header was read last."""
        at, header = self._the_last()
        self._file.seek(at)
        return zlib.crc32(self._file.read(header.packed_bytes)) == header.checksum

    def _the_last(self) -> tuple[int, BlockHeader]:
        assert self._last is not None, "no header was read yet"
        return self._last

    def _begins(self, offset: int) -> bool:
        """Whether a block or the end begins there."""
        self._file.seek(offset)
        data = self._file.read(BLOCK.size)
        return decode_block_header(data) is not None or decode_end(data) is not None

    def _follows(self, offset: int) -> bool:
        """Whether a whole header of a block, or an end, is anywhere behind: then what precedes is no torn tail."""
        for magic in (BLOCK_MAGIC, END_MAGIC):
            at = offset
            while at < self.size:
                self._file.seek(at)
                window = self._file.read(_SEARCH_BYTES)
                found = window.find(magic)
                while found >= 0:
                    if self._begins(at + found):
                        return True
                    found = window.find(magic, found + 1)
                at += max(len(window) - len(magic) + 1, 1)
        return False
