import re
from datetime import timedelta

import pytest

from roadtwin.storage import queries
from tests.integration.service.test_errors import assert_problem
from tests.service_city import FIXED_NOW, uid

DONE_AT = (FIXED_NOW - timedelta(minutes=3)).isoformat()


def repair(name: str, **fields):
    return {"record_id": str(uid(name)), "observed_at": DONE_AT, "method": "cold_mix", **fields}


def evidence_ids(client, segment_id: str) -> dict[str, dict]:
    return {e["id"]: e for e in client.get(f"/v1/segments/{segment_id}").json()["evidence"]}


def audit(db):
    db.rollback()
    return db.execute("SELECT actor, action, subject FROM audit_log ORDER BY audit_id").fetchall()


def test_a_repair_by_segment_is_stored_audited_and_shows_in_the_evidence_at_once(client, editor, city, db):
    segment_id = city.by_rank[0]
    answer = client.post("/v1/repairs", headers=editor, json=repair("a", segment_id=segment_id, crew="Kolonne 2"))
    assert answer.status_code == 201
    assert answer.json()["segment_id"] == segment_id
    assert answer.json()["recorded_at"] == FIXED_NOW.isoformat().replace("+00:00", "Z")
    shown = evidence_ids(client, segment_id)[str(uid("a"))]
    assert (shown["kind"], shown["details"]["crew"], shown["pending"]) == ("repair", "Kolonne 2", True)
    assert audit(db) == [("editor-name", "repair_recorded", f"repair/{uid('a')}")]


def test_a_repair_by_position_shows_in_the_evidence_of_the_nearest_segment_only(client, editor, city):
    near, other = city.streets["Zweigertstraße"][2], city.streets["Zweigertstraße"][3]
    lon, lat = city.middles[near]
    body = repair("b", position={"lon": lon, "lat": lat + 0.00005})
    assert client.post("/v1/repairs", headers=editor, json=body).json()["segment_id"] == near
    assert str(uid("b")) in evidence_ids(client, near)
    assert str(uid("b")) not in evidence_ids(client, other)


def test_a_position_outside_the_network_is_kept_and_belongs_to_no_segment(client, editor):
    body = {
        "record_id": str(uid("far")),
        "observed_at": DONE_AT,
        "channel": "app",
        "position": {"lon": 7.5, "lat": 51.0},
    }
    answer = client.post("/v1/reports", headers=editor, json=body)
    assert answer.status_code == 201
    assert answer.json()["segment_id"] is None


@pytest.mark.parametrize("kind", ["repairs", "reports", "inspections"])
def test_a_position_whose_longitude_and_latitude_are_swapped_is_refused_by_its_field(client, editor, city, db, kind):
    segment_id = city.by_rank[0]
    lon, lat = city.middles[segment_id]
    swapped = {"position": {"lon": lat, "lat": lon}}
    body = {
        "repairs": repair("swapped", segment_id=segment_id, **swapped),
        "reports": {"record_id": str(uid("swapped")), "observed_at": DONE_AT, "channel": "app", **swapped},
        "inspections": {
            "record_id": str(uid("swapped")),
            "observed_at": DONE_AT,
            "segment_id": segment_id,
            "inspector_role": "street_inspector",
            "findings": [
                {"class_code": "D40", "severity": 2, "position": {"lon": lon, "lat": lat}},
                {"class_code": "D40", "severity": 2},
                {"class_code": "D40", "severity": 2, **swapped},
            ],
        },
    }[kind]
    field = "findings[2].position" if kind == "inspections" else "position"

    problem = assert_problem(client.post(f"/v1/{kind}", headers=editor, json=body), 422, "record-rejected")
    assert problem["detail"].startswith(f"{field}: Longitude and latitude are swapped: lon 51.45")
    assert audit(db) == []


def test_the_same_record_again_changes_nothing(client, editor, city, db):
    body = repair("c", segment_id=city.by_rank[0], depth_m=0.07)
    assert client.post("/v1/repairs", headers=editor, json=body).status_code == 201
    again = client.post("/v1/repairs", headers=editor, json=body)
    assert again.status_code == 200
    assert again.json()["created"] is False
    assert len(audit(db)) == 1


