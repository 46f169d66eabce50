"""The state as of a time: from what was recorded by then, and from nothing else."""

import json
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID, uuid5
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from roadtwin.cli.state import app
from roadtwin.errors import SettingsError
from roadtwin.jobs.importing import import_network, import_records
from roadtwin.jobs.match import match_new
from roadtwin.jobs.state import refresh_state
from roadtwin.network.sections import Attributes
from roadtwin.records.schema import Finding, Inspection, Repair, Report, Survey, Weather
from roadtwin.settings import Settings
from roadtwin.storage.readings import load_segment_days
from roadtwin.twin.compute import check_sensors, learn_parameters, read_network, states_at
from roadtwin.types import Origin
from tests.integration.state.conftest import FAR, NORTH

NOW = datetime(2026, 1, 31, 11, tzinfo=UTC)
ZONE = ZoneInfo("Europe/Berlin")
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000002")
PUBLIC_ID = "reg:7:0-100"


def key(*parts):
    return uuid5(NAMESPACE, " ".join(map(str, parts)))


def weather(db, hours, temp_of, *, late=timedelta(minutes=5), tag=""):
    records = [
        Weather(
            record_id=key(tag, at),
            observed_at=at,
            recorded_at=at + late,
            station="st" + tag,
            air_temp_c=temp_of(at),
            rain_mm=0.1 + 0.1 * (i % 2),
            wind_speed_mps=2.0,
            radiation_w_per_m2=0.0,
        )
        for i in range(hours)
        for at in [NOW - timedelta(hours=i)]
    ]
    import_records(db, "weather", records, origin=Origin.IMPORTED)


def sensor(db, quantity, value, observed_at, recorded_at, *, lon=7.0, lat=51.4505, device="d1"):
    (device_id,) = db.execute(
        "INSERT INTO device (network_source, application, device, status) VALUES ('senml', '', %s, 'confirmed')"
        " ON CONFLICT (network_source, application, device) DO UPDATE SET status = 'confirmed' RETURNING device_id",
        [device],
    ).fetchone()
    db.execute(
        "INSERT INTO device_installation (device_id, valid_from, lon, lat) VALUES (%s, '2025-01-01', %s, %s)"
        " ON CONFLICT DO NOTHING",
        [device_id, lon, lat],
    )
    (series_id,) = db.execute(
        "INSERT INTO series (device_id, channel, quantity) VALUES (%s, '', %s)"
        " ON CONFLICT (device_id, channel, quantity, depth_cm) DO UPDATE SET quantity = excluded.quantity"
        " RETURNING series_id",
        [device_id, quantity],
    ).fetchone()
    db.execute("INSERT INTO observation VALUES (%s, %s, %s, %s, 0, 1)", [series_id, observed_at, recorded_at, value])


def segment_id(db):
    return db.execute("SELECT segment_id FROM segment WHERE public_id = %s", [PUBLIC_ID]).fetchone()[0]


def passes(db, day, recorded_at, *, linear=10, seen=0):
    load_segment_days(db, [(segment_id(db), day, recorded_at, "loaded", 4, 4, linear, 0, 0, seen, 0.6)])


def inspection(db, observed_at, recorded_at, *, found=()):
    record = Inspection(
        record_id=key("inspection", observed_at),
        observed_at=observed_at,
        recorded_at=recorded_at,
        segment_id=PUBLIC_ID,
        inspector_role="walker",
        findings=[Finding(class_code=code, severity=2) for code in found],
    )
    import_records(db, "inspection", [record], origin=Origin.IMPORTED)


def history(db, *times):
    match_new(db, Settings(), now=NOW)
    return states_at(db, segment_id(db), times, zone=ZONE)


def values(one, *names):
    return [one.state[name]["value"] for name in names]


@pytest.fixture
def known(city):
    """A segment of which everything is known at NOW."""
    weather(city, 24 * 80, lambda at: 4.0 if 8 <= at.hour < 18 else -4.0)
    for back in range(1, 20, 3):
        passes(city, date(2026, 1, 31) - timedelta(days=back), NOW - timedelta(days=back, hours=-12))
    inspection(city, NOW - timedelta(days=6), NOW - timedelta(days=6, hours=-3))
    sensor(city, "surface_temp_c", -1.0, NOW - timedelta(minutes=20), NOW - timedelta(minutes=19))
    return city


