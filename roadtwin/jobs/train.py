"""Training: rows from history, an honest hold-out for the card, the model itself, and its artefact in the database."""

from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from datetime import datetime
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from models.card import TrainingFacts, make_card
from models.climate import UsualYear, usual_year, weather_alone
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
from models.evaluation import HEADLINE, MissingSplit, SplitKind, SplitResult, count_winters, evaluate_split, plain
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.inputs import CityInputs, Instant, Instants, SegmentTable
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
REFERENCE_CUTS, REFERENCE_SEGMENTS = 26, 10_000
"""Dates of training, evenly spaced, and segments, drawn, whose features are the reference of monitoring: two dates of
each month tell its usual values, and so many segments the shares of ten bins to half a per cent."""


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
class TrainingRows:
    """What a model is fitted to: development rows, test rows, the slices of the hold-out, and facts for the card.

    `data_from`: when the records begin; `data_until` where nobody has looked yet.
    """

    segments: SegmentTable
    potholes: int
    simulated: bool
    data_from: Instant
    data_until: Instant
    cuts: Instants
    rows: Dataset
    test_rows: Dataset
    holdout: TimeSplit

    def check_enough(self) -> None:
        """Raises NotEnoughHistoryError when records are too few or too short to test a model on."""
        if not len(self.segments):
            raise NotEnoughHistoryError("There is no road network yet: bring one in with `roadtwin import network`.")
        if self.data_from == self.data_until:
            raise NotEnoughHistoryError(
                "Nobody has looked at any segment yet: import vehicle passes or inspections before training."
            )
        span_days = float((self.data_until - self.data_from) / days(1))
        if span_days < LEAST_HISTORY_DAYS:
            raise NotEnoughHistoryError(
                f"Records reach back {span_days:.0f} days; training takes at least {LEAST_HISTORY_DAYS}."
            )


@dataclass(frozen=True, slots=True)
class History(TrainingRows):
    """The same, still with the city that the rows were made from: gigabytes in a large one."""

    inputs: CityInputs

    def rows_only(self) -> TrainingRows:
        """What fitting needs, without the city."""
        return TrainingRows(**{field.name: getattr(self, field.name) for field in fields(TrainingRows)})


def new_model(recipe: Recipe) -> RiskModel:
    """An unfitted model of the present feature set."""
    return RiskModel(HORIZONS_DAYS, random_state=recipe.seed)


def load_history(
    conn: psycopg.Connection[Any], settings: Settings, *, now: datetime, recipe: Recipe = DEFAULT_RECIPE
) -> History:
    """Read the city and make its rows. Raises NotEnoughHistoryError when records are too few or too short."""
    history = _read_history(conn, settings, now=now, recipe=recipe)
    history.check_enough()
    return history


