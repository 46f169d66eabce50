"""Sensor profiles: which decoded field of a device kind is which canonical quantity, in which unit, where.

One TOML file a profile in `ingest/profiles/` (built in) and in the folder of `ROADTWIN_DEVICE_PROFILES_DIR`, whose
profiles win and are read again when they change. `version` goes up with every change of meaning: observations carry
it, and the highest is in force. What a file may hold says `ingest.profile_files`.
"""

import math
import re
from collections.abc import Iterable, Mapping
from datetime import datetime
from importlib import resources
from pathlib import Path
from typing import Any

from ingest.profile_files import Profile, ProfileField, Step, read_profile
from roadtwin.errors import InputFileError
from roadtwin.telemetry import PROFILE_READS, get_logger
from roadtwin.types import Flag, Observation
from roadtwin.units import QUANTITIES

__all__ = ["Profile", "ProfileField", "ProfileLibrary", "apply", "load_profiles"]

log = get_logger(__name__)

_NUMBER = re.compile(r"\s*([+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?)\s*(\S*)\s*", re.ASCII)
_UNION: dict[int, Flag] = {}
"""Flags by their bits: operations on flags take most of a microsecond in Python, a look-up takes a twentieth."""


def apply(
    profile: Profile, decoded: Mapping[str, object], observed_at: datetime, time_flags: Flag
) -> tuple[list[Observation], dict[str, str]]:
    """The observations in a decoded payload, and for each field that gave none although it is there, why."""
    observations: list[Observation] = []
    problems: dict[str, str] = {}
    taken: set[tuple[str, str, int | None]] | None = set() if profile.may_repeat else None
    for step in profile.steps:
        key, factor, offset, low, high, sentinels, channel, quantity, depth_cm, field = step
        raw = decoded.get(key) if key is not None else _look_up(decoded, field.path)
        if raw is None:
            continue
        if (
            (type(raw) is float or (type(raw) is int and -(2**53) <= raw <= 2**53))
            and low <= (value := raw * factor + offset) <= high
            and raw not in sentinels
        ):
            flags = time_flags  # nearly every value is a number in its range; this path is the hot one
        else:
            number, problem = _number(raw, field)
            if number is None:
                problems[".".join(field.path)] = problem
                continue
            value, flags = _judge(number, step, time_flags)
        if taken is not None:
            depth_cm = _depth_cm(decoded, field)
            place = (channel, quantity, depth_cm)
            if place in taken:
                problems[".".join(field.path)] = f"{quantity} was given by a field before it"
                continue
            taken.add(place)
        observations.append(Observation(channel, quantity, depth_cm, observed_at, value, flags))
    return observations, problems


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


def _depth_cm(decoded: Mapping[str, object], field: ProfileField) -> int | None:
    if field.depth_path is not None:
        depth = _look_up(decoded, field.depth_path)
        if isinstance(depth, int | float) and not isinstance(depth, bool) and 0 <= depth <= 10_000:
            return round(depth)
    return field.depth_cm


def _number(raw: object, field: ProfileField) -> tuple[float | None, str]:
    """The field's number, or None and the reason.

    Texts like "24.1 °C" count when they name the field's unit; of a table like {"value": 24.1, "unit": "°C"}, which
    some vendors' decoders write, its value.
    """
    if isinstance(raw, Mapping) and not isinstance(raw.get("value"), Mapping):
        raw = raw.get("value", raw)
    if isinstance(raw, bool):
        return float(raw), ""
    if isinstance(raw, int | float):
        try:
            number = float(raw)
        except OverflowError:
            return None, "got a number without bounds"
        return (number, "") if math.isfinite(number) else (None, "got no finite number")
    if isinstance(raw, str):
        return _number_in(raw, field)
    return None, f"got {type(raw).__name__}, expected a number"


def _number_in(text: str, field: ProfileField) -> tuple[float | None, str]:
    if field.words and text in field.words:
        return field.words[text], ""
    match = _NUMBER.fullmatch(text)
    if match is None:
        return None, f"got the text {text[:50]!r}, expected a number"
    known = QUANTITIES[field.quantity]
    if match[2] not in ("", field.unit or known.unit, known.senml_unit):
        return None, f"got the unit {match[2][:20]!r}, expected {field.unit or known.unit!r}"
    number = float(match[1])
    return (number, "") if math.isfinite(number) else (None, "got a number without bounds")


