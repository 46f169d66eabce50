import csv
import io
import json

import pytest
from fastapi.testclient import TestClient

from tests.service_city import WARRANTY_STREET


def get(client: TestClient, path: str, **params):
    answer = client.get(path, params=params)
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_city_says_its_name_extent_districts_and_that_it_is_simulated(reading, read_city):
    city = get(reading, "/v1/city")
    assert (city["name"], city["simulated"], city["segment_count"]) == ("Teststadt", True, 24)
    assert [d["name"] for d in city["districts"]] == ["Bredeney", "Rüttenscheid"]
    west, south, east, north = city["bbox"]
    assert west < east
    assert south < north
    assert city["score_run"]["age_s"] == 1800
    assert city["horizons_days"] == [7, 28, 90]


def test_segments_come_worst_first_with_the_scores_of_all_horizons(reading, read_city):
    page = get(reading, "/v1/segments", limit=30)
    assert [s["segment_id"] for s in page["segments"]][:22] == read_city.by_rank
    first = page["segments"][0]
    assert [s["horizon_days"] for s in first["scores"]] == [7, 28, 90]
    assert first["scores"][1]["probability"] == pytest.approx(0.34)
    assert first["scores"][1]["probability_low"] is None
    assert page["next_page"] is None


def test_segments_without_a_score_come_last_and_have_none(reading, read_city):
    last = get(reading, "/v1/segments", limit=30)["segments"][-1]
    assert last["scores"] == []
    assert last["condition_grade"] is None


def test_pages_together_are_the_whole_list_without_repetition(reading, read_city):
    seen, token = [], None
    while True:
        page = get(reading, "/v1/segments", limit=7, **({"page": token} if token else {}))
        seen += [s["segment_id"] for s in page["segments"]]
        token = page["next_page"]
        if token is None:
            break
    assert len(seen) == len(set(seen)) == 24
    assert seen[:22] == read_city.by_rank


def test_segments_are_filtered_by_box_district_and_risk(reading, read_city):
    lon, lat = read_city.middles[read_city.streets["Zweigertstraße"][0]]
    boxed = get(reading, "/v1/segments", bbox=f"{lon},{lat - 1e-4},{lon + 1e-5},{lat + 1e-4}")["segments"]
    assert [s["name"] for s in boxed] == ["Zweigertstraße"]
    assert {s["district"] for s in get(reading, "/v1/segments", district="Bredeney")["segments"]} == {"Bredeney"}
    risky = get(reading, "/v1/segments", min_risk=0.2, horizon_days=28)["segments"]
    assert [s["segment_id"] for s in risky] == read_city.by_rank[:4]


def test_segments_answer_not_modified_while_nothing_changed(reading):
    first = reading.get("/v1/segments.geojson")
    assert reading.get("/v1/segments.geojson", headers={"If-None-Match": first.headers["etag"]}).status_code == 304


def test_geojson_layer_has_all_segments_with_flat_properties(reading, read_city):
    answer = reading.get("/v1/segments.geojson")
    assert answer.headers["content-type"] == "application/geo+json"
    assert answer.headers["content-encoding"] == "gzip"
    layer = answer.json()
    assert len(layer["features"]) == 24
    by_id = {f["properties"]["segment_id"]: f for f in layer["features"]}
    worst = by_id[read_city.by_rank[0]]
    assert worst["properties"]["risk_28d"] == 0.34
    assert worst["properties"]["rank_90d"] == 1
    assert worst["geometry"]["type"] == "LineString"
    assert by_id[read_city.streets["Alfredstraße"][0]]["properties"]["open_potholes"] == 1


def test_geojson_is_given_to_whoever_accepts_it_and_uncompressed_to_whoever_wants_that(reading):
    headers = {"Accept": "application/geo+json", "Accept-Encoding": "identity"}
    answer = reading.get("/v1/segments", headers=headers)
    assert "content-encoding" not in answer.headers
    assert json.loads(answer.content)["type"] == "FeatureCollection"


