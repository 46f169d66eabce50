"""Weather that was measured, from files."""

import csv
import gzip
import os
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import pytest

from roadtwin.errors import SimulationError
from simulators.devices.device_feed import DeviceFeed
from simulators.history import live_records
from simulators.messages import messages
from simulators.randomness import Streams
from simulators.scenario import read_scenario
from simulators.truth.truth import truth_of
from simulators.weather.pavement import pavement_year
from simulators.weather.weather import WeatherSource, hourly_weather, weather_year
from simulators.weather.weather_files import read_weather_file
from simulators.world import build_world

DAILY_HEAD = (
    "STATIONS_ID;MESS_DATUM;QN_3;FM;QN_4;RSK;RSKF;SDK;SHK_TAG;NM;VPM;PM;TMK;UPM;TXK;TNK;TGK;eor"  # as the DWD has it
)
OUR_HEAD = "ends_at,air_temp_c,rain_mm,cloud_cover\n"
FIRST = date(2022, 11, 1)
DATA = Path(os.environ.get("ROADTWIN_SHARED_DIR") or Path(__file__).resolve().parents[4] / "shared") / "data"
COLOGNE = DATA / "koeln" / "weather_dwd_02667_daily.csv.gz"


def daily_line(day, *, mean, low, high, rain=0.0, sun=2.0, wind=3.0):
    return f"1303;{day:%Y%m%d};10;{wind};3;{rain};6;{sun};0;5.5;7.1;1001.2;{mean};82.0;{high};{low};-999;eor"


def daily_file(tmp_path, days=200, skip=(), **of_day):
    """A winter of made-up days, with a gap where `skip` says so."""
    lines = [DAILY_HEAD]
    for i in range(days):
        low = round(4 * np.sin(i / 9) - 1.0, 1)
        values = {
            "low": low,
            "high": round(low + 3 + 2 * np.sin(i) ** 2, 1),
            "rain": round(max(0, 9 * np.sin(1.7 * i)), 1),
        }
        values["mean"] = round(0.55 * values["low"] + 0.45 * values["high"], 1)
        if i not in skip:
            lines.append(daily_line(FIRST + timedelta(days=i), **(values | {k: v(i) for k, v in of_day.items()})))
    path = tmp_path / "produkt_klima_tag.txt"
    path.write_text("\n".join(lines) + "\n")
    return path


def hourly_lines(head, hours, row, begin=datetime(2023, 1, 1, tzinfo=UTC)):
    return "\n".join([head, *(row(begin + timedelta(hours=i + 1), i) for i in range(hours))]) + "\n"


def source(path, seed=1):
    return WeatherSource(Streams(seed), file=read_weather_file(path))


def days_of(weather_source, first, count):
    start = datetime(first.year, first.month, first.day, tzinfo=UTC)
    return hourly_weather(weather_source, start, start + timedelta(days=count))


def by_day(values):
    return values.reshape(-1, 24)


def test_hours_have_the_minimum_maximum_mean_and_rain_of_their_days(tmp_path):
    path = daily_file(tmp_path)
    columns = read_weather_file(path).columns

    weather = days_of(source(path), FIRST, 200)

    temp = by_day(weather.air_temp_c)
    assert temp.min(axis=1) == pytest.approx(columns["air_temp_min_c"], abs=1e-9)
    assert temp.max(axis=1) == pytest.approx(columns["air_temp_max_c"], abs=1e-9)
    assert temp.mean(axis=1) == pytest.approx(columns["air_temp_mean_c"], abs=0.006)
    assert by_day(weather.rain_mm).sum(axis=1) == pytest.approx(columns["rain_mm"], abs=1e-9)
    assert by_day(weather.humidity_pct).mean(axis=1) == pytest.approx(82.0, abs=0.1)
    assert by_day(weather.wind_speed_mps).mean(axis=1) == pytest.approx(3.0, abs=0.01)
    assert weather.pressure_hpa == pytest.approx(1001.2, abs=0.1)
    assert weather.cloud_cover == pytest.approx(5.5 / 8)
    assert np.abs(np.diff(weather.air_temp_c)).max() < 4.0  # no jump of more than the days ask for
    rainy = by_day(weather.rain_mm)[columns["rain_mm"] > 3]
    assert 1 <= (rainy > 0).sum(axis=1).min() <= (rainy > 0).sum(axis=1).max() <= 10


