"""The page on quality says what the code does."""

import re
from pathlib import Path

from ingest import frames, quality
from roadtwin.storage import device_states
from roadtwin.types import Flag
from roadtwin.units import QUANTITIES

PAGE = (Path(__file__).resolve().parents[3] / "docs" / "reference" / "quality.md").read_text("utf-8")


def test_every_flag_is_there_with_its_bit():
    told = {name: int(bit) for name, bit in re.findall(r"^\| `([A-Z_]+)` \| (\d+) \|", PAGE, re.MULTILINE)}

    assert told == {flag.name: int(flag) for flag in Flag}


def test_every_limit_is_there_as_it_is():
    rows = re.findall(r"^\| `(\w+)` \| ([\d–]+)[^|]*\| ([\d–]+)[^|]*\|$", PAGE, re.MULTILINE)
    told = {name: (rate, hours) for name, rate, hours in rows if name in QUANTITIES}
    judged = {
        q.name: tuple("–" if limit is None else f"{limit:g}" for limit in (q.max_rate_per_h, q.stuck_after_h))
        for q in QUANTITIES.values()
        if q.max_rate_per_h is not None or q.stuck_after_h is not None
    }

    assert told == judged


def test_every_state_is_there():
    assert all(f"`{state}`" in PAGE for state in device_states.DEVICE_STATES)


def test_constants_are_those_of_the_text():
    assert (device_states.SILENT_INTERVALS, device_states.SILENT_LEAST_S) == (3, 2 * 3600)
    assert device_states.SILENT_UNKNOWN_S == 24 * 3600
    assert (device_states.LOSS_LIMIT, device_states.LOSS_FRAMES) == (0.1, 10)
    assert (device_states.RESET_SHOWN.days, device_states.CLOCK_TOLERANCE_S) == (7, 30)
    assert (quality.STUCK_VALUES, quality.RATE_SPAN_S, quality.LOW_BATTERY_PCT) == (10, 300, 10)
    assert (quality.LOW_BATTERY_SHARE, quality.LOWEST_BATTERY_V) == (0.8, 2.1)
    assert (quality.MOST_PARTS, quality.MOST_PARTS + quality.MEDIAN_MEMORY) == (4, 54)
    assert (frames.RECENT_FRAMES, frames.JOIN_TOLERANCE) == (16, 5 * quality.SECOND)
