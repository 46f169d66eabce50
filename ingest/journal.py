"""The journal: where messages go, fsynced, while the database is away and the broker can hold no more of them.

What it guarantees and what its files look like is in docs/reference/journal.md. journal_format.py makes and reads the
bytes, journal_segment.py a file.
"""

import errno
import os
import secrets
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from urllib.parse import quote

from ingest.journal_files import lock_directory, make_directory, write_whole
from ingest.journal_format import (
    HEADER,
    MARK_BYTES,
    Header,
    Magic,
    decode_frame,
    decode_header,
    encode_frames,
    encode_header,
)
from ingest.journal_segment import NotSyncedError, Segment, find_segments
from ingest.received import Received
from roadtwin.errors import JournalError, JournalFullError
from roadtwin.settings import Settings
from roadtwin.telemetry import (
    JOURNAL_APPENDED,
    JOURNAL_BYTES,
    JOURNAL_DRAINED,
    JOURNAL_MESSAGES,
    JOURNAL_OLDEST_AGE_SECONDS,
    get_logger,
)

log = get_logger(__name__)

READ_BYTES = 16 << 20
"""Reading stops loading frames once this much is in memory [B]; the last frame goes beyond it by its own size."""
POSITION_FILE = "position"


def journal_directory(settings: Settings) -> Path:
    """Where this client id's journal is: each has a directory of its own, for one process at a time."""
    parent = settings.journal_dir if settings.journal_dir is not None else settings.data_dir / "journal"
    return parent / quote(settings.mqtt_client_id, safe="").replace(".", "%2E")


def open_journal(settings: Settings) -> "Journal | None":
    """The open journal of the settings, or None where `journal_max_mib` is 0.

    Raises JournalError and JournalLockedError.
    """
    if settings.journal_max_mib == 0:
        return None
    journal = Journal(journal_directory(settings), max_bytes=settings.journal_max_mib << 20)
    journal.open()
    return journal


def now() -> datetime:
    """The time that the age of the oldest message is counted to."""
    return datetime.now(UTC)


@dataclass(slots=True)
class _Loaded:
    """A frame in memory; `start` of its messages are committed."""

    segment: Segment
    sequence: int
    items: list[Received]
    size: int
    start: int = 0


