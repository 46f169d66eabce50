"""Scenario files: what they may say, and what a file that cannot be used is told."""

from datetime import date
from zoneinfo import ZoneInfo

import pytest

from roadtwin.cli.reference_scenarios import scenarios_page
from roadtwin.errors import SimulationError
from simulators.scenario import (
    LIBRARY,
    SensorDrift,
    WeatherChange,
    fault_kinds,
    from_values,
    parse_scenario,
    read_scenario,
    scenario_names,
    scenario_structs,
    to_values,
)
from simulators.spans import spans_of
from simulators.world import build_world

HEAD = 'name = "a"\ntitle = "A"\ntitle_de = "A"\nsummary = "A."\n'
DRIFT = HEAD + '[[fault]]\nkind = "sensor-drift"\n'
BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize("name", scenario_names())
def test_a_scenario_of_the_library_is_called_like_its_file_and_survives_a_round_trip(name):
    scenario = read_scenario(name)

    assert scenario.name == name
    assert from_values(to_values(scenario)) == scenario
    assert (LIBRARY / f"{name}.toml").read_text("utf-8").startswith("# "), "says why its figures are what they are"


def test_the_library_holds_what_the_documentation_promises():
    assert {
        "ordinary", "mild-winter", "hard-winter", "wet-winter", "heat-summer", "sensor-outage", "broker-outage",
        "bad-clock", "gnss-bias", "camera-update",
    } <= set(scenario_names())  # fmt: skip


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x", "Expected '=' after a key"),
        ('name = "a"\ntitle = "A"', "expected the entry `title_de`"),
        (HEAD.replace('"a"', '"A b"'), "name: got 'A b', expected `str` matching"),
        (HEAD.replace('"a"', "7"), "name: got 7, expected `str`"),
        (HEAD + 'titel = "x"', "got the unknown entry 'titel' (perhaps 'title' is meant)"),
        (HEAD + "[fault]\n", "fault: got {}, expected `array`"),
        (HEAD + "[[fault]]\nshare = 1", "fault 1: expected the entry `kind`"),
        (HEAD + '[[fault]]\nkind = "sensor-drfit"', "fault 1.kind: got 'sensor-drfit', expected battery-death, "),
        (HEAD + '[[fault]]\nkind = "sensor-drfit"', "(perhaps 'sensor-drift' is meant)"),
        (DRIFT + "per_dy = 1", "fault 1: got the unknown entry 'per_dy' (perhaps 'per_day' is meant)"),
        (DRIFT + "per_day = 2", "fault 1.per_day: got 2, expected `float` <= 1.0"),
        (DRIFT + '[[fault]]\nkind = "sensor-stuck"\nshare = 0', "fault 2.share: got 0, expected `float` > 0.0"),
        (DRIFT + 'share = "half"', "fault 1.share: got 'half', expected `float`"),
        (DRIFT + 'from = "tomorrow"', "fault 1: got the time 'tomorrow', expected 2026-01-31, "),
        (DRIFT + 'from = "today-3x"', "fault 1: got the time 'today-3x'"),
        (DRIFT + 'from = "12-01"', "fault 1: got a day of every year at one end"),
        (DRIFT + 'from = "13-01"\nuntil = "02-01"', "fault 1: got the day '13-01'"),
        (DRIFT + 'from = "today"\nuntil = "today-1d"', "fault 1: got a window from today until today-1d"),
        (DRIFT + "from = 2026-02-02\nuntil = 2026-02-01", "fault 1: got a window from 2026-02-02"),
        (DRIFT + "from = 06:00:00", "fault 1.from: got "),
        (DRIFT + "from = 2026-02-30", "Invalid date or datetime"),
        (HEAD + '[[weather]]\nrepeat = "never"', "weather 1.repeat: got 'never', expected 'yearly', 'latest'"),
        (HEAD + '[lora]\nchirpstack_marshaler = "xml"', "got 'xml', expected 'json', 'protobuf'"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_what_was_got_and_expected(text, told):
    with pytest.raises(SimulationError) as caught:
        parse_scenario(text, "town.toml")

    assert str(caught.value).startswith("Scenario town.toml: ")
    assert told in str(caught.value)


@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("hard-wintr", "(perhaps 'hard-winter' is meant)"),
        ("../ordinary", "or a file ending in .toml"),
        ("no/such.toml", "Scenario no/such.toml: cannot be read"),
    ],
)
def test_a_scenario_that_is_not_there_is_told_which_ones_are(name, told):
    with pytest.raises(SimulationError) as caught:
        read_scenario(name)

    assert told in str(caught.value)


def test_dates_may_stand_without_quotes():
    fault = parse_scenario(DRIFT + "from = 2026-01-31T06:00:00\nuntil = 2026-02-02").fault[0]

    (span,) = spans_of(fault, date(2026, 1, 1), BERLIN, date(2026, 1, 1), date(2026, 12, 31))
    assert (str(span.begin), str(span.end)) == ("2026-01-31 06:00:00+01:00", "2026-02-02 00:00:00+01:00")


def test_a_recurring_window_holds_in_every_winter_or_in_the_newest_one_only():
    today, first, last = date(2026, 1, 10), date(2023, 7, 1), date(2026, 6, 30)
    every = WeatherChange(begins="12-01", ends="03-01")
    newest = WeatherChange(begins="12-01", ends="03-01", repeat="latest")

    assert [span.begin.year for span in spans_of(every, today, BERLIN, first, last)] == [2023, 2024, 2025]
    assert [span.begin.year for span in spans_of(newest, today, BERLIN, first, last)] == [2025]
    assert [span.begin.year for span in spans_of(newest, date(2025, 11, 30), BERLIN, first, last)] == [2024]


def test_a_relative_window_moves_with_today():
    fault = SensorDrift(begins="today-2d+6h", ends="today")

    (span,) = spans_of(fault, date(2026, 1, 10), BERLIN, date(2026, 1, 1), date(2026, 1, 31))
    assert (str(span.begin), str(span.end)) == ("2026-01-08 06:00:00+01:00", "2026-01-10 00:00:00+01:00")


def test_the_reference_lists_every_kind_of_fault_and_every_entry():
    page = scenarios_page()

    for kind, struct in fault_kinds().items():
        section = page.split(f"### `{kind}`\n")[1].split("###")[0]
        own = [name for name in struct.__struct_encode_fields__ if name not in ("from", "until", "repeat")]
        assert all(f"| `{name}` |" in section for name in own), kind
    for struct in scenario_structs():
        assert all(f"`{name}`" in page for name in struct.__struct_encode_fields__)


@pytest.mark.parametrize(
    ("fault", "told"),
    [
        ('kind = "sensor-stuck"\ndevices = "dl-ctd11"', "fault 1.devices: got 'dl-ctd11', expected a part of "),
        ('kind = "box-offline"\nvehicles = "tram"', "fault 1.vehicles: got 'tram', expected how a name begins"),
        ('kind = "report-surge"\ndistrict = "Atlantis"', "fault 1.district: got 'Atlantis', expected one of "),
    ],
)  # fmt: skip
def test_a_fault_that_concerns_nothing_is_an_error_and_not_ignored(fault, told):
    with pytest.raises(SimulationError) as caught:
        build_world(seed=1, length_km=10, scenario=parse_scenario(f"{HEAD}[[fault]]\n{fault}"))

    assert told in str(caught.value)


def test_every_scenario_of_the_library_fits_a_small_city():
    for name in scenario_names():
        assert build_world(seed=1, length_km=10, scenario=read_scenario(name)).scenario.name == name
