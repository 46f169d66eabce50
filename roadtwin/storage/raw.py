"""Raw bytes of messages, a batch at a time: what a network server sends a thousand times differs in a few bytes."""

import struct
from collections.abc import Iterator, Sequence
from typing import Any

import psycopg
import zstandard

from roadtwin.storage import queries

COMPRESSION = "zstd"
MOST_BYTES = 1 << 30
"""What one batch may hold; PostgreSQL's limit for a value [B]."""

_LEVEL = 1  # levels above cost several times the time for a tenth of the size


def pack(payloads: Sequence[bytes]) -> bytes:
    """Payloads as `raw_batch.payloads` keeps them; an empty one stands for a message that is not there.

    Examples
    --------
    >>> unpack(pack([b"a", b"", b"bc"]))
    [b'a', b'', b'bc']
    """
    head = struct.pack(f">{len(payloads) + 1}I", len(payloads), *map(len, payloads))
    # A context of its own: one must not be used by two threads at once, and making it costs microseconds.
    return zstandard.ZstdCompressor(level=_LEVEL).compress(b"".join((head, *payloads)))


def unpack(packed: bytes) -> list[bytes]:
    """The payloads in order.

    Raises ValueError when these are no packed payloads.
    """
    try:
        data = zstandard.ZstdDecompressor().decompress(packed, max_output_size=MOST_BYTES)
        (count,) = struct.unpack_from(">I", data)
        lengths = struct.unpack_from(f">{count}I", data, 4)
    except (zstandard.ZstdError, struct.error) as exc:
        raise ValueError(f"Got no packed payloads: {exc}.") from None
    payloads, at = [], 4 + 4 * count
    for length in lengths:
        payloads.append(data[at : at + length])
        at += length
    if at != len(data):
        raise ValueError(f"Got packed payloads of {len(data)} bytes, expected {at}.")
    return payloads


def read_payloads(conn: psycopg.Connection[Any]) -> Iterator[bytes]:
    """The payload of every stored message, in no particular order and in bounded memory. Needs an open transaction."""
    sql = queries.load("raw")
    with conn.cursor("raw_payloads") as cursor:  # on the server: all of them would not fit into memory
        cursor.itersize = 16
        for packed, raw_nos in cursor.execute(sql["read_raw_batches"]):
            payloads = unpack(packed)
            yield from (payloads[raw_no] for raw_no in raw_nos)
    with conn.cursor("row_payloads") as cursor:
        cursor.itersize = 500
        for (payload,) in cursor.execute(sql["read_payloads_in_rows"]):
            yield payload
