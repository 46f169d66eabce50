"""The report: a page that stands alone, in two languages, with every plot filled."""

import re
import sys
from datetime import UTC, date, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from roadtwin.errors import SimulationError
from simulators.report import make_report, write_report
from simulators.report.plots_damage import weekly
from simulators.report.plots_maps import distance_to_streets_m
from simulators.report.words import SAME_IN_BOTH, in_german, plot
from simulators.scenario import parse_scenario
from simulators.world import build_world

PLOTS = {
    "months", "frost", "days", "forecasts", "pavement", "moisture", "weeks", "backlog",
    "hazard", "concentration", "grades", "reports", "hazard_map", "coverage", "cameras",
    "confidence", "positions", "series", "radio", "hours", "times",
}  # fmt: skip
SCENARIO = """
name = "test"
title = "A test & more"
title_de = "Ein Test & mehr"
summary = "Half of the devices silent."

[[fault]]
kind = "sensor-outage"
share = 0.5
from = "today-1d"
until = "today"
"""


@pytest.fixture(scope="module")
def report():
    world = build_world(
        seed=5,
        length_km=12,
        start=datetime(2023, 12, 1, tzinfo=UTC),
        scenario=parse_scenario(SCENARIO),
        today=date(2024, 1, 20),
    )
    return make_report(world, start=world.day_start(date(2024, 1, 1)), end=world.day_start(date(2024, 2, 5)))


class _Page(HTMLParser):
    """Ids of figures, addresses that would be fetched, and open elements at the end."""

    def __init__(self) -> None:
        super().__init__()
        self.figures: set[str] = set()
        self.fetched: list[str] = []

    def handle_starttag(self, tag, attrs):
        found = dict(attrs)
        if tag == "figure":
            self.figures.add(found["id"])
        for name in ("src", "href", "xlink:href"):
            if name in found and not found[name].startswith(("data:", "#")):
                self.fetched.append(found[name])


def test_the_page_holds_every_plot_and_nothing_from_outside(report):
    page = _Page()
    page.feed(report.page())

    assert page.figures == PLOTS
    assert page.fetched == []
    assert "A test &amp; more" in report.page()
    assert "Ein Test &amp; mehr" in report.page()


def test_no_plot_is_empty_and_none_holds_a_number_that_is_none(report):
    drawn = {key: re.findall(r"<(?:path|use|rect|image)\b", p.image) for key, p in report.plots.items()}

    for key, image in report.plots.items():
        if image.image.startswith("<img"):
            assert len(image.image) > 10_000, key
        else:
            assert len(drawn[key]) > 20, key
        assert not re.search(r"\bnan\b|\binf\b", image.image + " ".join(image.caption)), key


def test_every_text_of_the_drawings_has_its_german(report):
    known = re.compile(SAME_IN_BOTH)
    districts = {section.district for section in report.world.sections}
    for key, image in report.plots.items():
        for text in re.findall(r"<text[^>]*>([^<]+)</text>", image.image):
            text = text.replace("&gt;", ">").replace("&lt;", "<").replace("&amp;", "&")
            is_same = known.fullmatch(text) or text in districts
            assert is_same or in_german(text) != text or re.fullmatch(r"[−-]?\d+", text), (key, text)


def test_german_captions_have_decimal_commas():
    english, german = plot("weeks", "", mean=14.4, rate=0.0375, winter=37.5).caption

    assert "Mean here: 0.0375 holes" in english
    assert "Mittel hier: 0,0375 Löcher" in german
    assert in_german("0.25") == "0,25"


def test_the_close_up_lies_around_the_faults(report):
    feed, zone = report.feed, report.world.zone

    assert feed.start <= datetime(2024, 1, 19, tzinfo=zone) < datetime(2024, 1, 20, tzinfo=zone) <= feed.end
    assert feed.end - feed.start <= timedelta(days=14)
    assert sum(counts.sum() for counts in feed.per_hour.values()) > 1000


def test_numbers_of_the_page_are_those_of_the_truth(report):
    damage = report.damage

    assert damage.born.sum() == damage.born_on.sum() == len(damage.hole_stations[0])
    assert len(damage.days) == 35
    assert damage.open_holes.min() >= 0
    assert (damage.cameras.seen <= damage.cameras.there).all()
    assert weekly(np.arange(15)).tolist() == [21, 70]


def test_distances_are_metres(report):
    world = report.world
    lon, lat, heading = world.geometry.locate(np.array([0]), np.array([50.0]))
    aside = np.radians(heading + 90)

    lon, lat = world.geometry.shifted(lon, lat, 8 * np.sin(aside), 8 * np.cos(aside))

    assert distance_to_streets_m(world, lon, lat) == pytest.approx(8.0, abs=0.1)


def test_a_period_without_days_or_before_the_world_is_an_error(report, tmp_path):
    world, first = report.world, report.world.day_start(date(2024, 1, 1))

    with pytest.raises(SimulationError, match=r"Report: got 3 days, expected a week"):
        write_report(world, tmp_path / "page.html", start=first, end=first + timedelta(days=3))
    with pytest.raises(SimulationError, match=r"expected no time before the world's first day"):
        write_report(world, tmp_path / "page.html", start=first - timedelta(days=90), end=first)


def test_without_matplotlib_the_remedy_is_told(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)

    with pytest.raises(SimulationError, match=r"pip install 'roadtwin\[report\]'"):
        make_report(report.world)
