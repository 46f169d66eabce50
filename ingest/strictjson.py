"""JSON as strictly as we need it: what PostgreSQL cannot hold or what two parsers would read differently is refused.

msgspec refuses NaN, Infinity, lone surrogates, bad UTF-8, raw control characters and numbers without end by itself.
"""

import json
import re
from typing import Any, TypeVar

import msgspec

from roadtwin.errors import MessageRejectedError

T = TypeVar("T")

REJECT_CODES = ("empty_payload", "invalid_json", "invalid_field", "nesting_too_deep", "nul_character", "duplicate_key")
"""What `decode` can refuse."""

# An escaped U+0000 whose backslash is not itself escaped. jsonb and text refuse the character.
_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")
_ANY = msgspec.json.Decoder()
_ENCODER = msgspec.json.Encoder()
_SPACES = b" \t\r\n"


def decode(payload: bytes, kind: type[T]) -> T:
    """A JSON payload as a value of a type that msgspec knows.

    Raises MessageRejectedError: `empty_payload`, `invalid_json`, `invalid_field`, `nesting_too_deep`, `nul_character`,
    `duplicate_key`.

    Examples
    --------
    >>> decode(b'{"a": 1}', dict[str, int])
    {'a': 1}
    """
    return convert(read(payload), kind)


def read(payload: bytes) -> Any:
    """A JSON payload as dicts, lists, texts and numbers.

    Raises MessageRejectedError: as `decode`; `invalid_field` only for a number that nothing can hold.
    """
    if not payload:
        raise MessageRejectedError("empty_payload", "Got an empty payload, expected a JSON text.")
    try:
        value = _ANY.decode(payload)
    except msgspec.ValidationError as exc:
        raise MessageRejectedError("invalid_field", f"{_sentence(str(exc))}.") from None
    except msgspec.DecodeError as exc:
        raise MessageRejectedError("invalid_json", f"Got no valid JSON: {exc}.") from None
    except UnicodeDecodeError as exc:
        raise MessageRejectedError("invalid_json", f"Got no valid UTF-8 in a JSON text: {exc.reason}.") from None
    except RecursionError:
        raise MessageRejectedError("nesting_too_deep", "Got JSON nested too deeply to be read.") from None
    if b"\\u0000" in payload and _NUL.search(payload):
        raise MessageRejectedError("nul_character", "Got U+0000 in a JSON text, which the database cannot hold.")
    if not _same_when_written(payload, value):
        _refuse_duplicate_keys(payload)
    return value


def convert(value: object, kind: type[T]) -> T:
    """What `read` gave, as a value of a type. Raises MessageRejectedError: `invalid_field`, `nesting_too_deep`."""
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError as exc:
        raise MessageRejectedError("invalid_field", f"{_sentence(str(exc))}.") from None
    except RecursionError:
        raise MessageRejectedError("nesting_too_deep", "Got JSON nested too deeply to be read.") from None


def _same_when_written(payload: bytes, value: object) -> bool:
    """Whether the value, written again, is the payload but for white space: then no key can have been there twice.

    A key that is there twice is in the value once, so that the text written again has fewer keys, white space or not.
    Other ways of writing a number or a character make the two differ without harm: then the keys are looked at.
    """
    try:
        written = _ENCODER.encode(value)
    except RecursionError:
        return False
    return written == payload or written.translate(None, _SPACES) == payload.translate(None, _SPACES)


class _DuplicateKeyError(Exception):
    pass


def _pairs(pairs: list[tuple[str, Any]]) -> None:
    if len(dict(pairs)) != len(pairs):
        keys = [key for key, _ in pairs]
        raise _DuplicateKeyError(next(key for key in keys if keys.count(key) > 1))


# Numbers are not needed here; as text, a very long one costs nothing.
_KEY_CHECK = json.JSONDecoder(object_pairs_hook=_pairs, parse_int=str, parse_float=str)


def _refuse_duplicate_keys(payload: bytes) -> None:
    """msgspec takes the last of two equal keys, other parsers the first: such a message means two things."""
    try:
        _KEY_CHECK.decode(payload.decode("utf-8", "replace"))
    except _DuplicateKeyError as exc:
        raise MessageRejectedError("duplicate_key", f"Got the key {str(exc)[:100]!r} twice in one object.") from None
    except RecursionError:
        raise MessageRejectedError("nesting_too_deep", "Got JSON nested too deeply to be read.") from None
    except ValueError as exc:
        raise MessageRejectedError("invalid_json", f"Got no valid JSON: {exc}.") from None


def _sentence(validation_error: str) -> str:
    """msgspec's "Expected `x`, got `y` - at `$.z`" the way our other reasons read."""
    text, separator, path = validation_error.partition(" - at ")
    return f"At {path}: {text[0].lower()}{text[1:]}" if separator else text
