"""The level of a city without labels: the documented rate, in the mean of a usual year, at each horizon."""

from dataclasses import fields, replace
from datetime import time

import numpy as np
import pytest

from models.city_level import CityLevel
from models.climate import USUAL_FREEZE_THAW_DAYS, USUAL_TEMP_C, UsualYear, usual_date, usual_year, weather_alone
from models.dataset import build_dataset, make_cuts
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder
from models.inputs import CityInputs, Columns, SegmentTable, WeatherForecasts, WeatherHours
from models.prior import EFFECTS, RATE_PER_100_M_WEEK, WEATHER_PEAK_DAY, WEATHER_SWING, season_slopes, weather_share
from models.risk import RiskModel
from roadtwin.types import HORIZONS_DAYS
from tests.unit.models.synthetic_city import BERLIN, DAY, START, make_segments, make_weather

DAYS = 2 * 365
NOW = START + DAYS * DAY + np.timedelta64(4, "h")
AT = time(5)


def unlabelled_city(segments: SegmentTable, weather: WeatherHours) -> CityInputs:
    """A city of which only the register and the weather are known."""
    kinds = {f.name: f.type for f in fields(CityInputs) if isinstance(f.type, type)}
    empty = {name: kind.empty() for name, kind in kinds.items() if issubclass(kind, Columns)}
    return CityInputs(**(empty | {"segments": segments, "weather": weather, "timezone": BERLIN}))


@pytest.fixture(scope="module")
def city() -> CityInputs:
    rng = np.random.default_rng(3)
    return unlabelled_city(make_segments(60, rng), make_weather(DAYS, rng))


def year_of(inputs: CityInputs, now=NOW):
    return usual_year(weather_alone(inputs, now), now, at=AT)


def cold_model(inputs: CityInputs, now=NOW, *, year=None) -> RiskModel:
    nothing = build_dataset(inputs, np.zeros(0, "datetime64[us]"), data_until=now)
    return RiskModel().fit(nothing, population=FeatureBuilder(inputs).at(now), year=year)


def since(inputs: CityInputs, begin: str, end: str) -> CityInputs:
    """The same with the weather of a part of the time only."""
    at = inputs.weather.observed_at
    kept = (at > np.datetime64(begin, "us")) & (at <= np.datetime64(end, "us"))
    return replace(inputs, weather=inputs.weather.take(kept))


def year_mean_rates(model: RiskModel, inputs: CityInputs) -> np.ndarray:
    """Expected new holes per 100 m and week of each horizon, mean of the dates of the last year on record."""
    builder = FeatureBuilder(inputs)
    dates = make_cuts(NOW - 364 * DAY, NOW, step_days=7, at=AT, zone=BERLIN)
    counts = [model.predict(builder.at(date)).expected_count.sum(axis=0) for date in dates]
    hundred_m = inputs.segments.length_m.sum() / 100
    return np.mean(counts, axis=0) / hundred_m / (np.array(HORIZONS_DAYS) / 7)


def test_in_the_mean_of_a_year_the_roads_have_the_documented_rate_at_each_horizon(city):
    model = cold_model(city, year=year_of(city))

    # two years of weather are known, the mean is asked of the last
    assert year_mean_rates(model, city) == pytest.approx(np.full(3, RATE_PER_100_M_WEEK), rel=0.12)
    both = [year_mean_rates(each, city) for each in (model, cold_model(city))]
    spread = [rates.max() / rates.min() for rates in both]
    assert spread[0] < 1.06 < spread[1]  # with fixed centres each horizon has a rate of its own


def test_longer_windows_hold_no_fewer_holes_on_any_date(city):
    model, builder = cold_model(city, year=year_of(city)), FeatureBuilder(city)

    for date in make_cuts(NOW - 364 * DAY, NOW, step_days=28, at=AT, zone=BERLIN):
        forecast = model.predict(builder.at(date))
        assert (np.diff(forecast.expected_count, axis=1) >= 0).all()
        assert (np.diff(forecast.probability, axis=1) >= 0).all()


