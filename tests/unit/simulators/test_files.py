"""Files of a period: what they hold, that they take their places together, and that bad input is one error."""

import csv
import errno
import json
from datetime import UTC, datetime, timedelta

import pytest

from ingest.recording import read_info, read_recording
from roadtwin.errors import SimulationError
from roadtwin.records.schema import RECORD_KINDS
from simulators.files.files import CONTENTS, left_from_before, write_files
from simulators.files.segment_day_files import COLUMNS, csv_lines
from simulators.history import History
from simulators.messages import messages

START = datetime(2024, 11, 4, 5, tzinfo=UTC)
END = datetime(2024, 11, 11, 17, tzinfo=UTC)


@pytest.fixture(scope="module")
def written(small_world, tmp_path_factory):
    directory = tmp_path_factory.mktemp("files")
    return directory, write_files(small_world, directory, start=START, end=END)


def test_every_part_of_a_period_is_there_and_counted(written):
    directory, counts = written
    names = {path.relative_to(directory).as_posix() for path in directory.rglob("*") if path.is_file()}

    assert {name for name in names if not name.startswith("truth/")} == {
        "network.geojson", "devices.csv", "segment-days.csv", "sensor-days.csv", "devices.feed", "vehicles.feed",
        *(f"{kind}.jsonl" for kind in RECORD_KINDS),
    }  # fmt: skip
    assert any(name.startswith("truth/") for name in names)
    for kind in RECORD_KINDS:
        assert len((directory / f"{kind}.jsonl").read_bytes().splitlines()) == counts[f"{kind}.jsonl"]
    assert counts["weather.jsonl"] == (END - START) / timedelta(hours=1)
    assert counts["inspection.jsonl"] > 0


def test_recordings_hold_the_messages_of_the_feed(written, small_world):
    directory, counts = written
    both = [*read_recording(directory / "devices.feed"), *read_recording(directory / "vehicles.feed")]
    sent = [
        (round(m.publish_at.timestamp() * 1e6), m.topic, m.payload) for m in messages(small_world, start=START, end=END)
    ]

    assert sorted((m.at_us, m.topic, m.payload) for m in both) == sorted(sent)
    assert {(m.qos, m.retained) for m in both} == {(1, False)}
    for name in ("devices.feed", "vehicles.feed"):
        info = read_info(directory / name)
        assert info.complete
        assert info.messages == counts[name] > 1000
        assert "seed" not in info.description


def test_segment_days_are_those_of_history(written, small_world):
    directory, counts = written
    with (directory / "segment-days.csv").open() as file:
        rows = list(csv.DictReader(file))
    days = History(small_world).segment_days(START, END)

    assert len(rows) == counts["segment-days.csv"] == len(days.day) > 100
    assert tuple(rows[0]) == COLUMNS
    assert [row["segment_id"] for row in rows] == [small_world.segment_ids[i] for i in days.segment_index]
    assert [int(row["passes"]) for row in rows] == days.passes.tolist()
    assert rows[0]["recorded_at"] == "2024-11-04T23:00:00Z"
    assert rows[0]["day"] == "2024-11-04"
    assert [row["roughness_mps2"] for row in rows if row["roughness_mps2"]]


def test_sensor_days_are_those_of_history(written, small_world):
    directory, counts = written
    with (directory / "sensor-days.csv").open() as file:
        rows = list(csv.DictReader(file))
    days = History(small_world).sensor_days(START, END)
    series = [days.series[i] for i in days.series_index]

    assert len(rows) == counts["sensor-days.csv"] == len(days.day) > 100
    assert [(row["device"], row["quantity"]) for row in rows] == [(s.device, s.quantity) for s in series]
    assert [row["depth_cm"] for row in rows] == ["" if s.depth_cm is None else str(s.depth_cm) for s in series]
    assert [int(row["count"]) for row in rows] == days.count.tolist()
    assert [float(row["mean"]) for row in rows] == pytest.approx(days.mean.tolist(), abs=0.001)
    assert {row["freeze_thaw_cycles"] != "" for row in rows if row["quantity"] == "soil_moisture_pct"} == {False}
    assert rows[0]["recorded_at"] == "2024-11-04T23:00:00Z"
    assert rows[0]["day"] == "2024-11-04"


