"""Training: rows from history, an honest hold-out for the card, the model itself, and its artefact in the database."""

from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

import numpy as np
import psycopg

from models.card import TrainingFacts, make_card
from models.dataset import (
    MATURITY_DAYS,
    WARM_UP_DAYS,
    Dataset,
    TimeSplit,
    build_dataset,
    days,
    make_cuts,
    spatial_blocks,
)
from models.drift import make_reference
from models.evaluation import count_winters, evaluate_split, plain
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.inputs import CityInputs, Instant, Instants
from models.monitoring import climatology_rates
from models.registry import dump_model
from models.risk import NotEnoughLabelsError, RiskModel
from models.rolling import RollingOrigins, origins_of
from roadtwin.code_version import code_version
from roadtwin.errors import NotEnoughHistoryError
from roadtwin.jobs.events import derive_potholes
from roadtwin.jobs.inputs import load_city, to_instant
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city
from roadtwin.storage.model_runs import ModelRun, read_model_run, write_model_run
from roadtwin.telemetry import get_logger
from roadtwin.types import HORIZONS_DAYS

log = get_logger(__name__)

LEAST_HISTORY_DAYS = 540
"""Records needed to train on: slices for training and calibration, each with its embargo, and one winter [d]."""
REFERENCE_CUTS = 26
"""Dates of training, evenly spaced, whose features are kept as the reference of monitoring: each costs a second in a
large city, and two of each month tell its usual values."""


@dataclass(frozen=True, slots=True)
class Recipe:
    """Everything that makes training repeatable, kept with the model.

    Cuts are weekly: with fortnightly ones the ROC-AUC at 90 days was 0.003 further from the informed ceiling.
    `max_rows` bounds time and memory in large cities (a random part of the rows is kept). Shares are of the time
    between first cut and end of data: the first origin of `models.rolling`, and the begin of the hold-out's test slice.
    """

    seed: int = 0
    cut_step_days: int = 7
    max_rows: int = 300_000
    calibrate_from_share: float = 0.30
    test_from_share: float = 0.70


DEFAULT_RECIPE = Recipe()


@dataclass(frozen=True, slots=True)
class History:
    """A city with its cuts, development rows, test rows, and the slices of the hold-out."""

    inputs: CityInputs
    simulated: bool
    data_from: Instant
    data_until: Instant
    cuts: Instants
    rows: Dataset
    test_rows: Dataset
    holdout: TimeSplit


def new_model(recipe: Recipe) -> RiskModel:
    """An unfitted model of the present feature set."""
    return RiskModel(HORIZONS_DAYS, random_state=recipe.seed)


def load_history(
    conn: psycopg.Connection[Any], settings: Settings, *, now: datetime, recipe: Recipe = DEFAULT_RECIPE
) -> History:
    """Read the city and make its rows. Raises NotEnoughHistoryError when records are too few or too short."""
    with conn.transaction():
        city = read_city(conn)
        inputs = load_city(conn, settings, now=now)
    if not len(inputs.segments):
        raise NotEnoughHistoryError("There is no road network yet: bring one in with `roadtwin import network`.")
    data_until = to_instant(now)
    data_from = _first_look(inputs)
    if data_from is None:
        raise NotEnoughHistoryError(
            "Nobody has looked at any segment yet: import vehicle passes or inspections before training."
        )
    span_days = float((data_until - data_from) / days(1))
    if span_days < LEAST_HISTORY_DAYS:
        raise NotEnoughHistoryError(
            f"Records reach back {span_days:.0f} days; training takes at least {LEAST_HISTORY_DAYS}."
        )
    first = data_from + days(WARM_UP_DAYS)
    cuts = make_cuts(first, _last_cut(data_until), step_days=recipe.cut_step_days)
    rng = np.random.default_rng(recipe.seed)
    rows = build_dataset(inputs, cuts, data_until=data_until, max_rows=recipe.max_rows, rng=rng)
    thinned = cuts.size * len(inputs.segments) > recipe.max_rows

    def at(share: float) -> Instant:
        return first + days(share * float((data_until - first) / days(1)))

    holdout = TimeSplit(at(recipe.calibrate_from_share), at(recipe.test_from_share), data_until)
    test_cuts = cuts[cuts >= holdout.test_from]
    return History(
        inputs=inputs,
        simulated=city is not None and city.simulated,
        data_from=data_from,
        data_until=data_until,
        cuts=cuts,
        rows=rows,
        test_rows=_test_rows(inputs, test_cuts, data_until, recipe) if thinned else rows.take(rows.cut >= test_cuts[0]),
        holdout=holdout,
    )


