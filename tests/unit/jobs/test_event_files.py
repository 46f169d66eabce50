"""Event files of cities: columns, addresses, dates with and without offsets, registers, weather. All invented."""

import gzip
import json
from datetime import date
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from roadtwin.errors import InputFileError
from roadtwin.jobs.event_files import (
    EventColumns,
    block_of,
    day_number,
    read_daily_weather,
    read_events,
)
from roadtwin.jobs.event_positions import StreetNetwork

BERLIN = ZoneInfo("Europe/Berlin")
COLUMNS = EventColumns("SEGMENT", "DATE", street="STREET", case="CASE")


def written(tmp_path, text, name="events.csv"):
    path = tmp_path / name
    path.write_text(text, "utf-8")
    return path


def test_events_are_read_and_every_row_is_accounted_for(tmp_path):
    path = written(
        tmp_path,
        "CASE,SEGMENT,DATE,STREET,lon,lat\n"
        "1,0012,2025-03-01,Lange Straße,7.00,51.45\n"
        "1,0012,2025-03-02,Lange Straße,7.00,51.45\n"
        "2,0013,2025-03-05,Lange Straße,7.01,51.45\n"
        "3,,2025-03-05,Kurze Straße,7.01,51.45\n"
        "4,0014,someday,Kurze Straße,7.01,51.45\n"
        "5,0014,2025-03-07,,0,0\n",
    )

    file = read_events(path, COLUMNS, BERLIN, file_format="columns")

    assert file.history.segment_ids == ("0012", "0013", "0014")
    assert file.history.day.tolist() == [day_number(date(2025, 3, d)) for d in (1, 5, 7)]
    assert file.rows == 6
    assert file.left_out == {"a case that came before": 1, "without segment": 1, "without a readable date": 1}
    assert file.history.street.tolist() == [1, 1, -1]
    assert np.isnan(file.history.position_m[2]).all()
    east = file.history.position_m[1, 0] - file.history.position_m[0, 0]
    assert east == pytest.approx(693, abs=3)
    assert file.notes == (("1 impossible position taken as unknown", "als unbekannt genommen: 1 unmögliche Position"),)


def test_gzip_and_times_with_offsets_are_local_days(tmp_path):
    path = tmp_path / "events.csv.gz"
    path.write_bytes(gzip.compress(b"SEGMENT,DATE\na,2025-01-01T23:30:00Z\nb,2025-01-02T00:30:00+01:00\n"))

    file = read_events(path, EventColumns("SEGMENT", "DATE"), BERLIN, file_format="columns")

    assert str(file.first_day) == str(file.last_day) == "2025-01-02"
    assert file.history.street is None
    assert file.history.position_m is None


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("SEGMENT,DATE\na,2025-01-01T10:00:00Z\nb,2025-01-01T10:00:00\n", "1 times with and 1 without an offset"),
        ("SEGMENT,WHEN\na,2025-01-01\n", "expected one named 'DATE'"),
        ("SEGMENT,DATE\n,2025-01-01\na,never\n", "got 2 rows, none of them with a segment and a date"),
        ("", "got no header line"),
    ],
)
def test_a_file_that_cannot_be_used_gives_one_sentence(tmp_path, text, sentence):
    with pytest.raises(InputFileError, match=sentence):
        read_events(written(tmp_path, text), EventColumns("SEGMENT", "DATE"), BERLIN, file_format="columns")


def test_swapped_headers_are_put_right_where_that_is_certain(tmp_path):
    text = "SEGMENT,DATE,lat,lon\na,2025-01-01,-98.5,29.4\nb,2025-01-02,-98.6,29.5\n"

    file = read_events(written(tmp_path, text), EventColumns("SEGMENT", "DATE"), BERLIN, file_format="columns")

    assert "swapped: put right" in file.notes[0][0]
    assert abs(file.history.position_m[1, 1] - file.history.position_m[0, 1]) == pytest.approx(11_132, rel=0.01)


@pytest.mark.parametrize(
    ("location", "block"),
    [
        ("4612 N EXAMPLE ST, HOUSTON TX 77000", "4600 EXAMPLE"),
        ("4612  example", "4600 EXAMPLE"),
        ("Intersection 1203 SAMPLE BLVD & 9900 OTHER RD", "1200 SAMPLE"),
        ("Intersection 1203 SAMPLE BLVD&9900 OTHER RD", "1200 SAMPLE"),
        ("99 E W WAY", ""),
        ("EXAMPLE ST 4612", ""),
        ("", ""),
    ],
)
def test_addresses_of_service_requests_become_blocks(location, block):
    assert block_of(location) == block


def test_service_requests_need_no_columns_to_be_named(tmp_path):
    path = written(
        tmp_path,
        "CASE NUMBER,SR LOCATION,SR CREATE DATE,LATITUDE,LONGITUDE\n"
        '10000001-101,"4612 N EXAMPLE ST, HOUSTON TX 77000",2030-01-02 08:15:00,,\n'
        '10000001-101,"4612 N EXAMPLE ST, HOUSTON TX 77000",2030-01-02 08:15:00,,\n'
        "10000002-101,Intersection 4701 EXAMPLE & 3 OTHER,2030-02-02 23:59:59,word,1\n"
        "10000003-101,,2030-02-03 08:15:00,,\n",
    )

    file = read_events(path, None, BERLIN, file_format="houston")

    assert file.history.segment_ids == ("4600 EXAMPLE", "4700 EXAMPLE")
    assert file.history.street.tolist() == [0, 0]
    assert file.left_out == {"a case that came before": 1, "without segment": 1}


