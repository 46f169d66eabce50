"""The journal after a crash or on a bad disk: torn, flipped, forged, or without its position."""

import zlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest.journal_format import HEADER
from ingest.received import Received
from roadtwin.errors import JournalError
from tests.journals import BEGIN, drain, messages, metric, numbers, opened, opened_again, segments


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
    journal = opened(tmp_path)
    drain(journal)

    assert segments(tmp_path) == []
    assert [found.stat().st_size for found in tmp_path.glob("*.damaged")] == [journal.depth_bytes]
    assert journal.depth_bytes > 0


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
