"""Features as of a time: right, complete, and blind to what was recorded later."""

from dataclasses import fields, replace
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from models.days import local_day
from models.features import FEATURE_SET, GROUPS
from models.features.build import FeatureBuilder, superseded_at
from models.inputs import CityInputs, Repairs, SegmentTable, WeatherHours, instant

TABLES = ("weather", "segment_days", "inspections", "repairs", "trench_permits")


def assert_as_of(features_of, inputs: CityInputs, as_of: np.datetime64) -> None:
    """Whatever computes features must not see anything recorded after `as_of`."""
    with_all, with_known = features_of(inputs, as_of), features_of(inputs.recorded_by(as_of), as_of)
    for column, name in enumerate(FEATURE_SET.names):
        np.testing.assert_array_equal(with_all[:, column], with_known[:, column], err_msg=name)


def features_of(inputs: CityInputs, as_of: np.datetime64) -> np.ndarray:
    return FeatureBuilder(inputs).at(as_of)


def value(inputs: CityInputs, name: str, as_of: np.datetime64) -> np.ndarray:
    return features_of(inputs, as_of)[:, FEATURE_SET.index(name)]


def with_late_rows(inputs: CityInputs, as_of: np.datetime64) -> CityInputs:
    """Every table doubled by rows recorded a minute after `as_of` that say they were observed before it."""
    late = {}
    for name in TABLES:
        table = getattr(inputs, name)
        columns = {f.name: getattr(table, f.name) for f in fields(table)}
        recorded = np.full(len(table), as_of + np.timedelta64(60, "s"))
        twice = {key: np.concatenate([column, column]) for key, column in columns.items()}
        late[name] = replace(table, **twice | {"recorded_at": np.concatenate([columns["recorded_at"], recorded])})
    holes = inputs.potholes
    later = holes.take(holes.first_recorded_at <= as_of)
    shift = as_of + np.timedelta64(60, "s") - later.first_recorded_at
    moved = {f.name: getattr(later, f.name) + (0 if f.name == "segment_index" else shift) for f in fields(later)}
    late["potholes"] = replace(
        holes, **{f.name: np.concatenate([getattr(holes, f.name), moved[f.name]]) for f in fields(holes)}
    )
    return replace(inputs, **late)


def test_features_do_not_change_with_rows_recorded_later(city):
    for share in (0.3, 0.7):
        assert_as_of(
            features_of, city.inputs, city.until - (city.until - instant("2023-10-01")) * int(share * 10) // 10
        )


def test_late_rows_with_an_old_observed_at_change_nothing(city):
    as_of = city.until - np.timedelta64(300 * 86400, "s")

    np.testing.assert_array_equal(
        features_of(city.inputs, as_of), features_of(with_late_rows(city.inputs, as_of), as_of)
    )


def test_a_planted_future_feature_is_caught(city):
    def with_future(inputs: CityInputs, as_of: np.datetime64) -> np.ndarray:
        table = features_of(inputs, as_of)
        table[:, FEATURE_SET.index("potholes_90d")] = np.bincount(
            inputs.potholes.segment_index, minlength=len(inputs.segments)
        )
        return table

    with pytest.raises(AssertionError, match="potholes_90d"):
        assert_as_of(with_future, city.inputs, city.until - np.timedelta64(300 * 86400, "s"))


def test_a_correction_replaces_its_row_only_from_when_it_was_recorded(city):
    as_of = city.until
    days = city.inputs.segment_days
    last = days.take(np.array([len(days) - 500]))
    fix = replace(last, recorded_at=last.recorded_at + np.timedelta64(3600, "s"), alligator_cracks=np.array([500.0]))
    both = {f.name: np.concatenate([getattr(days, f.name), getattr(fix, f.name)]) for f in fields(days)}
    corrected = replace(city.inputs, segment_days=replace(days, **both))
    segment = int(last.segment_index[0])

    before = value(corrected, "alligator_cracks_per_pass", last.recorded_at[0])[segment]
    after = value(corrected, "alligator_cracks_per_pass", as_of)[segment]

    assert before == value(city.inputs, "alligator_cracks_per_pass", last.recorded_at[0])[segment]
    assert after > before + 10


def test_what_a_city_lacks_is_unknown_and_not_zero(city):
    assert np.isnan(value(city.inputs, "tree_cover_pct", city.until)).all()


def test_without_any_weather_the_weather_is_unknown(city):
    empty = replace(city.inputs, weather=city.inputs.weather.take(np.zeros(0, int)))
    table = features_of(empty, city.until)
    seasonal = {FEATURE_SET.index("season_sin"), FEATURE_SET.index("season_cos")}

    assert np.isnan(table[:, [i for i in FEATURE_SET.columns(["weather"]) if i not in seasonal]]).all()


