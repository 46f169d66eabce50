"""Leaks are planted and must be caught; where none was planted, none is found."""

from dataclasses import fields, replace

import numpy as np
import pytest

from models.ablation import ablation, only_groups
from models.dataset import build_dataset, days, make_labels, spatial_blocks
from models.evaluation import folds_of
from models.features import FEATURE_SET, GROUPS
from models.features.build import FeatureBuilder
from models.features.wear import REGISTER_FEATURES
from models.inputs import SensorDays, SensorQuantity
from models.leaks import embargo_of, future_in_features, shuffled_labels
from models.risk import RiskModel


@pytest.fixture(scope="module")
def cuts(city):
    return [city.until - days(number) for number in (400, 250, 100)]


@pytest.fixture(scope="module")
def block(city):
    return spatial_blocks(city.inputs.segments.positions_m())


def as_known_then(inputs):
    return lambda cut: FeatureBuilder(inputs.recorded_by(cut)).at(cut)


def test_features_do_not_know_what_is_recorded_later(city, cuts):
    found = future_in_features(cuts, FeatureBuilder(city.inputs).at, as_known_then(city.inputs))

    assert found.passed
    assert found.values == len(cuts) * len(city.inputs.segments) * len(FEATURE_SET.names)


def test_late_rows_with_an_old_observed_at_do_not_change_features(city, cuts, rng):
    """Every other look and reading of the weather becomes known half a year late."""
    inputs = city.inputs
    late = {
        name: replace(table, recorded_at=table.recorded_at + days(180) * (rng.random(len(table)) < 0.5))
        for name, table in (("weather", inputs.weather), ("segment_days", inputs.segment_days))
    }
    delayed = replace(inputs, **late)

    assert future_in_features(cuts, FeatureBuilder(delayed).at, as_known_then(delayed)).passed
    assert not future_in_features(cuts, FeatureBuilder(inputs).at, FeatureBuilder(delayed).at).passed


def test_a_planted_future_feature_is_caught_by_its_name(city, cuts):
    """A builder that takes a hole to be as old as it is, and not as long known: rows recorded later shine through."""
    holes = city.inputs.potholes
    early = replace(
        holes, first_recorded_at=holes.first_recorded_at - days(10), confirmed_at=holes.confirmed_at - days(10)
    )
    planted = FeatureBuilder(replace(city.inputs, potholes=early))

    found = future_in_features(cuts, planted.at, as_known_then(city.inputs))

    assert not found.passed
    assert any(name.startswith("potholes") for name in found.changed)


def test_a_label_copied_into_a_feature_is_caught(city, cuts):
    column = FEATURE_SET.index("roughness_mps2")

    def with_label(inputs):
        def at(cut):
            table = FeatureBuilder(inputs).at(cut)
            table[:, column] = make_labels(inputs, cut)[:, 0]
            return table

        return at

    found = future_in_features(cuts, with_label(city.inputs), lambda cut: with_label(city.inputs.recorded_by(cut))(cut))

    assert set(found.changed) == {"roughness_mps2"}


@pytest.fixture(scope="module")
def with_sensors(city):
    """The city with thirty sensors, each with a level of its own, for all the time that the cuts read."""
    day = np.arange(city.until - days(600), city.until, days(1)).astype("datetime64[D]")
    sensor, number = np.meshgrid(np.arange(30, dtype=np.int32), np.arange(day.size))
    sensor, day = sensor.ravel(), day[number.ravel()]
    mean = np.where(sensor < 15, 0.0, 20.0) + sensor % 15 * 0.4
    measured = SensorDays(
        recorded_at=(day + 1).astype("datetime64[us]"),
        sensor=sensor,
        segment_index=sensor * 5,
        day=day,
        quantity=np.where(sensor < 15, SensorQuantity.SURFACE_TEMP, SensorQuantity.SOIL_MOISTURE).astype(np.int32),
        minimum=mean - 3,
        mean=mean,
        maximum=mean + 3,
        freeze_thaw_cycles=np.where(sensor < 15, sensor % 3, np.nan),
    )
    return replace(city.inputs, sensor_days=measured)


@pytest.fixture(scope="module")
def other_register(city):
    """Another edition of the register: no attribute is what it was."""
    names = [field.name for field in fields(city.inputs.segments)]
    attributes = names[names.index("road_class") + 1 :]
    return replace(
        city.inputs.segments,
        **{name: 1 + np.roll(np.nan_to_num(getattr(city.inputs.segments, name)), 40) * 0.5 for name in attributes},
    )


def test_a_later_edition_of_the_register_does_not_change_features_before_it(with_sensors, cuts, other_register):
    """Bit for bit, also what sensors tell, which is spread to segments that the register calls alike."""
    former, later = with_sensors, cuts[1] + days(10)
    inputs = replace(former, segments=other_register, editions=((later, former.segments),))
    builder, before = FeatureBuilder(inputs), FeatureBuilder(former)

    for cut in (cuts[1], cuts[2], cuts[0]):  # there and back again
        unchanged = np.array_equal(builder.at(cut), before.at(cut), equal_nan=True)
        assert unchanged == (cut < later)
    now = FeatureBuilder(replace(former, segments=other_register)).at(cuts[2])
    np.testing.assert_array_equal(builder.at(cuts[2]), now)
    assert future_in_features(cuts, builder.at, as_known_then(inputs)).passed


