"""A small model that knows frost, age and drainage, and a feature row of every scored segment of the test city."""

from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from models.dataset import Dataset
from models.features import FEATURE_SET
from models.registry import Artefact, dump_model
from models.risk import RiskModel
from roadtwin.types import HORIZONS_DAYS
from tests.service_city import City

CAUSES = ("wearing_course_age_years", "drainage", "potholes_open", "linear_cracks_per_pass")
CUTS, SEGMENTS = 30, 80


def make_model() -> RiskModel:
    """A fitted model: each of the causes, and frost for the whole city, raises the risk. About a second."""
    rng = np.random.default_rng(3)
    count = CUTS * SEGMENTS
    cut = np.repeat(np.datetime64("2024-01-01", "us") + np.arange(CUTS) * np.timedelta64(14, "D"), SEGMENTS)
    features = rng.uniform(0, 8, size=(count, len(FEATURE_SET.names))).astype(np.float32)
    for column, feature in enumerate(FEATURE_SET.features):
        if feature.group == "weather":  # one value for the city
            features[:, column] = np.repeat(rng.uniform(0, 8, CUTS), SEGMENTS)
    features[:, FEATURE_SET.index("drainage")] /= 4
    pull = sum(features[:, FEATURE_SET.index(name)] / np.std(features[:, FEATURE_SET.index(name)]) for name in CAUSES)
    pull += features[:, FEATURE_SET.index("freeze_thaw_7d")] / 4
    level = np.quantile(pull, [0.9, 0.7, 0.5])
    labels = (pull[:, None] + 0.7 * rng.normal(size=(count, len(HORIZONS_DAYS))) > level).astype(np.float64)
    rows = Dataset(
        features=features,
        labels=labels,
        segment_index=np.tile(np.arange(SEGMENTS, dtype=np.int32), CUTS),
        cut=cut,
        district=np.zeros(count, dtype=np.int32),
        road_class=np.zeros(count, dtype=np.int32),
        horizons_days=HORIZONS_DAYS,
        feature_set=FEATURE_SET,
    )
    return RiskModel(max_iter=30).fit(rows)


def make_artefact() -> Artefact:
    """`make_model` as it is stored."""
    return dump_model(make_model())


def make_rows(count: int) -> np.ndarray[Any, np.dtype[np.float32]]:
    """Feature rows in February, all with open potholes and cracks, the openings unknown."""
    values = np.random.default_rng(5).uniform(2, 8, size=(count, len(FEATURE_SET.names)))
    values[:, FEATURE_SET.index("season_sin")], values[:, FEATURE_SET.index("season_cos")] = 0.6, 0.8
    values[:, FEATURE_SET.index("drainage")] = 2
    values[:, FEATURE_SET.index("trench_area_pct")] = np.nan
    return values.astype(np.float32)


def add_model(db: psycopg.Connection[Any], city: City, artefact: Artefact) -> int:
    """Make it the active model, and the one of all scores of the city; commits."""
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
    assert row is not None
    db.execute("UPDATE risk_score SET model_run_id = %s", [row[0]])
    db.execute("UPDATE score_run SET model_run_id = %s", [row[0]])
    for public_id, values in zip(city.by_rank, make_rows(len(city.by_rank)), strict=True):
        db.execute(
            "INSERT INTO feature_row VALUES (%s, %s, %s, %s)",
            [city.segment_ids[public_id], city.as_of, FEATURE_SET.version, [float(v) for v in values]],
        )
    db.commit()
    return int(row[0])
