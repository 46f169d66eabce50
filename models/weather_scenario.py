"""Weather that might come, as changes of the weather features of a stored row: weather alone, and all of it together.

A scenario is a series of days (lowest, mean, highest temperature, rain). Its features follow from the series by the
rules by which they follow from measured weather (`models.features.weather`); what of a window lies before the scenario
is what the row says of it. So freeze–thaw days, frost index, rain, antecedent precipitation and thaw index fit each
other, as single numbers chosen by hand would not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURE_SET, FeatureSet
from models.features.weather import API_RETENTION, freeze_thaw_days, rain_then_frost_days, thaw_state
from models.inputs import Floats

SCENARIO_DAYS: tuple[int, ...] = (7, 28)
"""Lengths that a scenario may have [d]: those of the two shorter horizons."""

_LONGEST_THAW_DAYS, _LARGEST_THAW_CD = 120.0, 400.0  # caps of `thaw_state`
_MEAN_DAYS = 14
_WINTER_MONTHS = frozenset({11, 12, 1, 2, 3})


class WeatherScenario(StrEnum):
    """What the next days bring."""

    AS_FORECAST = "as_forecast"  # the score as it stands
    HARD_FROST = "hard_frost"
    FROST_THAW = "frost_thaw"
    LONG_RAIN = "long_rain"
    MILD = "mild"


@dataclass(frozen=True, slots=True)
class ScenarioWeather:
    """Days of a scenario, oldest first, each array of shape (n_days,). [°C], rain [mm]"""

    minimum_c: Floats
    mean_c: Floats
    maximum_c: Floats
    rain_mm: Floats


_Day = tuple[float, float, float, float]  # lowest, mean, highest [°C], rain [mm]
_FROZEN: _Day = (-8.0, -4.0, -1.0, 0.0)
_CROSSING: _Day = (-5.0, -1.0, 2.0, 2.0)  # thin snow or drizzle, above zero at noon
_THAWING: _Day = (1.0, 4.0, 7.0, 5.0)
_CYCLES: Mapping[WeatherScenario, Sequence[_Day]] = {
    WeatherScenario.HARD_FROST: (_FROZEN, _FROZEN, _CROSSING),
    WeatherScenario.FROST_THAW: (_CROSSING,),
    WeatherScenario.LONG_RAIN: ((5.0, 8.0, 11.0, 8.0),),
    WeatherScenario.MILD: ((5.0, 8.0, 11.0, 1.0),),
}
_LAST_DAYS: Mapping[WeatherScenario, Sequence[_Day]] = {WeatherScenario.FROST_THAW: (_THAWING, _THAWING)}
"""How a scenario ends; before that its cycle repeats."""


def scenario_weather(scenario: WeatherScenario, days: int) -> ScenarioWeather:
    """The days of a scenario. Raises ValueError for `AS_FORECAST`, which has none of its own, and for other lengths.

    Examples
    --------
    >>> scenario_weather(WeatherScenario.FROST_THAW, 7).mean_c.tolist()
    [-1.0, -1.0, -1.0, -1.0, -1.0, 4.0, 4.0]
    """
    if scenario not in _CYCLES:
        raise ValueError(f"Got the scenario {scenario}, expected one of {', '.join(_CYCLES)}.")
    if days not in SCENARIO_DAYS:
        raise ValueError(f"Got {days} days, expected {' or '.join(map(str, SCENARIO_DAYS))}.")
    cycle, last = _CYCLES[scenario], _LAST_DAYS.get(scenario, ())
    table = [cycle[day % len(cycle)] for day in range(days - len(last))] + list(last)
    return ScenarioWeather(*np.array(table).T)


_WINDOWS: Mapping[str, tuple[tuple[int, str], ...]] = {
    "freeze_thaw": (
        (7, "freeze_thaw_7d"), (14, "freeze_thaw_14d"), (30, "freeze_thaw_30d"), (90, "freeze_thaw_90d"),
    ),
    "frost_index": ((30, "frost_index_30d_cd"), (180, "frost_index_180d_cd")),
    "rain": ((3, "rain_3d_mm"), (7, "rain_7d_mm"), (30, "rain_30d_mm")),
    "rain_then_frost": ((30, "rain_then_frost_30d"),),
}  # fmt: skip
_SURFACE_WINDOWS = ((7, "surface_freeze_thaw_7d"), (30, "surface_freeze_thaw_30d"), (90, "surface_freeze_thaw_90d"))
"""Measured by sensors: they follow the air's cycles where they are known, and stay unknown elsewhere."""
_STATES = (
    "antecedent_precipitation_mm",
    "thaw_index_cd",
    "days_since_thaw",
    "mean_temp_14d_c",
    "surface_minimum_7d_c",
    "forecast_freeze_thaw_7d",
    "forecast_mean_temp_7d_c",
    "forecast_rain_7d_mm",
)
_SEASON = ("season_sin", "season_cos")
_GROUPS = ("weather", "sensors")