def test_one_segment_tells_state_scores_reasons_evidence_and_weather(reading, read_city):
    segment = get(reading, f"/v1/segments/{read_city.by_rank[0]}")
    assert segment["geometry"]["type"] == "LineString"
    state = {q["quantity"]: q for q in segment["state"]}
    assert state["surface_temp_c"]["unit"] == "°C"
    assert state["surface_temp_c"]["age_s"] == 540
    assert state["ground_temp_c"]["value"] is None
    score = segment["scores"][0]
    assert score["reasons_available"] is True
    assert score["reasons"][0]["factor"] == 2.51
    kinds = [e["kind"] for e in segment["evidence"]]
    assert {"passes", "inspection", "report"} <= set(kinds)
    assert [e["at"] for e in segment["evidence"]] == sorted((e["at"] for e in segment["evidence"]), reverse=True)
    assert {h["horizon_days"] for h in segment["history"]} == {7, 28, 90}
    assert len({h["day"] for h in segment["history"]}) == 2
    assert segment["weather"]["rain_24h_mm"] == pytest.approx(2.4)
    assert segment["neighbours"]


def test_a_score_without_stored_reasons_says_so(reading, read_city):
    score = get(reading, f"/v1/segments/{read_city.by_rank[9]}")["scores"][0]
    assert score["reasons"] is None
    assert score["reasons_available"] is False


def test_worklist_orders_potholes_by_urgency_and_shows_what_was_repaired_today_last(reading, read_city):
    worklist = get(reading, "/v1/worklist")
    names = {str(value): name for name, value in read_city.potholes.items()}
    assert [names[p["pothole_id"]] for p in worklist["potholes"]] == [
        "severe overdue",
        "warranty severe",
        "low overdue",
        "medium",
        "severe secured",
        "low",
        "closed today",
    ]
    assert [p["status"] for p in worklist["potholes"]][-3:] == ["secured", "open", "repaired"]
    assert worklist["overdue_count"] == 2
    assert worklist["open_pothole_count"] == 6
    assert worklist["repaired_today_count"] == 1


def test_a_suspected_pothole_and_one_no_longer_found_are_told_as_such_and_are_no_work(reading, read_city):
    segment = get(reading, f"/v1/segments/{read_city.streets['Rüttenscheider Straße'][0]}")
    names = {str(value): name for name, value in read_city.potholes.items()}
    told = {e["id"]: e["details"]["status"] for e in segment["evidence"] if e["kind"] == "pothole"}

    assert [(names[p["pothole_id"]], p["status"]) for p in segment["potholes"]] == [
        ("suspected", "suspected"),
        ("medium", "open"),
        ("not found today", "not_found"),
    ]
    assert {names[id_]: status for id_, status in told.items()} == {
        "suspected": "suspected",
        "medium": "open",
        "not found today": "not_found",
    }
    listed = {s["segment_id"]: s["open_potholes"] for s in get(reading, "/v1/segments", limit=30)["segments"]}
    assert listed[segment["segment_id"]] == 1


def test_worklist_leaves_out_others_roads_warranty_and_planned_works_and_counts_them(reading, read_city):
    worklist = get(reading, "/v1/worklist", horizon_days=7)
    inspected = [s["segment_id"] for s in worklist["inspections"]]
    left = set(read_city.streets["Frankenstraße"] + read_city.streets[WARRANTY_STREET] + [read_city.by_rank[2]])
    assert inspected == [s for s in read_city.by_rank if s not in left]
    assert set(worklist["left_out"]) == {"other_owner", "warranty", "planned_work"}
    assert worklist["inspections"][0]["main_reason_de"].startswith("9 Frost")


def test_worklist_shows_what_is_left_out_when_asked_and_marks_it(reading, read_city):
    worklist = get(reading, "/v1/worklist", include="other_owner,warranty,planned_work")
    assert [s["segment_id"] for s in worklist["inspections"]] == read_city.by_rank
    assert worklist["inspections"][2]["hindrances"][-1] == "planned_work"
    assert worklist["left_out"] == {}


