"""The worklist where evidence contradicts itself: how probable a hole is, what it is called, and where it stands."""

import csv
import io
from datetime import timedelta

import pytest
from psycopg.types.json import Jsonb

from tests.service_city import FIXED_NOW

AGAIN = FIXED_NOW - timedelta(days=1)


@pytest.fixture
def twin_says(db, city):
    """Make the twin say how probable an open pothole on the segment of a hole is, as of a time."""

    def say(name, probability, *, as_of=FIXED_NOW):
        state = Jsonb({"open_pothole_probability": {"value": probability, "source": "camera"}})
        db.execute(
            """INSERT INTO twin_state SELECT segment_id, %s, %s, NULL, 3, NULL FROM pothole WHERE pothole_id = %s
               ON CONFLICT (segment_id) DO UPDATE SET as_of = excluded.as_of, state = excluded.state""",
            [as_of, state, city.potholes[name]],
        )
        db.commit()

    return say


@pytest.fixture
def ghost(db, city, twin_says):
    """A severe hole, overdue, that broke up beside an old repair, was lost twice and is likelier gone than there."""
    hole = city.potholes["severe overdue"]
    db.execute(
        """UPDATE pothole SET reopened = TRUE, last_evidence_at = %(again)s,
           opened_at = ARRAY[first_recorded_at, first_recorded_at + INTERVAL '1 hour', %(again)s],
           shut_at = ARRAY[first_recorded_at + INTERVAL '30 minutes', first_recorded_at + INTERVAL '2 hours', NULL]
           WHERE pothole_id = %(hole)s""",
        {"again": AGAIN, "hole": hole},
    )
    twin_says("severe overdue", 0.04)
    return str(hole)


def names(client, city):
    of = {str(hole): name for name, hole in city.potholes.items()}
    return [of[task["pothole_id"]] for task in client.get("/v1/worklist").json()["potholes"]]


def task_of(client, hole):
    return next(p for p in client.get("/v1/worklist").json()["potholes"] if p["pothole_id"] == hole)


def test_a_ghost_is_called_seen_again_says_how_probable_it_is_and_leaves_the_top(client, city, db, ghost):
    task = task_of(client, ghost)

    assert (task["seen_again"], task["reopened"], task["confirmed_by_person"]) == (True, False, False)
    assert (task["open_probability"], task["doubtful"]) == (0.04, True)
    assert names(client, city)[-2:] == ["severe overdue", "closed today"]
    job = next(j for j in client.get("/v1/worklist").json()["plan"]["jobs"] if ghost in j["pothole_ids"])
    assert not job["must"]


def test_a_severe_hole_with_a_fair_chance_stays_above_every_other(client, city, ghost, twin_says):
    twin_says("severe overdue", 0.2)

    assert names(client, city)[:2] == ["warranty severe", "severe overdue"]
    assert task_of(client, ghost)["doubtful"]
    job = next(j for j in client.get("/v1/worklist").json()["plan"]["jobs"] if ghost in j["pothole_ids"])
    assert job["must"]


def test_what_a_person_found_is_certain_whatever_cameras_miss(client, city, db, ghost):
    db.execute("UPDATE pothole SET seen_by_person_at = %s WHERE pothole_id = %s", [AGAIN, ghost])
    db.commit()
    task = task_of(client, ghost)

    assert (task["open_probability"], task["doubtful"], task["confirmed_by_person"]) == (1.0, False, True)
    assert names(client, city)[0] == "severe overdue"


def test_where_the_twin_has_not_taken_the_hole_in_yet_it_counts_as_there(client, city, ghost, twin_says):
    twin_says("severe overdue", 0.04, as_of=AGAIN - timedelta(hours=1))  # from before it was seen again
    task = task_of(client, ghost)

    assert (task["open_probability"], task["doubtful"]) == (None, False)
    assert names(client, city)[0] == "severe overdue"


def test_a_ghost_does_not_become_certain_by_ageing(client, city, db, ghost):
    long_ago = FIXED_NOW - timedelta(days=200)
    db.execute(
        "UPDATE pothole SET last_evidence_at = %(t)s, opened_at[3] = %(t)s WHERE pothole_id = %(hole)s",
        {"t": long_ago, "hole": ghost},
    )
    db.commit()
    task = task_of(client, ghost)

    assert (task["open_probability"], task["doubtful"]) == (0.04, True)
    assert names(client, city)[-2:] == ["severe overdue", "closed today"]


def test_what_is_repaired_or_pending_as_repaired_has_no_probability(client, city, db, ghost, twin_says):
    twin_says("closed today", 0.9)
    closed = task_of(client, str(city.potholes["closed today"]))
    db.execute(
        """INSERT INTO repair (record_id, observed_at, recorded_at, origin, lon, lat, kind, method)
           SELECT gen_random_uuid(), %(now)s, %(now)s, 'api', lon, lat, 'repaired', 'hot_mix' FROM pothole
           WHERE pothole_id = %(hole)s""",
        {"now": FIXED_NOW, "hole": ghost},
    )
    db.commit()
    pending = task_of(client, ghost)

    assert pending["pending"]
    for task in (closed, pending):
        assert (task["status"], task["open_probability"], task["doubtful"]) == ("repaired", None, False)
        assert not task["confirmed_by_person"]
    table = csv.DictReader(io.StringIO(client.get("/v1/worklist.csv").text.lstrip("\ufeff")))
    assert [row["open_probability"] for row in table if row["status"] == "repaired"] == ["", ""]


def test_a_hole_broken_up_again_is_called_so_as_long_as_nobody_missed_it(client, city, db):
    hole = city.potholes["medium"]
    db.execute("UPDATE pothole SET reopened = TRUE WHERE pothole_id = %s", [hole])
    db.commit()
    task = task_of(client, str(hole))
    segment = client.get(f"/v1/segments/{task['segment_id']}").json()
    (told,) = [p for p in segment["potholes"] if p["pothole_id"] == str(hole)]
    (entry,) = [e for e in segment["evidence"] if e["id"] == str(hole)]

    for answer in (task, told, entry["details"]):
        assert (answer["reopened"], answer["seen_again"]) == (True, False)


def test_the_table_for_spreadsheets_says_so_too(client, ghost):
    rows = csv.DictReader(io.StringIO(client.get("/v1/worklist.csv").text.lstrip("\ufeff")))
    row = next(row for row in rows if row["pothole_id"] == ghost)

    assert (row["open_probability"], row["seen_again"], row["reopened"]) == ("0.04", "True", "False")


def test_half_of_the_worth_of_a_job_is_left_where_its_hole_is_there_with_one_half(client, city, db, ghost, twin_says):
    def benefit():
        return client.get("/v1/worklist").json()["plan"]["benefit"]

    twin_says("severe overdue", 1.0)
    certain = benefit()
    twin_says("severe overdue", 0.5)
    assert certain - benefit() == pytest.approx(5.0, abs=0.01)  # a severe one weighs 10
