"""The journal on a sound disk, and on one that tears, flips, fills up and lies."""

import errno
import os
import tracemalloc
import zlib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from ingest.journal import Journal, journal_directory, open_journal
from ingest.journal_format import HEADER
from ingest.received import Received
from roadtwin.errors import JournalError, JournalFullError, JournalLockedError
from roadtwin.settings import Settings

BEGIN = datetime(2026, 1, 19, 15, 46, 54, 123457, tzinfo=UTC)


def messages(first, number, *, size=20):
    return [
        Received(
            f"t/{n}", f"{n:012d}".encode().ljust(size, b"."), BEGIN + timedelta(seconds=n), qos=1, epoch=3, mid=n + 1
        )
        for n in range(first, first + number)
    ]


def numbers(items):
    return [int(item.payload[:12]) for item in items]


def opened(directory, *, max_bytes=1 << 24, **options):
    journal = Journal(directory, max_bytes=max_bytes, **options)
    journal.open()
    return journal


def segments(directory):
    return sorted(directory.glob("*.journal"))


def drain(journal, most=7):
    drained = []
    while items := journal.read(most):
        drained += numbers(items)
        journal.commit(len(items))
    return drained


def metric(name):
    return REGISTRY.get_sample_value(f"roadtwin_journal_{name}")


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


# The bound


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


def opened_again(journal, directory):
    journal.close()
    return opened(directory)


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


# Damage


def one_of_three(tmp_path):
    """A journal of three records, the bytes of its segment, and where the last record begins."""
    journal = opened(tmp_path)
    journal.append(messages(0, 2))
    journal.append(messages(2, 2))
    path = segments(tmp_path)[0]
    begin = path.stat().st_size
    journal.append(messages(4, 2))
    journal.close()
    return path, path.read_bytes(), begin


def test_a_tail_torn_at_any_byte_is_found_and_cut(tmp_path):
    path, whole, begin = one_of_three(tmp_path)
    for end in range(begin, len(whole)):
        path.write_bytes(whole[:end])
        before = metric("torn_bytes_total")
        journal = opened(tmp_path)

        assert numbers(journal.read(10)) == [0, 1, 2, 3]
        assert path.read_bytes() == whole[:begin]
        assert metric("torn_bytes_total") == before + end - begin
        journal.close()
    assert list(tmp_path.glob("*.damaged")) == []


@settings(max_examples=8, deadline=None)
@given(flip=st.integers(1, 255))
def test_a_last_record_damaged_at_any_byte_is_found_and_cut(tmp_path_factory, flip):
    directory = tmp_path_factory.mktemp("journal")
    path, whole, begin = one_of_three(directory)
    for at in range(begin, len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ flip]) + whole[at + 1 :])
        journal = opened(directory)
        assert numbers(journal.read(10)) == [0, 1, 2, 3]
        journal.close()


@pytest.mark.parametrize("tail", [bytes(5000), b"\xff" * 5000], ids=["zeros", "ones"])
def test_a_tail_that_was_never_written_is_cut(tmp_path, tail):
    path, whole, _ = one_of_three(tmp_path)
    path.write_bytes(whole + tail)

    assert numbers(opened(tmp_path).read(10)) == list(range(6))
    assert path.read_bytes() == whole


def test_a_record_damaged_in_the_middle_costs_itself_and_is_set_aside(tmp_path):
    path, whole, begin = one_of_three(tmp_path)
    second = (HEADER.size + begin) // 2
    for at in range(second, begin):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0x10]) + whole[at + 1 :])
        before = metric("damaged_bytes_total"), metric("lost_total")
        journal = opened(tmp_path)

        assert numbers(journal.read(10)) == [0, 1, 4, 5]
        assert journal.depth_messages == 4
        assert (metric("damaged_bytes_total"), metric("lost_total")) == (before[0] + begin - second, before[1] + 2)
        aside = tmp_path / f"{path.stem}.{second}.damaged"
        assert aside.read_bytes() == path.read_bytes()[second:begin]
        journal.close()
        assert path.stat().st_size == len(whole)
        aside.unlink()


def test_damage_set_aside_stays_when_its_segment_is_drained_and_counts_towards_the_bound(tmp_path):
    path, whole, begin = one_of_three(tmp_path)
    path.write_bytes(whole[: begin - 1] + b"?" + whole[begin:])
    drain(opened(tmp_path))

    aside = list(tmp_path.glob("*.damaged"))
    assert segments(tmp_path) == []
    assert len(aside) == 1


