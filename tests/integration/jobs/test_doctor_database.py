"""What the doctor asks a database, answered by real ones in every mode that is here."""

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import psycopg
import pytest

from roadtwin.storage.database import connect
from roadtwin.storage.doctor import DatabaseProbe, DeviceTimes, SilentDevices, probe_database
from roadtwin.types import Flag

pytestmark = pytest.mark.every_part

NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def probe(url: str, **options: Any) -> DatabaseProbe:
    return probe_database(url, clock=lambda: NOW, **options)


def insert_message(
    db: psycopg.Connection[Any], at: datetime, delay_s: float, clock: str = "network_server", *, retained: bool = False
) -> None:
    db.execute(
        "INSERT INTO message (message_id, observed_at, recorded_at, clock, format, event_kind, origin, retained, flags,"
        " topic, payload) VALUES (%s, %s, %s, %s, 'chirpstack-v4-json', 'up', 'mqtt', %s, 0, 't', '')",
        [uuid4(), at, at + timedelta(seconds=delay_s), clock, retained],
    )


def test_every_question_is_answered_by_a_migrated_database(database_url):
    found = probe(database_url)

    assert found.not_checked == {}
    assert (found.missing_privileges, found.idle_sessions, found.received, found.rejected) == ((), 0, 0, 0)
    assert found.schema_problem is None
    assert (found.size_bytes or 0) > 1_000_000
    assert (found.connections_used or 0) >= 1


def test_the_clock_of_the_database_is_compared_with_ours(database_url):
    ahead = probe_database(database_url, clock=lambda: datetime.now(UTC) - timedelta(seconds=90))
    right = probe_database(database_url, clock=lambda: datetime.now(UTC))

    assert 89 < (ahead.clock_offset_s or 0) < 91
    assert abs(right.clock_offset_s or 9) < 1


def test_the_delay_from_the_network_server_counts_only_its_own_times_of_the_last_day(database_url, db):
    insert_message(db, NOW - timedelta(minutes=3), 0.5)
    insert_message(db, NOW - timedelta(minutes=2), 1.5)
    insert_message(db, NOW - timedelta(minutes=1), -2.0)
    insert_message(db, NOW - timedelta(minutes=1), 500.0, "device")
    insert_message(db, NOW - timedelta(minutes=1), 500.0, retained=True)
    insert_message(db, NOW - timedelta(hours=25), 500.0)
    db.commit()

    delay = probe(database_url).delay

    assert delay is not None
    assert (delay.messages, delay.least_s, delay.median_s) == (3, -2.0, 0.5)


def test_a_session_of_ours_that_is_idle_in_a_transaction_is_counted_and_that_of_others_is_not(database_url):
    with (
        connect(database_url, application_name="roadtwin test") as ours,
        connect(database_url, application_name="somebody else") as theirs,
    ):
        ours.execute("SELECT 1")
        theirs.execute("SELECT 1")
        now, later = probe(database_url, idle_after_s=0), probe(database_url)

    assert now.idle_sessions == 1
    assert later.idle_sessions == 0  # not for long enough


def test_silent_is_a_confirmed_device_that_is_overdue_by_its_own_interval(database_url, db):
    def device(name: str, interval_s: float | None, away_s: float, status: str = "confirmed") -> None:
        seen_at = NOW - timedelta(seconds=away_s)
        row = db.execute(
            "INSERT INTO device (network_source, application, device, status, first_seen_at, last_seen_at)"
            " VALUES ('chirpstack', 'a', %s, %s, %s, %s) RETURNING device_id",
            [name, status, seen_at, seen_at],
        ).fetchone()
        assert row is not None
        db.execute(
            "INSERT INTO device_health (device_id, messages, uplinks, last_message_at, interval_s, interval_count,"
            " frames_missing, counter_falls, rejoins, repeated_counters, retransmissions, recent_frames,"
            " recent_missing, recent_frames_at, recent_f_cnts, recent_joins_at, clock_skew_weight, clock_skew_count,"
            " rssi_weight, gateways_weight, battery_low, digested_at)"
            " VALUES (%s, 9, 9, %s, %s, 8, 0, 0, 0, 0, 0, 9, 0, '{}', '{}', '{}', 0, 0, 0, 0, false, %s)",
            [row[0], seen_at, interval_s, NOW],
        )

    device("sends every 20 min and is away for less than two hours", 1200, 7100)
    device("sends every 20 min and is away for more", 1200, 7300)
    device("sends every hour and is away for less than three", 3600, 10_700)
    device("sends every hour and is away for more", 3600, 10_900)
    device("nobody knows how often", None, 10 * 86400)
    device("not confirmed", 60, 10 * 86400, "unconfirmed")
    db.commit()

    assert probe(database_url).silent == SilentDevices(devices=5, judged=4, silent=2)


