"""What is wrong with a scenario file, in the words of the file: what was got, expected, and perhaps meant."""

import re
from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from typing import Any, Literal, get_args, get_origin, get_type_hints

import msgspec


def plain(exc: Exception, values: Any, structs: Iterable[type[msgspec.Struct]], kinds: Mapping[str, Any]) -> str:
    """A sentence, without its full stop, from what tomllib or msgspec found in `values`.

    `structs` are all tables that a file can hold, `kinds` the faults by name. Entries are counted from 1.
    """
    text, _, place = str(exc).rstrip(".").partition(" - at `$")
    if not isinstance(exc, msgspec.ValidationError):
        return text
    got, key = values, ""
    for key, number in re.findall(r"\.(\w+)|\[(\d+)\]", place):
        got = got.get(key) if isinstance(got, dict) else got[int(number)] if isinstance(got, list) and number else None
    where = re.sub(r"\[(\d+)\]", lambda number: f" {int(number[1]) + 1}", place.strip(".`"))
    where = f"{where}: " if where else ""
    if key == "kind":
        return f"{where}got {got!r}, expected {', '.join(sorted(kinds))}{nearest(str(got), sorted(kinds))}"
    if text.startswith("Expected"):
        return f"{where}got {got!r}, e{text[1:].partition(', got')[0]}"
    if text.startswith("Invalid enum value"):
        return f"{where}got {got!r}, expected {', '.join(_choices(structs, key))}"
    if unknown := re.search(r"unknown field `(.+?)`", text):
        names = {"kind"} | {field.encode_name for struct in structs for field in msgspec.structs.fields(struct)}
        return f"{where}got the unknown entry {unknown[1]!r}{nearest(unknown[1], sorted(names))}"
    return where + text.replace("Object missing required field", "expected the entry")


def nearest(got: str, names: list[str]) -> str:
    """A hint at the name that was perhaps meant, or nothing.

    Examples
    --------
    >>> nearest("hard-wintr", ["hard-winter", "ordinary"]), nearest("x", ["ordinary"])
    (" (perhaps 'hard-winter' is meant)", '')
    """
    near = get_close_matches(got, names, n=1, cutoff=0.6)
    return f" (perhaps {near[0]!r} is meant)" if near else ""


def _choices(structs: Iterable[type[msgspec.Struct]], name: str) -> list[str]:
    for struct in structs:
        kind = get_type_hints(struct).get(name)
        if get_origin(kind) is Literal:
            return [repr(choice) for choice in get_args(kind)]
    return ["another value"]
