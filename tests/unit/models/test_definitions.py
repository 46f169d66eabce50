"""The reference of features says what the code computes: each is defined, and some are computed anew from words."""

import re

import numpy as np
import pytest

from models.features import FEATURE_SET, GROUPS
from models.features.build import FeatureBuilder
from models.features.definitions import DEFINITIONS, GROUP_NOTES
from models.inputs import CityInputs
from models.prior import EFFECTS
from roadtwin.cli.reference_features import WANTED

DAY = np.timedelta64(86_400_000_000, "us")


def test_each_feature_has_a_definition_and_a_prior_and_nothing_else_has():
    assert list(DEFINITIONS) == list(FEATURE_SET.names)
    assert set(EFFECTS) == set(FEATURE_SET.names)
    assert tuple(GROUP_NOTES) == GROUPS


def test_what_physics_asks_for_names_every_feature_and_none_that_is_not_there():
    named = re.findall(r"`(\w+)`", " ".join(where for _, _, where in WANTED))

    assert set(named) == set(FEATURE_SET.names)


def by_definition(inputs: CityInputs, as_of: np.datetime64) -> dict[str, np.ndarray | float]:
    """Computed from the sentences alone, day by day and hole by hole."""
    weather, holes, segments = inputs.weather, inputs.potholes, inputs.segments
    berlin = np.timedelta64(7200 if "-04-" < str(as_of)[4:8] < "-10-" else 3600, "s")
    temp, rain = {}, {}
    for at, known, t, r in zip(
        weather.observed_at, weather.recorded_at, weather.air_temp_c, weather.rain_mm, strict=True
    ):
        if known <= as_of and at > as_of - 62 * DAY:
            day = (at - np.timedelta64(3600, "s") + berlin).astype("datetime64[D]")
            temp.setdefault(day, []).append(t)
            rain.setdefault(day, []).append(r)
    today = (as_of + berlin).astype("datetime64[D]")
    days = [today - k for k in range(1, 61)]
    known_holes = holes.confirmed_at <= as_of
    where = holes.segment_index[known_holes]
    year = where[holes.first_recorded_at[known_holes] > as_of - 365 * DAY]
    n = np.array([float((year == i).sum()) for i in range(len(segments))])
    passes = inputs.segment_days
    day = passes.day.astype("datetime64[D]")
    seen = (passes.recorded_at <= as_of) & (day > today - 180) & (day <= today)
    weight = 0.5 ** ((today - day[seen]).astype(int) / 45)
    index = passes.segment_index[seen]

    def total(values: np.ndarray) -> np.ndarray:
        return np.array([(weight * values[seen])[index == i].sum() for i in range(len(segments))])

    repairs = inputs.repairs
    new = (repairs.recorded_at <= as_of) & (repairs.recorded_at > as_of - 365 * DAY) & repairs.cold_mix
    cold = repairs.segment_index[new & ~repairs.renewal]
    year = float((as_of - as_of.astype("datetime64[Y]")) / (365.25 * DAY)) + float(str(as_of)[:4])
    built = np.maximum(year - segments.construction_year - 0.5, 0)
    design = np.array([{0: 0.3, 1: 1.0, 2: 1.8, 3: 3.2, 4: 10, 5: 32, 6: 100}[int(c)] for c in segments.pavement_class])
    return {
        "pavement_age_years": built,
        "design_load_used_pct": 100 * segments.axle_passes_per_day * 365.25 * built / (design * 1e6),
        "cold_patches_365d": np.array([float((cold == i).sum()) for i in range(len(segments))]),
        "freeze_thaw_30d": float(sum(min(temp[d]) < 0 < max(temp[d]) for d in days[:30])),
        "mean_temp_14d_c": float(np.mean([np.mean(temp[d]) for d in days[:14]])),
        "antecedent_precipitation_mm": float(sum(0.9**k * sum(rain[d]) for k, d in enumerate(days))),
        "rain_then_frost_30d": float(
            sum(min(temp[d]) < 0 and sum(rain[d]) + sum(rain[d - 1]) + sum(rain[d - 2]) >= 2 for d in days[:30])
        ),
        "potholes_365d_relative": (0.5 + n) / (0.5 + n.sum() * segments.length_m / segments.length_m.sum()),
        "alligator_cracks_per_pass": total(passes.alligator_cracks) / total(passes.good_passes),
    }


@pytest.mark.parametrize("as_of", ["2025-01-20T04:00", "2025-07-20T22:30"])
def test_features_computed_from_their_definitions_are_those_of_the_builder(city, as_of):
    at = np.datetime64(as_of, "us")
    table = FeatureBuilder(city.inputs).at(at)

    for name, expected in by_definition(city.inputs, at).items():
        np.testing.assert_allclose(table[:, FEATURE_SET.index(name)], expected, rtol=1e-5, err_msg=name)
