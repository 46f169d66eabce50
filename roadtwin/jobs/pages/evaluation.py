"""The page of one city's evaluation: `roadtwin evaluate --page`."""

from collections.abc import Mapping, Sequence
from typing import Any

from models.features import FEATURE_SET
from roadtwin.jobs.evaluate import Evaluation
from roadtwin.jobs.pages.plots import (
    balance_plot,
    ceilings_plot,
    coverage_plot,
    curve_plot,
    days,
    reliability_plot,
    splits_plot,
)
from roadtwin.jobs.pages.plots_model import ablation_plot, effects_plot, map_plot
from roadtwin.jobs.pages.tables import forecast_table, gate_table, mark, table, with_interval
from roadtwin.jobs.pages.words import FIGURES, GERMAN, KINDS, SPLITS, Words, number, sentence
from roadtwin.reporting.page import Section, both, page, paragraph

TRUTH_PLOTS = frozenset({"ceilings", "coverage", "worlds"})


def evaluation_page(found: Evaluation) -> str:
    """The whole page as HTML."""
    report = found.report
    headline = next(split for split in report["splits"] if split["kind"] == report["headline"])
    horizons = headline["horizons"]
    city = report["city"] or "?"
    curves = {key: {days(h): h[key] for h in horizons} for key in ("roc", "gain")}
    sections = [
        Section(("Hold-outs", "Prüfaufteilungen"), (splits_plot(report),), after=_splits_table(report)),
        Section(
            ("The model and what it has to beat", "Das Modell und was es schlagen muss"),
            before=f"<h3>{both(SPLITS[report['headline']])}</h3>{paragraph(sentence('intervals'))}{_skills(horizons)}",
            plots=(
                curve_plot("roc", curves["roc"], "share of false alarms", "share of the found"),
                curve_plot("gain", curves["gain"], "share looked at", "share of the found"),
            ),
        ),
        Section(
            ("Calibration", "Kalibrierung"),
            (reliability_plot(horizons), balance_plot(horizons, headline["test_winters"]), map_plot(found.map)),
            after=_groups(horizons),
        ),
    ]
    if "truth" in report:
        sections.append(truth_section(report["truth"]))
    explained = [effects_plot(report["effects"])]
    if "ablation" in report:
        explained.insert(0, ablation_plot(report["ablation"]["steps"]))
    sections.append(Section(("Records and reasons", "Aufzeichnungen und Gründe"), tuple(explained)))
    if "leaks" in report:
        sections.append(_leaks_section(report["leaks"]))
    return page(
        (f"{city}: how good is the model?", f"{city}: Wie gut ist das Modell?"),
        badge=("simulated", "simuliert") if report["data"] == "simulated" else ("recorded", "aufgezeichnet"),
        facts=_facts(report),
        introduction=(paragraph(sentence("simulated")) if report["data"] == "simulated" else "")
        + paragraph(sentence("winters", **report["winters"])),
        sections=sections,
        german=GERMAN,
        marked=TRUTH_PLOTS,
    )


def _facts(report: Mapping[str, Any]) -> list[tuple[Words, Words | str]]:
    split = report["split"]
    return [
        (("Records", "Aufzeichnungen"), f"{report['data_from'][:10]} – {report['data_until'][:10]}"),
        (("Test time from", "Prüfzeit ab"), split["test_from"][:10]),
        (("Segments", "Abschnitte"), number(report["segments"], 0)),
        (("Rows, of them tested", "Zeilen, davon geprüft"), _pair(report["rows"], report["test_rows"])),
        (("Blocks of 500 m", "Blöcke von 500 m"), number(report["blocks"], 0)),
        (("Crew capacity", "Kolonnen-Kapazität"), number(report["crew_capacity"], 0)),
        (("Feature set · event rule", "Merkmalssatz · Ereignisregel"),
         f"{report['feature_set_version']} · {report['rule_version']}"),
    ]  # fmt: skip


def _pair(one: int, other: int) -> Words:
    (first, erste), (second, zweite) = number(one, 0), number(other, 0)
    return f"{first}, {second}", f"{erste}, {zweite}"


def _skills(horizons: list[dict[str, Any]]) -> str:
    parts = []
    for horizon in horizons:
        model = horizon["forecasts"]["model"]
        caption = sentence("positives", days=horizon["horizon_days"], positives=model["positives"], rows=model["rows"])
        parts.append(forecast_table(caption, horizon["intervals"]))
        parts.append(forecast_table(sentence("gain", days=horizon["horizon_days"]), horizon["model_minus"], gains=True))
    return "".join(parts)


def _splits_table(report: Mapping[str, Any]) -> str:
    """The model in each split, and the leakage gap in words."""
    rows = [
        [both(SPLITS[split["kind"]]), both(number(horizon["horizon_days"], 0))]
        + [with_interval(horizon["intervals"]["model"][figure], 3) for figure in ("roc_auc", "pr_auc", "brier_skill")]
        + [
            both(number(horizon["forecasts"]["model"][figure], 2))
            for figure in ("predicted_over_observed", "bin_error")
        ]
        for split in report["splits"]
        for horizon in split["horizons"]
    ]
    heads: list[Words] = [("split", "Aufteilung"), ("days", "Tage")]
    heads += [
        FIGURES[figure] for figure in ("roc_auc", "pr_auc", "brier_skill", "predicted_over_observed", "bin_error")
    ]
    text = table(("The model in each split", "Das Modell in jeder Aufteilung"), heads, rows)
    for missing in report["splits_missing"]:
        english, german = SPLITS[missing["kind"]]
        reason = (f"{english}: {missing['reason_en']}", f"{german}: {missing['reason_de']}")
        text += f"<p>{both(reason)}</p>"
    for gap in report["leakage_gap"] or []:
        text += paragraph(
            sentence("leakage_gap", days=gap["horizon_days"], roc_auc=gap["roc_auc"], brier_skill=gap["brier_skill"])
        )
    return text