def insert_values(
    db: psycopg.Connection[Any],
    name: str,
    flags: list[Flag],
    *,
    source: str = "senml",
    status: str = "confirmed",
    arrived: timedelta = timedelta(hours=2),
    observed: timedelta | None = None,
    **more: datetime,
) -> None:
    """A device with a value for each of the flags; `arrived` and `observed` are how long before now."""
    row = db.execute(
        "WITH d AS (INSERT INTO device (network_source, application, device, status) VALUES (%s, '', %s, %s)"
        " RETURNING device_id) INSERT INTO series (device_id, channel, quantity)"
        " SELECT device_id, '', 'surface_temp_c' FROM d RETURNING series_id",
        [source, name, status],
    ).fetchone()
    assert row is not None
    columns = "".join(f", {column}" for column in more)
    for number, flag in enumerate(flags):
        at = NOW - (observed or arrived) + timedelta(minutes=number)
        db.execute(
            f"INSERT INTO observation (series_id, observed_at, recorded_at, value, flags, profile_version{columns})"
            f" VALUES (%s, %s, %s, 3, %s, 1{', %s' * len(more)})",
            [row[0], at, NOW - arrived, int(flag), *more.values()],
        )


def test_devices_are_named_most_of_whose_values_of_the_last_day_have_no_trusted_time(database_url, db):
    bad = [Flag.CLOCK, Flag.SKEW | Flag.LATE, Flag.NONE]
    long_ago = NOW - timedelta(days=9)
    insert_values(db, "two of three", bad)
    insert_values(db, "one of two", [Flag.CLOCK, Flag.NONE])
    insert_values(db, "other flags", [Flag.RANGE | Flag.LATE] * 2)
    insert_values(db, "not confirmed", bad, status="unconfirmed")
    insert_values(db, "of the day before", bad, arrived=timedelta(hours=25))
    insert_values(db, "replaced since", bad, superseded_at=NOW)
    insert_values(db, "measured anew", bad, message_recorded_at=long_ago)
    insert_values(db, "GPS", [Flag.SKEW] * 2, source="chirpstack-v4", observed=timedelta(days=730))
    db.commit()

    assert probe(database_url).device_times == DeviceTimes(
        devices=4, untimed=2, names=("two of three", "GPS"), timeless_sources=("senml",), wrong_clocks=True
    )


def test_the_first_devices_alone_are_named_and_their_sources_all(database_url, db):
    for number in range(6):
        insert_values(db, f"{number}", [Flag.CLOCK], source="chirpstack-v3" if number == 5 else "senml")
    db.commit()

    assert probe(database_url).device_times == DeviceTimes(
        devices=6, untimed=6, names=("0", "1", "2", "3", "4"), timeless_sources=("chirpstack-v3", "senml")
    )


def test_without_values_of_the_last_day_no_device_is_judged(database_url):
    assert probe(database_url).device_times == DeviceTimes(devices=0, untimed=0)


def test_a_role_that_may_read_nothing_leaves_the_rest_answered(database_url, db):
    role = f"stranger_{uuid4().hex[:8]}"
    name = psycopg.sql.Identifier(role)
    db.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN").format(name))
    db.commit()
    try:
        with connect(database_url, autocommit=True) as conn:
            conn.execute(psycopg.sql.SQL("ALTER DATABASE {} SET role = {}").format(_database(db), name))
        found = probe(database_url)
    finally:
        with connect(database_url, autocommit=True) as conn:
            conn.execute("SET ROLE NONE")
            conn.execute(psycopg.sql.SQL("ALTER DATABASE {} RESET role").format(_database(db)))
            conn.execute(psycopg.sql.SQL("DROP ROLE {}").format(name))

    assert {"read_accounts", "read_rejection_codes", "read_network_delay", "schema"} <= set(found.not_checked)
    assert found.received is None
    assert found.settings is not None
    assert found.role is not None
    assert found.role["superuser"] is False
    assert "message: INSERT" in (found.missing_privileges or ())


def _database(conn: psycopg.Connection[Any]) -> psycopg.sql.Identifier:
    return psycopg.sql.Identifier(conn.info.dbname)
