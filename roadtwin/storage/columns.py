"""Reading and writing many rows at once: binary COPY between tables and NumPy arrays.

A hundred thousand rows come in well under a second; a Python object for each value would take several.
"""

from collections.abc import Iterator, Mapping, Sequence
from selectors import EVENT_READ, DefaultSelector
from typing import Any, LiteralString

import numpy as np
import psycopg
from numpy.typing import NDArray

# Type on the wire (big-endian) and in our arrays. "uuid" stays 16 raw bytes.
_WIRE = {
    "int2": ">i2", "int4": ">i4", "int8": ">i8", "float4": ">f4", "float8": ">f8", "bool": "u1",
    "timestamptz": ">i8", "date": ">i4", "uuid": "V16",
}  # fmt: skip
_HEADER = b"PGCOPY\n\xff\r\n\0"
_TRAILER = b"\xff\xff"
_FLOAT4_OID = 700
_CHUNK_BYTES = 1 << 24
"""Rows are turned into columns by so much at a time: memory holds the columns and one chunk, not all rows twice."""
_EPOCH = np.datetime64("2000-01-01", "us")
_INFINITY = np.iinfo(np.int64).max
_NAT = np.iinfo(np.int64).min


def copy_columns(
    conn: psycopg.Connection[Any],
    statement: LiteralString,
    columns: Sequence[tuple[str, str]],
    parameters: Mapping[str, object],
) -> dict[str, NDArray[Any]]:
    """Columns of a `COPY (…) TO STDOUT (FORMAT BINARY)`.

    Parameters
    ----------
    statement : str
        The COPY. None of its columns may be null: coalesce to NaN or to infinity.
    columns : sequence of (name, type)
        In its order; types int2, int4, int8, float4, float8, bool, timestamptz, date, uuid.
    parameters : mapping
        Bound by the driver.

    Returns
    -------
    dict of str to ndarray, each of shape (n_rows,)
        timestamptz as datetime64[us] in UTC (±infinity as NaT), date as datetime64[D], uuid as 16 raw bytes.

    Raises
    ------
    ValueError
        If the rows do not have these columns and types; a null shows up this way, too.
    """
    fields: list[tuple[str, str]] = [("", ">i2")]
    for name, kind in columns:
        fields += [(f"{name} length", ">i4"), (name, _WIRE[kind])]
    row = np.dtype([(name or "field count", wire) for name, wire in fields])
    read = _Growing(row, columns)

    def refuse() -> ValueError:
        declared = ", ".join(f"{name} {kind}" for name, kind in columns)
        return ValueError(f"Got rows that are not {declared}, none of them null.")

    rest = b""
    with conn.cursor() as cursor, cursor.copy(statement, dict(parameters)):
        for number, chunk in enumerate(_chunks(conn.pgconn)):
            data = memoryview(rest + chunk if rest else chunk)
            if not number:
                if data[: len(_HEADER)] != _HEADER:
                    raise ValueError("Got something else than PostgreSQL's binary COPY format.")
                data = data[len(_HEADER) + 8 + int.from_bytes(data[15:19], "big") :]
            # Two bytes stay back: at the end they are the trailer, −1.
            count = max(0, len(data) - 2) // row.itemsize
            rows = np.frombuffer(data[: count * row.itemsize], row)
            as_declared = all((rows[f"{name} length"] == row[name].itemsize).all() for name, _ in columns)
            if not as_declared or not (rows["field count"] == len(columns)).all():
                raise refuse()
            read.append(rows)
            rest = bytes(data[count * row.itemsize :])
    if rest != _TRAILER:
        raise refuse()
    return read.columns()