def test_what_is_recorded_later_changes_nothing_before(known):
    times = [NOW - timedelta(hours=6), NOW]
    before = history(known, *times)
    later = NOW + timedelta(hours=1)

    weather(known, 24 * 80, lambda at: -15.0 + at.hour / 9, late=timedelta(days=90), tag="b")
    for back in range(1, 20, 3):
        passes(known, date(2026, 1, 31) - timedelta(days=back), later, linear=90, seen=4)
    inspection(known, NOW - timedelta(days=5), later, found=["D40", "D20"])
    sensor(known, "surface_temp_c", 12.0, NOW - timedelta(minutes=5), later)
    records = {
        "repair": Repair(
            record_id=key("r"), observed_at=NOW - timedelta(days=3), recorded_at=later, segment_id=PUBLIC_ID,
            kind="repaired", method="resurfacing",
        ),
        "report": Report(
            record_id=key("p"), observed_at=NOW - timedelta(days=2), recorded_at=later, segment_id=PUBLIC_ID,
            channel="app", category="pothole",
        ),
        "survey": Survey(
            record_id=key("s"), observed_at=NOW - timedelta(days=9), recorded_at=later, segment_id=PUBLIC_ID,
            rule_set="E EMI 2012", total_grade=4.4, crack_pct=30.0, patch_pct=20.0,
        ),
    }  # fmt: skip
    for kind, record in records.items():
        import_records(known, kind, [record], origin=Origin.IMPORTED)
    network = read_network(known, now=NOW)
    refresh_state(known, Settings(), now=later)  # learns parameters from the late rows, too

    assert history(known, *times) == before
    assert all(one.state["condition_grade"]["value"] is not None for one in before)
    after = history(known, later)[0]
    assert after.state != before[-1].state
    assert values(after, "crack_index_pct") != values(before[-1], "crack_index_pct")
    assert len(network.segments) == 4


def test_each_hour_has_its_own_weather_and_sensors(known):
    afternoon = NOW - timedelta(hours=20)  # 15:00 UTC, when it was +4 °C

    states = history(known, afternoon, afternoon + timedelta(hours=12), NOW)

    assert values(states[0], "surface_temp_c") == [pytest.approx(4.0)]
    assert values(states[1], "surface_temp_c") == [pytest.approx(-4.0)]
    assert [one.state["surface_temp_c"]["source"] for one in states] == ["weather", "weather", "sensors"]
    assert [one.as_of for one in states] == [afternoon, afternoon + timedelta(hours=12), NOW]


def test_the_state_of_one_segment_is_that_of_the_whole_city(known):
    match_new(known, Settings(), now=NOW)
    refresh_state(known, Settings(), now=NOW)
    stored = known.execute("SELECT state FROM twin_state WHERE segment_id = %s", [segment_id(known)]).fetchone()[0]

    alone = history(known, NOW)[0].state

    assert alone == stored


def test_a_frost_that_thaws_weakens_the_base_and_an_older_record_of_it_does_not(city):
    def temp_of(at):
        days = (NOW - at) / timedelta(days=1)
        return (3.0 if days < 6 else -6.0 if days < 16 else 8.0) + 0.01 * at.hour

    weather(city, 24 * 100, temp_of)
    frozen, thawed = history(city, NOW - timedelta(days=7), NOW)

    assert values(frozen, "base_modulus_pct")[0] > 90
    assert values(thawed, "base_modulus_pct")[0] < 50
    assert thawed.state["base_modulus_pct"]["sd"] >= 10


def test_findings_make_an_open_pothole_likely_and_a_repair_ends_it(city):
    passes(city, date(2026, 1, 20), NOW - timedelta(days=10))
    inspection(city, NOW - timedelta(days=5), NOW - timedelta(days=5, hours=-1), found=["D40"])
    repair = Repair(
        record_id=key("r"),
        observed_at=NOW - timedelta(days=2),
        recorded_at=NOW - timedelta(days=1),
        segment_id=PUBLIC_ID,
        kind="repaired",
        method="cold_mix",
        area_m2=0.5,
    )
    import_records(city, "repair", [repair], origin=Origin.IMPORTED)

    states = history(city, *(NOW - timedelta(days=back) for back in (6, 4, 1.5, 0.5)))

    before, found, repaired_unknown, repaired = (values(one, "open_pothole_probability")[0] for one in states)
    assert found > 0.5 > before
    assert repaired_unknown > 0.4  # the crew's record has not come in
    assert repaired < 0.2


def test_parameters_are_learnt_once_a_day_and_used_from_then_on(known):
    for hours in (-30, -29, 0):
        refresh_state(known, Settings(), now=NOW + timedelta(hours=hours))

    (count,) = known.execute("SELECT count(*) FROM twin_parameters").fetchone()
    assert count == 2


