"""`roadtwin demo`: the whole product on a simulated city, with embedded parts where none are given."""

import json
import signal
import time
from contextlib import ExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import FrameType
from typing import Annotated, Any, NoReturn

import typer

from roadtwin.cli.common import open_database, phases, settings_for_command
from roadtwin.errors import SettingsError
from roadtwin.jobs.broker import start_broker
from roadtwin.jobs.demo import Prepared, editor_key, free_port, prepare, require_free_port, wait_until_ready
from roadtwin.jobs.demo_chain import LEAD, check_chain
from roadtwin.jobs.processes import ProcessGroup
from roadtwin.jobs.simulated import keep_up
from roadtwin.settings import Settings
from simulators.scenario import Scenario, read_scenario, to_values

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


def _interrupt(_signal: int, _frame: FrameType | None) -> None:
    raise KeyboardInterrupt


@app.command()
def demo(
    small: Annotated[bool, typer.Option("--small", help=f"{SMALL_KM:g} km of streets, not {FULL_KM:g}.")] = False,
    km: Annotated[float | None, typer.Option(help="Length of the street network in km.", min=5, max=2000)] = None,
    seed: Annotated[int, typer.Option(help="Seed of the city; the same seed gives the same city.", min=0)] = 1,
    winters: Annotated[int, typer.Option(help="Complete winters of history.", min=3, max=12)] = 4,
    scenario: Annotated[
        str | None,
        typer.Option(
            help="What is special: a name of `roadtwin simulate --scenarios` or a .toml file; ordinary if left out.",
            show_default=False,
        ),
    ] = None,
    port: Annotated[int | None, typer.Option(help="Port of the map [ROADTWIN_HTTP_PORT].", min=1, max=65535)] = None,
    once: Annotated[bool, typer.Option("--once", help="Check the whole chain over MQTT and HTTP, then end.")] = False,
    feed_only: Annotated[
        bool,
        typer.Option(
            "--feed-only",
            help="Make the city and publish its feed; ingest, scoring and service run elsewhere (docker compose).",
        ),
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="With --once: print one JSON summary on stdout.")] = False,
) -> None:
    """Show everything on a simulated city: live sensors and cameras over MQTT, twin, risk model, API and map.

    Uses an embedded PostgreSQL and an MQTT broker of its own unless ROADTWIN_DATABASE_URL or ROADTWIN_MQTT_URL name
    others. Goes on with the city that is there when it is started again. Ctrl-C ends it.

    Example: roadtwin demo --small
    """
    if as_json and not once:
        raise typer.BadParameter("--json needs --once")
    if once and feed_only:
        raise typer.BadParameter("--once and --feed-only exclude each other")
    started = time.monotonic()
    wanted = None if scenario is None else read_scenario(scenario)
    settings = settings_for_command(http_port=port, score_interval_s=SCORE_INTERVAL_S)
    if feed_only and (settings.database_url is None or settings.mqtt_url is None):
        raise SettingsError("--feed-only needs ROADTWIN_DATABASE_URL and ROADTWIN_MQTT_URL: where the other parts run.")
    http_port = free_port(settings.http_host) if once and port is None else settings.http_port
    if not feed_only:
        require_free_port(settings.http_host, http_port)
    signal.signal(signal.SIGTERM, _interrupt)
    with ExitStack() as stack:
        try:
            parts = _open_parts(stack, settings)
            until = datetime.now(UTC) - (LEAD if once else timedelta(0))
            length_km = km or (SMALL_KM if small else FULL_KM)
            prepared = _prepare(
                parts, settings, seed=seed, length_km=length_km, winters=winters, until=until, scenario=wanted
            )
            group = stack.enter_context(_process_group(parts, settings, http_port))
            if feed_only:
                typer.echo(f"{prepared.world.length_km:g} km of simulated streets; publishing. Ctrl-C ends it.")
                _run_feed(parts.database_url, settings, prepared, group)
            address = f"http://{settings.http_host}:{http_port}"
            group.start("serve", ["serve"])
            group.start("ingest", ["ingest"])
            wait_until_ready(address, check=group.check)
            if once:
                summary = check_chain(
                    parts.database_url, parts.mqtt_url, address, settings, prepared, check_children=group.check
                )
                summary |= {"broker": parts.broker, "seconds": round(time.monotonic() - started, 1)}
                _print_summary(summary, as_json=as_json)
                raise typer.Exit(0 if summary["ok"] else 1)
            group.start("score", ["score", "--watch"])
            _announce(address, parts, settings, prepared, time.monotonic() - started)
            _run_feed(parts.database_url, settings, prepared, group)
        except KeyboardInterrupt:
            typer.echo("\nShutting down; everything that was acknowledged is in the database.", err=True)


