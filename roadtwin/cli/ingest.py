"""`roadtwin ingest`: from the broker into the database, acknowledged after COMMIT."""

import signal
import threading
from contextlib import ExitStack
from types import FrameType
from typing import Annotated

import typer
from prometheus_client import start_http_server

from ingest.consumer import run_ingest
from roadtwin.cli.common import open_database, settings_for_command
from roadtwin.errors import SettingsError
from roadtwin.settings import Settings
from roadtwin.telemetry import get_logger
from roadtwin.types import BatchCounts

app = typer.Typer(add_completion=False)
log = get_logger(__name__)


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
) -> None:
    """Take messages from the MQTT broker and store them; runs until it is stopped.

    A message is acknowledged after its rows are committed. A database or broker that goes away is waited for. On
    SIGTERM or Ctrl-C what was received is stored first; a kill at any moment loses nothing that the broker keeps.
    """
    settings = settings_for_command(mqtt_url=mqtt_url, database_url=database_url, mqtt_client_id=client_id)
    mqtt = broker_url(settings)
    stop = threading.Event()

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        stop.set()

    signal.signal(signal.SIGTERM, on_signal)
    signal.signal(signal.SIGINT, on_signal)
    if settings.metrics_port is not None:
        start_http_server(settings.metrics_port, addr="127.0.0.1")
    total = BatchCounts(0, 0, 0, 0)

    def on_batch(counts: BatchCounts) -> None:
        nonlocal total
        total += counts

    with ExitStack() as stack:
        if settings.database_url is not None:  # not opened here: an ingester waits for it as long as it takes
            url = settings.database_url.get_secret_value()
        else:
            url = stack.enter_context(open_database(settings))
        run_ingest(
            settings,
            url,
            mqtt,
            stop,
            on_batch=on_batch,
            on_ready=lambda: log.info("ingesting", action="ingest_ready", topics=list(settings.mqtt_topics)),
        )
    log.info(
        "ingest ended",
        action="ingest_ended",
        received=total.received,
        stored=total.stored,
        duplicate=total.duplicate,
        rejected=total.rejected,
    )
