"""`roadtwin ingest`: from the broker into the database, acknowledged after COMMIT, in one process or several."""

import os
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import ExitStack, suppress
from types import FrameType
from typing import Annotated

import typer
from prometheus_client import start_http_server

from ingest.consumer import SWITCH_INTERVAL_S, run_ingest
from ingest.retiring import find_superfluous, hold_subscriptions, retire, worker_names
from ingest.workers import REFUSED_CODE, Command, Retirement, Supervisor
from roadtwin.cli.common import open_database, settings_for_command
from roadtwin.errors import (
    BrokerUnavailableError,
    DatabaseUnavailableError,
    JournalLockedError,
    MetricsPortError,
    ReceiverStoppedError,
    RoadtwinError,
    SettingsError,
    WorkerNotRetiredError,
)
from roadtwin.settings import Settings
from roadtwin.telemetry import get_logger
from roadtwin.types import BatchCounts

app = typer.Typer(add_completion=False)
log = get_logger(__name__)

HIGHEST_PORT = 65535
PASSING = (
    BrokerUnavailableError,
    DatabaseUnavailableError,
    JournalLockedError,
    MetricsPortError,
    ReceiverStoppedError,
    WorkerNotRetiredError,
)
"""What another start may mend: an outage, a journal or port that a dying process still has, a stop on the way."""


def broker_url(settings: Settings) -> str:
    """The broker's address; an embedded broker belongs to `roadtwin demo` alone, so that one must be named.

    Raises SettingsError.
    """
    if settings.mqtt_url is None:
        raise SettingsError(
            "ROADTWIN_MQTT_URL: got nothing, expected the address of the MQTT broker (mqtt://host:1883)."
        )
    return settings.mqtt_url.get_secret_value()


@app.command(epilog="Example: roadtwin ingest --mqtt-url mqtt://127.0.0.1:1883")
def main(
    mqtt_url: Annotated[
        str | None, typer.Option(help="MQTT broker; else ROADTWIN_MQTT_URL.", show_default=False)
    ] = None,
    database_url: Annotated[
        str | None,
        typer.Option(help="Database; else ROADTWIN_DATABASE_URL, else the embedded one.", show_default=False),
    ] = None,
    client_id: Annotated[
        str | None, typer.Option(help="Client id of the persistent session; one per ingester.", show_default=False)
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(help="Processes that share the messages; else ROADTWIN_INGEST_WORKERS.", show_default=False),
    ] = None,
    retire_worker: Annotated[
        str | None,
        typer.Option(
            "--retire",
            metavar="CLIENT_ID",
            help="Store what is kept for this worker, end its session for good, and exit.",
            show_default=False,
        ),
    ] = None,
    worker: Annotated[str | None, typer.Option(hidden=True)] = None,
    reason_fd: Annotated[int | None, typer.Option(hidden=True)] = None,
) -> None:
    """Take messages from the MQTT broker and store them; runs until it is stopped.

    A message is acknowledged after its rows are committed. A database or broker that goes away is waited for. On
    SIGTERM or Ctrl-C what was received is stored first; a kill at any moment loses nothing that the broker keeps.
    """
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    try:
        settings = settings_for_command(
            mqtt_url=mqtt_url, database_url=database_url, mqtt_client_id=client_id, ingest_workers=workers
        )
        mqtt = broker_url(settings)
        with ExitStack() as stack:
            if settings.database_url is not None:  # not opened here: an ingester waits for it as long as it takes
                url = settings.database_url.get_secret_value()
            else:
                url = stack.enter_context(open_database(settings))
            if retire_worker is not None:
                retire(settings, url, mqtt, retire_worker, stop, replaced=reason_fd is not None)
            elif worker is not None:
                _run_worker(settings, url, mqtt, worker, stop)
            else:
                _run_ingester(settings, url, mqtt, stop)
    except RoadtwinError as exc:
        if reason_fd is None:
            raise
        with suppress(BrokenPipeError):  # our supervisor tells it, once; it may be gone
            os.write(reason_fd, str(exc).encode())
        raise typer.Exit(1 if isinstance(exc, PASSING) else REFUSED_CODE) from exc


