"""`roadtwin reference`: the reference pages that are made from the code, so that they cannot drift."""

import importlib
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import typer
from prometheus_client.metrics import MetricWrapperBase
from pydantic_core import PydanticUndefined

from roadtwin import telemetry
from roadtwin.cli.main import COMMANDS
from roadtwin.cli.reference_codecs import codec_pages
from roadtwin.cli.reference_features import features_page
from roadtwin.cli.reference_formats import format_pages
from roadtwin.cli.reference_scenarios import scenarios_page
from roadtwin.errors import InputFileError
from roadtwin.settings import Settings
from roadtwin.units import QUANTITIES, TWIN_QUANTITIES

app = typer.Typer(add_completion=False)


def settings_page() -> str:
    """Every setting as a Markdown table."""
    lines = [
        "# Settings",
        "",
        "Made by `roadtwin reference --out docs/reference`. Each setting is an environment variable, or a file of the",
        "same name in lower case in the directory that `ROADTWIN_SECRETS_DIR` names.",
        "",
        "| variable | default | meaning |",
        "|---|---|---|",
    ]
    for name, field in Settings.model_fields.items():
        if field.default_factory is not None:
            default = "*depends on the system*"
        elif field.default is None or field.default is PydanticUndefined:
            default = "*unset*"
        else:
            value = ", ".join(field.default) if isinstance(field.default, tuple) else field.default
            default = f"`{value}`"
        lines.append(f"| `ROADTWIN_{name.upper()}` | {default} | {field.description} |")
    return "\n".join(lines) + "\n"


def metrics_page() -> str:
    """Every metric as a Markdown table."""
    lines = [
        "# Metrics",
        "",
        "Made by `roadtwin reference --out docs/reference`. Prometheus text format: the service on `/metrics`, the",
        "ingester on the port of `ROADTWIN_METRICS_PORT`.",
        "",
        "| metric | type | labels | meaning |",
        "|---|---|---|---|",
    ]
    for metric in vars(telemetry).values():
        if isinstance(metric, MetricWrapperBase):
            family = next(iter(metric.describe()))
            name = family.name + ("_total" if family.type == "counter" else "")
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            lines.append(f"| `{name}` | {family.type} | {labels} | {family.documentation} |")
    return "\n".join(lines) + "\n"


def quantities_page() -> str:
    """Every canonical quantity as a Markdown table."""
    lines = [
        "# Quantities",
        "",
        "Made by `roadtwin reference --out docs/reference`. A value outside its range is stored and flagged.",
        "",
        "| name | unit | SenML unit | plausible range | English | German |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| `{q.name}` | {q.unit} | `{q.senml_unit}` | {q.minimum:g} … {q.maximum:g} | {q.label_en} | {q.label_de} |"
        for q in QUANTITIES.values()
    ]
    lines += [
        "",
        "## What the twin derives",
        "",
        "Properties of a segment beside `surface_temp_c` and `soil_moisture_pct`; how: [twin state](twin-state.md).",
        "",
        "| name | unit | English | German |",
        "|---|---|---|---|",
    ]
    lines += [f"| `{q.name}` | {q.unit} | {q.label_en} | {q.label_de} |" for q in TWIN_QUANTITIES.values()]
    return "\n".join(lines) + "\n"


def commands_page() -> str:
    """The help of every command, as it is on a terminal of 100 columns without colours."""
    lines = ["# Commands", "", "Made by `roadtwin reference --out docs/reference`."]
    for name, module in COMMANDS.items():
        sub_app: typer.Typer = importlib.import_module(module).app
        sub_app.rich_markup_mode = None
        lines += _help_of(f"roadtwin {name}", typer.main.get_command(sub_app))
    return "\n".join(lines) + "\n"


def _help_of(title: str, command: Any) -> list[str]:
    context = typer.Context(command, info_name=title, terminal_width=100, max_content_width=100)
    lines = ["", f"## {title}", "", "```text", command.get_help(context).rstrip(), "```"]
    for sub_name, sub_command in getattr(command, "commands", {}).items():
        lines += _help_of(f"{title} {sub_name}", sub_command)
    return lines


PAGES = {
    "settings.md": settings_page,
    "metrics.md": metrics_page,
    "quantities.md": quantities_page,
    "commands.md": commands_page,
    "scenarios.md": scenarios_page,
    "features.md": features_page,
}
PAGES |= {name: partial(str, page) for name, page in (codec_pages() | format_pages()).items()}


@app.command()
def reference(
    out: Annotated[Path, typer.Option(help="Folder to write the pages to.")] = Path("docs/reference"),
) -> None:
    """Write the reference pages that are made from the code: settings, metrics, quantities, commands, features.

    Example: roadtwin reference --out docs/reference
    """
    if not out.is_dir():
        raise InputFileError(f"{out} is not a directory.")
    for name, page in PAGES.items():
        (out / name).parent.mkdir(exist_ok=True)
        (out / name).write_text(page(), "utf-8")
        typer.echo(str(out / name))
