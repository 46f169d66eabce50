"""What commands share: settings, the database they work on, and progress on a terminal."""

import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import psycopg
import typer
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    TaskID,
    TaskProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from roadtwin.errors import DatabaseUnavailableError
from roadtwin.settings import Settings, load_settings
from roadtwin.storage.database import connect
from roadtwin.storage.embedded import EmbeddedPostgres
from roadtwin.storage.migrate import check_schema
from roadtwin.storage.migrate import migrate as migrate_database
from roadtwin.telemetry import configure_logging

WIDE = 140
"""Width of the tables where no terminal gives one: a file or a pipe must not lose a column."""


def settings_for_command(**overrides: object) -> Settings:
    """Settings of this process, with the options given on the command line on top; sets logging up.

    Raises SettingsError before anything is opened.
    """
    settings = load_settings(**overrides)
    configure_logging(settings)
    return settings


@contextmanager
def open_database(settings: Settings, *, migrate: bool = False, check: bool = True) -> Iterator[str]:
    """Give the address of the database that the settings name, or of the embedded one, which runs meanwhile.

    `migrate` brings its schema up to date first; otherwise `check` demands that it is (and an embedded database that
    does not exist is not made). Fails at once: DatabaseUnavailableError names the database (never its password),
    MigrationError says what to do.
    """
    with ExitStack() as stack:
        if settings.database_url is not None:
            url = settings.database_url.get_secret_value()
        else:
            if check and not migrate and not EmbeddedPostgres.exists(settings.data_dir):
                raise DatabaseUnavailableError(
                    f"There is no database in {settings.data_dir} yet: run `roadtwin migrate` or `roadtwin demo`, "
                    "or set ROADTWIN_DATABASE_URL."
                )
            url = stack.enter_context(EmbeddedPostgres(settings.data_dir)).url
        if migrate:
            migrate_database(url)
        elif check:
            with connect(url) as conn:
                check_schema(conn)
        yield url


@contextmanager
def open_connection(
    settings: Settings, *, migrate: bool = False, check: bool = True
) -> Iterator[psycopg.Connection[tuple[Any, ...]]]:
    """`open_database` with a connection on it; leaving commits, an exception rolls back."""
    with open_database(settings, migrate=migrate, check=check) as url, connect(url) as conn:
        yield conn


@contextmanager
def progress(description: str) -> Iterator[Callable[[float], None]]:
    """Show a progress bar on stderr, on a terminal only; call what it gives with the share done, 0 to 1."""
    console = Console(stderr=True)
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=console, disable=not sys.stderr.isatty()) as bar:
        task = bar.add_task(description, total=1.0)
        yield lambda share: bar.update(task, completed=min(max(share, 0.0), 1.0))


@contextmanager
def phases(titles: Mapping[str, str]) -> Iterator[Callable[[str, float], None]]:
    """Tell on stderr how far work of several phases is: a progress bar for each phase that has begun on a terminal,
    elsewhere a line for each when it begins, with the seconds since the first. Call what it gives with the phase's name
    and the share of it that is done, 0 to 1."""
    width = max(map(len, titles.values()))
    columns = (TextColumn(f"{{task.description:<{width}}}"), BarColumn(), TaskProgressColumn(), TimeElapsedColumn())
    tasks: dict[str, TaskID] = {}
    began, on_terminal = time.monotonic(), sys.stderr.isatty()
    with Progress(*columns, console=Console(stderr=True), disable=not on_terminal) as bars:

        def tell(phase: str, share: float) -> None:
            if phase not in tasks:
                tasks[phase] = bars.add_task(titles[phase], total=1.0)
                if not on_terminal:
                    typer.echo(f"{time.monotonic() - began:5.0f} s  {titles[phase]}", err=True)
            bars.update(tasks[phase], completed=min(max(share, 0.0), 1.0))

        yield tell