def test_a_register_that_overwrites_is_caught_in_every_feature_that_holds_it(with_sensors, cuts, other_register):
    inputs, cut = with_sensors, cuts[1]
    kept = replace(inputs, segments=other_register, editions=((cut + days(10), inputs.segments),))
    overwritten = FeatureBuilder(replace(inputs, segments=other_register))

    found = future_in_features([cut], overwritten.at, as_known_then(kept))

    of_sensors = {FEATURE_SET.names[i] for i in FEATURE_SET.columns(["sensors"])}
    assert set(found.changed) - of_sensors == set(REGISTER_FEATURES) - {"length_m"}  # no edition moves a line
    assert {"surface_freeze_thaw_30d", "surface_minimum_7d_c", "base_moisture_pct"} <= set(found.changed)


def test_before_the_register_was_first_imported_it_is_named_as_not_checked(city, cuts):
    features = FeatureBuilder(city.inputs).at

    early = future_in_features(cuts, features, features, register_since=cuts[0] + days(1))
    since = future_in_features(cuts, features, features, register_since=cuts[0])

    assert set(early.not_checked) == set(REGISTER_FEATURES)
    assert since.not_checked == ()


def test_what_sensors_tell_is_not_checked_either_before_the_register_says_which_segments_are_alike(with_sensors, cuts):
    features = FeatureBuilder(with_sensors).at

    early = future_in_features(cuts, features, features, register_since=cuts[0] + days(1))

    told = {FEATURE_SET.names[i] for i in FEATURE_SET.columns(["sensors"])
            if any(np.isfinite(features(cut)[:, i]).any() for cut in cuts[:1])}  # fmt: skip
    assert "surface_freeze_thaw_30d" in told
    assert set(early.not_checked) == set(REGISTER_FEATURES) | told


def test_shuffled_labels_give_no_skill_and_true_ones_do(trained):
    found = shuffled_labels(trained.train, trained.test, shuffles=8, max_rows=4000)

    assert found.passed, found.roc_auc
    assert min(found.roc_auc_true) > 0.65


@pytest.mark.parametrize("kind", ["temporal", "spatio-temporal"])
def test_no_learned_window_reaches_into_the_test(trained, block, kind):
    found = embargo_of(folds_of(kind, trained.rows, trained.test, trained.split, block, folds=3, seed=0))

    assert found.passed
    assert min(found.least_gap_days) < 28  # the gap is no larger than it has to be: cuts come every fortnight


def test_a_window_that_reaches_into_the_test_is_caught(trained, block):
    """The split in space learns from all times; and a split in time that forgets its embargo, up to the day before."""
    spatial = folds_of("spatial", trained.rows, trained.test, trained.split, block, folds=3, seed=0)
    until_the_day_before = trained.rows.take(trained.rows.cut < trained.split.test_from)

    assert not embargo_of(spatial).passed
    assert max(embargo_of([(until_the_day_before, trained.test)]).least_gap_days) < 0


def test_where_there_is_nothing_to_check_no_check_says_passed(trained):
    unlabelled = replace(trained.test, labels=np.full_like(trained.test.labels, np.nan))
    never_a_hole = replace(trained.test, labels=np.zeros_like(trained.test.labels))

    assert future_in_features([], None, None).passed is None
    assert embargo_of([(trained.train, unlabelled)]).passed is None
    assert embargo_of([(unlabelled, trained.test)]).passed is None
    assert shuffled_labels(trained.train, never_a_hole, shuffles=1).passed is None
    assert shuffled_labels(unlabelled, trained.test, shuffles=1).passed is None


def test_a_horizon_that_cannot_be_checked_takes_nothing_from_the_others(trained):
    labels = trained.test.labels.copy()
    labels[:, -1] = np.nan
    found = embargo_of([(trained.train, replace(trained.test, labels=labels))])

    assert found.passed is True
    assert np.isnan(found.least_gap_days).tolist() == [False, False, True]


def test_rows_of_a_city_that_ends_at_the_cut_have_the_same_features(city, cuts):
    """The whole way through a dataset, and not only the builder."""
    cut = cuts[0]
    whole = build_dataset(city.inputs, np.array([cut]), data_until=city.until)
    ended = FeatureBuilder(city.inputs.recorded_by(cut)).at(cut)

    np.testing.assert_array_equal(whole.features, ended[whole.segment_index])


def test_an_ablation_hides_groups_and_all_groups_together_are_the_model(trained, block, city):
    hidden = only_groups(trained.rows, ["weather"])
    weather = FEATURE_SET.columns(["weather"])
    assert np.isnan(np.delete(hidden.features, weather, axis=1)).all()
    np.testing.assert_array_equal(hidden.features[:, weather], trained.rows.features[:, weather])

    steps = ablation(
        "temporal", trained.rows, trained.test, trained.split, block,
        lambda: RiskModel(max_iter=12),
        capacity=10, districts=city.inputs.segments.districts,
    )  # fmt: skip

    assert steps[0].groups == GROUPS[:1]
    assert [len(step.groups) for step in steps] == list(range(1, len(steps) + 1))
    first, last = (step.result.horizons[1].model.roc_auc for step in (steps[0], steps[-1]))
    assert last > first
