"""Hour and day roll-ups of observations: one name and meaning in every database mode.

TimescaleDB Community cannot be installed from Debian. Set ROADTWIN_TEST_COMMUNITY_URL to an *empty* database of such a
server (one connection at a time is enough) to run the Community migrations on it, with rows that are compressed before
the newer ones, and what is written into compressed rows. Its jobs are not run: their work is called by hand.
"""

import os
from datetime import UTC, date, datetime, timedelta

import psycopg
import pytest

from roadtwin.storage import health, queries, reprocess
from roadtwin.storage.compressed import narrow_update
from roadtwin.storage.database import DatabaseMode, connect, detect_mode
from roadtwin.storage.migrate import migrate, packaged_files, read_applied
from roadtwin.storage.reprocess import Arrival, ObservationRow
from roadtwin.types import Flag

COMMUNITY_URL = os.environ.get("ROADTWIN_TEST_COMMUNITY_URL")
CLOCKS_GO_BACK = datetime(2026, 10, 25, tzinfo=UTC)  # a local day of 25 hours in Berlin


@pytest.fixture(scope="module")
def community_db():
    """A database as migrations up to 0009 left it, with three compressed days, brought to this schema."""
    if COMMUNITY_URL is None:
        pytest.skip("ROADTWIN_TEST_COMMUNITY_URL is not set")
    with connect_alone() as conn:
        # Here and not by migrate(), which takes a second connection for it.
        conn.execute("CREATE EXTENSION IF NOT EXISTS timescaledb")
    files = packaged_files()
    migrate(COMMUNITY_URL, files={name: sql for name, sql in files.items() if name < "0010"})
    with connect_alone() as conn:
        insert_hours_of_three_days(conn)
        refresh(conn)
        compress(conn)
    migrate(COMMUNITY_URL)
    with connect_alone() as conn:
        yield conn


def connect_alone():
    """A connection that leaves nothing prepared: where there is one at a time, the next one may find it again."""
    conn = connect(COMMUNITY_URL, autocommit=True)
    conn.prepare_threshold = None
    return conn


@pytest.fixture
def compressed_db(community_db):
    """All rows compressed, all roll-ups fresh, and a limit that any careless statement exceeds."""
    compress(community_db)
    refresh(community_db)
    community_db.execute("SET timescaledb.max_tuples_decompressed_per_dml_transaction = 10")
    yield community_db
    community_db.execute("RESET timescaledb.max_tuples_decompressed_per_dml_transaction")


def refresh(conn):
    conn.execute("CALL refresh_continuous_aggregate('observation_hour', NULL, NULL)")


def compress(conn):
    conn.execute("SELECT compress_chunk(c) FROM show_chunks('observation') AS c")


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


def test_updates_are_not_narrowed_where_nothing_is_compressed(db):
    assert narrow_update(db, [2, 1]) == {"only_series": None}


def test_community_migrations_keep_compressed_rows_and_make_the_same_rollups(community_db):
    assert detect_mode(community_db) is DatabaseMode.COMMUNITY
    applied = read_applied(community_db)
    assert {row.mode for row in applied} == {DatabaseMode.COMMUNITY}
    assert len(applied) == sum(not name.endswith(".community.sql") for name in packaged_files())
    assert is_compressed(community_db) == {True}, "no migration unpacks what is there"
    check_rollups(community_db)  # made again without data: answered from the rows

    refresh(community_db)

    check_rollups(community_db)
    jobs = {name for (name,) in community_db.execute("SELECT proc_name FROM timescaledb_information.jobs")}
    assert jobs >= {"policy_refresh_continuous_aggregate", "policy_compression"}
    assert "policy_retention" not in jobs, "nothing is dropped that `verify` still counts"


def is_compressed(conn):
    return {
        row[0]
        for row in conn.execute(
            "SELECT is_compressed FROM timescaledb_information.chunks WHERE hypertable_name = 'observation'"
        )
    }


def test_rows_that_come_again_or_late_meet_compressed_ones(compressed_db):
    assert insert_observation(compressed_db, CLOCKS_GO_BACK, value=1.0, flags=0) == 0  # there already
    late = CLOCKS_GO_BACK + timedelta(minutes=11)
    assert insert_observation(compressed_db, late, value=9999.0, flags=1) == 1
    assert hour_of(compressed_db, late) == (2, 2.0)  # at once, and out of range

    after = CLOCKS_GO_BACK + timedelta(hours=1, minutes=11)
    assert insert_observation(compressed_db, after, value=4.0, flags=0) == 1
    refresh(compressed_db)
    assert hour_of(compressed_db, after) == (3, 6.0)


def hour_of(conn, at):
    return conn.execute(
        "SELECT sum(count), sum(sum) FROM observation_hour WHERE hour = date_trunc('hour', %s::timestamptz, 'UTC')",
        [at],
    ).fetchone()


