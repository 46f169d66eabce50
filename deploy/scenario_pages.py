"""Make the plots and numbers of docs/scenarios anew: `make scenario-pages` (about five minutes).

The prose of a page is written by hand; what stands between `<!-- begin NAME -->` and `<!-- end -->` is made here: the
scenario's file, its numbers beside those of the ordinary scenario, and its plots. The same sources give the same files.
"""

import argparse
import re
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path

import numpy as np

from simulators.report import Report, make_report
from simulators.report.plots_damage import network_km
from simulators.report.plots_maps import distance_to_streets_m
from simulators.scenario import LIBRARY, read_scenario, scenario_names
from simulators.world import build_world

REPOSITORY = Path(__file__).resolve().parents[1]
PAGES, IMAGES = REPOSITORY / "docs" / "scenarios", REPOSITORY / "docs" / "images" / "scenarios"
EPOCH = datetime(2021, 10, 1, tzinfo=UTC)
DRAWN_SEED, DRAWN_KM = 7, 60.0
COUNTED_SEEDS, COUNTED_KM = (1, 2, 3), 20.0
WINTER = (date(2023, 2, 1), date(2022, 7, 1), date(2023, 7, 1))
SUMMER = (date(2023, 8, 20), date(2022, 10, 1), date(2023, 10, 1))
"""Today, first day, day after the last."""
PLOTS = {
    "ordinary": ("months", "weeks", "grades", "hazard"),
    "mild-winter": ("months", "frost", "weeks"),
    "hard-winter": ("frost", "pavement", "weeks", "backlog"),
    "wet-winter": ("months", "moisture", "weeks"),
    "heat-summer": ("months", "pavement", "moisture"),
    "sensor-outage": ("series", "radio"),
    "broker-outage": ("hours", "times"),
    "bad-clock": ("times", "hours"),
    "gnss-bias": ("positions", "cameras"),
    "camera-update": ("confidence", "cameras"),
}
_BLOCK = re.compile(r"(<!-- begin (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Number:
    """A column of the comparison."""

    name: str
    digits: int
    of: Callable[[Report], float]


def _holes_per_km(report: Report) -> float:
    return float(report.damage.born.sum()) / network_km(report.world)


def _share_late(report: Report) -> float:
    return 100 * float(np.mean(np.array(report.feed.delay_s) > 3600))


def _far(report: Report) -> float:
    feed = report.feed
    return float(np.percentile(distance_to_streets_m(report.world, np.array(feed.lon), np.array(feed.lat)), 95))


def _most_open(report: Report) -> float:
    return float(report.damage.open_holes.max()) / network_km(report.world)


def _messages(report: Report) -> float:
    total = sum(int(counts.sum()) for counts in report.feed.per_hour.values())
    return total / report.feed.days / network_km(report.world)


def _marks(report: Report) -> float:
    total = sum(int(counts.sum()) for counts in report.feed.per_hour.values())
    return 1000 * sum(report.feed.flags.values()) / total


def _confidence(report: Report) -> float:
    return float(np.mean([value for found in report.feed.confidence.values() for _, value in found]))


NUMBERS = (
    Number("new holes per km and year", 1, _holes_per_km),
    Number("frost days", 0, lambda r: r.climate.months.frost_days.sum()),
    Number("rain [mm]", 0, lambda r: r.climate.months.rain_mm.sum()),
    Number("hottest surface [°C]", 0, lambda r: r.climate.surface_max_c.max()),
    Number("most open holes per km", 2, _most_open),
    Number("messages a day and km", 1, _messages),
    Number("lost uplinks [%]", 1, lambda r: 100 * float(np.mean(list(r.feed.loss().values())))),
    Number("later than an hour [%]", 1, _share_late),
    Number("marks per thousand messages", 1, _marks),
    Number("mean confidence of potholes", 2, _confidence),
    Number("positions off by [m] (95 %)", 1, _far),
)


def report_of(name: str, seed: int, length_km: float) -> Report:
    """A year of one city under a scenario."""
    today, first, after = SUMMER if name == "heat-summer" else WINTER
    world = build_world(seed=seed, length_km=length_km, start=EPOCH, scenario=read_scenario(name), today=today)
    return make_report(world, start=world.day_start(first), end=world.day_start(after))


def numbers_of(name: str) -> list[float]:
    """Means over the seeds, in the order of `NUMBERS`."""
    reports = [report_of(name, seed, COUNTED_KM) for seed in COUNTED_SEEDS]
    return [float(np.mean([number.of(report) for report in reports])) for number in NUMBERS]


def _plots_block(name: str) -> str:
    report = report_of(name, DRAWN_SEED, DRAWN_KM)
    lines = []
    for key in PLOTS[name]:
        plot = report.plots[key]
        file = IMAGES / f"{name}-{key}.svg"
        file.write_text(plot.image, "utf-8")
        lines += [
            f"### {plot.title[0]}",
            "",
            f"![{plot.title[0]}](../images/scenarios/{file.name})",
            "",
            plot.caption[0],
            "",
        ]
    return "\n".join(lines)


def _table(rows: dict[str, list[float]]) -> str:
    lines = ["| |" + "|".join(f" {name} " for name in rows) + "|", "|---|" + "---:|" * len(rows)]
    for index, number in enumerate(NUMBERS):
        if len(rows) > 1 and len({f"{row[index]:.{number.digits}f}" for row in rows.values()}) == 1:
            continue
        values = "|".join(f" {row[index]:,.{number.digits}f} " for row in rows.values())
        lines.append(f"| {number.name} |{values}|")
    return "\n".join(lines) + "\n"


def _fill(page: Path, blocks: dict[str, str]) -> None:
    text = page.read_text("utf-8")
    page.write_text(_BLOCK.sub(lambda m: f"{m[1]}{blocks[m[2]].strip()}\n{m[3]}", text), "utf-8")


def main() -> int:
    """Make the pages that were named, or all; 0 when they are there."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="scenarios whose pages are made; all and the comparison if left out")
    names = parser.parse_args().names or scenario_names()
    IMAGES.mkdir(parents=True, exist_ok=True)
    rows = {name: numbers_of(name) for name in dict.fromkeys(["ordinary", *names])}
    for name in names:
        shown = {key: rows[key] for key in dict.fromkeys(["ordinary", name])}
        toml = (LIBRARY / f"{name}.toml").read_text("utf-8")
        blocks = {"file": f"```toml\n{toml}```", "numbers": _table(shown), "plots": _plots_block(name)}
        _fill(PAGES / f"{name}.md", blocks)
        print(f"docs/scenarios/{name}.md", flush=True)
    if set(names) == set(scenario_names()):
        _fill(PAGES / "README.md", {"numbers": _comparison(rows)})
    return 0


def _comparison(rows: dict[str, list[float]]) -> str:
    lines = ["| scenario |" + "|".join(f" {number.name} " for number in NUMBERS) + "|"]
    lines.append("|---|" + "---:|" * len(NUMBERS))
    for name, row in rows.items():
        values = "|".join(f" {value:,.{number.digits}f} " for number, value in zip(NUMBERS, row, strict=True))
        lines.append(f"| [{name}]({name}.md) |{values}|")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    sys.exit(main())
