"""Evaluation: the same recipe on four hold-outs, beside baselines and, in a simulated city, beside the truth."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime, time
from typing import Any, Literal

import numpy as np
import psycopg
import shapely

from models.ablation import ablation
from models.dataset import MATURITY_DAYS, spatial_blocks
from models.evaluation import (
    HEADLINE,
    MODEL,
    SPLIT_KINDS,
    Fold,
    Forecasts,
    MissingSplit,
    SplitKind,
    count_winters,
    fit_split,
    headline_of,
    plain,
    pool,
)
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.inputs import Floats, Instant, Ints
from models.leaks import FutureInFeatures, all_passed, embargo_of, future_in_features, shuffled_labels
from models.potholes import RULE_VERSION
from models.registry import library_versions
from models.resampling import INTERVAL
from models.risk import NotEnoughLabelsError
from roadtwin.errors import NotEnoughHistoryError
from roadtwin.jobs.evaluate_figures import Measured, by_segment, effects, figures_of
from roadtwin.jobs.evaluate_gates import LABELS, coverage_gate, gates_json, gates_of
from roadtwin.jobs.evaluate_truth import CEILINGS, MOST_CUTS, Truth, beside_truth, coverage, event_figures
from roadtwin.jobs.inputs import load_city, to_datetime, to_instant
from roadtwin.jobs.simulated import read_simulated_city, world_of
from roadtwin.jobs.train import DEFAULT_RECIPE, History, Recipe, load_history, new_model
from roadtwin.settings import Settings
from roadtwin.storage.city import read_city
from roadtwin.storage.network import read_current_segments, read_register_since
from simulators.world import World

REPORT_VERSION = 3
BLOCK_M = 500.0
DRAWS = 200
EFFECTS_HORIZON_DAYS = 28

Part = Literal["ablation", "leaks", "truth"]
PARTS: tuple[Part, ...] = ("ablation", "leaks", "truth")


@dataclass(frozen=True, slots=True)
class CityMap:
    """Lines of the segments (lon, lat) with what was predicted and observed on them; NaN without a test row."""

    horizon_days: int
    lines: tuple[Floats, ...]
    predicted: Floats
    observed: Floats


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The report (plain JSON), the map, and figures beside the truth by kind of labels, one a horizon."""

    report: dict[str, Any]
    map: CityMap
    beside_truth: dict[str, list[Measured]]


