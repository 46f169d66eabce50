"""Migrations on real databases: from zero, twice, at once, changed, and ahead of the code."""

import threading
from datetime import UTC, datetime, timedelta

import psycopg
import pytest

from roadtwin.errors import DatabaseUnavailableError, MigrationError
from roadtwin.storage.database import DatabaseMode, connect, detect_mode
from roadtwin.storage.migrate import check_schema, migrate, packaged_files, read_applied, read_migrations
from roadtwin.storage.network import read_register_since

ALL = [m.general.file_name.removesuffix(".sql") for m in read_migrations(packaged_files())]


def version_and_name(names):
    return [name.removesuffix(".community") for name in names]


def test_migrating_an_empty_database_applies_every_migration_in_order(empty_database_url):
    assert version_and_name(migrate(empty_database_url)) == ALL
    with connect(empty_database_url) as conn:
        check_schema(conn)


def test_migrating_again_applies_nothing(empty_database_url):
    migrate(empty_database_url)

    assert migrate(empty_database_url) == []


def test_a_dry_run_names_what_would_run_and_changes_nothing(empty_database_url):
    assert migrate(empty_database_url, dry_run=True) == ALL
    with connect(empty_database_url) as conn:
        assert conn.execute("SELECT to_regclass('schema_migration')").fetchone() == (None,)
        assert detect_mode(conn) is DatabaseMode.PLAIN  # not even the extension


def test_a_migration_changed_after_it_ran_is_refused_by_name(empty_database_url):
    files = packaged_files()
    migrate(empty_database_url, files=files)
    files["0002_device.sql"] += "\n-- one comment more\n"

    with pytest.raises(MigrationError, match=r"0002_device\.sql was changed after it ran"):
        migrate(empty_database_url, files=files)


def test_a_database_newer_than_the_code_is_refused(empty_database_url):
    files = packaged_files() | {f"{len(ALL) + 1:04d}_future.sql": "CREATE TABLE future (id integer)"}
    migrate(empty_database_url, files=files)

    with pytest.raises(MigrationError, match="made by a newer version"):
        migrate(empty_database_url)
    with connect(empty_database_url) as conn, pytest.raises(MigrationError, match="made by a newer version"):
        check_schema(conn)


def test_a_failing_migration_leaves_nothing_behind_and_is_named(empty_database_url):
    broken = {
        "0001_good.sql": "CREATE TABLE good (id integer)",
        "0002_bad.sql": "CREATE TABLE bad (id integer); SELECT 1 / 0",
    }
    with pytest.raises(MigrationError, match=r"0002_bad\.sql failed and left nothing behind: division by zero"):
        migrate(empty_database_url, files=broken)

    with connect(empty_database_url) as conn:
        assert [row.name for row in read_applied(conn)] == ["good"]
        assert conn.execute("SELECT to_regclass('bad')").fetchone() == (None,)


def test_migrators_that_start_at_once_apply_each_migration_once(empty_database_url):
    applied, failures = [], []

    def run():
        try:
            applied.append(migrate(empty_database_url))
        except Exception as exc:  # noqa: BLE001 - whatever it is, the test must see it
            failures.append(exc)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert not failures
    assert version_and_name(name for names in applied for name in names) == ALL


def test_an_unmigrated_database_is_told_how_to_be_migrated(empty_database_url):
    with connect(empty_database_url) as conn, pytest.raises(MigrationError, match="run `roadtwin migrate`"):
        check_schema(conn)


def test_a_database_behind_the_code_is_told_both_versions(empty_database_url):
    files = packaged_files()
    migrate(empty_database_url, files={name: sql for name, sql in files.items() if name < "0003"})

    with connect(empty_database_url) as conn, pytest.raises(MigrationError, match=f"at version 2.* needs {len(ALL)}"):
        check_schema(conn)


_SEGMENT = """
WITH section AS (
    INSERT INTO road_section (
        source, source_version, valid_from, source_section_id, road_class, length_m, geometry_wkb, attributes
    )
    VALUES ('reg', '1', %(at)s, %(key)s, 'residential', 100, '', '{}')
    RETURNING section_id
)
INSERT INTO segment (
    valid_from, public_id, section_id, nominal_length_m, from_station_m, to_station_m, name, district, road_class,
    length_m, geometry_wkb, bounds, mid_lon, mid_lat, attributes
)
SELECT %(at)s, %(key)s, section_id, 100, 0, 100, '', '', 'residential', 100, '', '(7,51),(7,51)', 7, 51, '{}'
FROM section
"""


