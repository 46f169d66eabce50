"""Fixed layouts: integers one after another, each one field or a few bits. What TLV and struct codecs are made of."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from ingest.codecs.codec import Column, FieldDoc, Fields, column_of, number_of
from roadtwin.errors import CodecError

Order = Literal["big", "little"]
_NO_FAULTS: Mapping[int, str] = {}


@dataclass(frozen=True, slots=True)
class Value:
    """An integer that is one field: (integer & mask) ÷ divisor, or one of `texts`, or what `render` makes of it.

    `faults` are integers that say why there is no value; they go to the field `{name}_error`. `decimals` rounds as
    the vendor does. A field with `render` is only decoded.
    """

    name: str
    size: int = 2
    signed: bool = False
    divisor: int = 1
    unit: str = ""
    mask: int = -1
    texts: Mapping[int, str] | None = None
    faults: Mapping[int, str] = field(default_factory=lambda: _NO_FAULTS)
    render: Callable[[int], object] | None = None
    decimals: int | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The field that is needed to encode it."""
        return (self.name,)

    def read(self, raw: int, fields: Fields) -> None:
        """Put the field into `fields`."""
        if raw in self.faults:
            fields[f"{self.name}_error"] = self.faults[raw]
        elif self.render is not None:
            fields[self.name] = self.render(raw)
        elif self.texts is not None:
            fields[self.name] = self.texts.get(raw & self.mask, "unknown")
        else:
            number = raw & self.mask
            value = number if self.divisor == 1 else number / self.divisor
            fields[self.name] = value if self.decimals is None else round(value, self.decimals)

    def write(self, codec: str, fields: Mapping[str, object]) -> int:
        """The integer for the field. Raises CodecError for a value that it cannot carry."""
        if self.texts is not None:
            raw = next((code for code, text in self.texts.items() if text == fields.get(self.name)), None)
            if raw is None:
                raise CodecError(
                    f"{codec}: got {self.name} {fields.get(self.name)!r}, expected {', '.join(self.texts.values())}."
                )
            return raw
        raw = round(number_of(codec, fields, self.name) * self.divisor)
        if self.mask != -1 and raw & self.mask != raw:
            raise CodecError(f"{codec}: got {self.name} {fields[self.name]!r}, expected at most {self.mask}.")
        if raw in self.faults:
            raise CodecError(f"{codec}: got {self.name} {fields[self.name]!r}, which its bytes use for a fault.")
        return raw

    @property
    def is_number(self) -> bool:
        """Whether a column of numbers can be written at once."""
        return self.texts is None and self.render is None

    def write_many(self, codec: str, columns: Mapping[str, Column]) -> Column:
        """The integers for a column of the field. Raises CodecError for a value that it cannot carry."""
        raw: Column = np.rint(column_of(codec, columns, self.name) * self.divisor)
        least, most = (-(1 << 8 * self.size - 1), (1 << 8 * self.size - 1) - 1) if self.signed else (0, self._unsigned)
        if len(raw) and not least <= raw.min() <= raw.max() <= most:
            raise CodecError(
                f"{codec}: got {self.name} {raw.min():.0f} to {raw.max():.0f} (raw), expected {least} to {most}."
            )
        if self.faults and np.isin(raw, list(self.faults)).any():
            raise CodecError(f"{codec}: got {self.name} with a value which its bytes use for a fault.")
        return raw

    @property
    def _unsigned(self) -> int:
        most = (1 << 8 * self.size) - 1
        return most if self.mask == -1 else most & self.mask

    def formula(self) -> str:
        """How it is computed, for the reference pages."""
        text = f"{'i' if self.signed else 'u'}{8 * self.size}"
        text += ", as a text" if self.render else ""
        text += f" & {self.mask:#x}" if self.mask != -1 else ""
        text += f" ÷ {self.divisor}" if self.divisor != 1 else ""
        if self.texts:
            text += ": " + ", ".join(f"{code} {word}" for code, word in self.texts.items())
        if self.faults:
            text += "; " + ", ".join(f"{code:#x} {word} (`{self.name}_error`)" for code, word in self.faults.items())
        return text

    def docs(self, where: str) -> list[FieldDoc]:
        """One line for the reference pages."""
        return [FieldDoc(where, self.name, self.unit, self.formula())]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some bits: their value says which field gets which value. An unknown one gives `unknown`, when that is set.

    Numbers within `tolerance` of a value are encoded as that value.
    """

    shift: int
    width: int
    meanings: Mapping[int, tuple[str, object]]
    unknown: tuple[str, object] | None = None
    tolerance: float = 0.0

    def code(self, fields: Mapping[str, object]) -> int | None:
        """The bits that say what the fields say; None when there are none."""
        for code, (name, value) in self.meanings.items():
            own = fields.get(name)
            if own == value:
                return code
            if isinstance(own, int | float) and isinstance(value, int | float) and abs(own - value) <= self.tolerance:
                return code
        return None


@dataclass(frozen=True, slots=True)
class Bits:
    """An integer of several fields."""

    slices: tuple[Slice, ...]
    size: int = 1
    signed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """The fields that are needed to encode it; of a slice with several, any one will do."""
        return tuple(
            names[0] for s in self.slices if len(names := list(dict.fromkeys(n for n, _ in s.meanings.values()))) == 1
        )

    def read(self, raw: int, fields: Fields) -> None:
        """Put the fields into `fields`."""
        for bits in self.slices:
            found = bits.meanings.get(raw >> bits.shift & ((1 << bits.width) - 1), bits.unknown)
            if found is not None:
                fields[found[0]] = found[1]

    def write(self, codec: str, fields: Mapping[str, object]) -> int:
        """The integer for the fields. Raises CodecError when a slice has no bits for what it should say."""
        raw = 0
        for bits in self.slices:
            code = bits.code(fields)
            if code is None:
                wanted = sorted({name for name, _ in bits.meanings.values()})
                raise CodecError(f"{codec}: expected a known value of {' or '.join(wanted)}.")
            raw |= code << bits.shift
        return raw

    def docs(self, where: str) -> list[FieldDoc]:
        """One line for each field for the reference pages."""
        by_name: dict[tuple[str, int, int], list[str]] = {}
        for bits in self.slices:
            for code, (name, value) in bits.meanings.items():
                by_name.setdefault((name, bits.shift, bits.width), []).append(f"{code} {value}")
        return [
            FieldDoc(where, name, "", f"{_bits(shift, width)}: {_words(words)}")
            for (name, shift, width), words in by_name.items()
        ]


def _bits(shift: int, width: int) -> str:
    return f"bit {shift}" if width == 1 else f"bits {shift}–{shift + width - 1}"


def _words(words: list[str]) -> str:
    return ", ".join(words) if len(words) <= 16 else f"{words[0]}, {words[1]} … {words[-1]}"


@dataclass(frozen=True, slots=True)
class Skip:
    """Bytes that are passed over on purpose; `why` says so in the reference pages. Encoded as zeros."""

    size: int
    why: str
    signed: bool = False

    @property
    def names(self) -> tuple[str, ...]:
        """None."""
        return ()

    def read(self, raw: int, fields: Fields) -> None:
        """Nothing."""

    def write(self, _codec: str, _fields: Mapping[str, object]) -> int:
        """Zero."""
        return 0

    def docs(self, where: str) -> list[FieldDoc]:
        """What is passed over."""
        return [FieldDoc(where, "", "", f"{self.size} bytes passed over: {self.why}")]


Part = Value | Bits | Skip


class Layout:
    """Parts one after another, in one byte order."""

    def __init__(self, order: Order, *parts: Part) -> None:
        self.order: Order = order
        self.parts = parts
        self.size = sum(part.size for part in parts)
        self.names = tuple(name for part in parts for name in part.names)
        self.all_names = tuple(dict.fromkeys(doc.name for doc in self.docs("") if doc.name))
        self.can_encode = not any(isinstance(p, Value) and p.render is not None for p in parts)
        self._places: list[tuple[int, int, Part]] = []
        at = 0
        for part in parts:
            self._places.append((at, at + part.size, part))
            at += part.size

    def read(self, payload: bytes, at: int = 0) -> Fields:
        """The fields of the bytes from `at`; the caller checks that `size` bytes are there."""
        fields: Fields = {}
        for start, end, part in self._places:
            part.read(int.from_bytes(payload[at + start : at + end], self.order, signed=part.signed), fields)
        return fields

    def write(self, codec: str, fields: Mapping[str, object]) -> bytes:
        """The bytes for the fields.

        Raises CodecError for a missing field and for a value out of the number range of its bytes.
        """
        written = b""
        for part in self.parts:
            raw = part.write(codec, fields)
            try:
                written += raw.to_bytes(part.size, self.order, signed=part.signed)
            except OverflowError:
                raise CodecError(
                    f"{codec}: got {'/'.join(part.names)} {raw} (raw), expected what {part.size} bytes carry."
                ) from None
        return written

    @property
    def is_numeric(self) -> bool:
        """Whether `write_many` can write it."""
        return all(isinstance(p, Skip) or (isinstance(p, Value) and p.is_number) for p in self.parts)

    def write_many(self, codec: str, columns: Mapping[str, Column], rows: int) -> NDArray[np.uint8]:
        """The bytes for columns of the fields, (rows, size). Raises CodecError as `write` does."""
        written = np.zeros((rows, self.size), np.uint8)
        for start, end, part in self._places:
            if isinstance(part, Value):
                words = part.write_many(codec, columns).astype(np.int64)[:, None].astype(">i8").view(np.uint8)
                own = words[:, 8 - part.size :]
                written[:, start:end] = own if self.order == "big" else own[:, ::-1]
        return written

    def docs(self, where: str) -> list[FieldDoc]:
        """Lines for the reference pages."""
        return [doc for part in self.parts for doc in part.docs(where)]


def unknown_fields(codec: str, fields: Iterable[str], known: Iterable[str]) -> None:
    """Raise CodecError when a field to encode is not one that the device sends."""
    known = set(known)
    if unknown := sorted(set(fields) - known):
        raise CodecError(f"{codec}: got fields {unknown}, expected some of {sorted(known)}.")
