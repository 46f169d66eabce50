"""What the past says about what nobody sees: frailty and leaking sewers, given all holes so far.

A tree, summed out exactly from the leaves: a segment has a share of its piece's frailty (segments of 100 m and more are
their own pieces), the frailties of the pieces of a section are tied by a common normal score, and a leak is under the
whole section or not. Integrals are sums over fixed nodes.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaincinv, gammaincinv, ndtr

from simulators.truth.condition import Condition, frailty_after_renewal
from simulators.truth.frailty import (
    FIFTH_SHAPE,
    FIFTHS,
    LEAK_FACTOR,
    LEAK_SHARE,
    PIECE_M,
    SECTION_CORRELATION,
    SHAPE,
)
from simulators.truth.repairs import pieces_of

Floats = NDArray[np.float64]
GRID = np.exp(np.linspace(np.log(0.002), np.log(100.0), 60))
"""Products of frailty and hidden driver at which the past and the window are evaluated."""
_SCORES = np.linspace(-3.2, 3.8, 43)  # normal scores of a piece's frailty
_SECTION_SCORES = np.linspace(-3.2, 3.6, 15)
_SHARE_NODES = 6
_STEP = float(np.log(GRID[1] / GRID[0]))


@dataclass(frozen=True, slots=True)
class Nodes:
    """The hidden values that a segment can have: frailty of its piece × its share × leak, flattened to (k,)."""

    before: Floats  # frailty · leak before a renewal
    after: Floats  # and after one
    shape: tuple[int, int, int]


class Mixture:
    """Posterior and prediction for the segments of a world."""

    def __init__(self, condition: Condition) -> None:
        first = pieces_of(condition)
        self._starts, self._piece = np.unique(first, return_inverse=True)
        section = condition.section[self._starts]
        _, self._section_starts, self._section = np.unique(section, return_index=True, return_inverse=True)
        frailty = gammaincinv(SHAPE, ndtr(_SCORES)) / SHAPE
        part = 1.0 if np.all(first == np.arange(len(first))) else float(np.median(condition.length_m)) / PIECE_M
        shares = _shares(part)
        leak = np.array([1.0, LEAK_FACTOR])
        own = frailty[:, None] * shares
        self.nodes = Nodes(
            (own[:, :, None] * leak).ravel(),
            (frailty_after_renewal(own)[:, :, None] * leak).ravel(),
            (len(frailty), len(shares), 2),
        )
        ratio = np.sqrt(1 - SECTION_CORRELATION)
        distance = (_SCORES - np.sqrt(SECTION_CORRELATION) * _SECTION_SCORES[:, None]) / ratio
        density = np.exp(-0.5 * distance**2)
        self._given_section = density / density.sum(axis=1, keepdims=True)  # (section scores, scores)
        weight = np.exp(-0.5 * _SECTION_SCORES**2)
        self._log_section = np.log(weight / weight.sum())[:, None] + np.log([1 - LEAK_SHARE, LEAK_SHARE])

    def survival(self, likelihood: tuple[Floats, Floats], quiet: tuple[Floats, Floats]) -> Floats:
        """P(no new hole) of each segment.

        Parameters
        ----------
        likelihood : two numpy.ndarray, shape (n, len(GRID))
            Logarithm of the likelihood of each segment's past at each product of frailty and hidden driver: of the
            time before its first renewal, and of the time after.
        quiet : two numpy.ndarray, shape (n, len(GRID))
            P(no new hole | frailty · hidden driver) in the window, for the same two courses.

        Returns
        -------
        numpy.ndarray, shape (n,)
        """
        count = len(self._piece)
        log = self._at_nodes(likelihood[0], likelihood[1]).reshape(count, *self.nodes.shape)
        none = self._at_nodes(*quiet, product=True).reshape(log.shape)
        top = log.max(axis=(1, 2, 3), keepdims=True)
        by_share = np.exp(log - top)
        segment = by_share.mean(axis=2)  # shares are equally likely: (n, scores, leak)
        stays_quiet = (by_share * none).mean(axis=2) / np.maximum(segment, 1e-300)
        with np.errstate(divide="ignore"):
            piece_log = np.add.reduceat(np.log(segment), self._starts, axis=0)
        piece = np.exp(piece_log - piece_log.max(axis=(1, 2), keepdims=True))
        evidence = np.einsum("zt,ptl->pzl", self._given_section, piece)
        # Scaled by each piece's own maximum, which cancels below.
        section_log = np.add.reduceat(np.log(np.maximum(evidence, 1e-300)), self._section_starts, axis=0)
        section_log += self._log_section
        posterior = np.exp(section_log - section_log.max(axis=(1, 2), keepdims=True))
        posterior /= posterior.sum(axis=(1, 2), keepdims=True)
        weight = posterior[self._section] / np.maximum(evidence, 1e-300)
        of_piece = piece * np.einsum("zt,pzl->ptl", self._given_section, weight)
        result: Floats = np.clip((of_piece[self._piece] * stays_quiet).sum(axis=(1, 2)), 0.0, 1.0)
        return result

    def _at_nodes(self, before: Floats, after: Floats, *, product: bool = False) -> Floats:
        """From the grid to the nodes, linearly in the logarithm of both; sums of the two courses, or products."""
        parts = []
        for values, points in ((before, self.nodes.before), (after, self.nodes.after)):
            at = np.clip((np.log(np.maximum(points, GRID[0])) - np.log(GRID[0])) / _STEP, 0, len(GRID) - 1.001)
            node = at.astype(np.intp)
            parts.append(values[:, node] * (1 - (at - node)) + values[:, node + 1] * (at - node))
        result: Floats = parts[0] * parts[1] if product else parts[0] + parts[1]
        return result


def _shares(part: float) -> Floats:
    """Equally likely shares of a segment in its piece, mean about 1, if it is `part` of the piece."""
    cells = min(max(FIFTHS * part, 1.0), float(FIFTHS))
    if cells > FIFTHS - 0.5:
        return np.ones(1)
    middles = (np.arange(_SHARE_NODES) + 0.5) / _SHARE_NODES
    shares = betaincinv(FIFTH_SHAPE * cells, FIFTH_SHAPE * (FIFTHS - cells), middles) * FIFTHS / cells
    result: Floats = shares / shares.mean()
    return result
