"""Backtests on real event files: predict a window from what was before it, and score the prediction if it is over.

Every scoring of a window is written to a log in the data directory and counted in the report: a window that was looked
at often is no hold-out any more.
"""

import csv
from collections.abc import Callable
from dataclasses import asdict, dataclass
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from models.evaluation import count_winters, plain
from models.inputs import Floats
from models.metrics import at_capacity, at_top, gain_curve, reliability, roc_curve, skill
from models.recurrence import Recurrence, TooShortHistoryError, WeatherDays, learn_before, predict
from models.resampling import BlockResampling, interval
from roadtwin.errors import InputFileError
from roadtwin.jobs.event_files import EventFile, day_number
from roadtwin.jobs.scorings import note_scoring

METHOD_VERSION = 3
MAX_HORIZON_DAYS = 1100
_TOP_SHARE = 0.1
_ON_WORST = "events_on_worst_10_pct"
_RESAMPLES = 200
_RESAMPLING_SEED = 20_200_601


@dataclass(frozen=True, slots=True)
class Backtest:
    """Probabilities of one window and the report about them (plain JSON)."""

    prediction: Recurrence
    report: dict[str, Any]


def backtest(
    events: EventFile,
    cut: date,
    horizon_days: int,
    *,
    weather: WeatherDays | None,
    log: Path,
    on_progress: Callable[[float], None] | None = None,
) -> Backtest:
    """Predict the window that begins on `cut`, and score it when the file holds all of it.

    Raises
    ------
    InputFileError
        When the horizon is impossible or too few days lie before the cut.
    """
    if not 1 <= horizon_days <= MAX_HORIZON_DAYS:
        raise InputFileError(f"Horizon: got {horizon_days} days, expected 1 to {MAX_HORIZON_DAYS}.")
    report = on_progress or (lambda _: None)
    begin, history = day_number(cut), events.history
    try:
        lessons = learn_before(history, begin, horizon_days, on_progress=lambda part: report(0.6 * part))
    except TooShortHistoryError as exc:
        raise InputFileError(f"Cut {cut}: {exc} The file begins on {events.first_day}.") from None
    model = predict(lessons, weather=weather)
    count_only, constant = predict(lessons, only=("events_a_year",)), predict(lessons, only=())
    report(0.8)
    end = cut + timedelta(days=horizon_days)
    result: dict[str, Any] = {
        "method_version": METHOD_VERSION,
        "data": "recorded",
        "events": {
            "sha256": events.sha256,
            "rows": events.rows,
            "used": len(history.day),
            "left_out": dict(events.left_out),
            "notes": [english for english, _ in events.notes],
            "notes_de": [german for _, german in events.notes],
            "first_day": str(events.first_day),
            "last_day": str(events.last_day),
        },
        "cut": str(cut),
        "horizon_days": horizon_days,
        "window_end": str(end),
        "segments": len(model.segment_ids),
        "features": list(model.features),
        "training_windows": model.windows,
        "weather": "not given" if weather is None else "used" if model.uses_weather else "given, of no use",
    }
    if events.last_day < end - timedelta(days=1):
        result["scored"] = None
        result["why_not_scored"] = f"the window ends on {end}, the file on {events.last_day}"
        report(1.0)
        return Backtest(model, result)
    place = {segment: number for number, segment in enumerate(history.segment_ids)}
    index = np.array([place[segment] for segment in model.segment_ids], np.int64)
    happened = history.counts(begin, begin + horizon_days)[index]
    street = index if history.street is None else np.where(history.street[index] < 0, -1 - index, history.street[index])
    forecasts = {
        "model": model.probability,
        "count_so_far": count_only.probability,
        "climatology": constant.probability,
    }
    ranking = {"model": model.probability, "count_so_far": model.events_so_far.astype(np.float64)}
    result["scored"] = {
        "segments_with_event": int((happened > 0).sum()),
        "events_in_window": int(happened.sum()),
        "winters_tested": count_winters(
            (np.datetime64(cut) + np.arange(horizon_days)).astype("datetime64[us]"),
        ),
        "forecasts": {name: _skill(happened, p, ranking.get(name, p)) for name, p in forecasts.items()},
        **_with_intervals(happened, forecasts, ranking, street),
        "curves": _curves(happened, forecasts, ranking),
        "log": note_scoring(log, events, cut, horizon_days, METHOD_VERSION),
    }
    report(1.0)
    return Backtest(model, plain(result))


