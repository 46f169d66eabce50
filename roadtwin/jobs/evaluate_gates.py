"""The gates of the model on simulated cities: how near it comes to what could be known, and how well it is calibrated.

A gate is a mean over worlds. Beside each stands the same figure of the *informed* ceiling, which knows the laws of the
world and every hole so far, but neither what is hidden nor the weather to come: what it cannot keep, no forecast can.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from models.baselines import BASELINES
from models.evaluation import MODEL
from models.inputs import Floats
from models.resampling import Interval, over_worlds
from roadtwin.jobs.evaluate_figures import Measured

CEILING = "informed"
MOST_ROC_AUC_BELOW = 0.02
LEAST_SHARE_OF_BRIER_SKILL = 0.8
OVERALL, BY_GROUP, SLOPE = (0.95, 1.05), (0.8, 1.25), (0.9, 1.1)
COVERAGE = (0.85, 0.95)
"""Of the true probability (oracle) by the 90 % interval."""
LABELS = ("true", "recorded")


@dataclass(frozen=True, slots=True)
class Gate:
    """One gate of one horizon; `low`, `high` (None: open) are what `value` must lie between.

    `value_low`, `value_high`: its interval over worlds and blocks, NaN where none is given. `ceiling`: what the
    informed ceiling itself has, `ceiling_passed` whether it keeps the gate. `of`: which group or baseline decided.
    """

    horizon_days: int
    labels: str
    name: str
    value: float
    value_low: float
    value_high: float
    low: float | None
    high: float | None
    ceiling: float
    of: str
    passed: bool
    ceiling_passed: bool


def gates_of(worlds: Sequence[Measured], labels: str) -> list[Gate]:
    """All gates of one horizon, from its figures in each world. `labels`: which kind the figures are of."""
    horizon = int(worlds[0].json["horizon_days"])

    def gate(name: str, value: Interval, low: float | None, high: float | None, ceiling: float, of: str = "") -> Gate:
        return _gate(horizon, labels, name, value, (low, high), ceiling, of)

    ceiling = {figure: _mean(worlds, CEILING, figure).value for figure in ("roc_auc", "brier_skill")}
    brier = _mean(worlds, MODEL, "brier_skill")
    found = [
        gate(
            "roc_auc",
            _mean(worlds, MODEL, "roc_auc"),
            ceiling["roc_auc"] - MOST_ROC_AUC_BELOW,
            None,
            ceiling["roc_auc"],
        ),
        gate("brier_skill", brier, LEAST_SHARE_OF_BRIER_SKILL * ceiling["brier_skill"], None, ceiling["brier_skill"]),
    ]
    for figure in ("roc_auc", "brier_skill"):
        gains = {name: _mean_gain(worlds, name, figure) for name in BASELINES}
        best = min(gains, key=lambda name: gains[name].value)
        of_ceiling = ceiling[figure] - _mean(worlds, best, figure).value
        found.append(gate(f"{figure}_above_baselines", gains[best], 0.0, None, of_ceiling, best))
    for figure, limits in (("predicted_over_observed", OVERALL), ("calibration_slope", SLOPE)):
        found.append(gate(figure, _mean(worlds, MODEL, figure), *limits, _mean(worlds, CEILING, figure).value))
    for group in ("season", "road_class"):
        own, informed = (_pooled(worlds, forecast, group) for forecast in (MODEL, CEILING))
        name = f"predicted_over_observed_by_{group}"
        if not own:  # no gate at all would be kept by no group
            own = informed = {"": float("nan")}
        found += [gate(name, _alone(ratio), *BY_GROUP, informed[of], of) for of, ratio in own.items()]
    for end in ("lowest", "highest"):
        own_end, best_end = (_district(worlds, forecast, end) for forecast in (MODEL, CEILING))
        found.append(gate("predicted_over_observed_by_district", _alone(own_end), *BY_GROUP, best_end, end))
    return found


def coverage_gate(horizon_days: int, worlds: Sequence[dict[str, Any]]) -> Gate:
    """How often the interval holds the true probability, mean over the worlds; beside it, how often the ceiling's."""
    oracle, informed = (float(np.mean([world[name]["share"] for world in worlds])) for name in ("oracle", CEILING))
    return _gate(horizon_days, "true", "coverage", _alone(oracle), COVERAGE, informed, "")


def _alone(value: float) -> Interval:
    """A figure without an interval."""
    return Interval(value, float("nan"), float("nan"))


def _gate(
    horizon_days: int,
    labels: str,
    name: str,
    value: Interval,
    limits: tuple[float | None, float | None],
    ceiling: float,
    of: str,
) -> Gate:
    low, high = limits

    def keeps(figure: float) -> bool:
        return bool(np.isfinite(figure)) and (low is None or figure >= low) and (high is None or figure <= high)

    return Gate(
        horizon_days, labels, name, value.value, value.low, value.high, low, high, ceiling, of, keeps(value.value),
        keeps(ceiling),
    )  # fmt: skip


def _values(worlds: Sequence[Measured], forecast: str, figure: str) -> tuple[Floats, Floats]:
    pairs = [world.draws[forecast] for world in worlds]
    return np.array([own[figure][0] for own, _ in pairs]), np.stack([draws[figure] for _, draws in pairs])


def _mean(worlds: Sequence[Measured], forecast: str, figure: str) -> Interval:
    return over_worlds(*_values(worlds, forecast, figure))


def _mean_gain(worlds: Sequence[Measured], baseline: str, figure: str) -> Interval:
    own, other = (_values(worlds, name, figure) for name in (MODEL, baseline))
    with np.errstate(invalid="ignore"):  # as in `models.resampling.differences`
        return over_worlds(own[0] - other[0], own[1] - other[1])


def _pooled(worlds: Sequence[Measured], forecast: str, group: str) -> dict[str, float]:
    """Predicted over observed of each group, both summed over the worlds: small groups of one world weigh little."""
    sums: dict[str, list[float]] = {}
    for world in worlds:
        for name, balance in world.json["balance"][forecast][group].items():
            predicted, observed = sums.setdefault(name, [0.0, 0.0])
            sums[name] = [predicted + balance["predicted"], observed + balance["observed"]]
    return {name: predicted / observed if observed else float("nan") for name, (predicted, observed) in sums.items()}


def _district(worlds: Sequence[Measured], forecast: str, end: str) -> float:
    """Mean over worlds of the lowest or highest ratio of a district: names of districts differ between worlds."""
    choose = min if end == "lowest" else max
    ends = []
    for world in worlds:
        balances = world.json["balance"][forecast]["district"].values()
        ends.append(choose((b["ratio"] for b in balances if b["observed"]), default=float("nan")))
    return float(np.mean(ends))


def gates_json(gates: Sequence[Gate]) -> list[dict[str, Any]]:
    """Gates as plain JSON."""
    return [asdict(gate) for gate in gates]
