"""Open potholes now, by Bayesian merging of passes, persons and repairs: a Poisson multi-Bernoulli filter [1]_.

Two parts a segment, stepped by local day through a window of the past:

* **Holes that nobody has seen**: a Poisson number. New ones arise, each is gone after some time, and every look that
  reports nothing thins them by the chance that it would have reported one.
* **Places** where something was reported: each is nothing (a single mistake), a hole that is easily or hardly seen (the
  other lane, small), or a lasting mistake that is often or seldom reported (lid, rail, worn line: detected again and
  again, found by nobody). What is reported, and what is not on a pass or by a person, moves the five probabilities by
  Bayes' rule.

A day's order is: cameras, persons, repairs, for crews close by day what cameras upload at night.

References
----------
.. [1] J. L. Williams, "Marginal multi-Bernoulli filters: RFS derivation of MHT, JIPDA, and association-based MeMBer,"
   IEEE Trans. Aerosp. Electron. Syst., vol. 51, no. 3, 2015, doi:10.1109/TAES.2015.130550.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.inputs import EvidenceKind
from models.state.places import MAKING, CameraDays, Looks, Places, Road, Sightings
from models.state.skill import Skill

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

WINDOW_DAYS = 120
"""Days of the past that are stepped through. What was seen before has been repaired, seen again or forgotten. [d]"""


@dataclass(frozen=True, slots=True)
class Presence:
    """Open potholes of n segments: `probability` of at least one, `expected` number and its `sd`. [-]

    `hole` and `mistake` are the probabilities that each of the p places is a hole, a lasting mistake. [-]
    """

    probability: Floats
    expected: Floats
    sd: Floats
    hole: Floats
    mistake: Floats

    def sd_about(self, count: Floats) -> Floats:
        """How far a count of open potholes is off, 1 σ, shape (n,): root mean square of the number there less `count`.

        It holds what the filter does not know, and that it expects another number than the rule counted. [-]
        """
        return np.asarray(np.hypot(self.sd, self.expected - count))


_NOTHING, _EASY, _HARD, _OFTEN, _SELDOM = range(5)
_HOLE, _MISTAKE = slice(_EASY, _HARD + 1), slice(_OFTEN, _SELDOM + 1)


def open_potholes(
    road: Road,
    cameras: CameraDays,
    sightings: Sightings,
    looks: Looks,
    places: Places,
    new_per_day: Floats,
    skill: Skill,
    *,
    days: int = WINDOW_DAYS,
) -> Presence:
    """Probability that a pothole is open now.

    Parameters
    ----------
    road : Road
        n segments.
    cameras, sightings, looks : CameraDays, Sightings, Looks
        What was recorded by now of the days 0 to `days` − 1, the last of which is today.
    places : Places
        Which sightings belong together; see `places_of`.
    new_per_day : ndarray, shape (n,)
        Expected new holes of each segment a day. [1/d]
    skill : Skill
        How well cameras and persons see, and how long holes live.

    Returns
    -------
    Presence
    """
    n, segment = len(road.length_m), places.segment
    share = np.minimum(places.width_m / road.length_m[segment], 1.0)
    weight = np.zeros((len(segment), 5))
    weight[:, _NOTHING] = 1.0
    kinds = np.array([skill.share_easy, 1 - skill.share_easy])
    new = np.outer(kinds, new_per_day)
    unseen = new * skill.life_days / 2  # what a window of several lives forgets
    still = np.exp(-1 / skill.life_days)
    begun = 0
    rows = _Days(road, cameras, sightings, looks, places, skill, days)
    for day in range(days):
        unseen *= still
        unseen += new
        known = weight[:begun]
        _move(known, 1 - np.exp(-1 / skill.unrecorded_life_days))
        known[:, _HOLE] += np.outer(new_per_day[segment[:begun]] * share[:begun], kinds)
        first, begun = begun, int(np.searchsorted(places.first_day, day, side="right"))
        fresh = slice(first, begun)
        weight[fresh, _HOLE] = (unseen[:, segment[fresh]] * share[fresh]).T
        weight[fresh, _MISTAKE] = np.outer(
            places.width_m[fresh] * places.mask_factor[fresh], [skill.often_per_m, skill.seldom_per_m]
        )
        fit, prone, looked = *rows.worth(day), rows.looked(day)
        touched = np.flatnonzero((fit > 0)[segment[:begun]] | looked[segment[:begun]] | rows.told(day, begun))
        likelihood = _likelihood(rows, places, skill, day, touched, (fit, prone, looked))
        weight[touched] *= likelihood
        weight[:begun] /= weight[:begun].sum(axis=1, keepdims=True)
        unseen *= np.exp(np.outer(np.log1p([-skill.recall_easy, -skill.recall_hard]), fit))
        unseen[:, looked] *= 1 - skill.person_recall
        renewed = rows.renewed(day)
        unseen[:, renewed] = 0.0
        closed = np.flatnonzero(rows.repaired(day)[:begun] | renewed[segment[:begun]])
        if closed.size:
            after = weight[closed]
            _move(after, 1 - skill.repair_mistaken)
            weight[closed] = after
    hole = weight[:, _HOLE].sum(axis=1)
    rest = unseen.sum(axis=0)
    return Presence(
        probability=-np.expm1(-rest + np.bincount(segment, np.log1p(-np.minimum(hole, 1 - 1e-9)), n)),
        expected=rest + np.bincount(segment, hole, n),
        sd=np.sqrt(rest + np.bincount(segment, hole * (1 - hole), n)),
        hole=hole,
        mistake=weight[:, _MISTAKE].sum(axis=1),
    )


def _move(weight: Floats, share: float) -> None:
    """Holes that are gone: a share of them becomes nothing, in place."""
    gone = weight[:, _HOLE] * share
    weight[:, _HOLE] -= gone
    weight[:, _NOTHING] += gone.sum(axis=1)


def _likelihood(
    rows: "_Days",
    places: Places,
    skill: Skill,
    day: int,
    touched: Ints,
    looks: tuple[Floats, Floats, NDArray[np.bool_]],
) -> Floats:
    """Of what was reported and not reported of the places `touched` on a day, for each of the five, up to a factor."""
    fit, prone, looked = looks
    segment = places.segment[touched]
    seen, fitness, doubt = rows.seen(day, touched)
    # A detection whose pass was put to the segment beside it has been a pass here, too.
    prone_driven, fit_driven = np.maximum(prone[segment], seen), np.maximum(fit[segment], seen)
    width_m = places.width_m[touched]
    chance = np.empty((len(touched), 5))  # that one pass reports the place
    chance[:] = [0.0, skill.recall_easy, skill.recall_hard, skill.mistake_often, skill.mistake_seldom]
    chance[:, _NOTHING] = skill.false_per_m * width_m
    looked_through = np.column_stack([prone_driven, fit_driven, fit_driven, prone_driven, prone_driven])
    log = seen[:, None] * np.log(chance) + (looked_through - seen[:, None]) * np.log1p(-chance)
    log[:, _HOLE] += fitness[:, None]
    log[:, [_NOTHING, _OFTEN, _SELDOM]] += doubt[:, None]
    found = rows.count(day, EvidenceKind.FINDING, touched) + rows.count(day, EvidenceKind.SECURING, touched) > 0
    missed = looked[segment] & ~found
    log[found, _HOLE] += np.log(skill.person_recall)
    log[found, _MISTAKE] += np.log(skill.person_mistake)
    log[found, _NOTHING] += np.log(skill.person_false_per_m * width_m[found])
    log[missed, _HOLE] += np.log(1 - skill.person_recall)
    reported = rows.count(day, EvidenceKind.REPORT, touched) > 0
    log[reported, _HOLE] += np.log(skill.reports_per_day)
    log[reported, _NOTHING] += np.log(skill.report_false_per_m * width_m[reported])
    log[reported, _MISTAKE] += np.log(skill.reports_per_day * skill.person_mistake)
    return np.asarray(np.exp(log - log.max(axis=1, keepdims=True)))


class _Days:
    """Rows of a day, found quickly."""

    def __init__(
        self,
        road: Road,
        cameras: CameraDays,
        sightings: Sightings,
        looks: Looks,
        places: Places,
        skill: Skill,
        days: int,
    ) -> None:
        self._n, self._places, ends = len(road.length_m), len(places.segment), np.arange(days + 1)
        order = np.argsort(cameras.day, kind="stable")
        worth = cameras.worth(skill.poor_factor, skill.frame_factors)
        prone = cameras.worth(skill.poor_mistakes, skill.frame_mistakes)
        self._camera = (cameras.segment[order], worth[order], prone[order])
        self._camera_at = np.searchsorted(cameras.day[order], ends)
        order = np.argsort(looks.day, kind="stable")
        self._look, self._look_at = looks.segment[order], np.searchsorted(looks.day[order], ends)
        self._kinds = {}
        for kind in EvidenceKind:
            rows = np.flatnonzero(sightings.kind == kind)
            rows = rows[np.argsort(sightings.day[rows], kind="stable")]
            self._kinds[kind] = (rows, np.searchsorted(sightings.day[rows], ends))
        self._place_of, self._segment, self._closes = places.of_sighting, sightings.segment, places.closed_by
        factors = np.array([*skill.camera_factors, 1.0])
        known = (sightings.camera >= 0) & (sightings.camera < len(skill.camera_factors))
        sees = np.array([1.0, *(skill.frame_factors or (skill.poor_factor,) * 3)])[sightings.frames]
        errs = np.array([1.0, *(skill.frame_mistakes or (skill.poor_mistakes,) * 3)])[sightings.frames]
        self._fitness = np.log(sees)
        self._doubt = np.log(factors[np.where(known, sightings.camera, -1)] * errs)

    def worth(self, day: int) -> tuple[Floats, Floats]:
        """Number of passes with fit frames that those of the day are worth, for holes and for mistakes, each (n,)."""
        rows = slice(self._camera_at[day], self._camera_at[day + 1])
        segment, *both = (column[rows] for column in self._camera)
        holes, mistakes = (np.asarray(np.bincount(segment, part, self._n), np.float64) for part in both)
        return holes, mistakes

    def looked(self, day: int) -> NDArray[np.bool_]:
        """Segments that a person looked at, shape (n,)."""
        looked = np.zeros(self._n, np.bool_)
        looked[self._look[self._look_at[day] : self._look_at[day + 1]]] = True
        return looked

    def _rows(self, day: int, kind: EvidenceKind) -> Ints:
        rows, at = self._kinds[kind]
        return rows[at[day] : at[day + 1]]

    def told(self, day: int, begun: int) -> NDArray[np.bool_]:
        """Places of the first `begun` at which something was reported."""
        told = np.zeros(self._places, np.bool_)
        for kind in MAKING:
            told[self._place_of[self._rows(day, kind)]] = True
        return told[:begun]

    def count(self, day: int, kind: EvidenceKind, places: Ints) -> Floats:
        """How often these places were reported."""
        return np.bincount(self._place_of[self._rows(day, kind)], minlength=self._places)[places].astype(np.float64)

    def seen(self, day: int, places: Ints) -> tuple[Floats, Floats, Floats]:
        """Detections of these places, and the sums of the logarithms of how much more probable than in a fit frame each
        is of a hole, and of a mistake of a usual camera."""
        rows = self._rows(day, EvidenceKind.DETECTION)
        of = self._place_of[rows]
        seen = np.bincount(of, minlength=self._places).astype(np.float64)
        fitness, doubt = (np.bincount(of, log[rows], self._places) for log in (self._fitness, self._doubt))
        return seen[places], fitness[places].astype(np.float64), doubt[places].astype(np.float64)

    def repaired(self, day: int) -> NDArray[np.bool_]:
        """Places that crews closed, shape (p,)."""
        closed = np.zeros(self._places, np.bool_)
        for row in self._rows(day, EvidenceKind.REPAIR).tolist():
            closed[self._closes.get(row, [])] = True
        return closed

    def renewed(self, day: int) -> NDArray[np.bool_]:
        """Segments with a new surface, shape (n,)."""
        renewed = np.zeros(self._n, np.bool_)
        renewed[self._segment[self._rows(day, EvidenceKind.RENEWAL)]] = True
        return renewed
