"""Child processes of one command: started with their log file, watched, and stopped in order."""

import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from os import environ, getpid
from pathlib import Path
from types import TracebackType
from typing import Self

from roadtwin.errors import DemoError

_LAST_LINES = 5


@dataclass(frozen=True, slots=True)
class Child:
    """A running `roadtwin` sub-command."""

    name: str
    process: subprocess.Popen[bytes]
    log_file: Path

    def last_words(self) -> str:
        """The last lines of its log."""
        return "\n".join(self.log_file.read_text("utf-8", errors="replace").splitlines()[-_LAST_LINES:])


class ProcessGroup:
    """Starts children, says which one died, and stops them in the order of their starting, last one first.

    A child leads a session of its own, so that Ctrl-C reaches only us and we decide the order; it ends by itself when
    we are killed (`roadtwin --with-parent`).
    """

    def __init__(self, *, log_dir: Path, env: Mapping[str, str]) -> None:
        self._log_dir = log_dir
        self._env = {**environ, **env}
        self._children: list[Child] = []

    def start(self, name: str, arguments: Sequence[str]) -> Child:
        """Run `roadtwin <arguments>` with its output in `<log_dir>/<name>.log`."""
        self._log_dir.mkdir(parents=True, exist_ok=True)
        log_file = self._log_dir / f"{name}.log"
        with log_file.open("wb") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "roadtwin.cli.main", "--with-parent", str(getpid()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )
        child = Child(name, process, log_file)
        self._children.append(child)
        return child

    def check(self) -> None:
        """Raise DemoError with the last lines of its log if a child has ended by itself."""
        for child in self._children:
            code = child.process.poll()
            if code is not None:
                raise DemoError(
                    f"The {child.name} process ended with code {code}; its log {child.log_file} ends with:\n"
                    f"{child.last_words()}"
                )

    def stop(self, *names: str, timeout_s: float = 20) -> None:
        """Ask the named children (all, without names) to end, newest first; kill one that has not after `timeout_s`."""
        for child in reversed([c for c in self._children if not names or c.name in names]):
            if child.process.poll() is None:
                child.process.terminate()
                deadline = time.monotonic() + timeout_s
                while child.process.poll() is None and time.monotonic() < deadline:
                    time.sleep(0.05)
                if child.process.poll() is None:
                    child.process.kill()
            child.process.wait()
            self._children.remove(child)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()