def _judge(number: float, step: Step, time_flags: Flag) -> tuple[float, Flag]:
    value = number * step.factor + step.offset
    if number in step.sentinels:
        return value, _union(time_flags, Flag.SENTINEL)
    return value, time_flags if step.low <= value <= step.high else _union(time_flags, Flag.RANGE)


def _union(one: Flag, other: Flag) -> Flag:
    bits = one._value_ | other._value_
    flags = _UNION.get(bits)
    if flags is None:
        flags = _UNION[bits] = Flag(bits)
    return flags


class ProfileLibrary:
    """All profiles, found by their name or by a name under which a network server knows the device kind.

    The built-in profiles and, with `folder`, those of an operator's folder, which win. `reload_if_changed` may run
    while another thread looks profiles up: it replaces them all at once.
    """

    def __init__(self, profiles: Iterable[Profile] = (), *, folder: Path | None = None) -> None:
        """Raises InputFileError when the folder is missing or a file in it is no profile."""
        self._built_in = tuple(profiles)
        self._folder = folder
        self._seen = _state(folder)
        self._by_name = self._read()

    def find(self, name: str | None) -> Profile | None:
        """The profile of this name or alias; None when there is none."""
        return self._by_name.get(name) if name else None

    def names(self) -> list[str]:
        """Every name and alias."""
        return sorted(self._by_name)

    def reload_if_changed(self) -> bool:
        """Read the folder again when names, times or sizes of its files changed; whether other profiles are in force.

        With a file that is no profile, or without the folder, all profiles stay as they are; that is logged and
        counted once, until the folder changes again.
        """
        state = _state(self._folder)
        if state == self._seen:
            return False
        self._seen = state
        try:
            self._by_name = self._read()
        except InputFileError as exc:
            PROFILE_READS.labels("invalid").inc()
            log.warning("sensor profiles stay as they were", action="profile_invalid", reason=str(exc))
            return False
        PROFILE_READS.labels("loaded").inc()
        log.info("sensor profiles read again", action="profiles_loaded", names=len(self._by_name))
        return True

    def _read(self) -> dict[str, Profile]:
        own = () if self._folder is None else _read_folder(self._folder)
        return {name: profile for profile in (*self._built_in, *own) for name in (profile.name, *profile.aliases)}


def load_profiles(additional: Path | None = None) -> ProfileLibrary:
    """The built-in profiles and those of a folder.

    Raises InputFileError when the folder is missing or a file in it is no profile.
    """
    entries = sorted(resources.files("ingest").joinpath("profiles").iterdir(), key=lambda entry: entry.name)
    built_in = [read_profile(e.name, e.read_text("utf-8")) for e in entries if e.name.endswith(".toml")]
    return ProfileLibrary(built_in, folder=additional)


def _read_folder(folder: Path) -> list[Profile]:
    try:
        if not folder.is_dir():
            raise InputFileError(f"ROADTWIN_DEVICE_PROFILES_DIR: got {str(folder)!r}, expected a folder.")
        paths = sorted(folder.glob("*.toml"))
    except OSError as exc:
        raise InputFileError(f"ROADTWIN_DEVICE_PROFILES_DIR: {folder} cannot be read: {exc}.") from None
    return [_read_file(path) for path in paths]


def _read_file(path: Path) -> Profile:
    try:
        text = path.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as exc:
        raise InputFileError(f"{path}: cannot be read: {exc}.") from None
    return read_profile(str(path), text)


def _state(folder: Path | None) -> object:
    """What tells that a folder changed: names, times and sizes of its profiles, or why they cannot be read."""
    if folder is None:
        return None
    try:
        about = [(path.name, path.stat()) for path in sorted(folder.glob("*.toml"))]
        return folder.is_dir(), [(name, found.st_mtime_ns, found.st_size) for name, found in about]
    except OSError as exc:  # one went away meanwhile, or is a link to nowhere
        return str(exc)
