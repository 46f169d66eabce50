"""The journal on a sound disk."""

import tracemalloc
from datetime import timedelta
from pathlib import Path

import pytest

from ingest.journal import journal_directory, open_journal
from ingest.received import Received
from roadtwin.errors import JournalError, JournalFullError, JournalLockedError
from roadtwin.settings import Settings
from tests.journals import BEGIN, drain, messages, metric, numbers, opened, opened_again, segments


def test_what_was_appended_is_read_back_as_it_came_and_needs_no_acknowledgement(tmp_path):
    item = Received("Fahrzeug/ä/\\xff", bytes(range(256)), BEGIN, retained=True, duplicate=True, qos=1, epoch=2, mid=9)
    with_one = opened(tmp_path)
    with_one.append([item])
    with_one.close()

    assert opened(tmp_path).read(10) == [Received(item.topic, item.payload, BEGIN, retained=True, duplicate=True)]


def test_messages_drain_in_order_across_appends_segments_and_openings(tmp_path):
    journal = opened(tmp_path, segment_bytes=2000)
    for first in range(0, 100, 10):
        journal.append(messages(first, 10))
    assert len(segments(tmp_path)) > 2
    assert numbers(journal.read(15)) == list(range(15))
    journal.commit(13)
    journal.close()

    journal = opened(tmp_path, segment_bytes=2000)
    journal.append(messages(100, 5))

    assert journal.depth_messages == 92
    assert drain(journal) == list(range(13, 105))


def test_reading_does_not_advance(tmp_path):
    journal = opened(tmp_path)
    journal.append(messages(0, 5))

    assert journal.read(3) == journal.read(3)
    assert journal.depth_messages == 5


def test_more_than_was_read_cannot_be_committed(tmp_path):
    journal = opened(tmp_path)
    journal.append(messages(0, 5))
    journal.append(messages(5, 5))
    journal.read(5)

    with pytest.raises(JournalError, match="Got 6 messages to commit, expected at most the 5"):
        journal.commit(6)
    assert drain(journal) == list(range(10))


def test_files_are_erased_as_they_drain(tmp_path):
    journal = opened(tmp_path, segment_bytes=500)
    for first in range(0, 40, 10):
        journal.append(messages(first, 10))
    assert len(segments(tmp_path)) == 4

    journal.commit(len(journal.read(10)))
    assert len(segments(tmp_path)) == 3
    drain(journal)

    assert segments(tmp_path) == []
    assert (journal.depth_messages, journal.depth_bytes, journal.oldest_recorded_at) == (0, 0, None)


def test_files_are_for_their_owner_only(tmp_path):
    directory = tmp_path / "a" / "journal"
    journal = opened(directory)
    journal.append(messages(0, 1))

    assert directory.stat().st_mode & 0o777 == 0o700
    assert {path.stat().st_mode & 0o777 for path in directory.iterdir()} == {0o600}


def test_an_empty_directory_is_an_empty_journal(tmp_path):
    for _ in range(3):
        journal = opened(tmp_path)
        assert journal.read(10) == []
        journal.append([])
        journal.close()
    assert segments(tmp_path) == []


def test_a_second_opener_is_refused_until_the_first_closes(tmp_path):
    first = opened(tmp_path)
    with pytest.raises(JournalLockedError, match="ROADTWIN_MQTT_CLIENT_ID"):
        opened(tmp_path)
    first.close()
    opened(tmp_path).close()


def test_a_closed_journal_refuses_by_name(tmp_path):
    journal = opened(tmp_path)
    journal.close()
    for use in (lambda: journal.append(messages(0, 1)), lambda: journal.read(1), lambda: journal.commit(0)):
        with pytest.raises(JournalError, match="is not open"):
            use()


