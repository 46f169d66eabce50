"""Beside the truth of a simulated city: how far the model is from the best that could be known.

The same segments (all of them, also those that nobody ever passed) on the mornings of the same test cuts are forecast
by the held-out models, by their baselines and by the ceilings of `simulators.ceilings`. Two kinds of labels are kept
apart: *true*, a hole broke open in the window; *recorded*, a confirmed hole was first recorded in it, unknown where
nobody looked. The model learns recorded ones, for a city has no others.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import date
from typing import Any

import numpy as np
import psycopg
from numpy.typing import NDArray

from models.dataset import MATURITY_DAYS, Dataset, days, make_labels
from models.days import local_day, local_day_start
from models.evaluation import MODEL, Fold, Forecasts, SplitKind
from models.features.build import FeatureBuilder
from models.inputs import Floats, Instant, Instants
from models.potholes import derive
from roadtwin.jobs.event_truth import EventFigures, compare, derived_holes, true_holes
from roadtwin.jobs.inputs import load_evidence, load_looks, to_datetime
from roadtwin.jobs.train import History
from roadtwin.storage.model_inputs import read_model_segments
from simulators.ceilings.ceilings import ceilings_at
from simulators.world import World

CEILINGS = ("oracle", "informed")
TRUTH_BASELINES = {"count_so_far": "true_count_so_far", "climatology": "true_climatology"}
"""Baselines of the ceilings know every true hole so far, which no city does: they get names of their own."""
MOST_CUTS = 30


@dataclass(frozen=True, slots=True)
class Truth:
    """n rows, all segments on the morning of each cut; `forecasts` have the recorded labels, `true` (n, n_horizons)
    the true ones of the same windows.

    `low`, `high` (n, n_horizons) are the model's intervals of its probabilities.
    """

    forecasts: Forecasts
    true: Floats
    low: Floats
    high: Floats

    def labelled(self, labels: str) -> Forecasts:
        """The forecasts with `true` or `recorded` labels."""
        if labels == "recorded":
            return self.forecasts
        return replace(self.forecasts, rows=replace(self.forecasts.rows, labels=self.true))


def truth_cuts(history: History, most: int = MOST_CUTS) -> list[date]:
    """The local days of the test cuts; `most` evenly spaced ones where there are more: ceilings take seconds each."""
    zone = history.inputs.timezone
    cuts = local_day(np.unique(history.test_rows.cut), zone)
    chosen = np.unique(np.round(np.linspace(0, cuts.size - 1, min(cuts.size, most))).astype(np.int64))
    result: list[date] = cuts[chosen].tolist()
    return result


def beside_truth(
    conn: psycopg.Connection[Any],
    world: World,
    history: History,
    folds: Sequence[Fold],
    kind: SplitKind,
    *,
    most_cuts: int = MOST_CUTS,
    on_progress: Callable[[float], None] | None = None,
) -> Truth:
    """Forecasts of all segments on the mornings of the test cuts, with true and recorded labels.

    Each segment is forecast by the fold that did not learn from it. Windows that are not settled at the end of the
    records are left out for both kinds of labels, so that both speak of the same windows.
    """
    report = on_progress or (lambda _: None)
    inputs, horizons = history.inputs, history.rows.horizons_days
    cuts = truth_cuts(history, most_cuts)
    found = ceilings_at(world, cuts, horizons, on_progress=lambda part: report(0.8 * part))
    order = _order_of(conn, world)
    builder = FeatureBuilder(inputs, history.rows.feature_set)
    parts: list[dict[str, NDArray[Any]]] = []
    for number, (cut, ceiling) in enumerate(zip(cuts, found, strict=True)):
        report(0.8 + 0.2 * number / len(cuts))
        at = local_day_start(np.array([cut], "datetime64[D]"), inputs.timezone)[0]
        recorded = make_labels(inputs, at, horizons_days=horizons)
        true = (ceiling.observed[order] > 0).astype(np.float64)
        unsettled = [at + days(h + MATURITY_DAYS) > history.data_until for h in horizons]
        recorded[:, unsettled] = true[:, unsettled] = np.nan
        rows = _rows_at(history, builder, at, recorded)
        forecasts, low, high = _held_out(folds, rows)
        forecasts |= {name: getattr(ceiling, name)[order] for name in CEILINGS}
        forecasts |= {name: getattr(ceiling, source)[order] for source, name in TRUTH_BASELINES.items()}
        own: dict[str, NDArray[Any]] = {"true": true, "low": low, "high": high, "labels": recorded}
        own["features"] = rows.features
        parts.append(own | forecasts)
    joined = {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
    count = len(inputs.segments)
    rows = Dataset(
        features=joined.pop("features"),
        labels=joined.pop("labels"),
        segment_index=np.tile(np.arange(count, dtype=np.int32), len(cuts)),
        cut=np.repeat(_mornings(history, cuts), count),
        district=np.tile(inputs.segments.district, len(cuts)),
        road_class=np.tile(inputs.segments.road_class, len(cuts)),
        horizons_days=horizons,
        feature_set=history.rows.feature_set,
    )
    true, low, high = joined.pop("true"), joined.pop("low"), joined.pop("high")
    report(1.0)
    return Truth(Forecasts(kind, rows, joined), true, low, high)


def _mornings(history: History, cuts: Sequence[date]) -> Instants:
    return local_day_start(np.array(cuts, "datetime64[D]"), history.inputs.timezone)


def _order_of(conn: psycopg.Connection[Any], world: World) -> NDArray[np.int64]:
    """Place in the world of each segment of the database."""
    place = {public_id: number for number, public_id in enumerate(world.segment_ids)}
    return np.array([place[row.public_id] for row in read_model_segments(conn)], np.int64)


def _rows_at(history: History, builder: FeatureBuilder, at: Instant, labels: Floats) -> Dataset:
    segments = history.inputs.segments
    return Dataset(
        features=builder.at(at),
        labels=labels,
        segment_index=np.arange(len(segments), dtype=np.int32),
        cut=np.full(len(segments), at),
        district=segments.district,
        road_class=segments.road_class,
        horizons_days=history.rows.horizons_days,
        feature_set=history.rows.feature_set,
    )


def _held_out(folds: Sequence[Fold], rows: Dataset) -> tuple[dict[str, Floats], Floats, Floats]:
    """Forecasts of every segment by the fold that did not learn from it, and the model's intervals.

    A block of which no segment has a test row was not learned from by any fold: the first one forecasts it.
    """
    owner = np.zeros(len(rows), np.int64)
    for number, fold in enumerate(folds):
        owner[fold.segments] = number
    parts = [(np.flatnonzero(owner == number), fold) for number, fold in enumerate(folds)]
    named: dict[str, Floats] = {}
    low, high = np.full(rows.labels.shape, np.nan), np.full(rows.labels.shape, np.nan)
    for where, fold in parts:
        own = rows.take(where)
        for name, probability in fold.predict(own).items():
            named.setdefault(name, np.full(rows.labels.shape, np.nan))[where] = probability
        predicted = fold.model.predict(own.features)
        low[where], high[where] = predicted.low, predicted.high
    return named, low, high


def coverage(truth: Truth, column: int) -> dict[str, Any]:
    """Share of the rows whose ceiling lies within the model's interval, by ceiling; and by fifths of the forecast."""
    known = np.isfinite(truth.true[:, column])
    p = truth.forecasts.probability[MODEL][known, column]
    low, high = truth.low[known, column], truth.high[known, column]
    fifth = np.array_split(np.argsort(p, kind="stable"), 5)
    result: dict[str, Any] = {"mean_width": float((high - low).mean())}
    for name in CEILINGS:
        ceiling = truth.forecasts.probability[name][known, column]
        inside = (low <= ceiling) & (ceiling <= high)
        result[name] = {
            "share": float(inside.mean()),
            "below": float((ceiling < low).mean()),
            "above": float((ceiling > high).mean()),
            "by_fifth": [float(inside[part].mean()) for part in fifth],
        }
    return result


def event_figures(conn: psycopg.Connection[Any], world: World, history: History) -> EventFigures:
    """How well the event rule found the true holes of the test time, and those of segments without any good pass."""
    now = to_datetime(int(history.data_until.astype(np.int64)))
    until = history.data_until - days(MATURITY_DAYS)
    segments = read_model_segments(conn)
    true = true_holes(world, {row.public_id: row.section_id for row in segments}, now.astimezone(world.zone).date())
    derived = derived_holes(derive(load_evidence(conn, now=now), load_looks(conn, now=now), history.data_until))
    table = history.inputs.segment_days
    passed = np.zeros(len(segments), bool)
    passed[table.segment_index[table.good_passes > 0]] = True
    seen = np.empty(len(segments), bool)
    seen[_order_of(conn, world)] = passed
    groups = {"passed": seen[true.segment_index], "never_passed": ~seen[true.segment_index]}
    return compare(true, derived, since=history.holdout.test_from, until=until, groups=groups)
