"""Recording live feeds and playing them again, with real brokers, kills and restarts."""

import json
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import defaultdict
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import pytest
from typer.testing import CliRunner

from ingest.formats.examples import AT, EXAMPLES
from ingest.mqtt import parse_mqtt_url
from ingest.publisher import Publisher
from ingest.recording import RecordedMessage, RecordingWriter, read_info, read_recording
from roadtwin.cli.record import app as record_app
from roadtwin.cli.replay import app as replay_app
from roadtwin.errors import BrokerUnavailableError, RecordingError, ReplayError, RoadtwinError
from roadtwin.jobs.record import RecordingLimits, record
from roadtwin.manifest import read_manifest
from tests.integration.ingest.conftest import fetch, wait_for
from tests.integration.ingest.mosquitto import needs_mosquitto

RUNNER = CliRunner()
BEGIN_US = 1_773_143_000_000_000


def command(*arguments):
    return [sys.executable, "-m", "roadtwin.cli.main", *map(str, arguments)]


def run(app, *arguments, **environment):
    """A command in this process; its JSON."""
    result = RUNNER.invoke(app, [*map(str, arguments), "--json"], env=environment)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return json.loads(result.stdout)


@contextmanager
def running(*arguments):
    """A command in a process of its own, which may be killed."""
    process = subprocess.Popen(command(*arguments), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def stopped(process):
    """What it printed as JSON, after SIGTERM."""
    process.send_signal(signal.SIGTERM)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


class Recorder:
    """A recorder in a thread."""

    def __init__(self, path, url, topic, **options):
        self._stop, self._ready = threading.Event(), threading.Event()
        self._result, self._failure = None, None
        self._arguments = (path, parse_mqtt_url(url), [topic])
        self._options = options
        self._thread = threading.Thread(target=self._run)

    def _run(self):
        try:
            self._result = record(*self._arguments, stop=self._stop, on_ready=self._ready.set, **self._options)
        except Exception as exc:  # noqa: BLE001 — the test looks at it
            self._failure = exc

    def __enter__(self):
        self._thread.start()
        assert self._ready.wait(20), self._failure
        return self

    def __exit__(self, *_):
        self._stop.set()
        self._thread.join(60)

    def result(self, *, stop=True):
        """What it has recorded when it is stopped, or has ended by itself."""
        if stop:
            self._stop.set()
        self._thread.join(60)
        assert not self._thread.is_alive()
        assert self._failure is None, self._failure
        return self._result


def wait_for_recorder(url, topic, path):
    """Publish a message again and again until the recorder has one of them: then it is subscribed."""
    with Publisher(parse_mqtt_url(url), name="probe") as publisher:

        def there():
            publisher.publish(topic, b"probe")
            publisher.wait_for_confirmations()
            return path.exists() and read_info(path).messages

        wait_for(there, within_s=30)


def recorded(*paths):
    """Payloads of each topic in order, without the probes."""
    by_topic = defaultdict(list)
    for path in paths:
        for message in read_recording(path):
            if message.payload != b"probe":
                by_topic[message.topic].append(message.payload)
    return by_topic


def some(base, count, *, step_us=1000, qos=1):
    return [
        RecordedMessage(BEGIN_US + step_us * i, f"{base}/{i % 7}", f"{i:06} ".encode() * (1 + i % 40), qos)
        for i in range(count)
    ]


def write(path, messages):
    with RecordingWriter(path, {"times": "made up"}) as writer:
        for message in messages:
            writer.write(message)
    return path


def by_topic(messages):
    result = defaultdict(list)
    for message in messages:
        result[message.topic].append(message.payload)
    return result


@pytest.fixture
def base():
    return f"record-test/{uuid4().hex}"


def test_what_is_replayed_is_recorded_byte_for_byte_and_in_order(mqtt_url, tmp_path, base):
    messages = some(base, 5000)
    source, target = write(tmp_path / "source.feed", messages), tmp_path / "target.feed"
    with Recorder(target, mqtt_url, f"{base}/#") as recorder:
        replayed = run(replay_app, source, "--as-fast-as-possible", "--mqtt-url", mqtt_url)
        counts = recorder.result()

    assert (replayed["published"], replayed["confirmed"], replayed["finished"]) == (5000, 5000, True)
    assert recorded(target) == by_topic(messages)
    info = read_info(target)
    assert info.complete
    assert info.messages == counts.messages == 5000
    assert len(counts.topics) == 7
    assert counts.payload_bytes == sum(len(message.payload) for message in messages)
    assert counts.file_bytes == target.stat().st_size
    assert counts.possible_gaps == 0
    assert info.description["broker"] == mqtt_url.removeprefix("mqtt://")
    arrived = [message.at_us for message in read_recording(target)]
    assert arrived == sorted(arrived)
    assert abs(arrived[-1] / 1e6 - time.time()) < 120


def test_qos_and_retain_flag_are_recorded_and_replayed(mqtt_url, mqtt_broker, tmp_path, base):
    kept = [RecordedMessage(BEGIN_US, f"{base}/kept", b"kept", 1, True), *some(base, 20, qos=0)]
    source, target = write(tmp_path / "source.feed", kept), tmp_path / "target.feed"
    replay = (replay_app, source, "--as-fast-as-possible", "--mqtt-url", mqtt_url)
    replayed = run(*replay)
    assert (replayed["confirmed"], replayed["without_confirmation"]) == (1, 20)
    with Recorder(target, mqtt_url, f"{base}/#") as recorder:
        run(*replay)
        assert recorder.result().retained == 1
    first, *others = read_recording(target)
    assert (first.payload, first.retained) == (b"kept", True)
    assert len(others) == 21
    assert not any(message.retained for message in others)
    if mqtt_broker.kind == "mosquitto":  # the embedded broker delivers at the subscription's level
        assert [message.qos for message in others] == [1] + 20 * [0]
    with Publisher(parse_mqtt_url(mqtt_url), name="clean") as publisher:
        publisher.publish_many([f"{base}/kept"], [b""], retained=[True])
        publisher.wait_for_confirmations()


@needs_mosquitto
def test_a_killed_recorder_goes_on_without_a_gap(own_mosquitto, tmp_path, base):
    broker, target = own_mosquitto(options="max_queued_messages 0"), tmp_path / "target.feed"
    messages = some(base, 6000)
    source = write(tmp_path / "source.feed", messages)
    with running("record", target, "--topic", f"{base}/#", "--mqtt-url", broker.url, "--json") as recorder:
        wait_for_recorder(broker.url, f"{base}/probe", target)
        with running("replay", source, "--as-fast-as-possible", "--rate", 5000, "--mqtt-url", broker.url) as replayer:
            wait_for(lambda: read_info(target).messages > 1500, within_s=30)
            recorder.kill()
            recorder.wait()
            assert replayer.wait(60) == 0
    assert not read_info(target).complete
    with pytest.raises(RecordingError, match="is there already"):
        record(target, parse_mqtt_url(broker.url), ["#"], stop=threading.Event())
    with Recorder(target, broker.url, f"{base}/#", append=True) as recorder:
        wait_for(lambda: sum(map(len, recorded(target).values())) >= 6000, within_s=30)
        assert recorder.result().possible_gaps == 0
    assert read_info(target).complete
    expected = by_topic(messages)
    for topic, payloads in recorded(target).items():
        assert list(dict.fromkeys(payloads)) == expected[topic]  # some twice, none left out, in order


@needs_mosquitto
def test_a_killed_replay_goes_on_where_it_was_confirmed(own_mosquitto, tmp_path, base):
    broker, target, state = own_mosquitto(options="max_queued_messages 0"), tmp_path / "t.feed", tmp_path / "state.json"
    messages = some(base, 8000)
    # Two files, every other message in each: they are merged.
    sources = [write(tmp_path / f"source-{part}.feed", messages[part::2]) for part in range(2)]
    replay = (*sources, "--as-fast-as-possible", "--mqtt-url", broker.url, "--resume", state)
    with Recorder(target, broker.url, f"{base}/#") as recorder:
        with running("replay", *replay, "--rate", 3000) as replayer:
            wait_for(lambda: state.exists() and json.loads(state.read_text())["position"] > 1000, within_s=30)
            replayer.kill()
        position = json.loads(state.read_text())["position"]
        manifest = tmp_path / "manifest.json"
        second = run(replay_app, *replay, "--manifest", manifest)
        third = run(replay_app, *replay, "--manifest", manifest)
        recorder.result()

    assert second["skipped"] == position < 8000
    assert second["published"] == second["confirmed"] == 8000 - position
    assert (third["published"], third["finished"]) == (0, True)
    assert len(read_manifest(manifest).payload_sha256) == 8000 - position  # the run that was killed wrote none
    expected = by_topic(messages)
    for topic, payloads in recorded(target).items():
        assert list(dict.fromkeys(payloads)) == expected[topic]
    other = write(tmp_path / "other.feed", some(base, 3))
    with pytest.raises(ReplayError, match="is of a replay of other recordings"):
        run(replay_app, other, "--mqtt-url", broker.url, "--resume", state)
    with pytest.raises(ReplayError, match="other times in --from and --until"):
        run(replay_app, *replay, "--until", "2030-01-01T00:00:00Z")


@needs_mosquitto
def test_a_broker_that_is_restarted_is_waited_for(own_mosquitto, tmp_path, base):
    broker, target = own_mosquitto(), tmp_path / "target.feed"
    source = write(tmp_path / "source.feed", some(base, 4000))
    with Recorder(target, broker.url, f"{base}/#") as recorder:

        def restart():
            wait_for(lambda: read_info(target).messages > 500, within_s=30)
            broker.kill()
            time.sleep(0.3)
            broker.start()

        thread = threading.Thread(target=restart)
        thread.start()
        rate = ("--as-fast-as-possible", "--rate", 3000)
        assert run(replay_app, source, *rate, "--mqtt-url", broker.url)["confirmed"] == 4000
        thread.join()
        with Publisher(parse_mqtt_url(broker.url), name="last") as publisher:

            def there():
                publisher.publish(f"{base}/last", b"last")
                publisher.wait_for_confirmations()
                return b"last" in recorded(target)[f"{base}/last"]

            wait_for(there, within_s=40)
        # This Mosquitto keeps nothing on disk: what it had for the recorder is lost, and the recorder says so.
        assert recorder.result().possible_gaps >= 1


def test_a_recording_ends_by_itself_and_is_divided_into_files(mqtt_url, tmp_path, base):
    noise = random.Random(1)
    messages = [RecordedMessage(BEGIN_US, f"{base}/{i % 3}", noise.randbytes(200)) for i in range(700)]
    source, target = write(tmp_path / "source.feed", messages), tmp_path / "parts.feed"
    limits = RecordingLimits(rotate_bytes=15_000, max_bytes=60_000)
    with Recorder(target, mqtt_url, f"{base}/#", limits=limits) as recorder:
        run(replay_app, source, "--as-fast-as-possible", "--rate", 400, "--mqtt-url", mqtt_url)
        counts = recorder.result(stop=False)
    files = sorted(tmp_path.glob("parts-*.feed"))
    assert files == counts.files
    assert len(files) > 1
    assert 50_000 <= counts.file_bytes == sum(path.stat().st_size for path in files)
    assert all(read_info(path).complete for path in files)
    expected = by_topic(messages)
    for topic, payloads in recorded(*files).items():
        assert payloads == expected[topic][: len(payloads)]
    with pytest.raises(RecordingError, match=r"parts-\d+.feed is there already"):
        record(target, parse_mqtt_url(mqtt_url), ["#"], stop=threading.Event(), limits=limits)
    timed = run(record_app, tmp_path / "short.feed", "--duration", "0.5s", "--mqtt-url", mqtt_url)
    assert timed["files"] == [str(tmp_path / "short.feed")]


def test_a_period_of_a_recording_at_another_speed(mqtt_url, tmp_path, base):
    source = write(tmp_path / "source.feed", some(base, 101, step_us=100_000))  # ten seconds
    begin = datetime.fromtimestamp(BEGIN_US / 1e6, UTC)
    part = ("--from", (begin + timedelta(seconds=2)).isoformat(), "--until", (begin + timedelta(seconds=8)).isoformat())
    told = run(replay_app, source, "--dry-run", *part)
    assert told["messages"] == 60
    assert told["earliest"] == (begin + timedelta(seconds=2)).isoformat()
    assert told["formats"] == {"unknown": 60}
    began = time.monotonic()
    replayed = run(replay_app, source, *part, "--speed", 6, "--mqtt-url", mqtt_url)
    assert replayed["confirmed"] == 60
    assert time.monotonic() - began > 0.98  # 5.9 s at six times the speed
    text = RUNNER.invoke(replay_app, [str(source), "--dry-run"]).stdout
    assert "101 messages from 2026-03-10T11:43:20+00:00 to 2026-03-10T11:43:30+00:00" in text


def test_a_shifted_copy_is_new_to_the_database_with_the_same_values(
    start_ingester, database_url, mqtt_url, db, tmp_path
):
    names = ["chirpstack-v4-json", "chirpstack-v4-protobuf", "chirpstack-v3-json", "senml-json", "vehicle-v1"]
    at_us = int((AT - timedelta(seconds=1)).timestamp() * 1e6)
    examples = [EXAMPLES[name] for name in names]
    source = write(
        tmp_path / "source.feed",
        [RecordedMessage(at_us + i, example.topic, example.payload) for i, example in enumerate(examples)],
    )
    start_ingester(database_url, mqtt_url).wait_until_ready()
    replay = (replay_app, source, "--as-fast-as-possible", "--mqtt-url", mqtt_url, "--database-url", database_url)
    first, again = run(*replay, "--wait"), run(*replay, "--wait")
    assert (first["stored"], first["duplicate"], first["rejected"]) == (4, 1, 0)  # v4 as JSON and protobuf is one event
    assert (again["stored"], again["duplicate"], again["rejected"]) == (0, 5, 0)

    shifted = run(*replay, "--wait", "--shift-to", (AT - timedelta(days=40, seconds=1)).isoformat())
    assert shifted["shift_s"] == -40 * 86_400
    assert shifted["shifted"] == dict.fromkeys(names, 1)
    assert (shifted["stored"], shifted["duplicate"], shifted["rejected"]) == (4, 1, 0)
    rows = fetch(
        db, "SELECT observed_at, series_id, value FROM observation JOIN series USING (series_id) ORDER BY 2, 1"
    )
    assert len(rows) >= 6
    assert len(rows) % 2 == 0
    for earlier, later in zip(rows[::2], rows[1::2], strict=True):
        assert later[1:] == earlier[1:]
        assert later[0] - earlier[0] == timedelta(days=40)


@pytest.mark.parametrize(
    ("app", "arguments", "sentence"),
    [
        (record_app, ["x.txt"], "FILE: got 'x.txt'"),
        (record_app, ["x.feed", "--duration", "soon"], "--duration: got 'soon'"),
        (record_app, ["x.feed", "--rotate", "12"], "--rotate: got '12'"),
        (record_app, ["x.feed", "--max-mb", "0"], "--max-mb: got 0"),
        (record_app, ["nowhere/x.feed"], "nowhere/x.feed: cannot be written"),
        (record_app, ["good.feed"], "good.feed is there already"),
        (replay_app, ["missing.feed"], "missing.feed: cannot be read"),
        (replay_app, ["text.feed"], "text.feed is no recording"),
        (replay_app, ["newer.feed"], "newer.feed has format version 9"),
        (replay_app, ["damaged.feed", "--dry-run"], "damaged.feed: block 1 (at byte 39, messages 1 to 50) is damaged"),
        (replay_app, ["good.feed", "--from", "noon"], "--from: got 'noon'"),
        (replay_app, ["good.feed", "--from", "2030-01-01T00:00:00Z"], "there is no message in this period"),
        (replay_app, ["good.feed", "--speed", "0"], "Speed: got 0"),
        (replay_app, ["good.feed", "--shift-to", "9999-01-01T00:00:00Z"], "--shift-to: got 9999"),
        (replay_app, ["good.feed", "--resume", "text.feed"], "text.feed is no state of a replay"),
        (replay_app, ["good.feed", "--format", "chirpstack-v4", "--speed", "2"], "--format: got an option"),
    ],
)
def test_bad_files_and_options_are_one_sentence(tmp_path, monkeypatch, app, arguments, sentence):
    monkeypatch.chdir(tmp_path)
    good = write(tmp_path / "good.feed", some("a", 50)).read_bytes()
    (tmp_path / "text.feed").write_text("just text, and more of it\n")
    (tmp_path / "newer.feed").write_bytes(good[:8] + b"\x09" + good[9:])
    (tmp_path / "damaged.feed").write_bytes(good[:200] + bytes([good[200] ^ 1]) + good[201:])
    with pytest.raises(RoadtwinError) as failure:
        run(app, *arguments, ROADTWIN_MQTT_URL="mqtt://127.0.0.1:1")
    assert sentence in str(failure.value)
    assert (tmp_path / "good.feed").read_bytes() == good


def test_a_file_that_a_crash_cut_short_is_played_to_its_last_whole_block(mqtt_url, tmp_path, base):
    path = tmp_path / "torn.feed"
    with RecordingWriter(path, {}) as writer:
        for at in range(0, 300, 100):
            for message in some(base, 300)[at : at + 100]:
                writer.write(message)
            writer.flush()
    path.write_bytes(path.read_bytes()[:-100])
    told = RUNNER.invoke(replay_app, [str(path), "--dry-run"]).stdout
    assert "200 messages in" in told
    assert "not closed" in told
    assert run(replay_app, path, "--as-fast-as-possible", "--mqtt-url", mqtt_url)["confirmed"] == 200


def test_a_recording_of_some_time_ends_with_an_error_when_no_broker_comes(tmp_path):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        address = parse_mqtt_url(f"mqtt://127.0.0.1:{probe.getsockname()[1]}")

    with pytest.raises(BrokerUnavailableError, match=r"was not there for 1\.5 s"):
        record(tmp_path / "none.feed", address, ["#"], stop=threading.Event(), limits=RecordingLimits(duration_s=1.5))

    assert not (tmp_path / "none.feed").exists()
