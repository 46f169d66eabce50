"""The model card: what a model was made from, how well it did on data it had not seen, and what it cannot know."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from models.dataset import MATURITY_DAYS
from models.evaluation import SplitResult
from models.features import FEATURE_SET
from models.inputs import Instant
from models.potholes import LAPSE_DAYS, RULE_VERSION, SAME_HOLE_M
from models.registry import library_versions
from models.risk import RiskModel

CARD_VERSION = 1

LIMITS = (
    "Trained on what was recorded: a hole that nobody saw, reported or repaired is not in the labels.",
    "Only windows in which somebody looked count as free of holes; stretches that nobody passes are underrepresented.",
    "Weather after the time of the score is not used: the model speaks for the usual weather of the season.",
    "Weather is that of the stations' mean, the same for the whole city.",
    "Observations of LoRaWAN devices (moisture, temperature) are not used yet, confirmed or not.",
    "No interval is given for a probability yet.",
    "Register attributes count as known throughout: they carry no recorded time.",
)


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the card says about the data."""

    simulated: bool
    data_from: str
    data_until: str
    first_cut: str
    last_cut: str
    cut_step_days: int
    segments: int
    rows: int
    positives: dict[str, int]
    potholes: int
    winters: int


def make_card(
    model: RiskModel, facts: TrainingFacts, origins: Sequence[Instant], holdout: SplitResult
) -> dict[str, Any]:
    """The card as plain JSON.

    Parameters
    ----------
    model : RiskModel
        Fitted and calibrated.
    facts : TrainingFacts
        The data it was fitted on.
    origins : sequence of datetime64[us]
        Before each of which a model was fitted to calibrate on its predictions.
    holdout : SplitResult
        Skill of the same recipe when fitted on the early part of the data only and tested on the last part.
    """
    calibrations = zip(model.horizons_days, model.calibrations_, strict=True)
    return {
        "card_version": CARD_VERSION,
        "data": "simulated" if facts.simulated else "recorded",
        "notice_de": "Mit simulierten Daten trainiert: keine Aussage über wirkliche Straßen."
        if facts.simulated
        else "",
        "notice_en": "Trained on simulated data: says nothing about real roads." if facts.simulated else "",
        "question": "Probability that at least one new pothole is first recorded on a segment within the horizon.",
        "horizons_days": list(model.horizons_days),
        "data_window": {"from": facts.data_from, "until": facts.data_until, "winters": facts.winters},
        "cuts": {
            "first": facts.first_cut,
            "last": facts.last_cut,
            "step_days": facts.cut_step_days,
            "calibration_origins": [str(origin) for origin in origins],
            "label_maturity_days": MATURITY_DAYS,
        },
        "rows": facts.rows,
        "segments": facts.segments,
        "potholes": facts.potholes,
        "positives": facts.positives,
        "event_rule": {"version": RULE_VERSION, "same_hole_m": SAME_HOLE_M, "lapse_days": LAPSE_DAYS},
        "feature_set": {
            "version": FEATURE_SET.version,
            "features": [
                {"name": f.name, "group": f.group, "unit": f.unit, "monotone": f.monotone} for f in FEATURE_SET.features
            ],
        },
        "estimator": {
            "kind": "additive gradient boosting (one feature a tree), calibrated on rolling origins, running maximum",
            "parameters": {k: v for k, v in model.get_params().items() if k not in {"monotone", "horizons_days"}},
        },
        "calibration": {
            str(horizon): {"kind": "logistic", "intercept": c.intercept_, "slope": c.slope_}
            for horizon, c in calibrations
        },
        "length": "a monotone feature in place of an offset; expected numbers per 100 m are divided by length",
        "holdout": holdout.as_json() | _test_notice(holdout.test_winters),
        "limits": list(LIMITS),
        "library_versions": library_versions(),
    }


def _test_notice(winters: int) -> dict[str, str]:
    """How far the test slice reaches: between winters, levels differ by more than any interval of its rows says."""
    word_en = "no winter" if not winters else "one winter" if winters == 1 else f"{winters} winters"
    word_de = "keinen Winter" if not winters else "einen Winter" if winters == 1 else f"{winters} Winter"
    return {
        "notice_de": f"Der Prüfzeitraum enthält {word_de}: Über andere Winter sagen diese Werte wenig.",
        "notice_en": f"The test window holds {word_en}: the figures say little about other winters.",
    }
