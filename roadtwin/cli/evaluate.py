"""`roadtwin evaluate`: how good the model is, on four kinds of hold-out, beside simple baselines and the truth."""

import json
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, time
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from models.evaluation import SPLIT_KINDS, SplitKind
from roadtwin.cli.common import WIDE, open_connection, open_database, progress, settings_for_command
from roadtwin.cli.quantities import read_day
from roadtwin.cli.train import cell
from roadtwin.errors import InputFileError, SettingsError
from roadtwin.jobs.evaluate import DRAWS, PARTS, Part, evaluate
from roadtwin.jobs.evaluate_truth import MOST_CUTS
from roadtwin.jobs.evaluate_worlds import draw_seeds, evaluate_worlds
from roadtwin.jobs.match import match_new
from roadtwin.reporting.words import MISSING_MATPLOTLIB, can_draw, counted
from roadtwin.settings import Settings
from simulators.scenario import read_scenario

app = typer.Typer(add_completion=False)

_COLUMNS = ("roc_auc", "pr_auc", "brier_skill", "predicted_over_observed", "calibration_slope")
_HEADINGS = ("ROC-AUC", "PR-AUC", "Brier skill", "pred./obs.", "slope")
_WORLD_OPTIONS = ("seed", "km", "winters", "until", "scenario", "require_gates")
FULL_KM = 120.0


@app.command(epilog="Example: roadtwin evaluate --out evaluation.json --page evaluation.html")
def main(
    context: typer.Context,
    out: Annotated[Path, typer.Option(help="Where the JSON report goes.")] = Path("evaluation.json"),
    page: Annotated[Path, typer.Option(help="Where the HTML page with plots goes.")] = Path("evaluation.html"),
    no_page: Annotated[bool, typer.Option("--no-page", help="No page, which needs no matplotlib.")] = False,
    splits: Annotated[
        str, typer.Option(help="Kinds of hold-out, separated by commas: " + ", ".join(SPLIT_KINDS) + ".")
    ] = ",".join(SPLIT_KINDS),
    parts: Annotated[
        str,
        typer.Option(
            help="What is wanted besides, separated by commas, or none: ablation; leaks (checks that nothing knows its "
            "future); truth (of a simulated city).",
        ),
    ] = ",".join(PARTS),
    folds: Annotated[int, typer.Option(min=2, max=20, help="Parts of the city in the splits in space.")] = 3,
    draws: Annotated[int, typer.Option(min=20, max=10_000, help="Resamples of the blocks for the intervals.")] = DRAWS,
    truth_cuts: Annotated[
        int,
        typer.Option(min=2, max=1000, help="Of a simulated city: at most so many test cuts are held beside the truth."),
    ] = MOST_CUTS,
    worlds: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=100,
            help="Make so many simulated cities, each in a database of its own that is dropped afterwards, and check "
            "the gates on their mean.",
            show_default=False,
        ),
    ] = None,
    seed: Annotated[
        int | None,
        typer.Option(min=0, help="With --worlds: seed of the first, one more each; drawn anew if left out.",
                     show_default=False),
    ] = None,
    km: Annotated[float, typer.Option(min=5, max=2000, help="With --worlds: length of the streets in km.")] = FULL_KM,
    winters: Annotated[int, typer.Option(min=3, max=12, help="With --worlds: complete winters of history.")] = 4,
    scenario: Annotated[str, typer.Option(help="With --worlds: scenario or .toml file of all of them.")] = "ordinary",
    until: Annotated[
        str | None,
        typer.Option(help="With --worlds: day on whose morning the history ends; now if left out.",
                     show_default=False),
    ] = None,
    require_gates: Annotated[
        bool, typer.Option("--require-gates", help="With --worlds: exit with 1 if a gate on true labels is missed.")
    ] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
) -> None:  # fmt: skip
    """Fit and test the model on the recorded history; nothing in the database changes but newly matched facts.

    Writes a report as JSON and as one HTML page with plots: four hold-outs side by side, baselines, calibration,
    intervals, what each kind of records is worth, leak checks; of a simulated city also the best that could be known.
    With --worlds it makes simulated cities instead, and says which gates the model keeps.
    """
    settings = settings_for_command(database_url=database_url)
    kinds, wanted = _kinds(splits), _parts(parts)
    _check(out, None if no_page else page)
    if worlds is None:
        given = [n for n in _WORLD_OPTIONS if context.get_parameter_source(n).name == "COMMANDLINE"]  # type: ignore[union-attr]
        if given:
            raise SettingsError(f"--{given[0].replace('_', '-')} is for --worlds, which was not given.")
        _evaluate_city(settings, out, None if no_page else page, kinds, wanted, folds, draws, truth_cuts)
        return
    special = read_scenario(scenario)
    seeds = draw_seeds(worlds) if seed is None else [seed + number for number in range(worlds)]
    end = (
        datetime.now(UTC) if until is None else datetime.combine(read_day("--until", until), time(), settings.timezone)
    )
    ends = f"{end.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    typer.echo(f"Seeds: {', '.join(map(str, seeds))}; {km:g} km, {winters} winters, until {ends}.")
    with open_database(settings, check=False) as url, progress("Worlds") as on_progress:
        report = evaluate_worlds(
            url, settings, seeds=seeds, length_km=km, winters=winters, until=end, scenario=special, draws=draws,
            most_truth_cuts=truth_cuts, on_progress=on_progress,
        )  # fmt: skip
    _write(out, report)
    if not no_page:
        from roadtwin.jobs.pages.worlds import worlds_page  # only now: what does not draw needs no matplotlib

        _write_text(page, worlds_page(report))
    _tell_worlds(report, out, None if no_page else page)
    if require_gates and not report["passed"]["true"]:
        raise typer.Exit(1)


