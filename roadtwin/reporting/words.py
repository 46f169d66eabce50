"""Plots in two languages: they are drawn once, in English, and every text inside them gets its German beside it.

The page shows one of the two. Numbers are turned by rule; for all else each report has a table of its own.
"""

import html
import importlib.util
import re
from collections.abc import Mapping
from dataclasses import dataclass

Words = tuple[str, str]
"""English and German."""
_COMMA = str.maketrans(".,", ",.")
_TEXT = re.compile(r"<text([^>]*)>([^<]*)</text>")
_NUMBER = re.compile(r"[−\-+±]?\d[\d,]*(?:\.\d+)?( ?%)?")
MISSING_MATPLOTLIB = "Report: got no matplotlib, expected it: pip install 'roadtwin[report]'."


@dataclass(frozen=True, slots=True)
class Plot:
    """One plot of a page."""

    key: str
    title: Words
    caption: Words
    """What to look for, and where the reference comes from."""
    image: str
    """SVG, or an img element with its data."""


class Number:
    """A number that is written with a decimal comma where a language has one.

    A format "winter|winters" gives the word that goes with the number.
    """

    def __init__(self, value: float, *, comma: bool) -> None:
        self._value, self._comma = value, comma

    def __format__(self, how: str) -> str:
        one, bar, many = how.partition("|")
        if bar:
            return one if self._value == 1 else many
        text = format(self._value, how)
        return text.translate(_COMMA) if self._comma else text


def counted(number: int, one: str, many: str | None = None) -> str:
    """A number with its English noun; `many` where the plural is not made by an s.

    Examples
    --------
    >>> counted(1, "winter"), counted(1200, "winter")
    ('1 winter', '1,200 winters')
    """
    return f"{number:,} {one if number == 1 else many or f'{one}s'}"


def counted_german(number: int, one: str, many: str) -> str:
    """The same with a German noun.

    Examples
    --------
    >>> counted_german(1, "Zeile", "Zeilen"), counted_german(1200, "Zeile", "Zeilen")
    ('1 Zeile', '1.200 Zeilen')
    """
    return f"{number:,}".translate(_COMMA) + f" {one if number == 1 else many}"


def plot(captions: Mapping[str, Mapping[str, str]], key: str, image: str, **numbers: float) -> Plot:
    """A plot with its title and caption from a report's table, in which `numbers` are filled in.

    Parameters
    ----------
    captions : mapping
        For each key `title_en`, `title_de`, `caption_en` and `caption_de`.
    key : str
        Name of the plot.
    image : str
        SVG, or an img element with its data.
    numbers : float
        Values of the captions' placeholders; German ones get decimal commas.
    """
    texts = captions[key]
    english, german = (
        texts[f"caption_{language}"].format_map({k: Number(v, comma=language == "de") for k, v in numbers.items()})
        for language in ("en", "de")
    )
    return Plot(key, (texts["title_en"], texts["title_de"]), (english, german), image)


def bilingual(drawing: str, table: Mapping[str, str]) -> str:
    """An SVG in which every text stands in both languages, one of which the page hides."""

    def both(match: re.Match[str]) -> str:
        english = html.unescape(match[2])
        words = in_german(english, table)
        if words == english:
            return match[0]
        return (
            f'<text{match[1]}><tspan lang="en">{match[2]}</tspan><tspan lang="de">{html.escape(words)}</tspan></text>'
        )

    return _TEXT.sub(both, drawing)


def in_german(text: str, table: Mapping[str, str]) -> str:
    """The German words of a drawing's text: from the table, or a number with a decimal comma; else the text itself.

    Examples
    --------
    >>> [in_german(text, {"wet": "nass"}) for text in ("0.5", "1,600", "wet", "SF7")]
    ['0,5', '1.600', 'nass', 'SF7']
    """
    if text in table:
        return table[text]
    if _NUMBER.fullmatch(text.strip()):
        return text.translate(_COMMA)
    return text


def can_draw() -> bool:
    """Whether matplotlib is there, which only pages of plots need."""
    return importlib.util.find_spec("matplotlib") is not None
