"""Weather forecasts as a service would issue them: a blurred view of the weather that will come, with known skill.

A forecast of air temperature for lead time L is normal + ρ²·A + ρ·√(1 - ρ²)·s·ξ, where A is the departure of the
weather that will come from the normal, s its usual spread, and ξ standard normal noise of the forecast. That is the
mean of what can be expected given the forecast: without bias, with an error of s·√(1 - ρ²), which begins small, grows
with L, and never exceeds s; at ten days little but the normal is left. ρ falls with L as in `temp_blur` and
`rain_blur`.

Rain goes the same way through its distribution: the step's amount becomes a normal number by its climatological rank
(dry steps by chance among their ranks), is blurred, and the forecast is the mean amount that can be expected then:
small amounts rather than none far ahead, as an ensemble's mean has.

So a forecast holds of the future only what its blur lets through. Its noise has streams of its own: ξ is correlated
over 18 hours of valid time and from issue to issue (0.6 from day to day, for the same valid time), as errors of
forecasts are. What is normal is taken from twenty years of the climate before the world began, or from the file of
measured weather.
"""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtri

from roadtwin.records.schema import WeatherForecast
from simulators.instants import HOUR_US, as_time
from simulators.weather.climatology import VIEWS, Climatology, climatology_of
from simulators.weather.weather import STATION, WeatherSource, weather_year, weather_year_of
from simulators.world import World

ISSUE_EVERY_H = 24
"""Issued at 00:00 UTC."""
KNOWN_AFTER = timedelta(minutes=25)
"""Time from issue to the register."""
LEADS_H = np.concatenate([np.arange(3, 73, 3), np.arange(78, 241, 6)])
"""Lead times: three-hourly to three days, six-hourly to ten; 52 a day. [h]"""
STEPS_H = np.diff(LEADS_H, prepend=0)
"""Length of the step that ends at each lead time. [h]"""
_GRID_H = 3
_VALID_MEMORY_H, _VALID_REACH = 18.0, 40
_ISSUE_MEMORY, _ISSUE_REACH = 0.6, 8

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


def temp_blur(lead_h: NDArray[np.integer]) -> Floats:
    """1 - ρ² of temperature: 1 °C (1 σ) at one day, 2.3 °C at four, all but the climate's spread at ten. 0 to 1."""
    result: Floats = 1 - 0.99 * np.exp(-((lead_h / 24 / 5.1) ** 1.65))
    return result


def rain_blur(lead_h: NDArray[np.integer]) -> Floats:
    """1 - ρ² of rain, which is forgotten sooner. 0 to 1."""
    result: Floats = 1 - 0.92 * np.exp(-((lead_h / 24 / 3.0) ** 1.2))
    return result


