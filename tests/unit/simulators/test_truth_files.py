"""The truth as files, the world again from them, and `roadtwin ceilings`."""

import csv
import json
from datetime import UTC, date, datetime

import msgspec
import numpy as np
import pytest
from typer.testing import CliRunner

from roadtwin.cli.ceilings import app
from roadtwin.errors import SimulationError
from roadtwin.network.geojson import ReadOptions, read_geojson
from simulators.scenario import RegisterDelay, WeatherChange, read_scenario
from simulators.truth.truth import truth_of
from simulators.truth.truth_files import read_world, write_truth
from simulators.world import build_world

START, END = datetime(2021, 12, 1, tzinfo=UTC), datetime(2022, 1, 15, tzinfo=UTC)


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    scenario = msgspec.structs.replace(
        read_scenario("ordinary"),
        weather=(WeatherChange(begins="12-01", ends="03-01", air_temp_shift_c=-2.0),),
        fault=(RegisterDelay(begins="today-30d", ends="today", delay_h=24),),
    )
    world = build_world(
        seed=8, length_km=8, start=datetime(2021, 6, 30, 22, tzinfo=UTC), scenario=scenario, segment_length_m=50
    )
    directory = tmp_path_factory.mktemp("simulated")
    return world, directory, write_truth(world, directory, START, END)


def rows_of(directory, name):
    with (directory / "truth" / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_every_segment_and_day_has_its_hazard(written):
    world, directory, counts = written
    hazard = np.load(directory / "truth" / "hazard.npy", mmap_mode="r")
    days, segments = rows_of(directory, "days.csv"), rows_of(directory, "segments.csv")

    assert hazard.dtype == np.float32
    assert hazard.shape == (len(days), len(segments)) == (46, len(world.segments))
    assert [row["segment_id"] for row in segments] == list(world.segment_ids)
    assert days[0]["day"] == "2021-12-01"
    assert days[-1]["day"] == "2022-01-15"
    assert hazard.min() > 0
    assert np.allclose(hazard.sum(axis=1), [float(row["expected_holes"]) for row in days], rtol=1e-3)
    assert counts["truth/hazard.npy"] == 46


def test_every_hole_that_was_open_is_there(written):
    world, directory, _ = written
    holes = rows_of(directory, "potholes.csv")
    born = sum(int(row["new_holes"]) for row in rows_of(directory, "days.csv"))
    inside = [row for row in holes if row["born_at"] >= "2021-12-01T00:00:00"]
    length = dict(zip(world.segment_ids, world.geometry.segment_length_m, strict=True))

    # The first local day begins an hour before the period, the last one ends 23 hours after it.
    assert 0 <= born - len(inside) <= 5
    assert all(row["closed_at"] == "" or row["closed_at"] > row["born_at"] for row in holes)
    assert {row["severity"] for row in holes} <= {"1", "2", "3"}
    assert {row["segment_id"] for row in holes} <= set(length)


def test_the_same_world_comes_from_its_file(written):
    world, directory, _ = written
    again = read_world(directory)

    assert again.scenario == world.scenario
    assert (again.epoch, again.today, again.segment_ids) == (world.epoch, world.today, world.segment_ids)
    day = date(2021, 12, 20)
    assert truth_of(again).day(day).works == truth_of(world).day(day).works


def test_a_world_on_a_given_network_comes_again_from_the_network_beside_its_truth(written, tmp_path):
    made, _, _ = written
    features = [
        {
            "type": "Feature",
            "geometry": {"type": "LineString", "coordinates": section.line.tolist()},
            "properties": {"id": section.source_section_id, "name": section.name, "road_class": section.road_class},
        }
        for section in made.sections
    ]
    content = json.dumps({"type": "FeatureCollection", "features": features}).encode()

    sections, _ = read_geojson(content, ReadOptions(source="stadt"))
    world = build_world(seed=8, length_km=100, network=sections)
    write_truth(world, tmp_path, datetime(2021, 7, 2, tzinfo=UTC), datetime(2021, 7, 3, tzinfo=UTC))

    with pytest.raises(SimulationError, match=r"got no network\.geojson"):
        read_world(tmp_path)
    (tmp_path / "network.geojson").write_bytes(content)
    assert read_world(tmp_path).segment_ids == world.segment_ids


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"simulator_version": 1}, "got a world of the simulator's version 1"),
        ({"seed": 9}, "got another city when it was made again"),
        ({"seed": "x"}, "got no description of a world"),
        ({"weather_file": "koeln.csv"}, "Measured weather: got none, expected the file koeln.csv"),
        ({"timezone": "Mars/Olympus"}, "Time zone: got 'Mars/Olympus'"),
    ],
)
def test_damaged_files_are_refused(written, tmp_path, change, message):
    _, directory, _ = written
    values = json.loads((directory / "truth" / "world.json").read_bytes()) | change
    (tmp_path / "world.json").write_text(json.dumps(values))
    with pytest.raises(SimulationError, match=message):
        read_world(tmp_path)


def test_the_command_gives_both_ceilings_and_writes_them_by_segment(written, tmp_path):
    world, directory, _ = written
    out = tmp_path / "ceilings.csv"
    options = [str(directory), "--cut", "2021-12-20", "--horizon", "28", "--draws", "2", "--out", str(out), "--json"]
    result = CliRunner().invoke(app, options)

    assert result.exit_code == 0, result.output
    (cut,) = json.loads(result.stdout)
    assert set(cut["horizons"][0]["forecasts"]) == {"oracle", "informed", "count_so_far", "climatology"}
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["segment_id"] for row in rows] == list(world.segment_ids)
    assert sum(int(row["new_holes"]) > 0 for row in rows) == cut["horizons"][0]["positives"]
    plain = CliRunner().invoke(app, options[:-3])
    assert "informed ceiling" in plain.stdout


def test_the_command_says_what_is_wrong(written, tmp_path):
    _, directory, _ = written
    for options, message in (
        ([str(tmp_path), "--cut", "2021-12-20"], "expected the files of a simulation"),
        ([str(directory), "--cut", "20. Dezember"], "--cut: got '20. Dezember'"),
        ([str(directory), "--cut", "2021-07-01"], "Cut: got 2021-07-01"),
        ([str(directory), "--cut", "2021-12-20", "--out", str(tmp_path / "no" / "x.csv")], "there is no such folder"),
    ):
        error = CliRunner().invoke(app, options).exception
        assert message in str(error)
