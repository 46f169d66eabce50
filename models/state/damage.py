"""Cracks and patches of a segment: counts of cameras, surveys and repairs merged, each by how sure it is."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.state.fields import Estimate

Floats = NDArray[np.float64]

ALLIGATOR_WEIGHT = 3.0
"""An area of alligator cracks touches about three times as many cells as a linear crack. [-]"""
POOR_FRAMES = 0.6
"""Share of the cracks seen by a pass with blurred, wet or dark frames, relative to one with fit frames. [-]"""
SURVEY_SD_SHARE, SURVEY_SD_PCT = 0.15, 0.5
"""Error of a survey: a share of what it says, and a floor [%]. Assumed."""
CRACK_GROWTH_PCT, PATCH_GROWTH_PCT = 1.0, 0.5
"""How far cracked and patched share wander in a year after a survey, 1 σ. [%] Assumed."""
PATCH_LOSS_PER_YEAR = 0.14
"""Share of patches that are gone after a year. [1/a] 56 % of cold patches were alive after four years (SHRP H-106)."""
FALSE_SPREAD = 0.3
"""How segments differ in the cracks that are reported by mistake: sd as a share of their mean. [-] Assumed."""
_LEAST_SURVEYS = 20
_COUNT_SPREAD = 2.0  # variance over mean of weighted counts: between 1 (linear cracks) and 3 (alligator areas)
_FALSE_SD = 0.3  # of the prior: false counts a pass and 100 m


@dataclass(frozen=True, slots=True)
class DamageCamera:
    """What cameras report of a kind of damage: a pass over 100 m counts `false` + `per_pct` · (share of the area in %);
    `scatter` is the sd by which segments differ from that, as a share of the share. [-]

    The default is that of cracks, alligator areas counted threefold: of cells of 1 m by a third of a lane a crack of
    3 m touches 3 of 300, and 75 % are reported.
    """

    false: float = 0.0
    per_pct: float = 0.75
    scatter: float = 0.4


PATCH_CAMERA = DamageCamera(per_pct=1.6, scatter=0.8)
"""What cameras report of patches until surveys tell: 1 % of 100 m of a road 6.5 m wide are two patches of 3 m², of
which 75 % are reported; but patches have any size. Assumed."""


def damage_rate(linear: Floats, alligator: Floats, good: Floats, poor: Floats, length_m: Floats) -> Estimate:
    """Weighted cracks a pass and 100 m that cameras counted; or patches, as `linear` with no `alligator`.

    Parameters
    ----------
    linear, alligator, good, poor : ndarray, shape (n,)
        Detections and passes of the window, all frames.
    length_m : ndarray, shape (n,)
        Of the segment. [m]

    Returns
    -------
    Estimate, shape (n,)
        NaN without a pass with fit frames. The sd is that of counting.

    Examples
    --------
    >>> one = np.ones(1)
    >>> damage_rate(6 * one, 2 * one, 4 * one, 0 * one, 100 * one).value
    array([3.])
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        per_count = 100.0 / length_m / (good + POOR_FRAMES * poor)
        value = (linear + ALLIGATOR_WEIGHT * alligator) * per_count
        # A count of nothing is still one that may have been one: Poisson with half a count added.
        sd = np.sqrt(linear + 0.5 + ALLIGATOR_WEIGHT**2 * alligator) * per_count
    seen = good > 0
    return Estimate(np.where(seen, value, np.nan), np.where(seen, sd, np.nan))


def share_from_camera_pct(rate: Estimate, camera: DamageCamera) -> Estimate:
    """Cracked or patched share from a rate, without what the camera reports by mistake. [%]

    Examples
    --------
    >>> share_from_camera_pct(Estimate(np.array([3.0]), np.array([0.3])), DamageCamera()).value
    array([4.])
    """
    value = np.clip((rate.value - camera.false) / camera.per_pct, 0.0, 100.0)
    mistakes = FALSE_SPREAD * camera.false / camera.per_pct
    return Estimate(value, np.sqrt((rate.sd / camera.per_pct) ** 2 + mistakes**2 + (camera.scatter * value) ** 2))


def camera_exposure(good: Floats, poor: Floats, length_m: Floats) -> Floats:
    """Passes over 100 m with fit frames that passes are worth, shape (n,). [-]"""
    return np.asarray((good + POOR_FRAMES * poor) * length_m / 100.0)


