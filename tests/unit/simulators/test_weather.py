"""Many years of weather against the normals of Essen and North Rhine-Westphalia."""

from datetime import UTC, datetime, timedelta
from types import SimpleNamespace

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.weather import RAIN_NORMAL_MM, WeatherSource, hourly_weather, weather_year


@pytest.fixture(scope="module")
def climate():
    """160 years, from eight seeds; daily values with their month, and values of each year."""
    years = [weather_year(WeatherSource(Streams(seed)), year) for seed in range(8) for year in range(1990, 2010)]
    temp = [year.air_temp_c.reshape(-1, 24) for year in years]
    joined = np.concatenate(temp)
    starts = np.concatenate([(year.ends_at - np.timedelta64(1, "h"))[::24] for year in years])
    return SimpleNamespace(
        years=years,
        month=starts.astype("datetime64[M]").astype(int) % 12 + 1,
        low=joined.min(axis=1),
        high=joined.max(axis=1),
        mean=joined.mean(axis=1),
        rain=np.concatenate([year.rain_mm.reshape(-1, 24).sum(axis=1) for year in years]),
        per_year=temp,
    )


def test_frost_and_ice_days_are_those_of_the_normals(climate):
    count = len(climate.years)

    assert (climate.low < 0).sum() / count == pytest.approx(62, rel=0.15)
    assert (climate.high < 0).sum() / count == pytest.approx(12, rel=0.3)


def test_january_is_as_cold_as_it_should_be(climate):
    january = climate.month == 1

    assert climate.low[january].mean() == pytest.approx(-0.3, abs=0.8)
    assert climate.high[january].mean() == pytest.approx(3.9, abs=0.8)


def test_rain_has_the_yearly_sum_and_the_monthly_distribution(climate):
    count = len(climate.years)
    monthly = np.array([climate.rain[climate.month == m].sum() / count for m in range(1, 13)])

    assert monthly.sum() == pytest.approx(928, rel=0.06)
    assert monthly == pytest.approx(RAIN_NORMAL_MM, rel=0.2)
    assert 160 < (climate.rain >= 0.1).sum() / count < 205


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
    for year in climate.years:
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