def test_damage_is_told_and_counted_once(tmp_path):
    path, whole, begin = one_of_three(tmp_path)
    path.write_bytes(whole[: begin - 1] + b"?" + whole[begin:])
    opened(tmp_path).close()
    before = metric("damaged_bytes_total")

    journal = opened(tmp_path)
    assert metric("damaged_bytes_total") == before
    assert drain(journal) == [0, 1, 4, 5]


def test_damage_that_comes_while_the_journal_is_open_costs_only_its_record(tmp_path):
    path, _, begin = one_of_three(tmp_path)
    journal = opened(tmp_path)
    assert numbers(journal.read(1)) == [0]
    with path.open("r+b") as file:
        file.seek(begin - 1)
        file.write(b"?")

    assert drain(journal) == [0, 1, 4, 5]
    assert journal.depth_messages == 0


def test_a_damaged_header_of_a_segment_costs_no_message(tmp_path):
    path, whole, _ = one_of_three(tmp_path)
    for at in range(HEADER.size):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 0xFF]) + whole[at + 1 :])
        journal = opened(tmp_path)
        assert numbers(journal.read(10)) == list(range(6))
        journal.close()


def test_damage_at_the_end_of_an_earlier_segment_leaves_the_later_ones(tmp_path):
    journal = opened(tmp_path, segment_bytes=300)
    for first in range(0, 9, 3):
        journal.append(messages(first, 3))
    journal.close()
    first, *later = segments(tmp_path)
    assert len(later) == 2
    before = metric("lost_total")
    first.write_bytes(first.read_bytes()[:-1])

    assert drain(opened(tmp_path)) == list(range(3, 9))
    assert metric("lost_total") == before + 3


def test_a_payload_that_looks_like_records_is_never_taken_for_some(tmp_path):
    other = tmp_path / "other"
    journal = opened(other)
    journal.append(messages(0, 50))
    forged = segments(other)[0].read_bytes()
    directory = tmp_path / "journal"
    journal = opened(directory)
    journal.append([Received("t", b"000000000000" + forged, BEGIN)])
    journal.append(messages(1, 1))
    journal.close()
    path = segments(directory)[0]
    whole = path.read_bytes()
    path.write_bytes(whole[: HEADER.size] + b"?" + whole[HEADER.size + 1 :])

    assert drain(opened(directory)) == [1]


@pytest.mark.parametrize("content", [b"", b"garbage", bytes(32)])
def test_a_lost_position_means_reading_again_and_never_skipping(tmp_path, content):
    journal = opened(tmp_path)
    journal.append(messages(0, 10))
    journal.commit(len(journal.read(4)))
    journal.close()
    (tmp_path / "position").write_bytes(content)

    journal = opened(tmp_path)
    assert numbers(journal.read(100)) == list(range(10))
    journal.append(messages(10, 1))
    assert drain(opened_again(journal, tmp_path)) == list(range(11))


def test_an_old_position_after_everything_was_drained_skips_nothing(tmp_path):
    journal = opened(tmp_path)
    journal.append(messages(0, 10))
    journal.commit(len(journal.read(4)))
    old = (tmp_path / "position").read_bytes()
    drain(journal)
    journal.close()
    (tmp_path / "position").write_bytes(old)

    journal = opened(tmp_path)
    journal.append(messages(10, 5))
    assert drain(opened_again(journal, tmp_path)) == list(range(10, 15))


def test_a_segment_of_another_version_is_refused_by_name(tmp_path):
    path, whole, _ = one_of_three(tmp_path)
    start = whole[:8] + (2).to_bytes(4, "little") + whole[12 : HEADER.size - 4]
    path.write_bytes(start + zlib.crc32(start).to_bytes(4, "little") + whole[HEADER.size :])

    with pytest.raises(JournalError, match="format version 2"):
        opened(tmp_path)
    with pytest.raises(JournalError, match="format version 2"):  # and the lock was given back
        opened(tmp_path)


# A disk that fails: the calls of the operating system are made to fail, ours are real


def failing(monkeypatch, name, failures, error=errno.EIO):
    """Let calls of `os.<name>` fail: the n-th does if the n-th of `failures` is true."""
    real, left = getattr(os, name), list(failures)

    def call(*arguments):
        if left and left.pop(0):
            raise OSError(error, os.strerror(error))
        return real(*arguments)

    monkeypatch.setattr(os, name, call)


