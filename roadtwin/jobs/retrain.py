"""A challenger is trained, compared with the champion on the newest windows, and takes over only if it is not worse.

The comparison asks what retraining does, on windows that neither model learned from. Its test begins
`gate_test_days` ago (not before the hold-out of the card begins). The challenger is its recipe fitted to what was
settled by then. The champion is its stored artefact if that was trained before; a younger one is its recipe fitted to
what was settled by a time as long before the test as its data end before now: then, as today, the challenger knows more
than the champion by the champion's age. Both predict every segment at every cut of the test.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from sklearn.base import clone

from models.comparison import Comparison, Margins, compare
from models.dataset import Dataset, days, spatial_blocks
from models.evaluation import plain
from models.inputs import Instant
from models.registry import Artefact, load_model
from models.risk import NotEnoughLabelsError, RiskModel
from models.rolling import RollingOrigins, origins_of
from roadtwin.errors import ModelPromotionError, ModelVersionError
from roadtwin.jobs.inputs import to_instant
from roadtwin.jobs.train import DEFAULT_RECIPE, Recipe, Trained, TrainingRows, learn, store
from roadtwin.settings import Settings
from roadtwin.storage.model_runs import (
    Cause,
    ComparisonRow,
    ModelRun,
    activate_model_run,
    list_comparisons,
    one_training_at_a_time,
    read_active_model_run,
    read_model_run,
    write_comparison,
    write_model_audit,
)

ACTOR = "roadtwin"
"""Who promotes when nobody does: the schedule."""


@dataclass(frozen=True, slots=True)
class Retrained:
    """The new model; its comparison with the champion, None for a first model."""

    run: ModelRun
    comparison: ComparisonRow | None


@dataclass(frozen=True, slots=True)
class _Champion:
    """The champion's forecasts of the test rows, and how they were come by."""

    probability: np.ndarray[Any, np.dtype[np.float64]]
    method: str
    until: Instant


def retrain(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    cause: Cause,
    on_progress: Callable[[float], None] | None = None,
    recipe: Recipe = DEFAULT_RECIPE,
) -> Retrained:
    """Train a challenger on what was recorded by `now`, compare it, store both, and commit.

    Without a champion the new model is active at once. One training at a time in a database: a second one waits.
    Raises NotEnoughHistoryError for a city without roads; then nothing is stored.
    """
    report = on_progress or (lambda _: None)
    with one_training_at_a_time(conn):
        report(0.0)
        champion = read_active_model_run(conn)
        conn.commit()  # else what training derives is locked until its end, and rounds of refreshing wait so long
        trained = learn(conn, settings, now=now, recipe=recipe, on_progress=lambda part: report(0.8 * part))
        comparison, figures = (None, {}) if champion is None else compare_with_champion(champion, trained, settings)
        report(0.95)
        with conn.transaction():
            run = store(conn, trained, now=now, activate=champion is None)
            if champion is not None and comparison is not None:
                settle(conn, champion, run, comparison, figures, now=now, cause=cause)
        run = read_model_run(conn, run.model_run_id)
        rows = list_comparisons(conn, model_run_id=run.model_run_id, limit=1)
        conn.commit()
        report(1.0)
    return Retrained(run, rows[0] if rows else None)


def promote(conn: psycopg.Connection[Any], model_run_id: int, *, now: datetime, actor: str, reason: str) -> ModelRun:
    """Bring a stored model into use, a newer or an older one, and note who did and why. The caller commits.

    Raises ModelRunNotFoundError; ModelPromotionError when it is active already, gives no reason, or cannot be loaded by
    this version: then nothing could be scored.
    """
    run = read_model_run(conn, model_run_id)
    if run.active:
        raise ModelPromotionError(f"Model run {model_run_id} is the active one already.")
    if not reason.strip():
        raise ModelPromotionError("A promotion needs a reason: it is kept in the audit log.")
    try:
        _load(run)
    except ModelVersionError as exc:
        raise ModelPromotionError(f"Model run {model_run_id} cannot score here. {exc}") from exc
    before = read_active_model_run(conn)
    activate_model_run(conn, model_run_id)
    details = {"reason": reason, "replaces": before.model_run_id if before else None}
    write_model_audit(conn, model_run_id, now=now, actor=actor, action="model_promoted", details=details)
    return read_model_run(conn, model_run_id)


def comparison_start(history: TrainingRows, settings: Settings) -> Instant:
    """When the windows of the comparison begin."""
    return max(history.data_until - days(settings.gate_test_days), history.holdout.test_from)


