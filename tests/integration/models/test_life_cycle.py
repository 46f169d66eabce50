"""A model's life: trained, compared, promoted or kept, scoring, watched, and traceable to the last bit."""

import json
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import psycopg
import pytest
from typer.testing import CliRunner

from models.comparison import Comparison
from models.dataset import MATURITY_DAYS, make_labels
from roadtwin.cli.model import app as model_app
from roadtwin.cli.status import app as status_app
from roadtwin.errors import ModelPromotionError, ModelRunNotFoundError, RoadtwinError
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.jobs.monitor import monitor
from roadtwin.jobs.retrain import compare_with_champion, comparison_start, promote, retrain, settle
from roadtwin.jobs.score import load_active_model, score_all
from roadtwin.jobs.train import DEFAULT_RECIPE, fit, load_history, store
from roadtwin.jobs.watch import _attend, _Task
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.model_runs import list_comparisons, read_active_model_run, read_model_run
from roadtwin.storage.monitoring import list_outcomes
from roadtwin.storage.potholes import replace_potholes

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)
DAY = timedelta(days=1)


@pytest.fixture(scope="module")
def challenger(simulated):
    """Fitted to what the champion learned from; not stored."""
    with connect(simulated.url) as conn:
        history = load_history(conn, simulated.settings, now=NOW)
    recipe = DEFAULT_RECIPE
    return fit(history, simulated.settings, recipe=recipe, reference={}, on_progress=lambda _part: None)


def test_a_young_champion_is_refitted_as_long_before_the_test_as_it_is_old(simulated, challenger):
    champion = replace(simulated.model_run, data_until=NOW - 30 * DAY)
    comparison, figures = compare_with_champion(champion, challenger, simulated.settings)
    start = comparison_start(challenger.history, simulated.settings)

    assert figures["champion_method"] == "refitted"
    assert figures["champion_until"] == str(start - np.timedelta64(30, "D"))
    assert figures["challenger_until"] == str(start)
    assert figures["first_cut"] >= figures["test_from"]
    judged = [h for h in comparison.horizons if h.judged]
    assert judged
    assert all(h.difference["roc_auc"].low <= h.difference["roc_auc"].high for h in judged)
    assert comparison.verdict_en.startswith(("Promoted", "Kept"))


def test_a_champion_that_is_older_than_the_test_speaks_for_itself(simulated, challenger):
    champion = replace(simulated.model_run, data_until=NOW - 400 * DAY)
    _, figures = compare_with_champion(champion, challenger, simulated.settings)

    assert figures["champion_method"] == "artefact"


def test_a_champion_of_the_same_recipe_and_data_is_no_worse_than_itself(simulated, challenger):
    comparison, figures = compare_with_champion(simulated.model_run, challenger, simulated.settings)

    assert figures["champion_method"] == "refitted"
    assert all(h.difference["brier_skill"].value == 0 for h in comparison.horizons if h.judged)
    assert comparison.promote


def test_a_champion_that_cannot_be_read_gives_way_and_the_verdict_says_why(simulated, challenger):
    champion = replace(simulated.model_run, feature_set_version=99)
    comparison, figures = compare_with_champion(champion, challenger, simulated.settings)

    assert comparison.promote
    assert figures["champion_method"] == "unreadable"
    assert "feature set 99" in comparison.verdict_en
    assert "feature set 99" in comparison.verdict_de


def test_a_cold_start_gives_way_and_does_not_replace_a_tested_model(simulated, challenger):
    cold = {"learned": {"cold_start": True}}
    followed, _ = compare_with_champion(
        replace(simulated.model_run, card=simulated.model_run.card | cold), challenger, simulated.settings
    )
    kept, _ = compare_with_champion(
        simulated.model_run, replace(challenger, card=challenger.card | cold), simulated.settings
    )

    assert followed.promote
    assert "the champion was a cold start, never tested here" in followed.verdict_en
    assert not kept.promote