def test_weather_is_sorted_missing_is_unknown_and_cases_are_no_weather(tmp_path):
    path = written(tmp_path, "OpenDate,cases,rain\n2025-01-02,5,-999\n2025-01-01,7,1.5\n", "weather.csv")

    weather, notes = read_daily_weather(path, BERLIN)

    assert notes == []
    assert weather.names == ("rain",)
    assert weather.values[0, 0] == 1.5
    assert np.isnan(weather.values[1, 0])
    with pytest.raises(InputFileError, match="no date column"):
        read_daily_weather(written(tmp_path, "rain\n1\n", "no.csv"), BERLIN)


NETWORK = {
    "type": "FeatureCollection",
    "features": [
        {
            "type": "Feature",
            "properties": {"id": name, "name": f"{name} street"},
            "geometry": {"type": "LineString", "coordinates": [[-95.4, lat], [-95.3979, lat]]},
        }
        for name, lat in (("north", 29.76), ("south", 29.75))
    ],
}
CHICAGO = ZoneInfo("America/Chicago")


@pytest.fixture
def requests(tmp_path):
    """Service requests on two streets: right, exchanged, in feet only, at 0, 0, in another city, without a position."""
    places = [
        "29.7601,-95.3995,,", "-95.3995,29.7601,,", ",,3110683.8,13841500.6", "0,0,,", "32.78,-96.8,,", "word,,,",
        "29.7499,-95.3981,,", "29.7501,-95.3982,,",
    ]  # fmt: skip
    rows = [f'{i},"{4600 + i} N EXAMPLE ST",2030-01-{i + 2:02} 08:15:00,{place}' for i, place in enumerate(places)]
    header = "CASE NUMBER,SR LOCATION,SR CREATE DATE,LATITUDE,LONGITUDE,x,y"
    return written(tmp_path, "\n".join([header, *rows]) + "\n")


def test_positions_of_service_requests_are_put_right_or_unknown(requests):
    file = read_events(requests, None, CHICAGO, file_format="houston")

    assert file.history.segment_ids == ("4600 EXAMPLE",)
    assert file.notes == (
        (
            "1 position had longitude and latitude swapped: put right",
            "1 Position mit vertauschter Länge und Breite: berichtigt",
        ),
        ("2 impossible positions taken as unknown", "als unbekannt genommen: 2 unmögliche Positionen"),
    )
    known = np.isfinite(file.history.position_m).all(axis=1)
    assert known.tolist() == [True, True, True, False, False, False, True, True]
    np.testing.assert_allclose(file.history.position_m[0], file.history.position_m[1])


def test_with_a_network_events_belong_to_the_segments_on_which_they_lie(requests, tmp_path):
    network = StreetNetwork(written(tmp_path, json.dumps(NETWORK), "streets.geojson"))

    file = read_events(requests, None, CHICAGO, file_format="houston", network=network)

    assert file.history.segment_ids == ("streets:north:0-102", "streets:south:102-203")
    assert np.bincount(file.history.segment).tolist() == [3, 2]
    assert file.history.street.tolist() == [0, 1]
    assert file.left_out == {"on no street of the network": 3}


def test_a_file_without_positions_cannot_be_put_on_a_network(tmp_path):
    network = StreetNetwork(written(tmp_path, json.dumps(NETWORK), "streets.geojson"))

    with pytest.raises(InputFileError, match="no columns of longitude and latitude"):
        read_events(written(tmp_path, "DATE\n2030-01-01\n"), EventColumns("", "DATE"), CHICAGO,
                    file_format="columns", network=network)  # fmt: skip


def test_headers_that_only_the_citys_time_zone_tells_to_be_swapped_are_put_right(tmp_path):
    text = "SEGMENT,DATE,lat,lon\na,2025-01-01,7.0,51.45\nb,2025-01-02,7.0,51.46\n"

    file = read_events(written(tmp_path, text), EventColumns("SEGMENT", "DATE"), BERLIN, file_format="columns")

    assert "swapped: put right" in file.notes[0][0]
    assert abs(file.history.position_m[1, 1] - file.history.position_m[0, 1]) == pytest.approx(1113, rel=0.01)


def test_offsets_that_the_city_never_has_beside_its_own_are_refused_with_their_counts(tmp_path):
    text = "SEGMENT,DATE\na,2025-01-01T10:00:00+01:00\nb,2025-01-01T10:00:00-06:00\nc,2025-01-01T10:00:00-06:00\n"

    with pytest.raises(InputFileError, match=r"Mixed time zones: got 2 times -06:00, which Europe/Berlin never has"):
        read_events(written(tmp_path, text), EventColumns("SEGMENT", "DATE"), BERLIN, file_format="columns")


def test_a_file_of_which_all_offsets_are_those_of_elsewhere_is_taken_with_a_note(tmp_path):
    text = "SEGMENT,DATE\na,2025-01-01T23:00:00-06:00\nb,2025-07-01T10:00:00-05:00\n"

    file = read_events(written(tmp_path, text), EventColumns("SEGMENT", "DATE"), BERLIN, file_format="columns")
    at_home = read_events(written(tmp_path, text), EventColumns("SEGMENT", "DATE"), CHICAGO, file_format="columns")

    assert file.history.day[0] == day_number(date(2025, 1, 2))
    assert len(file.notes) == 1
    assert "all times (2) have an offset that Europe/Berlin never has (-06:00, -05:00)" in file.notes[0][0]
    assert "alle Zeiten (2) haben einen Versatz, den Europe/Berlin nie hat (-06:00, -05:00)" in file.notes[0][1]
    assert at_home.notes == ()
    rain = written(tmp_path, "date,rain\n2025-01-01T00:00:00-06:00,1\n", "weather.csv")
    assert "weather.csv: all times (1) have an offset" in read_daily_weather(rain, BERLIN)[1][0][0]
