"""How well cameras and persons see holes, and how long holes live: priors, and what a city's own data make of them."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from models.inputs import EvidenceKind
from models.state.places import CameraDays, Frames, Looks, Places, Road, Sightings

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Skill:
    """Chances of the observers of a city. The recall of a detector is from [1]_; what is not is assumed.

    Attributes
    ----------
    recall_easy, recall_hard : float
        That one pass with fit frames reports a hole that is easily, hardly seen (other lane, small). [-]
    share_easy : float
        Holes that are easily seen. [-]
    poor_factor, frame_factors : float, tuple of float
        Recall with blurred, wet or dark frames relative to that with fit ones: of all, and of wet, dark, blurred ones;
        empty: not told apart. [-]
    poor_mistakes, frame_mistakes : float, tuple of float
        The same of mistakes a pass. [-]
    false_per_m : float
        Single mistakes a pass and metre. [1/m]
    camera_factors : tuple of float
        How many times as often as usual each camera (code of model and version) is mistaken; others 1. [-]
    often_per_m, seldom_per_m, mistake_often, mistake_seldom : float
        Lasting mistakes a metre that are often and seldom reported [1/m], and that a pass reports one of them [-].
    person_recall : float
        That a person who looks at a segment notes a hole. [-]
    person_false_per_m, person_mistake : float
        Holes noted where none is, a look and metre [1/m], and that one is noted at a lasting mistake [-].
    reports_per_day, report_false_per_m : float
        Reports of an open hole a day [1/d], and of none, a day and metre [1/(d·m)].
    life_days, unrecorded_life_days : float
        How long holes stay that nobody has seen, and how long it takes until a hole that was seen is gone without a
        record of it. [d]
    repair_mistaken : float
        That a repair was one of another hole near by. [-]

    References
    ----------
    .. [1] D. Arya et al., "RDD2022," doi:10.48550/arXiv.2209.08538: F1 of the best detectors 0.7 to 0.8, that is recall
       and precision of about 0.75.
    """

    recall_easy: float = 0.75
    recall_hard: float = 0.25
    share_easy: float = 0.6
    poor_factor: float = 0.6
    frame_factors: tuple[float, ...] = ()
    poor_mistakes: float = 1.0
    frame_mistakes: tuple[float, ...] = ()
    false_per_m: float = 1e-4
    camera_factors: tuple[float, ...] = ()
    often_per_m: float = 5e-5
    seldom_per_m: float = 1e-3
    mistake_often: float = 0.6
    mistake_seldom: float = 0.06
    person_recall: float = 0.9
    person_false_per_m: float = 1e-5
    person_mistake: float = 0.01
    reports_per_day: float = 0.02
    report_false_per_m: float = 5e-6
    life_days: float = 14.0
    unrecorded_life_days: float = 60.0
    repair_mistaken: float = 0.05

    @property
    def recall(self) -> float:
        """Mean recall of one pass with fit frames. [-]"""
        return self.share_easy * self.recall_easy + (1 - self.share_easy) * self.recall_hard


FACTOR_SD = 0.3
"""Standard deviation of the logarithm of how a city's recall differs from the published one. [-] Assumed."""
PRIOR_CAPTURES = 20.0
"""The prior of `poor_factor` counts as much as so many detections that were expected. [-]"""
PRIOR_MISTAKES = 20.0
"""That poor frames are mistaken as often as fit ones counts as much as so many mistakes that were expected. [-]"""
REFUTED_DAYS = 14
"""A detection was a mistake, most likely, if a person looked at the segment so soon after it and nobody ever found or
closed a hole there. [d]"""
PRIOR_DETECTIONS = 50.0
"""The usual precision counts as much as so many detections of a camera. [-]"""
HIGHEST_RECALL = 0.95
RECAPTURE_M = 15.0
"""So near to a hole that is known to be open, a detection is of it: three times the usual error of a position. [m]"""
_POOR = (Frames.WET, Frames.DARK, Frames.BLURRED)
_LONGEST_M = 1e6  # no section is longer: sections one after the other on one axis


@dataclass(frozen=True, slots=True)
class KnownOpen:
    """Places at which a hole is known to have been open from the day after `first` to the day before `last`, k rows: a
    person found it on the first day and a crew closed it on the last."""

    place: Ints
    first: Ints
    last: Ints


def known_open(places: Places, sightings: Sightings) -> KnownOpen:
    """Places that a person found and a crew closed."""
    far = np.iinfo(np.int64).max
    found, closed = (np.full(len(places.segment), far) for _ in range(2))
    rows = np.flatnonzero(np.isin(sightings.kind, [EvidenceKind.FINDING, EvidenceKind.SECURING]))
    np.minimum.at(found, places.of_sighting[rows], sightings.day[rows])
    for row, which in places.closed_by.items():
        day = sightings.day[row]
        after = [place for place in which if day > found[place]]
        closed[after] = np.minimum(closed[after], day)
    place = np.flatnonzero((found < far) & (closed < far))
    return KnownOpen(place, found[place], closed[place])