@pytest.mark.parametrize("better", [True, False])
def test_a_verdict_is_stored_with_its_figures_and_the_loser_is_kept(simulated, challenger, conn, better):
    champion = read_active_model_run(conn)
    run = store(conn, challenger, now=NOW, activate=False)
    verdict = Comparison((), better, "Deutsch.", "English.")
    settle(conn, champion, run, verdict, {"test_from": "2026-01-01"}, now=NOW, cause="schedule")
    (row,) = list_comparisons(conn, model_run_id=run.model_run_id)
    audit = conn.execute(
        "SELECT actor, action, details FROM audit_log WHERE subject = %s", [f"model/{run.model_run_id}"]
    )

    assert (row.promoted, row.verdict_en, row.figures["test_from"]) == (better, "English.", "2026-01-01")
    assert read_model_run(conn, run.model_run_id).active is better
    assert read_model_run(conn, champion.model_run_id).active is not better
    actor, action, details = audit.fetchone()
    assert (actor, action) == ("roadtwin", "model_promoted" if better else "model_kept")
    assert details["model_comparison_id"] == row.model_comparison_id
    assert run.code_version.startswith("0.")
    assert run.card["code_version"] == run.code_version


def test_a_challenger_does_not_replace_another_model_than_it_was_compared_with(simulated, challenger, conn):
    champion = read_active_model_run(conn)
    other = store(conn, challenger, now=NOW, activate=True)
    run = store(conn, challenger, now=NOW, activate=False)
    settle(conn, champion, run, Comparison((), True, "Gut.", "Good."), {}, now=NOW, cause="schedule")

    assert read_active_model_run(conn).model_run_id == other.model_run_id
    assert list_comparisons(conn)[0].verdict_en == "Kept: another model became active during training. Good."


def test_a_model_is_promoted_by_hand_with_a_reason_and_only_one_that_can_score(simulated, challenger, conn):
    before = read_active_model_run(conn)
    run = store(conn, challenger, now=NOW, activate=False)
    with pytest.raises(ModelPromotionError, match="reason"):
        promote(conn, run.model_run_id, now=NOW, actor="test", reason=" ")
    with pytest.raises(ModelPromotionError, match="active one already"):
        promote(conn, before.model_run_id, now=NOW, actor="test", reason="why not")
    with pytest.raises(ModelRunNotFoundError, match="roadtwin model list"):
        promote(conn, 10**6, now=NOW, actor="test", reason="why not")
    promote(conn, run.model_run_id, now=NOW, actor="test", reason="better in the new district")
    back = promote(conn, before.model_run_id, now=NOW, actor="test", reason="rolled back")

    assert back.active
    details = conn.execute("SELECT details FROM audit_log WHERE action = 'model_promoted' ORDER BY audit_id").fetchall()
    assert details[-1][0] == {"reason": "rolled back", "replaces": run.model_run_id}
    conn.execute("UPDATE model_run SET rule_version = 99 WHERE model_run_id = %s", [run.model_run_id])
    with pytest.raises(ModelPromotionError, match="cannot score here"):
        promote(conn, run.model_run_id, now=NOW, actor="test", reason="why not")


def test_every_stored_score_is_made_again_exactly_from_its_feature_row_and_artefact(simulated, conn):
    score_all(conn, simulated.settings, now=NOW)
    _, model = load_active_model(conn)
    rows = conn.execute(
        """SELECT f.feature_values, array_agg(s.probability ORDER BY s.horizon_days), r.code_version
           FROM feature_row AS f INNER JOIN risk_score AS s USING (segment_id, as_of)
           INNER JOIN score_run AS r USING (as_of) WHERE as_of = %s
           GROUP BY f.segment_id, f.feature_values, r.code_version ORDER BY f.segment_id""",
        [NOW],
    ).fetchall()
    features = np.array([row[0] for row in rows], np.float32)

    np.testing.assert_array_equal(
        model.predict_proba(features).astype(np.float32), np.array([row[1] for row in rows], np.float32)
    )
    assert {row[2] for row in rows} == {simulated.model_run.code_version}


WEEKS = (20, 18, 12, 6, 0)


