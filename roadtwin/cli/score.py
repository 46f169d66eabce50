"""`roadtwin score`: probabilities, ranks and reasons for every segment, once or for ever."""

import json
import signal
import threading
from contextlib import ExitStack
from datetime import UTC, datetime
from types import FrameType
from typing import Annotated

import typer

from roadtwin.cli.common import open_connection, open_database, settings_for_command
from roadtwin.jobs.refresh import refresh_and_score
from roadtwin.jobs.watch import watch
from roadtwin.settings import Settings

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin score --watch")
def main(
    watch_on: Annotated[
        bool,
        typer.Option(
            "--watch",
            help="Go on until stopped: every ROADTWIN_SCORE_INTERVAL_S seconds and at ROADTWIN_SCORE_DAILY_AT; "
            "monitor the model, and train challengers.",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
) -> None:
    """Match new facts, derive potholes, refresh the twin and score every segment with the active model."""
    settings = settings_for_command(database_url=database_url)
    if watch_on:
        _watch(settings)
        return
    with open_connection(settings) as conn:
        run = refresh_and_score(conn, settings, now=datetime.now(UTC))
    if as_json:
        result = {"as_of": run.as_of.isoformat(), "model_run_id": run.model_run_id, "segments": run.segment_count}
        typer.echo(json.dumps(result))
    else:
        typer.echo(f"Scored {run.segment_count} segments as of {run.as_of:%Y-%m-%d %H:%M:%S} UTC.")


def _watch(settings: Settings) -> None:
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    with ExitStack() as stack:
        if settings.database_url is not None:  # not opened here: a service waits for it as long as it takes
            url = settings.database_url.get_secret_value()
        else:
            url = stack.enter_context(open_database(settings))
        watch(url, settings, stop)
