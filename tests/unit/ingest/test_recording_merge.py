"""Several recordings as one feed: the order, a period, and what is left out at the beginning."""

import random
from pathlib import Path

import pytest

from ingest import recording
from ingest.recording import RecordedMessage, RecordingWriter
from ingest.recording_merge import read_merged


def write(path: Path, messages: list[tuple[int, str]]) -> Path:
    with RecordingWriter(path, {}) as writer:
        for at_us, name in messages:
            writer.write(RecordedMessage(at_us, "a", name.encode()))
    return path


def names(paths: list[Path], **options: int) -> list[str]:
    return [payload.decode() for block in read_merged(paths, **options) for payload in block.payloads]


@pytest.fixture(autouse=True)
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "BLOCK_MESSAGES", 7)


@pytest.mark.parametrize("seed", range(5))
def test_files_are_merged_by_time(tmp_path: Path, seed: int) -> None:
    noise = random.Random(seed)
    files, everything = [], []
    for number in range(3):
        times = sorted(noise.choices(range(200), k=noise.randint(0, 60)))
        messages = [(at, f"{number} {i}") for i, at in enumerate(times)]
        files.append(write(tmp_path / f"{number}.feed", messages))
        everything += [(at, number, i) for i, at in enumerate(times)]
    read = names(files)
    assert sorted(read) == sorted(f"{number} {i}" for _, number, i in everything)
    at_of = {f"{number} {i}": at for at, number, i in everything}
    assert [at_of[name] for name in read] == sorted(at_of.values())
    for number in range(3):  # each file in its own order
        own = [name for name in read if name.startswith(f"{number} ")]
        assert own == [f"{number} {i}" for i in range(len(own))]
    for skip in (1, 7, 20, len(read), len(read) + 5):
        assert names(files, skip=skip) == read[skip:]
    assert names(files, since_us=50, until_us=150) == [name for name in read if 50 <= at_of[name] < 150]
    assert names(files, since_us=50, until_us=150, skip=3) == names(files, since_us=50, until_us=150)[3:]


def test_a_clock_that_was_set_back_keeps_the_order_of_its_file(tmp_path: Path) -> None:
    steps = [(10, "a"), (20, "b"), (5, "c"), (6, "d"), (30, "e")]
    first = write(tmp_path / "first.feed", steps)
    second = write(tmp_path / "second.feed", [(at, str(at)) for at in range(0, 40, 4)])
    read = names([first, second])
    assert [name for name in read if name.isalpha()] == list("abcde")
    assert read == ["0", "4", "8", "a", "12", "16", "b", "c", "d", "20", "24", "28", "e", "32", "36"]
    assert names([first]) == list("abcde")
    assert names([first], since_us=6, until_us=21) == ["a", "b", "d"]
