"""What a score came from, how the model does, its card as a page, and scoring on demand."""

from datetime import timedelta

import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families
from psycopg.types.json import Jsonb

from models.features import FEATURE_SET
from models.registry import load_model
from roadtwin.storage.score_requests import answer_score_requests, read_newest_open_request
from tests.service_model import add_model, make_artefact

HOLDOUT_SKILL = {
    "rows": 100, "positives": 10, "prevalence": 0.1, "roc_auc": 0.81234, "pr_auc": 0.3, "brier": 0.08,
    "brier_skill": 0.2, "predicted_over_observed": 1.04, "calibration_slope": 0.97, "bin_error": 0.1,
    "at_capacity": {"share": 0.1, "precision": 0.4, "recall": 0.4, "lift": 4.0},
    "at_10_pct": {"share": 0.1, "precision": 0.4, "recall": 0.4, "lift": 4.2},
}  # fmt: skip
CARD = {
    "card_version": 2, "data": "simulated", "notice_de": "Mit simulierten Daten trainiert.",
    "notice_en": "Trained on simulated data.", "simulated_de": "Simuliert ist alles.",
    "simulated_en": "Everything is simulated.", "intended_use_de": "Ordnet Abschnitte.",
    "intended_use_en": "Ranks segments <by> risk & age.", "not_for_de": "Nicht für anderes.",
    "not_for_en": "Not for others.",
    "data_window": {"from": "2022-10-01T00:00:00", "until": "2026-02-10T00:00:00", "winters": 3},
    "rows": 123456, "segments": 24, "potholes": 12, "positives": {"7": 10, "28": 40, "90": 80},
    "feature_set": {"version": 2, "features": [{"name": "a", "group": "wear", "unit": "1", "monotone": 0}]},
    "estimator": {"kind": "additive boosting"},
    "holdout": {
        "first_test_cut": "2025-06-01", "last_test_cut": "2026-01-01", "notice_de": "Ein Winter.",
        "notice_en": "One winter.",
        "horizons": [
            {
                "horizon_days": 28, "model": HOLDOUT_SKILL, "baselines": {"climatology": HOLDOUT_SKILL},
                "by_season": {"winter": {"rows": 9, "observed": 1400, "predicted": 1512.5, "ratio": 1.08}},
            }
        ],
    },
    "limits": ["It cannot know | everything."], "limits_de": ["Es kann nicht alles wissen."],
}  # fmt: skip


@pytest.fixture(scope="module")
def artefact():
    return make_artefact()


def not_monitored(db):
    db.execute("DELETE FROM model_monitoring")
    db.commit()


def monitoring(db, city, alarms=()):
    figures = {
        "window_from": (city.now - timedelta(days=180)).isoformat(), "model_runs": [1], "features_not_compared": None,
        "horizons": [
            {
                "horizon_days": h, "score_sets": 9, "segments_known": 90, "predicted": 60.0, "observed": 40,
                "independent_observed": 40.0, "predicted_over_observed": 1.5, "brier": 0.1, "brier_skill": 0.05,
                "judged": h > 7,
            }
            for h in (7, 28, 90)
        ],
        "features": [
            {
                "name": "width_m", "shared": False, "psi": 0.4, "psi_by_chance": 0.1, "psi_usual": 0.05,
                "outside_pct": 0.0, "unknown_pct": 0.0, "unknown_reference_pct": 0.0,
            }
        ],
        "unknown_features": ["rain_3d_mm"], "limits": {"calibration": 1.25, "psi": 0.25},
    }  # fmt: skip
    run = db.execute("SELECT model_run_id FROM model_run WHERE active").fetchone()[0]
    db.execute(
        "INSERT INTO model_monitoring VALUES (%s, %s, %s, %s, %s)",
        [city.now - timedelta(hours=3), run, city.as_of, Jsonb(list(alarms)), Jsonb(figures)],
    )
    db.commit()


ALARM = {
    "name": "calibration", "subject": "28 d", "value": 1.5, "limit": 1.25,
    "text_de": "28 Tage: 60 vorhergesagt, 40 beobachtet.", "text_en": "28 days: 60 predicted, 40 observed.",
}  # fmt: skip


