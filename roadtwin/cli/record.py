"""`roadtwin record`: a live MQTT feed into a file, to be played again."""

import json
from pathlib import Path
from typing import Annotated

import typer

from ingest.mqtt import parse_mqtt_url
from ingest.recording import SUFFIX
from roadtwin.cli.common import settings_for_command
from roadtwin.cli.quantities import read_duration_s, read_size_bytes
from roadtwin.cli.running import status_line, stop_on_signals
from roadtwin.errors import SettingsError
from roadtwin.jobs.record import Recorded, RecordingLimits, record

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin record week.feed --duration 7d --rotate 1d")
def main(
    file: Annotated[Path, typer.Argument(help=f"Where to; ends in {SUFFIX}.", metavar="FILE.feed")],
    topic: Annotated[
        list[str] | None,
        typer.Option(help="Topic filter, once or several times; else those of the ingester.", show_default=False),
    ] = None,
    duration: Annotated[
        str | None, typer.Option(help="End so long after the first connection (90s, 15m, 2h, 7d).", show_default=False)
    ] = None,
    max_mb: Annotated[float | None, typer.Option(help="End with so many megabytes of files.", show_default=False)] = (
        None
    ),
    rotate: Annotated[
        str | None,
        typer.Option(
            help="Begin another file, FILE-000002.feed, after this long or with this size (1h, 500MB).",
            show_default=False,
        ),
    ] = None,
    append: Annotated[
        bool, typer.Option("--append", help="Go on with a file: also where a recorder was killed, without a gap.")
    ] = False,
    mqtt_url: Annotated[
        str | None, typer.Option(help="MQTT broker; else ROADTWIN_MQTT_URL.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Record what is published, with topic, arrival time, QoS and retain flag; runs until it is stopped.

    Subscribed is at QoS 1, and a message is acknowledged when it is on disk. On SIGTERM or Ctrl-C the subscription ends
    and what was published before is written. The broker keeps what comes while a killed recorder is away, for an hour.
    """
    settings = settings_for_command(mqtt_url=mqtt_url)
    if settings.mqtt_url is None:
        raise SettingsError("ROADTWIN_MQTT_URL: got nothing, expected the MQTT broker to record from.")
    if file.suffix != SUFFIX:
        raise SettingsError(f"FILE: got {file.name!r}, expected a name that ends in {SUFFIX}.")
    if max_mb is not None and not max_mb > 0:
        raise SettingsError(f"--max-mb: got {max_mb:g}, expected more than 0.")
    size = None if rotate is None else read_size_bytes(rotate)
    limits = RecordingLimits(
        duration_s=None if duration is None else read_duration_s("--duration", duration),
        max_bytes=None if max_mb is None else int(max_mb * 1e6),
        rotate_bytes=size,
        rotate_s=None if rotate is None or size is not None else read_duration_s("--rotate", rotate),
    )
    address = parse_mqtt_url(settings.mqtt_url.get_secret_value(), ca_file=settings.mqtt_ca_file)
    with stop_on_signals() as stop, status_line(f"Waiting for {address}") as say:
        result = record(
            file,
            address,
            topic or settings.mqtt_topics,
            stop=stop,
            limits=limits,
            append=append,
            keepalive_s=settings.mqtt_keepalive_s,
            on_ready=lambda: say(f"Recording from {address}"),
            on_progress=lambda so_far: say(_summary(so_far)),
        )
    if as_json:
        typer.echo(json.dumps(result.to_json()))
        return
    typer.echo(f"{_summary(result)} in {', '.join(map(str, result.files)) or 'no file'}.")
    if result.possible_gaps:
        typer.echo(f"The broker forgot our session {result.possible_gaps} times: messages may be missing.", err=True)


def _summary(so_far: Recorded) -> str:
    retained = f" ({so_far.retained:,} retained)" if so_far.retained else ""
    return (
        f"Recorded {so_far.messages:,} messages{retained} of {len(so_far.topics):,} topics, "
        f"{so_far.payload_bytes / 1e6:,.1f} MB of payload in {so_far.file_bytes / 1e6:,.1f} MB"
    )
