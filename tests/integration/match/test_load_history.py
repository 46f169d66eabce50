from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np
import pytest

from roadtwin.errors import InputFileError
from roadtwin.jobs.history import load_history
from roadtwin.jobs.importing import import_network
from roadtwin.network.sections import RoadSection
from roadtwin.records.schema import Finding, Inspection, Weather
from roadtwin.records.segment_days import SegmentDays
from roadtwin.records.sensor_days import SensorDays, SensorSeries
from roadtwin.types import Detection, Position, VehicleReading

pytestmark = pytest.mark.every_part

START = datetime(2025, 7, 1, tzinfo=UTC)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000003")
IDS = ("reg:7:0-100", "reg:7:100-200", "reg:7:200-300")


@dataclass(frozen=True)
class Chunk:
    records: dict = field(default_factory=dict)
    readings: tuple = ()
    segment_days: SegmentDays | None = None
    sensor_days: SensorDays | None = None


def segment_days(month, ids=IDS, rows=3):
    day = np.datetime64("2025-07-01") + 30 * month + np.arange(rows)
    counts = [np.full(rows, i + month, dtype=np.int16) for i in range(6)]
    roughness = np.where(np.arange(rows) == 0, np.nan, 0.5).astype(np.float32)
    known = (day + 1).astype("datetime64[us]")
    return SegmentDays(ids, (np.arange(rows) % len(ids)).astype(np.int32), day, known, *counts, roughness)


SENSORS = tuple(
    SensorSeries("senml", "", device, "", quantity, depth_cm)
    for device, quantity, depth_cm in (("s1", "surface_temp_c", None), ("s2", "soil_moisture_pct", 40))
)


def sensor_days(month, series=SENSORS):
    day = np.datetime64("2025-07-01") + 30 * month + np.array([0, 0, 1])
    numbers = [np.array([2.0, 20.0, 3.0], np.float32) + i for i in range(3)]
    return SensorDays(
        series, np.array([0, 1, 0], np.int32), day, (day + 1).astype("datetime64[us]"),
        np.array([24, 23, 24], np.int16),
        *numbers, np.array([1, -1, 0], np.int16),
    )  # fmt: skip


def chunk(month, **changes):
    at = START + timedelta(days=30 * month)
    records = {
        "inspection": [
            Inspection(
                record_id=uuid5(NAMESPACE, f"i{month}"),
                observed_at=at,
                recorded_at=at + timedelta(hours=2),
                segment_id=IDS[0],
                inspector_role="walker",
                findings=(Finding(class_code="D40", severity=1),),
            )
        ],
        "weather": [
            Weather(
                record_id=uuid5(NAMESPACE, f"w{month}"),
                observed_at=at,
                recorded_at=at + timedelta(minutes=5),
                station="st",
                air_temp_c=3.5,
            )
        ],
    }
    reading = VehicleReading(
        event_id=uuid5(NAMESPACE, f"r{month}"),
        observed_at=at,
        vehicle_pseudonym="v",
        calibration_id="c",
        position=Position(7.0, 51.45),
        heading_deg=None,
        speed_mps=5.0,
        pass_id="p",
        camera_model="m",
        camera_version="1",
        blur=0.1,
        wet=0.1,
        light=0.9,
        detections=(Detection(0, "D40", 0.7, (1, 2, 3, 4), 640, 480, depth_m=0.04),),
    )
    days = {"segment_days": segment_days(month), "sensor_days": sensor_days(month)}
    return Chunk(**{"records": records, "readings": (reading,), **days, **changes})


@pytest.fixture
def city(db):
    import_network(db, [RoadSection("reg", "7", np.array([[7.0, 51.45], [7.0, 51.4527]]))], recorded_at=START)
    for series in SENSORS:
        db.execute(
            "INSERT INTO device (network_source, application, device, status) VALUES (%s, %s, %s, 'confirmed')",
            [series.network_source, series.application, series.device],
        )
    db.commit()
    return db