def test_more_sunshine_gives_more_radiation_and_cloud_stands_in_for_it(tmp_path):
    dull, bright = (
        days_of(source(daily_file(tmp_path, sun=lambda i, hours=hours: hours)), FIRST, 100) for hours in (0.0, 6.0)
    )
    clouded = days_of(source(daily_file(tmp_path, sun=lambda i: -999)), FIRST, 100)

    assert np.all(by_day(bright.radiation_w_per_m2).sum(axis=1) > 1.5 * by_day(dull.radiation_w_per_m2).sum(axis=1))
    assert clouded.radiation_w_per_m2.sum() > 0
    assert clouded.radiation_w_per_m2.max() < 600


def test_where_rain_falls_within_a_day_is_the_citys_own_and_the_rest_is_the_files(tmp_path):
    path = daily_file(tmp_path)
    one, same, other = (days_of(source(path, seed), FIRST, 50) for seed in (1, 1, 2))

    assert np.array_equal(one.rain_mm, same.rain_mm)
    assert not np.array_equal(one.rain_mm, other.rain_mm)
    assert np.array_equal(one.air_temp_c, other.air_temp_c)


def test_a_window_is_the_same_however_it_is_cut(tmp_path):
    weather_source = source(daily_file(tmp_path))
    whole = days_of(weather_source, FIRST, 30)

    cut = [days_of(weather_source, FIRST + timedelta(days=d), 1) for d in range(30)]

    assert np.array_equal(whole.air_temp_c, np.concatenate([part.air_temp_c for part in cut]))
    assert np.array_equal(whole.rain_mm, np.concatenate([part.rain_mm for part in cut]))


def test_snow_water_is_conserved_and_measured_snow_is_told(tmp_path):
    path = daily_file(tmp_path)
    path.write_text(path.read_text().replace(";2.0;0;5.5", ";2.0;12;5.5"))  # 12 cm on every day
    year = weather_year(source(path), 2022)

    assert year.melt_mm.sum() == pytest.approx(year.rain_mm.sum(), abs=1e-6)
    assert days_of(source(path), FIRST, 100).snow_depth_cm == pytest.approx(12.0)


def test_short_gaps_are_bridged_and_a_long_one_is_named(tmp_path):
    bridged = days_of(source(daily_file(tmp_path, skip=(50, 51, 52))), FIRST, 200)

    assert np.all(np.isfinite(bridged.air_temp_c))
    with pytest.raises(SimulationError, match=r"air_temp_max_c is missing from 2022-12-21 on, expected no gap of more"):
        read_weather_file(daily_file(tmp_path, skip=(50, 51, 52, 53)))
    with pytest.raises(SimulationError, match=r"rain_mm is missing from 2022-11-08 on"):
        read_weather_file(daily_file(tmp_path, rain=lambda i: -999 if 7 <= i < 12 else 1.0))


def test_what_ends_before_it_is_needed_names_the_files_period(tmp_path):
    path = daily_file(tmp_path)
    weather_source = source(path)

    with pytest.raises(SimulationError, match=r"covers 2022-11-01 to 2023-05-19 .*until 2023-05-20 01:00"):
        hourly_weather(weather_source, datetime(2023, 5, 19, tzinfo=UTC), datetime(2023, 5, 20, 1, tzinfo=UTC))
    world = build_world(seed=1, length_km=10, start=datetime(2022, 11, 10, tzinfo=UTC), weather_file=path)
    for parts in (
        lambda: messages(world, start=datetime(2023, 5, 18, tzinfo=UTC), end=datetime(2023, 5, 20, 3, tzinfo=UTC)),
        lambda: live_records(world, start=datetime(2023, 5, 18, tzinfo=UTC), end=datetime(2023, 5, 21, tzinfo=UTC)),
        lambda: [DeviceFeed(truth_of(world)).block(0, 1_684_540_800_000_001)],
    ):
        with pytest.raises(SimulationError, match="covers 2022-11-01 to 2023-05-19"):
            list(parts())
    with pytest.raises(SimulationError, match=r"covers 2022-11-01 to 2023-05-19, got 2021-07-01"):
        build_world(seed=1, length_km=10, weather_file=path)