class _Growing:
    """Columns that grow by half when they are full. Of many small parts that are joined at the end, the pieces of
    memory would stay with the process: twice what the columns take."""

    def __init__(self, row: np.dtype[Any], columns: Sequence[tuple[str, str]]) -> None:
        self._kinds = dict(columns)
        self._arrays = {name: _ours(np.zeros(0, row)[name], kind) for name, kind in columns}
        self._size = 0

    def append(self, rows: NDArray[Any]) -> None:
        """Rows as they come over the wire."""
        end = self._size + rows.size
        for name, array in self._arrays.items():
            if end > array.size:
                grown = np.empty(max(end, array.size * 3 // 2), array.dtype)
                grown[: self._size] = array[: self._size]
                self._arrays[name] = array = grown
            array[self._size : end] = _ours(rows[name], self._kinds[name])
        self._size = end

    def columns(self) -> dict[str, NDArray[Any]]:
        """What there is."""
        return {name: array[: self._size] for name, array in self._arrays.items()}


def write_columns(
    conn: psycopg.Connection[Any],
    statement: LiteralString,
    columns: Sequence[tuple[str, str]],
    values: Mapping[str, NDArray[Any] | Mapping[int, bytes] | None],
) -> None:
    """Write n rows by a `COPY … FROM STDIN (FORMAT BINARY)`. Part of the caller's transaction.

    Parameters
    ----------
    statement : str
        The COPY.
    columns : sequence of (name, type)
        In its order; types as in `copy_columns`, further "float4[]", and "jsonb" for the last one.
    values : mapping
        By name: an array (n,), for "float4[]" (n, k) with k > 0, datetime64[us] for timestamptz and datetime64[D] for
        date, rounded to the type of the column; None: null in every row. For "jsonb" the texts of some rows by their
        number; the others are null.

    Raises
    ------
    ValueError
        If the columns differ in length.
    """
    arrays = {name: column for name, column in values.items() if isinstance(column, np.ndarray)}
    sizes = {column.shape[0] for column in arrays.values()}
    if len(sizes) != 1:
        raise ValueError(f"Got columns of {sorted(sizes)} rows, expected as many of each.")
    rows = np.zeros(sizes.pop(), _row_type(columns, arrays))
    rows["field count"] = len(columns)
    for name, kind in columns:
        rows[f"{name} length"] = rows.dtype[name].itemsize if name in arrays else -1
        if name in arrays:
            _fill(rows[name], arrays[name], kind)
    texts = {row: text for column in values.values() if isinstance(column, Mapping) for row, text in column.items()}
    plain = np.ones(rows.size, bool)
    plain[list(texts)] = False
    with conn.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(_HEADER + bytes(8))
        copy.write(rows[plain].tobytes())
        for row, text in texts.items():
            # The length of the last column, −1 so far, gives way to that of version byte and text.
            copy.write(rows[row].tobytes()[:-4] + (len(text) + 1).to_bytes(4, "big") + b"\x01" + text)
        copy.write(_TRAILER)


def _row_type(columns: Sequence[tuple[str, str]], arrays: Mapping[str, NDArray[Any]]) -> np.dtype[Any]:
    fields: list[tuple[str, Any]] = [("field count", ">i2")]
    for name, kind in columns:
        fields.append((f"{name} length", ">i4"))
        if name in arrays and kind == "float4[]":
            item = np.dtype([("length", ">i4"), ("value", ">f4")])
            fields.append((name, np.dtype([("head", ">i4", (5,)), ("items", item, (arrays[name].shape[1],))])))
        elif name in arrays:
            fields.append((name, _WIRE[kind]))
    return np.dtype(fields)


def _fill(field: NDArray[Any], column: NDArray[Any], kind: str) -> None:
    if kind == "float4[]":
        field["head"] = 1, 0, _FLOAT4_OID, column.shape[1], 1  # one dimension, no nulls, its length, counted from 1
        field["items"]["length"], field["items"]["value"] = 4, column
    elif kind == "timestamptz":
        field[:] = (column - _EPOCH).astype(np.int64)
    elif kind == "date":
        field[:] = (column - _EPOCH.astype("datetime64[D]")).astype(np.int64)
    else:
        field[:] = column


def _chunks(pgconn: psycopg.pq.abc.PGconn) -> Iterator[bytearray]:
    """What the server sends until the end of a COPY, some megabytes at a time, from libpq itself.

    Iterating over the driver's `Copy` runs its waiting loop for each row, which takes several times as long; here
    only an empty buffer waits, and other threads run meanwhile.
    """
    get, chunk, room = pgconn.get_copy_data, bytearray(), _CHUNK_BYTES
    with DefaultSelector() as selector:
        selector.register(pgconn.socket, EVENT_READ)
        while True:
            length, block = get(1)
            if length > 0:
                chunk += block
                room -= length
                if room <= 0:
                    yield chunk
                    chunk, room = bytearray(), _CHUNK_BYTES
            elif length == 0:
                selector.select()
                pgconn.consume_input()
            else:
                break
    if chunk:
        yield chunk
    result = pgconn.get_result()  # the end, or an error that the server met on the way
    while pgconn.get_result() is not None:
        pass
    if result is not None and result.status == psycopg.pq.ExecStatus.FATAL_ERROR:
        raise psycopg.OperationalError(result.error_message.decode(errors="replace"))


def _ours(values: NDArray[Any], kind: str) -> NDArray[Any]:
    if kind == "timestamptz":
        number = values.astype(np.int64)
        infinite = (number == _INFINITY) | (number == -_INFINITY - 1)
        number += _EPOCH.astype(np.int64)  # overflows where infinite, and is set there
        number[infinite] = _NAT
        return number.view("datetime64[us]")
    if kind == "date":
        return np.datetime64("2000-01-01", "D") + values.astype(np.int64)
    if kind == "bool":
        return values.astype(bool)
    return values.copy() if kind == "uuid" else values.astype(values.dtype.newbyteorder("="))
