"""`roadtwin demo`: the whole product on a simulated city, with embedded parts where none are given."""

import json
import signal
import sys
import time
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeElapsedColumn

from roadtwin.cli.common import open_database, settings_for_command
from roadtwin.jobs.broker import start_broker
from roadtwin.jobs.demo import Prepared, editor_key, free_port, prepare, require_free_port, wait_until_ready
from roadtwin.jobs.demo_chain import LEAD, check_chain
from roadtwin.jobs.processes import ProcessGroup
from roadtwin.jobs.simulated import keep_up
from roadtwin.settings import Settings

app = typer.Typer(add_completion=False)

PHASES = {
    "city": "Streets and devices",
    "history": "History: events and segment-days",
    "messages": "Last seven days: raw messages",
    "twin": "Potholes and twin state",
    "model": "Risk model",
    "scores": "Scores",
}
SCORE_INTERVAL_S = 120
LIVE_STEP_S = 30
SMALL_KM, FULL_KM = 30.0, 120.0


class _Bars:
    """One progress bar a phase, on a terminal only."""

    def __init__(self) -> None:
        columns = (TextColumn("{task.description:<34}"), BarColumn(), TimeElapsedColumn())
        self.progress = Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty())
        self._tasks: dict[str, TaskID] = {}

    def __call__(self, phase: str, part: float) -> None:
        if phase not in self._tasks:
            self._tasks[phase] = self.progress.add_task(PHASES[phase], total=1.0)
        self.progress.update(self._tasks[phase], completed=min(max(part, 0.0), 1.0))


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@app.command()
def demo(
    small: Annotated[bool, typer.Option("--small", help=f"{SMALL_KM:g} km of streets, not {FULL_KM:g}.")] = False,
    km: Annotated[float | None, typer.Option(help="Length of the street network [km].", min=5, max=2000)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the city; the same seed gives the same city.", min=0)] = 1,
    winters: Annotated[int, typer.Option(help="Complete winters of history.", min=3, max=12)] = 4,
    port: Annotated[int | None, typer.Option(help="Port of the map [ROADTWIN_HTTP_PORT].", min=1, max=65535)] = None,
    once: Annotated[bool, typer.Option("--once", help="Check the whole chain over MQTT and HTTP, then end.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print one JSON summary on stdout.")] = False,
) -> None:
    """Show everything on a simulated city: live sensors and cameras over MQTT, twin, risk model, API and map.

    Uses an embedded PostgreSQL and an MQTT broker of its own unless ROADTWIN_DATABASE_URL or ROADTWIN_MQTT_URL name
    others. Goes on with the city that is there when it is started again. Ctrl-C ends it.

    Example: roadtwin demo --small
    """
    if as_json and not once:
        raise typer.BadParameter("--json needs --once")
    started = time.monotonic()
    settings = settings_for_command(http_port=port, score_interval_s=SCORE_INTERVAL_S)
    http_port = free_port(settings.http_host) if once and port is None else settings.http_port
    require_free_port(settings.http_host, http_port)
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as stack:
        try:
            url = stack.enter_context(open_database(settings, migrate=True))
            if settings.mqtt_url is not None:
                mqtt_url, broker = settings.mqtt_url.get_secret_value(), "the broker of ROADTWIN_MQTT_URL"
            else:
                embedded = stack.enter_context(start_broker(settings.data_dir))
                kept = "kept on disk" if embedded.durable else "in memory only: lost if the broker is killed"
                mqtt_url, broker = embedded.url, f"embedded {embedded.kind}; its own queue is {kept}"
            bars = _Bars()
            with bars.progress:
                length_km = km or (SMALL_KM if small else FULL_KM)
                prepared = prepare(
                    url,
                    settings,
                    seed=seed,
                    length_km=length_km,
                    winters=winters,
                    until=datetime.now(UTC) - (LEAD if once else timedelta(0)),
                    on_progress=bars,
                )
            group = stack.enter_context(
                ProcessGroup(
                    log_dir=settings.data_dir / "logs",
                    env={
                        "ROADTWIN_DATABASE_URL": url,
                        "ROADTWIN_MQTT_URL": mqtt_url,
                        "ROADTWIN_DATA_DIR": str(settings.data_dir),
                        "ROADTWIN_HTTP_PORT": str(http_port),
                        "ROADTWIN_SCORE_INTERVAL_S": str(SCORE_INTERVAL_S),
                    },
                )
            )
            address = f"http://{settings.http_host}:{http_port}"
            group.start("serve", ["serve"])
            group.start("ingest", ["ingest"])
            wait_until_ready(address, check=group.check)
            if once:
                summary = check_chain(url, mqtt_url, address, settings, prepared, check_children=group.check)
                summary["seconds"] = round(time.monotonic() - started, 1)
                summary["broker"] = broker
                _print_summary(summary, as_json=as_json)
                if not summary["ok"]:
                    raise typer.Exit(1)
                return
            key = editor_key(url, settings.data_dir)
            _announce(address, broker, key, settings, prepared, time.monotonic() - started)
            _run_live(url, prepared, group)
        except KeyboardInterrupt:
            typer.echo("\nShutting down; everything that was acknowledged is in the database.", err=True)


def _run_live(url: str, prepared: Prepared, group: ProcessGroup) -> None:
    """Publish live traffic, write the records of each step, and watch the processes until we are interrupted."""
    scenario = prepared.scenario
    group.start(
        "simulate",
        [
            "simulate",
            "--seed", str(scenario.seed),
            "--km", str(scenario.length_km),
            "--epoch", prepared.world.epoch.isoformat(),
            "--from", scenario.until.isoformat(),
        ],
    )  # fmt: skip
    group.start("score", ["score", "--watch"])
    next_step = time.monotonic() + LIVE_STEP_S
    while True:
        time.sleep(0.5)
        group.check()
        if time.monotonic() >= next_step:
            next_step += LIVE_STEP_S
            scenario = keep_up(url, scenario, prepared.world, now=datetime.now(UTC) - timedelta(seconds=5))


def _announce(address: str, broker: str, key: str, settings: Settings, prepared: Prepared, seconds: float) -> None:
    place = "the database of ROADTWIN_DATABASE_URL" if settings.database_url else f"{settings.data_dir / 'postgres'}"
    typer.echo(
        f"{'Ready' if prepared.first_time else 'Ready again'} after {seconds:.0f} s.\n"
        f"  Map          {address}/\n"
        f"  API          {address}/v1/docs\n"
        f"  Editor key   {key}\n"
        f"  City         simulated, {prepared.world.length_km:g} km, {len(prepared.world.segments)} segments, "
        f"seed {prepared.scenario.seed}\n"
        f"  Database     {place}\n"
        f"  MQTT         {broker}\n"
        f"  Logs         {settings.data_dir / 'logs'}\n"
        "Live traffic is running. Ctrl-C ends it."
    )


def _print_summary(summary: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        typer.echo(json.dumps(summary, ensure_ascii=False))
        return
    for check in summary["checks"]:
        mark = "ok " if check["ok"] else "BAD"
        typer.echo(f"{mark}  {check['name']:<58} expected {check['expected']:>8}  got {check['got']:>8}")
    typer.echo(f"{'Everything agrees' if summary['ok'] else 'The chain is broken'} after {summary['seconds']} s.")