def test_ids_of_any_register_stay_one_field(small_world):
    days = History(small_world).segment_days(START, END)
    odd = ('a "b", c',) * len(days.segment_ids)

    lines = b"".join(csv_lines(type(days)(odd, *(getattr(days, name) for name in days.__slots__[1:])))).decode()

    assert {(row[0], len(row)) for row in csv.reader(lines.splitlines())} == {(odd[0], len(COLUMNS))}


def test_only_what_was_asked_for_is_written(small_world, tmp_path):
    counts = write_files(small_world, tmp_path, start=START, end=END, contents=["segment-days", "registers"])

    assert set(counts) == {"segment-days.csv", "network.geojson", "devices.csv"}
    assert {path.name for path in tmp_path.iterdir()} == set(counts)
    assert left_from_before(tmp_path, counts) == []
    assert left_from_before(tmp_path, ["devices.csv"]) == ["network.geojson", "segment-days.csv"]
    (tmp_path / "truth").mkdir()
    assert left_from_before(tmp_path, counts) == ["truth/"]


def test_progress_is_told_by_phase_and_reaches_its_end(small_world, tmp_path):
    told = {}
    write_files(
        small_world, tmp_path, start=START, end=END, contents=["records", "devices"], part_days=2,
        on_progress=lambda phase, part: told.setdefault(phase, []).append(part),
    )  # fmt: skip

    assert set(told) == {"history", "devices"}
    for parts in told.values():
        assert parts == sorted(parts)
        assert parts[-1] == pytest.approx(1.0)
    assert len(told["devices"]) > 4


def test_files_that_are_there_stay_whole_when_new_ones_cannot_be_written(small_world, tmp_path):
    write_files(small_world, tmp_path, start=START, end=START + timedelta(days=2), contents=["records", "devices"])
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}

    def fail(_phase, _part):
        raise OSError(errno.ENOSPC, "No space left on device")

    with pytest.raises(SimulationError, match="cannot be written: No space left on device"):
        write_files(small_world, tmp_path, start=START, end=END, contents=["records", "devices"], on_progress=fail)

    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_what_a_killed_run_left_is_removed(small_world, tmp_path):
    (tmp_path / ".incomplete").mkdir()
    (tmp_path / ".incomplete" / "devices-3.part").write_bytes(b"half")

    write_files(small_world, tmp_path, start=START, end=END, contents=["registers"])

    assert {path.name for path in tmp_path.iterdir()} == {"network.geojson", "devices.csv"}


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"contents": ["records", "potholes"]}, "Contents: got potholes, expected some of registers, records"),
        ({"contents": []}, "Contents: got nothing"),
        ({"end": START - timedelta(days=1)}, "Period: got an end"),
        ({"start": START.replace(tzinfo=None)}, "without zone"),
        ({"start": datetime(2024, 1, 1, tzinfo=UTC)}, "expected no time before the world's first day, 2024-10-01"),
        ({"additional_buses": -1}, "Additional buses: got -1"),
        ({"jobs": 0}, "Jobs: got 0, expected 1 to 64"),
    ],
)
def test_bad_arguments_are_one_error_and_leave_nothing(small_world, tmp_path, arguments, sentence):
    with pytest.raises(SimulationError, match=sentence):
        write_files(small_world, tmp_path / "new", **{"start": START, "end": END, **arguments})

    assert not [path for path in (tmp_path / "new").rglob("*") if path.is_file()]


def test_a_folder_that_cannot_be_made_is_one_error(small_world, tmp_path):
    (tmp_path / "file").write_text("no folder")
    with pytest.raises(SimulationError, match="file: cannot be written: Not a directory"):
        write_files(small_world, tmp_path / "file", start=START, end=END, contents=list(CONTENTS))


def test_the_network_can_be_read_again(written):
    features = json.loads((written[0] / "network.geojson").read_bytes())["features"]

    assert len(features) == written[1]["network.geojson"]
    # Seven decimals are 1 cm: what more a file had would be the machine's, not the city's.
    assert all(
        round(number, 7) == number for f in features for point in f["geometry"]["coordinates"] for number in point
    )
