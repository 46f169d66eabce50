"""The contract: every error of the API is an RFC 9457 problem with a stable type."""

from functools import reduce
from typing import Any

import pytest
from fastapi.testclient import TestClient

from roadtwin.settings import Settings
from service.app import create_app
from tests.service_city import FIXED_NOW, KEYS, uid

AWAY = "postgresql://nobody@127.0.0.1:1/nothing?connect_timeout=1"
READ_PATHS = [
    "/v1/city",
    "/v1/segments",
    "/v1/segments.geojson",
    "/v1/segments/test:001:0-100",
    "/v1/worklist",
    "/v1/worklist.csv",
    "/v1/decisions/undecided",
    "/v1/ingest/status",
    "/v1/rejected",
    "/v1/devices",
    "/v1/devices/1",
    "/v1/gateways",
    "/v1/model",
    "/v1/model/monitoring",
    "/v1/model/comparisons",
    "/v1/segments/test:001:0-100/scores/2026-02-10T09:00:00Z",
    "/v1/segments/test:001:0-100/state",
    "/v1/state",
    "/v1/scores/requests/1",
]
WRITE_PATHS = ["/v1/repairs", "/v1/inspections", "/v1/reports", "/v1/decisions", "/v1/devices/1/confirm", "/v1/scores"]
ASK_PATHS = ["/v1/whatif"]  # a question with a body: reading, by POST
TEMPLATES = {
    "test:001:0-100": "{segment_id}",
    "/devices/1": "/devices/{device_id}",
    "2026-02-10T09:00:00Z": "{as_of}",
    "/requests/1": "/requests/{score_request_id}",
}


def assert_problem(answer: Any, status: int, kind: str) -> dict[str, Any]:
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    problem = answer.json()
    assert problem["type"] == f"urn:roadtwin:problem:{kind}"
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    assert problem["instance"] == answer.request.url.path
    return problem


def paths_of(app: Any) -> set[str]:
    return {path for path in app.openapi()["paths"] if path.startswith("/v1")}


def test_these_tests_know_every_route():
    app = create_app(Settings(_secrets_dir=None), AWAY)
    paths = [*READ_PATHS, *WRITE_PATHS, *ASK_PATHS]
    known = (reduce(lambda named, part: named.replace(*part), TEMPLATES.items(), p) for p in paths)
    assert paths_of(app) == set(known)


@pytest.mark.parametrize("path", ["/v1/nothing", "/nothing", "/ui/nothing.js"])
def test_an_unknown_path_is_a_problem(reading, path):
    assert_problem(reading.get(path), 404, "not-found")


@pytest.mark.parametrize("path", [*READ_PATHS, "/healthz", "/readyz", "/metrics", "/"])
def test_a_wrong_method_is_a_problem_and_says_what_is_allowed(reading, path):
    answer = reading.delete(path)
    assert_problem(answer, 405, "method-not-allowed")
    assert "GET" in answer.headers["allow"]


@pytest.mark.parametrize(
    ("path", "params"),
    [
        ("/v1/segments", {"bbox": "1,2,3"}),
        ("/v1/segments", {"bbox": "nan,0,1,1"}),
        ("/v1/segments", {"bbox": "8,51,7,52"}),
        ("/v1/segments", {"horizon_days": "30"}),
        ("/v1/segments", {"horizon_days": "many"}),
        ("/v1/segments", {"limit": "0"}),
        ("/v1/segments", {"min_risk": "1.5"}),
        ("/v1/segments.geojson", {"bbox": "a,b,c,d"}),
        ("/v1/worklist", {"capacity": "-1"}),
        ("/v1/worklist", {"include": "everything"}),
        ("/v1/worklist.csv", {"horizon_days": "1"}),
        ("/v1/rejected", {"limit": "100000"}),
        ("/v1/devices", {"status": "lost"}),
    ],
)
def test_a_wrong_parameter_is_a_problem_that_names_it(reading, path, params):
    problem = assert_problem(reading.get(path, params=params), 422, "request-invalid")
    assert next(iter(params)) in problem["detail"]


