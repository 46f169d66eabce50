"""Plots of what the model is made of: worth of its records, reasons, and the map."""

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.colors import BoundaryNorm, ListedColormap

from models.features import FEATURE_SET
from models.inputs import Floats
from roadtwin.jobs.evaluate import CityMap
from roadtwin.jobs.pages.plots import days
from roadtwin.jobs.pages.words import FIGURES, GROUPS, Plot, plot
from roadtwin.reporting.drawing import BLACK, BLUE, RED, SKY, figure, png, svg
from roadtwin.reporting.page import both

_MAP_COLOURS = ("#3B7DB8", "#8FC1DE", "#FEE08B", "#F46D43", "#A50026")  # luminance and hue both change
_LABELS = {feature.name: feature.label_en for feature in FEATURE_SET.features}
_MOST_EFFECTS = 9


def ablation_plot(steps: Sequence[Mapping[str, Any]]) -> Plot:
    """Skill by the groups that are known."""
    names = [GROUPS[step["groups"][-1]][0] for step in steps]
    names = [names[0], *(f"+ {name}" for name in names[1:])]
    with figure(columns=2) as (drawing, axes):
        for place, name in zip(axes, ("roc_auc", "brier_skill"), strict=True):
            for number, colour in zip(range(len(steps[0]["horizons"])), (SKY, BLUE, BLACK), strict=False):
                values = [step["horizons"][number][name] for step in steps]
                place.plot(
                    range(len(steps)), values, "o-", ms=4, color=colour, label=days(steps[0]["horizons"][number])
                )
            place.set_xticks(range(len(steps)), names)
            place.margins(x=0.08)
            place.set_title(FIGURES[name][0])
        axes[1].legend(loc="best")
        image = svg(drawing)
    return plot("ablation", image)


def effects_plot(effects: Mapping[str, Any]) -> Plot:
    """Strength of the reasons, and the effect of the strongest over their range."""
    found = effects["features"]
    shown = found[:_MOST_EFFECTS]
    with figure((9.2, 6.4)) as (drawing, (only,)):
        only.remove()
        parts: Any = drawing.subfigures(1, 2, width_ratios=[4, 6])
        left, right = parts
        bars = left.subplots()
        at = np.arange(len(found))[::-1]
        bars.barh(at, [one["strength_log_odds"] for one in found], color=RED, height=0.6)
        bars.set_yticks(at, [_LABELS[one["feature"]] for one in found], fontsize=7)
        for place, one, number in zip(at, found, range(1, len(found) + 1), strict=True):
            bars.text(one["strength_log_odds"], place, f" {number}", va="center", fontsize=8)
        bars.margins(x=0.12)
        bars.set_title("reasons: mean size of the effect [log-odds]", loc="right")
        grid = list(right.subplots(3, 3, squeeze=False, sharey=True).flat)
        for number, (place, one) in enumerate(zip(grid, shown, strict=False), 1):
            x, y = np.array(one["effect"]).T if one["effect"] else (np.zeros(0), np.zeros(0))
            place.axhline(0, color="#AAAAAA", lw=0.8)
            place.plot(x, y, "o-", ms=2.5, color=BLUE)
            place.set_title(str(number))
            place.tick_params(labelsize=7)
        for place in grid[len(shown) :]:
            place.set_visible(False)
        grid[3].set_ylabel("effect [log-odds]")
        image = svg(drawing)
    return plot("effects", image, horizon=effects["horizon_days"])


def map_plot(city: CityMap) -> Plot:
    """Predicted and observed side by side, in the same classes."""
    values = np.concatenate([city.predicted, city.observed])
    edges = _edges(values[np.isfinite(values)])
    with figure((9.2, 4.6), columns=2) as (drawing, axes):
        for place, shown in zip(axes, (city.predicted, city.observed), strict=True):
            _lines(place, city, shown, edges)
        image = png(drawing, ("Predicted and observed", "Vorhergesagt und beobachtet"))
    percent = [100 * edge for edge in edges]
    between = [f"{low:.0f}–{high:.0f} %" for low, high in pairwise(percent)]
    names = [f"≤ {percent[0]:.0f} %", *between, f"> {percent[-1]:.0f} %"]
    key = "".join(
        f'<span class="key"><i style="background:{colour}"></i>{both((name, name))}</span>'
        for colour, name in zip(_MAP_COLOURS, names, strict=True)
    )
    return plot("map", f'{image}<p class="keys">{key}</p>', horizon=city.horizon_days)


def _edges(values: Floats) -> list[float]:
    """Four rising whole per cents between five classes."""
    percent = np.round(100 * np.quantile(values, [0.3, 0.55, 0.75, 0.9]))
    rising = np.maximum.accumulate(percent - np.arange(4)) + np.arange(4)
    return [float(edge) / 100 for edge in rising]


def _lines(axes: Axes, city: CityMap, values: Floats, edges: Sequence[float]) -> None:
    lat = np.mean([line[:, 1].mean() for line in city.lines])
    squeeze = float(np.cos(np.radians(lat)))
    colours = ListedColormap(_MAP_COLOURS)
    norm = BoundaryNorm([-1.0, *edges, 2.0], colours.N)
    shown = np.isfinite(values)
    flat = [np.column_stack([line[:, 0] * squeeze, line[:, 1]]) for line in city.lines]
    axes.add_collection(LineCollection([flat[i] for i in np.flatnonzero(~shown)], colors="#DDDDDD", linewidths=1))
    order = np.flatnonzero(shown)[np.argsort(values[shown], kind="stable")]  # the worst on top
    drawn = LineCollection([flat[i] for i in order], cmap=colours, norm=norm, linewidths=2.2)
    drawn.set_array(values[order])
    axes.add_collection(drawn)
    axes.autoscale_view()
    axes.set_aspect("equal")
    axes.axis("off")
