"""A simulated period as files: registers, records, days of segments and sensors, messages, and the truth apart."""

import shutil
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

from roadtwin.errors import SimulationError
from roadtwin.records.schema import RECORD_KINDS
from simulators.files.feed_files import FEED_FILES, PartJoiner, days_of, open_feed, write_part
from simulators.files.record_files import write_history
from simulators.files.register_files import DEVICES_FILE, NETWORK_FILE, write_devices, write_network
from simulators.files.segment_day_files import SEGMENT_DAYS_FILE
from simulators.files.sensor_day_files import SENSOR_DAYS_FILE
from simulators.files.workers import Progress, Task, run_tasks
from simulators.history import check_period
from simulators.messages import MAX_ADDITIONAL_BUSES
from simulators.truth.truth_files import FOLDER, write_truth
from simulators.world import World

CONTENTS = ("registers", "records", "segment-days", "sensor-days", "devices", "vehicles", "truth")
PART_DAYS = 14
HISTORY_CHUNK = timedelta(days=14)
FEED_WINDOW = timedelta(days=1)
_INCOMPLETE = ".incomplete"
"""Folder in which files are made; they take their places when all are whole."""


def left_from_before(directory: Path, written: Collection[str]) -> list[str]:
    """Names of files of ours in a directory that a run did not write: they may be of another city."""
    names = {
        NETWORK_FILE,
        DEVICES_FILE,
        SEGMENT_DAYS_FILE,
        SENSOR_DAYS_FILE,
        *FEED_FILES.values(),
        *(f"{kind}.jsonl" for kind in RECORD_KINDS),
    }
    there = sorted(name for name in names - set(written) if (directory / name).exists())
    if (directory / FOLDER).exists() and not any(name.startswith(f"{FOLDER}/") for name in written):
        there.append(f"{FOLDER}/")
    return there


def write_files(
    world: World,
    directory: Path,
    *,
    start: datetime,
    end: datetime,
    contents: Sequence[str] = CONTENTS,
    additional_buses: int = 0,
    jobs: int = 1,
    part_days: int = PART_DAYS,
    history_chunk: timedelta = HISTORY_CHUNK,
    feed_window: timedelta = FEED_WINDOW,
    on_progress: Progress | None = None,
) -> dict[str, int]:
    """Write a period to a directory, which is made; files of these names are replaced when all new ones are whole.

    Parameters
    ----------
    contents : sequence of str
        What to write, of `CONTENTS`:

        - registers: `network.geojson`, `devices.csv` (for `roadtwin import network`, `roadtwin import devices`);
        - records: `repair.jsonl` and so on, one file a kind of record (for `roadtwin import KIND`);
        - segment-days, sensor-days: `segment-days.csv`, `sensor-days.csv`;
        - devices, vehicles: `devices.feed`, `vehicles.feed`, their messages (for `roadtwin replay`);
        - truth: `truth/`, what only evaluation may read.
    jobs : int
        Processes that work at the same time.
    part_days, history_chunk, feed_window : int, timedelta
        How the work is cut: days of a feed that a process makes in one go, how much of the history is held in memory
        (a month at most), and how much of a feed is asked for at a time (an hour of it is held). The bytes of the
        files depend neither on them nor on `jobs`.
    on_progress : callable, optional
        Called with "history", "devices" or "vehicles" and the part of it that is done.

    Returns
    -------
    dict
        Number of lines or messages of each file.

    Raises
    ------
    SimulationError, RecordingError
        If an argument is out of range or a file cannot be written; no file was replaced then.
    """
    unknown = [name for name in contents if name not in CONTENTS]
    if unknown or not contents:
        raise SimulationError(
            f"Contents: got {', '.join(unknown) or 'nothing'}, expected some of {', '.join(CONTENTS)}."
        )
    check_period(world, start, end)
    if not 0 <= additional_buses <= MAX_ADDITIONAL_BUSES:
        raise SimulationError(f"Additional buses: got {additional_buses}, expected 0 to {MAX_ADDITIONAL_BUSES}.")
    with _replacing(directory) as made:
        counts: dict[str, int] = {}
        if "registers" in contents:
            counts[NETWORK_FILE] = write_network(world, made / NETWORK_FILE)
            counts[DEVICES_FILE] = write_devices(world, made / DEVICES_FILE)
        tasks: list[Task] = []
        if {"records", "segment-days", "sensor-days", "truth"} & set(contents):
            history = partial(
                _write_history, directory=made, start=start, end=end, contents=contents, chunk=history_chunk
            )
            tasks.append(Task("history", 1.0, history))
        parts: dict[int, tuple[PartJoiner, Path]] = {}
        with ExitStack() as stack:
            writers = {feed: stack.enter_context(open_feed(made, feed)) for feed in FEED_FILES if feed in contents}
            for feed, writer in writers.items():
                joiner = PartJoiner(writer)
                for begin, until in days_of(start, end, part_days):
                    part = joiner.expect(made / f"{feed}-{len(tasks)}.part")
                    parts[len(tasks)] = joiner, part
                    job = partial(
                        write_part,
                        path=part,
                        feed=feed,
                        start=begin,
                        end=until,
                        additional_buses=additional_buses,
                        window=feed_window,
                    )
                    tasks.append(Task(feed, (until - begin) / timedelta(days=1), job))
            for number, result in run_tasks(world, tasks, jobs=jobs, on_progress=on_progress):
                if number in parts:
                    joiner, part = parts[number]
                    joiner.add(part)
                else:
                    counts |= result
        return counts | {FEED_FILES[feed]: writer.messages for feed, writer in writers.items()}


@contextmanager
def _replacing(directory: Path) -> Iterator[Path]:
    """A folder inside `directory` whose files take their places when all went well, and are removed otherwise."""
    made = directory / _INCOMPLETE
    try:
        shutil.rmtree(made, ignore_errors=True)  # what a run left that was killed
        made.mkdir(parents=True)
        try:
            yield made
            for file in sorted(path.relative_to(made) for path in made.rglob("*") if path.is_file()):
                (directory / file).parent.mkdir(exist_ok=True)
                (made / file).replace(directory / file)
        finally:
            shutil.rmtree(made, ignore_errors=True)
    except OSError as exc:
        raise SimulationError(f"{directory}: cannot be written: {exc.strerror or exc}.") from None


def _write_history(
    world: World,
    on_progress: Callable[[float], None],
    *,
    directory: Path,
    start: datetime,
    end: datetime,
    contents: Sequence[str],
    chunk: timedelta,
) -> dict[str, int]:
    """Records, segment-days, sensor-days and truth: in one process, for they come from the same days."""
    counts: dict[str, int] = {}
    if {"records", "segment-days", "sensor-days"} & set(contents):
        counts |= write_history(
            world,
            directory,
            start,
            end,
            with_records="records" in contents,
            with_segment_days="segment-days" in contents,
            with_sensor_days="sensor-days" in contents,
            chunk=chunk,
            on_progress=lambda part: on_progress(0.8 * part if "truth" in contents else part),
        )
    if "truth" in contents:
        counts |= write_truth(world, directory, start, end)
    return counts
