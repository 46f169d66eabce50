import numpy as np
import pytest

from roadtwin.network.matching import SegmentMatcher
from roadtwin.network.sections import RoadSection
from roadtwin.network.split import split_network
from roadtwin.network.trace_matching import TraceMatcher
from tests.traces import columns, place_at, simulate_drives, town


def matcher(*lines):
    sections = [
        RoadSection("t", str(i), np.array([place_at(*place) for place in line])) for i, line in enumerate(lines)
    ]
    return TraceMatcher(split_network(sections))


def degrees(places):
    return np.array([place_at(*place) for place in places]).T


def drive(streets, places, **told):
    """Match one drive through places (metres east and north), a second and as many metres apart as they are."""
    lon, lat = degrees(places)
    return streets.match(np.zeros(len(places)), np.arange(len(places)), lon, lat, **told)


PARALLEL = ([(0, 0), (0, 400)], [(20, 0), (20, 400)], [(0, 0), (20, 0)], [(0, 400), (20, 400)])


def test_a_position_that_strays_to_the_next_street_stays_on_the_street_that_is_driven():
    streets = matcher(*PARALLEL)
    strayed = [(2, 100 + 10 * i) if i != 5 else (13, 150) for i in range(10)]

    match = drive(streets, strayed, heading_deg=np.zeros(10), speed_mps=np.full(10, 10.0))

    assert match.section_index.tolist() == [0] * 10
    assert match.station_m == pytest.approx([100 + 10 * i for i in range(10)], abs=0.1)
    assert match.offset_m == pytest.approx([-3] * 10, abs=0.7)  # east of a street that runs north is its right


def test_without_speed_station_and_offset_are_those_of_the_position_itself():
    streets = matcher(*PARALLEL)
    strayed = [(2, 100 + 10 * i) if i != 5 else (13, 150) for i in range(10)]

    match = drive(streets, strayed, heading_deg=np.zeros(10))

    assert match.section_index.tolist() == [0] * 10
    assert match.station_m == pytest.approx([100 + 10 * i for i in range(10)], abs=0.1)
    assert match.offset_m == pytest.approx([-2] * 5 + [-13] + [-2] * 4, abs=0.1)


def test_a_way_round_the_corner_is_followed():
    streets = matcher(*PARALLEL)
    places = [(1, 370), (1, 380), (1, 390), (2, 399), (11, 400), (19, 399), (19, 390), (19, 380), (19, 370)]

    match = drive(streets, places, speed_mps=np.full(9, 9.0))

    assert match.section_index[[0, 1, 4, 7, 8]].tolist() == [0, 0, 3, 1, 1]


def test_a_lone_position_goes_to_the_nearest_street():
    sections = town(20, seed=4)
    segments = split_network(sections)
    drives = simulate_drives(sections, segments, seed=1, drives=10, length_m=2000, error_m=9, error="fresh")
    nearest = SegmentMatcher(segments).match(drives.lon, drives.lat)

    alone = TraceMatcher(segments).match(np.arange(len(drives.lon)), drives.time_s, drives.lon, drives.lat)

    assert np.array_equal(alone.segment_index, nearest.segment_index)
    assert np.allclose(alone.station_m, nearest.station_m, equal_nan=True, atol=1e-6)
    assert np.allclose(alone.offset_m, nearest.offset_m, equal_nan=True, atol=1e-6)
    assert 0.9 < (alone.segment_index >= 0).mean() < 1


@pytest.mark.parametrize(("heading_deg", "section"), [(np.nan, 1), (0, 0), (180, 0), (25, 0), (90, 1), (270, 1)])
def test_a_lone_position_near_a_crossing_goes_where_its_heading_points(heading_deg, section):
    streets = matcher([(0, -100), (0, 100)], [(-100, 0), (100, 0)])

    match = drive(streets, [(5, 3)], heading_deg=[heading_deg])

    assert match.section_index.tolist() == [section]


def test_the_heading_of_a_vehicle_that_hardly_moves_says_nothing():
    streets = matcher([(0, -100), (0, 100)], [(-100, 0), (100, 0)])

    assert drive(streets, [(5, 3)], heading_deg=[0.0], speed_mps=[0.4]).section_index.tolist() == [1]