@pytest.fixture(scope="module")
def scored_url(database_server, simulated_original):
    """A copy with scores as of some weeks of the past and of now; of one segment nothing was ever seen."""
    original, city = simulated_original
    name, url = database_server.copy(original)
    with connect(url) as conn:
        unseen, public_id = conn.execute("SELECT segment_id, public_id FROM segment ORDER BY segment_id").fetchone()
        conn.execute("DELETE FROM segment_day WHERE segment_id = %s", [unseen])
        inspections = "SELECT record_id FROM inspection WHERE public_segment_id = %s"
        conn.execute(f"DELETE FROM inspection_finding WHERE record_id IN ({inspections})", [public_id])
        conn.execute("DELETE FROM inspection WHERE public_segment_id = %s", [public_id])
        for weeks in WEEKS:
            score_all(conn, city.settings, now=NOW - weeks * 7 * DAY)
    yield url
    database_server.drop(name)


@pytest.fixture
def scored(scored_url):
    """A connection to it whose work is undone after the test."""
    with connect(scored_url) as connection:
        yield connection
        connection.rollback()


def test_settled_scores_are_held_against_what_was_recorded_where_somebody_looked(simulated, scored):
    row = monitor(scored, simulated.settings, now=NOW)
    outcomes = {(o.score_as_of, o.horizon_days): o for o in list_outcomes(scored, since=NOW - 400 * DAY, now=NOW)}
    inputs = load_city(scored, simulated.settings, now=NOW)
    weeks = {h: [w for w in WEEKS if w * 7 >= h + MATURITY_DAYS] for h in (7, 28, 90)}

    assert set(outcomes) == {(NOW - w * 7 * DAY, h) for h in weeks for w in weeks[h]}
    for (as_of, horizon), outcome in outcomes.items():
        stored = dict(
            scored.execute(
                "SELECT segment_id, probability FROM risk_score WHERE as_of = %s AND horizon_days = %s",
                [as_of, horizon],
            ).fetchall()
        )
        labels = make_labels(inputs, to_instant(as_of), horizons_days=(horizon,))[:, 0]
        known = np.isfinite(labels)
        p = np.array([stored[i] for i in inputs.segments.segment_id[known].tolist()])
        assert outcome.segments_known == known.sum() <= len(inputs.segments) - 1
        assert outcome.observed == labels[known].sum()
        assert outcome.predicted == pytest.approx(p.sum(), rel=1e-5)
        assert outcome.squared_error == pytest.approx(((p - labels[known]) ** 2).sum(), rel=1e-5)
        assert outcome.climatology_squared_error > 0
    by_horizon = {h["horizon_days"]: h for h in row.figures["horizons"]}
    assert by_horizon[28]["observed"] == sum(o.observed for (_, h), o in outcomes.items() if h == 28)
    assert by_horizon[28]["score_sets"] == len(weeks[28])


def test_monitoring_again_works_nothing_out_anew(simulated, scored):
    monitor(scored, simulated.settings, now=NOW)
    scored.execute("UPDATE score_outcome SET observed = observed + 1000")
    row = monitor(scored, simulated.settings, now=NOW + DAY)

    assert row.figures["horizons"][1]["observed"] > 1000  # kept: what is settled cannot change
    assert any(alarm["name"] == "calibration" for alarm in row.alarms)


def test_a_feature_that_vanished_raises_an_alarm_by_name(simulated, scored):
    names = [f["name"] for f in simulated.model_run.card["feature_set"]["features"]]
    position = names.index("roughness_mps2")
    before = monitor(scored, simulated.settings, now=NOW)
    scored.execute("UPDATE feature_row SET feature_values[%s] = 'NaN' WHERE as_of = %s", [position + 1, NOW])
    after = monitor(scored, simulated.settings, now=NOW + timedelta(minutes=1))

    assert before.alarms == []  # the very city that it was trained on
    (alarm,) = [a for a in after.alarms if a["subject"] == "roughness_mps2"]
    assert alarm["name"] == "feature_unknown"
    assert "roughness_mps2" in after.figures["unknown_features"]