def test_a_city_under_measured_weather_is_the_same_city(tmp_path):
    path, start = daily_file(tmp_path), datetime(2022, 11, 10, tzinfo=UTC)
    usual = build_world(seed=1, length_km=10, start=start)
    measured = build_world(seed=1, length_km=10, start=start, weather_file=path)

    assert measured.segment_ids == usual.segment_ids
    assert measured.climate == usual.climate
    assert measured.weather.file == read_weather_file(path)
    assert hash(measured.weather) == hash(build_world(seed=1, length_km=10, start=start, weather_file=path).weather)
    with pytest.raises(SimulationError, match="got a file and the scenario 'hard-winter'"):
        build_world(seed=1, length_km=10, start=start, weather_file=path, scenario=read_scenario("hard-winter"))


def test_before_the_file_generated_weather_gives_the_ground_a_past(tmp_path):
    weather_source = source(daily_file(tmp_path))
    usual = WeatherSource(Streams(1))

    assert np.array_equal(weather_year(weather_source, 2021).air_temp_c, weather_year(usual, 2021).air_temp_c)
    assert pavement_year(weather_source, 2022).depth_temp_c.min() > -25


def test_measured_weather_can_be_continued(tmp_path):
    weather_source, after = source(daily_file(tmp_path)), date(2023, 1, 31)
    cut = 24 * ((after - date(2022, 7, 1)).days + 1)
    measured = weather_year(weather_source, 2022).air_temp_c
    draws = np.array([weather_year(weather_source.continued(after, draw), 2022).air_temp_c for draw in range(8)])

    assert np.all(draws[:, :cut] == measured[:cut])
    assert np.abs(draws[:, cut] - measured[cut - 1]).max() < 3.0
    assert np.ptp(draws[:, cut + 24 * 10], axis=0) > 1.0
    goes_on = hourly_weather(weather_source.continued(after, 0), *(datetime(2023, 6, d, tzinfo=UTC) for d in (1, 8)))
    assert len(goes_on.ends_at) == 24 * 7  # after the file's end


def test_our_own_hours_are_taken_as_they_are(tmp_path):
    path = tmp_path / "hours.csv.gz"
    text = hourly_lines(
        "ends_at,air_temp_c,rain_mm,humidity_pct,cloud_cover,station,snow_depth_cm",
        24 * 5,
        lambda at, i: f"{at.isoformat()},{i / 10:.1f},{i % 3 / 10},80,{i % 9 / 8},x,",
    )
    path.write_bytes(gzip.compress(text.encode()))

    file, weather = read_weather_file(path), days_of(source(path), date(2023, 1, 1), 5)

    assert (file.is_hourly, file.first, file.last) == (True, date(2023, 1, 1), date(2023, 1, 5))
    assert weather.air_temp_c == pytest.approx(np.arange(120) / 10)
    assert weather.rain_mm == pytest.approx(np.arange(120) % 3 / 10)
    assert weather.cloud_cover == pytest.approx(np.arange(120) % 9 / 8)
    assert weather.humidity_pct == pytest.approx(80)
    assert by_day(weather.radiation_w_per_m2).sum(axis=1).min() > 100
    assert by_day(weather.radiation_w_per_m2)[:, [0, 1, 2, 22, 23]].max() == 0


