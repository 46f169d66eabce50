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
    "Nur Fenster, in denen jemand hinsah, zählen überhaupt; was selten befahren wird, ist zu selten dabei.",
    "Vom kommenden Wetter zählt nur, was für sieben Tage vorhergesagt war; danach steht die Jahreszeit dafür.",
    "Luft und Regen sind das Mittel der Stationen, für die ganze Stadt dasselbe.",
    "LoRaWAN-Sensoren stehen an wenigen Prozent der Abschnitte; für die anderen sind ihre Messwerte geschätzt.",
    "Der 90-%-Bereich gilt für die Wahrscheinlichkeit, nicht für die Zahl der Löcher.",
    "Wie weit ein Winter von seiner Vorhersage abweicht, ist aus wenigen Wintern geschätzt.",
    "Vor der ersten Übernahme des Straßenregisters gelten seine Merkmale, wie sie damals waren.",
)
LIMITS_EN = (
    "Trained on what was recorded: a hole that nobody saw, reported or repaired is not in the labels.",
    "Only windows in which somebody looked count at all; stretches that are seldom passed are underrepresented.",
    "Of the weather to come only what was forecast for seven days counts; beyond, the season stands in for it.",
    "Air and rain are the mean of the stations, the same for the whole city.",
    "LoRaWAN sensors stand at a few per cent of the segments; for the others their measurements are estimated.",
    "The 90 % interval is for the probability, not for the number of holes.",
    "How far a winter strays from its forecast is estimated from few winters.",
    "Before the road register was first imported, its attributes count as they were at that import.",
)

HOLDOUTS_DE = {
    "spatio-temporal": "Andere Orte und spätere Zeit: {tested} von {folds} Teilen der Blöcke von 500 m, von denen und "
    "von deren Zeit nichts gelernt wurde.",
    "temporal": "Spätere Zeit, alle Orte: Von früheren Zeiten derselben Abschnitte wurde gelernt.",
    "spatial": "Andere Orte: {tested} von {folds} Teilen der Blöcke von 500 m; aus der Prüfzeit wurde gelernt.",
    "random": "Zufällige Zeilen: Nachbarn in Zeit und Raum wurden gelernt; das ist keine Güte.",
}
HOLDOUTS_EN = {
    "spatio-temporal": "Other places and a later time: {tested} of {folds} parts of the blocks of 500 m; neither from "
    "them nor from that time was anything learned.",
    "temporal": "A later time, all places: earlier times of the same segments were learned from.",
    "spatial": "Other places: {tested} of {folds} parts of the blocks of 500 m; their time was learned from.",
    "random": "Random rows: neighbours in time and space were learned from; this is no skill.",
}

COLD_START_DE = (
    "Kaltstart: Aus dieser Stadt wurde noch nichts gelernt. Reihenfolge und Höhe folgen allein aus Physik und Studien "
    "anderer Orte; wie gut sie hier sind, ist unbekannt. Im Mittel eines Jahres haben alle Straßen zusammen die Rate, "
    "die aus Essen bekannt ist; vom Wetter dieses Jahres sind {} von 12 Monaten hier gemessen."
)
COLD_START_EN = (
    "Cold start: nothing was learned from this city yet. Order and level follow from physics and studies of other "
    "places alone; how good they are here is unknown. In the mean of a year all roads together have the rate that is "
    "known of Essen; of that year's weather, {} of 12 months were measured here."
)
FEW_CASES_DE = (
    "Kaltstart: Aus {} Fällen dieser Stadt wurde gelernt; geprüft und kalibriert ist das Modell hier noch nicht."
)
FEW_CASES_EN = (
    "Cold start: {} cases of this city were learned from; the model has not been tested or calibrated here yet."
)
