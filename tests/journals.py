"""Journals for tests, and numbered messages for them."""

from datetime import UTC, datetime, timedelta

from prometheus_client import REGISTRY

from ingest.journal import Journal
from ingest.received import Received

BEGIN = datetime(2026, 1, 19, 15, 46, 54, 123457, tzinfo=UTC)


def messages(first, number, *, size=20):
    """Messages that carry their numbers, with what acknowledges them."""
    return [
        Received(
            f"t/{n}", f"{n:012d}".encode().ljust(size, b"."), BEGIN + timedelta(seconds=n), qos=1, epoch=3, mid=n + 1
        )
        for n in range(first, first + number)
    ]


def numbers(items):
    """The numbers that messages carry."""
    return [int(item.payload[:12]) for item in items]


def opened(directory, *, max_bytes=1 << 24, **options):
    """An open journal."""
    journal = Journal(directory, max_bytes=max_bytes, **options)
    journal.open()
    return journal


def segments(directory):
    """Its files of messages, oldest first."""
    return sorted(directory.glob("*.journal"))


def drain(journal, most=7):
    """Read and commit everything; the numbers of the messages."""
    drained = []
    while items := journal.read(most):
        drained += numbers(items)
        journal.commit(len(items))
    return drained


def metric(name):
    """A metric of the journal as it is now."""
    return REGISTRY.get_sample_value(f"roadtwin_journal_{name}")


def opened_again(journal, directory):
    """The same journal as another process would find it."""
    journal.close()
    return opened(directory)
