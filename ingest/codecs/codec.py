"""What every codec is: a name, ports, `decode` and, where the family can, `encode`."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import CodecError

MAX_PAYLOAD_BYTES = 242
"""The longest application payload of LoRaWAN in any region (RP002-1.0.4, maximum N)."""
Column = NDArray[np.float64]
"""One field of many frames, (n,)."""
Fields = dict[str, object]
"""Values of a frame by the vendor's field name: numbers, booleans, texts, None; flat but for lists of such tables."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One measurement of a payload: its fields and, where the payload says so, when it was taken.

    `observed_at` is the device's own time of it (UTC), `age_s` how long before the uplink it was taken [s].
    """

    fields: Mapping[str, object]
    observed_at: datetime | None = None
    age_s: float | None = None


@dataclass(frozen=True, slots=True)
class FieldDoc:
    """One field for the reference pages: where it stands in the payload, its name, unit and how it is computed."""

    where: str
    name: str
    unit: str
    formula: str


@dataclass(frozen=True, slots=True)
class Example:
    """Bytes of our own making for the reference pages and the tests."""

    title: str
    f_port: int
    payload_hex: str


class Codec(ABC):
    """The codec of one device kind. Pure: no clock, no state.

    `ports` are those on which the device sends measurements; None for families whose port the operator chooses.
    With `sends_history` it sends past measurements too; the vendor's own decoder lists them under `history`.
    """

    name: str
    title: str
    family: str
    default_port: int
    ports: frozenset[int] | None = None
    sends_history: bool = False
    examples: tuple[Example, ...] = ()

    def decode(self, f_port: int, payload: bytes) -> tuple[Frame, ...]:
        """The measurements in a payload, the current one first, then a history in its order; never empty.

        Raises CodecError for a port that carries none and for bytes that do not follow the layout.
        """
        if not 1 <= f_port <= 223 or (self.ports is not None and f_port not in self.ports):
            expected = "1 to 223" if self.ports is None else ", ".join(map(str, sorted(self.ports)))
            raise CodecError(f"{self.name}: got fPort {f_port}, expected {expected}.")
        if not 1 <= len(payload) <= MAX_PAYLOAD_BYTES:
            raise CodecError(f"{self.name}: got {len(payload)} bytes, expected 1 to {MAX_PAYLOAD_BYTES}.")
        return self._decode(f_port, payload)

    @abstractmethod
    def _decode(self, f_port: int, payload: bytes) -> tuple[Frame, ...]: ...

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """(fPort, payload) of one current measurement; values are rounded to the device's resolution.

        Raises CodecError for fields the device does not send, values out of its number range, and codecs that only
        decode.
        """
        raise CodecError(f"{self.name}: this codec only decodes; got {len(fields)} fields to encode.")

    def encode_many(self, columns: Mapping[str, Column]) -> tuple[int, list[bytes]]:
        """(fPort, payloads) of n measurements that say the same fields, each a column of n numbers.

        Gives what `encode` gives one by one; families that can do it on whole columns override it.

        Raises CodecError as `encode` does, and for columns of different lengths.
        """
        rows = row_count(self.name, columns)
        lists = {name: column.tolist() for name, column in columns.items()}
        payloads = [self.encode({name: values[row] for name, values in lists.items()})[1] for row in range(rows)]
        return self.default_port, payloads

    @abstractmethod
    def field_docs(self) -> tuple[FieldDoc, ...]:
        """Every field the codec knows, for the reference pages."""


def number_of(codec: str, fields: Mapping[str, object], name: str) -> int | float:
    """A field to encode, as a number.

    Raises CodecError when it is missing or no finite number.
    """
    value = fields.get(name)
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int | float) and math.isfinite(value):
        return value
    raise CodecError(f"{codec}: got {name} {value!r}, expected a finite number.")


def row_count(codec: str, columns: Mapping[str, Column]) -> int:
    """Number of frames in columns. Raises CodecError when they differ in length, or there is none."""
    lengths = {len(column) for column in columns.values()}
    if len(lengths) != 1:
        raise CodecError(f"{codec}: got columns of {sorted(lengths)} rows, expected some of one length.")
    return lengths.pop()


def column_of(codec: str, columns: Mapping[str, Column], name: str) -> Column:
    """A field to encode, as a column of finite numbers.

    Raises CodecError when it is missing or not finite.
    """
    column = columns.get(name)
    if column is None or column.dtype.kind not in "biuf" or not np.isfinite(column).all():
        raise CodecError(f"{codec}: expected a column {name} of finite numbers.")
    return column.astype(np.float64, copy=False)


def nearest(value: Any) -> Any:
    """The whole number nearest to a number, or those nearest to a column of them; halves go to the even one in both."""
    return np.rint(value) if isinstance(value, np.ndarray) else round(value)


def rows_of(matrix: NDArray[np.uint8]) -> list[bytes]:
    """The rows of a matrix of bytes (n, size), each as bytes."""
    size, joined = matrix.shape[1], matrix.tobytes()
    return [joined[start : start + size] for start in range(0, len(joined), size)]
