"""Plots of holes, repairs, hazard, condition and reports."""

from itertools import pairwise

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from roadtwin.reporting.drawing import (
    BAND,
    BLUE,
    CLASS_COLOURS,
    GREEN,
    ORANGE,
    RED,
    REFERENCE,
    SKY,
    figure,
    legend,
    month_axis,
    note,
    svg,
)  # fmt: skip
from roadtwin.reporting.words import Plot
from simulators.report.damage import Damage
from simulators.report.words import plot
from simulators.world import World

ESSEN_KM, ESSEN_A_DAY, ESSEN_WINTER_A_DAY, WORKING_DAYS = 1600, 120, 300, 250
GRADES = (1.0, 1.5, 3.5, 4.5, 5.01)
_GRADE_COLOURS = (GREEN, SKY, ORANGE, RED)
ESSEN_MAIN_PCT, ESSEN_SIDE_PCT = (4, 63, 23, 10), (22, 38, 26, 15)
"""Surveys of main roads 2020 and side roads 2016, in the press's four words; the line between the two worst of the main
roads follows from "a third poor or very poor, a tenth very poor"."""


def damage_plots(world: World, damage: Damage, grades: dict[str, NDArray[np.float64]]) -> list[Plot]:
    """Plots of the section on damage."""
    return [
        _weeks(world, damage),
        _backlog(world, damage),
        _hazard(world, damage),
        _concentration(damage),
        _grades(grades),
        _reports(world, damage),
    ]


def network_km(world: World) -> float:
    """Length of the city's streets [km]."""
    return float(world.geometry.section_length_m.sum()) / 1000


def weekly(values: NDArray[np.int64]) -> NDArray[np.int64]:
    """Sums of whole weeks, from the first day on."""
    whole = len(values) // 7
    result: NDArray[np.int64] = values[: 7 * whole].reshape(whole, 7).sum(axis=1)
    return result


def _weeks(world: World, damage: Damage) -> Plot:
    share = network_km(world) / ESSEN_KM
    mean, winter = ESSEN_A_DAY * WORKING_DAYS / 52.18 * share, ESSEN_WINTER_A_DAY * 5 * share
    born, repaired = weekly(damage.born), weekly(damage.repaired)
    at = damage.days[: 7 * len(born) : 7] + np.timedelta64(3, "D")
    with figure() as (drawing, (axes,)):
        axes.axhspan(mean, winter, color=BAND, lw=0)
        axes.axhline(mean, color=REFERENCE, ls="--", lw=1)
        axes.axhline(winter, color=REFERENCE, ls=":", lw=1.2)
        axes.bar(at, born, 5.5, color=RED, label="new holes")
        axes.step(at, repaired, where="mid", color=BLUE, label="repaired")
        axes.set_ylim(0, max(1.15 * winter, 1.1 * max(born.max(), repaired.max())))
        axes.set_title("Holes a week")
        legend(axes, 2)
        month_axis(axes)
        image = svg(drawing)
    per_100_m_week = damage.born.sum() / (10 * network_km(world)) / (len(damage.days) / 7)
    return plot("weeks", image, mean=mean, rate=per_100_m_week, winter=winter)


def _backlog(world: World, damage: Damage) -> Plot:
    with figure() as (drawing, (axes,)):
        axes.fill_between(damage.days, 0, damage.open_holes, color=ORANGE, alpha=0.5, lw=0)
        axes.plot(damage.days, damage.open_holes, color=ORANGE)
        axes.set_ylim(0, 1.1 * max(1, damage.open_holes.max()))
        axes.set_title("Open holes at noon")
        month_axis(axes)
        image = svg(drawing)
    per_km = damage.open_holes / network_km(world)
    return plot("backlog", image, mean=per_km.mean(), most=per_km.max())


def _hazard(world: World, damage: Damage) -> Plot:
    length_km = world.geometry.segment_length_m / 1000
    years = len(damage.days) / 365.25
    road_class = np.array([segment.road_class for segment in world.segments])
    with figure(columns=3, width_ratios=[3, 5, 5]) as (drawing, (classes, ages, cracks)):
        names = [name for name in CLASS_COLOURS if (road_class == name).any()]
        groups = [road_class == name for name in names]
        _rates(classes, damage, length_km * years, groups, names, [CLASS_COLOURS[name] for name in names])
        classes.set_title("by road class")
        edges = [0, 5, 10, 15, 20, 25, 30, 1000]
        _rates(ages, damage, length_km * years, *_binned(damage.course_age_years, edges))
        ages.set_title("by age of the wearing course [a]")
        edges = [0, 2, 6, 12, 22, 35, 100]
        _rates(cracks, damage, length_km * years, *_binned(damage.crack_pct, edges))
        cracks.set_title("by cracked area [%]")
        classes.set_ylabel("holes per km and year")
        image = svg(drawing)
    return plot("hazard", image)


