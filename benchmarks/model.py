"""What scoring and training cost: seconds by phase, peak memory and rows, by the number of segments.

    python -m benchmarks.model                                   # short: 800 and 1,600 segments
    python -m benchmarks.model --segments 8000 80000             # some 8 minutes and 6 GB of disk
    python -m benchmarks.model --segments 8000 80000 800000 --train-cuts 20  # and 1.6 million rows; 20 GB of disk

Each size is a database of its own, `bench_model`, dropped afterwards: a small simulated city with its history, tiled
(`benchmarks.tiled_city`). In a process of its own (peak memory is that of one size), in this order:

- derive: potholes an hour after they were last derived; rows: all evidence there is
- load, features, predict, reasons, write: the parts of scoring, the last one committed
- score: all of that as `roadtwin score` does it, in one transaction, with the model of the first tile
- train: `roadtwin train` with so many cuts and every segment (without --train-cuts: the usual recipe's 300,000 rows);
  not of a city of more than 200,000 segments, of which only the last 200 days are made

Prints a line a phase and, for two sizes and more, how many times the seconds grew for each time the segments did.
Machines are noisy: compare ratios within one run.
"""

import argparse
import os
import re
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from datetime import timedelta
from itertools import pairwise
from multiprocessing import get_context
from pathlib import Path
from typing import Any, TypeVar

import psycopg
from pydantic import SecretStr

from benchmarks.databases import database_server, fresh_database
from benchmarks.tiled_city import NOW, YEARS_UP_TO, make_city
from models.dataset import MATURITY_DAYS, WARM_UP_DAYS
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.jobs.score import load_active_model, make_scores, score_all
from roadtwin.jobs.train import Recipe, train
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.scores import ScoreRun, write_scores
from roadtwin.types import HORIZONS_DAYS

DATABASE = "bench_model"
SHORT = (800, 1600)
T = TypeVar("T")


class Phases:
    """Seconds and peak memory of named phases, printed as they end."""

    def __init__(self, segments: int) -> None:
        self.segments = segments
        self.seconds: dict[str, float] = {}

    def run(self, name: str, work: Callable[[], T], rows: Callable[[T], int] | None = None) -> T:
        """Do some work, keep how long it took and return what it gave."""
        began, used = time.perf_counter(), time.process_time()
        result = work()
        self.seconds[name] = time.perf_counter() - began
        peak_mb = _peak_mb()
        count = f"{rows(result):>12,}" if rows is not None else " " * 12
        print(
            f"{self.segments:>8,}  {name:<12} {self.seconds[name]:>8.2f} s {time.process_time() - used:>8.2f} s CPU"
            f" {count} rows  peak {peak_mb:>6.0f} MB",
            flush=True,
        )
        return result


def _peak_mb() -> float:
    """Peak memory of this process. What `getrusage` says begins, on Linux, with that of the process it came from."""
    status = Path("/proc/self/status")
    if status.exists():
        return int(re.findall(r"VmHWM:\s+(\d+) kB", status.read_text())[0]) / 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1 << 20)


def score_phases(conn: psycopg.Connection[Any], settings: Settings, phases: Phases) -> None:
    """Derive and score, in parts and as a whole."""
    phases.run("derive", lambda: derive_potholes(conn, now=NOW), lambda counts: counts.evidence)
    conn.commit()
    score_parts(conn, settings, phases)
    phases.run("score", lambda: score_all(conn, settings, now=NOW), lambda run: run.segment_count)
    conn.commit()


def score_parts(conn: psycopg.Connection[Any], settings: Settings, phases: Phases) -> None:
    """What `score_all` does, step by step."""
    run, model = load_active_model(conn)
    inputs = phases.run(
        "load", lambda: load_city(conn, settings, now=NOW, current=True), lambda inputs: len(inputs.segment_days)
    )
    features = phases.run("features", lambda: FeatureBuilder(inputs).at(to_instant(NOW)), len)
    phases.run("predict", lambda: model.predict_proba(features), len)
    scores = phases.run(  # predicts once more
        "reasons", lambda: make_scores(model, features, inputs.segments.segment_id), lambda table: table.rank.size
    )
    as_of = NOW + timedelta(seconds=1)
    score_run = ScoreRun(as_of, run.model_run_id, as_of, len(features))

    def write() -> None:
        write_scores(conn, score_run, scores, feature_set_version=FEATURE_SET.version)
        conn.commit()

    phases.run("write", write, lambda _: len(features) + scores.rank.size)


def train_phase(conn: psycopg.Connection[Any], settings: Settings, phases: Phases, cuts: int | None) -> None:
    """Train on every segment at so many cuts over the years before `NOW`; by the usual recipe without a number."""
    recipe = Recipe()
    if cuts is not None:
        (first,) = conn.execute("SELECT min(recorded_at) FROM segment_day").fetchone() or (NOW,)
        span = NOW - timedelta(days=min(HORIZONS_DAYS) + MATURITY_DAYS) - first - timedelta(days=WARM_UP_DAYS)
        recipe = Recipe(cut_step_days=span.days // (cuts - 1), max_rows=1 << 40)
    phases.run("train", lambda: train(conn, settings, now=NOW, recipe=recipe), lambda run: run.card["rows"])
    conn.rollback()


def measure(url: str, segments: int, what: str, train_cuts: int | None) -> dict[str, float]:
    """One size in a process of its own: what is `score` or `train`."""
    phases, settings = Phases(segments), Settings(database_url=SecretStr(url))
    with connect(url) as conn:
        if what == "score":
            score_phases(conn, settings, phases)
        else:
            train_phase(conn, settings, phases, train_cuts)
    return phases.seconds


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="What scoring and training cost.")
    parser.add_argument("--segments", type=int, nargs="+", default=list(SHORT), help="sizes of the city")
    parser.add_argument("--train-cuts", type=int, help="train on every segment at so many cuts")
    parser.add_argument("--no-training", action="store_true", help="scoring only")
    parser.add_argument("--database", help="address of a database that make_city filled, in place of new ones")
    arguments = parser.parse_args()
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    results: list[tuple[int, dict[str, float]]] = []
    with ExitStack() as stack:
        server = arguments.database or database_server(Path(tempfile.mkdtemp(prefix="roadtwin-benchmark-")), stack)
        for wanted in arguments.segments:
            with ExitStack() as one:
                if arguments.database:
                    url, segments = server, wanted
                else:
                    url = one.enter_context(fresh_database(server, DATABASE))
                    began = time.perf_counter()
                    segments = make_city(url, Settings(database_url=SecretStr(url)), segments=wanted)
                    print(f"{segments:>8,}  (city made in {time.perf_counter() - began:.0f} s)", flush=True)
                seconds: dict[str, float] = {}
                for what in ("score",) if arguments.no_training or segments > YEARS_UP_TO else ("score", "train"):
                    with get_context("spawn").Pool(1) as pool:
                        seconds |= pool.apply(measure, (url, segments, what, arguments.train_cuts))
                results.append((segments, seconds))
    for (small, before), (large, after) in pairwise(results):
        print(f"\n{small:,} to {large:,} segments, {large / small:.2f} times as many: growth / growth of segments")
        for name in (name for name in before if name in after):
            print(f"  {name:<12} {after[name] / before[name] / (large / small):6.2f}")


if __name__ == "__main__":
    main()
