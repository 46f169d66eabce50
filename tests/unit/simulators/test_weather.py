"""Many years of weather against the normals of Essen and North Rhine-Westphalia."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.weather.normals import (
    FROST_DAYS_A_YEAR,
    ICE_DAYS_A_YEAR,
    RADIATION_NORMAL_KWH_PER_M2,
    RAIN_NORMAL_MM,
    TEMP_NORMAL_C,
)
from simulators.weather.weather import WeatherSource, hourly_weather, weather_year


@pytest.fixture(scope="module")
def climate():
    """480 years, from 24 seeds: the mean of a month then has a standard error of 0.11 °C or 2 % of its rain."""
    years = [weather_year(WeatherSource(Streams(seed)), year) for seed in range(24) for year in range(1990, 2010)]
    starts = np.concatenate([(year.ends_at - np.timedelta64(1, "h"))[::24] for year in years])

    def daily(name):
        return np.concatenate([getattr(year, name) for year in years]).reshape(-1, 24)

    temp = daily("air_temp_c")
    return SimpleNamespace(
        years=years,
        month=starts.astype("datetime64[M]").astype(int) % 12 + 1,
        low=temp.min(axis=1),
        high=temp.max(axis=1),
        mean=temp.mean(axis=1),
        rain=daily("rain_mm").sum(axis=1),
        radiation_kwh=daily("radiation_w_per_m2").sum(axis=1) / 1000,
        snow_cm=daily("snow_depth_cm").max(axis=1),
        per_year=[year.air_temp_c.reshape(-1, 24) for year in years],
    )


def test_frost_and_ice_days_are_those_of_the_normals(climate):
    count = len(climate.years)

    assert (climate.low < 0).sum() / count == pytest.approx(FROST_DAYS_A_YEAR, rel=0.15)
    assert (climate.high < 0).sum() / count == pytest.approx(ICE_DAYS_A_YEAR, rel=0.3)


def test_january_is_as_cold_as_it_should_be(climate):
    january = climate.month == 1

    assert climate.low[january].mean() == pytest.approx(-0.3, abs=0.8)
    assert climate.high[january].mean() == pytest.approx(3.9, abs=1.0)


def test_every_month_has_its_normal_temperature_rain_and_radiation(climate):
    months, years = [climate.month == m for m in range(1, 13)], len(climate.years)
    temp_c = np.array([climate.mean[month].mean() for month in months])
    rain_mm = np.array([climate.rain[month].sum() for month in months]) / years
    radiation = np.array([climate.radiation_kwh[month].sum() for month in months]) / years

    assert temp_c == pytest.approx(TEMP_NORMAL_C, abs=0.7)
    assert rain_mm == pytest.approx(RAIN_NORMAL_MM, rel=0.15)
    assert radiation == pytest.approx(RADIATION_NORMAL_KWH_PER_M2, rel=0.15, abs=6.0)


def test_rain_has_the_yearly_sum_and_its_days(climate):
    count = len(climate.years)

    assert climate.rain.sum() / count == pytest.approx(RAIN_NORMAL_MM.sum(), rel=0.04)
    assert 160 < (climate.rain >= 0.1).sum() / count < 205


def test_snow_lies_for_some_weeks_a_year_and_never_in_summer(climate):
    count = len(climate.years)

    assert 10 < (climate.snow_cm >= 1).sum() / count < 32  # lowland of the Ruhr: two to four weeks
    assert climate.snow_cm[np.isin(climate.month, (6, 7, 8, 9))].max() == 0
    assert 5 < climate.snow_cm.max() < 90


def test_cold_comes_in_spells_and_winters_differ(climate):
    winter = np.isin(climate.month, (12, 1, 2))
    frost = climate.low < 0
    next_too = frost[1:][frost[:-1] & winter[:-1] & winter[1:]].mean()
    winters = [year[153:243].mean() for year in climate.per_year]

    assert next_too > 1.25 * frost[winter].mean()
    assert 1.0 < np.std(winters) < 2.6


def test_values_stay_within_what_the_climate_allows(climate):
    for year in climate.years[:10]:
        assert -28 < year.air_temp_c.min() < year.air_temp_c.max() < 45
        assert 10 <= year.humidity_pct.min() <= year.humidity_pct.max() <= 100
        assert year.radiation_w_per_m2.min() == 0
        assert 600 < year.radiation_w_per_m2.max() < 1000
        assert year.rain_mm.min() >= 0


def test_snow_gives_back_all_the_water_that_fell(climate):
    for year in climate.years[::5]:
        assert year.melt_mm.sum() == pytest.approx(year.rain_mm.sum(), abs=1e-6)
        assert np.cumsum(year.melt_mm).max() <= year.rain_mm.sum() + 1e-6
        assert np.all(np.cumsum(year.melt_mm) <= np.cumsum(year.rain_mm) + 1e-6)


def test_an_hour_is_the_same_in_every_window():
    source = WeatherSource(Streams(8))
    start = datetime(2023, 6, 25, 5, 30, tzinfo=UTC)
    whole = hourly_weather(source, start, start + timedelta(days=12))

    cut = [hourly_weather(source, start + timedelta(days=d), start + timedelta(days=d + 1)) for d in range(12)]

    assert np.array_equal(whole.ends_at, np.concatenate([part.ends_at for part in cut]))
    assert np.array_equal(whole.air_temp_c, np.concatenate([part.air_temp_c for part in cut]))
    assert np.array_equal(whole.rain_mm, np.concatenate([part.rain_mm for part in cut]))
    assert np.all(np.diff(whole.ends_at) == np.timedelta64(1, "h"))
