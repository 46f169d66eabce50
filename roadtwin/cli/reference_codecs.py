"""The reference pages of the payload codecs: one a family, and an index. Made from the codecs' own tables."""

import json
from collections.abc import Iterable, Mapping

from ingest import codecs
from ingest.codecs import Codec, FieldDoc, Frame
from ingest.profile import Profile, load_profiles

_MADE = "Made by `roadtwin reference --out docs/reference`."


def codec_pages() -> dict[str, str]:
    """Every page by its name below the folder of the reference."""
    profiles = _profiles_by_codec()
    pages = {"codecs/README.md": _index(profiles)}
    for family, about in codecs.families().items():
        own = [codec for codec in codecs.all_codecs() if codec.family == family]
        pages[f"codecs/{family}.md"] = _family_page(family, about, own, profiles)
    return pages


def _profiles_by_codec() -> dict[str, Profile]:
    library = load_profiles()
    found = [library.find(name) for name in library.names()]
    return {profile.codec: profile for profile in found if profile is not None and profile.codec is not None}


def _index(profiles: Mapping[str, Profile]) -> str:
    lines = [
        "# Payload codecs",
        "",
        _MADE,
        "",
        "Where the network server does not decode a payload, the codec does that the device's sensor profile names.",
        "Its fields have the vendor's own names, so one profile fits both. A payload that does not follow the layout",
        "is kept, and `details` of the message say why nothing was measured. How to add a device is told in",
        "[ingest/codecs](../../../ingest/codecs/README.md).",
        "",
        "| codec | device | fPort | sensor profile |",
        "|---|---|---|---|",
    ]
    for codec in codecs.all_codecs():
        profile = profiles.get(codec.name)
        about = f"[`{codec.name}`]({codec.family}.md) | {codec.title} | {_ports(codec)}"
        lines.append(f"| {about} | {f'`{profile.name}`' if profile else 'none'} |")
    lines += [
        "",
        "Without one: what a channel or a cable measures, only its operator knows; positions are no observations.",
    ]
    return "\n".join(lines) + "\n"


def _ports(codec: Codec) -> str:
    return "any" if codec.ports is None else ", ".join(map(str, sorted(codec.ports)))


def _family_page(family: str, about: str, own: list[Codec], profiles: Mapping[str, Profile]) -> str:
    lines = [f"# Codecs: {family}", "", _MADE, "", about, ""]
    shared = len(own) > 1 and all(codec.field_docs() == own[0].field_docs() for codec in own)
    if shared:
        lines += ["## Fields of all devices", "", *_field_table(own[0].field_docs(), None)]
    for codec in own:
        profile = profiles.get(codec.name)
        lines += [f"## {codec.title}", "", f"Codec `{codec.name}`, fPort {_port_text(codec)}."]
        lines[-1] += f" Sensor profile `{profile.name}`." if profile else ""
        lines.append("")
        if shared:
            lines += [] if profile is None else [*_quantity_list(profile), ""]
        else:
            lines += _field_table(codec.field_docs(), profile)
        for example in codec.examples:
            lines += [f"Example, {example.title} (fPort {example.f_port}):", "", "```text"]
            lines += _example(codec.decode(example.f_port, bytes.fromhex(example.payload_hex)), example.payload_hex)
            lines += ["```", ""]
    return "\n".join(lines).rstrip() + "\n"


def _port_text(codec: Codec) -> str:
    return _ports(codec) if codec.ports is not None else f"{codec.default_port} unless configured otherwise"


def _quantities(profile: Profile | None) -> dict[str, str]:
    """What each field of a payload is, by its path: quantity, channel and depth."""
    found: dict[str, str] = {}
    for field in profile.fields if profile else ():
        text = f"`{field.quantity}`"
        text += f" at {field.depth_cm} cm" if field.depth_cm is not None else ""
        text += f", channel `{field.channel}`" if field.channel else ""
        if field.sentinels:
            text += f"; {', '.join(f'{s:g}' for s in field.sentinels)}: no value"
        found[".".join(field.path)] = text
    return found


def _quantity_list(profile: Profile) -> list[str]:
    return [f"- `{path}` is {text}" for path, text in _quantities(profile).items()]


def _field_table(docs: Iterable[FieldDoc], profile: Profile | None) -> list[str]:
    quantities = _quantities(profile)
    lines = ["| where | field | unit | value | quantity |", "|---|---|---|---|---|"]
    if profile is None:
        lines = ["| where | field | unit | value |", "|---|---|---|---|"]
    for doc in docs:
        name = ", ".join(f"`{part}`" for part in doc.name.split(", ")) if doc.name else ""
        line = f"| {doc.where} | {name} | {doc.unit} | {doc.formula} |"
        lines.append(line if profile is None else f"{line} {quantities.get(doc.name, '')} |")
    return [*lines, ""]


def _example(frames: tuple[Frame, ...], payload_hex: str) -> list[str]:
    lines = [payload_hex]
    for frame in frames:
        when = f"measured {frame.observed_at.isoformat()}: " if frame.observed_at else ""
        when += f"{frame.age_s:g} s before the uplink: " if frame.age_s is not None else ""
        lines.append(when + json.dumps(_rounded(frame.fields), ensure_ascii=False))
    return lines


def _rounded(value: object) -> object:
    if isinstance(value, Mapping):
        return {name: _rounded(inner) for name, inner in value.items()}
    return round(value, 6) if isinstance(value, float) else value