def test_the_senders_recorded_at_is_not_ours(client, editor, city, db):
    early = (FIXED_NOW - timedelta(days=400)).isoformat()
    body = repair("d", segment_id=city.by_rank[0], recorded_at=early)
    client.post("/v1/repairs", headers=editor, json=body)
    assert db.execute("SELECT recorded_at FROM repair").fetchone()[0] == FIXED_NOW


@pytest.mark.parametrize(
    "observed_at",
    [(FIXED_NOW + timedelta(hours=1)).isoformat(), "0001-01-01T00:00:00Z", "0001-01-01T00:00:00+14:00"],
)
def test_a_repair_at_an_impossible_time_is_refused(client, editor, city, observed_at):
    body = repair("e", segment_id=city.by_rank[0]) | {"observed_at": observed_at}
    assert_problem(client.post("/v1/repairs", headers=editor, json=body), 422, "record-rejected")


@pytest.mark.parametrize("place", [{}, {"segment_id": "no:such:0-1"}])
def test_a_repair_needs_a_place_that_exists(client, editor, city, place, db):
    assert_problem(client.post("/v1/repairs", headers=editor, json=repair("f", **place)), 422, "record-rejected")
    assert db.execute("SELECT count(*) FROM repair").fetchone() == (0,)


def test_a_recorded_repair_takes_its_pothole_off_the_crews_list_before_matching_ran(client, editor, city):
    pothole_id = str(city.potholes["severe overdue"])
    lon, lat = city.middles[city.streets["Alfredstraße"][0]]
    before = client.get("/v1/worklist").json()
    client.post("/v1/repairs", headers=editor, json=repair("g", position={"lon": lon, "lat": lat}))
    after = client.get("/v1/worklist").json()
    task = next(p for p in after["potholes"] if p["pothole_id"] == pothole_id)
    assert (task["status"], task["pending"], task["overdue"]) == ("repaired", True, False)
    assert after["open_pothole_count"] == before["open_pothole_count"] - 1


def test_an_inspection_with_findings_is_stored_whole_and_takes_the_segment_off_the_list(client, editor, city):
    segment_id = city.by_rank[0]
    body = {
        "record_id": str(uid("i")),
        "observed_at": DONE_AT,
        "segment_id": segment_id,
        "inspector_role": "Straßenbegeher",
        "findings": [{"class_code": "D40", "severity": 2, "depth_m": 0.05}, {"class_code": "D20", "severity": 1}],
    }
    if client.get("/v1/worklist").json()["inspections"][0]["segment_id"] != segment_id:
        segment_id = client.get("/v1/worklist").json()["inspections"][0]["segment_id"]
        body["segment_id"] = segment_id
    assert client.post("/v1/inspections", headers=editor, json=body).status_code == 201
    assert client.post("/v1/inspections", headers=editor, json=body).status_code == 200
    findings = evidence_ids(client, segment_id)[str(uid("i"))]["details"]["findings"]
    assert [f["class_code"] for f in findings] == ["D40", "D20"]
    worklist = client.get("/v1/worklist").json()
    assert segment_id not in [s["segment_id"] for s in worklist["inspections"]]
    assert worklist["left_out"]["inspected"] == 1


def test_a_decision_to_do_nothing_is_kept_with_its_reason_and_leaves_the_list(client, editor, city, db):
    pothole_id = str(city.potholes["low"])
    body = {
        "decision_id": str(uid("decision")),
        "decided_at": DONE_AT,
        "pothole_id": pothole_id,
        "action": "defer",
        "reason": "Parkverbot erst ab Montag",
    }
    assert client.post("/v1/decisions", headers=editor, json=body).status_code == 201
    assert client.post("/v1/decisions", headers=editor, json=body).status_code == 200
    worklist = client.get("/v1/worklist").json()
    assert pothole_id not in [p["pothole_id"] for p in worklist["potholes"]]
    included = client.get("/v1/worklist", params={"include": "decided"}).json()
    task = next(p for p in included["potholes"] if p["pothole_id"] == pothole_id)
    assert task["decision"]["reason"] == "Parkverbot erst ab Montag"
    assert audit(db)[-1][1] == "decision_recorded"
    conflict = client.post("/v1/decisions", headers=editor, json=body | {"action": "none"})
    assert_problem(conflict, 409, "record-conflict")