def fit_camera(rate: Estimate, exposure: Floats, survey_pct: Floats, usual: DamageCamera) -> DamageCamera | None:
    """Calibrate the cameras on segments that were surveyed lately; None with fewer than 20 of them.

    Parameters
    ----------
    rate : Estimate, shape (n,)
        From `damage_rate`.
    exposure : ndarray, shape (n,)
        From `camera_exposure`. [-]
    survey_pct : ndarray, shape (n,)
        Cracked or patched share of a survey of the last year. [%]
    usual : DamageCamera
        What holds until surveys tell otherwise.

    Notes
    -----
    Weighted least squares of the rate on the share, with priors about the usual: slope ± its scatter, mistakes 0 ± 0.3;
    several times, each with the variance of counting that the fit before lets one expect (that of the counts themselves
    would trust the lowest of them most). The scatter is what is left beyond counting, at least 0.05.
    """
    known = np.isfinite(rate.value) & np.isfinite(survey_pct)
    if known.sum() < _LEAST_SURVEYS:
        return None
    y, share, passes = rate.value[known], survey_pct[known], exposure[known]
    design = np.column_stack([np.ones_like(share), share])
    mean, precision = np.array([0.0, usual.per_pct]), np.diag([_FALSE_SD**-2, (usual.scatter * usual.per_pct) ** -2])
    fitted = usual
    for _ in range(4):
        expected = fitted.false + fitted.per_pct * share
        counting = _COUNT_SPREAD * np.maximum(expected, 0.05) / passes
        weight = 1 / (counting + (FALSE_SPREAD * fitted.false) ** 2 + (fitted.scatter * fitted.per_pct * share) ** 2)
        normal = design.T @ (design * weight[:, None]) + precision
        false, slope = np.linalg.solve(normal, design.T @ (weight * y) + precision @ mean).tolist()
        off = y - design @ np.array([false, slope])
        beyond = max((off**2 - counting).sum(), 0.0) / max((slope * share) @ (slope * share), 1e-9)
        fitted = DamageCamera(max(false, 0.0), max(slope, 0.05), float(np.clip(np.sqrt(beyond), 0.05, 1.0)))
    return fitted


def survey_now(value_pct: Floats, age_years: Floats, growth_pct: float) -> Estimate:
    """What a survey of some years ago says today: the same share, less surely. [%]

    Examples
    --------
    >>> survey_now(np.array([10.0]), np.array([0.0]), 1.0).sd.round(2)
    array([1.58])
    """
    sd = np.hypot(SURVEY_SD_SHARE * value_pct, SURVEY_SD_PCT)
    return Estimate(value_pct, np.sqrt(sd**2 + growth_pct**2 * np.maximum(age_years, 0.0)))


def merge(*estimates: Estimate) -> Estimate:
    """Independent estimates of one quantity, averaged with the inverse of their variances; NaN ones are left out.

    Examples
    --------
    >>> one, other = Estimate(np.array([2.0, 2.0]), np.array([1.0, 1.0])), Estimate(np.array([4.0, np.nan]), np.ones(2))
    >>> merge(one, other).value
    array([3., 2.])
    """
    weights = [np.where(np.isnan(e.value) | np.isnan(e.sd), 0.0, np.maximum(e.sd, 1e-9) ** -2) for e in estimates]
    total = np.sum(weights, axis=0)
    known = total > 0
    divisor = np.where(known, total, 1.0)
    value = np.sum([w * np.nan_to_num(e.value) for w, e in zip(weights, estimates, strict=True)], axis=0) / divisor
    return Estimate(np.where(known, value, np.nan), np.where(known, divisor**-0.5, np.nan))


def patches_pct(
    survey_pct: Floats, survey_age_years: Floats, patched_m2: Floats, area_m2: Floats, usual_pct: Estimate
) -> Estimate:
    """Patched share of a segment. [%]

    Parameters
    ----------
    survey_pct, survey_age_years : ndarray, shape (n,)
        Of the newest survey since the surface was renewed [%], [a]; NaN without one.
    patched_m2 : ndarray, shape (n,)
        Area of the repairs and trenches recorded since that survey (without one: since the records begin), less what
        has failed since. [m²]
    area_m2 : ndarray, shape (n,)
        Of the segment. [m²] NaN where its width is unknown.
    usual_pct : Estimate, shape (n,)
        What is usual without a survey: mean and sd over surveys; 0 ± 0 for a surface that was renewed. [%] NaN unknown.

    Returns
    -------
    Estimate, shape (n,)
        NaN without survey, usual share or width. Recorded areas are as good as a fifth.

    Examples
    --------
    >>> one = np.ones(1)
    >>> patches_pct(4 * one, one, 7 * one, 700 * one, Estimate(3 * one, 2 * one)).value
    array([5.])
    """
    survey = survey_now(survey_pct, survey_age_years, PATCH_GROWTH_PCT)
    surveyed = np.isfinite(survey_pct)
    before = Estimate(np.where(surveyed, survey.value, usual_pct.value), np.where(surveyed, survey.sd, usual_pct.sd))
    # An unknown width matters only where something was patched.
    with np.errstate(divide="ignore", invalid="ignore"):
        added = np.where(patched_m2 > 0, 100.0 * patched_m2 / area_m2, 0.0)
    value = np.minimum(before.value + added, 100.0)
    return Estimate(value, np.where(np.isnan(value), np.nan, np.hypot(before.sd, 0.2 * added)))


def patches_left(area_m2: Floats, age_years: Floats) -> Floats:
    """What is left of patches after some years, by the mean rate at which they fail. [m²]

    Examples
    --------
    >>> patches_left(np.array([10.0]), np.array([4.0])).round(1)
    array([5.5])
    """
    return np.asarray(area_m2 * (1 - PATCH_LOSS_PER_YEAR) ** np.maximum(age_years, 0.0))
