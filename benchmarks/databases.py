"""The database server of the benchmarks: durable, and with a new database for each measurement."""

import os
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

import psycopg

from roadtwin.storage.embedded import EmbeddedPostgres
from roadtwin.storage.migrate import migrate

REPOSITORY = Path(__file__).resolve().parents[1]


def database_server(directory: Path, stack: ExitStack) -> str:
    """Address of a server: ROADTWIN_BENCH_DATABASE_URL, else the one of `make services`, else an embedded one."""
    url = os.environ.get("ROADTWIN_BENCH_DATABASE_URL")
    state = Path(os.environ.get("ROADTWIN_CACHE_DIR") or REPOSITORY / ".cache") / "services" / "state.env"
    if url is None and state.exists():
        lines = dict(line.split("=", 1) for line in state.read_text().splitlines() if "=" in line)
        url = lines.get("ROADTWIN_TEST_DATABASE_URL")
    return url or stack.enter_context(EmbeddedPostgres(directory)).url


@contextmanager
def fresh_database(server_url: str, name: str) -> Iterator[str]:
    """A migrated database of its own, dropped afterwards."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        for setting in ("fsync", "synchronous_commit", "full_page_writes"):
            (value,) = conn.execute(f"SHOW {setting}").fetchone() or ("",)
            if value != "on":
                raise SystemExit(f"the database has {setting} {value}, expected on")
        conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
        conn.execute(f"CREATE DATABASE {name}")
        conn.execute("CHECKPOINT")
    url = urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    migrate(url)
    try:
        yield url
    finally:
        with psycopg.connect(server_url, autocommit=True) as conn:
            conn.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
