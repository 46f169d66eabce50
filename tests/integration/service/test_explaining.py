"""Reasons that were not stored are made from the feature row by the stored model."""

import psycopg
import pytest
from psycopg.types.json import Jsonb

from models.features import FEATURE_SET
from tests.service_model import make_artefact, make_rows


@pytest.fixture(scope="module")
def artefact():
    return make_artefact(), make_rows(1)[0]


def store(db: psycopg.Connection, city, artefact, values, public_id: str) -> None:
    db.execute("UPDATE model_run SET active = FALSE")
    row = db.execute(
        """INSERT INTO model_run (trained_at, data_until, feature_set_version, rule_version, library_versions, recipe,
           card, artefact, artefact_sha256, active) VALUES (%s, %s, %s, %s, %s, '{}', '{}', %s, %s, TRUE)
           RETURNING model_run_id""",
        [
            city.now, city.now, artefact.feature_set_version, artefact.rule_version,
            Jsonb(dict(artefact.library_versions)), artefact.content, artefact.sha256,
        ],
    ).fetchone()  # fmt: skip
    db.execute("UPDATE risk_score SET model_run_id = %s", [row[0]])
    db.execute(
        "INSERT INTO feature_row VALUES (%s, %s, %s, %s)",
        [city.segment_ids[public_id], city.as_of, FEATURE_SET.version, [float(v) for v in values]],
    )
    db.commit()


def test_reasons_are_made_for_every_horizon_in_both_languages(client, city, db, artefact):
    public_id = city.by_rank[9]
    store(db, city, *artefact, public_id)
    for score in client.get(f"/v1/segments/{public_id}").json()["scores"]:
        assert score["reasons_available"] is True
        sizes = [abs(reason["contribution_log_odds"]) for reason in score["reasons"]]
        assert sizes == sorted(sizes, reverse=True)
        assert score["reasons"][0]["text_de"] != score["reasons"][0]["text_en"]


def test_a_model_of_other_libraries_gives_no_reasons_and_the_page_still_answers(client, city, db, artefact):
    public_id = city.by_rank[9]
    store(db, city, *artefact, public_id)
    db.execute('UPDATE model_run SET library_versions = \'{"scikit-learn": "0.1"}\' WHERE active')
    db.commit()
    scores = client.get(f"/v1/segments/{public_id}").json()["scores"]
    assert [(s["reasons"], s["reasons_available"]) for s in scores] == [(None, False)] * 3