def skill_of(
    road: Road,
    places: Places,
    cameras: CameraDays,
    sightings: Sightings,
    looks: Looks,
) -> Skill:
    """What the city's own data make of `Skill()`: recall and mistakes, both by frames too, and mistakes by camera.

    Recall is estimated by recapture [1]_: between the day on which a person found a hole and that on which a crew
    closed it, it was there, and each pass reports it, within 15 m, or not. A common factor on `recall_easy` and
    `recall_hard` maximises the likelihood of the counts of all such holes, each easily or hardly seen, times a
    log-normal prior (sd 0.3 about 1). `poor_factor` compares detections a pass on days with poor frames only with those
    on days with fit frames only; `frame_factors` the same for days on which all were wet, dark or blurred, shrunk to
    `poor_factor`. Mistakes are detections that were refuted (`REFUTED_DAYS`), counted by their own frames, a metre and
    pass that a look followed as soon. Cameras differ in the share of their detections at places that a person or a
    crew confirmed, shrunk to the share of all.

    References
    ----------
    .. [1] G. A. F. Seber, *The Estimation of Animal Abundance*, 2nd ed. London: Griffin, 1982, ch. 3.
    """
    skill = Skill()
    known = known_open(places, sightings)
    seen = np.flatnonzero(sightings.kind == EvidenceKind.DETECTION)
    span = 1 + int(max(cameras.day.max(initial=0), sightings.day.max(initial=0)))
    key = cameras.segment * span + cameras.day
    only_good = cameras.poor == 0
    here = np.zeros(len(road.length_m) * span)  # places known to be open, by segment and day
    for place, begin, end in zip(known.place.tolist(), known.first.tolist(), known.last.tolist(), strict=True):
        here[places.segment[place] * span + begin + 1 : places.segment[place] * span + end] += 1
    row, place = _recaptures(road, places, sightings, seen, known)
    detected = np.bincount(places.segment[place] * span + sightings.day[row], minlength=len(here))
    skill = _with_recall(skill, places, cameras, known, np.bincount(place, minlength=len(places.segment)))
    fit_passes = float((here[key] * cameras.good)[only_good].sum())
    a_pass = (float(detected[key[only_good]].sum()) + PRIOR_CAPTURES * skill.recall) / (fit_passes + PRIOR_CAPTURES)

    def factor(passes: Floats, usual: float) -> float:
        """Recall on days with nothing but these passes relative to that with fit frames, shrunk to what is usual."""
        only = (passes > 0) & (passes == cameras.good + cameras.poor)
        expected = a_pass * usual * float((here[key] * passes)[only].sum())
        found = float(detected[key[only]].sum())
        return min(usual * (PRIOR_CAPTURES + found) / (PRIOR_CAPTURES + float(expected)), 1.0)

    poor_factor = factor(cameras.poor, skill.poor_factor)
    kinds = [cameras.passes(frames) for frames in _POOR] if np.isfinite(cameras.wet).any() else []
    right = _confirmed(places, sightings)[places.of_sighting[seen]]
    poor_mistakes, frame_mistakes = _mistakes(road, cameras, sightings, looks, seen[~right])
    return replace(
        skill,
        poor_factor=poor_factor,
        frame_factors=tuple(factor(passes, poor_factor) for passes in kinds),
        poor_mistakes=poor_mistakes,
        frame_mistakes=frame_mistakes,
        camera_factors=_camera_factors(sightings.camera[seen], right),
    )


def _mistakes(
    road: Road, cameras: CameraDays, sightings: Sightings, looks: Looks, unconfirmed: Ints
) -> tuple[float, tuple[float, ...]]:
    """Mistakes a pass and metre relative to fit frames: with poor ones, and with wet, dark and blurred ones.

    `unconfirmed` are detections (rows) at places that nobody found or closed.
    """
    last = max(int(column.max(initial=0)) for column in (cameras.day, sightings.day, looks.day))
    span = last + 2 + REFUTED_DAYS
    looked = np.sort(looks.segment * span + looks.day)

    def soon(key: Ints) -> NDArray[np.bool_]:
        return np.searchsorted(looked, key) < np.searchsorted(looked, key + REFUTED_DAYS, side="right")

    key, seen = cameras.segment * span + cameras.day, sightings.segment[unconfirmed] * span + sightings.day[unconfirmed]
    refuted = soon(seen)
    frames, seen = sightings.frames[unconfirmed[refuted]], seen[refuted]
    count = np.bincount(frames, minlength=len(Frames)).astype(np.float64)
    driven = np.where(soon(key), road.length_m[cameras.segment], 0.0)
    fit_m, poor_m = float(driven @ cameras.good), float(driven @ cameras.poor)
    if not count.sum() or not fit_m or not poor_m:
        return Skill().poor_mistakes, ()
    # A rate of few mistakes with fit frames is shrunk to that of all.
    rate = float(count[Frames.FIT] + PRIOR_MISTAKES) / (fit_m + PRIOR_MISTAKES * (fit_m + poor_m) / float(count.sum()))

    def ratio(found: float, metres: float, usual: float) -> float:
        return usual * (PRIOR_MISTAKES + found) / (PRIOR_MISTAKES + usual * rate * metres)

    poor = ratio(float(count[1:].sum()), poor_m, Skill().poor_mistakes)
    apart = np.isfinite(cameras.wet)
    if not apart.any():
        return poor, ()
    count = np.bincount(frames[np.isin(seen, key[apart])], minlength=len(Frames)).astype(np.float64)
    return poor, tuple(ratio(float(count[kind]), float(driven @ cameras.passes(kind)), poor) for kind in _POOR)


