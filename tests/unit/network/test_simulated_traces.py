"""The share of readings that matching puts on the right street, where the truth is known.

A reading is right when it is on the section that was driven; the neighbour beyond a joint counts as wrong, also within
the error. What is left out is wrong, too. See docs/reference/map-matching.md.
"""

from functools import cache

import pytest

from roadtwin.network.matching import SegmentMatcher
from roadtwin.network.split import split_network
from roadtwin.network.trace_matching import TraceMatcher
from tests.traces import carriageways, columns, simulate_drives, town


@cache
def streets(name):
    sections = town(60, seed=5) if name == "town" else carriageways(seed=3)
    segments = split_network(sections)
    return sections, segments, SegmentMatcher(segments), TraceMatcher(segments)


@cache
def wrong(name, error, error_m):
    """Shares of readings that are wrong: nearest street, nearest street with heading, traces."""
    sections, segments, nearest, traces = streets(name)
    drives = simulate_drives(sections, segments, seed=31, drives=40, length_m=3000, error_m=error_m, error=error)
    matches = [
        nearest.match(drives.lon, drives.lat),
        nearest.match(drives.lon, drives.lat, drives.heading_deg, accuracy_m=drives.accuracy_m),
        traces.match(*columns(drives)),
    ]
    return [float((match.section_index != drives.section).mean()) for match in matches]


@pytest.mark.parametrize("error", ["fresh", "drifting", "lasting"])
@pytest.mark.parametrize(("error_m", "least"), [(5, 0.97), (10, 0.90)])
def test_drives_through_a_town_are_on_the_street_that_was_driven(error, error_m, least):
    nearest, with_heading, traces = wrong("town", error, error_m)

    assert 1 - traces >= least
    assert traces <= 0.5 * nearest
    assert traces <= 0.65 * with_heading


@pytest.mark.parametrize(
    ("error", "error_m", "least"),
    [("fresh", 5, 0.97), ("fresh", 10, 0.90), ("drifting", 5, 0.97), ("lasting", 5, 0.97)],
)
def test_drives_along_carriageways_15_to_25_m_apart_are_on_the_one_that_was_driven(error, error_m, least):
    nearest, with_heading, traces = wrong("carriageways", error, error_m)

    assert 1 - traces >= least
    assert traces <= 0.5 * min(nearest, with_heading)


@pytest.mark.parametrize("error", ["drifting", "lasting"])
def test_errors_of_10_m_that_last_for_blocks_are_hard_on_carriageways(error):
    """The documented limit: a third of the errors is removed, and no share of right ones is promised."""
    nearest, with_heading, traces = wrong("carriageways", error, 10)

    assert traces <= 0.67 * min(nearest, with_heading)