def with_weather(inputs: CityInputs, begin: np.datetime64, temp_c: np.ndarray, rain_mm: np.ndarray) -> CityInputs:
    """The city with one station's weather of so many hours from `begin` on, each recorded when it ended."""
    end = begin + (np.arange(temp_c.size) + 1) * np.timedelta64(3_600_000_000, "us")
    station = np.zeros(temp_c.size, np.int32)
    return replace(inputs, weather=WeatherHours(end, end, station, air_temp_c=temp_c, rain_mm=rain_mm))


def test_freeze_thaw_days_and_rain_are_counted_by_local_day(city):
    """A frost from 23 to 24 h local time belongs to that day, whatever UTC says."""
    local_hour = (np.arange(24 * 40) + 1) % 24  # Berlin's winter hour in which the hour of weather begins
    temp_c, rain_mm = np.where(local_hour == 23, -1.0, 5.0), np.where(local_hour == 0, 1.0, 0.0)
    inputs = with_weather(city.inputs, instant("2026-01-01"), temp_c, rain_mm)
    inputs.weather.air_temp_c[-10 * 24 + 22] = 5.0  # the frost hour of 31 January

    assert value(inputs, "freeze_thaw_7d", instant("2026-02-06T23:30"))[0] == 6  # 00:30 of 7 February
    assert value(inputs, "freeze_thaw_7d", instant("2026-02-07T23:30"))[0] == 7
    assert value(inputs, "rain_7d_mm", instant("2026-02-09T22:30"))[0] == 7


@pytest.mark.parametrize("day", ["2026-02-20", "2026-03-29", "2026-10-25"])
def test_what_the_weather_did_is_the_same_all_day_and_today_counts_tomorrow(city, rng, day):
    inputs = with_weather(
        city.inputs, instant("2025-06-01"), rng.normal(1, 6, 24 * 550), rng.exponential(0.1, 24 * 550)
    )
    instants = [local_instant(day, hour) for hour in (0, 5, 23)]
    columns = [
        column for column in FEATURE_SET.columns(["weather"]) if not FEATURE_SET.names[column].startswith("forecast")
    ]
    midnight, morning, night = (features_of(inputs, at)[0, columns] for at in instants)
    next_morning = features_of(inputs, instants[1] + np.timedelta64(86_400_000_000, "us"))[0, columns]

    assert np.isfinite(morning).all()
    np.testing.assert_array_equal(midnight, morning)
    np.testing.assert_array_equal(night, morning)
    rain = columns.index(FEATURE_SET.index("rain_30d_mm"))
    assert next_morning[rain] != morning[rain]


def local_instant(day: str, hour: int) -> np.datetime64:
    at = datetime.fromisoformat(day).replace(hour=hour, tzinfo=ZoneInfo("Europe/Berlin"))
    return instant(at.astimezone(UTC).replace(tzinfo=None).isoformat())


def test_local_days_of_23_and_25_hours():
    zone = ZoneInfo("Europe/Berlin")
    hours = instant("2026-03-27") + np.arange(24 * 230) * np.timedelta64(3_600_000_000, "us")
    day, count = np.unique(local_day(hours, zone), return_counts=True)
    of = dict(zip(day.astype(str).tolist(), count.tolist(), strict=True))

    assert (of["2026-03-28"], of["2026-03-29"], of["2026-10-25"]) == (24, 23, 25)


def test_a_pothole_counts_from_its_confirmation_on(city):
    holes = city.inputs.potholes
    waiting = np.flatnonzero(holes.confirmed_at - holes.first_recorded_at > np.timedelta64(3 * 86400, "s"))[50]
    segment = holes.segment_index[waiting]
    moment = holes.confirmed_at[waiting]
    before = value(city.inputs, "potholes_90d", moment - np.timedelta64(1, "s"))[segment]

    assert value(city.inputs, "potholes_90d", moment)[segment] == before + 1


def test_a_renewed_surface_makes_the_wearing_course_young(city):
    repairs = city.inputs.repairs.take(np.array([0]))
    renewed = replace(repairs, renewal=np.array([True]))
    as_of = repairs.recorded_at[0] + np.timedelta64(365 * 86400, "s")
    age = value(replace(city.inputs, repairs=renewed), "wearing_course_age_years", as_of)

    assert age[repairs.segment_index[0]] == pytest.approx(1.0, abs=0.05)


def test_a_course_that_was_laid_later_does_not_make_the_road_young_before(city):
    years = city.inputs.segments.wearing_course_year.copy()
    years[:3] = [2024, 2026, 2026]
    classes = city.inputs.segments.road_class
    alike = np.flatnonzero(classes[3:] == classes[1]) + 3
    inputs = replace(city.inputs, segments=replace(city.inputs.segments, wearing_course_year=years))

    before, after = (value(inputs, "wearing_course_age_years", instant(day)) for day in ("2025-06-30", "2026-12-31"))

    assert before[0] == pytest.approx(1.0, abs=0.01)
    others = np.append(alike, 0) if classes[0] == classes[1] else alike
    assert before[1] == pytest.approx(np.nanmedian(before[others]))  # that of a usual road of its class
    assert after[:3] == pytest.approx([2.5, 0.5, 0.5], abs=0.01)


