"""Plots of a report's figures: skill with intervals, reliability, balances, ROC and lift."""

from collections.abc import Mapping, Sequence
from typing import Any

from matplotlib.axes import Axes

from roadtwin.jobs.pages.words import FIGURES, FORECASTS, KINDS, SPLITS, Plot, plot
from roadtwin.reporting.drawing import (
    BAND,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    PURPLE,
    RED,
    REFERENCE,
    SKY,
    TALL,
    WIDE,
    figure,
    svg,
)

COLOURS = {
    "model": RED, "climatology": SKY, "count_so_far": BLUE, "visible_damage": ORANGE, "logistic_six": GREEN,
    "oracle": BLACK, "informed": PURPLE, "true_count_so_far": BLUE, "true_climatology": SKY,
}  # fmt: skip
_SPLIT_COLOURS = {"temporal": BLUE, "spatio-temporal": RED, "spatial": GREEN, "random": "#999999"}
_HORIZON_COLOURS = {7: SKY, 28: BLUE, 90: BLACK}
SQUARES = (9.2, 3.2)
Horizons = Sequence[Mapping[str, Any]]


def days(horizon: Mapping[str, Any]) -> str:
    """Name of a horizon."""
    return f"{horizon['horizon_days']} days"


def splits_plot(report: Mapping[str, Any]) -> Plot:
    """ROC-AUC and Brier skill of every forecast in every split, by horizon."""
    splits = report["splits"]
    count = len(splits[0]["horizons"])
    with figure((9.2, 5.6), rows=2, columns=count, sharey=True) as (drawing, axes):
        for row, name in enumerate(("roc_auc", "brier_skill")):
            for column in range(count):
                place = axes[row * count + column]
                of = {s["kind"]: s["horizons"][column]["intervals"] for s in splits}
                _dots(place, of, name, {kind: _SPLIT_COLOURS[kind] for kind in of}, {k: SPLITS[k][0] for k in of})
                place.set_title(f"{FIGURES[name][0]}, {days(splits[0]['horizons'][column])}")
        drawing.legend(*axes[0].get_legend_handles_labels(), loc="outside upper right", ncols=len(splits))
        image = svg(drawing)
    found = report["intervals"]
    return plot("splits", image, block=report["split"]["block_m"], share=100 * found["share"], draws=found["draws"])


def _dots(
    axes: Axes,
    of: Mapping[str, Mapping[str, Mapping[str, Sequence[float | None]]]],
    name: str,
    colours: Mapping[str, str],
    labels: Mapping[str, str],
) -> None:
    """A row for each forecast, a mark with its interval for each of `of`."""
    forecasts = list(next(iter(of.values())))
    for number, (key, found) in enumerate(of.items()):
        shift = 0.16 * ((len(of) - 1) / 2 - number)
        rows = [(len(forecasts) - 1 - row + shift, *found[forecast][name]) for row, forecast in enumerate(forecasts)]
        known = [row for row in rows if None not in row]
        if not known:
            continue
        at, value, low, high = zip(*known, strict=True)
        axes.hlines(at, low, high, color=colours[key], lw=1.6)
        axes.plot(value, at, "o", ms=3.5, color=colours[key], label=labels[key])
    axes.set_yticks(range(len(forecasts)), [FORECASTS[forecast][0] for forecast in reversed(forecasts)])
    axes.set_ylim(-0.6, len(forecasts) - 0.4)


def ceilings_plot(horizons: Horizons) -> Plot:
    """All forecasts of true holes, the best informed first."""
    order = ("oracle", "informed", "true_count_so_far", "true_climatology", "model")
    with figure((9.2, 5.2), rows=2, columns=len(horizons), sharey=True) as (drawing, axes):
        for row, name in enumerate(("roc_auc", "brier_skill")):
            for column, horizon in enumerate(horizons):
                place, found = axes[row * len(horizons) + column], horizon["intervals"]
                names = [*order, *(n for n in found if n not in order)]
                for number, forecast in enumerate(reversed(names)):
                    value, low, high = found[forecast][name]
                    if value is None:
                        continue
                    place.hlines([number], low, high, color=COLOURS[forecast], lw=2)
                    place.plot([value], [number], "o", ms=5 if forecast == "model" else 4, color=COLOURS[forecast])
                place.set_yticks(range(len(names)), [FORECASTS[forecast][0] for forecast in reversed(names)])
                place.set_title(f"{FIGURES[name][0]}, {days(horizon)}")
        image = svg(drawing)
    return plot("ceilings", image)


def reliability_plot(horizons: Horizons) -> Plot:
    """Ten bins of the model by horizon."""
    with figure(SQUARES, columns=len(horizons)) as (drawing, axes):
        for place, horizon in zip(axes, horizons, strict=True):
            draw_reliability(place, {"model": horizon["reliability"]["model"]})
            place.set_title(days(horizon))
        axes[0].set_ylabel("happened [%]")
        image = svg(drawing)
    return plot("reliability", image)


