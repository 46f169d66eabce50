"""Values that cannot be, in every source: what models are given does not change with them."""

from dataclasses import fields, replace
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np
import pytest

from models.inputs import Columns
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.importing import import_network, import_records
from roadtwin.jobs.inputs import load_city, load_evidence, load_looks
from roadtwin.jobs.match import match_new
from roadtwin.network.sections import Attributes, RoadSection
from roadtwin.records.schema import Inspection, Survey, TrenchPermit, Weather
from roadtwin.records.segment_days import ACCEL_STUCK_READINGS
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city
from roadtwin.storage.readings import load_vehicle_readings
from roadtwin.types import Detection, Flag, Origin, Position, VehicleReading

FOUNDED = datetime(2025, 1, 1, tzinfo=UTC)
DAY = datetime(2026, 1, 10, 9, tzinfo=UTC)
NOW = datetime(2026, 1, 20, tzinfo=UTC)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000001")
NORTH = RoadSection("reg", "7", np.array([[7.0, 51.45], [7.0, 51.4527]]))  # 300 m, three segments


@pytest.fixture
def city(db):
    write_city(db, name="Teststadt", timezone="Europe/Berlin", simulated=False)
    import_network(db, [NORTH], recorded_at=FOUNDED)
    db.commit()
    return db


def reading(name, at=DAY, *, rms=0.5, peak=None, pass_id="p1", flags=Flag.NONE, detections=(), lat=51.4505):
    return VehicleReading(
        event_id=uuid5(NAMESPACE, name), observed_at=at, vehicle_pseudonym="v", calibration_id="c",
        position=Position(7.0, lat, 3.0), heading_deg=0.0, speed_mps=10.0, pass_id=pass_id, camera_model="m",
        camera_version="1", blur=0.1, wet=0.0, light=0.9, flags=flags,
        detections=tuple(Detection(i, code, 0.8, (0, 0, 10, 10), 640, 480) for i, code in enumerate(detections)),
        accel_rms_mps2=rms, accel_peak_mps2=rms if peak is None else peak, sample_rate_hz=100.0,
    )  # fmt: skip


def drive(db, *readings, recorded_at=DAY + timedelta(minutes=1)):
    load_vehicle_readings(db, [(r, recorded_at) for r in readings], origin=Origin.MQTT)
    match_new(db, Settings(), now=NOW)
    db.commit()


def inputs(db):
    return load_city(db, Settings(), now=NOW)


def assert_equal(before, after):
    """All columns of both inputs."""
    for field in fields(before):
        tables = getattr(before, field.name), getattr(after, field.name)
        if isinstance(tables[0], Columns):
            for column in fields(tables[0]):
                np.testing.assert_array_equal(*(getattr(table, column.name) for table in tables), str(column.name))


def test_a_vehicle_with_a_clock_ahead_is_no_evidence_and_no_exposure(city):
    drive(city, reading("sound", detections=("D20",)))
    before, evidence, looks = inputs(city), load_evidence(city, now=NOW), load_looks(city, now=NOW)

    ahead = DAY + timedelta(days=900)
    drive(city, reading("ahead", ahead, flags=Flag.FUTURE, pass_id="p2", detections=("D40", "D00")))

    assert city.execute("SELECT count(*) FROM vehicle_reading").fetchone() == (2,)
    assert_equal(before, inputs(city))
    assert len(load_evidence(city, now=NOW)) == len(evidence) == 0
    assert len(load_looks(city, now=NOW)) == len(looks) == 1


@pytest.mark.parametrize("together", [True, False])
def test_of_two_times_under_one_id_the_first_one_recorded_is_evidence(city, together):
    first, second = reading("same", detections=("D40",)), reading("same", DAY + timedelta(days=2), detections=("D40",))
    drive(city, first)
    if not together:
        derive_potholes(city, now=NOW)
    drive(city, second, recorded_at=DAY + timedelta(days=2, minutes=1))
    counts = derive_potholes(city, now=NOW)

    assert city.execute("SELECT count(*) FROM vehicle_reading").fetchone() == (2,)
    assert (counts.evidence, counts.candidates) == (1, 1)
    assert city.execute("SELECT observed_at FROM pothole_evidence").fetchall() == [(DAY,)]
    assert load_evidence(city, now=NOW).observed_at.tolist() == [DAY.replace(tzinfo=None)]


@pytest.mark.parametrize(("rms", "peak"), [(0.0, 0.0), (40.0, 60.0), (2.0, 1.0)])
def test_accelerations_that_no_road_gives_are_no_roughness(city, rms, peak):
    drive(city, reading("sound"), reading("dead", DAY + timedelta(seconds=1), rms=rms, peak=peak))

    assert inputs(city).segment_days.roughness_mps2 == pytest.approx([0.5])


