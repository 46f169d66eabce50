"""The database is stopped, killed, locked, made read-only and filled up: nothing lost, nothing stored twice."""

import time

import psycopg
import pytest

from tests.faults.databases import execute
from tests.faults.processes import wait_for
from tests.faults.rig import Rig


@pytest.mark.parametrize("how", ["fast", "immediate", "kill"])
def test_a_database_restarted_in_the_middle_of_a_copy_loses_nothing(make_rig, how):
    rig = make_rig()
    rig.ingester.start()
    rig.stream.publish(100)
    rig.wait_for_rows(100)
    rig.postgres.set_trap("hold in COPY")
    rig.stream.publish(300)
    assert rig.postgres.wait_until_sprung()
    rig.server.stop(how)
    rig.postgres.release()
    rig.server.start()
    rig.stream.publish(100)
    result = rig.end_and_reckon()

    assert result.problems == []


def test_a_database_killed_right_after_a_commit_has_kept_it(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.postgres.set_trap("hold after COMMIT")
    rig.stream.publish(100)
    assert rig.postgres.wait_until_sprung()
    rig.server.stop("kill")
    rig.postgres.cut()
    rig.postgres.release()
    rig.server.start()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert result.report.accounts.duplicate > 0


def test_a_database_that_turns_read_only_is_waited_for(make_rig):
    rig = make_rig()
    rig.ingester.start()
    rig.stream.publish(50)
    rig.wait_for_rows(50)
    execute(
        rig.admin_url(),
        f"ALTER DATABASE {rig.database} SET default_transaction_read_only = on",
        _throw_out(rig),  # a failover ends the sessions too
    )
    rig.stream.publish(100)
    wait_for(lambda: "25006" in rig.ingester.log.read_text() or _is_waiting(rig), "its refusal")
    rows = rig.rows()
    execute(rig.admin_url(), f"ALTER DATABASE {rig.database} RESET default_transaction_read_only")
    result = rig.end_and_reckon()

    assert rows == 50
    assert result.problems == []


def test_a_server_that_turns_read_only_under_open_sessions_is_waited_for(make_any_rig):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.publish(50)
    rig.wait_for_rows(50)
    try:
        execute(rig.admin_url(), "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()")
        time.sleep(0.3)
        rig.stream.publish(100)
        wait_for(lambda: _is_waiting(rig), "its refusal")
    finally:
        execute(
            rig.admin_url(),
            "SET default_transaction_read_only = off",
            "ALTER SYSTEM RESET default_transaction_read_only",
            "SELECT pg_reload_conf()",
        )
    result = rig.end_and_reckon()

    assert result.problems == []


@pytest.mark.slow
def test_a_full_disk_of_the_database_is_waited_for(make_any_rig, mount_tiny):
    rig = make_any_rig()
    rig.ingester.start()
    rig.stream.publish(50)
    rig.wait_for_rows(50)
    folder, path_there = rig.server.folder_for_tablespace()
    resize = mount_tiny(folder, "256k")
    execute(rig.admin_url(), f"CREATE TABLESPACE {rig.database} LOCATION '{path_there}'")
    try:
        execute(
            rig.admin_url(rig.database),
            f"ALTER TABLE ingest_batch SET TABLESPACE {rig.database}",
            "CREATE TABLE filling (filled bytea) TABLESPACE " + rig.database,
            "ALTER TABLE filling ALTER filled SET STORAGE EXTERNAL",
        )
        _fill(rig)
        full = _messages_until_full(rig)
        resize("16m")
        result = rig.end_and_reckon()
    finally:
        rig.ingester.kill()
        execute(
            rig.admin_url(rig.database),
            "DROP TABLE filling",
            "ALTER TABLE ingest_batch SET TABLESPACE pg_default",
        )
        execute(rig.admin_url(), f"DROP TABLESPACE {rig.database}")

    assert full
    assert result.problems == []


def test_a_disk_that_the_server_calls_full_is_waited_for(make_any_rig):
    """SQLSTATE 53100 as the server raises it, where a small disk cannot be mounted."""
    rig = make_any_rig()
    _raise_for_every_batch(rig, "53100")
    rig.ingester.start()
    rig.stream.publish(100)
    wait_for(lambda: _is_waiting(rig), "its waiting")
    assert rig.rows() == 0
    execute(rig.admin_url(rig.database), "DROP TRIGGER refuse ON ingest_batch")
    result = rig.end_and_reckon()

    assert result.problems == []


def test_a_poison_row_in_a_batch_of_500_is_kept_as_rejected_and_the_other_499_are_stored(make_rig):
    rig = make_rig(BATCH_MAX_MESSAGES="500", BATCH_MAX_WAIT_MS="5000")
    poison = 250  # an uplink, number 250 of 0 … 499
    execute(
        rig.admin_url(rig.database),
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            IF NEW.f_cnt = {poison} THEN
                RAISE EXCEPTION 'value out of range' USING ERRCODE = '22003';
            END IF;
            RETURN NEW;
        END $$""",
        "CREATE TRIGGER refuse BEFORE INSERT ON message FOR EACH ROW EXECUTE FUNCTION refuse()",
    )
    rig.ingester.start()
    rig.ingester.freeze()
    rig.stream.publish(500)  # all there when it goes on: one batch
    rig.ingester.thaw()
    result = rig.end_and_reckon()

    assert result.problems == []
    with rig.straight() as conn:
        found = conn.execute(
            "SELECT code, payload, reason FROM rejected_message WHERE code LIKE 'sqlstate%'"
        ).fetchall()
        ((stored,),) = conn.execute("SELECT count(*) FROM message").fetchall()
    assert [code for code, _, _ in found] == ["sqlstate_22003"]
    assert b"run-250" in bytes(found[0][1])  # its raw bytes
    assert "22003" in found[0][2]
    assert stored == 500 - 25 - 1  # without those that no decoder takes


@pytest.mark.slow
def test_a_database_slower_than_the_keep_alive_does_not_cost_the_connection_to_the_broker(make_any_rig):
    rig = make_any_rig(JOURNAL_MAX_MIB="0")
    rig.ingester.start()
    rig.stream.publish(50)
    rig.wait_for_rows(50)
    with rig.straight() as conn:
        conn.execute("LOCK TABLE message IN ACCESS EXCLUSIVE MODE")
        rig.stream.publish(100)
        time.sleep(12)
        assert rig.mqtt.acknowledged <= 50
        conn.rollback()
    result = rig.end_and_reckon()

    assert result.problems == []
    assert rig.mqtt.connections == 1
    assert rig.mqtt.redeliveries == 0


def _throw_out(rig: Rig) -> str:
    return f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{rig.database}'"


def _is_waiting(rig: Rig) -> bool:
    return "database_away" in rig.ingester.actions()


def _raise_for_every_batch(rig: Rig, sqlstate: str) -> None:
    execute(
        rig.admin_url(rig.database),
        f"""CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN
            RAISE EXCEPTION 'no space left on device' USING ERRCODE = '{sqlstate}';
        END $$""",
        "CREATE TRIGGER refuse BEFORE INSERT ON ingest_batch FOR EACH ROW EXECUTE FUNCTION refuse()",
    )


def _fill(rig: Rig) -> None:
    """Take all of the small disk but the page that is in use."""
    for _ in range(100):
        try:
            execute(rig.admin_url(rig.database), "INSERT INTO filling VALUES (repeat('x', 6000)::bytea)")
        except psycopg.errors.DiskFull:
            return
    raise AssertionError("the small disk is not full")


def _messages_until_full(rig: Rig) -> bool:
    """Publish batches until the page of accounts that is in use is full as well."""
    for _ in range(150):
        rig.stream.publish(20)
        time.sleep(0.02)
        if _is_waiting(rig):
            return True
    return False
