"""Worker processes of one ingester: started, started again when they die, and stopped together.

A worker that ends with REFUSED_CODE says that starting it again will not help, and why, through a pipe; then all stop.
"""

import os
import subprocess
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self

from roadtwin.errors import WorkerNotRetiredError, WorkerRefusedError
from roadtwin.telemetry import RUNNING_WORKERS, WORKER_RESTARTS, get_logger

log = get_logger(__name__)

REFUSED_CODE = 3
"""Exit code of a worker that was asked for something that cannot be."""
STOP_S = 30.0
"""How long workers may take to store what they received [s]; then they are killed, which loses nothing."""
FIRST_DELAY_S = 0.5
MOST_DELAY_S = 30.0
QUICK_S = 10.0
"""A worker that ran for at least this long was well [s]."""
QUICK_ENDS_MOST = 6
"""So many quick ends in a row: it does not get better by being started again."""
RETIRE_PATIENCE_S = 60.0
"""How long new workers wait for those before them to be retired [s]; a long drain goes on beside them."""
POLL_S = 0.1

Command = Callable[[str, int], Sequence[str]]
"""Command line of the worker of this name; it writes why it refuses to the file descriptor given."""


class Process:
    """One child process, in a session of its own, so that Ctrl-C reaches only us and we decide what it means."""

    def __init__(self, name: str, command: Command, env: Mapping[str, str]) -> None:
        self.name = name
        self._reason_fd, write_fd = os.pipe()
        try:
            self._process = subprocess.Popen(
                command(name, write_fd),
                stdin=subprocess.DEVNULL,
                env={**os.environ, **env},
                pass_fds=(write_fd,),
                start_new_session=True,
            )
        except BaseException:
            os.close(self._reason_fd)
            raise
        finally:
            os.close(write_fd)
        self.started_s = time.monotonic()

    def poll(self) -> int | None:
        """Exit code, negative for a signal; None while it runs."""
        return self._process.poll()

    def terminate(self) -> None:
        """Ask it to end."""
        if self._process.poll() is None:
            self._process.terminate()

    def end(self, within_s: float) -> int:
        """Wait for its end and give its exit code; kill it when it takes longer."""
        try:
            return self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            log.warning("a worker did not stop in time and is killed", action="worker_killed", worker=self.name)
            self._process.kill()
            return self._process.wait()

    def reason(self) -> str:
        """Why it refused; once, after its end."""
        with os.fdopen(self._reason_fd, encoding="utf-8", errors="replace") as pipe:
            return pipe.read().strip()


def end_all(processes: Sequence[Process], within_s: float = STOP_S) -> None:
    """Ask all to end at once, and wait."""
    for process in processes:
        process.terminate()
    deadline_s = time.monotonic() + within_s
    for process in processes:
        process.end(max(0.1, deadline_s - time.monotonic()))
        if reason := process.reason():
            log.warning("a worker refused before it ended", action="worker_refused", worker=process.name, reason=reason)


@dataclass(slots=True)
class _Worker:
    name: str
    process: Process | None = None
    due_s: float = field(default_factory=time.monotonic)
    quick_ends: int = 0
    well: bool = True


class Supervisor:
    """Keeps workers running until `stop` is set."""

    def __init__(self, names: Sequence[str], command: Command, env: Mapping[str, str], stop: threading.Event) -> None:
        self._workers = [_Worker(name) for name in names]
        self._command = command
        self._env = env
        self._stop = stop

    def run(self) -> None:
        """Return when told to stop and all have ended. Raises WorkerRefusedError; all others are stopped then, too."""
        try:
            while not self._stop.is_set():
                for worker in self._workers:
                    self._look_after(worker)
                RUNNING_WORKERS.set(sum(worker.process is not None for worker in self._workers))
                self._stop.wait(POLL_S)
        finally:
            end_all([worker.process for worker in self._workers if worker.process is not None])
            RUNNING_WORKERS.set(0)

    def _look_after(self, worker: _Worker) -> None:
        if worker.process is None:
            if time.monotonic() >= worker.due_s:
                worker.process = Process(worker.name, self._command, self._env)
            return
        code = worker.process.poll()
        lived_s = time.monotonic() - worker.process.started_s
        if code is not None:
            reason, worker.process = worker.process.reason(), None
            self._note_end(worker, code, reason, lived_s)
        elif not worker.well and lived_s > QUICK_S:
            worker.well, worker.quick_ends = True, 0
            log.info("a worker runs again", action="worker_runs", worker=worker.name)

    def _note_end(self, worker: _Worker, code: int, reason: str, lived_s: float) -> None:
        if code == REFUSED_CODE:
            raise WorkerRefusedError(
                f"Worker {worker.name} refused to run, so all were stopped: {reason or 'no reason.'}"
            )
        WORKER_RESTARTS.inc()
        worker.quick_ends = worker.quick_ends + 1 if lived_s <= QUICK_S else 0
        if worker.quick_ends >= QUICK_ENDS_MOST:
            raise WorkerRefusedError(
                f"Worker {worker.name} ended {worker.quick_ends} times in a row within {QUICK_S:.0f} s of its start, "
                f"the last time {_described(code)}, so all were stopped; the log says why. {reason}".rstrip()
            )
        worker.due_s = time.monotonic() + min(FIRST_DELAY_S * 2 ** max(worker.quick_ends - 1, 0), MOST_DELAY_S)
        if worker.well:
            log.warning(
                "a worker ended by itself and is started again",
                action="worker_ended",
                worker=worker.name,
                how=_described(code),
                reason=reason or None,
            )
        worker.well = False


class Retirement:
    """Commands that retire workers, all at once; leaving the context ends those that are not done."""

    def __init__(self, names: Sequence[str], command: Command, env: Mapping[str, str]) -> None:
        self._running = [Process(name, command, env) for name in names]

    def wait(self, stop: threading.Event, *, patience_s: float = RETIRE_PATIENCE_S) -> None:
        """Return when all have ended, after `patience_s`, or when `stop` is set.

        One that failed on the way is left for later, with a warning. Raises WorkerNotRetiredError when one refuses.
        """
        deadline_s = time.monotonic() + patience_s
        while self._running and not stop.wait(POLL_S):
            for process in [process for process in self._running if process.poll() is not None]:
                self._running.remove(process)
                code, reason = process.end(0), process.reason()
                if code == REFUSED_CODE:
                    raise WorkerNotRetiredError(
                        f"Worker {process.name} is superfluous and cannot be retired: {reason or 'the log says why.'}"
                    )
                if code != 0:
                    log.warning(
                        "a worker is not retired yet: the broker goes on keeping messages for it",
                        action="worker_not_retired",
                        worker=process.name,
                        how=_described(code),
                        reason=reason or None,
                        remedy=f"roadtwin ingest --retire {process.name}",
                    )
            if self._running and time.monotonic() > deadline_s:
                names = [process.name for process in self._running]
                log.warning("retiring takes long, it goes on beside", action="workers_retiring_long", workers=names)
                return

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, exc_type: type[BaseException] | None, exc: BaseException | None, traceback: TracebackType | None
    ) -> None:
        end_all(self._running)


def _described(code: int) -> str:
    return f"by signal {-code}" if code < 0 else f"with exit code {code}"
