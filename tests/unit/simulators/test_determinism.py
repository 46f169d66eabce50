"""The same arguments give the same bytes, however the work is cut and wherever it begins."""

import hashlib
import json
import os
import re
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from ingest.recording import read_recording
from simulators.files.files import write_files
from simulators.scenario import parse_scenario
from simulators.world import build_world

EPOCH = datetime(2024, 11, 30, 23, tzinfo=UTC)
START, END = datetime(2024, 12, 20, 3, 17, tzinfo=UTC), datetime(2024, 12, 26, 14, tzinfo=UTC)
SCENARIO = """
name = "faulty"
title = "Everything at once"
title_de = "Alles zugleich"
summary = "Faults that hold messages back and change values: they must not depend on how a period is cut either."
[[weather]]
from = "12-01"
until = "02-01"
air_temp_shift_c = -4
[[fault]]
kind = "broker-outage"
from = "2024-12-22T10:30"
until = "2024-12-22T13:00"
[[fault]]
kind = "late-uplinks"
[[fault]]
kind = "sensor-drift"
from = "2024-12-01"
[[fault]]
kind = "box-offline"
share = 0.5
[[fault]]
kind = "register-delay"
from = "2024-12-15"
"""


def world(seed=11):
    return build_world(seed=seed, length_km=8, start=EPOCH, scenario=parse_scenario(SCENARIO))


def digests(directory):
    """SHA-256 by file."""
    return {
        path.relative_to(directory).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(Path(directory).rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def expected(tmp_path_factory):
    """What one process writes that never did anything else."""
    directory = tmp_path_factory.mktemp("expected")
    write_files(world(), directory, start=START, end=END)
    return directory


CUTS = {
    "two processes, a day each": {"jobs": 2, "part_days": 1, "history_chunk": timedelta(days=1)},
    "parts of a month": {"part_days": 31, "history_chunk": timedelta(days=30)},
    "odd hours": {
        "part_days": 2,
        "history_chunk": timedelta(hours=7, minutes=13),
        "feed_window": timedelta(hours=5, minutes=37, microseconds=11),
    },
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=list(CUTS))
def test_the_bytes_do_not_depend_on_how_the_work_is_cut(expected, tmp_path, cut):
    write_files(world(), tmp_path, start=START, end=END, **cut)

    assert digests(tmp_path) == digests(expected)


def test_a_world_that_was_used_before_gives_the_same(expected, tmp_path):
    used = world()
    write_files(used, tmp_path / "later", start=END + timedelta(days=20), end=END + timedelta(days=21))
    write_files(used, tmp_path / "again", start=START, end=END)

    assert digests(tmp_path / "again") == digests(expected)


def test_a_period_that_begins_in_the_middle_goes_on_alike(expected, tmp_path):
    middle = datetime(2024, 12, 22, 11, 41, 7, tzinfo=UTC)  # in the outage of the broker
    write_files(world(), tmp_path, start=middle, end=END)

    for name in ("devices.feed", "vehicles.feed"):
        whole = [message for message in read_recording(expected / name) if message.at_us >= middle.timestamp() * 1e6]
        assert list(read_recording(tmp_path / name)) == whole
    for path in expected.glob("*.jsonl"):
        lines = path.read_text().splitlines()
        later = [line for line in lines if datetime.fromisoformat(json.loads(line)["recorded_at"]) > middle]
        assert (tmp_path / path.name).read_text().splitlines() == later, path.name
    header, *rows = (expected / "segment-days.csv").read_text().splitlines()
    later = [row for row in rows if datetime.fromisoformat(row.split(",")[2]) > middle]
    assert (tmp_path / "segment-days.csv").read_text().splitlines() == [header, *later]


SCRIPT = """
import sys
from pathlib import Path
sys.path.insert(0, str(Path({here!r})))
from test_determinism import END, START, world, write_files
if __name__ == "__main__":
    write_files(world(int(sys.argv[1])), Path(sys.argv[2]), start=START, end=END)
"""


@pytest.mark.parametrize(("seed", "is_same"), [(11, True), (12, False)])
def test_another_process_with_other_hashes_gives_the_same_and_another_seed_does_not(expected, tmp_path, seed, is_same):
    (tmp_path / "script.py").write_text(SCRIPT.format(here=str(Path(__file__).parent)))
    subprocess.run(
        [sys.executable, str(tmp_path / "script.py"), str(seed), str(tmp_path / "out")],
        check=True,
        timeout=120,
        env=os.environ | {"PYTHONHASHSEED": "4711", "TZ": "Pacific/Chatham", "PYTHONPATH": str(Path.cwd())},
    )

    found, wanted = digests(tmp_path / "out"), digests(expected)
    if is_same:
        assert found == wanted
    else:
        empty = hashlib.sha256(b"").hexdigest()
        days = {"truth/days.csv"}
        assert set(found) == set(wanted)
        assert not {name for name in found if found[name] == wanted[name] != empty} - days


def test_nothing_but_the_truth_holds_more_digits_than_are_meant(expected):
    """What is rounded where it is made is equal elsewhere too; the last bits of a number are the machine's own."""
    texts = {
        path.name: path.read_text() for path in expected.iterdir() if path.suffix in (".jsonl", ".csv", ".geojson")
    }
    texts["vehicles.feed"] = "\n".join(m.payload.decode() for m in read_recording(expected / "vehicles.feed"))

    assert len(texts) > 8
    for name, text in texts.items():
        assert not re.findall(r"\d\.\d{8,}|\de-\d", re.sub(r'"[^"]*"', "", text)), name
