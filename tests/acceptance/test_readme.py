"""The README's commands do what it says: each is run as it stands there, with files and addresses of this test."""

import gzip
import json
import os
import re
import shlex
import signal
import socket
import subprocess
import sys
import time
from datetime import date, timedelta
from pathlib import Path

import pytest

from tests.acceptance.conftest import REPOSITORY, clean_environment
from tests.samples import chirpstack, encoded

BACKGROUND = ("roadtwin ingest", "roadtwin score --watch", "roadtwin serve")
ELSEWHERE = ("make demo", "make test")  # run by .ci/run
SCENARIO_DEMO = "roadtwin demo --scenario hard-winter"  # run by test_scenarios.py
RECORD = "roadtwin record week.feed --duration 7d"
REPLAY_EVENTS = "roadtwin replay events.ndjson.gz --format chirpstack-v4 --manifest sent.json"


def readme_commands(section: str) -> list[str]:
    """The lines of the code blocks under a heading, without comments."""
    text = (REPOSITORY / "README.md").read_text("utf-8")
    body = re.split(r"^## ", text, flags=re.MULTILINE)
    part = next(part for part in body if part.startswith(section))
    blocks = re.findall(r"^```\n(.*?)^```", part, flags=re.MULTILINE | re.DOTALL)
    return [line.split("  #")[0].strip() for block in blocks for line in block.splitlines() if line.strip()]


def with_roadtwin(**settings):
    """An environment with `roadtwin` on its path."""
    environment = clean_environment(**settings)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment['PATH']}"
    return environment


@pytest.fixture
def workplace(tmp_path, database_url, mqtt_url, data_dir):
    """A folder with the files that the README names, and an environment that has `roadtwin` on its path."""
    street = {"type": "LineString", "coordinates": [[7.0, 51.45], [7.004, 51.451]]}
    feature = {"type": "Feature", "properties": {"id": "1", "name": "Hauptstraße"}, "geometry": street}
    (tmp_path / "streets.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    columns = (
        "network_source,application,device,dev_eui,name,profile_name,status,channel,lon,lat,section_source,"
        "source_section_id,station_m,valid_from"
    )
    info = chirpstack()["deviceInfo"]
    eui = info["devEui"]
    row = f"chirpstack-v4,{info['applicationId']},{eui},{eui},Sensor 1,surface-temperature,confirmed"
    (tmp_path / "devices.csv").write_text(f"{columns}\n{row},,7.001,51.45,register,1,50,2025-01-01T00:00:00Z\n")
    lines = [encoded(chirpstack(deduplicationId=f"readme-{n}", fCnt=n)) for n in range(5)]
    (tmp_path / "events.ndjson.gz").write_bytes(gzip.compress(b"\n".join(lines)))
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = {
        "DATABASE_URL": database_url,
        "MQTT_URL": mqtt_url,
        "MQTT_CLIENT_ID": f"readme-{os.getpid()}-{port}",
        "DATA_DIR": str(data_dir),
        "HTTP_PORT": str(port),
    }
    return tmp_path, with_roadtwin(**settings)


def run_commands(commands, folder, environment, started):
    for command in commands:
        if command.startswith("export "):
            name = command.removeprefix("export ").split("=")[0]
            assert name in environment, f"the README names {name}, which this test does not set"
        elif command == RECORD:  # seconds in place of days, while something is published
            short = shlex.split(command.replace("7d", "8s"))
            with subprocess.Popen(short, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True) as recorder:
                while not (folder / "week.feed").exists():
                    assert recorder.poll() is None, recorder.stderr.read()
                    time.sleep(0.1)
                time.sleep(1)
                run_commands([REPLAY_EVENTS], folder, environment, started)
                assert recorder.wait(timeout=60) == 0, recorder.stderr.read()
        elif command.startswith(BACKGROUND):
            log = folder / f"{len(started)}.log"
            with log.open("w") as out:
                process = subprocess.Popen(shlex.split(command), cwd=folder, env=environment, stdout=out, stderr=out)
            started.append((command, process, log))
            if command == "roadtwin ingest":
                deadline = time.monotonic() + 30
                while "ingest_ready" not in log.read_text():
                    assert process.poll() is None, log.read_text()
                    assert time.monotonic() < deadline
                    time.sleep(0.1)
        else:
            result = subprocess.run(
                shlex.split(command), cwd=folder, env=environment, capture_output=True, text=True, timeout=120
            )
            verdict = {0, 1} if command == "roadtwin doctor" else {0}  # 1: it found what this machine can lose data by
            assert result.returncode in verdict, f"{command}\n{result.stdout}{result.stderr}"
            assert "Traceback" not in result.stderr


def test_own_broker_and_database_replay_and_verify_as_in_the_readme(workplace):
    folder, environment = workplace
    started = []
    try:
        run_commands(readme_commands("With a real broker and database"), folder, environment, started)
        run_commands(readme_commands("Replay what you recorded"), folder, environment, started)
        time.sleep(1)
        for command, process, log in started:
            assert process.poll() is None, f"{command} ended: {log.read_text()}"
    finally:
        for _, process, _ in started:
            process.send_signal(signal.SIGTERM)
        codes = [process.wait(timeout=30) for _, process, _ in started]
    assert codes == [0] * len(started), [log.read_text() for _, _, log in started]


def test_a_city_to_prove_it_in_as_in_the_readme(tmp_path, data_dir):
    """Needs neither broker nor database."""
    days = [date(2022, 1, 1) + timedelta(days=n) for n in range(0, 1000, 3)]
    potholes = "".join(f"s{n % 40 if n % 3 else n % 7},{day}\n" for n, day in enumerate(days))
    (tmp_path / "potholes.csv").write_text(f"SEGMENT,DATE\n{potholes}")
    commands = readme_commands("A city to prove it in")

    run_commands([c for c in commands if c != SCENARIO_DEMO], tmp_path, with_roadtwin(DATA_DIR=str(data_dir)), [])

    assert SCENARIO_DEMO in commands
    assert (tmp_path / "city.html").stat().st_size > 100_000
    assert (tmp_path / "city" / "devices.feed").stat().st_size > 100_000
    assert (tmp_path / "predicted.csv").read_text().startswith("segment_id,probability")


def test_every_command_of_the_readme_is_run_somewhere():
    sections = re.findall(r"^## (.+)$", (REPOSITORY / "README.md").read_text("utf-8"), flags=re.MULTILINE)
    commands = [command for section in sections for command in readme_commands(section)]
    here = ("With a real broker and database", "Replay what you recorded", "A city to prove it in")
    run_here = [command for section in here for command in readme_commands(section)]
    after_the_demo = [".venv/bin/roadtwin status", ".venv/bin/roadtwin verify"]

    assert [c for c in commands if c not in run_here + after_the_demo and not c.startswith(ELSEWHERE)] == []
    script = (REPOSITORY / ".ci" / "run").read_text()
    assert [c for c in (*ELSEWHERE, *after_the_demo) if c not in script] == []
