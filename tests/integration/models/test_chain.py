"""From tables to potholes, model, scores and report."""

import json
import threading
import time
from datetime import UTC, datetime, timedelta

import numpy as np
import psycopg
import psycopg.sql
import pytest
from typer.testing import CliRunner

from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from roadtwin.cli.evaluate import app as evaluate_app
from roadtwin.cli.score import app as score_app
from roadtwin.cli.train import app as train_app
from roadtwin.errors import ModelNotTrainedError, ModelVersionError, NotEnoughHistoryError, RoadtwinError
from roadtwin.jobs.evaluate import evaluate
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.inputs import load_city, load_evidence, to_instant
from roadtwin.jobs.score import REASONS_STORED, score_all
from roadtwin.jobs.train import load_history, train
from roadtwin.jobs.watch import watch
from roadtwin.storage.model_runs import read_active_model_run
from roadtwin.storage.score_requests import read_newest_open_request
from roadtwin.storage.scores import read_newest_score_run

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)


def test_potholes_are_derived_once_and_the_second_run_writes_nothing(conn):
    first = derive_potholes(conn, now=NOW)
    second = derive_potholes(conn, now=NOW)
    confirmed, closed, evidence = conn.execute(
        "SELECT count(confirmed_at), count(closed_at), sum(evidence_count) FROM pothole"
    ).fetchone()

    assert first.closed > 100
    assert (confirmed, closed) == (first.open + first.closed, first.closed)
    assert evidence <= first.evidence
    assert (second.written, second.removed) == (0, 0)
    assert second.evidence == first.evidence


def test_candidates_that_lapse_are_removed_and_ids_stay(conn):
    early = NOW - timedelta(days=60)
    before = derive_potholes(conn, now=early)
    ids = {row[0] for row in conn.execute("SELECT pothole_id FROM pothole WHERE confirmed_at IS NOT NULL").fetchall()}
    after = derive_potholes(conn, now=NOW)
    kept = {row[0] for row in conn.execute("SELECT pothole_id FROM pothole").fetchall()}

    assert before.candidates > 0
    assert after.removed > 0
    assert ids <= kept


def test_evidence_of_a_pothole_names_its_records(conn):
    derive_potholes(conn, now=NOW)
    count, evidence = conn.execute(
        "SELECT evidence_count, evidence FROM pothole ORDER BY evidence_count DESC LIMIT 1"
    ).fetchone()

    assert len(evidence) == count
    assert set(evidence[0]) == {"kind", "id", "part", "at"}
    assert {entry["kind"] for entry in evidence} <= {"detection", "finding", "report", "repair"}


def test_who_found_a_hole_is_filled_in_where_it_was_derived_before_that_was_kept(conn):
    derive_potholes(conn, now=NOW)
    read = """SELECT
                  evidence @@ '$[*].kind == "finding" || $[*].kind == "repair"', seen_by_person_at IS NOT NULL, count(*)
              FROM pothole WHERE cardinality(opened_at) = 1 GROUP BY 1, 2"""
    derived = sorted(conn.execute(read).fetchall())
    conn.execute("UPDATE pothole SET seen_by_person_at = NULL")
    conn.execute("DELETE FROM pothole_derivation")  # as the migration does
    again = derive_potholes(conn, now=NOW)

    by_whom = {(by_person, known) for by_person, known, _ in derived}
    assert {(True, True), (False, False)} <= by_whom
    assert (False, True) not in by_whom
    assert again.written >= sum(count for _, known, count in derived if known)
    assert sorted(conn.execute(read).fetchall()) == derived


def test_the_active_model_has_a_card_with_honest_skill(simulated):
    card = simulated.model_run.card

    assert card["data"] == "simulated"
    assert card["holdout"]["kind"] == "spatio-temporal"
    assert (card["holdout"]["folds"], card["holdout"]["folds_tested"]) == (3, 1)
    assert [beside["kind"] for beside in card["holdouts_beside"]] == ["temporal"]
    assert card["holdouts_missing"] == []
    week = card["holdout"]["horizons"][0]
    assert week["model"]["roc_auc"] > 0.7
    assert week["model"]["roc_auc"] > week["baselines"]["climatology"]["roc_auc"]
    assert card["data_window"]["until"].startswith("2026-06-01")


