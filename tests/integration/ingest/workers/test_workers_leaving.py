"""Retiring by hand, members that are absent, and what is refused."""

import json
import socket
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest
from prometheus_client import REGISTRY
from structlog.testing import capture_logs

from ingest import retiring
from ingest.journal import open_journal
from ingest.leaving import end_session
from ingest.membership import Membership
from ingest.mqtt import Session, open_client, parse_mqtt_url
from ingest.received import Received
from ingest.retiring import find_superfluous, retire
from roadtwin.errors import SettingsError, WorkerAliveError
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.workers import Heartbeat, WorkerCounts, write_heartbeat
from tests.integration.ingest.conftest import open_publisher, publish_all, wait_for
from tests.integration.ingest.mosquitto import OwnMosquitto, needs_mosquitto
from tests.integration.ingest.receiving import open_receiver, take
from tests.integration.ingest.workers.rig import (
    Command,
    stored,
    wait_until_stored,
    workers,
)

TOPIC = "roadtwin/v1/#"
NOBODY = WorkerCounts(0, 0, 0, 0, 0, 0, 0, 0, 0)


@pytest.fixture
def database_url(one_database_url: str) -> str:
    return one_database_url


@pytest.fixture
def settings(data_dir: Path) -> Settings:
    return Settings(data_dir=data_dir, mqtt_client_id="essen", mqtt_topics=(TOPIC,))


def park(broker: OwnMosquitto, *names: str, share_group: str | None = "essen") -> None:
    """Sessions that were begun and left."""
    for name in names:
        open_receiver(broker.url, name, TOPIC, share_group=share_group).close()


def note(
    conn: psycopg.Connection, name: str, *, host: str = "elsewhere", connected: bool = False, pid: int = 1
) -> None:
    write_heartbeat(conn, Heartbeat(name, "essen", host, pid, datetime.now(UTC), connected, NOBODY))


def has_session(broker: OwnMosquitto, name: str) -> bool:
    present: list[bool] = []

    def prepare(client):
        client.on_connect = lambda _client, _userdata, flags, _reason, _properties: present.append(
            flags.session_present
        )

    client = open_client(parse_mqtt_url(broker.url), Session(name, expiry_s=60, manual_ack=True), prepare)
    client.disconnect()
    client.loop_stop()
    return present[0]


def retire_soon(settings: Settings, database_url: str, broker: OwnMosquitto, name: str) -> None:
    retire(settings, database_url, broker.url, name, threading.Event())


@needs_mosquitto
def test_a_worker_that_is_retired_leaves_its_messages_and_its_journal_and_no_session(
    settings, broker, stream, database_url
):
    park(broker, "essen-1", "essen-2")
    stream.publish(40)
    arrived_at = datetime.now(UTC) - timedelta(days=2)
    reading = json.dumps([{"n": "air_temp_c", "v": 1, "t": arrived_at.timestamp()}]).encode()
    journal = open_journal(settings.model_copy(update={"mqtt_client_id": "essen-2"}))
    assert journal is not None
    journal.append([Received("roadtwin/v1/sensors/j/readings", reading, arrived_at, False, False, 0, 0, 0)])
    journal.close()
    without_journals = settings.model_copy(update={"journal_max_mib": 0})
    assert find_superfluous(settings, database_url, ["essen"]) == ["essen-2"]  # known by its journal alone

    retire_soon(without_journals, database_url, broker, "essen-2")

    row = workers(database_url, retired=True)["essen-2"]
    assert workers(database_url) == {}
    assert stored(database_url) == row.stored == row.received + 1 > 1
    assert (row.journal_found, row.journalled, row.in_process) == (1, 0, 0)
    assert not has_session(broker, "essen-2")
    assert find_superfluous(settings, database_url, ["essen"]) == []

    stream.publish(40)  # all for the other one now
    retire_soon(settings, database_url, broker, "essen-1")
    retire_soon(settings, database_url, broker, "essen-1")  # again, as after a kill

    assert stored(database_url) == stream.published + 1
    assert not has_session(broker, "essen-1")


def test_an_ingester_that_is_only_called_like_a_worker_is_not_superfluous(settings, database_url):
    journal = open_journal(settings.model_copy(update={"mqtt_client_id": "essen-2"}))
    assert journal is not None
    journal.close()
    with connect(database_url) as conn:
        beat = Heartbeat("essen-2", "essen-2", "elsewhere", 1, datetime.now(UTC), False, NOBODY)
        write_heartbeat(conn, beat)

    assert find_superfluous(settings, database_url, ["essen"]) == []


