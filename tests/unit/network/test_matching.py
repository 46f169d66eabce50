import numpy as np
import pytest
from pyproj import Geod

from roadtwin.network.matching import SegmentMatcher
from roadtwin.network.sections import RoadSection
from roadtwin.network.split import split_network

ORIGIN = (7.01, 51.45)
GEOD = Geod(ellps="WGS84")


def at(east_m: float, north_m: float) -> tuple[float, float]:
    """Longitude and latitude of a place east and north of the origin."""
    lon, lat, _ = GEOD.fwd(*ORIGIN, 90, east_m)
    lon, lat, _ = GEOD.fwd(lon, lat, 0, north_m)
    return lon, lat


def street(name: str, *places: tuple[float, float]) -> RoadSection:
    return RoadSection("t", name, np.array([at(*place) for place in places]))


def matcher(*sections: RoadSection) -> SegmentMatcher:
    return SegmentMatcher(split_network(sections))


def test_a_position_beside_a_street_gets_station_and_signed_offset():
    streets = matcher(street("north", (0, 0), (0, 300)))
    west, east = at(-6, 130), at(4, 250)

    match = streets.match([west[0], east[0]], [west[1], east[1]])

    assert match.segment_index.tolist() == [1, 2]
    assert match.station_m == pytest.approx([130, 250], abs=0.01)
    assert match.offset_m == pytest.approx([6, -4], abs=0.01)  # left of a street that runs north is west


def test_a_position_outside_the_network_matches_nothing():
    streets = matcher(street("north", (0, 0), (0, 300)))
    lon, lat = at(26, 100)

    match = streets.match([lon, np.nan, 181.0], [lat, 51.45, 95.0], max_distance_m=25)

    assert match.segment_index.tolist() == [-1, -1, -1]
    assert match.section_index.tolist() == [-1, -1, -1]
    assert np.isnan(match.station_m).all()
    assert np.isnan(match.offset_m).all()


def test_of_two_parallel_streets_the_nearer_one_wins():
    streets = matcher(street("a", (0, 0), (0, 100)), street("b", (12, 100), (12, 0)))
    lon, lat = at(7, 40)

    match = streets.match(lon, lat, heading_deg=0)

    assert match.section_index.tolist() == [1]
    assert match.station_m == pytest.approx([60], abs=0.01)  # b runs south
    assert match.offset_m == pytest.approx([-5], abs=0.01)  # and west of it is its right


@pytest.mark.parametrize(
    ("heading_deg", "section"), [(np.nan, 1), (0, 0), (180, 0), (25, 0), (90, 1), (270, 1), (45, 1)]
)
def test_near_a_crossing_the_heading_decides_within_the_accuracy(heading_deg, section):
    streets = matcher(street("north", (0, -100), (0, 100)), street("east", (-100, 0), (100, 0)))
    lon, lat = at(5, 3)

    match = streets.match([lon], [lat], heading_deg=[heading_deg])

    assert match.section_index.tolist() == [section]


def test_a_street_farther_off_than_the_accuracy_is_not_taken_for_its_direction():
    streets = matcher(street("north", (0, -100), (0, 100)), street("east", (-100, 0), (100, 0)))
    lon, lat = at(20, 3)

    assert streets.match(lon, lat, heading_deg=0, accuracy_m=5).section_index.tolist() == [1]
    assert streets.match(lon, lat, heading_deg=0, accuracy_m=18).section_index.tolist() == [0]


def test_a_known_section_is_kept_although_another_one_is_nearer():
    streets = matcher(street("a", (0, 0), (0, 300)), street("b", (12, 0), (12, 300)))
    near_b, far = at(9, 240), at(60, 10)

    match = streets.match_on_section([near_b[0], far[0]], [near_b[1], far[1]], [0, 0])

    assert match.section_index.tolist() == [0, -1]
    assert match.station_m[0] == pytest.approx(240, abs=0.01)
    assert match.segment_index.tolist() == [2, -1]


def test_the_end_of_one_piece_and_the_start_of_the_next_match_to_the_first():
    streets = matcher(street("north", (0, 0), (0, 200)))
    lon, lat = at(0, 100)

    assert streets.match(lon, lat).station_m == pytest.approx([100], abs=0.01)
    assert streets.match(lon, lat).segment_index.tolist() == streets.match(lon, lat).segment_index.tolist()


def test_many_positions_match_as_each_alone():
    rng = np.random.default_rng(7)
    streets = matcher(*[street(str(i), (i * 40, 0), (i * 40 + 10, 500)) for i in range(6)])
    places = np.array([at(e, n) for e, n in rng.uniform((-50, -50), (300, 550), (200, 2))])
    heading = rng.uniform(0, 360, 200)

    together = streets.match(places[:, 0], places[:, 1], heading)
    alone = [streets.match(lon, lat, h).station_m[0] for (lon, lat), h in zip(places, heading, strict=True)]

    assert np.array_equal(together.station_m, np.array(alone), equal_nan=True)
    assert 0 < (together.segment_index >= 0).sum() < 200


def test_a_network_without_segments_matches_nothing():
    assert SegmentMatcher([]).match([7.0], [51.0]).segment_index.tolist() == [-1]
