import json

import numpy as np
import pytest
from pyproj import Transformer

from roadtwin.errors import InputFileError, UnsupportedCrsError
from roadtwin.network.geojson import ReadOptions, read_geojson

LINE = [[7.0, 51.45], [7.001, 51.451]]


def feature(properties=None, coordinates=None, kind="LineString", **more):
    return {
        "type": "Feature",
        "properties": properties if properties is not None else {"id": "0042"},
        "geometry": {"type": kind, "coordinates": coordinates if coordinates is not None else LINE},
        **more,
    }


def collection(*features, **more):
    return json.dumps({"type": "FeatureCollection", "features": list(features), **more}).encode()


def named_crs(name):
    return {"type": "name", "properties": {"name": name}}


def read(content, **options):
    return read_geojson(content, ReadOptions(source="reg", **options))


@pytest.mark.parametrize("name", [None, "urn:ogc:def:crs:OGC:1.3:CRS84", "urn:ogc:def:crs:EPSG::4326", "EPSG:4326"])
def test_longitude_and_latitude_are_taken_as_they_stand(name):
    content = collection(feature(), **({} if name is None else {"crs": named_crs(name)}))

    (section,), report = read(content)

    assert section.line.tolist() == LINE
    assert report.sections == 1


@pytest.mark.parametrize("name", ["EPSG:25832", "urn:ogc:def:crs:EPSG::31466", "EPSG:3857"])
def test_projected_coordinates_are_transformed(name):
    epsg = int(name.split(":")[-1])
    x, y = Transformer.from_crs(4326, epsg, always_xy=True).transform(*np.array(LINE).T)
    content = collection(feature(coordinates=np.column_stack([x, y]).tolist()), crs=named_crs(name))

    (section,), report = read(content)

    assert np.allclose(section.line, LINE, atol=1e-6)
    assert report.crs == name


def test_a_system_given_by_the_caller_wins():
    x, y = Transformer.from_crs(4326, 25832, always_xy=True).transform(*np.array(LINE).T)
    content = collection(feature(coordinates=np.column_stack([x, y]).tolist()))

    with pytest.raises(UnsupportedCrsError, match="Section 0042"):
        read(content)
    (section,), _ = read(content, crs="EPSG:25832")
    assert np.allclose(section.line, LINE, atol=1e-6)


@pytest.mark.parametrize(
    "crs",
    [
        named_crs("EPSG:999999"),
        named_crs("the city's own grid"),
        named_crs("EPSG:5783"),  # heights
        {"type": "link", "properties": {"href": "https://example.org/crs"}},
        None,
        "EPSG:25832",
    ],
)
def test_an_unknown_system_is_refused(crs):
    with pytest.raises(UnsupportedCrsError):
        read(collection(feature(), crs=crs))


@pytest.mark.parametrize(
    ("name", "coordinates"),
    [
        (None, [[2566000.0, 5640000.0], [2566100.0, 5640000.0]]),
        (None, [[7.0, 51.0], [7.0, 151.0]]),
        # A false easting of 2,500,000 that the stated system does not have.
        ("EPSG:25832", [[2566000.0, 5640000.0], [2566100.0, 5640000.0]]),
        # Longitude and latitude under the name of a projected system.
        ("EPSG:25832", LINE),
    ],
)
def test_coordinates_that_the_system_cannot_mean_are_refused_not_placed(name, coordinates):
    content = collection(feature(coordinates=coordinates), **({} if name is None else {"crs": named_crs(name)}))

    with pytest.raises(UnsupportedCrsError, match="cannot be in the coordinate reference system"):
        read(content)


def test_openstreetmap_tags_become_attributes():
    tags = {
        "osm_id": 4048581,
        "highway": "secondary_link",
        "name": "Überruhrstraße",
        "lanes": "2",
        "maxspeed": "50",
        "surface": "asphalt",
        "width": "6.5 m",
    }

    (section,), _ = read(collection(feature(tags, id="way/4048581")))

    assert (section.source_section_id, section.name, section.road_class) == ("4048581", "Überruhrstraße", "main")
    assert section.attributes.lanes == 2
    assert section.attributes.speed_limit_kmh == 50
    assert section.attributes.surface == "asphalt"
    assert section.attributes.width_m == 6.5


@pytest.mark.parametrize(("value", "expected"), [("walk", None), ("none", None), ("30 mph", 48.3), ("70 km/h", 70)])
def test_odd_speed_limits_are_understood_or_unknown(value, expected):
    (section,), _ = read(collection(feature({"osm_id": 1, "highway": "residential", "maxspeed": value})))

    assert section.attributes.speed_limit_kmh == expected


