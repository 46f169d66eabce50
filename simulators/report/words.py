"""Titles, captions and German words of the simulator's page."""

import tomllib
from functools import lru_cache
from importlib import resources

from roadtwin.reporting import words
from roadtwin.reporting.words import Plot, Words
from roadtwin.units import QUANTITIES, Quantity


def plot(key: str, image: str, **numbers: float) -> Plot:
    """A plot with its title and caption from `captions.toml`, in which `numbers` are filled in."""
    return words.plot(_captions(), key, image, **numbers)


@lru_cache(maxsize=1)
def _captions() -> dict[str, dict[str, str]]:
    return tomllib.loads((resources.files("simulators.report") / "captions.toml").read_text("utf-8"))


def measured(quantity: Quantity) -> Words:
    """A quantity with its unit."""
    unit = "" if quantity.unit == "1" else f" [{quantity.unit}]"
    return quantity.label_en + unit, quantity.label_de + unit


GERMAN: dict[str, str] = {
    # months
    "Mar": "Mär", "May": "Mai", "Oct": "Okt", "Dec": "Dez",
    # weather and pavement
    "Air temperature, monthly mean [°C]": "Lufttemperatur, Monatsmittel [°C]",
    "Rain, monthly sum [mm]": "Niederschlag, Monatssumme [mm]",
    "this period": "dieser Zeitraum",
    "normal": "Mittelwert",
    "Days a month": "Tage im Monat",
    "frost days (minimum below 0 °C)": "Frosttage (Minimum unter 0 °C)",
    "ice days (maximum below 0 °C)": "Eistage (Maximum unter 0 °C)",
    "Air temperature of each day: minimum to maximum, mean [°C]":
        "Lufttemperatur jedes Tages: Minimum bis Maximum, Mittel [°C]",
    "Rain [mm] and snow depth [cm] of each day": "Niederschlag [mm] und Schneehöhe [cm] jedes Tages",
    "rain [mm]": "Niederschlag [mm]",
    "snow depth [cm]": "Schneehöhe [cm]",
    "Surface of an unshaded pavement: minimum to maximum; air, daily mean [°C]":
        "Oberfläche einer unbeschatteten Fahrbahn: Minimum bis Maximum; Luft, Tagesmittel [°C]",
    "Moisture of the base: degree of saturation [%]": "Feuchte der Tragschicht: Sättigungsgrad [%]",
    "well drained": "gut entwässert",
    "fair": "mittel",
    "poor": "schlecht",
    "Thaw weakness [%]": "Tauschwächung [%]",
    "error (RMS)": "Fehler (RMS)",
    "bias": "mittlere Abweichung",
    "Air temperature [°C] by lead time [d]": "Lufttemperatur [°C] nach Vorlaufzeit [d]",
    "Rain: correlation with what fell, by lead time [d]": "Regen: Korrelation mit dem gefallenen, nach Vorlauf [d]",
    # damage
    "new holes": "neue Löcher",
    "repaired": "repariert",
    "Holes a week": "Löcher je Woche",
    "Open holes at noon": "Offene Löcher am Mittag",
    "by road class": "nach Straßenklasse",
    "by age of the wearing course [a]": "nach Alter der Deckschicht [a]",
    "by cracked area [%]": "nach gerissener Fläche [%]",
    "holes per km and year": "Löcher je km und Jahr",
    "main": "Haupt-", "collector": "Sammel-", "residential": "Anlieger-", "other": "sonstige",
    "Share of the holes [%] on the worst share of the segments [%]":
        "Anteil der Löcher [%] auf dem schlechtesten Anteil der Abschnitte [%]",
    "Segments [%] by their holes in the period (12: and more)":
        "Abschnitte [%] nach Löchern im Zeitraum (12: und mehr)",
    "main roads, simulated": "Haupt, simuliert",
    "main roads, Essen 2020": "Haupt, Essen 2020",
    "side roads, simulated": "Neben, simuliert",
    "side roads, Essen 2016": "Neben, Essen 2016",
    "Share of the segments by grade [%]: to 1.5, to 3.5, to 4.5, to 5.0":
        "Anteil der Abschnitte nach Note [%]: bis 1,5, bis 3,5, bis 4,5, bis 5,0",
    "Citizens' reports a week": "Meldungen je Woche",
    "Reports per km by district": "Meldungen je km nach Bezirk",
    "no report in this period": "keine Meldung in diesem Zeitraum",
    # cameras
    "good": "gut", "wet": "nass", "dark": "dunkel",
    "low": "gering", "medium": "mittel", "severe": "schwer",
    "Recall in the own lane, by severity": "Trefferquote, eigene Spur",
    "Precision by frame": "Genauigkeit nach Bild",
    "Confidence of each reported pothole": "Konfidenz jedes gemeldeten Schlaglochs",
    "Their distribution: number by confidence": "Ihre Verteilung: Anzahl nach Konfidenz",
    "no pothole was reported in these days": "kein Schlagloch wurde in diesen Tagen gemeldet",
    "Readings by distance to the street axis [m]": "Ablesungen nach Abstand zur Straßenachse [m]",
    "Readings by stated accuracy [m]": "Ablesungen nach angegebener Genauigkeit [m]",
    "no vehicle drove in these days": "kein Fahrzeug fuhr in diesen Tagen",
    # sensors, radio, times
    "Spreading factor [% of uplinks]": "Spreizfaktor [% der Uplinks]",
    "Gateways that heard [%]": "Gateways, die hörten [%]",
    "Loss of each device [%]": "Verlust jedes Geräts [%]",
    "SNR [dB] over RSSI [dBm]": "SNR [dB] über RSSI [dBm]",
    "Messages of sensors an hour": "Nachrichten von Sensoren je Stunde",
    "Messages of vehicles an hour": "Nachrichten von Fahrzeugen je Stunde",
    "From measurement to arrival: number of messages": "Von Messung bis Eintreffen: Anzahl Nachrichten",
    "Gateway's clock against the server's: number": "Uhr des Gateways gegen den Server: Anzahl",
}  # fmt: skip

GERMAN |= {measured(q)[0]: measured(q)[1] for q in QUANTITIES.values()}

SAME_IN_BOTH = (
    r"Jan|Feb|Apr|Jun|Jul|Aug|Sep|Nov|\d\d\.\d\d\.|SF\d+|v\d.*|-?1 (?:h|s|min|d)|[<>] \d+|\d+-\d+|"
    r"[a-z0-9]+-[-a-z0-9]+(?:, \d+ cm)?"
)
"""Texts that are the same in both languages, but for names of districts and quantities."""


def in_german(text: str) -> str:
    """The German words of a text in one of this page's drawings."""
    return words.in_german(text, GERMAN)