def test_training_again_replaces_the_active_model(simulated, conn):
    run = train(conn, simulated.settings, now=NOW)

    assert run.model_run_id > simulated.model_run.model_run_id
    assert conn.execute("SELECT count(*) FROM model_run WHERE active").fetchone() == (1,)
    assert run.recipe["seed"] == 0


def test_every_segment_gets_three_scores_with_ranks_and_reasons(simulated, conn):
    run = score_all(conn, simulated.settings, now=NOW)
    rows = conn.execute(
        """
        SELECT segment_id, horizon_days, probability, expected_count, rank, reasons, model_run_id
        FROM risk_score WHERE as_of = %s ORDER BY horizon_days, rank
        """,
        [NOW],
    ).fetchall()
    segments = conn.execute("SELECT count(*) FROM segment WHERE valid_to IS NULL").fetchone()[0]

    assert run.segment_count == segments
    assert len(rows) == 3 * segments
    by_horizon = {h: [r for r in rows if r[1] == h] for h in (7, 28, 90)}
    for of_horizon in by_horizon.values():
        assert [r[4] for r in of_horizon] == list(range(1, segments + 1))
        p = [r[2] for r in of_horizon]
        assert p == sorted(p, reverse=True)
    p = {(r[0], r[1]): r[2] for r in rows}
    assert all(p[s, 7] <= p[s, 28] <= p[s, 90] for s, _ in p)
    _, _, probability, expected, _, reasons, model_run_id = rows[0]
    assert expected >= -np.log1p(-probability) * (1 - 1e-4)  # holes cluster
    assert model_run_id == read_active_model_run(conn).model_run_id
    assert len(reasons) == REASONS_STORED
    assert set(reasons[0]) == {"feature", "value", "contribution_log_odds", "factor", "text_de", "text_en"}
    assert reasons[0]["factor"] == pytest.approx(np.exp(reasons[0]["contribution_log_odds"]))


def test_the_feature_row_is_what_the_model_saw(simulated, conn):
    score_all(conn, simulated.settings, now=NOW)
    inputs = load_city(conn, simulated.settings, now=NOW)
    stored = conn.execute(
        "SELECT segment_id, feature_values FROM feature_row WHERE as_of = %s ORDER BY segment_id", [NOW]
    ).fetchall()

    assert [row[0] for row in stored] == inputs.segments.segment_id.tolist()
    np.testing.assert_array_equal(
        np.array([row[1] for row in stored], np.float32), FeatureBuilder(inputs).at(to_instant(NOW))
    )
    assert len(stored[0][1]) == len(FEATURE_SET.names)


def test_scoring_again_as_of_the_same_time_replaces_the_set(simulated, conn):
    score_all(conn, simulated.settings, now=NOW)
    score_all(conn, simulated.settings, now=NOW)

    assert conn.execute("SELECT count(*) FROM score_run WHERE as_of = %s", [NOW]).fetchone() == (1,)
    assert read_newest_score_run(conn).as_of == NOW


def test_rows_recorded_later_do_not_change_features_even_with_an_old_observed_at(simulated, conn):
    as_of = NOW - timedelta(days=100)
    before = FeatureBuilder(load_city(conn, simulated.settings, now=as_of)).at(to_instant(as_of))
    names_of = "SELECT column_name FROM information_schema.columns WHERE table_name = %s AND column_name <> %s"
    copy = psycopg.sql.SQL("INSERT INTO {t} ({c}, recorded_at) SELECT {c}, {at} FROM {t} WHERE recorded_at < {at}")
    for table in ("weather", "segment_day"):  # the same facts once more, known a minute after
        columns = [row[0] for row in conn.execute(names_of, [table, "recorded_at"]).fetchall()]
        names = psycopg.sql.SQL(", ").join(map(psycopg.sql.Identifier, columns))
        at = psycopg.sql.Literal(as_of + timedelta(minutes=1))
        conn.execute(copy.format(t=psycopg.sql.Identifier(table), c=names, at=at))
    after = FeatureBuilder(load_city(conn, simulated.settings, now=as_of)).at(to_instant(as_of))
    much_later = FeatureBuilder(load_city(conn, simulated.settings, now=NOW)).at(to_instant(as_of))

    np.testing.assert_array_equal(before, after)
    np.testing.assert_array_equal(before, much_later)


