import numpy as np
import pytest
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import dijkstra

from roadtwin.network.matching import metric_projection
from roadtwin.network.road_graph import Pieces, RoadGraph
from roadtwin.network.sections import RoadSection
from roadtwin.network.split import split_network
from tests.traces import place_at, town


def graph(*lines):
    sections = [
        RoadSection("t", str(i), np.array([place_at(*place) for place in line])) for i, line in enumerate(lines)
    ]
    return graph_of(sections)


def graph_of(sections):
    segments = split_network(sections)
    return RoadGraph(Pieces.of(segments, metric_projection(segments)))


def way_m(roads, a, b, limit_m=1000.0):
    """Between the middles of two sections; straight from node to node."""
    (link_a,), (link_b,) = (roads.link_at(np.array([s]), np.array([at])) for s, at in (a, b))
    distances = roads.distances(np.arange(roads.node_count), np.full(roads.node_count, limit_m))
    return min(
        abs(a[1] - (roads.link_from_m, roads.link_to_m)[i][link_a])
        + abs(b[1] - (roads.link_from_m, roads.link_to_m)[j][link_b])
        + float(distances.between(roads.link_nodes[link_a, i], roads.link_nodes[link_b, j]))
        for i in (0, 1)
        for j in (0, 1)
    )


def test_sections_meet_where_their_ends_do():
    roads = graph([(0, 0), (0, 250)], [(0, 250.4), (120, 250)], [(120, 250), (120, 0)])

    assert roads.node_count == 4
    assert way_m(roads, (0, 200.0), (2, 30.0)) == pytest.approx(50 + 120 + 30, abs=1)


def test_an_end_on_another_section_meets_it_there():
    roads = graph([(0, 0), (300, 0)], [(100, 0.3), (100, 80)])

    assert len(roads.link_nodes) == 3  # the first one is cut in two
    assert way_m(roads, (0, 50.0), (1, 20.0)) == pytest.approx(50 + 20, abs=1)
    assert way_m(roads, (0, 50.0), (0, 150.0)) == pytest.approx(100, abs=1)


def test_roads_that_cross_without_an_end_do_not_meet():
    roads = graph([(-100, 0), (100, 0)], [(0, -100), (0, 100)])

    assert roads.node_count == 4
    assert way_m(roads, (0, 100.0), (1, 100.0)) == np.inf


def test_distances_are_those_of_shortest_ways_up_to_the_limit():
    roads = graph_of(town(20, seed=2))
    length = np.full((roads.node_count, roads.node_count), np.inf)
    for (a, b), metres in zip(roads.link_nodes.tolist(), roads.link_to_m - roads.link_from_m, strict=True):
        length[a, b] = length[b, a] = min(length[a, b], metres)
    every = np.arange(roads.node_count)
    expected = dijkstra(csr_matrix(np.where(np.isinf(length), 0, length)), limit=400.0)

    found = roads.distances(every, np.full(len(every), 400.0)).between(every[:, None], every[None, :])

    assert np.allclose(found, expected)
    assert 0.01 < np.isfinite(expected).mean() < 0.5


def test_each_node_is_looked_from_as_far_as_its_own_limit():
    roads = graph([(0, 0), (100, 0)], [(100, 0), (200, 0)])
    first, _, last = (int(roads.link_nodes[link, end]) for link, end in ((0, 0), (0, 1), (1, 1)))

    distances = roads.distances(np.array([first, last]), np.array([150.0, 250.0]))

    assert np.isinf(distances.between(np.array([first]), np.array([last])))[0]
    assert distances.between(np.array([last]), np.array([first]))[0] == pytest.approx(200, abs=0.1)


def test_pieces_have_the_stations_of_their_segments():
    section = RoadSection("t", "1", np.array([place_at(0, 0), place_at(130, 0), place_at(130, 170)]))
    segments = split_network([section])

    pieces = Pieces.of(segments[::-1], metric_projection(segments))

    assert pieces.station_m == pytest.approx([0, 100, 130, 200], abs=0.1)
    assert (pieces.station_m + pieces.length_m)[-1] == pytest.approx(300, abs=0.1)
    assert pieces.segment.tolist() == [2, 1, 1, 0]