def _read_history(conn: psycopg.Connection[Any], settings: Settings, *, now: datetime, recipe: Recipe) -> History:
    """The same of any city, also of one with too few records to test a model on, or with none."""
    with conn.transaction():
        city = read_city(conn)
        inputs = load_city(conn, settings, now=now)
    data_until = to_instant(now)
    data_from = _first_look(inputs) or data_until
    first = data_from + days(WARM_UP_DAYS)
    cuts = make_cuts(
        first, _last_cut(data_until), step_days=recipe.cut_step_days, at=settings.score_daily_at, zone=inputs.timezone
    )
    rng = np.random.default_rng(recipe.seed)
    rows = build_dataset(inputs, cuts, data_until=data_until, max_rows=recipe.max_rows, rng=rng)
    thinned = cuts.size * len(inputs.segments) > recipe.max_rows

    def at(share: float) -> Instant:
        return first + days(share * max(0.0, float((data_until - first) / days(1))))

    holdout = TimeSplit(at(recipe.calibrate_from_share), at(recipe.test_from_share), data_until)
    test_cuts = cuts[cuts >= holdout.test_from]
    return History(
        segments=inputs.segments,
        potholes=int((~np.isnat(inputs.potholes.confirmed_at)).sum()),
        simulated=city is not None and city.simulated,
        data_from=data_from,
        data_until=data_until,
        cuts=cuts,
        rows=rows,
        test_rows=(
            _test_rows(inputs, test_cuts, data_until, recipe) if thinned else rows.take(rows.cut >= holdout.test_from)
        ),
        holdout=holdout,
        inputs=inputs,
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
    """A fitted model that is not stored yet, with what it came from; `rolling` has those of earlier times.

    `reference`: what monitoring holds the city against later.
    """

    history: TrainingRows
    recipe: Recipe
    model: RiskModel
    rolling: RollingOrigins
    card: dict[str, Any]
    reference: dict[str, Any]

    @property
    def cold_start(self) -> bool:
        """Whether it was never tested here: too little was recorded."""
        return bool(self.card["learned"]["cold_start"])


def fit(
    history: TrainingRows,
    settings: Settings,
    *,
    recipe: Recipe,
    reference: dict[str, Any],
    on_progress: Callable[[float], None],
) -> Trained:
    """Fit the model and measure its recipe on hold-outs. Raises NotEnoughHistoryError.

    The card's skill comes from the same recipe fitted on the early part of the records and tested on the last, once on
    all places and once on a third of the blocks of 500 m that it did not learn from. The model itself is fitted on all.
    """

    def measured(kind: SplitKind, **options: Any) -> SplitResult:
        return evaluate_split(
            kind,
            history.rows,
            history.test_rows,
            history.holdout,
            spatial_blocks(history.segments.positions_m()),
            lambda: new_model(recipe),
            capacity=settings.crew_capacity,
            districts=history.segments.districts,
            seed=recipe.seed,
            **options,
        )

    try:
        rolling = RollingOrigins(lambda: new_model(recipe), history.rows, origins_of(history.holdout))
        in_time = measured("temporal", fitted=rolling)
        on_progress(0.4)
        model = rolling.model(history.data_until)
    except NotEnoughLabelsError as exc:
        raise NotEnoughHistoryError(str(exc)) from exc
    on_progress(0.6)
    elsewhere: SplitResult | MissingSplit
    try:
        elsewhere = measured(HEADLINE, most_folds=1)
    except NotEnoughLabelsError as exc:
        log.warning("no hold-out in space and time", action="holdout_missing", reason=str(exc))
        elsewhere = MissingSplit.because(HEADLINE, exc)
    on_progress(1.0)
    facts = _facts(history, recipe)
    card = make_card(model, facts, rolling.origins, (elsewhere, in_time), code_version=code_version())
    return Trained(history, recipe, model, rolling, card, reference)


def cold_start(
    history: TrainingRows,
    *,
    recipe: Recipe,
    reference: dict[str, Any],
    population: NDArray[np.float32],
    year: UsualYear,
) -> Trained:
    """The model of a city with too few records to test one: its prior, moved by what few labels there are.

    Its card says so. There is no hold-out and no calibration. `population`: features of the city's segments as of now,
    which together, in the mean of the `year`, have the number of holes that the prior documents.
    """
    rolling = RollingOrigins(lambda: new_model(recipe), history.rows, ())
    model = new_model(recipe).fit(history.rows, population=population, year=year)
    card = make_card(model, _facts(history, recipe), (), (), code_version=code_version())
    return Trained(history, recipe, model, rolling, card, reference)


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
        drift_reference=trained.reference,
        activate=activate,
    )
    return read_model_run(conn, model_run_id)


def drift_reference(history: History, recipe: Recipe) -> tuple[dict[str, Any], NDArray[np.float32]]:
    """What monitoring holds the city against later: features of its segments, in a large city of a drawn part of them,
    at some dates up to now, and rates of its rows. Beside it these segments' features as of now."""
    step = max(1, -(-history.cuts.size // REFERENCE_CUTS))
    cuts = np.append(history.cuts[::-1][::step][::-1], history.data_until)
    count = len(history.segments)
    drawn = np.random.default_rng(recipe.seed).permutation(count)[:REFERENCE_SEGMENTS]
    builder, segments = FeatureBuilder(history.inputs), np.sort(drawn)
    features = [builder.at(cut, segments) for cut in cuts]
    reference = make_reference(features, cuts, FEATURE_SET)
    return reference | {"climatology": climatology_rates(history.rows)}, features[-1]


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
    with_city = _read_history(conn, settings, now=now, recipe=recipe)
    if not len(with_city.segments):
        with_city.check_enough()
    reference, population = drift_reference(with_city, recipe)
    weather = weather_alone(with_city.inputs, with_city.data_until)
    history = with_city.rows_only()
    del with_city  # fitting has better use for the memory
    on_progress(0.4)
    try:
        history.check_enough()
        return fit(
            history, settings, recipe=recipe, reference=reference,
            on_progress=lambda part: on_progress(0.4 + 0.6 * part),
        )  # fmt: skip
    except NotEnoughHistoryError as exc:
        log.warning("cold start: this model is its prior", action="cold_start", reason=str(exc))
        year = usual_year(weather, history.data_until, at=settings.score_daily_at)
        return cold_start(history, recipe=recipe, reference=reference, population=population, year=year)


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


def _facts(history: TrainingRows, recipe: Recipe) -> TrainingFacts:
    labels = history.rows.labels
    return TrainingFacts(
        simulated=history.simulated,
        data_from=str(history.data_from),
        data_until=str(history.data_until),
        first_cut=str(history.cuts[0]) if history.cuts.size else None,
        last_cut=str(history.cuts[-1]) if history.cuts.size else None,
        cut_step_days=recipe.cut_step_days,
        segments=len(history.segments),
        rows=len(history.rows),
        positives={str(h): int((labels[:, i] == 1).sum()) for i, h in enumerate(HORIZONS_DAYS)},
        potholes=history.potholes,
        winters=count_winters(history.cuts),
    )
