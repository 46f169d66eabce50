"""The risk model: calibrated probability of at least one new pothole within each horizon, with exact reasons.

For segment i at time t and horizon h

    f_h = s(x_i) + ℓ_h(w_t),    logit P_h = b_h · f_h.

s says how much more dangerous a segment is than another on the same day: a sum of effects of its features, the mean of
an additive logistic model (`models.additive`) and boosted effects (`models.boosting`), both fitted within strata of one
cut date to windows of 28 days. One s serves all horizons: over a week, what is new in the records is mostly what was
there and had not been seen, and over a quarter there are few windows to learn from. ℓ_h is the level of the city from
weather, forecast and season (`models.city_level`). The slopes b_h and the spread of true probabilities about P_h
(`models.dispersion`) are measured on predictions of later times (`models.rolling`). Then the running maximum over
horizons makes P(7 d) ≤ P(28 d) ≤ P(90 d), as any probability of "at least one" must be.

How closely a road is watched changes what is recorded, not what breaks: features of exposure take part in fitting, and
forecasts are made as if all roads were watched alike.

Without labels the model is the prior of `models.prior`, with levels at which the city's segments have the documented
number of holes together in the mean of a usual year (`models.climate`), whatever the horizon; the boosted half comes in
as positive labels do. Length is a feature with a prior slope of 1 in its logarithm, in the place of an offset.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from sklearn.base import BaseEstimator
from sklearn.utils.validation import check_is_fitted

from models.additive import AdditiveLogit, within_strata
from models.boosting import BoostedEffects
from models.city_level import CityLevel, level_of, level_of_year
from models.climate import UsualYear
from models.dataset import Dataset
from models.dispersion import Dispersion, RiskForecast
from models.features import FEATURE_SET
from models.inputs import Floats, Instant, Instants
from models.prior import EFFECTS, RATE_PER_100_M_WEEK, USUAL_LENGTH_M, base_log_odds
from roadtwin.types import HORIZONS_DAYS

LEAST_POSITIVES = 30
"""Fewest positive rows, and as many others, that a forecast may be judged or calibrated on."""
REFERENCE_HORIZON_DAYS = 28
"""Windows that s is learned from [d]."""
MOST_ROWS, BOOSTING_MOST_ROWS = 500_000, 150_000
"""Rows that the additive and the boosted half learn from, drawn without favour: slopes are known to a hundredth by
then. The levels of the city take all."""
BOOSTING_HALF = 500
"""Positive rows at which the boosted half has half of its final weight."""
ERA_WINDOWS = 6
"""Windows after a forecast in which the spread between places is measured with its score held: about half a year."""
PRIOR_SLOPES = {7: 1.0, 28: 1.0, 90: 1.15}
"""b_h until predictions of later times tell: over a quarter, chance plays a smaller part, and s differs more."""
_SLOPE_SD = 0.3
_CENTRE_ROWS, _PART = 4000, 100_000
_POPULATION_ROWS = 10_000
"""Segments whose expected numbers set the prior of the level: to 2 % of it, where s has a spread of 1.2."""
_CLOCK_CHANGE = np.timedelta64(1, "h")


class NotEnoughLabelsError(ValueError):
    """A horizon has too few rows with or without a new pothole; `german` says so in German."""

    def __init__(self, message: str, german: str = "Es wurde zu wenig aufgezeichnet, um daraus zu lernen.") -> None:
        super().__init__(message)
        self.german = german


class RiskModel(BaseEstimator):  # type: ignore[misc]  # scikit-learn has no types
    """Risk of a new pothole for several horizons.

    Parameters
    ----------
    horizons_days : sequence of int
        Horizons in rising order. [d]
    max_iter, learning_rate : int and float
        Of the boosted half, see `models.boosting`.
    random_state : int
        Seed.

    Attributes
    ----------
    additive_, boosted_ : the two halves of s; `boosted_` is None with fewer than 30 labels of a class
    boosted_share_ : float
        Weight of the boosted half, 0 to 0.5.
    levels_ : list of CityLevel, one a horizon
    slopes_ : ndarray, shape (n_horizons,)
        b_h.
    dispersion_ : Dispersion
    positives_ : ndarray, shape (n_horizons,)
        Positive labels learned from. All 0: the model is its prior.
    recorded_year_ : float
        How much of the year that the prior's level is a mean over was the city's own weather, 0 to 1.
    calibrated_ : bool
        Whether slopes and dispersion were measured; else they are assumed.
    """

    def __init__(
        self,
        horizons_days: Sequence[int] = HORIZONS_DAYS,
        *,
        max_iter: int = 150,
        learning_rate: float = 0.13,
        random_state: int = 0,
    ) -> None:
        self.horizons_days = horizons_days
        self.max_iter = max_iter
        self.learning_rate = learning_rate
        self.random_state = random_state

    def fit(
        self, rows: Dataset, *, population: NDArray[np.float32] | None = None, year: UsualYear | None = None
    ) -> "RiskModel":
        """Fit to rows with labels 1, 0, or NaN (left out there). Any number of rows will do, also none.

        Parameters
        ----------
        rows : Dataset
            What to learn from.
        population : ndarray, shape (n_segments, n_features), optional
            Features of the segments that the prior's level is that of: all of the city as of now, or a fair part. Those
            of the rows if left out, which a city without labels does not have.
        year : UsualYear, optional
            Over which the prior's rate is a mean; days whose weather has no effect if left out.

        Raises ValueError when the horizons of the rows are not those of the model.
        """
        self._check(rows)
        population = rows.features if population is None else population
        self.n_features_in_ = len(FEATURE_SET.features)
        features = FEATURE_SET.features
        self.city_ = np.array([i for i, f in enumerate(features) if f.group == "weather"], np.int64)
        self.place_ = np.array([i for i, f in enumerate(features) if f.group != "weather"], np.int64)
        self.exposure_ = np.array([EFFECTS[features[i].name].exposure for i in self.place_])
        self._fit_place(rows, population)
        self.slopes_ = np.array([PRIOR_SLOPES.get(h, 1.0) for h in self.horizons_days])
        self.dispersion_ = Dispersion(len(tuple(self.horizons_days)))
        self.positives_ = np.array([int((rows.labels[:, i] == 1).sum()) for i in range(rows.labels.shape[1])])
        self.calibrated_ = False
        self.recorded_year_ = 0.0 if year is None else year.recorded_share
        self._fit_levels(rows, population, year)
        return self

    def _fit_place(self, rows: Dataset, population: NDArray[np.float32]) -> None:
        """s: both halves, and the mean of each effect in training, else in the population, which is taken off."""
        features = FEATURE_SET.features
        reference = self._reference()
        known = np.flatnonzero(np.isfinite(rows.labels[:, reference]))
        positives = int(rows.labels[known, reference].sum())
        others = known.size - positives
        known = known[_sample(known.size, MOST_ROWS, self.random_state)]
        x, y = rows.features[known[:, None], self.place_], rows.labels[known, reference]
        stratum = _number(rows.cut[known])
        names, monotone = zip(*((features[i].name, features[i].monotone) for i in self.place_), strict=True)
        self.additive_ = AdditiveLogit(names, monotone).fit(x, y, stratum)
        self.boosted_, self.boosted_share_ = None, 0.0
        if min(positives, others) >= LEAST_POSITIVES:
            part = _sample(y.size, BOOSTING_MOST_ROWS, self.random_state)
            self.boosted_ = BoostedEffects(
                monotone,
                max_iter=self.max_iter,
                learning_rate=self.learning_rate,
                random_state=self.random_state,
            ).fit(x[part], y[part], stratum[part])
            self.boosted_share_ = 0.5 * positives / (positives + BOOSTING_HALF)
        usual = x if x.shape[0] else population[:, self.place_]
        self.centre_ = np.zeros(self.place_.size)
        if usual.shape[0]:
            self.centre_ = self._raw_effects(usual[_sample(len(usual), _CENTRE_ROWS, self.random_state)]).mean(axis=0)

    def _reference(self) -> int:
        """Number of the horizon whose windows s is learned from."""
        horizons = tuple(self.horizons_days)
        return min(range(len(horizons)), key=lambda i: abs(horizons[i] - REFERENCE_HORIZON_DAYS))

    def _raw_effects(self, x: NDArray[np.float32]) -> Floats:
        effects = (1 - self.boosted_share_) * self.additive_.effects(x)
        return effects if self.boosted_ is None else effects + self.boosted_share_ * self.boosted_.effects(x)

    def _place_effects(self, features: NDArray[np.float32]) -> Floats:
        """Effects of the segments' features against their mean in training; exposure has none."""
        effects = self._raw_effects(features[:, self.place_]) - self.centre_
        effects[:, self.exposure_] = 0.0
        return np.asarray(effects)

    def _fit_levels(self, rows: Dataset, population: NDArray[np.float32], year: UsualYear | None = None) -> None:
        """ℓ_h for the present slopes and dispersion."""
        names = tuple(FEATURE_SET.features[i].name for i in self.city_)
        signs = tuple(FEATURE_SET.features[i].monotone for i in self.city_)
        score, city = self.relative(rows.features), rows.features[:, self.city_]
        cuts = np.unique(rows.cut)
        step_days = float(np.median(np.diff(cuts)) / np.timedelta64(1, "D")) if cuts.size > 1 else 7.0
        part = population[_sample(len(population), _POPULATION_ROWS, self.random_state)]
        usual_score, length_m = self.relative(part), part[:, FEATURE_SET.index("length_m")]
        self.levels_, centres = [], []
        told = 0.0  # how far labels of a shorter horizon moved its level [log-odds]
        for column, horizon in enumerate(self.horizons_days):
            known = np.flatnonzero(np.isfinite(rows.labels[:, column]))
            _, first, cut = np.unique(rows.cut[known], return_index=True, return_inverse=True)
            y, weather = rows.labels[known, column], city[known[first]]
            fitted = CityLevel(names, signs, int(horizon))
            slope = float(self.slopes_[column])
            base = base_log_odds(int(horizon))
            if len(part):
                base = self._prior_level(column, usual_score, length_m, fitted, year)
            # A city's rate is no other for longer windows: where none of them is settled, the shorter ones tell it.
            expected = base if known.size else base + told / slope
            fitted.fit(weather, cut, score[known], y, slope, step_days, base=expected)
            told = slope * (fitted.intercept_ - base)
            self.levels_.append(fitted)
            centres.append(fitted.effects(weather).mean(axis=0) if first.size else np.zeros(self.city_.size))
        self.city_centre_ = np.array(centres)
        self.intercept_ = np.array([level.intercept_ for level in self.levels_]) + self.city_centre_.sum(axis=1)

    def _prior_level(
        self, column: int, score: Floats, length_m: NDArray[np.float32], level: CityLevel, year: UsualYear | None
    ) -> float:
        """Intercept of the level at which segments with scores and lengths (n,) have the documented number of holes.

        That number is one of all roads of a city together and of a year. A prior with other centres than the city's
        roads and weather, and the mean of exp above exp of the mean, would else make a city without labels more
        dangerous than any that is known, by another factor for each horizon.
        """
        weeks = tuple(self.horizons_days)[column] / 7
        known_m = np.where(length_m > 0, length_m, USUAL_LENGTH_M)  # also where it is unknown
        documented = RATE_PER_100_M_WEEK * weeks * float(known_m.sum()) / 100

        def number_at(at: float) -> float:
            return float(self.dispersion_.expected(expit(self.slopes_[column] * (score + at)), score, column).sum())

        effects, weight = np.zeros(1), np.ones(1)
        if year is not None:
            effects, weight = level.prior_effect(year.features[:, self.city_]), year.weight
        return level_of_year(number_at, documented, effects, weight)

    def relative(self, features: NDArray[np.float32]) -> Floats:
        """s of each row, shape (n,): how much more dangerous a segment is than others on the same day. [log-odds]"""
        check_is_fitted(self, "additive_")
        # In parts: effects of all features of a million rows at once would take gigabytes.
        parts = [self._place_effects(features[i : i + _PART]).sum(axis=1) for i in range(0, len(features), _PART)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def level(self, features: NDArray[np.float32]) -> Floats:
        """ℓ_h of each row, shape (n, n_horizons). [log-odds]"""
        check_is_fitted(self, "levels_")
        city = np.ascontiguousarray(features[:, self.city_])
        # Once for each run of equal rows, one a day and not one a segment; unknown equals unknown, hence the bits.
        bits = city.view(np.uint32)
        begins = np.ones(len(city), bool)
        begins[1:] = (bits[1:] != bits[:-1]).any(axis=1)
        distinct = city[begins]
        columns = [level.intercept_ + level.effects(distinct).sum(axis=1) for level in self.levels_]
        return np.asarray(np.column_stack(columns)[np.cumsum(begins) - 1])

    def calibrate(self, rows: Dataset, relative: Floats, level: Floats, settled: Dataset) -> "RiskModel":
        """Measure slopes and dispersion on predictions of later times, and fit the levels anew with them.

        Parameters
        ----------
        rows : Dataset
            Rows of times after those that the predicting models had learned from.
        relative, level : ndarray, shapes (n,) and (n, n_horizons)
            What `relative` and `level` of those models gave to them.
        settled : Dataset
            All rows that the levels are fitted to.

        Raises NotEnoughLabelsError when a horizon has fewer than 30 rows of a class.
        """
        assumed, self.slopes_ = self.slopes_, self.slopes_.copy()  # a copied model shares them
        span = rows.cut.max() - rows.cut.min() if len(rows) else np.timedelta64(0, "D")
        years = float(span / np.timedelta64(1, "D")) / 365.25
        self.dispersion_ = Dispersion(len(tuple(self.horizons_days)))
        for column, horizon in enumerate(self.horizons_days):
            known = np.flatnonzero(np.isfinite(rows.labels[:, column]))
            y, score = rows.labels[known, column], relative[known]
            _enough(y, int(horizon), "calibrate")
            stratum = _number(rows.cut[known])
            # Fitted as an effect of one feature within strata: the levels of days are not those of the next winter.
            prior = np.full(1, PRIOR_SLOPES.get(int(horizon), 1.0))
            slope = within_strata(score[:, None], y, stratum, prior, np.full(1, _SLOPE_SD**-2.0))[0]
            self.slopes_[column] = max(float(slope), 0.05)  # below it the order would turn round
            # A level belongs to the slope that it was fitted with: with another, its miss is not the weather's.
            forecast = expit(assumed[column] * (score + level[known, column]))
            self.dispersion_.fit_level(column, forecast, y, stratum, years)
        self._measure_places(rows, relative)
        self.calibrated_ = True
        self._fit_levels(settled, settled.features)
        return self

    def _measure_places(self, rows: Dataset, relative: Floats) -> None:
        """Spread between places that look the same, from windows after a forecast with the score held."""
        column, length = self._reference(), np.timedelta64(int(tuple(self.horizons_days)[self._reference()]), "D")
        begins = np.unique(rows.cut)
        if not begins.size:
            return
        slope, parts = float(self.slopes_[column]), []
        for number, windows in enumerate(eras(begins, length)):
            held = np.full(int(rows.segment_index.max()) + 1, np.nan)
            for begin in windows:
                at = np.flatnonzero(rows.cut == begin)
                where = rows.segment_index[at]
                held[where] = np.where(np.isnan(held[where]), relative[at], held[where])
                at = at[np.isfinite(rows.labels[at, column])]
                score, y = held[rows.segment_index[at]], rows.labels[at, column]
                observed = level_of(score, y, slope)
                if np.isfinite(observed):  # with no hole at all, no place is worse than another
                    p = expit(slope * (score + observed))
                    parts.append((score, p, y - p, rows.segment_index[at].astype(np.int64) * begins.size + number))
        if parts:
            score, p, residual, key = (np.concatenate(part) for part in zip(*parts, strict=True))
            self.dispersion_.fit_places(score, p, residual, _number(key))

    def log_odds(self, features: NDArray[np.float32]) -> Floats:
        """f_h: log-odds before calibration, shape (n, n_horizons)."""
        return np.asarray(self.relative(features)[:, None] + self.level(features))

    def predict_proba(self, features: NDArray[np.float32]) -> Floats:
        """Calibrated P(at least one new pothole), shape (n, n_horizons), not falling from horizon to horizon."""
        return self._calibrated(self.log_odds(features))

    def _calibrated(self, log_odds: Floats) -> Floats:
        return np.asarray(np.maximum.accumulate(expit(self.slopes_ * log_odds), axis=1))

    def predict(self, features: NDArray[np.float32]) -> RiskForecast:
        """Probability with its 90 % interval, and the expected number of new potholes."""
        score = self.relative(features)
        probability = self._calibrated(score[:, None] + self.level(features))
        low, high, count = (np.zeros_like(probability) for _ in range(3))
        for column in range(probability.shape[1]):
            p = probability[:, column]
            low[:, column], high[:, column] = self.dispersion_.interval(p, score, column)
            count[:, column] = self.dispersion_.expected(p, score, column)
        return RiskForecast(probability, *(np.maximum.accumulate(each, axis=1) for each in (low, high, count)))

    def contributions(self, features: NDArray[np.float32], horizon_days: int) -> Floats:
        """Effect of each feature on the log-odds before calibration, shape (n, f), against its mean in training.

        ``intercept_[h] + contributions.sum(axis=1)`` is `log_odds`.
        """
        column = tuple(self.horizons_days).index(horizon_days)
        effects = np.zeros(features.shape)
        effects[:, self.place_] = self._place_effects(features)
        effects[:, self.city_] = self.levels_[column].effects(features[:, self.city_]) - self.city_centre_[column]
        return effects

    def _check(self, rows: Dataset) -> None:
        if tuple(rows.horizons_days) != tuple(self.horizons_days):
            raise ValueError(f"Got rows of horizons {rows.horizons_days}, expected {tuple(self.horizons_days)}.")
        if list(self.horizons_days) != sorted(self.horizons_days):
            raise ValueError(f"Got horizons {tuple(self.horizons_days)}, expected them in rising order.")


def eras(begins: Instants, length: np.timedelta64, *, windows: int = ERA_WINDOWS) -> list[list[Instant]]:
    """Begins (n,) in rising order that are at least `length` apart, in groups of up to so many consecutive ones.

    A change of clocks between two begins at one time of day makes them no nearer.

    Examples
    --------
    >>> weeks = np.datetime64("2026-01-05") + np.arange(5) * np.timedelta64(7, "D")
    >>> [[str(begin) for begin in era] for era in eras(weeks, np.timedelta64(14, "D"), windows=2)]
    [['2026-01-05', '2026-01-19'], ['2026-02-02']]
    """
    found: list[list[Instant]] = []
    last: Instant | None = None
    for begin in begins:
        if last is None or begin - last + _CLOCK_CHANGE >= length:
            if not found or len(found[-1]) == windows:
                found.append([])
            found[-1].append(begin)
            last = begin
    return found


def _sample(count: int, most: int, seed: int) -> NDArray[np.int64]:
    """At most so many row numbers of `count`, drawn without favour, in rising order."""
    if count <= most:
        return np.arange(count)
    return np.sort(np.random.default_rng(seed).choice(count, most, replace=False))


def _number(values: NDArray[Any]) -> NDArray[np.int64]:
    """Each value's number, from 0, in rising order of the values."""
    return np.asarray(np.unique(values, return_inverse=True)[1], np.int64)


def _enough(labels: Floats, horizon: int, purpose: str) -> None:
    positives = int((labels == 1).sum())
    negatives = labels.size - positives
    if min(positives, negatives) < LEAST_POSITIVES:
        raise NotEnoughLabelsError(
            f"To {purpose} the {horizon}-day horizon takes {LEAST_POSITIVES} stretches with a new pothole and as many "
            f"without; got {positives} and {negatives}.",
            f"Der Horizont von {horizon} Tagen braucht {LEAST_POSITIVES} Abschnitte mit neuem Schlagloch und ebenso "
            f"viele ohne; es sind {positives} und {negatives}.",
        )
