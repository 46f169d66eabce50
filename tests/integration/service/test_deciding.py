"""The worklist as jobs, inspections by lot, and decisions with what was known when they were made."""

import csv
import io
from datetime import UTC, datetime, timedelta

import pytest

from models.draw import draw, places_by_lot
from roadtwin.jobs.draw import draw_inspections
from roadtwin.settings import Settings
from tests.service_city import FIXED_NOW, uid

DECIDED_AT = "2026-02-10T09:20:00Z"
SETTINGS = Settings(_secrets_dir=None, crew_capacity=8, random_inspection_share=0.25)


@pytest.fixture
def client(start_service, city):
    """A service of a small office: eight places a day, a quarter of the inspections by lot."""
    return start_service(crew_capacity=8, random_inspection_share=0.25, crew_count=2, crew_hours=4)


@pytest.fixture
def drawn(db, city):
    record = draw_inspections(db, SETTINGS, score_as_of=city.as_of, now=FIXED_NOW)
    db.commit()
    return record


def worklist(client, **params):
    answer = client.get("/v1/worklist", params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def by_lot(answer):
    return [task for task in answer["inspections"] if task["selected_by"] == "random"]


def decision(name, **more):
    return {"decision_id": str(uid(name)), "decided_at": DECIDED_AT, "action": "inspect", **more}


def rescore(db, city, as_of, factor=1.0):
    """The same scores again, as of another time."""
    db.execute(
        """INSERT INTO risk_score SELECT segment_id, %s, horizon_days, probability * %s, expected_count,
           probability_low, probability_high, rank, model_run_id, reasons FROM risk_score WHERE as_of = %s""",
        [as_of, factor, city.as_of],
    )
    db.execute("INSERT INTO score_run SELECT %s, model_run_id, %s, segment_count FROM score_run WHERE as_of = %s",
               [as_of, as_of, city.as_of])  # fmt: skip
    db.commit()


def test_a_hole_that_looks_did_not_find_is_due_from_the_time_it_was_seen_again(client, city, db):
    hole = city.potholes["severe overdue"]
    before = next(p for p in worklist(client)["potholes"] if p["pothole_id"] == str(hole))
    again = FIXED_NOW - timedelta(hours=1)
    db.execute(
        "UPDATE pothole SET opened_at = ARRAY[first_recorded_at, %s], shut_at = ARRAY[%s, NULL] WHERE pothole_id = %s",
        [again, again - timedelta(hours=20), hole],
    )
    db.commit()
    after = next(p for p in worklist(client)["potholes"] if p["pothole_id"] == str(hole))

    assert before["overdue"]
    assert before["known_since"] == before["first_recorded_at"] == after["first_recorded_at"]
    assert not after["overdue"]
    assert datetime.fromisoformat(after["known_since"]) == again
    assert after["age_s"] == 3600


def test_jobs_hold_every_task_once_and_no_crew_works_too_long(client):
    answer = worklist(client)
    plan = answer["plan"]
    numbers = [job["job"] for job in plan["jobs"]]
    assert numbers == list(range(1, len(numbers) + 1))
    todo = [p for p in answer["potholes"] if p["status"] != "repaired"] + answer["inspections"]
    for task in todo:
        job = plan["jobs"][task["job"] - 1]
        assert task.get("pothole_id", "") in job["pothole_ids"] or task["segment_id"] in job["segment_ids"]
    assert sum(len(j["pothole_ids"]) + len(j["segment_ids"]) for j in plan["jobs"]) == len(todo)
    assert all(minutes <= 240 for minutes in plan["crew_minutes"])
    planned = [j for j in plan["jobs"] if j["crew"] is not None]
    assert sorted({j["crew"] for j in planned}) == [1, 2]
    for crew in (1, 2):
        orders = [j["order"] for j in planned if j["crew"] == crew]
        assert orders == list(range(1, len(orders) + 1))
    severe = next(p for p in answer["potholes"] if p["severity"] == 3 and p["status"] == "open")
    assert plan["jobs"][severe["job"] - 1]["crew"] is not None
    assert next(p for p in answer["potholes"] if p["status"] == "repaired")["job"] is None


def test_merging_saves_mobilisations_and_the_cost_model_can_be_asked_otherwise(client):
    merged, alone = worklist(client)["plan"], worklist(client, reach_m=0)["plan"]
    assert len(merged["jobs"]) < len(alone["jobs"])
    assert merged["saved_minutes"] > 0
    assert alone["saved_minutes"] == 0
    assert merged["planned_tasks"] > alone["planned_tasks"]
    more = worklist(client, crews=6, hours=10, mobilisation_min=5)["plan"]
    assert (more["crews"], more["hours"], more["assumptions"]["mobilisation_min"]) == (6, 10, 5)
    assert all(job["crew"] is not None for job in more["jobs"])


@pytest.mark.parametrize("wrong", [{"crews": 0}, {"hours": 25}, {"mobilisation_min": -1}, {"reach_m": 1e9}])
def test_a_day_that_cannot_be_is_refused_by_name(client, wrong):
    answer = client.get("/v1/worklist", params=wrong)
    assert answer.status_code == 422
    assert next(iter(wrong)) in answer.json()["detail"]


def test_the_table_names_crew_order_selection_and_decision(client, city, drawn):
    text = client.get("/v1/worklist.csv").content.decode("utf-8-sig")
    rows = list(csv.DictReader(io.StringIO(text)))
    assert {"crew", "order", "job", "selected_by", "selection_probability", "decision"} <= set(rows[0])
    assert {r["selected_by"] for r in rows if r["list"] == "inspection"} == {"risk", "random"}
    assert any(r["crew"] == "1" and r["order"] == "1" for r in rows)


def test_inspections_by_lot_come_from_below_the_top_with_a_known_probability(client, city, drawn):
    answer = worklist(client)
    lot = by_lot(answer)
    risky = [t["segment_id"] for t in answer["inspections"] if t["selected_by"] == "risk"]
    assert (len(risky), len(lot)) == (6, 2)
    assert (drawn.top_count, drawn.drawn_count) == (6, 2)
    assert not {t["segment_id"] for t in lot} & set(risky)
    assert {t["selection_probability"] for t in lot} == {2 / drawn.frame_count}
    assert {t["selection_probability"] for t in answer["inspections"] if t["selected_by"] == "risk"} == {1.0}
    note = answer["by_lot"]
    assert note["probability"] == pytest.approx(2 / note["frame_count"])
    assert note["seed"] == "Teststadt|2026-02-10"
    jobs = answer["plan"]["jobs"]
    assert all(jobs[t["job"] - 1]["crew"] is not None for t in lot)  # else the sample would be none


def _hindered(city):
    """What is not for the city's crews."""
    return city.streets["Frankenstraße"] + city.streets["Am Ruhrstein"] + [city.by_rank[2]]


def test_anybody_can_draw_the_lot_again(city, db, drawn):
    rows = db.execute(
        """SELECT s.public_id FROM inspection_draw_segment AS d JOIN segment AS s USING (segment_id)
           WHERE d.risk_position > %s ORDER BY d.position LIMIT 2""",
        [drawn.top_count],
    ).fetchall()
    free = [s for s in city.by_rank if s not in _hindered(city)]
    frame = free[drawn.top_count :]
    assert drawn.frame_count == len(frame)
    assert [frame[i] for i in draw(frame, 2, seed=drawn.seed)] == [row[0] for row in rows]


def test_the_lot_stays_the_same_all_day_whatever_is_scored_inspected_or_asked_for(client, editor, city, db, drawn):
    before = [t["segment_id"] for t in by_lot(worklist(client))]
    again = draw_inspections(db, SETTINGS, score_as_of=city.as_of, now=FIXED_NOW + timedelta(hours=5))
    assert again == drawn
    # Scored again, and a drawn segment rises to the top: it stays drawn.
    rescore(db, city, city.as_of + timedelta(minutes=10))
    db.execute(
        "UPDATE risk_score SET rank = 0 WHERE as_of = %s AND segment_id = %s",
        [city.as_of + timedelta(minutes=10), city.segment_ids[before[0]]],
    )
    db.commit()
    answer = worklist(client)
    assert sorted(t["segment_id"] for t in by_lot(answer)) == sorted(before)
    assert len([t for t in answer["inspections"] if t["segment_id"] == before[0]]) == 1
    # One is inspected: it leaves the list, and no other comes in its place.
    body = {"record_id": str(uid("lot")), "observed_at": DECIDED_AT, "segment_id": before[0], "inspector_role": "x"}
    assert client.post("/v1/inspections", headers=editor, json=body).status_code == 201
    answer = worklist(client)
    assert [t["segment_id"] for t in by_lot(answer)] == before[1:]
    assert answer["by_lot"]["inspected_count"] == 1
    # A smaller capacity takes the first of the draw; another day draws anew.
    assert len(by_lot(worklist(client, capacity=2, include="inspected"))) == 1
    tomorrow = draw_inspections(db, SETTINGS, score_as_of=city.as_of, now=FIXED_NOW + timedelta(days=1))
    assert tomorrow.seed != drawn.seed


def test_a_small_list_draws_among_all_that_it_does_not_hold_by_risk(client, city, drawn):
    free = [s for s in city.by_rank if s not in _hindered(city)]
    for capacity in (1, 2, 4, 8, 12):
        answer = worklist(client, capacity=capacity)
        risky = [t["segment_id"] for t in answer["inspections"] if t["selected_by"] == "risk"]
        places = places_by_lot(capacity, drawn.share)
        frame = free[capacity - places :]
        assert [t["segment_id"] for t in by_lot(answer)] == sorted(
            [frame[i] for i in draw(frame, places, seed=drawn.seed)], key=free.index
        )
        assert not set(risky) & {t["segment_id"] for t in by_lot(answer)}
        note = answer["by_lot"]
        assert (note["frame_count"], note["drawn_count"]) == (len(frame), places)
        assert {t["selection_probability"] for t in by_lot(answer)} == {places / len(frame)}


def test_without_a_draw_the_list_says_so_and_is_whole(client, city):
    answer = worklist(client)
    assert answer["by_lot"] is None
    assert len(answer["inspections"]) == 8


def test_a_share_of_zero_draws_nothing(db, city):
    none = Settings(_secrets_dir=None, crew_capacity=8, random_inspection_share=0)
    record = draw_inspections(db, none, score_as_of=city.as_of, now=FIXED_NOW)
    assert (record.drawn_count, record.top_count) == (0, 8)


def test_a_decision_keeps_the_score_that_was_known_then(client, editor, city, db):
    segment_id = city.by_rank[0]
    body = decision("kept", segment_id=segment_id, horizon_days=7)
    assert client.post("/v1/decisions", headers=editor, json=body).status_code == 201
    rescore(db, city, city.as_of + timedelta(minutes=10), factor=0.5)
    assert client.post("/v1/decisions", headers=editor, json=body).status_code == 200  # sent again, later scores or not
    (kept,) = client.get("/v1/decisions").json()["decisions"]
    assert (kept["segment_id"], kept["action"], kept["horizon_days"], kept["rank"]) == (segment_id, "inspect", 7, 1)
    assert kept["probability"] == pytest.approx(0.12)
    assert datetime.fromisoformat(kept["score_as_of"]) == city.as_of
    details = next(
        e["details"] for e in client.get(f"/v1/segments/{segment_id}").json()["evidence"] if e["kind"] == "decision"
    )
    assert (details["horizon_days"], round(details["probability"], 2)) == (7, 0.12)


def test_an_earlier_score_can_be_named_and_one_that_is_not_there_is_refused(client, editor, city):
    yesterday = city.as_of - timedelta(days=1)
    body = decision("earlier", segment_id=city.by_rank[0], score_as_of=yesterday.isoformat())
    assert client.post("/v1/decisions", headers=editor, json=body).status_code == 201
    (kept,) = client.get("/v1/decisions").json()["decisions"]
    assert kept["probability"] == pytest.approx(0.34 * 0.9)
    gone = decision("gone", segment_id=city.by_rank[0], score_as_of="2026-01-01T00:00:00Z")
    refused = client.post("/v1/decisions", headers=editor, json=gone)
    assert refused.status_code == 422
    assert "no score as of 2026-01-01" in refused.json()["detail"]


def test_doing_nothing_needs_a_reason(client, editor, city):
    refused = client.post(
        "/v1/decisions", headers=editor, json=decision("none", segment_id=city.by_rank[0], action="none", reason=" ")
    )
    assert refused.status_code == 422
    assert refused.json()["detail"].startswith("reason:")


def test_a_deferral_outlives_the_next_scoring_and_ends_after_a_week(client, editor, city, db):
    first = worklist(client)["inspections"][0]["segment_id"]
    body = decision("defer", segment_id=first, action="defer", reason="Parkverbot ab Montag")
    client.post("/v1/decisions", headers=editor, json=body)
    rescore(db, city, city.as_of + timedelta(minutes=10))
    assert first not in [t["segment_id"] for t in worklist(client)["inspections"]]
    db.execute("UPDATE decision SET decided_at = %s", [FIXED_NOW - timedelta(days=8)])
    db.commit()
    assert first in [t["segment_id"] for t in worklist(client)["inspections"]]


def test_an_inspection_of_this_morning_outlives_the_next_scoring(client, editor, city, db):
    first = worklist(client)["inspections"][0]["segment_id"]
    body = {"record_id": str(uid("look")), "observed_at": DECIDED_AT, "segment_id": first, "inspector_role": "x"}
    client.post("/v1/inspections", headers=editor, json=body)
    rescore(db, city, datetime(2026, 2, 10, 9, 29, tzinfo=UTC))
    assert first not in [t["segment_id"] for t in worklist(client)["inspections"]]


def test_top_scores_without_a_decision_are_told_until_somebody_decides(client, editor, city):
    start = client.get("/v1/decisions/undecided", params={"top": 4}).json()
    assert (start["top"], start["undecided_count"], start["decided_count"]) == (4, 4, 0)
    assert worklist(client)["undecided_count"] == 8
    first = start["undecided"][0]["segment_id"]
    client.post("/v1/decisions", headers=editor, json=decision("top", segment_id=first))
    after = client.get("/v1/decisions/undecided", params={"top": 4}).json()
    assert (after["undecided_count"], after["decided_count"]) == (3, 1)
    assert first not in [s["segment_id"] for s in after["undecided"]]
    listed = worklist(client)
    assert listed["undecided_count"] == 7
    assert next(t for t in listed["inspections"] if t["segment_id"] == first)["decision"]["action"] == "inspect"


def test_days_before_tell_what_became_of_scores_that_nobody_acted_on(client, editor, city, db):
    (today, yesterday) = client.get("/v1/decisions/undecided", params={"top": 5, "horizon_days": 7}).json()["days"]
    assert (today["day"], yesterday["day"]) == ("2026-02-10", "2026-02-09")
    own = [s for s in city.by_rank[:5] if s not in city.streets["Frankenstraße"] + city.streets["Am Ruhrstein"]]
    assert yesterday["top_count"] == yesterday["unacted_count"] == len(own)
    assert yesterday["unacted_broken_count"] == 0
    assert yesterday["settled"] is False
    db.execute(
        """INSERT INTO pothole SELECT %s, 1, section_id, segment_id, 50, mid_lon, mid_lat, %s, %s, %s, NULL, NULL, NULL,
           %s, 2, 1, '[]', FALSE FROM segment WHERE public_id = %s""",
        [uid("broke"), *[city.now - timedelta(hours=1)] * 4, own[0]],
    )
    db.commit()
    client.post("/v1/decisions", headers=editor, json=decision("acted", segment_id=own[1]))
    (_, yesterday) = client.get("/v1/decisions/undecided", params={"top": 5, "horizon_days": 7}).json()["days"]
    assert (yesterday["decided_count"], yesterday["unacted_count"]) == (1, len(own) - 1)
    assert yesterday["unacted_broken_count"] == 1
    assert yesterday["unacted_expected_segments"] < 0.12 * len(own)


def test_decisions_are_paged_newest_first(client, editor, city):
    for minute in range(3):
        body = decision(f"page {minute}", segment_id=city.by_rank[minute]) | {
            "decided_at": f"2026-02-10T09:0{minute}:00Z"
        }
        client.post("/v1/decisions", headers=editor, json=body)
    first = client.get("/v1/decisions", params={"limit": 2}).json()
    rest = client.get("/v1/decisions", params={"limit": 2, "page": first["next_page"]}).json()
    told = [d["segment_id"] for d in first["decisions"] + rest["decisions"]]
    assert told == city.by_rank[:3][::-1]
    assert rest["next_page"] is None
    assert client.get("/v1/decisions", params={"page": "x"}).status_code == 400
