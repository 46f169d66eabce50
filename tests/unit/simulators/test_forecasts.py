"""Forecasts: small errors soon, no better than the climate later, and nothing of what cannot be known."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise
from types import SimpleNamespace

import msgspec
import numpy as np
import pytest

from roadtwin.records.schema import WeatherForecast
from simulators.registers import Registers
from simulators.truth.truth import truth_of
from simulators.weather.forecasts import KNOWN_AFTER, LEADS_H, STEPS_H, Forecasts
from simulators.weather.weather import hourly_weather
from simulators.world import build_world

START = datetime(2021, 7, 1, 22, tzinfo=UTC)


def world_of(seed, **options):
    return build_world(seed=seed, length_km=6, **options)


def columns_of(records, world):
    """Forecasts and what came, shape (issues, leads)."""
    issued = sorted({r.issued_at for r in records})
    weather = hourly_weather(world.weather, issued[0], issued[-1] + timedelta(days=10))
    hour = (
        np.array([int(at.timestamp()) // 3600 for at in issued])[:, None] + LEADS_H - int(issued[0].timestamp()) // 3600
    )
    until = np.concatenate([[0.0], np.cumsum(weather.rain_mm)])
    shape = hour.shape
    return SimpleNamespace(
        temp=np.array([r.air_temp_c for r in records]).reshape(shape),
        rain=np.array([r.rain_mm for r in records]).reshape(shape),
        temp_came=weather.air_temp_c[hour - 1],
        rain_came=(until[hour] - until[hour - STEPS_H]) / STEPS_H,
        month=np.array([at.month for at in issued]),
    )


@pytest.fixture(scope="module")
def pooled():
    """Two years of six cities: 4,380 issues."""
    parts = []
    for seed in range(6):
        world = world_of(seed)
        forecasts = Forecasts(world)
        part = columns_of(list(forecasts.issued(START, START + timedelta(days=730))), world)
        hours = int(START.timestamp()) // 3600 + 2 + 24 * np.arange(730)[:, None] + LEADS_H
        part.normal = forecasts.climatology.temp_c(hours - 1)
        parts.append(part)
    return SimpleNamespace(**{n: np.concatenate([getattr(p, n) for p in parts]) for n in vars(parts[0])})


def column_of(lead_h):
    return LEADS_H.tolist().index(lead_h)


def rms(values):
    return np.sqrt(np.mean(values**2, axis=0))


def test_a_day_has_one_issue_of_valid_records():
    records = list(Forecasts(world_of(1)).issued(START, START + timedelta(days=3)))

    assert len(records) == 3 * len(LEADS_H) <= 3 * 60
    assert msgspec.json.decode(msgspec.json.encode(records), type=list[WeatherForecast]) == records
    assert len({r.record_id for r in records}) == len(records)
    assert {r.issued_at.hour for r in records} == {0}
    assert [(r.valid_at - r.issued_at) / timedelta(hours=1) for r in records[: len(LEADS_H)]] == LEADS_H.tolist()
    assert all(r.observed_at == r.issued_at and r.recorded_at == r.issued_at + KNOWN_AFTER for r in records)


def test_errors_of_temperature_grow_with_lead_time_up_to_the_climates_spread(pooled):
    error, spread = rms(pooled.temp - pooled.temp_came), rms(pooled.temp_came - pooled.normal)
    daily = [column_of(24 * day) for day in range(1, 11)]

    assert error[0] < 0.6
    assert error[daily[0]] == pytest.approx(1.0, abs=0.15)
    assert np.all(np.diff(error[daily]) > 0)
    # The normal is estimated from twenty years, the spread from all hours of a season: 3 % play.
    assert np.all(error <= 1.03 * spread)
    assert error[daily[-1]] == pytest.approx(spread[daily[-1]], rel=0.06)


def test_errors_of_rain_grow_with_lead_time_up_to_the_climates_spread(pooled):
    error, spread = rms(pooled.rain - pooled.rain_came), pooled.rain_came.std(axis=0)

    for step in (3, 6):
        columns = np.flatnonzero((step == STEPS_H) & (LEADS_H % 24 == 0))
        # Neighbouring days of the late leads differ by less than the sampling error of 2 %.
        assert np.all(np.diff(error[columns] / spread[columns]) > -0.02)
        assert np.all(error[columns] < 1.02 * spread[columns])
    assert error[0] < 0.6 * spread[0]
    assert error[-1] > 0.97 * spread[-1]


def test_forecasts_have_no_bias(pooled):
    """Twelve years: a mean error of ten days ahead has a standard error of about 0.15 °C (spells of weeks)."""
    temp, rain = (pooled.temp - pooled.temp_came).mean(axis=0), pooled.rain.mean() / pooled.rain_came.mean()
    winter = np.isin(pooled.month, (12, 1, 2))

    assert np.abs(temp[LEADS_H <= 24]).max() < 0.1
    assert np.abs(temp).max() < 0.5
    assert rain == pytest.approx(1, abs=0.08)
    assert np.abs((pooled.temp - pooled.temp_came)[winter][:, LEADS_H <= 48].mean(axis=0)).max() < 0.35


def test_given_a_forecast_the_weather_lies_about_it(pooled):
    """The slope of what came on what was forecast is 1: forecasts are neither too bold nor too timid."""
    for lead, wide in ((24, 0.05), (72, 0.1), (120, 0.15)):
        column = column_of(lead)
        forecast = (pooled.temp - pooled.normal)[:, column]
        assert np.polyfit(forecast, (pooled.temp_came - pooled.normal)[:, column], 1)[0] == pytest.approx(1, abs=wide)
        assert np.polyfit(pooled.rain[:, column], pooled.rain_came[:, column], 1)[0] == pytest.approx(1, abs=0.3)


def test_rain_is_dry_at_times_and_skewed_soon_and_a_little_of_everything_later(pooled):
    soon, late = pooled.rain[:, 0], pooled.rain[:, -1]

    assert (soon < 0.05).mean() == pytest.approx((pooled.rain_came[:, 0] < 0.05).mean(), abs=0.06)
    assert soon.max() > 20 * soon.mean()
    assert late.max() < 4 * late.mean()
    assert pooled.rain.min() == 0


def test_errors_hang_together_in_valid_time_and_from_issue_to_issue(pooled):
    error = (pooled.temp - pooled.temp_came) / rms(pooled.temp - pooled.temp_came)
    day_two, day_three = (column_of(lead) for lead in (48, 72))

    assert np.corrcoef(error[:, day_two], error[:, day_two + 1])[0, 1] > 0.7
    # The same valid time, seen a day later.
    assert 0.4 < np.corrcoef(error[:-1, day_three], error[1:, day_two])[0, 1] < 0.9
    assert abs(np.corrcoef(error[:-30, 0], error[30:, 0])[0, 1]) < 0.1


def test_forecasts_are_the_same_however_they_are_asked_for():
    world, days = world_of(2), 12
    whole = list(Forecasts(world).issued(START, START + timedelta(days=days)))
    again = Forecasts(world_of(2))
    hours = [h * timedelta(hours=1) for h in range(0, 24 * days + 1, 8)]

    backwards = [list(again.issued(START + a, START + b)) for a, b in reversed(list(pairwise(hours)))]

    assert [record for part in reversed(backwards) for record in part] == whole


def test_a_forecast_holds_nothing_of_weather_beyond_its_last_valid_time():
    """Weather that differs from some day on changes only forecasts that reach into it."""
    world, after = world_of(3), date(2021, 8, 1)
    object.__setattr__(other := world_of(3), "weather", world.weather.continued(after, 5))

    one, two = (list(Forecasts(w).issued(START, START + timedelta(days=60))) for w in (world, other))

    end = datetime(2021, 8, 2, tzinfo=UTC)
    differs = np.array([a != b for a, b in zip(one, two, strict=True)])
    reaches = np.array([record.valid_at > end for record in one])
    assert not differs[~reaches].any()
    assert differs[reaches].mean() > 0.8


def test_changed_weather_is_forecast_too_and_measured_weather_up_to_its_end(tmp_path):
    rows = ["ends_at,air_temp_c,rain_mm,cloud_cover"]
    begin = datetime(2022, 1, 1, tzinfo=UTC)
    rows += [f"{(begin + timedelta(hours=h + 1)).isoformat()},15.0,0,0.5" for h in range(24 * 60)]
    path = tmp_path / "warm.csv"
    path.write_text("\n".join(rows))
    world = world_of(4, start=begin, weather_file=path)

    records = list(Forecasts(world).issued(begin, begin + timedelta(days=59)))

    assert max(r.valid_at for r in records) == begin + timedelta(days=60)
    soon = [r.air_temp_c for r in records if r.valid_at - r.issued_at <= timedelta(days=1)]
    late = [r.air_temp_c for r in records if r.valid_at - r.issued_at > timedelta(days=9)]
    assert np.mean(soon) == pytest.approx(15, abs=1.5)
    assert np.mean(late) < 8  # what is usual in January and February


def test_registers_know_a_forecast_some_minutes_after_its_issue(small_world):
    registers, issued = Registers(truth_of(small_world)), datetime(2024, 12, 24, tzinfo=UTC)

    assert list(registers.forecasts(issued, issued + timedelta(minutes=24))) == []
    records = list(registers.forecasts(issued + timedelta(minutes=24), issued + timedelta(hours=20)))
    assert len(records) == len(LEADS_H)
    assert {r.issued_at for r in records} == {issued}
