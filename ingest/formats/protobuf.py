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
        text = datetime.fromtimestamp(timestamp.seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")
    except (OverflowError, ValueError, OSError):
        return f"{timestamp.seconds}s"
    if len(text) != 19 or not 0 <= nanos < 1_000_000_000:  # the year 1 is "1" to strftime
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


def members(message: Any, unread: frozenset[str], hexadecimal: frozenset[str] = frozenset()) -> dict[str, object]:
    """What the JSON of this message holds, but for the fields in `unread`; bytes stay bytes or, named so, become hex.

    Raises MessageRejectedError: `invalid_field`, `nul_character`.
    """
    result: dict[str, object] = {}
    for field, value in message.ListFields():
        name = field.name
        if name not in unread:
            result[field.json_name] = value.hex() if name in hexadecimal else _member(field, value, unread, hexadecimal)
    return result


def _member(field: Any, value: Any, unread: frozenset[str], hexadecimal: frozenset[str]) -> object:
    kind = field.type
    if kind == field.TYPE_STRING:
        return text(value)
    if kind == field.TYPE_FLOAT:
        return shortest(value)
    if kind == field.TYPE_DOUBLE:
        return finite(value)
    if kind == field.TYPE_ENUM:
        known = field.enum_type.values_by_number.get(value)
        return known.name if known else str(value)
    if kind != field.TYPE_MESSAGE:
        return value
    well_known = _WELL_KNOWN_MEMBERS.get(field.message_type.full_name)
    if well_known is not None:
        return well_known(value)
    if field.message_type.GetOptions().map_entry:
        return {text(key): text(value) for key, value in value.items()}
    if field.is_repeated:
        return [members(element, unread, hexadecimal) for element in value]
    return members(value, unread, hexadecimal)


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


_WELL_KNOWN_MEMBERS: dict[str, Callable[[Any], object]] = {
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
