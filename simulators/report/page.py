"""The page itself: one HTML file without anything from outside, in German and English."""

import html
from dataclasses import dataclass

from simulators.report.feed import Feed
from simulators.report.words import Plot, Words, bilingual
from simulators.world import CITY_NAME, World

_STYLE = """
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
.keys { margin: 2px 0 6px; display: flex; justify-content: space-around; font-size: 12.5px; }
.key { margin-right: 10px; white-space: nowrap; } .key i { display: inline-block; width: 22px; height: 4px;
  margin-right: 4px; vertical-align: middle; }
button { float: right; font: inherit; border: 1px solid var(--accent); color: var(--accent); background: #fff;
  border-radius: 4px; padding: 3px 12px; cursor: pointer; }
@media print { button { display: none; } body { max-width: none; } }
"""
_SCRIPT = """
const root = document.documentElement;
const show = (lang) => { root.lang = lang; document.title = document.querySelector(`h1 [lang=${lang}]`).textContent; };
const asked = new URLSearchParams(location.search).get("lang") ?? location.hash.slice(1) ?? "";
show(["de", "en"].includes(asked) ? asked : navigator.language.startsWith("de") ? "de" : "en");
document.querySelector("button").addEventListener("click", () => show(root.lang === "de" ? "en" : "de"));
"""
TRUTH_PLOTS = ("weeks", "backlog", "hazard", "hazard_map", "concentration", "cameras")
"""Plots of what no model and no office can know."""


_NOTE: Words = (
    """A simulated city. Nothing here was measured. Plots marked ◆ show its hidden truth, which no model and no message
    tells.""",
    """Eine simulierte Stadt. Nichts hiervon wurde gemessen. Mit ◆ markierte Bilder zeigen ihre verborgene Wahrheit, die
    kein Modell und keine Nachricht verrät.""",
)
_ACCOUNTS: Words = (
    """Messages that it refuses, with their reason, and marks on single values that it can set without a memory. Marks
    that need one (standing still, jumps, repeated frames) are set when it stores.""",
    """Nachrichten, die er ablehnt, mit Grund, und Marken an einzelnen Werten, die er ohne Gedächtnis setzen kann.
    Marken, die eines brauchen (Stillstand, Sprünge, wiederholte Frames), setzt er beim Speichern.""",
)


@dataclass(frozen=True, slots=True)
class Section:
    """A chapter of the page."""

    title: Words
    plots: tuple[Plot, ...]


def page_of(world: World, period: str, sections: tuple[Section, ...], feed: Feed) -> str:
    """The whole page as HTML."""
    scenario = world.scenario
    title = (f"{CITY_NAME}: {scenario.title}", f"{CITY_NAME}: {scenario.title_de}")
    km = f"{world.geometry.section_length_m.sum() / 1000:,.0f}"
    facts: list[tuple[Words, str]] = [
        (("Scenario", "Szenario"), scenario.name),
        (("Period", "Zeitraum"), period),
        (("Seed", "Startwert"), str(world.seed)),
        (("Streets", "Straßen"), f"{km} km"),
        (("Segments", "Abschnitte"), str(len(world.segments))),
        (("Devices", "Geräte"), f"{len(world.devices)} · {len(world.gateways)} Gateways"),
        (
            ("Seen message by message", "Nachricht für Nachricht"),
            f"{feed.start:%Y-%m-%d} – {feed.end:%Y-%m-%d}",
        ),
    ]
    rows = "".join(f"<dt>{_both(name)}</dt><dd>{html.escape(value)}</dd>" for name, value in facts)
    body = "".join(
        f"<section><h2>{_both(section.title)}</h2>{''.join(map(_figure, section.plots))}</section>"
        for section in sections
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title[0])}</title><style>{_STYLE}</style></head>\n<body><header>"
        f'<button type="button">{_both(("Deutsch", "English"))}</button>'
        f'<span class="badge">{_both(("simulated", "simuliert"))}</span><h1>{_both(title)}</h1>'
        f"<p>{html.escape(scenario.summary)}</p><dl>{rows}</dl><p>{_both(_NOTE)}</p></header>\n"
        f"{body}\n{_accounts(feed)}\n<script>{_SCRIPT}</script></body></html>\n"
    )


def _figure(plot: Plot) -> str:
    marked = ' class="truth"' if plot.key in TRUTH_PLOTS else ""
    return (
        f'<figure id="{plot.key}"{marked}><h3>{_both(plot.title)}</h3>{bilingual(plot.image)}'
        f"<figcaption>{_both(plot.caption)}</figcaption></figure>\n"
    )


def _accounts(feed: Feed) -> str:
    """What the ingester refused and marked, as a table."""
    rows = [(("rejected", "abgelehnt"), name, count) for name, count in sorted(feed.rejected.items())]
    rows += [(("marked", "markiert"), name, count) for name, count in sorted(feed.flags.items())]
    body = "".join(
        f"<tr><td>{_both(kind)}</td><td>{html.escape(name)}</td><td>{count}</td></tr>" for kind, name, count in rows
    )
    none = f"<tr><td>{_both(('nothing', 'nichts'))}</td><td></td><td>0</td></tr>"
    return (
        f"<section id='accounts'><h2>{_both(('What the ingester says', 'Was der Ingester sagt'))}</h2>"
        f"<p>{_both(_ACCOUNTS)}</p><table>{body or none}</table></section>"
    )


def _both(words: Words) -> str:
    if words[0] == words[1]:
        return html.escape(words[0])
    return f'<span lang="en">{html.escape(words[0])}</span><span lang="de">{html.escape(words[1])}</span>'
