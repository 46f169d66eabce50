import json

import pytest
from typer.testing import CliRunner

from roadtwin.cli.importing import app as import_app
from roadtwin.cli.state import app as state_app
from roadtwin.errors import InputFileError

NETWORK = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"osm_id": 17, "highway": "residential", "name": "Rüttenscheider Straße"},
            "geometry": {"type": "LineString", "coordinates": [[7.0, 51.45], [7.0, 51.4527]]},
        },
        {"type": "Feature", "properties": {"osm_id": 18, "highway": "footway"}, "geometry": None},
    ],
}


@pytest.fixture
def run(database_url, monkeypatch):
    monkeypatch.setenv("ROADTWIN_DATABASE_URL", database_url)

    def invoke(app, *arguments):
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result.stdout

    return invoke


def test_a_network_records_and_the_state_go_in_by_commands(run, db, tmp_path):
    network, repairs, devices = tmp_path / "essen.geojson", tmp_path / "repair.csv", tmp_path / "devices.csv"
    network.write_text(json.dumps(NETWORK), encoding="utf-8")
    repairs.write_text("observed_at,method,segment_id\n2026-01-05T10:00:00+01:00,hot_mix,essen:17:0-100\nx,y,z\n")
    devices.write_text(
        "network_source,application,device,status,lon,lat,valid_from\n"
        "senml,,probe-1,confirmed,7.0,51.45,2026-01-01T00:00:00Z\n"
    )

    with pytest.raises(InputFileError, match="--city NAME"):
        run(import_app, "network", network)
    first = json.loads(run(import_app, "network", network, "--city", "Essen", "--json"))
    again = run(import_app, "network", network)
    assert (first["network"]["added"], first["network"]["segments_added"]) == (1, 3)
    assert first["read"]["skipped"] == ["feature 2: it has no geometry"]
    assert "0 added, 0 moved, 0 with other attributes, 1 unchanged" in again

    told = run(import_app, "repair", repairs, "--reporting-lag", 24)
    assert "2 records: 1 stored, 0 there already, 1 rejected." in told
    assert "line 3: " in told
    assert run(import_app, "devices", devices).startswith("1 ")

    counts = json.loads(run(state_app, "--json"))
    assert counts["match"]["records"] == 1
    assert counts["state"]["segments"] == 3
    assert db.execute("SELECT name, timezone, simulated FROM city").fetchone() == ("Essen", "Europe/Berlin", False)
    assert db.execute("SELECT count(*) FROM twin_state").fetchone() == (3,)


def test_a_file_without_one_usable_record_fails(run, tmp_path):
    path = tmp_path / "report.jsonl"
    path.write_text("{}\n")

    with pytest.raises(InputFileError, match=r"None of the 1 records of report\.jsonl"):
        run(import_app, "report", path)


def test_a_simulated_city_takes_no_real_network(run, db, tmp_path):
    db.execute("INSERT INTO city (name, timezone, simulated) VALUES ('Musterstadt', 'Europe/Berlin', TRUE)")
    db.commit()
    network = tmp_path / "essen.geojson"
    network.write_text(json.dumps(NETWORK), encoding="utf-8")

    with pytest.raises(InputFileError, match="simulated city Musterstadt"):
        run(import_app, "network", network, "--city", "Essen")


def swapped(coordinates):
    return [[lat, lon] for lon, lat in coordinates]


def test_swapped_coordinates_and_mixed_time_zones_are_said_by_every_import(run, db, tmp_path):
    network, turned = tmp_path / "essen.geojson", tmp_path / "turned.geojson"
    network.write_text(json.dumps(NETWORK), encoding="utf-8")
    feature = NETWORK["features"][0]
    line = {"type": "LineString", "coordinates": swapped(feature["geometry"]["coordinates"])}
    turned.write_text(json.dumps({**NETWORK, "features": [{**feature, "geometry": line}]}), encoding="utf-8")
    reports, mixed, devices = (tmp_path / name for name in ("report.csv", "mixed.csv", "devices.csv"))
    reports.write_text(
        "observed_at,channel,lon,lat\n2026-01-05T10:00:00+01:00,app,7.0,51.4512\n"
        "2026-01-05T11:00:00+01:00,app,51.4512,7.0\n2026-01-05T12:00:00+01:00,app,0,0\n"
    )
    mixed.write_text("observed_at,channel\n2026-01-05T10:00:00+01:00,app\n2026-01-05T11:00:00,app\n")
    devices.write_text(
        "network_source,application,device,lon,lat,valid_from\nsenml,,probe-1,51.45,7.0,2026-01-01T00:00:00Z\n"
    )

    with pytest.raises(InputFileError, match="Longitude and latitude are swapped: the middle of the network"):
        run(import_app, "network", turned, "--city", "Essen")
    run(import_app, "network", network, "--city", "Essen")
    with pytest.raises(InputFileError, match="swapped in 1 of 1 sections"):
        run(import_app, "network", turned)

    told = run(import_app, "report", reports, "--reporting-lag", 1)
    assert "3 records: 2 stored, 0 there already, 1 rejected." in told
    assert "1 positions had longitude and latitude swapped: put right." in told
    assert "line 4: The position 0, 0 lies" in told
    assert db.execute("SELECT DISTINCT lon, lat FROM report").fetchall() == [(7.0, 51.4512)]

    told = run(import_app, "report", mixed, "--reporting-lag", 1)
    assert "Mixed time zones: 1 of 2 records have times without an offset and are rejected" in told
    mixed.write_text("observed_at,channel\n2026-01-06T10:00:00+01:00,app\n2026-01-05T11:00:00-05:00,app\n")
    with pytest.raises(InputFileError, match="got 1 time -05:00, which Europe/Berlin never has"):
        run(import_app, "report", mixed, "--reporting-lag", 1)
    assert db.execute("SELECT count(*) FROM report").fetchone() == (3,)

    assert "1 positions had longitude and latitude swapped: put right." in run(import_app, "devices", devices)
    assert db.execute("SELECT lon, lat FROM device_installation").fetchone() == (7.0, 51.45)
