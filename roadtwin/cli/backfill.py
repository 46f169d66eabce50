"""`roadtwin backfill`: uplinks that The Things Stack kept while nobody listened."""

import json
import signal
import threading
from collections.abc import Sequence
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated

import typer

from ingest.backfill import Backfilled, applications_of, backfill, open_api
from ingest.decode import open_decoder
from ingest.times import parse_time
from roadtwin.cli.common import open_connection, progress, settings_for_command
from roadtwin.errors import BackfillError
from roadtwin.storage.devices import read_registered_profiles

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin backfill --since 2026-03-01T00:00:00Z --dry-run")
def main(
    since: Annotated[
        str | None,
        typer.Option(
            help="Received by the server after this time (RFC 3339 with offset); else from where some may be missing.",
            show_default=False,
        ),
    ] = None,
    application: Annotated[
        list[str] | None,
        typer.Option(
            metavar="APP@TENANT",
            help="Of this application, may be repeated; else of all ROADTWIN_TTS_APPLICATIONS.",
            show_default=False,
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Fetch and count; store nothing.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Fetch uplinks from the storage integration of The Things Stack that may not have come by MQTT.

    What is stored already is a duplicate and changes nothing: run it as often as you like. A running ingester does it
    by itself. Exit code 1, after all other applications are done, when one could not be fetched to its end.
    """
    settings = settings_for_command(database_url=database_url)
    begin = _instant(since)
    applications = applications_of(application or settings.tts_applications)
    if not applications:
        raise BackfillError("ROADTWIN_TTS_APPLICATIONS: got nothing, expected application@tenant, or --application.")
    api, stop = open_api(settings), threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        with open_connection(settings) as conn:
            decoder = open_decoder(settings, read_registered_profiles(conn))
            conn.rollback()
            with progress("Fetching stored uplinks") as on_progress:
                done = backfill(
                    conn,
                    api,
                    decoder,
                    applications,
                    since=begin,
                    clock=lambda: datetime.now(UTC),
                    stop=stop,
                    dry_run=dry_run,
                    on_progress=on_progress,
                )
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    told = {"dry_run": dry_run, "applications": [item.as_json() for item in done]}
    typer.echo(json.dumps(told) if as_json else _as_text(done, dry_run=dry_run))
    failures = [f"{item.application}: {item.failure}" for item in done if item.failure]
    if failures:
        raise BackfillError(" ".join(failures))


def _instant(text: str | None) -> datetime | None:
    if text is None:
        return None
    at = parse_time(text)
    if at is None:
        raise BackfillError(f"--since: got {text!r}, expected RFC 3339 with offset, such as 2026-03-01T00:00:00Z.")
    return at


def _as_text(done: Sequence[Backfilled], *, dry_run: bool) -> str:
    lines = ["Nothing was stored: this is what a run would do."] if dry_run else []
    for item in done:
        c = item.counts
        lines.append(
            f"{item.application} since {item.since:%Y-%m-%dT%H:%M:%SZ}: {c.received} received = {c.stored} "
            f"{'new' if dry_run else 'stored'} + {c.duplicate} duplicate + {c.rejected} rejected."
        )
    return "\n".join(lines)
