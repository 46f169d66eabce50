"""The demonstration, as a newcomer runs it: the whole chain, a kill in the middle of it, and the next start."""

import json
import signal
import socket
import time
import urllib.request

import pytest

from roadtwin.storage.database import connect
from roadtwin.storage.embedded import EmbeddedPostgres
from tests.acceptance.conftest import roadtwin
from tests.conftest import TIMESCALE_URL

pytestmark = pytest.mark.slow

CITY = ("--km", "12", "--winters", "3", "--seed", "5")
TINY_CITY = ("--km", "5", "--winters", "3", "--seed", "5")
"""Where scores and model do not matter."""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def demo_once(**settings: str) -> dict:
    result = roadtwin("demo", *CITY, "--once", "--json", **settings)
    assert result.returncode == 0, result.stdout + result.stderr
    lines = result.stdout.strip().splitlines()
    assert len(lines) == 1, "stdout holds one JSON object and nothing else"
    return json.loads(lines[0])


def wait_for(condition, timeout_s, what):
    deadline = time.monotonic() + timeout_s
    while not condition():
        assert time.monotonic() < deadline, f"timed out waiting for {what}"
        time.sleep(0.2)


def wait_for_line(process, words):
    """Read what a command prints, progress and errors included, up to a line with these words."""
    printed = []
    for line in process.stdout:
        printed.append(line)
        if words in line:
            return
    pytest.fail(f"ended early with code {process.wait()}:\n{''.join(printed)}")


def test_the_demo_proves_its_chain_survives_a_kill_and_goes_on_with_its_city(data_dir, start):
    settings = {"DATA_DIR": str(data_dir)}
    first = demo_once(**settings)
    assert first["ok"]
    assert first["simulated"] is True
    assert first["database"] == "plain"
    assert [check for check in first["checks"] if not check["ok"]] == []
    assert first["published"] >= 200
    assert first["rejected"] == 0

    port = free_port()
    demo = start("demo", *CITY, "--port", str(port), **settings)
    wait_for_line(demo, "Ctrl-C ends it")
    status_url = f"http://127.0.0.1:{port}/v1/ingest/status"

    def stored_from_mqtt() -> int:
        with urllib.request.urlopen(status_url, timeout=10) as response:
            origins = json.load(response)["by_origin"]
        return sum(o["stored"] for o in origins if o["origin"] == "mqtt")

    before = stored_from_mqtt()
    wait_for(lambda: stored_from_mqtt() > before + 20, 60, "live messages in the database")
    acknowledged = stored_from_mqtt()
    demo.send_signal(signal.SIGKILL)
    demo.wait()

    def port_is_free() -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", port)) != 0

    wait_for(port_is_free, 20, "the children of the killed demo to end")

    again = demo_once(**settings)
    assert again["ok"], [check for check in again["checks"] if not check["ok"]]
    assert again["stored"] >= first["stored"] + acknowledged - before
    assert again["segments"] == first["segments"]


@pytest.mark.services
def test_the_demo_runs_on_timescaledb_and_mosquitto(data_dir, empty_database_url, mqtt_url):
    summary = demo_once(
        DATA_DIR=str(data_dir),
        DATABASE_URL=empty_database_url,
        MQTT_URL=mqtt_url,
        MQTT_CLIENT_ID=f"demo-{data_dir.name}",  # a session of its own: nothing waits there from a run before
    )

    assert summary["ok"]
    assert summary["database"].startswith("timescaledb-")
    assert TIMESCALE_URL is not None
    assert not EmbeddedPostgres.exists(data_dir), "no embedded database was made"


@pytest.mark.services
def test_the_feed_alone_goes_to_an_ingester_elsewhere_as_in_compose(data_dir, empty_database_url, mqtt_url, start):
    settings = {
        "DATA_DIR": str(data_dir),
        "DATABASE_URL": empty_database_url,
        "MQTT_URL": mqtt_url,
        "MQTT_CLIENT_ID": f"feed-{data_dir.name}",
    }
    feed = start("demo", *TINY_CITY, "--feed-only", **settings)
    wait_for_line(feed, "publishing")
    ingester = start("ingest", **settings)

    def stored_from_mqtt() -> int:
        with connect(empty_database_url) as conn:
            row = conn.execute("SELECT count(*) FROM message WHERE origin = 'mqtt'").fetchone()
        return row[0]

    wait_for(lambda: stored_from_mqtt() > 20, 60, "live messages in the database")
    for process in (feed, ingester):
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=40) == 0


def test_a_port_in_use_is_told_before_anything_is_set_up(data_dir):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = roadtwin("demo", "--port", str(port), DATA_DIR=str(data_dir))

    assert result.returncode == 1
    assert f"Cannot listen on 127.0.0.1:{port}" in result.stderr
    assert len(result.stderr.strip().splitlines()) == 1
    assert not EmbeddedPostgres.exists(data_dir)


def test_the_demo_refuses_a_database_with_a_real_city(data_dir, tmp_path):
    street = {"type": "LineString", "coordinates": [[7.0, 51.45], [7.004, 51.451]]}
    feature = {"type": "Feature", "properties": {"id": "1", "name": "Hauptstraße"}, "geometry": street}
    network = tmp_path / "streets.geojson"
    network.write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    settings = {"DATA_DIR": str(data_dir)}
    assert roadtwin("migrate", **settings).returncode == 0
    imported = roadtwin(
        "import",
        "network",
        str(network),
        "--city",
        "Musterstadt",
        "--source",
        "register",
        "--id-column",
        "id",
        **settings,
    )
    assert imported.returncode == 0, imported.stderr

    result = roadtwin("demo", *CITY, "--port", str(free_port()), **settings)

    assert result.returncode == 1
    assert "holds a real city (Musterstadt)" in result.stderr
