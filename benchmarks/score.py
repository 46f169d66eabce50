"""Scoring speed for a city of Essen's size: 16,000 segments of synthetic arrays.

Synthetic: the features are drawn at random, the model is trained on made-up labels; only the time means anything.
Measured are features as of now from a year of segment-days, weather and potholes; three horizons; the reasons of the
ranked top of each; and writing them with their feature rows to a new embedded PostgreSQL, committed.

Usage: python benchmarks/score.py [SEGMENTS]
"""

import json
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.inputs import (
    CityInputs,
    Inspections,
    OpenSpells,
    Potholes,
    Repairs,
    SegmentDayTable,
    SegmentTable,
    Surveys,
    TrenchPermits,
    WeatherForecasts,
    WeatherHours,
)
from models.potholes import RULE_VERSION
from models.registry import dump_model
from models.risk import RiskModel
from roadtwin.jobs.score import REASONS_TOP, make_scores
from roadtwin.storage.database import connect
from roadtwin.storage.embedded import EmbeddedPostgres
from roadtwin.storage.migrate import migrate
from roadtwin.storage.model_runs import write_model_run
from roadtwin.storage.scores import FeatureRow, ScoreRow, ScoreRun, write_scores

NOW = np.datetime64("2026-02-01T04:00", "us")
HOUR, DAY = np.timedelta64(3_600_000_000, "us"), np.timedelta64(86_400_000_000, "us")