def changed_by_weather() -> tuple[str, ...]:
    """Names of the features that a scenario sets."""
    windows = (*_WINDOWS.values(), _SURFACE_WINDOWS)
    return tuple(name for of_quantity in windows for _, name in of_quantity) + _STATES


def left_by_weather(feature_set: FeatureSet = FEATURE_SET) -> tuple[str, ...]:
    """Names of features of weather and sensors that a scenario leaves as they are; the season is meant to stay."""
    set_ = {*changed_by_weather(), *_SEASON}
    return tuple(f.name for f in feature_set.features if f.group in _GROUPS and f.name not in set_)


def apply_weather(
    features: NDArray[np.float32], scenario: WeatherScenario, days: int, feature_set: FeatureSet = FEATURE_SET
) -> NDArray[np.float32]:
    """The rows as they would be at the end of `days` days of this weather, if nothing else changed.

    Parameters
    ----------
    features : ndarray, shape (n, f)
        Stored feature rows; NaN unknown. What a window keeps from before the scenario is spread evenly between the
        windows that the row holds (a 30-day sum that loses its oldest 7 days loses them at the rate of days 8 to 30).
    scenario, days
        Which weather, and for how long. [d] `AS_FORECAST` gives an unchanged copy.
    feature_set : FeatureSet
        Order of the columns.

    Returns
    -------
    ndarray, shape (n, f)
        A window that the scenario fills entirely is known even if it was not; what only sensors tell stays unknown.
    """
    rows = features.copy()
    if scenario is WeatherScenario.AS_FORECAST or not rows.shape[0]:
        return rows
    weather = scenario_weather(scenario, days)

    def column(name: str) -> Floats:
        return features[:, feature_set.index(name)].astype(np.float64)

    def where_known(name: str, values: Floats | float) -> Floats:
        return np.where(np.isnan(column(name)), np.nan, values)

    def put(name: str, values: Floats | float) -> None:
        rows[:, feature_set.index(name)] = values

    daily = {
        "freeze_thaw": np.broadcast_to(freeze_thaw_days(weather.minimum_c, weather.maximum_c), (len(rows), days)),
        "frost_index": np.broadcast_to(np.maximum(0.0, -weather.mean_c), (len(rows), days)),
        "rain": np.broadcast_to(weather.rain_mm, (len(rows), days)),
        "rain_then_frost": _rain_then_frost(weather, column("rain_3d_mm") / 3),
    }
    for quantity, windows in _WINDOWS.items():
        known = [(length, column(name)) for length, name in windows]
        for length, name in windows:
            put(name, _window(known, daily[quantity], length))
    surface = [(length, column(name)) for length, name in _SURFACE_WINDOWS]
    for length, name in _SURFACE_WINDOWS:
        put(name, where_known(name, _window(surface, daily["freeze_thaw"], length)))
    fading = API_RETENTION ** np.arange(days - 1, -1, -1.0)
    index = API_RETENTION**days * column("antecedent_precipitation_mm") + float(fading @ weather.rain_mm)
    put("antecedent_precipitation_mm", index)
    thaw_index, thaw_days = _thaw(weather.mean_c, column("thaw_index_cd"), column("days_since_thaw"))
    put("thaw_index_cd", thaw_index)
    put("days_since_thaw", thaw_days)
    past = max(0, _MEAN_DAYS - days)
    kept = past * column("mean_temp_14d_c") if past else 0.0
    put("mean_temp_14d_c", (kept + weather.mean_c[-_MEAN_DAYS:].sum()) / _MEAN_DAYS)
    put("surface_minimum_7d_c", where_known("surface_minimum_7d_c", weather.minimum_c[-7:].min()))
    # Forecasts then say that it goes on as in its last seven days.
    put("forecast_freeze_thaw_7d", daily["freeze_thaw"][:, -7:].sum(axis=1))
    put("forecast_mean_temp_7d_c", weather.mean_c[-7:].mean())
    put("forecast_rain_7d_mm", weather.rain_mm[-7:].sum())
    return rows


