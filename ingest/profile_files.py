"""Sensor profiles as files: what a TOML file may hold, and what becomes of it.

```toml
name = "level-of-the-brook"      # by which devices are registered
version = 1                      # up with every change of meaning
aliases = ["brand/model"]        # names under which network servers know the device kind
codec = "decentlab/dl-ctd10"     # decodes the bytes when the network server does not

[[field]]
path = "water_depth"             # in the decoded payload; parts joined by dots
quantity = "water_level_mm"
unit = "mm"                      # the field's; without it, the quantity's
channel = ""                     # for several sensors of one quantity in a device
depth_cm = 20                    # or depth_path = "…", the field that says it
sentinels = [-32768]             # "no value" marks, in the field's unit
minimum = 0                      # what this sensor can measure, in the field's unit
maximum = 10000
values = { OPEN = 1 }            # texts that stand for numbers
```
"""

import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from ingest import codecs
from ingest.conversions import conversion
from roadtwin.errors import InputFileError
from roadtwin.units import QUANTITIES

_PROFILE_KEYS = {"name", "version", "aliases", "codec", "field"}
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


class Step(NamedTuple):
    """A field as `ingest.profile.apply` walks through it: all that is known beforehand is worked out.

    `key` is the only part of the path, or None; `low` and `high` bound what counts as in range, in the quantity's unit.
    """

    key: str | None
    factor: float
    offset: float
    low: float
    high: float
    sentinels: tuple[float, ...]
    channel: str
    quantity: str
    depth_cm: int | None
    field: ProfileField


@dataclass(frozen=True, slots=True)
class Profile:
    """One device kind. `codec` names the payload codec that decodes its bytes when the network server does not."""

    name: str
    version: int
    aliases: tuple[str, ...]
    fields: tuple[ProfileField, ...]
    codec: str | None = None
    steps: tuple[Step, ...] = field(init=False, repr=False, compare=False)
    may_repeat: bool = field(init=False, repr=False, compare=False)
    """Whether two fields can give one quantity of one channel and depth; the first then counts."""

    def __post_init__(self) -> None:
        steps = tuple(_step(f) for f in self.fields)
        places = {(s.channel, s.quantity, s.depth_cm) for s in steps}
        object.__setattr__(self, "steps", steps)
        object.__setattr__(
            self, "may_repeat", len(places) < len(steps) or any(f.depth_path is not None for f in self.fields)
        )


def _step(own: ProfileField) -> Step:
    known = QUANTITIES[own.quantity]
    return Step(
        key=own.path[0] if len(own.path) == 1 else None,
        factor=own.factor,
        offset=own.offset,
        low=max(known.minimum, own.minimum * own.factor + own.offset),
        high=min(known.maximum, own.maximum * own.factor + own.offset),
        sentinels=own.sentinels,
        channel=own.channel,
        quantity=own.quantity,
        depth_cm=own.depth_cm,
        field=own,
    )


def read_profile(source: str, text: str) -> Profile:
    """The profile of a TOML text; `source` names it in errors. Raises InputFileError when it is none."""
    try:
        table = tomllib.loads(text)
    except (ValueError, RecursionError) as exc:  # also numbers of thousands of digits, and tables in tables in tables
        raise InputFileError(f"{source}: no valid TOML: {exc}.") from None
    return profile_of(source, table)


def profile_of(source: str, table: Mapping[str, object]) -> Profile:
    """The profile of a table that was read from TOML. Raises InputFileError when it is none."""
    _check(source, set(table) <= _PROFILE_KEYS, f"got unknown keys {sorted(set(table) - _PROFILE_KEYS)}")
    name, version, aliases, codec = (table.get(key) for key in ("name", "version", "aliases", "codec"))
    if not isinstance(name, str) or not name:
        raise InputFileError(f"{source}: expected a name.")
    if type(version) is not int or not 1 <= version <= 32_767:
        raise InputFileError(f"{source}: got version {version!r}, expected 1 to 32767.")
    if aliases is None:
        aliases = []
    if not isinstance(aliases, list) or not all(isinstance(alias, str) for alias in aliases):
        raise InputFileError(f"{source}: expected aliases as texts.")
    if codec is not None and (not isinstance(codec, str) or codecs.find(codec) is None):
        raise InputFileError(f"{source}: got codec {codec!r}, expected one of {', '.join(codecs.names())}.")
    fields = table.get("field")
    if not isinstance(fields, list) or not fields:
        raise InputFileError(f"{source}: expected at least one [[field]].")
    return Profile(name, version, tuple(aliases), tuple(_read_field(source, own) for own in fields), codec)


def _read_field(source: str, table: object) -> ProfileField:
    if not isinstance(table, dict):
        raise InputFileError(f"{source}: got {table!r} as a field, expected a table.")
    path, quantity, unit = table.get("path"), table.get("quantity"), table.get("unit")
    if not isinstance(path, str) or not path:
        raise InputFileError(f"{source}: expected a path in each [[field]].")
    source = f"{source}, field {path}"
    _check(source, set(table) <= _FIELD_KEYS, f"got unknown keys {sorted(set(table) - _FIELD_KEYS)}")
    if not isinstance(quantity, str) or quantity not in QUANTITIES:
        raise InputFileError(f"{source}: got quantity {quantity!r}, expected one of {', '.join(QUANTITIES)}.")
    scale = conversion(quantity, unit) if unit is None or isinstance(unit, str) else None
    if scale is None:
        raise InputFileError(f"{source}: got unit {unit!r}, expected one of {QUANTITIES[quantity].unit}.")
    depth_cm = table.get("depth_cm")
    if depth_cm is not None and (type(depth_cm) is not int or not 0 <= depth_cm <= 10_000):
        raise InputFileError(f"{source}: expected depth_cm 0 to 10000.")
    words = table.get("values", {})
    _check(source, isinstance(words, dict), "expected values as a table of numbers")
    depth_path = _text(source, table, "depth_path")
    return ProfileField(
        path=tuple(path.split(".")),
        quantity=quantity,
        unit=unit,
        factor=float(scale[0]),
        offset=float(scale[1]),
        channel=_text(source, table, "channel"),
        depth_cm=depth_cm,
        depth_path=tuple(depth_path.split(".")) if depth_path else None,
        sentinels=_numbers(source, "sentinels", table.get("sentinels", [])),
        minimum=_number(source, "minimum", table.get("minimum", -math.inf)),
        maximum=_number(source, "maximum", table.get("maximum", math.inf)),
        words={text: _number(source, f"values.{text}", value) for text, value in words.items()} or None,
    )


def _text(source: str, table: Mapping[str, object], name: str) -> str:
    value = table.get(name, "")
    if not isinstance(value, str):
        raise InputFileError(f"{source}: got {name} {value!r}, expected a text.")
    return value


def _number(source: str, name: str, value: object) -> float:
    try:
        number = float(value) if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    except OverflowError:  # an integer of more than 308 digits
        number = math.nan
    if math.isnan(number):
        raise InputFileError(f"{source}: got {name} {str(value)[:50]!r}, expected a number.")
    return number


def _numbers(source: str, name: str, values: object) -> tuple[float, ...]:
    _check(source, isinstance(values, list), f"got {name} {values!r}, expected a list of numbers")
    assert isinstance(values, list)
    return tuple(_number(source, name, value) for value in values)


def _check(source: str, holds: bool, problem: str) -> None:
    if not holds:
        raise InputFileError(f"{source}: {problem}.")
