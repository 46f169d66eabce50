"""`roadtwin model`: the trained models, how they compared, and which of them is in use."""

import json
from dataclasses import asdict
from datetime import UTC, datetime
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.table import Table

from roadtwin.cli.common import WIDE, open_connection, progress, settings_for_command
from roadtwin.cli.train import cell, print_comparison, print_trained
from roadtwin.jobs.match import match_new
from roadtwin.jobs.monitor import monitor as run_monitor
from roadtwin.jobs.retrain import promote as promote_run
from roadtwin.jobs.retrain import retrain
from roadtwin.storage.model_runs import ComparisonRow, list_comparisons, list_model_runs, read_model_run
from roadtwin.storage.monitoring import MonitoringRow

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Trained models: list, show, compare a new one with the one in use, promote another, and monitor.",
    epilog="Example: roadtwin model list",
)

ACTOR = "cli"
RunArgument = Annotated[int, typer.Argument(help="Number of the model run, as in `roadtwin model list`.", min=1)]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]


@app.command("list", epilog="Example: roadtwin model list --json")
def list_(as_json: JsonOption = False) -> None:
    """List all trained models, newest first, with the skill of their hold-out at 28 days.

    Only skill of the same kind of hold-out compares: one in time alone shows more than one in space and time.
    """
    with open_connection(settings_for_command()) as conn:
        runs = list_model_runs(conn)
    if as_json:
        _print_json([{k: v for k, v in asdict(run).items() if k != "card"} for run in runs])
        return
    if not runs:
        typer.echo("There is no trained model yet: roadtwin train")
        return
    table = Table()
    for heading in (
        "run",
        "in use",
        "trained",
        "data until",
        "code",
        "hold-out",
        "ROC-AUC",
        "Brier skill",
        "pred./obs.",
        "",
    ):
        table.add_column(heading)
    for run in runs:
        skill = _skill_at(run.card, 28)
        table.add_row(
            str(run.model_run_id),
            "yes" if run.active else "",
            f"{run.trained_at:%Y-%m-%d %H:%M}",
            f"{run.data_until:%Y-%m-%d}",
            run.code_version or "not recorded",
            (run.card.get("holdout") or {}).get("kind", "none"),
            *(cell(skill.get(name)) for name in ("roc_auc", "brier_skill", "predicted_over_observed")),
            "cold start" if (run.card.get("learned") or {}).get("cold_start") else "",
        )
    Console(width=WIDE).print(table)


@app.command(epilog="Example: roadtwin model show 3")
def show(model_run_id: RunArgument, as_json: JsonOption = False) -> None:
    """Show a model: what it was made from, its hold-out, and the comparisons that it took part in."""
    with open_connection(settings_for_command()) as conn:
        run = read_model_run(conn, model_run_id)
        comparisons = list_comparisons(conn, model_run_id=model_run_id)
    if as_json:
        fields = {k: v for k, v in asdict(run).items() if k not in {"artefact", "artefact_sha256", "drift_reference"}}
        _print_json(
            fields
            | {"artefact_sha256": run.artefact_sha256.hex(), "artefact_bytes": len(run.artefact)}
            | {"comparisons": [asdict(row) for row in comparisons]}
        )
        return
    print_trained(run)
    typer.echo(f"In use          {'yes' if run.active else 'no'}")
    typer.echo(f"Code            {run.code_version or 'not recorded'}")
    typer.echo(f"Libraries       {', '.join(f'{name} {v}' for name, v in run.library_versions.items())}")
    typer.echo(f"SHA-256         {run.artefact_sha256.hex()} ({len(run.artefact):,} bytes)")
    for row in comparisons:
        _print_line(row)