@pytest.mark.parametrize("place", [{}, {"segment_id": "nowhere"}, {"pothole_id": str(uid("no pothole"))}])
def test_a_decision_needs_something_that_exists(client, editor, place):
    body = {"decision_id": str(uid("x")), "decided_at": DONE_AT, "action": "none", **place}
    assert_problem(client.post("/v1/decisions", headers=editor, json=body), 422, "record-rejected")


def test_what_is_written_goes_to_the_segment_that_has_the_id_now(client, editor, city, db):
    public_id = city.by_rank[0]
    db.execute("UPDATE segment SET valid_to = now() WHERE public_id = %s", [public_id])
    inspection = {
        "record_id": str(uid("gone")),
        "observed_at": DONE_AT,
        "segment_id": public_id,
        "inspector_role": "walker",
    }
    db.commit()
    assert_problem(client.post("/v1/inspections", headers=editor, json=inspection), 422, "record-rejected")
    columns = (
        "public_id, section_id, nominal_length_m, from_station_m, to_station_m, valid_from, name, district, "
        "road_class, length_m, geometry_wkb, bounds, mid_lon, mid_lat"
    )
    heir = db.execute(
        f"INSERT INTO segment ({columns}) SELECT {columns} FROM segment WHERE public_id = %s RETURNING segment_id",
        [public_id],
    ).fetchone()
    db.commit()
    body = {"decision_id": str(uid("heir")), "decided_at": DONE_AT, "action": "inspect", "segment_id": public_id}
    assert client.post("/v1/decisions", headers=editor, json=body).status_code == 201
    stored = db.execute("SELECT segment_id FROM decision WHERE decision_id = %s", [uid("heir")]).fetchone()
    assert stored == heir


def test_an_operator_confirms_a_device_once(client, operator, db):
    device_id = db.execute("SELECT device_id FROM device WHERE status = 'unconfirmed'").fetchone()[0]
    first = client.post(f"/v1/devices/{device_id}/confirm", headers=operator).json()
    assert (first["status"], first["changed"]) == ("confirmed", True)
    assert client.post(f"/v1/devices/{device_id}/confirm", headers=operator).json()["changed"] is False
    assert audit(db) == [("operator-name", "device_confirmed", f"device/{device_id}")]


@pytest.mark.parametrize(
    ("change", "known"),
    [
        ("UPDATE pothole SET severity = 3 WHERE severity = 2", False),
        ("UPDATE twin_state SET condition_grade = 4.4", False),
        ('UPDATE segment SET attributes = attributes || \'{"name": "Neue Straße"}\'', False),
        ("UPDATE score_run SET segment_count = segment_count + 1", False),
        ("DELETE FROM pothole", False),
        ("UPDATE device SET name = 'another'", True),
    ],
)
def test_a_layer_that_is_known_is_sent_again_if_anything_was_written_that_it_depends_on(client, db, change, known):
    tag = client.get("/v1/segments.geojson").headers["etag"]
    db.execute(change)
    before = client.get("/v1/segments.geojson", headers={"If-None-Match": tag})
    db.commit()
    after = client.get("/v1/segments.geojson", headers={"If-None-Match": tag})

    assert before.status_code == 304  # nobody sees yet what is not committed
    assert (after.status_code == 304) is known


def test_who_writes_needs_no_search_path(db, city):
    """A dump that is restored sets none."""
    (schema,) = db.execute("SELECT current_schema()").fetchone()
    db.execute("SET LOCAL search_path TO ''")

    assert db.execute(f'UPDATE "{schema}".pothole SET severity = severity').rowcount > 0


def test_what_lists_depend_on_is_read_without_going_through_what_they_hold(db, city):
    (plan,) = db.execute(f"EXPLAIN (FORMAT JSON) {queries.load('api_segments')['read_versions']}").fetchone()

    read = set(re.findall("'Relation Name': '(\\w+)'", str(plan)))
    assert read <= {"answer_version", "score_run"}


def test_the_layers_entity_tag_changes_when_a_pothole_is_secured(client, city, db):
    tag = client.get("/v1/segments.geojson").headers["etag"]
    db.execute("UPDATE pothole SET secured_at = %s WHERE pothole_id = %s", [FIXED_NOW, city.potholes["medium"]])
    db.commit()
    answer = client.get("/v1/segments.geojson", headers={"If-None-Match": tag})
    assert answer.status_code == 200
    assert answer.headers["etag"] != tag
