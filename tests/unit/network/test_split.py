from itertools import pairwise

import numpy as np
import pytest
from pyproj import Geod

from roadtwin.errors import DegenerateLineError
from roadtwin.network.sections import RoadSection
from roadtwin.network.split import line_stations_m, section_lengths_m, split_network, split_section


def section_of_length(length_m: float, bend: bool = True) -> RoadSection:
    """A section of exactly this geodesic length, with a right-angle bend at a third of it."""
    geod = Geod(ellps="WGS84")
    lon1, lat1, _ = geod.fwd(7.0, 51.45, 0, length_m / 3)
    lon2, lat2, _ = geod.fwd(lon1, lat1, 90 if bend else 0, length_m * 2 / 3)
    return RoadSection("t", "0042", np.array([[7.0, 51.45], [lon1, lat1], [lon2, lat2]]), name="Weg", district="Mitte")


@pytest.mark.parametrize(
    ("length_m", "pieces"), [(3, 1), (149, 1), (151, 2), (249, 2), (251, 3), (1000, 10), (1049, 10)]
)
def test_a_section_is_split_into_the_rounded_number_of_equal_pieces(length_m, pieces):
    segments = split_section(section_of_length(length_m), 7)

    assert len(segments) == pieces
    assert np.allclose([s.length_m for s in segments], length_m / pieces, atol=1e-6)
    assert {s.section_index for s in segments} == {7}


def test_pieces_join_without_gap_and_keep_the_length_and_the_bend():
    section = section_of_length(730)
    segments = split_section(section, 0)

    for before, after in pairwise(segments):
        assert before.to_station_m == after.from_station_m
        assert np.array_equal(before.line[-1], after.line[0])
    assert sum(line_stations_m(s.line)[-1] for s in segments) == pytest.approx(730, abs=0.01)
    assert any(np.array_equal(point, section.line[1]) for s in segments for point in s.line[1:-1])


def test_ids_are_made_of_section_and_whole_metre_stations():
    ids = [s.public_id for s in split_section(section_of_length(333.4), 0)]

    assert ids == ["t:0042:0-111", "t:0042:111-222", "t:0042:222-333"]


def test_twenty_metre_segments_nest_in_the_hundred_metre_ones():
    section = section_of_length(777)
    hundreds = {round(s.from_station_m, 6) for s in split_section(section, 0, 100)}
    twenties = {round(s.from_station_m, 6) for s in split_section(section, 0, 20)}

    assert hundreds < twenties


def test_attributes_and_names_pass_on_and_a_nameless_section_gives_an_empty_name():
    named = split_section(section_of_length(50), 0)[0]
    nameless = split_section(RoadSection("t", "1", named.line), 0)[0]

    assert (named.name, named.district) == ("Weg", "Mitte")
    assert (nameless.name, nameless.district) == ("", "")


@pytest.mark.parametrize(
    "line",
    [
        np.array([[7.0, 51.0]]),
        np.array([[7.0, 51.0], [7.0, 51.0]]),
        np.array([[7.0, 51.0], [np.nan, 51.0]]),
        np.empty((0, 2)),
    ],
)
def test_a_degenerate_line_is_refused_with_the_name_of_its_section(line):
    good = section_of_length(100)

    with pytest.raises(DegenerateLineError, match="sim:broken"):
        split_network([good, RoadSection("sim", "broken", line)])


def test_a_network_is_split_in_order_and_measured_as_a_whole():
    sections = [section_of_length(length) for length in (80.0, 320.0, 150.5)]

    segments = split_network(sections)

    assert [s.section_index for s in segments] == [0, 1, 1, 1, 2, 2]
    assert np.allclose(section_lengths_m(sections), [80.0, 320.0, 150.5], atol=0.01)


def test_an_empty_network_has_no_segments():
    assert split_network([]) == []
