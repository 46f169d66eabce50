"""Gathering what the page shows, and writing it."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from roadtwin.errors import SimulationError
from roadtwin.reporting.page import Section
from roadtwin.reporting.words import MISSING_MATPLOTLIB, Plot, can_draw
from simulators.history import check_period
from simulators.report.climate import Climate, gather_climate
from simulators.report.damage import Damage, gather_damage, substance_grades
from simulators.report.feed import Feed, close_up, gather_feed
from simulators.report.forecast_skill import gather_skill
from simulators.report.page import page_of
from simulators.truth.truth import local_day
from simulators.world import World

SHORTEST = timedelta(days=7)


@dataclass(frozen=True, slots=True)
class Report:
    """What a page shows, and the numbers behind it."""

    world: World
    period: str
    climate: Climate
    damage: Damage
    feed: Feed
    sections: tuple[Section, ...]

    @property
    def plots(self) -> dict[str, Plot]:
        """Every plot by its key."""
        return {plot.key: plot for section in self.sections for plot in section.plots}

    def page(self) -> str:
        """The HTML page."""
        return page_of(self.world, self.period, self.sections, self.feed)


def make_report(
    world: World,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> Report:
    """Gather and draw everything; arguments and errors as for `write_report`."""
    if not can_draw():
        raise SimulationError(MISSING_MATPLOTLIB)
    from simulators.report.plots import all_sections  # only now: what does not draw does not need matplotlib

    tell = on_progress or (lambda _: None)
    if end is None:
        end = world.day_start(world.today + timedelta(days=8)) if start is None else start + timedelta(days=365)
    if start is None:
        start = max(end - timedelta(days=365), world.day_start(world.epoch))
    check_period(world, start, end)
    first, last = local_day(world, start), local_day(world, end - timedelta(microseconds=1))
    after = last + timedelta(days=1)
    if after - first < SHORTEST:
        raise SimulationError(f"Report: got {(after - first).days} days, expected a week at least.")
    climate = gather_climate(world, first, after)
    damage = gather_damage(world, first, after, lambda part: tell(0.5 * part))
    grades = substance_grades(world, first, after)
    window = close_up(world, climate, world.day_start(first), world.day_start(after))
    feed = gather_feed(world, *window, lambda part: tell(0.5 + 0.4 * part))
    skill = gather_skill(world, world.day_start(first), world.day_start(after))
    sections = all_sections(world, climate, skill, damage, grades, feed)
    return Report(world, f"{first} – {last}", climate, damage, feed, sections)


def write_report(
    world: World,
    path: Path,
    *,
    start: datetime | None = None,
    end: datetime | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> None:
    """Write the page of a period.

    Parameters
    ----------
    path : Path
        The HTML file, which is replaced.
    start, end : datetime, optional
        Aware; whole local days are shown. Without `end` a year from `start` on; without both the year that ends a week
        after the scenario's today.
    on_progress : callable, optional
        Called with the part that is done, 0 to 1.

    Raises
    ------
    SimulationError
        If matplotlib is not installed, the period is impossible or shorter than a week, or the file cannot be written.
    """
    page = make_report(world, start=start, end=end, on_progress=on_progress).page()
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(page, "utf-8")
    except OSError as exc:
        raise SimulationError(f"{path}: cannot be written: {exc.strerror}.") from None
    if on_progress is not None:
        on_progress(1.0)
