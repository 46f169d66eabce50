"""`roadtwin simulate`: a simulated city's sensors and cameras, live through MQTT or as files."""

import json
import math
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Annotated, Any

import typer

from ingest.mqtt import parse_mqtt_url
from roadtwin.cli.common import progress, settings_for_command
from roadtwin.errors import SettingsError, SimulationError
from roadtwin.manifest import Manifest, write_manifest
from roadtwin.settings import Settings
from simulators.files import write_files
from simulators.messages import messages
from simulators.publish import Pacing, Published, publish_feed
from simulators.world import EPOCH, World, build_world

app = typer.Typer(add_completion=False)

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}
LIVE_BUSES = 8


@app.command(epilog="Example: roadtwin simulate --seed 7 --km 120 --duration 2h --speed 10 --manifest sent.json")
def main(
    seed: Annotated[int, typer.Option(help="Decides everything about the city.")] = 7,
    km: Annotated[float, typer.Option(help="Length of the street network [km], 5 to 20,000.")] = 120.0,
    epoch: Annotated[
        str, typer.Option(help="First day of the city's history; the same city needs the same day.")
    ] = EPOCH.isoformat(),
    begin: Annotated[
        str | None, typer.Option("--from", help="Begin of the feed (RFC 3339); now if left out.", show_default=False)
    ] = None,
    duration: Annotated[
        str | None,
        typer.Option(help="How much of the feed: 90s, 15m, 2h, 7d; until stopped if left out.", show_default=False),
    ] = None,
    speed: Annotated[float, typer.Option(help="Seconds of the feed that pass in one second.")] = 1.0,
    as_fast_as_possible: Annotated[
        bool, typer.Option("--as-fast-as-possible", help="Publish as fast as the broker confirms.")
    ] = False,
    rate: Annotated[float | None, typer.Option(help="Messages per second, at most.", show_default=False)] = None,
    additional_buses: Annotated[
        int | None,
        typer.Option(
            help=f"Camera buses that circulate day and night, about half a message a second each; {LIVE_BUSES} in real "
            "time, else none.",
            show_default=False,
        ),
    ] = None,
    manifest: Annotated[
        Path | None, typer.Option(help="Write what was confirmed here, for `roadtwin verify`.", show_default=False)
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Write files to this folder in place of publishing.", show_default=False)
    ] = None,
    mqtt_url: Annotated[
        str | None, typer.Option(help="MQTT broker; else ROADTWIN_MQTT_URL.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish the sensors and camera vehicles of a simulated city at QoS 1, or write a period of it to files.

    The same seed, length and epoch give the same city and the same messages. Without --duration it runs until it is
    interrupted (Ctrl-C, SIGTERM) and then waits for what the broker has not confirmed yet.
    """
    settings = settings_for_command(mqtt_url=mqtt_url)
    start = _instant(begin) if begin is not None else datetime.now(UTC)
    end = None if duration is None else start + _duration(duration)
    real_time = speed == 1.0 and not as_fast_as_possible and out is None
    buses = additional_buses if additional_buses is not None else LIVE_BUSES if real_time else 0
    pacing = Pacing(None if as_fast_as_possible else speed, rate)
    if out is not None:
        if begin is None or end is None:
            raise SimulationError("--out: got no period, expected --from and --duration.")
        _write(_world(settings, seed, km, epoch), out, start, end, buses, as_json=as_json)
        return
    if settings.mqtt_url is None:
        raise SettingsError("ROADTWIN_MQTT_URL: got nothing, expected an MQTT broker to publish to (or --out DIR).")
    address = parse_mqtt_url(settings.mqtt_url.get_secret_value(), ca_file=settings.mqtt_ca_file)
    world = _world(settings, seed, km, epoch)
    until = end or datetime.max.replace(tzinfo=UTC) - timedelta(days=400)
    feed = messages(world, start=start, end=until, additional_buses=buses)
    with _stop_on_signals() as stop, progress("Simulating") as on_progress:
        result = publish_feed(
            address,
            feed,
            pacing,
            stop=stop,
            keep_digests=manifest is not None,
            on_progress=lambda at, _: on_progress((at - start) / (until - start)),
        )
    if manifest is not None:
        write_manifest(manifest, Manifest(result.payload_sha256))
    _tell(result, as_json=as_json)


def _world(settings: Settings, seed: int, km: float, epoch: str) -> World:
    try:
        day = date.fromisoformat(epoch)
    except ValueError:
        raise SimulationError(f"--epoch: got {epoch!r}, expected a date such as 2023-10-01.") from None
    first = datetime(day.year, day.month, day.day, tzinfo=settings.timezone)
    return build_world(seed=seed, length_km=km, timezone=settings.city_timezone, start=first)


def _instant(text: str) -> datetime:
    try:
        instant = datetime.fromisoformat(text)
    except ValueError:
        instant = None
    if instant is None or instant.tzinfo is None:
        raise SimulationError(f"--from: got {text!r}, expected a time with offset such as 2026-01-31T06:00:00+01:00.")
    return instant.astimezone(UTC)


def _duration(text: str) -> timedelta:
    """A length of time.

    Examples
    --------
    >>> _duration("90s"), _duration("1.5h")
    (datetime.timedelta(seconds=90), datetime.timedelta(seconds=5400))
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)([smhd])", text.strip())
    seconds = float(match[1]) * _UNITS[match[2]] if match else math.nan
    if not 0 < seconds <= 3660 * 86400:
        raise SimulationError(f"--duration: got {text!r}, expected a length of time such as 90s, 15m, 2h or 7d.")
    return timedelta(seconds=seconds)


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that Ctrl-C and SIGTERM set, in place of ending us at once."""
    stop = threading.Event()

    def on_signal(_number: int, _frame: Any) -> None:
        stop.set()

    before = {number: signal.signal(number, on_signal) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _write(world: World, out: Path, start: datetime, end: datetime, buses: int, *, as_json: bool) -> None:
    with progress(f"Writing {out}") as on_progress:
        counts = write_files(world, out, start=start, end=end, additional_buses=buses, on_progress=on_progress)
    if as_json:
        typer.echo(json.dumps(counts))
        return
    for name, count in counts.items():
        typer.echo(f"{out / name}: {count}")


def _tell(result: Published, *, as_json: bool) -> None:
    if as_json:
        newest = None if result.newest_at is None else result.newest_at.isoformat()
        typer.echo(json.dumps({"published": result.published, "confirmed": result.confirmed, "newest_at": newest}))
        return
    typer.echo(f"Published {result.published} messages, {result.confirmed} confirmed.")