def test_a_model_without_a_reference_says_that_drift_cannot_be_told(simulated, scored):
    scored.execute("UPDATE model_run SET drift_reference = NULL")
    row = monitor(scored, simulated.settings, now=NOW)

    assert row.figures["features"] == []
    assert "keeps no reference of its training" in row.figures["features_not_compared"]


def test_commands_list_show_promote_monitor_and_status(simulated, challenger, monkeypatch):
    monkeypatch.setenv("ROADTWIN_DATABASE_URL", simulated.url)
    with connect(simulated.url) as conn:
        score_all(conn, simulated.settings, now=datetime.now(UTC))
        run = store(conn, challenger, now=NOW, activate=False)
    runner, number = CliRunner(), str(run.model_run_id)
    listed = runner.invoke(model_app, ["list"])
    shown = runner.invoke(model_app, ["show", number, "--json"])
    compared = runner.invoke(model_app, ["compare", "--history"])
    promoted = runner.invoke(model_app, ["promote", number, "--reason", "a test"])
    unknown = runner.invoke(model_app, ["show", "999999"])
    monitored = runner.invoke(model_app, ["monitor", "--json"])
    status = runner.invoke(status_app, ["--json"])

    assert "yes" in listed.stdout
    kind = run.card["holdout"]["kind"]  # cards of other versions may hold out something else: the list tells which
    assert [kind in line for line in listed.stdout.splitlines() if f"│ {number} " in line] == [True]
    assert json.loads(shown.stdout)["artefact_sha256"] == run.artefact_sha256.hex()
    assert "No comparison was made yet" in compared.stdout
    assert f"Model run {number} is in use" in promoted.stdout
    assert isinstance(unknown.exception, ModelRunNotFoundError)
    row = json.loads(monitored.stdout[monitored.stdout.index("{") :])
    assert monitored.exit_code == (2 if row["alarms"] else 0)
    assert json.loads(status.stdout)["monitoring"]["alarms"] == row["alarms"]


def test_a_task_that_fails_is_put_off_and_leaves_nothing_behind(conn):
    def fail(db, _now):
        db.execute("DELETE FROM model_monitoring")
        raise RoadtwinError("Not today.")

    task = _Task("test", lambda _conn, now: now, fail, lambda now, wait_s: now + timedelta(seconds=wait_s))
    _attend(conn, task, Settings(), lambda: datetime.now(UTC))
    first = task.not_before
    _attend(conn, task, Settings(), lambda: datetime.now(UTC))

    assert task.not_before == first > datetime.now(UTC)
    assert conn.info.transaction_status.name == "IDLE"


def test_training_holds_no_locks_while_it_reads_and_fits(simulated):
    young = NOW - 600 * DAY  # with so few records, training is quick
    derived = []
    with connect(simulated.url) as conn, connect(simulated.url) as other:
        other.execute("SET lock_timeout = '5s'")
        other.commit()

        def on_progress(part: float) -> None:
            if 0.1 < part < 0.8:  # potholes are derived, the model is not stored
                derived.append(derive_potholes(other, now=young))

        retrain(conn, simulated.settings, now=young, cause="command", on_progress=on_progress)
    assert derived


def test_of_two_that_write_potholes_at_once_one_waits_before_it_has_removed_any(simulated):
    with connect(simulated.url) as conn, connect(simulated.url) as other, ThreadPoolExecutor(1) as pool:
        first, second = conn.execute("SELECT min(section_id), max(section_id) FROM pothole").fetchone()
        conn.commit()

        replace_potholes(conn, [], sections=[first])
        later = pool.submit(replace_potholes, other, [], sections=[second])
        _wait_for(other, simulated.url, later)
        removed = replace_potholes(conn, [], sections=[second])[1]
        conn.commit()
        assert (later.result(), removed > 0) == ((0, 0), True)
        other.rollback()


def _wait_for(waiting: psycopg.Connection[Any], url: str, done: Future[Any]) -> None:
    """Until a connection waits for a lock, or is done."""
    with connect(url, autocommit=True) as watcher:
        blocked = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
        while not done.done() and watcher.execute(blocked, [waiting.info.backend_pid]).fetchone() != (True,):
            watcher.execute("SELECT pg_sleep(0.01)")
