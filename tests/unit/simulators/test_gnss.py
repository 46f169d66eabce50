"""Positions between house fronts, over many drives."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.truth.truth import Truth
from simulators.vehicles.drives import Drives
from simulators.vehicles.gnss import ERROR_M, FILTER_S, gauss_markov
from simulators.vehicles.readings import Cameras
from simulators.world import build_world

FIRST = date(2024, 10, 7)


@pytest.fixture(scope="module", params=[5, 6])
def driven(request):
    """Errors to the right and ahead [m], and what a box said of them, of four weeks of drives."""
    world = build_world(seed=request.param, length_km=20, start=datetime(2024, 9, 30, 22, tzinfo=UTC))
    truth = Truth(world)
    cameras = Cameras(truth)
    parts = []
    for day in range(28):
        drives = Drives.of_day(truth.day(FIRST + timedelta(days=day)))
        readings, passes = cameras.everything(drives), drives.passes
        row = readings.row
        bin_no = np.arange(len(row)) - np.searchsorted(row, row)
        station = cameras._station(drives, row, bin_no)
        lon, lat, heading = world.geometry.locate(passes.section[row], station)
        heading = np.radians(np.where(passes.direction[row] > 0, heading, heading + 180))
        east = (readings.lon - lon) * 111_320 * np.cos(np.radians(lat.mean()))
        north = (readings.lat - lat) * 111_320
        place = ((passes.section[row] * 2 + (passes.direction[row] > 0)) * 4096 + bin_no).astype(np.int64)
        parts.append(
            np.column_stack(
                [east * np.cos(heading) - north * np.sin(heading), east * np.sin(heading) + north * np.cos(heading),
                 readings.accuracy_m, cameras._gnss.error_m[passes.section[row]], place, passes.vehicle[row], row,
                 np.full(len(row), day)]
            )
        )  # fmt: skip
    return np.concatenate(parts)


def test_the_error_is_three_to_ten_metres_and_stated_honestly_on_average(driven):
    right, ahead, stated, expected = driven[:, :4].T
    error = np.hypot(right - np.median(right), ahead)

    assert expected.min() >= ERROR_M[0]
    assert expected.max() <= ERROR_M[1]
    # 1 σ of the horizontal error, without the outliers in a thousand; the sky of some days is the same for all drives.
    assert np.sqrt(np.mean(np.minimum(error, 30) ** 2)) == pytest.approx(np.sqrt(np.mean(expected**2)), rel=0.15)
    assert stated.mean() == pytest.approx(expected.mean(), rel=0.05)
    assert 0.1 < np.std(np.log(stated / expected)) < 0.35
    assert 0.0002 < np.mean(error > 25) < 0.02


def test_house_fronts_push_across_the_street_whenever_one_passes(driven):
    """The mean of all drives over a place in one direction stays away from the road; ahead it does much less."""
    place = driven[:, 4].astype(np.int64)
    distinct, index, count = np.unique(place, return_inverse=True, return_counts=True)
    often = count >= 20  # bus streets: every day
    assert often.sum() > 300
    mean = [np.bincount(index, driven[:, k]) / count for k in (0, 1)]
    across, along = (np.std(m[often]) for m in mean)

    assert across > 1.5 * along
    opposite = dict(zip(distinct.tolist(), mean[0].tolist(), strict=True))
    pairs = [(m, opposite[p ^ 4096]) for p, m, o in zip(distinct.tolist(), mean[0], often, strict=True)
             if o and p ^ 4096 in opposite]  # fmt: skip
    assert abs(np.corrcoef(np.array(pairs).T)[0, 1]) < 0.3  # each direction has its own


def test_the_error_lasts_along_a_drive(driven):
    day, row = driven[:, 7], driven[:, 6]
    same = (day[1:] == day[:-1]) & (row[1:] == row[:-1])
    ahead = driven[:, 1]

    assert np.corrcoef(ahead[1:][same], ahead[:-1][same])[0, 1] > 0.75


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_filtered_error_is_a_gauss_markov_process(seed):
    at_us = np.arange(0, 80_000 * 1_000_000, 1_000_000)
    noise = gauss_markov(Streams(seed), "test", np.zeros(len(at_us), np.int32), at_us, FILTER_S)

    # 80,000 s hold some 2,000 independent values: a standard error of 0.02 to 0.04.
    assert noise.mean() == pytest.approx(0, abs=0.1)
    assert noise.std() == pytest.approx(1, abs=0.08)
    for lag_s in (10, 20, 40):
        assert np.corrcoef(noise[lag_s:], noise[:-lag_s])[0, 1] == pytest.approx(np.exp(-lag_s / FILTER_S), abs=0.12)


def test_a_value_does_not_depend_on_what_else_is_asked_for():
    at_us = np.arange(0, 3_600_000_000, 1_700_000)
    vehicle = np.arange(len(at_us), dtype=np.int32) % 3
    all_ = gauss_markov(Streams(9), "test", vehicle, at_us, FILTER_S)

    some = np.flatnonzero(vehicle == 1)[40:90]
    assert np.array_equal(gauss_markov(Streams(9), "test", vehicle[some], at_us[some], FILTER_S), all_[some])
