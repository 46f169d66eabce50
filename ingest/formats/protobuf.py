"""Protobuf messages from a compact table of field numbers: no compiler, no generated code, and the C runtime's speed.

A table has a line a message: `"UplinkEvent": "1 deduplication_id string, 2 time Timestamp, …"`. A type is a scalar, a
message or an enumeration of the same table, `Timestamp`, `Duration` or `Struct` of protobuf itself, or `map` (text to
text); a `*` after it means repeated, and `=name` after the field its JSON name where it is not the usual camelCase.
"""

import math
import struct
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, struct_pb2, timestamp_pb2
from google.protobuf.message import DecodeError, Message
from google.protobuf.unknown_fields import UnknownFieldSet

from roadtwin.errors import MessageRejectedError

_Field = descriptor_pb2.FieldDescriptorProto
_SCALARS = {
    "string": _Field.TYPE_STRING,
    "bytes": _Field.TYPE_BYTES,
    "bool": _Field.TYPE_BOOL,
    "uint32": _Field.TYPE_UINT32,
    "uint64": _Field.TYPE_UINT64,
    "int32": _Field.TYPE_INT32,
    "float": _Field.TYPE_FLOAT,
    "double": _Field.TYPE_DOUBLE,
}
_WELL_KNOWN = {
    "Timestamp": timestamp_pb2.DESCRIPTOR,
    "Duration": duration_pb2.DESCRIPTOR,
    "Struct": struct_pb2.DESCRIPTOR,
}


