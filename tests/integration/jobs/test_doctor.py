"""The doctor on real brokers and databases with bad settings: each is found, and nothing of the probe stays behind."""

import json
import os
import shutil
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import psycopg
import pytest

from ingest.mqtt import Session, open_client, parse_mqtt_url
from roadtwin.jobs.broker import Broker, start_broker
from roadtwin.jobs.doctor import Options, examine
from roadtwin.jobs.doctor_findings import CATALOGUE, Finding, Severity
from roadtwin.settings import Settings

MOSQUITTO = shutil.which("mosquitto", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/usr/local/sbin")
needs_mosquitto = pytest.mark.skipif(MOSQUITTO is None, reason="Mosquitto is not installed on this machine")
NOWHERE_MQTT = "mqtt://127.0.0.1:1"
NOWHERE_DATABASE = "postgresql://staff:hush@127.0.0.1:1/roads"
GENEROUS = "max_inflight_messages 2000\nmax_queued_messages 1000000\n"


class _Mosquitto:
    """A Mosquitto of one test. `url` takes a user and password where it wants one."""

    def __init__(self, directory: Path, options: str, anonymous: bool) -> None:
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port: int = free.getsockname()[1]
        self.url = f"mqtt://127.0.0.1:{self.port}"
        self.log = directory / f"{self.port}.log"
        self.config = directory / f"{self.port}.conf"
        self.config.write_text(f"listener {self.port} 127.0.0.1\nallow_anonymous {str(anonymous).lower()}\n{options}\n")
        with self.log.open("wb") as log:
            self._process = subprocess.Popen([str(MOSQUITTO), "-c", str(self.config)], stderr=log, stdout=log)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert self._process.poll() is None, self.log.read_text()
            assert time.monotonic() < deadline
            time.sleep(0.02)

    def _answers(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def close(self) -> None:
        self._process.terminate()
        self._process.wait(10)


@pytest.fixture
def mosquitto(data_dir: Path) -> Iterator[Callable[..., _Mosquitto]]:
    started: list[_Mosquitto] = []

    def start(options: str = "", *, anonymous: bool = True) -> _Mosquitto:
        started.append(_Mosquitto(data_dir, options, anonymous))
        return started[-1]

    yield start
    for broker in started:
        broker.close()


@pytest.fixture
def doctor(tmp_path: Path) -> Callable[..., dict[str, Finding]]:
    """Findings by id; broker and database are nowhere unless they are given."""

    def run(
        mqtt_url: str = NOWHERE_MQTT, database_url: str | None = NOWHERE_DATABASE, **changes: Any
    ) -> dict[str, Finding]:
        names = set(Options.__dataclass_fields__)
        options = {name: changes.pop(name) for name in list(changes) if name in names}
        settings = Settings(mqtt_url=mqtt_url, database_url=database_url, data_dir=tmp_path, **changes)
        token = options.pop("token", uuid4().hex[:8])
        findings = examine(settings, Options(token=token, **({"listen_s": 0.2} | options)))
        by_id = {finding.id: finding for finding in findings}
        assert len(by_id) == len(findings)
        return by_id

    return run


def sessions_of(broker: _Mosquitto, *client_ids: str) -> list[str]:
    """Those of some client ids whose session the broker still has."""
    found = []
    for client_id in client_ids:
        present: list[bool] = []
        told = threading.Event()

        def prepare(client: Any, present: list[bool] = present, told: threading.Event = told) -> None:
            client.on_connect = lambda _c, _u, flags, _r, _p: (present.append(flags.session_present), told.set())

        client = open_client(parse_mqtt_url(broker.url), Session(client_id, expiry_s=60), prepare)
        assert told.wait(10)
        client.disconnect()
        client.loop_stop()
        found += [client_id] if present[0] else []
    return found


@needs_mosquitto
def test_the_default_queue_of_mosquitto_is_found_to_drop_what_exceeds_1000(mosquitto, doctor):
    broker = mosquitto()

    findings = doctor(broker.url, token="t1")

    assert findings["queue-limit"].severity is Severity.DANGER
    assert "1500 messages published to a probe that was away, 1000 came" in findings["queue-limit"].measured
    assert findings["session-persistence"].severity is Severity.OK
    assert findings["granted-qos"].severity is Severity.OK
    assert findings["anonymous-access"].severity is Severity.WARNING
    assert findings["broker-version"].measured.startswith("mosquitto version ")


@needs_mosquitto
def test_the_probe_leaves_no_session_and_nothing_retained(mosquitto, doctor):
    broker = mosquitto(GENEROUS)

    first = doctor(broker.url, token="t2", probe_messages=50)
    again = doctor(broker.url, token="t2", probe_messages=50)

    names = [f"roadtwin-doctor-t2-{part}" for part in ("hello", "anonymous", "listen", "queue", "publish", "window")]
    assert sessions_of(broker, *names) == []
    assert "probe-session" not in first
    assert again["queue-limit"].severity is Severity.OK
    assert again["retained-messages"].severity is Severity.OK


@needs_mosquitto
def test_a_generous_broker_is_fine(mosquitto, doctor):
    findings = doctor(mosquitto(GENEROUS).url)

    fine = (
        "broker-reachable",
        "broker-protocol",
        "granted-qos",
        "session-persistence",
        "session-expiry",
        "queue-limit",
    )
    assert {findings[name].severity for name in (*fine, "in-flight-limit", "dropped-messages")} == {Severity.OK}


@needs_mosquitto
def test_a_broker_that_grants_qos_0_only_is_found_and_its_queue_not_called_fine(mosquitto, doctor):
    findings = doctor(mosquitto("max_qos 0").url)

    assert findings["granted-qos"].severity is Severity.DANGER
    assert "roadtwin/v1/#: QoS 0" in findings["granted-qos"].measured
    assert findings["queue-limit"].severity is Severity.UNKNOWN
    assert "QoS 0" in findings["queue-limit"].measured


@needs_mosquitto
def test_a_small_receive_maximum_is_found_to_be_in_force(mosquitto, doctor):
    finding = doctor(mosquitto(GENEROUS).url, mqtt_receive_maximum=20, probe_messages=300)["in-flight-limit"]

    assert finding.severity is Severity.WARNING
    assert finding.measured.startswith("20 messages are sent before one is acknowledged; 1000")
    assert "ROADTWIN_MQTT_RECEIVE_MAXIMUM" in finding.fix


@needs_mosquitto
def test_the_configuration_file_tells_what_no_probe_can(mosquitto, doctor):
    broker = mosquitto("persistence false\nmax_inflight_messages 20\npersistent_client_expiration 1h")

    findings = doctor(broker.url, mosquitto_conf=broker.config, probe_messages=10)

    assert findings["broker-persistence"].severity is Severity.DANGER
    assert findings["queue-limit-configured"].severity is Severity.DANGER
    assert findings["session-expiry-configured"].severity is Severity.DANGER
    assert findings["in-flight-limit-configured"].severity is Severity.WARNING
    assert findings["mosquitto-conf"].severity is Severity.OK


@needs_mosquitto
def test_an_account_that_may_not_publish_leaves_the_queue_unchecked_and_says_why(mosquitto, doctor, data_dir):
    acl = data_dir / "acl"
    acl.write_text("topic read roadtwin/#\ntopic read $SYS/#\n")
    acl.chmod(0o644)

    findings = doctor(mosquitto(f"acl_file {acl}").url, probe_messages=20)

    assert findings["queue-limit"].severity is Severity.UNKNOWN
    assert findings["session-persistence"].severity is Severity.UNKNOWN
    assert "Not authorized" in findings["queue-limit"].measured
    assert "roadtwin/probe/#" in findings["queue-limit"].fix


@needs_mosquitto
def test_a_password_that_is_wanted_is_seen_and_a_wrong_one_is_named(mosquitto, doctor, data_dir):
    passwords = data_dir / "passwords"
    tool = shutil.which("mosquitto_passwd")
    if tool is None:
        pytest.skip("mosquitto_passwd is not installed on this machine")
    subprocess.run([tool, "-b", "-c", str(passwords), "road", "right"], check=True, capture_output=True)
    passwords.chmod(0o644)
    broker = mosquitto(f"password_file {passwords}\n{GENEROUS}", anonymous=False)
    address = urlsplit(broker.url).netloc

    right = doctor(f"mqtt://road:right@{address}", probe_messages=20)
    wrong = doctor(f"mqtt://road:wrong@{address}")

    assert right["anonymous-access"].severity is Severity.OK
    assert right["queue-limit"].severity is Severity.OK
    assert wrong["broker-reachable"].severity is Severity.DANGER
    assert "wrong" not in wrong["broker-reachable"].measured


@needs_mosquitto
def test_publishers_at_qos_0_and_retained_messages_are_seen(mosquitto, doctor):
    broker = mosquitto(GENEROUS)
    publisher = open_client(parse_mqtt_url(broker.url), Session("publisher"), lambda client: None)
    publisher.publish("roadtwin/v1/sensors/kept/readings", b"[]", qos=1, retain=True).wait_for_publish(10)
    stop = threading.Event()

    def keep_publishing() -> None:
        while not stop.wait(0.02):
            publisher.publish("roadtwin/v1/sensors/x/readings", b"[]", qos=0)

    thread = threading.Thread(target=keep_publishing)
    thread.start()
    try:
        findings = doctor(broker.url, listen_s=0.5, probe_messages=10)
    finally:
        stop.set()
        thread.join()
        publisher.disconnect()
        publisher.loop_stop()

    assert findings["publisher-qos"].severity is Severity.WARNING
    assert "roadtwin/v1/sensors/x/readings" in findings["publisher-qos"].measured
    assert findings["retained-messages"].measured.startswith("1 retained")


@needs_mosquitto
def test_the_probe_does_not_publish_where_the_ingester_listens(mosquitto, doctor):
    broker = mosquitto(GENEROUS)

    findings = doctor(broker.url, mqtt_topics=("roadtwin/#",))

    assert findings["queue-limit"].severity is Severity.UNKNOWN
    assert findings["in-flight-limit"].severity is Severity.UNKNOWN
    assert "roadtwin/#" in findings["queue-limit"].measured


@needs_mosquitto
def test_the_ingesters_own_session_stays_connected_while_the_doctor_looks(mosquitto, doctor):
    broker = mosquitto(GENEROUS)
    lost: list[str] = []

    def prepare(client: Any) -> None:
        client.on_disconnect = lambda _c, _u, _f, reason, _p: lost.append(str(reason)) if reason.is_failure else None

    ours = open_client(parse_mqtt_url(broker.url), Session("the-ingester", expiry_s=60), prepare)
    doctor(broker.url, mqtt_client_id="the-ingester", probe_messages=20)
    connected = ours.is_connected()
    ours.disconnect()
    ours.loop_stop()

    assert connected
    assert lost == []


@pytest.fixture
def embedded_broker(data_dir: Path) -> Iterator[Broker]:
    pytest.importorskip("iotcore")
    with start_broker(data_dir / "iotcore", kind="iotcore") as broker:
        yield broker


def test_a_broker_that_closes_the_connection_on_sys_topics_is_probed_in_all_else(doctor, embedded_broker):
    findings = doctor(embedded_broker.url, probe_messages=150)

    assert findings["broker-protocol"].severity is Severity.OK
    assert findings["broker-version"].severity is Severity.UNKNOWN
    assert findings["dropped-messages"].severity is Severity.UNKNOWN
    assert findings["granted-qos"].severity is Severity.OK
    assert findings["queue-limit"].severity is Severity.OK
    assert findings["in-flight-limit"].measured.startswith("100 messages")


@pytest.mark.slow
def test_a_broker_with_mqtt_3_1_1_only_is_probed_too(doctor, embedded_broker):
    findings = doctor(embedded_broker.url_v311, probe_messages=150)

    assert findings["broker-protocol"].severity is Severity.WARNING
    assert findings["session-expiry"].severity is Severity.UNKNOWN
    assert findings["granted-qos"].severity is Severity.OK
    assert findings["queue-limit"].severity is Severity.OK
    assert findings["in-flight-limit"].severity is Severity.WARNING


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


@needs_mosquitto
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