@needs_mosquitto
def test_retiring_that_was_interrupted_is_done_again_from_the_start(settings, broker, stream, database_url):
    park(broker, "essen-1")
    stream.publish(10)
    receiver = open_receiver(broker.url, "essen-1", TOPIC, share_group="essen")
    receiver.unsubscribe()
    receiver.close()  # as a kill would, with everything received and nothing stored

    retire_soon(settings, database_url, broker, "essen-1")

    wait_until_stored(database_url, stream)
    assert not has_session(broker, "essen-1")


@needs_mosquitto
def test_a_worker_that_runs_is_not_retired_and_one_whose_machine_is_silent_is(
    settings, broker, database_url, monkeypatch
):
    monkeypatch.setattr(retiring, "GONE_AFTER_S", 1.0)
    park(broker, "essen-1")
    with connect(database_url) as conn:
        note(conn, "essen-1", connected=True)
        beating = threading.Timer(0.4, note, [conn, "essen-1"], {"connected": True})
        beating.start()
        with pytest.raises(WorkerAliveError, match=r"essen-1 runs on elsewhere \(process 1\)"):
            retire_soon(settings, database_url, broker, "essen-1")
        beating.join()

    assert has_session(broker, "essen-1")
    retire_soon(settings, database_url, broker, "essen-1")

    assert not has_session(broker, "essen-1")


@needs_mosquitto
def test_a_client_id_that_is_none_of_ours_is_not_retired(settings, broker, database_url):
    with pytest.raises(SettingsError, match="'hagen-1' to retire, expected a worker that the database knows"):
        retire_soon(settings, database_url, broker, "hagen-1")


@pytest.mark.parametrize("version", ["5", "3.1.1"])
def test_a_session_ends_only_when_nothing_is_left_in_it(version, iotcore_broker):
    url = iotcore_broker.url if version == "5" else iotcore_broker.url_v311
    topic, name = f"leaving/{version}", f"leaving-{version}"
    address, session = parse_mqtt_url(url), Session(name, expiry_s=300, manual_ack=True)
    open_receiver(url, name, topic).close()
    publisher = open_publisher(url)
    publish_all(publisher, [(topic, b"1")])
    publisher.disconnect()
    publisher.loop_stop()

    assert not end_session(address, session)

    receiver = open_receiver(url, name, topic)
    receiver.acknowledge(take(receiver, 1))
    receiver.unsubscribe()
    receiver.close()
    assert end_session(address, session)
    receiver = open_receiver(url, name, topic)
    receiver.close()
    assert [present for _, present in receiver.session_history] == [False]
    end_session(address, session)


def test_an_absent_member_is_reported_once_by_those_that_are_there_and_once_when_it_is_back(database_url):
    def member(number: int) -> Membership:
        name = f"essen-{number}"
        membership = Membership(
            database_url, name, "essen", in_process=lambda: 0, heartbeat_s=0.1, absent_after_s=1, missed_s=1
        )
        membership.start()
        return membership

    def absent() -> float | None:
        return REGISTRY.get_sample_value("roadtwin_ingest_absent_workers")

    with capture_logs() as logs:
        members = [member(1), member(2), member(3)]
        wait_for(lambda: len(workers(database_url)) == 3)
        members[1].close()
        wait_for(lambda: absent() == 1)
        time.sleep(0.5)  # the others see it, too
        members.append(member(2))
        wait_for(lambda: absent() == 0)
        for running in members:
            running.close()

    told = [(event["action"], event["worker"]) for event in logs]
    assert told == [("worker_absent", "essen-2"), ("worker_back", "essen-2")]
    assert logs[0]["share"] == "about 1 in 3"


@needs_mosquitto
def test_two_ingesters_with_the_same_workers_are_refused_by_name(broker, data_dir, database_url):
    parts = {"MQTT_URL": broker.url, "DATABASE_URL": database_url}
    both = [Command(data_dir / name, "--workers", "2", **parts) for name in ("one", "two")]

    wait_for(lambda: any(command.process.poll() is not None for command in both), within_s=40)
    refused = next(command for command in both if command.process.poll() is not None)
    for command in both:
        if command.process.poll() is None:
            command.stop()  # it may be about to refuse, too

    assert refused.process.returncode == 1
    assert "refused to run, so all were stopped" in refused.sentence()
    assert "two processes use the client id 'essen-" in refused.sentence()


@needs_mosquitto
def test_a_database_without_schema_is_refused_at_once(ingest, embedded_server):
    name, url = embedded_server.create()
    command = ingest(url, "--workers", "2")
    code = command.process.wait(30)
    embedded_server.drop(name)

    assert code == 1
    assert "roadtwin migrate" in command.sentence()


@needs_mosquitto
def test_a_metrics_port_that_is_taken_is_named(ingest, database_url):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        command = ingest(database_url, "--workers", "2", METRICS_PORT=port)
        assert command.process.wait(30) == 1

    assert f"ROADTWIN_METRICS_PORT: port {port} of 127.0.0.1 cannot be taken" in command.sentence()