def _evaluate_city(
    settings: Settings,
    out: Path,
    page: Path | None,
    kinds: list[SplitKind],
    parts: list[Part],
    folds: int,
    draws: int,
    truth_cuts: int,
) -> None:
    now = datetime.now(UTC)
    with open_connection(settings) as conn, progress("Evaluating") as on_progress:
        match_new(conn, settings, now=now)
        conn.commit()
        found = evaluate(
            conn, settings, now=now, kinds=kinds, parts=parts, folds=folds, draws=draws, most_truth_cuts=truth_cuts,
            on_progress=on_progress,
        )  # fmt: skip
    _write(out, found.report)
    if page is not None:
        from roadtwin.jobs.pages.evaluation import evaluation_page  # only now: what does not draw needs no matplotlib

        _write_text(page, evaluation_page(found))
    _tell_city(found.report, out, page)


def _kinds(text: str) -> list[SplitKind]:
    named = [part.strip() for part in text.split(",") if part.strip()]
    known: list[SplitKind] = [kind for kind in SPLIT_KINDS if kind in named]
    if not named or set(named) - set(SPLIT_KINDS):
        raise SettingsError(f"--splits: got {text!r}, expected some of {', '.join(SPLIT_KINDS)}.")
    return known


def _parts(text: str) -> list[Part]:
    named = [] if text.strip() == "none" else [part.strip() for part in text.split(",") if part.strip()]
    known: list[Part] = [part for part in PARTS if part in named]
    if set(named) - set(PARTS):
        raise SettingsError(f"--parts: got {text!r}, expected some of {', '.join(PARTS)}, or none.")
    return known


def _check(out: Path, page: Path | None) -> None:
    """Before anything long begins."""
    if page is not None and not can_draw():
        raise SettingsError(f"{MISSING_MATPLOTLIB} Or leave the page out with --no-page.")
    for option, path in (("--out", out), ("--page", page)):
        if path is not None and not path.resolve().parent.is_dir():
            raise InputFileError(f"{option}: got {str(path)!r}, but there is no such folder.")


def _write(path: Path, report: dict[str, Any]) -> None:
    _write_text(path, json.dumps(report, indent=1, ensure_ascii=False) + "\n")


def _write_text(path: Path, text: str) -> None:
    try:
        path.write_text(text, "utf-8")
    except OSError as exc:
        raise InputFileError(f"{path}: cannot be written: {exc.strerror}.") from None


def _console() -> Console:
    return Console(width=None if sys.stdout.isatty() else WIDE)


def _files(out: Path, page: Path | None) -> str:
    return f"Report: {out}" + (f", {page}" if page is not None else "")


