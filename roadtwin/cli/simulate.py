"""`roadtwin simulate`: a simulated city's sensors and cameras, live through MQTT or as files."""

import json
import signal
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Annotated

import typer

from ingest.mqtt import parse_mqtt_url
from roadtwin.cli.common import phases, progress, settings_for_command
from roadtwin.cli.quantities import read_day, read_duration_s, read_instant
from roadtwin.cli.running import stop_on_signals
from roadtwin.errors import SettingsError, SimulationError
from roadtwin.jobs.importing import read_network_file, source_of
from roadtwin.manifest import Manifest, write_manifest
from roadtwin.network.geojson import ReadOptions
from roadtwin.network.sections import RoadSection
from roadtwin.settings import Settings
from simulators.files.files import CONTENTS, left_from_before, write_files
from simulators.messages import message_blocks
from simulators.publish import Pacing, Published, publish_feed
from simulators.report import SHORTEST, write_report
from simulators.scenario import Scenario, read_scenario, scenario_names
from simulators.world import EPOCH, World, build_world

app = typer.Typer(add_completion=False)

DEFAULT_KM = 400.0
PHASES = {
    "history": "Records, segment-days and sensor-days",
    "devices": "Messages of devices",
    "vehicles": "Messages of vehicles",
    "report": "Report",
}
LIVE_BUSES = 8