def counts(db):
    tables = (
        "inspection",
        "inspection_finding",
        "weather",
        "vehicle_reading",
        "detection",
        "segment_day",
        "sensor_day",
    )
    return [db.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]


def test_a_history_is_loaded_once_with_the_times_at_which_it_was_known(city):
    first = load_history(city, [chunk(0), chunk(1)])
    second = load_history(city, [chunk(0), chunk(1)])

    assert (first.records, first.readings, first.segment_days, first.sensor_days) == (4, 2, 6, 6)
    assert (second.records, second.readings, second.segment_days, second.sensor_days) == (0,) * 4
    assert counts(city) == [2, 2, 2, 2, 2, 6, 6]
    assert city.execute(
        "SELECT origin FROM segment_day UNION SELECT origin FROM vehicle_reading UNION SELECT origin FROM weather"
    ).fetchall() == [("loaded",)]
    rows = city.execute(
        "SELECT public_id, day::text, d.recorded_at, passes, potholes_seen, roughness_mps2 FROM segment_day AS d"
        " JOIN segment USING (segment_id) ORDER BY day LIMIT 2"
    ).fetchall()
    assert rows == [
        (IDS[0], "2025-07-01", datetime(2025, 7, 2, tzinfo=UTC), 0, 5, None),
        (IDS[1], "2025-07-02", datetime(2025, 7, 3, tzinfo=UTC), 0, 5, 0.5),
    ]
    assert city.execute("SELECT recorded_at - observed_at FROM detection LIMIT 1").fetchone() == (timedelta(minutes=1),)


def test_sensor_days_come_to_the_series_of_registered_devices(city):
    load_history(city, [chunk(0)])

    rows = city.execute(
        "SELECT v.device, s.quantity, s.depth_cm, day::text, d.recorded_at, origin, count, minimum, mean, maximum,"
        " freeze_thaw_cycles FROM sensor_day AS d JOIN series AS s USING (series_id) JOIN device AS v USING (device_id)"
        " ORDER BY day, v.device LIMIT 2"
    ).fetchall()
    known = datetime(2025, 7, 2, tzinfo=UTC)
    assert rows == [
        ("s1", "surface_temp_c", None, "2025-07-01", known, "loaded", 24, 2.0, 3.0, 4.0, 1),
        ("s2", "soil_moisture_pct", 40, "2025-07-01", known, "loaded", 23, 20.0, 21.0, 22.0, None),
    ]


def test_a_sensor_that_is_not_registered_is_met_and_waits_to_be_confirmed(city):
    strange = sensor_days(0, series=(SENSORS[0], SensorSeries("senml", "", "s9", "", "surface_temp_c", None)))

    assert load_history(city, [chunk(0, sensor_days=strange)]).sensor_days == 3
    assert city.execute("SELECT device, status FROM device ORDER BY device").fetchall() == [
        ("s1", "confirmed"), ("s2", "confirmed"), ("s9", "unconfirmed"),
    ]  # fmt: skip


def test_a_chunk_that_fails_leaves_those_before_it(city):
    unknown = chunk(1, segment_days=segment_days(1, ids=("reg:8:0-100",)))

    with pytest.raises(InputFileError, match=r"no segment reg:8:0-100 \(1 unknown in all\)"):
        load_history(city, [chunk(0), unknown])
    city.rollback()

    assert counts(city) == [1, 1, 1, 1, 1, 3, 3]


def test_history_without_a_time_of_recording_is_refused(city):
    undated = Weather(record_id=uuid5(NAMESPACE, "x"), observed_at=START, station="st", air_temp_c=1.0)

    with pytest.raises(InputFileError, match="recorded_at is missing"):
        load_history(city, [chunk(0, records={"weather": [undated]})])


def test_inside_a_transaction_of_the_caller_nothing_is_committed(city):
    city.execute("SELECT 1")

    load_history(city, [chunk(0)])
    city.rollback()

    assert counts(city) == [0] * 7
