"""`roadtwin simulate` as a person runs it: files that the other commands take, and one sentence for bad input."""

import csv
import json
import os
import re
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from ingest.offline import ingest_directly
from ingest.recording import read_blocks, read_info
from roadtwin.cli.simulate import app
from roadtwin.errors import RoadtwinError
from roadtwin.records.schema import RECORD_KINDS
from roadtwin.settings import Settings
from simulators.feed import FeedBlock

CITY = ["--km", "8", "--epoch", "2025-12-01"]
PERIOD = ["--from", "2026-01-15T06:00:00+01:00", "--duration", "2d"]


def roadtwin(*arguments, **environment):
    return subprocess.run(
        [sys.executable, "-m", "roadtwin.cli.main", *arguments],
        check=False,
        capture_output=True,
        text=True,
        timeout=180,
        env=os.environ | environment,
    )


def invoke(*arguments):
    """The command in this process; gives what it prints, raises what it raises."""
    return CliRunner().invoke(app, arguments, catch_exceptions=False).stdout


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with everything, and what the command said."""
    directory = tmp_path_factory.mktemp("simulated")
    done = roadtwin("simulate", *CITY, *PERIOD, "--out", str(directory), "--json")
    assert done.returncode == 0, done.stderr
    return directory, json.loads(done.stdout)


def test_counts_are_told_and_the_truth_is_kept_apart(written):
    directory, counts = written

    assert counts["weather.jsonl"] == 48
    assert counts["devices.feed"] == read_info(directory / "devices.feed").messages > 1000
    assert counts["vehicles.feed"] == read_info(directory / "vehicles.feed").messages > 100
    assert any((directory / "truth").iterdir())
    assert not list(directory.glob("*.part"))


def test_what_is_written_can_be_imported_and_ingested(written, database_url, tmp_path):
    directory, counts = written
    environment = {"ROADTWIN_DATABASE_URL": database_url}
    network = roadtwin(
        "import", "network", str(directory / "network.geojson"), "--city", "Testheim", "--source", "sim", "--json",
        **environment,
    )  # fmt: skip
    assert network.returncode == 0, network.stderr
    assert json.loads(network.stdout)["network"]["added"] == counts["network.geojson"]
    devices = roadtwin("import", "devices", str(directory / "devices.csv"), "--json", **environment)
    assert json.loads(devices.stdout)["devices"] == counts["devices.csv"], devices.stderr
    for kind in RECORD_KINDS:
        found = roadtwin("import", kind, str(directory / f"{kind}.jsonl"), "--json", **environment)
        assert found.returncode == 0, found.stderr
        stored = json.loads(found.stdout)
        assert (stored["stored"], stored["rejected"]) == (counts[f"{kind}.jsonl"], 0), (kind, stored)
    settings = Settings(data_dir=tmp_path, pseudonym_key="a key of many random bytes", database_url=database_url)
    for name in ("devices.feed", "vehicles.feed"):
        blocks = [FeedBlock(b.at_us, b.topics, b.payloads) for b in read_blocks(directory / name)]
        batch = ingest_directly(database_url, (message for block in blocks for message in block), settings)
        assert batch.received == counts[name]
        assert batch.rejected == 0
        assert batch.stored + batch.duplicate == batch.received
        assert batch.duplicate < 0.05 * batch.received


def test_two_processes_and_one_write_the_same(written, tmp_path):
    directory, counts = written

    assert json.loads(invoke(*CITY, *PERIOD, "--out", str(tmp_path), "--jobs", "1", "--json")) == counts
    for path in directory.rglob("*"):
        if path.is_file():
            assert (tmp_path / path.relative_to(directory)).read_bytes() == path.read_bytes(), path


def test_any_network_can_be_simulated(written, tmp_path):
    arguments = ["--epoch", "2025-12-01", *PERIOD, "--contents", "registers,segment-days", "--json"]
    counts = json.loads(
        invoke(
            "--network", str(written[0] / "network.geojson"), "--segment-m", "20", "--devices", "40", *arguments,
            "--out", str(tmp_path), "--jobs", "1",
        )
    )  # fmt: skip
    assert counts["network.geojson"] == written[1]["network.geojson"]
    assert counts["devices.csv"] == 40
    with (tmp_path / "segment-days.csv").open() as file:
        lengths = {
            end - begin
            for begin, end in (map(int, row["segment_id"].split(":")[-1].split("-")) for row in csv.DictReader(file))
        }
    assert lengths
    assert max(lengths) < 35


def test_relative_times_of_a_scenario_refer_to_today(written, tmp_path):
    (tmp_path / "warm.toml").write_text(
        'name = "warm"\ntitle = "x"\ntitle_de = "x"\nsummary = "x"\n'
        '[[weather]]\nfrom = "today-10d"\nuntil = "today+10d"\nair_temp_shift_c = 10\n'
    )
    temps = {}
    for today in ("2026-01-16", "2026-06-01"):
        invoke(
            *CITY, *PERIOD, "--contents", "records", "--out", str(tmp_path / today), "--jobs", "1",
            "--scenario", str(tmp_path / "warm.toml"), "--today", today,
        )  # fmt: skip
        temps[today] = temperatures(tmp_path / today)

    assert temps["2026-06-01"] == temperatures(written[0])
    assert temps["2026-01-16"] > temps["2026-06-01"] + 5


def temperatures(directory):
    """Mean of the recorded air temperatures [°C]."""
    lines = (directory / "weather.jsonl").read_bytes().splitlines()
    return sum(json.loads(line)["air_temp_c"] for line in lines) / len(lines)


def test_the_library_of_scenarios_is_listed():
    names = [line.split()[0] for line in invoke("--scenarios").splitlines()]

    assert {"ordinary", "hard-winter", "sensor-outage"} <= set(names)
    assert list(json.loads(invoke("--scenarios", "--json"))) == names


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--duration", "soon"], "--duration: got 'soon'"),
        (["--from", "2026-01-15"], "--from: got '2026-01-15'"),
        (["--epoch", "spring"], "--epoch: got 'spring'"),
        (["--today", "now"], "--today: got 'now'"),
        (["--rate", "-3"], "Rate: got -3"),
        (["--rate", "1e9"], "Rate: got 1e+09"),
        (["--speed", "0"], "Speed: got 0"),
        (["--km", "0"], "got 0 km"),
        (["--segment-m", "5"], "Length of a segment: got 5 m"),
        (["--devices", "1"], "Devices: got 1"),
        (["--scenario", "hard-wintr"], "Scenario: got 'hard-wintr'"),
        (["--scenario", "nowhere.toml"], "Scenario nowhere.toml: cannot be read"),
        (["--network", "nowhere.geojson"], "nowhere.geojson cannot be read"),
        (["--network", "x.geojson", "--km", "5"], "--km and --network: got both"),
        (["--out", "somewhere"], "--out: got no period"),
        ([*PERIOD, "--out", "x", "--contents", "records,potholes"], "Contents: got potholes"),
        ([*PERIOD, "--out", "x", "--jobs", "0"], "Jobs: got 0"),
        ([*PERIOD, "--out", "x", "--rate", "5"], "--rate: got it with files"),
        ([*PERIOD, "--out", "x", "--manifest", "sent.json"], "--manifest: got it with files"),
        ([*PERIOD, "--out", "x", "--speed", "5"], "--speed: got it with files"),
        ([*PERIOD, "--out", "x", "--report", "x.html"], "--report: got "),
        (["--report", "x.html", "--contents", "records"], "--contents: got no --out"),
        (["--source", "essen"], "--source, --drivable: got no --network"),
        (["--from", "2021-06-01T00:00:00Z", "--duration", "1d", "--out", "x"], "expected no time before"),
    ],
)
def test_bad_input_is_one_sentence(arguments, sentence, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    city = [] if "--network" in arguments else ["--km", "8"]
    with pytest.raises(RoadtwinError, match=re.escape(sentence)) as raised:
        invoke("--mqtt-url", "mqtt://127.0.0.1:1", *city, *arguments)

    assert len(str(raised.value).splitlines()) == 1


def test_bad_input_is_said_without_a_trace(tmp_path):
    (tmp_path / "empty.geojson").write_text('{"type": "FeatureCollection", "features": []}')
    done = roadtwin("simulate", "--network", str(tmp_path / "empty.geojson"), "--mqtt-url", "mqtt://127.0.0.1:1")

    assert done.returncode == 1
    assert done.stderr == "roadtwin: empty.geojson has no section among its 0 features.\n"