class Forecasts:
    """Forecasts for a world's weather station."""

    def __init__(self, world: World) -> None:
        self._source, self._streams = world.weather, world.streams
        self._first_year = weather_year_of(world.epoch)

    @cached_property
    def climatology(self) -> Climatology:
        """What the service takes for normal."""
        return climatology_of(self._source, self._first_year)

    @cached_property
    def _expected_rain(self) -> list[Floats]:
        """For each lead time: the amount to be expected by the view of it."""
        blurs = zip(STEPS_H.tolist(), rain_blur(LEADS_H).tolist(), strict=True)
        return [self.climatology.expected_rain(step, blur) for step, blur in blurs]

    def issued(self, start: datetime, end: datetime) -> Iterator[WeatherForecast]:
        """Forecasts issued after `start` and up to `end` (aware), in the order of issue and valid time.

        `rain_mm` is the mean of the hours since the valid time before. Measured weather is not forecast beyond its end.
        """
        first, last = (int(at.timestamp() // 3600) // ISSUE_EVERY_H for at in (start, end))
        issues = np.arange(first + 1, last + 1, dtype=np.int64)
        if not len(issues):
            return
        temp, rain, known = self._values(issues)
        for row, issue in enumerate(issues.tolist()):
            issued_us = issue * ISSUE_EVERY_H * HOUR_US
            issued_at = as_time(issued_us)
            for lead, t, r, is_known in zip(
                LEADS_H.tolist(), temp[row].tolist(), rain[row].tolist(), known[row].tolist(), strict=True
            ):
                if is_known:
                    yield WeatherForecast(
                        record_id=self._streams.uuid("weather_forecast", issued_us, lead),
                        observed_at=issued_at,
                        recorded_at=issued_at + KNOWN_AFTER,
                        station=STATION,
                        issued_at=issued_at,
                        valid_at=as_time(issued_us + lead * HOUR_US),
                        air_temp_c=t,
                        rain_mm=r,
                    )

    def _values(self, issues: Ints) -> tuple[Floats, Floats, NDArray[np.bool_]]:
        """Temperature [°C], rain [mm in an hour] and whether there is a forecast, shape (issues, leads)."""
        valid = issues[:, None] * ISSUE_EVERY_H + LEADS_H  # hours since 1970, at their end
        truth = _Truth(self._source, int(valid[0, 0]), int(valid[-1, -1]))
        known = valid <= truth.end_hour
        valid = np.minimum(valid, truth.end_hour)
        normal, spread = self.climatology.temp_c(valid - 1), self.climatology.spread_c(valid - 1)
        blur = temp_blur(LEADS_H)
        seen = (1 - blur) * (truth.air_temp_c(valid) - normal)
        noise = self._noise("forecast/temperature", issues)
        temp = normal + seen + np.sqrt((1 - blur) * blur) * spread * noise
        amount = truth.rain_mm(valid, np.broadcast_to(STEPS_H, valid.shape))
        chance = self._streams.uniform("forecast/dry-rank", valid, np.broadcast_to(STEPS_H, valid.shape))
        blur = rain_blur(LEADS_H)
        noise = self._noise("forecast/rain", issues)
        rain = np.empty(valid.shape)
        for step in np.unique(STEPS_H).tolist():
            columns = np.flatnonzero(step == STEPS_H)
            begin = valid[:, columns] - 1
            rank = ndtri(self.climatology.rain_rank(amount[:, columns], begin, step, chance[:, columns]))
            view = np.sqrt(1 - blur[columns]) * rank + np.sqrt(blur[columns]) * noise[:, columns]
            for place, column in enumerate(columns.tolist()):
                rain[:, column] = np.interp(view[:, place], VIEWS, self._expected_rain[column])
            rain[:, columns] *= self.climatology.mean_rain_mm(begin, step) / step
        return temp.round(1), rain.round(2), known

    def _noise(self, name: str, issues: Ints) -> Floats:
        """ξ: standard normal, shape (issues, leads)."""
        fresh = np.arange(issues[0] - _ISSUE_REACH + 1, issues[-1] + 1)
        per_issue = ISSUE_EVERY_H // _GRID_H
        count = int(LEADS_H[-1]) // _GRID_H + per_issue * (_ISSUE_REACH - 1)
        step = np.arange(-_VALID_REACH + 1, count + 1)  # of the grid of valid times, from each fresh noise's issue on
        raw = self._streams.normal(name, fresh[:, None], fresh[:, None] * per_issue + step)
        kernel = np.exp(-np.arange(_VALID_REACH) * _GRID_H / _VALID_MEMORY_H)
        kernel /= np.sqrt(np.sum(kernel**2))
        windows = np.lib.stride_tricks.sliding_window_view(raw, _VALID_REACH, axis=1)
        smooth = windows @ kernel[::-1]  # (fresh, count + 1): column c belongs to step c
        weights = _ISSUE_MEMORY ** np.arange(_ISSUE_REACH)
        weights /= np.sqrt(np.sum(weights**2))
        total = np.zeros((len(issues), len(LEADS_H)))
        for age, weight in enumerate(weights.tolist()):
            rows = slice(_ISSUE_REACH - 1 - age, len(fresh) - age)
            total += weight * smooth[rows][:, LEADS_H // _GRID_H + age * per_issue]
        return total


class _Truth:
    """The weather that comes, by hours since 1970 (at their end)."""

    def __init__(self, source: WeatherSource, first: int, last: int) -> None:
        end = datetime.fromtimestamp(last * 3600, UTC)
        if source.file is not None and not source.branches:
            end = min(end, source.file.end)
        begin = datetime.fromtimestamp(first * 3600, UTC) - timedelta(hours=int(STEPS_H.max()))
        years = [weather_year(source, y) for y in range(weather_year_of(begin.date()), weather_year_of(end.date()) + 1)]
        self.end_hour = int(end.timestamp()) // 3600
        self._begin = int(years[0].ends_at[0].astype("datetime64[h]").astype(np.int64))
        self._temp = np.concatenate([year.air_temp_c for year in years])
        self._rain_until = np.concatenate([[0.0], np.cumsum(np.concatenate([year.rain_mm for year in years]))])

    def air_temp_c(self, hour: Ints) -> Floats:
        """Mean of the hours that end at `hour`."""
        result: Floats = self._temp[hour - self._begin]
        return result

    def rain_mm(self, hour: Ints, step: Ints) -> Floats:
        """Sum of the `step` hours that end at `hour`."""
        until = hour - self._begin + 1
        result: Floats = np.maximum(self._rain_until[until] - self._rain_until[until - step], 0.0).round(4)
        return result
