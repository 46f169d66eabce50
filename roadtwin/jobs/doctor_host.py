"""This machine: the journal's disk, the pseudonym key, clock and open files. A thin probe, and rules that judge it."""

import contextlib
import ctypes
import os
import resource
import shutil
import stat
import sys
from dataclasses import dataclass
from pathlib import Path

from roadtwin.jobs.doctor_findings import Finding
from roadtwin.settings import Settings

KEY_FILE = "pseudonym.key"
OPEN_FILES_LEAST = 1024
_TIME_ERROR = 5  # adjtimex(2): the clock is not synchronised
_TIMEX_BYTES = 512  # struct timex has 208 on 64-bit Linux


@dataclass(frozen=True, slots=True)
class HostProbe:
    """What was seen of this machine. None means that it could not be seen, or is not there."""

    journal_dir: Path | None
    journal_writable: bool
    journal_free_bytes: int | None
    journal_used_bytes: int
    journal_most_bytes: int
    key_given: bool
    key_file: Path
    key_mode: int | None
    clock_synchronised: bool | None
    open_files: int


def probe_host(settings: Settings) -> HostProbe:
    """Look at this machine; changes and creates nothing."""
    journal_dir = _journal_dir(settings)
    place = _existing(journal_dir) if journal_dir is not None else None
    key_file = settings.data_dir / KEY_FILE
    return HostProbe(
        journal_dir=journal_dir,
        journal_writable=place is not None and place.is_dir() and os.access(place, os.W_OK | os.X_OK),
        journal_free_bytes=_free_bytes(place),
        journal_used_bytes=_used_bytes(journal_dir) if journal_dir is not None else 0,
        journal_most_bytes=settings.journal_max_mib << 20,
        key_given=settings.pseudonym_key is not None,
        key_file=key_file,
        key_mode=_mode(key_file),
        clock_synchronised=_clock_synchronised(),
        open_files=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
    )


def _journal_dir(settings: Settings) -> Path | None:
    """Folder of the journals, None where none is kept."""
    if settings.journal_max_mib == 0:
        return None
    return settings.journal_dir if settings.journal_dir is not None else settings.data_dir / "journal"


def _existing(path: Path) -> Path:
    """The path, or the nearest folder above it that is there: where it would be made."""
    while not path.exists() and path != path.parent:
        path = path.parent
    return path


def _free_bytes(place: Path | None) -> int | None:
    if place is None:
        return None
    try:
        return shutil.disk_usage(place).free
    except OSError:
        return None


def _used_bytes(directory: Path) -> int:
    """What the journals take already [B]; a file that goes while we look counts nothing."""
    used = 0
    for path in directory.rglob("*"):
        with contextlib.suppress(OSError):
            used += path.stat().st_size if path.is_file() else 0
    return used


def _mode(path: Path) -> int | None:
    try:
        return stat.S_IMODE(path.stat().st_mode)
    except OSError:
        return None


def _clock_synchronised() -> bool | None:
    """What the kernel says about its clock; None where it cannot be asked."""
    if not sys.platform.startswith("linux"):
        return None
    buffer = ctypes.create_string_buffer(_TIMEX_BYTES)  # modes = 0: only read
    state = ctypes.CDLL(None, use_errno=True).adjtimex(buffer)
    return None if state < 0 else state != _TIME_ERROR


def check_host(probe: HostProbe) -> list[Finding]:
    """Judge what was seen of this machine."""
    return [_journal_directory(probe), _key(probe), _clock(probe), _open_files(probe)]


def _journal_directory(probe: HostProbe) -> Finding:
    if probe.journal_dir is None:
        return Finding.warning(
            "journal-directory",
            "The journal is off: during an outage of the database only the broker's queue keeps what comes in.",
            "Set ROADTWIN_JOURNAL_MAX_MIB, for example to 4096.",
        )
    if not probe.journal_writable:
        return Finding.danger(
            "journal-directory",
            f"{probe.journal_dir} cannot be written to.",
            f"mkdir -p {probe.journal_dir}, for the user that runs `roadtwin ingest`; or set ROADTWIN_JOURNAL_DIR.",
        )
    if probe.journal_free_bytes is None:
        return Finding.unknown("journal-directory", f"The disk of {probe.journal_dir} tells no free space.", "df")
    free_mib, most_mib = probe.journal_free_bytes >> 20, probe.journal_most_bytes >> 20
    used_mib = probe.journal_used_bytes >> 20
    measured = f"{probe.journal_dir}: {free_mib} MiB free, {used_mib} of {most_mib} MiB taken by the journal."
    if probe.journal_free_bytes < probe.journal_most_bytes - probe.journal_used_bytes:
        return Finding.danger(
            "journal-directory",
            measured,
            f"Free the disk, or set ROADTWIN_JOURNAL_MAX_MIB={max((free_mib + used_mib) // 2, 1)}.",
        )
    return Finding.ok("journal-directory", measured)


def _key(probe: HostProbe) -> Finding:
    if probe.key_given:
        return Finding.ok("pseudonym-key", "Given by ROADTWIN_PSEUDONYM_KEY.")
    if probe.key_mode is None:
        return Finding.unknown(
            "pseudonym-key",
            f"{probe.key_file} is not there, or not to be seen; the ingester makes it on its first start.",
            "Run the doctor as the ingester's user, with its ROADTWIN_DATA_DIR.",
        )
    if probe.key_mode & 0o077:
        return Finding.warning(
            "pseudonym-key",
            f"{probe.key_file} has mode {probe.key_mode:04o}: others than its owner may get at it.",
            f"chmod 600 {probe.key_file}",
        )
    return Finding.ok("pseudonym-key", f"{probe.key_file} is for its owner only; keep a copy with your backups.")


def _clock(probe: HostProbe) -> Finding:
    if probe.clock_synchronised is None:
        return Finding.unknown("system-clock", "This system does not tell (adjtimex).", "timedatectl; chronyc tracking")
    if not probe.clock_synchronised:
        return Finding.warning(
            "system-clock",
            "The kernel says that its clock is not synchronised.",
            "Run chrony or systemd-timesyncd. Inside a container or a virtual machine: on its host.",
        )
    return Finding.ok("system-clock", "Synchronised, says the kernel.")


def _open_files(probe: HostProbe) -> Finding:
    unlimited = probe.open_files == resource.RLIM_INFINITY
    if not unlimited and probe.open_files < OPEN_FILES_LEAST:
        return Finding.warning(
            "open-files",
            f"A process here may open {probe.open_files} files.",
            f"ulimit -n {OPEN_FILES_LEAST}; systemd: LimitNOFILE={OPEN_FILES_LEAST}.",
        )
    return Finding.ok(
        "open-files", f"A process here may open {'any number of' if unlimited else probe.open_files} files."
    )
