"""How far a replay has come, kept in a file, so that another run can go on from there."""

from pathlib import Path

import msgspec

from ingest.journal_files import write_whole
from ingest.recording import RecordingInfo
from roadtwin.errors import ReplayError

VERSION = 1


class FileMark(msgspec.Struct, frozen=True):
    """Which recording: its name, where it begins, and how much of it there was."""

    name: str
    earliest_us: int | None
    messages: int


class ReplayState(msgspec.Struct, frozen=True):
    """The first `position` messages of these files, cut to the period, are confirmed. `shift_s` moves all times [s]."""

    files: tuple[FileMark, ...]
    since_us: int | None
    until_us: int | None
    shift_s: int
    position: int = 0
    finished: bool = False
    version: int = VERSION

    def check(self, other: "ReplayState", path: Path) -> None:
        """Raise ReplayError unless `other`, what is asked for now, is the same replay (a recording may have grown)."""
        same_files = len(self.files) == len(other.files) and all(
            (mine.name, mine.earliest_us) == (now.name, now.earliest_us) and now.messages >= mine.messages
            for mine, now in zip(self.files, other.files, strict=False)
        )
        if not same_files:
            raise ReplayError(f"{path} is of a replay of other recordings: {', '.join(f.name for f in self.files)}.")
        if (self.since_us, self.until_us) != (other.since_us, other.until_us):
            raise ReplayError(f"{path} is of a replay with other times in --from and --until.")


def mark_of(info: RecordingInfo) -> FileMark:
    """What a state remembers of a recording."""
    return FileMark(info.path.name, info.earliest_us, info.messages)


def read_state(path: Path) -> ReplayState | None:
    """The state in this file; None where there is none yet. Raises ReplayError when it is something else."""
    try:
        state = msgspec.json.decode(path.read_bytes(), type=ReplayState)
    except FileNotFoundError:
        return None
    except OSError as exc:
        raise ReplayError(f"{path}: cannot be read: {exc.strerror}.") from None
    except (msgspec.MsgspecError, UnicodeDecodeError) as exc:
        raise ReplayError(f"{path} is no state of a replay: {exc}.") from None
    if state.version != VERSION:
        raise ReplayError(f"{path} has version {state.version}, this version of Roadtwin reads {VERSION}.")
    return state


def write_state(path: Path, state: ReplayState) -> None:
    """Write it so that a crash leaves the one before or this one. Raises ReplayError."""
    try:
        write_whole(path, [msgspec.json.encode(state)])
    except OSError as exc:
        raise ReplayError(f"{path}: cannot be written: {exc.strerror}.") from None
