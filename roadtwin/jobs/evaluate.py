"""Evaluation: the same recipe on four hold-outs, with baselines beside it, as one JSON-ready report."""

from collections.abc import Callable, Sequence
from dataclasses import asdict
from datetime import datetime
from typing import Any

import psycopg

from models.dataset import MATURITY_DAYS, spatial_blocks
from models.evaluation import SPLIT_KINDS, SplitKind, evaluate_split, plain
from models.features import FEATURE_SET
from models.potholes import RULE_VERSION
from models.registry import library_versions
from models.risk import NotEnoughLabelsError
from roadtwin.errors import NotEnoughHistoryError
from roadtwin.jobs.train import DEFAULT_RECIPE, Recipe, load_history, new_model
from roadtwin.settings import Settings

REPORT_VERSION = 1
BLOCK_M = 500.0


def evaluate(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    kinds: Sequence[SplitKind] = SPLIT_KINDS,
    folds: int = 3,
    recipe: Recipe = DEFAULT_RECIPE,
    on_progress: Callable[[float], None] | None = None,
) -> dict[str, Any]:
    """Fit and test on every kind of split and return the report as plain JSON. Writes nothing.

    Uses what was recorded by `now`. `folds` is the number of parts that the blocks of 500 m are dealt to for the splits
    in space. Raises NotEnoughHistoryError.
    """
    report = on_progress or (lambda _: None)
    report(0.0)
    history = load_history(conn, settings, now=now, recipe=recipe)
    block = spatial_blocks(history.inputs.segments.positions_m(), size_m=BLOCK_M)
    results = []
    for number, kind in enumerate(kinds):
        report(0.2 + 0.8 * number / len(kinds))
        try:
            result = evaluate_split(
                kind,
                history.rows,
                history.test_rows,
                history.holdout,
                block,
                lambda: new_model(recipe),
                capacity=settings.crew_capacity,
                districts=history.inputs.segments.districts,
                folds=folds,
                seed=recipe.seed,
            )
        except NotEnoughLabelsError as exc:
            raise NotEnoughHistoryError(f"The {kind} split cannot be made. {exc}") from exc
        results.append(result.as_json())
    report(1.0)
    converted: dict[str, Any] = plain(
        {
            "report_version": REPORT_VERSION,
            "data": "simulated" if history.simulated else "recorded",
            "data_from": str(history.data_from),
            "data_until": str(history.data_until),
            "segments": len(history.inputs.segments),
            "rows": len(history.rows),
            "test_rows": len(history.test_rows),
            "split": {
                "calibrate_from": str(history.holdout.calibrate_from),
                "test_from": str(history.holdout.test_from),
                "embargo_days_beyond_horizon": MATURITY_DAYS,
                "block_m": BLOCK_M,
                "folds": folds,
            },
            "crew_capacity": settings.crew_capacity,
            "feature_set_version": FEATURE_SET.version,
            "rule_version": RULE_VERSION,
            "recipe": asdict(recipe),
            "library_versions": library_versions(),
            "splits": results,
        }
    )
    return converted