@app.command(epilog="Example: roadtwin simulate --from 2026-01-15T06:00:00+01:00 --duration 7d --out week/")
def main(
    seed: Annotated[int, typer.Option(help="Decides everything about the city.")] = 7,
    km: Annotated[
        float | None,
        typer.Option(
            help=f"Length of the street network in km, 5 to 20,000; {DEFAULT_KM:g} if left out.", show_default=False
        ),
    ] = None,
    network: Annotated[
        Path | None,
        typer.Option(help="Road network (GeoJSON) in place of a made-up one.", metavar="FILE", show_default=False),
    ] = None,
    source: Annotated[
        str | None,
        typer.Option(help="With --network: short name of the register in ids; that of the file.", show_default=False),
    ] = None,
    drivable: Annotated[
        bool, typer.Option("--drivable", help="With --network: leave out OSM ways that no car of the city uses.")
    ] = False,
    segment_m: Annotated[int, typer.Option(help="Length of a segment in m, 10 to 1,000.")] = 100,
    weather: Annotated[
        Path | None,
        typer.Option(
            help="Measured weather (CSV, the DWD's too; or a folder of such files) in place of made-up weather.",
            metavar="FILE",
            show_default=False,
        ),
    ] = None,
    devices: Annotated[
        int | None, typer.Option(help="Number of sensors; about 37 a 100 km if left out.", show_default=False)
    ] = None,
    epoch: Annotated[
        str, typer.Option(help="First day of the city's history; the same city needs the same day.")
    ] = EPOCH.isoformat(),
    scenario: Annotated[
        str, typer.Option(help="What is special: a name of the library, or a .toml file.")
    ] = "ordinary",
    scenarios: Annotated[bool, typer.Option("--scenarios", help="List the library of scenarios, and end.")] = False,
    today: Annotated[
        str | None,
        typer.Option(
            help="Day to which relative times of the scenario refer; that of --from if left out.", show_default=False
        ),
    ] = None,
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
    contents: Annotated[
        str, typer.Option(help="With --out: what to write, some of these.", metavar="NAME,…")
    ] = ",".join(CONTENTS),
    jobs: Annotated[int, typer.Option(help="With --out: processes that work at the same time.")] = 2,
    report: Annotated[
        Path | None,
        typer.Option(
            help="Write a page of plots of the period (by default a year) in place of publishing.",
            metavar="FILE.html",
            show_default=False,
        ),
    ] = None,
    mqtt_url: Annotated[
        str | None, typer.Option(help="MQTT broker; else ROADTWIN_MQTT_URL.", show_default=False)
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Publish the sensors and camera vehicles of a simulated city at QoS 1, or write a period of it to files.

    The same seed, streets, epoch, scenario and today give the same city and the same messages. Without --duration it
    runs until it is interrupted (Ctrl-C, SIGTERM) and then waits for what the broker has not confirmed yet.
    """
    if scenarios:
        _list_scenarios(as_json=as_json)
        return
    settings = settings_for_command(mqtt_url=mqtt_url)
    start = read_instant("--from", begin) if begin is not None else datetime.now(UTC)
    end = None if duration is None else start + timedelta(seconds=read_duration_s("--duration", duration))
    city = _City(
        seed=seed,
        km=km,
        network=network,
        source=source,
        drivable=drivable,
        segment_m=segment_m,
        weather=weather,
        devices=devices,
        epoch=read_day("--epoch", epoch),
        scenario=read_scenario(scenario),
        today=start.astimezone(settings.timezone).date() if today is None else read_day("--today", today),
    )
    real_time = speed == 1.0 and not as_fast_as_possible and out is None
    buses = additional_buses if additional_buses is not None else LIVE_BUSES if real_time else 0
    pacing = Pacing(None if as_fast_as_possible else speed, rate)
    if out is not None or report is not None:
        for option, is_given in (
            ("--rate", rate is not None),
            ("--manifest", manifest is not None),
            ("--speed", speed != 1.0),
            ("--as-fast-as-possible", as_fast_as_possible),
        ):
            if is_given:
                raise SimulationError(f"{option}: got it with files to write, expected it for publishing only.")
        if report is not None and begin is not None and end is not None and end - start < SHORTEST:
            raise SimulationError(f"--report: got {end - start} of time, expected a week at least.")
        if out is not None and (begin is None or end is None):
            raise SimulationError("--out: got no period, expected --from and --duration.")
        if out is None and contents != ",".join(CONTENTS):
            raise SimulationError("--contents: got no --out, expected the folder where they go.")
        signal.signal(signal.SIGTERM, _interrupt)
        world, counts = city.build(settings), {}
        with phases(PHASES) as on_progress:
            if out is not None and end is not None:
                names = [name.strip() for name in contents.split(",") if name.strip()]
                counts = write_files(
                    world, out, start=start, end=end, contents=names, additional_buses=buses, jobs=jobs,
                    on_progress=on_progress,
                )  # fmt: skip
            if report is not None:
                shown = None if begin is None else start
                write_report(world, report, start=shown, end=end, on_progress=partial(on_progress, "report"))
        _tell_files(out, counts, report, as_json=as_json)
        if out is not None and (old := left_from_before(out, counts)):
            typer.echo(f"Left as they were, from an earlier run: {', '.join(old)}.", err=True)
        return
    if settings.mqtt_url is None:
        raise SettingsError("ROADTWIN_MQTT_URL: got nothing, expected an MQTT broker to publish to (or --out DIR).")
    address = parse_mqtt_url(settings.mqtt_url.get_secret_value(), ca_file=settings.mqtt_ca_file)
    world = city.build(settings)
    until = end or datetime.max.replace(tzinfo=UTC) - timedelta(days=400)
    feed = message_blocks(world, start=start, end=until, additional_buses=buses)
    with stop_on_signals() as stop, progress("Simulating") as on_time:
        result = publish_feed(
            address,
            feed,
            pacing,
            stop=stop,
            keep_digests=manifest is not None,
            on_progress=lambda at, _: on_time((at - start) / (until - start)),
        )
    if manifest is not None:
        write_manifest(manifest, Manifest(result.payload_sha256))
    _tell(result, as_json=as_json)


@dataclass(frozen=True, slots=True)
class _City:
    """What the options say about the city."""

    seed: int
    km: float | None
    network: Path | None
    source: str | None
    drivable: bool
    segment_m: int
    weather: Path | None
    devices: int | None
    epoch: date
    scenario: Scenario
    today: date

    def build(self, settings: Settings) -> World:
        if self.km is not None and self.network is not None:
            raise SimulationError("--km and --network: got both, expected one of them.")
        if self.network is None and (self.source is not None or self.drivable):
            raise SimulationError("--source, --drivable: got no --network, expected one that they are about.")
        return build_world(
            seed=self.seed,
            length_km=DEFAULT_KM if self.km is None else self.km,
            timezone=settings.city_timezone,
            start=datetime(self.epoch.year, self.epoch.month, self.epoch.day, tzinfo=settings.timezone),
            scenario=self.scenario,
            today=self.today,
            network=None if self.network is None else self._sections(self.network),
            segment_length_m=self.segment_m,
            weather_file=self.weather,
            device_count=self.devices,
        )

    def _sections(self, path: Path) -> list[RoadSection]:
        options = ReadOptions(source=self.source or source_of(path), drivable_only=self.drivable)
        return read_network_file(path, options)[0]


def _list_scenarios(*, as_json: bool) -> None:
    found = [read_scenario(name) for name in scenario_names()]
    if as_json:
        typer.echo(json.dumps({one.name: one.title for one in found}))
        return
    width = max(len(one.name) for one in found)
    for one in found:
        typer.echo(f"{one.name:<{width}}  {one.title}")


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    """SIGTERM ends the writing of files as Ctrl-C does: what is incomplete is removed."""
    raise KeyboardInterrupt


def _tell_files(out: Path | None, counts: dict[str, int], report: Path | None, *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(counts if report is None else {**counts, "report": str(report)}))
        return
    for name, count in counts.items():
        typer.echo(f"{name if out is None else out / name}: {count}")
    if report is not None:
        typer.echo(f"{report}: the report")


def _tell(result: Published, *, as_json: bool) -> None:
    if as_json:
        newest = None if result.newest_at is None else result.newest_at.isoformat()
        typer.echo(json.dumps({"published": result.published, "confirmed": result.confirmed, "newest_at": newest}))
        return
    typer.echo(f"Published {result.published} messages, {result.confirmed} confirmed.")
