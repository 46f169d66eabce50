"""Publishing to a real broker: counted, paced, stopped cleanly."""

import hashlib
import json
import signal
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from ingest.mqtt import Session, open_client, parse_mqtt_url
from roadtwin.errors import BrokerUnavailableError, SettingsError
from roadtwin.manifest import read_manifest
from simulators.feed import FeedBlock, TimedMessage
from simulators.instants import us_of
from simulators.publish import Pacing, publish_feed

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def topic():
    return f"simulators-test/{uuid4().hex}"


@pytest.fixture
def witness(mqtt_url):
    """Subscribe with a client of its own; gives the list that its payloads come into."""
    clients = []

    def subscribe(topic_filter):
        payloads, subscribed = [], threading.Event()

        def prepare(client):
            client.on_message = lambda _client, _userdata, message: payloads.append(message.payload)
            client.on_subscribe = lambda *_: subscribed.set()

        clients.append(open_client(parse_mqtt_url(mqtt_url), Session(f"witness-{uuid4().hex[:8]}"), prepare))
        clients[-1].subscribe(topic_filter, qos=1)
        assert subscribed.wait(10)
        return payloads

    yield subscribe
    for client in clients:
        client.disconnect()
        client.loop_stop()


def feed(topic, count, step=timedelta(seconds=1)):
    return [TimedMessage(NOW + i * step, f"{topic}/{i % 3}", f"payload {i}".encode()) for i in range(count)]


def blocks(sent):
    at_us = np.array([us_of(message.publish_at) for message in sent], np.int64)
    return [FeedBlock(at_us, [message.topic for message in sent], [message.payload for message in sent])]


def until(condition, seconds=10.0):
    deadline = time.monotonic() + seconds
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def test_everything_is_confirmed_and_arrives(mqtt_url, topic, witness):
    received, sent = witness(f"{topic}/#"), feed(topic, 3000)

    result = publish_feed(
        parse_mqtt_url(mqtt_url), blocks(sent), Pacing(None), stop=threading.Event(), keep_digests=True
    )  # fmt: skip

    assert (result.published, result.confirmed, result.newest_at) == (3000, 3000, sent[-1].publish_at)
    assert result.payload_sha256 == tuple(hashlib.sha256(message.payload).digest() for message in sent)
    assert until(lambda: len(received) == 3000)
    assert sorted(received) == sorted(message.payload for message in sent)


def test_speed_and_rate_set_the_pace(mqtt_url, topic):
    address = parse_mqtt_url(mqtt_url)
    began = time.monotonic()
    publish_feed(address, blocks(feed(topic, 11)), Pacing(10.0), stop=threading.Event())
    faster = time.monotonic()
    publish_feed(address, blocks(feed(topic, 31)), Pacing(None, rate_per_s=30.0), stop=threading.Event())

    assert faster - began > 0.95  # 10 s of feed at ten times the speed
    assert time.monotonic() - faster > 0.95  # 30 intervals at 30 a second


def test_what_is_past_in_real_time_goes_out_at_once_and_what_is_not_waits(mqtt_url, topic):
    soon = datetime.now(UTC) + timedelta(seconds=1)
    sent = [*feed(topic, 50), TimedMessage(soon, topic, b"later")]

    result = publish_feed(parse_mqtt_url(mqtt_url), blocks(sent), Pacing(1.0), stop=threading.Event())

    assert result.confirmed == 51
    assert datetime.now(UTC) >= soon


def test_a_stop_ends_the_wait_and_accounts_for_what_went_out(mqtt_url, topic):
    stop = threading.Event()
    threading.Timer(0.5, stop.set).start()
    began = time.monotonic()

    result = publish_feed(parse_mqtt_url(mqtt_url), blocks(feed(topic, 100)), Pacing(0.5), stop=stop, keep_digests=True)

    assert time.monotonic() - began < 10
    assert result.published == result.confirmed == len(result.payload_sha256) < 5


def test_no_broker_is_said_at_once():
    with pytest.raises(BrokerUnavailableError, match=r"127\.0\.0\.1:1 cannot be reached"):
        publish_feed(parse_mqtt_url("mqtt://127.0.0.1:1"), [], Pacing(), stop=threading.Event())


@pytest.mark.parametrize(
    ("speed", "rate", "sentence"),
    [(0.0, None, "Speed: got 0"), (-1.0, None, "Speed"), (float("nan"), None, "Speed"), (1.0, 0.0, "Rate: got 0")],
)
def test_an_impossible_pace_is_refused(speed, rate, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Pacing(speed, rate)


def command(*arguments):
    return [sys.executable, "-m", "roadtwin.cli.main", "simulate", "--km", "8", "--epoch", "2025-12-01", *arguments]


def test_the_command_publishes_a_period_and_writes_its_manifest(mqtt_url, tmp_path):
    manifest = tmp_path / "sent.json"
    done = subprocess.run(
        command(
            "--from", "2026-01-15T06:00:00+01:00", "--duration", "2h", "--as-fast-as-possible", "--mqtt-url", mqtt_url,
            "--manifest", str(manifest), "--json",
        ),
        capture_output=True, text=True, timeout=120,
    )  # fmt: skip

    assert done.returncode == 0, done.stderr
    counts = json.loads(done.stdout)
    assert counts["published"] == counts["confirmed"] == len(read_manifest(manifest).payload_sha256) > 20


def test_the_command_runs_until_it_is_told_to_stop(mqtt_url, witness):
    received = witness("roadtwin/v1/sensors/#")
    running = subprocess.Popen(
        command("--mqtt-url", mqtt_url, "--speed", "200", "--from", "2026-01-15T06:00:00+01:00", "--json"),
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert until(lambda: received, 60)
    running.send_signal(signal.SIGTERM)
    out, err = running.communicate(timeout=30)

    assert running.returncode == 0, err
    counts = json.loads(out)
    assert counts["published"] == counts["confirmed"] > 0
