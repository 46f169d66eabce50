"""Registers of segments as cities keep them: numbers, words, gaps and nonsense, each told by column."""

from zoneinfo import ZoneInfo

import numpy as np
import pytest

from roadtwin.jobs.event_files import EventColumns, read_events
from roadtwin.jobs.event_register import impossible, with_attributes

BERLIN = ZoneInfo("Europe/Berlin")


def written(tmp_path, text, name):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


@pytest.fixture
def events(tmp_path):
    return read_events(
        written(tmp_path, "SEGMENT,DATE,STREET\nb,2025-01-01,X\n", "events.csv"),
        EventColumns("SEGMENT", "DATE", street="STREET"),
        BERLIN,
        file_format="columns",
    )


def test_a_register_adds_attributes_and_segments_without_events(tmp_path, events):
    register = written(
        tmp_path,
        "SEGMENT,PCI,SURFACE,REMARK\na,80,asphalt,by hand\nb,word,paving,old\nc,60,asphalt,x1\nc,70,asphalt,x2\n"
        + "".join(f"z{i},50,asphalt,remark {i}\n" for i in range(20)),
        "register.csv",
    )

    file = with_attributes(events, register, "SEGMENT")

    history = file.history
    assert history.segment_ids[:3] == ("a", "b", "c")
    assert history.attribute_names == ("PCI", "SURFACE=asphalt", "SURFACE=paving")
    assert history.attributes[:3, 0].tolist()[::2] == [80, 60]
    assert np.isnan(history.attributes[1, 0])
    assert history.segment.tolist() == [1]
    assert history.street[:3].tolist() == [-1, 0, -1]
    english, german = ("\n".join(told) for told in zip(*file.notes, strict=True))
    assert "REMARK" in english
    assert "PCI of register.csv: 1 of 23 values unknown (1 not a number)" in english
    assert "1 row of register.csv about a segment that came before" in english
    assert "ausgelassen, da weder Zahlen noch 2 bis" in german
    assert "1 Zeile aus register.csv zu Abschnitten davor: die erste zählt" in german


def test_unknown_empty_and_impossible_values_are_counted_by_column(tmp_path, events):
    cells = [f"{2 + i % 3},{50 + i},{'asphalt' if i % 2 else 'paving'}," for i in range(100)]
    cells[3], cells[4], cells[5] = "1e30,-999,,", "wide,-50000,NA,", "-9999,1e400,asphalt,"
    lines = [f"s{i},{text}" for i, text in enumerate(cells)]
    register = written(tmp_path, "\n".join(["SEGMENT,LANES,PCI,SURFACE,REMARK", *lines]) + "\n", "register.csv")

    file = with_attributes(events, register, "SEGMENT")

    english, german = zip(*file.notes, strict=True)
    assert english == (
        "LANES of register.csv: 3 of 100 values unknown (1 missing; 1 not a number; 1 impossible: 1e+30)",
        "PCI of register.csv: 3 of 100 values unknown (1 missing; 1 not a number; 1 impossible: -50000)",
        "SURFACE of register.csv: 2 of 100 values unknown (2 missing)",
        "left out as empty, of register.csv: REMARK",
        "register.csv has no dates, it counts as known before the cut: LANES, PCI, SURFACE",
        "1 segment with events not in register.csv: attributes unknown",
    )
    assert german == (
        "LANES aus register.csv: 3 von 100 Werten unbekannt (1 fehlt; 1 keine Zahl; 1 unmöglich: 1e+30)",
        "PCI aus register.csv: 3 von 100 Werten unbekannt (1 fehlt; 1 keine Zahl; 1 unmöglich: -50000)",
        "SURFACE aus register.csv: 2 von 100 Werten unbekannt (2 fehlen)",
        "als leer ausgelassen, aus register.csv: REMARK",
        "register.csv nennt keine Daten, es gilt als vor dem Stichtag bekannt: LANES, PCI, SURFACE",
        "1 Abschnitt fehlt in register.csv: Merkmale unbekannt",
    )
    assert file.history.attribute_names == ("LANES", "PCI", "SURFACE=asphalt", "SURFACE=paving")
    assert np.isnan(file.history.attributes).sum(axis=0).tolist() == [4, 4, 3, 3]
    assert np.nanmax(np.abs(file.history.attributes)) == 149


@pytest.mark.parametrize(
    ("values", "found"),
    [
        (np.r_[np.full(95, 2.0), np.full(5, 4.0)], []),  # nine of ten alike, the others right
        (np.r_[np.full(97, 2.0), 4.0, 4.0, 5000.0], [99]),
        (np.r_[np.full(60, 300.0), np.linspace(400, 4000, 35), np.full(5, 60_000.0)], []),  # traffic: few main roads
        (np.r_[np.linspace(1, 9, 90), np.full(10, 99_999.0)], list(range(90, 100))),
        (np.r_[np.zeros(9), 1e30], [9]),
        (np.full(5, 1e13), [0, 1, 2, 3, 4]),
        (np.full(3, np.nan), []),
        (np.zeros(0), []),
    ],
)
def test_impossible_is_what_is_beyond_all_others_and_not_what_is_merely_large(values, found):
    assert impossible(values).nonzero()[0].tolist() == found