def test_a_stuck_accelerometer_has_no_roughness_and_its_camera_still_counts(city):
    seconds = range(ACCEL_STUCK_READINGS)
    stuck = [reading(f"stuck{i}", DAY + timedelta(seconds=i), rms=1.7, pass_id="stuck") for i in seconds]
    sound = [reading(f"ok{i}", DAY + timedelta(seconds=i), rms=0.5 + 0.01 * i, pass_id="ok") for i in seconds]
    drive(city, *stuck, *sound)

    days = inputs(city).segment_days
    assert days.roughness_mps2 == pytest.approx([0.535])
    assert days.good_passes.tolist() == [2]


def test_roughness_that_was_loaded_and_cannot_be_is_unknown(city):
    city.execute(
        "INSERT INTO segment_day SELECT min(segment_id), '2026-01-05', '2026-01-06', 'loaded', 1, 1, 0, 0, 0, 0, 150"
        " FROM segment"
    )

    assert np.isnan(inputs(city).segment_days.roughness_mps2).tolist() == [True]


def weather(hour, temp_c, *, station="A", rain_mm=0.0):
    at = DAY + timedelta(hours=hour)
    return Weather(
        record_id=uuid5(NAMESPACE, f"{station}{hour}"), observed_at=at, recorded_at=at, station=station,
        air_temp_c=temp_c, rain_mm=rain_mm,
    )  # fmt: skip


def test_hours_of_weather_that_cannot_have_been_are_unknown(city):
    sound = [weather(hour, 2.0 + hour % 5) for hour in range(48)]
    import_records(city, "weather", sound, origin=Origin.IMPORTED)
    before = inputs(city).weather
    absurd = [weather(hour, temp_c, station="B", rain_mm=290.0) for hour, temp_c in enumerate([60, -60, 58, -55], 40)]
    import_records(city, "weather", absurd, origin=Origin.IMPORTED)
    after = inputs(city).weather

    assert len(after) == len(before) + 4
    for name in ("air_temp_c", "rain_mm"):
        assert np.isfinite(getattr(after, name)).sum() == np.isfinite(getattr(before, name)).sum() == 48


def test_values_of_a_register_that_no_road_has_are_unknown(db):
    write_city(db, name="Teststadt", timezone="Europe/Berlin", simulated=False)
    absurd = Attributes(
        wearing_course_year=9999, heavy_vehicles_per_day=-999.0, trench_area_pct=250.0, width_m=0.0, thickness_cm=-1.0,
        tree_cover_pct=40.0,
    )  # fmt: skip
    import_network(db, [replace(NORTH, attributes=absurd)], recorded_at=FOUNDED)

    segments = inputs(db).segments
    for name in ("wearing_course_year", "heavy_vehicles_per_day", "trench_area_pct", "width_m", "thickness_cm"):
        assert np.isnan(getattr(segments, name)).all(), name
    assert (segments.tree_cover_pct == 40.0).all()


def test_history_survives_a_new_edition_of_the_register(city):
    """Of loaded days, which stay with the former segments, and of raw readings, which are matched again."""
    city.execute(
        "INSERT INTO segment_day SELECT max(segment_id), '2026-01-05', '2026-01-06', 'loaded', 1, 1, 0, 0, 5, 0, 0.7"
        " FROM segment"
    )
    at = {"observed_at": DAY, "recorded_at": DAY}
    names = [row[0] for row in city.execute("SELECT public_id FROM segment ORDER BY segment_id")]
    drive(city, reading("seen", detections=("D40", "D20")), reading("again", DAY + timedelta(days=1), pass_id="p2"))
    records = {
        "inspection": Inspection(record_id=UUID(int=1), segment_id=names[2], inspector_role="walker", **at),
        "survey": Survey(record_id=UUID(int=2), segment_id=names[1], rule_set="zeb", total_grade=4.5, **at),
        "trench_permit": TrenchPermit(record_id=UUID(int=3), segment_id=names[2], area_m2=20.0, **at),
    }
    for kind, record in records.items():
        import_records(city, kind, [record], origin=Origin.IMPORTED)
    before, looks = inputs(city), load_looks(city, now=NOW)
    # The street was surveyed anew: 3 m to the east, a little longer, and under other ids of its segments.
    moved = RoadSection("reg", "7", np.array([[7.00004, 51.44998], [7.00004, 51.4528]]))
    import_network(city, [moved], recorded_at=NOW - timedelta(hours=1))
    match_new(city, Settings(), now=NOW)
    after, looks_after = inputs(city), load_looks(city, now=NOW)

    assert set(before.segments.segment_id).isdisjoint(after.segments.segment_id)
    assert len(before.segment_days) == len(after.segment_days) == 3
    for table, columns in {
        "segment_days": ("day", "good_passes", "alligator_cracks", "roughness_mps2"),
        "inspections": ("recorded_at",),
        "surveys": ("total_grade",),
        "trench_permits": ("area_m2",),
        "potholes": ("first_recorded_at",),
    }.items():
        old, new = (
            sorted(zip(*(getattr(getattr(known, table), c).tolist() for c in ("segment_index", *columns)), strict=True))
            for known in (before, after)
        )
        assert old == new != [], table
    assert len(looks_after) == len(looks) == 4
    assert set(looks_after.segment_id) <= set(after.segments.segment_id)