def test_sensors_are_checked_by_leaving_each_of_them_out(known):
    for number in range(12):
        for hours in range(50):
            at = NOW - timedelta(hours=hours, minutes=number)
            off = 2.0 + 0.2 * number
            base = 4.0 if 8 <= at.hour < 18 else -4.0
            sensor(
                known, "surface_temp_c", base + off, at, at + timedelta(minutes=1), lat=51.45 + 0.0002 * number,
                device=f"s{number}",
            )  # fmt: skip
    network = read_network(known, now=NOW)

    parameters = check_sensors(known, network, zone=ZONE, now=NOW)

    skill = parameters.sensor_skill["surface_temp_c"]
    assert "surface_temp_c" in parameters.fitted
    assert "soil_moisture_pct" not in parameters.fitted
    assert skill.rmse < 0.5 < 2.0 < skill.weather_rmse
    assert 0.7 < skill.coverage_90 <= 1.0
    assert learn_parameters(known, network, zone=ZONE, now=NOW).sensor_skill["surface_temp_c"] == skill


@pytest.fixture
def roadtwin(known, database_url, monkeypatch):
    known.commit()
    monkeypatch.setenv("ROADTWIN_DATABASE_URL", database_url)

    def run(*arguments):
        return CliRunner().invoke(app, arguments, catch_exceptions=True)

    return run


def test_the_command_tells_a_segment_hour_by_hour_and_the_city_at_a_time(roadtwin, known):
    hourly = json.loads(roadtwin("--at", NOW.isoformat(), "--segment", PUBLIC_ID, "--hours", "2", "--json").stdout)
    whole = json.loads(roadtwin("--at", NOW.isoformat(), "--json").stdout)
    sensors = json.loads(roadtwin("--at", NOW.isoformat(), "--check-sensors", "--json").stdout)

    assert [one["as_of"][11:13] for one in hourly["states"]] == ["09", "10", "11"]
    assert whole["quantities"]["surface_temp_c"]["segments"] == 4
    assert sensors["quantities"]["surface_temp_c"]["fitted"] is False
    assert "base_modulus_pct" in roadtwin("--at", NOW.isoformat(), "--segment", PUBLIC_ID).stdout
    assert known.execute("SELECT count(*) FROM twin_state").fetchone() == (0,)  # nothing is written


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["--segment", PUBLIC_ID], "need --at"),
        (["--at", "2026-01-31T11:00:00+00:00", "--hours", "3"], "needs --segment"),
        (["--at", "yesterday"], "expected a time with offset"),
        (["--at", "2999-01-31T11:00:00+00:00"], "has passed"),
    ],
)
def test_options_that_do_not_fit_are_one_sentence(arguments, expected):
    result = CliRunner().invoke(app, arguments)

    assert isinstance(result.exception, SettingsError)
    assert expected in str(result.exception)


def test_a_state_has_the_register_s_attributes_as_known_then(city):
    weather(city, 24 * 40, lambda at: 6.0 + 0.1 * at.hour)
    cover = [(30.0, NOW - timedelta(days=20)), (60.0, NOW - timedelta(days=10))]
    for width_m, recorded_at in cover:
        sections = [replace(section, attributes=Attributes(width_m=width_m)) for section in (NORTH, FAR)]
        import_network(city, sections, recorded_at=recorded_at)
    repair = Repair(
        record_id=key("r"), observed_at=NOW - timedelta(days=30), recorded_at=NOW - timedelta(days=30),
        segment_id=PUBLIC_ID, kind="repaired", method="cold_mix", area_m2=6.0,
    )  # fmt: skip
    survey = Survey(
        record_id=key("s"), observed_at=NOW - timedelta(days=35), recorded_at=NOW - timedelta(days=35),
        segment_id=PUBLIC_ID, rule_set="E EMI 2012", total_grade=2.0, crack_pct=1.0, patch_pct=0.0,
    )  # fmt: skip
    import_records(city, "repair", [repair], origin=Origin.IMPORTED)
    import_records(city, "survey", [survey], origin=Origin.IMPORTED)

    states = history(city, *(NOW - timedelta(days=back) for back in (25, 15, 5)))

    unknown, narrow, wide = (values(one, "patch_pct")[0] for one in states)
    assert unknown is None  # what share 6 m² are of a road of unknown width
    assert narrow == pytest.approx(2 * wide, rel=0.02)
    assert [read_network(city, now=NOW - timedelta(days=back)).width_m[0] for back in (15, 5)] == [30.0, 60.0]
