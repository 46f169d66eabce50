"""A usual year of a city's weather, as the features of the risk model see it: what the prior's level is a mean over.

The rate that is documented of a city's roads is a mean over a year (`models.prior`). The weather of a year is taken
from the city's own records, one date a week of up to ten years, as they are known now. A calendar month of
which fewer than four dates are known, as in a city that began to record in winter, is filled up by its usual weather in
the lowlands of western Germany [1]_, so that a city in its first January is not taken for one in which it is always
January. A city without any weather has no effects of it either: of its year, only the season is known.

References
----------
.. [1] Deutscher Wetterdienst, agrometeorological reference station of North Rhine-Westphalia, means of 1971 to 2000:
   9.9 °C, 852 mm, 54 days with frost of which 12 do not thaw.
"""

from dataclasses import dataclass, replace
from datetime import time

import numpy as np
from numpy.typing import NDArray

from models.dataset import days, make_cuts
from models.days import local_day
from models.features import FEATURE_SET
from models.features.build import FeatureBuilder, superseded_at
from models.features.weather import API_DAYS, API_RETENTION, season
from models.inputs import (
    CityInputs,
    Floats,
    Inspections,
    Instant,
    OpenSpells,
    Potholes,
    Repairs,
    SegmentDayTable,
    SensorDays,
    Surveys,
    TrenchPermits,
)

USUAL_TEMP_C = (2.3, 2.4, 5.8, 8.7, 13.4, 16.0, 18.3, 17.8, 14.1, 10.4, 6.0, 3.7)
"""Mean air temperature of January to December [1]_. [°C]"""
USUAL_RAIN_MM = (78.0, 50.0, 70.0, 53.0, 65.0, 87.0, 81.0, 73.0, 72.0, 63.0, 76.0, 84.0)
"""Precipitation of each month [1]_. [mm]"""
USUAL_FREEZE_THAW_DAYS = (8.1, 9.9, 6.7, 2.6, 0.0, 0.0, 0.0, 0.0, 0.0, 1.2, 5.1, 8.2)
"""Days of each month with a minimum below 0 °C that are not below it throughout [1]_."""
STEP_DAYS, MOST_YEARS = 7, 10
MONTH_DATES = 4
"""Known dates, in all years together, at which a calendar month needs no usual weather beside its own."""

_TELLING = [FEATURE_SET.index(name) for name in ("mean_temp_14d_c", "antecedent_precipitation_mm")]
_FORECAST = {
    "forecast_freeze_thaw_7d": "freeze_thaw_7d",
    "forecast_mean_temp_7d_c": "mean_temp_14d_c",
    "forecast_rain_7d_mm": "rain_7d_mm",
}


@dataclass(frozen=True, slots=True)
class UsualYear:
    """Dates of a year: `features` (d, f), NaN but for weather and season, and what each weighs, `weight` (d,), sum 1.

    `recorded_share`: how much of the year is the city's own records, 0 to 1.
    """

    features: NDArray[np.float32]
    weight: Floats
    recorded_share: float


def weather_alone(inputs: CityInputs, until: Instant) -> CityInputs:
    """The city as one segment with nothing but its weather, known as soon as it was, and the forecasts of it.

    What the weather of a past date was is asked here, not when it was known: records of years before may have come in
    together. Small: the rest of a large city can go.
    """
    weather = inputs.weather
    keys = (weather.station.astype(np.int64), weather.observed_at.astype(np.int64))
    holds = (weather.recorded_at <= until) & (superseded_at(keys, weather.recorded_at) > until)
    kept = weather.take(holds)
    return CityInputs(
        segments=inputs.segments.take(np.arange(min(1, len(inputs.segments)))),
        weather=replace(kept, recorded_at=kept.observed_at),
        forecasts=inputs.forecasts.recorded_by(until),
        potholes=Potholes.empty(),
        open_spells=OpenSpells.empty(),
        segment_days=SegmentDayTable.empty(),
        sensor_days=SensorDays.empty(),
        inspections=Inspections.empty(),
        repairs=Repairs.empty(),
        trench_permits=TrenchPermits.empty(),
        surveys=Surveys.empty(),
        timezone=inputs.timezone,
    )


def usual_year(inputs: CityInputs, until: Instant, *, at: time) -> UsualYear:
    """The usual year of a city as `weather_alone` gives it.

    Parameters
    ----------
    inputs : CityInputs
        A segment and the weather.
    until : datetime64[us]
        Now.
    at : time
        Local time of day of the dates: that of scoring.

    Notes
    -----
    Where no forecast was kept of a date, the weather up to it stands for the one that was forecast: over a year they
    are distributed alike. A city that gets no forecasts has no effect of any.
    """
    own, own_month = _own_dates(inputs, until, at)
    known = np.bincount(own_month, minlength=12)
    missing = np.maximum(0, MONTH_DATES - known) if own_month.size else np.full(12, MONTH_DATES)
    weather, forecast = own_month.size > 0, len(inputs.forecasts) > 0
    usual = np.stack([usual_date(month, weather=weather, forecast=forecast) for month in range(12)])
    weight = np.concatenate([1 / (known + missing)[own_month], missing / (known + missing)]) / 12
    return UsualYear(np.concatenate([own, usual]), weight, float(weight[: own_month.size].sum()))


def _own_dates(inputs: CityInputs, until: Instant, at: time) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Features of the dates whose weather is known, and the month of each, 0 to 11."""
    weather, columns = inputs.weather, FEATURE_SET.columns(["weather"])
    dates = np.zeros(0, "datetime64[us]")
    if len(weather):
        first = max(weather.observed_at.min(), until - days(365.25 * MOST_YEARS))
        dates = make_cuts(first, until, step_days=STEP_DAYS, at=at, zone=inputs.timezone)
    builder = FeatureBuilder(inputs)
    features = np.full((dates.size, len(FEATURE_SET.features)), np.nan, np.float32)
    for row, date in enumerate(dates):
        features[row, columns] = builder.at(date)[0, columns]
    told = np.isfinite(features[:, _TELLING]).any(axis=1)
    features, dates = features[told], dates[told]
    if len(inputs.forecasts):
        for name, stands_for in _FORECAST.items():
            column = features[:, FEATURE_SET.index(name)]  # a view
            unknown = np.isnan(column)
            column[unknown] = features[unknown, FEATURE_SET.index(stands_for)]
    return features, local_day(dates, inputs.timezone).astype("datetime64[M]").astype(np.int64) % 12


def usual_date(month: int, *, weather: bool, forecast: bool) -> NDArray[np.float32]:
    """Features of the middle of a month, shape (f,); what no monthly mean tells stays unknown."""
    values: dict[str, float] = {}
    values["season_sin"], values["season_cos"] = season(np.datetime64(f"2001-{month + 1:02}-15"))
    if weather:
        daily_mm, cycles = USUAL_RAIN_MM[month] * 12 / 365.25, USUAL_FREEZE_THAW_DAYS[month] * 12 / 365.25
        lasting = (1 - API_RETENTION**API_DAYS) / (1 - API_RETENTION)
        values |= {f"freeze_thaw_{n}d": n * cycles for n in (7, 14, 30)}
        values |= {f"rain_{n}d_mm": n * daily_mm for n in (3, 7, 30)}
        values |= {"mean_temp_14d_c": USUAL_TEMP_C[month], "antecedent_precipitation_mm": lasting * daily_mm}
        if forecast:
            values |= {name: values[stands_for] for name, stands_for in _FORECAST.items()}
    features = np.full(len(FEATURE_SET.features), np.nan, np.float32)
    for name, value in values.items():
        features[FEATURE_SET.index(name)] = value
    return features
