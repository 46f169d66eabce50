"""The page of a backtest on a city's own records: `roadtwin backtest --report FILE.html`."""

from collections.abc import Mapping
from typing import Any

from roadtwin.jobs.pages.plots import SQUARES, draw_curves, draw_reliability
from roadtwin.jobs.pages.tables import forecast_table
from roadtwin.jobs.pages.words import FORECASTS, GERMAN, Plot, Words, number, plot, sentence
from roadtwin.reporting.drawing import figure, svg
from roadtwin.reporting.page import Section, page, paragraph

_FIGURES = (
    "roc_auc", "pr_auc", "brier_skill", "predicted_over_observed", "calibration_slope", "events_on_worst_10_pct",
    "precision_at_10_pct", "recall_at_10_pct", "lift_at_10_pct",
)  # fmt: skip


def backtest_page(report: Mapping[str, Any]) -> str:
    """The whole page as HTML, from the report of `roadtwin.jobs.backtest`."""
    scored = report["scored"]
    sections = [] if scored is None else _sections(scored, report["segments"])
    return page(
        sentence("backtest", segments=report["segments"], horizon=report["horizon_days"]),
        badge=("recorded", "aufgezeichnet"),
        facts=_facts(report),
        introduction=paragraph(sentence("backtest_not_scored")) if scored is None else _introduction(scored),
        sections=sections,
        german=GERMAN,
    )


def _facts(report: Mapping[str, Any]) -> list[tuple[Words, Words | str]]:
    events = report["events"]
    weather = {
        "not given": ("not given", "nicht angegeben"), "used": ("used", "benutzt"),
        "given, of no use": ("given, of no use", "angegeben, ohne Nutzen"),
    }  # fmt: skip
    return [
        (("Window", "Fenster"), f"{report['cut']} – {report['window_end']}"),
        (("Events", "Ereignisse"), number(events["used"], 0)),
        (("Rows of the file", "Zeilen der Datei"), number(events["rows"], 0)),
        (("Rows left out", "Ausgelassene Zeilen"), number(sum(events["left_out"].values()), 0)),
        (("First and last day", "Erster und letzter Tag"), f"{events['first_day']} – {events['last_day']}"),
        (("Learned from windows before the cut", "Gelernt aus Fenstern vor dem Stichtag"),
         number(report["training_windows"], 0)),
        (("Features", "Merkmale"), number(len(report["features"]), 0)),
        (("Weather", "Wetter"), weather.get(report["weather"], (report["weather"], report["weather"]))),
        (("SHA-256 of the file (unpacked)", "SHA-256 der Datei (entpackt)"), events["sha256"][:16] + "…"),
        (("Notes on the files", "Hinweise zu den Dateien"),
         ("; ".join(events["notes"]) or "–", "; ".join(events["notes_de"]) or "–")),
    ]  # fmt: skip


def _introduction(scored: Mapping[str, Any]) -> str:
    log = scored["log"]
    made = log["while_made"]
    told = [sentence("backtest_winters", winters=scored["winters_tested"])]
    if made is not None:
        told.append(
            sentence(
                "backtest_made",
                window=made["this_window"],
                file=made["this_file"],
                changes=made["level_rule_changes"],
            )
        )
    told.append(sentence("backtest_log", window=log["this_window"], file=log["this_file"]))
    return "".join(paragraph(words) for words in told)


def _sections(scored: Mapping[str, Any], segments: int) -> list[Section]:
    caption = sentence(
        "backtest_skill", events=scored["events_in_window"], happened=scored["segments_with_event"], segments=segments
    )
    tables = forecast_table(caption, scored["intervals"], _FIGURES) + forecast_table(
        ("The model's gain", "Gewinn des Modells"), scored["model_minus"], _FIGURES, gains=True
    )
    return [
        Section(
            ("Skill", "Güte"),
            (_ranking_plot("roc", scored["curves"]["roc"]), _ranking_plot("gain", scored["curves"]["gain"])),
            before=paragraph(sentence("backtest_intervals", draws=scored["resamples"])) + tables,
        ),
        Section(("Calibration", "Kalibrierung"), (_reliability(scored["curves"]["reliability"]),)),
    ]


def _ranking_plot(key: str, curves: Mapping[str, Any]) -> Plot:
    order = {name: points for name, points in curves.items() if name != "climatology"}  # which knows no order
    with figure((6.4, 2.9)) as (drawing, (axes,)):
        draw_curves(axes, order, at_a_tenth=key == "gain")
        axes.set_xlabel("share of false alarms" if key == "roc" else "share looked at")
        axes.set_ylabel("share of the found" if key == "roc" else "share of the events")
        axes.legend(loc="lower right")
        image = svg(drawing)
    return plot(key, image)


def _reliability(bins: Mapping[str, Any]) -> Plot:
    with figure(SQUARES, columns=len(bins)) as (drawing, axes):
        for place, (name, found) in zip(axes, bins.items(), strict=True):
            draw_reliability(place, {name: found})
            place.set_title(FORECASTS[name][0])
        axes[0].set_ylabel("happened [%]")
        image = svg(drawing)
    return plot("reliability", image)
