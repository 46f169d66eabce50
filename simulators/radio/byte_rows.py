"""Texts of many messages at once: digits, times and ids written into rows of bytes, and rows cut into bytes objects.

A matrix of bytes has one row a message, or a reception. Constant text stands in a template; the writers fill its
columns in place. Where widths differ, a row is padded with NUL, which no text of ours holds, and `texts` leaves it out.
"""

from datetime import date, timedelta
from uuid import UUID

import numpy as np
from numpy.typing import ArrayLike, NDArray

Bytes = NDArray[np.uint8]

_SECOND_US, _DAY_S = 1_000_000, 86_400
_EPOCH_DAY = date(1970, 1, 1)


def _ascii(lines: list[str]) -> Bytes:
    return np.frombuffer("".join(lines).encode("ascii"), np.uint8).reshape(len(lines), -1)


_THREE_DIGITS = _ascii([f"{n:03d}" for n in range(1000)])
_FIVE_DIGITS = _ascii([f"{n:05d}" for n in range(100_000)])
_HEX = _ascii([f"{n:02x}" for n in range(256)])
_CLOCK = _ascii([f"{n // 3600:02d}:{n // 60 % 60:02d}:{n % 60:02d}" for n in range(_DAY_S)])
_BASE64 = _ascii(list("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"))[:, 0]
_BASE32 = _ascii(list("0123456789ABCDEFGHJKMNPQRSTVWXYZ"))[:, 0]  # Crockford's, as in ULIDs

TIME_WIDTH = 29
"""2026-05-15T11:07:26.981566256."""


def rows_like(template: bytes, count: int) -> Bytes:
    """`count` rows (count, width) of one text."""
    rows = np.empty((count, len(template)), np.uint8)
    rows[:] = np.frombuffer(template, np.uint8)
    return rows


def texts(rows: Bytes) -> list[bytes]:
    """Rows of text as bytes objects, without their NULs."""
    if rows.size and not rows.all():
        keep = rows != 0
        return cut(rows[keep], keep.sum(axis=1))
    return np.ascontiguousarray(rows).view(f"V{rows.shape[1]}")[:, 0].tolist() if rows.size else [b""] * len(rows)


def cut(flat: Bytes, lengths: NDArray[np.intp]) -> list[bytes]:
    """One bytes object for each of n lengths, from all bytes in a row."""
    ends = np.cumsum(lengths).tolist()
    whole = flat.tobytes()
    return [whole[a:b] for a, b in zip([0, *ends[:-1]], ends, strict=True)] if ends else []


