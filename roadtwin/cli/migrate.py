"""`roadtwin migrate`: bring the database schema to this version."""

import json
from typing import Annotated

import typer

from roadtwin.cli.common import open_database, settings_for_command
from roadtwin.storage.database import connect, detect_mode
from roadtwin.storage.migrate import migrate

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin migrate --dry-run")
def main(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say which migrations would run.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring the database schema to this version of Roadtwin. Running it again does nothing."""
    settings = settings_for_command()
    with open_database(settings, check=False) as url:
        names = migrate(url, dry_run=dry_run)
        with connect(url) as conn:
            mode = detect_mode(conn)
    if as_json:
        typer.echo(json.dumps({"mode": mode.value, "dry_run": dry_run, "migrations": names}))
        return
    verb = "Would apply" if dry_run else "Applied"
    for name in names:
        typer.echo(f"{verb} {name}.")
    if not names:
        typer.echo("The schema is up to date.")
