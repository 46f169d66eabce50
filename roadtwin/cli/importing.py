"""`roadtwin import`: road networks, records and devices from files."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import psycopg
import typer

from roadtwin.cli.common import open_connection, settings_for_command
from roadtwin.errors import InputFileError
from roadtwin.jobs.importing import import_devices_file, import_network_file, import_records_file, source_of
from roadtwin.network.geojson import ReadOptions
from roadtwin.records.schema import RECORD_KINDS
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city, write_city

app = typer.Typer(
    add_completion=False,
    no_args_is_help=True,
    help="Bring road networks, records and devices in from files.",
    epilog="Example: roadtwin import network streets.geojson --city Essen --source osm",
)

_SHOWN_REJECTIONS = 20

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
File = Annotated[Path, typer.Argument(metavar="FILE", show_default=False)]


@contextmanager
def _connection() -> Iterator[tuple[Settings, psycopg.Connection[Any]]]:
    settings = settings_for_command()
    with open_connection(settings, migrate=settings.database_url is None) as conn:
        yield settings, conn


@app.command(
    "network", epilog="Example: roadtwin import network streets.geojson.gz --city Essen --source osm --drivable"
)
def network(
    file: File,
    city: Annotated[str | None, typer.Option(help="Name of the city; needed once, with the first network.")] = None,
    source: Annotated[
        str | None, typer.Option(help="Short name of the register, part of every id; by default that of the file.")
    ] = None,
    id_column: Annotated[str | None, typer.Option(help="Column with the section's id.")] = None,
    name_column: Annotated[str | None, typer.Option(help="Column with the street's name.")] = None,
    class_column: Annotated[
        str | None, typer.Option(help="Column with the road class (main, collector, residential, other, or OSM's).")
    ] = None,
    district_column: Annotated[str | None, typer.Option(help="Column with the district.")] = None,
    crs: Annotated[
        str | None,
        typer.Option(help="Coordinate reference system, if the file does not state it rightly (EPSG:25832)."),
    ] = None,
    drivable: Annotated[
        bool, typer.Option("--drivable", help="Leave out OSM ways that no car of the city uses.")
    ] = False,
    segment_length_m: Annotated[int, typer.Option(min=10, max=1000, help="Length of a segment in metres.")] = 100,
    complete: Annotated[
        bool, typer.Option("--complete", help="The file is the whole register: sections that are not in it end.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Load a road network from GeoJSON and split it into segments. Loading it again changes nothing."""
    options = ReadOptions(
        source=source or source_of(file),
        id_column=id_column,
        name_column=name_column,
        class_column=class_column,
        district_column=district_column,
        crs=crs,
        drivable_only=drivable,
    )
    with _connection() as (settings, conn):
        _name_city(conn, settings, city)
        report, counts = import_network_file(
            conn,
            file,
            options,
            recorded_at=datetime.now(UTC),
            nominal_length_m=segment_length_m,
            close_missing=complete,
            zone=settings.timezone,
        )
    if as_json:
        typer.echo(json.dumps({"read": asdict(report), "network": asdict(counts)}))
        return
    typer.echo(
        f"{report.features} features in {report.crs}: {report.sections} sections, {counts.length_km:.1f} km"
        f" ({report.left_out} left out, {len(report.skipped)} skipped, {report.parts} from parts,"
        f" {report.renamed} with an id that was there already, {report.without_id} without id)."
    )
    typer.echo(
        f"Sections: {counts.added} added, {counts.changed} moved, {counts.updated} with other attributes,"
        f" {counts.unchanged} unchanged, {counts.closed} ended, {counts.missing - counts.closed} kept though not in the"
        f" file. Segments: {counts.segments_added} added, {counts.segments_closed} closed."
    )
    if report.implausible:
        typer.echo(f"{report.implausible} numbers of the register count as unknown: no road has them.")
    _show(report.skipped)


@app.command("devices", epilog="Example: roadtwin import devices devices.csv")
def devices(file: File, as_json: AsJson = False) -> None:
    """Register devices, where they are installed and whether models may use them, from CSV."""
    with _connection() as (_, conn):
        count, notes = import_devices_file(conn, file)
    typer.echo(json.dumps({"devices": count, "notes": notes}) if as_json else f"{count} rows registered.")
    if not as_json:
        _show(notes)


def _records_command(kind: str) -> Callable[..., None]:
    def command(
        file: File,
        reporting_lag_hours: Annotated[
            float | None,
            typer.Option(
                "--reporting-lag",
                metavar="HOURS",
                min=0,
                help="How many hours after the event it became known; needed where records do not state recorded_at.",
            ),
        ] = None,
        as_json: AsJson = False,
    ) -> None:
        lag = None if reporting_lag_hours is None else timedelta(hours=reporting_lag_hours)
        with _connection() as (settings, conn):
            counts = import_records_file(conn, kind, file, reporting_lag=lag, zone=settings.timezone)
        if as_json:
            typer.echo(json.dumps(asdict(counts) | {"rejected": counts.rejected}))
        else:
            typer.echo(
                f"{counts.received} records: {counts.stored} stored, {counts.duplicate} there already,"
                f" {counts.rejected} rejected."
            )
            _show(counts.notes)
            _show(counts.rejections)
        if counts.rejected and counts.rejected == counts.received:
            raise InputFileError(f"None of the {counts.received} records of {file.name} could be used.")

    command.__doc__ = f"Write records of the kind {kind} from a .jsonl or .csv file (also .gz), each once."
    return command


for _kind in RECORD_KINDS:
    app.command(_kind, epilog=f"Example: roadtwin import {_kind} {_kind}.jsonl --reporting-lag 24")(
        _records_command(_kind)
    )


def _name_city(conn: psycopg.Connection[Any], settings: Settings, name: str | None) -> None:
    present = read_city(conn)
    if present is None and name is None:
        raise InputFileError("This is the first network of the database: say which city it is with --city NAME.")
    if present is not None and present.simulated:
        raise InputFileError(f"This database holds the simulated city {present.name}; a real network needs its own.")
    if name is not None and (present is None or present.name != name):
        write_city(conn, name=name, timezone=settings.city_timezone, simulated=False)


def _show(sentences: tuple[str, ...]) -> None:
    for sentence in sentences[:_SHOWN_REJECTIONS]:
        typer.echo(f"  {sentence}")
    if len(sentences) > _SHOWN_REJECTIONS:
        typer.echo(f"  … and {len(sentences) - _SHOWN_REJECTIONS} more.")
