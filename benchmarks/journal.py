"""How fast messages go to the ingester's journal, each batch confirmed by the disk, and how fast they drain.

python benchmarks/journal.py [--messages 100000] [--batch 500] [--payload 1100] [--directory DIR]

One process, no database: draining is reading and committing batch by batch, each with its position saved and synced.
The directory must be on the disk that the journal is meant for; on a tmpfs the figures mean nothing. Printed beside it:
what batches of the same size cost as one write and fdatasync each, without any format.
"""

import argparse
import os
import random
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from ingest.journal import Journal
from ingest.received import Received


def make_batch(number: int, payload_bytes: int, rng: random.Random) -> list[Received]:
    """Messages with payloads that do not repeat."""
    at = datetime.now(UTC)
    return [
        Received(f"application/a/device/{n:016x}/event/up", rng.randbytes(payload_bytes), at, qos=1, epoch=1, mid=n + 1)
        for n in range(number)
    ]


def time_append(journal: Journal, batch: list[Received], batches: int) -> float:
    """Seconds until all are durable."""
    began = time.perf_counter()
    for _ in range(batches):
        journal.append(batch)
    return time.perf_counter() - began


def time_drain(journal: Journal, most: int, expected: int) -> float:
    """Seconds until all are read and committed."""
    began, drained = time.perf_counter(), 0
    while items := journal.read(most):
        journal.commit(len(items))
        drained += len(items)
    seconds = time.perf_counter() - began
    if drained != expected:
        raise SystemExit(f"expected {expected} messages, drained {drained}")
    return seconds


def time_bare(path: Path, size: int, batches: int) -> float:
    """Seconds for as many bytes, written and confirmed batch by batch."""
    data = os.urandom(size)
    file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    began = time.perf_counter()
    for _ in range(batches):
        os.write(file, data)
        os.fdatasync(file)
    seconds = time.perf_counter() - began
    os.close(file)
    path.unlink()
    return seconds


def main() -> None:
    """Time and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--messages", type=int, default=100_000)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--payload", type=int, default=1100)
    parser.add_argument("--directory", type=Path, default=Path.cwd())
    options = parser.parse_args()
    batches = options.messages // options.batch
    number = batches * options.batch
    batch = make_batch(options.batch, options.payload, random.Random(1))
    with tempfile.TemporaryDirectory(prefix="roadtwin-bench-", dir=options.directory) as directory:
        bare_s = time_bare(Path(directory) / "bare", options.batch * (options.payload + 60), batches)
        journal = Journal(Path(directory) / "journal", max_bytes=1 << 40)
        journal.open()
        append_s = time_append(journal, batch, batches)
        journal.close()
        began = time.perf_counter()
        journal.open()
        open_s = time.perf_counter() - began
        drain_s = time_drain(journal, options.batch, number)
        journal.close()
    print(f"{number} messages of {options.payload} B in batches of {options.batch}")
    rows = (
        ("write and fdatasync, bare", bare_s),
        ("append", append_s),
        ("open, checking all", open_s),
        ("drain", drain_s),
    )
    for name, seconds in rows:
        print(f"{name:<28}{number / seconds:>10.0f} messages/s{seconds / number * 1e6:>8.2f} µs/message")


if __name__ == "__main__":
    main()
