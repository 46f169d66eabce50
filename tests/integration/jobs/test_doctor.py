"""The doctor on real databases with bad settings, on parts that are away, and as a command."""

import json
import subprocess
import sys
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from roadtwin.jobs.doctor_findings import CATALOGUE, Severity
from tests.integration.jobs.conftest import GENEROUS, NOWHERE_MQTT


@pytest.mark.every_part
def test_a_database_that_cannot_be_reached_leaves_the_broker_checked(doctor, mqtt_url):
    findings = doctor(mqtt_url, probe_messages=20)

    assert findings["database-reachable"].severity is Severity.DANGER
    assert "127.0.0.1:1" in findings["database-reachable"].measured
    assert "hush" not in str(findings)
    assert findings["schema-version"].severity is Severity.UNKNOWN
    assert findings["granted-qos"].severity is Severity.OK


@pytest.mark.every_part
def test_a_broker_that_cannot_be_reached_leaves_the_database_checked(doctor, database_url):
    findings = doctor(database_url=database_url)

    assert findings["broker-reachable"].severity is Severity.DANGER
    assert findings["queue-limit"].severity is Severity.UNKNOWN
    fine = ("schema-version", "synchronous-commit", "database-writable", "write-privileges", "database-clock")
    assert {findings[name].severity for name in fine} == {Severity.OK}
    assert set(findings) == set(CATALOGUE) - {name for name in CATALOGUE if name.endswith("-configured")} - {
        "mosquitto-conf",
        "broker-autosave",
        "per-listener-settings",
        "probe-session",
    }


def test_a_server_without_fsync_is_a_danger(doctor, database_url):
    assert (
        doctor(database_url=database_url)["fsync"].severity is Severity.DANGER
    )  # that is how tests run the embedded one


def test_no_broker_and_no_database_at_all_are_dangers_by_name(doctor):
    findings = doctor(None, None)

    assert "ROADTWIN_MQTT_URL is not set" in findings["broker-reachable"].measured
    assert "ROADTWIN_DATABASE_URL is not set" in findings["database-reachable"].measured


@pytest.mark.every_part
def test_commits_that_do_not_wait_by_default_are_found_though_our_session_overrules_them(doctor, database_url, db):
    db.execute(psycopg.sql.SQL("ALTER DATABASE {} SET synchronous_commit = off").format(_database(db)))
    db.commit()

    finding = doctor(database_url=database_url)["synchronous-commit"]

    assert finding.severity is Severity.WARNING
    assert finding.measured.startswith("on in our own sessions")


@pytest.mark.every_part
def test_a_read_only_database_is_a_danger(doctor, database_url, db):
    db.execute(psycopg.sql.SQL("ALTER DATABASE {} SET default_transaction_read_only = on").format(_database(db)))
    db.commit()

    assert doctor(database_url=database_url)["database-writable"].severity is Severity.DANGER


@pytest.mark.every_part
def test_a_role_that_may_not_insert_is_found_and_what_it_lacks_named(doctor, database_url, db):
    role = f"reader_{uuid4().hex[:8]}"
    name = psycopg.sql.Identifier(role)
    db.execute(psycopg.sql.SQL("CREATE ROLE {} LOGIN PASSWORD 'read'").format(name))
    db.execute(psycopg.sql.SQL("GRANT SELECT ON ALL TABLES IN SCHEMA public TO {}").format(name))
    db.commit()
    try:
        findings = doctor(database_url=_as_role(database_url, role, "read"))
    finally:
        db.execute(psycopg.sql.SQL("DROP OWNED BY {}").format(name))
        db.execute(psycopg.sql.SQL("DROP ROLE {}").format(name))
        db.commit()

    assert findings["write-privileges"].severity is Severity.DANGER
    assert f"{role} lacks " in findings["write-privileges"].measured
    assert "message: INSERT" in findings["write-privileges"].measured
    assert "message: SELECT" not in findings["write-privileges"].measured
    assert findings["database-superuser"].severity is Severity.OK
    assert findings["schema-version"].severity is Severity.OK


@pytest.mark.every_part
def test_a_database_without_our_schema_is_a_danger_and_its_tables_not_called_fine(doctor, empty_database_url):
    findings = doctor(database_url=empty_database_url)

    assert findings["schema-version"].severity is Severity.DANGER
    assert "roadtwin migrate" in findings["schema-version"].fix
    assert findings["write-privileges"].severity is Severity.UNKNOWN
    assert findings["rejected-share"].severity is Severity.UNKNOWN


