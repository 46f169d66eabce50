"""What an answer to "what if" rests on, in words, German and English."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from models.features import FEATURE_SET
from models.weather_scenario import WeatherScenario, left_by_weather


class Treatment(StrEnum):
    """What a crew or a contractor could do with a segment; words as in repair records where they have one."""

    NONE = "none"
    COLD_MIX = "cold_mix"
    INFILL = "infill"
    CRACK_SEALING = "crack_sealing"
    RESURFACING = "resurfacing"
    DRAINAGE_REPAIR = "drainage_repair"
    RECONSTRUCTION = "reconstruction"


@dataclass(frozen=True, slots=True)
class Assumption:
    """One thing that the answer rests on. `code` is stable."""

    code: str
    text_de: str
    text_en: str


NO_PROOF = Assumption(
    "no_proof",
    "Das Modell hat aus Beobachtungen gelernt, nicht aus Versuchen: Die Differenz ist eine Erwartung, kein Beweis, "
    "dass die Maßnahme wirkt.",
    "The model learned from observation, not from trials: the difference is an expectation and no proof that the "
    "treatment works.",
)
MARKS_STAY = Assumption(
    "repair_counts_stay",
    "Zahl und Alter der Reparaturen bleiben, wie sie sind: In den Aufzeichnungen wird geflickt, wo es schlecht ist, "
    "und das Modell liest sie als Zeichen dafür, nicht als Ursache.",
    "Number and age of repairs stay as they are: in the records, patches are where roads are bad, and the model reads "
    "them as a mark of that, not as a cause.",
)
WHEN = Assumption(
    "counts_from_the_end",
    "Gerechnet wird der Stand am Ende der {days} Tage mit diesem Wetter, sonst alles wie heute (Jahreszeit, Alter, "
    "Zählungen); die Wahrscheinlichkeiten gelten für die 7, 28 und 90 Tage danach.",
    "The state at the end of the {days} days of this weather is taken, everything else as today (season, ages, "
    "counts); the probabilities are those of the 7, 28 and 90 days after them.",
)
OUT_OF_SEASON = Assumption(
    "out_of_season",
    "Frost zu dieser Jahreszeit ist dem Modell fremd: Es setzt fort, was es am Rand seiner Erfahrung gelernt hat.",
    "Frost at this time of year is foreign to the model: it goes on with what it learned at the edge of what it saw.",
)
NO_EFFECT = Assumption(
    "nothing_to_treat",
    "Hier ist nichts, was diese Maßnahme ändern würde (oder das Kataster kennt es nicht).",
    "There is nothing here that this treatment would change (or the register does not know of it).",
)
RAISED = Assumption(
    "raised",
    "Auf manchen Abschnitten nennt das Modell danach ein höheres Risiko. Das ist ein Zeichen aus den Aufzeichnungen "
    "und keine Wirkung der Maßnahme.",
    "On some segments the model gives a higher risk afterwards. That is a mark in the records and no effect of the "
    "treatment.",
)
_TREATMENT_TEXTS: Mapping[Treatment, Assumption] = {
    Treatment.NONE: Assumption("treatment_none", "Keine Maßnahme.", "No treatment."),
    Treatment.COLD_MIX: Assumption(
        "treatment_cold_mix",
        "Kaltmischgut schließt die offenen Schlaglöcher; Risse, Alter und Entwässerung bleiben. Wie lange es hält, "
        "bleibt offen: Die neuen Kaltflicken zählen in dieser Antwort nicht mit.",
        "Cold mix closes the open potholes; cracks, age and drainage stay. How long it lasts is left open: the new "
        "cold patches are not counted in this answer.",
    ),
    Treatment.INFILL: Assumption(
        "treatment_infill",
        "Heißmischgut schließt die offenen Schlaglöcher und nimmt die Hälfte der Netzrisse mit (unsere Annahme); "
        "Längs- und Querrisse, Alter und Entwässerung bleiben.",
        "Hot mix closes the open potholes and takes half of the alligator cracks with it (our assumption); linear "
        "cracks, age and drainage stay.",
    ),
    Treatment.CRACK_SEALING: Assumption(
        "treatment_crack_sealing",
        "Vergossene Längs- und Querrisse zählen zu einem Zehntel (unsere Annahme); Netzrisse und Schlaglöcher bleiben.",
        "Sealed linear cracks count a tenth (our assumption); alligator cracks and potholes stay.",
    ),
    Treatment.RESURFACING: Assumption(
        "treatment_resurfacing",
        "Neue Deckschicht: Alter, Risse, offene und im letzten Vierteljahr entstandene Schlaglöcher auf null, Ebenheit "
        "wie das glatteste Zehntel der Stadt, die Schlaglöcher des letzten Jahres höchstens wie im Stadtmittel, keine "
        "Kaltflicken. Unterbau, Entwässerung, alte Aufbrüche, Umgebung und das Gedächtnis aller Jahre bleiben.",
        "New wearing course: age, cracks, open potholes and those of the last quarter at zero, as smooth as the city's "
        "smoothest tenth, potholes of the last year at most the city's average, no cold patches. Base, drainage, "
        "old openings, surroundings and the memory of all years stay.",
    ),
    Treatment.DRAINAGE_REPAIR: Assumption(
        "treatment_drainage_repair",
        "Entwässerung gut, wo sie als mittel oder schlecht bekannt ist; die Oberfläche bleibt.",
        "Drainage good where it is known to be fair or poor; the surface stays.",
    ),
    Treatment.RECONSTRUCTION: Assumption(
        "treatment_reconstruction",
        "Neuer Oberbau: wie neue Deckschicht, dazu Alter und Belastung des Oberbaus auf null, Entwässerung gut, "
        "frostsichere Dicke, keine Aufbrüche, und das Gedächtnis aller Jahre höchstens wie im Stadtmittel.",
        "New pavement: as a new wearing course, with age and load of the pavement at zero, good drainage, frost-safe "
        "thickness, no openings, and the memory of all years at most the city's average.",
    ),
}
_WEATHER_TEXTS: Mapping[WeatherScenario, Assumption] = {
    WeatherScenario.AS_FORECAST: Assumption(
        "weather_as_forecast",
        "Wetter wie in der Bewertung: bekanntes Wetter bis zu ihrem Stand, danach, was das Modell daraus erwartet.",
        "Weather as in the score: what was known at its time, and from there what the model makes of it.",
    ),
    WeatherScenario.HARD_FROST: Assumption(
        "weather_hard_frost",
        "Strenger Frost: Tagesmittel −4 °C, jeder dritte Tag mittags über null mit 2 mm Niederschlag.",
        "Hard frost: daily mean of −4 °C, every third day above zero at noon with 2 mm of precipitation.",
    ),
    WeatherScenario.FROST_THAW: Assumption(
        "weather_frost_thaw",
        "Frostwechsel und Tauwetter: jede Nacht −5 °C, mittags +2 °C, täglich 2 mm; zuletzt zwei Tage Tauen bei 4 °C.",
        "Frost and thaw: −5 °C every night, +2 °C at noon, 2 mm a day; two days of thaw at 4 °C in the end.",
    ),
    WeatherScenario.LONG_RAIN: Assumption(
        "weather_long_rain",
        "Dauerregen: 8 mm am Tag bei 8 °C, kein Frost.",
        "Long rain: 8 mm a day at 8 °C, no frost.",
    ),
    WeatherScenario.MILD: Assumption(
        "weather_mild", "Mild: 8 °C, 1 mm am Tag, kein Frost.", "Mild: 8 °C, 1 mm a day, no frost."
    ),
}
_PATCHES = frozenset({Treatment.COLD_MIX, Treatment.INFILL})


def held_back(names: Sequence[str]) -> Assumption:
    """That these features were held within what training knew."""
    features = [FEATURE_SET.features[FEATURE_SET.index(name)] for name in names]
    return Assumption(
        "held_back",
        f"Auf den Rand dessen gesetzt, was das Modell kennt: {', '.join(f.label_de for f in features)}.",
        f"Held at the edge of what the model knows: {', '.join(f.label_en for f in features)}.",
    )


def assumptions(treatment: Treatment, weather: WeatherScenario, days: int) -> Sequence[Assumption]:
    """What an answer to this question rests on, whatever the rows."""
    told = [NO_PROOF] if treatment is not Treatment.NONE else []
    told.append(_TREATMENT_TEXTS[treatment])
    if treatment in _PATCHES:
        told.append(MARKS_STAY)
    told.append(_WEATHER_TEXTS[weather])
    if weather is not WeatherScenario.AS_FORECAST:
        told.append(Assumption(WHEN.code, *(text.format(days=days) for text in (WHEN.text_de, WHEN.text_en))))
        left = left_by_weather()
        if left:
            labels = [FEATURE_SET.features[FEATURE_SET.index(name)] for name in left]
            told.append(
                Assumption(
                    "weather_left",
                    f"Trotz des Wetters unverändert bleiben: {', '.join(f.label_de for f in labels)}.",
                    f"Left as they are in spite of the weather: {', '.join(f.label_en for f in labels)}.",
                )
            )
    return tuple(told)