def test_a_record_without_a_position_stands_in_the_middle_of_its_segment(conn):
    evidence = load_evidence(conn, now=NOW)

    assert np.isfinite(evidence.accuracy_m).all()
    assert (evidence.pass_no[evidence.kind == 1] > 0).all()
    assert (evidence.pass_no[evidence.kind != 1] == -1).all()


def test_without_a_model_scoring_says_what_to_do(simulated, conn):
    conn.execute("UPDATE model_run SET active = FALSE")

    with pytest.raises(ModelNotTrainedError, match="roadtwin train"):
        score_all(conn, simulated.settings, now=NOW)


def test_a_model_of_another_library_version_is_refused_by_name(simulated, conn):
    conn.execute('UPDATE model_run SET library_versions = library_versions || \'{"scikit-learn": "0.1"}\'')

    with pytest.raises(ModelVersionError, match=r"scikit-learn 0\.1"):
        score_all(conn, simulated.settings, now=NOW)


def test_too_little_history_says_how_much_is_missing(simulated, db, conn):
    with pytest.raises(NotEnoughHistoryError, match=r"reach back \d+ days; training takes at least 540"):
        load_history(conn, simulated.settings, now=NOW - timedelta(days=500))
    with pytest.raises(NotEnoughHistoryError, match="There is no road network yet"):
        train(db, simulated.settings, now=NOW)


def test_evaluation_puts_splits_baselines_and_the_truth_side_by_side_and_writes_nothing(simulated, conn):
    before = conn.execute("SELECT count(*) FROM model_run").fetchone()

    found = evaluate(conn, simulated.settings, now=NOW, kinds=["temporal", "random"],
                     parts=["leaks", "truth"], draws=20, most_truth_cuts=4)  # fmt: skip
    report = found.report

    assert json.loads(json.dumps(report)) == report
    assert [split["kind"] for split in report["splits"]] == ["temporal", "random"]
    assert report["data"] == "simulated"
    assert report["winters"]["tested"] == report["splits"][0]["test_winters"] == 1
    assert report["leaks"]["passed"], report["leaks"]
    month = report["splits"][0]["horizons"][1]
    assert set(month["forecasts"]) == {"model", "climatology", "count_so_far", "visible_damage", "logistic_six"}
    value, low, high = month["intervals"]["model"]["roc_auc"]
    assert low < value < high
    assert conn.execute("SELECT count(*) FROM model_run").fetchone() == before
    _check_truth(report, found.map)


def test_a_split_that_cannot_be_made_says_why_in_its_place_and_the_next_one_speaks_for_the_model(simulated, conn):
    # with one part of the blocks, all of them are held out and nothing is left to learn from
    report = evaluate(conn, simulated.settings, now=NOW, kinds=["temporal", "spatio-temporal"], parts=[], folds=1,
                      draws=20).report  # fmt: skip

    assert [split["kind"] for split in report["splits"]] == ["temporal"]
    assert report["headline"] == "temporal"
    (missing,) = report["splits_missing"]
    assert missing["kind"] == "spatio-temporal"
    assert missing["reason_en"]
    assert missing["reason_de"]
    with pytest.raises(NotEnoughHistoryError, match=r"The spatio-temporal split cannot be made\..*roadtwin import"):
        evaluate(conn, simulated.settings, now=NOW, kinds=["spatio-temporal"], parts=[], folds=1, draws=20)