def settle(
    conn: psycopg.Connection[Any],
    champion: ModelRun,
    run: ModelRun,
    comparison: Comparison,
    figures: dict[str, Any],
    *,
    now: datetime,
    cause: Cause,
) -> None:
    """Store the comparison and let the stored challenger take over if it may. Part of the caller's transaction.

    It does not when another model than the compared champion has come into use meanwhile.
    """
    present = read_active_model_run(conn)
    promoted, de, en = comparison.promote, comparison.verdict_de, comparison.verdict_en
    if promoted and (present is None or present.model_run_id != champion.model_run_id):
        promoted = False
        de = f"Behalten: Während des Trainings wurde ein anderes Modell aktiv. {de}"
        en = f"Kept: another model became active during training. {en}"
    comparison_id = write_comparison(
        conn,
        compared_at=now,
        cause=cause,
        champion_run_id=champion.model_run_id,
        challenger_run_id=run.model_run_id,
        promoted=promoted,
        verdict_de=de,
        verdict_en=en,
        figures=plain(figures | comparison.as_json()),
    )
    if promoted:
        activate_model_run(conn, run.model_run_id)
    details = {"model_comparison_id": comparison_id, "champion": champion.model_run_id, "verdict": en, "cause": cause}
    action = "model_promoted" if promoted else "model_kept"
    write_model_audit(conn, run.model_run_id, now=now, actor=ACTOR, action=action, details=details)


def compare_with_champion(run: ModelRun, trained: Trained, settings: Settings) -> tuple[Comparison, dict[str, Any]]:
    """Compare a champion with a fitted challenger; the comparison, and what is to be known of how it was made.

    Nothing is read or written. A champion that cannot be read, or windows in which nothing can be told, are no errors:
    the verdict says so.
    """
    try:
        stored = _load(run)
    except ModelVersionError as exc:
        why = str(exc).removesuffix(" Run `roadtwin train`.")
        return _without_champion(why), {"champion_method": "unreadable"}
    if (run.card.get("learned") or {}).get("cold_start"):
        return _after_cold_start(), {"champion_method": "cold start"}
    if trained.cold_start:
        return _cannot_tell("too little is recorded to test a model"), {"champion_method": "none"}
    history = trained.history
    start = comparison_start(history, settings)
    margins = Margins(settings.gate_brier_skill_margin, settings.gate_roc_auc_margin, settings.gate_calibration_ratio)
    rows = history.test_rows.take(history.test_rows.cut >= start)
    figures: dict[str, Any] = {"test_from": str(start), "margins": asdict(margins)}
    try:
        challenger = trained.rolling.model(start)
        champion = _champion(run, stored, trained, start, rows)
    except NotEnoughLabelsError as exc:
        return _cannot_tell(str(exc)), figures | {"champion_method": "none"}
    figures |= {
        "champion_method": champion.method,
        "champion_until": str(champion.until),
        "challenger_until": str(start),
        "first_cut": str(rows.cut.min()) if len(rows) else None,
        "last_cut": str(rows.cut.max()) if len(rows) else None,
    }
    comparison = compare(
        rows.labels,
        champion.probability,
        challenger.predict_proba(rows.features),
        spatial_blocks(history.segments.positions_m())[rows.segment_index],
        rows.cut,
        rows.horizons_days,
        margins,
        capacity=settings.crew_capacity,
        seed=trained.recipe.seed,
    )
    return comparison, figures


def _champion(run: ModelRun, stored: RiskModel, trained: Trained, start: Instant, rows: Dataset) -> _Champion:
    data_until = to_instant(run.data_until)
    if data_until <= start:
        return _Champion(stored.predict_proba(rows.features), "artefact", data_until)
    history = trained.history
    until = start - (history.data_until - data_until)
    same = plain(stored.get_params()) == plain(trained.model.get_params())
    rolling = trained.rolling  # its models before the origins are fitted already
    if not same:
        rolling = RollingOrigins(lambda: clone(stored), history.rows, origins_of(history.holdout))
    return _Champion(rolling.model(until).predict_proba(rows.features), "refitted", until)


def _load(run: ModelRun) -> RiskModel:
    return load_model(
        Artefact(run.artefact, run.artefact_sha256, run.library_versions, run.feature_set_version, run.rule_version)
    )


def _without_champion(why: str) -> Comparison:
    """The champion cannot score any more: whatever the challenger's skill, without it there would be no scores."""
    return Comparison(
        (),
        True,
        f"Übernommen ohne Vergleich: Das bisherige Modell ist hier nicht lesbar und kann nicht bewerten. ({why})",
        f"Promoted without comparison: the champion cannot be read here and scores nothing. ({why})",
    )


def _after_cold_start() -> Comparison:
    return Comparison(
        (),
        True,
        "Übernommen ohne Vergleich: Das bisherige Modell war ein Kaltstart, hier nie geprüft.",
        "Promoted without comparison: the champion was a cold start, never tested here.",
    )


def _cannot_tell(why: str) -> Comparison:
    return Comparison(
        (), False, f"Behalten: Der Vergleich ist nicht möglich. ({why})", f"Kept: they cannot be compared. ({why})"
    )