@pytest.mark.services
def test_timescaledb_tells_its_edition_and_version(doctor, database_url):
    findings = doctor(database_url=database_url)

    assert findings["database-mode"].measured == "timescaledb-apache."
    assert findings["timescaledb-version"].measured.startswith("2.")


@pytest.mark.every_part
def test_more_than_one_in_a_hundred_rejected_is_found_with_its_codes(doctor, database_url, db):
    db.execute(
        "INSERT INTO ingest_batch (worker, origin, recorded_at, received, stored, duplicate, rejected,"
        " observations_stored, observations_duplicate, observation_conflicts)"
        " VALUES ('w', 'mqtt', now(), 100, 90, 0, 10, 0, 0, 0)"
    )
    db.execute(
        "INSERT INTO rejected_message (digest, topic, payload, payload_bytes, payload_sha256, code, reason,"
        " first_seen_at, last_seen_at, count) VALUES ('\\x01', 't', '', 0, '\\x01', 'bad_json', 'r', now(), now(), 10)"
    )
    db.commit()

    finding = doctor(database_url=database_url)["rejected-share"]

    assert finding.severity is Severity.WARNING
    assert "10 of 100" in finding.measured
    assert "bad_json: 1" in finding.measured


def _database(conn: psycopg.Connection[Any]) -> psycopg.sql.Identifier:
    return psycopg.sql.Identifier(conn.info.dbname)


def _as_role(url: str, role: str, password: str) -> str:
    """The same address for another role; the embedded server trusts its socket and asks for no password."""
    parts = urlsplit(url)
    return parts._replace(netloc=f"{role}:{password}@{parts.netloc.rpartition('@')[2]}").geturl()


def _run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", "doctor", *arguments],
        capture_output=True,
        text=True,
        env={"PATH": "/usr/bin:/bin", "COLUMNS": "120", **env},
        timeout=60,
    )


def test_the_command_fails_with_the_ids_on_stderr_and_one_json_object_on_stdout(tmp_path):
    result = _run("--json", ROADTWIN_MQTT_URL=NOWHERE_MQTT, ROADTWIN_DATA_DIR=str(tmp_path))

    assert result.returncode == 1
    assert result.stderr == "roadtwin: Not safe as it is set up: broker-reachable, database-reachable.\n"
    report = json.loads(result.stdout)
    assert report["failed"] == ["broker-reachable", "database-reachable"]
    assert sum(report["counts"].values()) == len(report["findings"])
    assert set(report["findings"][0]) == {"id", "area", "severity", "measured", "why", "fix"}


def test_the_table_names_fix_and_reason_and_has_no_colour_in_a_pipe(tmp_path):
    result = _run(ROADTWIN_MQTT_URL=NOWHERE_MQTT, ROADTWIN_DATA_DIR=str(tmp_path))

    assert result.returncode == 1
    assert "\x1b" not in result.stdout
    assert "broker-reachable" in result.stdout
    assert "Fix: Start the broker" in result.stdout
    assert "2 can lose data" in result.stdout


@pytest.mark.services
def test_exit_code_0_when_nothing_can_lose_data_and_1_for_warnings_when_strict(mosquitto, database_url, tmp_path):
    broker = mosquitto(f"{GENEROUS}persistence true\npersistence_location {tmp_path}/\nautosave_interval 10")
    arguments = ("--json", "--listen-s", "0.1", "--probe-messages", "1100", "--mosquitto-conf", str(broker.config))
    env = {
        "ROADTWIN_MQTT_URL": broker.url,
        "ROADTWIN_DATABASE_URL": database_url,
        "ROADTWIN_DATA_DIR": str(tmp_path),
        "ROADTWIN_JOURNAL_MAX_MIB": "1",
    }

    relaxed, strict = _run(*arguments, **env), _run(*arguments, "--strict", **env)

    assert (relaxed.returncode, relaxed.stderr) == (0, "")
    assert json.loads(relaxed.stdout)["counts"]["danger"] == 0
    assert strict.returncode == 1
    assert "anonymous-access" in strict.stderr
