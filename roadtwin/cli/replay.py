"""`roadtwin replay`: recordings through MQTT, with their own timing or another; or events of a file until committed."""

import json
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from ingest.mqtt import BrokerAddress, parse_mqtt_url
from ingest.pacing import Pacing
from ingest.recording import SUFFIX
from roadtwin.cli.common import open_database, progress, settings_for_command
from roadtwin.cli.quantities import read_instant
from roadtwin.cli.running import stop_on_signals
from roadtwin.errors import SettingsError
from roadtwin.jobs.replay import FORMATS, STALLED_AFTER_S, CommitWatch, replay
from roadtwin.jobs.replay_feed import FeedContents, FeedPart, FeedReplayed, look_into, replay_feed
from roadtwin.manifest import Manifest, read_manifest, write_manifest
from roadtwin.settings import Settings

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin replay week.feed --speed 60 --shift-to now --resume week.state.json")
def main(
    files: Annotated[
        list[Path],
        typer.Argument(help=f"Recordings ({SUFFIX}), merged by time; or one file of events.", metavar="FILE…"),
    ],
    event_format: Annotated[
        str | None,
        typer.Option("--format", help=f"For events, one a line: {', '.join(FORMATS)}.", show_default=False),
    ] = None,
    speed: Annotated[float, typer.Option(help="Seconds of the recording that pass in one second.")] = 1.0,
    as_fast_as_possible: Annotated[
        bool, typer.Option("--as-fast-as-possible", help="Publish as fast as the broker confirms.")
    ] = False,
    rate: Annotated[float | None, typer.Option(help="Messages per second, at most.", show_default=False)] = None,
    begin: Annotated[
        str | None, typer.Option("--from", help="Leave out what was recorded before (RFC 3339).", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option("--until", help="Leave out what was recorded from then on.", show_default=False)
    ] = None,
    shift_to: Annotated[
        str | None,
        typer.Option(
            help="Move all times, those in payloads too, so that the first message is of this time (RFC 3339, or now).",
            show_default=False,
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(help="Keep here how much is confirmed, and go on from there.", metavar="STATE.json"),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only tell what is in the recordings.")] = False,
    wait: Annotated[
        bool, typer.Option("--wait", help="Also wait until the ingester has committed everything.")
    ] = False,
    manifest: Annotated[
        Path | None, typer.Option(help="Write what was published here, for `roadtwin verify`.", show_default=False)
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
    """Publish recordings with topic, QoS and retain flag as they were recorded, and say what the broker confirmed.

    Times and ids of shifted messages are new, so that they are new to the database; without --shift-to, what it has
    already is a duplicate. Events (--format) get topics from their fields; they are published at QoS 1, no faster than
    the ingester commits them.
    """
    settings = settings_for_command(mqtt_url=mqtt_url, database_url=database_url)
    if event_format is not None:
        if speed != 1.0 or as_fast_as_possible or begin or until or shift_to or resume or dry_run:
            raise SettingsError("--format: got an option that is for recordings only; expected --rate at most.")
        _replay_events(settings, files, event_format, rate, timeout, manifest, as_json=as_json)
        return
    part = FeedPart(
        files,
        None if begin is None else read_instant("--from", begin),
        None if until is None else read_instant("--until", until),
        datetime.now(UTC) if shift_to == "now" else None if shift_to is None else read_instant("--shift-to", shift_to),
    )
    if dry_run:
        _tell_contents(look_into(part), as_json=as_json)
        return
    pacing = Pacing(None if as_fast_as_possible else speed, rate)
    address = _address(settings)

    def play(stop: threading.Event, on_progress: Callable[[float], None]) -> FeedReplayed:
        return replay_feed(
            part,
            address,
            pacing,
            stop=stop,
            resume=resume,
            keep_digests=manifest is not None,
            on_progress=on_progress,
        )

    with stop_on_signals() as stop, progress(f"Replaying {files[0].name}") as on_progress:
        if wait:
            with open_database(settings) as url, CommitWatch(url, timeout) as watch:
                result = play(stop, on_progress)
                counts = watch.wait_for(result.confirmed)
        else:
            result, counts = play(stop, on_progress), None
    if manifest is not None:
        _write_manifest(manifest, result)
    if as_json:
        typer.echo(json.dumps(result.to_json() | ({} if counts is None else counts)))
        return
    _tell(result)
    if counts is not None:
        typer.echo(f"{counts['stored']} stored, {counts['duplicate']} duplicate, {counts['rejected']} rejected.")


def _write_manifest(path: Path, result: FeedReplayed) -> None:
    """What was confirmed, by earlier runs that this one went on from too."""
    earlier = read_manifest(path).payload_sha256 if result.skipped and path.exists() else ()
    write_manifest(path, Manifest((*earlier, *result.digests)))
    if len(earlier) < result.skipped:  # a run that was killed wrote none
        typer.echo(
            f"{path} proves {len(earlier) + len(result.digests):,} messages: of the {result.skipped:,} that earlier "
            f"runs published it knows {len(earlier):,}.",
            err=True,
        )


def _address(settings: Settings) -> BrokerAddress:
    if settings.mqtt_url is None:
        raise SettingsError(
            "ROADTWIN_MQTT_URL: got nothing, expected the MQTT broker that `roadtwin ingest` listens to."
        )
    return parse_mqtt_url(settings.mqtt_url.get_secret_value(), ca_file=settings.mqtt_ca_file)


def _replay_events(
    settings: Settings,
    files: list[Path],
    event_format: str,
    rate: float | None,
    timeout_s: float,
    manifest: Path | None,
    *,
    as_json: bool,
) -> None:
    if event_format not in FORMATS:
        raise SettingsError(f"--format: got {event_format!r}, expected one of {', '.join(FORMATS)}.")
    if len(files) != 1:
        raise SettingsError(f"FILE: got {len(files)} files of events, expected one.")
    if rate is not None:
        Pacing(None, rate)
    address = _address(settings)
    with open_database(settings) as url, progress(f"Replaying {files[0].name}") as on_progress:
        result = replay(files[0], address, url, rate_per_s=rate, stalled_after_s=timeout_s, on_progress=on_progress)
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


def _tell(result: FeedReplayed) -> None:
    if result.skipped:
        typer.echo(f"{result.skipped:,} messages were confirmed by an earlier run.")
    qos0 = f", {result.without_confirmation:,} sent with QoS 0" if result.without_confirmation else ""
    end = "" if result.finished else " Stopped before the end."
    typer.echo(f"Published {result.published:,} messages, {result.confirmed:,} confirmed{qos0}.{end}")
    if result.unchanged:
        names = ", ".join(f"{count:,} {name}" for name, count in result.unchanged.most_common())
        typer.echo(f"Without a time that could be moved: {names}.")


def _tell_contents(contents: FeedContents, *, as_json: bool) -> None:
    told = contents.to_json()
    if as_json:
        typer.echo(json.dumps(told))
        return
    for file in contents.files:
        torn = "" if file["complete"] else f", not closed, {file['torn_bytes']} bytes at its end are lost"
        typer.echo(f"{file['path']}: {file['messages']:,} messages in {file['file_bytes']:,} bytes{torn}.")
    if contents.messages:
        typer.echo(
            f"{contents.messages:,} messages from {told['earliest']} to {told['latest']}, "
            f"{contents.payload_bytes:,} bytes of payload, {told['topics']:,} topics, {contents.retained:,} retained."
        )
    for name, count in contents.formats.most_common():
        typer.echo(f"  {name}: {count:,}")
    for name, count in contents.topics.most_common(5):
        typer.echo(f"  {name}: {count:,}")