def _with_recall(skill: Skill, places: Places, cameras: CameraDays, known: KnownOpen, captures: Ints) -> Skill:
    """Recall by the likelihood of how often each known hole was captured."""
    worth = cameras.good + skill.poor_factor * cameras.poor
    span = 1 + int(max(cameras.day.max(initial=0), known.last.max(initial=0)))
    order = np.argsort(cameras.segment * span + cameras.day, kind="stable")
    key, total = (cameras.segment * span + cameras.day)[order], np.concatenate([[0.0], np.cumsum(worth[order])])
    segment = places.segment[known.place]
    begin, end = (np.searchsorted(key, segment * span + day) for day in (known.first + 1, known.last))
    exposure, count = total[end] - total[begin], captures[known.place].astype(np.float64)
    rows = exposure > 0
    exposure = exposure[rows]
    count = np.minimum(count[rows], exposure)
    best, factor = -np.inf, 1.0
    for log_factor in np.linspace(-1.2, 0.5, 35).tolist():
        likelihood = -0.5 * (log_factor / FACTOR_SD) ** 2
        parts = []
        for share, recall in ((skill.share_easy, skill.recall_easy), (1 - skill.share_easy, skill.recall_hard)):
            chance = min(recall * float(np.exp(log_factor)), HIGHEST_RECALL)
            parts.append(np.log(share) + count * np.log(chance) + (exposure - count) * np.log1p(-chance))
        likelihood += float(np.logaddexp(*parts).sum())
        if likelihood > best:
            best, factor = likelihood, float(np.exp(log_factor))
    easy, hard = (min(recall * factor, HIGHEST_RECALL) for recall in (skill.recall_easy, skill.recall_hard))
    return replace(skill, recall_easy=easy, recall_hard=hard)


def _recaptures(road: Road, places: Places, sightings: Sightings, seen: Ints, known: KnownOpen) -> tuple[Ints, Ints]:
    """Detections (rows) of places known to be open, each with the first of those places that it may be of."""
    along = _LONGEST_M * road.section[places.segment[known.place]] + places.station_m[known.place]
    order = np.argsort(along)
    at = _LONGEST_M * road.section[sightings.segment[seen]] + sightings.station_m[seen]
    low, high = (np.searchsorted(along[order], at + side * RECAPTURE_M) for side in (-1, 1))
    row = np.repeat(seen, high - low)
    within = np.arange(row.size) - np.repeat(np.cumsum(high - low) - (high - low), high - low)
    which = order[within + np.repeat(low, high - low)]
    day = sightings.day[row]
    inside = (day > known.first[which]) & (day < known.last[which])
    row, first = np.unique(row[inside], return_index=True)
    return row, known.place[which[inside][first]]


def _confirmed(places: Places, sightings: Sightings) -> NDArray[np.bool_]:
    """Places that a person found or a crew closed."""
    confirmed = np.zeros(len(places.segment), np.bool_)
    people = np.isin(sightings.kind, [EvidenceKind.FINDING, EvidenceKind.SECURING])
    confirmed[places.of_sighting[people]] = True
    for which in places.closed_by.values():
        confirmed[which] = True
    return confirmed


def _camera_factors(camera: Ints, right: NDArray[np.bool_]) -> tuple[float, ...]:
    """How many times as often as usual each camera is mistaken, from its detections and whether people confirm them."""
    if not len(right) or not 0 < right.sum() < len(right):
        return ()
    usual = float(right.mean())
    total = np.bincount(camera, minlength=1)
    precision = (np.bincount(camera, right) + PRIOR_DETECTIONS * usual) / (total + PRIOR_DETECTIONS)
    odds = (1 - precision) / precision / ((1 - usual) / usual)
    return tuple(odds.tolist())