def _groups(horizons: list[dict[str, Any]]) -> str:
    """Skill within each season, class and district."""
    figures = ("roc_auc", "pr_auc", "brier_skill", "lift_at_10_pct")
    heads: list[Words] = [("group", "Gruppe"), ("rows", "Zeilen"), ("with a new pothole", "mit neuem Schlagloch")]
    heads += [FIGURES[figure] for figure in figures]
    text = ""
    for horizon in horizons:
        rows = [
            [both(KINDS.get(name, (name, name))), both(number(found["rows"], 0)), both(number(found["positives"], 0))]
            + [both(number(found[figure], 1 if figure.startswith("lift") else 3)) for figure in figures]
            for groups in horizon["by_group"].values()
            for name, found in groups.items()
        ]
        text += table(sentence("by_group", days=horizon["horizon_days"]), heads, rows)
    return text


def truth_section(truth: Mapping[str, Any]) -> Section:
    """What only a simulated city can tell."""
    horizons = truth["labels"]["true"]
    plots = (ceilings_plot(horizons), coverage_plot(truth["coverage"], horizons))
    gates = "".join(
        gate_table(sentence(f"gates_{labels}"), [gate for gate in truth["gates"] if gate["labels"] == labels])
        for labels in truth["labels"]
    )
    after = _events(truth["events"]) + coverage_words(truth) + paragraph(sentence("one_city")) + gates
    return Section(("Beside the truth", "Neben der Wahrheit"), plots, after=after)


def coverage_words(truth: Mapping[str, Any]) -> str:
    """The shares of the coverage by horizon."""
    heads: list[Words] = [
        ("days", "Tage"), ("oracle inside", "Orakel darin"), ("informed inside", "informierte Obergrenze darin"),
        ("mean width", "mittlere Breite"),
    ]  # fmt: skip
    rows = [
        [both(number(horizon["horizon_days"], 0))]
        + [both(number(found[name]["share"])) for name in ("oracle", "informed")]
        + [both(number(found["mean_width"]))]
        for horizon, found in zip(truth["labels"]["true"], truth["coverage"], strict=True)
    ]
    return table(sentence("coverage"), heads, rows)


def _events(events: Mapping[str, Any]) -> str:
    """How well the rule finds true holes."""
    names: dict[str, Words] = {
        "true": ("true holes", "wahre Löcher"),
        "recall": ("recall", "gefunden (Anteil)"),
        "precision": ("precision", "richtig (Anteil)"),
        "merged": ("merged", "verschmolzen"),
        "missed": ("missed", "übersehen"),
        "split": ("split", "doppelt gezählt"),
        "invented": ("invented", "erfunden"),
    }
    cells = [both(number(events[key], 3 if key in ("recall", "precision") else 0)) for key in names]
    delays = [both(_pair_of_days(events[key])) for key in ("delay_first_record_d", "delay_confirmed_d")]
    heads = [*names.values(), ("until recorded [d]", "bis Eintrag [d]"), ("until confirmed [d]", "bis bestätigt [d]")]
    return table(sentence("events"), heads, [cells + delays])


def _pair_of_days(found: list[float | None]) -> Words:
    median, late = (number(value, 1) for value in found)
    return f"{median[0]}; {late[0]}", f"{median[1]}; {late[1]}"


def _leaks_section(leaks: Mapping[str, Any]) -> Section:
    features, shuffled = leaks["future_in_features"], leaks["shuffled_labels"]
    heads: list[Words] = [("check", "Prüfung"), ("found", "gefunden"), ("passed", "bestanden")]
    differ = sentence("leak_features_found", changed=sum(features["changed"].values()), values=features["values"])
    rows = [
        [both(sentence("leak_features")), both(differ), mark(passed=features["passed"])],
        [both(sentence("leak_shuffled")), both(_several(shuffled["roc_auc"], 2)), mark(passed=shuffled["passed"])],
    ]
    for kind, found in leaks["embargo"].items():
        if kind in ("temporal", "spatio-temporal"):
            gap = _several(found["least_gap_days"], 0)
            rows.append([both(sentence(f"leak_embargo_{kind}")), both(gap), mark(passed=found["passed"])])
    told = table(("", ""), heads, rows)
    if features["not_checked"]:
        told += f"<p>{both(_not_checked(features['not_checked']))}</p>"
    return Section(("Does anything know its future?", "Kennt etwas seine Zukunft?"), after=told)


def _not_checked(names: Sequence[str]) -> Words:
    """When nothing can be said of features of the register, and which these are."""
    reason, features = sentence("leak_not_checked"), [FEATURE_SET.features[FEATURE_SET.index(name)] for name in names]
    english, german = ([getattr(f, label) for f in features] for label in ("label_en", "label_de"))
    return f"{reason[0]} ({'; '.join(english)}).", f"{reason[1]} ({'; '.join(german)})."


def _several(values: list[float | None], decimals: int) -> Words:
    words = [number(value, decimals) for value in values]
    return " · ".join(w[0] for w in words), " · ".join(w[1] for w in words)
