"""The page of a simulated city."""

import html

from roadtwin.reporting.page import Section, both, page, paragraph
from roadtwin.reporting.words import Words
from simulators.report.feed import Feed
from simulators.report.words import GERMAN
from simulators.world import CITY_NAME, World

TRUTH_PLOTS = frozenset({"weeks", "backlog", "hazard", "hazard_map", "concentration", "cameras"})
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


def page_of(world: World, period: str, sections: tuple[Section, ...], feed: Feed) -> str:
    """The whole page as HTML."""
    scenario = world.scenario
    title = (f"{CITY_NAME}: {scenario.title}", f"{CITY_NAME}: {scenario.title_de}")
    km = f"{world.geometry.section_length_m.sum() / 1000:,.0f}"
    facts: list[tuple[Words, Words | str]] = [
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
    return page(
        title,
        badge=("simulated", "simuliert"),
        facts=facts,
        introduction=f"<p>{html.escape(scenario.summary)}</p>{paragraph(_NOTE)}",
        sections=(*sections, _accounts(feed)),
        german=GERMAN,
        marked=TRUTH_PLOTS,
    )


def _accounts(feed: Feed) -> Section:
    """What the ingester refused and marked, as a table."""
    rows = [(("rejected", "abgelehnt"), name, count) for name, count in sorted(feed.rejected.items())]
    rows += [(("marked", "markiert"), name, count) for name, count in sorted(feed.flags.items())]
    body = "".join(
        f"<tr><td>{both(kind)}</td><td>{html.escape(name)}</td><td>{count}</td></tr>" for kind, name, count in rows
    )
    none = f"<tr><td>{both(('nothing', 'nichts'))}</td><td></td><td>0</td></tr>"
    return Section(
        ("What the ingester says", "Was der Ingester sagt"),
        before=f"{paragraph(_ACCOUNTS)}<table>{body or none}</table>",
    )
