"""Several recordings as one feed, in the order of their times, and a period of it."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ingest.recording import read_numbered_blocks
from ingest.recording_format import RecordedBlock


def read_merged(
    paths: Sequence[Path], *, since_us: int | None = None, until_us: int | None = None, skip: int = 0
) -> Iterator[RecordedBlock]:
    """The messages of all files in one order, which is always the same.

    A file's own order is kept: where its clock was set back, the messages after that come together with the one before.
    At equal times the file that is named first comes first. Memory: a block of each file.

    Parameters
    ----------
    since_us, until_us : int, optional
        Only messages from `since_us` to before `until_us` [µs since 1970 UTC].
    skip : int
        So many of these messages are left out at the beginning.

    Raises
    ------
    RecordingError
        As `read_numbered_blocks`.
    """
    sources = [_blocks_of(path, since_us, until_us) for path in paths]
    for block in sources[0] if len(sources) == 1 else _merge(sources):
        count = len(block.topics)
        if skip < count:
            yield _part(block, slice(skip, None)) if skip else block
        skip = max(0, skip - count)


def _blocks_of(path: Path, since_us: int | None, until_us: int | None) -> Iterator[RecordedBlock]:
    for numbered in read_numbered_blocks(path, since_us=since_us, until_us=until_us):
        block = numbered.block
        wanted = np.ones(len(block.topics), np.bool_)
        if since_us is not None:
            wanted &= block.at_us >= since_us
        if until_us is not None:
            wanted &= block.at_us < until_us
        if wanted.all():
            yield block
        elif wanted.any():
            yield _picked([block], np.flatnonzero(wanted))


def _merge(sources: Sequence[Iterator[RecordedBlock]]) -> Iterator[RecordedBlock]:
    waiting = [_Waiting(source) for source in sources]
    while active := [source for source in waiting if source.fill()]:
        # Up to here every file is known: the last time of the block that ends first.
        horizon_us = min(int(source.due_us[-1]) for source in active)
        taken = [source.take(horizon_us) for source in active]
        due_us = np.concatenate([due for due, _ in taken])
        yield _picked([block for _, block in taken], np.argsort(due_us, kind="stable"))


class _Waiting:
    """What is read of one file and not handed on yet."""

    def __init__(self, source: Iterator[RecordedBlock]) -> None:
        self._source = source
        self._block: RecordedBlock | None = None
        self._latest_us = np.iinfo(np.int64).min
        self.due_us: NDArray[np.int64] = np.zeros(0, np.int64)
        """When each message's turn is: its time, or the latest before it."""

    def fill(self) -> bool:
        """Whether there is something, read now if need be."""
        if self._block is None:
            self._block = next(self._source, None)
            if self._block is not None:
                self.due_us = np.maximum(np.maximum.accumulate(self._block.at_us), self._latest_us)
                self._latest_us = int(self.due_us[-1])
        return self._block is not None

    def take(self, until_us: int) -> tuple[NDArray[np.int64], RecordedBlock]:
        """What is due up to and with this time."""
        assert self._block is not None, "fill() first"
        count = int(np.searchsorted(self.due_us, until_us, side="right"))
        due_us, block = self.due_us[:count], _part(self._block, slice(0, count))
        self.due_us = self.due_us[count:]
        self._block = _part(self._block, slice(count, None)) if len(self.due_us) else None
        return due_us, block


def _part(block: RecordedBlock, which: slice) -> RecordedBlock:
    return RecordedBlock(
        block.at_us[which], block.topics[which], block.payloads[which], block.qos[which], block.retained[which]
    )


def _picked(blocks: Sequence[RecordedBlock], order: NDArray[np.intp]) -> RecordedBlock:
    topics = [topic for block in blocks for topic in block.topics]
    payloads = [payload for block in blocks for payload in block.payloads]
    return RecordedBlock(
        np.concatenate([block.at_us for block in blocks])[order],
        [topics[i] for i in order.tolist()],
        [payloads[i] for i in order.tolist()],
        np.concatenate([block.qos for block in blocks])[order],
        np.concatenate([block.retained for block in blocks])[order],
    )
