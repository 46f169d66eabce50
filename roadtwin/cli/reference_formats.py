"""The reference pages of the wire formats: one a format, and an index. Made from what the modules say of themselves."""

import json

from ingest.formats import others
from ingest.formats.about import FormatAbout
from ingest.formats.examples import ABOUTS, EXAMPLES, Example

_MADE = "Made by `roadtwin reference --out docs/reference`."


def format_pages() -> dict[str, str]:
    """Every page by its name below the folder of the reference."""
    return {"formats/README.md": _index()} | {f"formats/{about.name}.md": _format_page(about) for about in ABOUTS}


def _index() -> str:
    lines = ["# Wire formats", "", _MADE, "", "| format | topics | events |", "|---|---|---|"]
    for about in ABOUTS:
        topics = ", ".join(f"`{topic}`" for topic in about.topics)
        lines.append(f"| [{about.title}]({about.name}.md) | {_cell(topics)} | {', '.join(about.event_kinds)} |")
    lines += [
        "",
        "ChirpStack and The Things Stack are also known by their content on any other topic that we subscribe to,",
        "since theirs can be configured. Messages of others are rejected by name:",
        "",
        "| reject code | whose message |",
        "|---|---|",
    ]
    lines += [f"| `{code}` | {name} |" for code, name in others.NAMES.items()]
    return "\n".join(lines) + "\n"


def _format_page(about: FormatAbout) -> str:
    lines = [
        f"# {about.title}",
        "",
        _MADE,
        "",
        "| | |",
        "|---|---|",
        f"| name in envelopes and accounts | `{about.name}` |",
        f"| encoding | {about.encoding} |",
        f"| topics | {_cell(', '.join(f'`{topic}`' for topic in about.topics))} |",
        f"| events | {', '.join(about.event_kinds)} |",
    ]
    if about.network_source:
        lines.append(f"| `network_source` of its devices | `{about.network_source}` |")
    for title, text in (
        ("Time", about.time_rule),
        ("Identity of the device", about.identity),
        ("Identity of the message", about.message_id),
        ("What is measured", about.measures),
    ):
        lines += ["", f"## {title}", "", text]
    if about.notes:
        lines += ["", "## To know", "", *(f"- {note}" for note in about.notes)]
    if about.reject_codes:
        lines += ["", "## Reject codes of its own", "", "| code | reason |", "|---|---|"]
        lines += [f"| `{code}` | {_cell(reason)} |" for code, reason in about.reject_codes.items()]
    return "\n".join([*lines, "", "## Example", "", *_example(EXAMPLES[about.name])]) + "\n"


def _example(example: Example) -> list[str]:
    if example.payload[:1] in (b"{", b"["):
        text = json.dumps(json.loads(example.payload), indent=2, ensure_ascii=False)
        return [f"On `{example.topic}`:", "", "```json", text, "```"]
    digits = example.payload.hex()
    lines = [digits[i : i + 100] for i in range(0, len(digits), 100)]
    return [f"On `{example.topic}`, in hexadecimal digits:", "", "```text", *lines, "```"]


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
