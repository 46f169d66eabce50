"""A small model that knows frost, age and drainage, and a feature row of every scored segment of the test city."""

from typing import Any

import numpy as np
import psycopg
from psycopg.types.json import Jsonb

from models.features import FEATURE_SET
from models.registry import Artefact, dump_model
from models.risk import RiskModel
from roadtwin.types import HORIZONS_DAYS
from tests.service_city import City

CAUSES = ("wearing_course_age_years", "freeze_thaw_7d", "drainage", "potholes_open")


def make_artefact() -> Artefact:
    """A fitted model: each of the causes raises the risk. About half a second."""
    rng = np.random.default_rng(3)
    features = rng.uniform(0, 8, size=(2000, len(FEATURE_SET.names))).astype(np.float32)
    pull = features[:, [FEATURE_SET.index(name) for name in CAUSES]].sum(axis=1)
    level = np.array([[22.0, 19.0, 15.0]])
    labels = (pull[:, None] + 2 * rng.normal(size=(2000, len(HORIZONS_DAYS))) > level).astype(np.float64)
    model = RiskModel(monotone=FEATURE_SET.monotone, max_iter=40).fit(features, labels).calibrate(features, labels)
    return dump_model(model)


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
    rng = np.random.default_rng(5)
    for public_id in city.by_rank:
        values = rng.uniform(2, 8, size=len(FEATURE_SET.names))
        values[FEATURE_SET.index("season_sin")], values[FEATURE_SET.index("season_cos")] = 0.6, 0.8  # February
        values[FEATURE_SET.index("trench_area_pct")] = np.nan
        db.execute(
            "INSERT INTO feature_row VALUES (%s, %s, %s, %s)",
            [city.segment_ids[public_id], city.as_of, FEATURE_SET.version, [float(v) for v in values]],
        )
    db.commit()
    return int(row[0])