def test_a_score_can_be_made_again_from_what_its_trace_names(client, city, db, artefact):
    run_id = add_model(db, city, artefact)
    public_id = city.by_rank[3]
    db.execute("UPDATE score_run SET code_version = '0.1.0+gabc' WHERE as_of = %s", [city.as_of])
    db.commit()
    trace = client.get(f"/v1/segments/{public_id}/scores/{city.as_of.isoformat().replace('+00:00', 'Z')}").json()

    assert trace["model"]["model_run_id"] == run_id
    assert trace["model"]["artefact_sha256"] == artefact.sha256.hex()
    assert trace["model"]["library_versions"]["scikit-learn"]
    assert trace["code_version"] == "0.1.0+gabc"
    assert [f["name"] for f in trace["features"]] == list(FEATURE_SET.names)
    assert [s["horizon_days"] for s in trace["scores"]] == [7, 28, 90]
    values = np.array([[np.nan if f["value"] is None else f["value"] for f in trace["features"]]], np.float32)
    again = load_model(artefact).predict_proba(values)[0]
    assert (np.diff(again) >= 0).all()
    assert np.isfinite(again).all()


def test_a_score_that_was_never_made_is_not_found_by_name(client, city):
    public_id = city.by_rank[3]
    never = client.get(f"/v1/segments/{public_id}/scores/2020-01-01T00:00:00Z")
    unscored = next(i for i in city.segment_ids if i not in city.by_rank)
    of_another = client.get(f"/v1/segments/{unscored}/scores/{city.as_of.strftime('%Y-%m-%dT%H:%M:%SZ')}")
    naive = client.get(f"/v1/segments/{public_id}/scores/2020-01-01T00:00:00")

    assert never.json()["type"] == "urn:roadtwin:problem:score-not-found"
    assert of_another.status_code == 404
    assert naive.status_code == 422


def test_without_a_feature_row_the_trace_says_so(client, city):
    public_id = city.by_rank[0]
    trace = client.get(f"/v1/segments/{public_id}/scores/{city.as_of.strftime('%Y-%m-%dT%H:%M:%SZ')}").json()

    assert trace["features"] is None
    assert trace["model"]["code_version"] is None


def test_monitoring_is_told_with_its_alarms_and_counted_at_the_city(client, city, db):
    not_monitored(db)
    assert client.get("/v1/model/monitoring").json()["type"] == "urn:roadtwin:problem:not-monitored"
    assert client.get("/v1/city").json()["model_alarm_count"] is None
    monitoring(db, city, [ALARM])
    answer = client.get("/v1/model/monitoring").json()

    assert answer["alarms"] == [ALARM]
    assert answer["age_s"] == 3 * 3600
    assert answer["horizons"][0]["judged"] is False
    assert answer["days"][0]["alarm_count"] == 1
    assert client.get("/v1/city").json()["model_alarm_count"] == 1


def test_comparisons_come_newest_first_with_verdicts_in_both_languages(client, city, db):
    run = db.execute("SELECT model_run_id FROM model_run WHERE active").fetchone()[0]
    for number in range(3):
        db.execute(
            """INSERT INTO model_comparison (compared_at, cause, champion_run_id, challenger_run_id, promoted,
               verdict_de, verdict_en, figures) VALUES (%s, 'schedule', %s, %s, FALSE, 'Behalten.', 'Kept.', '{}')""",
            [city.now - timedelta(days=3 - number), run, run],
        )
    db.commit()
    found = client.get("/v1/model/comparisons", params={"limit": 2}).json()["comparisons"]

    assert [c["model_comparison_id"] for c in found] == sorted((c["model_comparison_id"] for c in found), reverse=True)
    assert len(found) == 2
    assert (found[0]["verdict_de"], found[0]["verdict_en"]) == ("Behalten.", "Kept.")


def test_metrics_tell_how_the_model_does_and_nan_what_is_not_known(client, city, db):
    not_monitored(db)
    before = gauges(client)
    monitoring(db, city, [ALARM])
    after = gauges(client)

    assert np.isnan(before["roadtwin_model_alarms", "calibration"])
    assert after["roadtwin_model_alarms", "calibration"] == 1
    assert after["roadtwin_model_alarms", "skill"] == 0
    assert after["roadtwin_model_predicted_over_observed", "28"] == 1.5
    assert after["roadtwin_model_feature_drift", ""] == 0.4
    assert after["roadtwin_model_unknown_features", ""] == 1
    assert after["roadtwin_scores_age_seconds", ""] == 1800
    assert after["roadtwin_model_age_seconds", ""] == 7200


