"""Two ceilings of any forecast of new potholes, from the hidden truth of a world.

*Oracle*: P(at least one new hole) from the true hazard and the weather as it became. Nobody can know that; it is
reported only. *Informed*: what could be known at the cut. Whoever saw every hole and knows the laws of this world, the
state of every road, the patches on it and the works decided so far, but neither frailty nor what leaks below: these are
summed out, given the past (`ceilings.mixture`). The weather after the cut is averaged over draws of the climate that
continue the weather up to it. A cut is the begin of a local day; the past are the days before it.

Both take the course of a segment up to its next hole: patches run out, holes that are open at the cut are patched by
expectation, and no others are, since a hole that could be patched would be the one asked for. (Left out: works that are
decided after the cut, which only oracle knows; the earliest come three weeks after a repair.)
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta

import numpy as np
from numpy.typing import NDArray

from roadtwin.errors import SimulationError
from simulators.ceilings.mixture import GRID, Mixture
from simulators.ceilings.past import Past
from simulators.truth.exposure import Floats, MonthExposure, kinds_of
from simulators.truth.hazard import SPIN_UP_DAYS
from simulators.truth.kernel import patch_factor, saturated
from simulators.truth.repairs import cold_mix_share
from simulators.truth.truth import Truth
from simulators.world import World

HORIZONS_DAYS = (7, 28, 90)
MAX_HORIZON_DAYS, MAX_DRAWS = 366, 1000
DRAWS = 32
_SHRINKAGE = 0.5  # of count-so-far: the gamma's shape, as if half a hole had been expected and seen before


@dataclass(frozen=True, slots=True)
class Ceilings:
    """Probabilities of at least one new hole on each segment from a cut on. Arrays have shape (segments, horizons)."""

    cut: date
    horizons_days: tuple[int, ...]
    segment_ids: tuple[str, ...]
    oracle: Floats
    informed: Floats
    climatology: Floats
    """From the city's rate in the same days of the years before."""
    count_so_far: Floats
    """The same, times the holes so far by those expected of the city's average."""
    observed: NDArray[np.int64]
    """New holes that did break open."""

    def forecasts(self) -> dict[str, Floats]:
        """The four forecasts by name, the best informed first."""
        names = ("oracle", "informed", "count_so_far", "climatology")
        return {name: getattr(self, name) for name in names}


def ceilings(world: World, cut: date, horizons_days: Sequence[int] = HORIZONS_DAYS, draws: int = DRAWS) -> Ceilings:
    """Ceilings at one cut; see `ceilings_at`."""
    return ceilings_at(world, [cut], horizons_days, draws)[0]


def ceilings_at(
    world: World,
    cuts: Sequence[date],
    horizons_days: Sequence[int] = HORIZONS_DAYS,
    draws: int = DRAWS,
    *,
    truth: Truth | None = None,
    on_progress: Callable[[float], None] | None = None,
) -> list[Ceilings]:
    """Ceilings at several cuts, for which the past is run once.

    Parameters
    ----------
    world : World
        The city.
    cuts : sequence of date
        Local days; at least a day after the world's first one.
    horizons_days : sequence of int
        Lengths of the windows from a cut on, 1 to 366. [d]
    draws : int
        Continuations of the weather over which is averaged, 1 to 1000.
    truth : Truth, optional
        Another truth of this world that has not been run yet, to ask what if.
    on_progress : callable, optional
        Called with the share that is done, 0 to 1.

    Raises
    ------
    SimulationError
        If an argument is outside its range.
    """
    horizons = tuple(sorted(set(horizons_days)))
    _check(world, cuts, horizons, draws)
    truth = Truth(world) if truth is None else truth
    past, mixture = Past(truth), Mixture(truth.condition)
    first, last = world.epoch - timedelta(days=SPIN_UP_DAYS), max(cuts) + timedelta(days=horizons[-1])
    days = [first + timedelta(days=i) for i in range((last - first).days)]
    born: dict[date, NDArray[np.int64]] = {}
    open_cuts: dict[date, _Cut] = {}
    for number, day in enumerate(days):
        if day in cuts:
            open_cuts[day] = _Cut(past, mixture, truth, day, horizons, draws)
        events = truth.day(day)
        if day < max(cuts):
            past.add(events)
        born[day] = truth.holes.segment[events.born].astype(np.int64)
        if on_progress is not None:
            on_progress((number + 1) / len(days))
    return [open_cuts[cut].result(born) for cut in cuts]


def _check(world: World, cuts: Sequence[date], horizons: tuple[int, ...], draws: int) -> None:
    early = [cut for cut in cuts if cut <= world.epoch]
    if not cuts or early:
        got = ", ".join(map(str, early)) or "none"
        raise SimulationError(f"Cut: got {got}, expected days after the world's first one, {world.epoch}.")
    wrong = [days for days in horizons if not 1 <= days <= MAX_HORIZON_DAYS]
    if not horizons or wrong:
        got = ", ".join(map(str, wrong)) or "none"
        raise SimulationError(f"Horizon: got {got}, expected whole days from 1 to {MAX_HORIZON_DAYS}.")
    if not 1 <= draws <= MAX_DRAWS:
        raise SimulationError(f"Draws: got {draws}, expected 1 to {MAX_DRAWS}.")


@dataclass(frozen=True, slots=True)
class _Span:
    """Days of a window within one calendar month, none of which is in two spans."""

    begin: date
    days: int


