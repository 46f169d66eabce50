"""Files whose coordinates are swapped or whose times are of several zones."""

from datetime import datetime
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from roadtwin.errors import InputFileError, NaiveTimeError, RecordRejectedError
from roadtwin.jobs.file_checks import check_places, check_sections, check_times
from roadtwin.network.extent import Extent, swapped_for_zone, zone_places
from roadtwin.network.sections import RoadSection
from roadtwin.records.schema import Finding, Inspection, RecordPosition, Report

ESSEN = Extent(6.9, 51.3, 7.1, 51.5)
BERLIN = ZoneInfo("Europe/Berlin")


def report(at="2026-01-05T10:00:00+01:00", lon=7.0, lat=51.4):
    return Report(
        record_id=UUID(int=1), observed_at=datetime.fromisoformat(at), channel="app", position=RecordPosition(lon, lat)
    )


def lines(*records):
    return [(f"line {number}", record) for number, record in enumerate(records, start=1)]


def test_offsets_of_summer_and_winter_and_utc_go_together():
    records = lines(report(), report("2026-07-05T10:00:00+02:00"), report("2026-01-05T10:00:00Z"))

    assert check_times(records, BERLIN) == []
    assert check_times(records[2:], BERLIN) == []


def test_a_file_that_is_all_in_another_zone_names_instants_and_is_taken_with_a_note():
    (note,) = check_times(lines(report("2026-01-05T10:00:00-05:00"), report("2026-07-06T10:00:00-04:00")), BERLIN)

    assert note.startswith("All times (2) have an offset that Europe/Berlin never has (-05:00, -04:00) and are taken")
    assert note.endswith("ROADTWIN_CITY_TIMEZONE.")


def test_times_without_an_offset_beside_others_are_said_with_their_count():
    (note,) = check_times(lines(report(), NaiveTimeError("naive"), NaiveTimeError("naive")), BERLIN)

    assert note.startswith("Mixed time zones: 2 of 3 records have times without an offset and are rejected")
    assert check_times(lines(NaiveTimeError("naive")), BERLIN) == []


def test_an_offset_that_the_city_never_has_beside_its_own_is_refused():
    with pytest.raises(InputFileError, match=r"got 1 time -05:00, which Europe/Berlin never has, beside \+01:00"):
        check_times(lines(report(), report("2026-01-05T10:00:00-05:00")), BERLIN)


def test_swapped_positions_are_put_right_and_counted():
    inspection = Inspection(
        record_id=UUID(int=2),
        observed_at=datetime.fromisoformat("2026-01-05T10:00:00Z"),
        segment_id="s",
        inspector_role="walker",
        findings=(
            Finding(class_code="D40", severity=1, position=RecordPosition(51.4, 7.0, 2.0)),
            Finding(class_code="D40", severity=1, position=RecordPosition(7.05, 51.45)),
            Finding(class_code="D40", severity=1),
        ),
    )

    checked, notes = check_places(lines(report(lon=51.4, lat=7.0), report(), inspection), ESSEN)

    assert notes == ["2 positions had longitude and latitude swapped: put right."]
    assert checked[0][1] == checked[1][1] == report()
    assert [f.position for f in checked[2][1].findings] == [
        RecordPosition(7.0, 51.4, 2.0), RecordPosition(7.05, 51.45), None
    ]  # fmt: skip


@pytest.mark.parametrize(("lon", "lat"), [(0.0, 0.0), (13.4, 52.5), (52.5, 13.4)])
def test_a_position_that_is_far_either_way_rejects_its_record(lon, lat):
    checked, notes = check_places(lines(report(lon=lon, lat=lat), report()), ESSEN)

    assert isinstance(checked[0][1], RecordRejectedError)
    assert "km from the city's roads" in str(checked[0][1])
    assert checked[1][1] == report()
    assert notes == []


def test_without_a_network_positions_are_kept_and_said_to_be_unchecked():
    checked, notes = check_places(lines(report(lon=0.0, lat=0.0)), None)

    assert checked[0][1] == report(lon=0.0, lat=0.0)
    assert notes == ["There is no network yet: positions could not be checked."]


def section(name, lon, lat):
    return RoadSection("osm", name, np.array([[lon, lat], [lon + 0.001, lat]]))


def test_a_first_network_with_swapped_coordinates_is_refused_by_the_citys_time_zone():
    check_sections([section("a", 7.0, 51.4)], None, BERLIN)
    check_sections([section("a", 51.4, 7.0)], None, ZoneInfo("UTC"))  # nothing can be said
    with pytest.raises(InputFileError, match=r"Longitude and latitude are swapped: the middle .* at 51\.4, 7"):
        check_sections([section("a", 51.4, 7.0)], None, BERLIN)


def test_a_later_network_is_judged_by_the_roads_that_are_there():
    check_sections([section("a", 7.0, 51.4)], ESSEN, BERLIN)
    with pytest.raises(InputFileError, match="swapped in 1 of 1 sections: a is at"):
        check_sections([section("a", 51.4, 7.0)], ESSEN, BERLIN)


def test_single_swapped_sections_of_a_first_network_are_found_by_the_others():
    with pytest.raises(InputFileError, match="swapped in 1 of 3 sections: b is at"):
        check_sections([section("a", 7.0, 51.4), section("b", 51.4, 7.0), section("c", 7.01, 51.41)], None, BERLIN)


@pytest.mark.parametrize(("zone", "lon", "lat"), [("America/Chicago", -95.4, 29.8), ("Australia/Sydney", 151.2, -33.9)])
def test_cities_of_other_continents_are_not_mistaken(zone, lon, lat):
    assert not swapped_for_zone(lon, lat, zone)
    assert zone in zone_places()
