"""The loop of `roadtwin score --watch` and the schema: a version works on its own schema alone."""

import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest

from roadtwin.errors import MigrationError
from roadtwin.jobs.watch import watch
from roadtwin.settings import Settings
from roadtwin.storage.migrate import migrate, packaged_files

SETTINGS = Settings(retrain_interval_days=0)


def test_a_newer_schema_ends_the_loop_by_name(database_url, monkeypatch):
    looked, stop = threading.Event(), threading.Event()

    def clock():
        looked.set()
        return datetime(2026, 6, 1, 3, tzinfo=UTC)

    files = packaged_files()
    migrations = sum(not name.endswith(".community.sql") for name in files)
    files[f"{migrations + 1:04d}_future.sql"] = "CREATE TABLE future (id integer)"
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(watch, database_url, SETTINGS, stop, clock=clock, look_s=0.05)
        assert looked.wait(60)
        migrate(database_url, files=files)
        # Files of the newer version, installed over a version that runs, do not make it the newer one.
        monkeypatch.setattr("roadtwin.storage.migrate.packaged_files", lambda: files)
        try:
            with pytest.raises(MigrationError, match="_future, which this Roadtwin does not know"):
                watching.result(60)
        finally:
            stop.set()


def test_a_database_without_a_schema_is_told_how_to_be_migrated(empty_database_url):
    with pytest.raises(MigrationError, match="run `roadtwin migrate`"):
        watch(empty_database_url, SETTINGS, threading.Event())
