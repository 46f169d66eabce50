"""Risk from dated events alone: where a segment had events before, how likely is one in the days after a cut?

For cities that have a file of complaints or repairs by segment and day and nothing else: no twin, no cameras. Windows
that begin every four weeks before the cut and end at it at the latest teach an additive count model
(`models.count_regression`) what a segment's own record, its street and its surroundings say; how busy the city will
be follows from its last years, with season and weather as far as they have helped before. Everything is learned from
days before the cut.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.count_regression import CountRegression
from models.event_history import DAYS_PER_YEAR, EventHistory
from models.inputs import Floats

STEP_DAYS = 28
LEAST_HISTORY_DAYS = 120
"""A window begins this long after the first event at the earliest: before that a record says little."""
MOST_ROWS = 600_000
_HALF_LIFE_DAYS, _SHARE_HALF_LIFE_DAYS = 180.0, 365.0
_GROWTH_PRECISION = 0.1
_SEASON_PRECISION, _WEATHER_PRECISION = 12.0, 12.0
"""In steps of four weeks: the wave needs about as many as a year has before it is believed by half."""
WEATHER_DAYS = 91
LEAST_STEPS_FOR_WEATHER = 12


class TooShortHistoryError(ValueError):
    """There are too few days with events before the cut to learn from."""


@dataclass(frozen=True, slots=True)
class WeatherDays:
    """Weather by day: `values` (n, k), NaN unknown, of the days `day` (n,) in rising order."""

    day: NDArray[np.int64]
    values: Floats
    names: tuple[str, ...]

    def before(self, cut: int) -> Floats:
        """Mean of the four weeks before a day, shape (k,); NaN where nothing is known."""
        rows = self.values[(self.day >= cut - STEP_DAYS) & (self.day < cut)]
        known = np.isfinite(rows)
        with np.errstate(invalid="ignore"):
            return np.asarray(np.where(known, rows, 0.0).sum(axis=0) / known.sum(axis=0))


@dataclass(frozen=True, slots=True)
class Recurrence:
    """What the model says for one window: probabilities (k,) of the known segments, and what it rests on."""

    segment_ids: tuple[str, ...]
    probability: Floats
    events_so_far: NDArray[np.int64]
    features: tuple[str, ...]
    windows: int
    uses_weather: bool


@dataclass(frozen=True, slots=True)
class _Window:
    """What was known at a begin, and how many events came until the end."""

    begin: int
    days: int
    features: dict[str, Floats]
    counts: NDArray[np.int64]

    @property
    def years(self) -> float:
        """Its length [a]."""
        return self.days / DAYS_PER_YEAR


@dataclass(frozen=True, slots=True)
class Lessons:
    """What the days before a cut teach: windows with their features and events, and the features as of the cut.

    Made once, several forecasts with more or fewer features can be made of it.
    """

    past: EventHistory
    cut: int
    horizon_days: int
    windows: tuple[_Window, ...]
    known: NDArray[np.int64]
    features: dict[str, Floats]


def learn_before(
    history: EventHistory, cut: int, horizon_days: int, *, on_progress: Callable[[float], None] | None = None
) -> Lessons:
    """Windows and features before a day.

    Parameters
    ----------
    history : EventHistory
        May go on after the cut; nothing of that is used.
    cut, horizon_days : int
        First day of the window to predict [d since 1970] and its length [d].

    Raises
    ------
    TooShortHistoryError
        With fewer than `LEAST_HISTORY_DAYS` + `STEP_DAYS` days of events before the cut.
    """
    past = history.before(cut)
    if not len(past.day) or cut - past.first_day < LEAST_HISTORY_DAYS + STEP_DAYS:
        raise TooShortHistoryError(
            f"Got {0 if not len(past.day) else cut - past.first_day} days of events before the cut, expected at least "
            f"{LEAST_HISTORY_DAYS + STEP_DAYS}."
        )
    begins = _begins(past, cut)
    windows = []
    for number, begin in enumerate(begins):
        windows.append(_window(past, begin, min(begin + horizon_days, cut)))
        if on_progress is not None:
            on_progress((number + 1) / len(begins))
    known, features = past.features(cut)
    centred = {name: _centred(values) for name, values in features.items()}
    return Lessons(past, cut, horizon_days, tuple(windows), known, centred)


def predict(lessons: Lessons, *, weather: WeatherDays | None = None, only: tuple[str, ...] | None = None) -> Recurrence:
    """P(at least one event in [cut, cut + horizon)) of every segment known before the cut.

    Parameters
    ----------
    lessons : Lessons
        See `learn_before`.
    weather : WeatherDays, optional
        Only days before the cut are used.
    only : tuple of str, optional
        Names of the features to use; for baselines.
    """
    past, cut, horizon_days = lessons.past, lessons.cut, lessons.horizon_days
    names = tuple(lessons.features) if only is None else only
    windows = [replace(window, features={name: window.features[name] for name in names}) for window in lessons.windows]
    model = CountRegression().fit(
        {name: np.concatenate([window.features[name] for window in windows]) for name in names},
        np.concatenate([window.counts for window in windows]).astype(np.float64),
        np.concatenate([np.full(len(window.counts), window.years) for window in windows]),
        np.repeat(np.arange(len(windows)), [len(window.counts) for window in windows]),
    )
    volume = _Volume(past, cut, horizon_days, weather)
    level = np.exp(_share(past, cut, windows, model)) * volume.per_year() / len(lessons.known)
    rate = model.relative_rate({name: lessons.features[name] for name in names}, len(lessons.known))
    expected = rate * level * horizon_days / DAYS_PER_YEAR
    return Recurrence(
        segment_ids=tuple(past.segment_ids[i] for i in lessons.known.tolist()),
        probability=model.probability(expected),
        events_so_far=past.counts(past.first_day, cut)[lessons.known],
        features=model.names_,
        windows=len(windows),
        uses_weather=volume.uses_weather,
    )


def _begins(past: EventHistory, cut: int) -> list[int]:
    """Begins of the windows, newest first; every four weeks, farther apart where that would be too many rows."""
    possible = list(range(cut - STEP_DAYS, past.first_day + LEAST_HISTORY_DAYS - 1, -STEP_DAYS))
    rows = len(possible) * len(past.segment_ids)
    return possible[:: max(1, -(-rows // MOST_ROWS))]


def _window(past: EventHistory, begin: int, end: int) -> _Window:
    known, features = past.features(begin)
    return _Window(
        begin=begin,
        days=end - begin,
        features={name: _centred(values) for name, values in features.items()},
        counts=past.counts(begin, end)[known],
    )


def _centred(values: Floats) -> Floats:
    """Less the mean of the known segments: a longer record alone must not look like more danger."""
    known = np.isfinite(values)
    return values - values[known].mean() if known.any() else values


class _Volume:
    """How many events the city will have.

    In a window longer than `WEATHER_DAYS`: as many as in the last year. In a shorter one from the events of each four
    weeks before the cut: logarithms of their numbers, newer ones weighing more, are a level, a yearly wave and the
    weather of the four weeks before; the latter two are drawn to nothing by priors, and weather takes part only if it
    made the forecast of each left-out quarter of the record better.
    """

    def __init__(self, past: EventHistory, cut: int, horizon_days: int, weather: WeatherDays | None) -> None:
        self._cut, self._horizon_days = cut, horizon_days
        days = min(cut - past.first_day, 365)
        self._last_year = float((past.day >= cut - days).sum()) / days * DAYS_PER_YEAR
        self._begin = np.arange(cut - STEP_DAYS, past.first_day - 1, -STEP_DAYS)
        totals = np.array([float(past.counts(at, at + STEP_DAYS).sum()) for at in self._begin.tolist()])
        self._log = np.log(totals + 0.5)
        self._weight = 0.5 ** ((cut - self._begin - STEP_DAYS / 2) / _HALF_LIFE_DAYS)
        self._weather = None
        columns = self._columns(weather)
        if columns is not None and self._error(columns) < self._error(None):
            self._weather = columns
        self._theta = self._fit(np.ones(len(self._begin), bool), self._weather)

    @property
    def uses_weather(self) -> bool:
        """Whether weather made it better."""
        return self._weather is not None

    def per_year(self) -> float:
        """Expected events a year in the window that begins at the cut."""
        if self._horizon_days > WEATHER_DAYS:
            return self._last_year
        wave = _wave(np.array([self._cut]), np.array([self._horizon_days]))[0]
        log = float(self._theta[0] + wave @ self._theta[1:3])
        if self._weather is not None:
            log += float(self._weather[-1] @ self._theta[3:])
        miss = self._log - self._design(self._weather) @ self._theta
        spread = float(np.average(np.exp(miss), weights=self._weight))  # from the mean logarithm to the mean
        return float(np.exp(log)) * spread * DAYS_PER_YEAR / STEP_DAYS

    def _columns(self, weather: WeatherDays | None) -> Floats | None:
        """Standardised weather before each step and, as the last row, before the cut; unknown is the mean."""
        if weather is None or self._horizon_days > WEATHER_DAYS or len(self._begin) < LEAST_STEPS_FOR_WEATHER:
            return None
        raw = np.stack([weather.before(int(day)) for day in [*self._begin, self._cut]])
        raw = raw[:, np.isfinite(raw[:-1]).mean(axis=0) >= 0.5]
        if not raw.shape[1]:
            return None
        mean, scale = np.nanmean(raw[:-1], axis=0), np.nanstd(raw[:-1], axis=0) + 1e-9
        return np.asarray(np.nan_to_num((raw - mean) / scale))

    def _design(self, weather: Floats | None) -> Floats:
        parts = [np.ones((len(self._begin), 1)), _wave(self._begin, np.full(len(self._begin), STEP_DAYS))]
        return np.concatenate(parts if weather is None else [*parts, weather[:-1]], axis=1)

    def _fit(self, rows: NDArray[np.bool_], weather: Floats | None) -> Floats:
        design, weight = self._design(weather)[rows], self._weight[rows]
        precision = np.full(design.shape[1], _WEATHER_PRECISION)
        precision[0], precision[1:3] = 1e-6, _SEASON_PRECISION
        normal = design.T @ (weight[:, None] * design) + np.diag(precision)
        return np.asarray(np.linalg.solve(normal, design.T @ (weight * self._log[rows])))

    def _error(self, weather: Floats | None) -> float:
        quarter, total = np.arange(len(self._begin)) * 4 // len(self._begin), 0.0
        for part in range(4):
            held = quarter == part
            miss = self._design(weather)[held] @ self._fit(~held, weather) - self._log[held]
            total += float((self._weight[held] * miss**2).sum())
        return total


def _share(past: EventHistory, cut: int, windows: list[_Window], model: CountRegression) -> float:
    """Log of the part of the city's events that falls on segments known before, were all of them equal.

    Such that the number of segments with an event is right, window by window, and carried on to the cut.
    """
    logs, weights = [], []
    for window in windows:
        rates = model.relative_rate(window.features, len(window.counts)) * window.years
        total = float(past.counts(window.begin, window.begin + window.days).sum())
        level = _solve(model, rates, window.counts)
        logs.append(level + np.log(len(window.counts)) - np.log((total + 0.5) / window.years))
        weights.append(np.sqrt(window.days) * 0.5 ** ((cut - window.begin) / _SHARE_HALF_LIFE_DAYS))
    # The part grows with the record, in about a straight line of the record's logarithm.
    record = np.log([window.begin - past.first_day for window in windows]) - np.log(cut - past.first_day)
    design, weight = np.stack([np.ones(len(windows)), record], axis=1), np.array(weights) / np.max(weights)
    normal = design.T @ (weight[:, None] * design) + np.diag([0.0, _GROWTH_PRECISION])
    return float(np.linalg.solve(normal, design.T @ (weight * np.array(logs)))[0])


def _wave(begin: NDArray[np.int64], days: NDArray[np.int64]) -> Floats:
    """Means of the yearly sine and cosine over windows, shape (n, 2)."""
    first, last = (2 * np.pi * at / DAYS_PER_YEAR for at in (begin, begin + days))
    return np.stack([np.cos(first) - np.cos(last), np.sin(last) - np.sin(first)], axis=1) / (last - first)[:, None]


def _solve(model: CountRegression, mean: Floats, counts: NDArray[np.int64]) -> float:
    """The level at which the expected number of segments with an event is the observed one."""
    positives = max(float((counts > 0).sum()), 0.5)
    low, high = -12.0, 12.0
    for _ in range(50):
        level = (low + high) / 2
        low, high = (level, high) if model.probability(mean * np.exp(level)).sum() < positives else (low, level)
    return (low + high) / 2
