"""Connections to PostgreSQL, with or without TimescaleDB."""

from enum import StrEnum
from typing import Any

import psycopg
import psycopg_pool
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.rows import TupleRow

from roadtwin.errors import DatabaseUnavailableError

CONNECT_TIMEOUT_S = 10
"""How long a connection attempt may take, unless the address says otherwise [s]."""

# The session must not depend on the server's defaults: acknowledging a message rests on synchronous_commit.
_SESSION = "SELECT set_config('TimeZone', 'UTC', false), set_config('synchronous_commit', 'on', false)"


class DatabaseMode(StrEnum):
    """What the database can do; the schema is the same in all of them."""

    PLAIN = "plain"
    APACHE = "timescaledb-apache"
    COMMUNITY = "timescaledb-community"


def describe_database(url: str) -> str:
    """Name a database for people: database, host and port of an address, never user or password.

    Examples
    --------
    >>> describe_database("postgresql://road:secret@db.example:5433/essen")
    'essen at db.example:5433'
    """
    try:
        parts = conninfo_to_dict(url)
    except psycopg.ProgrammingError:
        return "with the address given, which cannot be read (expected postgresql://user:password@host:5432/database)"
    host = parts.get("host") or parts.get("hostaddr") or "the local socket"
    port = f":{parts['port']}" if parts.get("port") and not str(host).startswith("/") else ""
    return f"{parts.get('dbname') or parts.get('user') or 'default'} at {host}{port}"


def _conninfo(url: str, application_name: str) -> str:
    try:
        given = conninfo_to_dict(url)
        return make_conninfo(
            url,
            application_name=given.get("application_name", application_name),
            connect_timeout=given.get("connect_timeout", CONNECT_TIMEOUT_S),
        )
    except psycopg.ProgrammingError:
        # libpq's text may quote the address, and with it the password.
        raise DatabaseUnavailableError(f"The database {describe_database(url)} cannot be reached.") from None


def _unavailable(url: str, exc: Exception) -> DatabaseUnavailableError:
    lines = [line.strip() for line in str(exc).splitlines() if line.strip()]
    reason = lines[0].removeprefix("connection failed: ") if lines else type(exc).__name__
    return DatabaseUnavailableError(f"The database {describe_database(url)} cannot be reached: {reason.rstrip('.')}.")


def connect(
    url: str, *, autocommit: bool = False, application_name: str = "roadtwin"
) -> psycopg.Connection[tuple[Any, ...]]:
    """Open a connection whose session runs in UTC and commits synchronously.

    Raises DatabaseUnavailableError, which names the database but never the password.
    """
    conninfo = _conninfo(url, application_name)
    try:
        # Session settings made inside a transaction would be undone by its ROLLBACK.
        conn = psycopg.connect(conninfo, autocommit=True)
    except psycopg.OperationalError as exc:
        raise _unavailable(url, exc) from exc
    try:
        conn.execute(_SESSION)
        conn.autocommit = autocommit
    except psycopg.OperationalError as exc:
        conn.close()
        raise _unavailable(url, exc) from exc
    return conn


def detect_mode(conn: psycopg.Connection[Any]) -> DatabaseMode:
    """Tell whether the database has TimescaleDB, and under which licence it runs."""
    # One statement each: the first makes TimescaleDB's loader bring in the library that knows the setting.
    if conn.execute("SELECT FROM pg_extension WHERE extname = 'timescaledb'").rowcount == 0:
        return DatabaseMode.PLAIN
    row = conn.execute("SHOW timescaledb.license").fetchone()
    return DatabaseMode.APACHE if row is not None and row[0] == "apache" else DatabaseMode.COMMUNITY


def _configure(conn: psycopg.Connection[Any]) -> None:
    conn.execute(_SESSION)
    conn.commit()


async def _configure_async(conn: psycopg.AsyncConnection[Any]) -> None:
    await conn.execute(_SESSION)
    await conn.commit()


def open_pool(
    url: str, *, min_size: int = 1, max_size: int = 4, application_name: str = "roadtwin"
) -> psycopg_pool.ConnectionPool[psycopg.Connection[TupleRow]]:
    """Open a pool of connections like those of `connect`; close it with `.close()` or as a context manager.

    Raises DatabaseUnavailableError at once when the database does not answer now; later outages are
    for the pool to sit out.
    """
    connect(url, application_name=application_name).close()  # the pool itself would try for a long time
    pool: psycopg_pool.ConnectionPool[psycopg.Connection[TupleRow]] = psycopg_pool.ConnectionPool(
        _conninfo(url, application_name),
        min_size=min_size,
        max_size=max_size,
        configure=_configure,
        check=psycopg_pool.ConnectionPool.check_connection,
        open=True,
    )
    return pool


async def open_async_pool(
    url: str, *, min_size: int = 1, max_size: int = 8, application_name: str = "roadtwin"
) -> psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]]:
    """`open_pool` for the event loop that awaits it; close it with `await pool.close()`."""
    try:
        async with await psycopg.AsyncConnection.connect(_conninfo(url, application_name)):
            pass
    except psycopg.OperationalError as exc:
        raise _unavailable(url, exc) from exc
    pool: psycopg_pool.AsyncConnectionPool[psycopg.AsyncConnection[TupleRow]] = psycopg_pool.AsyncConnectionPool(
        _conninfo(url, application_name),
        min_size=min_size,
        max_size=max_size,
        configure=_configure_async,
        check=psycopg_pool.AsyncConnectionPool.check_connection,
        open=False,
    )
    await pool.open()
    return pool
