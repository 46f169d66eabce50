"""The gates: what is kept, what is missed, and that several worlds are taken together."""

import numpy as np
import pytest

from models.baselines import BASELINES
from models.evaluation import MODEL
from models.metrics import skill
from roadtwin.jobs.evaluate_figures import by_segment
from roadtwin.jobs.evaluate_gates import CEILING, coverage_gate, gates_of


def named(gates):
    return {(gate.name, gate.of): gate for gate in gates}


def test_a_model_near_the_ceiling_keeps_the_gates(world):
    gates = named(gates_of([world(seed)[1] for seed in range(4)], "true"))

    assert gates["roc_auc", ""].passed
    assert gates["brier_skill", ""].passed
    assert gates["predicted_over_observed", ""].passed
    assert gates["roc_auc", ""].value < gates["roc_auc", ""].ceiling
    assert gates["predicted_over_observed_by_season", "winter"].passed
    assert {of for name, of in gates if name.endswith("district")} == {"lowest", "highest"}
    assert {of for name, of in gates if name.endswith("road_class")} == {"main", "collector", "residential"}
    above = next(gate for (name, _), gate in gates.items() if name == "roc_auc_above_baselines")
    assert above.passed
    assert above.of in BASELINES


def test_a_model_that_promises_too_much_is_named_by_every_gate_of_calibration(world):
    gates = named(gates_of([world(seed, factor=1.4)[1] for seed in range(3)], "true"))

    missed = {name for (name, _), gate in gates.items() if not gate.passed}
    assert "predicted_over_observed" in missed
    assert "predicted_over_observed_by_season" in missed
    assert gates["predicted_over_observed", ""].ceiling_passed  # it could have been kept
    assert gates["roc_auc", ""].passed  # the order is as good as before


def test_a_model_far_from_the_ceiling_misses_it(world):
    gates = named(gates_of([world(seed, scatter=3.0)[1] for seed in range(3)], "recorded"))

    assert not gates["roc_auc", ""].passed
    assert not gates["brier_skill", ""].passed
    assert not gates["calibration_slope", ""].passed
    assert gates["roc_auc", ""].low == pytest.approx(gates["roc_auc", ""].ceiling - 0.02)
    assert gates["roc_auc", ""].value_low < gates["roc_auc", ""].value < gates["roc_auc", ""].value_high


def test_a_gate_is_the_mean_of_the_worlds(world):
    worlds = [world(seed)[1] for seed in range(4)]
    gates = named(gates_of(worlds, "true"))

    each = [w.json["forecasts"][MODEL]["roc_auc"] for w in worlds]
    assert gates["roc_auc", ""].value == pytest.approx(np.mean(each))


def test_figures_are_those_of_the_metrics_and_curves_end_where_they_must(world):
    forecasts, measured = world(1)
    y, p = forecasts.rows.labels[:, 0], forecasts.probability[MODEL][:, 0]
    cut = np.unique(forecasts.rows.cut, return_inverse=True)[1]

    assert measured.json["forecasts"][MODEL]["brier"] == pytest.approx(skill(y, p, cut, capacity=20).brier)
    value, low, high = measured.json["intervals"][MODEL]["brier_skill"]
    assert low < value < high
    assert measured.json["model_minus"][CEILING]["brier_skill"][0] < 0
    assert measured.json["roc"][MODEL][0] == (0.0, 0.0)
    assert measured.json["roc"][MODEL][-1] == (1.0, 1.0)
    assert measured.json["gain"][MODEL][-1] == (1.0, 1.0)
    assert sum(b["rows"] for b in measured.json["reliability"][MODEL]) == len(y)
    mean = by_segment(forecasts, 0, int(forecasts.rows.segment_index.max()) + 1)
    assert mean["observed"].mean() == pytest.approx(y.mean())


def test_intervals_that_are_too_narrow_miss_the_gate_of_coverage():
    narrow, right = ({"oracle": {"share": share}, CEILING: {"share": 0.9}} for share in (0.6, 0.9))

    assert coverage_gate(28, [right, right]).passed
    assert not coverage_gate(28, [narrow, right]).passed
    assert coverage_gate(28, [narrow, right]).value == pytest.approx(0.75)


def test_worlds_without_any_group_do_not_keep_the_gates_by_group(world):
    measured = world(1)[1]
    measured.json["balance"] = {name: found | {"season": {}} for name, found in measured.json["balance"].items()}
    gates = named(gates_of([measured], "true"))

    assert not gates["predicted_over_observed_by_season", ""].passed