def _last_cut(data_until: Instant) -> Instant:
    """Newest cut whose shortest window is settled."""
    return data_until - days(min(HORIZONS_DAYS) + MATURITY_DAYS)


def _first_look(inputs: CityInputs) -> Instant | None:
    """When the records begin: before it, nothing could have been seen."""
    recorded = [table.recorded_at for table in (inputs.segment_days, inputs.inspections) if len(table)]
    return min(column.min() for column in recorded) if recorded else None


def _test_rows(inputs: CityInputs, cuts: Instants, data_until: Instant, recipe: Recipe) -> Dataset:
    """All segments at test cuts, as a crew would rank them; in large cities at fewer cuts, evenly spaced."""
    step = max(1, -(-cuts.size * len(inputs.segments) // recipe.max_rows))
    return build_dataset(inputs, cuts[::-1][::step][::-1], data_until=data_until)


@dataclass(frozen=True, slots=True)
class Trained:
    """A fitted model that is not stored yet, with what it came from; `rolling` has those of earlier times."""

    history: History
    recipe: Recipe
    model: RiskModel
    rolling: RollingOrigins
    card: dict[str, Any]

    @property
    def cold_start(self) -> bool:
        """Whether it was never tested here: too little was recorded."""
        return bool(self.card["learned"]["cold_start"])


def fit(history: History, settings: Settings, *, recipe: Recipe, on_progress: Callable[[float], None]) -> Trained:
    """Fit the model and measure its recipe on the hold-out in time. Raises NotEnoughHistoryError.

    The card's skill comes from the same recipe fitted on the early part of the records and tested on the last. The
    model itself is fitted on all of them.
    """
    try:
        rolling = RollingOrigins(lambda: new_model(recipe), history.rows, origins_of(history.holdout))
        holdout = evaluate_split(
            "temporal",
            history.rows,
            history.test_rows,
            history.holdout,
            spatial_blocks(history.inputs.segments.positions_m()),
            lambda: new_model(recipe),
            capacity=settings.crew_capacity,
            districts=history.inputs.segments.districts,
            fitted=rolling,
        )
        on_progress(0.5)
        model = rolling.model(history.data_until)
    except NotEnoughLabelsError as exc:
        raise NotEnoughHistoryError(str(exc)) from exc
    on_progress(1.0)
    card = make_card(model, _facts(history, recipe), rolling.origins, holdout, code_version=code_version())
    return Trained(history, recipe, model, rolling, card)


def cold_start(inputs: CityInputs, *, simulated: bool, now: Instant, recipe: Recipe) -> Trained:
    """The model of a city with too few records to test one: its prior, moved by what few labels there are.

    Its card says so. There is no hold-out and no calibration.
    """
    data_from = _first_look(inputs)
    begun = now if data_from is None else data_from
    cuts = make_cuts(begun + days(WARM_UP_DAYS), _last_cut(now), step_days=recipe.cut_step_days)
    rng = np.random.default_rng(recipe.seed)
    rows = build_dataset(inputs, cuts, data_until=now, max_rows=recipe.max_rows, rng=rng)
    holdout = TimeSplit(now, now, now)
    history = History(inputs, simulated, begun, now, cuts, rows, rows.take(np.zeros(len(rows), bool)), holdout)
    rolling = RollingOrigins(lambda: new_model(recipe), rows, ())
    model = new_model(recipe).fit(rows)
    card = make_card(model, _facts(history, recipe), (), None, code_version=code_version())
    return Trained(history, recipe, model, rolling, card)


def store(conn: psycopg.Connection[Any], trained: Trained, *, now: datetime, activate: bool) -> ModelRun:
    """Store a fitted model with all that is needed to trust it later. Part of the caller's transaction."""
    artefact = dump_model(trained.model)
    model_run_id = write_model_run(
        conn,
        trained_at=now,
        data_until=now,
        feature_set_version=artefact.feature_set_version,
        rule_version=artefact.rule_version,
        library_versions=dict(artefact.library_versions),
        recipe=plain(asdict(trained.recipe)) | {"model": plain(trained.model.get_params())},
        card=plain(trained.card),
        artefact=artefact.content,
        artefact_sha256=artefact.sha256,
        code_version=code_version(),
        drift_reference=drift_reference(trained.history),
        activate=activate,
    )
    return read_model_run(conn, model_run_id)


def drift_reference(history: History) -> dict[str, Any]:
    """What monitoring holds the city against later: features of all segments at some dates up to now, and rates of its
    rows."""
    step = max(1, -(-history.cuts.size // REFERENCE_CUTS))
    cuts = np.append(history.cuts[::-1][::step][::-1], history.data_until)
    builder = FeatureBuilder(history.inputs)
    reference = make_reference([builder.at(cut) for cut in cuts], cuts, FEATURE_SET)
    return reference | {"climatology": climatology_rates(history.rows)}


def learn(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    recipe: Recipe = DEFAULT_RECIPE,
    on_progress: Callable[[float], None],
) -> Trained:
    """A model of everything recorded by `now`, not stored yet.

    A city with too few records to test a model gets a cold start, and the card says so (`learned`).
    Raises NotEnoughHistoryError for a city without roads.
    """
    on_progress(0.0)
    derive_potholes(conn, now=now)  # they are then read from their table, not derived once more from all evidence
    try:
        history = load_history(conn, settings, now=now, recipe=recipe)
        on_progress(0.5)
        return fit(history, settings, recipe=recipe, on_progress=lambda part: on_progress(0.5 + 0.5 * part))
    except NotEnoughHistoryError as exc:
        with conn.transaction():
            city, inputs = read_city(conn), load_city(conn, settings, now=now)
        if not len(inputs.segments):
            raise
        simulated = city is not None and city.simulated
        log.warning("cold start: this model is its prior", action="cold_start", reason=str(exc))
        return cold_start(inputs, simulated=simulated, now=to_instant(now), recipe=recipe)


def train(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    on_progress: Callable[[float], None] | None = None,
    recipe: Recipe = DEFAULT_RECIPE,
) -> ModelRun:
    """Train on everything recorded by `now`, store the model as the active one and return it; one transaction writes.

    Nothing is compared: for the first model of a city. `roadtwin.jobs.retrain` lets a champion defend itself.
    Raises NotEnoughHistoryError for a city without roads.
    """
    report = on_progress or (lambda _: None)
    trained = learn(conn, settings, now=now, recipe=recipe, on_progress=lambda part: report(0.95 * part))
    with conn.transaction():
        run = store(conn, trained, now=now, activate=True)
    report(1.0)
    return run


def _facts(history: History, recipe: Recipe) -> TrainingFacts:
    labels = history.rows.labels
    confirmed = ~np.isnat(history.inputs.potholes.confirmed_at)
    return TrainingFacts(
        simulated=history.simulated,
        data_from=str(history.data_from),
        data_until=str(history.data_until),
        first_cut=str(history.cuts[0]) if history.cuts.size else None,
        last_cut=str(history.cuts[-1]) if history.cuts.size else None,
        cut_step_days=recipe.cut_step_days,
        segments=len(history.inputs.segments),
        rows=len(history.rows),
        positives={str(h): int((labels[:, i] == 1).sum()) for i, h in enumerate(HORIZONS_DAYS)},
        potholes=int(confirmed.sum()),
        winters=count_winters(history.cuts),
    )
