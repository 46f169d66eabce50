"""Payloads made of items: a header that says what follows, then bytes of a fixed layout."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import cast

import numpy as np
from numpy.typing import NDArray

from ingest.codecs.codec import Codec, Column, Example, FieldDoc, Fields, Frame, row_count, rows_of
from ingest.codecs.layout import Layout
from roadtwin.errors import CodecError

UNDECODED = "undecoded"
"""The field that holds the rest of a payload, in hex, after an item that is not in the device's table."""


@dataclass(frozen=True, slots=True)
class Item:
    """One item: its header and layout.

    `group` puts its fields into a table of that name. A `history` item is a measurement of its own; its layout has a
    `timestamp` (Unix time [s]). `repeats` collects values of equal items in a list.
    """

    header: bytes
    layout: Layout
    group: str = ""
    history: bool = False
    repeats: bool = False

    @property
    def where(self) -> str:
        """The header for the reference pages."""
        return self.header.hex(" ")


class TlvCodec(Codec):
    """A device that sends items of a table.

    An unknown item ends the decoding, since its length is unknown: what was read before is kept, and the field
    `undecoded` says that there is more. An item cut short is an error.
    """

    def __init__(
        self,
        name: str,
        title: str,
        items: Sequence[Item],
        *,
        default_port: int,
        ports: frozenset[int] | None = None,
        examples: tuple[Example, ...] = (),
    ) -> None:
        self.name, self.title, self.family = name, title, name.split("/")[0]
        self.default_port, self.ports, self.examples = default_port, ports, examples
        self.items = tuple(items)
        self.sends_history = any(item.history for item in self.items)
        self._header_size = len(self.items[0].header)
        self._by_header = {item.header: item for item in self.items}
        assert len(self._by_header) == len(self.items), "two items have the same header"

    def _item(self, header: bytes) -> Item | None:
        return self._by_header.get(header)

    def _decode(self, _f_port: int, payload: bytes) -> tuple[Frame, ...]:
        now: Fields = {}
        history: list[Frame] = []
        at, read_any = 0, False
        while at < len(payload):
            header = payload[at : at + self._header_size]
            item = self._item(header)
            if item is None:
                if not read_any:
                    raise CodecError(f"{self.name}: got the item {header.hex(' ')} first, expected one of its table.")
                now[UNDECODED] = payload[at:].hex()
                break
            at += self._header_size
            if at + item.layout.size > len(payload):
                raise CodecError(
                    f"{self.name}: got {len(payload) - at} bytes after {header.hex(' ')}, expected {item.layout.size}."
                )
            read = item.layout.read(payload, at)
            at, read_any = at + item.layout.size, True
            if item.history:
                seconds = cast("int", read.pop("timestamp"))
                history.append(Frame(read, observed_at=datetime.fromtimestamp(seconds, UTC)))
            else:
                _put(now, item, read)
        return (Frame(now), *history) if now or not history else tuple(history)

    def encode(self, fields: Mapping[str, object]) -> tuple[int, bytes]:
        """Items are sent in the order of the table, those of most fields first chosen; no history."""
        payload = b""
        for item in self._chosen(_names(fields)):
            own_fields = cast("Mapping[str, object]", fields[item.group]) if item.group else fields
            for one in _repeated(item, own_fields):
                payload += item.header + item.layout.write(self.name, one)
        return self.default_port, payload

    def encode_many(self, columns: Mapping[str, Column]) -> tuple[int, list[bytes]]:
        """As `encode`; items of numbers are written for all frames at once."""
        chosen, rows = self._chosen({("", name) for name in columns}), row_count(self.name, columns)
        if not all(item.layout.is_numeric for item in chosen):
            return super().encode_many(columns)
        parts: list[NDArray[np.uint8]] = []
        for item in chosen:
            parts.append(np.broadcast_to(np.frombuffer(item.header, np.uint8), (rows, len(item.header))))
            parts.append(item.layout.write_many(self.name, columns, rows))
        return self.default_port, rows_of(np.concatenate(parts, axis=1))

    def _chosen(self, left: set[tuple[str, str]]) -> list[Item]:
        """Items that carry the fields of these groups and names, in the order of the table."""
        chosen: list[Item] = []
        for item in sorted(self.items, key=lambda i: -len(i.layout.names)):
            own = {(item.group, name) for name in item.layout.names}
            if own and own <= left and item.layout.can_encode and not item.history:
                chosen.append(item)
                left -= own | {pair for pair in left if pair[0] == item.group and pair[1] in item.layout.all_names}
        if left:
            names = sorted(".".join(filter(None, pair)) for pair in left)
            raise CodecError(f"{self.name}: got fields {names}, which no item of its table carries.")
        return [item for item in self.items if item in chosen]

    def field_docs(self) -> tuple[FieldDoc, ...]:
        """Fields by item."""
        docs = []
        for item in self.items:
            for doc in item.layout.docs(item.where + (" (history)" if item.history else "")):
                name = f"{item.group}.{doc.name}" if item.group and doc.name else doc.name
                docs.append(FieldDoc(doc.where, name, doc.unit, doc.formula))
        return tuple(docs)


def _put(now: Fields, item: Item, read: Fields) -> None:
    if item.group:
        table = now.setdefault(item.group, {})
        assert isinstance(table, dict)
        table.update(read)
    elif item.repeats:
        for name, value in read.items():
            if name not in now:
                now[name] = value
            elif isinstance(values := now[name], list):
                values.append(value)
            else:
                now[name] = [values, value]
    else:
        now.update(read)


def _repeated(item: Item, fields: Mapping[str, object]) -> list[Mapping[str, object]]:
    """The fields of each time that the item is sent: once, but for a list in an item that repeats."""
    (name, *_) = item.layout.names
    values = fields[name]
    return [{name: value} for value in values] if item.repeats and isinstance(values, list) else [fields]


def _names(fields: Mapping[str, object]) -> set[tuple[str, str]]:
    names: set[tuple[str, str]] = set()
    for name, value in fields.items():
        names |= {(name, inner) for inner in value} if isinstance(value, Mapping) else {("", name)}
    return names
