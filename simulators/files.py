"""A simulated period as files: registers, records, segment-days, messages, and the truth apart from them."""

import csv
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path

import msgspec
import numpy as np

from roadtwin.errors import SimulationError
from simulators.feed_files import FEED_FILES, PartJoiner, days_of, open_feed, write_part
from simulators.history import check_period
from simulators.holes import STILL_OPEN_US
from simulators.messages import MAX_ADDITIONAL_BUSES
from simulators.readings import as_time
from simulators.record_files import write_history
from simulators.register_files import DEVICES_FILE, NETWORK_FILE, write_devices, write_network
from simulators.truth import local_day, truth_of
from simulators.workers import Progress, Task, run_tasks
from simulators.world import World

CONTENTS = ("registers", "records", "segment-days", "devices", "vehicles", "truth")
PART_DAYS = 7
HISTORY_CHUNK = timedelta(days=14)
FEED_WINDOW = timedelta(hours=1)
_INCOMPLETE = ".incomplete"
"""Folder in which files are made; they take their places when all are whole."""


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
        - segment-days: `segment-days.csv`;
        - devices, vehicles: `devices.feed`, `vehicles.feed`, their messages (for `roadtwin replay`);
        - truth: `truth/`, what only evaluation may read.
    jobs : int
        Processes that work at the same time.
    part_days, history_chunk, feed_window : int, timedelta
        How the work is cut: days of a feed that a process makes in one go, and what is held in memory at a time (a
        month and an hour at most). The bytes of the files depend neither on them nor on `jobs`.
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
        if {"records", "segment-days", "truth"} & set(contents):
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
    """Records, segment-days and truth: in one process, for they come from the same days."""
    counts: dict[str, int] = {}
    if {"records", "segment-days"} & set(contents):
        counts |= write_history(
            world,
            directory,
            start,
            end,
            with_records="records" in contents,
            with_segment_days="segment-days" in contents,
            chunk=chunk,
            on_progress=lambda part: on_progress(0.8 * part if "truth" in contents else part),
        )
    if "truth" in contents:
        (directory / "truth").mkdir()
        counts["truth/potholes.jsonl"] = _potholes(world, directory, start, end)
        counts["truth/hazard.csv"] = _hazard(world, directory, start, end)
    return counts


def _potholes(world: World, directory: Path, start: datetime, end: datetime) -> int:
    """Holes that were open at any time of the period."""
    truth = truth_of(world)
    clock = truth.day(local_day(world, end)).clock
    holes, count = truth.holes, len(truth.holes)
    first, last = (round(t.timestamp() * 1e6) for t in (start, end))
    inside = np.flatnonzero((holes.born_us[:count] < last) & (holes.closed_us[:count] > first))
    lines = [
        {
            "segment_id": world.segment_ids[holes.segment[i]],
            "station_m": round(float(holes.station_m[i]), 2),
            "offset_m": round(float(holes.offset_m[i]), 2),
            "born_at": as_time(int(holes.born_us[i])),
            "closed_at": None if holes.closed_us[i] >= STILL_OPEN_US else as_time(int(holes.closed_us[i])),
            "severity_at_end": int(holes.severity(np.array([i]), clock)[0]),
        }
        for i in inside.tolist()
    ]
    (directory / "truth" / "potholes.jsonl").write_bytes(msgspec.json.Encoder().encode_lines(lines))
    return len(lines)


def _hazard(world: World, directory: Path, start: datetime, end: datetime) -> int:
    """Expected new holes of each segment and local day, without what failing patches add."""
    truth, rows = truth_of(world), 0
    first, last = local_day(world, start), local_day(world, end)
    with (directory / "truth" / "hazard.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["segment_id", "day", "expected_holes"])
        for offset in range((last - first).days + 1):
            day = first + timedelta(days=offset)
            expected = truth.expected_holes(day)
            for segment_id, value in zip(world.segment_ids, expected.tolist(), strict=True):
                writer.writerow([segment_id, day.isoformat(), f"{value:.6g}"])
            rows += len(expected)
    return rows
