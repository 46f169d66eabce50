"""Weather that goes on otherwise after a day: the same before, another afterwards, and continuous."""

from datetime import UTC, date, datetime, timedelta

import numpy as np
import pytest

from simulators.randomness import Streams
from simulators.scenario import WeatherChange
from simulators.weather.pavement import pavement_year
from simulators.weather.weather import HourlyWeather, WeatherSource, hourly_weather, weather_year

AFTER = date(2023, 1, 20)
PARENT = WeatherSource(Streams(5))


def days_since_july(day):
    return (day - date(2022, 7, 1)).days


def test_nothing_changes_up_to_the_end_of_the_day_and_everything_after_it():
    parent, child = weather_year(PARENT, 2022), weather_year(PARENT.continued(AFTER, 3), 2022)
    cut = 24 * (days_since_july(AFTER) + 1)

    for name in HourlyWeather.__slots__:
        assert np.array_equal(getattr(parent, name)[:cut], getattr(child, name)[:cut]), name
    for name in ("air_temp_c", "cloud_cover", "wind_speed_mps", "pressure_hpa"):
        assert (getattr(parent, name)[cut:] != getattr(child, name)[cut:]).mean() > 0.9, name


def test_the_pavement_has_the_same_past_too():
    parent, child = pavement_year(PARENT, 2022), pavement_year(PARENT.continued(AFTER, 3), 2022)
    days = days_since_july(AFTER) + 1

    for name in type(parent).__slots__:
        a, b = getattr(parent, name), getattr(child, name)
        rows = days * 24 if len(a) > 366 else days
        # A cycle may be completed by an hour of the day, never by one after it: rows of days are exact too.
        assert np.array_equal(a[:rows], b[:rows]), name
    assert not np.array_equal(parent.surface_temp_c, child.surface_temp_c)


def test_years_that_ended_before_are_shared_and_so_are_those_that_no_change_touches():
    child = PARENT.continued(AFTER, 3)
    winter = WeatherChange(begins="2022-12-01", ends="2023-02-01", air_temp_shift_c=-3)
    changed = WeatherSource(Streams(5), (winter,), date(2022, 12, 24))

    assert weather_year(child, 2021) is weather_year(PARENT, 2021)
    assert pavement_year(child, 2021) is pavement_year(PARENT, 2021)
    assert weather_year(PARENT.continued(date(2023, 6, 30), 1), 2022) is weather_year(PARENT, 2022)
    assert weather_year(changed, 2021) is weather_year(PARENT, 2021)
    assert weather_year(changed, 2022) is not weather_year(PARENT, 2022)


def test_draws_and_days_have_noise_of_their_own():
    """Correlation of daily temperature anomalies well after the branch: 240 days with a memory of days, and a slow
    part that 40 draws average out."""
    late = slice(24 * (days_since_july(AFTER) + 100), None)

    def daily(source):
        return weather_year(source, 2022).wind_speed_mps[late].reshape(-1, 24).mean(axis=1)

    first = [daily(PARENT.continued(AFTER, draw)) for draw in range(12)]
    other = [daily(PARENT.continued(AFTER - timedelta(days=7), draw)) for draw in range(12)]
    correlations = [np.corrcoef(a, b)[0, 1] for i, a in enumerate(first) for b in [*first[:i], *other]]

    assert len(correlations) == 66 + 144
    # Each has a standard error of about 0.17 (61 days, memory of two days).
    assert abs(np.mean(correlations)) < 0.06
    assert np.max(np.abs(correlations)) < 0.7


def test_the_continuation_begins_where_the_day_ended_and_forgets_it_later():
    """Draws start alike and drift apart: their scatter grows from hours to weeks, and there is no jump at midnight."""
    cut = 24 * (days_since_july(AFTER) + 1)
    temp = np.array([weather_year(PARENT.continued(AFTER, draw), 2022).air_temp_c for draw in range(40)])
    scatter = temp.std(axis=0)
    step = np.abs(np.diff(temp, axis=1))

    assert np.ptp(temp[:, cut - 1]) == 0
    first_noon, later = scatter[cut + 12 : cut + 18].mean(), scatter[cut + 24 * 30 : cut + 24 * 60].mean()
    assert scatter[cut] < 0.8 < first_noon < 0.8 * later
    assert step[:, cut - 1].max() < 3.0


def test_continuations_keep_the_climate():
    """Mean of 60 draws over the 60 days that begin a month later against the normal: each has a standard deviation of
    about 2 °C."""
    begin = 24 * (days_since_july(AFTER) + 31)
    parents = [WeatherSource(Streams(seed)) for seed in range(60)]
    child = [weather_year(p.continued(AFTER, 0), 2022).air_temp_c[begin : begin + 24 * 60].mean() for p in parents]
    parent = [weather_year(p, 2022).air_temp_c[begin : begin + 24 * 60].mean() for p in parents]

    assert np.mean(child) == pytest.approx(np.mean(parent), abs=1.1)
    assert np.std(child) == pytest.approx(np.std(parent), rel=0.4)


def test_a_continuation_can_be_continued_and_an_earlier_one_replaces_it():
    later, earlier = date(2023, 2, 10), date(2023, 1, 5)
    twice = PARENT.continued(AFTER, 1).continued(later, 2)
    begin = datetime(2023, 1, 21, tzinfo=UTC)
    between = hourly_weather(twice, begin, begin + timedelta(days=21))

    assert np.array_equal(
        between.air_temp_c, hourly_weather(PARENT.continued(AFTER, 1), begin, begin + timedelta(days=21)).air_temp_c
    )
    assert twice.continued(earlier, 7) == PARENT.continued(earlier, 7)
    assert twice != PARENT.continued(AFTER, 1).continued(later, 3)