def test_a_vehicle_that_circles_on_a_yard_is_off_the_network_and_comes_back():
    streets = matcher([(0, 0), (600, 0)])
    street = [(x, -2.0) for x in range(100, 300, 10)]
    circle = [(300 + 20 * np.sin(a), 38 - 20 * np.cos(a)) for a in np.arange(0, 4 * np.pi, 0.5)]  # 18 m from the street
    after = [(x, -2.0) for x in range(300, 500, 10)]
    places = np.array([*street, *circle, *after])
    course = np.degrees(np.arctan2(*np.diff(places, axis=0, append=[(500, -2)]).T)) % 360

    match = drive(
        streets, places, heading_deg=course, speed_mps=np.full(len(places), 10.0), accuracy_m=np.full(len(places), 3.0)
    )

    on = match.section_index == 0
    assert on[:19].all()
    assert not on[21 : len(street) + len(circle)].any()
    assert on[-19:].all()
    assert np.isnan(match.station_m[~on]).all()


def test_a_gap_in_the_register_does_not_break_a_trace():
    streets = matcher([(0, 0), (200, 0)], [(230, 0), (400, 0)])
    places = [(x, 3.0) for x in range(100, 310, 10)]

    match = drive(streets, places, heading_deg=np.full(21, 90.0), speed_mps=np.full(21, 10.0))

    assert match.section_index.tolist()[:11] == [0] * 11
    assert match.section_index.tolist()[-8:] == [1] * 8
    assert (match.section_index < 0).sum() <= 2  # in the gap


def test_a_trace_with_a_long_pause_begins_anew():
    streets = matcher(*PARALLEL)
    lon, lat = degrees([(4, 100), (4, 110), (4, 120), (16, 130), (16, 140), (16, 150)])
    told = {"heading_deg": np.zeros(6), "speed_mps": np.full(6, 10.0)}

    at_once = streets.match(np.zeros(6), np.arange(6), lon, lat, **told)
    later = streets.match(np.zeros(6), np.arange(6) + 600 * (np.arange(6) > 2), lon, lat, **told)

    assert len(set(at_once.section_index.tolist())) == 1
    assert later.section_index.tolist() == [0, 0, 0, 1, 1, 1]


def test_a_standing_vehicle_does_not_outvote_its_drive():
    streets = matcher(*PARALLEL)
    standing = [(11.5, 200)] * 300  # a little nearer to the other street, for five minutes
    places = [*((1, y) for y in range(100, 200, 10)), *standing, *((1, y) for y in range(210, 300, 10))]
    speed = [10.0] * 10 + [0.0] * 300 + [10.0] * 9

    match = drive(streets, places, heading_deg=np.zeros(len(places)), speed_mps=speed)

    assert set(match.section_index.tolist()) == {0}


def test_without_speed_the_straight_line_stands_for_the_way():
    streets = matcher(*PARALLEL)
    strayed = [(2, 100 + 10 * i) if i != 5 else (13, 150) for i in range(10)]

    assert drive(streets, strayed).section_index.tolist() == [0] * 10


def test_neither_order_nor_company_of_other_traces_changes_a_match():
    sections = town(20, seed=4)
    segments = split_network(sections)
    drives = simulate_drives(sections, segments, seed=2, drives=12, length_m=1500, error_m=8, error="lasting")
    streets, told = TraceMatcher(segments), columns(drives)

    together = streets.match(*told)
    shuffled = np.random.default_rng(3).permutation(len(drives.lon))
    mixed = streets.match(*(column[shuffled] for column in told))
    alone = [streets.match(*(column[drives.drive == d] for column in told)).segment_index for d in range(12)]

    assert np.array_equal(together.segment_index[shuffled], mixed.segment_index)
    assert np.array_equal(together.segment_index, np.concatenate(alone))


def test_positions_that_are_no_numbers_match_nothing_and_leave_the_others_alone():
    streets = matcher(*PARALLEL)
    lon, lat = degrees([(2, 100 + 10 * i) for i in range(6)])
    lon[2], lat[4] = np.nan, 95.0

    match = streets.match(np.zeros(6), np.arange(6), lon, lat, speed_mps=np.full(6, 10.0))

    assert match.section_index.tolist() == [0, 0, -1, 0, -1, 0]


def test_a_network_without_segments_matches_nothing():
    assert TraceMatcher([]).match([0], [0.0], [7.0], [51.0]).segment_index.tolist() == [-1]


def test_no_readings_have_no_places():
    assert matcher(*PARALLEL).match([], [], [], []).segment_index.tolist() == []
