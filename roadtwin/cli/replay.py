"""`roadtwin replay`: recorded events through MQTT, waiting until they are committed."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ingest.mqtt import parse_mqtt_url
from roadtwin.cli.common import open_database, progress, settings_for_command
from roadtwin.errors import SettingsError
from roadtwin.jobs.replay import FORMATS, STALLED_AFTER_S, replay
from roadtwin.manifest import write_manifest

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin replay events.ndjson.gz --format chirpstack-v4 --manifest sent.json")
def main(
    file: Annotated[Path, typer.Argument(help="Recorded events, one JSON object a line; .gz is unpacked.")],
    event_format: Annotated[str, typer.Option("--format", help=f"One of {', '.join(FORMATS)}.")],
    manifest: Annotated[
        Path | None, typer.Option(help="Write what was published here, for `roadtwin verify`.", show_default=False)
    ] = None,
    rate: Annotated[
        float | None, typer.Option(min=0.1, help="Messages per second, at most.", show_default=False)
    ] = None,
    timeout: Annotated[float, typer.Option(min=1, help="Give up when nothing is committed for so many seconds.")] = (
        STALLED_AFTER_S
    ),
    mqtt_url: Annotated[
        str | None, typer.Option(help="MQTT broker; else ROADTWIN_MQTT_URL.", show_default=False)
    ] = None,
    database_url: Annotated[
        str | None, typer.Option(help="Database; else ROADTWIN_DATABASE_URL.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish recorded events at QoS 1 and wait until the ingester has committed them all.

    Topics are made from the fields. Events that the database has already are duplicates: replaying a file twice
    stores nothing twice.
    """
    settings = settings_for_command(mqtt_url=mqtt_url, database_url=database_url)
    if event_format not in FORMATS:
        raise SettingsError(f"--format: got {event_format!r}, expected one of {', '.join(FORMATS)}.")
    if settings.mqtt_url is None:
        raise SettingsError(
            "ROADTWIN_MQTT_URL: got nothing, expected the MQTT broker that `roadtwin ingest` listens to."
        )
    address = parse_mqtt_url(settings.mqtt_url.get_secret_value(), ca_file=settings.mqtt_ca_file)
    with open_database(settings) as url, progress(f"Replaying {file.name}") as on_progress:
        result = replay(file, address, url, rate_per_s=rate, stalled_after_s=timeout, on_progress=on_progress)
    if manifest is not None:
        write_manifest(manifest, result.manifest)
    if as_json:
        counts = {"published": result.published, "stored": result.stored}
        typer.echo(json.dumps(counts | {"duplicate": result.duplicate, "rejected": result.rejected}))
        return
    typer.echo(
        f"Published {result.published} messages: {result.stored} stored, {result.duplicate} duplicate, "
        f"{result.rejected} rejected."
    )