@app.command(epilog='Example: roadtwin model promote 2 --reason "run 3 misses the new district"')
def promote(
    model_run_id: RunArgument,
    reason: Annotated[str, typer.Option(help="Why; kept in the audit log.")],
) -> None:
    """Bring a stored model into use: a challenger that was kept back, or an older one (rollback).

    The next scoring uses it. Scores that were made stay, with the model that made them.
    """
    with open_connection(settings_for_command()) as conn:
        run = promote_run(conn, model_run_id, now=datetime.now(UTC), actor=ACTOR, reason=reason)
    typer.echo(f"Model run {run.model_run_id} is in use; `roadtwin score` scores with it.")


@app.command(epilog="Example: roadtwin model compare")
def compare(
    history: Annotated[bool, typer.Option("--history", help="Only list the comparisons that were made.")] = False,
    as_json: JsonOption = False,
) -> None:
    """Train a challenger now, compare it with the model in use, and promote it if it is not worse.

    The same as the scheduled retraining. Both are tested on the newest windows, from which neither learned.
    """
    settings = settings_for_command()
    now = datetime.now(UTC)
    with open_connection(settings) as conn:
        if history:
            rows = list_comparisons(conn)
        else:
            with progress("Training and comparing") as on_progress:
                match_new(conn, settings, now=now)
                conn.commit()
                made = retrain(conn, settings, now=now, cause="command", on_progress=on_progress)
            rows = [made.comparison] if made.comparison else []
            if not rows:
                typer.echo(
                    f"Model run {made.run.model_run_id} is the first one and in use: there was nothing to compare."
                )
                return
    if as_json:
        _print_json([asdict(row) for row in rows])
        return
    if not rows:
        typer.echo("No comparison was made yet: roadtwin model compare")
    for row in rows:
        if history:
            _print_line(row)
        else:
            print_comparison(row)


@app.command(epilog="Example: roadtwin model monitor")
def monitor(as_json: JsonOption = False) -> None:
    """Look at the model in use now: what became of its scores, drift of its features, alarms; stores the result.

    The same as the daily monitoring of `roadtwin score --watch`. Exit code 2 when there is an alarm.
    """
    settings = settings_for_command()
    with open_connection(settings) as conn:
        row = run_monitor(conn, settings, now=datetime.now(UTC))
    if as_json:
        _print_json(asdict(row))
    else:
        for line in monitoring_lines(row):
            typer.echo(line)
    if row.alarms:
        raise typer.Exit(2)


def monitoring_lines(row: MonitoringRow) -> list[str]:
    """Settled scores by horizon, and alarms."""
    lines = []
    for h in row.figures["horizons"]:
        ratio = cell(h["predicted_over_observed"]) if h["judged"] else "too few to judge"
        skill = f", Brier skill against climatology {cell(h['brier_skill'])}" if h["judged"] else ""
        told = f"{h['predicted']:.0f} predicted, {h['observed']} observed in {h['score_sets']} sets of scores"
        lines.append(f"{h['horizon_days']:>3} d  {told}: {ratio}{skill}")
    if row.figures["features_not_compared"]:
        lines.append(f"Drift  {row.figures['features_not_compared']}")
    if not row.alarms:
        lines.append("No alarm.")
    return lines + [f"Alarm  {alarm['name']} {alarm['subject']}: {alarm['text_en']}" for alarm in row.alarms]


def _print_line(row: ComparisonRow) -> None:
    pair = f"champion run {row.champion_run_id}, challenger run {row.challenger_run_id} ({row.cause})"
    typer.echo(f"Comparison {row.model_comparison_id}    {row.compared_at:%Y-%m-%d %H:%M}, {pair}. {row.verdict_en}")


def _skill_at(card: dict[str, Any], horizon_days: int) -> dict[str, Any]:
    horizons = (card.get("holdout") or {}).get("horizons", [])
    return next((h["model"] for h in horizons if h["horizon_days"] == horizon_days), {})


def _print_json(value: object) -> None:
    typer.echo(json.dumps(value, default=_json_ready))


def _json_ready(value: object) -> str:
    if isinstance(value, datetime):
        return value.isoformat()
    raise TypeError(f"got {type(value).__name__}, expected a time")
