"""The journal on a disk that fails: calls of the operating system are made to fail, ours are real."""

import errno
import os

import pytest

from roadtwin.errors import JournalError
from tests.journals import drain, messages, numbers, opened, opened_again, segments


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
    journal = opened(tmp_path)
    for first in (0, 2, 4):
        journal.append(messages(first, 2))
    journal.close()
    path = segments(tmp_path)[0]
    whole = path.read_bytes().replace(b"000000000002", b"00000000000?")
    path.write_bytes(whole)
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