def test_each_month_of_the_year_weighs_the_same_and_comes_from_the_records(city):
    year = year_of(city)

    assert year.recorded_share == pytest.approx(1.0)
    assert year.weight.sum() == pytest.approx(1.0)
    sine, cosine = (year.features[:, FEATURE_SET.index(f"season_{name}")].astype(float) for name in ("sin", "cos"))
    assert abs(year.weight @ sine) < 0.03
    assert abs(year.weight @ cosine) < 0.03
    temp_c = year.features[:, FEATURE_SET.index("mean_temp_14d_c")]
    used = year.weight > 0
    assert float(year.weight[used] @ temp_c[used]) == pytest.approx(city.weather.air_temp_c.mean(), abs=0.7)


def test_weather_that_was_imported_at_once_tells_as_much_as_weather_that_was_recorded_hour_by_hour(city):
    late = replace(city, weather=replace(city.weather, recorded_at=np.full(len(city.weather), NOW)))

    np.testing.assert_array_equal(year_of(late).features, year_of(city).features)
    # what comes later, and what was replaced, is not seen
    hotter = replace(city.weather, air_temp_c=city.weather.air_temp_c + 20, recorded_at=city.weather.recorded_at + DAY)
    both = {f.name: np.concatenate([getattr(city.weather, f.name), getattr(hotter, f.name)]) for f in fields(hotter)}
    corrected = replace(city, weather=WeatherHours(**both))
    first_half = NOW - DAYS // 2 * DAY
    temp = FEATURE_SET.index("mean_temp_14d_c")
    assert np.nanmean(year_of(corrected).features[:, temp]) > np.nanmean(year_of(city).features[:, temp]) + 15
    np.testing.assert_array_equal(
        year_of(city.recorded_by(first_half), first_half).features, year_of(city, first_half).features
    )


def test_a_city_in_its_first_winter_does_not_take_it_for_the_year(city):
    """Ten weeks of winter are known, the other months are those of the usual year."""
    now = np.datetime64("2025-01-25T04:00", "us")
    young = since(city, "2024-11-15", "2025-01-25")
    year = year_of(young, now)
    own = np.arange(len(year.weight) - 12)
    always_winter = UsualYear(year.features[own], np.full(own.size, 1 / own.size), 1.0)
    model = cold_model(young, now, year=year)

    assert 2 / 12 < year.recorded_share < 4 / 12
    ratio = year_mean_rates(model, city) / RATE_PER_100_M_WEEK
    assert ((ratio > 0.7) & (ratio < 1.5)).all()
    assert (year_mean_rates(cold_model(young, now, year=always_winter), city)[:2] < 0.7 * RATE_PER_100_M_WEEK).all()
    winter = model.predict(FeatureBuilder(city).at(now)).expected_count.sum(axis=0)
    rate = winter / (city.segments.length_m.sum() / 100) / (np.array(HORIZONS_DAYS) / 7)
    assert ((rate > 0.8 * RATE_PER_100_M_WEEK) & (rate < 6 * RATE_PER_100_M_WEEK)).all()


def test_without_any_weather_only_the_season_counts(city):
    bare = replace(city, weather=city.weather.take(np.zeros(0, np.int64)))
    year = year_of(bare)

    assert year.recorded_share == 0
    known = np.isfinite(year.features).any(axis=0)
    assert {FEATURE_SET.names[i] for i in np.flatnonzero(known)} == {"season_sin", "season_cos"}
    levels, fixed = cold_model(bare, year=year).levels_, cold_model(bare).levels_
    for level, other in zip(levels, fixed, strict=True):
        assert level.intercept_ == pytest.approx(other.intercept_, abs=0.1)  # the mean of exp(season)


def test_forecasts_count_where_a_city_gets_them(city):
    hour = np.array([NOW - np.timedelta64(1, "h")])
    one = np.ones(1)
    forecasts = WeatherForecasts(hour, hour, hour + DAY, np.ones(1, np.int32), one, one)  # one issue, since today
    column = FEATURE_SET.index("forecast_mean_temp_7d_c")

    assert np.isnan(year_of(city).features[:, column]).all()
    assert np.isfinite(year_of(replace(city, forecasts=forecasts)).features[:, column]).all()


