"""Tasks in several processes: every result once, errors as they were raised, and no process left behind."""

import multiprocessing
import os
from functools import partial

import pytest

from roadtwin.errors import SimulationError
from simulators.files.workers import Task, run_tasks


def segments_times(world, on_progress, *, factor):
    on_progress(0.5)
    return len(world.segments) * factor, os.getpid()


def failing(_world, _on_progress):
    raise ValueError("this task fails")


def dying(_world, _on_progress):
    os._exit(7)


def tasks_of(*jobs):
    return [Task("phase", 1.0, job) for job in jobs]


@pytest.mark.parametrize("jobs", [1, 2])
def test_every_task_gives_its_result_once(small_world, jobs):
    told = []
    tasks = tasks_of(*(partial(segments_times, factor=factor) for factor in range(5)))

    results = dict(run_tasks(small_world, tasks, jobs=jobs, on_progress=lambda *now: told.append(now)))

    assert {number: value for number, (value, _) in results.items()} == {
        factor: len(small_world.segments) * factor for factor in range(5)
    }
    assert ({pid for _, pid in results.values()} == {os.getpid()}) == (jobs == 1)
    assert told[-1] == ("phase", 1.0)
    assert not multiprocessing.active_children()


@pytest.mark.parametrize("jobs", [1, 2])
def test_an_error_of_a_task_is_raised_as_it_was(small_world, jobs):
    with pytest.raises(ValueError, match="this task fails"):
        list(run_tasks(small_world, tasks_of(failing, failing), jobs=jobs))
    assert not multiprocessing.active_children()


def test_a_process_that_dies_is_one_error(small_world):
    with pytest.raises(SimulationError, match=r"ended unexpectedly \(exit code 7\)"):
        list(run_tasks(small_world, tasks_of(dying, dying), jobs=2))
    assert not multiprocessing.active_children()


def test_who_stops_early_leaves_no_process(small_world):
    results = run_tasks(small_world, tasks_of(*(partial(segments_times, factor=1) for _ in range(20))), jobs=2)
    next(results)
    results.close()

    assert not multiprocessing.active_children()
