"""Connections and the pool of the service: sessions in UTC, lost connections replaced, and no answer told at once."""

import asyncio

import psycopg
import pytest

from roadtwin.errors import DatabaseUnavailableError, MigrationError
from roadtwin.storage.database import connect
from roadtwin.storage.migrate import migrate
from service.state import make_pool

NOBODY = "postgresql://someone:geheim@127.0.0.1:1/nowhere"


def test_a_session_is_in_utc_and_commits_synchronously(database_url):
    with connect(database_url) as conn:
        assert conn.execute("SHOW TimeZone").fetchone() == ("UTC",)
        assert conn.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_the_pool_of_the_service_gives_such_sessions_and_replaces_a_connection_that_was_lost(database_url):
    async def use_pool():
        async with make_pool(database_url) as pool:
            async with pool.connection() as conn:
                zone = await (await conn.execute("SHOW TimeZone")).fetchone()
                commit = await (await conn.execute("SHOW synchronous_commit")).fetchone()
                lost = conn.info.backend_pid
            with connect(database_url, autocommit=True) as other:
                other.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])
            async with pool.connection() as conn:
                return zone, commit, lost, conn.info.backend_pid

    zone, commit, lost, present = asyncio.run(use_pool())

    assert list(zone.values()) == ["UTC"]
    assert list(commit.values()) == ["on"]
    assert present != lost


def test_a_connection_says_at_once_when_nobody_answers():
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere at 127\.0\.0\.1:1 cannot be reached"):
        connect(NOBODY)


@pytest.mark.parametrize("url", ["postgresql://host:port/x?geheim", "postgresql://a:geheim@[::1/x"])
def test_an_address_that_cannot_be_read_is_not_quoted(url):
    with pytest.raises(DatabaseUnavailableError) as caught:
        connect(url)

    assert "geheim" not in str(caught.value)


@pytest.mark.services
def test_an_extension_that_may_not_be_created_is_an_error_with_the_remedy(empty_database_url):
    """TimescaleDB is there, but the database belongs to somebody else."""
    with connect(empty_database_url, autocommit=True) as conn:
        database = conn.info.dbname
        host, port = conn.info.host, conn.info.port
        conn.execute(f"DROP ROLE IF EXISTS guest_{database}")
        conn.execute(f"CREATE ROLE guest_{database} LOGIN PASSWORD 'guest'")
    try:
        with pytest.raises(MigrationError, match=r"has TimescaleDB, but .*run CREATE EXTENSION timescaledb"):
            migrate(f"postgresql://guest_{database}:guest@{host}:{port}/{database}")
        with connect(empty_database_url) as conn, pytest.raises(psycopg.errors.UndefinedTable):
            conn.execute("SELECT FROM schema_migration")
    finally:
        with connect(empty_database_url, autocommit=True) as conn:
            conn.execute(f"DROP ROLE guest_{database}")
