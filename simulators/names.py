"""Made-up names of streets and districts: none is meant to be a real place, all are formed as German towns do it."""

from collections.abc import Iterator

import numpy as np

_PERSONS = (
    "Alma-Rüther", "Anton-Grewe", "August-Kötter", "Berta-Lünemann", "Carl-Overbeck", "Clara-Hülsmann",
    "Dorothea-Brüning", "Elise-Tönnes", "Emil-Wüllner", "Ernst-Schürmann", "Ferdinand-Höltken", "Franz-Lüdeking",
    "Frieda-Möllers", "Gustav-Dröge", "Hedwig-Küppers", "Heinrich-Rövekamp", "Hermann-Güldner", "Ida-Stöcker",
    "Johanna-Büscher", "Josef-Vöcking", "Karl-Niehüser", "Käthe-Lömker", "Konrad-Mühlen", "Lina-Dörpinghaus",
    "Ludwig-Fröhling", "Luise-Kämper", "Maria-Schlüter", "Martha-Nöcker", "Otto-Böing", "Paula-Hörstmann",
    "Richard-Grünewald", "Rosa-Wördemann", "Theodor-Brökel", "Therese-Jürgens", "Wilhelm-Köhnen", "Wilhelmine-Pöppel",
)  # fmt: skip
_FIRST = (
    "Ahorn", "Amsel", "Anger", "Bach", "Berg", "Birken", "Blumen", "Brücken", "Brunnen", "Buchen", "Damm", "Dorn",
    "Eichen", "Eisenhütten", "Erlen", "Eschen", "Falken", "Feld", "Fichten", "Finken", "Flöz", "Förder", "Forst",
    "Garten", "Ginster", "Glocken", "Gruben", "Grün", "Habichts", "Hafer", "Hain", "Halden", "Hasel", "Heide", "Hirten",
    "Hof", "Holunder", "Hügel", "Hütten", "Kamp", "Kastanien", "Kiefern", "Kirch", "Klee", "Knappen", "Kohlen", "Korn",
    "Krähen", "Kreuz", "Kuhlen", "Lerchen", "Linden", "Lohe", "Markt", "Meisen", "Mergel", "Mohn", "Moor", "Mühlen",
    "Nachtigallen", "Nelken", "Nord", "Ost", "Pappel", "Pfarr", "Pütt", "Quell", "Reb", "Reiher", "Ritter", "Röhren",
    "Rosen", "Rüster", "Sand", "Schacht", "Schäfer", "Schlehen", "Schmiede", "Schul", "Schwalben", "See", "Siepen",
    "Sonnen", "Sperber", "Stein", "Steiger", "Stollen", "Süd", "Tannen", "Teich", "Tulpen", "Ufer", "Ulmen", "Veilchen",
    "Wachtel", "Wald", "Wäldchen", "Walnuss", "Wasser", "Weiden", "West", "Wiesen", "Wind", "Zechen", "Zeisig",
    "Ziegelei",
)  # fmt: skip
_MAIN_LAST = ("straße", "straße", "straße", "allee", "damm", "ring")
_COLLECTOR_LAST = ("straße", "straße", "weg", "allee", "wall")
_RESIDENTIAL_LAST = (
    "straße", "straße", "weg", "weg", "gasse", "kamp", "höhe", "grund", "hof", "pfad", "stieg", "winkel", "bogen",
    "feld",
)  # fmt: skip
_TOWNS = (
    "Altenlohe", "Bergkamper", "Brinkumer", "Dörnscheider", "Emscherauer", "Fahrenbrucher", "Grevelinger", "Haardter",
    "Hülsbecker", "Kleinruhrer", "Lohrader", "Mühlenauer", "Niederfelder", "Oberhammer", "Ravenkamper", "Rüstringer",
    "Schönwalder", "Steeler-Bach", "Uhlenberger", "Weddericher",
)  # fmt: skip
_DISTRICT_FIRST = (
    "Alten", "Berg", "Brink", "Dörn", "Eicken", "Fahren", "Grün", "Haar", "Hülsen", "Kalten", "Krey", "Lohr", "Mühl",
    "Nieder", "Ober", "Raven", "Schön", "Stoppel", "Über", "Wedder",
)  # fmt: skip
_DISTRICT_LAST = ("beck", "berg", "bruch", "hausen", "horst", "kamp", "loh", "rade", "scheid", "siepen", "wig")


def _fits(first: str, last: str) -> bool:
    """No doubled meaning ("Kampkamp", "Waldwäldchen") and no three equal letters in a row."""
    stem = first.lower().rstrip("en")
    joined = (first + last).lower()
    return (
        stem not in last
        and last not in stem
        and not any(a == b == c for a, b, c in zip(joined, joined[1:], joined[2:], strict=False))
    )


def street_names(road_class: str, rng: np.random.Generator) -> Iterator[str]:
    """Endless distinct street names of a road class, in an order that `rng` decides.

    The classes draw from disjoint patterns or endings as far as names last; the caller drops what it has used already.
    """
    plain = [first + last for first in _FIRST for last in dict.fromkeys(_endings(road_class)) if _fits(first, last)]
    if road_class == "main":
        special = [f"{town} Straße" for town in _TOWNS]
    else:
        special = [f"{person}-Straße" for person in _PERSONS] + [f"{person}-Weg" for person in _PERSONS]
    rng.shuffle(special)
    # Endings are drawn with their frequencies, so that "straße" leads as it does in any town.
    weights = np.array([_endings(road_class).count(name_ending(name, road_class)) for name in plain], dtype=float)
    order = rng.choice(len(plain), size=len(plain), replace=False, p=weights / weights.sum())
    regular = iter([plain[i] for i in order])
    extra = iter(special)
    share_special = 0.5 if road_class == "main" else 0.12
    while True:
        source = extra if rng.random() < share_special else regular
        name = next(source, None) or next(regular, None) or next(extra, None)
        if name is None:
            break
        yield name
    number = 2
    while True:  # a city larger than our stock of words: rows of a settlement, as mining towns have them
        for first in _FIRST:
            yield f"{first}siedlung, {number}. Reihe"
        number += 1


def name_ending(name: str, road_class: str) -> str:
    """The ending that a regular name was made with."""
    return max((last for last in _endings(road_class) if name.endswith(last)), key=len)


def _endings(road_class: str) -> tuple[str, ...]:
    return {"main": _MAIN_LAST, "collector": _COLLECTOR_LAST}.get(road_class, _RESIDENTIAL_LAST)


def district_names(count: int, rng: np.random.Generator) -> list[str]:
    """`count` distinct district names; raises ValueError above the number that can be formed."""
    names = [first + last for first in _DISTRICT_FIRST for last in _DISTRICT_LAST if _fits(first, last)]
    if count > len(names):
        raise ValueError(f"got {count} districts, expected at most {len(names)}")
    return [names[i] for i in rng.permutation(len(names))[:count]]
