"""`roadtwin state`: match new facts, derive potholes and refresh the twin state; or tell the state at another time."""

import json
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import numpy as np
import psycopg
import typer
from rich.console import Console
from rich.table import Table

from roadtwin.cli.common import WIDE, open_connection, settings_for_command
from roadtwin.cli.quantities import read_instant
from roadtwin.errors import SegmentNotFoundError, SettingsError
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.match import match_new
from roadtwin.jobs.state import refresh_state
from roadtwin.settings import Settings
from roadtwin.twin.compute import check_sensors, read_network, state_of, states_at
from roadtwin.twin.parameters import Parameters, read_parameters
from roadtwin.twin.setting import Setting
from roadtwin.units import QUANTITIES, TWIN_QUANTITIES

app = typer.Typer(add_completion=False)

MOST_HOURS = 168


@app.command(epilog="Example: roadtwin state --at 2026-01-31T06:00:00+01:00 --segment sim:12:0-100 --hours 24")
def main(
    at: Annotated[
        str | None,
        typer.Option(help="Tell the state as it was known then (RFC 3339), and write nothing.", show_default=False),
    ] = None,
    segment: Annotated[
        str | None, typer.Option(help="With --at: public id of one segment; else the city's.", show_default=False)
    ] = None,
    hours: Annotated[
        int, typer.Option(help="With --segment: every hour of so many before that time, too.", min=0, max=MOST_HOURS)
    ] = 0,
    sensors: Annotated[
        bool,
        typer.Option("--check-sensors", help="Leave each sensor out and tell how well the others predict it."),
    ] = False,
    anew: Annotated[
        bool, typer.Option("--anew", help="Derive potholes from all evidence, not only where something changed.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Bring what is derived up to now: matches, segment-days, potholes and the state of every segment.

    With --at or --check-sensors nothing is written.
    """
    if at is None and (segment is not None or hours):
        raise SettingsError("--segment and --hours need --at: the time as of which the state is asked.")
    if hours and segment is None:
        raise SettingsError("--hours needs --segment: hourly states are told of one segment.")
    if anew and (at is not None or sensors):
        raise SettingsError(
            "--anew derives potholes: it does not go with --at or --check-sensors, which write nothing."
        )
    when = datetime.now(UTC) if at is None else read_instant("--at", at)
    if when > datetime.now(UTC):
        raise SettingsError(f"--at: got {at}, expected a time that has passed.")
    settings = settings_for_command()
    with open_connection(settings) as conn:
        if sensors:
            _tell_sensors(conn, settings, when, as_json)
        elif at is None:
            _refresh(conn, settings, when, as_json, anew=anew)
        elif segment is None:
            _tell_city(conn, settings, when, as_json)
        else:
            _tell_segment(conn, settings, segment, when, hours, as_json)


def _refresh(conn: psycopg.Connection[Any], settings: Settings, now: datetime, as_json: bool, *, anew: bool) -> None:
    # Each commits by itself: what is done stays done when a later part fails.
    matched = match_new(conn, settings, now=now)
    conn.commit()
    potholes = derive_potholes(conn, now=now, anew=anew)
    conn.commit()
    state = refresh_state(conn, settings, now=now)
    if as_json:
        parts = {"match": asdict(matched), "potholes": asdict(potholes), "state": asdict(state)}
        typer.echo(json.dumps(parts, default=str))
        return
    typer.echo(
        f"Matched {matched.readings} readings ({matched.readings_outside} outside the network) and {matched.records}"
        f" records ({matched.records_outside} without a place); {matched.segment_days} segment-days."
    )
    typer.echo(f"Potholes: {potholes.open} open, {potholes.closed} closed, {potholes.candidates} unconfirmed.")
    typer.echo(
        f"State of {state.segments} segments as of {state.as_of:%Y-%m-%d %H:%M} UTC, {state.graded} with a grade."
    )


def _tell_segment(
    conn: psycopg.Connection[Any], settings: Settings, public_id: str, at: datetime, hours: int, as_json: bool
) -> None:
    ids = {segment.public_id: segment.segment_id for segment in read_network(conn, now=at).segments}
    if public_id not in ids:
        raise SegmentNotFoundError(f"There is no valid road segment with the id {public_id!r}.")
    times = [at - timedelta(hours=back) for back in range(hours, -1, -1)]
    states = states_at(conn, ids[public_id], times, zone=settings.timezone)
    if as_json:
        told = [{"as_of": one.as_of.isoformat(), "state": one.state} for one in states]
        typer.echo(json.dumps({"segment_id": public_id, "states": told}))
        return
    for one in states:
        table = Table("quantity", "value", "sd", "count", "newest", "source", title=f"{one.as_of:%Y-%m-%d %H:%M} UTC")
        for name, entry in sorted(one.state.items()):
            newest = "–" if entry["newest_at"] is None else entry["newest_at"][:16].replace("T", " ")
            values = (_number(entry[key]) for key in ("value", "sd"))
            table.add_row(name, *values, str(entry["count"]), newest, entry["source"])
        _print(table)


def _tell_city(conn: psycopg.Connection[Any], settings: Settings, at: datetime, as_json: bool) -> None:
    network = read_network(conn, now=at)
    if not network.segments:
        typer.echo(json.dumps({"as_of": at.isoformat(), "quantities": {}}) if as_json else "There are no segments yet.")
        return
    parameters = read_parameters(conn, now=at)
    quantities = state_of(Setting(conn, network, network, settings.timezone, at, parameters))
    told: dict[str, dict[str, Any]] = {}
    for name, q in sorted(quantities.items()):
        known = q.value[np.isfinite(q.value)]
        low, middle, high = np.percentile(known, [5, 50, 95]).tolist() if known.size else [None] * 3
        told[name] = {
            "segments": int(known.size), "p05": low, "median": middle, "p95": high,
            "sources": dict(Counter(q.source).most_common()),
        }  # fmt: skip
    if as_json:
        typer.echo(json.dumps({"as_of": at.isoformat(), "quantities": told}))
        return
    title = f"{len(network.segments)} segments, {at:%Y-%m-%d %H:%M} UTC"
    table = Table("quantity", "unit", "segments", "5 %", "median", "95 %", "sources", title=title)
    for name, row in told.items():
        sources = ", ".join(f"{source} {count}" for source, count in row["sources"].items())
        spread = (_number(row[key]) for key in ("p05", "median", "p95"))
        table.add_row(name, _unit(name), str(row["segments"]), *spread, sources)
    _print(table)


def _tell_sensors(conn: psycopg.Connection[Any], settings: Settings, at: datetime, as_json: bool) -> None:
    network = read_network(conn, now=at)
    parameters = Parameters() if not network.segments else check_sensors(conn, network, zone=settings.timezone, now=at)
    if as_json:
        told = {
            name: {"field": asdict(field), "fitted": name in parameters.fitted}
            | {"skill": asdict(parameters.sensor_skill[name]) if name in parameters.sensor_skill else None}
            for name, field in parameters.fields.items()
        }
        typer.echo(json.dumps({"as_of": at.isoformat(), "quantities": told}))
        return
    heads = ("quantity", "values", "MAE", "RMSE", "weather MAE", "weather RMSE", "in 90 % interval", "parameters")
    table = Table(*heads, title=f"Each sensor predicted from the others, two days up to {at:%Y-%m-%d %H:%M} UTC")
    for row in _sensor_rows(parameters):
        table.add_row(*row)
    _print(table)


def _sensor_rows(parameters: Parameters) -> Iterator[tuple[str, ...]]:
    for name, field in parameters.fields.items():
        how = "fitted" if name in parameters.fitted else "assumed"
        learnt = f"{how}: spread {field.spread:.2g}, noise {field.noise:.2g} {_unit(name)}, range {field.range_m:.0f} m"
        skill = parameters.sensor_skill.get(name)
        if skill is None:
            yield (name, "0", *["–"] * 5, learnt)
            continue
        errors = (skill.mae, skill.rmse, skill.weather_mae, skill.weather_rmse)
        yield name, str(skill.values), *(f"{error:.2f}" for error in errors), f"{skill.coverage_90:.0%}", learnt


def _unit(name: str) -> str:
    known = QUANTITIES.get(name) or TWIN_QUANTITIES.get(name)
    return known.unit if known else ""


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.4g}"


def _print(table: Table) -> None:
    Console(width=None if sys.stdout.isatty() else WIDE).print(table)
