"""`roadtwin doctor`: which settings of broker, database and machine can lose data."""

import json
import secrets
from collections import Counter
from dataclasses import asdict
from itertools import groupby
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text

from roadtwin import __version__
from roadtwin.cli.common import progress, settings_for_command
from roadtwin.errors import DoctorError
from roadtwin.jobs.doctor import Options, examine
from roadtwin.jobs.doctor_findings import Finding, Severity, failed

app = typer.Typer(add_completion=False)

_STYLES = {
    Severity.DANGER: "bold red",
    Severity.WARNING: "yellow",
    Severity.UNKNOWN: "magenta",
    Severity.OK: "green",
}
_WORDS = {Severity.UNKNOWN: "not checked"}


@app.command(epilog="Example: roadtwin doctor --mosquitto-conf /etc/mosquitto/mosquitto.conf")
def main(
    mqtt_url: Annotated[
        str | None, typer.Option(help="MQTT broker; else ROADTWIN_MQTT_URL.", show_default=False)
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
    mosquitto_conf: Annotated[
        Path | None,
        typer.Option(help="Read the broker's mosquitto.conf, and what it includes, too.", show_default=False),
    ] = None,
    metrics_url: Annotated[
        str | None,
        typer.Option(help="Ask the running ingester, e.g. http://127.0.0.1:9100/metrics.", show_default=False),
    ] = None,
    probe_messages: Annotated[
        int, typer.Option(min=1, max=100_000, help="Small messages to publish to each of two probe sessions.")
    ] = 1500,
    listen_s: Annotated[
        float, typer.Option("--listen-s", min=0, max=600, help="Seconds to listen to our own topic filters.")
    ] = 2.0,
    strict: Annotated[bool, typer.Option("--strict", help="Warnings fail, too.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Probe broker, database and machine, and name each setting that can lose data, with its fix.

    Exit code 0: nothing found that can lose data; 1: something can (with --strict also: something should be better).
    What could not be checked is said by name and is never counted as fine. Nothing is written to the database; messages
    of the probe go to topics below roadtwin/probe/ and its sessions are ended. Never uses the ingester's client id.
    """
    settings = settings_for_command(mqtt_url=mqtt_url, database_url=database_url)
    options = Options(
        token=secrets.token_hex(4),
        probe_messages=probe_messages,
        listen_s=listen_s,
        mosquitto_conf=mosquitto_conf,
        metrics_url=metrics_url,
    )
    with progress("Examining") as on_part:
        findings = examine(settings, options, on_part=on_part)
    failing = failed(findings, strict=strict)
    if as_json:
        typer.echo(json.dumps(_as_json(findings, failing), ensure_ascii=False))
    else:
        _print(findings)
    if failing:
        raise DoctorError(f"Not safe as it is set up: {', '.join(failing)}.")


def _as_json(findings: list[Finding], failing: list[str]) -> dict[str, Any]:
    counts = Counter(finding.severity for finding in findings)
    return {
        "roadtwin_version": __version__,
        "failed": failing,
        "counts": {severity.value: counts[severity] for severity in Severity},
        "findings": [
            {"area": finding.area.value, "why": finding.why}
            | asdict(finding)  # asdict gives id, severity, measured, fix
            for finding in findings
        ],
    }


def _print(findings: list[Finding]) -> None:
    console = Console(highlight=False, soft_wrap=False)
    table = Table(show_lines=False, box=None, pad_edge=False, padding=(0, 2, 0, 0))
    table.add_column("", no_wrap=True)
    table.add_column("check", no_wrap=True)
    table.add_column("measured, why it matters, fix", overflow="fold")
    # What could not be checked for one and the same reason is one row.
    for _, group in groupby(findings, key=lambda f: (f.measured, f.fix) if f.severity is Severity.UNKNOWN else f.id):
        alike = list(group)
        severity = alike[0].severity
        word = Text(_WORDS.get(severity, severity.value), style=_STYLES[severity])
        table.add_row(word, Text("\n".join(finding.id for finding in alike)), _cell(alike[0]))
    console.print(table)
    counts = Counter(finding.severity for finding in findings)
    console.print(
        Text(
            f"\n{counts[Severity.DANGER]} can lose data, {counts[Severity.WARNING]} warnings, "
            f"{counts[Severity.UNKNOWN]} not checked, {counts[Severity.OK]} fine."
        )
    )


def _cell(finding: Finding) -> Text:
    text = Text(finding.measured)
    if finding.severity in (Severity.DANGER, Severity.WARNING):
        text.append(f"\n{finding.why}", style="dim")
    if finding.fix:
        text.append("\nFix: " if finding.severity is not Severity.UNKNOWN else "\nTo check: ", style="bold")
        text.append(finding.fix)
    return text
