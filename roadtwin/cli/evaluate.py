"""`roadtwin evaluate`: how good the model is, on four kinds of hold-out, beside simple baselines."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.evaluation import SPLIT_KINDS, SplitKind
from roadtwin.cli.common import WIDE, open_connection, progress, settings_for_command
from roadtwin.cli.train import cell
from roadtwin.errors import InputFileError, SettingsError
from roadtwin.jobs.evaluate import evaluate
from roadtwin.jobs.match import match_new

app = typer.Typer(add_completion=False)

_COLUMNS = ("roc_auc", "pr_auc", "brier_skill", "predicted_over_observed", "calibration_slope")


@app.command(epilog="Example: roadtwin evaluate --out evaluation.json")
def main(
    out: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("evaluation.json"),
    splits: Annotated[
        str, typer.Option(help="Kinds of hold-out, separated by commas: " + ", ".join(SPLIT_KINDS) + ".")
    ] = ",".join(SPLIT_KINDS),
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts of the city in the splits in space.")] = 3,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
) -> None:
    """Fit and test the model on the recorded history; nothing in the database changes but newly matched facts."""
    settings = settings_for_command(database_url=database_url)
    kinds = _kinds(splits)
    if not out.resolve().parent.is_dir():
        raise InputFileError(f"--out: got {str(out)!r}, but there is no such folder.")
    now = datetime.now(UTC)
    with open_connection(settings) as conn, progress("Evaluating") as on_progress:
        match_new(conn, settings, now=now)
        conn.commit()
        report = evaluate(conn, settings, now=now, kinds=kinds, folds=folds, on_progress=on_progress)
    out.write_text(json.dumps(report, indent=2, ensure_ascii=False) + "\n", "utf-8")
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    for horizon in range(len(report["splits"][0]["horizons"])):
        console.print(_table(report, horizon))
    console.print(f"Data: {report['data']}. The random split shows the leakage gap; it is no skill. Report: {out}")


def _kinds(text: str) -> list[SplitKind]:
    named = [part.strip() for part in text.split(",") if part.strip()]
    known: list[SplitKind] = [kind for kind in SPLIT_KINDS if kind in named]
    if not named or set(named) - set(SPLIT_KINDS):
        raise SettingsError(f"--splits: got {text!r}, expected some of {', '.join(SPLIT_KINDS)}.")
    return known


def _rows(split: dict[str, Any], horizon: int) -> Iterator[tuple[str, ...]]:
    result = split["horizons"][horizon]
    for name, skill in [("model", result["model"]), *result["baselines"].items()]:
        figures = (cell(skill[column]) for column in _COLUMNS)
        yield name, *figures, cell(skill["at_10_pct"]["lift"]), cell(skill["at_capacity"]["precision"])


def _table(report: dict[str, Any], horizon: int) -> Table:
    first = report["splits"][0]["horizons"][horizon]
    title = f"{first['horizon_days']} days: {first['model']['positives']:,} of {first['model']['rows']:,} positive"
    table = Table(title=title)
    table.add_column("split")
    table.add_column("forecast")
    capacity = f"precision at {report['crew_capacity']}"
    headings = ("ROC-AUC", "PR-AUC", "Brier skill", "pred./obs.", "slope", "lift at 10 %", capacity)
    for heading in headings:
        table.add_column(heading, justify="right")
    for split in report["splits"]:
        for number, row in enumerate(_rows(split, horizon)):
            table.add_row(split["kind"] if number == 0 else "", *row)
        table.add_section()
    return table
