"""Model files: exact, without pickle, and refused by name when they do not fit."""

import hashlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import skops.io

from models.card import TrainingFacts, make_card
from models.dataset import spatial_blocks
from models.evaluation import MissingSplit, evaluate_split, plain
from models.features import FEATURE_SET
from models.registry import Artefact, dump_model, load_model
from models.risk import RiskModel
from models.rolling import origins_of
from roadtwin.errors import ModelVersionError


@pytest.fixture(scope="module")
def artefact(trained) -> Artefact:
    return dump_model(trained.model)


def test_round_trip_gives_the_same_probabilities_and_reasons(trained, artefact):
    loaded, x = load_model(artefact), trained.test.features[:200]

    np.testing.assert_array_equal(loaded.predict_proba(x), trained.model.predict_proba(x))
    np.testing.assert_array_equal(loaded.contributions(x, 28), trained.model.contributions(x, 28))


def test_the_file_is_a_zip_of_json_and_arrays_without_pickle(artefact):
    assert artefact.content[:2] == b"PK"
    assert b"pickle" not in artefact.content


def test_altered_bytes_are_refused(artefact):
    with pytest.raises(ModelVersionError, match="altered"):
        load_model(replace(artefact, content=artefact.content[:-1] + b"x"))


@pytest.mark.parametrize("library", ["scikit-learn", "skops"])
def test_another_library_version_is_refused_by_name(artefact, library):
    versions = dict(artefact.library_versions) | {library: "0.1"}

    with pytest.raises(ModelVersionError, match=rf"{library} 0\.1 \(here .*roadtwin train"):
        load_model(replace(artefact, library_versions=versions))


def test_another_feature_set_or_rule_is_refused_by_name(artefact):
    with pytest.raises(ModelVersionError, match="feature set 99"):
        load_model(replace(artefact, feature_set_version=99))
    with pytest.raises(ModelVersionError, match="pothole rule 99"):
        load_model(replace(artefact, rule_version=99))


def test_types_that_are_not_on_the_list_are_refused(artefact):
    foreign = skops.io.dumps({"path": Path("/"), "model": 1})

    with pytest.raises(ModelVersionError, match="not trusted"):
        load_model(replace(artefact, content=foreign, sha256=hashlib.sha256(foreign).digest()))


def test_something_else_than_a_risk_model_is_refused(artefact):
    other = skops.io.dumps({"a": 1})

    with pytest.raises(ModelVersionError, match="expected a RiskModel"):
        load_model(replace(artefact, content=other, sha256=hashlib.sha256(other).digest()))


def test_the_card_names_data_features_skill_and_baselines(trained, city):
    holdout = evaluate_split(
        "temporal", trained.rows, trained.test, trained.split,
        spatial_blocks(city.inputs.segments.positions_m()),
        lambda: RiskModel(max_iter=20),
        capacity=10, districts=city.inputs.segments.districts,
    )  # fmt: skip
    missing = MissingSplit("spatio-temporal", "Got 11 and 787.", "Es sind 11 und 787.")
    facts = TrainingFacts(True, "2023-10-01", "2026-09-30", "2024-01-01", "2026-08-01", 14, 150, 1, {"7": 1}, 2, 3)

    made = make_card(trained.model, facts, origins_of(trained.split), (missing, holdout), code_version="0.1.0+gabc")
    card = plain(made)

    assert card["data"] == "simulated"
    assert card["holdout"]["kind"] == "temporal"  # the first that could be made
    assert card["holdouts_missing"] == [
        {"kind": "spatio-temporal", "reason_en": "Got 11 and 787.", "reason_de": "Es sind 11 und 787."}
    ]
    assert card["holdout"]["what_en"].startswith("A later time")
    assert card["holdout"]["what_de"].startswith("Spätere Zeit")
    assert card["holdout"]["test_winters"] == 1
    assert card["holdout"]["notice_en"].startswith("The test window holds one winter")
    assert len(card["cuts"]["calibration_origins"]) == 3
    assert "says nothing about real roads" in card["notice_en"]
    assert card["feature_set"]["version"] == FEATURE_SET.version
    horizon = card["holdout"]["horizons"][1]
    assert set(horizon["baselines"]) == {"climatology", "count_so_far", "visible_damage", "logistic_six"}
    assert horizon["model"]["roc_auc"] > 0.7
    assert set(horizon["by_district"]) == {"Nord", "Süd", "West"}
    assert len(card["limits"]) == len(card["limits_de"]) > 3
    assert card["code_version"] == "0.1.0+gabc"
    assert all(
        card[f"{name}_{language}"] for name in ("intended_use", "not_for", "simulated") for language in ("de", "en")
    )
    assert set(card["calibration"]) == {"7", "28", "90"}
