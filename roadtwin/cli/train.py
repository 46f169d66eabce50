"""`roadtwin train`: a new model from everything recorded so far."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from roadtwin.cli.common import open_connection, progress, settings_for_command
from roadtwin.jobs.match import match_new
from roadtwin.jobs.train import train

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin train")
def main(
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
) -> None:
    """Train the risk model on the recorded history, test it on the last part of it, and make it the active one."""
    settings = settings_for_command(database_url=database_url)
    now = datetime.now(UTC)
    with open_connection(settings) as conn, progress("Training") as on_progress:
        match_new(conn, settings, now=now)
        conn.commit()
        run = train(conn, settings, now=now, on_progress=on_progress)
    _print_card(run.model_run_id, run.card)


def _print_card(model_run_id: int, card: dict[str, Any]) -> None:
    console = Console(width=None if sys.stdout.isatty() else 140)
    window = card["data_window"]
    console.print(
        f"Model run {model_run_id} on {card['data']} data, {window['from'][:10]} to {window['until'][:10]}: "
        f"{card['potholes']} potholes on {card['segments']} segments."
    )
    table = Table(title=f"Hold-out in time, {card['holdout']['first_test_cut']} to {card['holdout']['last_test_cut']}")
    for heading in ("horizon", "rows", "positive", "ROC-AUC", "PR-AUC", "Brier skill", "predicted/observed"):
        table.add_column(heading, justify="right")
    for horizon in card["holdout"]["horizons"]:
        skill = horizon["model"]
        names = ("rows", "positives", "roc_auc", "pr_auc", "brier_skill", "predicted_over_observed")
        table.add_row(f"{horizon['horizon_days']} d", *(cell(skill[name]) for name in names))
    console.print(table)
    if card["notice_en"]:
        console.print(card["notice_en"])


def cell(value: Any) -> str:
    """A figure for a table; a dash for what cannot be said."""
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
