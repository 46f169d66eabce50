"""Connections to PostgreSQL, with or without TimescaleDB."""

from enum import StrEnum
from typing import Any

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from roadtwin.errors import DatabaseUnavailableError

CONNECT_TIMEOUT_S = 10
"""How long a connection attempt may take, unless the address says otherwise [s]."""

_DEAD_PEER = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}
"""When silence on a TCP connection counts as its end: probes after 10 s [s, s, count], unconfirmed bytes [ms]."""

# The session must not depend on the server's defaults: acknowledging a message rests on synchronous_commit.
# A limit on statements, set for a role, would have the ingester write the same batch for ever.
_SESSION = (
    "SELECT set_config('TimeZone', 'UTC', false), set_config('synchronous_commit', 'on', false), "
    "set_config('statement_timeout', '0', false)"
)


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
            # A server that vanished without a word is noticed; libpq would wait for it for hours.
            **{name: given.get(name, value) for name, value in _DEAD_PEER.items()},
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
