"""Sensor profiles: which decoded field of a device kind is which canonical quantity, in which unit, where.

One TOML file a profile in `ingest/profiles/` (built in) and in the folder of `ROADTWIN_DEVICE_PROFILES_DIR`, whose
profiles win. `version` goes up with every change of meaning: observations carry it, and the highest is in force.
"""

import math
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from ingest.conversions import conversion
from roadtwin.errors import InputFileError
from roadtwin.types import Flag, Observation
from roadtwin.units import QUANTITIES

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*", re.ASCII)
_PROFILE_KEYS = {"name", "version", "aliases", "field"}
_FIELD_KEYS = {
    "path", "quantity", "unit", "channel", "depth_cm", "depth_path", "sentinels", "minimum", "maximum", "values",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class ProfileField:
    """One field of a decoded payload.

    `factor` and `offset` lead from the field's `unit` to that of `quantity`; `sentinels` are the sensor's own
    "no value" marks, `minimum` and `maximum` the range that this sensor can measure (both in the field's unit);
    `words` are texts that stand for numbers.
    """

    path: tuple[str, ...]
    quantity: str
    unit: str | None
    factor: float
    offset: float
    channel: str = ""
    depth_cm: int | None = None
    depth_path: tuple[str, ...] | None = None
    sentinels: tuple[float, ...] = ()
    minimum: float = -math.inf
    maximum: float = math.inf
    words: Mapping[str, float] | None = None


@dataclass(frozen=True, slots=True)
class Profile:
    """One device kind."""

    name: str
    version: int
    aliases: tuple[str, ...]
    fields: tuple[ProfileField, ...]


def apply(
    profile: Profile, decoded: Mapping[str, object], observed_at: datetime, time_flags: Flag
) -> tuple[list[Observation], dict[str, str]]:
    """The observations in a decoded payload, and for each field that gave none although it is there, why."""
    observations: dict[tuple[str, str, int | None], Observation] = {}
    problems: dict[str, str] = {}
    for field in profile.fields:
        raw = _look_up(decoded, field.path)
        if raw is None:
            continue
        number, problem = _number(raw, field)
        if number is None:
            problems[".".join(field.path)] = problem
            continue
        depth_cm = field.depth_cm
        if field.depth_path is not None:
            depth = _look_up(decoded, field.depth_path)
            if isinstance(depth, int | float) and not isinstance(depth, bool) and 0 <= depth <= 10_000:
                depth_cm = round(depth)
        key = (field.channel, field.quantity, depth_cm)
        if key in observations:
            problems[".".join(field.path)] = f"{field.quantity} was given by a field before it"
            continue
        value, flags = _value(number, field)
        flags = flags | time_flags if flags else time_flags
        observations[key] = Observation(field.channel, field.quantity, depth_cm, observed_at, value, flags)
    return list(observations.values()), problems


def _look_up(decoded: Any, path: tuple[str, ...]) -> object:
    for part in path:
        if isinstance(decoded, Mapping):
            decoded = decoded.get(part)
        elif isinstance(decoded, list) and part.isdecimal() and int(part) < len(decoded):
            decoded = decoded[int(part)]
        else:
            return None
    result: object = decoded
    return result


def _number(raw: object, field: ProfileField) -> tuple[float | None, str]:
    """The field's number, or None and the reason. Texts like "24.1 °C" count when they name the field's unit."""
    if isinstance(raw, bool):
        return float(raw), ""
    if isinstance(raw, int | float):
        try:
            number = float(raw)
        except OverflowError:
            return None, "got a number without bounds"
        return (number, "") if math.isfinite(number) else (None, "got no finite number")
    if isinstance(raw, str):
        if field.words and raw in field.words:
            return field.words[raw], ""
        match = _NUMBER.fullmatch(raw)
        if match is None:
            return None, f"got the text {raw[:50]!r}, expected a number"
        units = {"", field.unit or QUANTITIES[field.quantity].unit, QUANTITIES[field.quantity].senml_unit}
        if match[2] not in units:
            return None, f"got the unit {match[2][:20]!r}, expected {field.unit or QUANTITIES[field.quantity].unit!r}"
        number = float(match[1])
        return (number, "") if math.isfinite(number) else (None, "got a number without bounds")
    return None, f"got {type(raw).__name__}, expected a number"


def _value(number: float, field: ProfileField) -> tuple[float, Flag]:
    value = number * field.factor + field.offset
    if number in field.sentinels:
        return value, Flag.SENTINEL
    known = QUANTITIES[field.quantity]
    in_range = field.minimum <= number <= field.maximum and known.minimum <= value <= known.maximum
    return value, Flag.NONE if in_range else Flag.RANGE


class ProfileLibrary:
    """All profiles, found by their name or by a name under which a network server knows the device kind."""

    def __init__(self, profiles: Iterator[Profile] | list[Profile]) -> None:
        self._by_name: dict[str, Profile] = {}
        for profile in profiles:
            for name in (profile.name, *profile.aliases):
                self._by_name[name] = profile

    def find(self, name: str | None) -> Profile | None:
        """The profile of this name or alias; None when there is none."""
        return self._by_name.get(name) if name else None

    def names(self) -> list[str]:
        """Every name and alias."""
        return sorted(self._by_name)


def load_profiles(additional: Path | None = None) -> ProfileLibrary:
    """The built-in profiles and those of a folder.

    Raises InputFileError when the folder is missing or a file in it is no profile.
    """
    profiles = [
        _read_profile(entry.name, entry.read_text("utf-8"))
        for entry in sorted(resources.files("ingest").joinpath("profiles").iterdir(), key=lambda e: e.name)
        if entry.name.endswith(".toml")
    ]
    if additional is not None:
        if not additional.is_dir():
            raise InputFileError(f"ROADTWIN_DEVICE_PROFILES_DIR: got {str(additional)!r}, expected a folder.")
        for path in sorted(additional.glob("*.toml")):
            try:
                profiles.append(_read_profile(str(path), path.read_text("utf-8")))
            except (OSError, UnicodeDecodeError) as exc:
                raise InputFileError(f"{path}: cannot be read: {exc}.") from None
    return ProfileLibrary(profiles)


def _read_profile(source: str, text: str) -> Profile:
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as exc:
        raise InputFileError(f"{source}: no valid TOML: {exc}.") from None
    _check(source, set(table) <= _PROFILE_KEYS, f"got unknown keys {sorted(set(table) - _PROFILE_KEYS)}")
    name, version, aliases = table.get("name"), table.get("version"), table.get("aliases", [])
    _check(source, isinstance(name, str) and bool(name), "expected a name")
    _check(source, isinstance(version, int) and 1 <= version <= 32_767, f"got version {version!r}, expected 1 to 32767")
    _check(source, isinstance(aliases, list) and all(isinstance(a, str) for a in aliases), "expected aliases as texts")
    fields = table.get("field", [])
    _check(source, isinstance(fields, list) and bool(fields), "expected at least one [[field]]")
    return Profile(str(name), int(str(version)), tuple(aliases), tuple(_read_field(source, f) for f in fields))


def _read_field(source: str, table: dict[str, Any]) -> ProfileField:
    path, quantity, unit = table.get("path"), table.get("quantity"), table.get("unit")
    _check(source, isinstance(path, str) and bool(path), "expected a path in each [[field]]")
    source = f"{source}, field {path}"
    _check(source, set(table) <= _FIELD_KEYS, f"got unknown keys {sorted(set(table) - _FIELD_KEYS)}")
    _check(source, quantity in QUANTITIES, f"got quantity {quantity!r}, expected one of {', '.join(QUANTITIES)}")
    scale = conversion(str(quantity), unit)
    if scale is None:
        raise InputFileError(f"{source}: got unit {unit!r}, expected one of {QUANTITIES[str(quantity)].unit}.")
    depth_cm = table.get("depth_cm")
    _check(
        source,
        depth_cm is None or (isinstance(depth_cm, int) and 0 <= depth_cm <= 10_000),
        "expected depth_cm 0 to 10000",
    )
    words = table.get("values")
    _check(source, words is None or isinstance(words, dict), "expected values as a table of numbers")
    return ProfileField(
        path=tuple(str(path).split(".")),
        quantity=str(quantity),
        unit=unit,
        factor=scale[0],
        offset=scale[1],
        channel=str(table.get("channel", "")),
        depth_cm=depth_cm,
        depth_path=tuple(str(table["depth_path"]).split(".")) if "depth_path" in table else None,
        sentinels=tuple(float(s) for s in table.get("sentinels", [])),
        minimum=float(table.get("minimum", -math.inf)),
        maximum=float(table.get("maximum", math.inf)),
        words={str(k): float(v) for k, v in words.items()} if words else None,
    )


def _check(source: str, holds: bool, problem: str) -> None:
    if not holds:
        raise InputFileError(f"{source}: {problem}.")
