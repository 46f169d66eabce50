"""A city without roads, without facts and without labels: every command and route works, or says what is missing."""

import json
import logging
from datetime import UTC, datetime

import pytest
from fastapi.testclient import TestClient
from typer.testing import CliRunner

from roadtwin.cli.evaluate import app as evaluate_app
from roadtwin.cli.importing import app as import_app
from roadtwin.cli.score import app as score_app
from roadtwin.cli.state import app as state_app
from roadtwin.cli.status import app as status_app
from roadtwin.cli.train import app as train_app
from roadtwin.errors import RoadtwinError
from roadtwin.settings import Settings
from service.app import create_app

NETWORK = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"osm_id": 17, "highway": "residential"},
            "geometry": {"type": "LineString", "coordinates": [[7.0, 51.45], [7.0, 51.4527]]},
        }
    ],
}
REPORTS = "observed_at,channel,lon,lat\n" + "".join(
    f"2026-0{month}-05T10:00:00+01:00,app,7.0,51.4512\n" for month in (1, 2, 3)
)
PARAMETERS = {"bbox": "6.9,51.4,7.1,51.5", "horizon": 28, "horizon_days": 28, "lon": 7.0, "lat": 51.45, "capacity": 10}


@pytest.fixture
def run(database_url, monkeypatch, tmp_path):
    monkeypatch.setenv("ROADTWIN_DATABASE_URL", database_url)
    monkeypatch.setenv("ROADTWIN_DATA_DIR", str(tmp_path))
    monkeypatch.setenv("COLUMNS", "200")

    def invoke(app, *arguments):
        """What a command says: its output, or the one sentence of its error."""
        handlers = logging.getLogger().handlers[:]
        result = CliRunner().invoke(app, [str(argument) for argument in arguments])
        logging.getLogger().handlers[:] = handlers  # the command's log went to a stream that is closed now
        if result.exception is None or isinstance(result.exception, SystemExit):
            assert result.exit_code == 0, result.output
            return result.stdout
        assert isinstance(result.exception, RoadtwinError), repr(result.exception)
        sentence = str(result.exception)
        assert sentence.endswith("."), sentence
        assert "\n" not in sentence
        return sentence

    return invoke


@pytest.fixture
def network(run, tmp_path):
    path = tmp_path / "essen.geojson"
    path.write_text(json.dumps(NETWORK), "utf-8")
    run(import_app, "network", path, "--city", "Essen")


@pytest.fixture
def facts(run, network, tmp_path):
    path = tmp_path / "report.csv"
    path.write_text(REPORTS, "utf-8")
    run(import_app, "report", path, "--reporting-lag", 1)


def answers(database_url):
    """Every GET route without a part of a path to fill: status and body."""
    clock = datetime(2026, 6, 1, 12, tzinfo=UTC)
    app = create_app(Settings(_secrets_dir=None), database_url, clock=lambda: clock)
    found = {}
    with TestClient(app) as client:
        for path, operations in client.get("/v1/openapi.json").json()["paths"].items():
            if "get" in operations and "{" not in path:
                needed = [p["name"] for p in operations["get"].get("parameters", ()) if p.get("required")]
                found[path] = client.get(path, params={name: PARAMETERS[name] for name in needed})
        found["/"] = client.get("/")
    return found


def assert_all_answer(found):
    assert len(found) > 10
    for path, answer in found.items():
        assert answer.status_code in (200, 404, 409, 503), (path, answer.status_code, answer.text[:300])
        if answer.status_code != 200:
            problem = answer.json()
            assert problem["detail"].endswith("."), (path, problem)
    assert found["/"].status_code == found["/healthz"].status_code == 200


def test_without_a_network_every_command_says_so_and_every_route_answers(run, database_url):
    for app, *arguments in ((train_app,), (evaluate_app, "--out", "report.json")):
        assert "There is no road network yet" in run(app, *arguments)
    assert "State of 0 segments" in run(state_app)
    assert "run `roadtwin train`" in run(score_app)
    found = answers(database_url)

    assert_all_answer(found)
    assert found["/v1/segments"].json()["segments"] == []


def test_a_network_without_facts_has_a_state_that_is_unknown_and_never_good(run, network, database_url, db):
    assert "State of 3 segments" in run(state_app)
    assert "0 with a grade" in run(state_app)
    for app, *arguments in ((train_app,), (score_app,), (evaluate_app, "--out", "report.json")):
        assert run(app, *arguments)
    found = answers(database_url)

    assert_all_answer(found)
    assert len(found["/v1/segments"].json()["segments"]) == 3
    assert found["/v1/city"].json()["districts"] == []  # the register names none
    assert db.execute("SELECT DISTINCT condition_grade, evidence_count FROM twin_state").fetchall() == [(None, 0)]


def test_facts_without_labels_are_shown_and_nothing_is_learned_from_them(run, facts, database_url):
    assert "Matched 0 readings (0 outside the network) and 3 records" in run(state_app)
    told = run(train_app)
    for app, *arguments in ((score_app,), (evaluate_app, "--out", "report.json")):
        assert run(app, *arguments)
    found = answers(database_url)

    assert "Cold start: nothing was learned from this city yet" in told
    assert "a cold start: not tested here yet" in run(status_app)
    assert found["/v1/city"].json()["score_run"]["cold_start"] is True
    assert "Cold start: nothing was learned" in found["/model"].text or "Kaltstart" in found["/model"].text
    assert_all_answer(found)
