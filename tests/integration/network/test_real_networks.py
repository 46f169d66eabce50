"""Real registers: Cologne's street sections and OpenStreetMap ways of Essen. Skipped where the data is not at hand."""

import csv
import gzip
import os
import time
from collections import Counter
from datetime import UTC, datetime
from pathlib import Path

import numpy as np
import pytest
import shapely
from pyproj import Transformer

from roadtwin.jobs.importing import import_network_file
from roadtwin.network.geojson import ReadOptions, read_geojson
from roadtwin.network.matching import SegmentMatcher
from roadtwin.network.split import split_network
from roadtwin.network.trace_matching import TraceMatcher

REPOSITORY = Path(__file__).resolve().parents[3]
DATA = Path(os.environ.get("ROADTWIN_SHARED_DIR") or REPOSITORY.parent / "shared") / "data"
NOW = datetime(2026, 1, 1, tzinfo=UTC)
COLOGNE = DATA / "koeln" / "strassenabschnitte_wgs84.geojson.gz"
COLOGNE_OPTIONS = ReadOptions(source="koeln", id_column="id", name_column="STRASSE")
ESSEN = DATA / "essen_osm_ways" / "essen_ways.geojson"
SYRACUSE = DATA / "syracuse"

needs_cologne = pytest.mark.skipif(not COLOGNE.exists(), reason="the Cologne street register is not at hand")
needs_syracuse = pytest.mark.skipif(not SYRACUSE.exists(), reason="the pothole fills of Syracuse are not at hand")
needs_essen = pytest.mark.skipif(not ESSEN.exists(), reason="the OpenStreetMap ways of Essen are not at hand")


def rows(db, statement):
    return db.execute(statement).fetchall()


@pytest.fixture(scope="module")
def cologne_sections():
    return read_geojson(gzip.decompress(COLOGNE.read_bytes()), COLOGNE_OPTIONS)


@needs_cologne
def test_cologne_is_imported_whole_within_a_minute_and_a_second_time_changes_nothing(db):
    started = time.perf_counter()
    report, counts = import_network_file(db, COLOGNE, COLOGNE_OPTIONS, recorded_at=NOW)
    seconds = time.perf_counter() - started
    before = rows(db, "SELECT md5(string_agg(s::text, '' ORDER BY segment_id)) FROM segment AS s")
    _, again = import_network_file(db, COLOGNE, COLOGNE_OPTIONS, recorded_at=datetime(2026, 2, 1, tzinfo=UTC))

    assert (report.features, report.sections, report.skipped) == (15846, 15846, ())
    assert (report.renamed, report.without_id) == (4, 2)  # five ids occur twice, one of them is "no id"
    assert counts.added == 15846
    assert counts.length_km == pytest.approx(2567, abs=2)
    assert seconds < 60
    ((west, south, east, north),) = rows(
        db, "SELECT min((bounds[1])[0]), min((bounds[1])[1]), max((bounds[0])[0]), max((bounds[0])[1]) FROM segment"
    )
    assert (west, south, east, north) == pytest.approx((6.811, 50.831, 7.162, 51.085), abs=0.0006)
    assert not again.changed_anything
    assert again.unchanged == 15846
    assert rows(db, "SELECT md5(string_agg(s::text, '' ORDER BY segment_id)) FROM segment AS s") == before
    assert rows(db, "SELECT count(DISTINCT source_section_id), count(DISTINCT name) FROM road_section") == [
        (15846, 5513)
    ]


@needs_cologne
def test_cologne_ids_keep_their_leading_zeros(cologne_sections):
    sections, _ = cologne_sections

    by_id = {section.source_section_id: section.name for section in sections}

    assert by_id["00181100"] == "Am Rosengarten"
    assert {"00509220", "00509220#2"} <= by_id.keys()


