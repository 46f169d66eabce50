"""Inspections by lot: a simple random sample of the segments that are not at the top of the list.

A model that decides where people look learns from what it chose itself: where it saw no danger, nobody goes, and no
hole is found to prove it wrong. So a share of the capacity goes to segments drawn at random, each with a known
probability; what is found there, weighted by one over that probability, says how bad the rest of the city really is.

References
----------
.. [1] D. G. Horvitz and D. J. Thompson, "A generalization of sampling without replacement from a finite universe,"
   J. Am. Stat. Assoc., vol. 47, no. 260, pp. 663-685, 1952, doi:10.2307/2280784.
"""

import hashlib
from collections.abc import Sequence
from datetime import date
from itertools import islice
from math import floor

import numpy as np

from models.inputs import Floats

MOST_CAPACITY = 2000
"""For as many inspections a day a list may be asked."""


def seed_of(city: str, day: date) -> str:
    """What a day's draw depends on besides the segments: nobody chooses it.

    Examples
    --------
    >>> seed_of("Essen", date(2026, 1, 9))
    'Essen|2026-01-09'
    """
    return f"{city}|{day.isoformat()}"


def places_by_lot(capacity: int, share: float) -> int:
    """How many of `capacity` inspections are drawn by lot: the share, rounded, and at least one if it is above 0.

    Examples
    --------
    >>> places_by_lot(120, 0.05), places_by_lot(4, 0.05), places_by_lot(120, 0.0)
    (6, 1, 0)
    """
    return min(capacity, max(1, floor(capacity * share + 0.5))) if share > 0 else 0


def places_by_risk(capacity: int, share: float) -> int:
    """How many of `capacity` inspections are the first by risk: the others are drawn among what lies below them.

    Examples
    --------
    >>> places_by_risk(120, 0.05), places_by_risk(1, 0.05)
    (114, 0)
    """
    return capacity - places_by_lot(capacity, share)


def draw(public_ids: Sequence[str], count: int, *, seed: str) -> list[int]:
    """Indices of `count` ids drawn without replacement, in the order of the draw; all of them when there are fewer.

    The order is that of SHA-256(seed|id): the same on every machine, whatever the order of the ids, and an id that
    joins or leaves moves no other. The first k of a draw are themselves a simple random sample of k.

    Examples
    --------
    >>> draw(["a", "b", "c"], 2, seed="Essen|2026-01-09") == draw(["a", "b", "c"], 3, seed="Essen|2026-01-09")[:2]
    True
    """

    def lot(index: int) -> bytes:
        return hashlib.sha256(f"{seed}|{public_ids[index]}".encode()).digest()

    return sorted(range(len(public_ids)), key=lot)[:count]


def draw_for(risk_positions: Sequence[int], capacity: int, share: float) -> list[int]:
    """Indices of what is drawn for a capacity: the first of the draw that are not at the top of this capacity's list.

    Parameters
    ----------
    risk_positions : sequence of int
        Places by risk, from 1, of segments in the order of the draw: of all of them, or of those of `draw_for_any`.
    capacity : int
        Inspections of a day.
    share : float
        Of them by lot. [-]

    Examples
    --------
    Two inspections a day, one by lot: the worst segment is inspected anyway.

    >>> draw_for([1, 4, 2, 3], 2, 0.5)
    [1]
    """
    top = places_by_risk(capacity, share)
    below = (index for index, position in enumerate(risk_positions) if position > top)
    return list(islice(below, places_by_lot(capacity, share)))


def draw_for_any(public_ids: Sequence[str], most_capacity: int, share: float, *, seed: str) -> list[int]:
    """Indices of all ids, given worst first, that are drawn for some capacity of 1 … `most_capacity`; in their order.

    Of these alone, `draw_for` gives what it gives of the whole frame.
    """
    order = draw(public_ids, len(public_ids), seed=seed)
    positions = [index + 1 for index in order]
    drawn = {at for capacity in range(1, most_capacity + 1) for at in draw_for(positions, capacity, share)}
    return [order[at] for at in sorted(drawn)]


def estimate_total(found: Floats, probability: Floats) -> tuple[float, float]:
    """Total over the frame and its standard error, from what was found on the segments drawn (Horvitz–Thompson).

    Parameters
    ----------
    found : ndarray, shape (n,)
        What was found on each drawn segment, such as the number of potholes.
    probability : ndarray, shape (n,)
        With which each was drawn, the same for all of a day's simple random sample. [-] (0, 1]

    Returns
    -------
    total, standard_error : float
        The error is that of a simple random sample of n out of n/p: NaN for fewer than two segments.

    Examples
    --------
    >>> estimate_total(np.array([0.0, 1.0, 0.0, 1.0]), np.full(4, 0.1))[0]
    20.0
    """
    total = float((found / probability).sum())
    if found.size < 2:
        return total, float("nan")
    size = float((1 / probability).sum())
    variance = size**2 * (1 - found.size / size) * float(np.var(found, ddof=1)) / found.size
    return total, variance**0.5