def test_what_migration_22_copied_is_known_only_since_then(empty_database_url):
    files = packaged_files()
    migrate(empty_database_url, files={name: sql for name, sql in files.items() if name < "0022"})
    simulated, imported = datetime(2022, 10, 1, tzinfo=UTC), datetime.now(UTC)
    with connect(empty_database_url, autocommit=True) as conn:
        for key, at in (("simulated", simulated), ("imported", imported)):
            conn.execute(_SEGMENT, {"key": key, "at": at})
    migrate(empty_database_url, files={name: sql for name, sql in files.items() if name < "0025"})
    with connect(empty_database_url, autocommit=True) as conn:
        copied_at = next(row.applied_at for row in read_applied(conn) if row.version == 22)
        conn.execute(  # what an import since then says
            "INSERT INTO segment_attributes (segment_id, recorded_at, attributes)"
            " SELECT segment_id, %s, '{}' FROM segment",
            [copied_at + timedelta(days=1)],
        )
    migrate(empty_database_url, files=files)

    with connect(empty_database_url) as conn:
        known = conn.execute("SELECT recorded_at, known_since FROM register_edition ORDER BY recorded_at LIMIT 2")
        assert known.fetchall() == [(simulated, simulated), (imported, copied_at)]
        assert read_register_since(conn) == copied_at


def test_time_series_are_hypertables_where_timescaledb_is(db):
    mode = detect_mode(db)
    if mode is DatabaseMode.PLAIN:
        with pytest.raises(psycopg.errors.UndefinedTable):
            db.execute("SELECT FROM timescaledb_information.hypertables")
        return
    rows = db.execute(
        "SELECT hypertable_name FROM timescaledb_information.hypertables WHERE hypertable_schema = 'public'"
    )
    assert {name for (name,) in rows} >= {
        *("message", "observation", "vehicle_reading", "detection", "reading_match"),
        *("feature_row", "risk_score"),
    }


def test_rows_of_a_cloned_test_database_go_to_their_chunks(db):
    """The fixture copies a migrated database; TimescaleDB's catalogue must have survived that."""
    db.execute(
        """
        INSERT INTO vehicle_reading (
            event_id, observed_at, recorded_at, origin, vehicle_pseudonym, calibration_id, lon, lat, speed_mps,
            pass_id, camera_model, camera_version, blur, wet, light, flags
        )
        SELECT gen_random_uuid(), at, at, 'mqtt', 'v', 'c', 7.0, 51.4, 8, 'p', 'm', '1', 0, 0, 1, 0
        FROM generate_series(timestamptz '2026-01-01', '2026-01-31', '1 day') AS at
        """
    )
    assert db.execute("SELECT count(*) FROM vehicle_reading").fetchone() == (31,)
    if detect_mode(db) is not DatabaseMode.PLAIN:
        assert db.execute("SELECT count(*) > 3 FROM show_chunks('vehicle_reading')").fetchone() == (True,)


def test_sessions_run_in_utc_and_commit_synchronously_also_after_a_rollback(db):
    db.rollback()

    assert db.execute("SHOW TimeZone").fetchone() == ("UTC",)
    assert db.execute("SHOW synchronous_commit").fetchone() == ("on",)


def test_an_unreachable_database_is_named_without_its_password():
    with pytest.raises(DatabaseUnavailableError, match=r"nowhere at 127\.0\.0\.1:1 cannot be reached") as caught:
        connect("postgresql://someone:geheim@127.0.0.1:1/nowhere")

    assert "geheim" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"one.sql": ""}, "expected a name like"),
        ({"0001_a.sql": "", "0001_b.sql": ""}, "its number is also that of"),
        ({"0001_a.sql": "", "0003_b.sql": ""}, "without a gap"),
        ({"0001_a.sql": "", "0001_b.community.sql": ""}, r"there is no 0001_b\.sql"),
    ],
)
def test_migration_files_that_do_not_fit_together_are_refused_by_name(files, message):
    with pytest.raises(MigrationError, match=message):
        read_migrations(files)