@pytest.mark.parametrize("path", READ_PATHS)
def test_an_unknown_parameter_is_a_problem_that_names_it(reading, path):
    problem = assert_problem(reading.get(path, params={"distrikt": "Bredeney"}), 400, "unknown-parameter")
    assert "Unknown query parameter 'distrikt': expected " in problem["detail"]


@pytest.mark.parametrize("path", [*WRITE_PATHS, *ASK_PATHS])
def test_an_unknown_parameter_of_a_post_is_a_problem_too(reading, path):
    answer = reading.post(path, params={"dry_run": "1"}, json={})
    assert "expected no parameter" in assert_problem(answer, 400, "unknown-parameter")["detail"]


def test_an_unknown_parameter_is_told_with_all_that_are_known(reading):
    answer = reading.get("/v1/worklist", params={"distrikt": "Bredeney", "horizon_days": 7})
    known = "capacity, crews, district, extent_m, horizon_days, hours, include, mobilisation_min, reach_m"
    assert answer.json()["detail"] == f"Unknown query parameter 'distrikt': expected some of {known}."


@pytest.mark.parametrize("token", ["x", "%%%", "AAAAAAAAAAAAAAAAAAAA", "ü"])
@pytest.mark.parametrize("path", ["/v1/segments", "/v1/rejected", "/v1/devices"])
def test_a_made_up_page_token_is_refused(reading, path, token):
    assert_problem(reading.get(path, params={"page": token}), 400, "page-token")


def test_a_page_token_of_another_query_is_refused(reading):
    token = reading.get("/v1/segments", params={"limit": 1}).json()["next_page"]
    answer = reading.get("/v1/segments", params={"limit": 1, "district": "Bredeney", "page": token})
    assert_problem(answer, 400, "page-token")


@pytest.mark.parametrize("params", [{"district": "\0"}, {"page": "\0"}])
def test_a_character_that_no_text_may_hold_is_a_problem_of_the_request(reading, params):
    assert reading.get("/v1/segments", params=params).status_code in {400, 422}


@pytest.mark.parametrize("segment_id", ["nothing", "a:b:0-1", "a/b", "'; DROP TABLE segment; --"])
def test_an_unknown_segment_is_a_problem(reading, segment_id):
    assert_problem(reading.get(f"/v1/segments/{segment_id}"), 404, "segment-not-found")


def test_an_unknown_device_is_a_problem(reading, operator):
    assert_problem(reading.post("/v1/devices/999/confirm", headers=operator), 404, "device-not-found")


def test_city_and_model_that_are_not_there_are_problems_with_the_remedy(start_service):
    client = start_service()
    assert "roadtwin import" in assert_problem(client.get("/v1/city"), 404, "city-not-loaded")["detail"]
    assert "roadtwin train" in assert_problem(client.get("/v1/model"), 404, "model-not-trained")["detail"]


@pytest.mark.parametrize("path", WRITE_PATHS)
@pytest.mark.parametrize("headers", [{}, {"X-API-Key": "wrong"}, {"Authorization": "Bearer wrong"}])
def test_writing_without_a_good_key_is_refused(reading, path, headers):
    answer = reading.post(path, headers=headers, json={})
    assert_problem(answer, 401, "api-key-required")
    assert answer.headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("path", WRITE_PATHS)
def test_writing_with_a_viewers_key_is_refused(reading, path):
    problem = assert_problem(reading.post(path, headers={"X-API-Key": KEYS["viewer"]}, json={}), 403, "role-required")
    assert "viewer-name" in problem["detail"]


def test_an_editor_may_not_confirm_devices(reading, editor):
    assert_problem(reading.post("/v1/devices/1/confirm", headers=editor), 403, "role-required")


@pytest.mark.parametrize("path", READ_PATHS)
def test_reading_needs_a_key_where_the_operator_did_not_open_it(start_service, city, path):
    client = start_service(open_read=False)
    assert_problem(client.get(path), 401, "api-key-required")
    path = path.replace("test:001:0-100", city.by_rank[0])
    assert client.get(path, headers={"X-API-Key": KEYS["viewer"]}).status_code == 200


