"""Recordings: what is written is read, the same messages give the same bytes, and damage is told, never guessed at."""

import struct
import zlib
from itertools import islice
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ingest import recording
from ingest.recording import (
    RecordedMessage,
    RecordingWriter,
    read_blocks,
    read_info,
    read_numbered_blocks,
    read_recording,
)
from ingest.recording_format import BLOCK, END, HEADER
from roadtwin.errors import RecordingError

DESCRIPTION = {"recorder": "a test", "time": "arrival"}

MESSAGES = st.lists(
    st.builds(
        RecordedMessage,
        at_us=st.integers(-(2**40), 2**53),
        topic=st.text(st.characters(codec="utf-8"), min_size=1, max_size=20),
        payload=st.binary(max_size=200),
        qos=st.integers(0, 2),
        retained=st.booleans(),
    ),
    max_size=60,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "some.feed"


def write(path: Path, messages: list[RecordedMessage]) -> None:
    with RecordingWriter(path, DESCRIPTION, replace=True) as writer:
        for message in messages:
            writer.write(message)


def some(count: int, *, topics: int = 5, size: int = 40) -> list[RecordedMessage]:
    return [
        RecordedMessage(1_700_000_000_000_000 + 1000 * i, f"a/{i % topics}", f"{i:0{size}}".encode(), i % 3, i % 7 == 0)
        for i in range(count)
    ]


def spans(path: Path) -> list[tuple[int, int]]:
    """Where each block begins and ends, read by the layout in the documentation and not by our reader."""
    data, found = path.read_bytes(), []
    at = 20 + struct.unpack_from("<I", data, 12)[0]
    while data[at : at + 8] == b"RTFBLOCK":
        end = at + 44 + struct.unpack_from("<I", data, at + 16)[0]
        found.append((at, end))
        at = end
    assert data[at:] == b"" or len(data) - at == END.size
    return found


@given(MESSAGES)
@settings(max_examples=60, deadline=None)
def test_what_is_written_is_read(tmp_path_factory: pytest.TempPathFactory, messages: list[RecordedMessage]) -> None:
    path = tmp_path_factory.mktemp("recording") / "any.feed"
    write(path, messages)
    assert list(read_recording(path)) == messages
    info = read_info(path)
    assert (info.messages, info.complete, info.torn_bytes) == (len(messages), True, 0)
    assert info.description == DESCRIPTION
    assert info.earliest_us == min((m.at_us for m in messages), default=None)
    assert info.latest_us == max((m.at_us for m in messages), default=None)


def test_the_same_messages_give_the_same_bytes_in_whatever_portions(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recording, "BLOCK_MESSAGES", 100)
    monkeypatch.setattr(recording, "BLOCK_BYTES", 3000)
    messages = [*some(250), *some(30, size=900), *some(1, size=9000), *some(120)]
    write(path, messages)
    expected = path.read_bytes()
    assert len(spans(path)) > 5
    for portion in (1, 7, 99, 100, 101, 1000):
        with RecordingWriter(path, DESCRIPTION, replace=True) as writer:
            for at in range(0, len(messages), portion):
                part = messages[at : at + portion]
                writer.write_block(
                    np.array([m.at_us for m in part]),
                    [m.topic for m in part],
                    [m.payload for m in part],
                    flags=bytes(m.qos | 4 * m.retained for m in part),
                )
        assert path.read_bytes() == expected


def test_blocks_tell_where_they_begin_and_may_be_passed_over(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "BLOCK_MESSAGES", 10)
    messages = some(35)
    write(path, messages)
    assert [numbered.first for numbered in read_numbered_blocks(path)] == [0, 10, 20, 30]
    assert [numbered.first for numbered in read_numbered_blocks(path, first=19)] == [10, 20, 30]
    assert [numbered.first for numbered in read_numbered_blocks(path, first=20)] == [20, 30]
    assert [n.first for n in read_numbered_blocks(path, since_us=messages[25].at_us)] == [20, 30]
    block = next(iter(read_blocks(path)))
    assert (block.at_us.dtype, block.qos.dtype, block.retained.dtype) == (np.int64, np.uint8, np.bool_)


def test_a_file_without_its_end_is_read_to_the_last_whole_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a crash leaves it: cut at every place, and with zeros where the disk had not yet written."""
    monkeypatch.setattr(recording, "BLOCK_MESSAGES", 10)
    messages = some(25)
    write(path, messages)
    whole, blocks = path.read_bytes(), spans(path)
    for cut in range(blocks[0][0], len(whole)):
        kept = sum(end <= cut for _, end in blocks)
        zeros = bytes(len(whole) - cut) if cut % 2 else b""
        path.write_bytes(whole[:cut] + zeros)
        info = read_info(path)
        assert list(read_recording(path)) == messages[: 10 * kept]
        assert (info.blocks, info.complete) == (kept, False)
        last_end = blocks[kept - 1][1] if kept else blocks[0][0]
        assert info.torn_bytes == cut + len(zeros) - last_end
        if kept < 3 and cut >= blocks[kept][0] + BLOCK.size:
            assert info.torn_messages == (10 if kept < 2 else 5)


def test_damage_is_told_by_the_number_of_its_block(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "BLOCK_MESSAGES", 10)
    messages = some(35)
    write(path, messages)
    whole = path.read_bytes()
    begin, end = spans(path)[1]
    for at in range(begin, end):
        path.write_bytes(whole[:at] + bytes((whole[at] ^ 0x10,)) + whole[at + 1 :])
        reading = read_recording(path)
        assert list(islice(reading, 10)) == messages[:10]
        with pytest.raises(RecordingError, match=r"block 2 .* is damaged"):
            next(reading)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no recording"),
        (b'{"deviceInfo": {}}\n' * 5, "is no recording"),
        (HEADER.pack(b"RTFEED\r\n", 2, 2, 0) + b"{}", "format version 2, this version of Roadtwin reads 1"),
        (HEADER.pack(b"RTFEED\r\n", 1, 2, 7) + b"{}", "header or its description is damaged"),
    ],
)
def test_what_is_no_recording_is_refused(path: Path, content: bytes, words: str) -> None:
    path.write_bytes(content)
    with pytest.raises(RecordingError, match=words):
        read_info(path)


def test_a_block_that_lies_about_its_content_is_refused(path: Path) -> None:
    """Checksums right, content not: made by hand."""
    write(path, some(3))
    whole = path.read_bytes()
    ((begin, end),) = spans(path)
    body = whole[begin + BLOCK.size : end]
    for messages, raw in ((4, None), (2, None), (3, 1 << 31), (70_000, None)):
        fields = list(BLOCK.unpack_from(whole, begin))
        fields[1], fields[2] = messages, raw or fields[2]
        start = BLOCK.pack(*fields)[:-4]
        path.write_bytes(whole[:begin] + start + zlib.crc32(start).to_bytes(4, "little") + body + whole[end:])
        with pytest.raises(RecordingError, match=r"block 1 .* is damaged"):
            list(read_recording(path))


def test_nothing_is_overwritten_and_what_is_appended_follows(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recording, "BLOCK_MESSAGES", 10)
    messages = some(50)
    write(path, messages[:15])
    with pytest.raises(RecordingError, match="is there already"):
        RecordingWriter(path, DESCRIPTION)
    with RecordingWriter(path, {"other": True}, append=True) as writer:
        assert writer.messages == 15
        for message in messages[15:40]:
            writer.write(message)
    assert list(read_recording(path)) == messages[:40]
    path.write_bytes(path.read_bytes()[:-40] + bytes(1000))  # into the last block; the disk had room for more already
    kept = read_info(path).messages
    assert 0 < kept < 40
    with RecordingWriter(path, {}, append=True) as writer:
        for message in messages[kept:]:
            writer.write(message)
    assert list(read_recording(path)) == messages
    assert read_info(path).description == DESCRIPTION


def test_what_is_flushed_is_there_before_the_file_is_closed(path: Path) -> None:
    messages = some(5)
    with RecordingWriter(path, DESCRIPTION) as writer:
        for message in messages[:3]:
            writer.write(message)
        writer.flush()
        assert list(read_recording(path)) == messages[:3]
        for message in messages[3:]:
            writer.write(message)
    assert list(read_recording(path)) == messages


def test_parts_with_ended_blocks_are_joined_into_what_one_writer_makes(path: Path, tmp_path: Path) -> None:
    messages = some(30)
    with RecordingWriter(path, DESCRIPTION) as writer:
        for first in (0, 12):
            for message in messages[first : first + 12 if first == 0 else None]:
                writer.write(message)
            writer.end_block()
    parts, joined = [tmp_path / "a.feed", tmp_path / "b.feed"], tmp_path / "joined.feed"
    for part, members in zip(parts, (messages[:12], messages[12:]), strict=True):
        with RecordingWriter(part, {"part": part.name}) as writer:
            for message in members:
                writer.write(message)

    with RecordingWriter(joined, DESCRIPTION) as writer:
        for part in parts:
            writer.append_blocks(part)

    assert joined.read_bytes() == path.read_bytes()
    assert read_info(joined).messages == 30
    parts[0].write_bytes(parts[0].read_bytes()[:-5])
    with pytest.raises(RecordingError, match="cut short"), RecordingWriter(path, {}, replace=True) as writer:
        writer.append_blocks(parts[0])


def test_many_small_blocks_are_joined_in_place(path: Path) -> None:
    messages = some(40)
    with RecordingWriter(path, DESCRIPTION, private=True) as writer:
        for message in messages:
            writer.write(message)
            writer.flush()
    before = path.stat().st_size
    assert read_info(path).blocks == 40
    assert recording.compact(path)
    assert read_info(path).blocks == 1
    assert path.stat().st_size < before / 4
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(read_recording(path)) == messages
    assert read_info(path).description == DESCRIPTION
    assert not recording.compact(path)
    assert list(path.parent.iterdir()) == [path]


def test_bad_messages_and_descriptions_are_one_error_each(path: Path, tmp_path: Path) -> None:
    with RecordingWriter(path, DESCRIPTION) as writer:
        with pytest.raises(RecordingError, match="Got 1 times, 2 topics"):
            writer.write_block(np.array([1]), ["a", "b"], [b"", b""])
        with pytest.raises(RecordingError, match="QoS: got 3"):
            writer.write(RecordedMessage(1, "a", b"", 3))
    for topic in ("", "a" * 65_536, "a\ud800"):
        with pytest.raises(RecordingError, match="Topic: got"), RecordingWriter(path, {}, replace=True) as writer:
            writer.write(RecordedMessage(1, topic, b""))
    with pytest.raises(RecordingError, match="no JSON"):
        RecordingWriter(tmp_path / "x.feed", {"a": object()})
    with pytest.raises(RecordingError, match="cannot be written"):
        RecordingWriter(tmp_path / "nowhere" / "x.feed", {})
    with pytest.raises(RecordingError, match="cannot be read"):
        read_info(tmp_path / "missing.feed")
