"""The synthetic city and a model of it, made once."""

import importlib.util
import sys
from dataclasses import dataclass
from datetime import time
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from models.dataset import Dataset, TimeSplit, build_dataset, days, make_cuts, split_in_time
from models.risk import RiskModel


def load_synthetic_city() -> ModuleType:
    """The generator beside this file; tests are imported by path and have no package."""
    if "synthetic_city" not in sys.modules:
        spec = importlib.util.spec_from_file_location("synthetic_city", Path(__file__).with_name("synthetic_city.py"))
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules["synthetic_city"] = module
        spec.loader.exec_module(module)
    return sys.modules["synthetic_city"]


@dataclass(frozen=True)
class Trained:
    """A model with the rows it was made of and tested on."""

    model: RiskModel
    rows: Dataset
    train: Dataset
    calibrate: Dataset
    test: Dataset
    split: TimeSplit


@pytest.fixture(scope="session")
def synthetic() -> ModuleType:
    return load_synthetic_city()


@pytest.fixture(scope="session")
def city(synthetic):
    """150 segments, three years."""
    return synthetic.make_city(150)


@pytest.fixture(scope="session")
def trained(city, synthetic) -> Trained:
    cuts = make_cuts(
        synthetic.START + days(90), city.until - days(35), step_days=14, at=time(5), zone=city.inputs.timezone
    )
    rows = build_dataset(city.inputs, cuts, data_until=city.until)
    span = city.until - cuts[0]
    split = TimeSplit(cuts[0] + span * 45 // 100, cuts[0] + span * 7 // 10, city.until)
    train, calibrate, test = split_in_time(rows, split)
    model = RiskModel(max_iter=60).fit(train)
    model.calibrate(calibrate, model.relative(calibrate.features), model.level(calibrate.features), train)
    return Trained(model, rows, train, calibrate, test, split)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(7)
