"""The page itself: one HTML file without anything from outside, in German and English."""

import html
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from roadtwin.reporting.words import Plot, Words, bilingual

_CODE = re.compile(r"`([^`]+)`")

STYLE = """
:root { --ink: #14202b; --muted: #4e5d6a; --line: #d3dae1; --accent: #0b5c9e; font: 15px/1.45 system-ui, "Segoe UI",
  Roboto, "Noto Sans", sans-serif; color: var(--ink); background: #fff; }
body { max-width: 1000px; margin: 0 auto; padding: 16px 20px 60px; }
html[lang="en"] [lang="de"], html[lang="de"] [lang="en"] { display: none; }
header { border-bottom: 2px solid var(--ink); padding-bottom: 10px; }
h1 { font-size: 26px; margin: 6px 0; } h2 { font-size: 20px; margin: 34px 0 6px; border-bottom: 1px solid var(--line); }
h3 { font-size: 15px; margin: 0 0 2px; }
figure { margin: 18px 0 26px; break-inside: avoid; }
figure svg, figure img { width: 100%; height: auto; display: block; overflow: visible; }
figcaption { color: var(--muted); font-size: 13.5px; max-width: 80ch; }
.badge { background: #7a4b00; color: #fff; border-radius: 4px; padding: 2px 8px; font-weight: 600; }
.truth h3::before { content: "◆ "; color: #a8071a; }
dl { display: grid; grid-template-columns: max-content 1fr; gap: 2px 14px; margin: 8px 0; } dt { color: var(--muted); }
dd { margin: 0; } table { border-collapse: collapse; font-size: 13.5px; } td, th { padding: 2px 14px 2px 0;
  text-align: left; border-bottom: 1px solid var(--line); } td:last-child { text-align: right; }
.figures td:not(:first-child), .figures th:not(:first-child) { text-align: right; font-variant-numeric: tabular-nums; }
.figures { margin: 8px 0 18px; font-size: 13px; }
.figures caption { text-align: left; font-weight: 600; padding-bottom: 4px; }
.figures small { color: var(--muted); display: block; font-size: 11px; white-space: nowrap; }
.figures td, .figures th { padding-right: 10px; } .met { color: #1b6e33; } .missed { color: #a8071a; }
.scroll { overflow-x: auto; }
.keys { margin: 2px 0 6px; display: flex; justify-content: space-around; font-size: 12.5px; }
.key { margin-right: 10px; white-space: nowrap; } .key i { display: inline-block; width: 22px; height: 4px;
  margin-right: 4px; vertical-align: middle; }
button { float: right; font: inherit; border: 1px solid var(--accent); color: var(--accent); background: #fff;
  border-radius: 4px; padding: 3px 12px; cursor: pointer; }
@media print { button { display: none; } body { max-width: none; } }
"""
SCRIPT = """
const root = document.documentElement;
const show = (lang) => { root.lang = lang; document.title = document.querySelector(`h1 [lang=${lang}]`).textContent; };
const asked = new URLSearchParams(location.search).get("lang") ?? location.hash.slice(1) ?? "";
show(["de", "en"].includes(asked) ? asked : navigator.language.startsWith("de") ? "de" : "en");
document.querySelector("button").addEventListener("click", () => show(root.lang === "de" ? "en" : "de"));
"""


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter of a page: plots, and what stands before and after them (HTML)."""

    title: Words
    plots: tuple[Plot, ...] = ()
    before: str = ""
    after: str = ""


def page(
    title: Words,
    *,
    badge: Words,
    facts: Iterable[tuple[Words, Words | str]],
    introduction: str,
    sections: Sequence[Section],
    german: Mapping[str, str],
    marked: frozenset[str] = frozenset(),
) -> str:
    """The whole page as HTML.

    Parameters
    ----------
    title, badge : Words
        The heading, whose two languages must differ, and what the data is.
    facts : iterable of (Words, Words or str)
        The list below the heading; a plain text is the same in both languages.
    introduction : str
        HTML before and after which nothing stands but the list.
    sections : sequence of Section
    german : mapping
        German words of the texts inside the plots.
    marked : frozenset of str
        Keys of plots that get the mark ◆.
    """
    rows = "".join(f"<dt>{both(name)}</dt><dd>{both(_words(value))}</dd>" for name, value in facts)
    body = "\n".join(_section(section, german, marked) for section in sections)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title[0])}</title><style>{STYLE}</style></head>\n<body><header>"
        f'<button type="button">{both(("Deutsch", "English"))}</button>'
        f'<span class="badge">{both(badge)}</span>'
        f'<h1><span lang="en">{html.escape(title[0])}</span><span lang="de">{html.escape(title[1])}</span></h1>'
        f"<dl>{rows}</dl>{introduction}</header>\n{body}\n<script>{SCRIPT}</script></body></html>\n"
    )


def _section(section: Section, german: Mapping[str, str], marked: frozenset[str]) -> str:
    figures = "".join(_figure(plot, german, marked=plot.key in marked) for plot in section.plots)
    return f"<section><h2>{both(section.title)}</h2>{section.before}{figures}{section.after}</section>"


def _figure(plot: Plot, german: Mapping[str, str], *, marked: bool) -> str:
    kind = ' class="truth"' if marked else ""
    return (
        f'<figure id="{plot.key}"{kind}><h3>{both(plot.title)}</h3>{bilingual(plot.image, german)}'
        f"<figcaption>{both(plot.caption)}</figcaption></figure>\n"
    )


def both(words: Words) -> str:
    """Escaped text in both languages, one of which the page hides; what stands between backticks is set as code."""
    english, german = (_CODE.sub(r"<code>\1</code>", html.escape(text)) for text in words)
    return english if english == german else f'<span lang="en">{english}</span><span lang="de">{german}</span>'


def paragraph(words: Words) -> str:
    """A paragraph in both languages."""
    return f"<p>{both(words)}</p>"


def _words(value: Words | str) -> Words:
    return (value, value) if isinstance(value, str) else value