def _check_truth(report, city_map):
    """All segments at all cuts have true labels; nothing beats what knows most."""
    truth = report["truth"]
    true, recorded = (truth["labels"][labels][0]["forecasts"] for labels in ("true", "recorded"))
    assert true["model"]["rows"] == report["segments"] * len(truth["cuts"])
    assert 0 < recorded["model"]["rows"] <= true["model"]["rows"]
    assert true["oracle"]["roc_auc"] > true["informed"]["roc_auc"] - 0.01 > true["model"]["roc_auc"] - 0.02
    assert 0.8 < true["oracle"]["predicted_over_observed"] < 1.2
    assert truth["events"]["recall"] > 0.9
    assert {gate["labels"] for gate in truth["gates"]} == {"true", "recorded"}
    for found in truth["coverage"]:
        assert 0 < found["oracle"]["share"] <= 1
        assert 0 < found["mean_width"] < 1
    assert len(city_map.lines) == report["segments"]
    assert np.isfinite(city_map.predicted).mean() > 0.9


def test_commands_train_score_and_evaluate(simulated, tmp_path, monkeypatch):
    monkeypatch.setenv("ROADTWIN_DATABASE_URL", simulated.url)
    runner, out, page = CliRunner(), tmp_path / "report.json", tmp_path / "page.html"

    trained = runner.invoke(train_app, [])
    scored = runner.invoke(score_app, ["--json"])
    evaluated = runner.invoke(
        evaluate_app,
        ["--out", str(out), "--page", str(page), "--splits", "temporal", "--parts", "none", "--draws", "20"],
    )

    assert (trained.exit_code, scored.exit_code, evaluated.exit_code) == (0, 0, 0), evaluated.exception
    assert "Hold-out: spatio-temporal" in trained.stdout
    assert "Hold-out: temporal" in trained.stdout
    assert json.loads(scored.stdout)["segments"] > 100
    assert "count_so_far" in evaluated.stdout
    assert json.loads(out.read_text())["splits"][0]["kind"] == "temporal"
    assert "Wie gut ist das Modell?" in page.read_text("utf-8")


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--seed", "3"], "--seed is for --worlds"),
        (["--parts", "magic"], "--parts: got 'magic', expected some of ablation, leaks, truth"),
        (["--splits", "lunar"], "--splits: got 'lunar'"),
        (["--page", "/nowhere/page.html"], "--page: got '/nowhere/page.html', but there is no such folder"),
        (["--worlds", "1", "--until", "soon"], "--until: got 'soon', expected a date"),
        (["--worlds", "1", "--scenario", "ice-age"], "ice-age"),
    ],
)
def test_evaluate_says_what_is_wrong_before_anything_long_begins(words, sentence):
    result = CliRunner().invoke(evaluate_app, words)

    assert isinstance(result.exception, RoadtwinError)
    assert sentence in str(result.exception)
    assert result.stdout == ""


def test_watching_scores_when_somebody_asks_and_ends_when_told(simulated, conn):
    score_all(conn, simulated.settings, now=datetime.now(UTC))  # so that nothing is due by itself
    conn.execute("INSERT INTO score_request (requested_at, requested_by) VALUES (now(), 'somebody')")
    conn.commit()
    newest = read_newest_score_run(conn)
    stop = threading.Event()
    worker = threading.Thread(target=watch, args=(simulated.url, simulated.settings, stop))
    worker.start()
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and read_newest_open_request(conn) is not None:
        conn.rollback()
        time.sleep(0.2)
    stop.set()
    worker.join(30)
    answered = conn.execute("SELECT score_as_of FROM score_request").fetchall()

    assert answered == [(read_newest_score_run(conn).as_of,)]
    assert answered[0][0] > newest.as_of
    assert not worker.is_alive()


def test_watching_waits_for_a_database_that_is_away(simulated):
    stop = threading.Event()
    away = "postgresql://nobody@127.0.0.1:1/none"
    worker = threading.Thread(target=watch, args=(away, simulated.settings, stop))
    worker.start()
    time.sleep(0.5)
    alive = worker.is_alive()
    stop.set()
    worker.join(30)

    assert alive
    assert not worker.is_alive()
