"""Records, segment-days and sensor-days of a period as files, written as the truth runs on.

Memory does not grow with the period.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from roadtwin.records.schema import RECORD_KINDS
from simulators.files import segment_day_files, sensor_day_files
from simulators.files.segment_day_files import SEGMENT_DAYS_FILE
from simulators.files.sensor_day_files import SENSOR_DAYS_FILE
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
    with_sensor_days: bool,
    chunk: timedelta,
    on_progress: Callable[[float], None],
) -> dict[str, int]:
    """Write what became known in (start, end]: `KIND.jsonl` for each kind of record, days of segments and sensors.

    Lines are in the order of recorded_at, and the same whatever the length of a chunk (at most a month). Returns the
    number of lines of each file.
    """
    history, encoder = History(world), msgspec.json.Encoder()
    names = [f"{kind}.jsonl" for kind in RECORD_KINDS] if with_records else []
    names += [SEGMENT_DAYS_FILE] if with_segment_days else []
    names += [SENSOR_DAYS_FILE] if with_sensor_days else []
    counts = dict.fromkeys(names, 0)
    with ExitStack() as stack:
        files = {name: stack.enter_context((directory / name).open("wb")) for name in counts}
        if with_segment_days:
            files[SEGMENT_DAYS_FILE].write(segment_day_files.csv_header())
        if with_sensor_days:
            files[SENSOR_DAYS_FILE].write(sensor_day_files.csv_header())
        for at, until in windows(start, end, chunk):
            if with_records:
                for kind, records in history.records(at, until).items():
                    files[f"{kind}.jsonl"].write(encoder.encode_lines(records))
                    counts[f"{kind}.jsonl"] += len(records)
            if with_segment_days:
                days = history.segment_days(at, until)
                files[SEGMENT_DAYS_FILE].writelines(segment_day_files.csv_lines(days))
                counts[SEGMENT_DAYS_FILE] += len(days.day)
            if with_sensor_days:
                measured = history.sensor_days(at, until)
                files[SENSOR_DAYS_FILE].writelines(sensor_day_files.csv_lines(measured))
                counts[SENSOR_DAYS_FILE] += len(measured.day)
            on_progress((until - start) / (end - start))
    return counts


def windows(start: datetime, end: datetime, length: timedelta) -> Iterator[tuple[datetime, datetime]]:
    """A period cut into windows of a length, the last one shorter."""
    at = start
    while at < end:
        until = min(at + length, end)
        yield at, until
        at = until
