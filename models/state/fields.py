"""Quantities that vary over a city: what sensors measure, spread to places in space and by similarity.

A quantity is the weather's estimate plus a deviation. Deviations are a Gaussian random field whose correlation falls
with the distance, with how differently two places are built and shaded, and with the time between two values.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy.optimize import minimize
from scipy.sparse import csr_array
from scipy.spatial import cKDTree

Floats = NDArray[np.float64]

NEAREST_SENSORS = 16
"""A place listens to so many sensors, those of the highest correlation; more add next to nothing (screening)."""
LEAST_SENSORS_TO_FIT = 8
"""With fewer sensors a field keeps its assumed parameters."""
INTERVAL_90 = 1.6449
"""Half-width of a central 90 % interval of a normal distribution, in standard deviations."""
_BLOCK_NUMBERS = 500_000  # of one temporary array: 4 MB
_MOST_FITTED = 400  # sensors of one time that fitting looks at


@dataclass(frozen=True, slots=True)
class Estimate:
    """Values with their standard deviations, shape (n,), in the unit that the name of the quantity ends in."""

    value: Floats
    sd: Floats


@dataclass(frozen=True, slots=True)
class Field:
    """How the deviations of a quantity from the weather's estimate vary.

    `spread` is their sd, `noise` the sd of one sensor's error, both in the unit of the quantity. Their correlation has
    fallen to 37 % over `range_m` [m], over a difference of `range_traits` in `site_traits` [-] and after `range_h` [h].
    """

    spread: float
    range_m: float
    noise: float
    range_traits: float = 1.0
    range_h: float = math.inf


@dataclass(frozen=True, slots=True)
class Places:
    """Where a quantity is asked for or measured: `at_m` (n, 2) on a plane [m], `traits` (n, k) [-], none unknown."""

    at_m: Floats
    traits: Floats

    def __len__(self) -> int:
        return len(self.at_m)

    def take(self, rows: NDArray[np.intp]) -> "Places":
        """Some of the places."""
        return Places(self.at_m[rows], self.traits[rows])


@dataclass(frozen=True, slots=True)
class Measured:
    """What m sensors say at about one time, each beside what the weather lets one expect where and when it measured.

    `value`, `expected` (m,) in the unit of the quantity; `age_h` (m,) how old the value is. [h]
    """

    places: Places
    value: Floats
    expected: Floats
    age_h: Floats

    def take(self, rows: NDArray[np.intp]) -> "Measured":
        """Some of the sensors."""
        return Measured(self.places.take(rows), self.value[rows], self.expected[rows], self.age_h[rows])


SURFACE_TEMP_FIELD = Field(spread=2.5, range_m=1500.0, noise=0.5, range_traits=1.0, range_h=6.0)
"""Assumed until fitted: shade and pavement change within a street, clouds within hours. [°C]"""
SOIL_MOISTURE_FIELD = Field(spread=6.0, range_m=300.0, noise=2.0, range_traits=1.0, range_h=240.0)
"""Assumed until fitted: soil changes within metres, drainage with the street; water leaves within days. [%]"""


def site_traits(
    tree_cover_pct: ArrayLike, pavement_class: ArrayLike, drainage: ArrayLike, width_m: ArrayLike
) -> Floats:
    """What makes two places alike whatever their distance: shade, structure, drainage, width.

    Parameters
    ----------
    tree_cover_pct, pavement_class, drainage, width_m : array-like, shape (n,)
        Tree cover [%], rank of the RStO class 0 to 6, drainage 0 good to 2 poor, width [m]; NaN unknown.

    Returns
    -------
    ndarray, shape (n, 4)
        [-] Scaled so that the difference between the ends of what is usual in a city is about 1: bare and under trees
        (60 %), Bk0.3 and Bk10, good and poor drainage, 5 m and 13 m wide. Unknown counts as the mean of those known.
    """
    columns = np.column_stack([np.asarray(c, np.float64) for c in (tree_cover_pct, pavement_class, drainage, width_m)])
    known = np.isfinite(columns)
    mean = np.where(known, columns, 0.0).sum(axis=0) / np.maximum(known.sum(axis=0), 1)
    return np.asarray(np.where(known, columns, mean) / np.array([60.0, 4.0, 2.0, 8.0]))


def at_segments(segments: Places, sensors_m: Floats) -> Places:
    """Sensors with the traits of the segments nearest to them; `sensors_m` (m, 2) [m]."""
    _, nearest = cKDTree(segments.at_m).query(sensors_m.reshape(-1, 2))
    return Places(sensors_m.reshape(-1, 2), segments.traits[nearest])


def interpolate(places: Places, measured: Measured, background: Estimate, field: Field) -> Estimate:
    """Spread what sensors measure over a city: the weather's estimate plus the deviations that sensors show.

    Simple kriging of the deviations (value − expected) from the sensors nearest in distance and traits.

    Parameters
    ----------
    places : Places, n of them
        Where the quantity is asked for.
    measured : Measured, m of them
        m may be 0. Sensors with a NaN value are left out; a NaN `expected` counts as the mean of the values.
    background : Estimate, shape (1,) or (n,)
        From the weather, for now. Its sd is an error that the whole city shares. NaN: the mean of the sensors with the
        spread of the field stands in.
    field : Field
        See `fit_field`.

    Returns
    -------
    Estimate, shape (n,)
        NaN where there is neither weather nor sensor. At a sensor whose value is new the sd is its noise; with
        distance, difference and age it grows to √(spread² + what is not known of the weather's error²).

    Notes
    -----
    Covariance of the deviations of two places, r metres and s traits apart (sum of absolute differences), measured h
    hours apart: shared² + spread² · exp(−r/range_m − s/range_traits − h/range_h). A product of exponentials, so that
    it is a covariance. Memory does not grow with n · m: places go in blocks, each with its 16 sensors.

    References
    ----------
    .. [1] N. A. C. Cressie, *Statistics for Spatial Data*, rev. ed. New York: Wiley, 1993, ch. 3.

    Examples
    --------
    >>> alike = np.zeros((3, 1))
    >>> at = Places(np.array([[0.0, 0.0], [1500.0, 0.0], [1e6, 0.0]]), alike)
    >>> one = np.array([0])
    >>> sensor = Measured(at.take(one), np.array([14.0]), np.array([10.0]), np.zeros(1))
    >>> weather = Estimate(np.array([10.0]), np.array([0.0]))
    >>> near = interpolate(at, sensor, weather, Field(spread=2.0, range_m=1500.0, noise=0.0))
    >>> near.value.round(1), near.sd.round(1)
    (array([14. , 11.5, 10. ]), array([0. , 1.9, 2. ]))
    """
    n = len(places)
    measured = measured.take(np.flatnonzero(np.isfinite(measured.value)))
    value, shared = (np.broadcast_to(part, n).astype(np.float64) for part in (background.value, background.sd))
    if not len(measured.value):
        return Estimate(value, np.where(np.isnan(value), np.nan, np.hypot(field.spread, shared)))
    known = np.isfinite(measured.expected)
    measured = replace(measured, expected=np.where(known, measured.expected, measured.value.mean()))
    without = np.isnan(value)
    value = np.where(without, measured.value.mean(), value)
    shared = np.where(without | np.isnan(shared), 0.0, shared)
    deviation, sd = _krige(places, measured, float(np.median(shared)), field)
    return Estimate(value + deviation, sd)


def kriging_weights(places: Places, sensors: Places, shared: float, field: Field) -> csr_array:
    """How much each place listens to each sensor, shape (n, m) [-]: `weights @ deviations` is what `interpolate` adds
    to the background, for values that are all new. For many times with the same sensors."""
    m = len(sensors)
    nothing = np.zeros(m)
    rows, columns, parts = [np.zeros(0, np.int64)], [np.zeros(0, np.int64)], [np.zeros(0)]
    if m:
        for block, which, weights, _ in _weights(places, Measured(sensors, nothing, nothing, nothing), shared, field):
            rows.append(np.repeat(np.arange(block.start, block.stop), which.shape[-1]))
            columns.append(np.broadcast_to(which, weights.shape).reshape(-1))
            parts.append(weights.reshape(-1))
    return csr_array((np.concatenate(parts), (np.concatenate(rows), np.concatenate(columns))), shape=(len(places), m))


def _krige(places: Places, measured: Measured, shared: float, field: Field) -> tuple[Floats, Floats]:
    """Deviations at places and their sd, from the nearest sensors."""
    deviation = measured.value - measured.expected
    prior = field.spread**2 + shared**2
    result, variance = np.empty(len(places)), np.empty(len(places))
    for block, which, weights, towards in _weights(places, measured, shared, field):
        result[block] = (weights * deviation[which]).sum(axis=1)
        variance[block] = prior - (weights * towards).sum(axis=1)
    return result, np.sqrt(np.maximum(variance, 0.0))


def _weights(
    places: Places, measured: Measured, shared: float, field: Field
) -> Iterator[tuple[slice, NDArray[np.intp], Floats, Floats]]:
    """Blocks of places: their sensors, (k,) for all of them or (places, k), with weights and covariances."""
    m = len(measured.value)
    nearest = min(m, NEAREST_SENSORS)
    # A sensor in the metric of the exponent; the tree's sum of absolute differences is close to it.
    tree = cKDTree(_scaled(measured.places, field))
    among_all = _among(measured, shared, field) if m <= nearest else None
    rows = max(1, _BLOCK_NUMBERS // nearest**2)
    for start in range(0, len(places), rows):
        block = slice(start, min(start + rows, len(places)))
        here = Places(places.at_m[block], places.traits[block])
        if among_all is not None:
            towards = _towards(here, measured, shared, field)
            yield block, np.arange(m), np.asarray(np.linalg.solve(among_all, towards.T).T, np.float64), towards
        else:
            _, which = tree.query(_scaled(here, field), k=nearest, p=1)
            local = measured.take(which.reshape(-1))
            towards = _towards(here, local, shared, field, each=nearest)
            among = _among(local, shared, field, each=nearest)
            weights = np.asarray(np.linalg.solve(among, towards[..., None])[..., 0], np.float64)
            yield block, np.asarray(which), weights, towards


def _scaled(places: Places, field: Field) -> Floats:
    return np.concatenate([places.at_m / field.range_m, places.traits / field.range_traits], axis=1)


def _correlation(one: Sequence[Floats], other: Sequence[Floats], field: Field) -> Floats:
    """Of places and times given column by column: east, north [m], age [h], traits; any shapes that fit together."""
    distance = np.hypot(one[0] - other[0], one[1] - other[1])
    distance /= field.range_m
    distance += np.abs(one[2] - other[2]) / field.range_h
    for trait, other_trait in zip(one[3:], other[3:], strict=True):
        distance += np.abs(trait - other_trait) / field.range_traits
    return np.asarray(np.exp(np.negative(distance, out=distance), out=distance))


def _columns(places: Places, age_h: Floats, shape: tuple[int, ...]) -> list[Floats]:
    return [column.reshape(shape) for column in (*places.at_m.T, age_h, *places.traits.T)]


def _towards(here: Places, measured: Measured, shared: float, field: Field, *, each: int | None = None) -> Floats:
    """Covariance of n places now with m values (n, m); with `each`, of every place with its own values (n, each)."""
    n = len(here)
    values = _columns(measured.places, measured.age_h, (1, -1) if each is None else (n, each))
    now = _columns(here, np.zeros(n), (n, 1))
    return shared**2 + field.spread**2 * _correlation(now, values, field)


def _among(measured: Measured, shared: float, field: Field, *, each: int | None = None) -> Floats:
    """Covariance of values, noise included: (m, m), or (n, each, each)."""
    m = len(measured.value) if each is None else each
    one, other = (_columns(measured.places, measured.age_h, shape) for shape in ((-1, m, 1), (-1, 1, m)))
    covariance = shared**2 + field.spread**2 * _correlation(one, other, field)
    # The tiny addition keeps two noiseless sensors at one place solvable.
    covariance += np.eye(m) * (field.noise**2 + 1e-9 * field.spread**2 + 1e-12)
    return np.asarray(covariance[0] if each is None else covariance)


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Each of m values beside what the others and the weather say: `error` = predicted − measured, `sd` (m,) of it,
    and `weather_error` = expected − measured. All in the unit of the quantity."""

    error: Floats
    sd: Floats
    weather_error: Floats


def leave_one_out(measured: Measured, shared: float, field: Field) -> LeftOut:
    """Predict each sensor from the others; `shared` is the sd of the weather's error. Values must be finite.

    Notes
    -----
    By the inverse covariance Q: error_i = −(Q d)_i / Q_ii, variance 1 / Q_ii (O. Dubrule, "Cross validation of kriging
    in a unique neighborhood," Math. Geol., vol. 15, 1983, doi:10.1007/BF01033232). The variance includes the noise of
    the sensor left out, since it is its value that is predicted.
    """
    deviation = measured.value - measured.expected
    precision = np.linalg.inv(_among(measured, shared, field))
    own = np.diag(precision)
    return LeftOut(-(precision @ deviation) / own, own**-0.5, -deviation)


@dataclass(frozen=True, slots=True)
class SensorSkill:
    """How well the sensors of a quantity predict one that was left out; errors in its unit.

    `coverage_90` is the share of values within the 90 % interval. `values` were predicted, of `times` times.
    """

    values: int
    times: int
    mae: float
    rmse: float
    weather_mae: float
    weather_rmse: float
    coverage_90: float


def sensor_skill(cases: list[tuple[Measured, float]], field: Field) -> SensorSkill | None:
    """Leave-one-sensor-out errors and interval coverage over several times; None without two sensors at any.

    `cases` hold what was measured at a time and the sd that the weather's estimate had then.
    """
    left_out = [leave_one_out(measured, shared, field) for measured, shared in cases if len(measured.value) > 1]
    if not left_out:
        return None
    error, sd, weather = (
        np.concatenate([getattr(one, name) for one in left_out]) for name in ("error", "sd", "weather_error")
    )
    return SensorSkill(
        values=error.size,
        times=len(left_out),
        mae=float(np.abs(error).mean()),
        rmse=float(np.sqrt((error**2).mean())),
        weather_mae=float(np.abs(weather).mean()),
        weather_rmse=float(np.sqrt((weather**2).mean())),
        coverage_90=float((np.abs(error) <= INTERVAL_90 * sd).mean()),
    )


def fit_field(cases: list[tuple[Measured, float]], assumed: Field) -> Field | None:
    """Spread, ranges and noise that predict sensors left out best; None with too few sensors to tell.

    Maximises the mean log density of left-out values over the times in `cases` plus a weak normal prior on the
    logarithms about `assumed` (sd of a factor of 3, weight of `LEAST_SENSORS_TO_FIT` values). `range_h` stays.
    """
    enough = [(m.take(_spread_rows(len(m.value))), s) for m, s in cases if len(m.value) >= LEAST_SENSORS_TO_FIT]
    if not enough:
        return None
    start = np.log([assumed.spread, assumed.range_m, assumed.noise, assumed.range_traits])
    count = sum(len(measured.value) for measured, _ in enough)
    prior_weight = LEAST_SENSORS_TO_FIT / count

    def field_of(logs: Floats) -> Field:
        spread, range_m, noise, range_traits = np.exp(logs).tolist()
        return replace(assumed, spread=spread, range_m=range_m, noise=noise, range_traits=range_traits)

    def loss(logs: Floats) -> float:
        field, total = field_of(logs), 0.0
        for measured, shared in enough:
            left_out = leave_one_out(measured, shared, field)
            total += float((np.log(left_out.sd) + 0.5 * (left_out.error / left_out.sd) ** 2).sum())
        return total / count + prior_weight * 0.5 * float((((logs - start) / math.log(3.0)) ** 2).sum())

    bounds = [(value - math.log(30.0), value + math.log(30.0)) for value in start]
    found = minimize(loss, start, method="Nelder-Mead", bounds=bounds, options={"maxiter": 300, "fatol": 1e-4})
    return field_of(found.x)


def _spread_rows(count: int) -> NDArray[np.intp]:
    """At most `_MOST_FITTED` rows, evenly."""
    return np.unique(np.linspace(0, count - 1, min(count, _MOST_FITTED)).astype(np.intp))
