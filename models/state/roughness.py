"""Roughness of segments from vehicles that shake differently: vehicle and segment told apart."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.state.fields import Estimate

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

VEHICLE_SPREAD = 0.15
"""How much vehicles differ on the same road: sd of the logarithm. [-] Assumed until told otherwise by the data."""
PASS_SPREAD = 0.15
"""How much passes of one vehicle over one segment differ: sd of the logarithm. [-] Assumed."""
_ROUNDS = 20


@dataclass(frozen=True, slots=True)
class Shaking:
    """Mean roughness of each segment by vehicle, k rows.

    `segment` and `vehicle` (k,) are codes from 0, `log_mps2` (k,) the mean logarithm of the acceleration [m/s²] at the
    reference speed, `passes` (k,) how many.
    """

    segment: Ints
    vehicle: Ints
    log_mps2: Floats
    passes: Floats


def vehicle_effects(shaking: Shaking) -> Estimate:
    """How much more each vehicle shakes than the mean one, as a logarithm, shape (number of vehicles,). [-]

    Notes
    -----
    log roughness = segment + vehicle + pass, vehicles normal with `VEHICLE_SPREAD` about 0: best linear unbiased
    prediction by alternating between the two, passes of a vehicle over a segment being alike with `PASS_SPREAD`. A
    vehicle that shares no segment with others cannot be told from its roads and stays near 0.
    """
    vehicles = 1 + int(shaking.vehicle.max(initial=-1))
    segments = 1 + int(shaking.segment.max(initial=-1))
    weight = shaking.passes / PASS_SPREAD**2
    of_segment = np.bincount(shaking.segment, weight, segments)
    of_vehicle = np.bincount(shaking.vehicle, weight, vehicles) + VEHICLE_SPREAD**-2
    effect = np.zeros(vehicles)
    for _ in range(_ROUNDS):
        bare = shaking.log_mps2 - effect[shaking.vehicle]
        road = np.bincount(shaking.segment, weight * bare, segments) / np.maximum(of_segment, 1e-12)
        off = shaking.log_mps2 - road[shaking.segment]
        effect = np.bincount(shaking.vehicle, weight * off, vehicles) / of_vehicle
    # What the segments of a vehicle leave open: those that it alone drives tell nothing of it.
    shared = weight * (1 - weight / np.maximum(of_segment[shaking.segment], 1e-12))
    sd = (np.bincount(shaking.vehicle, shared, vehicles) + VEHICLE_SPREAD**-2) ** -0.5
    return Estimate(effect, sd.astype(np.float64))


def roughness_mps2(shaking: Shaking, effect: Estimate, segments: int) -> Estimate:
    """Roughness of segments as the mean vehicle would feel it, shape (segments,). [m/s²] NaN where none passed.

    Rows are averaged with the inverse of their variances: passes, and what is not known of the vehicle.
    """
    variance = PASS_SPREAD**2 / np.maximum(shaking.passes, 1e-9) + effect.sd[shaking.vehicle] ** 2
    weight = np.bincount(shaking.segment, 1 / variance, segments)
    bare = (shaking.log_mps2 - effect.value[shaking.vehicle]) / variance
    known = weight > 0
    divisor = np.where(known, weight, 1.0)
    value = np.where(known, np.exp(np.bincount(shaking.segment, bare, segments) / divisor), np.nan)
    return Estimate(value, value * np.where(known, divisor**-0.5, np.nan))
