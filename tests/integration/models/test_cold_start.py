"""A city with too few records to test a model: its prior scores it, and says so."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pytest

from models.features.build import FeatureBuilder
from models.prior import EFFECTS, RATE_PER_100_M_WEEK
from roadtwin.jobs.inputs import load_city
from roadtwin.jobs.score import load_active_model, score_all
from roadtwin.jobs.train import train

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)

EVERYTHING = """
    DELETE FROM inspection_finding; DELETE FROM inspection; DELETE FROM repair; DELETE FROM report; DELETE FROM survey;
    DELETE FROM weather; DELETE FROM weather_forecast; DELETE FROM segment_day; DELETE FROM detection;
    DELETE FROM reading_match; DELETE FROM vehicle_reading; DELETE FROM record_match; DELETE FROM pothole
"""


def test_a_city_of_which_only_the_register_is_known_is_scored_by_physics_alone(simulated, conn):
    conn.execute(EVERYTHING)

    run = train(conn, simulated.settings, now=NOW)
    _, model = load_active_model(conn)
    scores = score_all(conn, simulated.settings, now=NOW)

    learned = run.card["learned"]
    assert learned["cold_start"]
    assert learned["notice_en"].startswith("Cold start: nothing was learned from this city yet.")
    assert learned["notice_de"].startswith("Kaltstart: Aus dieser Stadt wurde noch nichts gelernt.")
    assert run.card["holdout"] is None
    assert set(run.card["calibration"]["28"]) == {"kind", "slope", "level_sd"}
    assert run.card["calibration"]["28"]["kind"] == "assumed"
    assert model.additive_.slopes_.tolist() == [EFFECTS[name].slope for name in model.additive_.feature_names]
    rows = conn.execute(
        "SELECT horizon_days, 700 * sum(expected_count) / horizon_days / sum(length_m), stddev(probability)"
        " FROM risk_score JOIN segment USING (segment_id) WHERE as_of = %s GROUP BY horizon_days", [NOW]
    ).fetchall()  # fmt: skip
    assert scores.segment_count > 0
    assert sorted(horizon for horizon, _, _ in rows) == [7, 28, 90]
    assert "0 of 12 months were measured here" in learned["notice_en"]
    assert model.recorded_year_ == 0
    for _, per_100_m_week, spread in rows:
        # of a day in June without any weather known: the season alone makes it less than the year's mean
        assert 0.45 * RATE_PER_100_M_WEEK < per_100_m_week < RATE_PER_100_M_WEEK
        assert spread > 0.001  # the register tells roads apart


def test_a_young_city_learns_from_what_it_has_and_is_not_called_tested(simulated, conn):
    run = train(conn, simulated.settings, now=NOW - timedelta(days=600))

    learned = run.card["learned"]
    assert learned["cold_start"]
    assert "cases of this city were learned from" in learned["notice_en"]
    assert max(run.card["positives"].values()) > 0
    _, model = load_active_model(conn)
    moved = np.abs(model.additive_.slopes_ - [EFFECTS[name].slope for name in model.additive_.feature_names])
    assert moved.max() > 0.02
    assert model.dispersion_.variance_ == pytest.approx(1.0)  # assumed


def test_without_cases_the_roads_have_the_documented_rate_in_the_mean_of_a_year_of_the_citys_weather(simulated, conn):
    conn.execute(";".join(statement for statement in EVERYTHING.split(";") if "weather" not in statement))

    run = train(conn, simulated.settings, now=NOW)

    assert "12 of 12 months were measured here" in run.card["learned"]["notice_en"]
    _, model = load_active_model(conn)
    city = load_city(conn, simulated.settings, now=NOW)
    builder, now = FeatureBuilder(city), np.datetime64(NOW.replace(tzinfo=None), "us")
    dates = now - np.arange(26) * np.timedelta64(14, "D")
    counts = np.array([model.predict(builder.at(date)).expected_count for date in dates])
    assert (np.diff(counts, axis=2) >= 0).all()  # of each segment, in 7, 28 and 90 days
    per_100_m_week = (
        counts.sum(axis=1).mean(axis=0) / (city.segments.length_m.sum() / 100) / (np.array([7, 28, 90]) / 7)
    )
    # the year of the records is two and a half, that of these dates the last
    assert per_100_m_week == pytest.approx(np.full(3, RATE_PER_100_M_WEEK), rel=0.25)
    assert per_100_m_week.max() < 1.15 * per_100_m_week.min()
