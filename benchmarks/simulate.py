"""What simulated files cost: time and memory by the size of the city.

    python -m benchmarks.simulate [--short] [--days 365] [--jobs 2]

Two questions, each city in processes of its own:

- history: registers, records, segment-days and truth for 2,000 to 80,000 segments (the largest cut into 20 m),
  in one process. Is it linear in the segments?
- files: the same for 16,000 segments, with the messages of 2,000 devices, in --jobs processes.

Prints one JSON object a line: wall-clock and processor time [s], the peak memory of the process that writes and of each
that helps it [MB], and bytes written [MB]. --short takes small cities and a month.
"""

import argparse
import json
import resource
import shutil
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from multiprocessing import active_children, get_context
from pathlib import Path
from typing import Any, NamedTuple

from simulators.files.files import write_files
from simulators.world import build_world

START = datetime(2022, 6, 30, 22, tzinfo=UTC)
HISTORY = ("registers", "records", "segment-days", "truth")
_SAMPLED_EVERY_S = 0.2


class City(NamedTuple):
    """Length of its streets [km], length of a segment [m], number of devices."""

    km: float
    segment_m: int
    devices: int


class PeakMemory(threading.Thread):
    """The largest resident memory that this process and its children ever had, by process [MB]; Linux."""

    def __init__(self) -> None:
        super().__init__(daemon=True)
        self.ours_mb, self.theirs_mb = 0.0, dict[int, float]()
        self._over = threading.Event()

    def run(self) -> None:
        """Look at the processes from time to time: what is counted at their end includes what they were forked from."""
        while not self._over.wait(_SAMPLED_EVERY_S):
            self.ours_mb = _peak_mb("self")
            for child in active_children():
                if child.pid is not None:
                    self.theirs_mb[child.pid] = max(_peak_mb(str(child.pid)), self.theirs_mb.get(child.pid, 0.0))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def _peak_mb(process: str) -> float:
    try:
        lines = Path(f"/proc/{process}/status").read_text().splitlines()
    except OSError:
        return 0.0
    return next((int(line.split()[1]) / 1000 for line in lines if line.startswith("VmHWM")), 0.0)


def measure(city: City, days: int, contents: tuple[str, ...], jobs: int) -> dict[str, Any]:
    """Build a city and write a period of it; in a process of its own, so that memory is its own, too."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_measured, args=(theirs, city, days, contents, jobs))
    process.start()
    theirs.close()
    result: dict[str, Any] = ours.recv()
    process.join()
    return result


def _measured(connection: Any, city: City, days: int, contents: tuple[str, ...], jobs: int) -> None:
    memory = PeakMemory()
    memory.start()
    began = time.monotonic()
    folder = Path(tempfile.mkdtemp(prefix="roadtwin-simulate-"))
    try:
        world = build_world(
            seed=7, length_km=city.km, segment_length_m=city.segment_m, device_count=city.devices, start=START
        )
        built_s = time.monotonic() - began
        end = START + timedelta(days=days)
        counts = write_files(world, folder, start=START, end=end, contents=contents, jobs=jobs)
        written = sum(path.stat().st_size for path in folder.rglob("*"))
    finally:
        shutil.rmtree(folder)
    memory.stop()
    usage = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    connection.send(
        {
            "segments": len(world.segments),
            "devices": len(world.devices),
            "days": days,
            "jobs": jobs,
            "wall_s": round(time.monotonic() - began, 1),
            "of_which_city_s": round(built_s, 1),
            "processor_s": round(sum(used.ru_utime + used.ru_stime for used in usage), 1),
            "peak_mb": [round(memory.ours_mb), *(round(peak) for peak in memory.theirs_mb.values())],
            "written_mb": round(written / 1e6),
            "records": sum(count for name, count in counts.items() if name.endswith(".jsonl")),
            "segment_days": counts["segment-days.csv"],
            "messages": counts.get("devices.feed", 0),
        }
    )


def main() -> int:
    """Run and print."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--short", action="store_true", help="small cities and a month")
    parser.add_argument("--days", type=int, help="length of the period; 365, or 31 with --short")
    parser.add_argument("--jobs", type=int, default=2, help="processes that write the files of a city")
    arguments = parser.parse_args()
    days = arguments.days or (31 if arguments.short else 365)
    sizes = [(200, 100), (800, 100)] if arguments.short else [(200, 100), (800, 100), (1600, 100), (1600, 20)]
    for km, segment_m in sizes:
        found = measure(City(km, segment_m, 100), days, HISTORY, 1)
        per_segment_ms = 1000 * found["processor_s"] / found["segments"]
        print(json.dumps({"what": "history", **found, "processor_ms_a_segment": round(per_segment_ms, 2)}), flush=True)
    whole = City(400, 100, 500) if arguments.short else City(1600, 100, 2000)
    found = measure(whole, days, (*HISTORY, "devices"), arguments.jobs)
    rate = found["messages"] / found["wall_s"]
    print(json.dumps({"what": "files", **found, "messages_a_second": round(rate)}), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
