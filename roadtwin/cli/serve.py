"""`roadtwin serve`: API and map."""

import ipaddress
import signal
import socket
from contextlib import suppress
from typing import Annotated

import typer
import uvicorn

from roadtwin.cli.common import open_database, settings_for_command
from roadtwin.errors import DatabaseUnavailableError, ServeError
from roadtwin.storage.database import connect
from roadtwin.storage.migrate import check_schema
from roadtwin.telemetry import get_logger
from service.app import UI_DIR, create_app

app = typer.Typer(add_completion=False)
log = get_logger(__name__)


@app.command(epilog="Example: roadtwin serve --port 8080")
def main(
    host: Annotated[str | None, typer.Option(help="Address to listen on; by default this machine only.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    allow_open_read: Annotated[
        bool,
        typer.Option("--allow-open-read", help="Let everybody who reaches the address read without a key."),
    ] = False,
) -> None:
    """Serve the API under /v1 and the map at /, until Ctrl-C.

    Reading needs no key while ROADTWIN_OPEN_READ is true, and then the service listens on this machine only, unless
    --allow-open-read is given. Writing always needs a key: see `roadtwin key --help`. While the database is away, the
    service answers 503 by name and keeps trying.
    """
    settings = settings_for_command(http_host=host, http_port=port)
    # uvicorn raises a signal again once it has shut down; as an exception, it lets the embedded database stop too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    check_exposure(settings.http_host, open_read=settings.open_read, allowed=allow_open_read)
    with (
        listen(settings.http_host, settings.http_port) as listener,
        open_database(settings, check=False) as database_url,
    ):
        check_database(database_url)
        address = f"http://{_in_url(settings.http_host)}:{listener.getsockname()[1]}"
        typer.echo(f"Roadtwin is at {address} (Ctrl-C ends it).")
        if not (UI_DIR / "vendor").is_dir():
            typer.echo("The map library is missing: run `python deploy/install_ui_libraries.py`.", err=True)
        config = uvicorn.Config(create_app(settings, database_url), log_config=None, access_log=False)
        with suppress(KeyboardInterrupt):
            uvicorn.Server(config).run(sockets=[listener])


def check_database(database_url: str) -> None:
    """Refuse a database with another schema; one that is away is waited for, as a service does.

    Raises MigrationError with the remedy.
    """
    try:
        with connect(database_url) as conn:
            check_schema(conn)
    except DatabaseUnavailableError as exc:
        log.warning("database away", action="database_away", error=str(exc))


def check_exposure(host: str, *, open_read: bool, allowed: bool) -> None:
    """Refuse to show the city's data to a whole network by accident. Raises ServeError."""
    if open_read and not allowed and not _is_loopback(host):
        raise ServeError(
            f"{host} can be reached from other machines and reading needs no key: set ROADTWIN_OPEN_READ=false, "
            "or give --allow-open-read if everybody may read."
        )


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def _in_url(host: str) -> str:
    return f"[{host}]" if ":" in host else host


def listen(host: str, port: int) -> socket.socket:
    """A bound socket, made before anything else is opened. Raises ServeError when the port cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(128)
    except OSError as exc:
        listener.close()
        reason = (exc.strerror or str(exc)).lower()
        raise ServeError(f"Cannot listen on {host}:{port}: {reason}. Choose another with --port, or 0.") from None
    listener.set_inheritable(True)
    return listener
