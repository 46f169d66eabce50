"""Champion against challenger: paired differences on the same windows, their intervals over blocks, and a verdict.

Both predict the same rows, from which neither learned. A difference is only as sure as the places that it comes from:
rows of one stretch at many dates, and of neighbouring stretches, are no independent witnesses. So whole blocks of 500 m
are drawn anew and both models measured on each draw (`models.resampling`).

The challenger takes over when the lower end of the 90 % interval of the difference (challenger − champion) lies above
minus the margin for Brier skill and for ROC-AUC at every horizon that can be judged (a one-sided test of not being
worse at 5 % [1]_), and when it is calibrated: predicted/observed within its limits, or further from 1 than the
champion's by at most `LEVEL_TOLERANCE`, since between two winters the level of any model is off, and keeping one that
is off as much would help nobody.

References
----------
.. [1] G. Piaggio et al., "Reporting of noninferiority and equivalence randomized trials," JAMA 308 (24), 2012.
       doi:10.1001/jama.2012.87802
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.inputs import Floats, Instants, Ints
from models.resampling import BlockResampling, Interval, differences, interval

LEAST_POSITIVES = 30
"""New potholes in the windows of a horizon below which nothing is judged by it."""
LEAST_BLOCKS = 10
"""Blocks below which an interval over blocks says nothing."""
LEVEL_TOLERANCE = 1.05
"""Factor by which a challenger's level may be further off than the champion's, where both are outside the limits."""
DRAWS = 200
FIGURES = ("brier_skill", "roc_auc", "pr_auc", "predicted_over_observed", "calibration_slope")


@dataclass(frozen=True, slots=True)
class Margins:
    """How much worse a challenger may be, and how far off its level.

    `brier_skill` and `roc_auc` are differences; `calibration` is a ratio: predicted/observed lies between its inverse
    and itself.
    """

    brier_skill: float
    roc_auc: float
    calibration: float


@dataclass(frozen=True, slots=True)
class Failure:
    """A condition that the challenger does not meet: which one, what was got, and what would have done."""

    condition: str
    value: float
    limit: float


@dataclass(frozen=True, slots=True)
class HorizonComparison:
    """Both on the rows of one horizon, each of `FIGURES` with its interval; `difference` is challenger less champion.

    `judged` is false, and there is no figure, where the rows hold too few new potholes or blocks to tell.
    """

    horizon_days: int
    rows: int
    positives: int
    blocks: int
    judged: bool
    champion: dict[str, Interval]
    challenger: dict[str, Interval]
    difference: dict[str, Interval]
    failures: tuple[Failure, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """All horizons, whether the challenger should take over, and why, in words."""

    horizons: tuple[HorizonComparison, ...]
    promote: bool
    verdict_de: str
    verdict_en: str

    def as_json(self) -> dict[str, Any]:
        """Plain values; NaN stays NaN (`models.evaluation.plain` takes it out)."""
        return asdict(self)


def compare(
    labels: Floats,
    champion: Floats,
    challenger: Floats,
    block: Ints,
    cut: Instants,
    horizons_days: Sequence[int],
    margins: Margins,
    *,
    capacity: int,
    seed: int = 0,
) -> Comparison:
    """Compare two models on the same rows.

    Parameters
    ----------
    labels : ndarray, shape (n, n_horizons)
        1, 0, or NaN where nobody looked or the window is not settled.
    champion, challenger : ndarray, shape (n, n_horizons)
        Probabilities of both, from which the rows were held back.
    block : ndarray, shape (n,)
        Number of the block of 500 m of each row.
    cut : ndarray of datetime64, shape (n,)
        When each row was predicted.
    horizons_days : sequence of int
        Of the columns. [d]
    margins : Margins
    capacity : int
        Stretches that a crew can look at each time.
    seed : int
        Of the drawing of blocks.
    """
    if not labels.shape == champion.shape == challenger.shape or not labels.shape[0] == block.size == cut.size:
        raise ValueError(
            f"Got labels {labels.shape}, champion {champion.shape}, challenger {challenger.shape}, {block.size} blocks "
            f"and {cut.size} cuts, expected one shape, and a block and a cut for each row."
        )
    horizons = []
    for column, horizon in enumerate(horizons_days):
        known = np.isfinite(labels[:, column])
        y, where = labels[known, column], block[known]
        positives, blocks = int(y.sum()), np.unique(where).size
        if min(positives, y.size - positives) < LEAST_POSITIVES or blocks < LEAST_BLOCKS:
            horizons.append(HorizonComparison(horizon, y.size, positives, blocks, False, {}, {}, {}, ()))
            continue
        group = np.unique(cut[known], return_inverse=True)[1]
        resampling = BlockResampling(y, where, group, capacity=capacity, draws=DRAWS, seed=seed)
        pair = {"champion": champion[known, column], "challenger": challenger[known, column]}
        drawn = resampling.figures(pair)
        own = {name: {f: interval(float(v[f][0]), d[f]) for f in FIGURES} for name, (v, d) in drawn.items()}
        differing = differences(drawn, "challenger", ["champion"])["champion"]
        failures = _failures(own["champion"], own["challenger"], differing, margins)
        horizons.append(
            HorizonComparison(
                horizon, y.size, positives, blocks, True, own["champion"], own["challenger"],
                {f: differing[f] for f in FIGURES}, failures,
            )
        )  # fmt: skip
    judged = [h for h in horizons if h.judged]
    promote = bool(judged) and not any(h.failures for h in judged)
    de, en = _verdict(horizons, margins, promote)
    return Comparison(tuple(horizons), promote, de, en)


def _failures(
    champion: dict[str, Interval], challenger: dict[str, Interval], difference: dict[str, Interval], margins: Margins
) -> tuple[Failure, ...]:
    failures = []
    for name, margin in (("brier_skill", margins.brier_skill), ("roc_auc", margins.roc_auc)):
        if not difference[name].low >= -margin:  # NaN fails
            failures.append(Failure(name, difference[name].low, -margin))
    ratio, before = (figures["predicted_over_observed"].value for figures in (challenger, champion))
    if not abs(np.log(ratio)) <= max(np.log(margins.calibration), abs(np.log(before)) + np.log(LEVEL_TOLERANCE)):
        failures.append(Failure("calibration", ratio, margins.calibration))
    return tuple(failures)


def _verdict(horizons: Sequence[HorizonComparison], margins: Margins, promote: bool) -> tuple[str, str]:
    """The decision in German and English, with the figures that decided."""
    judged = [h for h in horizons if h.judged]
    left_out = [h for h in horizons if not h.judged]
    few_de = "; ".join(_few(h, "Tage", "neue Schlaglöcher in", "Blöcken") for h in left_out)
    few_en = "; ".join(_few(h, "days", "new potholes in", "blocks") for h in left_out)
    if not judged:
        return (
            f"Behalten: zu wenige neue Schlaglöcher in den Prüffenstern, um zu urteilen ({few_de}).",
            f"Kept: too few new potholes in the test windows to tell ({few_en}).",
        )
    rest_de = f" Nicht beurteilt: {few_de}." if few_de else ""
    rest_en = f" Not judged: {few_en}." if few_en else ""
    names = ", ".join(str(h.horizon_days) for h in judged)
    if promote:
        brier, auc = f"{margins.brier_skill:g}", f"{margins.roc_auc:g}"
        de = (
            f"Übernommen: Bei {names} Tagen ist das neue Modell höchstens um {brier} im Brier-Skill und um {auc} in der"
        )
        en = f"Promoted: at {names} days the challenger is worse than the champion by {brier} in Brier skill and {auc}"
        return (
            f"{de} ROC-AUC schlechter als das bisherige, und kalibriert.{rest_de}",
            f"{en} in ROC-AUC at most, and calibrated.{rest_en}",
        )
    failures = [(h, failure) for h in judged for failure in h.failures]
    told_de = "; ".join(_told(h, f, margins, "de") for h, f in failures)
    told_en = "; ".join(_told(h, f, margins, "en") for h, f in failures)
    return f"Behalten: {told_de}.{rest_de}", f"Kept: {told_en}.{rest_en}"


def _few(h: HorizonComparison, days: str, potholes: str, blocks: str) -> str:
    return f"{h.horizon_days} {days}: {h.positives} {potholes} {h.blocks} {blocks}"


def _told(h: HorizonComparison, failure: Failure, margins: Margins, language: str) -> str:
    if failure.condition == "calibration":
        limits = f"{1 / margins.calibration:.2f}–{margins.calibration:.2f}"
        german, english = "vorhergesagt/beobachtet", "predicted/observed"
        return (
            f"{h.horizon_days} Tage: {german} {failure.value:.2f} (erlaubt {limits})"
            if language == "de"
            else f"{h.horizon_days} days: {english} {failure.value:.2f} (allowed {limits})"
        )
    name = {"brier_skill": ("Brier-Skill", "Brier skill"), "roc_auc": ("ROC-AUC", "ROC-AUC")}[failure.condition]
    worse, allowed = f"{-failure.value:.4f}", f"{-failure.limit:g}"
    return (
        f"{h.horizon_days} Tage: {name[0]} kann um {worse} schlechter sein (erlaubt {allowed})"
        if language == "de"
        else f"{h.horizon_days} days: {name[1]} may be worse by {worse} (allowed {allowed})"
    )
