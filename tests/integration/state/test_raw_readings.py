"""What raw vehicle readings and sensor-days add to the state: vehicles told apart, lids, cold places."""

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.state.damage import PATCH_CAMERA
from models.state.places import Frames
from roadtwin.jobs.importing import import_network, import_records
from roadtwin.jobs.match import match_new
from roadtwin.network.sections import Attributes
from roadtwin.records.schema import Repair
from roadtwin.settings import Settings
from roadtwin.storage.readings import load_segment_days, load_vehicle_readings
from roadtwin.twin.cameras import Passes
from roadtwin.twin.compute import learn_parameters, read_network, state_of
from roadtwin.twin.parameters import Parameters
from roadtwin.twin.people import Holes
from roadtwin.twin.setting import Setting
from roadtwin.types import Detection, Origin, Position, VehicleReading
from tests.integration.state.conftest import FAR, NORTH

NOW = datetime(2026, 1, 31, 11, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000003")
LATITUDES = (51.4505, 51.4514, 51.4523)  # the three segments of the street to the north


def drive(db, day, vehicle, *, rms, segments=(0, 1, 2), seen=(), version="1", blur=0.1, wet=0.0, light=0.9):
    """One pass over some segments on a day before today; `seen` are class codes at the first of them."""
    at = NOW - timedelta(days=day, hours=1)
    readings = [
        VehicleReading(
            event_id=uuid5(NAMESPACE, f"{day} {vehicle} {number}"),
            observed_at=at + timedelta(seconds=10 * number),
            vehicle_pseudonym=vehicle,
            calibration_id=vehicle,
            position=Position(7.0, LATITUDES[segment], 3.0),
            heading_deg=0.0,
            speed_mps=10.0,
            pass_id=f"{day}",
            camera_model="m",
            camera_version=version,
            blur=blur,
            wet=wet,
            light=light,
            detections=tuple(Detection(i, code, 0.8, (0, 0, 9, 9), 640, 480) for i, code in enumerate(seen))
            if not number
            else (),
            accel_rms_mps2=rms,
            accel_peak_mps2=rms,
            sample_rate_hz=100.0,
        )
        for number, segment in enumerate(segments)
    ]
    load_vehicle_readings(db, [(r, r.observed_at + timedelta(seconds=2)) for r in readings], origin=Origin.MQTT)


def state(db, parameters=None):
    match_new(db, Settings(), now=NOW)
    network = read_network(db, now=NOW)
    return state_of(Setting(db, network, network, ZONE, NOW, parameters or Parameters()))


def learnt(db):
    match_new(db, Settings(), now=NOW)
    return learn_parameters(db, read_network(db, now=NOW), zone=ZONE, now=NOW)


def test_a_road_that_only_the_hard_vehicle_drives_is_no_rougher_than_it_is(city):
    for day in range(1, 13):
        drive(city, day, "soft", rms=0.5, segments=(0, 1))
        drive(city, day, "hard", rms=0.7, segments=(0, 1, 2))

    parameters = learnt(city)
    plain, corrected = state(city)["roughness_mps2"], state(city, parameters)["roughness_mps2"]

    assert parameters.vehicles["hard"][0] > 0.1 > -0.1 > parameters.vehicles["soft"][0]
    assert plain.value[2] == pytest.approx(0.7, rel=0.01)
    assert corrected.value[:3] == pytest.approx([0.59, 0.59, 0.59], abs=0.04)
    assert corrected.sd[2] < plain.sd[2]
    assert list(corrected.source)[:3] == ["vehicles"] * 3
    assert list(corrected.count)[:3] == [24, 24, 12]


def test_a_lid_where_cameras_see_a_hole_makes_the_hole_less_likely(city):
    for day in (1, 5, 9):
        drive(city, day, "v", rms=0.5, seen=["D40"])
    bare = state(city)["open_pothole_probability"].value[0]

    drive(city, 12, "v", rms=0.5, seen=["D50"])
    with_lid = state(city)["open_pothole_probability"].value[0]

    assert bare > 0.5
    assert with_lid < bare


def test_cameras_are_known_by_model_and_version(city):
    drive(city, 3, "v", rms=0.5, seen=["D40"], version="1")
    drive(city, 2, "v", rms=0.5, version="2")

    assert learnt(city).cameras == ("m 1", "m 2")


def test_a_place_that_is_cold_at_night_has_more_frost_and_its_surroundings_some(city):
    for hours in range(24 * 70):
        at = NOW - timedelta(hours=hours)
        temp_c = 9.0 if 8 <= at.hour < 18 else 0.5 + 0.01 * hours % 0.3
        city.execute(
            "INSERT INTO weather VALUES ('st', %s, %s, 'imported', %s, 80, 2, %s, 0, 0)",
            [at, at, temp_c, 0.1 * (hours % 2)],
        )
    (device_id,) = city.execute(
        "INSERT INTO device (network_source, application, device, status) VALUES ('senml', '', 'd', 'confirmed')"
        " RETURNING device_id"
    ).fetchone()
    city.execute(
        "INSERT INTO device_installation (device_id, valid_from, lon, lat) VALUES (%s, '2025-01-01', 7.0, 51.4505)",
        [device_id],
    )
    (series_id,) = city.execute(
        "INSERT INTO series (device_id, channel, quantity) VALUES (%s, '', 'surface_temp_c') RETURNING series_id",
        [device_id],
    ).fetchone()
    for back in range(1, 30):
        day = date(2026, 1, 31) - timedelta(days=back)
        city.execute(
            "INSERT INTO sensor_day VALUES (%s, %s, %s, 'observed', 24, -3.5, 1, 6, 1)",
            [series_id, day, datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=25)],
        )

    quantities = state(city)
    cycles = quantities["freeze_thaw_cycles_30d"]

    assert cycles.value[0] > 25
    assert cycles.value[0] > cycles.value[2] > cycles.value[3]
    assert cycles.sd[0] < cycles.sd[3]
    assert cycles.source[0] == "sensors"
    assert cycles.source[3] == "weather"