@needs_cologne
def test_cars_in_cologne_match_as_near_as_they_drove(cologne_sections):
    with gzip.open(DATA / "koeln" / "envirocar_measures.csv.gz", "rt", encoding="utf-8") as file:
        points = np.array([(float(row["lon"]), float(row["lat"])) for row in csv.DictReader(file)])
    matcher = SegmentMatcher(split_network(cologne_sections[0]))

    match = matcher.match(points[:, 0], points[:, 1], max_distance_m=5000)

    # What lies farther than 5 km from every street drove on motorways outside; it counts as far.
    distance_m = np.nan_to_num(np.abs(match.offset_m), nan=np.inf)
    assert len(points) == 6841
    assert (distance_m <= 15).mean() == pytest.approx(0.57, abs=0.01)
    assert np.median(distance_m) == pytest.approx(11.6, abs=0.1)


@needs_essen
def test_essen_is_imported_without_loss_and_a_second_time_changes_nothing(db):
    options = ReadOptions(source="osm")

    report, counts = import_network_file(db, ESSEN, options, recorded_at=NOW)
    _, again = import_network_file(db, ESSEN, options, recorded_at=NOW)

    assert (report.features, report.sections, counts.added) == (5656, 5656, 5656)
    assert (report.renamed, report.skipped) == (0, ())
    assert not again.changed_anything
    assert ("Rüttenscheider Straße",) in rows(db, "SELECT DISTINCT name FROM road_section")


@needs_essen
def test_the_drivable_ways_of_essen_are_635_km_long():
    sections, report = read_geojson(ESSEN.read_bytes(), ReadOptions(source="osm", drivable_only=True))

    to_utm = Transformer.from_crs(4326, 25832, always_xy=True)
    utm_km = sum(shapely.LineString(np.column_stack(to_utm.transform(*s.line.T))).length for s in sections) / 1000
    assert (len(sections), report.left_out) == (5423, 233)
    assert utm_km == pytest.approx(635.3, abs=0.1)
    assert len({section.name for section in sections}) == 410
    classes = Counter(section.road_class for section in sections)
    assert classes["other"] == 222  # service ways


@pytest.fixture(scope="module")
def fills():
    """Streets of Syracuse, and the fills: truck, minute, longitude, latitude and the street that the city names."""
    options = ReadOptions(source="syracuse", id_column="STREET_ID", name_column="STREET")
    sections, _ = read_geojson((SYRACUSE / "streets_wgs84.geojson").read_bytes(), options)
    with gzip.open(SYRACUSE / "potholes_filled_2016.csv.gz", "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    minute = [datetime.strptime(row["dtTime"], "%m/%d/%Y %H:%M").replace(tzinfo=UTC).timestamp() for row in rows]
    truck = [int(row["VehicleName"].removeprefix("DP")) for row in rows]
    # The headers of this file are swapped.
    lon, lat = (np.array([float(row[name]) for row in rows]) for name in ("Latitude", "Longitude"))
    ids = np.array([section.source_section_id for section in sections])
    named = np.array([row["STREET_ID"] for row in rows])
    return split_network(sections), ids, (np.array(truck), np.array(minute), lon, lat), named


def share_right(match, ids, named):
    return float(((match.section_index >= 0) & (ids[match.section_index] == named)).mean())


@needs_syracuse
def test_fills_of_syracuse_match_alone_at_least_as_well_as_to_the_nearest_street(fills):
    segments, ids, (_, minute, lon, lat), named = fills

    nearest = SegmentMatcher(segments).match(lon, lat, max_distance_m=300)
    alone = TraceMatcher(segments).match(np.arange(len(lon)), minute, lon, lat, max_distance_m=300)

    assert len(named) == 7538
    assert share_right(nearest, ids, named) >= 0.9995
    assert share_right(alone, ids, named) >= share_right(nearest, ids, named)


@needs_syracuse
def test_fills_of_syracuse_as_traces_of_their_trucks_are_hardly_elsewhere(fills):
    """The city names the nearest street, and tells times by the minute and neither speed nor heading."""
    segments, ids, told, named = fills

    nearest = SegmentMatcher(segments).match(*told[2:])
    traces = TraceMatcher(segments).match(*told)

    assert share_right(traces, ids, named) >= share_right(nearest, ids, named) - 0.01
