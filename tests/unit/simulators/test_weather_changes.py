"""Scenarios change the weather within their windows, and physics follows."""

from datetime import UTC, date, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.scenario import WeatherChange
from simulators.weather.weather import HourlyWeather, WeatherSource, hourly_weather, weather_year
from simulators.weather.weather_changes import change_weight

TODAY = date(2020, 7, 1)


@pytest.fixture(scope="module")
def pair():
    """Winters (December to February) of 40 years, as they are and changed."""

    def winters(*changes):
        sources = [WeatherSource(Streams(seed), changes, TODAY if changes else None) for seed in range(10)]
        years = [
            weather_year(source, year).window(153 * 24, 243 * 24) for source in sources for year in range(2000, 2004)
        ]
        return HourlyWeather.joined(years)

    return lambda **change: SimpleNamespace(
        was=winters(), now=winters(WeatherChange(begins="11-01", ends="04-01", **change))
    )


def daily_sum(values):
    return values.reshape(-1, 24).sum(axis=1)


def test_a_shift_moves_the_temperature_and_with_it_snow_and_humid_air(pair):
    both = pair(air_temp_shift_c=-4.0)

    assert both.now.air_temp_c - both.was.air_temp_c == pytest.approx(-4.0, abs=0.011)
    assert (both.now.snow_depth_cm >= 1).mean() > 2 * (both.was.snow_depth_cm >= 1).mean()
    assert np.array_equal(both.now.rain_mm, both.was.rain_mm)
    assert both.now.humidity_pct.mean() == pytest.approx(both.was.humidity_pct.mean(), abs=1.0)


def test_a_spread_stretches_the_variation_about_the_normal(pair):
    both = pair(air_temp_spread_factor=1.5)

    def spread(weather):
        return weather.air_temp_c.reshape(-1, 24).mean(axis=1).std()

    assert spread(both.now) == pytest.approx(1.5 * spread(both.was), rel=0.05)
    assert both.now.air_temp_c.mean() == pytest.approx(both.was.air_temp_c.mean(), abs=0.6)


def test_rain_and_wet_days_follow_their_factors(pair):
    more, oftener = pair(rain_factor=1.7), pair(wet_days_factor=1.4)

    def wet_days(weather):
        return (daily_sum(weather.rain_mm) >= 0.1).mean()

    assert more.now.rain_mm.sum() == pytest.approx(1.7 * more.was.rain_mm.sum(), rel=0.01)
    assert wet_days(more.now) == pytest.approx(wet_days(more.was), rel=0.05)
    assert wet_days(oftener.now) == pytest.approx(1.4 * wet_days(oftener.was), rel=0.05)
    # As much in the mean, from other days: 3,600 days of which a half is wet, with a scatter of 1.2 times their mean.
    assert oftener.now.rain_mm.sum() == pytest.approx(oftener.was.rain_mm.sum(), rel=0.08)
    assert more.now.melt_mm.sum() > 1.5 * more.was.melt_mm.sum()


def test_less_cloud_brings_more_sun_and_wider_days_and_wind_its_factor(pair):
    clear, windy = pair(cloud_shift=-0.3), pair(wind_factor=1.5)

    def width(weather):
        return np.ptp(weather.air_temp_c.reshape(-1, 24), axis=1).mean()

    assert clear.now.radiation_w_per_m2.sum() > 1.2 * clear.was.radiation_w_per_m2.sum()
    assert width(clear.now) > 1.1 * width(clear.was)
    assert windy.now.wind_speed_mps.mean() == pytest.approx(1.5 * windy.was.wind_speed_mps.mean(), rel=0.02)


def test_no_wet_days_means_no_rain(pair):
    assert pair(wet_days_factor=0).now.rain_mm.sum() < 0.01 * pair(wet_days_factor=0).was.rain_mm.sum()


def test_changes_come_and_go_within_a_week_of_their_window():
    change = WeatherChange(begins="2020-01-10", ends="2020-02-20", air_temp_shift_c=8.0)
    source = WeatherSource(Streams(3), (change,), TODAY, "UTC")
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2020, 3, 1, tzinfo=UTC)
    was, now = (hourly_weather(s, start, end).air_temp_c for s in (WeatherSource(Streams(3)), source))
    shift = now - was

    assert (
        np.abs(shift[: 24 * 9]).max() == np.abs(shift[24 * 51 :]).max() == 0
    )  # a day leads into the next one's morning
    assert shift[24 * 17 : 24 * 43] == pytest.approx(8.0, abs=0.011)
    assert np.abs(np.diff(shift)).max() < 0.15  # 8 °C in a week, each day's step taken in twelve hours


def test_short_windows_reach_their_full_strength_and_overlapping_ones_add_up():
    days = np.arange(100)
    short = WeatherChange(begins="1970-02-01", ends="1970-02-05", air_temp_shift_c=1)

    weight = change_weight(short, days, TODAY, "UTC")

    assert weight[31:35].tolist() == [0.25, 0.75, 0.75, 0.25]
    assert weight.sum() == 2.0
    twice = (WeatherChange(air_temp_shift_c=1.0), WeatherChange(air_temp_shift_c=2.0))
    start = datetime(2020, 1, 1, tzinfo=UTC)
    one, two = (
        hourly_weather(WeatherSource(Streams(3), c, TODAY if c else None), start, start + timedelta(days=3)).air_temp_c
        for c in ((), twice)
    )
    assert two - one == pytest.approx(3.0, abs=0.011)
