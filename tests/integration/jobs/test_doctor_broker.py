"""The doctor on real brokers with bad settings: each is found, and nothing of the probe stays behind."""

import shutil
import subprocess
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from ingest.mqtt import Session, open_client, parse_mqtt_url
from roadtwin.jobs.broker import Broker, start_broker
from roadtwin.jobs.doctor_findings import Severity
from tests.integration.jobs.conftest import GENEROUS, OwnMosquitto


def sessions_of(broker: OwnMosquitto, *client_ids: str) -> list[str]:
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


def test_the_default_queue_of_mosquitto_is_found_to_drop_what_exceeds_1000(mosquitto, doctor):
    broker = mosquitto()

    findings = doctor(broker.url, token="t1")

    assert findings["queue-limit"].severity is Severity.DANGER
    assert "1500 messages published to a probe that was away, 1000 came" in findings["queue-limit"].measured
    assert findings["session-persistence"].severity is Severity.OK
    assert findings["granted-qos"].severity is Severity.OK
    assert findings["anonymous-access"].severity is Severity.WARNING
    assert findings["broker-version"].measured.startswith("mosquitto version ")


def test_the_probe_leaves_no_session_and_nothing_retained(mosquitto, doctor):
    broker = mosquitto(GENEROUS)

    first = doctor(broker.url, token="t2", probe_messages=50)
    again = doctor(broker.url, token="t2", probe_messages=50)

    names = [f"roadtwin-doctor-t2-{part}" for part in ("hello", "anonymous", "listen", "queue", "publish", "window")]
    assert sessions_of(broker, *names) == []
    assert "probe-session" not in first
    assert again["queue-limit"].severity is Severity.OK
    assert again["retained-messages"].severity is Severity.OK


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


def test_a_broker_that_grants_qos_0_only_is_found_and_its_queue_not_called_fine(mosquitto, doctor):
    findings = doctor(mosquitto("max_qos 0").url)

    assert findings["granted-qos"].severity is Severity.DANGER
    assert "roadtwin/v1/#: QoS 0" in findings["granted-qos"].measured
    assert findings["queue-limit"].severity is Severity.UNKNOWN
    assert "QoS 0" in findings["queue-limit"].measured


def test_a_small_receive_maximum_is_found_to_be_in_force(mosquitto, doctor):
    finding = doctor(mosquitto(GENEROUS).url, mqtt_receive_maximum=20, probe_messages=300)["in-flight-limit"]

    assert finding.severity is Severity.WARNING
    assert finding.measured.startswith("20 messages are sent before one is acknowledged; 1000")
    assert "ROADTWIN_MQTT_RECEIVE_MAXIMUM" in finding.fix


def test_the_configuration_file_tells_what_no_probe_can(mosquitto, doctor):
    broker = mosquitto("persistence false\nmax_inflight_messages 20\npersistent_client_expiration 1h")

    findings = doctor(broker.url, mosquitto_conf=broker.config, probe_messages=10)

    assert findings["broker-persistence"].severity is Severity.DANGER
    assert findings["queue-limit-configured"].severity is Severity.DANGER
    assert findings["session-expiry-configured"].severity is Severity.DANGER
    assert findings["in-flight-limit-configured"].severity is Severity.WARNING
    assert findings["mosquitto-conf"].severity is Severity.OK


def test_an_account_that_may_not_publish_leaves_the_queue_unchecked_and_says_why(mosquitto, doctor, data_dir):
    acl = data_dir / "acl"
    acl.write_text("topic read roadtwin/#\ntopic read $SYS/#\n")
    acl.chmod(0o644)

    findings = doctor(mosquitto(f"acl_file {acl}").url, probe_messages=20)

    assert findings["queue-limit"].severity is Severity.UNKNOWN
    assert findings["session-persistence"].severity is Severity.UNKNOWN
    assert "Not authorized" in findings["queue-limit"].measured
    assert "roadtwin/probe/#" in findings["queue-limit"].fix


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


def test_the_probe_does_not_publish_where_the_ingester_listens(mosquitto, doctor):
    broker = mosquitto(GENEROUS)

    findings = doctor(broker.url, mqtt_topics=("roadtwin/#",))

    assert findings["queue-limit"].severity is Severity.UNKNOWN
    assert findings["in-flight-limit"].severity is Severity.UNKNOWN
    assert "roadtwin/#" in findings["queue-limit"].measured


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