def synthetic_inputs(count: int, rng: np.random.Generator) -> CityInputs:
    """A year of facts: one camera pass a week and one pothole a year for each segment, hourly weather."""
    side = int(np.ceil(np.sqrt(count)))
    index = np.arange(count)
    day, segment = np.nonzero(np.arange(365)[:, None] % 7 == index[None] % 7)
    passed = NOW - (365 - day) * DAY
    hole = rng.integers(0, count, count)
    first = NOW - rng.random(count) * 365 * DAY
    hours = NOW.astype("datetime64[h]").astype("datetime64[us]") - np.arange(24 * 365)[::-1] * HOUR
    return CityInputs(
        segments=SegmentTable(
            segment_id=(index + 1).astype(np.int32), section_id=(index // 5).astype(np.int32),
            from_station_m=np.zeros(count), to_station_m=np.full(count, 100.0), length_m=np.full(count, 100.0),
            mid_lon=7.0 + index % side * 0.00144, mid_lat=51.4 + index // side * 0.0009,
            district=(index % 9).astype(np.int32), districts=tuple("ABCDEFGHI"),
            road_class=(index % 3).astype(np.int32), wearing_course_year=rng.integers(1970, 2025, count).astype(float),
            pavement_class=rng.integers(0, 7, count).astype(float), heavy_vehicles_per_day=rng.gamma(2, 90, count),
            bus_route=(rng.random(count) < 0.2).astype(float), trench_area_pct=rng.gamma(1, 4, count),
            frost_deficit_cm=rng.normal(0, 8, count), drainage=rng.integers(0, 3, count).astype(float),
            tree_cover_pct=rng.random(count) * 60, width_m=rng.uniform(4, 9, count),
            axle_passes_per_day=rng.gamma(2, 60, count), thickness_cm=rng.uniform(30, 60, count),
            gully_spacing_m=rng.uniform(20, 60, count),
        ),
        weather=WeatherHours(
            recorded_at=hours, observed_at=hours, station=np.zeros(hours.size, np.int32),
            air_temp_c=rng.normal(4, 5, hours.size), rain_mm=rng.exponential(0.1, hours.size),
        ),
        forecasts=WeatherForecasts.empty(),
        potholes=Potholes(
            segment_index=hole.astype(np.int32), first_recorded_at=first, confirmed_at=first + DAY,
            secured_at=np.full(count, np.datetime64("NaT", "us")),
        ),
        open_spells=OpenSpells(segment_index=hole.astype(np.int32), opened_at=first + DAY, closed_at=first + 3 * DAY),
        segment_days=SegmentDayTable(
            recorded_at=passed + DAY, segment_index=segment.astype(np.int32), day=passed.astype("datetime64[D]"),
            good_passes=np.ones(day.size), linear_cracks=rng.poisson(1.0, day.size).astype(float),
            alligator_cracks=rng.poisson(0.5, day.size).astype(float), roughness_mps2=rng.gamma(4, 0.3, day.size),
        ),
        inspections=Inspections(recorded_at=passed[:1000], observed_at=passed[:1000],
                                segment_index=segment[:1000].astype(np.int32)),
        repairs=Repairs(recorded_at=first + 3 * DAY, observed_at=first + 3 * DAY, segment_index=hole.astype(np.int32),
                        renewal=np.zeros(count, bool)),
        trench_permits=TrenchPermits(recorded_at=first[:500], observed_at=first[:500],
                                     segment_index=hole[:500].astype(np.int32), area_m2=np.full(500, 10.0)),
        surveys=Surveys.empty(),
        timezone=ZoneInfo("Europe/Berlin"),
    )  # fmt: skip


def synthetic_model(features: np.ndarray, rng: np.random.Generator) -> RiskModel:
    """A model of the usual size; its labels mean nothing."""
    rows = features[rng.integers(0, features.shape[0], 40_000)]
    share = 0.04 * (1 + np.nan_to_num(rows[:, FEATURE_SET.index("potholes_relative")]))
    labels = (rng.random((rows.shape[0], 1)) < share[:, None] * np.array([0.5, 1.0, 2.0])).astype(float)
    return RiskModel(monotone=FEATURE_SET.monotone).fit(rows, labels).calibrate(rows, labels)


def write_to_database(model: RiskModel, features: np.ndarray, rows: list[ScoreRow]) -> float:
    """Seconds to write and commit the scores and feature rows."""
    directory = Path(tempfile.mkdtemp(prefix="roadtwin-benchmark-"))
    directory.chmod(0o755)  # the server may run as another user
    try:
        with EmbeddedPostgres(directory) as server:
            migrate(server.url)
            with connect(server.url) as conn:
                artefact, at = dump_model(model), datetime.now(UTC)
                run_id = write_model_run(
                    conn,
                    trained_at=at,
                    data_until=at,
                    feature_set_version=FEATURE_SET.version,
                    rule_version=RULE_VERSION,
                    library_versions={},
                    recipe={},
                    card={},
                    artefact=artefact.content,
                    artefact_sha256=artefact.sha256,
                )
                conn.commit()
                began = time.perf_counter()
                run = ScoreRun(at, run_id, at, len(features))
                feature_rows = (FeatureRow(i + 1, values) for i, values in enumerate(features.tolist()))
                write_scores(conn, run, feature_rows, rows, feature_set_version=FEATURE_SET.version)
                conn.commit()
                return time.perf_counter() - began
    finally:
        shutil.rmtree(directory, ignore_errors=True)


def main() -> None:
    """Measure and print one JSON object."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 16_000
    rng = np.random.default_rng(1)
    inputs = synthetic_inputs(count, rng)
    model = synthetic_model(FeatureBuilder(inputs).at(NOW), rng)
    began = time.perf_counter()
    features = FeatureBuilder(inputs).at(NOW)
    featured = time.perf_counter()
    model.predict_proba(features)
    predicted = time.perf_counter()
    rows = list(make_scores(model, features, inputs.segments.segment_id))  # predicts once more, then explains
    ended = time.perf_counter()
    write_s = write_to_database(model, features, rows)
    result = {
        "benchmark": "score",
        "data": "synthetic arrays",
        "segments": count,
        "scores": len(rows),
        "reasons_of_top": REASONS_TOP,
        "features_s": round(featured - began, 3),
        "predict_s": round(predicted - featured, 3),
        "scores_and_reasons_s": round(ended - predicted, 3),
        "write_s": round(write_s, 3),
        "total_s": round(ended - began - (predicted - featured) + write_s, 3),
    }
    print(json.dumps(result))


if __name__ == "__main__":
    main()
