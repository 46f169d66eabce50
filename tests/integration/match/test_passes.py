"""Readings of a pass are matched together, however they come."""

from datetime import UTC, datetime, timedelta
from uuid import UUID, uuid5

import numpy as np
import pytest

from roadtwin.jobs import match as match_module
from roadtwin.jobs.importing import import_network
from roadtwin.jobs.match import match_new
from roadtwin.network.matching import MATCHER_VERSION
from roadtwin.network.sections import RoadSection
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city
from roadtwin.storage.readings import load_vehicle_readings
from roadtwin.types import Origin, Position, VehicleReading
from tests.traces import place_at

pytestmark = pytest.mark.every_part

NOW = datetime(2026, 6, 1, 12, tzinfo=UTC)
NAMESPACE = UUID("7a5a3b4e-0000-4000-8000-000000000001")
STREETS = [
    RoadSection("reg", name, np.array([place_at(east, 0), place_at(east, 300)])) for name, east in (("a", 0), ("b", 20))
]
EAST_M = [2, 2, 3, 2, 13, 2, 1, 2]  # of eight readings along street a: alone, the fifth would be on b


@pytest.fixture
def city(db):
    write_city(db, name="Teststadt", timezone="Europe/Berlin", simulated=False)
    import_network(db, STREETS, recorded_at=datetime(2026, 1, 1, tzinfo=UTC))
    db.commit()
    return db


def reading(number, east_m, *, vehicle="v", pass_id="p"):
    lon, lat = place_at(east_m, 20 + 10 * number)
    return VehicleReading(
        event_id=uuid5(NAMESPACE, f"{vehicle} {pass_id} {number}"),
        observed_at=NOW + timedelta(seconds=number),
        vehicle_pseudonym=vehicle,
        calibration_id="c",
        position=Position(lon, lat, 5.0),
        heading_deg=0.0,
        speed_mps=10.0,
        pass_id=pass_id,
        camera_model="m",
        camera_version="1",
        blur=0.1,
        wet=0.0,
        light=0.9,
        detections=(),
    )


def load(db, readings, lag=timedelta(seconds=2)):
    load_vehicle_readings(db, [(r, r.observed_at + lag) for r in readings], origin=Origin.MQTT)
    db.commit()


def streets(db, version=MATCHER_VERSION):
    """Names of the streets by time of the readings."""
    return "".join(
        name or "-"
        for (name,) in db.execute(
            "SELECT r.source_section_id FROM reading_match AS m LEFT JOIN road_section AS r USING (section_id)"
            " WHERE matcher_version = %s ORDER BY m.observed_at, m.event_id",
            [version],
        )
    )


def along_a():
    return [reading(number, east_m) for number, east_m in enumerate(EAST_M)]


def test_a_reading_that_strays_is_kept_on_its_street_by_its_pass(city):
    load(city, along_a())

    match_new(city, Settings(), now=NOW)

    assert streets(city) == "aaaaaaaa"


def test_the_same_readings_as_passes_of_their_own_are_matched_alone(city):
    load(city, [reading(number, east_m, pass_id=str(number)) for number, east_m in enumerate(EAST_M)])

    match_new(city, Settings(), now=NOW)

    assert streets(city) == "aaaabaaa"


def test_passes_of_two_vehicles_are_not_mixed_although_they_have_the_same_id(city):
    on_b = [reading(number, 18, vehicle="w") for number in range(8)]
    load(city, [*along_a(), *on_b])

    match_new(city, Settings(), now=NOW)

    assert sorted(streets(city)) == ["a"] * 8 + ["b"] * 8


@pytest.mark.parametrize("batch", [1, 3, 5])
def test_a_batch_does_not_cut_a_pass(city, monkeypatch, batch):
    monkeypatch.setattr(match_module, "_BATCH_READINGS", batch)
    load(city, [*along_a(), *(reading(number, 2, pass_id="q") for number in range(4))])

    counts = match_new(city, Settings(), now=NOW)

    assert counts.readings == 12
    assert streets(city) == "a" * 12


def test_portions_of_a_batch_are_of_whole_passes(city, monkeypatch):
    monkeypatch.setattr(match_module, "_PORTION_READINGS", 3)
    load(city, [*along_a(), *(reading(number, east_m, pass_id="q") for number, east_m in enumerate(EAST_M))])

    assert match_new(city, Settings(), now=NOW).readings == 16
    assert streets(city) == "a" * 16


def test_a_late_reading_is_matched_in_the_company_of_its_pass(city):
    late = 4  # the one that strays
    readings = along_a()
    load(city, readings[:late] + readings[late + 1 :])
    match_new(city, Settings(), now=NOW)
    before = city.execute("SELECT * FROM reading_match ORDER BY observed_at").fetchall()
    load(city, [readings[late]], lag=timedelta(hours=1))

    counts = match_new(city, Settings(), now=NOW + timedelta(hours=1))

    assert counts.readings == 1
    assert streets(city) == "aaaaaaaa"
    after = city.execute("SELECT * FROM reading_match ORDER BY observed_at").fetchall()
    assert after[:late] + after[late + 1 :] == before  # what was matched stays as it was


def test_a_second_run_changes_nothing(city):
    load(city, along_a())
    match_new(city, Settings(), now=NOW)
    tables = (
        "SELECT (SELECT array_agg(m::text) FROM reading_match AS m), (SELECT array_agg(d::text) FROM segment_day AS d)"
    )
    before = city.execute(tables).fetchall()

    assert match_new(city, Settings(), now=NOW + timedelta(hours=1)).readings == 0
    assert city.execute(tables).fetchall() == before


def test_segment_days_of_an_older_matcher_are_made_again_or_dropped(city):
    """An older version had put the fifth reading on street b, where nobody else was on that day."""
    load(city, along_a())
    city.execute(
        "INSERT INTO reading_match"
        " SELECT r.event_id, r.observed_at, %(old)s, s.section_id, s.segment_id, 60, 0, %(now)s"
        " FROM vehicle_reading AS r JOIN segment AS s ON s.public_id = CASE WHEN r.observed_at = %(fifth)s"
        " THEN 'reg:b:0-100' ELSE 'reg:a:0-100' END",
        {"old": MATCHER_VERSION - 1, "now": NOW, "fifth": NOW + timedelta(seconds=4)},
    )
    for street in "ab":
        city.execute(
            "INSERT INTO segment_day SELECT segment_id, '2026-06-01', %s, 'mqtt', 1, 1, 0, 0, 0, 0, NULL FROM segment"
            " WHERE public_id = %s",
            [NOW + timedelta(seconds=9), f"reg:{street}:0-100"],
        )
    city.commit()

    match_new(city, Settings(), now=NOW + timedelta(hours=1))

    days = city.execute(
        "SELECT s.public_id, d.passes FROM segment_day AS d JOIN segment AS s USING (segment_id) ORDER BY s.public_id"
    ).fetchall()
    assert days == [("reg:a:0-100", 1)]
    assert streets(city) == "aaaaaaaa"
