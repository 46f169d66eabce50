"""Titles, captions and German words of the pages on how good forecasts are."""

import tomllib
from functools import lru_cache
from importlib import resources

from models.features import FEATURE_SET
from roadtwin.reporting import words
from roadtwin.reporting.words import Number, Plot, Words

__all__ = ["FIGURES", "FORECASTS", "GERMAN", "GROUPS", "KINDS", "SPLITS", "Plot", "Words", "number", "plot", "sentence"]

FORECASTS: dict[str, Words] = {
    "model": ("model", "Modell"),
    "climatology": ("climatology", "Klimatologie"),
    "count_so_far": ("count so far", "Anzahl bisher"),
    "visible_damage": ("visible damage", "sichtbare Schäden"),
    "logistic_six": ("logistic, six features", "Logistik, sechs Merkmale"),
    "oracle": ("oracle (reported only)", "Orakel (nur berichtet)"),
    "informed": ("informed ceiling", "informierte Obergrenze"),
    "true_count_so_far": ("count so far of true holes", "Anzahl bisher, wahre Löcher"),
    "true_climatology": ("climatology of true holes", "Klimatologie, wahre Löcher"),
}
SPLITS: dict[str, Words] = {
    "temporal": ("temporal", "zeitlich"),
    "spatio-temporal": ("spatio-temporal", "räumlich-zeitlich"),
    "spatial": ("spatial", "räumlich"),
    "random": ("random (leaks)", "zufällig (mit Leck)"),
}
GROUPS: dict[str, Words] = {
    "weather": ("weather", "Wetter"),
    "wear": ("road", "Straße"),
    "memory": ("memory", "Gedächtnis"),
    "camera": ("camera", "Kamera"),
    "sensors": ("sensors", "Sensoren"),
}
FIGURES: dict[str, Words] = {
    "roc_auc": ("ROC-AUC", "ROC-AUC"),
    "pr_auc": ("PR-AUC", "PR-AUC"),
    "brier": ("Brier score", "Brier-Wert"),
    "brier_skill": ("Brier skill", "Brier-Skill"),
    "predicted_over_observed": ("pred. / obs.", "vorherg. / beob."),
    "calibration_slope": ("slope", "Steigung"),
    "bin_error": ("error of ten bins", "Fehler in zehn Klassen"),
    "precision_at_capacity": ("precision, crews", "Trefferanteil, Kolonnen"),
    "recall_at_capacity": ("recall, crews", "Fundanteil, Kolonnen"),
    "precision_at_10_pct": ("precision at 10 %", "Trefferanteil bei 10 %"),
    "recall_at_10_pct": ("recall at 10 %", "Fundanteil bei 10 %"),
    "lift_at_10_pct": ("lift at 10 %", "Lift bei 10 %"),
    "events_on_worst_10_pct": ("events on worst 10 %", "Ereignisse auf schlechtesten 10 %"),
}
KINDS: dict[str, Words] = {
    "winter": ("winter", "Winter"),
    "spring": ("spring", "Frühling"),
    "summer": ("summer", "Sommer"),
    "autumn": ("autumn", "Herbst"),
    "main": ("main", "Hauptstraße"),
    "collector": ("collector", "Sammelstraße"),
    "residential": ("residential", "Anliegerstraße"),
    "other": ("other", "sonstige"),
    "lowest": ("lowest", "kleinster Wert"),
    "highest": ("highest", "größter Wert"),
}
GERMAN: dict[str, str] = {
    "7 days": "7 Tage", "28 days": "28 Tage", "90 days": "90 Tage",
    "ROC-AUC, 7 days": "ROC-AUC, 7 Tage", "ROC-AUC, 28 days": "ROC-AUC, 28 Tage",
    "ROC-AUC, 90 days": "ROC-AUC, 90 Tage",
    "Brier skill, 7 days": "Brier-Skill, 7 Tage", "Brier skill, 28 days": "Brier-Skill, 28 Tage",
    "Brier skill, 90 days": "Brier-Skill, 90 Tage",
    "ROC-AUC": "ROC-AUC", "Brier skill": "Brier-Skill",
    "forecast [%]": "vorhergesagt [%]", "happened [%]": "eingetreten [%]",
    "predicted / observed by season": "vorhergesagt / beobachtet nach Jahreszeit",
    "by road class": "nach Straßenklasse", "by district": "nach Bezirk",
    "share of false alarms": "Anteil falscher Alarme", "share of the found": "Anteil der gefundenen",
    "share looked at": "Anteil der angesehenen", "share of the events": "Anteil der Ereignisse",
    "reasons: mean size of the effect [log-odds]": "Gründe: mittlere Größe der Wirkung [Log-Odds]",
    "effect [log-odds]": "Wirkung [Log-Odds]",
    "inside [%]": "darin [%]",
    "least": "kleinste", "2nd": "2.", "3rd": "3.", "4th": "4.", "most": "größte",
    "ROC-AUC of the model over that of the ceiling": "ROC-AUC des Modells über der Obergrenze",
    "Brier skill of the model over that of the ceiling": "Brier-Skill des Modells über der Obergrenze",
    "informed ceiling": "informierte Obergrenze",
}  # fmt: skip
for _words in (FORECASTS, SPLITS, GROUPS, FIGURES, KINDS):
    GERMAN |= {english: german for english, german in _words.values() if english != german}
GERMAN |= {feature.label_en: feature.label_de for feature in FEATURE_SET.features}
GERMAN |= {f"+ {english}": f"+ {german}" for english, german in GROUPS.values()}


def plot(key: str, image: str, **numbers: float) -> Plot:
    """A plot with its title and caption from `captions.toml`, in which `numbers` are filled in."""
    return words.plot(_table("captions.toml"), key, image, **numbers)


@lru_cache(maxsize=2)
def _table(name: str) -> dict[str, dict[str, str]]:
    return tomllib.loads((resources.files("roadtwin.jobs.pages") / name).read_text("utf-8"))


def sentence(key: str, **numbers: float) -> Words:
    """A sentence of `sentences.toml` with numbers filled in; German ones get decimal commas."""
    texts = _table("sentences.toml")[key]
    english, german = (
        texts[language].format_map({name: Number(value, comma=language == "de") for name, value in numbers.items()})
        for language in ("en", "de")
    )
    return english, german


def number(value: float | None, decimals: int = 3) -> Words:
    """A figure in both languages; a dash for what cannot be said.

    Examples
    --------
    >>> number(0.8512), number(-0.8512), number(None)
    (('0.851', '0,851'), ('−0.851', '−0,851'), ('–', '–'))
    """
    if value is None:
        return "–", "–"
    english, german = (
        format(Number(value, comma=comma), f",.{decimals}f").replace("-", "−") for comma in (False, True)
    )
    return english, german
