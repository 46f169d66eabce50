"""`roadtwin state`: match new facts, derive potholes and refresh the twin state."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated

import typer

from roadtwin.cli.common import open_connection, settings_for_command
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.match import match_new
from roadtwin.jobs.state import refresh_state

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin state --json")
def main(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """Bring what is derived up to now: matches, segment-days, potholes and the state of every segment."""
    settings = settings_for_command()
    now = datetime.now(UTC)
    with open_connection(settings) as conn:
        # Each commits by itself: what is done stays done when a later part fails.
        matched = match_new(conn, settings, now=now)
        conn.commit()
        potholes = derive_potholes(conn, now=now)
        conn.commit()
        state = refresh_state(conn, settings, now=now)
    if as_json:
        parts = {"match": asdict(matched), "potholes": asdict(potholes), "state": asdict(state)}
        typer.echo(json.dumps(parts, default=str))
        return
    typer.echo(
        f"Matched {matched.readings} readings ({matched.readings_outside} outside the network) and {matched.records}"
        f" records ({matched.records_outside} without a place); {matched.segment_days} segment-days."
    )
    typer.echo(f"Potholes: {potholes.open} open, {potholes.closed} closed, {potholes.candidates} unconfirmed.")
    typer.echo(
        f"State of {state.segments} segments as of {state.as_of:%Y-%m-%d %H:%M} UTC, {state.graded} with a grade."
    )
