"""How the road shakes a box."""

from datetime import date, timedelta

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.truth.truth import truth_of
from simulators.vehicles.drives import Drives
from simulators.vehicles.fleet import HALF_TRACK_M, SUSPENSION_SIGMA, suspension
from simulators.vehicles.imu import Lids, hole_jolts, lane_m, lid_jolts, wander_m
from simulators.vehicles.observers import crossings
from simulators.vehicles.readings import Cameras

JANUARY = date(2025, 1, 6)


@pytest.fixture(scope="module")
def weeks(small_world):
    truth = truth_of(small_world)
    return truth, [Drives.of_day(events) for events in truth.days(JANUARY, JANUARY + timedelta(days=28))]


def test_each_vehicle_shakes_by_its_own_factor_which_lasts(small_world, weeks):
    truth, days = weeks
    streams, cameras = small_world.streams, Cameras(truth)
    shaking, vehicle, road = [], [], []
    for drives in days:
        seen = cameras.views.by_segment(drives)
        shaking.append(seen.roughness_mps2)
        vehicle.append(drives.passes.vehicle[seen.row])
        road.append(seen.segment)
    shaking, vehicle, road = (np.concatenate(part) for part in (shaking, vehicle, road))
    # Relative to the mean of the segment: what is left is the vehicle.
    mean = (np.bincount(road, shaking) / np.maximum(np.bincount(road), 1))[road]
    names = np.unique(vehicle)
    measured = np.array([np.mean(shaking[vehicle == v] / mean[vehicle == v]) for v in names])
    own = suspension(streams, names)

    assert len(names) >= 5
    assert np.corrcoef(np.log(measured), np.log(own))[0, 1] > 0.8


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_suspensions_differ_by_about_an_eighth(seed):
    factor = suspension(Streams(seed), np.arange(4000, dtype=np.int32))

    assert np.log(factor).std() == pytest.approx(SUSPENSION_SIGMA, rel=0.05)
    assert factor.mean() == pytest.approx(1, abs=0.01)


def test_only_holes_in_a_wheel_path_jolt_and_they_also_jolt_unseen(small_world, weeks):
    truth, days = weeks
    jolted = passed = unseen = 0
    for drives in days:
        holes = truth.holes
        jolts = hole_jolts(truth, drives)
        hole, row, _ = crossings(small_world.geometry, drives.passes, holes, np.arange(len(holes)))
        kind = truth.observers.timetable.fleet.kind(drives.passes.vehicle)[row]
        right = -holes.offset_m[hole] * drives.passes.direction[row]
        right -= lane_m(truth, holes.segment[hole]) + wander_m(small_world, drives)[row]
        aside = np.abs(np.abs(right) - HALF_TRACK_M[kind])
        station = {(r, s): a for r, s, a in zip(row.tolist(), holes.station_m[hole].tolist(), aside, strict=True)}
        hit = [station[pair] for pair in zip(jolts.row.tolist(), jolts.station_m.tolist(), strict=True)]
        assert max(hit, default=0) < 0.45 + 0.15  # half of the widest hole, and a tyre
        jolted, passed = jolted + len(hit), passed + len(hole)
        seen = set(zip(drives.seen.row.tolist(), drives.seen.station_m.tolist(), strict=True))
        unseen += len(
            [1 for pair in zip(jolts.row.tolist(), jolts.station_m.tolist(), strict=True) if pair not in seen]
        )
        assert np.all(jolts.amplitude_mps2 > 0.5)
    assert 20 < jolted < 0.6 * passed
    assert unseen > 0


def test_peaks_come_from_holes_lids_and_rails(small_world, weeks):
    truth, days = weeks
    cameras, lids = Cameras(truth), Lids.of(truth)
    rough, calm = [], []
    for drives in days[:7]:
        readings = cameras.everything(drives)
        jolts = [hole_jolts(truth, drives), lid_jolts(truth, drives, lids)]
        count = np.bincount(readings.row, minlength=len(drives.passes.key))
        before = np.cumsum(count) - count
        where = np.concatenate([before[j.row] + cameras._bin(drives, j.row, j.station_m) for j in jolts])
        crest = readings.accel_peak_mps2 / readings.accel_rms_mps2
        jolted = np.zeros(len(crest), bool)
        jolted[where] = True
        rough.append(crest[jolted])
        calm.append(crest[~jolted])
    rough, calm = np.concatenate(rough), np.concatenate(calm)

    assert 2.8 < calm.min() < calm.max() < 4.5
    assert rough.max() > 8
    assert rough.mean() > 1.1 * calm.mean()
    assert 0.01 < len(rough) / (len(rough) + len(calm)) < 0.3