def build(
    package: str, messages: Mapping[str, str], enums: Mapping[str, Sequence[str]]
) -> dict[str, Callable[[], Message]]:
    """Message classes by name. `enums` gives the names of each enumeration's values, from 0 on without a gap."""
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    pool = descriptor_pool.DescriptorPool()
    for well_known in _WELL_KNOWN.values():
        pool.AddSerializedFile(well_known.serialized_pb)
        file.dependency.append(well_known.name)
    for name, values in enums.items():
        holder = file.message_type.add(name=f"{name}Names")  # values of one file must differ unless they are nested
        enum = holder.enum_type.add(name=name)
        for number, value in enumerate(values):
            enum.value.add(name=value, number=number)
    for name, fields in messages.items():
        message = file.message_type.add(name=name)
        for text in fields.split(", "):
            _add_field(message, f".{package}", text.strip(), enums)
    pool.Add(file)
    return {name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.{name}")) for name in messages}


def _add_field(message: Any, package: str, text: str, enums: Mapping[str, Sequence[str]]) -> None:
    number, name, kind = text.split(" ")
    name, _, json_name = name.partition("=")
    repeated = kind.endswith("*") or kind == "map"
    kind = kind.removesuffix("*")
    field = message.field.add(name=name, number=int(number))
    field.label = _Field.LABEL_REPEATED if repeated else _Field.LABEL_OPTIONAL
    if json_name:
        field.json_name = json_name
    if kind in _SCALARS:
        field.type = _SCALARS[kind]
    elif kind in enums:
        field.type, field.type_name = _Field.TYPE_ENUM, f"{package}.{kind}Names.{kind}"
    elif kind == "map":
        entry = message.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        for entry_number, entry_name in ((1, "key"), (2, "value")):
            entry.field.add(name=entry_name, number=entry_number, type=_Field.TYPE_STRING, label=_Field.LABEL_OPTIONAL)
        field.type, field.type_name = _Field.TYPE_MESSAGE, f"{package}.{message.name}.{entry.name}"
    else:
        field.type = _Field.TYPE_MESSAGE
        field.type_name = f".google.protobuf.{kind}" if kind in _WELL_KNOWN else f"{package}.{kind}"


def parse(message_class: Callable[[], Message], payload: bytes) -> Message | None:
    """The message in these bytes; None when they are none of this class."""
    message = message_class()
    try:
        message.ParseFromString(payload)
    except DecodeError:
        return None
    return message


def time_text(timestamp: Any) -> str:
    """A Timestamp as ChirpStack writes it in JSON: offset +00:00, as many of 0, 3, 6 or 9 fraction digits as it needs.

    A time that no calendar has gives its seconds: `parse_time` takes them for no time.
    """
    nanos = timestamp.nanos
    try:
        text = datetime.fromtimestamp(timestamp.seconds, UTC).isoformat()[:19]
    except (OverflowError, ValueError, OSError):
        return f"{timestamp.seconds}s"
    if not 0 <= nanos < 1_000_000_000:
        return f"{timestamp.seconds}s"
    fraction = f".{nanos:09}" if nanos else ""
    while fraction.endswith("000"):
        fraction = fraction[:-3]
    return f"{text}{fraction}+00:00"


def shortest(number: float) -> float:
    """A number that came as 32-bit float, as the decimal that JSON has for it: 4.3 and not 4.300000190734863.

    Raises MessageRejectedError: `invalid_field` for NaN and infinities, which JSON does not have either.
    """
    finite(number)
    if number * 16 == int(number * 16):  # an SNR is a multiple of a quarter, and exact
        return number
    packed = struct.pack("<f", number)
    for digits in (6, 7, 8):
        short = float(f"{number:.{digits}g}")
        if struct.pack("<f", short) == packed:
            return short
    return float(f"{number:.9g}")


def finite(number: float) -> float:
    """The number. Raises MessageRejectedError: `invalid_field` for NaN and infinities."""
    if not math.isfinite(number):
        raise MessageRejectedError("invalid_field", f"Got the number {number}, expected a finite one.")
    return number


def text(value: str) -> str:
    """The text. Raises MessageRejectedError: `nul_character`."""
    if "\x00" in value:
        raise MessageRejectedError("nul_character", "Got U+0000 in a text, which the database cannot hold.")
    return value


Convert = Callable[[Any], object]


class Reader:
    """Turns messages into what their JSON holds, but for the fields in `unread`; bytes in `hexadecimal` become digits.

    What is done with a field is found out once: descriptors are slow to ask.
    """

    def __init__(self, unread: frozenset[str], hexadecimal: frozenset[str] = frozenset()) -> None:
        self._unread = unread
        self._hexadecimal = hexadecimal
        self._plans: dict[Any, tuple[str, Convert] | None] = {}

    def members(self, message: Any) -> dict[str, object]:
        """The members of a message. Raises MessageRejectedError: `invalid_field`, `nul_character`."""
        result: dict[str, object] = {}
        plans = self._plans
        for field, value in message.ListFields():
            if field not in plans:
                plans[field] = self._plan(field)
            plan = plans[field]
            if plan is not None:
                result[plan[0]] = plan[1](value)
        return result

    def _plan(self, field: Any) -> tuple[str, Convert] | None:
        return None if field.name in self._unread else (field.json_name, self._convert(field))

    def _convert(self, field: Any) -> Convert:
        kind, message_type = field.type, field.message_type
        if field.name in self._hexadecimal:
            return bytes.hex
        if kind == field.TYPE_ENUM:
            names = {number: value.name for number, value in field.enum_type.values_by_number.items()}
            return lambda number: names.get(number, str(number))
        if kind != field.TYPE_MESSAGE:
            return _OF_SCALARS.get(kind, _unchanged)
        if message_type.full_name in _OF_WELL_KNOWN:
            return _OF_WELL_KNOWN[message_type.full_name]
        if message_type.GetOptions().map_entry:
            return lambda entries: {text(key): text(value) for key, value in entries.items()}
        if field.is_repeated:
            return lambda elements: [self.members(element) for element in elements]
        return self.members


def _unchanged(value: object) -> object:
    return value


def struct_members(value: Any) -> dict[str, object]:
    """A Struct as a dict. Raises MessageRejectedError: `nul_character`."""
    return {text(key): _struct_value(member) for key, member in value.fields.items()}


def _struct_value(value: Any) -> object:
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return value.number_value if math.isfinite(value.number_value) else None  # as in ChirpStack's JSON
    if kind == "string_value":
        return text(value.string_value)
    if kind == "bool_value":
        return value.bool_value
    if kind == "struct_value":
        return struct_members(value.struct_value)
    if kind == "list_value":
        return [_struct_value(member) for member in value.list_value.values]
    return None


_OF_SCALARS: dict[int, Convert] = {
    _Field.TYPE_STRING: text,
    _Field.TYPE_FLOAT: shortest,
    _Field.TYPE_DOUBLE: finite,
}
_OF_WELL_KNOWN: dict[str, Convert] = {
    "google.protobuf.Timestamp": time_text,
    "google.protobuf.Duration": lambda value: f"{value.seconds}.{value.nanos:09}s",
    "google.protobuf.Struct": struct_members,
}


def is_known(message: Any) -> bool:
    """Whether a message holds no field that its class does not know, at any depth but in structs and maps."""
    if len(unknown_fields(message)):
        return False
    for field, value in message.ListFields():
        if field.message_type is None or field.message_type.GetOptions().map_entry:
            continue
        if field.message_type.file.package == "google.protobuf":
            if field.message_type.name != "Struct" and len(unknown_fields(value)):
                return False
        elif not all(map(is_known, value if field.is_repeated else (value,))):
            return False
    return True


def unknown_fields(message: Any) -> Any:
    """The fields of these bytes that the class does not name."""
    return UnknownFieldSet(message)
