"""The `roadtwin` command: one module a sub-command, loaded only when it is used."""

import importlib
import os
import signal
import sys
import threading
import time
from typing import Any

import typer
from typer.core import TyperGroup

from roadtwin import __version__
from roadtwin.errors import RoadtwinError

# Name on the command line → module with a Typer `app`. The order is the one of `--help`.
COMMANDS: dict[str, str] = {
    "demo": "roadtwin.cli.demo",
    "migrate": "roadtwin.cli.migrate",
    "ingest": "roadtwin.cli.ingest",
    "simulate": "roadtwin.cli.simulate",
    "record": "roadtwin.cli.record",
    "replay": "roadtwin.cli.replay",
    "reprocess": "roadtwin.cli.reprocess",
    "backfill": "roadtwin.cli.backfill",
    "import": "roadtwin.cli.importing",
    "state": "roadtwin.cli.state",
    "train": "roadtwin.cli.train",
    "model": "roadtwin.cli.model",
    "evaluate": "roadtwin.cli.evaluate",
    "backtest": "roadtwin.cli.backtest",
    "ceilings": "roadtwin.cli.ceilings",
    "score": "roadtwin.cli.score",
    "whatif": "roadtwin.cli.whatif",
    "serve": "roadtwin.cli.serve",
    "verify": "roadtwin.cli.verify",
    "status": "roadtwin.cli.status",
    "doctor": "roadtwin.cli.doctor",
    "key": "roadtwin.cli.key",
    "reference": "roadtwin.cli.reference",
}


class LazyGroup(TyperGroup):
    """Imports a sub-command's module when it is called: `roadtwin migrate` must not load scikit-learn."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        app: typer.Typer = importlib.import_module(COMMANDS[cmd_name]).app
        command = typer.main.get_command(app)
        command.name = cmd_name
        return command


app = typer.Typer(
    cls=LazyGroup,
    help="Live, honest road-condition intelligence: sensors and cameras in, calibrated pothole risk out.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
)


def _end_with(parent_pid: int) -> None:
    """Ask ourselves to end, as SIGTERM would, when our parent is gone: a killed demo leaves nothing running."""
    while os.getppid() == parent_pid:
        time.sleep(1)
    os.kill(os.getpid(), signal.SIGTERM)


@app.callback(invoke_without_command=True)
def root(
    version: bool = typer.Option(False, "--version", help="Print the version and exit."),
    with_parent: int | None = typer.Option(None, "--with-parent", hidden=True),
) -> None:
    """Live, honest road-condition intelligence: sensors and cameras in, calibrated pothole risk out."""
    if with_parent is not None:
        threading.Thread(target=_end_with, args=(with_parent,), name="parent watch", daemon=True).start()
    if version:
        typer.echo(f"roadtwin {__version__}")
        raise typer.Exit


def main() -> None:
    """Run the command; a deliberate error is one sentence on stderr and exit code 1."""
    try:
        app()
    except RoadtwinError as exc:
        typer.echo(f"roadtwin: {exc}", err=True)
        sys.exit(1)


if __name__ == "__main__":
    main()
