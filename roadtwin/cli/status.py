"""`roadtwin status`: what the database holds and how fresh it is."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from roadtwin.cli.common import open_connection, settings_for_command
from roadtwin.storage.database import describe_database
from roadtwin.storage.status import DatabaseStatus, read_status

app = typer.Typer(add_completion=False)

_MESSAGES = (
    "{messages_received} received = {messages_stored} stored + {messages_duplicate} duplicate + "
    "{messages_rejected} rejected"
)


@app.command(epilog="Example: roadtwin status --json")
def main(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Show what the database holds: mode, schema, counts, the last batch, the newest scores, open potholes."""
    settings = settings_for_command()
    with open_connection(settings) as conn:
        status = read_status(conn)
        database = f"{conn.info.dbname} at {conn.info.host}"
    if settings.database_url is not None:
        database = describe_database(settings.database_url.get_secret_value())
    if as_json:
        typer.echo(json.dumps({"database": database} | asdict(status), default=_json_ready))
        return
    for label, value in _lines(status, now=datetime.now(UTC)):
        typer.echo(f"{label:<14}{value}")


def _lines(status: DatabaseStatus, *, now: datetime) -> list[tuple[str, str]]:
    counts = status.counts
    city = f"{status.city}{' (simulated)' if status.simulated else ''}" if status.city else "none yet"
    batch, scores = status.last_batch, status.newest_scores
    return [
        ("City", city),
        ("Database", f"{status.mode}, schema version {status.schema_version}"),
        ("Network", f"{counts['sections']} sections, {counts['segments']} segments"),
        ("Devices", f"{counts['devices_confirmed']} confirmed, {counts['devices_unconfirmed']} unconfirmed"),
        ("Messages", _MESSAGES.format(**counts)),
        ("Observations", f"{counts['observations_stored']}"),
        (
            "Last batch",
            f"{batch.received} messages {_ago(now, batch.recorded_at)} ({batch.origin}, {batch.worker})"
            if batch
            else "none yet",
        ),
        (
            "Scores",
            f"{scores.segment_count} segments as of {scores.as_of:%Y-%m-%d %H:%M} UTC "
            f"(model run {scores.model_run_id}, trained {scores.trained_at:%Y-%m-%d})"
            if scores
            else "none yet",
        ),
        ("Potholes", f"{counts['potholes_open']} open"),
    ]


def _ago(now: datetime, then: datetime) -> str:
    seconds = int((now - then).total_seconds())
    if seconds < 0:
        return f"at {then:%Y-%m-%d %H:%M} UTC"
    for size, unit in ((86400, "d"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds // size} {unit} ago"
    return f"{seconds} s ago"


def _json_ready(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"got {type(value).__name__}, expected a time")