def row_at(conn, at, *, value=1.0, version=1):
    series_id, device_id = conn.execute("SELECT series_id, device_id FROM series WHERE channel = ''").fetchone()
    return ObservationRow(series_id, at, value, 0, version, True, Arrival(at, device_id))


def stored_at(conn, at):
    return conn.execute(
        "SELECT value, flags, profile_version, superseded_at, message_recorded_at FROM observation "
        "WHERE observed_at = %s ORDER BY profile_version",
        [at],
    ).fetchall()


def test_superseded_rows_leave_the_rollups_after_a_refresh(compressed_db):
    at, now = CLOCKS_GO_BACK + timedelta(hours=5), datetime(2026, 11, 24, tzinfo=UTC)
    assert hour_of(compressed_db, at) == (2, 2.0)

    with compressed_db.transaction():
        assert reprocess.insert_observations(compressed_db, [row_at(compressed_db, at, value=7.0, version=2)], now) == 1
        assert reprocess.supersede_observations(compressed_db, [row_at(compressed_db, at)], now) == 1

    refresh(compressed_db)
    assert hour_of(compressed_db, at) == (2, 8.0)
    stored = [(1.0, 0, 1, now, None), (7.0, 0, 2, None, at)]
    assert stored_at(compressed_db, at) == stored
    compress(compressed_db)
    assert is_compressed(compressed_db) == {True}
    assert stored_at(compressed_db, at) == stored, "the end mark is compressed, too"
    assert hour_of(compressed_db, at) == (2, 8.0)


def test_superseding_twice_keeps_the_first_end(compressed_db):
    at, now = CLOCKS_GO_BACK + timedelta(hours=7), datetime(2026, 11, 24, tzinfo=UTC)
    for run_at in (now, now + timedelta(hours=1)):
        with compressed_db.transaction():
            reprocess.supersede_observations(compressed_db, [row_at(compressed_db, at)], run_at)
        compress(compressed_db)

    assert stored_at(compressed_db, at) == [(1.0, 0, 1, now, None)]


def test_flags_added_to_compressed_rows_leave_the_rollups_as_they_are(compressed_db):
    at = CLOCKS_GO_BACK + timedelta(hours=9)
    flags = int(Flag.RATE | Flag.STUCK)

    with compressed_db.transaction():
        assert flag(compressed_db, at, flags).rowcount == 1
    with compressed_db.transaction():
        assert flag(compressed_db, at, flags).rowcount == 0, "they are there"

    compress(compressed_db)
    assert stored_at(compressed_db, at) == [(1.0, flags, 1, None, None)]
    refresh(compressed_db)
    assert hour_of(compressed_db, at) == (2, 2.0)


def flag(conn, at, flags, explain=""):
    """As `health.flag_observations` does, but without COPY, which not every Community server at hand can do."""
    health.make_temporary_tables(conn)
    row = row_at(conn, at)
    conn.execute(
        "INSERT INTO flagged_observation (series_id, observed_at, profile_version, flags) VALUES (%s, %s, %s, %s)",
        [row.series_id, at, row.profile_version, flags],
    )
    given = {"observed_from": at, "observed_until": at} | narrow_update(conn, [row.series_id])
    return conn.execute(explain + queries.load("health")["flag_observations"], given, prepare=False)


def test_without_lifting_the_limit_an_update_fails(compressed_db):
    """What `narrow_update` is for; when this no longer fails it can go."""
    at = CLOCKS_GO_BACK + timedelta(hours=11)

    with pytest.raises(psycopg.Error, match="decompression limit"):
        compressed_db.execute("UPDATE observation SET flags = flags | 16 WHERE observed_at = %s", [at])


def test_only_the_series_that_changes_is_unpacked(compressed_db):
    at = CLOCKS_GO_BACK + timedelta(hours=11)
    with compressed_db.transaction():
        compressed_db.execute(
            "INSERT INTO series (device_id, channel, quantity) SELECT device_id, 'b', 'rain_mm' FROM device"
        )
        compressed_db.execute(
            "INSERT INTO observation (series_id, observed_at, recorded_at, value, flags, profile_version) "
            "SELECT s.series_id, %(at)s::timestamptz + n * INTERVAL '1 second', %(at)s, 2, 0, 1 "
            "FROM series AS s CROSS JOIN generate_series(-20, 20) AS n WHERE s.channel = 'b'",
            {"at": at},
        )
    compress(compressed_db)

    with compressed_db.transaction(force_rollback=True):
        plan = [row[0].strip() for row in flag(compressed_db, at, int(Flag.STUCK), "EXPLAIN (ANALYZE) ")]

    assert "Batches decompressed: 1" in plan
