"""`roadtwin key`: API keys for people and systems that use the service."""

import json
from datetime import UTC, datetime
from typing import Annotated

import typer

from roadtwin.cli.common import open_connection, settings_for_command
from roadtwin.storage.keys import KeyRole, create_key, list_keys, revoke_key

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Create, list and revoke API keys.",
    epilog="Example: roadtwin key create crew-tablet --role editor",
)

ACTOR = "cli"
NameArgument = Annotated[str, typer.Argument(help="Who or what uses the key; appears in the audit log.")]


@app.command(epilog="Example: roadtwin key create crew-tablet --role editor")
def create(
    name: NameArgument,
    role: Annotated[
        KeyRole,
        typer.Option(help="viewer reads; editor also writes inspections and repairs; operator also runs the system."),
    ] = "viewer",
) -> None:
    """Make a key and print it. It is shown this once; only its hash is stored."""
    with open_connection(settings_for_command()) as conn:
        key = create_key(conn, name, role, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(key)


@app.command("list", epilog="Example: roadtwin key list --json")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON array.")] = False) -> None:
    """List the keys by name, with role and dates."""
    with open_connection(settings_for_command()) as conn:
        keys = list_keys(conn)
    if as_json:
        rows = [
            {
                "name": key.name,
                "role": key.role,
                "created_at": key.created_at.isoformat(),
                "revoked_at": key.revoked_at.isoformat() if key.revoked_at else None,
            }
            for key in keys
        ]
        typer.echo(json.dumps(rows))
        return
    for key in keys:
        state = f"revoked {key.revoked_at:%Y-%m-%d}" if key.revoked_at else "valid"
        typer.echo(f"{key.name}  {key.role}  created {key.created_at:%Y-%m-%d}  {state}")
    if not keys:
        typer.echo("There is no key yet: roadtwin key create NAME --role editor")


@app.command(epilog="Example: roadtwin key revoke crew-tablet")
def revoke(name: NameArgument) -> None:
    """Make a key useless at once."""
    with open_connection(settings_for_command()) as conn:
        revoke_key(conn, name, now=datetime.now(UTC), actor=ACTOR)
    typer.echo(f"Revoked {name}.")