class _Cut:
    """One cut: what is known there is taken when it is made; what became of it is asked for afterwards."""

    def __init__(
        self, past: Past, mixture: Mixture, truth: Truth, cut: date, horizons: tuple[int, ...], draws: int
    ) -> None:
        self._truth, self._cut, self._horizons, self._draws = truth, cut, horizons, draws
        self._spans = _spans(cut, horizons)
        self._patches = self._patches_of_spans()
        self._known = truth.condition.as_known(cut - timedelta(days=1))
        self._informed = self._informed_of(past, mixture)
        self._climatology, self._by_count = self._baselines(past)

    def _patches_of_spans(self) -> list[Floats]:
        """Cold patches of each segment in the middle of each span, as expected if no new hole breaks open."""
        holes, waiting = self._truth.holes, self._truth.open_holes()
        opened = np.bincount(holes.segment[waiting], minlength=len(self._truth.world.segments))
        patched = cold_mix_share(self._cut) * opened
        return [self._truth.patches_left(s.begin + timedelta(days=s.days // 2)) + patched for s in self._spans]

    def _informed_of(self, past: Past, mixture: Mixture) -> Floats:
        known, calibration = self._known, self._truth.hazard.calibration
        count, number = len(known.length_m), len(self._horizons)
        source = known.weather
        statics, kinds, renewed = [], [], []
        for span, patches in zip(self._spans, self._patches, strict=True):
            month = span.begin.year, span.begin.month
            factor = calibration.base_rate * known.recorded(*month) * patch_factor(known, span.begin, patches)
            statics.append(saturated(factor[:, None] * GRID, calibration.ceiling))
            kinds.append(kinds_of(known.drainage, known.exposure, known.heavy_rank(*month)))
            renewed.append(known.is_renewed(*month))
        quiet = np.zeros((2, number, count, len(GRID)))
        for draw in range(self._draws):
            drawn = source.continued(self._cut - timedelta(days=1), draw)
            total, months = np.zeros((2, count, len(GRID))), {}
            end = self._cut
            for span, static, kind, new in zip(self._spans, statics, kinds, renewed, strict=True):
                month = span.begin.year, span.begin.month
                if month not in months:
                    months[month] = MonthExposure(calibration, drawn, *month)
                first = span.begin.day - 1
                expected = months[month].expected(kind, first, first + span.days, static)
                expected *= known.length_m[:, None] / 100
                total[0] += np.where(new[:, None], 0.0, expected)
                total[1] += np.where(new[:, None], expected, 0.0)
                end = span.begin + timedelta(days=span.days)
                if (end - self._cut).days in self._horizons:
                    quiet[:, self._horizons.index((end - self._cut).days)] += np.exp(-total)
        quiet /= self._draws
        likelihood = past.likelihood(self._cut)
        survival = [mixture.survival(likelihood, (quiet[0, h], quiet[1, h])) for h in range(number)]
        return 1.0 - np.stack(survival, axis=1)

    def _baselines(self, past: Past) -> tuple[Floats, Floats]:
        length = self._truth.condition.length_m / 100
        usual = sum(past.daily.values()) / len(past.daily) / length.sum()  # holes per 100 m and day
        expected = np.empty((len(length), len(self._horizons)))
        for column, days in enumerate(self._horizons):
            same = [past.daily[d] for d in _same_days(self._cut, days) if d in past.daily]
            rate = sum(same) / len(same) / length.sum() if len(same) >= days else usual
            expected[:, column] = rate * days * length
        so_far = (past.counts + _SHRINKAGE) / (usual * len(past.daily) * length + _SHRINKAGE)
        return 1 - np.exp(-expected), 1 - np.exp(-expected * so_far[:, None])

    def result(self, born: dict[date, NDArray[np.int64]]) -> Ceilings:
        """All of it, when the truth has been run to the end of the longest window."""
        hazard, condition, count = self._truth.hazard, self._truth.condition, len(self._known.length_m)
        total, holes = np.zeros(count), np.zeros(count, np.int64)
        oracle, observed = np.empty((count, len(self._horizons))), np.empty((count, len(self._horizons)), np.int64)
        for span, patches in zip(self._spans, self._patches, strict=True):
            for offset in range(span.days):
                day = span.begin + timedelta(days=offset)
                total += hazard.expected_holes(day, patch_factor(condition, day, patches))
                np.add.at(holes, born[day], 1)
                if (days := (day - self._cut).days + 1) in self._horizons:
                    oracle[:, self._horizons.index(days)] = 1 - np.exp(-total)
                    observed[:, self._horizons.index(days)] = holes
        return Ceilings(
            cut=self._cut,
            horizons_days=self._horizons,
            segment_ids=self._truth.world.segment_ids,
            oracle=oracle,
            informed=self._informed,
            climatology=self._climatology,
            count_so_far=self._by_count,
            observed=observed,
        )


def _spans(cut: date, horizons: tuple[int, ...]) -> list[_Span]:
    """The longest window, cut where a month or a horizon ends."""
    ends = {cut + timedelta(days=days) for days in horizons}
    spans, begin, last = [], cut, max(ends)
    while begin < last:
        month_after = date(begin.year + begin.month // 12, begin.month % 12 + 1, 1)
        end = min(end for end in (*ends, month_after) if end > begin)
        spans.append(_Span(begin, (end - begin).days))
        begin = end
    return spans


def _same_days(cut: date, days: int) -> list[date]:
    """The window's days in each of the ten years before."""
    shifted = [cut - timedelta(days=round(365.25 * years)) for years in range(1, 11)]
    return [begin + timedelta(days=offset) for begin in shifted for offset in range(days)]
