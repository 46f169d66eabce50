"""What commands share: how they tell how far they are."""

import pytest

from roadtwin.cli.common import phases

TITLES = {"fetch": "Fetching stones", "build": "Building the wall"}


def test_without_a_terminal_each_phase_is_told_in_a_line_when_it_begins(capsys, monkeypatch):
    seconds, told = 1000.0, []
    monkeypatch.setattr("roadtwin.cli.common.time.monotonic", lambda: seconds)
    with phases(TITLES) as tell:
        for phase, share in (("fetch", 0.0), ("fetch", 0.5), ("fetch", 1.0), ("build", 1.0)):
            tell(phase, share)
            told.append(capsys.readouterr())
            seconds += 40.6

    assert [one.out for one in told] == [""] * 4
    assert [one.err for one in told] == ["    0 s  Fetching stones\n", "", "", "  122 s  Building the wall\n"]


def test_on_a_terminal_phases_are_bars(capsys, monkeypatch):
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    with phases(TITLES) as tell:
        tell("fetch", 1.0)

    shown = capsys.readouterr().err
    assert "Fetching stones" in shown
    assert "100%" in shown
    assert " s  Fetching" not in shown


def test_a_phase_without_a_title_is_a_mistake():
    with phases(TITLES) as tell, pytest.raises(KeyError):
        tell("paint", 0.0)
