"""Records and segment-days of a period as files, written as the truth runs on: memory does not grow with the period."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from roadtwin.records.schema import RECORD_KINDS
from simulators.files.segment_day_files import SEGMENT_DAYS_FILE, csv_header, csv_lines
from simulators.history import History
from simulators.world import World


def write_history(
    world: World,
    directory: Path,
    start: datetime,
    end: datetime,
    *,
    with_records: bool,
    with_segment_days: bool,
    chunk: timedelta,
    on_progress: Callable[[float], None],
) -> dict[str, int]:
    """Write what became known in (start, end]: `KIND.jsonl` for each kind of record, and `segment-days.csv`.

    Lines are in the order of recorded_at, and the same whatever the length of a chunk (at most a month). Returns the
    number of lines of each file.
    """
    history, encoder = History(world), msgspec.json.Encoder()
    names = [f"{kind}.jsonl" for kind in RECORD_KINDS] if with_records else []
    counts = dict.fromkeys([*names, *([SEGMENT_DAYS_FILE] if with_segment_days else [])], 0)
    with ExitStack() as stack:
        files = {name: stack.enter_context((directory / name).open("wb")) for name in counts}
        if with_segment_days:
            files[SEGMENT_DAYS_FILE].write(csv_header())
        for at, until in windows(start, end, chunk):
            if with_records:
                for kind, records in history.records(at, until).items():
                    files[f"{kind}.jsonl"].write(encoder.encode_lines(records))
                    counts[f"{kind}.jsonl"] += len(records)
            if with_segment_days:
                days = history.segment_days(at, until)
                files[SEGMENT_DAYS_FILE].writelines(csv_lines(days))
                counts[SEGMENT_DAYS_FILE] += len(days.day)
            on_progress((until - start) / (end - start))
    return counts


def windows(start: datetime, end: datetime, length: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """A period cut into windows of a length, the last one shorter."""
    at = start
    while at < end:
        until = min(at + length, end)
        yield at, until
        at = until
