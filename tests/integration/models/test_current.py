"""The quick ways from tables to features and potholes give what the slow ones give."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest

from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.potholes import derive
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.history import load_history
from roadtwin.jobs.importing import import_network
from roadtwin.jobs.inputs import load_city, load_evidence, load_looks, to_instant
from roadtwin.jobs.match import match_new
from roadtwin.settings import Settings
from roadtwin.storage.city import write_city
from roadtwin.storage.database import connect
from roadtwin.storage.potholes import forget_derivation, read_derivation
from simulators.history import simulate_history
from simulators.world import build_world

START = datetime(2025, 1, 1, tzinfo=UTC)
NOW = datetime(2026, 2, 15, 3, tzinfo=UTC)
SETTINGS = Settings()


@pytest.fixture(scope="module")
def city(database_server) -> Iterator[str]:
    """Address of a database with a city of 6 km and fourteen months, of which some segments are passed no more."""
    name, url = database_server.clone()
    world = build_world(seed=5, length_km=6, start=START)
    with connect(url) as conn:
        write_city(conn, name="Simulated", timezone="Europe/Berlin", simulated=True)
        import_network(conn, world.sections, recorded_at=START, source_version="1")
        load_history(conn, simulate_history(world, start=START, end=NOW))
        match_new(conn, SETTINGS, now=NOW)
        conn.execute("DELETE FROM segment_day WHERE segment_id % 7 = 0 AND day > DATE '2025-06-01'")
        # A day in the window whose only good pass is taken back, and one before it that is.
        conn.execute(
            """
            INSERT INTO segment_day
            SELECT segment_id, day, recorded_at + INTERVAL '3 hours', origin, passes, 0, 0, 0, 0, 0, NULL
            FROM segment_day
            WHERE segment_id % 5 = 0 OR (segment_id % 7 = 0 AND day > DATE '2025-05-20')
            """
        )
        conn.commit()
    yield url
    database_server.drop(name)


@pytest.fixture
def conn(city) -> Iterator[psycopg.Connection[Any]]:
    """A connection whose work is undone after the test."""
    with connect(city) as connection:
        yield connection
        connection.rollback()


def table(conn: psycopg.Connection[Any]) -> list[tuple[Any, ...]]:
    return conn.execute("SELECT p.* FROM pothole AS p ORDER BY pothole_id").fetchall()


def assert_current_is_complete(conn: psycopg.Connection[Any], now: datetime) -> None:
    complete, current = (load_city(conn, SETTINGS, now=now, current=current) for current in (False, True))
    assert len(current.segment_days) < len(complete.segment_days)
    expected, found = (FeatureBuilder(inputs).at(to_instant(now)) for inputs in (complete, current))
    for column, name in enumerate(FEATURE_SET.names):
        np.testing.assert_array_equal(found[:, column], expected[:, column], err_msg=name)


def test_current_inputs_give_the_same_features_with_potholes_from_their_table(conn):
    derive_potholes(conn, now=NOW)

    assert_current_is_complete(conn, NOW)


def test_current_inputs_give_the_same_features_where_the_table_is_of_another_time(conn):
    derive_potholes(conn, now=NOW - timedelta(days=30))

    assert_current_is_complete(conn, NOW - timedelta(days=3))


def test_passes_over_a_road_that_ended_say_nothing_of_the_next_one(conn):
    derive_potholes(conn, now=NOW)
    conn.execute("UPDATE segment SET valid_to = %s WHERE segment_id %% 7 = 6", [NOW - timedelta(days=1)])
    conn.execute("TRUNCATE inspection CASCADE")  # a person's look would hide that a pass was not read

    assert_current_is_complete(conn, NOW)


def test_the_table_is_what_the_rule_says(conn):
    derive_potholes(conn, now=NOW)
    holes = derive(load_evidence(conn, now=NOW), load_looks(conn, now=NOW), to_instant(NOW))
    stored = conn.execute("SELECT pothole_id, evidence_count, cardinality(opened_at) FROM pothole").fetchall()

    assert len(holes) > 50
    assert {(h.pothole_id, len(h.evidence), len(h.spells)) for h in holes} == set(stored)


def test_deriving_step_by_step_gives_what_deriving_at_once_gives(conn):
    for days in (60, 20, 10, 3, 2, 1, 0):
        derive_potholes(conn, now=NOW - timedelta(days=days))
    step_by_step = table(conn)
    anew = derive_potholes(conn, now=NOW, anew=True)

    assert table(conn) == step_by_step
    assert (anew.written, anew.removed) == (0, 0)


def test_a_hole_that_looks_miss_is_closed_though_no_evidence_came(conn):
    derive_potholes(conn, now=NOW)
    hole, segment = conn.execute(
        "SELECT pothole_id, segment_id FROM pothole WHERE confirmed_at IS NOT NULL AND closed_at IS NULL LIMIT 1"
    ).fetchone()
    for day in range(1, 6):
        conn.execute(
            "INSERT INTO segment_day VALUES (%s, %s, %s, 'loaded', 1, 1, 0, 0, 0, 0, NULL)",
            [segment, (NOW + timedelta(days=day)).date(), NOW + timedelta(days=day)],
        )
    derive_potholes(conn, now=NOW + timedelta(days=6))

    assert conn.execute("SELECT close_reason FROM pothole WHERE pothole_id = %s", [hole]).fetchone() == ("not_found",)


def test_evidence_that_comes_late_with_an_old_time_is_derived_too(conn):
    late = conn.execute(
        "SELECT m.record_id, m.matched_at FROM record_match AS m WHERE record_kind = 'repair' ORDER BY 1 LIMIT 5"
    ).fetchall()
    ids = [row[0] for row in late]
    conn.execute("UPDATE record_match SET matched_at = %s WHERE record_id = ANY(%s)", [NOW + timedelta(hours=1), ids])
    conn.execute("CREATE TEMP TABLE kept AS SELECT * FROM record_match WHERE record_id = ANY(%s)", [ids])
    conn.execute("DELETE FROM record_match WHERE record_id = ANY(%s)", [ids])
    derive_potholes(conn, now=NOW)
    conn.execute("INSERT INTO record_match SELECT * FROM kept")
    derive_potholes(conn, now=NOW + timedelta(hours=2))
    late_came = table(conn)
    derive_potholes(conn, now=NOW + timedelta(hours=2), anew=True)

    assert table(conn) == late_came


def test_repairs_that_are_recorded_weeks_late_leave_open_what_was_seen_since_also_when_derived_step_by_step(conn):
    """Of a place that was repaired and broke up again, one hole was known until the record of the repair came."""
    conn.execute("UPDATE repair SET recorded_at = recorded_at + INTERVAL '20 days'")
    conn.execute(
        """UPDATE record_match AS m SET matched_at = greatest(m.matched_at, r.recorded_at)
           FROM repair AS r WHERE m.record_kind = 'repair' AND m.record_id = r.record_id"""
    )
    for days in (-30, -10, 0, 1, 3, 10, 21):
        derive_potholes(conn, now=NOW + timedelta(days=days))
    step_by_step = table(conn)
    anew = derive_potholes(conn, now=NOW + timedelta(days=21), anew=True)

    assert table(conn) == step_by_step
    assert (anew.written, anew.removed) == (0, 0)
    (again,) = conn.execute(
        """SELECT count(*) FROM pothole AS p INNER JOIN pothole_spell AS s ON s.pothole_id = p.pothole_id
           WHERE p.confirmed_at IS NOT NULL AND s.broken_up_again AND s.known_since = p.first_recorded_at
           AND p.first_recorded_at IN (SELECT recorded_at FROM repair WHERE kind = 'repaired')
           AND NOT EXISTS (SELECT FROM jsonb_array_elements(p.evidence) AS e
                           WHERE (e ->> 'at')::timestamptz < p.first_recorded_at - INTERVAL '20 days')"""
    ).fetchone()
    assert again > 0


def test_facts_recorded_before_the_last_derivation_make_all_be_derived_anew(conn):
    derive_potholes(conn, now=NOW)
    forget_derivation(conn, recorded_at=NOW + timedelta(seconds=1))
    kept = read_derivation(conn)
    forget_derivation(conn, recorded_at=NOW)

    assert kept.as_of == NOW
    assert read_derivation(conn) is None
