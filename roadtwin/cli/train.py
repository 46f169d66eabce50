"""`roadtwin train`: a new model from everything recorded so far."""

import sys
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from roadtwin.cli.common import WIDE, open_connection, progress, settings_for_command
from roadtwin.jobs.match import match_new
from roadtwin.jobs.retrain import promote, retrain
from roadtwin.storage.model_runs import ComparisonRow, ModelRun

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin train")
def main(
    activate: Annotated[
        bool,
        typer.Option("--activate", help="Bring it into use whatever the comparison with the present model says."),
    ] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
) -> None:
    """Train the risk model on the recorded history and test it on the last part of it.

    The first model is in use at once. A later one is compared with the model in use on the newest windows and takes
    over if it is not worse; see `roadtwin model`.
    """
    settings = settings_for_command(database_url=database_url)
    now = datetime.now(UTC)
    with open_connection(settings) as conn, progress("Training") as on_progress:
        match_new(conn, settings, now=now)
        conn.commit()
        made = retrain(conn, settings, now=now, cause="command", on_progress=on_progress)
        forced = activate and not made.run.active
        if forced:
            promote(conn, made.run.model_run_id, now=now, actor="cli", reason="roadtwin train --activate")
    print_trained(made.run)
    if made.comparison is not None:
        print_comparison(made.comparison)
    if forced:
        typer.echo(f"Model run {made.run.model_run_id} is in use all the same (--activate).")
    elif not made.run.active:
        typer.echo(f"Model run {made.run.model_run_id} is kept, not in use: roadtwin model promote --help")


def print_trained(run: ModelRun) -> None:
    """What a model was made from, and its hold-out."""
    console, card = _console(), run.card
    window = card["data_window"]
    console.print(
        f"Model run {run.model_run_id} on {card['data']} data, {window['from'][:10]} to {window['until'][:10]}: "
        f"{card['potholes']} potholes on {card['segments']} segments."
    )
    for holdout in filter(None, (card["holdout"], *card.get("holdouts_beside", ()))):
        table = Table(
            title=f"Hold-out: {holdout['kind']}, {holdout['first_test_cut']} to {holdout['last_test_cut']}",
            caption=holdout.get("what_en"),
        )
        for heading in ("horizon", "rows", "positive", "ROC-AUC", "PR-AUC", "Brier skill", "predicted/observed"):
            table.add_column(heading, justify="right")
        for horizon in holdout["horizons"]:
            skill = horizon["model"]
            names = ("rows", "positives", "roc_auc", "pr_auc", "brier_skill", "predicted_over_observed")
            table.add_row(f"{horizon['horizon_days']} d", *(cell(skill[name]) for name in names))
        console.print(table)
    for missing in card.get("holdouts_missing", ()):
        console.print(f"No {missing['kind']} hold-out: {missing['reason_en']}")
    if notice := card.get("learned", {}).get("notice_en"):
        console.print(notice)
    if card["notice_en"]:
        console.print(card["notice_en"])


def print_comparison(row: ComparisonRow) -> None:
    """Champion and challenger side by side, and the verdict."""
    console, figures = _console(), row.figures
    table = Table(
        title=f"Champion run {row.champion_run_id} and challenger run {row.challenger_run_id}"
        + (f", windows from {figures['test_from'][:10]} on" if "test_from" in figures else "")
    )
    headings = ("horizon", "positive", "Brier skill", "", "difference (90 %)", "ROC-AUC", "", "difference (90 %)")
    for heading in (*headings, "pred./obs.", ""):
        table.add_column(heading, justify="right")
    for h in figures["horizons"]:
        if not h["judged"]:
            table.add_row(f"{h['horizon_days']} d", cell(h["positives"]), *["–"] * 8)
            continue
        cells = []
        for name in ("brier_skill", "roc_auc"):
            cells += [cell(h[who][name]["value"]) for who in ("champion", "challenger")]
            difference = h["difference"][name]
            cells.append(" … ".join(cell(difference[end]) for end in ("low", "high")))
        cells += [cell(h[who]["predicted_over_observed"]["value"]) for who in ("champion", "challenger")]
        table.add_row(f"{h['horizon_days']} d", cell(h["positives"]), *cells)
    if figures["horizons"]:
        console.print(table)
    console.print(row.verdict_en)


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDE)


def cell(value: Any) -> str:
    """A figure for a table; a dash for what cannot be said."""
    return "–" if value is None else f"{value:.3f}" if isinstance(value, float) else f"{value:,}"
