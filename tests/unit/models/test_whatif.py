import numpy as np
import pytest

from models.features import FEATURE_SET
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
from models.weather_scenario import (
    SCENARIO_DAYS,
    WeatherScenario,
    apply_weather,
    changed_by_weather,
    kept_sum,
    left_by_weather,
    out_of_season,
    scenario_weather,
)
from models.whatif import Ranges, answer, apply_treatment, clip_changed
from models.whatif_words import Treatment, assumptions
from tests.service_model import make_model, make_rows

SCENARIOS = [s for s in WeatherScenario if s is not WeatherScenario.AS_FORECAST]


def features_of(minimum, mean, maximum, rain, day="2026-01-15"):
    """A row with the weather features of a series, all else 1."""
    row = np.ones((1, len(FEATURE_SET.names)), dtype=np.float32)
    cycles = freeze_thaw_days(minimum, maximum)
    thaw_index, thaw_days = thaw_state(mean)
    sine, cosine = season(np.datetime64(day))
    values = {
        "freeze_thaw_7d": window_sum(cycles, 7),
        "freeze_thaw_14d": window_sum(cycles, 14),
        "mean_temp_14d_c": window_mean(mean, 14),
        "surface_freeze_thaw_7d": window_sum(cycles, 7),
        "surface_freeze_thaw_30d": window_sum(cycles, 30),
        "surface_freeze_thaw_90d": window_sum(cycles, 90),
        "surface_minimum_7d_c": minimum[-7:].min(),
        "forecast_freeze_thaw_7d": window_sum(cycles, 7),
        "forecast_mean_temp_7d_c": window_mean(mean, 7),
        "forecast_rain_7d_mm": window_sum(rain, 7),
        "freeze_thaw_30d": window_sum(cycles, 30),
        "freeze_thaw_90d": window_sum(cycles, 90),
        "frost_index_30d_cd": frost_index_cd(mean, 30),
        "frost_index_180d_cd": frost_index_cd(mean, 180),
        "thaw_index_cd": thaw_index,
        "days_since_thaw": thaw_days,
        "rain_3d_mm": window_sum(rain, 3),
        "rain_7d_mm": window_sum(rain, 7),
        "rain_30d_mm": window_sum(rain, 30),
        "antecedent_precipitation_mm": antecedent_precipitation_mm(rain),
        "rain_then_frost_30d": window_sum(rain_then_frost_days(rain, minimum), 30),
        "season_sin": sine,
        "season_cos": cosine,
    }
    for name, value in values.items():
        row[0, FEATURE_SET.index(name)] = value
    return row


def even_past():
    """200 days that are all alike, so that what a window keeps of them is exact."""
    return tuple(np.full(200, value) for value in (-3.0, -1.0, 4.0, 3.0))


def column(rows, name):
    return float(rows[0, FEATURE_SET.index(name)])


