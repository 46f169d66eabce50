from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np
import pytest

from roadtwin.jobs.importing import import_network, import_records
from roadtwin.jobs.state import refresh_state
from roadtwin.network.sections import RoadSection
from roadtwin.records.schema import Inspection, Survey, Weather
from roadtwin.settings import Settings
from roadtwin.storage.readings import load_segment_days
from roadtwin.types import Origin

pytestmark = pytest.mark.every_part

NOW = datetime(2026, 1, 31, 11, tzinfo=UTC)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000001")
FAR = RoadSection("reg", "8", np.array([[7.2, 51.45], [7.2, 51.4509]]))  # as in conftest: 14 km to the east


def refresh(db, now=NOW):
    return refresh_state(db, Settings(), now=now)


def state(db, public_id="reg:7:0-100"):
    row = db.execute(
        "SELECT state, condition_grade, evidence_count, newest_evidence_at FROM twin_state JOIN segment"
        " USING (segment_id) WHERE public_id = %s",
        (public_id,),
    ).fetchone()
    return row[0], *row[1:]


def segment_id(db, public_id="reg:7:0-100"):
    return db.execute("SELECT segment_id FROM segment WHERE public_id = %s", (public_id,)).fetchone()[0]


def weather(db, hours, temp_of, rain_mm=0.1, radiation=0.0, end=NOW):
    records = []
    for i in range(hours):
        at = end - timedelta(hours=i)
        records.append(
            Weather(
                record_id=uuid5(NAMESPACE, str(at)),
                observed_at=at,
                recorded_at=at + timedelta(minutes=5) if i else at,
                station="st",
                air_temp_c=temp_of(at),
                rain_mm=rain_mm * (0.5 + i % 2),  # the same for days would be a fault of the gauge
                wind_speed_mps=2.0,
                radiation_w_per_m2=radiation,
            )
        )
    import_records(db, "weather", records, origin=Origin.IMPORTED)


def sensor(db, quantity, value, lon, lat, *, device="d1", status="confirmed", flags=0, observed_at=NOW):
    device_id = db.execute(
        "INSERT INTO device (network_source, application, device, status) VALUES ('senml', '', %s, %s)"
        " RETURNING device_id",
        (device, status),
    ).fetchone()[0]
    db.execute(
        "INSERT INTO device_installation (device_id, valid_from, lon, lat) VALUES (%s, '2025-01-01', %s, %s)",
        (device_id, lon, lat),
    )
    series_id = db.execute(
        "INSERT INTO series (device_id, channel, quantity) VALUES (%s, '', %s) RETURNING series_id",
        (device_id, quantity),
    ).fetchone()[0]
    db.execute(
        "INSERT INTO observation VALUES (%s, %s, %s, %s, %s, 1)", (series_id, observed_at, observed_at, value, flags)
    )


def passes(db, day, *, good=5, linear=10, alligator=0, recorded_at=None, public_id="reg:7:0-100"):
    known = recorded_at or datetime(day.year, day.month, day.day, 22, tzinfo=UTC)
    row = (segment_id(db, public_id), day, known, "loaded", good, good, linear, 0, alligator, 0, 0.6)
    load_segment_days(db, [row])


def test_nothing_known_is_written_as_unknown(city):
    counts = refresh(city)

    assert (counts.segments, counts.graded) == (4, 0)
    values, grade, evidence_count, newest_at = state(city)
    assert grade is None
    assert (evidence_count, newest_at) == (0, None)
    assert {entry["source"] for entry in values.values()} == {"none"}
    assert {entry["value"] for entry in values.values()} == {None}
    assert set(values["surface_temp_c"]) == {"value", "sd", "count", "newest_at", "source"}


def test_frost_and_rain_are_those_of_the_local_days(city):
    # −4 °C by night, +4 °C by day: every local day freezes and thaws.
    weather(city, 24 * 40, lambda at: 4.0 if 8 <= at.hour < 18 else -4.0)

    refresh(city)

    values = state(city)[0]
    assert values["freeze_thaw_cycles_30d"]["value"] == pytest.approx(30, abs=0.5)
    assert values["base_modulus_pct"]["value"] is None  # 40 days do not tell of frost before them
    assert values["freeze_thaw_cycles_30d"]["source"] == "weather"
    assert values["rain_7d_mm"]["value"] == pytest.approx(6 * 2.4 + 1.1, abs=0.11)  # today has 12 hours so far
    assert values["frost_index_30d_c_d"]["value"] > 0
    assert values["surface_temp_c"]["value"] == pytest.approx(4.0)
    assert values["surface_temp_c"]["newest_at"] == NOW.isoformat()


def test_old_weather_says_nothing_about_the_surface_now(city):
    weather(city, 24 * 40, lambda at: 5.0, end=NOW - timedelta(hours=5))

    refresh(city)

    assert state(city)[0]["surface_temp_c"]["value"] is None


