"""Scores are kept as long as somebody may have to answer for them; refreshing takes turns."""

import threading
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import numpy as np
import pytest

from roadtwin.jobs.refresh import refresh
from roadtwin.jobs.score import KEEP_ALL
from roadtwin.settings import Settings
from roadtwin.storage.database import connect
from roadtwin.storage.scores import ScoreRun, ScoreTable, one_refresh_at_a_time, thin_scores, write_scores

pytestmark = pytest.mark.every_part

NOW = datetime(2026, 6, 10, 12, tzinfo=UTC)


def write_run(db, as_of):
    run_id = db.execute("SELECT max(model_run_id) FROM model_run").fetchone()[0]
    if run_id is None:
        db.execute(
            "INSERT INTO model_run (trained_at, data_until, feature_set_version, rule_version, library_versions,"
            " recipe, card, artefact, artefact_sha256, active)"
            " VALUES (%s, %s, 1, 1, '{}', '{}', '{}', '', '', TRUE)",
            [NOW, NOW],
        )
        run_id = db.execute("SELECT max(model_run_id) FROM model_run").fetchone()[0]
    run = ScoreRun(as_of=as_of, model_run_id=run_id, recorded_at=as_of, segment_count=1)
    one = np.full((1, 1), 0.1)
    scores = ScoreTable(
        segment_id=np.array([1], np.int32),
        horizons_days=(7,),
        features=one.astype(np.float32),
        probability=one,
        expected_count=one,
        rank=np.ones((1, 1), np.int64),
        reasons_json=({},),
    )
    write_scores(db, run, scores, feature_set_version=1)


def kept(db, table):
    return [row[0] for row in db.execute(f"SELECT as_of FROM {table} ORDER BY as_of")]


def test_of_a_day_long_over_the_last_scores_stay_and_those_that_a_decision_names(db):
    morning = datetime(2026, 6, 1, 5, tzinfo=UTC)
    last = datetime(2026, 6, 1, 21, 50, tzinfo=UTC)  # 23:50 in Berlin
    next_day = datetime(2026, 6, 1, 22, 10, tzinfo=UTC)  # 00:10 on the 2nd in Berlin
    decided = datetime(2026, 6, 1, 7, tzinfo=UTC)
    recent = [NOW - KEEP_ALL + timedelta(hours=1), NOW - timedelta(hours=1)]
    for as_of in (morning, decided, last, next_day, *recent):
        write_run(db, as_of)
    db.execute(
        "INSERT INTO decision (decision_id, decided_at, recorded_at, decided_by, pothole_id, score_as_of, action)"
        " VALUES (%s, %s, %s, 'depot', %s, %s, 'none')",
        [uuid4(), NOW, NOW, uuid4(), decided],
    )

    gone = thin_scores(db, keep_all_since=NOW - KEEP_ALL, timezone="Europe/Berlin")

    assert gone == 1
    for table in ("score_run", "risk_score", "feature_row"):
        assert kept(db, table) == [decided, last, next_day, *recent]


def test_a_second_refresh_waits_for_the_first(db, database_url):
    finished = threading.Event()

    def second():
        with connect(database_url) as conn:
            refresh(conn, Settings(), now=NOW)
        finished.set()

    with one_refresh_at_a_time(db):
        thread = threading.Thread(target=second)
        thread.start()
        assert not finished.wait(1.0)
    thread.join(timeout=30)

    assert finished.is_set()