def test_passes_that_were_wet_or_dark_are_told_from_blurred_ones_and_so_are_their_detections(city):
    for vehicle, frames in (
        ("fit", {}), ("wet", {"wet": 0.9}), ("dark", {"light": 0.1}), ("both", {"wet": 0.9, "light": 0.1}),
        ("blurred", {"blur": 0.9}),
    ):  # fmt: skip
        drive(city, 2, vehicle, rms=0.5, segments=(0,), seen=["D40"], **frames)
    match_new(city, Settings(), now=NOW)
    network = read_network(city, now=NOW)
    setting = Setting(city, network, network, ZONE, NOW, Parameters())

    holes = Holes(setting, Passes(setting), ("m 1",))

    counts = {frames: holes.cameras.passes(frames).tolist() for frames in Frames}
    assert counts == {Frames.FIT: [1], Frames.WET: [2], Frames.DARK: [1], Frames.BLURRED: [1]}
    assert sorted(holes.sightings.frames) == [Frames.FIT, Frames.WET, Frames.WET, Frames.DARK, Frames.BLURRED]


def test_loaded_days_do_not_say_why_frames_were_poor(city):
    (segment,) = city.execute("SELECT min(segment_id) FROM segment").fetchone()
    load_segment_days(city, [(segment, date(2026, 1, 20), NOW - timedelta(days=9), "loaded", 4, 1, 0, 0, 0, 0, 0.6)])
    network = read_network(city, now=NOW)
    setting = Setting(city, network, network, ZONE, NOW, Parameters())

    cameras = Holes(setting, Passes(setting), ()).cameras

    assert cameras.worth(0.5, (0.9, 0.9, 0.9)).tolist() == [1 + 3 * 0.5]
    assert cameras.passes(Frames.WET).tolist() == [0]


def test_patches_that_cameras_report_count_by_the_passes_of_cameras_that_report_any(city):
    for day in range(1, 9):
        drive(city, day, "old", rms=0.5, segments=(2,))
        drive(city, day, "new", rms=0.5, segments=(0, 1), seen=["PATCH", "PATCH", "D00"], version="2")

    parameters = learnt(city)
    blind, patches = state(city)["patch_pct"], state(city, parameters)["patch_pct"]

    assert parameters.patch_cameras == ("m 2",)
    assert np.isnan(blind.value[:3]).all()
    assert patches.value[0] == pytest.approx(2 / PATCH_CAMERA.per_pct, rel=0.01)
    assert patches.value[1] == 0
    assert patches.sd[0] > patches.sd[1] > 0
    assert np.isnan(patches.value[2])  # the old camera does not say that there are none
    assert list(patches.source)[:3] == ["camera", "camera", "none"]
    assert list(patches.count)[:3] == [8, 8, 0]

    renewal = Repair(
        record_id=uuid5(NAMESPACE, "renewal"), observed_at=NOW - timedelta(days=4), recorded_at=NOW - timedelta(days=3),
        segment_id="reg:7:0-100", kind="repaired", method="resurfacing",
    )  # fmt: skip
    import_records(city, "repair", [renewal], origin=Origin.IMPORTED)
    assert state(city, parameters)["patch_pct"].count[0] == 3  # passes before the renewal are gone


def test_rails_in_the_carriageway_mask_what_cameras_see_again_and_again(city):
    for day in (1, 5, 9):
        drive(city, day, "v", rms=0.5, seen=["D40"])
    bare = state(city)["open_pothole_probability"].value[0]

    railed = [replace(section, attributes=Attributes(tram_track=True)) for section in (NORTH, FAR)]
    import_network(city, railed, recorded_at=NOW - timedelta(days=1))

    assert state(city)["open_pothole_probability"].value[0] < bare
