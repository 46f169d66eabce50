"""Nothing that is flagged as unfit reaches the state or a feature, by any way from observations and readings."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import pytest

from roadtwin.jobs.match import match_new
from roadtwin.jobs.sensors import roll_up_sensors
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.settings import Settings
from roadtwin.storage import potholes
from roadtwin.storage.migrate import packaged_files
from roadtwin.storage.model_inputs import Part, read_columns
from roadtwin.storage.readings import load_vehicle_readings
from roadtwin.storage.sensor_days import touch_days
from roadtwin.storage.twin import read_sensor_values
from roadtwin.storage.twin_facts import Scope, read_cameras, read_facts, read_shaking
from roadtwin.types import UNFIT, Detection, Flag, Origin, Position, VehicleReading

NOW = datetime(2026, 2, 1, 12, tzinfo=UTC)
YESTERDAY = datetime(2026, 1, 31, 9, tzinfo=UTC)
SINCE = NOW - timedelta(days=30)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000007")


def drive(city, flags, *, first=YESTERDAY):
    """One reading each minute, of a pass of its own, in which a camera sees a hole and a lid."""
    readings = [
        VehicleReading(
            event_id=uuid5(NAMESPACE, f"{flag:d}"), observed_at=first + timedelta(minutes=number),
            vehicle_pseudonym="v", calibration_id="c", position=Position(7.0, 51.4505, 3.0), heading_deg=0.0,
            speed_mps=10.0, pass_id=f"{flag:d}", camera_model="m", camera_version="1", blur=0.1, wet=0.0, light=0.9,
            detections=tuple(Detection(i, code, 0.8, (0, 0, 9, 9), 640, 480) for i, code in enumerate(("D40", "D50"))),
            accel_rms_mps2=0.5, accel_peak_mps2=0.5, sample_rate_hz=100.0, flags=flag,
        )
        for number, flag in enumerate(flags)
    ]  # fmt: skip
    load_vehicle_readings(city, [(r, r.observed_at + timedelta(seconds=2)) for r in readings], origin=Origin.MQTT)


def measure(city, flags):
    """A value each of a surface temperature, by a confirmed device that stands at the street."""
    (series,) = city.execute(
        "WITH d AS (INSERT INTO device (network_source, application, device, status)"
        " VALUES ('senml', '', gen_random_uuid()::text, 'confirmed') RETURNING device_id), i AS ("
        " INSERT INTO device_installation (device_id, valid_from, lon, lat)"
        " SELECT device_id, '2025-01-01', 7.0, 51.4505 FROM d)"
        " INSERT INTO series (device_id, channel, quantity) SELECT device_id, '', 'surface_temp_c' FROM d"
        " RETURNING series_id"
    ).fetchone()
    at = [YESTERDAY + timedelta(minutes=number) for number in range(len(flags))]
    for observed_at, flag in zip(at, flags, strict=True):
        city.execute(
            "INSERT INTO observation (series_id, observed_at, recorded_at, value, flags, profile_version)"
            " VALUES (%s, %s, %s, 3.0, %s, 1)",
            [series, observed_at, observed_at + timedelta(seconds=2), int(flag)],
        )
    touch_days(city, [series] * len(at), at)
    city.commit()


def used(city):
    """How many rows come out at the end of every way."""
    match_new(city, Settings(), now=NOW)
    potholes.collect_evidence(city, matched_since=None)
    roll_up_sensors(city, now=NOW)
    scope = Scope(NOW)
    facts = {
        name: read_facts(city, name, scope, since=SINCE, first_day=SINCE.date(), matcher_version=MATCHER_VERSION,
                         cameras=["m 1"])
        for name in ("night_minima", "camera_days", "sightings", "lids")
    }  # fmt: skip
    inputs = {name: read_columns(city, name, now=NOW) for name in ("evidence", "segment_days", "sensor_days")}
    sections = [row[0] for row in city.execute("SELECT DISTINCT section_id FROM segment").fetchall()]
    inputs["collected"] = read_columns(city, "collected_evidence", now=NOW, part=Part(section_ids=sections))
    counts = {name: len(next(iter(columns.values()))) for name, columns in (facts | inputs).items()}
    counts["shaking"] = len(
        read_shaking(city, scope, since=SINCE, reference_speed_mps=13.9, speed_min_mps=3.0,
                     matcher_version=MATCHER_VERSION)
    )  # fmt: skip
    counts["cameras"] = len(read_cameras(city, now=NOW, since=SINCE))
    counts["values"] = len(read_sensor_values(city, "surface_temp_c", now=NOW, window=timedelta(days=2)))
    return counts


@pytest.mark.every_part
def test_no_flag_of_the_list_comes_through_and_another_one_does(city):
    drive(city, list(UNFIT))
    measure(city, list(UNFIT))
    assert set(used(city).values()) == {0}

    drive(city, [Flag.LATE])
    measure(city, [Flag.LATE])
    assert set(used(city).values()) == {1}


def test_what_was_made_of_untrusted_times_before_is_made_again(city):
    drive(city, [Flag.LATE, Flag.NONE])
    measure(city, [Flag.LATE, Flag.NONE])
    used(city)
    city.execute("UPDATE observation SET flags = %s WHERE flags <> 0", [int(Flag.SKEW)])
    city.execute("UPDATE vehicle_reading SET flags = %s WHERE flags <> 0", [int(Flag.CLOCK)])
    city.execute(packaged_files()["0019_untrusted_time.sql"])
    used(city)

    assert city.execute("SELECT count(*), sum(passes) FROM segment_day").fetchone() == (1, 1)
    assert city.execute("SELECT count FROM sensor_day ORDER BY recorded_at DESC LIMIT 1").fetchone() == (1,)


def test_what_was_known_of_a_day_before_an_untrusted_time_came_stays(city):
    hours = [YESTERDAY + timedelta(hours=number) for number in range(3)]
    for at, flag in zip(hours, (Flag.NONE, Flag.LATE, Flag.LOW_BATTERY), strict=True):
        drive(city, [flag], first=at)
        used(city)
    known = "SELECT recorded_at, passes FROM segment_day ORDER BY recorded_at"
    first, second, third = [at + timedelta(seconds=2) for at in hours]
    assert city.execute(known).fetchall() == [(first, 1), (second, 2), (third, 3)]

    city.execute("UPDATE vehicle_reading SET flags = %s WHERE flags = %s", [int(Flag.CLOCK), int(Flag.LATE)])
    city.execute(packaged_files()["0019_untrusted_time.sql"])
    used(city)

    assert city.execute(known).fetchall() == [(first, 1), (third, 2)]
