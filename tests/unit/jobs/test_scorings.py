"""Scorings are counted by window, whatever a file looks like, with those of the time when the method was made."""

import tomllib
from datetime import date
from importlib import resources
from zoneinfo import ZoneInfo

import pytest

from roadtwin.errors import InputFileError
from roadtwin.jobs.event_files import EventColumns, read_events
from roadtwin.jobs.scorings import LOG_NAME, note_scoring, pairs_sha256

ROWS = "12.0,2025-01-01\n12.0,2025-01-01\n7.0,2025-03-05\n"
CUT, DAYS = date(2025, 1, 15), 60


@pytest.fixture
def read(tmp_path):
    def of(text, header="segment,day"):
        path = tmp_path / "events.csv"
        path.write_text(f"{header}\n{text}", "utf-8")
        return read_events(path, EventColumns("segment", "day"), ZoneInfo("Europe/Berlin"), file_format="columns")

    return of


def test_what_is_scored_is_the_same_however_it_is_written(read):
    file, end = read(ROWS), date(2025, 3, 16)

    written_otherwise = read("7,2025-03-05T08:00:00\n12,2025-01-01T09:00:00\n12,2025-01-01T10:00:00\n")
    longer = read(ROWS + "9.0,2025-03-16\n")

    assert pairs_sha256(written_otherwise.history, end) == pairs_sha256(file.history, end)
    assert pairs_sha256(longer.history, end) == pairs_sha256(file.history, end)
    assert pairs_sha256(longer.history, date(2025, 3, 17)) != pairs_sha256(file.history, date(2025, 3, 17))
    assert pairs_sha256(read("12,2025-01-01\n").history, end) != pairs_sha256(file.history, end)


def test_a_changed_byte_or_a_longer_file_does_not_make_a_window_new(read, tmp_path):
    log = tmp_path / LOG_NAME

    first = note_scoring(log, read(ROWS), CUT, DAYS, 3)
    again = note_scoring(log, read(ROWS + "9.0,2025-06-01\n", "segment,day,note"), CUT, DAYS, 3)
    other_window = note_scoring(log, read(ROWS), CUT, 30, 3)
    other_file = note_scoring(log, read("1,2025-01-01\n"), CUT, DAYS, 3)

    assert [(log["this_window"], log["this_file"]) for log in (first, again, other_window, other_file)] == [
        (1, 1), (2, 2), (1, 3), (1, 1)
    ]  # fmt: skip
    assert first["while_made"] is None


def test_entries_of_earlier_logs_count_by_their_file(read, tmp_path):
    file, log = read(ROWS), tmp_path / LOG_NAME
    log.write_text(f'{{"events_sha256": "{file.sha256}", "cut": "{CUT}", "horizon_days": {DAYS}}}\n', "utf-8")

    assert note_scoring(log, file, CUT, DAYS, 3)["this_window"] == 2


@pytest.mark.parametrize(
    "line", ["{}", "[1]", '{"events_sha256": "x", "cut": "2025-01-01", "horizon_days": "1"}', '{"cut": "soon"}', "{"]
)
def test_a_log_that_holds_something_else_is_refused_by_its_name(read, tmp_path, line):
    log = tmp_path / LOG_NAME
    log.write_text(f"{line}\n", "utf-8")

    with pytest.raises(InputFileError, match=LOG_NAME):
        note_scoring(log, read(ROWS), CUT, DAYS, 3)
    assert log.read_text("utf-8") == f"{line}\n"  # nothing is written to what may be another file


def test_an_entry_begins_a_line_also_where_the_last_one_has_no_end(read, tmp_path):
    file, log = read(ROWS), tmp_path / LOG_NAME
    note_scoring(log, file, CUT, DAYS, 3)
    log.write_text(log.read_text("utf-8").rstrip("\n"), "utf-8")

    assert [note_scoring(log, file, CUT, DAYS, 3)["this_window"] for _ in range(2)] == [2, 3]


def test_the_record_of_the_project_names_each_window_once():
    windows = tomllib.loads((resources.files("roadtwin.jobs") / "scorings.toml").read_text("utf-8"))["windows"]

    keys = [(window["pairs_sha256"], window["cut"], window["horizon_days"]) for window in windows]
    assert len(set(keys)) == len(keys) == 2
    assert all(window["times"] == 6 and window["level_rule_changes"] == 3 for window in windows)