def test_feature_set_is_complete_in_both_languages():
    assert len(set(FEATURE_SET.names)) == len(FEATURE_SET.features)
    for feature in FEATURE_SET.features:
        assert feature.group in GROUPS
        assert feature.label_de
        assert feature.label_en
        if not feature.name.startswith("season"):
            assert "{value}" in feature.text_de
            assert "{value}" in feature.text_en


def with_repairs(inputs: CityInputs, *rows: tuple[str, str, bool, bool]) -> CityInputs:
    """The city with repairs on its first segment alone: observed, recorded, renewal, cold mix."""
    observed, recorded, renewal, cold_mix = zip(*rows, strict=True)
    repairs = Repairs(
        recorded_at=np.array(recorded, "datetime64[us]"),
        observed_at=np.array(observed, "datetime64[us]"),
        segment_index=np.zeros(len(rows), np.int32),
        renewal=np.array(renewal),
        cold_mix=np.array(cold_mix),
    )
    return replace(inputs, repairs=repairs)


def test_cold_patches_count_for_a_year_until_the_surface_is_renewed(city):
    inputs = with_repairs(
        city.inputs,
        ("2025-01-10", "2025-01-12", False, True),
        ("2025-02-10", "2025-02-12", False, True),
        ("2025-02-11", "2025-02-12", False, False),  # hot mix
        ("2025-06-01", "2025-06-03", True, False),
        ("2025-05-20", "2025-06-05", False, True),  # laid before the renewal, recorded after it
        ("2025-07-01", "2025-07-02", False, True),
    )

    def patches(at: str) -> float:
        return float(value(inputs, "cold_patches_365d", instant(at))[0])

    assert [patches(at) for at in ("2025-01-11", "2025-01-12", "2025-02-12", "2025-06-02")] == [0, 1, 2, 2]
    assert [patches(at) for at in ("2025-06-03", "2025-06-06", "2025-07-02", "2026-07-01T23:59")] == [0, 0, 1, 1]
    assert patches("2026-07-02") == 0  # a year after the record
    assert not value(inputs, "cold_patches_365d", instant("2025-02-12"))[1:].any()


def test_used_design_load_is_unknown_where_the_register_is_silent_and_no_renewal_of_the_surface_unloads_it(city):
    segments = city.inputs.segments
    count = len(segments)
    silent = np.arange(count) % 3
    inputs = with_repairs(
        replace(
            city.inputs,
            segments=replace(
                segments,
                construction_year=np.where(silent == 0, np.nan, 1990.0),
                pavement_class=np.where(silent == 1, np.nan, 4.0),
                axle_passes_per_day=np.full(count, 1000.0),
            ),
        ),
        ("2025-06-01", "2025-06-03", True, False),
    )
    at = instant("2026-07-02")
    used = value(inputs, "design_load_used_pct", at)

    assert np.isnan(used[silent < 2]).all()
    assert used[silent == 2] == pytest.approx(100 * 1000 * 365.25 * 36 / 10e6, rel=1e-4)
    assert np.isnan(value(inputs, "pavement_age_years", at)[silent == 0]).all()
    without = replace(inputs, segments=replace(inputs.segments, pavement_class=np.full(count, np.nan)))
    assert np.isnan(value(without, "design_load_used_pct", at)).all()


def test_a_year_of_construction_that_lies_ahead_tells_nothing(city):
    years = np.where(np.arange(len(city.inputs.segments)) == 0, 2030.0, 1990.0)
    inputs = replace(city.inputs, segments=replace(city.inputs.segments, construction_year=years))

    assert value(inputs, "pavement_age_years", instant("2026-07-02")) == pytest.approx(36.0, abs=0.01)


def test_superseded_rows_end_when_the_next_one_was_recorded():
    recorded = np.array(["2026-01-03", "2026-01-01", "2026-01-02"], "datetime64[us]")

    ends = superseded_at((np.array([1, 1, 2]),), recorded)

    assert ends[1] == recorded[0]
    assert (ends[[0, 2]] > instant("2100-01-01")).all()


def test_tables_refuse_columns_of_unequal_length_and_wrong_types(city):
    repairs = city.inputs.repairs
    with pytest.raises(ValueError, match=r"Repairs\.segment_index: got 1 rows, expected"):
        replace(repairs, segment_index=np.zeros(1, np.int32))
    with pytest.raises(ValueError, match=r"Repairs\.observed_at: got datetime64\[D\]"):
        replace(repairs, observed_at=repairs.observed_at.astype("datetime64[D]"))


def test_positions_are_metres(city):
    segments: SegmentTable = city.inputs.segments
    position = segments.positions_m()

    assert np.linalg.norm(position[1] - position[0]) == pytest.approx(100, abs=1)
