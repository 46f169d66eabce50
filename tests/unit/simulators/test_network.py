from collections import Counter, defaultdict
from datetime import UTC, date, datetime

import numpy as np
import pytest
from shapely import LineString, STRtree

from roadtwin.errors import SimulationError
from roadtwin.network.split import section_lengths_m
from simulators.devices.device_kinds import KINDS
from simulators.world import build_world


@pytest.mark.parametrize(("seed", "km"), [(1, 15), (2, 60), (3, 120)])
def test_the_town_has_the_wanted_length_and_sections_of_60_to_600_m(seed, km):
    world = build_world(seed=seed, length_km=km)
    lengths = section_lengths_m(world.sections)

    assert lengths.sum() == pytest.approx(1000 * km, rel=0.05)
    assert lengths.min() >= 60
    assert lengths.max() <= 601


def test_streets_meet_only_at_their_ends_or_where_one_ends_on_another(small_world):
    lines = [LineString(section.line) for section in small_world.sections]
    tree = STRtree(lines)
    pairs = tree.query(lines, predicate="crosses")
    scale = 1e-6  # about a tenth of a metre

    bad = []
    for a, b in pairs.T:
        if a < b:
            where = lines[a].intersection(lines[b])
            ends = [line.boundary for line in (lines[a], lines[b])]
            if min(end.distance(where) for end in ends) > scale:
                bad.append((a, b))
    assert bad == []


def test_every_junction_is_reached_from_every_other(small_world):
    """One connected town: lines that touch within a metre belong together."""
    lines = [LineString(section.line) for section in small_world.sections]
    neighbours = STRtree(lines).query(lines, predicate="dwithin", distance=1e-5)
    linked = defaultdict(set)
    for a, b in neighbours.T:
        linked[a].add(b)
    seen, todo = {0}, [0]
    while todo:
        for other in linked[todo.pop()] - seen:
            seen.add(other)
            todo.append(other)

    assert len(seen) == len(lines)


def test_classes_names_owners_and_attributes_are_those_of_a_town():
    world = build_world(seed=4, length_km=120)
    by_class = Counter(segment.road_class for segment in world.segments)
    names = {section.name for section in world.sections}
    heavy = {
        c: np.median([s.attributes.heavy_vehicles_per_day for s in world.sections if s.road_class == c])
        for c in by_class
    }

    assert 0.15 < by_class["main"] / len(world.segments) < 0.28
    assert 0.5 < by_class["residential"] / len(world.segments) < 0.7
    assert heavy["main"] > 5 * heavy["residential"]
    assert len(names) > 100
    assert any("ü" in name or "ö" in name or "ä" in name for name in names)
    assert {section.owner for section in world.sections} >= {None, "Landesbetrieb Straßenbau"}
    assert 3 <= len({section.district for section in world.sections}) <= 10
    assert any(section.warranty_until for section in world.sections)
    assert len({section.source_section_id for section in world.sections}) == len(world.sections)
    assert {s.attributes.pavement_class for s in world.sections} <= {"Bk0.3", "Bk1.0", "Bk1.8", "Bk3.2", "Bk10", "Bk32"}


def test_a_street_has_one_class_and_its_name_is_its_own():
    world = build_world(seed=4, length_km=60)
    classes = defaultdict(set)
    for section in world.sections:
        classes[section.name].add(section.road_class)

    assert all(len(found) == 1 for found in classes.values())


def test_the_same_seed_gives_the_same_city_and_another_one_another():
    first, again, other = (build_world(seed=seed, length_km=20) for seed in (9, 9, 10))

    assert first.segment_ids == again.segment_ids
    assert all(
        np.array_equal(a.line, b.line) and a.name == b.name for a, b in zip(first.sections, again.sections, strict=True)
    )
    assert first.device_rows() == again.device_rows()
    assert first.segment_ids != other.segment_ids


def test_the_world_begins_on_the_local_day_of_its_start():
    world = build_world(seed=1, length_km=10, start=datetime(2024, 9, 30, 22, tzinfo=UTC))

    assert world.epoch == date(2024, 10, 1)
    assert max(s.attributes.wearing_course_year for s in world.sections) <= 2024


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"seed": -1, "length_km": 30}, "Seed: got -1"),
        ({"seed": 1.5, "length_km": 30}, r"Seed: got 1\.5"),
        ({"seed": True, "length_km": 30}, "Seed: got True"),
        ({"seed": 1, "length_km": 0}, "got 0 km, expected 5 to 20,000 km"),
        ({"seed": 1, "length_km": float("nan")}, "got nan km"),
        ({"seed": 1, "length_km": 30, "timezone": "Europe/Atlantis"}, "Time zone: got 'Europe/Atlantis'"),
        ({"seed": 1, "length_km": 30, "start": datetime(2024, 1, 1)}, "without zone"),  # noqa: DTZ001
    ],
)
def test_a_bad_argument_gives_one_clear_sentence(arguments, sentence):
    with pytest.raises(SimulationError, match=sentence):
        build_world(**arguments)


def test_devices_stand_on_their_segment_and_are_all_in_the_register(small_world):
    rows = small_world.device_rows()

    assert len(rows) == len(small_world.devices)
    assert {row["network_source"] for row in rows} == {"chirpstack-v4", "tts-v3", "senml"}
    assert {row["profile_name"] for row in rows} == {kind.profile_name for kind in KINDS}
    assert len({(row["network_source"], row["application"], row["device"]) for row in rows}) == len(rows)
    for device in small_world.devices:
        segment = small_world.segments[device.segment_index]
        assert segment.from_station_m <= device.station_m <= segment.to_station_m
        assert LineString(segment.line).distance(LineString([[device.lon, device.lat]] * 2)) < 1e-5
