"""The reference page of scenario files: the format, and every weather change and fault with its entries."""

import inspect
from typing import Any

import msgspec

from simulators.scenario import Fault, Lora, Scenario, WeatherChange, fault_kinds
from simulators.spans import Windowed

_INTRODUCTION = """# Scenario files

Made by `roadtwin reference --out docs/reference`. A scenario says what is special about a simulated city: other
weather, and faults by name. The city itself follows from its seed. The ones that come with Roadtwin stand in
[the library](../scenarios/README.md); a file of your own is given by its path:

```
roadtwin simulate --scenario hard-winter --from 2026-01-15T06:00:00+01:00 --duration 7d --out week/
roadtwin simulate --scenario ./my-town.toml
```

A scenario is a TOML file in UTF-8. It begins with a name and goes on with any number of weather changes and faults:

```toml
name = "cold-december-lame-sensors"
title = "A cold December with lame sensors"
title_de = "Ein kalter Dezember mit lahmen Sensoren"
summary = "Three degrees colder before Christmas, and a third of the soil sensors silent for two days."

[[weather]]
from = "12-01"
until = "12-24"
air_temp_shift_c = -3.0

[[fault]]
kind = "sensor-outage"
devices = "soil"
share = 0.33
from = "today-2d"
until = "today"
```

## Windows

Every weather change and every fault has a window, `from` (inclusive) and `until` (exclusive); without them it holds
always, with one of them from then on or up to then.

| written as | is |
|---|---|
| `"2026-01-31"`, `"2026-01-31T06:00"` | a local day or time; TOML's own dates without quotes mean the same |
| `"2026-01-31T06:00:00+01:00"` | an instant |
| `"01-31"` | a day of every year; both ends have to be such days. `"12-01"` until `"03-01"` recurs every winter |
| `"today"`, `"today-3d"`, `"today-2d+6h"` | relative to the begin of the scenario's today |

Today is the local day on which a feed begins (`--from`; else now), and in the demo that on which its city was founded.

`repeat = "latest"` keeps only the newest recurring window that has begun by today, so that this winter differs from
those before it. A share of devices, vehicles or messages is drawn by their number: the same ones in every run.

## Errors

A file that cannot be used ends the command with one sentence that names the entry, counted from 1, what was got and
what was expected: `fault 2.per_day: got 2, expected float <= 1.0`. Unknown entries are errors too.
"""


_TABLES = ("lora", "weather", "fault")


def scenarios_page() -> str:
    """The page as Markdown."""
    lines = [_INTRODUCTION, "## Tables", "", "### The file", *_table(Scenario)]
    lines += ["### `[lora]`", "", _text(Lora), *_table(Lora)]
    lines += ["### `[[weather]]`", "", _text(WeatherChange), *_table(WeatherChange)]
    lines += [
        "## Faults",
        "",
        "Each is a table `[[fault]]` with its `kind`; `from`, `until` and `repeat` as above.",
        "",
    ]
    for name, kind in sorted(fault_kinds().items()):
        lines += [f"### `{name}`", "", _text(kind), *_table(kind, skip=_names(Fault))]
    return "\n".join(lines).rstrip() + "\n"


def _names(struct: type[msgspec.Struct]) -> tuple[str, ...]:
    return tuple(field.encode_name for field in msgspec.structs.fields(struct))


def _text(struct: type[msgspec.Struct]) -> str:
    return " ".join(inspect.cleandoc(struct.__doc__ or "").split())


def _table(struct: type[msgspec.Struct], skip: tuple[str, ...] = ()) -> list[str]:
    schema = msgspec.json.schema(struct)
    properties = next(iter(schema["$defs"].values()))["properties"] if "$defs" in schema else schema["properties"]
    rows = []
    for field in msgspec.structs.fields(struct):
        name = field.encode_name
        if name in skip:
            continue
        default = (
            "required"
            if field.required
            else "nothing"
            if name in _TABLES
            else "none"
            if field.default is None
            else f"`{_value(field.default)}`"
        )
        what = (
            "tables, see below"
            if name in _TABLES
            else "window"
            if name in _names(Windowed) and name != "repeat"
            else _kind(properties[name])
        )
        rows.append(f"| `{name}` | {what} | {default} |")
    return ["", "| entry | value | if left out |", "|---|---|---|", *rows, ""] if rows else [""]


def _value(value: str | float) -> str:
    return f'"{value}"' if isinstance(value, str) else f"{value:,.10g}"


def _kind(schema: dict[str, Any]) -> str:
    if "enum" in schema:
        return ", ".join(f"`{_value(value)}`" for value in schema["enum"])
    if schema.get("type") == "number":
        low = (
            f"{schema['minimum']:g} to " if "minimum" in schema else f"above {schema.get('exclusiveMinimum', 0):g}, to "
        )
        return f"{low}{schema['maximum']:g}" if "maximum" in schema else "number"
    return "text"
