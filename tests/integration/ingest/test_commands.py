"""`roadtwin replay` and `roadtwin verify` against a running ingester; ingesting without a broker."""

import gzip
import json
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner

from ingest.offline import ingest_directly
from roadtwin.cli.replay import app as replay_app
from roadtwin.cli.verify import app as verify_app
from roadtwin.errors import InputFileError, ReplayError, SettingsError, VerificationError
from tests.integration.ingest.conftest import fetch
from tests.samples import CHIRPSTACK_UP, NOW, SENSOR, chirpstack, encoded

RUNNER = CliRunner()


def events(number: int) -> list[bytes]:
    ups = [
        encoded(chirpstack(deduplicationId=f"replay-{n}", fCnt=n, time=f"2026-03-10T11:00:{n:02d}Z"))
        for n in range(number)
    ]
    status = {k: v for k, v in chirpstack(time="2026-03-10T11:30:00Z").items() if k in ("time", "deviceInfo")}
    return [*ups, encoded(status | {"deduplicationId": "s", "margin": 3, "batteryLevelUnavailable": True})]


def write_events(path: Path, lines: list[bytes]) -> Path:
    path.write_bytes(gzip.compress(b"\n".join(lines) + b"\n"))
    return path


def run(app, *arguments: object, **environment: str):
    result = RUNNER.invoke(
        app,
        [str(argument) for argument in arguments],
        env={f"ROADTWIN_{name}": value for name, value in environment.items()},
    )
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_a_file_is_replayed_and_verified_also_when_it_is_replayed_twice(
    start_ingester, database_url, mqtt_url, db, tmp_path
):
    start_ingester(database_url, mqtt_url).wait_until_ready()
    file = write_events(tmp_path / "events.ndjson.gz", [*events(30), events(30)[0]])
    manifest = tmp_path / "sent.json"
    parts = {"DATABASE_URL": database_url, "MQTT_URL": mqtt_url, "DATA_DIR": str(tmp_path)}

    first = run(replay_app, file, "--format", "chirpstack-v4", "--manifest", manifest, **parts)
    second = run(replay_app, file, "--format", "chirpstack-v4", "--json", **parts)
    verified = json.loads(run(verify_app, "--manifest", manifest, "--json", **parts).stdout)

    assert "Published 32 messages: 31 stored, 1 duplicate, 0 rejected." in first.stdout
    assert json.loads(second.stdout) == {"published": 32, "stored": 0, "duplicate": 32, "rejected": 0}
    assert verified["witness"] == {"published": 32, "stored": 31, "duplicate": 1, "rejected": 0, "missing": 0}
    assert verified["differences"] == []
    assert fetch(db, "SELECT DISTINCT topic FROM message WHERE event_kind = 'status'") == [
        (CHIRPSTACK_UP.removesuffix("up") + "status",)
    ]
    json.loads(manifest.read_text())

    db.execute("DELETE FROM message WHERE f_cnt = 7")
    db.execute("UPDATE message SET raw_no = NULL, payload = 'other bytes' WHERE f_cnt = 8")
    db.commit()
    with pytest.raises(
        VerificationError, match=r"stored 31 messages, the table holds 30.*2 published messages are nowhere"
    ):
        run(verify_app, "--manifest", manifest, **parts)


def test_an_altered_manifest_is_refused(tmp_path, database_url):
    manifest = tmp_path / "sent.json"
    manifest.write_text(json.dumps({"manifest_version": 1, "count": 2, "sha256": "00", "payload_sha256": ["ab"]}))

    with pytest.raises(InputFileError, match="cut or was altered"):
        run(verify_app, "--manifest", manifest, DATABASE_URL=database_url)


def test_a_replay_that_nobody_takes_gives_up_and_says_what_to_look_for(database_url, mqtt_url, tmp_path):
    file = write_events(tmp_path / "events.ndjson.gz", events(3))

    with pytest.raises(ReplayError, match=r"0 of 4 messages were committed.*is `roadtwin ingest` running"):
        run(replay_app, file, "--format", "chirpstack-v4", "--timeout", 1, DATABASE_URL=database_url, MQTT_URL=mqtt_url)


@pytest.mark.parametrize(
    "line", [b"{", b"[]", b'{"deviceInfo": {}}', b'{"deviceInfo": {"applicationId": "a", "devEui": "b"}}']
)
def test_a_file_with_a_line_that_is_no_event_is_refused_before_anything_is_published(
    database_url, mqtt_url, tmp_path, line
):
    file = write_events(tmp_path / "events.ndjson.gz", [*events(1), line])

    with pytest.raises(InputFileError, match="line 3"):
        run(replay_app, file, "--format", "chirpstack-v4", DATABASE_URL=database_url, MQTT_URL=mqtt_url)


def test_an_unknown_format_is_refused(database_url, mqtt_url, tmp_path):
    with pytest.raises(SettingsError, match="expected one of chirpstack-v4"):
        run(replay_app, tmp_path / "x", "--format", "xml", DATABASE_URL=database_url, MQTT_URL=mqtt_url)


@dataclass(frozen=True)
class Timed:
    publish_at: datetime
    topic: str
    payload: bytes


def test_a_simulated_past_is_stored_as_if_it_had_arrived_then(database_url, db, ingest_settings):
    past = NOW - timedelta(days=3)
    messages = [
        Timed(past, SENSOR, json.dumps([{"n": "air_temp_c", "v": 1, "t": past.timestamp()}]).encode()),
        Timed(past, "nowhere", b"?"),
    ]
    done = []

    counts = ingest_directly(database_url, messages, ingest_settings, on_progress=done.append)
    again = ingest_directly(database_url, iter(messages), ingest_settings)

    assert (counts.stored, counts.rejected, counts.observations_stored) == (1, 1, 1)
    assert (again.stored, again.duplicate, again.rejected) == (0, 1, 1)
    assert done == [2]
    assert fetch(db, "SELECT origin, recorded_at, flags FROM message") == [("replayed", past, 0)]
    assert fetch(db, "SELECT code, count FROM rejected_message") == [("unknown_topic", 2)]
