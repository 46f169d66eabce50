"""The share of readings that matching puts on the right street, where the truth is known.

A reading is right when it is on the section that was driven; the neighbour beyond a joint counts as wrong, also within
the error. What is left out is wrong, too. See docs/reference/map-matching.md.
"""

from dataclasses import replace
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
def wrong(name, error, error_m, heading_off_deg=0.0):
    """Shares of readings that are wrong: nearest street, nearest street with heading, traces."""
    sections, segments, nearest, traces = streets(name)
    drives = simulate_drives(sections, segments, seed=31, drives=40, length_m=3000, error_m=error_m, error=error)
    drives = replace(drives, heading_deg=(drives.heading_deg + heading_off_deg) % 360)
    matches = [
        nearest.match(drives.lon, drives.lat),
        nearest.match(drives.lon, drives.lat, drives.heading_deg, accuracy_m=drives.accuracy_m),
        traces.match(*columns(drives)),
    ]
    return [float((match.section_index != drives.section).mean()) for match in matches]


@pytest.mark.parametrize("network", ["town", "carriageways"])
@pytest.mark.parametrize("error", ["fresh", "drifting", "lasting"])
@pytest.mark.parametrize(("error_m", "least"), [(5, 0.97), (10, 0.90)])
def test_drives_are_on_the_street_that_was_driven(network, error, error_m, least):
    """Carriageways run 15 to 25 m apart. At least half of the errors of the nearest street go, heading or not."""
    nearest, with_heading, traces = wrong(network, error, error_m)

    assert 1 - traces >= least
    assert traces <= 0.5 * min(nearest, with_heading)


@pytest.mark.parametrize("network", ["town", "carriageways"])
def test_headings_that_are_off_by_5_degrees_all_the_time_still_serve(network):
    nearest, _, traces = wrong(network, "drifting", 10, heading_off_deg=5.0)

    assert 1 - traces >= 0.90
    assert traces <= 0.5 * nearest