def evaluate(
    conn: psycopg.Connection[Any],
    settings: Settings,
    *,
    now: datetime,
    kinds: Sequence[SplitKind] = SPLIT_KINDS,
    parts: Iterable[Part] = PARTS,
    folds: int = 3,
    draws: int = DRAWS,
    most_truth_cuts: int = MOST_CUTS,
    recipe: Recipe = DEFAULT_RECIPE,
    world: World | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Evaluation:
    """Fit and test on every kind of split and measure. Writes nothing.

    Parameters
    ----------
    now : datetime
        What was recorded by then is used.
    kinds : sequence of str
        Splits; the headline is spatio-temporal, else temporal, spatial, random, the first that can be made. Why one
        cannot is in its place in the report.
    parts : iterable of str
        What is wanted besides: ablation, leak checks, and the truth of a city whose row says how it was simulated.
    folds : int
        Number of parts that the blocks of 500 m are dealt to for the splits in space.
    draws : int
        Resamples of the blocks for the intervals.
    most_truth_cuts : int
        Beside the truth are so many of the test cuts, evenly spaced; all of them where there are fewer.
    world : World, optional
        The simulated city's world where the caller has it; it is made again from the city's row otherwise.

    Raises
    ------
    NotEnoughHistoryError
        When records are too short, or too few for any of the splits.
    DemoError
        When another version of the simulator made the city.
    """
    report = on_progress or (lambda _: None)
    report(0.0)
    wanted = set(parts)
    simulated = read_simulated_city(conn) if "truth" in wanted else None
    if simulated is not None:
        # Ceilings are known at midnight: cuts of training and tests lie there too, for forecasts must be equally old.
        settings = settings.model_copy(update={"score_daily_at": time()})
    history = load_history(conn, settings, now=now, recipe=recipe)
    run = _Run(conn, settings, history, recipe, folds, draws)
    fitted: dict[SplitKind, list[Fold]] = {}
    missing: list[MissingSplit] = []
    for number, kind in enumerate(kinds):
        report(0.1 + 0.3 * number / len(kinds))
        try:
            fitted[kind] = run.fit(kind)
        except NotEnoughLabelsError as exc:
            missing.append(MissingSplit.because(kind, exc))
    if not fitted:
        told = " ".join(f"The {one.kind} split cannot be made. {one.reason_en}" for one in missing)
        raise NotEnoughHistoryError(f"{told} Record for longer, or bring in more of the past: `roadtwin import`.")
    report(0.4)
    headline = headline_of(fitted)
    splits = [run.split(kind, folds, curves=kind == headline) for kind, folds in fitted.items()]
    pooled = pool(headline, fitted[headline])
    result = run.header() | {
        "headline": headline,
        "splits": splits,
        "splits_missing": [asdict(one) for one in missing],
        "leakage_gap": _leakage_gap(splits),
        "effects": {
            "horizon_days": EFFECTS_HORIZON_DAYS,
            "features": effects(
                fitted[headline][0].model, fitted[headline][0].learn.features, EFFECTS_HORIZON_DAYS,
                names=FEATURE_SET.names,
            ),
        },
    }  # fmt: skip
    beside: dict[str, list[Measured]] = {}
    if "ablation" in wanted:
        result["ablation"] = run.ablation(headline, lambda part: report(0.5 + 0.2 * part))
    if "leaks" in wanted:
        report(0.7)
        result["leaks"] = run.leaks(fitted)
    if simulated is not None:
        world = world_of(simulated, settings.city_timezone) if world is None else world
        with_truth, beside = run.truth(
            headline, fitted[headline], world, most_truth_cuts, lambda part: report(0.75 + 0.25 * part)
        )
        result["truth"] = {"city": simulated.to_json()} | with_truth
    report(1.0)
    return Evaluation(plain(result), run.map(pooled), beside)


class _Run:
    """One evaluation: what its steps share."""

    def __init__(
        self,
        conn: psycopg.Connection[Any],
        settings: Settings,
        history: History,
        recipe: Recipe,
        folds: int,
        draws: int,
    ) -> None:
        self._conn, self._settings, self._history, self._recipe = conn, settings, history, recipe
        self._folds, self._draws = folds, draws
        segments = history.inputs.segments
        self._block: Ints = spatial_blocks(segments.positions_m(), size_m=BLOCK_M)
        self._districts = segments.districts

    def header(self) -> dict[str, Any]:
        """What was evaluated."""
        history = self._history
        tested = np.unique(history.test_rows.cut)
        city = read_city(self._conn)
        return {
            "report_version": REPORT_VERSION,
            "city": city.name if city is not None else "",
            "data": "simulated" if history.simulated else "recorded",
            "data_from": str(history.data_from),
            "data_until": str(history.data_until),
            "segments": len(history.inputs.segments),
            "blocks": int(self._block.max(initial=-1)) + 1,
            "rows": len(history.rows),
            "test_rows": len(history.test_rows),
            "test_cuts": int(tested.size),
            "winters": {"recorded": count_winters(history.cuts), "tested": count_winters(tested)},
            "split": {
                "calibrate_from": str(history.holdout.calibrate_from),
                "test_from": str(history.holdout.test_from),
                "embargo_days_beyond_horizon": MATURITY_DAYS,
                "block_m": BLOCK_M,
                "folds": self._folds,
            },
            "intervals": {"share": INTERVAL, "draws": self._draws, "over": "blocks"},
            "crew_capacity": self._settings.crew_capacity,
            "feature_set_version": FEATURE_SET.version,
            "rule_version": RULE_VERSION,
            "recipe": asdict(self._recipe),
            "library_versions": library_versions(),
        }

    def fit(self, kind: SplitKind) -> list[Fold]:
        """The fitted folds of a split. Raises NotEnoughLabelsError."""
        history, recipe = self._history, self._recipe
        return fit_split(
            kind, history.rows, history.test_rows, history.holdout, self._block, lambda: new_model(recipe),
            folds=self._folds, seed=recipe.seed,
        )  # fmt: skip

    def measure(
        self, forecasts: Forecasts, *, balanced: Sequence[str] = (MODEL,), curves: bool = False
    ) -> list[Measured]:
        """Figures of every horizon."""
        return [
            figures_of(
                forecasts, column, block=self._block, capacity=self._settings.crew_capacity,
                districts=self._districts, draws=self._draws, balanced=balanced, curves=curves,
            )
            for column in range(len(forecasts.rows.horizons_days))
        ]  # fmt: skip

    def split(self, kind: SplitKind, folds: Sequence[Fold], *, curves: bool) -> dict[str, Any]:
        """A split's part of the report."""
        forecasts = pool(kind, folds)
        cut = forecasts.rows.cut
        return {
            "kind": kind,
            "first_test_cut": str(cut.min().astype("datetime64[D]")),
            "last_test_cut": str(cut.max().astype("datetime64[D]")),
            "test_winters": count_winters(cut),
            "horizons": [m.json for m in self.measure(forecasts, curves=curves)],
        }

    def ablation(self, kind: SplitKind, on_progress: Callable[[float], None]) -> dict[str, Any]:
        """Skill by the groups of features that are known."""
        history, recipe = self._history, self._recipe
        steps = ablation(
            kind, history.rows, history.test_rows, history.holdout, self._block, lambda: new_model(recipe),
            capacity=self._settings.crew_capacity, districts=self._districts, folds=self._folds, seed=recipe.seed,
            on_progress=on_progress,
        )  # fmt: skip
        return {
            "split": kind,
            "steps": [
                {
                    "groups": list(step.groups),
                    "horizons": [{"horizon_days": h.horizon_days, **asdict(h.model)} for h in step.result.horizons],
                }
                for step in steps
            ],
        }

    def leaks(self, fitted: dict[SplitKind, list[Fold]]) -> dict[str, Any]:
        """What the leak checks found; every split in time must keep its embargo. `passed` None: nothing to check."""
        features, first = self._future_in_features(), next(iter(fitted.values()))[0]
        shuffled = shuffled_labels(first.learn, first.held_out)
        embargo = {kind: embargo_of([(fold.learn, fold.held_out) for fold in folds]) for kind, folds in fitted.items()}
        in_time = [found for kind, found in embargo.items() if kind in ("temporal", "spatio-temporal")]
        return {
            "passed": all_passed([features.passed, shuffled.passed, *(found.passed for found in in_time)]),
            "future_in_features": asdict(features) | {"passed": features.passed},
            "shuffled_labels": asdict(shuffled) | {"passed": shuffled.passed},
            "embargo": {kind: asdict(found) | {"passed": found.passed} for kind, found in embargo.items()},
        }

    def _future_in_features(self) -> FutureInFeatures:
        """Features at the first, middle and last test cut, and those from a database that ends there."""
        cuts = np.unique(self._history.test_rows.cut)

        def as_known_then(cut: Instant) -> Any:
            inputs = load_city(self._conn, self._settings, now=to_datetime(int(cut.astype(np.int64))))
            return FeatureBuilder(inputs).at(cut)

        chosen = [cuts[0], cuts[cuts.size // 2], cuts[-1]]
        since = read_register_since(self._conn)
        return future_in_features(
            chosen, FeatureBuilder(self._history.inputs).at, as_known_then,
            register_since=None if since is None else to_instant(since),
        )  # fmt: skip

    def truth(
        self,
        kind: SplitKind,
        folds: Sequence[Fold],
        world: World,
        most_cuts: int,
        on_progress: Callable[[float], None],
    ) -> tuple[dict[str, Any], dict[str, list[Measured]]]:
        """The part of the report that only a simulated city has, and its figures by kind of labels."""
        found = beside_truth(
            self._conn, world, self._history, folds, kind, most_cuts=most_cuts, on_progress=on_progress
        )
        balanced = (MODEL, *CEILINGS)
        measured = {labels: self.measure(found.labelled(labels), balanced=balanced) for labels in LABELS}
        gates = [gate for labels in LABELS for m in measured[labels] for gate in gates_of([m], labels)]
        covered, horizons = _coverage(found), found.forecasts.rows.horizons_days
        gates += [coverage_gate(days, [one]) for days, one in zip(horizons, covered, strict=True)]
        part = {
            "split": kind,
            "cuts": [str(cut) for cut in np.unique(found.forecasts.rows.cut)],
            "labels": {labels: [m.json for m in by_horizon] for labels, by_horizon in measured.items()},
            "coverage": covered,
            "gates": gates_json(gates),
            "events": asdict(event_figures(self._conn, world, self._history)),
        }
        return part, measured

    def map(self, forecasts: Forecasts) -> CityMap:
        """Predicted and observed by segment."""
        column = forecasts.rows.horizons_days.index(EFFECTS_HORIZON_DAYS)
        wkb = {row.segment_id: row.geometry_wkb for row in read_current_segments(self._conn)}
        ids = self._history.inputs.segments.segment_id.tolist()
        lines = tuple(shapely.get_coordinates(shapely.from_wkb(wkb[segment_id])) for segment_id in ids)
        mean = by_segment(forecasts, column, len(ids))
        return CityMap(EFFECTS_HORIZON_DAYS, lines, mean["predicted"], mean["observed"])


def _coverage(truth: Truth) -> list[dict[str, Any]]:
    return [coverage(truth, column) for column in range(len(truth.forecasts.rows.horizons_days))]


def _leakage_gap(splits: Sequence[dict[str, Any]]) -> list[dict[str, Any]] | None:
    """What the random split gains over the headline: not skill, but what knowing the neighbours is worth."""
    by_kind = {split["kind"]: split for split in splits}
    if not {"random", HEADLINE} <= set(by_kind):
        return None
    pairs = zip(by_kind["random"]["horizons"], by_kind[HEADLINE]["horizons"], strict=True)
    return [
        {"horizon_days": random["horizon_days"]}
        | {
            figure: random["forecasts"][MODEL][figure] - honest["forecasts"][MODEL][figure]
            for figure in ("roc_auc", "brier_skill")
        }
        for random, honest in pairs
    ]
