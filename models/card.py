"""The model card: what a model was made from, how well it did on data it had not seen, and what it cannot know."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from models import card_words
from models.dataset import MATURITY_DAYS
from models.evaluation import MissingSplit, SplitResult
from models.features import FEATURE_SET
from models.inputs import Instant
from models.potholes import LAPSE_DAYS, RULE_VERSION, SAME_HOLE_M
from models.registry import library_versions
from models.risk import RiskModel

CARD_VERSION = 3


@dataclass(frozen=True, slots=True)
class TrainingFacts:
    """What the card says about the data."""

    simulated: bool
    data_from: str
    data_until: str
    first_cut: str | None
    last_cut: str | None
    cut_step_days: int
    segments: int
    rows: int
    positives: dict[str, int]
    potholes: int
    winters: int


def make_card(
    model: RiskModel,
    facts: TrainingFacts,
    origins: Sequence[Instant],
    holdouts: Sequence[SplitResult | MissingSplit],
    *,
    code_version: str,
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
    holdouts : sequence of SplitResult or MissingSplit
        Skill of the same recipe when fitted on the early part of the data only and tested on the last part, and why a
        split could not be made. The first one made is the card's `holdout`, the others stand beside it. None at all
        for a cold start: nothing was there to test on.
    code_version : str
        Of the code that trains, with its commit where it is known.
    """
    made = [_holdout(split) for split in holdouts if isinstance(split, SplitResult)]
    missing = [asdict(split) for split in holdouts if isinstance(split, MissingSplit)]
    return {
        "card_version": CARD_VERSION,
        "data": "simulated" if facts.simulated else "recorded",
        "notice_de": "Mit simulierten Daten trainiert: keine Aussage über wirkliche Straßen."
        if facts.simulated
        else "",
        "notice_en": "Trained on simulated data: says nothing about real roads." if facts.simulated else "",
        "simulated_de": card_words.SIMULATED_DE if facts.simulated else "",
        "simulated_en": card_words.SIMULATED_EN if facts.simulated else "",
        "intended_use_de": card_words.INTENDED_USE_DE,
        "intended_use_en": card_words.INTENDED_USE_EN,
        "not_for_de": card_words.NOT_FOR_DE,
        "not_for_en": card_words.NOT_FOR_EN,
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
            "kind": "log-odds = place (additive logistic within cut dates, boosted effects of single features) + city "
            "(weather, forecast, season); slopes and dispersion from rolling origins; running maximum over horizons",
            "kind_de": "Log-Chance = Ort (additiv logistisch innerhalb der Stichtage, Wirkungen einzelner Merkmale "
            "geboostet) + Stadt (Wetter, Vorhersage, Jahreszeit); Steigungen und Streuung aus rollenden Stichtagen; "
            "laufendes Maximum über die Horizonte",
            "parameters": {k: v for k, v in model.get_params().items() if k != "horizons_days"},
            "boosted_share": model.boosted_share_,
        },
        "learned": _learned(model),
        "calibration": {
            str(horizon): {
                "kind": "measured on predictions of later times" if model.calibrated_ else "assumed",
                "slope": float(model.slopes_[column]),
                "level_sd": float(model.dispersion_.level_sd_[column]),
            }
            for column, horizon in enumerate(model.horizons_days)
        },
        "dispersion": {
            "kind": "measured" if model.dispersion_.measured_ else "assumed",
            "variance": model.dispersion_.variance_,
            "power": model.dispersion_.power_,
        },
        "length": "a feature whose prior slope is 1 in its logarithm, in place of an offset",
        "holdout": made[0] if made else None,
        "holdouts_beside": made[1:],
        "holdouts_missing": missing,
        "limits": list(card_words.LIMITS_EN),
        "limits_de": list(card_words.LIMITS_DE),
        "library_versions": library_versions(),
        "code_version": code_version,
    }


def _holdout(result: SplitResult) -> dict[str, Any]:
    """Figures of a hold-out with what it held out, and how far it reaches, in words."""
    words_en, words_de = card_words.HOLDOUTS_EN[result.kind], card_words.HOLDOUTS_DE[result.kind]
    tested = {"folds": result.folds, "tested": result.folds_tested}
    described = {"what_en": words_en.format(**tested), "what_de": words_de.format(**tested)}
    return result.as_json() | described | _test_notice(result.test_winters)


def _learned(model: RiskModel) -> dict[str, Any]:
    """How much of the model is this city's own, in words: a cold start must not pass for experience."""
    if model.calibrated_:
        return {"cold_start": False, "notice_de": "", "notice_en": ""}
    positives = int(model.positives_.max(initial=0))
    if not positives:
        months = round(12 * model.recorded_year_)
        return {
            "cold_start": True,
            "notice_de": card_words.COLD_START_DE.format(months),
            "notice_en": card_words.COLD_START_EN.format(months),
        }
    return {
        "cold_start": True,
        "notice_de": card_words.FEW_CASES_DE.format(positives),
        "notice_en": card_words.FEW_CASES_EN.format(positives),
    }


def _test_notice(winters: int) -> dict[str, str]:
    """How far the test slice reaches: between winters, levels differ by more than any interval of its rows says."""
    word_en = "no winter" if not winters else "one winter" if winters == 1 else f"{winters} winters"
    word_de = "keinen Winter" if not winters else "einen Winter" if winters == 1 else f"{winters} Winter"
    return {
        "notice_de": f"Der Prüfzeitraum enthält {word_de}: Über andere Winter sagen diese Werte wenig.",
        "notice_en": f"The test window holds {word_en}: the figures say little about other winters.",
    }