@pytest.mark.parametrize("days", SCENARIO_DAYS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_a_scenario_gives_the_features_of_the_series_that_it_stands_for(scenario, days):
    past, coming = even_past(), scenario_weather(scenario, days)
    series = [np.concatenate(pair) for pair in zip(past, (coming.minimum_c, coming.mean_c, coming.maximum_c,
                                                         coming.rain_mm), strict=True)]  # fmt: skip
    expected = features_of(*series)
    changed = apply_weather(features_of(*past), scenario, days)
    for name in changed_by_weather():
        # The index of the feature table leaves out what is older than 60 days, 0.2 % of it.
        within = 0.01 if name == "antecedent_precipitation_mm" else 1e-4
        assert column(changed, name) == pytest.approx(column(expected, name), rel=within), name


def test_a_scenario_changes_weather_and_nothing_else():
    rows = features_of(*even_past())
    changed = apply_weather(rows, WeatherScenario.LONG_RAIN, 28)
    differing = {FEATURE_SET.names[i] for i in np.flatnonzero((rows != changed).any(axis=0))}
    assert differing <= set(changed_by_weather())
    assert {"rain_7d_mm", "freeze_thaw_30d", "thaw_index_cd"} <= differing
    assert column(changed, "season_sin") == column(rows, "season_sin")
    assert not set(left_by_weather()) & set(changed_by_weather())


def test_as_forecast_leaves_the_rows_as_they_are():
    rows = features_of(*even_past())
    assert np.array_equal(apply_weather(rows, WeatherScenario.AS_FORECAST, 7), rows)


def test_a_thaw_that_goes_on_is_capped_and_unknown_stays_unknown_where_the_past_reaches_in():
    rows = features_of(*even_past())
    rows[0, FEATURE_SET.index("thaw_index_cd")] = 390.0
    rows[0, FEATURE_SET.index("freeze_thaw_7d")] = np.nan
    rows[0, FEATURE_SET.index("freeze_thaw_90d")] = np.nan
    changed = apply_weather(rows, WeatherScenario.MILD, 7)
    assert column(changed, "thaw_index_cd") == 400
    assert column(changed, "freeze_thaw_7d") == 0  # filled by the scenario
    assert np.isnan(column(changed, "freeze_thaw_90d"))


def test_what_only_sensors_tell_stays_unknown_without_them():
    rows = features_of(*even_past())
    rows[0, FEATURE_SET.index("surface_freeze_thaw_7d")] = np.nan
    rows[0, FEATURE_SET.index("surface_minimum_7d_c")] = np.nan
    changed = apply_weather(rows, WeatherScenario.HARD_FROST, 28)
    assert np.isnan(column(changed, "surface_freeze_thaw_7d"))
    assert np.isnan(column(changed, "surface_minimum_7d_c"))


def test_a_sum_beyond_the_longest_window_and_an_unknown_length_are_refused():
    with pytest.raises(ValueError, match="expected at most 30"):
        kept_sum([(30, np.array([1.0]))], 31)
    with pytest.raises(ValueError, match="expected 7 or 28"):
        scenario_weather(WeatherScenario.MILD, 8)


@pytest.mark.parametrize(("day", "foreign"), [("2026-01-15", False), ("2026-07-15", True)])
def test_frost_in_summer_is_said_to_be_foreign(day, foreign):
    rows = features_of(*even_past(), day=day)
    assert out_of_season(rows, WeatherScenario.HARD_FROST) is foreign
    assert out_of_season(rows, WeatherScenario.LONG_RAIN) is False


def test_a_treatment_touches_only_what_it_acts_on():
    rows = np.full((2, len(FEATURE_SET.names)), 3.0, dtype=np.float32)
    rows[1, FEATURE_SET.index("drainage")] = np.nan

    def touched(treatment, **more):
        after = apply_treatment(rows, treatment, **more)
        same = (rows == after) | (np.isnan(rows) & np.isnan(after))
        return {FEATURE_SET.names[i] for i in np.flatnonzero(~same.all(axis=0))}

    assert touched(Treatment.NONE) == set()
    assert touched(Treatment.COLD_MIX) == {"potholes_open"}
    assert touched(Treatment.INFILL) == {"potholes_open", "alligator_cracks_per_pass"}
    assert touched(Treatment.CRACK_SEALING) == {"linear_cracks_per_pass"}
    assert touched(Treatment.DRAINAGE_REPAIR) == {"drainage"}
    assert "roughness_mps2" not in touched(Treatment.RESURFACING)
    assert "roughness_mps2" in touched(Treatment.RESURFACING, smooth_mps2=0.5)
    untouchable = {"repairs_90d", "days_since_repair", "length_m", "potholes_200m_relative"}
    for treatment in Treatment:
        assert not touched(treatment, smooth_mps2=0.5) & untouchable
    assert np.isnan(apply_treatment(rows, Treatment.DRAINAGE_REPAIR)[1, FEATURE_SET.index("drainage")])


def test_reconstruction_gives_the_thickness_that_was_missing():
    rows = np.full((1, len(FEATURE_SET.names)), 3.0, dtype=np.float32)
    after = apply_treatment(rows, Treatment.RECONSTRUCTION)
    assert column(after, "thickness_cm") == 6
    assert column(after, "frost_deficit_cm") == 0


def test_a_new_surface_takes_cold_patches_with_it_and_a_new_pavement_its_load_too():
    rows = np.full((1, len(FEATURE_SET.names)), 3.0, dtype=np.float32)
    surface, pavement = (apply_treatment(rows, t) for t in (Treatment.RESURFACING, Treatment.RECONSTRUCTION))
    under = ("pavement_age_years", "design_load_used_pct")
    assert [column(surface, name) for name in ("cold_patches_365d", *under)] == [0, 3, 3]
    assert [column(pavement, name) for name in ("cold_patches_365d", *under)] == [0, 0, 0]


def test_only_what_was_changed_is_held_within_the_range_of_training():
    before = np.full((1, len(FEATURE_SET.names)), 9.0, dtype=np.float32)
    after = before.copy()
    after[0, :3] = 20, np.nan, 5
    unknown = np.full(len(FEATURE_SET.names), np.nan)
    held, names = clip_changed(before, after, Ranges(unknown, unknown))
    assert np.array_equal(held, after, equal_nan=True)
    assert names == ()
    held, names = clip_changed(before, after, Ranges(unknown, np.full(len(FEATURE_SET.names), 8.0)))
    assert held[0, 0] == 8
    assert np.isnan(held[0, 1])
    assert held[0, 2:4].tolist() == [5, 9]  # what was measured beyond it stays
    assert names == (FEATURE_SET.names[0],)


@pytest.fixture(scope="module")
def trained():
    return make_model(), make_rows(50)


def test_renewal_lowers_and_frost_raises_what_the_model_expects(trained):
    model, rows = trained
    renewed = answer(model, rows, treatment=Treatment.RESURFACING, weather=WeatherScenario.AS_FORECAST, days=7)
    assert np.array_equal(renewed.now.probability, renewed.untreated.probability)
    assert (renewed.avoided_count() > 1).all()
    frost = answer(model, rows, treatment=Treatment.RESURFACING, weather=WeatherScenario.FROST_THAW, days=7)
    mild = answer(model, rows, treatment=Treatment.RESURFACING, weather=WeatherScenario.MILD, days=7)
    assert (frost.untreated.expected_count.sum(axis=0) > mild.untreated.expected_count.sum(axis=0)).all()
    assert "freeze_thaw_7d" in frost.changed
    assert (np.diff(frost.treated.probability, axis=1) >= 0).all()


def test_every_answer_to_a_treatment_says_that_it_is_no_proof(trained):
    model, rows = trained
    for treatment in Treatment:
        codes = [a.code for a in answer(
            model, rows, treatment=treatment, weather=WeatherScenario.MILD, days=28
        ).assumptions]  # fmt: skip
        assert ("no_proof" in codes) is (treatment is not Treatment.NONE)
        assert {f"treatment_{treatment}", "weather_mild", "counts_from_the_end"} <= set(codes)
    texts = assumptions(Treatment.COLD_MIX, WeatherScenario.HARD_FROST, 28)
    assert all(a.text_de and a.text_en and "{" not in a.text_de + a.text_en for a in texts)
    assert any("28" in a.text_en for a in texts)


def test_a_treatment_with_nothing_to_do_says_so(trained):
    model, rows = trained
    sound = rows.copy()
    sound[:, FEATURE_SET.index("potholes_open")] = 0
    told = answer(model, sound, treatment=Treatment.COLD_MIX, weather=WeatherScenario.AS_FORECAST, days=7)
    assert "nothing_to_treat" in [a.code for a in told.assumptions]
    assert (told.avoided_count() == 0).all()
