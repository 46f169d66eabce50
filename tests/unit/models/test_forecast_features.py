"""Features of the weather to come: the newest forecast that was known, and nothing of what came."""

from dataclasses import replace
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.features.forecast import ForecastFeatures
from models.inputs import WeatherForecasts

BERLIN = ZoneInfo("Europe/Berlin")
DAY, HOUR = np.timedelta64(1, "D"), np.timedelta64(1, "h")
ISSUED = np.datetime64("2026-01-10T00:00", "us")
AS_OF = np.datetime64("2026-01-10T04:00", "us")


def issue(issued_at: np.datetime64, *, temp_c: float, swing_c: float = 5.0, rain_mm_per_h: float = 0.1, days: int = 10):
    """Six-hourly values from an issue on; the day is coldest at 06 and warmest at 18 UTC."""
    valid = issued_at + np.arange(6, 24 * days + 1, 6) * HOUR
    hour = valid.astype("datetime64[h]").astype(int) % 24
    return WeatherForecasts(
        recorded_at=np.full(valid.size, issued_at + HOUR),
        issued_at=np.full(valid.size, issued_at),
        valid_at=valid,
        station=np.zeros(valid.size, np.int32),
        air_temp_c=temp_c + swing_c * np.where(hour == 6, -1, np.where(hour == 18, 1, 0)),
        rain_mm=np.full(valid.size, rain_mm_per_h),
    )


def join(*parts: WeatherForecasts) -> WeatherForecasts:
    names = ("recorded_at", "issued_at", "valid_at", "station", "air_temp_c", "rain_mm")
    return WeatherForecasts(**{name: np.concatenate([getattr(part, name) for part in parts]) for name in names})


def test_a_week_of_frost_and_thaw_is_counted_and_summed():
    found = ForecastFeatures(issue(ISSUED, temp_c=0.0), BERLIN).at(AS_OF)

    # seven days from -5 to +5 °C: nearly certain on the first, less so as the error of the forecast grows
    assert 6 < found["forecast_freeze_thaw_7d"] < 7
    assert found["forecast_mean_temp_7d_c"] == pytest.approx(0.0, abs=0.3)
    assert found["forecast_rain_7d_mm"] == pytest.approx(7 * 24 * 0.1, rel=0.05)


def test_a_warm_week_has_no_frost():
    assert ForecastFeatures(issue(ISSUED, temp_c=15.0), BERLIN).at(AS_OF)["forecast_freeze_thaw_7d"] < 0.01


def test_the_newest_issue_that_had_arrived_is_taken_and_none_that_comes_later():
    yesterday, today = issue(ISSUED - DAY, temp_c=15.0), issue(ISSUED, temp_c=-2.0)
    late = replace(today, recorded_at=np.full(len(today), AS_OF + HOUR))

    assert ForecastFeatures(join(yesterday, today), BERLIN).at(AS_OF)["forecast_mean_temp_7d_c"] < 0
    assert ForecastFeatures(join(yesterday, late), BERLIN).at(AS_OF)["forecast_mean_temp_7d_c"] > 10
    with_future = join(yesterday, today, issue(ISSUED + DAY, temp_c=40.0))
    assert ForecastFeatures(with_future, BERLIN).at(AS_OF) == ForecastFeatures(join(yesterday, today), BERLIN).at(AS_OF)


@pytest.mark.parametrize(
    "forecasts",
    [WeatherForecasts.empty(), issue(ISSUED - 2 * DAY, temp_c=0.0), issue(ISSUED, temp_c=0.0, days=4)],
    ids=["none", "stale", "too short"],
)
def test_without_a_usable_forecast_everything_is_unknown(forecasts):
    assert all(np.isnan(value) for value in ForecastFeatures(forecasts, BERLIN).at(AS_OF).values())
