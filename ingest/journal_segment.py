"""A segment of the journal: one file that one process writes, and what a crash or a bad disk may have done to it."""

import os
import re
from pathlib import Path

from ingest.journal_files import sync, sync_directory, write_all, write_whole
from ingest.journal_format import (
    HEADER,
    MARK_BYTES,
    Damage,
    Frame,
    Header,
    Magic,
    decode_header,
    encode_header,
    read_next,
)
from roadtwin.telemetry import JOURNAL_DAMAGED_BYTES, JOURNAL_LOST, JOURNAL_TORN_BYTES, get_logger

log = get_logger(__name__)

COPY_BYTES = 1 << 20
_NAME = re.compile(r"\d{16}\.journal")


class NotSyncedError(OSError):
    """The disk did not confirm a write. What was written counts as not written, and so does a later fsync's success."""


class Segment:
    """A segment file and where we are in it.

    `end` is where its last good frame ends, `offset` where the next one to be loaded begins, `expected` the least
    number that this can have, `unread` how many messages that are not committed follow, `size` how many bytes it takes
    on disk. `last_sequence`, after a scan, is the number after its last message. Nothing may be appended to a segment
    that is not `usable`: those of former processes never are.
    """

    def __init__(self, path: Path, header: Header, limit: int | None = None, *, headless: bool = False) -> None:
        self.path = path
        self.header = header
        self.headless = headless
        self.usable = False
        self.expected = self.last_sequence = header.sequence
        self.size = self.end = self.offset = self.unread = 0
        self._limit = limit  # from this number on a later segment counts: what is here was never reported as written
        self._file = -1
        self._known_damage: set[int] = set()  # where it begins
        self._keep = False

    @classmethod
    def create(cls, path: Path, header: Header) -> "Segment":
        """A new file, empty until the first write. Raises OSError."""
        segment = cls(path, header)
        segment._file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        segment.usable = True
        return segment

    @classmethod
    def recover(cls, path: Path, header: Header, limit: int | None, *, headless: bool) -> "Segment":
        """A file that another process left; `headless` when its own header is damaged. Raises OSError."""
        segment = cls(path, header, limit, headless=headless)
        segment.size = segment.end = path.stat().st_size
        segment.offset = 0 if headless else HEADER.size
        return segment

    def write(self, frames: bytes, messages: int) -> None:
        """Append `frames`; when this returns they are durable.

        Raises OSError when they could not be written, and NotSyncedError when the disk did not confirm them. Either way
        they are cut off again; where that fails too, or nothing was confirmed, the segment is not usable any more.
        """
        new = self.end == 0
        data = encode_header(Magic.SEGMENT, self.header) + frames if new else frames
        try:
            write_all(self._file, data, self.end)
        except BaseException:
            self._cut_back()
            raise
        try:
            sync(self._file)
            if new:
                sync_directory(self.path.parent)
        except OSError as exc:
            self._cut_back()
            self.usable = (
                False  # pages that failed to be written are marked clean: the next fsync would say all is well
            )
            raise NotSyncedError(exc.errno, exc.strerror) from exc
        if new:
            self.offset = HEADER.size
        self.end += len(data)
        self.size = self.end
        self.unread += messages

    def _cut_back(self) -> None:
        try:
            os.ftruncate(self._file, self.end)
            sync(self._file)
            self.size = self.end
        except OSError as exc:
            log.exception("a failed write cannot be cut off", action="journal_cut_failed", error=str(exc))
            self.usable = False
            self.size = os.fstat(self._file).st_size

    def scan(self, position: int, *, cut_tail: bool = False) -> int:
        """Check all frames from `offset` on and count messages from number `position` on; set damage aside.

        `cut_tail`: cut off what follows the last good frame, as a crash while writing leaves it. Returns the bytes that
        were set aside. Raises OSError.
        """
        self.unread, offset, expected, aside = 0, self.offset, self.expected, 0
        damage: Damage | None = None
        while (found := read_next(self._descriptor(), offset, self.end, self.header.mark, expected)) is not None:
            offset = found.end
            if isinstance(found, Damage):
                damage = found
                self._known_damage.add(found.offset)
                continue
            if self._limit is not None and found.sequence >= self._limit:
                self.end = found.offset
                break
            if damage is not None and found.sequence > position:
                lost = found.sequence - max(expected, position) if damage.offset or expected else None
                aside += self._put_aside(damage, lost)
            damage = None
            expected = found.sequence + found.messages
            fresh = min(expected - position, found.messages)
            if fresh > 0:
                self.unread += fresh
            else:
                self.offset, self.expected = found.end, expected
        if damage is not None:
            if cut_tail and (damage.offset > 0 or self.size <= HEADER.size):
                self._cut_tail(damage)
            elif self._limit is None or self._limit > max(expected, position):
                lost = None if self._limit is None else self._limit - max(expected, position)
                aside += self._put_aside(damage, lost)
        self.last_sequence = expected
        return aside

    def load(self, position: int) -> tuple[Frame | None, int]:
        """The next frame that holds messages from `position` on, and the bytes of damage set aside on the way to it.

        Raises OSError.
        """
        aside = 0
        while self.unread:
            found = read_next(self._descriptor(), self.offset, self.end, self.header.mark, self.expected)
            if isinstance(found, Frame):
                self.offset, self.expected = found.end, found.sequence + found.messages
                fresh = min(self.expected - position, found.messages)
                if fresh <= 0:
                    continue
                self.unread -= fresh
                return found, aside
            if isinstance(found, Damage) and found.offset in self._known_damage:
                self.offset = found.end
            else:  # it was whole when we opened the journal
                aside += self.scan(max(position, self.expected))
        return None, aside

    def _descriptor(self) -> int:
        if self._file < 0:
            self._file = os.open(self.path, os.O_RDWR | os.O_CLOEXEC)
        return self._file

    def close(self) -> None:
        """Close the file; it opens again when it is needed."""
        if self._file >= 0:
            os.close(self._file)
            self._file = -1

    def remove(self) -> int:
        """Delete the file, or keep it under another name where damage could not be copied out of it.

        Returns the bytes that stay on disk. Raises OSError.
        """
        self.close()
        if self._keep:
            self.path.rename(self.path.with_suffix(".damaged"))
            return self.size
        self.path.unlink(missing_ok=True)
        return 0

    def _cut_tail(self, damage: Damage) -> None:
        log.warning(
            "the journal ends in a torn record, as a crash leaves it; it is cut off",
            action="journal_torn_tail",
            segment=self.path.name,
            offset=damage.offset,
            torn_bytes=damage.end - damage.offset,
        )
        JOURNAL_TORN_BYTES.inc(damage.end - damage.offset)
        os.ftruncate(self._descriptor(), damage.offset)
        sync(self._descriptor())
        self.size = self.end = damage.offset

    def _put_aside(self, damage: Damage, lost: int | None) -> int:
        """Copy a damaged stretch to a file beside the segment; the bytes that it takes there."""
        copy = self.path.with_suffix(f".{damage.offset}.damaged")
        if copy.exists():
            return 0
        size = damage.end - damage.offset
        log.error(
            "the journal is damaged; what can be read before and after is kept",
            action="journal_damaged",
            segment=self.path.name,
            offset=damage.offset,
            damaged_bytes=size,
            lost_messages=lost,  # None: nothing follows that could tell
            set_aside=copy.name,
        )
        JOURNAL_DAMAGED_BYTES.inc(size)
        JOURNAL_LOST.inc(lost or 0)
        try:
            chunks = (
                os.pread(self._descriptor(), min(COPY_BYTES, damage.end - at), at)
                for at in range(damage.offset, damage.end, COPY_BYTES)
            )
            write_whole(copy, chunks)
        except OSError as exc:
            self._keep = True
            log.exception(
                "the damage cannot be copied; the whole segment is kept once it is drained",
                action="journal_damage_not_copied",
                segment=self.path.name,
                error=str(exc),
            )
            return 0
        return size


def find_segments(directory: Path, mark: bytes | None) -> list[Segment]:
    """The segments in a directory in the order they were written, not scanned yet.

    `mark` is for such whose header is damaged. Raises OSError, and JournalError for a file of another version.
    """
    paths = sorted(path for path in directory.iterdir() if _NAME.fullmatch(path.name))
    headers = [_read_header(path) for path in paths]
    known = [header.mark for header in headers if header is not None]
    mark = known[-1] if known else mark or bytes(MARK_BYTES)
    segments: list[Segment] = []
    limit: int | None = None
    for path, header in zip(reversed(paths), reversed(headers), strict=True):
        segments.append(Segment.recover(path, header or Header(0, mark), limit, headless=header is None))
        limit = header.sequence if header is not None else limit
    return segments[::-1]


def _read_header(path: Path) -> Header | None:
    with path.open("rb") as file:
        return decode_header(Magic.SEGMENT, file.read(HEADER.size), str(path))
