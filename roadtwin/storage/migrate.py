"""Forward-only migrations: numbered SQL files, one transaction each, under an advisory lock.

`NNNN_name.sql` runs everywhere; where `NNNN_name.community.sql` stands beside it, that one runs instead on
TimescaleDB Community. A database keeps the mode in which its schema was made: a licence or an extension that comes
later changes nothing about the tables that exist.
"""

import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib import resources
from typing import Any

import psycopg

from roadtwin.errors import MigrationError
from roadtwin.storage.database import DatabaseMode, connect, describe_database, detect_mode

_FILE = re.compile(r"(?P<version>\d{4})_(?P<name>\w+?)(?P<community>\.community)?\.sql")
_LOCK_KEY = int.from_bytes(b"roadtwin")  # bigint key of the session advisory lock
# A migration that waited long for a table in use would make everybody behind it wait, too.
_LOCK_TIMEOUT = "SET LOCAL lock_timeout = '10s'"
_CREATE_LEDGER = """
CREATE TABLE IF NOT EXISTS schema_migration (
    version integer PRIMARY KEY,
    name text NOT NULL,
    checksum text NOT NULL,  -- SHA-256 of the file that ran
    mode text NOT NULL,  -- of the database when it ran
    applied_at timestamptz NOT NULL
)
"""


@dataclass(frozen=True, slots=True)
class MigrationFile:
    """One SQL file: its file name, its text and the SHA-256 of that text."""

    file_name: str
    sql: str

    @property
    def checksum(self) -> str:
        """SHA-256 over the UTF-8 text, hexadecimal."""
        return hashlib.sha256(self.sql.encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Migration:
    """A step of the schema: `version` counts from 1, `community` is the variant for TimescaleDB Community."""

    version: int
    name: str
    general: MigrationFile
    community: MigrationFile | None

    def file_for(self, mode: DatabaseMode) -> MigrationFile:
        """Give the variant that runs in this mode."""
        if mode is DatabaseMode.COMMUNITY and self.community is not None:
            return self.community
        return self.general


@dataclass(frozen=True, slots=True)
class AppliedMigration:
    """A row of schema_migration."""

    version: int
    name: str
    checksum: str
    mode: DatabaseMode
    applied_at: datetime


def packaged_files() -> dict[str, str]:
    """File name → SQL text of every migration that comes with this version of Roadtwin."""
    folder = resources.files("roadtwin.storage").joinpath("migrations")
    return {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".sql")}


def read_migrations(files: Mapping[str, str]) -> list[Migration]:
    """Order files by version.

    Raises MigrationError for a name that does not fit, a gap, a version used twice or a variant without its base.
    """
    general: dict[int, tuple[str, MigrationFile]] = {}
    community: dict[int, tuple[str, MigrationFile]] = {}
    for file_name, sql in sorted(files.items()):
        match = _FILE.fullmatch(file_name)
        if match is None:
            raise MigrationError(f"Migration {file_name}: expected a name like 0001_network.sql.")
        version, variants = int(match["version"]), community if match["community"] else general
        if version in variants:
            raise MigrationError(f"Migration {file_name}: its number is also that of {variants[version][1].file_name}.")
        variants[version] = (match["name"], MigrationFile(file_name, sql))
    if sorted(general) != list(range(1, len(general) + 1)):
        raise MigrationError(f"Migrations must count from 1 without a gap; got {sorted(general)}.")
    for version, (name, file) in community.items():
        if version not in general or general[version][0] != name:
            raise MigrationError(f"Migration {file.file_name}: there is no {version:04d}_{name}.sql beside it.")
    return [
        Migration(version, name, file, community[version][1] if version in community else None)
        for version, (name, file) in sorted(general.items())
    ]


_OWN = tuple(read_migrations(packaged_files()))
"""Read when we start, as all our SQL is: files of a version that is installed over a running one are not its own."""


def read_applied(conn: psycopg.Connection[Any]) -> list[AppliedMigration]:
    """Migrations this database has, in order; empty where Roadtwin has never been."""
    if conn.execute("SELECT to_regclass('schema_migration')").fetchone() == (None,):
        return []
    rows = conn.execute("SELECT version, name, checksum, mode, applied_at FROM schema_migration ORDER BY version")
    return [
        AppliedMigration(version, name, checksum, DatabaseMode(mode), at) for version, name, checksum, mode, at in rows
    ]


def check_schema(conn: psycopg.Connection[Any]) -> None:
    """Raise MigrationError, with the remedy, unless the schema is exactly the one this code was written for."""
    applied = read_applied(conn)
    _check_applied(applied, _OWN)
    if not applied:
        raise MigrationError("The database has no Roadtwin schema yet: run `roadtwin migrate`.")
    if len(applied) < len(_OWN):
        raise MigrationError(
            f"The database schema is at version {applied[-1].version}, this Roadtwin needs {_OWN[-1].version}: "
            "run `roadtwin migrate`."
        )