def test_worklist_keeps_to_capacity_and_district(reading, read_city):
    worklist = get(reading, "/v1/worklist", capacity=2, district="Rüttenscheid")
    assert len(worklist["inspections"]) == 2
    assert len([p for p in worklist["potholes"] if p["status"] != "repaired"]) == 2
    assert {s["district"] for s in worklist["inspections"]} == {"Rüttenscheid"}
    assert worklist["open_pothole_count"] == 5


@pytest.mark.parametrize(("path", "headers"), [("/v1/worklist.csv", {}), ("/v1/worklist", {"Accept": "text/csv"})])
def test_worklist_is_a_csv_table_for_spreadsheets(reading, read_city, path, headers):
    answer = reading.get(path, headers=headers)
    assert answer.headers["content-type"].startswith("text/csv")
    assert "attachment" in answer.headers["content-disposition"]
    rows = list(csv.DictReader(io.StringIO(answer.content.decode("utf-8-sig"))))
    assert rows[0]["list"] == "pothole"
    assert rows[0]["pothole_id"] == str(read_city.potholes["severe overdue"])
    assert rows[-1]["list"] == "inspection"
    assert float(rows[-1]["lon"]) > 6


def test_ingest_status_gives_rates_accounts_and_age_of_the_newest_message(reading):
    status = get(reading, "/v1/ingest/status")
    assert (status["received"], status["stored"], status["duplicate"], status["rejected"]) == (360, 300, 30, 30)
    assert status["messages_per_min_1"] == 72
    assert status["newest_message_age_s"] == 5
    assert status["devices_unconfirmed"] == 1
    assert status["rejected_kinds"] == 3
    assert len(status["batches"]) == 20


def test_rejected_messages_are_paged_newest_first_and_keep_odd_bytes_readable_for_operators(reading, operator):
    first = get(reading, "/v1/rejected", limit=2)
    assert first["rejected"][0]["code"] == "unknown-topic"
    assert (first["rejected"][0]["topic"], first["rejected"][0]["payload_head"]) == (None, None)
    shown = reading.get("/v1/rejected", params={"limit": 2}, headers=operator).json()
    assert shown["rejected"][0]["payload_head"] == "\\xff{broken0"
    assert shown["rejected"][0]["topic"]
    second = get(reading, "/v1/rejected", limit=2, page=first["next_page"])
    assert len(second["rejected"]) == 1
    assert second["next_page"] is None
    assert len(get(reading, "/v1/rejected", code="broken-json")["rejected"]) == 2


def test_devices_tell_silence_radio_and_newest_values_with_flags(reading):
    devices = get(reading, "/v1/devices")["devices"]
    assert [d["status"] for d in devices] == ["confirmed", "confirmed", "unconfirmed"]
    assert devices[0]["silent_s"] == 40
    assert devices[0]["messages_24h"] == 30
    assert devices[0]["values"][0]["value"] == 105
    assert devices[0]["values"][0]["flags"] == ["range"]
    assert len(get(reading, "/v1/devices", status="unconfirmed")["devices"]) == 1


def test_model_answers_with_its_card(reading):
    assert get(reading, "/v1/model")["card"]["skill"]["28"]["brier_skill"] == 0.11


def test_health_readiness_and_metrics_answer(reading):
    assert get(reading, "/healthz")["status"] == "ok"
    assert get(reading, "/readyz")["segments"] == 24
    assert 'roadtwin_http_requests_total{route="/healthz"' in reading.get("/metrics").text


def test_the_page_may_load_from_its_own_origin_only(reading):
    answer = reading.get("/")
    assert answer.headers["content-type"].startswith("text/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_a_database_without_a_city_gives_empty_lists_and_says_what_is_missing(start_service):
    client = start_service()
    assert client.get("/v1/city").status_code == 404
    assert client.get("/v1/segments").json()["segments"] == []
    assert client.get("/v1/segments.geojson").json()["features"] == []
    assert client.get("/v1/worklist").json()["potholes"] == []
    assert client.get("/v1/ingest/status").json()["newest_message_at"] is None
    assert client.get("/readyz").json()["score_as_of"] is None