def _window(known: Sequence[tuple[int, Floats]], daily: Floats, length: int) -> Floats:
    """Sum over the last `length` days, shape (n,), when the last days are those of `daily` (n, n_days)."""
    days = daily.shape[1]
    coming = daily[:, max(0, days - length) :].sum(axis=1)
    return np.asarray(coming + kept_sum(known, length - days)) if length > days else np.asarray(coming)


def kept_sum(windows: Sequence[tuple[int, Floats]], days: int) -> Floats:
    """Sum over the last `days` days from the sums over nested windows; NaN where those around it are unknown.

    Parameters
    ----------
    windows : sequence of (length, ndarray of shape (n,))
        Length of a window [d], rising, and its sum. Between two windows the sum grows evenly with the days.
    days : int
        Within the longest window. [d]

    Examples
    --------
    >>> kept_sum([(7, np.array([7.0])), (30, np.array([30.0]))], 23)
    array([23.])
    """
    before, total_before = 0, np.zeros_like(windows[0][1])
    for length, total in windows:
        if days <= length:
            grown = np.maximum(total - total_before, 0.0) * (days - before) / (length - before)
            return np.asarray(total_before + grown)
        before, total_before = length, total
    raise ValueError(f"Got {days} days, expected at most {before}.")


def _rain_then_frost(weather: ScenarioWeather, rain_before_mm: Floats) -> Floats:
    """Days of the scenario that freeze on a wet road, shape (n, n_days); the two days before had this rain each."""
    days = np.empty((rain_before_mm.size, weather.rain_mm.size))
    before = np.nan_to_num(rain_before_mm)
    minimum = np.concatenate([[1.0, 1.0], weather.minimum_c])
    for rain in np.unique(before):  # weather is shared: one or two values for a whole city
        days[before == rain] = rain_then_frost_days(np.concatenate([[rain, rain], weather.rain_mm]), minimum)[2:]
    return days


def _thaw(mean_c: Floats, index_cd: Floats, days: Floats) -> tuple[Floats, Floats]:
    if (mean_c < 0).any():
        index, since = thaw_state(mean_c)
        return np.full(index_cd.shape, index), np.full(days.shape, since)
    index_now = np.minimum(index_cd + np.maximum(mean_c, 0.0).sum(), _LARGEST_THAW_CD)
    return index_now, np.minimum(days + mean_c.size, _LONGEST_THAW_DAYS)


def out_of_season(
    features: NDArray[np.float32], scenario: WeatherScenario, feature_set: FeatureSet = FEATURE_SET
) -> bool:
    """Whether the scenario brings frost at a time of year (season features of the first row) that knows none."""
    if scenario not in (WeatherScenario.HARD_FROST, WeatherScenario.FROST_THAW) or not features.shape[0]:
        return False
    sine, cosine = (float(features[0, feature_set.index(name)]) for name in _SEASON)
    day = round(np.arctan2(sine, cosine) / (2 * np.pi) % 1 * 365.25) % 365
    month = (np.datetime64("2025-01-01") + day).astype("datetime64[M]").astype(int) % 12 + 1
    return int(month) not in _WINTER_MONTHS