def test_a_confirmed_sensor_counts_near_by_and_the_weather_far_away(city):
    weather(city, 30, lambda at: 5.0)
    sensor(city, "surface_temp_c", -1.0, 7.0, 51.4505)
    sensor(city, "surface_temp_c", 40.0, 7.0, 51.4505, device="d2", status="unconfirmed")
    sensor(city, "surface_temp_c", 70.0, 7.0, 51.4505, device="d3", flags=1)

    refresh(city)

    near, far = state(city)[0]["surface_temp_c"], state(city, "reg:8:0-100")[0]["surface_temp_c"]
    assert near["source"] == "sensors"
    assert near["value"] == pytest.approx(-1.0, abs=0.5)
    assert far["source"] == "weather"
    assert near["value"] < far["value"] < 5.0  # the weather may be wrong for the whole city
    assert near["sd"] < far["sd"]


def test_cracks_make_a_grade_with_its_evidence_and_later_knowledge_is_not_used(city):
    passes(city, date(2026, 1, 20))
    passes(city, date(2026, 1, 20), linear=75, recorded_at=datetime(2026, 2, 5, tzinfo=UTC))  # a later correction

    counts = refresh(city)

    values, grade, evidence_count, newest_at = state(city)
    assert counts.graded == 1
    assert values["crack_index_pct"]["value"] == pytest.approx(2.67, abs=0.03)  # 10 of 5 passes, recall 0.75
    assert values["crack_index_pct"]["count"] == 5
    assert values["last_pass_age_d"]["value"] == 11
    assert values["condition_grade"]["source"] == "camera"
    assert 1.5 < grade < 2.0
    assert evidence_count == 5
    assert newest_at == datetime(2026, 1, 19, 23, tzinfo=UTC)  # begin of the local day
    assert state(city, "reg:7:100-200")[1] is None

    refresh(city, now=datetime(2026, 2, 6, tzinfo=UTC))
    assert state(city)[1] > 3.5


def test_an_inspection_shows_that_there_is_no_pothole_but_not_that_the_road_is_good(city):
    inspection = Inspection(
        record_id=uuid5(NAMESPACE, "i"),
        observed_at=NOW - timedelta(days=2),
        recorded_at=NOW - timedelta(days=1),
        segment_id="reg:7:0-100",
        inspector_role="walker",
    )
    import_records(city, "inspection", [inspection], origin=Origin.IMPORTED)

    refresh(city)

    values, grade, evidence_count, _ = state(city)
    assert values["open_potholes_count"]["value"] == 0
    assert values["last_inspection_age_d"]["value"] == 2
    assert grade is None
    assert evidence_count == 1
    assert state(city, "reg:7:100-200")[0]["open_potholes_count"]["value"] is None


def test_an_open_pothole_and_a_survey_make_the_grade(city):
    survey = Survey(
        record_id=uuid5(NAMESPACE, "s"),
        observed_at=NOW - timedelta(days=10),
        recorded_at=NOW - timedelta(days=9),
        segment_id="reg:7:0-100",
        rule_set="E EMI 2012",
        total_grade=2.2,
    )
    import_records(city, "survey", [survey], origin=Origin.IMPORTED)
    refresh(city)
    assert state(city)[1] == pytest.approx(2.2)
    assert state(city)[0]["condition_grade"]["source"] == "survey"

    city.execute(
        "INSERT INTO pothole SELECT gen_random_uuid(), 1, section_id, segment_id, 10, 7.0, 51.4501, %(t)s, %(t)s,"
        " %(t)s, NULL, NULL, NULL, %(t)s, 2, 3, '[]', FALSE FROM segment WHERE public_id = 'reg:7:0-100'",
        {"t": NOW - timedelta(days=1)},
    )
    refresh(city)

    values, grade, _, _ = state(city)
    assert grade == pytest.approx(4.5)
    assert values["open_potholes_count"]["value"] == 1
    assert values["condition_grade"]["source"] == "potholes"


def test_there_is_one_current_state_and_one_snapshot_a_local_day(city):
    late = datetime(2026, 1, 31, 22, 59, tzinfo=UTC)
    for now in (NOW, late, late + timedelta(minutes=1), NOW):
        refresh(city, now=now)

    assert city.execute("SELECT count(*), min(as_of) FROM twin_state").fetchone() == (4, late + timedelta(minutes=1))
    days = city.execute("SELECT day, count(*), max(as_of) FROM twin_state_day GROUP BY day ORDER BY day").fetchall()
    assert days == [(date(2026, 1, 31), 4, late), (date(2026, 2, 1), 4, late + timedelta(minutes=1))]


def test_the_state_of_a_segment_that_is_gone_goes(city):
    refresh(city)
    moved = RoadSection("reg", "8", np.add(FAR.line, [0.0, 0.0001]))
    import_network(city, [moved], recorded_at=NOW)

    refresh(city, now=NOW + timedelta(hours=1))

    assert city.execute("SELECT count(*) FROM twin_state").fetchone() == (4,)


def test_a_database_without_network_has_no_state(db):
    assert refresh(db).segments == 0
