"""Splits: what is held out is not learned from, and the leakage gap can be seen."""

from dataclasses import replace

import numpy as np
import pytest

from models.dataset import MATURITY_DAYS, days, spatial_blocks
from models.evaluation import SPLIT_KINDS, evaluate_split, folds_of, plain, season_of
from models.metrics import LEAST_IN_GROUP
from models.risk import NotEnoughLabelsError, RiskModel


def keys(rows) -> set[tuple[int, str]]:
    return set(zip(rows.segment_index.tolist(), rows.cut.astype(str).tolist(), strict=True))


@pytest.fixture(scope="module")
def block(city):
    return spatial_blocks(city.inputs.segments.positions_m())


@pytest.mark.parametrize("kind", SPLIT_KINDS)
def test_test_rows_are_never_learned_from(trained, block, kind):
    for learn, test in folds_of(kind, trained.rows, trained.test, trained.split, block, folds=3, seed=1):
        assert not keys(test) & keys(learn)


@pytest.mark.parametrize("kind", ["spatial", "spatio-temporal"])
def test_splits_in_space_hold_out_whole_blocks_and_all_of_them_once(trained, block, kind):
    folds = folds_of(kind, trained.rows, trained.test, trained.split, block, folds=3, seed=1)

    for learn, test in folds:
        assert not set(block[test.segment_index]) & set(block[learn.segment_index])
    assert sum(len(test) for _, test in folds) == len(trained.test)


@pytest.mark.parametrize("kind", ["temporal", "spatio-temporal"])
def test_splits_in_time_learn_only_from_what_was_settled_before_the_test(trained, block, kind):
    for learn, test in folds_of(kind, trained.rows, trained.test, trained.split, block, folds=3, seed=1):
        for column, horizon in enumerate(learn.horizons_days):
            known = learn.cut[np.isfinite(learn.labels[:, column])]
            assert known.max() + days(horizon + MATURITY_DAYS) <= trained.split.test_from
        assert trained.split.test_from <= test.cut.min()


def test_the_model_beats_climatology_and_the_report_is_plain_json(trained, block, city):
    result = evaluate_split(
        "temporal", trained.rows, trained.test, trained.split, block,
        lambda: RiskModel(max_iter=20), capacity=10, districts=city.inputs.segments.districts,
    )  # fmt: skip
    month = result.horizons[1]

    assert month.model.roc_auc > month.baselines["climatology"].roc_auc
    assert month.model.brier_skill > month.baselines["climatology"].brier_skill
    assert 0.5 < month.model.predicted_over_observed < 2
    assert month.model.at_capacity.lift > 1
    assert sum(balance.rows for balance in month.by_season.values()) == month.model.rows
    assert result.as_json()["horizons"][1]["model"]["rows"] == month.model.rows
    for groups in month.by_group.values():
        assert sum(group.rows for group in groups.values()) == month.model.rows
        for group in groups.values():
            few = min(group.positives, group.rows - group.positives) < LEAST_IN_GROUP
            assert np.isnan([group.roc_auc, group.pr_auc, group.brier_skill, group.lift_at_10_pct]).all() == few


def test_of_a_split_in_space_one_part_can_be_held_out_alone(trained, block):
    first, *_ = folds_of("spatio-temporal", trained.rows, trained.test, trained.split, block, folds=3, seed=1)
    (alone,) = folds_of(
        "spatio-temporal", trained.rows, trained.test, trained.split, block, folds=3, seed=1, most_folds=1
    )

    assert [keys(rows) for rows in alone] == [keys(rows) for rows in first]
    assert 0 < len(alone[1]) < 0.6 * len(trained.test)


@pytest.mark.parametrize(
    ("labels", "tested", "why"),
    [(0.0, True, "Too little was recorded"), (1.0, True, "as many without"), (None, False, "Nobody looked")],
)
def test_what_cannot_be_learned_or_tested_is_said_by_name(trained, block, city, labels, tested, why):
    rows, test = trained.rows, trained.test
    if labels is not None:
        rows = replace(rows, labels=np.where(np.isfinite(rows.labels), labels, np.nan))
    if not tested:
        test = test.take(np.zeros(len(test), bool))

    with pytest.raises(NotEnoughLabelsError, match=why):
        evaluate_split(
            "temporal", rows, test, trained.split, block, lambda: RiskModel(max_iter=5),
            capacity=20, districts=city.inputs.segments.districts,
        )  # fmt: skip


def test_a_part_without_any_block_is_not_blamed_on_who_looked(trained, block, city):
    one_block = np.zeros_like(block)  # seed 0 deals it to the third part

    with pytest.raises(NotEnoughLabelsError, match=r"row to test \(1\) none fell") as told:
        evaluate_split(
            "spatio-temporal", trained.rows, trained.test, trained.split, one_block, lambda: RiskModel(max_iter=5),
            capacity=20, districts=city.inputs.segments.districts, most_folds=1,
        )  # fmt: skip
    assert told.value.german.startswith("Zu wenige Orte")


def test_plain_turns_nan_into_none():
    assert plain({"a": [float("nan"), 1.23456789, 2, "x"]}) == {"a": [None, 1.23457, 2, "x"]}


def test_seasons_are_meteorological():
    months = np.arange("2026-01", "2027-01", dtype="datetime64[M]").astype("datetime64[us]")

    assert season_of(months).tolist() == [0, 0, 1, 1, 1, 2, 2, 2, 3, 3, 3, 0]
