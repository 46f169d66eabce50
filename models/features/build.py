"""All features of all segments as of a time. Reads only rows with `recorded_at` ≤ that time."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.days import local_day
from models.features import FEATURE_SET, FeatureSet
from models.features.forecast import ForecastFeatures
from models.features.memory import count_by_segment, days_since, neighbours, newest_by_segment, relative_rate
from models.features.passes import CameraFeatures
from models.features.sensors import FinishedDays, SensorFeatures
from models.features.wear import (
    axle_passes_million,
    design_load_used_pct,
    pavement_age_years,
    recent_trench_pct,
    wearing_course_age_years,
)
from models.features.weather import (
    antecedent_precipitation_mm,
    freeze_thaw_days,
    frost_index_cd,
    rain_then_frost_days,
    season,
    thaw_state,
    window_mean,
    window_sum,
)
from models.features.windows import HISTORY_DAYS
from models.inputs import CityInputs, Floats, Instant, Instants, WeatherHours

_TRENCH_DAYS = 730
_NEVER = np.datetime64("9999-01-01", "us")


def superseded_at(keys: tuple[NDArray[np.int64], ...], recorded_at: Instants) -> Instants:
    """When a row was replaced by a later one of the same key; the end of time if never.

    Parameters
    ----------
    keys : tuple of ndarray, each of shape (n,)
        What makes two rows speak of the same thing.
    recorded_at : ndarray of datetime64[us], shape (n,)

    Returns
    -------
    ndarray of datetime64[us], shape (n,)
        A row holds as of t when ``recorded_at <= t < superseded_at``.
    """
    order = np.lexsort((recorded_at, *keys))
    replaced = np.full(recorded_at.size, _NEVER)
    if order.size > 1:
        same = np.logical_and.reduce([key[order][1:] == key[order][:-1] for key in keys])
        replaced[order[:-1][same]] = recorded_at[order[1:][same]]
    return replaced


@dataclass(frozen=True, slots=True)
class DailyWeather:
    """Local days that are over, oldest first, the last of them yesterday; hours not known leave a day incomplete."""

    day: Instants
    minimum_c: Floats
    mean_c: Floats
    maximum_c: Floats
    rain_mm: Floats


class FeatureBuilder:
    """Prepares inputs once (sorting, local days, neighbours) and then computes features for any number of times.

    Preparation uses all rows given, but only in ways that leave the answer for t untouched by rows recorded
    after t: `CityInputs.recorded_by(t)` gives the same features, which the tests check.
    """

    def __init__(self, inputs: CityInputs, feature_set: FeatureSet = FEATURE_SET) -> None:
        self.inputs = inputs
        self.feature_set = feature_set
        self._neighbours = neighbours(inputs.segments.positions_m())
        self._length_share = inputs.segments.length_m / max(inputs.segments.length_m.sum(), 1.0)
        self._passes = CameraFeatures(inputs.segment_days, len(inputs.segments))
        weather = inputs.weather
        keys = (weather.station.astype(np.int64), weather.observed_at.astype(np.int64))
        self._weather_superseded_at = superseded_at(keys, weather.recorded_at)
        measured = inputs.sensor_days
        keys = (measured.sensor.astype(np.int64), measured.day.astype(np.int64))
        self._forecasts = ForecastFeatures(inputs.forecasts, inputs.timezone)
        tables = [*(former for _, former in inputs.editions), inputs.segments]
        self._sensors = SensorFeatures(measured, superseded_at(keys, measured.recorded_at), tables)

    def at(self, as_of: Instant, rows: NDArray[np.int64] | None = None) -> NDArray[np.float32]:
        """Features of every segment as of a time, shape (n_segments, n_features), in the order of the feature set.

        `rows`: of these segments only, in this order. What cameras saw, the most work, is then added up for them alone.
        """
        as_of = as_of.astype("datetime64[us]")
        daily = self.daily_weather(as_of)
        named: dict[str, Floats | float] = {
            **self._weather(as_of, daily),
            **self._wear(as_of),
            **self._memory(as_of),
            **self._camera(as_of, rows),
            **self._measured(as_of, daily),
        }
        count = len(self.inputs.segments) if rows is None else rows.size
        table = np.empty((count, len(self.feature_set.features)), dtype=np.float32)
        for column, name in enumerate(self.feature_set.names):
            values = named[name]
            table[:, column] = values if rows is None or not isinstance(values, np.ndarray) else values[rows]
        return table

    def daily_weather(self, as_of: Instant) -> DailyWeather:
        """Weather of the `HISTORY_DAYS` local days before the one of `as_of`, as known then, mean of all stations.

        Today is left out, as in `SensorFeatures`: a sum that counts it holds less rain in the morning than at night, so
        that a model trained at one hour would misread the other.
        """
        zone = self.inputs.timezone
        today = local_day(np.array([as_of]), zone)[0]
        last_hour = as_of.astype("datetime64[h]").astype(np.int64)
        hours = np.arange(last_hour - 24 * (HISTORY_DAYS + 2), last_hour) + 1
        temp_c, rain_mm = hourly_means(self.inputs.weather, self._weather_superseded_at, as_of, hours)
        # observed_at is the end of the hour: an hour belongs to the day in which it began.
        day_of_hour = local_day((hours - 1).astype("datetime64[h]").astype("datetime64[us]"), zone)
        over = (day_of_hour >= today - HISTORY_DAYS) & (day_of_hour < today)
        temp_c, rain_mm = temp_c[over], rain_mm[over]
        day, start = np.unique(day_of_hour[over], return_index=True)
        return DailyWeather(
            day=day,
            minimum_c=np.fmin.reduceat(temp_c, start),
            mean_c=_nan_mean(temp_c, start),
            maximum_c=np.fmax.reduceat(temp_c, start),
            rain_mm=_nan_sum(rain_mm, start),
        )

    def _weather(self, as_of: Instant, daily: DailyWeather) -> dict[str, float]:
        cycles = freeze_thaw_days(daily.minimum_c, daily.maximum_c)
        thaw_index, thaw_days = thaw_state(daily.mean_c)
        sine, cosine = season(local_day(np.array([as_of]), self.inputs.timezone)[0])
        return {
            "freeze_thaw_7d": window_sum(cycles, 7),
            "freeze_thaw_14d": window_sum(cycles, 14),
            "freeze_thaw_30d": window_sum(cycles, 30),
            "freeze_thaw_90d": window_sum(cycles, 90),
            "frost_index_30d_cd": frost_index_cd(daily.mean_c, 30),
            "frost_index_180d_cd": frost_index_cd(daily.mean_c, 180),
            "thaw_index_cd": thaw_index,
            "days_since_thaw": thaw_days,
            "mean_temp_14d_c": window_mean(daily.mean_c, 14),
            "rain_3d_mm": window_sum(daily.rain_mm, 3),
            "rain_7d_mm": window_sum(daily.rain_mm, 7),
            "rain_30d_mm": window_sum(daily.rain_mm, 30),
            "antecedent_precipitation_mm": antecedent_precipitation_mm(daily.rain_mm),
            "rain_then_frost_30d": window_sum(rain_then_frost_days(daily.rain_mm, daily.minimum_c), 30),
            **self._forecasts.at(as_of),
            "season_sin": sine,
            "season_cos": cosine,
        }

    def _wear(self, as_of: Instant) -> dict[str, Floats]:
        segments, repairs, permits = self.inputs.segments_at(as_of), self.inputs.repairs, self.inputs.trench_permits
        count = len(segments)
        renewed = newest_by_segment(
            repairs.segment_index, repairs.observed_at, (repairs.recorded_at <= as_of) & repairs.renewal, count
        )
        recent = (permits.recorded_at <= as_of) & (permits.recorded_at > as_of - np.timedelta64(_TRENCH_DAYS, "D"))
        weights = permits.area_m2[recent]
        # bincount gives integers when there is no row at all
        opened = np.bincount(permits.segment_index[recent], weights=weights, minlength=count).astype(np.float64)
        surface_years = wearing_course_age_years(segments.wearing_course_year, renewed, as_of, segments.road_class)
        years = pavement_age_years(segments.construction_year, as_of, segments.road_class)
        axles = segments.axle_passes_per_day
        return {
            "wearing_course_age_years": surface_years,
            "pavement_age_years": years,
            "design_load_used_pct": design_load_used_pct(axle_passes_million(axles, years), segments.pavement_class),
            "pavement_class": segments.pavement_class,
            "heavy_vehicles_per_day": segments.heavy_vehicles_per_day,
            "axle_passes_per_day": axles,
            "bus_route": segments.bus_route,
            "trench_area_pct": segments.trench_area_pct,
            "recent_trench_pct": recent_trench_pct(opened, segments.length_m, segments.width_m),
            "thickness_cm": segments.thickness_cm,
            "frost_deficit_cm": segments.frost_deficit_cm,
            "drainage": segments.drainage,
            "gully_spacing_m": segments.gully_spacing_m,
            "tree_cover_pct": segments.tree_cover_pct,
            "width_m": segments.width_m,
            "length_m": segments.length_m,
            **self._survey(as_of),
        }

    def _survey(self, as_of: Instant) -> dict[str, Floats]:
        """The newest survey of each segment that was known."""
        surveys, count = self.inputs.surveys.recorded_by(as_of), len(self.inputs.segments)
        order = np.lexsort((surveys.recorded_at, surveys.observed_at))  # of equal keys, assignment keeps the last
        where = surveys.segment_index[order]

        def newest(values: Floats) -> Floats:
            column = np.full(count, np.nan)
            column[where] = values[order]
            return column

        return {
            "survey_crack_pct": newest(surveys.crack_pct),
            "survey_patch_pct": newest(surveys.patch_pct),
            "survey_rut_depth_mm": newest(surveys.rut_depth_mm),
            "survey_total_grade": newest(surveys.total_grade),
            "survey_age_years": newest(days_since(surveys.observed_at, as_of) / 365.25),
        }

    def _memory(self, as_of: Instant) -> dict[str, Floats]:
        holes, repairs, count = self.inputs.potholes, self.inputs.repairs, len(self.inputs.segments)
        spells = self.inputs.open_spells
        known = holes.confirmed_at <= as_of  # NaT compares false: candidates are not counted
        where, first = holes.segment_index, holes.first_recorded_at
        mended = repairs.recorded_at <= as_of

        def counted(days: int) -> Floats:
            return count_by_segment(where, known & (first > as_of - np.timedelta64(days, "D")), count)

        ever, year = count_by_segment(where, known, count), counted(365)
        usual = self._length_share  # of a city's potholes, if all of its roads were equal
        patched = mended & ~repairs.renewal
        a_year_ago = as_of - np.timedelta64(365, "D")
        renewed = newest_by_segment(repairs.segment_index, repairs.observed_at, mended & repairs.renewal, count)
        gone = repairs.observed_at <= renewed[repairs.segment_index]  # NaT compares false
        return {
            "potholes_30d": counted(30),
            "potholes_90d": counted(90),
            "potholes_365d_relative": relative_rate(year, year.sum() * usual),
            "potholes_relative": relative_rate(ever, ever.sum() * usual),
            "potholes_200m_relative": relative_rate(
                self._neighbours @ year, year.sum() * (self._neighbours @ usual), shape=2.0
            ),
            "potholes_open": count_by_segment(
                spells.segment_index, (spells.opened_at <= as_of) & ~(spells.closed_at <= as_of), count
            ),
            "days_since_pothole": days_since(newest_by_segment(where, first, known, count), as_of),
            "repairs_90d": count_by_segment(
                repairs.segment_index, patched & (repairs.recorded_at > as_of - np.timedelta64(90, "D")), count
            ),
            "days_since_repair": days_since(
                newest_by_segment(repairs.segment_index, repairs.observed_at, patched, count), as_of
            ),
            "cold_patches_365d": count_by_segment(
                repairs.segment_index, patched & repairs.cold_mix & (repairs.recorded_at > a_year_ago) & ~gone, count
            ),
        }

    def _camera(self, as_of: Instant, rows: NDArray[np.int64] | None) -> dict[str, Floats]:
        """Of other segments than `rows` there is nothing."""
        count, inspections = len(self.inputs.segments), self.inputs.inspections
        today = local_day(np.array([as_of]), self.inputs.timezone)[0]
        inspected = newest_by_segment(
            inspections.segment_index, inspections.observed_at, inspections.recorded_at <= as_of, count
        )
        wanted = None
        if rows is not None:
            wanted = np.zeros(count, bool)
            wanted[rows] = True
        seen = self._passes.last_seen(as_of, today, wanted)
        return {
            **self._passes.at(as_of, today, wanted),
            "last_seen_days": np.fmin(days_since(seen, as_of), days_since(inspected, as_of)),
        }

    def _measured(self, as_of: Instant, daily: DailyWeather) -> dict[str, Floats]:
        today = local_day(np.array([as_of]), self.inputs.timezone)[0]
        weather = FinishedDays(daily.minimum_c, daily.maximum_c, daily.rain_mm)
        return self._sensors.at(as_of, today, weather, edition=self.inputs.edition_at(as_of))


def hourly_means(
    weather: WeatherHours, replaced_at: Instants, as_of: Instant, hours: NDArray[np.int64]
) -> tuple[Floats, Floats]:
    """Mean over stations of what was known at `as_of`, for the hours (since 1970, contiguous) that end then.

    Returns temperature [°C] and rain [mm], each of shape (n_hours,), NaN where no station is known. Several reports
    of a station within one hour are averaged for temperature and summed for rain by its hourly records alone: records
    must be hourly (`records.schema.Weather`), the hour is that of `observed_at`.
    """
    known = (weather.recorded_at <= as_of) & (as_of < replaced_at)
    at = weather.observed_at.astype("datetime64[h]").astype(np.int64) - hours[0]
    rows = known & (at >= 0) & (at < hours.size)

    def mean(values: Floats) -> Floats:
        used = rows & np.isfinite(values)
        total = np.bincount(at[used], weights=values[used], minlength=hours.size)
        number = np.bincount(at[used], minlength=hours.size)
        means: Floats = np.divide(total, number, out=np.full(hours.size, np.nan), where=number > 0)
        return means

    return mean(weather.air_temp_c), mean(weather.rain_mm)


def _nan_sum(values: Floats, start: NDArray[np.int64]) -> Floats:
    known = np.add.reduceat(np.isfinite(values).astype(float), start)
    return np.where(known > 0, np.add.reduceat(np.nan_to_num(values), start), np.nan)


def _nan_mean(values: Floats, start: NDArray[np.int64]) -> Floats:
    known = np.add.reduceat(np.isfinite(values).astype(float), start)
    means: Floats = np.divide(_nan_sum(values, start), known, out=np.full(start.size, np.nan), where=known > 0)
    return means
