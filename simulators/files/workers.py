"""Tasks on one world, in this process or in several: what they make must not depend on which."""

import pickle
import signal
import time
import traceback
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from typing import Any

from roadtwin.errors import SimulationError
from simulators.world import World

MAX_JOBS = 64
_TOLD_EVERY_S = 0.2

Progress = Callable[[str, float], None]
"""Called with the name of a phase and the part of it that is done, 0 to 1."""


@dataclass(frozen=True, slots=True)
class Task:
    """A part of a phase; `weight` is its share of the phase, in any unit.

    `job` is called with the world and what it calls with the part that is done, 0 to 1. It is a function of a module
    or a `functools.partial` of one, so that it reaches another process.
    """

    phase: str
    weight: float
    job: Callable[[World, Callable[[float], None]], Any]


def run_tasks(
    world: World, tasks: Sequence[Task], *, jobs: int, on_progress: Progress | None = None
) -> Iterator[tuple[int, Any]]:
    """Number and result of each task, as they become ready; they begin in their order.

    Parameters
    ----------
    jobs : int
        Processes, 1 to 64: with one, everything runs in this one. Others get a copy of the world without what was
        made from it, and are ended when the iterator is closed.

    Raises
    ------
    SimulationError
        If `jobs` is out of range, a task raises it, or a process ends unexpectedly. Other exceptions of a task too.
    """
    if not 1 <= jobs <= MAX_JOBS:
        raise SimulationError(f"Jobs: got {jobs}, expected 1 to {MAX_JOBS}.")
    progress = _PhaseProgress(tasks, on_progress)
    if min(jobs, len(tasks)) <= 1:
        for number, task in enumerate(tasks):
            yield number, task.job(world, partial(progress.tell, number))
            progress.tell(number, 1.0)
        return
    yield from _in_processes(world, tasks, min(jobs, len(tasks)), progress)


class _PhaseProgress:
    def __init__(self, tasks: Sequence[Task], on_progress: Progress | None) -> None:
        self._tasks, self._on_progress = tasks, on_progress
        self._parts = [0.0] * len(tasks)

    def tell(self, number: int, part: float) -> None:
        self._parts[number] = part
        if self._on_progress is not None:
            phase = self._tasks[number].phase
            members = [(task.weight, part) for task, part in zip(self._tasks, self._parts, strict=True)
                       if task.phase == phase]  # fmt: skip
            whole = sum(weight for weight, _ in members)
            self._on_progress(phase, sum(weight * part for weight, part in members) / whole)


@dataclass(frozen=True, slots=True)
class _Worker:
    process: BaseProcess
    connection: Connection


def _in_processes(
    world: World, tasks: Sequence[Task], jobs: int, progress: _PhaseProgress
) -> Iterator[tuple[int, Any]]:
    copy = pickle.dumps(replace(world, kept={}), pickle.HIGHEST_PROTOCOL)
    waiting = deque(enumerate(tasks))
    workers: list[_Worker] = []
    try:
        workers += [_start(copy) for _ in range(jobs)]
        busy = {worker.connection: worker for worker in workers}
        for worker in workers:
            worker.connection.send(waiting.popleft())
        while busy:
            for ready in wait(list(busy)):
                assert isinstance(ready, Connection)
                number, is_done, value = _receive(busy[ready])
                if not is_done:
                    progress.tell(number, value)
                    continue
                if waiting:
                    ready.send(waiting.popleft())
                else:
                    del busy[ready]
                progress.tell(number, 1.0)
                yield number, value
    finally:
        for worker in workers:
            worker.connection.close()
            worker.process.terminate()
        for worker in workers:
            worker.process.join()


def _start(copy: bytes) -> _Worker:
    # Spawned: a fork would take our threads' locks along, and is not to be had everywhere.
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_work, args=(theirs, copy), name="simulate", daemon=True)
    process.start()
    theirs.close()
    return _Worker(process, ours)


def _receive(worker: _Worker) -> tuple[int, bool, Any]:
    try:
        number, is_done, value = worker.connection.recv()
    except (EOFError, OSError):
        worker.process.join()
        raise SimulationError(
            f"A process of the simulation ended unexpectedly (exit code {worker.process.exitcode}): "
            "out of memory, or stopped by somebody."
        ) from None
    if isinstance(value, BaseException):
        raise value
    return number, is_done, value


def _work(connection: Connection, copy: bytes) -> None:
    """Do what comes until nothing does any more. Ctrl-C is for the process that started us; it ends us."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    world: World = pickle.loads(copy)  # noqa: S301 - from our own parent
    told = 0.0

    def tell(number: int, part: float) -> None:
        nonlocal told
        if time.monotonic() - told > _TOLD_EVERY_S:
            told = time.monotonic()
            connection.send((number, False, part))

    while True:
        try:
            number, task = connection.recv()
        except (EOFError, OSError):
            return
        try:
            value = task.job(world, partial(tell, number))
        except Exception as exc:  # noqa: BLE001 - it is raised where the result is waited for
            exc.add_note(traceback.format_exc())
            value = exc
        try:
            connection.send((number, True, value))
        except OSError:  # nobody is there any more to tell
            return