def draw_reliability(axes: Axes, bins: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Bins of forecasts against the line on which each would be right."""
    most = 1.0
    for name, found in bins.items():
        x, y = ([100 * one[key] for one in found] for key in ("predicted", "observed"))
        axes.plot(x, y, "o-", ms=4, color=COLOURS[name], label=FORECASTS[name][0])
        most = max(most, *x, *y)
    axes.plot([0, 1.05 * most], [0, 1.05 * most], color=REFERENCE, lw=0.9, ls="--")
    axes.set_xlabel("forecast [%]")


def balance_plot(horizons: Horizons, winters: int) -> Plot:
    """Predicted over observed by group, a mark for each horizon."""
    titles = {"season": "predicted / observed by season", "road_class": "by road class", "district": "by district"}
    with figure(TALL, columns=3, width_ratios=[4, 4, 5]) as (drawing, axes):
        for place, (group, title) in zip(axes, titles.items(), strict=True):
            names = list(dict.fromkeys(name for h in horizons for name in h["balance"]["model"][group]))
            place.axvspan(0.8, 1.25, color=BAND, lw=0)
            place.axvline(1, color=REFERENCE, lw=1)
            for number, horizon in enumerate(horizons):
                found = horizon["balance"]["model"][group]
                rows = [
                    (len(names) - 1 - row + 0.2 * (1 - number), found[name]["ratio"])
                    for row, name in enumerate(names)
                    if name in found and found[name]["ratio"] is not None
                ]
                place.plot(
                    [ratio for _, ratio in rows], [at for at, _ in rows], "o", ms=4.5,
                    color=_HORIZON_COLOURS.get(horizon["horizon_days"], BLACK), label=days(horizon),
                )  # fmt: skip
            shown = [KINDS.get(name, (name, name))[0] for name in reversed(names)]
            place.set_yticks(range(len(names)), shown)
            place.set_ylim(-0.6, len(names) - 0.4)
            place.set_title(title)
        axes[0].legend(loc="best")
        image = svg(drawing)
    return plot("balance", image, winters=winters)


def curve_plot(key: str, by_title: Mapping[str, Mapping[str, Sequence[Sequence[float]]]], x: str, y: str) -> Plot:
    """ROC or lift curves, a diagram for each title, a line for each forecast."""
    with figure(SQUARES, columns=len(by_title)) as (drawing, axes):
        for place, (title, curves) in zip(axes, by_title.items(), strict=True):
            draw_curves(place, curves, at_a_tenth=key == "gain")
            place.set_title(title)
            place.set_xlabel(x)
        axes[0].set_ylabel(y)
        axes[-1].legend(loc="lower right")
        image = svg(drawing)
    return plot(key, image)


def draw_curves(axes: Axes, curves: Mapping[str, Sequence[Sequence[float]]], *, at_a_tenth: bool) -> None:
    """Lines from (0, 0) to (1, 1), and that of guessing."""
    axes.plot([0, 1], [0, 1], color=REFERENCE, lw=0.9, ls="--")
    if at_a_tenth:
        axes.axvline(0.1, color=REFERENCE, lw=0.9, ls=":")
    for name, points in curves.items():
        width = 2.0 if name == "model" else 1.1
        axes.plot(
            [p[0] for p in points], [p[1] for p in points], color=COLOURS[name], lw=width, label=FORECASTS[name][0]
        )
    axes.set_xlim(0, 1)
    axes.set_ylim(0, 1.02)


def worlds_plot(worlds: Sequence[Horizons]) -> Plot:
    """Model over ceiling in each world, with the gates."""
    titles = {
        "roc_auc": "ROC-AUC of the model over that of the ceiling",
        "brier_skill": "Brier skill of the model over that of the ceiling",
    }
    with figure(TALL, columns=2) as (drawing, axes):
        for place, (name, title) in zip(axes, titles.items(), strict=True):
            for number in range(len(worlds[0])):
                horizon_days = worlds[0][number]["horizon_days"]
                pairs = [
                    (w[number]["forecasts"]["informed"][name], w[number]["forecasts"]["model"][name]) for w in worlds
                ]
                known = [pair for pair in pairs if None not in pair]
                place.plot(
                    [x for x, _ in known], [y for _, y in known], "o", ms=5,
                    color=_HORIZON_COLOURS.get(horizon_days, BLACK), label=f"{horizon_days} days",
                )  # fmt: skip
            low, high = place.get_xlim()
            gate = [low - 0.02, high - 0.02] if name == "roc_auc" else [0.8 * low, 0.8 * high]
            place.plot([low, high], [low, high], color=REFERENCE, lw=0.9)
            place.plot([low, high], gate, color=REFERENCE, lw=0.9, ls="--")
            place.set_xlabel("informed ceiling")
            place.set_title(title)
        axes[1].legend(loc="best")
        image = svg(drawing)
    return plot("worlds", image)


def coverage_plot(coverage: Sequence[Mapping[str, Any]], horizons: Horizons) -> Plot:
    """Share inside the intervals by fifth of the forecast."""
    fifths = ("least", "2nd", "3rd", "4th", "most")
    with figure(WIDE, columns=len(coverage), sharey=True) as (drawing, axes):
        for place, found, horizon in zip(axes, coverage, horizons, strict=True):
            place.axhspan(85, 95, color=BAND, lw=0)
            for name in ("oracle", "informed"):
                shares = [100 * share for share in found[name]["by_fifth"]]
                place.plot(range(5), shares, "o-", ms=4, color=COLOURS[name], label=FORECASTS[name][0])
            place.set_xticks(range(5), fifths)
            place.set_ylim(0, 102)
            place.set_title(days(horizon))
        axes[0].set_ylabel("inside [%]")
        axes[-1].legend(loc="lower left")
        image = svg(drawing)
    return plot("coverage", image)
