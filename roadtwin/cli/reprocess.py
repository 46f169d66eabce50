"""`roadtwin reprocess`: kept messages through today's profiles and codecs."""

import json
from datetime import UTC, datetime
from typing import Annotated

import psycopg
import typer

from ingest.decode import open_decoder
from ingest.formats import chirpstack_v3
from ingest.formats.examples import ABOUTS
from ingest.profile import load_profiles
from ingest.reprocess import HIGHEST_VERSION, ReprocessCounts, Reprocessing
from ingest.times import parse_time
from roadtwin.cli.common import open_connection, progress, settings_for_command
from roadtwin.errors import ReprocessError
from roadtwin.settings import Settings
from roadtwin.storage.devices import read_registered_profiles
from roadtwin.storage.reprocess import RejectedSelection, Selection, check_device_id, find_device

app = typer.Typer(add_completion=False)


@app.command(epilog="Example: roadtwin reprocess --profile water-level --since 2026-03-01T00:00:00Z --dry-run")
def main(
    device: Annotated[
        str | None,
        typer.Option(help="Of one device: its id, its EUI, or network_source/application/device.", show_default=False),
    ] = None,
    device_id: Annotated[
        int | None, typer.Option(min=1, help="Of one device, by its number in this database.", show_default=False)
    ] = None,
    profile: Annotated[
        str | None,
        typer.Option(help="Measured by this sensor profile, or of devices that have it now.", show_default=False),
    ] = None,
    message_format: Annotated[
        str | None, typer.Option("--format", help="Of one format, such as chirpstack-v4-json.", show_default=False)
    ] = None,
    since: Annotated[
        str | None, typer.Option(help="Observed from this time on (RFC 3339 with offset).", show_default=False)
    ] = None,
    until: Annotated[
        str | None, typer.Option(help="Observed before this time (RFC 3339 with offset).", show_default=False)
    ] = None,
    rejected: Annotated[
        bool, typer.Option("--rejected", help="Rejected messages instead, by the time they were first seen.")
    ] = False,
    code: Annotated[
        str | None, typer.Option(help="With --rejected: of one reason, such as unknown_topic.", show_default=False)
    ] = None,
    as_version: Annotated[
        int | None,
        typer.Option(
            min=1, max=HIGHEST_VERSION, help="Write under this version instead of the profile's.", show_default=False
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would change; change nothing.")] = False,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Decode kept messages again with today's profiles and codecs; without options, all messages of sensors.

    What was stored is never deleted: new values are in force from now on, under the higher version of their profile.
    Run twice, the second run stores nothing. Exit code 1, after everything else is done, when a profile was changed
    without a higher version; its messages stay as they were.
    """
    settings = settings_for_command(database_url=database_url)
    window = (_instant("--since", since), _instant("--until", until))
    if rejected and (device or device_id or profile or message_format):
        raise ReprocessError("--rejected: of a rejected message only its reason (--code) and time can be selected.")
    if code and not rejected:
        raise ReprocessError("--code: expected --rejected with it.")
    if device and device_id:
        raise ReprocessError("Got --device and --device-id, expected one of them.")
    if window[0] and window[1] and window[0] >= window[1]:
        raise ReprocessError(f"--until: got {until!r}, expected a time after --since {since!r}.")
    if message_format is not None:
        _check_format(message_format)
    names = _profile_names(settings, profile) if profile else None
    with open_connection(settings) as conn:
        run = Reprocessing(
            conn,
            open_decoder(settings, read_registered_profiles(conn)),
            lambda: datetime.now(UTC),
            as_version=as_version,
            dry_run=dry_run,
        )
        device_ids = _device_ids(conn, device, device_id)
        conn.rollback()
        with progress("Reprocessing rejected messages" if rejected else "Reprocessing messages") as on_progress:
            if rejected:
                counts = run.rejected(RejectedSelection(code, *window), on_progress=on_progress)
            else:
                counts = run.kept(Selection(device_ids, names, message_format, *window), on_progress=on_progress)
    typer.echo(json.dumps(counts.as_json() | {"dry_run": dry_run}) if as_json else _as_text(counts, dry_run=dry_run))
    if counts.refusals:
        raise ReprocessError(" ".join(map(str, counts.refusals)))


def _instant(option: str, text: str | None) -> datetime | None:
    if text is None:
        return None
    at = parse_time(text)
    if at is None:
        raise ReprocessError(f"{option}: got {text!r}, expected RFC 3339 with offset, such as 2026-03-01T00:00:00Z.")
    return at


def _check_format(name: str) -> None:
    known = sorted([about.name for about in ABOUTS] + [chirpstack_v3.FORMAT_PROTOBUF])
    if name not in known:
        raise ReprocessError(f"--format: got {name!r}, expected one of {', '.join(known)}.")


def _profile_names(settings: Settings, name: str) -> tuple[str, ...]:
    """Every name of a profile."""
    library = load_profiles(settings.device_profiles_dir)
    found = library.find(name)
    if found is None:
        raise ReprocessError(f"--profile: got {name!r}, expected one of {', '.join(library.names())}.")
    return (found.name, *found.aliases)


def _device_ids(
    conn: psycopg.Connection[tuple[object, ...]], name: str | None, number: int | None
) -> tuple[int, ...] | None:
    if name is not None:
        return (find_device(conn, name),)
    return None if number is None else (check_device_id(conn, number),)


def _as_text(counts: ReprocessCounts, *, dry_run: bool) -> str:
    c = counts
    lines = ["Nothing was changed: this is what a run would do."] if dry_run else []
    if c.rejected:
        lines.append(
            f"Rejected messages: {c.rejected} tried again = {c.accepted} stored + {c.known} stored meanwhile"
            f" + {c.rejected_again} still rejected + {c.not_whole} not kept whole"
            f" + {c.vehicle_readings} vehicle readings, which are left out."
        )
    lines.append(
        f"Messages: {c.messages} read. Observations: {c.observations_new} new, {c.observations_duplicate} there"
        f" already, {c.observations_superseded} superseded, {c.observation_conflicts} in conflict with another"
        " message's."
    )
    if c.not_measured:
        lines.append(f"{c.not_measured} messages have no profile or codec that reads them.")
    if c.unreadable:
        lines.append(f"{c.unreadable} messages are not taken by today's parser; what they measured stays.")
    if c.without_bytes:
        lines.append(f"{c.without_bytes} messages have lost their raw bytes; what they measured stays.")
    if c.refused:
        lines.append(f"{c.refused} messages stay as they were: their profile changed without a higher version.")
    return "\n".join(lines)