def _skill(happened: NDArray[np.int64], probability: Floats, ranking: Floats) -> dict[str, Any]:
    """Figures of a forecast; where its order is that of another number (count so far), every figure of ranks is of it.

    A count's probability has the same order but for ties: its levels end where its effect is constant.
    """
    labels, one_day = (happened > 0).astype(np.float64), np.zeros(len(happened), np.int64)
    figures = asdict(skill(labels, probability, one_day, capacity=round(_TOP_SHARE * len(labels))))
    del figures["at_capacity"]
    if 0 < labels.mean() < 1:
        figures["roc_auc"] = float(roc_auc_score(labels, ranking))
        figures["pr_auc"] = float(average_precision_score(labels, ranking))
    figures["at_10_pct"] = asdict(at_capacity(labels, ranking, one_day, share=_TOP_SHARE))
    top = at_top(ranking, one_day, share=_TOP_SHARE)
    figures[_ON_WORST] = float(happened[top].sum() / happened.sum()) if happened.sum() else float("nan")
    return figures


def _with_intervals(
    happened: NDArray[np.int64], forecasts: dict[str, Floats], ranking: dict[str, Floats], street: NDArray[np.integer]
) -> dict[str, Any]:
    """Intervals of all figures, and of the model's gains, by resampling whole streets."""
    events, one_day = happened.astype(np.float64), np.zeros(len(happened), np.int64)
    labels = (happened > 0).astype(np.float64)
    resampling = BlockResampling(
        labels, street, one_day, capacity=round(_TOP_SHARE * len(labels)), draws=_RESAMPLES, seed=_RESAMPLING_SEED
    )
    figures = resampling.figures(forecasts, ranking)
    for name, (own, draws) in figures.items():
        top = at_top(ranking.get(name, forecasts[name]), one_day, share=_TOP_SHARE)
        own[_ON_WORST], draws[_ON_WORST] = resampling.ratio(events * top, events)
    model, count = figures["model"], figures["count_so_far"]
    gain = model[1]["roc_auc"] - count[1]["roc_auc"]
    known = gain[np.isfinite(gain)]
    low, high = np.quantile(known, [0.025, 0.975]) if known.size else (float("nan"), float("nan"))
    with np.errstate(invalid="ignore"):  # figures that a small city leaves infinite have no difference: NaN
        model_minus = {
            name: {key: _ends(model[0][key] - own[key], model[1][key] - draws[key]) for key in own}
            for name, (own, draws) in figures.items()
            if name != "model"
        }
    return {
        "resamples": _RESAMPLES,
        "intervals": {
            name: {key: _ends(own[key], draws[key]) for key in own} for name, (own, draws) in figures.items()
        },
        "model_minus": model_minus,
        "model_minus_count_so_far_roc_auc": {
            "difference": float(model[0]["roc_auc"][0] - count[0]["roc_auc"][0]), "low": float(low), "high": float(high)
        },
    }  # fmt: skip


def _ends(own: Floats, draws: Floats) -> list[float]:
    found = interval(float(own[0]), draws)
    return [found.value, found.low, found.high]


def _curves(
    happened: NDArray[np.int64], forecasts: dict[str, Floats], ranking: dict[str, Floats]
) -> dict[str, dict[str, Any]]:
    """What the page draws: reliability, ROC, and events found by the share of the segments that is looked at."""
    labels = (happened > 0).astype(np.float64)
    order = {name: ranking.get(name, p) for name, p in forecasts.items()}
    return {
        "reliability": {name: [asdict(one) for one in reliability(labels, p)] for name, p in forecasts.items()},
        "roc": {name: roc_curve(labels, p) for name, p in order.items()},
        "gain": {name: gain_curve(happened.astype(np.float64), p) for name, p in order.items()},
    }


def write_predictions(path: Path, prediction: Recurrence) -> None:
    """CSV with segment_id and probability, the most likely first. Raises InputFileError."""
    order = np.lexsort((np.array(prediction.segment_ids), -prediction.probability))
    try:
        with path.open("w", encoding="utf-8", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["segment_id", "probability"])
            writer.writerows(
                (prediction.segment_ids[i], f"{float(prediction.probability[i]):.6f}") for i in order.tolist()
            )
    except OSError as exc:
        raise InputFileError(f"{path}: cannot be written: {exc.strerror}.") from None
