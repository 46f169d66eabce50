"""What the journal asks of a file system: whole files, confirmed writes, and a directory for one process."""

import fcntl
import os
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from roadtwin.errors import JournalLockedError

LOCK_FILE = "lock"


def make_directory(directory: Path) -> None:
    """Make the directory for its owner only, and make sure that it is there after a crash. Raises OSError."""
    missing = [path for path in (directory, *directory.parents) if not path.exists()]
    for path in reversed(missing):
        path.mkdir(mode=0o700 if path == directory else 0o777, exist_ok=True)
        sync_directory(path.parent)


def lock_directory(directory: Path) -> int:
    """The lock file: the directory is ours until it is closed, which the end of a process does too.

    Raises JournalLockedError and OSError.
    """
    file = os.open(directory / LOCK_FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(file)
        raise JournalLockedError(
            f"Another process has the journal in {directory}. Each ingester needs a client id of its own "
            "(ROADTWIN_MQTT_CLIENT_ID)."
        ) from None
    except BaseException:
        os.close(file)
        raise
    return file


def sync(file: int) -> None:
    """Wait until the disk has the content of a file. Raises OSError."""
    if hasattr(os, "fdatasync"):  # not on macOS
        os.fdatasync(file)
    else:
        os.fsync(file)


def sync_directory(directory: Path) -> None:
    """Wait until the disk has the names in a directory. Raises OSError."""
    file = os.open(directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)


def write_whole(path: Path, chunks: Iterable[bytes]) -> None:
    """Write a file so that it is there whole or not at all, also after a crash. Raises OSError."""
    draft = path.with_name(path.name + ".draft")
    file = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    try:
        offset = 0
        for chunk in chunks:
            write_all(file, chunk, offset)
            offset += len(chunk)
        sync(file)
    except BaseException:
        with suppress(OSError):  # the error above is the one to tell
            draft.unlink()
        raise
    finally:
        os.close(file)
    draft.replace(path)


def write_all(file: int, data: bytes, offset: int) -> None:
    """Write all of `data` at `offset`, or a part of it and raise OSError."""
    view = memoryview(data)
    while view:
        written = os.pwrite(file, view, offset)
        view, offset = view[written:], offset + written