def test_the_usual_year_has_the_sums_of_its_source():
    assert np.mean(USUAL_TEMP_C) == pytest.approx(9.9, abs=0.05)
    assert sum(USUAL_FREEZE_THAW_DAYS) == pytest.approx(54.0 - 12.2, abs=0.1)


def test_few_cases_move_the_level_and_do_no_harm_elsewhere(city, rng):
    """A city of twice the documented rate: with more labels, the number on other rows comes nearer to the true one."""
    builder, year = FeatureBuilder(city), year_of(city)
    dates = make_cuts(NOW - 364 * DAY, NOW - 118 * DAY, step_days=7, at=AT, zone=BERLIN)
    truth = cold_model(city, year=year)
    truth.levels_ = [shifted(level, np.log(2)) for level in truth.levels_]
    nothing = build_dataset(city, dates[:0], data_until=NOW)
    features = [builder.at(date) for date in dates]
    labels = [(rng.random((len(x), 3)) < truth.predict_proba(x)).astype(float) for x in features]

    def rows_of(numbers):
        count = len(city.segments)
        each = [np.arange(count, dtype=np.int32) for _ in numbers]
        zeros = np.zeros(count * len(numbers), np.int32)
        return replace(
            nothing,
            features=np.concatenate([features[i] for i in numbers]),
            labels=np.concatenate([labels[i] for i in numbers]),
            segment_index=np.concatenate(each),
            cut=np.repeat(dates[list(numbers)], count),
            district=zeros,
            road_class=zeros,
        )

    held_out = np.arange(1, dates.size, 2)
    true_number = sum(truth.predict_proba(features[i]).sum(axis=0) for i in held_out)

    def miss(numbers) -> np.ndarray:
        rows = rows_of(numbers) if len(numbers) else nothing
        model = RiskModel(max_iter=5).fit(rows, population=features[-1], year=year)
        return np.abs(np.log(sum(model.predict_proba(features[i]).sum(axis=0) for i in held_out) / true_number))

    none, few, many = miss([]), miss([0, 12]), miss(list(range(0, dates.size, 2)))
    assert (few < none).all()
    assert (many < 0.15).all()


def shifted(level: CityLevel, by: float) -> CityLevel:
    level.intercept_ += by
    return level


def test_the_swing_that_the_season_takes_over_is_that_of_the_prior_in_the_usual_year():
    months = np.stack([usual_date(month, weather=True, forecast=True) for month in range(12)])
    effect = np.zeros(12)
    for name in (f.name for f in FEATURE_SET.features if f.group == "weather" and not f.name.startswith("season")):
        effect += EFFECTS[name].slope * np.nan_to_num(EFFECTS[name].coordinate(months[:, FEATURE_SET.index(name)]))
    angle = 2 * np.pi * (14 + 365.25 / 12 * np.arange(12)) / 365.25
    _, cosine, sine = np.linalg.lstsq(np.column_stack([np.ones(12), np.cos(angle), np.sin(angle)]), effect, rcond=None)[
        0
    ]
    assert np.hypot(cosine, sine) == pytest.approx(WEATHER_SWING, abs=0.01)
    assert np.arctan2(sine, cosine) / (2 * np.pi) * 365.25 == pytest.approx(WEATHER_PEAK_DAY, abs=1)


@pytest.mark.parametrize("horizon_days", HORIZONS_DAYS)
def test_the_seasons_prior_is_the_mean_over_the_window(horizon_days):
    sine, cosine = (slope / EFFECTS["season_cos"].scale for slope in season_slopes(horizon_days))
    for start in range(0, 365, 30):
        days = start + (np.arange(1000) + 0.5) / 1000 * horizon_days
        angle = 2 * np.pi * days / 365.25
        swing = (1 - weather_share(horizon_days)) * WEATHER_SWING
        mean = np.mean(
            EFFECTS["season_cos"].slope / EFFECTS["season_cos"].scale * np.cos(angle)
            + swing * np.cos(angle - 2 * np.pi * WEATHER_PEAK_DAY / 365.25)
        )
        begin = 2 * np.pi * start / 365.25
        assert sine * np.sin(begin) + cosine * np.cos(begin) == pytest.approx(mean, abs=1e-6)
