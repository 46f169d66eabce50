"""Hour and day roll-ups of observations: one name and meaning in every database mode.

TimescaleDB Community cannot be installed from Debian. Set ROADTWIN_TEST_COMMUNITY_URL to an *empty* database of such a
server (one connection at a time is enough) to run the same test, and the Community migrations, on it.
"""

import os
from datetime import UTC, date, datetime, timedelta

import pytest

from roadtwin.storage.database import DatabaseMode, connect, detect_mode
from roadtwin.storage.migrate import migrate, packaged_files, read_applied

COMMUNITY_URL = os.environ.get("ROADTWIN_TEST_COMMUNITY_URL")
CLOCKS_GO_BACK = datetime(2026, 10, 25, tzinfo=UTC)  # a local day of 25 hours in Berlin


@pytest.fixture(scope="module")
def community_db():
    if COMMUNITY_URL is None:
        pytest.skip("ROADTWIN_TEST_COMMUNITY_URL is not set")
    with connect(COMMUNITY_URL, autocommit=True) as conn:
        # Here and not by migrate(), which takes a second connection for it.
        conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    migrate(COMMUNITY_URL)
    with connect(COMMUNITY_URL, autocommit=True) as conn:
        yield conn


def insert_hours_of_three_days(conn):
    """One observation every half hour from 23 October 22:00 UTC on; one of them out of range, one a second version."""
    conn.execute("INSERT INTO city (name, timezone) VALUES ('Essen', 'Europe/Berlin')")
    conn.execute("INSERT INTO device (network_source, application, device) VALUES ('senml', '', 'probe')")
    conn.execute("INSERT INTO series (device_id, channel, quantity) SELECT device_id, '', 'rain_mm' FROM device")
    begin = CLOCKS_GO_BACK - timedelta(hours=26)
    for half_hours in range(3 * 48 + 2):
        at = begin + timedelta(minutes=30 * half_hours)
        insert_observation(conn, at, value=1.0, flags=0)
    insert_observation(conn, CLOCKS_GO_BACK + timedelta(minutes=10), value=9999.0, flags=1)


def insert_observation(conn, at, *, value, flags):
    return conn.execute(
        "INSERT INTO observation (series_id, observed_at, recorded_at, value, flags, profile_version) "
        "SELECT series_id, %(at)s, %(at)s, %(value)s, %(flags)s, 1 FROM series ON CONFLICT DO NOTHING",
        {"at": at, "value": value, "flags": flags},
    ).rowcount


def check_rollups(conn):
    hour = conn.execute(
        "SELECT count, sum, minimum, maximum FROM observation_hour WHERE hour = %s", [CLOCKS_GO_BACK]
    ).fetchone()
    assert hour == (2, 2.0, 1.0, 1.0)  # the value out of range does not count
    days = dict(conn.execute("SELECT day, count FROM observation_day ORDER BY day").fetchall())
    assert days == {date(2026, 10, 24): 48, date(2026, 10, 25): 50, date(2026, 10, 26): 48}


def test_rollups_count_local_days_and_leave_out_values_out_of_range(db):
    insert_hours_of_three_days(db)
    db.commit()  # a continuous aggregate answers for committed rows

    check_rollups(db)


def test_community_migrations_give_the_same_rollups_and_stay_idempotent_when_compressed(community_db):
    assert detect_mode(community_db) is DatabaseMode.COMMUNITY
    variants = {name for name in packaged_files() if name.endswith(".community.sql")}
    assert variants
    assert {row.mode for row in read_applied(community_db)} == {DatabaseMode.COMMUNITY}
    insert_hours_of_three_days(community_db)
    check_rollups(community_db)

    community_db.execute("CALL refresh_continuous_aggregate('observation_hour', NULL, NULL)")
    check_rollups(community_db)
    community_db.execute("SELECT compress_chunk(c) FROM show_chunks('observation') AS c")
    assert insert_observation(community_db, CLOCKS_GO_BACK, value=1.0, flags=0) == 0  # there already
    late = CLOCKS_GO_BACK + timedelta(minutes=11)
    assert insert_observation(community_db, late, value=9999.0, flags=1) == 1
    check_rollups(community_db)

    jobs = {name for (name,) in community_db.execute("SELECT proc_name FROM timescaledb_information.jobs")}
    assert jobs >= {"policy_refresh_continuous_aggregate", "policy_compression"}
    assert "policy_retention" not in jobs, "nothing is dropped that `verify` still counts"
