"""Pools give sessions like those of connect(), survive a lost connection, and say at once when nobody answers."""

import asyncio

import psycopg
import pytest

from roadtwin.errors import DatabaseUnavailableError, MigrationError
from roadtwin.storage.database import connect, open_async_pool, open_pool
from roadtwin.storage.migrate import migrate

NOBODY = "postgresql://someone:geheim@127.0.0.1:1/nowhere"


def test_a_pool_gives_sessions_in_utc_that_commit_synchronously(database_url):
    with open_pool(database_url, max_size=2) as pool, pool.connection() as conn:
        assert conn.execute("SHOW TimeZone").fetchone() == ("UTC",)
        assert conn.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_a_pool_replaces_a_connection_that_was_lost(database_url):
    with open_pool(database_url, min_size=1, max_size=1) as pool:
        with pool.connection() as conn:
            lost = conn.info.backend_pid
        with connect(database_url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s, 5000)", [lost])
        with pool.connection() as conn:
            assert conn.info.backend_pid != lost


def test_an_async_pool_gives_sessions_in_utc(database_url):
    async def read_zone():
        pool = await open_async_pool(database_url, max_size=1)
        try:
            async with pool.connection() as conn:
                return await (await conn.execute("SHOW TimeZone")).fetchone()
        finally:
            await pool.close()

    assert asyncio.run(read_zone()) == ("UTC",)


def test_a_pool_says_at_once_when_nobody_answers():
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere at 127\.0\.0\.1:1 cannot be reached"):
        open_pool(NOBODY)


def test_an_async_pool_says_at_once_when_nobody_answers():
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere at 127\.0\.0\.1:1 cannot be reached"):
        asyncio.run(open_async_pool(NOBODY))


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
