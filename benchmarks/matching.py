"""How fast positions are matched to segments: traces by the hidden Markov model, beside the nearest segment of each.

    python -m benchmarks.matching [--readings 200000] [--km 400]

Drives through a simulated city, a reading every 10 m with 5 m of error, in one process: as long drives, as passes of 25
readings, and all under one number, one drive after the other; and each reading alone, by the model and by the nearest
segment. Prints one JSON object: readings a second of wall-clock and of processor time, and the share on the street that
was driven. What it takes to build the matchers stands beside.
"""

import argparse
import json
import resource
import time
from collections.abc import Callable

import numpy as np

from roadtwin.network.matching import Match, SegmentMatcher
from roadtwin.network.split import split_network
from roadtwin.network.trace_matching import TraceMatcher
from tests.traces import Drives, columns, simulate_drives, town

DRIVE_M = 10_000.0
PASS_READINGS = 25


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--readings", type=int, default=200_000)
    parser.add_argument("--km", type=float, default=400.0, help="length of the city's streets")
    arguments = parser.parse_args()
    print(json.dumps(measure(arguments.readings, arguments.km), indent=1))


def measure(readings: int, length_km: float) -> dict[str, object]:
    """All ways of matching the same drives."""
    sections = town(length_km, seed=7)
    segments = split_network(sections)
    begun = time.perf_counter()
    nearest = SegmentMatcher(segments)
    nearest_s = time.perf_counter() - begun
    traces = TraceMatcher(segments)
    traces_s = time.perf_counter() - begun - nearest_s
    drives = simulate_drives(
        sections, segments, seed=1, drives=max(1, round(readings * 10 / DRIVE_M)), length_m=DRIVE_M, error_m=5.0,
        error="lasting",
    )  # fmt: skip
    drive, time_s, *told = columns(drives)
    number = np.arange(len(drive))
    in_turn = np.cumsum(np.diff(time_s, prepend=0.0).clip(0.0) + (np.diff(drive, prepend=0) > 0))  # one after the other
    ways: dict[str, Callable[[], Match]] = {
        "drives": lambda: traces.match(drive, time_s, *told),
        "passes": lambda: traces.match(number // PASS_READINGS, in_turn, *told),
        "one_drive": lambda: traces.match(np.zeros(len(drive)), in_turn, *told),
        "alone": lambda: traces.match(number, time_s, *told),
        "nearest_with_heading": lambda: nearest.match(
            drives.lon, drives.lat, drives.heading_deg, accuracy_m=drives.accuracy_m
        ),
        "nearest": lambda: nearest.match(drives.lon, drives.lat),
    }
    return {
        "readings": len(drive),
        "segments": len(segments),
        "build_s": {"nearest": round(nearest_s, 3), "traces": round(traces_s, 3)},
        **{name: timed(way, drives) for name, way in ways.items()},
        "peak_mb": round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024),
    }


def timed(way: Callable[[], Match], drives: Drives) -> dict[str, float]:
    """Speed and outcome of one way of matching."""
    wall, own = time.perf_counter(), time.process_time()
    match = way()
    wall, own = time.perf_counter() - wall, time.process_time() - own
    return {
        "readings_per_s": round(len(drives.lon) / wall),
        "readings_per_cpu_s": round(len(drives.lon) / own),
        "right_pct": round(100 * float((match.section_index == drives.section).mean()), 2),
    }


if __name__ == "__main__":
    main()