@dataclass(frozen=True, slots=True)
class _Parts:
    """Database and broker, and what to tell about the broker."""

    database_url: str
    mqtt_url: str
    broker: str


def _open_parts(stack: ExitStack, settings: Settings) -> _Parts:
    database_url = stack.enter_context(open_database(settings, migrate=True))
    if settings.mqtt_url is not None:
        return _Parts(database_url, settings.mqtt_url.get_secret_value(), "the broker of ROADTWIN_MQTT_URL")
    broker = stack.enter_context(start_broker(settings.data_dir))
    kept = "kept on disk" if broker.durable else "in memory only: lost if the broker is killed"
    return _Parts(database_url, broker.url, f"embedded {broker.kind}; its own queue is {kept}")


def _prepare(
    parts: _Parts,
    settings: Settings,
    *,
    seed: int,
    length_km: float,
    winters: int,
    until: datetime,
    scenario: Scenario | None,
) -> Prepared:
    with phases(PHASES) as on_progress:
        return prepare(
            parts.database_url,
            settings,
            seed=seed,
            length_km=length_km,
            winters=winters,
            until=until,
            scenario=scenario,
            on_progress=on_progress,
        )


def _process_group(parts: _Parts, settings: Settings, http_port: int) -> ProcessGroup:
    return ProcessGroup(
        log_dir=settings.data_dir / "logs",
        env={
            "ROADTWIN_DATABASE_URL": parts.database_url,
            "ROADTWIN_MQTT_URL": parts.mqtt_url,
            "ROADTWIN_DATA_DIR": str(settings.data_dir),
            "ROADTWIN_HTTP_PORT": str(http_port),
            "ROADTWIN_SCORE_INTERVAL_S": str(SCORE_INTERVAL_S),
        },
    )


def _run_feed(url: str, settings: Settings, prepared: Prepared, group: ProcessGroup) -> NoReturn:
    """Publish live traffic, write the records of each step, and watch the processes until we are interrupted."""
    simulated = prepared.simulated
    # The scenario as it was when the city was founded: the library's may have changed since then.
    scenario_file = settings.data_dir / "demo-scenario.json"
    scenario_file.write_text(json.dumps(to_values(simulated.scenario), ensure_ascii=False), "utf-8")
    group.start(
        "simulate",
        [
            "simulate",
            "--seed", str(simulated.seed),
            "--km", str(simulated.length_km),
            "--epoch", prepared.world.epoch.isoformat(),
            "--from", simulated.until.isoformat(),
            "--scenario", str(scenario_file),
            "--today", simulated.today.isoformat(),
        ],
    )  # fmt: skip
    next_step = time.monotonic() + LIVE_STEP_S
    while True:
        time.sleep(0.5)
        group.check()
        if time.monotonic() >= next_step:
            next_step += LIVE_STEP_S
            simulated = keep_up(url, simulated, prepared.world, now=datetime.now(UTC) - timedelta(seconds=5))


def _announce(address: str, parts: _Parts, settings: Settings, prepared: Prepared, seconds: float) -> None:
    place = "the database of ROADTWIN_DATABASE_URL" if settings.database_url else f"{settings.data_dir / 'postgres'}"
    typer.echo(
        f"{'Ready' if prepared.first_time else 'Ready again'} after {seconds:.0f} s.\n"
        f"  Map          {address}/\n"
        f"  API          {address}/v1/docs\n"
        f"  Editor key   {editor_key(parts.database_url, settings.data_dir)}\n"
        f"  City         simulated, {prepared.world.length_km:g} km, {len(prepared.world.segments)} segments, "
        f"seed {prepared.simulated.seed}\n"
        f"  Scenario     {prepared.simulated.scenario.name}: {prepared.simulated.scenario.title}\n"
        f"  Database     {place}\n"
        f"  MQTT         {parts.broker}\n"
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