def test_a_revoked_key_is_unknown(client, db, city, editor):
    db.execute("UPDATE api_key SET revoked_at = %s WHERE role = 'editor'", [FIXED_NOW])
    db.commit()
    assert_problem(client.get("/v1/city", headers=editor), 401, "api-key-required")


@pytest.mark.parametrize("path", WRITE_PATHS[:4])
@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b'{"record_id": 1}', b'{"unknown": 1}'])
def test_a_body_that_is_no_record_is_a_problem(reading, editor, path, body):
    headers = editor | {"Content-Type": "application/json"}
    assert_problem(reading.post(path, content=body, headers=headers), 422, "record-rejected")


@pytest.mark.parametrize("path", WRITE_PATHS[:4])
def test_a_body_of_another_media_type_is_refused(reading, editor, path):
    answer = reading.post(path, content=b"a=1", headers=editor | {"Content-Type": "application/x-www-form-urlencoded"})
    assert_problem(answer, 415, "unsupported-media-type")


@pytest.mark.parametrize("path", WRITE_PATHS[:4])
def test_a_body_above_the_limit_is_refused_by_its_length(reading, editor, path):
    answer = reading.post(path, content=b" " * 300_000, headers=editor | {"Content-Type": "application/json"})
    assert_problem(answer, 413, "request-too-large")


def test_a_body_above_the_limit_is_refused_when_its_length_is_not_stated(reading, editor):
    def chunks():
        for _ in range(100):
            yield b" " * 10_000

    answer = reading.post("/v1/repairs", content=chunks(), headers=editor | {"Content-Type": "application/json"})
    assert_problem(answer, 413, "request-too-large")


@pytest.mark.parametrize("path", [*READ_PATHS, "/readyz"])
def test_a_database_that_is_away_is_said_by_name(away, path):
    answer = away.get(path)
    problem = assert_problem(answer, 503, "database-unavailable")
    assert "database" in problem["detail"]
    assert "nobody" not in problem["detail"]
    assert answer.headers["retry-after"]


@pytest.mark.parametrize("path", WRITE_PATHS)
def test_writes_are_not_pretended_while_the_database_is_away(away, editor, path):
    assert_problem(away.post(path, headers=editor, json={}), 503, "database-unavailable")


def test_the_process_says_it_lives_while_the_database_is_away(away):
    assert away.get("/healthz").status_code == 200
    assert away.get("/").status_code == 200


@pytest.fixture(scope="module")
def away():
    import service.state

    patch = pytest.MonkeyPatch()
    patch.setattr(service.state, "ACQUIRE_TIMEOUT_S", 0.3)
    with TestClient(create_app(Settings(_secrets_dir=None), AWAY, clock=lambda: FIXED_NOW)) as client:
        yield client
    patch.undo()


def test_a_database_without_our_tables_says_to_migrate(empty_database_url):
    with TestClient(create_app(Settings(_secrets_dir=None), empty_database_url)) as client:
        assert "roadtwin migrate" in assert_problem(client.get("/readyz"), 503, "migration")["detail"]


def test_an_error_that_we_did_not_foresee_tells_nothing_of_the_inside(reading, monkeypatch):
    from service.routes import city as route

    monkeypatch.setitem(route._SEGMENTS, "read_city", "SELECT 1 / 0")
    quiet = TestClient(reading.app, raise_server_exceptions=False)
    quiet.portal = reading.portal
    problem = assert_problem(quiet.get("/v1/city"), 500, "internal-server-error")
    assert "zero" not in problem["detail"]


def test_another_record_with_the_same_id_is_a_conflict(client, editor, city):
    body = {
        "record_id": str(uid("r")),
        "observed_at": FIXED_NOW.isoformat(),
        "segment_id": city.by_rank[0],
        "method": "patch",
    }
    assert client.post("/v1/repairs", headers=editor, json=body).status_code == 201
    body["method"] = "hot_mix"
    assert_problem(client.post("/v1/repairs", headers=editor, json=body), 409, "record-conflict")
