"""Plots of weather, pavement and forecasts."""

import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from roadtwin.reporting.drawing import (
    BAND,
    BLACK,
    BLUE,
    GREEN,
    ORANGE,
    RED,
    REFERENCE,
    SKY,
    TALL,
    figure,
    legend,
    month_axis,
    svg,
)  # fmt: skip
from roadtwin.reporting.words import Plot
from simulators.report.climate import Climate, Months
from simulators.report.forecast_skill import ForecastSkill
from simulators.report.words import plot
from simulators.weather.normals import FROST_DAYS_A_YEAR, ICE_DAYS_A_YEAR, RAIN_NORMAL_MM, TEMP_NORMAL_C
from simulators.weather.pavement import WET_SATURATION

_MONTHS = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"]


def weather_plots(climate: Climate) -> list[Plot]:
    """Plots of the section on weather."""
    return [_months(climate), _frost(climate), _days(climate), _pavement(climate), _moisture(climate)]


def _months(climate: Climate) -> Plot:
    months = climate.months
    with figure(columns=2) as (drawing, (left, right)):
        _band(left, climate, "air_temp_c")
        at = np.arange(len(months.month))
        left.plot(at, months.air_temp_c, "o-", color=RED, ms=3.5, label="this period")
        left.plot(at, TEMP_NORMAL_C[months.month - 1], "--", color=REFERENCE, lw=1.1, label="normal")
        left.set_title("Air temperature, monthly mean [°C]")
        _band(right, climate, "rain_mm")
        right.bar(at, months.rain_mm, 0.55, color=BLUE, label="this period")
        right.plot(at, RAIN_NORMAL_MM[months.month - 1], "--", color=REFERENCE, lw=1.1, label="normal")
        right.set_title("Rain, monthly sum [mm]")
        right.set_ylim(0)
        for axes in (left, right):
            _name_months(axes, months)
            legend(axes, 2)
        image = svg(drawing)
    return plot("months", image)


def _frost(climate: Climate) -> Plot:
    months = climate.months
    with figure() as (drawing, (axes,)):
        _band(axes, climate, "frost_days")
        at = np.arange(len(months.month))
        axes.bar(at, months.frost_days, 0.55, color=SKY, label="frost days (minimum below 0 °C)")
        axes.bar(at, months.ice_days, 0.55, color=BLUE, label="ice days (maximum below 0 °C)")
        _name_months(axes, months)
        axes.set_title("Days a month")
        legend(axes, 2)
        image = svg(drawing)
    frost, ice = months.frost_days.sum(), months.ice_days.sum()
    return plot("frost", image, frost=frost, frost_normal=FROST_DAYS_A_YEAR, ice=ice, ice_normal=ICE_DAYS_A_YEAR)


def _days(climate: Climate) -> Plot:
    with figure(TALL, rows=2, sharex=True, height_ratios=[2, 1]) as (drawing, (above, below)):
        above.fill_between(climate.days, climate.air_min_c, climate.air_max_c, color="#F3B49B", lw=0)
        above.plot(climate.days, climate.air_mean_c, color=RED, lw=0.8)
        above.axhline(0, color=REFERENCE, lw=0.8)
        above.set_title("Air temperature of each day: minimum to maximum, mean [°C]")
        below.bar(climate.days, climate.rain_mm, 1.0, color=BLUE, label="rain [mm]")
        below.fill_between(climate.days, 0, climate.snow_depth_cm, color=SKY, alpha=0.6, lw=0, label="snow depth [cm]")
        below.set_title("Rain [mm] and snow depth [cm] of each day")
        legend(below, 2)
        month_axis(below)
        image = svg(drawing)
    return plot("days", image)


def _pavement(climate: Climate) -> Plot:
    with figure() as (drawing, (axes,)):
        axes.fill_between(climate.days, climate.surface_min_c, climate.surface_max_c, color="#C9C9C9", lw=0)
        axes.plot(climate.days, climate.air_mean_c, color=RED, lw=0.7)
        axes.axhline(0, color=REFERENCE, lw=0.8)
        cycles = np.flatnonzero(climate.freeze_thaw_cycles > 0)
        axes.plot(climate.days[cycles], np.full(len(cycles), climate.surface_min_c.min() - 2), "|", color=BLUE, ms=6)
        axes.set_title("Surface of an unshaded pavement: minimum to maximum; air, daily mean [°C]")
        month_axis(axes)
        image = svg(drawing)
    total, hottest = int(climate.freeze_thaw_cycles.sum()), float(climate.surface_max_c.max())
    return plot("pavement", image, hottest=hottest, total=total)


def _moisture(climate: Climate) -> Plot:
    with figure(TALL, rows=2, sharex=True, height_ratios=[2, 1]) as (drawing, (above, below)):
        for column, (label, colour) in enumerate((("well drained", GREEN), ("fair", ORANGE), ("poor", BLUE))):
            above.plot(climate.days, 100 * climate.saturation[:, column], color=colour, lw=1.1, label=label)
        above.axhline(100 * WET_SATURATION, color=REFERENCE, ls="--", lw=0.9)
        above.set_title("Moisture of the base: degree of saturation [%]")
        above.set_ylim(20, 102)
        legend(above, 3)
        below.fill_between(climate.days, 0, 100 * climate.thaw_weakness, color=BLACK, alpha=0.35, lw=0)
        below.set_title("Thaw weakness [%]")
        below.set_ylim(0, 105)
        month_axis(below)
        image = svg(drawing)
    return plot("moisture", image)


def forecast_plot(skill: ForecastSkill) -> Plot:
    """Errors of forecasts by lead time."""
    with figure(columns=2) as (drawing, (left, right)):
        left.plot(skill.lead_days, skill.temp_rms_c, color=RED, label="error (RMS)")
        left.plot(skill.lead_days, skill.temp_bias_c, color=BLUE, label="bias")
        left.axhline(skill.climate_rms_c, color=REFERENCE, ls="--", lw=1)
        left.axhline(0, color=REFERENCE, lw=0.8)
        left.set_title("Air temperature [°C] by lead time [d]")
        legend(left, 2)
        right.plot(skill.lead_days, skill.rain_correlation, color=BLUE)
        right.set_ylim(min(-0.1, 1.1 * float(skill.rain_correlation.min())), 1)
        right.axhline(0, color=REFERENCE, lw=0.8)
        right.set_title("Rain: correlation with what fell, by lead time [d]")
        image = svg(drawing)
    day, far = np.interp([1.0, 10.0], skill.lead_days, skill.temp_rms_c).tolist()
    return plot("forecasts", image, day=day, far=far)


def _band(axes: Axes, climate: Climate, name: str) -> None:
    low, high = climate.usual_quantiles(name, (0.05, 0.95))
    at = np.arange(len(low), dtype=float)
    edges = np.repeat(np.append(at - 0.5, at[-1] + 0.5), 2)[1:-1]
    axes.fill_between(edges, _twice(low), _twice(high), color=BAND, lw=0)


def _twice(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.repeat(values, 2)


def _name_months(axes: Axes, months: Months) -> None:
    axes.set_xticks(np.arange(len(months.month)), [_MONTHS[month - 1] for month in months.month])
    axes.grid(axis="x", visible=False)