def _tell_city(report: dict[str, Any], out: Path, page: Path | None) -> None:
    console = _console()
    for horizon in range(len(report["splits"][0]["horizons"])):
        console.print(_table(report, horizon))
    for missing in report["splits_missing"]:
        console.print(f"No {missing['kind']} split: {missing['reason_en']}")
    if report["splits_missing"]:
        console.print(f"The {report['headline']} split speaks for the model in its place.")
    console.print(data_sentence(report))
    if "leaks" in report:
        console.print(_leaks(report["leaks"]), soft_wrap=True)
    if "truth" in report:
        gates = [gate for gate in report["truth"]["gates"] if gate["labels"] == "true"]
        console.print(_gate_table(gates, "This one city beside its truth"))
    console.print(_files(out, page))


def data_sentence(report: dict[str, Any]) -> str:
    """What the figures of a city's report rest on.

    Examples
    --------
    >>> data_sentence({"data": "recorded", "winters": {"recorded": 1, "tested": 1}})[:44]
    'Data: recorded, 1 winter recorded, 1 tested.'
    """
    winters = report["winters"]
    return (
        f"Data: {report['data']}, {counted(winters['recorded'], 'winter')} recorded, {winters['tested']} tested. "
        "The random split shows the leakage gap; it is no skill."
    )


def _leaks(leaks: dict[str, Any]) -> str:
    """What the leak checks say together, and what they cannot see."""
    told = {True: "passed", False: "FAILED", None: "nothing to check in some of them; the report says which"}
    names = ", ".join(leaks["future_in_features"]["not_checked"])
    unseen = f" Not checked before all segments were imported: what the register says ({names})." if names else ""
    return f"Leak checks: {told[leaks['passed']]}.{unseen}"


def _tell_worlds(report: dict[str, Any], out: Path, page: Path | None) -> None:
    console = _console()
    for labels in report["passed"]:
        title = f"Gates on {labels} labels, mean of {len(report['seeds'])} worlds"
        console.print(_gate_table([gate for gate in report["gates"] if gate["labels"] == labels], title))
    kept = [gate["passed"] for gate in report["gates"] if gate["labels"] == "true"]
    console.print(f"{sum(kept)} of {len(kept)} gates on true labels are kept. {_files(out, page)}")


def _rows(split: dict[str, Any], horizon: int) -> Iterator[tuple[str, ...]]:
    for name, skill in split["horizons"][horizon]["forecasts"].items():
        figures = (cell(skill[column]) for column in _COLUMNS)
        yield name, *figures, cell(skill["at_10_pct"]["lift"]), cell(skill["at_capacity"]["precision"])


def _table(report: dict[str, Any], horizon: int) -> Table:
    first = report["splits"][0]["horizons"][horizon]
    model = first["forecasts"]["model"]
    table = Table(title=f"{first['horizon_days']} days: {model['positives']:,} of {model['rows']:,} positive")
    table.add_column("split")
    table.add_column("forecast")
    for heading in (*_HEADINGS, "lift at 10 %", f"precision at {report['crew_capacity']}"):
        table.add_column(heading, justify="right")
    for split in report["splits"]:
        for number, row in enumerate(_rows(split, horizon)):
            table.add_row(split["kind"] if number == 0 else "", *row)
        table.add_section()
    return table


def _gate_table(gates: list[dict[str, Any]], title: str) -> Table:
    table = Table(title=title)
    table.add_column("days", justify="right")
    table.add_column("gate")
    for heading in ("model", "wanted", "informed ceiling", "kept"):
        table.add_column(heading, justify="right")
    for number, gate in enumerate(gates):
        if number and gate["horizon_days"] != gates[number - 1]["horizon_days"]:
            table.add_section()
        of = f" ({gate['of'].replace('_', ' ')})" if gate["of"] else ""
        low, high = (cell(gate[end]) if gate[end] is not None else "" for end in ("low", "high"))
        wanted = f"{low} to {high}" if low and high else f"at least {low}" if low else f"at most {high}"
        table.add_row(
            str(gate["horizon_days"]),
            gate["name"].replace("_", " ") + of,
            cell(gate["value"]),
            wanted,
            cell(gate["ceiling"]) + ("" if gate["ceiling_passed"] else " (NO)"),
            "yes" if gate["passed"] else "NO",
        )
    return table
