"""`roadtwin verify`: proves that received = stored + duplicate + rejected."""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from roadtwin.cli.common import open_connection, settings_for_command
from roadtwin.errors import VerificationError
from roadtwin.jobs.verify import VerifyReport, verify
from roadtwin.manifest import read_manifest

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin verify --manifest sent.json")
def main(
    manifest: Annotated[
        Path | None,
        typer.Option(help="What a publisher says it published (`roadtwin replay --manifest`).", show_default=False),
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Prove that nothing was lost or stored twice: the accounts of all batches against the rows of the tables.

    With a manifest also the publisher's list of payloads against the payloads that are stored or rejected. Exit code 1
    and the difference by name when something does not agree.
    """
    witness = read_manifest(manifest) if manifest is not None else None
    settings = settings_for_command(database_url=database_url)
    with open_connection(settings) as conn:
        conn.rollback()
        report = verify(conn, witness)
    typer.echo(json.dumps(asdict(report)) if as_json else _as_text(report))
    if report.differences:
        raise VerificationError(" ".join(report.differences))


def _as_text(report: VerifyReport) -> str:
    a = report.accounts
    lines = [
        f"Batches: {a.received} received = {a.stored} stored + {a.duplicate} duplicate + {a.rejected} rejected.",
        f"Ingesters, by their last heartbeat: {report.journalled} journalled, {report.in_process} in process.",
        f"Tables: {report.message_rows} messages, {report.rejected_rows} rejections.",
    ]
    if report.repeated_ids:
        lines.append(
            f"Note: {report.repeated_ids} message ids came with more than one time of their own; all are kept."
        )
    if report.witness is not None:
        w = report.witness
        lines.append(
            f"Manifest: {w.published} published = {w.stored} stored + {w.duplicate} duplicate + {w.rejected} rejected"
            f" + {w.missing} missing."
        )
    lines.append("Nothing is missing." if not report.differences else "The accounts do not balance.")
    return "\n".join(lines)