def test_a_write_that_the_disk_did_not_confirm_is_made_again_in_a_new_file(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.append(messages(0, 2))
    with monkeypatch.context() as patch:
        failing(patch, "fdatasync", [True])
        journal.append(messages(2, 2))
    journal.append(messages(4, 2))
    assert len(segments(tmp_path)) == 2

    assert numbers(journal.read(10)) == list(range(6))
    assert drain(opened_again(journal, tmp_path)) == list(range(6))


def test_what_could_not_be_cut_off_after_a_failed_fsync_is_not_read_twice(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.append(messages(0, 2))
    with monkeypatch.context() as patch:
        failing(patch, "fdatasync", [True])
        failing(patch, "ftruncate", [True])
        journal.append(messages(2, 2))
    first, second = segments(tmp_path)
    assert first.stat().st_size > second.stat().st_size  # both hold the two messages
    assert journal.depth_bytes == first.stat().st_size + second.stat().st_size

    assert numbers(journal.read(10)) == list(range(4))
    assert drain(opened_again(journal, tmp_path)) == list(range(4))


def test_a_disk_that_confirms_nothing_is_an_error_and_leaves_the_journal_as_it_was(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.append(messages(0, 2))
    with monkeypatch.context() as patch:
        failing(patch, "fdatasync", [True] * 10)
        with pytest.raises(JournalError, match="EIO"):
            journal.append(messages(2, 2))
    assert journal.depth_messages == 2

    journal.append(messages(7, 1))
    assert drain(opened_again(journal, tmp_path)) == [0, 1, 7]


def test_a_directory_that_the_disk_did_not_confirm_counts_as_not_written(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    with monkeypatch.context() as patch:
        failing(patch, "fsync", [True] * 10)
        with pytest.raises(JournalError, match="EIO"):
            journal.append(messages(0, 2))
    assert segments(tmp_path) == []
    assert (journal.depth_messages, journal.depth_bytes) == (0, 0)


def test_a_write_that_fails_half_way_is_cut_back_and_the_next_one_follows(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.append(messages(0, 2))
    size = journal.depth_bytes
    real, calls = os.pwrite, []

    def half(file, data, offset):
        calls.append(offset)
        if len(calls) > 1:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(file, data[: len(data) // 2], offset)

    with monkeypatch.context() as patch:
        patch.setattr(os, "pwrite", half)
        with pytest.raises(JournalError, match="ENOSPC"):
            journal.append(messages(2, 2))
    assert segments(tmp_path)[0].stat().st_size == journal.depth_bytes == size

    journal.append(messages(2, 2))
    assert len(segments(tmp_path)) == 1
    assert drain(opened_again(journal, tmp_path)) == list(range(4))


def test_a_position_that_cannot_be_saved_stops_nothing(tmp_path, monkeypatch):
    journal = opened(tmp_path)
    journal.append(messages(0, 10))
    items = journal.read(4)
    with monkeypatch.context() as patch:
        failing(patch, "pwrite", [True], errno.ENOSPC)
        journal.commit(len(items))

    assert numbers(journal.read(1)) == [4]
    assert drain(opened_again(journal, tmp_path)) == list(range(10))  # again from the start, and nothing skipped


def test_a_file_that_cannot_be_deleted_is_deleted_later(tmp_path, monkeypatch):
    journal = opened(tmp_path, segment_bytes=300)
    for first in range(0, 9, 3):
        journal.append(messages(first, 3))
    items = journal.read(3)
    with monkeypatch.context() as patch:
        failing(patch, "unlink", [True], errno.EBUSY)
        journal.commit(len(items))
    assert len(segments(tmp_path)) == 3

    assert drain(journal) == list(range(3, 9))
    assert segments(tmp_path) == []


def test_damage_that_cannot_be_copied_keeps_its_whole_segment(tmp_path, monkeypatch):
    path, whole, begin = one_of_three(tmp_path)
    path.write_bytes(whole[: begin - 1] + b"?" + whole[begin:])
    with monkeypatch.context() as patch:
        failing(patch, "pwrite", [True], errno.ENOSPC)
        journal = opened(tmp_path)
    assert drain(journal) == [0, 1, 4, 5]

    assert [found.read_bytes()[:8] for found in tmp_path.glob("*.damaged")] == [whole[:8]]
    assert journal.depth_bytes == len(whole)


def test_a_directory_that_is_a_file_is_refused_by_name(tmp_path):
    (tmp_path / "journal").write_text("")
    with pytest.raises(JournalError, match="cannot be opened: ENOTDIR"):
        opened(tmp_path / "journal")


# Settings


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
