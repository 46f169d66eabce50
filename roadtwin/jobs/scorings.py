"""How often a window of a file was scored: here, by the log in the data directory, and while the method was made.

A window that was looked at often is no hold-out any more, so every report counts. Windows are known again by the hash
of their file, and by that of what is scored: one byte changed in a file does not make its windows new.
"""

import hashlib
import json
import tomllib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import numpy as np

from models.event_history import EventHistory
from roadtwin.errors import InputFileError
from roadtwin.jobs.event_files import EventFile, day_number

LOG_NAME = "backtests.jsonl"
_RECORD = "scorings.toml"


def pairs_sha256(history: EventHistory, end: date) -> str:
    """Hash of the distinct segments and days before the day `end` that have an event, however they are written.

    Ids that a table program wrote as decimals ("12.0") are those without.
    """
    past = history.day < day_number(end)
    pairs = np.unique(np.column_stack([history.segment[past], history.day[past]]), axis=0)
    ids = [segment.removesuffix(".0") for segment in history.segment_ids]
    lines = sorted(f"{ids[segment]}\t{day}\n" for segment, day in pairs.tolist())
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def note_scoring(log: Path, events: EventFile, cut: date, horizon_days: int, method_version: int) -> dict[str, Any]:
    """Write this scoring down and count those of its window and of its file, this one included.

    Returns
    -------
    dict
        `file`: name of the log; `this_window`, `this_file`: scorings in it. `while_made`: the same by the project's own
        record, with `level_rule_changes`, how often the rule for the level was changed after windows of the file had
        been seen; None for files on which it was not made.

    Raises
    ------
    InputFileError
        When the log cannot be kept.
    """
    entry = {
        "scored_at": datetime.now(UTC).isoformat(timespec="seconds"),
        "events_sha256": events.sha256,
        "pairs_sha256": pairs_sha256(events.history, cut + timedelta(days=horizon_days)),
        "cut": str(cut),
        "horizon_days": horizon_days,
        "method_version": method_version,
    }
    is_of_file = _of_file(events)
    try:
        log.parent.mkdir(parents=True, exist_ok=True)
        present = log.read_text("utf-8") if log.exists() else ""
        entries = [entry, *(json.loads(line) for line in present.splitlines() if line.strip())]
        here = _count(entries, is_of_file, cut, horizon_days)  # first: what is no log is left as it is
        with log.open("a", encoding="utf-8") as file:
            file.write("\n" * bool(present and not present.endswith("\n")) + json.dumps(entry) + "\n")
    except (KeyError, TypeError) as exc:
        raise InputFileError(
            f"{log}: a line is no entry of the log of scorings ({exc}): mend it or take it out."
        ) from None
    except (OSError, ValueError) as exc:
        raise InputFileError(f"{log}: the log of scorings cannot be kept: {exc}.") from None
    record = tomllib.loads((resources.files("roadtwin.jobs") / _RECORD).read_text("utf-8"))
    made = [window for window in record["windows"] if is_of_file(window)]
    while_made = None
    if made:
        changes = max(window["level_rule_changes"] for window in made)
        while_made = {**_count(made, is_of_file, cut, horizon_days), "level_rule_changes": changes}
    return {"file": log.name, **here, "while_made": while_made}


def _of_file(events: EventFile) -> Callable[[Mapping[str, Any]], bool]:
    """Tells whether an entry is about a window of this file, or of one with the same events up to the window's end."""

    @cache
    def pairs(end: date) -> str:
        return pairs_sha256(events.history, end)

    def is_of_file(entry: Mapping[str, Any]) -> bool:
        end = date.fromisoformat(entry["cut"]) + timedelta(days=entry["horizon_days"])
        return entry["events_sha256"] == events.sha256 or entry.get("pairs_sha256") == pairs(end)

    return is_of_file


def _count(
    entries: Sequence[Mapping[str, Any]], is_of_file: Callable[[Mapping[str, Any]], bool], cut: date, horizon_days: int
) -> dict[str, int]:
    of_file = [entry for entry in entries if is_of_file(entry)]
    same = [entry for entry in of_file if (entry["cut"], entry["horizon_days"]) == (str(cut), horizon_days)]
    return {
        "this_window": sum(entry.get("times", 1) for entry in same),
        "this_file": sum(entry.get("times", 1) for entry in of_file),
    }
