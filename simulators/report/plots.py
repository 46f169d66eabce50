"""All plots of the page, by chapter."""

import numpy as np
from numpy.typing import NDArray

from roadtwin.reporting.page import Section
from simulators.report.climate import Climate
from simulators.report.damage import Damage
from simulators.report.feed import Feed
from simulators.report.forecast_skill import ForecastSkill
from simulators.report.plots_damage import damage_plots
from simulators.report.plots_feed import camera_plots, sensor_plots
from simulators.report.plots_maps import coverage_map, hazard_map, positions_plot
from simulators.report.plots_weather import forecast_plot, weather_plots
from simulators.world import World


def all_sections(
    world: World,
    climate: Climate,
    skill: ForecastSkill,
    damage: Damage,
    grades: dict[str, NDArray[np.float64]],
    feed: Feed,
) -> tuple[Section, ...]:
    """Every chapter with its plots."""
    return (
        Section(("Weather and pavement", "Wetter und Fahrbahn"), (*weather_plots(climate), forecast_plot(skill))),
        Section(("Potholes and condition", "Schlaglöcher und Zustand"), tuple(damage_plots(world, damage, grades))),
        Section(("Maps", "Karten"), (hazard_map(world, damage), coverage_map(world, damage))),
        Section(
            ("Camera vehicles", "Kamerafahrzeuge"),
            (*camera_plots(damage.cameras, feed), positions_plot(world, feed)),
        ),
        Section(("Sensors and messages", "Sensoren und Nachrichten"), tuple(sensor_plots(feed))),
    )
