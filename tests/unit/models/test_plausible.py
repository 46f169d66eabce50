"""Hours of weather that cannot have been."""

from dataclasses import replace

import numpy as np
import pytest

from models.features.build import FeatureBuilder
from models.inputs import WeatherHours
from models.plausible import without_absurd_hours

HOUR = np.timedelta64(3_600_000_000, "us")
START = np.datetime64("2026-01-01T01:00", "us")


def hours(temp_c, rain_mm=None, *, station=0, first=0, delay=1):
    """Hours of one station, each recorded so many hours after it ended."""
    at = START + (first + np.arange(len(temp_c))) * HOUR
    rain = np.zeros(len(temp_c)) if rain_mm is None else np.array(rain_mm, float)
    return WeatherHours(at + delay * HOUR, at, np.full(len(temp_c), station, np.int32), np.array(temp_c, float), rain)


def joined(*parts):
    names = ("recorded_at", "observed_at", "station", "air_temp_c", "rain_mm")
    return WeatherHours(*(np.concatenate([getattr(part, name) for part in parts]) for name in names))


def january(count=200):
    return 2.0 + 4 * np.sin(np.arange(count) / 24 * 2 * np.pi) + np.arange(count) % 7 * 0.1


@pytest.mark.parametrize("absurd", [60.0, -60.0, -50.0, 45.0])
def test_a_temperature_that_january_cannot_have_is_unknown(absurd):
    temp_c = january()
    temp_c[100] = absurd

    sound, count = without_absurd_hours(hours(temp_c))

    assert count == 1
    assert np.flatnonzero(np.isnan(sound.air_temp_c)).tolist() == [100]
    np.testing.assert_array_equal(np.delete(sound.air_temp_c, 100), np.delete(temp_c, 100))


def test_a_cold_front_and_a_hot_summer_day_are_weather():
    front = np.concatenate([january(60) + 12, january(60) - 12])
    summer = 27.0 + 12 * np.sin(np.arange(120) / 24 * 2 * np.pi) + np.arange(120) % 7 * 0.1

    for temp_c in (front, summer):
        assert without_absurd_hours(hours(temp_c))[1] == 0


def test_a_bad_first_hour_condemns_no_good_one():
    temp_c = january()
    temp_c[0] = 44.0

    sound, count = without_absurd_hours(hours(temp_c))

    assert count == 0  # nothing before it says that it cannot be
    assert np.isfinite(sound.air_temp_c).all()


def test_after_a_long_gap_the_season_may_have_changed():
    sound, count = without_absurd_hours(joined(hours(january()), hours(january() + 31, first=4000)))

    assert count == 0
    assert np.isfinite(sound.air_temp_c).all()


def test_a_winter_recorded_in_summer_is_held_against_itself():
    summer = hours(january(300) + 24, first=4500)
    winter = hours(january(300) - 12, delay=5000)
    broken = replace(winter, air_temp_c=np.where(np.arange(300) == 200, 24.0, winter.air_temp_c))

    assert without_absurd_hours(joined(summer, winter))[1] == 0
    sound, count = without_absurd_hours(joined(summer, broken))

    assert count == 1
    assert np.isnan(sound.air_temp_c[300 + 200])


def test_a_station_that_repeats_itself_is_no_longer_believed_after_two_days():
    other = hours(january(), station=1)
    stuck = hours(np.full(200, 3.3), station=2)

    sound, count = without_absurd_hours(joined(other, stuck))

    unknown = np.flatnonzero(np.isnan(sound.air_temp_c)) - 200
    assert count == len(unknown) == 200 - 49
    assert unknown[0] == 49


def test_rain_beyond_any_cloudburst_and_rain_that_never_changes_are_unknown_and_a_dry_month_is_not():
    rain = np.zeros(800)
    rain[10], rain[100:150] = 250.0, 0.7

    sound, count = without_absurd_hours(hours(np.resize(january(), 800), rain))

    assert count == 1 + 25
    assert np.isnan(sound.rain_mm[10])
    assert np.isnan(sound.rain_mm[125:150]).all()
    assert np.isfinite(sound.rain_mm[200:]).all()


def test_what_is_recorded_later_changes_no_judgement():
    rng = np.random.default_rng(3)
    temp_c = january(400) + np.where(rng.random(400) < 0.05, rng.normal(0, 60, 400), 0)
    weather = joined(hours(temp_c[:200], station=1, delay=3), hours(temp_c[200:], station=2, delay=30))
    then = START + 120 * HOUR
    order = rng.permutation(len(weather))

    whole, _ = without_absurd_hours(weather)
    known, _ = without_absurd_hours(weather.recorded_by(then))
    mixed, _ = without_absurd_hours(weather.take(order))

    np.testing.assert_array_equal(whole.recorded_by(then).air_temp_c, known.air_temp_c)
    np.testing.assert_array_equal(whole.take(order).air_temp_c, mixed.air_temp_c)


def test_features_of_a_city_do_not_change_with_absurd_hours_of_a_second_station(city):
    weather, as_of = city.inputs.weather, city.until
    rows = np.flatnonzero(weather.observed_at > as_of - 40 * 24 * HOUR)[::5]
    broken = replace(weather.take(rows), station=np.full(rows.size, 9, np.int32))
    absurd = np.where(np.arange(rows.size) % 2, 59.0, -59.0)
    planted = joined(weather, replace(broken, air_temp_c=absurd, rain_mm=np.full(rows.size, 280.0)))

    sound, count = without_absurd_hours(planted)
    before = FeatureBuilder(city.inputs).at(as_of)
    after = FeatureBuilder(replace(city.inputs, weather=sound)).at(as_of)
    leaked = FeatureBuilder(replace(city.inputs, weather=planted)).at(as_of)

    assert count == 2 * rows.size
    np.testing.assert_array_equal(before, after)
    assert not np.array_equal(before, leaked, equal_nan=True)  # the test can fail