def put_time(rows: Bytes, column: int, at_us: NDArray[np.int64], nanos: NDArray[np.int64]) -> None:
    """Write a time of `TIME_WIDTH` characters, `at_us` [µs since 1970, UTC] and `nanos` (0 to 999) below."""
    second, us = np.divmod(at_us, _SECOND_US)
    day, second = np.divmod(second, _DAY_S)
    if not len(day):
        return
    first, last = int(day.min()), int(day.max())
    days = _ascii([(_EPOCH_DAY + timedelta(days=d)).isoformat() + "T" for d in range(first, last + 1)])
    rows[:, column : column + 11] = days.take(day - first, axis=0)
    rows[:, column + 11 : column + 19] = _CLOCK.take(second, axis=0)
    rows[:, column + 19] = ord(".")
    rows[:, column + 20 : column + 23] = _THREE_DIGITS.take(us // 1000, axis=0)
    rows[:, column + 23 : column + 26] = _THREE_DIGITS.take(us % 1000, axis=0)
    rows[:, column + 26 : column + 29] = _THREE_DIGITS.take(nanos, axis=0)


def put_three(rows: Bytes, column: int, values: NDArray[np.int64]) -> None:
    """Write numbers below 1000 with three digits."""
    rows[:, column : column + 3] = _THREE_DIGITS.take(values, axis=0)


def put_ten(rows: Bytes, column: int, values: NDArray[np.int64]) -> None:
    """Write numbers below 10¹⁰ in ten columns; NUL stands for leading zeros."""
    rows[:, column : column + 5] = _FIVE_DIGITS.take(values // 100_000, axis=0)
    rows[:, column + 5 : column + 10] = _FIVE_DIGITS.take(values % 100_000, axis=0)
    if len(values) and int(values.min()) < 10**9:
        for digit in range(9):
            rows[values < 10 ** (9 - digit), column + digit] = 0


def put_uuid(rows: Bytes, column: int, octets: Bytes) -> None:
    """Write 16 bytes (n, 16) as the 36 characters of a UUID."""
    digits = _HEX.take(octets, axis=0).reshape(-1, 32)
    at = column
    for first, last in ((0, 8), (8, 12), (12, 16), (16, 20), (20, 32)):
        rows[:, at : at + last - first] = digits[:, first:last]
        at += last - first
        if last < 32:
            rows[:, at] = ord("-")
            at += 1


def put_base64(rows: Bytes, column: int, octets: Bytes) -> None:
    """Write bytes (n, k) as base64 with padding."""
    count, width = octets.shape
    padded = np.zeros((count, -(-width // 3), 3), np.uint8)
    padded.reshape(count, -1)[:, :width] = octets
    a, b, c = padded[:, :, 0], padded[:, :, 1], padded[:, :, 2]
    sextets = np.stack([a >> 2, (a & 3) << 4 | b >> 4, (b & 15) << 2 | c >> 6, c & 63], axis=2).reshape(count, -1)
    end = column + sextets.shape[1]
    rows[:, column:end] = _BASE64.take(sextets, axis=0)
    if missing := -width % 3:
        rows[:, end - missing : end] = ord("=")


def put_ulid(rows: Bytes, column: int, at_us: NDArray[np.int64], words: NDArray[np.uint64]) -> None:
    """Write a ULID: 48 bits of milliseconds and 80 random ones of `words` (n, 2), 26 characters."""
    ms = (at_us // 1000).astype(np.uint64)
    for digit in range(10):
        rows[:, column + digit] = _BASE32.take((ms >> np.uint64(45 - 5 * digit)) & np.uint64(31), axis=0)
    for digit in range(16):
        word = words[:, digit // 8]
        rows[:, column + 10 + digit] = _BASE32.take((word >> np.uint64(5 * (digit % 8))) & np.uint64(31), axis=0)


def octets_of(words: NDArray[np.uint64]) -> Bytes:
    """The bytes (n, 8k) of k words (n, k), most significant first."""
    return np.ascontiguousarray(words).astype(">u8").view(np.uint8).reshape(len(words), -1)


def uuid_octets(words: NDArray[np.uint64]) -> Bytes:
    """The 16 bytes (n, 16) of random UUIDs (version 4 of RFC 9562) from words (n, 2)."""
    octets = octets_of(words)
    octets[:, 6] = octets[:, 6] & 0x0F | 0x40
    octets[:, 8] = octets[:, 8] & 0x3F | 0x80
    return octets


def varints(values: ArrayLike) -> tuple[Bytes, NDArray[np.intp]]:
    """Protobuf's variable-length integers: bytes (n, 10) of which the first `lengths` (n,) count.

    Examples
    --------
    >>> octets, lengths = varints([1, 300])
    >>> [row[:k].tobytes().hex() for row, k in zip(octets, lengths.tolist())]
    ['01', 'ac02']
    """
    rest = np.atleast_1d(np.asarray(values)).astype(np.uint64)
    most = max(-(-int(rest.max(initial=0)).bit_length() // 7), 1)
    octets = np.empty((len(rest), most), np.uint8)
    lengths = np.ones(len(rest), np.intp)
    for place in range(most):
        octets[:, place] = rest & np.uint64(127)
        rest >>= np.uint64(7)
        if place < most - 1:
            more = rest > 0
            octets[more, place] |= 128
            lengths += more
    return octets, lengths


Column = tuple[Bytes, NDArray[np.intp] | None]
"""Bytes (n or 1, k) of which in each row the first `lengths` (n,) count, all of them when None."""


def widths(columns: list[Column], count: int) -> NDArray[np.intp]:
    """How long each row of columns is [bytes]."""
    total = np.full(count, sum(octets.shape[1] for octets, lengths in columns if lengths is None), np.intp)
    for _, lengths in columns:
        if lengths is not None:
            total += lengths
    return total


def flattened(columns: list[Column], count: int) -> tuple[Bytes, NDArray[np.intp]]:
    """The bytes of all rows, one after the other, and how long each row is."""
    wide = sum(octets.shape[1] for octets, _ in columns)
    made, keep = np.empty((count, wide), np.uint8), np.ones((count, wide), bool)
    at = 0
    for octets, lengths in columns:
        end = at + octets.shape[1]
        made[:, at:end] = octets
        if lengths is not None:
            for place in range(end - at):
                np.greater(lengths, place, out=keep[:, at + place])
        at = end
    return made[keep], widths(columns, count)


def joined(columns: list[Column], count: int) -> list[bytes]:
    """A bytes object for each row of columns."""
    return cut(*flattened(columns, count))


def time_text(at_us: int, nanos: int) -> str:
    """One time of `TIME_WIDTH` characters."""
    row = np.zeros((1, TIME_WIDTH), np.uint8)
    put_time(row, 0, np.array([at_us]), np.array([nanos]))
    return row.tobytes().decode("ascii")


def uuid_text(words: NDArray[np.uint64]) -> str:
    """One UUID from two words."""
    return str(UUID(bytes=uuid_octets(words[None]).tobytes()))