def gauges(client):
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = [sample for family in families for sample in family.samples]
    return {(s.name, next(iter(s.labels.values()), "")): s.value for s in samples}


def test_the_model_card_is_a_page_in_two_languages_and_markdown(client, city, db):
    db.execute("UPDATE model_run SET card = %s WHERE active", [Jsonb(CARD)])
    db.commit()
    monitoring(db, city, [ALARM])
    english = client.get("/model", headers={"Accept": "text/html", "Accept-Language": "en-GB,en;q=0.9"})
    german = client.get("/model?lang=de", headers={"Accept": "text/markdown"})

    assert english.headers["content-type"] == "text/html; charset=utf-8"
    assert english.headers["content-language"] == "en"
    for text in (
        "<h1>Model card</h1>", "Ranks segments &lt;by&gt; risk &amp; age.", "Trained on simulated data.",
        "123,456 rows", "with 3 winters", "<td>0.812</td>", "One winter.",
        "28 days: 60 predicted, 40 observed.", "1,400",
    ):  # fmt: skip
        assert text in english.text
    assert german.headers["content-type"] == "text/markdown; charset=utf-8"
    for text in (
        "# Modellkarte", "Ordnet Abschnitte.", "123.456 Zeilen",
        "| **28 Tage** | **Modell** | **0,812** | **0,300** | **0,200** | **1,04** | **4,2** |",
        "Merkmale: Straße und Abnutzung 1",
        "zu wenige zum Urteilen", "- 28 Tage: 60 vorhergesagt, 40 beobachtet.", "- Es kann nicht alles wissen.",
    ):  # fmt: skip
        assert text in german.text


def test_a_cold_start_is_said_once_at_the_head_of_the_card_and_at_the_city(client, city, db):
    learned = {"cold_start": True, "notice_de": "Kaltstart: nichts von hier.", "notice_en": "Cold start: nothing here."}
    assert client.get("/v1/city").json()["score_run"]["cold_start"] is False
    db.execute("UPDATE model_run SET card = %s WHERE active", [Jsonb(CARD | {"holdout": None, "learned": learned})])
    db.commit()
    page = client.get("/model?lang=de", headers={"Accept": "text/markdown"}).text

    assert client.get("/v1/city").json()["score_run"]["cold_start"] is True
    assert page.count("Kaltstart: nichts von hier.") == 1
    assert page.index("Kaltstart") < page.index("## ")


def test_the_page_of_a_card_that_holds_little_shows_what_there_is(client, db):
    not_monitored(db)
    page = client.get("/model", headers={"Accept": "text/markdown", "Accept-Language": "en"})

    assert "Not monitored yet." in page.text
    assert "Cold start" not in page.text
    assert "## Skill" not in page.text


def test_scores_are_asked_for_by_an_operator_and_answered_by_whoever_scores(client, city, db, editor, operator):
    refused = client.post("/v1/scores", headers=editor)
    asked = client.post("/v1/scores", headers=operator)
    waiting = client.get(asked.headers["Location"]).json()
    answer_score_requests(db, read_newest_open_request(db), as_of=city.now)
    db.commit()
    done = client.get(asked.headers["Location"]).json()

    assert (refused.status_code, asked.status_code) == (403, 202)
    assert waiting["score_as_of"] is None
    assert done["score_as_of"] == city.now.isoformat().replace("+00:00", "Z")
    assert read_newest_open_request(db) is None
    audit = db.execute("SELECT actor, subject FROM audit_log WHERE action = 'scores_requested'").fetchall()
    assert audit == [("operator-name", f"score_request/{done['score_request_id']}")]
    assert client.get("/v1/scores/requests/999999").json()["type"] == "urn:roadtwin:problem:score-request-not-found"


@pytest.mark.parametrize(("count", "told"), [(1, "with 1 winter;"), (3, "with 3 winters;")])
def test_the_card_counts_winters_in_words_that_agree(client, city, db, count, told):
    card = CARD | {"data_window": CARD["data_window"] | {"winters": count}}
    db.execute("UPDATE model_run SET card = %s WHERE active", [Jsonb(card)])
    db.commit()

    assert told in client.get("/model?lang=en", headers={"Accept": "text/markdown"}).text
    assert f"darin {count} Winter;" in client.get("/model?lang=de", headers={"Accept": "text/markdown"}).text
