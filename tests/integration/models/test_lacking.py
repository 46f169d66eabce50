"""Cities that lack a quantity entirely, or nearly everything: they train, score and say what they rest on."""

from datetime import UTC, datetime

import numpy as np
import pytest

from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from roadtwin.errors import NotEnoughHistoryError
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.jobs.score import score_all
from roadtwin.jobs.train import train

NOW = datetime(2026, 6, 1, 3, tzinfo=UTC)

NO_WEATHER = "DELETE FROM weather; DELETE FROM weather_forecast"
NO_CAMERAS = "DELETE FROM segment_day; DELETE FROM detection; DELETE FROM reading_match; DELETE FROM vehicle_reading"
NO_INSPECTIONS = "DELETE FROM inspection_finding; DELETE FROM inspection"
BARE = (
    f"{NO_WEATHER}; {NO_INSPECTIONS}; DELETE FROM trench_permit; DELETE FROM survey; DELETE FROM report;"
    " UPDATE segment SET attributes = '{}', road_class = 'other', district = ''"
)


@pytest.mark.parametrize(
    ("without", "group"), [(NO_CAMERAS, "camera"), (BARE, "weather")], ids=["no cameras", "nearly nothing"]
)
def test_a_city_that_lacks_quantities_trains_and_scores(simulated, conn, without, group):
    conn.execute(without)
    features = FeatureBuilder(load_city(conn, simulated.settings, now=NOW)).at(to_instant(NOW))
    columns = [i for i, feature in enumerate(FEATURE_SET.features) if feature.group == group]
    lacking = np.isnan(features[:, columns]).all(axis=0)

    run = train(conn, simulated.settings, now=NOW)
    scores = score_all(conn, simulated.settings, now=NOW)
    probabilities = conn.execute(
        "SELECT min(probability), max(probability), count(*) FROM risk_score WHERE as_of = %s", [NOW]
    ).fetchone()

    assert lacking.any()  # a quantity that is unknown everywhere is in the middle of everything
    assert run.card["data_window"]["until"].startswith("2026-06-01")
    assert scores.segment_count * 3 == probabilities[2] > 0
    assert 0 < probabilities[0] < probabilities[1] < 1


def test_a_city_of_one_segment_says_that_its_records_are_too_few_or_scores_it(simulated, conn):
    conn.execute("UPDATE segment SET valid_to = %s WHERE segment_id > (SELECT min(segment_id) FROM segment)", [NOW])
    try:
        train(conn, simulated.settings, now=NOW)
    except NotEnoughHistoryError as exc:
        assert str(exc).endswith(".")  # noqa: PT017 - either is an answer
    else:
        assert score_all(conn, simulated.settings, now=NOW).segment_count == 1