class Journal:
    """Messages on disk, in order, bounded, for one thread of one process.

    `max_bytes` bounds all its files together [B]; `segment_bytes` is where a new file is begun [B].
    """

    def __init__(
        self,
        directory: Path,
        *,
        max_bytes: int,
        segment_bytes: int = 64 << 20,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._directory = directory
        self._max_bytes = max_bytes
        self._segment_bytes = segment_bytes
        self._clock = clock
        self._lock = -1
        self._mark = b""
        self._number = 0  # of the latest segment
        self._position = 0  # number of the first message that is not committed
        self._next = 0  # number of the next message to be appended
        self._segments: deque[Segment] = deque()
        self._active: Segment | None = None
        self._loaded: deque[_Loaded] = deque()
        self._damaged_bytes = 0
        self._position_unsaved = False
        self._oldest: datetime | None = None

    def open(self) -> None:
        """Take the directory, check every record, cut a torn tail off and set damage aside.

        Raises JournalLockedError when another process (or another Journal of this one) has it, and JournalError when it
        cannot be read or written or was written by another version.
        """
        with self._explained("opened"):
            make_directory(self._directory)
            self._lock = lock_directory(self._directory)
        try:
            with self._explained("read"):
                self._recover()
        except BaseException:
            self.close()
            raise
        JOURNAL_OLDEST_AGE_SECONDS.set_function(self._oldest_age_s)
        if self.depth_messages:
            log.info("messages wait in the journal", action="journal_found", messages=self.depth_messages)

    def _recover(self) -> None:
        path = self._directory / POSITION_FILE
        data = path.read_bytes() if path.exists() else None
        saved = None if data is None else decode_header(Magic.POSITION, data, str(path))
        segments = find_segments(self._directory, saved.mark if saved else None)
        whole = [segment.header for segment in segments if not segment.headless]
        if saved is not None and whole and saved.mark != whole[-1].mark:
            saved = None
        if saved is not None:
            self._mark, self._position = saved.mark, saved.sequence
        else:
            self._mark = whole[-1].mark if whole else secrets.token_bytes(MARK_BYTES)
            self._position = whole[0].sequence if whole and segments[0].header is whole[0] else 0
            if data is not None or segments:
                log.warning(
                    "the journal does not tell how far it was drained; it drains again from its oldest file",
                    action="journal_position_lost",
                )
        self._next = self._position
        for segment in segments:
            segment.expected = max(segment.expected, self._next if segment.headless else 0)
            segment.scan(self._position, cut_tail=segment is segments[-1])
            self._next = max(self._next, segment.last_sequence)
        self._segments.extend(segments)
        damaged = list(self._directory.glob("*.damaged"))
        self._damaged_bytes = sum(found.stat().st_size for found in damaged)
        # A number is not given twice while a file tells of it: damage set aside is known by the name of its segment.
        self._number = max((int(found.name[:16]) for found in (*damaged, *(s.path for s in segments))), default=0)
        self._remove_finished()
        if saved is None:
            self._save_position()
        self._export()

    def append(self, items: Sequence[Received]) -> None:
        """Write messages; when this returns they are durable. Nothing is kept of what acknowledges them.

        Raises JournalFullError when they would exceed the bound, and JournalError when the disk does not take them:
        in both cases none of them is in the journal.
        """
        self._check_open()
        if not items:
            return
        frames = b"".join(encode_frames(items, self._next, self._mark))
        with self._explained("written"):
            try:
                self._write(frames, len(items))
            except NotSyncedError as exc:
                log.warning(
                    "the disk did not confirm a write, trying again in a new file",
                    action="journal_not_synced",
                    error=str(exc),
                )
                self._write(frames, len(items))
        if self.depth_messages == len(items):
            self._oldest = items[0].recorded_at
        self._next += len(items)
        JOURNAL_APPENDED.inc(len(items))
        self._export()

    def _write(self, frames: bytes, messages: int) -> None:
        active = self._active
        if active is not None and active.end + len(frames) > self._segment_bytes:
            active = self._active = None
        needed = len(frames) + (HEADER.size if active is None else 0)
        if self.depth_bytes + needed > self._max_bytes:
            raise JournalFullError(
                f"The journal holds {self.depth_bytes} bytes, {needed} more would exceed its {self._max_bytes}. "
                "They stay with the broker. Bring the database back, or set ROADTWIN_JOURNAL_MAX_MIB higher."
            )
        if active is None:
            active = self._begin_segment()
        try:
            active.write(frames, messages)
        except BaseException:
            if not active.usable or active.end == 0:
                self._active = None
            if active.end == 0:
                self._remove(active)
            raise

    def _begin_segment(self) -> Segment:
        self._number += 1
        path = self._directory / f"{self._number:016d}.journal"
        self._active = Segment.create(path, Header(self._next, self._mark))
        self._segments.append(self._active)
        return self._active

    def read(self, most: int) -> list[Received]:
        """The oldest messages that are not committed, in order: up to `most`, and fewer where these are large.

        They cannot be acknowledged: they have QoS 0 and no packet id. Reading does not advance. Raises JournalError.
        """
        self._check_open()
        with self._explained("read"):
            self._load(most)
        items: list[Received] = []
        for loaded in self._loaded:
            items += loaded.items[loaded.start : loaded.start + most - len(items)]
            if len(items) >= most:
                break
        return items

    def _load(self, most: int) -> None:
        messages = sum(len(loaded.items) - loaded.start for loaded in self._loaded)
        size = sum(loaded.size for loaded in self._loaded)
        for segment in self._segments:
            while segment.unread and messages < most and size < READ_BYTES:
                frame, aside = segment.load(self._position)
                self._damaged_bytes += aside
                if frame is None:
                    break
                skip = max(self._position - frame.sequence, 0)
                self._loaded.append(
                    _Loaded(segment, frame.sequence + skip, decode_frame(frame)[skip:], len(frame.body))
                )
                messages += frame.messages - skip
                size += len(frame.body)
        self._note_oldest()

    def commit(self, count: int) -> None:
        """The first `count` messages are stored: go on after them. Files that are drained are deleted.

        After a crash at most what was committed last is read again. Raises JournalError when `count` is more than was
        read.
        """
        self._check_open()
        known = sum(len(loaded.items) - loaded.start for loaded in self._loaded)
        if not 0 <= count <= known:
            raise JournalError(f"Got {count} messages to commit, expected at most the {known} that were read.")
        left = count
        while left:
            head = self._loaded[0]
            taken = min(left, len(head.items) - head.start)
            head.start += taken
            left -= taken
            self._position = head.sequence + head.start
            if head.start == len(head.items):
                self._loaded.popleft()
        if count:
            self._remove_finished()
            self._save_position()
            JOURNAL_DRAINED.inc(count)
        self._export()

    @property
    def depth_messages(self) -> int:
        """Messages that are not committed."""
        loaded = sum(len(loaded.items) - loaded.start for loaded in self._loaded)
        return loaded + sum(segment.unread for segment in self._segments)

    @property
    def depth_bytes(self) -> int:
        """What the bound is about: bytes of all segments, drained records included, and of what is set aside."""
        return self._damaged_bytes + sum(segment.size for segment in self._segments)

    @property
    def oldest_recorded_at(self) -> datetime | None:
        """When the next message to be drained arrived; None when there is none. Raises JournalError."""
        self._check_open()
        with self._explained("read"):
            self._load(1)
        return self._oldest

    def close(self) -> None:
        """Let another process have the directory. What was appended is durable already."""
        for segment in self._segments:
            segment.close()
        self._segments.clear()
        self._loaded.clear()
        self._active = None
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1
            JOURNAL_OLDEST_AGE_SECONDS.set_function(lambda: 0.0)

    def _remove_finished(self) -> None:
        while self._segments:
            head = self._segments[0]
            if head.unread or (self._loaded and self._loaded[0].segment is head):
                return
            if head is self._active:
                self._active = None
            if not self._remove(head):
                return

    def _remove(self, segment: Segment) -> bool:
        try:
            self._damaged_bytes += segment.remove()
        except OSError as exc:  # tried again with the next commit; it holds nothing that is still needed
            log.warning(
                "a drained file cannot be deleted",
                action="journal_file_stays",
                segment=segment.path.name,
                error=str(exc),
            )
            return False
        self._segments.remove(segment)
        return True

    def _save_position(self) -> None:
        """Note how far we drained. A failure costs nothing but reading again what the database knows already."""
        header = Header(self._position, self._mark)
        try:
            write_whole(self._directory / POSITION_FILE, [encode_header(Magic.POSITION, header)])
        except OSError as exc:
            if not self._position_unsaved:
                log.warning("the journal's position cannot be saved", action="journal_position_unsaved", error=str(exc))
            self._position_unsaved = True
        else:
            if self._position_unsaved:
                log.info("the journal's position is saved again", action="journal_position_saved")
            self._position_unsaved = False

    def _note_oldest(self) -> None:
        """Until the next read after a commit, the last message committed stands for the one after it."""
        if self._loaded:
            self._oldest = self._loaded[0].items[self._loaded[0].start].recorded_at
        elif not self.depth_messages:
            self._oldest = None

    def _oldest_age_s(self) -> float:
        oldest = self._oldest  # another thread asks
        return 0.0 if oldest is None else max((self._clock() - oldest).total_seconds(), 0.0)

    def _export(self) -> None:
        self._note_oldest()
        JOURNAL_MESSAGES.set(self.depth_messages)
        JOURNAL_BYTES.set(self.depth_bytes)

    def _check_open(self) -> None:
        if self._lock < 0:
            raise JournalError(f"The journal in {self._directory} is not open.")

    @contextmanager
    def _explained(self, verb: str) -> Iterator[None]:
        try:
            yield
        except OSError as exc:
            name = errno.errorcode.get(exc.errno or 0, "unknown error")
            raise JournalError(
                f"The journal in {self._directory} cannot be {verb}: {name}, {exc.strerror or exc}. It needs a "
                "disk with free space and a directory that this user may write to (ROADTWIN_JOURNAL_DIR)."
            ) from exc
