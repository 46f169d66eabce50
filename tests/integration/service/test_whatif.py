"""What-if over HTTP and on the command line: the stored rows, the stored model, real SQL."""

import json
import subprocess
import sys

import pytest
from typer.testing import CliRunner

from roadtwin.cli import whatif as command
from roadtwin.errors import RequestInvalidError, SettingsError
from roadtwin.storage.database import connect
from service.schemas_whatif import MOST_SEGMENTS
from tests.service_model import add_model, make_artefact


@pytest.fixture(scope="module")
def model_city(module_database_url, read_city):
    with connect(module_database_url) as db:
        add_model(db, read_city, make_artefact())
    return read_city


def ask(client, expected_status=200, **question):
    answer = client.post("/v1/whatif", json=question)
    assert answer.status_code == expected_status, answer.text
    return answer.json()


def codes(answer):
    return [a["code"] for a in answer["assumptions"]]


def test_a_treated_segment_is_told_before_and_after_for_every_horizon(reading, model_city):
    segment_id = model_city.by_rank[3]
    answer = ask(reading, segment_ids=[segment_id], treatment="resurfacing")
    (segment,) = answer["segments"]
    assert segment["segment_id"] == segment_id
    assert [h["horizon_days"] for h in segment["horizons"]] == [7, 28, 90]
    for horizon in segment["horizons"]:
        assert horizon["now"] == horizon["untreated"]
        assert horizon["treated"]["probability"] < horizon["now"]["probability"]
    age = next(c for c in segment["changed"] if c["feature"] == "wearing_course_age_years")
    assert age["then"] == 0
    assert age["label_de"] == "Alter der Deckschicht"
    total = answer["totals"][1]
    assert total["avoided"] == pytest.approx(total["untreated"] - total["treated"])
    assert total["avoided"] > 0
    assert codes(answer)[0] == "no_proof"


def test_weather_changes_all_its_features_together_and_treatment_comes_on_top(reading, model_city):
    answer = ask(reading, worst=5, treatment="drainage_repair", weather="frost_thaw", weather_days=7)
    assert [s["segment_id"] for s in answer["segments"]] == model_city.by_rank[:5]
    assert answer["matching_count"] == len(model_city.by_rank)
    changed = {c["feature"]: c["then"] for c in answer["segments"][0]["changed"]}
    assert changed["freeze_thaw_7d"] == 5
    assert {"rain_7d_mm", "frost_index_30d_cd", "thaw_index_cd", "drainage"} <= set(changed)
    total = answer["totals"][0]
    assert total["treated"] < total["untreated"]
    assert "counts_from_the_end" in codes(answer)


def test_a_selection_by_district_and_box_is_bounded(reading, model_city):
    answer = ask(reading, district="Bredeney", weather="mild", weather_days=28)
    assert {s["district"] for s in answer["segments"]} == {"Bredeney"}
    lon, lat = model_city.middles[model_city.by_rank[0]]
    boxed = ask(reading, bbox=f"{lon},{lat},{lon},{lat}")
    assert model_city.by_rank[0] in [s["segment_id"] for s in boxed["segments"]]


def test_a_segment_without_score_is_named(reading, model_city):
    unscored = next(s for s in model_city.segment_ids if s not in model_city.by_rank)
    answer = ask(reading, segment_ids=[model_city.by_rank[0], unscored])
    assert answer["not_scored"] == [unscored]
    assert len(answer["segments"]) == 1
    assert "No segment with a score" in ask(reading, 422, segment_ids=[unscored])["detail"]


@pytest.mark.parametrize(
    ("question", "words"),
    [
        ({}, "neither segment_ids nor a selection"),
        ({"segment_ids": ["nowhere:1:0-100"]}, "no road segment with the id 'nowhere:1:0-100'"),
        ({"segment_ids": ["a"], "worst": 3}, "both segment_ids and a selection"),
        ({"district": "Bredney"}, "district: got 'Bredney', expected one of Bredeney, Rüttenscheid."),
        ({"worst": 0}, "worst"),
        ({"segment_ids": ["a"] * (MOST_SEGMENTS + 1)}, "segment_ids"),
        ({"worst": 3, "treatment": "prayer"}, "treatment"),
        ({"worst": 3, "weather_days": 8}, "weather_days"),
        ({"worst": 3, "horizon_days": 8}, "horizon_days: got 8"),
        ({"bbox": "1,2,3"}, "bbox"),
        ({"worst": 3, "colour": "red"}, "colour"),
    ],
)
def test_a_question_that_cannot_be_answered_is_told_why(reading, model_city, question, words):
    assert words in ask(reading, 422, **question)["detail"]


def test_the_command_answers_as_the_service_does(reading, model_city, module_database_url):
    segment_id = model_city.by_rank[0]
    arguments = ["--segment", segment_id, "--treatment", "infill", "--database-url", module_database_url]
    program = [sys.executable, "-m", "roadtwin.cli.main", "whatif"]
    told = subprocess.run([*program, *arguments, "--json"], check=True, capture_output=True, text=True)
    assert json.loads(told.stdout) == ask(reading, segment_ids=[segment_id], treatment="infill")
    table = CliRunner().invoke(command.app, [*arguments, "--weather", "hard_frost", "--days", "28"])
    assert table.exit_code == 0, table.output
    assert segment_id in table.stdout
    assert "hard_frost (28 d)" in table.stdout
    assert "no proof" in table.stdout
    refused = CliRunner().invoke(command.app, ["--district", "Bredney", "--database-url", module_database_url])
    assert isinstance(refused.exception, RequestInvalidError)
    assert "expected one of Bredeney, Rüttenscheid." in str(refused.exception)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [([], "Nothing is selected: give --segment"), (["--worst", "3", "--days", "8"], "--days: got 8, expected 7 or 28")],
)
def test_the_command_refuses_by_name(arguments, words):
    refused = CliRunner().invoke(command.app, arguments)
    assert isinstance(refused.exception, SettingsError)
    assert words in str(refused.exception)


def test_before_the_first_scores_and_with_a_foreign_model_the_answer_says_so(client, city, db):
    foreign = client.post("/v1/whatif", json={"worst": 3})
    assert foreign.status_code == 422  # the city of the tests has scores without feature rows
    add_model(db, city, make_artefact())
    db.execute('UPDATE model_run SET library_versions = \'{"scikit-learn": "0.1"}\' WHERE active')
    db.commit()
    refused = client.post("/v1/whatif", json={"worst": 3})
    assert (refused.status_code, refused.json()["type"]) == (503, "urn:roadtwin:problem:model-version")
    db.execute("DELETE FROM score_run")
    db.commit()
    assert client.post("/v1/whatif", json={"worst": 3}).status_code == 404
