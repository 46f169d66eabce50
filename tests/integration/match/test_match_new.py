from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np
import pytest
from psycopg.errors import LockNotAvailable

from roadtwin.jobs import match as match_module
from roadtwin.jobs.importing import import_network, import_records
from roadtwin.jobs.match import match_new
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.network.sections import RoadSection
from roadtwin.records.schema import Finding, Inspection, RecordPosition, Repair, Report
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city
from roadtwin.storage.database import connect
from roadtwin.storage.readings import load_vehicle_readings, read_unmatched_records
from roadtwin.types import Detection, Flag, Origin, Position, VehicleReading

pytestmark = pytest.mark.every_part

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000000")
NORTH = RoadSection("reg", "7", np.array([[7.0, 51.45], [7.0, 51.4527]]))  # 300 m, three segments
PARALLEL = RoadSection("reg", "8", np.array([[7.0004, 51.45], [7.0004, 51.4527]]))  # 28 m to the east


@pytest.fixture
def settings():
    return Settings()


@pytest.fixture
def city(db):
    write_city(db, name="Teststadt", timezone="Europe/Berlin", simulated=False)
    import_network(db, [NORTH, PARALLEL], recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    db.commit()
    return db


def reading(name, observed_at, *, lat=51.4505, lon=7.0, pass_id="p1", light=0.9, rms=0.5, speed=10.0, detections=()):
    return VehicleReading(
        event_id=uuid5(NAMESPACE, name),
        observed_at=observed_at,
        vehicle_pseudonym="v",
        calibration_id="c",
        position=Position(lon, lat, 3.0),
        heading_deg=0.0,
        speed_mps=speed,
        pass_id=pass_id,
        camera_model="m",
        camera_version="1",
        blur=0.1,
        wet=0.0,
        light=light,
        detections=tuple(
            Detection(i, code, 0.8, (0, 0, 10, 10), 640, 480, track_id=track)
            for i, (code, track) in enumerate(detections)
        ),
        accel_rms_mps2=rms,
        accel_peak_mps2=rms,
        sample_rate_hz=100.0,
    )


def load(db, *readings, lag=timedelta(seconds=2), origin=Origin.MQTT):
    load_vehicle_readings(db, [(r, r.observed_at + lag) for r in readings], origin=origin)
    db.commit()


def segment_days(db):
    return db.execute(
        "SELECT s.public_id, d.day::text, d.passes, d.good_passes, d.longitudinal_cracks, d.potholes_seen,"
        " round(d.roughness_mps2::numeric, 3)::float FROM segment_day AS d JOIN segment AS s USING (segment_id)"
        " ORDER BY s.public_id, d.day, d.recorded_at"
    ).fetchall()


def places(db):
    return {
        (kind, part): (public_id, None if station is None else round(station))
        for kind, part, public_id, station in db.execute(
            "SELECT record_kind, part_no, public_id, station_m FROM record_match LEFT JOIN segment USING (segment_id)"
        )
    }


def test_readings_are_matched_once_and_those_outside_are_flagged(city, settings):
    inside, outside = reading("a", NOW), reading("b", NOW, lon=7.01)
    load(city, inside, outside)

    first = match_new(city, settings, now=NOW)
    second = match_new(city, settings, now=NOW)

    assert (first.readings, first.readings_outside) == (2, 1)
    assert (second.readings, second.segment_days) == (0, 0)
    matched = city.execute(
        "SELECT event_id, public_id, round(station_m) FROM reading_match LEFT JOIN segment USING (segment_id)"
    ).fetchall()
    assert set(matched) == {(inside.event_id, "reg:7:0-100", 56.0), (outside.event_id, None, None)}
    flags = dict(city.execute("SELECT event_id, flags FROM vehicle_reading").fetchall())
    assert flags == {inside.event_id: 0, outside.event_id: Flag.OUTSIDE_NETWORK}


def test_a_day_is_rolled_up_by_pass_with_tracked_distresses_counted_once(city, settings):
    load(
        city,
        reading("1", NOW, detections=[("D00", "t1"), ("D40", "t2")], rms=0.4),
        reading("2", NOW + timedelta(seconds=1), detections=[("D00", "t1"), ("D00", None)], rms=0.6),
        reading("3", NOW + timedelta(hours=3), pass_id="p2", light=0.1, rms=1.0, speed=40.0),  # dark
        reading("4", NOW + timedelta(hours=4), pass_id="p3", speed=1.0),  # too slow for roughness
    )

    match_new(city, settings, now=NOW)

    assert segment_days(city) == [("reg:7:0-100", "2026-06-01", 3, 2, 2, 1, 0.5)]


def test_a_day_that_grows_is_corrected_by_a_later_row(city, settings):
    load(city, reading("1", NOW))
    match_new(city, settings, now=NOW)
    load(city, reading("2", NOW + timedelta(hours=1), pass_id="p2"))

    match_new(city, settings, now=NOW)

    assert [row[2] for row in segment_days(city)] == [1, 2]
    recorded = [row[0] for row in city.execute("SELECT recorded_at FROM segment_day ORDER BY recorded_at")]
    assert recorded == [NOW + timedelta(seconds=2), NOW + timedelta(hours=1, seconds=2)]


@pytest.mark.parametrize(
    ("first", "last", "hours", "day"),
    [
        (datetime(2026, 3, 28, 23, tzinfo=UTC), datetime(2026, 3, 29, 22, tzinfo=UTC), 23, "2026-03-29"),
        (datetime(2026, 10, 24, 22, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC), 25, "2026-10-25"),
        (datetime(2026, 6, 9, 22, tzinfo=UTC), datetime(2026, 6, 10, 22, tzinfo=UTC), 24, "2026-06-10"),
    ],
)
def test_a_local_day_has_23_24_or_25_hours(city, settings, first, last, hours, day):
    hourly = [first + timedelta(hours=i) for i in range(-1, hours + 1)]  # one before, one after
    load(city, *[reading(str(i), at, pass_id=str(i)) for i, at in enumerate(hourly)])
    assert hourly[-1] == last

    match_new(city, settings, now=NOW)

    passes = {row[1]: row[2] for row in segment_days(city)}
    assert passes[day] == hours
    assert sorted(passes.values()) == [1, 1, hours]


def test_loaded_readings_are_matched_but_not_rolled_up_again(city, settings):
    load(city, reading("1", NOW, detections=[("D40", None)]), origin=Origin.LOADED)

    counts = match_new(city, settings, now=NOW)

    assert (counts.readings, counts.segment_days) == (1, 0)


def test_records_are_placed_by_position_and_by_segment(city, settings):
    common = {"observed_at": NOW, "recorded_at": NOW}
    repair = Repair(record_id=uuid5(NAMESPACE, "r"), method="hot_mix", position=RecordPosition(7.0, 51.4514), **common)
    report = Report(record_id=uuid5(NAMESPACE, "p"), channel="app", segment_id="reg:7:200-300", **common)
    inspection = Inspection(
        record_id=uuid5(NAMESPACE, "i"),
        segment_id="reg:7:0-100",
        inspector_role="walker",
        findings=(
            Finding(class_code="D40", severity=2),
            # Nearer to the parallel street, but the inspector says which street it was.
            Finding(class_code="D40", severity=2, position=RecordPosition(7.00022, 51.4509)),
            # Far from the street that is named: the name is believed.
            Finding(class_code="D40", severity=2, position=RecordPosition(7.02, 51.4509)),
        ),
        **common,
    )
    for kind, record in (("repair", repair), ("report", report), ("inspection", inspection)):
        import_records(city, kind, [record], origin=Origin.IMPORTED)

    counts = match_new(city, settings, now=NOW)

    assert (counts.records, counts.records_outside) == (5, 0)
    assert places(city) == {
        ("repair", 0): ("reg:7:100-200", 156),
        ("report", 0): ("reg:7:200-300", 250),
        ("finding", 0): ("reg:7:0-100", 50),
        ("finding", 1): ("reg:7:100-200", 100),
        ("finding", 2): ("reg:7:0-100", 50),
    }
    assert match_new(city, settings, now=NOW).records == 0


def test_a_record_of_an_unknown_segment_is_kept_without_a_place(city, settings):
    report = Report(
        record_id=uuid5(NAMESPACE, "p"), channel="app", segment_id="elsewhere:1:0-100", observed_at=NOW, recorded_at=NOW
    )
    import_records(city, "report", [report], origin=Origin.IMPORTED)

    assert match_new(city, settings, now=NOW).records_outside == 1
    assert places(city) == {("report", 0): (None, None)}


def test_after_a_change_of_the_network_facts_are_matched_again(city, settings):
    load(city, reading("a", NOW), reading("b", NOW, lon=7.01))
    report = Report(
        record_id=uuid5(NAMESPACE, "p"), channel="app", segment_id="reg:7:200-300", observed_at=NOW, recorded_at=NOW
    )
    import_records(city, "report", [report], origin=Origin.IMPORTED)
    match_new(city, settings, now=NOW)
    shorter = RoadSection("reg", "7", np.array([[7.0, 51.4502], [7.0, 51.45236]]))  # 240 m, two segments
    new_street = RoadSection("reg", "9", np.array([[7.01, 51.45], [7.01, 51.4509]]))

    import_network(city, [shorter, PARALLEL, new_street], recorded_at=NOW)
    counts = match_new(city, settings, now=NOW)

    assert (counts.readings, counts.readings_outside, counts.records) == (2, 0, 1)
    assert city.execute("SELECT DISTINCT flags FROM vehicle_reading").fetchall() == [(0,)]
    assert places(city) == {("report", 0): ("reg:7:120-240", 180)}  # the heir of reg:7:200-300


def test_readings_go_in_batches_in_the_order_in_which_they_were_recorded(city, settings, monkeypatch):
    monkeypatch.setattr(match_module, "_BATCH_READINGS", 2)
    load(city, *[reading(str(i), NOW + timedelta(minutes=i), pass_id=str(i)) for i in (4, 0, 3, 1, 2)])

    counts = match_new(city, settings, now=NOW)

    assert counts.readings == 5
    # What was known after each batch stands in a row of its own.
    known = city.execute("SELECT recorded_at, passes FROM segment_day ORDER BY recorded_at").fetchall()
    assert [(at - NOW, passes) for at, passes in known] == [
        (timedelta(minutes=minute, seconds=2), passes) for minute, passes in ((1, 2), (3, 4), (4, 5))
    ]


def test_two_runs_at_once_take_turns(city, settings, database_url):
    position = RecordPosition(7.0, 51.4505)
    report = Report(record_id=uuid5(UUID(int=0), "report"), observed_at=NOW, channel="app", position=position)
    import_records(city, "report", [report], origin=Origin.IMPORTED, recorded_at=NOW)
    city.commit()
    read_unmatched_records(city, matcher_version=MATCHER_VERSION)  # another run has begun

    with connect(database_url) as other:
        other.execute("SET lock_timeout = '200ms'")
        with pytest.raises(LockNotAvailable):
            match_new(other, settings, now=NOW)
        other.rollback()
        assert match_new(city, settings, now=NOW).records == 1
        city.commit()
        assert match_new(other, settings, now=NOW).records == 0


def test_an_interrupted_run_is_taken_up_where_it_ended(city, settings, monkeypatch):
    monkeypatch.setattr(match_module, "_BATCH_READINGS", 2)
    load(city, *[reading(str(i), NOW + timedelta(minutes=i), pass_id=str(i)) for i in range(5)])
    write = match_module.write_reading_matches

    def fail_at_the_second_batch(conn, rows, **options):
        if conn.execute("SELECT FROM reading_match LIMIT 1").rowcount:
            raise ConnectionError("database gone")
        return write(conn, rows, **options)

    with monkeypatch.context() as broken:
        broken.setattr(match_module, "write_reading_matches", fail_at_the_second_batch)
        with pytest.raises(ConnectionError):
            match_new(city, settings, now=NOW)
    assert city.execute("SELECT count(*) FROM reading_match").fetchone() == (2,)

    assert match_new(city, settings, now=NOW).readings == 3
    assert city.execute("SELECT count(*) FROM reading_match").fetchone() == (5,)
