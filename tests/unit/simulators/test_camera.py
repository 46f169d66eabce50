"""Light and roughness as cameras and their boxes report them."""

from datetime import date, timedelta

import numpy as np
import pytest

from roadtwin.records.segment_days import FIT_FRAME_LIGHT_MIN, ROUGHNESS_REFERENCE_SPEED_MPS
from simulators.truth.truth import truth_of
from simulators.vehicles.camera import daylight
from simulators.vehicles.drives import Drives
from simulators.vehicles.readings import Cameras

JANUARY = date(2025, 1, 1)


def at(*utc):
    return np.array(utc, "datetime64[us]").astype(np.int64)


@pytest.mark.parametrize("cloud_cover", [0.0, 1.0])
def test_a_january_day_is_bright_enough_for_a_camera_and_its_night_is_not(cloud_cover):
    day = at("2025-01-15T08:00", "2025-01-15T11:30", "2025-01-15T15:00")
    night = at("2025-01-15T05:30", "2025-01-15T17:00", "2025-01-15T23:00")
    cover = np.full(3, cloud_cover)

    assert daylight(day, cover).min() > FIT_FRAME_LIGHT_MIN
    assert daylight(night, cover).max() < FIT_FRAME_LIGHT_MIN
    assert daylight(at("2025-06-21T11:30"), cover[:1])[0] > daylight(day, cover)[1]


def test_most_winter_passes_by_day_are_good_and_early_ones_are_dark(small_world):
    good, dark, hour = [], [], []
    for events in truth_of(small_world).days(JANUARY, JANUARY + timedelta(days=31)):
        midnight_us, _ = small_world.day_bounds_us(events.day)
        hour.append((events.passes.start_us - midnight_us) / 3.6e9)
        good.append(events.quality.good)
        dark.append(events.quality.light < FIT_FRAME_LIGHT_MIN)
    good, dark, hour = np.concatenate(good), np.concatenate(dark), np.concatenate(hour)
    by_day = (hour > 8.75) & (hour < 16)

    assert 0.35 < good.mean() < 0.85
    assert good[by_day].mean() > 0.65
    assert dark[by_day].mean() < 0.02
    assert dark[hour < 8].all()
    assert hour.min() >= 7
    assert hour.max() < 17.5


def test_boxes_send_the_shaking_of_their_speed_not_that_of_the_reference_speed(small_world):
    truth = truth_of(small_world)
    cameras, again, kept, raw = Cameras(truth), [], [], []
    for events in truth.days(JANUARY + timedelta(days=5), JANUARY + timedelta(days=9)):
        drives = Drives.of_day(events)
        seen, readings = cameras.views.by_segment(drives), cameras.everything(drives)
        raw.append(readings.accel_rms_mps2)
        again.append(readings.accel_rms_mps2 * np.sqrt(ROUGHNESS_REFERENCE_SPEED_MPS / readings.speed_mps))
        length_m = small_world.geometry.segment_length_m[seen.segment]
        kept.append((float((seen.roughness_mps2 * length_m).sum()), float(length_m.sum())))
    mean = sum(total for total, _ in kept) / sum(length for _, length in kept)

    assert np.concatenate(again).mean() == pytest.approx(mean, rel=0.02)
    assert np.concatenate(raw).mean() < 0.9 * mean