def test_the_dwds_hourly_files_are_joined_from_their_folder(tmp_path):
    (tmp_path / "produkt_tu_stunde.txt").write_text(
        hourly_lines(
            "STATIONS_ID;MESS_DATUM;QN_9;TT_TU;RF_TU;eor",
            72,
            lambda at, i: f" 1303;{at:%Y%m%d%H};3; {i / 8:.1f}; 91;eor",
        )
    )
    (tmp_path / "produkt_rr_stunde.txt").write_text(
        hourly_lines(
            "STATIONS_ID;MESS_DATUM;QN_8;  R1;RS_IND;WRTR;eor",
            72,
            lambda at, i: f"1303;{at:%Y%m%d%H};3;{0.2 if i % 7 == 0 else 0};0;-999;eor",
        )
    )
    (tmp_path / "produkt_n_stunde.txt").write_text(
        hourly_lines(
            "STATIONS_ID;MESS_DATUM;QN_8;V_N_I; V_N;eor",
            72,
            lambda at, i: f"1303;{at:%Y%m%d%H};3;P;{-1 if i == 20 else 6};eor",
        )
    )

    weather = days_of(source(tmp_path), date(2023, 1, 1), 3)

    assert weather.air_temp_c == pytest.approx(np.round(np.arange(72) / 8, 1), abs=0.051)
    assert weather.rain_mm.sum() == pytest.approx(0.2 * 11)
    assert weather.cloud_cover == pytest.approx(0.75)
    assert weather.humidity_pct == pytest.approx(91)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "got the columns none, expected ends_at"),
        ("a,b\n1,2\n", "got the columns a, b, expected ends_at"),
        (OUR_HEAD + "2023-01-01T01:00:00,1,0,0\n", "line 2: got the time .*with an offset"),
        (OUR_HEAD + "2023-01-01T01:30:00Z,1,0,0\n", "line 2: got the time .*full hour"),
        (OUR_HEAD + "2023-01-01T01:00:00Z,1,0\n", "line 2: got 3 cells, expected 4"),
        (OUR_HEAD + "2023-01-01T01:00:00Z,x,0,0\n", "line 2: got 'x' for air_temp_c"),
        (OUR_HEAD + "2023-01-01T01:00:00Z,99,0,0\n", "line 2: got 99 for air_temp_c, expected -60 to 60"),
        (OUR_HEAD + "2023-01-01T01:00:00Z,nan,0,0\n", "line 2: got nan for air_temp_c"),
        (OUR_HEAD + "2023-01-01T01:00:00Z,1,0,0\n", "no whole day"),
        ("ends_at,air_temp_c,rain_mm\n", "got no rows"),
        (f"{DAILY_HEAD}\n{daily_line(FIRST, mean=1, low=3, high=2)}\n", "minimum of 3 °C and .* of 2 °C on 2022-11-01"),
        ("MESS_DATUM;TMK;TNK;TXK;NM\n20230101;1;0;2;3\n", "got no values of rain_mm"),
        ("MESS_DATUM;TMK;TNK;TXK;RSK\n20230101;1;0;2;3\n", "sunshine_h and cloud_cover is missing from 2023-01-01"),
        ("MESS_DATUM;TMK\n2023-01-01;1\n", "line 2: got the time '2023-01-01', expected YYYYMMDD"),
    ],
)  # fmt: skip
def test_a_bad_file_gets_one_clear_error(tmp_path, text, message):
    path = tmp_path / "weather.csv"
    path.write_text(text)

    with pytest.raises(SimulationError, match=message):
        read_weather_file(path)


def test_unreadable_files_are_named(tmp_path):
    (tmp_path / "w.csv.gz").write_bytes(b"not gzipped")
    (tmp_path / "w.csv").write_bytes(b"\xff\xfe\x00")

    for name in ("w.csv.gz", "w.csv", "absent.csv"):
        with pytest.raises(SimulationError, match=rf"{name}: cannot be read"):
            read_weather_file(tmp_path / name)
    (tmp_path / "empty").mkdir()
    with pytest.raises(SimulationError, match="a folder without"):
        read_weather_file(tmp_path / "empty")


@pytest.mark.skipif(not COLOGNE.exists(), reason="the weather of Cologne is not here")
def test_the_weather_of_cologne_keeps_every_freeze_thaw_day_and_all_its_rain():
    """The file has 417 days twice: 21,126 rows of 20,709 days."""
    with gzip.open(COLOGNE, "rt", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    weather_source = source(COLOGNE)
    years = [weather_year(weather_source, year) for year in range(1957, 2014)]
    temp = np.concatenate([by_day(year.air_temp_c) for year in years])
    rain = np.concatenate([by_day(year.rain_mm).sum(axis=1) for year in years])
    place = np.array([(np.datetime64(f"{d[:4]}-{d[4:6]}-{d[6:]}") - np.datetime64("1957-07-01")).astype(int)
                      for d in (row["Mess_Datum"] for row in rows)])  # fmt: skip

    def column(name):
        return np.array([float(row[name]) for row in rows])

    assert temp.min(axis=1)[place] == pytest.approx(column("LUFTTEMPERATUR_MINIMUM"), abs=1e-9)
    assert temp.max(axis=1)[place] == pytest.approx(column("LUFTTEMPERATUR_MAXIMUM"), abs=1e-9)
    freeze_thaw = (temp.min(axis=1) < 0) & (temp.max(axis=1) > 0)
    assert (len(rows), freeze_thaw[place].sum()) == (21_126, 3435)
    assert rain[place] == pytest.approx(column("NIEDERSCHLAGSHOEHE"), abs=1e-6)
    off = np.abs(temp.mean(axis=1)[place] - column("LUFTTEMPERATUR"))
    assert np.quantile(off, 0.99) < 0.01  # a few means lie too near an extreme for 24 hours
    assert off.max() < 1.6
    yearly_kwh = np.mean([year.radiation_w_per_m2.sum() / 1000 for year in years[3:]])
    assert 950 < yearly_kwh < 1150
