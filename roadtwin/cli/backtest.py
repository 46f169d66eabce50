"""`roadtwin backtest`: predict a window of a real city's event file from the days before it, and score that."""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from roadtwin.cli.common import WIDE, progress, settings_for_command
from roadtwin.cli.quantities import read_day
from roadtwin.cli.train import cell
from roadtwin.errors import InputFileError, SettingsError
from roadtwin.jobs.backtest import backtest, write_predictions
from roadtwin.jobs.event_files import FORMATS, EventColumns, read_daily_weather, read_events
from roadtwin.jobs.event_positions import StreetNetwork
from roadtwin.jobs.event_register import with_attributes
from roadtwin.jobs.scorings import LOG_NAME
from roadtwin.reporting.words import MISSING_MATPLOTLIB, can_draw, counted

app = typer.Typer(add_completion=False)

_COLUMNS = (
    "roc_auc",
    "pr_auc",
    "brier_skill",
    "predicted_over_observed",
    "calibration_slope",
    "events_on_worst_10_pct",
)


@app.command(
    epilog="Example: roadtwin backtest --events potholes.csv.gz --segment-column SEGMENT --date-column DATE "
    "--cut 2025-06-01 --horizon-days 365 --out predicted.csv"
)
def main(
    events: Annotated[Path, typer.Option(help="CSV file of events (.gz is unpacked).", show_default=False)],
    cut: Annotated[
        str, typer.Option(help="First day of the window; only days before it are used.", show_default=False)
    ],
    horizon_days: Annotated[int, typer.Option(help="Length of the window in days.", show_default=False)],
    out: Annotated[Path, typer.Option(help="Where the probabilities go: segment_id, probability.", show_default=False)],
    segment_column: Annotated[
        str | None, typer.Option(help="Column with the segment's id.", show_default=False)
    ] = None,
    date_column: Annotated[
        str | None, typer.Option(help="Column with the event's date or time.", show_default=False)
    ] = None,
    street_column: Annotated[
        str | None, typer.Option(help="Column with the street; its other segments tell something.", show_default=False)
    ] = None,
    case_column: Annotated[
        str | None, typer.Option(help="Column with a number of the case; it counts once.", show_default=False)
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help=f"One of {', '.join(FORMATS)} (addresses of service requests).")
    ] = "columns",
    segments: Annotated[
        Path | None,
        typer.Option(help="CSV file of a register: attributes of every segment.", show_default=False),
    ] = None,
    segments_column: Annotated[
        str | None,
        typer.Option(help="Its column with the segment's id; --segment-column if left out.", show_default=False),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(help="GeoJSON of streets: events are put to its segments by their positions.", show_default=False),
    ] = None,
    weather: Annotated[Path | None, typer.Option(help="CSV file of daily weather.", show_default=False)] = None,
    report: Annotated[
        Path | None,
        typer.Option(help="Write the whole report here: a page with plots as .html, else JSON.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print the report as one JSON object.")] = False,
) -> None:
    """Predict, for every segment with an event before a day, the probability of another one in the days after it.

    Learns from the days before the cut only. When the file holds the window, the prediction is scored beside the number
    of events so far and the city's mean, and the scoring is written to the log in ROADTWIN_DATA_DIR.
    """
    settings = settings_for_command()
    if file_format not in FORMATS:
        raise SettingsError(f"--format: got {file_format!r}, expected one of {', '.join(FORMATS)}.")
    columns = _columns(file_format, segment_column, date_column, street_column, case_column, placed=network is not None)
    for option, path in (("--out", out), ("--report", report)):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputFileError(f"{option}: got {str(path)!r}, but there is no such folder.")
    as_page = report is not None and report.suffix.lower() in (".html", ".htm")
    if as_page and not can_draw():
        raise SettingsError(MISSING_MATPLOTLIB)
    first_day = read_day("--cut", cut)
    streets = None if network is None else StreetNetwork(network)
    file = read_events(events, columns, settings.timezone, file_format=file_format, network=streets)
    if segments is not None:
        file = with_attributes(file, segments, segments_column or (columns.segment if columns else "") or "segment_id")
    daily = None
    if weather is not None:
        daily, notes = read_daily_weather(weather, settings.timezone)
        file = replace(file, notes=(*file.notes, *notes))
    with progress("Backtest") as on_progress:
        result = backtest(
            file, first_day, horizon_days, weather=daily, log=settings.data_dir / LOG_NAME, on_progress=on_progress
        )
    write_predictions(out, result.prediction)
    text = json.dumps(result.report, indent=2, ensure_ascii=False) + "\n"
    if report is not None and as_page:
        from roadtwin.jobs.pages.backtest import backtest_page  # only now: what does not draw needs no matplotlib

        report.write_text(backtest_page(result.report), "utf-8")
    elif report is not None:
        report.write_text(text, "utf-8")
    if as_json:
        typer.echo(text, nl=False)
        return
    _tell(result.report, out)


def _columns(
    file_format: str, segment: str | None, day: str | None, street: str | None, case: str | None, *, placed: bool
) -> EventColumns | None:
    if file_format != "columns":
        if any((segment, day, street, case)):
            raise SettingsError(f"--format {file_format} names its columns itself; got columns besides.")
        return None
    if day is None or (segment is None and not placed):
        raise SettingsError("--segment-column and --date-column are both needed: columns of the events' file.")
    return EventColumns(segment or "", day, street, case)


def _tell(report: dict[str, Any], out: Path) -> None:
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    events = report["events"]
    left_out = "".join(f", {count} {reason}" for reason, count in events["left_out"].items())
    console.print(
        f"{counted(events['used'], 'event')} of {counted(events['rows'], 'row')}{left_out}; "
        f"{events['first_day']} to {events['last_day']}."
    )
    for note in events["notes"]:
        console.print(f"Note: {note}.")
    console.print(
        f"{counted(report['segments'], 'segment')}, window {report['cut']} to {report['window_end']}, learned from "
        f"{counted(report['training_windows'], 'window')} before it. Weather: {report['weather']}. Probabilities: {out}"
    )
    scored = report["scored"]
    if scored is None:
        console.print(f"Not scored: {report['why_not_scored']}.")
        return
    happened, winters = counted(scored["segments_with_event"], "segment"), counted(scored["winters_tested"], "winter")
    table = Table(title=f"{happened} with an event, {winters}")
    table.add_column("forecast")
    for heading in ("ROC-AUC", "PR-AUC", "Brier skill", "pred./obs.", "slope", "events on worst 10 %"):
        table.add_column(heading, justify="right")
    for name, figures in scored["forecasts"].items():
        table.add_row(name.replace("_", " "), *(cell(figures[column]) for column in _COLUMNS))
    console.print(table)
    gain = scored["model_minus_count_so_far_roc_auc"]
    if gain["difference"] is not None:
        console.print(
            f"ROC-AUC against count so far: {gain['difference']:+.3f} (95 % interval over streets "
            f"{gain['low']:+.3f} to {gain['high']:+.3f})."
        )
    log = scored["log"]
    made = log["while_made"]
    if made is not None:
        console.print(
            f"While the method was made, this window was scored {counted(made['this_window'], 'time')}, windows of "
            f"this file {counted(made['this_file'], 'time')}; the rule for the level was changed "
            f"{counted(made['level_rule_changes'], 'time')} after windows of this file had been seen."
        )
    console.print(
        f"This window was scored {counted(log['this_window'], 'time')} on this machine, windows of this file "
        f"{counted(log['this_file'], 'time')} ({log['file']})."
    )
