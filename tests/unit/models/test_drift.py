"""Drift of features: none in the same city, and named where a distribution moved, vanished or left its range."""

import json

import numpy as np
import pytest

from models.drift import feature_drift, make_reference, stability_index
from models.features import Feature, FeatureSet

NAMES = ("moved", "steady", "weather", "lost", "never_known", "count")
SET = FeatureSet(7, tuple(Feature(name, "wear", "1", 0, name, name, "{value}", "{value}") for name in NAMES))
CUTS = np.arange("2024-01-10", "2026-01-10", 30, dtype="datetime64[D]").astype("datetime64[us]")


def table(rng, cut, rows=800):
    month = cut.astype("datetime64[M]").astype(int) % 12
    frost = 10 + 10 * np.cos(2 * np.pi * month / 12)
    columns = (
        rng.normal(0, 1, rows), rng.gamma(2, 3, rows), np.full(rows, frost), rng.normal(5, 1, rows),
        np.full(rows, np.nan), rng.poisson(0.2, rows),
    )  # fmt: skip
    return np.column_stack(columns).astype(np.float32)


@pytest.fixture(scope="module")
def reference():
    rng = np.random.default_rng(2)
    made = make_reference([table(rng, cut) for cut in CUTS], CUTS, SET)
    return json.loads(json.dumps(made))  # it lives in the database


def by_name(drifts):
    return {d.name: d for d in drifts}


def test_the_same_city_shows_no_drift(reference):
    drift = by_name(feature_drift(table(np.random.default_rng(9), CUTS[0]), 1, reference))

    for name in ("moved", "steady", "count"):
        assert drift[name].psi < drift[name].psi_by_chance
    assert drift["weather"].shared
    assert np.isnan(drift["weather"].psi)
    assert drift["weather"].outside_pct == 0
    assert (drift["never_known"].unknown_pct, drift["never_known"].unknown_reference_pct) == (100, 100)


def test_what_moved_vanished_or_left_its_range_is_seen(reference):
    now = table(np.random.default_rng(9), CUTS[0])
    now[:, NAMES.index("moved")] += 1.5
    now[:, NAMES.index("lost")] = np.nan
    now[:, NAMES.index("weather")] = 35.0
    drift = by_name(feature_drift(now, 1, reference))

    assert drift["moved"].psi > 0.5
    assert drift["steady"].psi < 0.1
    assert (drift["lost"].unknown_pct, drift["lost"].unknown_reference_pct) == (100, 0)
    assert np.isnan(drift["lost"].psi)
    assert drift["weather"].outside_pct == 100


def test_a_month_is_held_against_the_months_around_it():
    rng = np.random.default_rng(4)
    seasonal = FeatureSet(1, SET.features[:1])
    tables = [(rng.normal(0, 1, (500, 1)) + (cut.astype("datetime64[M]").astype(int) % 12 < 3)) for cut in CUTS]
    made = make_reference([t.astype(np.float32) for t in tables], CUTS, seasonal)
    january = (rng.normal(0, 1, (500, 1)) + 1).astype(np.float32)

    assert feature_drift(january, 2, made)[0].psi < 0.1
    assert feature_drift(january, 7, made)[0].psi > 0.3


def test_days_that_are_counted_at_another_hour_are_no_drift():
    rng = np.random.default_rng(6)
    one = FeatureSet(1, SET.features[:1])
    tables = [(rng.integers(0, 12, (600, 1)) + 0.5).astype(np.float32) for _ in CUTS]
    made = make_reference(tables, CUTS, one)
    (drift,) = feature_drift((rng.integers(0, 12, (600, 1)) + 0.17).astype(np.float32), 1, made)

    assert drift.psi < 0.05


def test_what_grew_up_to_the_end_of_training_is_no_drift_then_and_is_later():
    rng = np.random.default_rng(8)
    one = FeatureSet(1, SET.features[:1])
    age = np.arange(CUTS.size) * 30.0
    tables = [(rng.normal(0, 100, (600, 1)) + a).astype(np.float32) for a in age]
    made = make_reference(tables, CUTS, one)
    soon, later = ((rng.normal(0, 100, (600, 1)) + age[-1] + days).astype(np.float32) for days in (1, 300))

    assert feature_drift(soon, 1, made)[0].psi < 0.25
    assert feature_drift(later, 11, made)[0].outside_pct > 50


def test_what_dates_of_training_had_is_usual():
    rng = np.random.default_rng(6)
    one = FeatureSet(1, SET.features[:1])
    tables = [rng.normal(rng.normal(0, 0.8), 1, (600, 1)).astype(np.float32) for _ in CUTS]
    made = make_reference(tables, CUTS, one)
    indices = [
        feature_drift(t, int(c.astype("datetime64[M]").astype(int) % 12 + 1), made)[0]
        for t, c in zip(tables, CUTS, strict=True)
    ]

    assert 0 < np.mean([d.psi > d.psi_usual for d in indices]) <= 0.12


def test_rows_of_another_feature_set_are_refused(reference):
    with pytest.raises(ValueError, match="Got 2 features, expected the 6"):
        feature_drift(np.zeros((3, 2), np.float32), 1, reference)


def test_an_empty_bin_makes_no_index_infinite():
    assert np.isfinite(stability_index(np.array([0, 100]), np.array([100, 0])))