def migrate(url: str, *, dry_run: bool = False, files: Mapping[str, str] | None = None) -> list[str]:
    """Bring the database to the schema of this version and give the names of the migrations that ran.

    `dry_run` only says which would run. `files` replaces the packaged ones (file name → SQL). Any number of
    migrators may start at once: one works, the others wait and then find nothing to do.

    Raises DatabaseUnavailableError, and MigrationError naming the file: one that fails (it leaves nothing behind), one
    that was changed after it ran, or a database newer than this code.
    """
    migrations = _OWN if files is None else read_migrations(files)
    with connect(url, autocommit=True, application_name="roadtwin migrate") as conn:
        if dry_run:
            return [m.general.file_name.removesuffix(".sql") for m in _pending(conn, migrations)]
        with _lock(conn):
            if not read_applied(conn):
                _create_extension(url, conn)
                conn.execute(_CREATE_LEDGER)
            pending = _pending(conn, migrations)
            mode = _schema_mode(conn)
            return [_apply(conn, migration, mode) for migration in pending]


@contextmanager
def _lock(conn: psycopg.Connection[Any]) -> Iterator[None]:
    conn.execute("SELECT pg_advisory_lock(%s)", [_LOCK_KEY])
    try:
        yield
    finally:
        if not conn.broken:
            conn.execute("SELECT pg_advisory_unlock(%s)", [_LOCK_KEY])


def _check_applied(applied: Sequence[AppliedMigration], migrations: Sequence[Migration]) -> None:
    known = {m.version: m for m in migrations}
    for row in applied:
        migration = known.get(row.version)
        if migration is None:
            raise MigrationError(
                f"The database has migration {row.version:04d}_{row.name}, which this Roadtwin does not know: "
                "it was made by a newer version; install that one."
            )
        file = migration.file_for(row.mode)
        if file.checksum != row.checksum:
            raise MigrationError(
                f"Migration {file.file_name} was changed after it ran on this database on {row.applied_at:%Y-%m-%d}: "
                "restore the file and put the change into a new migration."
            )


def _pending(conn: psycopg.Connection[Any], migrations: Sequence[Migration]) -> list[Migration]:
    applied = read_applied(conn)
    _check_applied(applied, migrations)
    done = {row.version for row in applied}
    return [m for m in migrations if m.version not in done]


def _schema_mode(conn: psycopg.Connection[Any]) -> DatabaseMode:
    """The mode that the next migration runs in: the one in which the schema was begun."""
    now, applied = detect_mode(conn), read_applied(conn)
    if not applied:
        return now
    begun = applied[0].mode
    if begun is DatabaseMode.COMMUNITY and now is not DatabaseMode.COMMUNITY:
        raise MigrationError(
            f"The schema was made on {begun}, the database now runs as {now}: "
            "set timescaledb.license to 'timescale' and restart it."
        )
    return begun


def _create_extension(url: str, conn: psycopg.Connection[Any]) -> None:
    """Create TimescaleDB where the server has it, before the first table."""
    offered = conn.execute(
        "SELECT FROM pg_available_extensions WHERE name = 'timescaledb' AND installed_version IS NULL"
    ).rowcount
    if not offered:
        return
    try:
        # A connection of its own: a server that has not preloaded the library ends the session.
        with connect(url, autocommit=True, application_name="roadtwin migrate") as own:
            own.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    except psycopg.Error as exc:
        raise MigrationError(
            f"The server of {describe_database(url)} has TimescaleDB, but its extension cannot be created "
            f"({_first_line(exc)}): have its administrator put timescaledb into shared_preload_libraries, restart, "
            "and run CREATE EXTENSION timescaledb in this database."
        ) from exc


def _apply(conn: psycopg.Connection[Any], migration: Migration, mode: DatabaseMode) -> str:
    file = migration.file_for(mode)
    try:
        with conn.transaction():
            conn.execute(_LOCK_TIMEOUT)
            conn.execute(file.sql)  # our own file; without parameters it may hold many statements
            conn.execute(
                "INSERT INTO schema_migration (version, name, checksum, mode, applied_at) VALUES (%s, %s, %s, %s, %s)",
                [migration.version, migration.name, file.checksum, mode.value, datetime.now(UTC)],
            )
    except psycopg.Error as exc:
        raise MigrationError(f"Migration {file.file_name} failed and left nothing behind: {_first_line(exc)}") from exc
    return file.file_name.removesuffix(".sql")


def _first_line(exc: psycopg.Error) -> str:
    text = str(exc).strip()
    return text.splitlines()[0] if text else type(exc).__name__
