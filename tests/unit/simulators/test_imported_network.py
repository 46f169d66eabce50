"""A city on an existing network: what its register says stays, what it does not say is drawn."""

from dataclasses import replace
from pathlib import Path

import msgspec
import numpy as np
import pytest

from roadtwin.errors import SimulationError
from roadtwin.network.geojson import ReadOptions, read_geojson
from roadtwin.network.sections import Attributes, RoadSection
from roadtwin.network.split import section_lengths_m
from simulators.files.files import write_files
from simulators.truth.truth import truth_of
from simulators.world import build_world

ESSEN = Path(__file__).parents[3].parent / "shared" / "data" / "essen_osm_ways" / "essen_ways.geojson"


def a_grid(streets: int = 8, blocks: int = 10) -> list[RoadSection]:
    """Streets of 1.1 km from west to east, a street apart, in blocks of 111 m; nothing known but their names."""
    return [
        RoadSection(
            source="grid",
            source_section_id=f"{street}-{block}",
            line=np.array(
                [[7.0 + 0.0016 * block, 50.9 + 0.002 * street], [7.0016 + 0.0016 * block, 50.9 + 0.002 * street]]
            ),
            name=f"Straße {street}" if street else None,
        )
        for street in range(streets)
        for block in range(blocks)
    ]


def test_everything_that_the_register_does_not_know_is_drawn_and_the_rest_stays():
    grid = a_grid()
    grid[3] = replace(
        grid[3],
        district="Altstadt",
        owner="Land",
        attributes=Attributes(construction_year=1950, width_m=9.25, drainage="poor"),
    )

    world = build_world(seed=5, length_km=400, network=grid)

    assert world.is_imported
    assert world.length_km == pytest.approx(section_lengths_m(grid).sum() / 1000)
    assert [s.source_section_id for s in world.sections] == [s.source_section_id for s in grid]
    assert all(np.array_equal(a.line, b.line) for a, b in zip(world.sections, grid, strict=True))
    known = world.sections[3]
    assert (known.district, known.owner) == ("Altstadt", "Land")
    assert (known.attributes.construction_year, known.attributes.width_m, known.attributes.drainage) == (
        1950,
        9.25,
        "poor",
    )
    unknown = [
        name
        for section in world.sections
        for name in Attributes.__struct_fields__
        if getattr(section.attributes, name) is None
    ]
    assert unknown == []
    assert all(section.district and section.maintenance_district for section in world.sections)
    assert world.weather.latitude_deg == pytest.approx(50.907, abs=0.002)


def test_without_any_class_the_longest_streets_are_the_main_roads():
    grid = a_grid()
    grid += [
        replace(
            s, source_section_id=f"x{s.source_section_id}", line=s.line + np.array([0.02, 0.0]), name="Lange Straße"
        )
        for s in grid[10:30]
    ]

    world = build_world(seed=5, length_km=400, network=grid)

    classes = {section.name: section.road_class for section in world.sections}
    assert classes["Lange Straße"] == "main"
    assert {"main", "collector", "residential"} == set(classes.values())
    classified = build_world(seed=5, length_km=400, network=[replace(s, road_class="collector") for s in grid])
    assert {section.road_class for section in classified.sections} == {"collector"}


def test_a_city_on_its_own_register_is_the_same_city_again():
    """What was drawn once is known the next time: the file of a world's sections makes the same world."""
    world = build_world(seed=3, length_km=20)
    again = build_world(seed=3, length_km=20, network=world.sections)

    assert again.segment_ids == world.segment_ids
    assert [s.attributes for s in again.sections] == [s.attributes for s in world.sections]
    assert [s.warranty_until for s in again.sections] == [s.warranty_until for s in world.sections]


def test_its_truth_runs():
    world = build_world(seed=5, length_km=400, network=a_grid())

    truth_of(world).day(world.epoch)

    assert len(truth_of(world).holes) > 0


@pytest.mark.parametrize(
    ("network", "sentence"),
    [
        ([], "Network: got 0 sections"),
        (a_grid(1, 3), r"Network: got 0\.3 km of roads, expected 5 to 20,000 km"),
        ([*a_grid(), replace(a_grid()[0], line=np.array([[7.0, 51.0], [7.0, 51.0]]))], "Network: "),
    ],
)
def test_a_bad_network_gives_one_clear_sentence(network, sentence):
    with pytest.raises(SimulationError, match=sentence):
        build_world(seed=1, length_km=400, network=network)


@pytest.mark.parametrize("segment_length_m", [20, 100])
def test_segments_have_their_nominal_length_and_short_ones_nest_in_those_of_100_m(segment_length_m):
    world = build_world(seed=2, length_km=20, segment_length_m=segment_length_m)
    lengths = np.array([segment.length_m for segment in world.segments])

    assert lengths.mean() == pytest.approx(segment_length_m, rel=0.05)
    if segment_length_m == 20:
        ends = {(s.section_index, round(s.from_station_m, 6)) for s in world.segments}
        coarse = build_world(seed=2, length_km=20).segments
        assert all((s.section_index, round(s.from_station_m, 6)) in ends for s in coarse)


@pytest.mark.parametrize("length_m", [9, 1001])
def test_an_impossible_segment_length_is_refused(length_m):
    with pytest.raises(SimulationError, match=f"Length of a segment: got {length_m} m"):
        build_world(seed=1, length_km=10, segment_length_m=length_m)


@pytest.mark.skipif(not ESSEN.is_file(), reason="needs ../shared/data/essen_osm_ways")
def test_essen_as_openstreetmap_has_it():
    sections, _ = read_geojson(ESSEN.read_bytes(), ReadOptions(source="osm", drivable_only=True))

    world = build_world(seed=1, length_km=400, network=sections)

    assert len(world.sections) == len(sections) > 3000
    assert {"main", "collector", "residential"} <= {section.road_class for section in world.sections}
    limits = [
        (a.attributes.speed_limit_kmh, b.attributes.speed_limit_kmh)
        for a, b in zip(sections, world.sections, strict=True)
    ]
    assert all(given in (None, kept) for given, kept in limits)


def test_a_network_file_keeps_every_attribute_on_the_way_out_and_in(tmp_path):
    world = build_world(seed=3, length_km=6)
    start = world.day_start(world.epoch)
    write_files(world, tmp_path, start=start, end=start)
    sections, report = read_geojson((tmp_path / "network.geojson").read_bytes(), ReadOptions(source="sim"))

    assert report.skipped == ()
    assert [msgspec.to_builtins(s.attributes) for s in sections] == [
        msgspec.to_builtins(s.attributes) for s in world.sections
    ]
    assert [(s.owner, s.warranty_until, s.inspection_interval_days, s.road_class, s.district) for s in sections] == [
        (s.owner, s.warranty_until, s.inspection_interval_days, s.road_class, s.district) for s in world.sections
    ]