def _run_ingester(settings: Settings, database_url: str, mqtt_url: str, stop: threading.Event) -> None:
    """All of it: first those workers go that there were before and are no longer wanted, then ours come."""
    count, base = settings.ingest_workers, settings.mqtt_client_id
    if settings.metrics_port and count > 1 and settings.metrics_port + count > HIGHEST_PORT:
        raise SettingsError(
            f"ROADTWIN_METRICS_PORT: got {settings.metrics_port}, expected at most {HIGHEST_PORT - count}: each of "
            f"{count} workers has the port after the one before."
        )
    _serve_metrics(settings.metrics_port)
    names = worker_names(base, count)
    env = {
        "ROADTWIN_MQTT_URL": mqtt_url,  # not on a command line: it holds a password
        "ROADTWIN_DATABASE_URL": database_url,
        "ROADTWIN_MQTT_CLIENT_ID": base,
    }
    superfluous = _find_superfluous(settings, database_url, names)
    if superfluous:  # the broker must keep messages for the new ones before it stops keeping them for the old ones
        hold_subscriptions(settings, mqtt_url, names, stop)
    with Retirement(superfluous, _command("--retire"), env) as retirement:
        retirement.wait(stop)
        if stop.is_set():
            return
        if count == 1:
            _ingest(settings, database_url, mqtt_url, stop)
            return
        log.info("starting workers", action="workers_started", workers=names)
        Supervisor(names, _command("--worker"), env, stop).run()
        log.info("all workers have ended", action="workers_ended")


def _find_superfluous(settings: Settings, database_url: str, names: Sequence[str]) -> list[str]:
    """Workers of an earlier start that are not among `names`; none are known while the database is away."""
    try:
        superfluous = find_superfluous(settings, database_url, names)
    except DatabaseUnavailableError as exc:
        log.warning(
            "the database is away: workers of an earlier start, if any, are not retired; `roadtwin status` shows them",
            action="workers_unknown",
            reason=str(exc),
        )
        return []
    if superfluous:
        log.info("other workers came before: retiring them first", action="workers_superfluous", workers=superfluous)
    return superfluous


def _command(option: str) -> Command:
    def command(name: str, reason_fd: int) -> list[str]:
        own = ["--with-parent", str(os.getpid()), "ingest", f"{option}={name}", f"--reason-fd={reason_fd}"]
        return [sys.executable, "-m", "roadtwin.cli.main", *own]

    return command


def _run_worker(settings: Settings, database_url: str, mqtt_url: str, name: str, stop: threading.Event) -> None:
    """One of several: its own client id, journal and metrics port, and its share of the messages."""
    base = settings.mqtt_client_id
    number = int(name.removeprefix(f"{base}-"))
    _serve_metrics(settings.metrics_port and settings.metrics_port + number)  # 0 stays 0: any free one
    own = settings.model_copy(update={"mqtt_client_id": name})
    _ingest(own, database_url, mqtt_url, stop, share_group=base)


def _serve_metrics(port: int | None) -> None:
    if port is None:
        return
    try:
        start_http_server(port, addr="127.0.0.1")
    except OSError as exc:
        raise MetricsPortError(
            f"ROADTWIN_METRICS_PORT: port {port} of 127.0.0.1 cannot be taken: {exc.strerror}. Set another one."
        ) from exc


def _ingest(
    settings: Settings, database_url: str, mqtt_url: str, stop: threading.Event, *, share_group: str | None = None
) -> None:
    total = BatchCounts(0, 0, 0, 0)

    def on_batch(counts: BatchCounts) -> None:
        nonlocal total
        total += counts

    def on_ready() -> None:
        topics = list(settings.mqtt_topics)
        log.info("ingesting", action="ingest_ready", worker=settings.mqtt_client_id, topics=topics)

    sys.setswitchinterval(SWITCH_INTERVAL_S)
    run_ingest(settings, database_url, mqtt_url, stop, share_group=share_group, on_batch=on_batch, on_ready=on_ready)
    log.info(
        "ingest ended",
        action="ingest_ended",
        worker=settings.mqtt_client_id,
        received=total.received,
        stored=total.stored,
        duplicate=total.duplicate,
        rejected=total.rejected,
    )