def _binned(values: NDArray[np.float64], edges: list[int]) -> tuple[list[NDArray[np.bool_]], list[str], list[str]]:
    groups, names = [], []
    for low, high in pairwise(edges):
        members = (values >= low) & (values < high)
        if members.any():
            groups.append(members)
            names.append(f"{low}-{high}" if high < edges[-1] else f"> {low}")
    return groups, names, [SKY] * len(names)


def _rates(
    axes: Axes,
    damage: Damage,
    km_years: NDArray[np.float64],
    groups: list[NDArray[np.bool_]],
    names: list[str],
    colours: list[str],
) -> None:
    exposure = np.array([km_years[group].sum() for group in groups])
    expected = np.array([damage.expected[group].sum() for group in groups])
    born = np.array([damage.born_on[group].sum() for group in groups])
    at = np.arange(len(groups))
    axes.bar(at, expected / exposure, 0.65, color=colours)
    axes.errorbar(
        at, born / exposure, 2 * np.sqrt(np.maximum(born, 1)) / exposure, fmt="o", color="black", ms=3, lw=1, capsize=2
    )
    axes.set_xticks(at, names)
    axes.set_ylim(0)
    axes.grid(axis="x", visible=False)


def _concentration(damage: Damage) -> Plot:
    with figure((9.2, 3.0), columns=2) as (drawing, (left, right)):
        order = np.sort(damage.born_on)[::-1]
        share = 100 * np.arange(1, len(order) + 1) / len(order)
        held = 100 * np.cumsum(order) / max(order.sum(), 1)
        left.plot(share, held, color=RED)
        left.plot([0, 100], [0, 100], "--", color=REFERENCE, lw=1)
        left.set_title("Share of the holes [%] on the worst share of the segments [%]")
        left.set_xlim(0, 100)
        left.set_ylim(0, 102)
        counts = np.bincount(np.minimum(damage.born_on, 12))
        right.bar(np.arange(len(counts)), 100 * counts / counts.sum(), 0.8, color=BLUE)
        right.set_title("Segments [%] by their holes in the period (12: and more)")
        right.grid(axis="x", visible=False)
        image = svg(drawing)
    tenth = float(np.interp(10, share, held))
    return plot("concentration", image, tenth=tenth)


def _grades(grades: dict[str, NDArray[np.float64]]) -> Plot:
    main = grades.get("main", np.zeros(0))
    side = np.concatenate([np.zeros(0), *(values for name, values in grades.items() if name != "main")])
    rows = [
        ("main roads, simulated", _shares(main)),
        ("main roads, Essen 2020", np.array(ESSEN_MAIN_PCT, float)),
        ("side roads, simulated", _shares(side)),
        ("side roads, Essen 2016", np.array(ESSEN_SIDE_PCT, float)),
    ]
    with figure() as (drawing, (axes,)):
        for place, (_, shares) in enumerate(rows):
            left = 0.0
            for colour, share in zip(_GRADE_COLOURS, shares.tolist(), strict=True):
                axes.barh(-place, share, 0.62 if place % 2 == 0 else 0.4, left, color=colour)
                if share >= 4:
                    axes.text(left + share / 2, -place, f"{share:.0f}", ha="center", va="center", color="white")
                left += share
        axes.set_yticks([0, -1, -2, -3], [name for name, _ in rows])
        axes.set_title("Share of the segments by grade [%]: to 1.5, to 3.5, to 4.5, to 5.0")
        axes.set_xlim(0, 101)
        axes.grid(visible=False)
        image = svg(drawing)
    return plot("grades", image)


def _shares(values: NDArray[np.float64]) -> NDArray[np.float64]:
    counts = np.histogram(values, GRADES)[0]
    result: NDArray[np.float64] = 100 * counts / max(counts.sum(), 1)
    return result


def _reports(world: World, damage: Damage) -> Plot:
    reports = weekly(damage.reports)
    at = damage.days[: 7 * len(reports) : 7] + np.timedelta64(3, "D")
    lengths: dict[str, float] = {}
    for section, metres in zip(world.sections, world.geometry.section_length_m.tolist(), strict=True):
        lengths[section.district or "?"] = lengths.get(section.district or "?", 0.0) + metres / 1000
    names = sorted(lengths, key=lambda name: -damage.reports_by_district[name] / lengths[name])[:12]
    with figure((9.2, 3.0), columns=2, width_ratios=[3, 2]) as (drawing, (left, right)):
        left.bar(at, reports, 5.5, color=GREEN)
        left.set_title("Citizens' reports a week")
        month_axis(left)
        rates = [damage.reports_by_district[name] / lengths[name] for name in names]
        right.barh(np.arange(len(names)), rates, 0.65, color=GREEN)
        right.set_yticks(np.arange(len(names)), names)
        right.invert_yaxis()
        right.set_title("Reports per km by district")
        right.grid(axis="y", visible=False)
        if not reports.any():
            note(left, "no report in this period", 0.3, 0.5)
        image = svg(drawing)
    per_day = damage.reports.sum() / len(damage.days) / network_km(world) * ESSEN_KM
    return plot("reports", image, per_day=per_day)
