"""Reasons of a score in words, German and English: which feature, its value, and the factor it puts on the odds.

A reason's `factor` is exp(contribution): how many times the odds before calibration are those of a stretch with the
average effect of this feature. The contributions of all features and the model's intercept add up to the log-odds.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import date, timedelta
from typing import Any

import numpy as np
from numpy.typing import NDArray

from models.features import FEATURE_SET, Feature, FeatureSet
from models.inputs import Floats
from models.risk import RiskModel

SEASON = "season"
"""Sine and cosine of the season are one reason; its value is the day of the year."""
_SEASON_PARTS = ("season_sin", "season_cos")
_MONTHS_DE = ("Januar", "Februar", "März", "April", "Mai", "Juni", "Juli", "August", "September", "Oktober",
              "November", "Dezember")  # fmt: skip
_MONTHS_EN = ("January", "February", "March", "April", "May", "June", "July", "August", "September", "October",
              "November", "December")  # fmt: skip
_DRAINAGE_DE, _DRAINAGE_EN = ("gut", "mittel", "schlecht"), ("good", "fair", "poor")
_PAVEMENT_CLASSES = ("Bk0.3", "Bk1.0", "Bk1.8", "Bk3.2", "Bk10", "Bk32", "Bk100")


@dataclass(frozen=True, slots=True)
class Reason:
    """One signed contribution to a score; `value` is None when the feature is unknown."""

    feature: str
    value: float | None
    contribution_log_odds: float
    factor: float
    text_de: str
    text_en: str

    def as_json(self) -> dict[str, Any]:
        """The form in which reasons are stored and served."""
        return {name: getattr(self, name) for name in _REASON_FIELDS}


_REASON_FIELDS = tuple(field.name for field in fields(Reason))  # not `asdict`: it copies each value deeply


def german(number: float, decimals: int) -> str:
    """A number with a decimal comma and a narrow grouping of thousands as German readers expect.

    Examples
    --------
    >>> german(1.64, 1), german(12345.0, 0)
    ('1,6', '12.345')
    """
    return f"{number:,.{decimals}f}".translate(str.maketrans(",.", ".,"))


def _factor_words(factor: float) -> tuple[str, str]:
    decimals = 1 if factor >= 0.95 else 2
    return f"×{german(factor, decimals)}", f"×{factor:.{decimals}f}"


def _value_words(feature: Feature, value: float) -> tuple[str, str]:
    """The value as a German and an English reader would write it; classes by their name."""
    rank = round(value)
    if feature.name == "bus_route":
        return ("ja", "yes") if rank else ("nein", "no")
    if feature.name == "drainage" and 0 <= rank < 3:
        return _DRAINAGE_DE[rank], _DRAINAGE_EN[rank]
    if feature.name == "pavement_class" and 0 <= rank < len(_PAVEMENT_CLASSES):
        return _PAVEMENT_CLASSES[rank].replace(".", ","), _PAVEMENT_CLASSES[rank]
    return german(value, feature.decimals), f"{value:,.{feature.decimals}f}"


def _reason(feature: Feature, value: float, contribution: float) -> Reason:
    factor = math.exp(contribution)
    factor_de, factor_en = _factor_words(factor)
    if math.isnan(value):
        text_de, text_en, known = f"{feature.label_de}: unbekannt", f"{feature.label_en}: unknown", None
    else:
        words_de, words_en = _value_words(feature, value)
        one = words_en == "1"
        text_de = (feature.one_de if one else None) or feature.text_de.format(value=words_de)
        text_en = (feature.one_en if one else None) or feature.text_en.format(value=words_en)
        known = value
    return Reason(feature.name, known, contribution, factor, f"{text_de}: {factor_de}", f"{text_en}: {factor_en}")


def _season_reason(sine: float, cosine: float, contribution: float) -> Reason:
    day_of_year = round(math.atan2(sine, cosine) / (2 * math.pi) % 1 * 365.25) % 365
    month = (date(2025, 1, 1) + timedelta(days=day_of_year)).month - 1
    factor = math.exp(contribution)
    factor_de, factor_en = _factor_words(factor)
    return Reason(
        feature=SEASON,
        value=float(day_of_year + 1),
        contribution_log_odds=contribution,
        factor=factor,
        text_de=f"Jahreszeit ({_MONTHS_DE[month]}): {factor_de}",
        text_en=f"time of year ({_MONTHS_EN[month]}): {factor_en}",
    )


def reasons_of_row(
    values: Floats, contributions: Floats, feature_set: FeatureSet = FEATURE_SET, *, limit: int | None = None
) -> list[Reason]:
    """Reasons of one score, strongest first; without a limit, their contributions add up to those given.

    Parameters
    ----------
    values, contributions : ndarray, shape (f,)
        Feature values (NaN unknown) and contributions to the log-odds, in the order of the feature set.
    limit : int, optional
        Only so many of the strongest.
    """
    sine, cosine = (feature_set.index(name) for name in _SEASON_PARTS)
    effects = contributions.copy()
    effects[sine] += effects[cosine]  # one reason; it stands in the place of the sine
    strongest = [int(i) for i in np.argsort(-np.abs(effects), kind="stable") if i != cosine]
    return [
        _season_reason(float(values[sine]), float(values[cosine]), float(effects[sine]))
        if i == sine
        else _reason(feature_set.features[i], float(values[i]), float(effects[i]))
        for i in strongest[:limit]
    ]


def explain(
    model: RiskModel,
    features: NDArray[np.float32],
    horizon_days: int,
    *,
    limit: int | None = None,
    feature_set: FeatureSet = FEATURE_SET,
) -> list[list[Reason]]:
    """Reasons of each score of one horizon.

    Parameters
    ----------
    model : RiskModel
        Fitted.
    features : ndarray, shape (n, f)
        Rows of the feature table, for example a stored `feature_row`.
    horizon_days : int
        Horizon. [d]
    limit : int, optional
        Only so many of the strongest reasons of each row; all of them if left out.
    """
    contributions = model.contributions(features, horizon_days)
    rows: Sequence[tuple[Floats, Floats]] = list(zip(features.astype(np.float64), contributions, strict=True))
    return [reasons_of_row(values, effect, feature_set, limit=limit) for values, effect in rows]