def test_depth_and_age_are_exported(tmp_path):
    clock = [BEGIN + timedelta(seconds=60)]
    journal = opened(tmp_path, clock=lambda: clock[0])
    before = metric("appended_total"), metric("drained_total")
    journal.append(messages(0, 10))
    assert (metric("messages"), metric("oldest_age_seconds")) == (10, 60)
    assert metric("bytes") == journal.depth_bytes == sum(path.stat().st_size for path in segments(tmp_path))

    journal.commit(len(journal.read(4)))
    assert journal.oldest_recorded_at == BEGIN + timedelta(seconds=4)
    assert metric("oldest_age_seconds") == 56
    clock[0] = BEGIN - timedelta(days=1)  # the clock was set back
    assert metric("oldest_age_seconds") == 0

    drain(journal)
    assert (metric("messages"), metric("bytes"), metric("oldest_age_seconds")) == (0, 0, 0)
    assert (metric("appended_total"), metric("drained_total")) == (before[0] + 10, before[1] + 10)


def test_order_is_that_of_appending_whatever_the_clock_says(tmp_path):
    journal = opened(tmp_path)
    items = messages(0, 5)[::-1]
    for item in items:
        journal.append([item])

    assert drain(journal) == [4, 3, 2, 1, 0]


def test_nothing_is_written_beyond_the_bound(tmp_path):
    journal = opened(tmp_path, max_bytes=5000, segment_bytes=1000)
    kept = 0
    while journal.depth_bytes < 4400:  # an append of ten takes about 400
        journal.append(messages(kept, 10))
        kept += 10
    with pytest.raises(JournalFullError, match="ROADTWIN_JOURNAL_MAX_MIB"):
        journal.append(messages(kept, 20))
    assert sum(path.stat().st_size for path in segments(tmp_path)) == journal.depth_bytes <= 5000
    assert journal.depth_messages == kept > 50

    journal.commit(len(journal.read(30)))  # room again
    journal.append(messages(kept, 10))
    assert drain(journal) == list(range(30, kept + 10))


def test_the_bound_holds_in_a_loop_of_crashes(tmp_path):
    # Each life leaves a torn tail and is followed by another, which must neither pile up nor lose what was there.
    written = 0
    for _ in range(30):
        journal = opened(tmp_path, max_bytes=5000)
        try:
            journal.append(messages(written, 3))
            written += 3
        except JournalFullError:
            pass
        journal.close()
        with segments(tmp_path)[-1].open("ab") as file:
            file.write(b"torn" * 10)
        assert sum(path.stat().st_size for path in tmp_path.glob("*.*")) <= 5000 + 40

    assert drain(opened(tmp_path)) == list(range(written))


def test_messages_larger_than_a_segment_are_taken(tmp_path):
    journal = opened(tmp_path, max_bytes=1 << 26, segment_bytes=1000)
    journal.append(messages(0, 3, size=3 << 20))
    journal.append(messages(3, 1))
    assert drain(opened_again(journal, tmp_path)) == [0, 1, 2, 3]


def test_memory_stays_bounded_whatever_the_journal_holds(tmp_path):
    journal = opened(tmp_path, max_bytes=1 << 28)
    for first in range(0, 100_000, 1000):
        journal.append(messages(first, 1000, size=500))
    journal.close()

    tracemalloc.start()
    try:
        journal = opened(tmp_path, max_bytes=1 << 28)
        first = len(journal.read(100_000))  # bounded in bytes, not only in number
        journal.commit(first)
        drained = first + len(drain(journal, 500))
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert drained == 100_000
    assert first < 50_000
    assert peak < 64 << 20


@pytest.mark.parametrize(
    ("client_id", "name"), [("roadtwin-ingest", "roadtwin-ingest"), ("a/../b", "a%2F%2E%2E%2Fb"), ("..", "%2E%2E")]
)
def test_every_client_id_has_a_directory_of_its_own(tmp_path, client_id, name):
    by_default = Settings(data_dir=tmp_path, mqtt_client_id=client_id)
    chosen = Settings(data_dir=tmp_path, journal_dir=Path("/elsewhere"), mqtt_client_id=client_id)

    assert journal_directory(by_default) == tmp_path / "journal" / name
    assert journal_directory(chosen) == Path("/elsewhere") / name


def test_a_bound_of_zero_turns_the_journal_off(tmp_path):
    assert open_journal(Settings(data_dir=tmp_path, journal_max_mib=0)) is None
    assert list(tmp_path.iterdir()) == []
    journal = open_journal(Settings(data_dir=tmp_path))
    assert journal is not None
    journal.close()