@pytest.mark.parametrize(
    ("tags", "expected"), [({"embedded_rails": "tram"}, True), ({"embedded_rails": "no"}, False), ({}, None)]
)
def test_rails_in_a_carriageway_are_there_not_there_or_unknown(tags, expected):
    (section,), _ = read(collection(feature({"osm_id": 1, "highway": "primary", **tags})))
    (own,), _ = read(collection(feature({"id": "7", "tram_track": expected})))

    assert section.attributes.tram_track is expected
    assert own.attributes.tram_track is expected


def test_ways_without_cars_are_left_out_only_when_asked():
    content = collection(
        *[
            feature({"osm_id": i, "highway": kind})
            for i, kind in enumerate(["primary", "footway", "motorway_link", "tertiary_link", None])
        ]
    )

    everything, full = read(content)
    drivable, report = read(content, drivable_only=True)

    assert (len(everything), full.left_out) == (5, 0)
    assert [s.source_section_id for s in drivable] == ["0", "3"]
    assert report.left_out == 3


def test_columns_can_be_named_and_must_then_be_there():
    row = {"KEY": 17.0, "STR": " Am Park ", "KLASSE": "collector", "BEZIRK": "Mitte", "id": "other"}
    options = {"id_column": "KEY", "name_column": "STR", "class_column": "KLASSE", "district_column": "BEZIRK"}

    (section,), _ = read(collection(feature(row)), **options)

    assert (section.source_section_id, section.name, section.road_class, section.district) == (
        "17",
        "Am Park",
        "collector",
        "Mitte",
    )
    with pytest.raises(InputFileError, match="Feature 1 has no column 'KEY'; it has id"):
        read(collection(feature()), **options)


def test_an_id_that_occurs_twice_is_kept_with_a_suffix_that_does_not_depend_on_the_order_of_rows():
    here, there = feature(), feature(coordinates=[[7.1, 51.4], [7.2, 51.4]])

    forward, report = read(collection(here, there))
    backward, _ = read(collection(there, here))

    assert report.renamed == 1
    assert [s.source_section_id for s in forward] == ["0042", "0042#2"]
    assert [s.source_section_id for s in backward] == ["0042#2", "0042"]


def test_a_feature_without_id_gets_one_from_its_line():
    (section,), report = read(collection(feature({"id": None})))

    assert section.source_section_id.startswith("noid-")
    assert report.without_id == 1


def test_parts_that_follow_one_another_are_one_section_and_others_are_several():
    joined = feature({"id": "a"}, [[[7.0, 51.0], [7.1, 51.0]], [[7.1, 51.0], [7.2, 51.0]]], "MultiLineString")
    apart = feature({"id": "b"}, [[[7.0, 51.0], [7.1, 51.0]], [[7.3, 51.0], [7.2, 51.0]]], "MultiLineString")

    sections, report = read(collection(joined, apart))

    assert [s.source_section_id for s in sections] == ["a", "b.1", "b.2"]
    assert sections[0].line.tolist() == [[7.0, 51.0], [7.1, 51.0], [7.2, 51.0]]
    assert (report.features, report.parts) == (2, 1)


def test_heights_and_repeated_points_are_taken_out():
    (section,), _ = read(collection(feature(coordinates=[[7.0, 51.0, 80], [7.0, 51.0, 81], [7.1, 51.0, 82]])))

    assert section.line.tolist() == [[7.0, 51.0], [7.1, 51.0]]


def test_features_that_are_no_lines_are_skipped_with_the_reason():
    sections, report = read(
        collection(
            feature(),
            {"type": "Feature", "properties": {}, "geometry": None},
            feature(coordinates=[7.0, 51.0], kind="Point"),
            feature(coordinates=[[7.0, 51.0], [7.0, 51.0]]),
            feature(coordinates=[[7.0, "x"], [7.0, 51.0]]),
        )
    )

    assert len(sections) == 1
    assert report.skipped == (
        "feature 2: it has no geometry",
        "feature 3: it is a Point, expected LineString or MultiLineString",
        "feature 4: its line has no length",
        "feature 5: its coordinates are not numbers",
    )


@pytest.mark.parametrize("content", [b"", b"[]", b"{", b'{"type":"Feature"}', b'{"type":"FeatureCollection"}', b"\xff"])
def test_what_is_no_feature_collection_is_refused(content):
    with pytest.raises(InputFileError):
        read(content)


def test_a_source_must_fit_into_an_id():
    with pytest.raises(InputFileError, match="source"):
        read_geojson(collection(feature()), ReadOptions(source="a:b"))


def test_numbers_that_no_road_has_are_counted_and_kept():
    feature = {
        "type": "Feature",
        "properties": {"id": "1", "wearing_course_year": 9999, "width_m": -999, "tree_cover_pct": 30, "lanes": 2},
        "geometry": {"type": "LineString", "coordinates": [[7.0, 51.4], [7.0, 51.41]]},
    }
    content = json.dumps({"type": "FeatureCollection", "features": [feature]}).encode()

    (section,), report = read_geojson(content, ReadOptions(source="reg"))

    assert report.implausible == 2
    assert section.attributes.wearing_course_year == 9999
