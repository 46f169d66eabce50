"""`roadtwin ceilings`: the best that any forecast of new potholes can be in a simulated city, from its hidden truth."""

import csv
import json
import sys
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from rich.console import Console
from rich.table import Table

from roadtwin.cli.common import WIDE, progress
from roadtwin.cli.quantities import read_day
from roadtwin.errors import InputFileError
from simulators.ceilings.ceilings import DRAWS, HORIZONS_DAYS, Ceilings, ceilings_at
from simulators.ceilings.skill import skill_of
from simulators.truth.truth_files import read_world

app = typer.Typer(add_completion=False)

_COLUMNS = ("roc_auc", "pr_auc", "brier", "brier_skill", "log_score", "predicted_over_observed")
_HEADINGS = ("ROC-AUC", "PR-AUC", "Brier", "Brier skill", "log score", "pred./obs.")
_LABELS = {
    "oracle": "oracle (reported only)",
    "informed": "informed ceiling",
    "count_so_far": "count so far",
    "climatology": "climatology",
}


@app.command(epilog="Example: roadtwin ceilings simulated/ --cut 2024-01-15 --cut 2024-04-15 --out ceilings.csv")
def main(
    directory: Annotated[
        Path, typer.Argument(help="Folder that `roadtwin simulate --out` wrote with its truth.", show_default=False)
    ],
    cut: Annotated[
        list[str],
        typer.Option(
            help="Day on whose morning the forecast is made; may be given more than once.", show_default=False
        ),
    ],
    horizon: Annotated[
        list[int] | None,
        typer.Option(
            help=f"Days that are forecast, as often as wanted; {', '.join(map(str, HORIZONS_DAYS))} if left out.",
            show_default=False,
        ),
    ] = None,
    draws: Annotated[
        int, typer.Option(help="Continuations of the weather that the informed ceiling averages.")
    ] = DRAWS,
    weather_file: Annotated[
        Path | None,
        typer.Option(
            "--weather",
            help="Measured weather, if the city was simulated with some.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write the probabilities of all segments to this CSV file.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Rebuild a simulated city with its hidden truth and say how good a forecast of new potholes could be.

    Oracle knows the true hazard and the weather to come; informed knows all that could be known on the morning of the
    cut. Below them stand two simple forecasts from every hole so far. No figure is of a real city.
    """
    cuts = [read_day("--cut", text) for text in dict.fromkeys(cut)]
    if out is not None and not out.resolve().parent.is_dir():
        raise InputFileError(f"--out: got {str(out)!r}, but there is no such folder.")
    world = read_world(directory, weather_file)
    with progress("Ceilings") as on_progress:
        found = ceilings_at(world, cuts, horizon or HORIZONS_DAYS, draws, on_progress=on_progress)
    if out is not None:
        _write(out, found)
    if as_json:
        typer.echo(json.dumps([_summary(one) for one in found]))
        return
    console = Console(width=None if sys.stdout.isatty() else WIDE)
    for number in range(len(found[0].horizons_days)):
        console.print(_table(found, number))


def _write(path: Path, found: list[Ceilings]) -> None:
    names = list(found[0].forecasts())
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["cut", "horizon_days", "segment_id", *names, "new_holes"])
            for one in found:
                for number, days in enumerate(one.horizons_days):
                    columns = [one.forecasts()[name][:, number].round(6).tolist() for name in names]
                    rows = zip(one.segment_ids, *columns, one.observed[:, number].tolist(), strict=True)
                    writer.writerows([one.cut.isoformat(), days, *row] for row in rows)
    except OSError as exc:
        raise InputFileError(f"--out: {path} cannot be written: {exc.strerror}.") from None


def _summary(one: Ceilings) -> dict[str, Any]:
    return {
        "cut": one.cut.isoformat(),
        "horizons": [
            {
                "horizon_days": days,
                "segments": len(one.segment_ids),
                "positives": int((one.observed[:, number] > 0).sum()),
                "forecasts": {
                    name: {
                        column: value if np.isfinite(value) else None
                        for column, value in skill_of(values[:, number], one.observed[:, number] > 0).as_dict().items()
                    }
                    for name, values in one.forecasts().items()
                },
            }
            for number, days in enumerate(one.horizons_days)
        ],
    }


def _table(found: list[Ceilings], number: int) -> Table:
    days = found[0].horizons_days[number]
    table = Table(title=f"At least one new pothole within {days} days, by segment")
    for name in ("cut", "positive", "forecast"):
        table.add_column(name)
    for heading in _HEADINGS:
        table.add_column(heading, justify="right")
    for one in found:
        happened = one.observed[:, number] > 0
        for place, (name, values) in enumerate(one.forecasts().items()):
            skill = skill_of(values[:, number], happened).as_dict()
            figures = (f"{skill[column]:.3f}" if np.isfinite(skill[column]) else "–" for column in _COLUMNS)
            first = (one.cut.isoformat(), f"{happened.sum():,} of {len(happened):,}") if place == 0 else ("", "")
            table.add_row(*first, _LABELS[name], *figures)
        table.add_section()
    return table
