"""Tables of figures with their intervals, in both languages."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from roadtwin.jobs.pages.words import FIGURES, FORECASTS, KINDS, number, sentence
from roadtwin.reporting.page import both
from roadtwin.reporting.words import Words

HEADLINE_FIGURES = (
    "roc_auc", "pr_auc", "brier_skill", "predicted_over_observed", "calibration_slope", "precision_at_capacity",
    "recall_at_capacity", "precision_at_10_pct", "recall_at_10_pct", "lift_at_10_pct",
)  # fmt: skip
_RIGHT_AT_ONE = ("predicted_over_observed", "calibration_slope")
"""Figures of which more is not better."""
_TWO_DECIMALS = ("predicted_over_observed", "calibration_slope", "lift_at_10_pct")
GATES: dict[str, Words] = {
    "roc_auc": ("ROC-AUC, ceiling − 0.02", "ROC-AUC, Obergrenze − 0,02"),
    "brier_skill": ("Brier skill, 0.8 × ceiling", "Brier-Skill, 0,8 × Obergrenze"),
    "roc_auc_above_baselines": ("ROC-AUC above", "ROC-AUC über"),
    "brier_skill_above_baselines": ("Brier skill above", "Brier-Skill über"),
    "predicted_over_observed": ("predicted / observed", "vorhergesagt / beobachtet"),
    "calibration_slope": ("calibration slope", "Kalibrierungssteigung"),
    "predicted_over_observed_by_season": ("predicted / observed,", "vorhergesagt / beobachtet,"),
    "predicted_over_observed_by_road_class": ("predicted / observed,", "vorhergesagt / beobachtet,"),
    "predicted_over_observed_by_district": ("predicted / observed, district,", "vorhergesagt / beobachtet, Bezirk,"),
    "coverage": ("truth inside the 90 % interval", "Wahrheit im 90-%-Intervall"),
}  # fmt: skip


def table(caption: Words, heads: Sequence[Words], rows: Iterable[Sequence[str]]) -> str:
    """A table of cells that are HTML already."""
    head = "".join(f"<th>{both(name)}</th>" for name in heads)
    body = "".join(f"<tr>{''.join(f'<td>{one}</td>' for one in row)}</tr>" for row in rows)
    return (
        f'<div class="scroll"><table class="figures"><caption>{both(caption)}</caption><tr>{head}</tr>{body}'
        "</table></div>"
    )


def with_interval(found: Sequence[float | None], decimals: int) -> str:
    """A figure with its interval below it."""
    value, low, high = (number(one, decimals) for one in found)
    if found[1] is None:
        return both(value)
    ends = tuple(f"{low[i]}…{high[i]}" for i in range(2))
    return f"{both(value)}<small>{both((ends[0], ends[1]))}</small>"


def forecast_table(
    caption: Words,
    intervals: Mapping[str, Mapping[str, Sequence[float | None]]],
    figures: Sequence[str] = HEADLINE_FIGURES,
    *,
    gains: bool = False,
) -> str:
    """Figures with intervals, one row a forecast; `gains`: what the model has more than it."""
    shown = [figure for figure in figures if figure not in _RIGHT_AT_ONE] if gains else figures
    heads: list[Words] = [("model minus", "Modell minus") if gains else ("forecast", "Vorhersage")]
    heads += [FIGURES[figure] for figure in shown]
    rows = [
        [both(FORECASTS[name])]
        + [with_interval(found[figure], 2 if figure in _TWO_DECIMALS else 3) for figure in shown]
        for name, found in intervals.items()
    ]
    return table(caption, heads, rows)


def gate_table(caption: Words, gates: Sequence[dict[str, Any]]) -> str:
    """The gates with the model's value, what is wanted, and the ceiling's own."""
    heads: list[Words] = [
        ("gate", "Kriterium"), ("model", "Modell"), ("wanted", "verlangt"),
        ("informed ceiling", "informierte Obergrenze"), ("kept", "erfüllt"),
    ]  # fmt: skip
    return table(caption, heads, [_gate(gate) for gate in gates])


def _gate(gate: dict[str, Any]) -> list[str]:
    of = KINDS.get(gate["of"]) or FORECASTS.get(gate["of"]) or (gate["of"], gate["of"])
    days = f"{gate['horizon_days']} d: "
    name = tuple(f"{days}{one} {other}".rstrip() for one, other in zip(GATES[gate["name"]], of, strict=True))
    low, high = number(gate["low"]), number(gate["high"])
    wanted = tuple(
        f"{low[i]} … {high[i]}" if gate["low"] is not None and gate["high"] is not None
        else f"≥ {low[i]}" if gate["low"] is not None else f"≤ {high[i]}"
        for i in range(2)
    )  # fmt: skip
    value = (
        with_interval([gate["value"], gate["value_low"], gate["value_high"]], 3)
        if gate["value_low"] is not None
        else both(number(gate["value"]))
    )
    ceiling = both(number(gate["ceiling"])) + ("" if gate["ceiling_passed"] else mark(passed=False))
    return [both((name[0], name[1])), value, both((wanted[0], wanted[1])), ceiling, mark(passed=gate["passed"])]


def mark(*, passed: bool | None) -> str:
    """A tick or a cross; None: there was nothing to check, and that is said."""
    if passed is None:
        return both(sentence("nothing_to_check"))
    return '<span class="met">✓</span>' if passed else '<span class="missed"> ✗</span>'
