"""Worlds whose ceiling knows the odds, with the figures that an evaluation takes of them."""

from functools import cache

import numpy as np
import pytest

from models.baselines import BASELINES
from models.dataset import Dataset
from models.evaluation import MODEL, Forecasts
from models.features import FEATURE_SET
from roadtwin.jobs.evaluate_figures import figures_of
from roadtwin.jobs.evaluate_gates import CEILING

SEGMENTS, CUTS = 200, 13
DISTRICTS = ("North", "South")


@cache
def made_world(seed, *, scatter=0.3, factor=1.0):
    """Figures of a world whose ceiling knows the odds; the model knows them up to a scatter and times a factor."""
    rng = np.random.default_rng(seed)
    n = SEGMENTS * CUTS
    odds = rng.normal(-1.0, 1.2, n)
    true = 1 / (1 + np.exp(-odds))
    labels = (rng.random(n) < true).astype(float)[:, None]
    cut = np.repeat(np.datetime64("2026-01-05", "us") + np.arange(CUTS) * np.timedelta64(28, "D"), SEGMENTS)
    rows = Dataset(
        features=np.zeros((n, len(FEATURE_SET.features)), np.float32),
        labels=labels,
        segment_index=np.tile(np.arange(SEGMENTS, dtype=np.int32), CUTS),
        cut=cut,
        district=np.tile((np.arange(SEGMENTS) % 2).astype(np.int32), CUTS),
        road_class=np.tile((np.arange(SEGMENTS) % 3).astype(np.int32), CUTS),
        horizons_days=(28,),
        feature_set=FEATURE_SET,
    )
    told = factor / (1 + np.exp(-(odds + scatter * rng.normal(0, 1, n))))
    probability = {MODEL: np.clip(told, 0, 0.999)[:, None], CEILING: true[:, None]}
    probability |= {name: np.clip(labels.mean() + rng.normal(0, 0.01, (n, 1)), 0.01, 0.99) for name in BASELINES}
    forecasts = Forecasts("spatio-temporal", rows, probability)
    block = (np.arange(SEGMENTS) // 5).astype(np.int32)
    return forecasts, figures_of(
        forecasts, 0, block=block, capacity=20, districts=DISTRICTS, draws=40, balanced=(MODEL, CEILING), curves=True
    )


@pytest.fixture(scope="session")
def world():
    """`world(seed, scatter=…, factor=…)` gives forecasts and their figures."""
    return made_world
