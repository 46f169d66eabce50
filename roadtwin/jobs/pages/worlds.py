"""The page of several simulated cities: `roadtwin evaluate --worlds`."""

from collections.abc import Mapping, Sequence
from typing import Any

from roadtwin.jobs.pages.evaluation import TRUTH_PLOTS, coverage_words
from roadtwin.jobs.pages.plots import ceilings_plot, worlds_plot
from roadtwin.jobs.pages.tables import forecast_table, gate_table
from roadtwin.jobs.pages.words import GERMAN, sentence
from roadtwin.reporting.page import Section, both, page, paragraph


def worlds_page(report: Mapping[str, Any]) -> str:
    """The whole page as HTML."""
    count = len(report["seeds"])
    horizons = [{"horizon_days": h["horizon_days"], "intervals": h["forecasts"]} for h in report["means"]["true"]]
    sections = [
        Section(
            ("Gates", "Kriterien"),
            before=paragraph(sentence("ceilings")) + _gates(report, "true"),
            plots=(ceilings_plot(horizons), worlds_plot([w["truth"]["labels"]["true"] for w in report["worlds"]])),
        ),
        Section(("Means over the worlds", "Mittel über die Welten"), before=_means(report["means"]["true"])),
        Section(("Recorded labels", "Aufgezeichnete Zielwerte"), before=_gates(report, "recorded")),
        Section(("Intervals", "Intervalle"), before=_coverage(report["worlds"])),
    ]
    return page(
        sentence("worlds", n=count),
        badge=("simulated", "simuliert"),
        facts=[
            (("Seeds", "Startwerte"), ", ".join(map(str, report["seeds"]))),
            (("Streets of each", "Straßen je Stadt"), f"{report['length_km']:g} km"),
            (("Winters of each", "Winter je Stadt"), str(report["winters"])),
            (("Until", "Bis"), report["until"][:16]),
            (("Scenario", "Szenario"), report["scenario"]),
        ],
        introduction=paragraph(sentence("simulated")),
        sections=sections,
        german=GERMAN,
        marked=TRUTH_PLOTS,
    )


def _gates(report: Mapping[str, Any], labels: str) -> str:
    return gate_table(sentence(f"gates_{labels}"), [gate for gate in report["gates"] if gate["labels"] == labels])


def _means(horizons: Sequence[Mapping[str, Any]]) -> str:
    return "".join(forecast_table(sentence("days", days=h["horizon_days"]), h["forecasts"]) for h in horizons)


def _coverage(worlds: Sequence[Mapping[str, Any]]) -> str:
    return "".join(
        f"<h3>{both(('Seed', 'Startwert'))} {world['seed']}</h3>{coverage_words(world['truth'])}" for world in worlds
    )
