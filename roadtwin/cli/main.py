"""The `roadtwin` command: one module a sub-command, loaded only when it is used."""

import importlib
import os
import signal
import sys
import threading
import time
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

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


# What `--help` says of each, the first sentence of the command's own help: to list them, none needs to be loaded.
SUMMARIES: dict[str, str] = {
    "demo": "Show everything on a simulated city: live sensors and cameras over MQTT, twin, risk model, API and map.",
    "migrate": "Bring the database schema to this version of Roadtwin. Running it again does nothing.",
    "ingest": "Take messages from the MQTT broker and store them; runs until it is stopped.",
    "simulate": "Publish the sensors and camera vehicles of a simulated city at QoS 1, or write a period of it to files.",  # noqa: E501
    "record": "Record what is published, with topic, arrival time, QoS and retain flag; runs until it is stopped.",
    "replay": "Publish recordings with topic, QoS and retain flag as they were recorded, and say what the broker confirmed.",  # noqa: E501
    "reprocess": "Decode kept messages again with today's profiles and codecs; without options, all messages of sensors.",  # noqa: E501
    "backfill": "Fetch uplinks from the storage integration of The Things Stack that may not have come by MQTT.",
    "import": "Bring road networks, records and devices in from files.",
    "state": "Bring what is derived up to now: matches, segment-days, potholes and the state of every segment.",
    "train": "Train the risk model on the recorded history and test it on the last part of it.",
    "model": "Trained models: list, show, compare a new one with the one in use, promote another, and monitor.",
    "evaluate": "Fit and test the model on the recorded history; nothing in the database changes but newly matched facts.",  # noqa: E501
    "backtest": "Predict, for every segment with an event before a day, the probability of another one in the days after it.",  # noqa: E501
    "ceilings": "Rebuild a simulated city with its hidden truth and say how good a forecast of new potholes could be.",
    "score": "Match new facts, derive potholes, refresh the twin and score every segment with the active model.",
    "whatif": "Probabilities now, after a weather scenario, and after weather and treatment; nothing is stored.",
    "serve": "Serve the API under /v1 and the map at /, until Ctrl-C.",
    "verify": "Prove that nothing was lost or stored twice: the accounts of all batches against the rows of the tables.",  # noqa: E501
    "status": "Show what the database holds, how fresh it is, and how devices, gateways and the ingester's workers are doing.",  # noqa: E501
    "doctor": "Probe broker, database and machine, and name each setting that can lose data, with its fix.",
    "key": "Create, list and revoke API keys.",
    "reference": "Write the reference pages that are made from the code: settings, metrics, quantities, commands, features.",  # noqa: E501
}


class LazyGroup(TyperGroup):
    """Imports a sub-command's module when it is called: `roadtwin migrate` must not load scikit-learn."""

    _listing = False

    def format_help(self, ctx: Any, formatter: Any) -> None:
        self._listing = True
        try:
            super().format_help(ctx, formatter)
        finally:
            self._listing = False

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        if self._listing:
            return TyperCommand(cmd_name, help=SUMMARIES[cmd_name])
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
