"""What the model card says in words, German and English, in the same order."""

INTENDED_USE_DE = (
    "Ordnet die Straßenabschnitte einer Stadt danach, wo in 7, 28 und 90 Tagen neue Schlaglöcher zu erwarten sind, "
    "damit Kontrollen und Kolonnen dort beginnen. Eine Bewertung ersetzt keine Kontrolle und ändert nichts an der "
    "Verkehrssicherungspflicht."
)
INTENDED_USE_EN = (
    "Ranks the road segments of one city by where new potholes are to be expected within 7, 28 and 90 days, so that "
    "inspections and crews begin there. A score replaces no inspection and changes no duty of care."
)
NOT_FOR_DE = (
    "Nicht gedacht für andere Städte ohne neues Training, für einzelne Schlaglöcher, für Tragfähigkeit oder "
    "Restlebensdauer und für die Bewertung von Personen oder Firmen."
)
NOT_FOR_EN = (
    "Not meant for other cities without training anew, for single holes, for bearing capacity or remaining life, or "
    "for judging persons or companies."
)
SIMULATED_DE = "Simuliert ist alles: Netz, Wetter, Verkehr, Schäden, Befahrungen, Meldungen, Reparaturen und Sensoren."
SIMULATED_EN = "Everything is simulated: network, weather, traffic, damage, passes, reports, repairs and sensors."

LIMITS_DE = (
    "Gelernt aus dem, was erfasst wurde: Ein Loch, das niemand sah, meldete oder reparierte, ist in keinem Label.",
    "Nur Fenster, in denen jemand hinsah, zählen als frei von Löchern; was niemand befährt, ist zu selten dabei.",
    "Wetter nach der Bewertung wird nicht verwendet: Das Modell rechnet mit dem üblichen Wetter der Jahreszeit.",
    "Das Wetter ist das Mittel der Stationen, für die ganze Stadt dasselbe.",
    "Beobachtungen von LoRaWAN-Geräten (Feuchte, Temperatur) werden noch nicht verwendet, bestätigt oder nicht.",
    "Für eine Wahrscheinlichkeit wird noch kein Bereich genannt.",
    "Merkmale des Straßenregisters gelten als immer bekannt: Sie tragen keinen Zeitpunkt der Erfassung.",
)
LIMITS_EN = (
    "Trained on what was recorded: a hole that nobody saw, reported or repaired is not in the labels.",
    "Only windows in which somebody looked count as free of holes; stretches that nobody passes are underrepresented.",
    "Weather after the time of the score is not used: the model speaks for the usual weather of the season.",
    "Weather is that of the stations' mean, the same for the whole city.",
    "Observations of LoRaWAN devices (moisture, temperature) are not used yet, confirmed or not.",
    "No interval is given for a probability yet.",
    "Register attributes count as known throughout: they carry no recorded time.",
)

COLD_START_DE = (
    "Kaltstart: Aus dieser Stadt wurde noch nichts gelernt. Reihenfolge und Höhe folgen allein aus Physik und Studien "
    "anderer Orte; wie gut sie hier sind, ist unbekannt."
)
COLD_START_EN = (
    "Cold start: nothing was learned from this city yet. Order and level follow from physics and studies of other "
    "places alone; how good they are here is unknown."
)
FEW_CASES_DE = (
    "Kaltstart: Aus {} Fällen dieser Stadt wurde gelernt; geprüft und kalibriert ist das Modell hier noch nicht."
)
FEW_CASES_EN = (
    "Cold start: {} cases of this city were learned from; the model has not been tested or calibrated here yet."
)
